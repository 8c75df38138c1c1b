//! From commands to transmissions: what authorizes them, and which version has them (wire reference, sections 2, 6 and 7).

use smp_crypto::key::X25519PublicKey;
use smp_proto::id::{CorrelationId, ID_LENGTH, SessionId};
use smp_proto::smp::Command;
use smp_proto::transport::transmission::{AuthorizedBytes, encode_unauthorized};
use smp_proto::version::SmpVersion;
use smp_proto::wire::Writer;

use super::{ClientError, CommandKey, Id};
use crate::net::BLOCK_SIZE;

/// What ids, session id, authorization and the parameters of short commands need at most, in bytes.
const SHORT_LENGTH: usize = 1024;

/// The most an encoded transmission can need.
const fn room_for(command: &Command<'_>) -> usize {
    match command {
        Command::Subscribe
        | Command::Acknowledge(_)
        | Command::Get
        | Command::Ping
        | Command::Secure(_)
        | Command::SecureBySender(_)
        | Command::SecureByLink(_)
        | Command::GetLink
        | Command::DeleteLink
        | Command::EnableNotifications(_)
        | Command::DisableNotifications
        | Command::SubscribeNotifications
        | Command::ResolveName(_)
        | Command::Suspend
        | Command::Delete
        | Command::QueueInfo => SHORT_LENGTH,
        _ => BLOCK_SIZE + SHORT_LENGTH,
    }
}

/// The session a transmission is for: that of the connection, or the one a proxy has with a relay.
pub(super) struct Context<'s> {
    pub(super) version: SmpVersion,
    pub(super) session_id: SessionId<'s>,
    /// The relay's session key, which X25519 authenticators need.
    pub(super) server_key: Option<&'s X25519PublicKey>,
}

/// A correlation id. Unpredictable and, with 192 bits, never the same twice: it is the nonce of authenticators and of
/// private routing, too.
pub(super) fn new_correlation_id() -> [u8; ID_LENGTH] {
    rand::random()
}

impl Context<'_> {
    /// Encodes and authorizes a command.
    pub(super) fn encode(
        &self,
        correlation_id: &[u8; ID_LENGTH],
        entity: &Id,
        command: &Command<'_>,
        key: Option<&CommandKey>,
    ) -> Result<Vec<u8>, ClientError> {
        self.check(command)?;
        let too_large = |_| self.too_large();
        let correlation_id = CorrelationId::from_array(correlation_id);
        let write = |writer: &mut Writer<'_>| command.encode(writer, self.version);
        let mut buffer = vec![0; room_for(command)];
        let mut writer = Writer::new(&mut buffer);
        match key {
            None => {
                encode_unauthorized(&mut writer, self.version, self.session_id, correlation_id, entity.entity(), write)
                    .map_err(too_large)?
            }
            Some(key) => {
                let mut scratch = vec![0; room_for(command)];
                let authorized =
                    AuthorizedBytes::write(&mut scratch, self.session_id, correlation_id, entity.entity(), write)
                        .map_err(too_large)?;
                let made = key.authorize(self.server_key, correlation_id, authorized.as_bytes())?;
                authorized.encode(&mut writer, self.version, &made.as_authorization(), None).map_err(too_large)?;
            }
        }
        let length = writer.len();
        buffer.truncate(length);
        Ok(buffer)
    }

    /// Refuses what the relay's version does not know, before it costs anything.
    fn check(&self, command: &Command<'_>) -> Result<(), ClientError> {
        let since = match command {
            Command::SecureBySender(_) => SmpVersion::SENDER_SECURED,
            Command::ProxySession(_) | Command::ProxyForward(_) => SmpVersion::PRIVATE_ROUTING,
            Command::SetLink(_)
            | Command::DeleteLink
            | Command::SecureByLink(_)
            | Command::GetLink
            | Command::SetRecipientKeys(_) => SmpVersion::SHORT_LINKS,
            Command::ResolveName(_) => SmpVersion::NAMES,
            _ => SmpVersion::MIN,
        };
        if self.version < since {
            return Err(ClientError::NotAtThisVersion(self.version));
        }
        match command {
            Command::Send(send) if send.body.len() > self.version.max_message_length() => Err(self.too_large()),
            _ => Ok(()),
        }
    }

    pub(super) fn too_large(&self) -> ClientError {
        ClientError::TooLarge(self.version.max_message_length())
    }
}
