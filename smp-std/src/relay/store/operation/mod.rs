//! What can be done to a store, and what comes of it.

mod blocking;
mod link;
mod message;
mod notifier;
mod queue;

use std::sync::Arc;

use smp_proto::key::AuthorizationKey;

pub use self::blocking::{Blocking, Unblocking};
pub use self::link::{LinkDeletion, LinkSetting, SecuringByLink};
pub use self::message::{Acknowledged, AppendMessage, AppendOutcome, Appended, Removal};
pub use self::notifier::{Notified, NotifierRemoval, NotifierSetting};
pub use self::queue::{Creation, DeletedQueue, KeyReplacement, Securing, Suspension};
use super::expiry::Expiry;
use super::import::{ImportStep, Imported};
use super::link_data::LinkData;
use super::notification::{NotificationLimits, PendingNotification};
use super::record::{Blocked, Id, Notifier, QueueRecord, RecipientKeys};
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
    /// Adds a queue. Fails when one of its ids is taken, or was a deleted queue's and is still reserved.
    CreateQueue {
        /// Its record.
        record: Arc<QueueRecord>,
        /// The data of the link that the record names.
        link: Option<LinkData>,
    },
    /// Sets the sender's key, once (KEY, SKEY; wire reference, 7.3).
    SecureQueue {
        /// The queue.
        queue: QueueName,
        /// The sender's key.
        key: AuthorizationKey,
    },
    /// Sets the sender's key, once, and reads the link's data in the same instant (LKEY; wire reference, 7.3).
    SecureByLink {
        /// The queue's recipient id.
        recipient_id: Id,
        /// The id of its link. Nothing is done when it has another by now, or none.
        link_id: Id,
        /// The sender's key.
        key: AuthorizationKey,
    },
    /// Replaces the keys that authorize recipient commands (RKEY).
    SetRecipientKeys {
        /// The queue's recipient id.
        recipient_id: Id,
        /// The new keys.
        keys: RecipientKeys,
    },
    /// Stores or replaces link data (LSET).
    SetLink {
        /// The queue's recipient id.
        recipient_id: Id,
        /// The link's id.
        link_id: Id,
        /// Its data.
        data: LinkData,
    },
    /// Removes link data (LDEL).
    DeleteLink {
        /// The queue's recipient id.
        recipient_id: Id,
    },
    /// Blocks a queue, or changes why it is blocked (wire reference, 10.8).
    BlockQueue {
        /// The queue.
        queue: QueueName,
        /// Why.
        blocked: Blocked,
    },
    /// Makes a blocked queue what it was before.
    UnblockQueue {
        /// The queue.
        queue: QueueName,
    },
    /// Makes reserved ids of deleted queues free.
    ReleaseIds(Box<[(Side, Id)]>),
    /// Suspends a queue for good (OFF). A blocked queue stays blocked until it is unblocked.
    SuspendQueue {
        /// The queue's recipient id.
        recipient_id: Id,
    },
    /// Removes a queue with all its messages and its link data (DEL), and reserves the ids that a client could choose
    /// again.
    DeleteQueue {
        /// The queue's recipient id.
        recipient_id: Id,
        /// Whole days since 1970-01-01, UTC: when the reservation begins.
        today: u32,
    },
    /// Records that a queue was used on a day. Waits for another operation's write, at most half a minute.
    TouchQueue {
        /// The queue's recipient id.
        recipient_id: Id,
        /// Whole days since 1970-01-01, UTC. Earlier days than the recorded one change nothing.
        day: u32,
    },
    /// Appends a message (SEND). The link data of a secured queue for one sender goes with its first message.
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
        /// Messages that came at these times are expired.
        over: Expiry,
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
    /// Takes over what another program kept.
    Import(Box<ImportStep>),
    /// Gives a queue a notifier in the place of the one it has, whose notifications go (NKEY). Fails when the notifier's
    /// id is taken.
    SetNotifier {
        /// The queue's recipient id.
        recipient_id: Id,
        /// The new notifier.
        notifier: Box<Notifier>,
    },
    /// Takes a queue's notifier away, and its notifications (NDEL).
    RemoveNotifier {
        /// The queue's recipient id.
        recipient_id: Id,
    },
    /// Removes notifications that were delivered. Waits for another operation's write, at most half a minute.
    ForgetNotifications {
        /// The notifier.
        notifier_id: Id,
        /// The sequence number behind the last that was delivered.
        next: u64,
    },
    /// Removes expired notifications (wire reference, 10.6).
    ExpireNotifications {
        /// The notifier.
        notifier_id: Id,
        /// Notifications of messages that came at these times are expired.
        over: Expiry,
    },
    /// Adds notifications that were kept elsewhere.
    InsertNotifications {
        /// The notifier.
        notifier_id: Id,
        /// The notifications, the oldest first.
        notifications: Box<[PendingNotification]>,
        /// How many may wait.
        limits: NotificationLimits,
    },
}

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::CreateQueue { .. } => "CreateQueue(..)",
            Self::SetRecipientKeys { .. } => "SetRecipientKeys(..)",
            Self::SetLink { .. } => "SetLink(..)",
            Self::DeleteLink { .. } => "DeleteLink(..)",
            Self::BlockQueue { .. } => "BlockQueue(..)",
            Self::UnblockQueue { .. } => "UnblockQueue(..)",
            Self::ReleaseIds(_) => "ReleaseIds(..)",
            Self::SecureQueue { .. } => "SecureQueue(..)",
            Self::SecureByLink { .. } => "SecureByLink(..)",
            Self::SuspendQueue { .. } => "SuspendQueue(..)",
            Self::DeleteQueue { .. } => "DeleteQueue(..)",
            Self::TouchQueue { .. } => "TouchQueue(..)",
            Self::AppendMessage(_) => "AppendMessage(..)",
            Self::Acknowledge { .. } => "Acknowledge(..)",
            Self::ExpireMessages { .. } => "ExpireMessages(..)",
            Self::Import(_) => "Import(..)",
            Self::AdmitService { .. } => "AdmitService(..)",
            Self::TouchService { .. } => "TouchService(..)",
            Self::ForgetService { .. } => "ForgetService(..)",
            Self::AssociateQueue { .. } => "AssociateQueue(..)",
            Self::SetNotifier { .. } => "SetNotifier(..)",
            Self::RemoveNotifier { .. } => "RemoveNotifier(..)",
            Self::ForgetNotifications { .. } => "ForgetNotifications(..)",
            Self::ExpireNotifications { .. } => "ExpireNotifications(..)",
            Self::InsertNotifications { .. } => "InsertNotifications(..)",
        })
    }
}

