//! Messages: what is appended and removed.

use bytes::Bytes;

use super::notifier::Notified;
use crate::relay::store::Expiry;
use crate::relay::store::notification::NotificationLimits;
use crate::relay::store::record::{Blocked, Id, MessageHeader, StoredMessage};

/// A message for a queue.
#[derive(Clone)]
pub struct AppendMessage {
    /// The queue's recipient id.
    pub recipient_id: Id,
    /// The id the message gets.
    pub message_id: Id,
    /// When it was received: seconds since 1970-01-01, UTC.
    pub time: i64,
    /// The sender asked for a notification.
    pub notification: bool,
    /// When it did and the queue has a notifier, a notification waits for that, within these limits; `None` for messages
    /// that are moved from elsewhere.
    pub notify: Option<NotificationLimits>,
    /// The sender was authorized by the queue's key, not let in before there was one: a link for one has done its work.
    pub secured: bool,
    /// The body as sent.
    pub body: Bytes,
    /// How many messages the queue holds before it is full.
    pub quota: u64,
    /// Remove messages that came at these times first.
    pub expire: Option<Expiry>,
}

impl std::fmt::Debug for AppendMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AppendMessage({} bytes)", self.body.len())
    }
}

/// What came of appending a message (wire reference, 7.4 and 10.4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Appended {
    /// What became of the message.
    pub outcome: AppendOutcome,
    /// How many expired messages were removed first.
    pub expired: u64,
    /// The service that receives for the queue.
    pub recipient_service: Option<Id>,
    /// What the queue's notifier gets, when it gets something.
    pub notified: Option<Notified>,
}

/// What became of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AppendOutcome {
    /// It waits in the queue.
    Stored {
        /// Nothing waited before it, so it is the one to deliver next.
        was_empty: bool,
        /// The message.
        message: StoredMessage,
    },
    /// The queue was full: the message was dropped and a quota mark with its id and time was appended.
    QuotaMarked {
        /// Nothing waited before the mark (only with a quota of 0).
        was_empty: bool,
        /// The mark.
        message: StoredMessage,
    },
    /// The queue has been full since a quota mark was appended; the message was dropped.
    QuotaExceeded,
    /// The queue is suspended; the message was dropped.
    Suspended,
    /// The queue is blocked for this reason; the message was dropped.
    Blocked(Blocked),
    /// There is no such queue.
    NotFound,
}

/// What came of acknowledging a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Acknowledged {
    /// The message that was removed; `None` when the oldest has another id (the acknowledged one expired, or never was
    /// there) or nothing waits.
    pub deleted: Option<MessageHeader>,
    /// The oldest message now.
    pub next: Option<StoredMessage>,
}

/// What an acknowledgement removed. The next message's body is read by whoever waits for it, not by the commit thread.
#[derive(Clone)]
pub struct Removal {
    /// The queue.
    pub recipient_id: Id,
    /// The message that was removed.
    pub deleted: Option<MessageHeader>,
    /// The sequence number of the oldest message now.
    pub next: Option<u64>,
}

impl std::fmt::Debug for Removal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Removal").field("deleted", &self.deleted).finish_non_exhaustive()
    }
}
