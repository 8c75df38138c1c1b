//! Links.

use smp_proto::key::AuthorizationKey;

use super::{Inner, MISMATCH, Store};
use crate::relay::store::StoreError;
use crate::relay::store::backend::QueueWithLink;
use crate::relay::store::link_data::LinkData;
use crate::relay::store::operation::{LinkDeletion, LinkSetting, Operation, Reply, SecuringByLink};
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

    /// Sets the sender's key of a queue that has none, as long as it has this link; resolves to the link's data. A
    /// change of the link comes before that or after it. Whether the queue's mode allows it is the caller's to check.
    pub async fn secure_by_link(
        &self,
        recipient_id: Id,
        link_id: Id,
        key: AuthorizationKey,
    ) -> Result<Pending<SecuringByLink>, StoreError> {
        let finish = |_: &Inner, reply| if let Reply::SecuringByLink(it) = reply { Ok(it) } else { Err(MISMATCH) };
        self.submit(Operation::SecureByLink { recipient_id, link_id, key }, finish).await
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

    /// The record of a queue and its link data, both as they were at one moment. Who found the queue by a link before has
    /// to look whether it is still the queue's.
    pub fn queue_with_link(&self, recipient_id: &Id) -> Result<Option<QueueWithLink>, StoreError> {
        self.inner.readable()?.queue_with_link(recipient_id)
    }
}