impl Operation {
    /// Whether nobody waits for it, so that it needs no write of its own.
    #[must_use]
    pub fn is_deferrable(&self) -> bool {
        matches!(self, Self::TouchQueue { .. } | Self::TouchService { .. } | Self::ForgetNotifications { .. })
    }

    /// About how many bytes it occupies while it waits and when it is written.
    #[must_use]
    pub fn weight(&self) -> usize {
        let body = match self {
            Self::AppendMessage(append) => append.body.len(),
            Self::Import(step) => step.weight(),
            Self::CreateQueue { link: Some(data), .. } | Self::SetLink { data, .. } => data.length(),
            Self::SetRecipientKeys { keys, .. } => keys.count().saturating_mul(size_of::<AuthorizationKey>()),
            Self::AdmitService { record, .. } => record.chain.iter().map(|certificate| certificate.len()).sum(),
            Self::ReleaseIds(ids) => size_of_val(&**ids),
            Self::InsertNotifications { notifications, .. } => size_of_val::<[PendingNotification]>(notifications),
            _ => 0,
        };
        body.saturating_add(512)
    }
}

/// What came of an operation, as the commit thread knows it. Callers get the types above from the methods of
/// [`Store`](super::Store).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Reply {
    /// Of [`Operation::CreateQueue`].
    Creation(Creation),
    /// Of [`Operation::SetRecipientKeys`].
    Keys(KeyReplacement),
    /// Of [`Operation::SetLink`].
    LinkSetting(LinkSetting),
    /// Of [`Operation::DeleteLink`].
    LinkDeletion(LinkDeletion),
    /// Of [`Operation::BlockQueue`].
    Blocking(Blocking),
    /// Of [`Operation::UnblockQueue`].
    Unblocking(Unblocking),
    /// Of [`Operation::ReleaseIds`]: how many were reserved.
    Released(u64),
    /// Of [`Operation::SecureQueue`].
    Securing(Securing),
    /// Of [`Operation::SecureByLink`].
    SecuringByLink(SecuringByLink),
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
    /// Of [`Operation::Import`].
    Imported(Imported),
    /// Of [`Operation::AdmitService`].
    Admission(ServiceAdmission),
    /// Of [`Operation::ForgetService`]: whether it was removed.
    Forgotten(bool),
    /// Of [`Operation::AssociateQueue`]; `None` if there is no such queue.
    Association(Option<Association>),
    /// Of [`Operation::SetNotifier`].
    NotifierSetting(NotifierSetting),
    /// Of [`Operation::RemoveNotifier`].
    NotifierRemoval(NotifierRemoval),
    /// Of [`Operation::ForgetNotifications`].
    NotificationsForgotten,
    /// Of [`Operation::ExpireNotifications`]: how many were removed.
    NotificationsExpired(u64),
    /// Of [`Operation::InsertNotifications`]: how many were dropped because too many wait.
    NotificationsLost(u64),
}
