//! Changes of messages.

use super::{Inner, MISMATCH, Store};
use crate::relay::store::operation::{Acknowledged, AppendMessage, Appended, Operation, Reply};
use crate::relay::store::pending::Pending;
use crate::relay::store::record::Id;
use crate::relay::store::{Expiry, StoreError};

/// Messages.
impl Store {
    /// Appends a message.
    pub async fn append_message(&self, append: AppendMessage) -> Result<Pending<Appended>, StoreError> {
        let finish = |_: &Inner, reply| if let Reply::Appended(it) = reply { Ok(it) } else { Err(MISMATCH) };
        self.submit(Operation::AppendMessage(append), finish).await
    }

    /// Removes the oldest message if it is `message_id` and resolves to what is the oldest then; to `None` if there is
    /// no such queue.
    pub async fn acknowledge(
        &self,
        recipient_id: Id,
        message_id: Id,
    ) -> Result<Pending<Option<Acknowledged>>, StoreError> {
        let finish = |inner: &Inner, reply| match reply {
            Reply::Acknowledged(Some(removal)) => inner.acknowledged(removal).map(Some),
            Reply::Acknowledged(None) => Ok(None),
            _ => Err(MISMATCH),
        };
        self.submit(Operation::Acknowledge { recipient_id, message_id }, finish).await
    }

    /// Removes messages that came at times which are over, from the oldest to the first that did not, or is a quota mark;
    /// resolves to their number.
    pub async fn expire_messages(&self, recipient_id: Id, over: impl Into<Expiry>) -> Result<Pending<u64>, StoreError> {
        let finish = |_: &Inner, reply| if let Reply::Expired(it) = reply { Ok(it) } else { Err(MISMATCH) };
        self.submit(Operation::ExpireMessages { recipient_id, over: over.into() }, finish).await
    }
}
