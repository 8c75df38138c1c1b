//! Broker messages: what relays answer, and what they say unasked (wire reference, section 8).

use super::command::{nothing, parameters};
use super::error::{CommandError, SmpError};
use super::link::LinkContent;
use super::names::NameRecord;
use super::notifier::{EncryptedNotification, NotifierIds};
use super::proxy::ProxyKey;
use super::queue_info::QueueInfo;
use super::recipient::{EncryptedMessage, QueueIds};
use super::service::ServiceQueues;
use crate::id::{EntityId, ServiceId};
use crate::version::SmpVersion;
use crate::wire::{Decode, Encode, Error, Reader, Writer};

/// A message from a relay. Which entity it is about stands beside it in the transmission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerMessage<'a> {
    /// `IDS`: the new queue; answers `NEW`.
    Ids(QueueIds<'a>),
    /// `LNK`: link data; answers `LKEY` and `LGET`.
    Link(LinkContent<'a>),
    /// `SOK`: subscribed, through this service if any; answers `SUB` and `NSUB`. Below version 16 it is an `OK`.
    Subscribed(Option<ServiceId<'a>>),
    /// `SOKS`: all queues of the service are subscribed; answers `SUBS` and `NSUBS`.
    ServiceSubscribed(ServiceQueues<'a>),
    /// `MSG`: a message; an event, or answers `GET` and `ACK`.
    Message(EncryptedMessage<'a>),
    /// `NID`: notification credentials; answers `NKEY`.
    NotifierId(NotifierIds<'a>),
    /// `NMSG`: a message waits; an event for notifiers.
    Notification(EncryptedNotification<'a>),
    /// `PKEY`: a session with a relay; answers `PRXY`.
    ProxyKey(ProxyKey<'a>),
    /// `RRES`: an encrypted [`ForwardedResponse`](super::proxy::ForwardedResponse); answers `RFWD`.
    RelayResponse(&'a [u8]),
    /// `PRES`: the response a relay encrypted for the client; answers `PFWD`.
    ProxyResponse(&'a [u8]),
    /// `END`: another connection subscribed; an event.
    End,
    /// `ENDS`: another session of the service subscribed; an event.
    ServiceEnd(ServiceQueues<'a>),
    /// `ALLS`: every waiting message of the service was delivered once; an event.
    AllDelivered,
    /// `DELD`: the queue or its notifier is deleted; an event. Below version 10 it is an `END`.
    Deleted,
    /// `INFO`: the state of a queue; answers `QUE`.
    Info(QueueInfo<'a>),
    /// `OK`: done.
    Ok,
    /// `ERR`: not done; also an event when a queue is blocked.
    Error(SmpError<'a>),
    /// `PONG`: a sign of life; answers `PING`.
    Pong,
    /// `RNAME`: what a name stands for; answers `RSLV`.
    Name(NameRecord<'a>),
}

impl<'a> BrokerMessage<'a> {
    /// Reads a message that fills everything the reader has left. Fails with [`CommandError::Unknown`] or
    /// [`CommandError::Syntax`].
    pub fn decode(reader: &mut Reader<'a>, version: SmpVersion) -> Result<Self, CommandError> {
        let tag = reader.until(b' ');
        Self::decode_parameters(tag, reader, version).ok_or(CommandError::Unknown)?.map_err(|_| CommandError::Syntax)
    }

    fn decode_parameters(tag: &[u8], reader: &mut Reader<'a>, version: SmpVersion) -> Option<Result<Self, Error>> {
        Some(match tag {
            b"IDS" => parameters(reader, |reader| QueueIds::decode(reader, version)).map(Self::Ids),
            b"LNK" => parameters(reader, Decode::decode).map(Self::Link),
            b"SOK" => parameters(reader, Decode::decode).map(Self::Subscribed),
            b"SOKS" => parameters(reader, |reader| ServiceQueues::decode(reader, version)).map(Self::ServiceSubscribed),
            b"MSG" => parameters(reader, Decode::decode).map(Self::Message),
            b"NID" => parameters(reader, Decode::decode).map(Self::NotifierId),
            b"NMSG" => parameters(reader, Decode::decode).map(Self::Notification),
            b"PKEY" => parameters(reader, Decode::decode).map(Self::ProxyKey),
            b"RRES" => parameters(reader, |reader| Ok(reader.rest())).map(Self::RelayResponse),
            b"PRES" => parameters(reader, |reader| Ok(reader.rest())).map(Self::ProxyResponse),
            b"END" => nothing(reader, Self::End),
            b"ENDS" => parameters(reader, |reader| ServiceQueues::decode(reader, version)).map(Self::ServiceEnd),
            b"ALLS" => nothing(reader, Self::AllDelivered),
            b"DELD" => nothing(reader, Self::Deleted),
            b"INFO" => parameters(reader, QueueInfo::decode).map(Self::Info),
            b"OK" => nothing(reader, Self::Ok),
            b"ERR" => parameters(reader, SmpError::decode).map(Self::Error),
            b"PONG" => nothing(reader, Self::Pong),
            b"RNAME" => parameters(reader, NameRecord::decode).map(Self::Name),
            _ => return None,
        })
    }

    /// Writes the message as a peer of this version knows it: fields that the version has no room for are left out, and
    /// `SOK`, `DELD` and `ERR BLOCKED` turn into their predecessors.
    pub fn encode(&self, writer: &mut Writer<'_>, version: SmpVersion) -> Result<(), Error> {
        match self {
            Self::Ids(ids) => {
                writer.bytes(b"IDS ")?;
                ids.encode(writer, version)
            }
            Self::Link(content) => tagged(writer, b"LNK ", content),
            Self::Subscribed(_) if version < SmpVersion::SERVICES => writer.bytes(b"OK"),
            Self::Subscribed(service) => tagged(writer, b"SOK ", service),
            Self::ServiceSubscribed(queues) => {
                writer.bytes(b"SOKS ")?;
                queues.encode(writer, version)
            }
            Self::Message(message) => tagged(writer, b"MSG ", message),
            Self::NotifierId(ids) => tagged(writer, b"NID ", ids),
            Self::Notification(notification) => tagged(writer, b"NMSG ", notification),
            Self::ProxyKey(key) => tagged(writer, b"PKEY ", key),
            Self::RelayResponse(encrypted) => {
                writer.bytes(b"RRES ")?;
                writer.bytes(encrypted)
            }
            Self::ProxyResponse(encrypted) => {
                writer.bytes(b"PRES ")?;
                writer.bytes(encrypted)
            }
            Self::End => writer.bytes(b"END"),
            Self::ServiceEnd(queues) => {
                writer.bytes(b"ENDS ")?;
                queues.encode(writer, version)
            }
            Self::AllDelivered => writer.bytes(b"ALLS"),
            Self::Deleted if version < SmpVersion::DELETED_EVENT => writer.bytes(b"END"),
            Self::Deleted => writer.bytes(b"DELD"),
            Self::Info(info) => {
                writer.bytes(b"INFO ")?;
                info.encode(writer)
            }
            Self::Ok => writer.bytes(b"OK"),
            Self::Error(error) => {
                writer.bytes(b"ERR ")?;
                error.encode(writer, version)
            }
            Self::Pong => writer.bytes(b"PONG"),
            Self::Name(record) => {
                writer.bytes(b"RNAME ")?;
                record.encode(writer)
            }
        }
    }

    /// Checks, for a client, that the entity is present or absent as the message wants it.
    pub const fn check_entity(&self, entity: EntityId<'_>) -> Result<(), CommandError> {
        match self {
            Self::Ids(_) | Self::Error(_) => Ok(()),
            Self::Pong | Self::ProxyKey(_) | Self::RelayResponse(_) | Self::AllDelivered | Self::Name(_) => {
                if entity.is_empty() { Ok(()) } else { Err(CommandError::HasAuthorization) }
            }
            _ => {
                if entity.is_empty() {
                    Err(CommandError::NoEntity)
                } else {
                    Ok(())
                }
            }
        }
    }
}

fn tagged(writer: &mut Writer<'_>, tag: &[u8], parameters: &impl Encode) -> Result<(), Error> {
    writer.bytes(tag)?;
    parameters.encode(writer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smp::service::IdsHash;

    fn encoded<'b>(message: &BrokerMessage<'_>, version: u16, buffer: &'b mut [u8]) -> &'b [u8] {
        let mut writer = Writer::new(buffer);
        message.encode(&mut writer, SmpVersion(version)).unwrap();
        writer.into_written()
    }

    #[test]
    fn newer_messages_turn_into_their_predecessors() {
        let service = BrokerMessage::Subscribed(Some(ServiceId::from_array(&[7; 24])));
        let buffer = &mut [0; 50];
        for version in 6..=20 {
            let expected = if version < 16 { &b"OK"[..] } else { b"SOK 1\x18777777777777777777777777" };
            let expected: std::vec::Vec<_> = expected.iter().map(|b| if *b == b'7' { 7 } else { *b }).collect();
            assert_eq!(encoded(&service, version, buffer), expected);
            let expected: &[u8] = if version < 10 { b"END" } else { b"DELD" };
            assert_eq!(encoded(&BrokerMessage::Deleted, version, buffer), expected);
        }
    }

    #[test]
    fn service_counts_got_hashes() {
        let queues = ServiceQueues { count: -2, hash: IdsHash::new(&[9; 16]) };
        for (tag, message) in
            [("SOKS ", BrokerMessage::ServiceSubscribed as fn(_) -> _), ("ENDS ", BrokerMessage::ServiceEnd)]
        {
            let short = [tag.as_bytes(), &(-2i64).to_be_bytes()].concat();
            let long = [&short[..], &[16], &[9; 16]].concat();
            for version in 6..=20 {
                let (bytes, other) = if version >= 19 { (&long, &short) } else { (&short, &long) };
                let hash = if version >= 19 { queues.hash } else { IdsHash::ZERO };
                let decode = |bytes| BrokerMessage::decode(&mut Reader::new(bytes), SmpVersion(version));
                assert_eq!(encoded(&message(queues), version, &mut [0; 50]), bytes);
                assert_eq!(decode(bytes), Ok(message(ServiceQueues { count: -2, hash })));
                assert_eq!(decode(other), Err(CommandError::Syntax));
            }
        }
    }

    #[test]
    fn entities_are_checked() {
        let some = EntityId::from_array(&[7; 24]);
        let check = |message: &[u8], with: Result<(), CommandError>, without: Result<(), CommandError>| {
            let message = BrokerMessage::decode(&mut Reader::new(message), SmpVersion::MAX).unwrap();
            assert_eq!((message.check_entity(some), message.check_entity(EntityId::EMPTY)), (with, without));
        };
        for message in ["PONG", "RRES x", "ALLS"] {
            check(message.as_bytes(), Err(CommandError::HasAuthorization), Ok(()));
        }
        for message in ["OK", "END", "DELD", "SOK 0", "PRES x", "MSG \0x"] {
            check(message.as_bytes(), Ok(()), Err(CommandError::NoEntity));
        }
        check(b"ERR AUTH", Ok(()), Ok(()));
    }
}
