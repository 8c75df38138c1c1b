//! The two ends of a queue, with the encryption between them (wire reference, section 10.2).
//!
//! The recipient's [`ReceiveQueue`] has the address to hand out. The first message the sender's [`SendQueue`] sends is a
//! confirmation: it carries the sender's key, from which both agree on the secret of this queue. Where relay and queue
//! allow it, the sender secures the queue first (SKEY); otherwise the confirmation carries the key with which the
//! recipient secures it (KEY). From then on nobody else can send.

use std::fmt;

use smp_crypto::key::{AuthorizationKey, SharedSecret, X25519PublicKey, X25519SecretKey};
use smp_crypto::secret_box::BoxKey;
use smp_crypto::{delivery, queue_envelope};
use smp_proto::address::{ServerAddress, ServerBuf};
use smp_proto::smp::message::{CONFIRMATION_PADDED_LENGTH, ClientMessage, Delivery as DeliveredContent};
use smp_proto::smp::recipient::QueueMode;
use smp_proto::uri::{QueueAddress, QueueUri};
use smp_proto::version::VersionRange;

use super::{CreatedQueue, Credentials, Delivery, Id};

mod send;

pub use send::{SendQueue, SendQueueParts, SendStage};

/// The longest body of a message in bytes, the first one of a [`SendQueue`] included, whoever secures the queue.
pub const MAX_BODY_LENGTH: usize = CONFIRMATION_PADDED_LENGTH - 2 - 1 - 1 - X25519PublicKey::SPKI_LENGTH;

/// Why a message could not be opened or a queue not be used. None of these gets better by trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueError {
    /// The message is of another queue, or not encrypted by the relay for this one.
    NotForUs,
    /// The message was not made by the holder of the key that confirmed the queue, or is damaged.
    NotFromSender,
    /// A message came before the confirmation, so that there is no key to open it with.
    NotConfirmed,
    /// A second confirmation, with another key.
    AlreadyConfirmed,
    /// The sender's key has small order.
    WeakKey,
    /// An id or an address is longer than URIs have room for.
    Address,
}

impl fmt::Display for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotForUs => "the message is not encrypted for this queue",
            Self::NotFromSender => "the message was not made by the sender who confirmed the queue",
            Self::NotConfirmed => "the message came before its sender had confirmed the queue",
            Self::AlreadyConfirmed => "another sender has confirmed the queue already",
            Self::WeakKey => "the sender's key is unusable",
            Self::Address => "the address is too long for a queue URI",
        })
    }
}

impl std::error::Error for QueueError {}

/// What was in a delivery.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Received {
    /// A message from the sender.
    Message(ReceivedMessage),
    /// The queue was full, and messages were refused after the last one; the sender knows. It has to be acknowledged
    /// like a message.
    Quota {
        /// When the first message was refused, in seconds since the Unix epoch.
        time: i64,
    },
}

/// A message from the sender, opened.
#[derive(Clone, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// When the relay received it, in seconds since the Unix epoch.
    pub time: i64,
    /// The key the sender asks to be set with [`Client::secure`](super::Client::secure), because it could not set it itself.
    pub secure_with: Option<AuthorizationKey>,
    /// A matter of the application.
    pub body: Vec<u8>,
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(message) => message.fmt(f),
            Self::Quota { .. } => f.write_str("Quota"),
        }
    }
}

impl fmt::Debug for ReceivedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReceivedMessage({} bytes)", self.body.len())
    }
}

/// The sender's key, and what was agreed with it.
pub(super) struct Confirmed {
    pub(super) sender: X25519PublicKey,
    pub(super) key: BoxKey,
}

/// The recipient's end of a queue.
pub struct ReceiveQueue {
    server: ServerBuf,
    credentials: Credentials,
    sender_id: Id,
    mode: Option<QueueMode>,
    delivery_secret: SharedSecret,
    delivery_key: BoxKey,
    secret: X25519SecretKey,
    confirmed: Option<Confirmed>,
}

impl fmt::Debug for ReceiveQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReceiveQueue(confirmed: {})", self.confirmed.is_some())
    }
}

/// What has to be kept of a [`ReceiveQueue`] to use it again later. Everything in it is secret.
pub struct ReceiveQueueParts {
    /// The relay.
    pub server: ServerBuf,
    /// The recipient's side.
    pub credentials: Credentials,
    /// The sender's id of the queue.
    pub sender_id: Id,
    /// What the queue is for.
    pub mode: Option<QueueMode>,
    /// What is agreed with the relay.
    pub delivery_secret: SharedSecret,
    /// The key whose public half is in the queue's address.
    pub secret: X25519SecretKey,
    /// The sender's public key, once there was a confirmation.
    pub sender_key: Option<X25519PublicKey>,
}

