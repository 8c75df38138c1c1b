//! Taking over queues that another program kept: what can be put into a store beside what clients do.

use std::sync::Arc;

use smp_proto::key::AuthorizationKey;

use super::link_data::LinkData;
use super::notification::PendingNotification;
use super::record::{Blocked, Id, Notifier, QueueRecord, RecipientKeys, StoredMessage};
use super::service::{ServiceRecord, ServiceSide};

/// A change of a queue that exists.
#[derive(Clone, PartialEq, Eq)]
pub enum QueueChange {
    /// `LINK`
    Link(Id, LinkData),
    /// `LDELETE`
    DeleteLink,
    /// `SECURE`
    Secure(AuthorizationKey),
    /// `KEYS`
    RecipientKeys(RecipientKeys),
    /// `NOTIFIER`, with its service if it has one.
    Notifier(Box<Notifier>, Option<Id>),
    /// `NDELETE`
    DeleteNotifier,
    /// `SUSPEND`
    Suspend,
    /// `UNBLOCK`
    Unblock,
    /// `BLOCK`
    Block(Blocked),
    /// `DELETE`
    Delete,
    /// `TIME`, as a day.
    Used(u32),
    /// `QUEUE_SERVICE`
    Service(ServiceSide, Option<Id>),
}

impl std::fmt::Debug for QueueChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Link(..) => "Link(..)",
            Self::DeleteLink => "DeleteLink",
            Self::Secure(_) => "Secure(..)",
            Self::RecipientKeys(_) => "RecipientKeys(..)",
            Self::Notifier(..) => "Notifier(..)",
            Self::DeleteNotifier => "DeleteNotifier",
            Self::Suspend => "Suspend",
            Self::Unblock => "Unblock",
            Self::Block(..) => "Block(..)",
            Self::Delete => "Delete",
            Self::Used(_) => "Used(..)",
            Self::Service(..) => "Service(..)",
        })
    }
}

/// One step of taking over a store. Steps are carried out in order, like all operations.
#[derive(Clone)]
#[non_exhaustive]
pub enum ImportStep {
    /// A service. Nothing happens when it is there already, with the same id.
    Service(Arc<ServiceRecord>),
    /// A queue with everything known about it; the link data is there if and only if the record has a link id.
    Queue(Arc<QueueRecord>, Option<LinkData>),
    /// A change of a queue that was taken over before.
    Change {
        /// The queue's recipient id.
        recipient_id: Id,
        /// What changed.
        change: QueueChange,
        /// Whole days since 1970-01-01, UTC: when the ids of a deleted queue are reserved.
        today: u32,
    },
    /// A message, with the id and time it had. Nothing is dropped because a queue is full or does not take messages; a
    /// quota mark takes the place of one that is the only thing in the queue.
    Message {
        /// The queue's recipient id.
        recipient_id: Id,
        /// The message.
        message: StoredMessage,
    },
    /// A notification that waits.
    Notification {
        /// The notifier it is for.
        notifier_id: Id,
        /// What it tells of.
        notification: PendingNotification,
    },
    /// The queue was full and has not been empty since. Nothing happens to a queue that is empty.
    Full {
        /// The queue's recipient id.
        recipient_id: Id,
    },
}

impl ImportStep {
    /// About how many bytes it occupies.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Queue(_, data) => data.as_ref().map_or(0, LinkData::length),
            Self::Change { change: QueueChange::Link(_, data), .. } => data.length(),
            Self::Message { message, .. } => message.body().len(),
            Self::Service(record) => record.chain.iter().map(|certificate| certificate.len()).sum(),
            Self::Change { .. } | Self::Notification { .. } | Self::Full { .. } => 0,
        }
    }
}

/// What came of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Imported {
    /// It was carried out, or had no effect because it was so already.
    Done,
    /// There is no such queue.
    UnknownQueue,
    /// There is no such notifier.
    UnknownNotifier,
    /// Another queue has one of the ids; nothing was changed.
    IdTaken,
    /// The queue is secured with another key, which stays.
    OtherKey,
    /// The queue has other link data, which stays.
    OtherLink,
    /// The queue has no notifier.
    NoNotifier,
}
