//! What a storage engine must offer.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::StoreError;
use super::counts::Counts;
use super::link_data::LinkData;
use super::notification::{NotificationState, NotifierPage, PendingNotification};
use super::operation::{Operation, Reply, Side};
use super::record::{Id, MessageHeader, QueueRecord, QueueState, StoredMessage};
use super::rules;
use super::service::{QueueSet, ServiceRecord, ServiceSide};

/// A storage engine. One thread applies operations, any thread reads.
///
/// Engines that keep rows carry operations out with [`rules::apply`](super::rules::apply) over their [`Rows`], so that
/// the rules exist once. An engine in another process wraps a batch into one of its transactions and locks the rows
/// it reads.
pub trait Backend: Send + Sync + 'static {
    /// Carries out the operations in order and makes them durable together; only then returns one result for each.
    ///
    /// An error of one operation (an unreadable value) is its result and leaves everything else as it should be. An
    /// error of the whole means that nothing is known to be durable: the caller stops using the backend.
    fn apply(&self, operations: &[Operation]) -> Result<Vec<Result<Reply, StoreError>>, StoreError>;

    /// The record of a queue.
    fn queue(&self, recipient_id: &Id) -> Result<Option<Arc<QueueRecord>>, StoreError>;

    /// The recipient id of the queue that has `id` on `side`.
    fn recipient_id(&self, side: Side, id: &Id) -> Result<Option<Id>, StoreError>;

    /// Where the messages of a queue are; the default for a queue that is not there.
    fn state(&self, recipient_id: &Id) -> Result<QueueState, StoreError>;

    /// The message of a queue with this sequence number.
    fn message(&self, recipient_id: &Id, sequence: u64) -> Result<Option<StoredMessage>, StoreError>;

    /// The link data of a queue.
    fn link(&self, recipient_id: &Id) -> Result<Option<LinkData>, StoreError>;

    /// The record of a queue and its link data, both as they were at one moment: of a batch that changes both, either
    /// sees the other's change.
    fn queue_with_link(&self, recipient_id: &Id) -> Result<Option<QueueWithLink>, StoreError>;

    /// Looks at the next `limit` reserved ids behind `after`.
    fn reserved(&self, after: Option<&(Side, Id)>, limit: usize) -> Result<ReservedPage, StoreError>;

    /// Copies what is durable now to a new store in `folder`, while others read and write. Stops when less than
    /// `leave_free` bytes are left on the disk of `folder`.
    fn backup(&self, _folder: &Path, _leave_free: u64) -> Result<(), StoreError> {
        Err(StoreError::Engine("it keeps nothing on disk".into()))
    }

    /// How much the store holds. Costs nothing.
    fn counts(&self) -> Counts;

    /// Records of queues in the order of their recipient ids, from the first behind `after`, at most `limit`.
    fn queues(&self, after: Option<&Id>, limit: usize) -> Result<Vec<Arc<QueueRecord>>, StoreError>;

    /// Looks at the next `limit` queues behind `after` that ever had messages and returns those that have some now.
    fn occupied(&self, after: Option<&Id>, limit: usize) -> Result<OccupiedPage, StoreError>;

    /// The record of a service.
    fn service(&self, id: &Id) -> Result<Option<Arc<ServiceRecord>>, StoreError>;

    /// The id of the service with the identity certificate of this fingerprint.
    fn service_by_fingerprint(&self, fingerprint: &[u8; 32]) -> Result<Option<Id>, StoreError>;

    /// Records of services in the order of their ids, from the first behind `after`, at most `limit`.
    fn services(&self, after: Option<&Id>, limit: usize) -> Result<Vec<Arc<ServiceRecord>>, StoreError>;

    /// How many queues a service has on one side, and which. Costs nothing.
    fn queue_set(&self, service: &Id, side: ServiceSide) -> QueueSet;

    /// Ids of the queues a service has on one side, in their order, from the first behind `after`, at most `limit`.
    fn members(&self, service: &Id, side: ServiceSide, after: Option<&Id>, limit: usize)
    -> Result<Vec<Id>, StoreError>;
    /// Where the notifications of a notifier are; the default for a notifier that never had any.
    fn notification_state(&self, notifier_id: &Id) -> Result<NotificationState, StoreError>;

    /// The notification of a notifier with this sequence number.
    fn notification(&self, notifier_id: &Id, sequence: u64) -> Result<Option<PendingNotification>, StoreError>;

    /// Looks at the next `limit` notifiers behind `after` that ever had notifications and returns those that have some
    /// now.
    fn notified(&self, after: Option<&Id>, limit: usize) -> Result<NotifierPage, StoreError>;
}

/// A queue, and the data of its link if it has one.
pub type QueueWithLink = (Arc<QueueRecord>, Option<LinkData>);

/// A page of queues with messages.
#[derive(Clone, Default)]
pub struct OccupiedPage {
    /// Recipient ids.
    pub recipient_ids: Vec<Id>,
    /// Where the next page starts (pass it as `after`); `None` when this was the last.
    pub next: Option<Id>,
}

impl std::fmt::Debug for OccupiedPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OccupiedPage({} queues)", self.recipient_ids.len())
    }
}

/// A page of reserved ids.
#[derive(Clone, Default)]
pub struct ReservedPage {
    /// Ids, and the day on which each was reserved: whole days since 1970-01-01, UTC.
    pub ids: Vec<(Side, Id, u32)>,
    /// Where the next page starts (pass it as `after`); `None` when this was the last.
    pub next: Option<(Side, Id)>,
}

