//! What an operator may do to a queue (wire reference, section 10.8): block it, undo that, delete it. Each is on disk when
//! its future resolves, and those who are connected are told.

use std::sync::Arc;

use smp_proto::smp::error::Blocked;

use super::Relay;
use super::hub::Peer;
use super::store::{Blocking, Id, QueueName, QueueRecord, QueueStatus, Side, StoreError, Unblocking};

impl Relay {
    /// The queue that has this id on any side: sender, link, notifier or recipient.
    pub fn queue_status(&self, id: &Id) -> Result<Option<Arc<QueueRecord>>, StoreError> {
        for side in [Side::Sender, Side::Link, Side::Notifier] {
            if let Some(record) = self.store.queue_by_side(side, id)? {
                return Ok(Some(record));
            }
        }
        self.store.queue_by_recipient(id)
    }

    /// Blocks a queue, or changes why it is blocked. Its subscriber is told at once, unless nothing changed.
    pub async fn block(&self, queue: QueueName, blocked: Blocked) -> Result<Blocking, StoreError> {
        let blocking = self.store.block_queue(queue, blocked).await?.await?;
        if let Blocking::Blocked { recipient_id, before } = blocking {
            if before == QueueStatus::Active {
                self.stats.queues.queues_blocked.one();
            }
            if before.blocked() != Some(blocked) {
                self.hub.blocked(&recipient_id, blocked);
            }
        }
        Ok(blocking)
    }

    /// Makes a blocked queue what it was before. Nobody is told: whoever uses it finds out.
    pub async fn unblock(&self, queue: QueueName) -> Result<Unblocking, StoreError> {
        self.store.unblock_queue(queue).await?.await
    }

    /// Deletes a queue with its messages; resolves to their number, and to `None` when there is no such queue. Its
    /// subscriber and its notifier's are told, as when the recipient deletes it. (The reference tells nobody, and leaves
    /// them subscribed to nothing.)
    pub async fn delete_queue_by_operator(&self, recipient_id: Id) -> Result<Option<u64>, StoreError> {
        let Some(deleted) = self.store.delete_queue(recipient_id, self.today()).await?.await? else { return Ok(None) };
        self.stats.queue_deleted(&deleted.record);
        // Nobody's connection did it, so every connection hears of it.
        self.tell_of_deletion(&deleted.record, &Arc::new(Peer::default()));
        Ok(Some(deleted.messages))
    }
}
