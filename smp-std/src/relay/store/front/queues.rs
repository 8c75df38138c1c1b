//! Changes of queues.

use std::sync::Arc;

use smp_proto::key::AuthorizationKey;

use super::{Inner, MISMATCH, Store};
use crate::relay::store::StoreError;
use crate::relay::store::link_data::LinkData;
use crate::relay::store::operation::{
    Creation, DeletedQueue, KeyReplacement, Operation, QueueName, Reply, Securing, Side, Suspension,
};
use crate::relay::store::pending::Pending;
use crate::relay::store::record::{Id, QueueRecord, RecipientKeys};

/// Changes. Each method waits only for room among the waiting operations; what it returns resolves when the change is
/// durable. Operations of one caller keep their order.
impl Store {
    /// Adds a queue; resolves to [`Creation::IdTaken`] when any of its ids is in use or reserved.
    pub async fn create_queue(&self, record: Arc<QueueRecord>) -> Result<Pending<Creation>, StoreError> {
        self.create_queue_with_link(record, None).await
    }

    /// As [`Self::create_queue`], with the data of the link that the record names.
    pub async fn create_queue_with_link(
        &self,
        record: Arc<QueueRecord>,
        link: Option<LinkData>,
    ) -> Result<Pending<Creation>, StoreError> {
        let finish = |_: &Inner, reply| if let Reply::Creation(it) = reply { Ok(it) } else { Err(MISMATCH) };
        self.submit(Operation::CreateQueue { record, link }, finish).await
    }

    /// Sets the sender's key of a queue that has none. Whether the queue's mode allows it is the caller's to check.
    pub async fn secure_queue(&self, queue: QueueName, key: AuthorizationKey) -> Result<Pending<Securing>, StoreError> {
        let finish = |_: &Inner, reply| if let Reply::Securing(it) = reply { Ok(it) } else { Err(MISMATCH) };
        self.submit(Operation::SecureQueue { queue, key }, finish).await
    }

    /// Replaces the keys that authorize recipient commands. Whether the queue's mode allows it is the caller's to check.
    pub async fn set_recipient_keys(
        &self,
        recipient_id: Id,
        keys: RecipientKeys,
    ) -> Result<Pending<KeyReplacement>, StoreError> {
        let finish = |_: &Inner, reply| if let Reply::Keys(it) = reply { Ok(it) } else { Err(MISMATCH) };
        self.submit(Operation::SetRecipientKeys { recipient_id, keys }, finish).await
    }

    /// Suspends a queue for good.
    pub async fn suspend_queue(&self, recipient_id: Id) -> Result<Pending<Suspension>, StoreError> {
        let finish = |_: &Inner, reply| if let Reply::Suspension(it) = reply { Ok(it) } else { Err(MISMATCH) };
        self.submit(Operation::SuspendQueue { recipient_id }, finish).await
    }

    /// Removes a queue with its messages and link data; resolves to `None` if there was none. Its sender and link ids stay
    /// reserved for [`RESERVED_DAYS`](crate::relay::store::rules::RESERVED_DAYS) from `today` (whole days since
    /// 1970-01-01, UTC).
    pub async fn delete_queue(
        &self,
        recipient_id: Id,
        today: u32,
    ) -> Result<Pending<Option<DeletedQueue>>, StoreError> {
        let finish = |inner: &Inner, reply| {
            let Reply::Deletion(deleted) = reply else { return Err(MISMATCH) };
            if let Some(deleted) = &deleted {
                inner.decoys.forget(&deleted.record.recipient_id);
            }
            Ok(deleted)
        };
        self.submit(Operation::DeleteQueue { recipient_id, today }, finish).await
    }

    /// Records that a queue was used on `day` (whole days since 1970-01-01, UTC). Nobody learns when that is durable: it
    /// goes to disk with the next change, or within half a minute, and is left out when too much is waiting already.
    pub fn touch_queue(&self, recipient_id: Id, day: u32) {
        self.submit_quietly(Operation::TouchQueue { recipient_id, day });
    }

    /// Makes reserved ids of deleted queues free; resolves to how many were reserved.
    pub async fn release_ids(&self, ids: Box<[(Side, Id)]>) -> Result<Pending<u64>, StoreError> {
        let finish = |_: &Inner, reply| if let Reply::Released(it) = reply { Ok(it) } else { Err(MISMATCH) };
        self.submit(Operation::ReleaseIds(ids), finish).await
    }
}
