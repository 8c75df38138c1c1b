//! What a relay keeps about a queue and about a message.

use std::fmt;

use bytes::Bytes;
use smp_proto::key::AuthorizationKey;
pub use smp_proto::smp::error::{Blocked, BlockingReason, Notice};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{Expiry, StoreError};

/// An identifier as relays make them: 24 bytes, random or derived from random bytes.
pub type Id = [u8; smp_proto::id::ID_LENGTH];

/// The raw result of an X25519 agreement that the relay keeps for a queue: it encrypts messages to the recipient or
/// notifications (wire reference, 10.1 and 10.6). Zeroized on drop, compared in constant time, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SharedSecret([u8; 32]);

impl SharedSecret {
    /// Wraps the 32 bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for SharedSecret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SharedSecret {}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The keys that authorize recipient commands: at least one, at most 255. Almost always exactly one, which takes no
/// allocation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecipientKeys {
    first: AuthorizationKey,
    others: Box<[AuthorizationKey]>,
}

impl RecipientKeys {
    /// The most keys a queue can have.
    pub const MAX: usize = 255;

    /// One key.
    #[must_use]
    pub fn one(key: AuthorizationKey) -> Self {
        Self { first: key, others: Box::default() }
    }

    /// All keys of `keys`, or `None` when there are none or more than [`Self::MAX`].
    #[must_use]
    pub fn from_slice(keys: &[AuthorizationKey]) -> Option<Self> {
        let (first, others) = keys.split_first()?;
        (keys.len() <= Self::MAX).then(|| Self { first: *first, others: others.into() })
    }

    /// The keys in their order.
    pub fn iter(&self) -> impl Iterator<Item = &AuthorizationKey> {
        std::iter::once(&self.first).chain(self.others.iter())
    }

    /// How many keys there are, at least one.
    #[must_use]
    pub fn count(&self) -> usize {
        self.others.len().saturating_add(1)
    }
}

/// What the creator of a queue declared it to be for (wire reference, 7.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum QueueMode {
    /// Created before version 9, which could not say.
    #[default]
    Unknown,
    /// For messages of one sender, who may secure it.
    Messaging,
    /// For connection requests of many senders.
    Contact,
}

/// Whether a queue takes messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum QueueStatus {
    /// It does.
    #[default]
    Active,
    /// Its recipient suspended it, for good.
    Suspended,
    /// The operator blocked it (wire reference, 10.8).
    Blocked {
        /// Why, and what clients shall tell their users.
        blocked: Blocked,
        /// Its recipient suspended it, before or since: that is what it is again when it is unblocked.
        suspended: bool,
    },
}

impl QueueStatus {
    /// Why the queue is blocked, if it is.
    #[must_use]
    pub const fn blocked(&self) -> Option<Blocked> {
        match self {
            Self::Blocked { blocked, .. } => Some(*blocked),
            Self::Active | Self::Suspended => None,
        }
    }

    /// Whether its recipient suspended the queue, blocked or not.
    #[must_use]
    pub const fn is_suspended(&self) -> bool {
        matches!(self, Self::Suspended | Self::Blocked { suspended: true, .. })
    }
}

/// The credentials of a queue's notifier (wire reference, NKEY in 7.3 and 10.6).
#[derive(Clone, PartialEq, Eq)]
pub struct Notifier {
    /// Names the queue to its notifier.
    pub id: Id,
    /// Authorizes the notifier's commands.
    pub key: AuthorizationKey,
    /// Encrypts notifications to the recipient.
    pub secret: SharedSecret,
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notifier(..)")
    }
}

/// Everything a relay keeps about a queue except its messages and link data. Around 400 bytes in memory, 150 on disk.
#[derive(Clone, PartialEq, Eq)]
pub struct QueueRecord {
    /// Names the queue to its recipient, and in the store.
    pub recipient_id: Id,
    /// Names the queue to its sender.
    pub sender_id: Id,
    /// Any of these authorizes recipient commands.
    pub recipient_keys: RecipientKeys,
    /// Encrypts messages to the recipient.
    pub delivery_secret: SharedSecret,
    /// Authorizes the sender's commands; `None` until the queue is secured.
    pub sender_key: Option<AuthorizationKey>,
    /// What the queue is for.
    pub mode: QueueMode,
    /// Whether it takes messages.
    pub status: QueueStatus,
    /// When it was last used: whole days since 1970-01-01, UTC.
    pub activity_day: u32,
    /// Names the queue's link data, when there is any; the data itself stands in a row of its own.
    pub link_id: Option<Id>,
    /// The queue's notifier, when there is one.
    pub notifier: Option<Box<Notifier>>,
    /// The service that receives for this queue.
    pub recipient_service: Option<Id>,
    /// The service that takes this queue's notifications.
    pub notifier_service: Option<Id>,
}

