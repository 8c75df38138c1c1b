//! Links.

use super::{Inner, MISMATCH, Store};
use crate::relay::store::StoreError;
use crate::relay::store::link_data::LinkData;
use crate::relay::store::operation::{LinkDeletion, LinkSetting, Operation, Reply};
use crate::relay::store::pending::Pending;
use crate::relay::store::record::Id;

/// Links.
impl Store {
    /// Stores or replaces link data.
    pub async fn set_link(
        &self,
        recipient_id: Id,
        link_id: Id,
        data: LinkData,
    ) -> Result<Pending<LinkSetting>, StoreError> {
        let finish = |_: &Inner, reply| if let Reply::LinkSetting(it) = reply { Ok(it) } else { Err(MISMATCH) };
        self.submit(Operation::SetLink { recipient_id, link_id, data }, finish).await
    }

    /// Removes link data.
    pub async fn delete_link(&self, recipient_id: Id) -> Result<Pending<LinkDeletion>, StoreError> {
        let finish = |_: &Inner, reply| if let Reply::LinkDeletion(it) = reply { Ok(it) } else { Err(MISMATCH) };
        self.submit(Operation::DeleteLink { recipient_id }, finish).await
    }

    /// The link data of a queue.
    pub fn link(&self, recipient_id: &Id) -> Result<Option<LinkData>, StoreError> {
        self.inner.readable()?.link(recipient_id)
    }
}