impl std::fmt::Debug for ReservedPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReservedPage({} ids)", self.ids.len())
    }
}

/// The rows of a store as the rules see them: every read sees the writes before it.
pub trait Rows {
    /// Reads a queue's record.
    fn queue(&mut self, recipient_id: &Id) -> Result<Option<Arc<QueueRecord>>, StoreError>;
    /// Writes a queue's record, and keeps what services have and the count of notifiers in step with it. The record it replaces was read before.
    fn put_queue(&mut self, mut record: Arc<QueueRecord>) {
        // What was read once in a batch can be read again.
        let before = self.queue(&record.recipient_id).ok().flatten();
        rules::service::follow(self, before.as_deref(), Some(&mut record));
        self.counts().follow(before.as_deref(), Some(&record));
        self.write_queue(record);
    }
    /// Removes a queue's record, which was read before, and its state, and keeps what services have in step with it. Names,
    /// messages and link data are removed one by one.
    fn remove_queue(&mut self, recipient_id: &Id) {
        let before = self.queue(recipient_id).ok().flatten();
        rules::service::follow(self, before.as_deref(), None);
        self.counts().follow(before.as_deref(), None);
        self.erase_queue(recipient_id);
    }
    /// Writes a queue's record and nothing else: what [`Self::put_queue`] is made of.
    fn write_queue(&mut self, record: Arc<QueueRecord>);
    /// Removes a queue's record and state and nothing else: what [`Self::remove_queue`] is made of.
    fn erase_queue(&mut self, recipient_id: &Id);

    /// Finds a queue by another name.
    fn recipient_id(&mut self, side: Side, id: &Id) -> Result<Option<Id>, StoreError>;
    /// Gives a queue a name.
    fn put_name(&mut self, side: Side, id: Id, recipient_id: Id);
    /// Removes a name.
    fn remove_name(&mut self, side: Side, id: &Id);

    /// Reads a queue's link data.
    fn link(&mut self, recipient_id: &Id) -> Result<Option<LinkData>, StoreError>;
    /// Writes a queue's link data. The queue exists.
    fn put_link(&mut self, recipient_id: &Id, data: LinkData);
    /// Removes a queue's link data.
    fn remove_link(&mut self, recipient_id: &Id);

    /// Whether an id is reserved.
    fn is_reserved(&mut self, side: Side, id: &Id) -> Result<bool, StoreError>;
    /// Reserves an id on a day.
    fn reserve(&mut self, side: Side, id: Id, day: u32);
    /// Ends a reservation.
    fn release(&mut self, side: Side, id: &Id);

    /// Reads where a queue's messages are; the default when nothing was ever written.
    fn state(&mut self, recipient_id: &Id) -> Result<QueueState, StoreError>;
    /// Writes where a queue's messages are. The queue exists.
    fn put_state(&mut self, recipient_id: &Id, state: QueueState);

    /// Reads a message without its body.
    fn header(&mut self, recipient_id: &Id, sequence: u64) -> Result<Option<MessageHeader>, StoreError>;
    /// Writes a message with a sequence number never used before in its queue; the body of a quota mark is empty.
    fn put_message(&mut self, recipient_id: &Id, sequence: u64, header: MessageHeader, body: Bytes);
    /// Removes a message.
    fn remove_message(&mut self, recipient_id: &Id, sequence: u64);

    /// Reads a service's record.
    fn service(&mut self, id: &Id) -> Result<Option<Arc<ServiceRecord>>, StoreError>;
    /// Finds a service by the fingerprint of its identity certificate.
    fn service_by_fingerprint(&mut self, fingerprint: &[u8; 32]) -> Result<Option<Id>, StoreError>;
    /// Writes a service's record, by which it is also found by its certificate.
    fn put_service(&mut self, record: Arc<ServiceRecord>);
    /// Removes the record of a service that has no queues.
    fn remove_service(&mut self, record: &ServiceRecord);

    /// Reads how many queues a service has on one side, and which.
    fn queue_set(&mut self, service: &Id, side: ServiceSide) -> QueueSet;
    /// Writes how many queues a service has.
    fn put_queue_set(&mut self, service: &Id, side: ServiceSide, set: QueueSet);
    /// Adds a queue to those of a service.
    fn put_member(&mut self, service: &Id, side: ServiceSide, queue: &Id);
    /// Removes a queue from those of a service.
    fn remove_member(&mut self, service: &Id, side: ServiceSide, queue: &Id);
    /// Reads where a notifier's notifications are; the default when nothing was ever written.
    fn notification_state(&mut self, notifier_id: &Id) -> Result<NotificationState, StoreError>;
    /// Writes where a notifier's notifications are.
    fn put_notification_state(&mut self, notifier_id: &Id, state: NotificationState);
    /// Removes the state of a notifier that goes. Its notifications are removed one by one.
    fn remove_notification_state(&mut self, notifier_id: &Id);
    /// Reads a notification.
    fn notification(&mut self, notifier_id: &Id, sequence: u64) -> Result<Option<PendingNotification>, StoreError>;
    /// Writes a notification with a sequence number never used before of its notifier.
    fn put_notification(&mut self, notifier_id: &Id, sequence: u64, notification: PendingNotification);
    /// Removes a notification.
    fn remove_notification(&mut self, notifier_id: &Id, sequence: u64);

    /// The counts, to be adjusted.
    fn counts(&mut self) -> &mut Counts;
}
