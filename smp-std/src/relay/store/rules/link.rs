//! Link data set and removed, and queues secured by their links (wire reference, section 7.3).

use std::sync::Arc;

use smp_proto::key::AuthorizationKey;

use super::{is_taken, queue};
use crate::relay::store::StoreError;
use crate::relay::store::backend::Rows;
use crate::relay::store::link_data::LinkData;
use crate::relay::store::operation::{LinkDeletion, LinkSetting, QueueName, Securing, SecuringByLink, Side};
use crate::relay::store::record::{Id, QueueRecord};

pub(super) fn set(
    rows: &mut impl Rows,
    recipient_id: &Id,
    link_id: Id,
    data: &LinkData,
) -> Result<LinkSetting, StoreError> {
    let Some(record) = rows.queue(recipient_id)? else { return Ok(LinkSetting::NotFound) };
    if record.is_secured_for_one() {
        return Ok(LinkSetting::Secured);
    }
    match record.link_id {
        Some(present) if present != link_id => return Ok(LinkSetting::OtherLink),
        Some(_) => {
            if rows.link(recipient_id)?.is_some_and(|present| present.fixed != data.fixed) {
                return Ok(LinkSetting::OtherFixedData);
            }
        }
        None => {
            if is_taken(rows, Side::Link, &link_id)? {
                return Ok(LinkSetting::IdTaken);
            }
            let mut record = QueueRecord::clone(&record);
            record.link_id = Some(link_id);
            rows.put_queue(Arc::new(record));
            rows.put_name(Side::Link, link_id, *recipient_id);
        }
    }
    rows.put_link(recipient_id, data.clone());
    Ok(LinkSetting::Set)
}

pub(super) fn secure(
    rows: &mut impl Rows,
    recipient_id: &Id,
    link_id: Id,
    key: &AuthorizationKey,
) -> Result<SecuringByLink, StoreError> {
    // The link may be another queue's by now: the caller's checks were of this one.
    let has_link = rows.queue(recipient_id)?.is_some_and(|record| record.link_id == Some(link_id));
    let Some(data) = rows.link(recipient_id)?.filter(|_| has_link) else { return Ok(SecuringByLink::NotFound) };
    Ok(match queue::secure(rows, &QueueName::Recipient(*recipient_id), key)? {
        Securing::Secured => SecuringByLink::Secured { first: true, data },
        Securing::SameKey => SecuringByLink::Secured { first: false, data },
        Securing::OtherKey => SecuringByLink::OtherKey,
        Securing::NotFound => SecuringByLink::NotFound,
    })
}

pub(super) fn delete(rows: &mut impl Rows, recipient_id: &Id) -> Result<LinkDeletion, StoreError> {
    let Some(record) = rows.queue(recipient_id)? else { return Ok(LinkDeletion::NotFound) };
    remove(rows, &record);
    Ok(LinkDeletion::Deleted)
}

/// Removes a queue's link, if it has one. Its id is free at once: the queue may get the same link again.
pub(super) fn remove(rows: &mut impl Rows, record: &QueueRecord) {
    let Some(link_id) = record.link_id else { return };
    let mut record = record.clone();
    record.link_id = None;
    rows.remove_name(Side::Link, &link_id);
    rows.remove_link(&record.recipient_id);
    rows.put_queue(Arc::new(record));
}
