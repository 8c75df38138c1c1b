//! The envelope of a forwarded command, which only the relay can open, and its answer (wire reference, sections 12.2 and
//! 12.4).

use smp_crypto::key::{X25519PublicKey, X25519SecretKey};
use smp_crypto::routing::{CommandLayer, SEALED_LENGTH};
use smp_crypto::secret_box::PADDED_MESSAGE_START;
use smp_proto::id::{CorrelationId, ID_LENGTH, SessionId};
use smp_proto::smp::{BrokerMessage, Command};
use smp_proto::transport::Transmission;
use smp_proto::transport::block::decode_single;
use smp_proto::version::SmpVersion;
use smp_proto::wire::{Reader, Writer};

use crate::client::encode::{Context, new_correlation_id};
use crate::client::{ClientError, CommandKey, Id, ProxyFailure, RelayError};

/// What a client knows of the session a proxy has with a relay, after it has checked that the relay is the right one.
#[derive(Clone, Debug)]
pub(super) struct RelaySession {
    /// The session identifier between proxy and relay, the entity of PFWD.
    pub(super) id: Id,
    /// The version the relay is spoken to in.
    pub(super) version: SmpVersion,
    /// The relay's session key.
    pub(super) key: X25519PublicKey,
}

/// A command on its way.
pub(super) struct Sealed {
    /// The correlation id of the PFWD, and of the command inside.
    pub(super) correlation_id: [u8; ID_LENGTH],
    /// The client's key for this command.
    pub(super) key: X25519PublicKey,
    /// The encrypted command, [`SEALED_LENGTH`] bytes.
    pub(super) encrypted: Vec<u8>,
    /// What opens the answer.
    pub(super) opening: Opening,
}

/// What is needed to read the answer to a command.
pub(super) struct Opening {
    layer: CommandLayer,
    correlation_id: [u8; ID_LENGTH],
    entity: Id,
    version: SmpVersion,
}

impl RelaySession {
    fn context(&self) -> Result<Context<'_>, ClientError> {
        let session_id = SessionId::new(self.id.as_bytes()).map_err(|_| ClientError::Malformed)?;
        Ok(Context { version: self.version, session_id, server_key: Some(&self.key) })
    }

    /// Encodes, authorizes and encrypts a command, with a key and a correlation id of its own.
    pub(super) fn seal(
        &self,
        entity: &Id,
        command: &Command<'_>,
        key: Option<&CommandKey>,
    ) -> Result<Sealed, ClientError> {
        let context = self.context()?;
        let correlation_id = new_correlation_id();
        let transmission = context.encode(&correlation_id, entity, command, key)?;
        let secret = X25519SecretKey::generate(&mut rand::rng());
        let agreed = secret.diffie_hellman(&self.key).map_err(|_| ClientError::UnusableKey)?;
        let layer = CommandLayer::new(&agreed, CorrelationId::from_array(&correlation_id));
        let mut encrypted: Box<[u8; SEALED_LENGTH]> =
            vec![0; SEALED_LENGTH].try_into().map_err(|_| ClientError::Malformed)?;
        let room = encrypted.get_mut(PADDED_MESSAGE_START..).unwrap_or_default();
        let mut writer = Writer::new(room);
        // A batch of one.
        writer.u8(1).and_then(|()| writer.long(&transmission)).map_err(|_| context.too_large())?;
        let length = writer.len();
        layer.seal_command(&mut encrypted, length).map_err(|_| context.too_large())?;
        let opening = Opening { layer, correlation_id, entity: entity.clone(), version: self.version };
        let encrypted: Box<[u8]> = encrypted;
        Ok(Sealed { correlation_id, key: secret.public_key(), encrypted: encrypted.into(), opening })
    }
}

impl Opening {
    /// Decrypts an answer where it stands: the relay's message, or the error it answered with. Anything that the relay did
    /// not make for this command is [`ProxyFailure::Forged`].
    pub(super) fn open(&self, encrypted: &mut [u8]) -> Result<Box<[u8]>, ClientError> {
        let forged = || ClientError::Proxy(ProxyFailure::Forged);
        if encrypted.len() != SEALED_LENGTH {
            return Err(forged());
        }
        let content = self.layer.open_response(encrypted).map_err(|_| forged())?;
        // From here on it is certain that the relay made this: what is wrong now is the relay's fault.
        let bytes = decode_single(content).map_err(|_| ClientError::Malformed)?;
        let transmission =
            Transmission::decode(bytes, self.version, SessionId::EMPTY).map_err(|_| ClientError::Malformed)?;
        if transmission.correlation_id.as_bytes() != self.correlation_id {
            return Err(ClientError::Unexpected);
        }
        let message = BrokerMessage::decode(&mut Reader::new(transmission.command), self.version)
            .map_err(|_| ClientError::Malformed)?;
        let same = transmission.entity_id.as_bytes() == self.entity.as_bytes();
        match message {
            BrokerMessage::Error(error) if same || transmission.entity_id.is_empty() => {
                Err(ClientError::Relay(RelayError::new(&error)))
            }
            BrokerMessage::Error(_) => Err(ClientError::Unexpected),
            _ if !same => Err(ClientError::Unexpected),
            _ => Ok(Box::from(transmission.command)),
        }
    }
}

#[cfg(test)]
mod tests;