impl ReceiveQueue {
    /// The end of a queue that was just created, with a new key for its address.
    ///
    /// # Errors
    /// [`QueueError::Address`] if the relay made ids no URI has room for.
    pub fn new(server: &ServerBuf, created: CreatedQueue) -> Result<Self, QueueError> {
        Self::from_parts(ReceiveQueueParts {
            server: server.clone(),
            credentials: created.recipient,
            sender_id: created.sender_id,
            mode: created.mode,
            delivery_secret: created.delivery_secret,
            secret: X25519SecretKey::generate(&mut rand::rng()),
            sender_key: None,
        })
    }

    /// The end of a queue from what was kept of it.
    ///
    /// # Errors
    /// [`QueueError::WeakKey`] and [`QueueError::Address`].
    pub fn from_parts(parts: ReceiveQueueParts) -> Result<Self, QueueError> {
        let ReceiveQueueParts { server, credentials, sender_id, mode, delivery_secret, secret, sender_key } = parts;
        let delivery_key = BoxKey::from(&delivery_secret);
        let confirmed = sender_key.map(|sender| confirm(&secret, sender)).transpose()?;
        let queue = Self { server, credentials, sender_id, mode, delivery_secret, delivery_key, secret, confirmed };
        queue.uri().map(|_| queue)
    }

    /// What has to be kept.
    #[must_use]
    pub fn to_parts(&self) -> ReceiveQueueParts {
        ReceiveQueueParts {
            server: self.server.clone(),
            credentials: self.credentials.clone(),
            sender_id: self.sender_id.clone(),
            mode: self.mode,
            delivery_secret: SharedSecret::from_bytes(*self.delivery_secret.as_bytes()),
            secret: X25519SecretKey::from_bytes(self.secret.as_bytes()),
            sender_key: self.confirmed.as_ref().map(|confirmed| confirmed.sender),
        }
    }

    /// The address to hand to the sender.
    ///
    /// # Errors
    /// [`QueueError::Address`].
    pub fn uri(&self) -> Result<QueueUri, QueueError> {
        let queue = QueueAddress {
            server: self.server.address(),
            sender_id: self.sender_id.queue(),
            dh_key: self.secret.public_key(),
            mode: self.mode,
        };
        QueueUri::new(VersionRange::CLIENT, &queue).map_err(|_| QueueError::Address)
    }

    /// Id and key of the recipient's side, for the commands of a [`Client`](super::Client).
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The relay.
    #[must_use]
    pub fn server(&self) -> ServerAddress<'_> {
        self.server.address()
    }

    /// Whether a sender has confirmed the queue.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.confirmed.is_some()
    }

    /// Opens a message. The first one that can be opened confirms the queue: keep the queue's state before it is
    /// acknowledged, because the sender does not send its key again.
    ///
    /// # Errors
    /// A message that cannot be opened never can be; acknowledge it, so that the next one can come.
    pub fn open(&mut self, delivery: &Delivery) -> Result<Received, QueueError> {
        if delivery.queue != self.credentials.id {
            return Err(QueueError::NotForUs);
        }
        let mut body = delivery.body.to_vec();
        let content: DeliveredContent<'_> =
            delivery::open(&self.delivery_key, delivery.message_id.message(), &mut body)
                .map_err(|_| QueueError::NotForUs)?;
        let (time, body) = match content {
            DeliveredContent::Quota { time } => return Ok(Received::Quota { time: time.0 }),
            DeliveredContent::Message { time, body, .. } => (time.0, body),
        };
        let mut envelope = body.to_vec();
        let envelope = queue_envelope::SealedEnvelope::new(&mut envelope).map_err(|_| QueueError::NotFromSender)?;
        let fresh = match (envelope.header().key, &self.confirmed) {
            (None, None) => return Err(QueueError::NotConfirmed),
            (Some(sender), Some(confirmed)) if sender != confirmed.sender => return Err(QueueError::AlreadyConfirmed),
            // A confirmation may come again when the sender did not learn that the first one had arrived.
            (_, Some(_)) => None,
            (Some(sender), None) => Some(confirm(&self.secret, sender)?),
        };
        let confirmed = fresh.as_ref().or(self.confirmed.as_ref()).ok_or(QueueError::NotConfirmed)?;
        let ClientMessage { sender_key, body } =
            envelope.open(&confirmed.key).map_err(|_| QueueError::NotFromSender)?;
        let message = ReceivedMessage { time, secure_with: sender_key, body: body.to_vec() };
        if fresh.is_some() {
            self.confirmed = fresh;
        }
        Ok(Received::Message(message))
    }
}

fn confirm(secret: &X25519SecretKey, sender: X25519PublicKey) -> Result<Confirmed, QueueError> {
    let agreed = secret.diffie_hellman(&sender).map_err(|_| QueueError::WeakKey)?;
    Ok(Confirmed { sender, key: BoxKey::from(&agreed) })
}
