//! What can be done to a store, and what comes of it.

use std::sync::Arc;

use bytes::Bytes;
use smp_proto::key::AuthorizationKey;

use super::record::{Id, MessageHeader, QueueRecord, QueueStatus, StoredMessage};
use super::service::{Association, ServiceAdmission, ServiceRecord, ServiceSide};

/// The names of a queue besides the recipient's. The recipient's id names the queue in the store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Side {
    /// The sender's id.
    Sender,
    /// The id of the link data.
    Link,
    /// The notifier's id.
    Notifier,
}

/// Names a queue by one of its sides.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum QueueName {
    /// By the recipient's id.
    Recipient(Id),
    /// By another side's id.
    Side(Side, Id),
}

impl std::fmt::Debug for QueueName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("QueueName(..)")
    }
}

/// A change of the store. Each is carried out whole or not at all, in the order of submission.
#[derive(Clone)]
#[non_exhaustive]
pub enum Operation {
    /// Adds a queue. Fails when one of its ids is taken.
    CreateQueue(Arc<QueueRecord>),
    /// Sets the sender's key, once (KEY, SKEY; wire reference, 7.3).
    SecureQueue {
        /// The queue.
        queue: QueueName,
        /// The sender's key.
        key: AuthorizationKey,
    },
    /// Suspends a queue for good (OFF). A blocked queue becomes suspended too.
    SuspendQueue {
        /// The queue's recipient id.
        recipient_id: Id,
    },
    /// Removes a queue with all its messages (DEL).
    DeleteQueue {
        /// The queue's recipient id.
        recipient_id: Id,
    },
    /// Records that a queue was used on a day. Waits for another operation's write, at most half a minute.
    TouchQueue {
        /// The queue's recipient id.
        recipient_id: Id,
        /// Whole days since 1970-01-01, UTC. Earlier days than the recorded one change nothing.
        day: u32,
    },
    /// Appends a message (SEND).
    AppendMessage(AppendMessage),
    /// Removes the oldest message if it has this id (ACK).
    Acknowledge {
        /// The queue's recipient id.
        recipient_id: Id,
        /// The message that was delivered.
        message_id: Id,
    },
    /// Removes expired messages (wire reference, 10.5).
    ExpireMessages {
        /// The queue's recipient id.
        recipient_id: Id,
        /// Messages received before this second (since 1970-01-01, UTC) are expired.
        before: i64,
    },
    /// Finds the service with a certificate, or adds it.
    AdmitService {
        /// What is added when no service has the certificate; of a known one only the day is taken.
        record: Arc<ServiceRecord>,
        /// With so many services none is added.
        limit: u64,
    },
    /// Records that a service was seen on a day. Waits for another operation's write, at most half a minute.
    TouchService {
        /// The service.
        service: Id,
        /// Whole days since 1970-01-01, UTC. Earlier days than the recorded one change nothing.
        day: u32,
    },
    /// Removes a service without queues that was not seen for long.
    ForgetService {
        /// The service.
        service: Id,
        /// A service seen on this day or later stays: whole days since 1970-01-01, UTC.
        before_day: u32,
    },
    /// Associates a queue with a service, or with none.
    AssociateQueue {
        /// On which side.
        side: ServiceSide,
        /// The queue's id on this side.
        id: Id,
        /// The service; it exists.
        service: Option<Id>,
    },
}

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::CreateQueue(_) => "CreateQueue(..)",
            Self::SecureQueue { .. } => "SecureQueue(..)",
            Self::SuspendQueue { .. } => "SuspendQueue(..)",
            Self::DeleteQueue { .. } => "DeleteQueue(..)",
            Self::TouchQueue { .. } => "TouchQueue(..)",
            Self::AppendMessage(_) => "AppendMessage(..)",
            Self::Acknowledge { .. } => "Acknowledge(..)",
            Self::ExpireMessages { .. } => "ExpireMessages(..)",
            Self::AdmitService { .. } => "AdmitService(..)",
            Self::TouchService { .. } => "TouchService(..)",
            Self::ForgetService { .. } => "ForgetService(..)",
            Self::AssociateQueue { .. } => "AssociateQueue(..)",
        })
    }
}

impl Operation {
    /// Whether nobody waits for it, so that it needs no write of its own.
    #[must_use]
    pub fn is_deferrable(&self) -> bool {
        matches!(self, Self::TouchQueue { .. } | Self::TouchService { .. })
    }

    /// About how many bytes it occupies while it waits and when it is written.
    #[must_use]
    pub fn weight(&self) -> usize {
        let body = match self {
            Self::AppendMessage(append) => append.body.len(),
            Self::AdmitService { record, .. } => record.chain.iter().map(|certificate| certificate.len()).sum(),
            _ => 0,
        };
        body.saturating_add(512)
    }
}

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
    /// The body as sent.
    pub body: Bytes,
    /// How many messages the queue holds before it is full.
    pub quota: u64,
    /// Remove messages received before this second first.
    pub expire_before: Option<i64>,
}

impl std::fmt::Debug for AppendMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AppendMessage({} bytes)", self.body.len())
    }
}

/// What came of creating a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Creation {
    /// The queue is there.
    Created,
    /// Another queue has one of its ids; nothing was changed.
    IdTaken,
}

/// What came of securing a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Securing {
    /// The key is set now.
    Secured,
    /// It was set to this key before.
    SameKey,
    /// Another key is set and stays.
    OtherKey,
    /// There is no such queue.
    NotFound,
}

/// What came of suspending a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Suspension {
    /// The queue is suspended, now or from before.
    Suspended,
    /// There is no such queue.
    NotFound,
}

/// A queue that is gone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeletedQueue {
    /// Its last record.
    pub record: Arc<QueueRecord>,
    /// How many messages went with it.
    pub messages: u64,
}

/// What came of appending a message (wire reference, 7.4 and 10.4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Appended {
    /// What became of the message.
    pub outcome: AppendOutcome,
    /// How many expired messages were removed first.
    pub expired: u64,
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
    /// The queue is blocked, by this status; the message was dropped.
    Blocked(QueueStatus),
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

/// What came of an operation, as the commit thread knows it. Callers get the types above from the methods of
/// [`Store`](super::Store).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Reply {
    /// Of [`Operation::CreateQueue`].
    Creation(Creation),
    /// Of [`Operation::SecureQueue`].
    Securing(Securing),
    /// Of [`Operation::SuspendQueue`].
    Suspension(Suspension),
    /// Of [`Operation::DeleteQueue`]; `None` if there is no such queue.
    Deletion(Option<DeletedQueue>),
    /// Of [`Operation::TouchQueue`] and [`Operation::TouchService`].
    Touched,
    /// Of [`Operation::AppendMessage`].
    Appended(Appended),
    /// Of [`Operation::Acknowledge`]; `None` if there is no such queue.
    Acknowledged(Option<Removal>),
    /// Of [`Operation::ExpireMessages`]: how many were removed.
    Expired(u64),
    /// Of [`Operation::AdmitService`].
    Admission(ServiceAdmission),
    /// Of [`Operation::ForgetService`]: whether it was removed.
    Forgotten(bool),
    /// Of [`Operation::AssociateQueue`]; `None` if there is no such queue.
    Association(Option<Association>),
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