impl QueueRecord {
    /// An unsecured, active queue with one recipient key.
    #[must_use]
    pub fn new(
        recipient_id: Id,
        sender_id: Id,
        recipient_key: AuthorizationKey,
        delivery_secret: SharedSecret,
    ) -> Self {
        Self {
            recipient_id,
            sender_id,
            recipient_keys: RecipientKeys::one(recipient_key),
            delivery_secret,
            sender_key: None,
            mode: QueueMode::Unknown,
            status: QueueStatus::Active,
            activity_day: 0,
            link_id: None,
            notifier: None,
            recipient_service: None,
            notifier_service: None,
        }
    }
}

impl QueueRecord {
    /// Whether a sender has secured it and it is not for many senders: the link data of such a queue has done its work
    /// (wire reference, 7.3 and 7.4).
    #[must_use]
    pub fn is_secured_for_one(&self) -> bool {
        self.mode != QueueMode::Contact && self.sender_key.is_some()
    }

    /// Whether anybody may read its link data: it is for many senders, or was created before queues had modes and is not
    /// secured.
    #[must_use]
    pub fn is_open_to_all(&self) -> bool {
        match self.mode {
            QueueMode::Messaging => false,
            QueueMode::Contact => true,
            QueueMode::Unknown => self.sender_key.is_none(),
        }
    }
}

impl fmt::Debug for QueueRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueRecord").field("mode", &self.mode).field("status", &self.status).finish_non_exhaustive()
    }
}

/// What a stored message is, without its body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeaderKind {
    /// A sender's message.
    Message {
        /// The sender asked for a notification.
        notification: bool,
    },
    /// Tells the recipient that a message was dropped because the queue was full.
    QuotaMark,
}

/// A stored message without its body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MessageHeader {
    /// Names the message in its queue.
    pub id: Id,
    /// When the relay received it: seconds since 1970-01-01, UTC.
    pub time: i64,
    /// What it is.
    pub kind: HeaderKind,
}

impl MessageHeader {
    /// Whether the walk of expiry may remove it (wire reference, 10.5): it came at a time that is `over` and is no
    /// quota mark.
    #[must_use]
    pub fn is_expired(&self, over: &Expiry) -> bool {
        over.includes(self.time) && self.kind != HeaderKind::QuotaMark
    }
}

impl fmt::Debug for MessageHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageHeader").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// What a stored message is.
#[derive(Clone, PartialEq, Eq)]
pub enum MessageKind {
    /// A sender's message.
    Message {
        /// The sender asked for a notification.
        notification: bool,
        /// The body as the sender sent it. Not a secret: it is encrypted for the recipient.
        body: Bytes,
    },
    /// Tells the recipient that a message was dropped because the queue was full.
    QuotaMark,
}

/// A message as it waits in its queue.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// Names the message in its queue; the nonce of its encryption to the recipient.
    pub id: Id,
    /// When the relay received it: seconds since 1970-01-01, UTC.
    pub time: i64,
    /// What it is.
    pub kind: MessageKind,
}

impl StoredMessage {
    /// The message without its body.
    #[must_use]
    pub fn header(&self) -> MessageHeader {
        let kind = match self.kind {
            MessageKind::Message { notification, .. } => HeaderKind::Message { notification },
            MessageKind::QuotaMark => HeaderKind::QuotaMark,
        };
        MessageHeader { id: self.id, time: self.time, kind }
    }

    /// The body as the sender sent it; nothing for a quota mark.
    #[must_use]
    pub fn body(&self) -> Bytes {
        match &self.kind {
            MessageKind::Message { body, .. } => body.clone(),
            MessageKind::QuotaMark => Bytes::new(),
        }
    }

    /// The message that `header` heads; `body` is not looked at for a quota mark.
    #[must_use]
    pub fn from_parts(header: MessageHeader, body: Bytes) -> Self {
        let kind = match header.kind {
            HeaderKind::Message { notification } => MessageKind::Message { notification, body },
            HeaderKind::QuotaMark => MessageKind::QuotaMark,
        };
        Self { id: header.id, time: header.time, kind }
    }
}

impl fmt::Debug for MessageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message { body, .. } => write!(f, "Message({} bytes)", body.len()),
            Self::QuotaMark => f.write_str("QuotaMark"),
        }
    }
}

impl fmt::Debug for StoredMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredMessage").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Where the messages of a queue are: those with sequence numbers from `head` up to, not including, `tail`. Sequence
/// numbers of a queue are never used again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QueueState {
    /// The oldest message.
    pub head: u64,
    /// The number the next message gets.
    pub tail: u64,
    /// A quota mark was appended and the queue has not been empty since.
    pub quota_exceeded: bool,
}

impl QueueState {
    /// How many messages wait, quota marks included.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.tail.saturating_sub(self.head)
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.size() == 0
    }

    /// Moves `head` behind `removed` messages; an empty queue has room again.
    pub(crate) fn remove_oldest(&mut self, removed: u64) -> Result<(), StoreError> {
        if removed > self.size() {
            return Err(StoreError::Corrupt("queue state"));
        }
        self.head = self.head.saturating_add(removed);
        if self.is_empty() {
            self.quota_exceeded = false;
        }
        Ok(())
    }
}
