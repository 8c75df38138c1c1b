//! What a storage engine must offer.

use std::sync::Arc;

use bytes::Bytes;

use super::StoreError;
use super::operation::{Operation, Reply, Side};
use super::record::{Counts, Id, MessageHeader, QueueRecord, QueueState, StoredMessage};

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

    /// How much the store holds. Costs nothing.
    fn counts(&self) -> Counts;

    /// Records of queues in the order of their recipient ids, from the first behind `after`, at most `limit`.
    fn queues(&self, after: Option<&Id>, limit: usize) -> Result<Vec<Arc<QueueRecord>>, StoreError>;

    /// Looks at the next `limit` queues behind `after` that ever had messages and returns those that have some now.
    fn occupied(&self, after: Option<&Id>, limit: usize) -> Result<OccupiedPage, StoreError>;
}

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

/// The rows of a store as the rules see them: every read sees the writes before it.
pub trait Rows {
    /// Reads a queue's record.
    fn queue(&mut self, recipient_id: &Id) -> Result<Option<Arc<QueueRecord>>, StoreError>;
    /// Writes a queue's record.
    fn put_queue(&mut self, record: Arc<QueueRecord>);
    /// Removes a queue's record and state. Names and messages are removed one by one.
    fn remove_queue(&mut self, recipient_id: &Id);

    /// Finds a queue by another name.
    fn recipient_id(&mut self, side: Side, id: &Id) -> Result<Option<Id>, StoreError>;
    /// Gives a queue a name.
    fn put_name(&mut self, side: Side, id: Id, recipient_id: Id);
    /// Removes a name.
    fn remove_name(&mut self, side: Side, id: &Id);

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

    /// The counts, to be adjusted.
    fn counts(&mut self) -> &mut Counts;
}
