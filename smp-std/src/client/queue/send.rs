//! The sender's end of a queue.

use std::fmt;

use smp_crypto::key::X25519SecretKey;
use smp_crypto::queue_envelope;
use smp_crypto::secret_box::{BoxKey, Nonce};
use smp_proto::address::ServerAddress;
use smp_proto::smp::message::ClientMessage;
use smp_proto::uri::QueueUri;
use smp_proto::version::{ClientVersion, SmpVersion, VersionRange};

use super::{MAX_BODY_LENGTH, QueueError};
use crate::client::{ClientError, CommandKey, Credentials, Id, SenderCommands};

/// How far a [`SendQueue`] has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SendStage {
    /// Nothing was sent yet.
    New,
    /// The sender has secured the queue itself; the confirmation has not been sent.
    Secured,
    /// The relay has the confirmation.
    Confirmed,
}

/// The sender's end of a queue.
pub struct SendQueue {
    uri: QueueUri,
    credentials: Credentials,
    secret: X25519SecretKey,
    key: BoxKey,
    stage: SendStage,
    /// Whether the sender sets its key itself; else the recipient is asked to.
    secures: bool,
}

impl fmt::Debug for SendQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SendQueue({:?})", self.stage)
    }
}

/// What has to be kept of a [`SendQueue`] to use it again later. Everything in it is secret.
pub struct SendQueueParts {
    /// The queue's address.
    pub uri: QueueUri,
    /// The key that authorizes messages.
    pub key: CommandKey,
    /// The sender's side of the encryption.
    pub secret: X25519SecretKey,
    /// How far things have come.
    pub stage: SendStage,
    /// Whether the sender sets its key itself.
    pub secures: bool,
}

impl SendQueue {
    /// The sender's end of the queue with this address, with new keys. The version is that of the session with the
    /// queue's relay.
    ///
    /// # Errors
    /// [`QueueError::WeakKey`] if the address holds a key of small order; [`QueueError::Address`] if it asks for versions
    /// of the envelope that are not known here.
    pub fn new(uri: &QueueUri, version: SmpVersion) -> Result<Self, QueueError> {
        Self::from_parts(SendQueueParts {
            uri: uri.clone(),
            key: CommandKey::generate(version),
            secret: X25519SecretKey::generate(&mut rand::rng()),
            stage: SendStage::New,
            secures: uri.sender_can_secure() && version >= SmpVersion::SENDER_SECURED,
        })
    }

    /// The sender's end of a queue from what was kept of it.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn from_parts(parts: SendQueueParts) -> Result<Self, QueueError> {
        let SendQueueParts { uri, key, secret, stage, secures } = parts;
        let id = Id::from(uri.sender_id());
        uri.versions().intersection(&VersionRange::CLIENT).ok_or(QueueError::Address)?;
        let agreed = secret.diffie_hellman(&uri.dh_key()).map_err(|_| QueueError::WeakKey)?;
        let credentials = Credentials { id, key };
        Ok(Self { uri, credentials, secret, key: BoxKey::from(&agreed), stage, secures })
    }

    /// What has to be kept.
    #[must_use]
    pub fn to_parts(&self) -> SendQueueParts {
        SendQueueParts {
            uri: self.uri.clone(),
            key: self.credentials.key.clone(),
            secret: X25519SecretKey::from_bytes(self.secret.as_bytes()),
            stage: self.stage,
            secures: self.secures,
        }
    }

    /// The relay.
    #[must_use]
    pub fn server(&self) -> ServerAddress<'_> {
        self.uri.server()
    }

    /// How far things have come.
    #[must_use]
    pub fn stage(&self) -> SendStage {
        self.stage
    }

    /// Sends a message of at most [`MAX_BODY_LENGTH`] bytes, directly ([`Client`](crate::client::Client)), through a proxy
    /// ([`ProxySession`](crate::client::ProxySession)), or as a policy says ([`Route`](crate::client::Route)). The first time it secures the queue, if it may, and confirms
    /// it with this message. After a temporary error call it again with the same body; the recipient may then get the
    /// message twice.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn send(&mut self, relay: &impl SenderCommands, body: &[u8]) -> Result<(), ClientError> {
        if body.len() > MAX_BODY_LENGTH {
            return Err(ClientError::TooLarge(MAX_BODY_LENGTH));
        }
        if self.stage == SendStage::New && self.secures {
            relay.secure_by_sender(&self.credentials).await?;
            self.stage = SendStage::Secured;
        }
        let envelope = self.seal(body)?;
        let (id, key) = (&self.credentials.id, &self.credentials.key);
        let mut result = Ok(());
        for &authorized in authorizations(self.stage, self.secures) {
            result = relay.send(id, authorized.then_some(key), true, &envelope).await;
            if !result.as_ref().is_err_and(ClientError::is_not_authorized) {
                break;
            }
        }
        result?;
        self.stage = SendStage::Confirmed;
        Ok(())
    }

    /// Makes the body of SEND.
    fn seal(&self, body: &[u8]) -> Result<Vec<u8>, ClientError> {
        let confirmation = self.stage < SendStage::Confirmed;
        // The recipient reads every version of its range; the highest one both know says most.
        let version = self
            .uri
            .versions()
            .intersection(&VersionRange::CLIENT)
            .map_or(ClientVersion::MAX, |versions| versions.max());
        let header = queue_envelope::EnvelopeHeader {
            version,
            key: confirmation.then(|| self.secret.public_key()),
            nonce: Nonce::generate(&mut rand::rng()),
        };
        let sender_key = (confirmation && !self.secures).then(|| self.credentials.key.public());
        let mut buffer = vec![0; queue_envelope::MESSAGE_LENGTH];
        let length = queue_envelope::seal(&self.key, &header, &ClientMessage { sender_key, body }, &mut buffer)
            .map_err(|_| ClientError::TooLarge(MAX_BODY_LENGTH))?
            .len();
        buffer.truncate(length);
        Ok(buffer)
    }
}

/// Whether each attempt to send a message is authorized; the next one is for when the relay refuses.
///
/// Without SKEY the queue is open until the recipient has set the key of the confirmation, and a message must not be
/// authorized before; nobody tells the sender when that happens.
fn authorizations(stage: SendStage, secures: bool) -> &'static [bool] {
    match (stage, secures) {
        (_, true) => &[true],
        // The confirmation of an attempt whose answer was lost may have been accepted already.
        (SendStage::New, false) => &[false, true],
        // The key may be set between the first two attempts.
        (_, false) => &[true, false, true],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_attempt_is_accepted_whenever_the_recipient_sets_the_key() {
        for stage in [SendStage::New, SendStage::Confirmed] {
            let attempts = authorizations(stage, false);
            for secured_before in 0..=attempts.len() {
                let accepted = |(number, authorized): (usize, &bool)| *authorized == (number >= secured_before);
                assert!(
                    attempts.iter().enumerate().any(accepted),
                    "{stage:?}, key set before attempt {secured_before}"
                );
            }
        }
    }

    #[test]
    fn the_key_that_the_sender_has_set_itself_is_always_used() {
        for stage in [SendStage::New, SendStage::Secured, SendStage::Confirmed] {
            assert_eq!(authorizations(stage, true), [true]);
        }
    }
}
