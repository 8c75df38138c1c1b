//! Commands: what clients ask of a relay (wire reference, sections 6.5 and 7.1).

use super::error::CommandError;
use super::link::SetLink;
use super::names::Domain;
use super::notifier::NotifierKeys;
use super::proxy::{ProxyForward, ProxySession};
use super::recipient::NewQueue;
use super::sender::Send;
use super::service::{ServiceQueues, ServiceRole};
use crate::id::{EntityId, MessageId};
use crate::key::AuthorizationKey;
use crate::version::SmpVersion;
use crate::wire::{Decode, Error, NonEmptyList, Reader, Writer};

/// A command. Which entity it is about stands beside it in the transmission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// `NEW`: creates a queue.
    New(NewQueue<'a>),
    /// `SUB`: receives the messages of a queue.
    Subscribe,
    /// `SUBS`: receives the messages of all queues of the service.
    SubscribeService(ServiceQueues<'a>),
    /// `KEY`: sets the sender's key.
    Secure(AuthorizationKey),
    /// `RKEY`: replaces the recipients' keys.
    SetRecipientKeys(NonEmptyList<'a, AuthorizationKey>),
    /// `LSET`: stores or replaces link data.
    SetLink(SetLink<'a>),
    /// `LDEL`: removes link data.
    DeleteLink,
    /// `NKEY`: sets notification credentials.
    EnableNotifications(NotifierKeys),
    /// `NDEL`: removes notification credentials.
    DisableNotifications,
    /// `GET`: asks for one message without subscribing.
    Get,
    /// `ACK`: acknowledges the message that was delivered last.
    Acknowledge(MessageId<'a>),
    /// `OFF`: refuses further messages for good.
    Suspend,
    /// `DEL`: deletes the queue.
    Delete,
    /// `QUE`: asks about the queue.
    QueueInfo,
    /// `SKEY`: sets the sender's key, by the sender.
    SecureBySender(AuthorizationKey),
    /// `SEND`: sends a message.
    Send(Send<'a>),
    /// `LKEY`: sets the sender's key, by whoever has the link, and asks for its data.
    SecureByLink(AuthorizationKey),
    /// `LGET`: asks for link data.
    GetLink,
    /// `NSUB`: receives the notifications of a queue.
    SubscribeNotifications,
    /// `NSUBS`: receives the notifications of all queues of the service.
    SubscribeNotifierService(ServiceQueues<'a>),
    /// `PING`: asks for a sign of life.
    Ping,
    /// `PRXY`: asks a proxy for a session with a relay.
    ProxySession(ProxySession<'a>),
    /// `PFWD`: asks a proxy to forward.
    ProxyForward(ProxyForward<'a>),
    /// `RFWD`: forwards to a relay; an encrypted [`ForwardedTransmission`](super::proxy::ForwardedTransmission).
    RelayForward(&'a [u8]),
    /// `RSLV`: asks what a name stands for.
    ResolveName(Domain<'a>),
}

/// Reads parameters behind a space, to the end.
pub(super) fn parameters<'a, T>(
    reader: &mut Reader<'a>,
    decode: impl FnOnce(&mut Reader<'a>) -> Result<T, Error>,
) -> Result<T, Error> {
    reader.expect(b" ")?;
    let parameters = decode(reader)?;
    reader.finish()?;
    Ok(parameters)
}

/// Reads the end of a command without parameters.
pub(super) fn nothing<T>(reader: &Reader<'_>, value: T) -> Result<T, Error> {
    reader.finish().map(|()| value)
}

impl<'a> Command<'a> {
    /// Reads a command that fills everything the reader has left. Fails with [`CommandError::Unknown`] or
    /// [`CommandError::Syntax`], the answers a relay gives.
    pub fn decode(reader: &mut Reader<'a>, version: SmpVersion) -> Result<Self, CommandError> {
        let tag = reader.until(b' ');
        Self::decode_parameters(tag, reader, version).ok_or(CommandError::Unknown)?.map_err(|_| CommandError::Syntax)
    }

    fn decode_parameters(tag: &[u8], reader: &mut Reader<'a>, version: SmpVersion) -> Option<Result<Self, Error>> {
        let services = version >= SmpVersion::SERVICE_SUBSCRIPTIONS;
        Some(match tag {
            b"NEW" => parameters(reader, |reader| NewQueue::decode(reader, version)).map(Self::New),
            b"SUB" => nothing(reader, Self::Subscribe),
            b"SUBS" if services => {
                parameters(reader, |reader| ServiceQueues::decode(reader, version)).map(Self::SubscribeService)
            }
            b"SUBS" => nothing(reader, Self::SubscribeService(ServiceQueues::UNKNOWN)),
            b"KEY" => parameters(reader, Decode::decode).map(Self::Secure),
            b"RKEY" => parameters(reader, Decode::decode).map(Self::SetRecipientKeys),
            b"LSET" => parameters(reader, Decode::decode).map(Self::SetLink),
            b"LDEL" => nothing(reader, Self::DeleteLink),
            b"NKEY" => parameters(reader, Decode::decode).map(Self::EnableNotifications),
            b"NDEL" => nothing(reader, Self::DisableNotifications),
            b"GET" => nothing(reader, Self::Get),
            b"ACK" => parameters(reader, Decode::decode).map(Self::Acknowledge),
            b"OFF" => nothing(reader, Self::Suspend),
            b"DEL" => nothing(reader, Self::Delete),
            b"QUE" => nothing(reader, Self::QueueInfo),
            b"SKEY" => parameters(reader, Decode::decode).map(Self::SecureBySender),
            b"SEND" => parameters(reader, Decode::decode).map(Self::Send),
            b"LKEY" => parameters(reader, Decode::decode).map(Self::SecureByLink),
            b"LGET" => nothing(reader, Self::GetLink),
            b"NSUB" => nothing(reader, Self::SubscribeNotifications),
            b"NSUBS" if services => {
                parameters(reader, |reader| ServiceQueues::decode(reader, version)).map(Self::SubscribeNotifierService)
            }
            b"NSUBS" => nothing(reader, Self::SubscribeNotifierService(ServiceQueues::UNKNOWN)),
            b"PING" => nothing(reader, Self::Ping),
            b"PRXY" => parameters(reader, Decode::decode).map(Self::ProxySession),
            b"PFWD" => parameters(reader, Decode::decode).map(Self::ProxyForward),
            b"RFWD" => parameters(reader, |reader| Ok(reader.rest())).map(Self::RelayForward),
            b"RSLV" => parameters(reader, Domain::decode).map(Self::ResolveName),
            _ => return None,
        })
    }

    /// Writes the command; fields that the version has no room for are left out.
    pub fn encode(&self, writer: &mut Writer<'_>, version: SmpVersion) -> Result<(), Error> {
        let services = version >= SmpVersion::SERVICE_SUBSCRIPTIONS;
        writer.bytes(self.tag())?;
        match self {
            Self::Subscribe
            | Self::DeleteLink
            | Self::DisableNotifications
            | Self::Get
            | Self::Suspend
            | Self::Delete
            | Self::QueueInfo
            | Self::GetLink
            | Self::SubscribeNotifications
            | Self::Ping => return Ok(()),
            Self::SubscribeService(_) | Self::SubscribeNotifierService(_) if !services => return Ok(()),
            _ => writer.u8(b' ')?,
        }
        match self {
            Self::New(new) => new.encode(writer, version),
            Self::SubscribeService(queues) | Self::SubscribeNotifierService(queues) => queues.encode(writer, version),
            Self::Secure(key) | Self::SecureBySender(key) | Self::SecureByLink(key) => writer.value(key),
            Self::SetRecipientKeys(keys) => writer.value(keys),
            Self::SetLink(link) => writer.value(link),
            Self::EnableNotifications(keys) => writer.value(keys),
            Self::Acknowledge(message) => writer.value(message),
            Self::Send(send) => writer.value(send),
            Self::ProxySession(session) => writer.value(session),
            Self::ProxyForward(forward) => writer.value(forward),
            Self::RelayForward(encrypted) => writer.bytes(encrypted),
            Self::ResolveName(domain) => domain.encode(writer),
            _ => Ok(()),
        }
    }

    /// The tag the command starts with.
    #[must_use]
    pub const fn tag(&self) -> &'static [u8] {
        match self {
            Self::New(_) => b"NEW",
            Self::Subscribe => b"SUB",
            Self::SubscribeService(_) => b"SUBS",
            Self::Secure(_) => b"KEY",
            Self::SetRecipientKeys(_) => b"RKEY",
            Self::SetLink(_) => b"LSET",
            Self::DeleteLink => b"LDEL",
            Self::EnableNotifications(_) => b"NKEY",
            Self::DisableNotifications => b"NDEL",
            Self::Get => b"GET",
            Self::Acknowledge(_) => b"ACK",
            Self::Suspend => b"OFF",
            Self::Delete => b"DEL",
            Self::QueueInfo => b"QUE",
            Self::SecureBySender(_) => b"SKEY",
            Self::Send(_) => b"SEND",
            Self::SecureByLink(_) => b"LKEY",
            Self::GetLink => b"LGET",
            Self::SubscribeNotifications => b"NSUB",
            Self::SubscribeNotifierService(_) => b"NSUBS",
            Self::Ping => b"PING",
            Self::ProxySession(_) => b"PRXY",
            Self::ProxyForward(_) => b"PFWD",
            Self::RelayForward(_) => b"RFWD",
            Self::ResolveName(_) => b"RSLV",
        }
    }

    /// Checks that authorization and entity are present or absent as the command wants them (wire reference, section
    /// 7.1). Whether the authorization is right is another question.
    pub const fn check_credentials(&self, authorized: bool, entity: EntityId<'_>) -> Result<(), CommandError> {
        match self {
            Self::New(_) => match (authorized, entity.is_empty()) {
                (false, _) => Err(CommandError::NoAuthorization),
                (true, false) => Err(CommandError::HasAuthorization),
                (true, true) => Ok(()),
            },
            Self::Send(_) => {
                if entity.is_empty() {
                    Err(CommandError::NoEntity)
                } else {
                    Ok(())
                }
            }
            Self::GetLink | Self::ProxyForward(_) => match (authorized, entity.is_empty()) {
                (_, true) => Err(CommandError::NoEntity),
                (true, false) => Err(CommandError::HasAuthorization),
                (false, false) => Ok(()),
            },
            Self::Ping | Self::ProxySession(_) | Self::RelayForward(_) | Self::ResolveName(_) => {
                if authorized || !entity.is_empty() { Err(CommandError::HasAuthorization) } else { Ok(()) }
            }
            _ => {
                if authorized && !entity.is_empty() {
                    Ok(())
                } else {
                    Err(CommandError::NoAuthorization)
                }
            }
        }
    }

    /// The role a service session must have for this command; `PING` is for any (wire reference, section 6.4; v7,
    /// section 2.4).
    #[must_use]
    pub const fn party(&self) -> Option<ServiceRole> {
        match self {
            Self::Ping => None,
            Self::SubscribeNotifications | Self::SubscribeNotifierService(_) => Some(ServiceRole::Notifier),
            Self::RelayForward(_) => Some(ServiceRole::Proxy),
            _ => Some(ServiceRole::Messaging),
        }
    }

    /// Whether a service session adds its own signature to this command (wire reference, section 6.4).
    #[must_use]
    pub const fn takes_service_signature(&self) -> bool {
        matches!(self, Self::New(_) | Self::Subscribe | Self::SubscribeNotifications)
    }

    /// Whether a relay accepts this command through a proxy (wire reference, section 12.3; v7, section 3.5).
    #[must_use]
    pub const fn may_be_forwarded(&self) -> bool {
        matches!(
            self,
            Self::Send(_) | Self::SecureBySender(_) | Self::SecureByLink(_) | Self::GetLink | Self::ResolveName(_)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smp::service::IdsHash;

    fn encoded<'b>(command: &Command<'_>, version: u16, buffer: &'b mut [u8]) -> &'b [u8] {
        let mut writer = Writer::new(buffer);
        command.encode(&mut writer, SmpVersion(version)).unwrap();
        writer.into_written()
    }

    fn decode(bytes: &[u8], version: u16) -> Result<Command<'_>, CommandError> {
        Command::decode(&mut Reader::new(bytes), SmpVersion(version))
    }

    #[test]
    fn service_subscriptions_got_parameters() {
        // The example of v7, section 2.1.
        let hash = *b"\x4a\xb2\x08\x72\xd8\xc4\x4d\x9b\xf5\xab\x1d\x8d\x23\x75\x44\xe9";
        let queues = ServiceQueues { count: 2, hash: IdsHash::new(&hash) };
        let parameters = [&b" \0\0\0\0\0\0\0\x02\x10"[..], &hash].concat();
        for (tag, command) in
            [("SUBS", Command::SubscribeService as fn(_) -> _), ("NSUBS", Command::SubscribeNotifierService)]
        {
            let long = [tag.as_bytes(), &parameters].concat();
            for version in 6..=20 {
                let (with, other): (&[u8], &[u8]) =
                    if version >= 19 { (&long, tag.as_bytes()) } else { (tag.as_bytes(), &long) };
                let expected = if version >= 19 { queues } else { ServiceQueues::UNKNOWN };
                assert_eq!(encoded(&command(queues), version, &mut [0; 50]), with);
                assert_eq!(decode(with, version), Ok(command(expected)));
                assert_eq!(decode(other, version), Err(CommandError::Syntax));
            }
        }
    }

    #[test]
    fn names_are_resolved_without_a_length() {
        let command = decode(b"RSLV Alice.simplex ignored", 6).unwrap();
        assert_eq!(encoded(&command, 20, &mut [0; 50]), b"RSLV alice.simplex");
        assert_eq!(decode(b"RSLV alice", 20), Err(CommandError::Syntax));
        assert_eq!(decode(b"RSLV", 20), Err(CommandError::Syntax));
    }

    #[test]
    fn credentials_have_a_shape() {
        use CommandError::{HasAuthorization, NoAuthorization, NoEntity};
        let some = EntityId::from_array(&[7; 24]);
        // Authorization and entity, entity only, authorization only, neither.
        let check = |command: &[u8], expected: [Result<(), CommandError>; 4]| {
            let command = decode(command, 20).unwrap();
            let cases = [(true, some), (false, some), (true, EntityId::EMPTY), (false, EntityId::EMPTY)];
            let found = cases.map(|(authorized, entity)| command.check_credentials(authorized, entity));
            assert_eq!(found, expected, "{:?}", command.tag());
        };
        let key = [&b"\x2c"[..], &crate::key::ED25519_SPKI, &[1; 32]].concat();
        let dh_key = [&b"\x2c"[..], &crate::key::X25519_SPKI, &[1; 32]].concat();
        let both = [Ok(()), Err(NoAuthorization), Err(NoAuthorization), Err(NoAuthorization)];
        for command in ["SUB", "LDEL", "NDEL", "GET", "ACK \0", "OFF", "DEL", "QUE", "NSUB"] {
            check(command.as_bytes(), both);
        }
        check(b"SUBS \0\0\0\0\0\0\0\0\0", both);
        check(b"LSET \0\0\0\0\0", both);
        for tag in ["KEY ", "SKEY ", "LKEY ", "RKEY \x01"] {
            check(&[tag.as_bytes(), &key].concat(), both);
        }
        check(&[b"NKEY ", &key[..], &dh_key].concat(), both);
        let neither = [Err(HasAuthorization), Err(HasAuthorization), Err(HasAuthorization), Ok(())];
        for command in ["PING", "RFWD ", "RSLV a.b", "PRXY \x01\x01a\0\0\x30"] {
            check(command.as_bytes(), neither);
        }
        let entity_only = [Err(HasAuthorization), Ok(()), Err(NoEntity), Err(NoEntity)];
        check(b"LGET", entity_only);
        check(&[b"PFWD \0\x09", &dh_key[..]].concat(), entity_only);
        check(b"SEND T ", [Ok(()), Ok(()), Err(NoEntity), Err(NoEntity)]);
        check(
            &[b"NEW ", &key[..], &dh_key, b"0S00"].concat(),
            [Err(HasAuthorization), Err(NoAuthorization), Ok(()), Err(NoAuthorization)],
        );
    }

    #[test]
    fn commands_belong_to_parties() {
        let party = |command: &[u8]| decode(command, 18).unwrap().party();
        assert_eq!(party(b"PING"), None);
        assert_eq!(party(b"NSUB"), Some(ServiceRole::Notifier));
        assert_eq!(party(b"NSUBS"), Some(ServiceRole::Notifier));
        assert_eq!(party(b"RFWD x"), Some(ServiceRole::Proxy));
        for command in ["SUB", "SUBS", "SEND F x", "LGET", "RSLV a.b", "OFF"] {
            assert_eq!(party(command.as_bytes()), Some(ServiceRole::Messaging));
        }
    }
}
