//! Notifications: who may learn that a message waits (wire reference, sections 7.3 and 10.6).

use std::fmt;

use smp_crypto::key::AuthorizationKey;
use smp_crypto::key::{SharedSecret, X25519SecretKey};
use smp_crypto::notification;
use smp_crypto::secret_box::{BoxKey, Nonce};
use smp_proto::id::ID_LENGTH;
use smp_proto::smp::notifier::{NotifierIds, NotifierKeys};
use smp_proto::smp::{BrokerMessage, Command};

use crate::client::multiplex::Kind;
use crate::client::{Client, ClientError, Credentials, Id};

/// What a queue's recipient and the relay agreed for notifications.
#[derive(Debug)]
pub struct NotifierAccess {
    /// The notifier's id of the queue, to be handed to the notifier.
    pub notifier_id: Id,
    /// Opens notifications; not for the notifier.
    pub secret: SharedSecret,
}

/// A notification: a message waits in a queue. Which one and since when only the queue's recipient can read.
#[derive(Clone, PartialEq, Eq)]
pub struct Notification {
    /// The notifier's id of the queue.
    pub notifier_id: Id,
    /// The nonce of the encryption.
    pub nonce: [u8; 24],
    /// The message's id and time, encrypted.
    pub metadata: Box<[u8]>,
}

impl fmt::Debug for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Notification({} bytes)", self.metadata.len())
    }
}

impl Notification {
    /// The id of the message that waits, and when the relay got it, in seconds since the Unix epoch. The secret is that of
    /// [`NotifierAccess`].
    ///
    /// # Errors
    /// [`ClientError::Malformed`] when it is another secret, or the notification is not one of the relay.
    pub fn open(&self, secret: &SharedSecret) -> Result<(Id, i64), ClientError> {
        let mut metadata = self.metadata.to_vec();
        let opened = notification::open(&BoxKey::from(secret), &Nonce(self.nonce), &mut metadata)
            .map_err(|_| ClientError::Malformed)?;
        Ok((opened.message_id.into(), opened.time.0))
    }
}

/// The recipient's half of an agreement for notifications, and what it says to the relay.
pub(super) struct Proposal {
    secret: X25519SecretKey,
    pub(super) keys: NotifierKeys,
}

impl Proposal {
    pub(super) fn new(notifier_key: AuthorizationKey) -> Self {
        let secret = X25519SecretKey::generate(&mut rand::rng());
        let keys = NotifierKeys { notifier_key, recipient_dh_key: secret.public_key() };
        Self { secret, keys }
    }

    /// Takes the relay's answer.
    pub(super) fn agree(&self, ids: &NotifierIds<'_>) -> Result<NotifierAccess, ClientError> {
        // Relays make ids of this length; shorter ones could be guessed.
        if ids.notifier_id.as_bytes().len() < ID_LENGTH {
            return Err(ClientError::Unexpected);
        }
        let secret = self.secret.diffie_hellman(&ids.relay_dh_key).map_err(|_| ClientError::UnusableKey)?;
        Ok(NotifierAccess { notifier_id: ids.notifier_id.into(), secret })
    }
}

impl Client {
    /// `NKEY`: lets the holder of a key learn when messages arrive. An earlier notifier of the queue loses its access.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn enable_notifications(
        &self,
        queue: &Credentials,
        notifier_key: AuthorizationKey,
    ) -> Result<NotifierAccess, ClientError> {
        let proposal = Proposal::new(notifier_key);
        let command = Command::EnableNotifications(proposal.keys);
        let response = self.plain(&queue.id, &command, Some(&queue.key)).await?;
        match self.decode(&response)? {
            BrokerMessage::NotifierId(ids) => proposal.agree(&ids),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// `NDEL`: nobody is notified any more; succeeds also if nobody was.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn disable_notifications(&self, queue: &Credentials) -> Result<(), ClientError> {
        self.expect_ok(&queue.id, Kind::Plain, &Command::DisableNotifications, Some(&queue.key)).await
    }

    /// `NSUB`: receives the notifications of a queue on this connection, with the notifier's id and key. They come as
    /// [`Event::Notification`](crate::client::Event::Notification).
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn subscribe_notifications(&self, notifier: &Credentials) -> Result<(), ClientError> {
        let command = Command::SubscribeNotifications;
        let response = self.plain(&notifier.id, &command, Some(&notifier.key)).await?;
        match self.decode(&response)? {
            // Below version 16 it is an OK.
            BrokerMessage::Subscribed(_) | BrokerMessage::Ok => Ok(()),
            _ => Err(ClientError::Unexpected),
        }
    }
}
