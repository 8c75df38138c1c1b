//! Blocking.

use super::{Inner, MISMATCH, Store};
use crate::relay::store::StoreError;
use crate::relay::store::operation::{Blocking, Operation, QueueName, Reply, Unblocking};
use crate::relay::store::pending::Pending;
use crate::relay::store::record::Blocked;

/// Blocking (wire reference, 10.8).
impl Store {
    /// Blocks a queue, or changes why it is blocked.
    pub async fn block_queue(&self, queue: QueueName, blocked: Blocked) -> Result<Pending<Blocking>, StoreError> {
        let finish = |_: &Inner, reply| if let Reply::Blocking(it) = reply { Ok(it) } else { Err(MISMATCH) };
        self.submit(Operation::BlockQueue { queue, blocked }, finish).await
    }

    /// Makes a blocked queue what it was before.
    pub async fn unblock_queue(&self, queue: QueueName) -> Result<Pending<Unblocking>, StoreError> {
        let finish = |_: &Inner, reply| if let Reply::Unblocking(it) = reply { Ok(it) } else { Err(MISMATCH) };
        self.submit(Operation::UnblockQueue { queue }, finish).await
    }
}
