//! Reads.

use std::sync::Arc;

use super::Store;
use crate::relay::store::StoreError;
use crate::relay::store::backend::{OccupiedPage, ReservedPage};
use crate::relay::store::counts::Counts;
use crate::relay::store::operation::Side;
use crate::relay::store::record::{Id, QueueRecord, QueueState, StoredMessage};
use crate::relay::store::rules;

/// Reads. They see every change that was carried out, also those still on their way to the disk.
impl Store {
    /// The queue with this recipient id.
    pub fn queue_by_recipient(&self, recipient_id: &Id) -> Result<Option<Arc<QueueRecord>>, StoreError> {
        self.inner.readable()?.queue(recipient_id)
    }

    /// The queue with this sender id.
    pub fn queue_by_sender(&self, sender_id: &Id) -> Result<Option<Arc<QueueRecord>>, StoreError> {
        self.queue_by_side(Side::Sender, sender_id)
    }

    /// The queue with this id on this side.
    pub fn queue_by_side(&self, side: Side, id: &Id) -> Result<Option<Arc<QueueRecord>>, StoreError> {
        let backend = self.inner.readable()?;
        let recipient_id = backend.recipient_id(side, id)?;
        // The second read is made also when the first found nothing, so that time tells less about which ids exist.
        let record = backend.queue(&recipient_id.unwrap_or(*id))?;
        // Between the two the queue may lose this name, and get another.
        let named = record.filter(|record| rules::names(record).any(|name| name == (side, *id)));
        Ok(recipient_id.and(named))
    }

    /// The oldest message of a queue.
    pub fn head(&self, recipient_id: &Id) -> Result<Option<StoredMessage>, StoreError> {
        self.inner.head(recipient_id)
    }

    /// Where the messages of a queue are, and how many.
    pub fn queue_state(&self, recipient_id: &Id) -> Result<QueueState, StoreError> {
        self.inner.readable()?.state(recipient_id)
    }

    /// How many queues and messages there are.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.inner.backend.counts()
    }

    /// Records of queues in the order of their recipient ids, from the first behind `after`, at most `limit`. Reads from
    /// disk: call it where blocking is allowed.
    pub fn queues(&self, after: Option<&Id>, limit: usize) -> Result<Vec<Arc<QueueRecord>>, StoreError> {
        self.inner.readable()?.queues(after, limit)
    }

    /// Looks at the next `limit` queues behind `after` and returns those that have messages, for the sweep of expiry.
    /// Reads from disk: call it where blocking is allowed.
    pub fn occupied_queues(&self, after: Option<&Id>, limit: usize) -> Result<OccupiedPage, StoreError> {
        self.inner.readable()?.occupied(after, limit)
    }

    /// Looks at the next `limit` reserved ids of deleted queues behind `after`. Reads from disk: call it where blocking is
    /// allowed.
    pub fn reserved_ids(&self, after: Option<&(Side, Id)>, limit: usize) -> Result<ReservedPage, StoreError> {
        self.inner.readable()?.reserved(after, limit)
    }
}
