//! Queues created, secured, suspended and deleted (wire reference, sections 7.2 and 7.3).

use std::sync::Arc;

use smp_proto::key::AuthorizationKey;

use super::blocking::set_status;
use super::{find, is_taken, names, notifier, reservation};
use crate::relay::store::StoreError;
use crate::relay::store::backend::Rows;
use crate::relay::store::link_data::LinkData;
use crate::relay::store::operation::{Creation, DeletedQueue, KeyReplacement, QueueName, Securing, Suspension};
use crate::relay::store::record::{Id, QueueRecord, QueueStatus, RecipientKeys};

pub(super) fn create(
    rows: &mut impl Rows,
    record: &Arc<QueueRecord>,
    link: Option<&LinkData>,
) -> Result<Creation, StoreError> {
    if rows.queue(&record.recipient_id)?.is_some() {
        return Ok(Creation::IdTaken);
    }
    for (side, id) in names(record) {
        if is_taken(rows, side, &id)? {
            return Ok(Creation::IdTaken);
        }
    }
    for (side, id) in names(record) {
        rows.put_name(side, id, record.recipient_id);
    }
    rows.put_queue(Arc::clone(record));
    if let (Some(_), Some(data)) = (record.link_id, link) {
        rows.put_link(&record.recipient_id, data.clone());
    }
    let counts = rows.counts();
    counts.queues = counts.queues.saturating_add(1);
    Ok(Creation::Created)
}

pub(super) fn secure(rows: &mut impl Rows, queue: &QueueName, key: &AuthorizationKey) -> Result<Securing, StoreError> {
    let Some(record) = find(rows, queue)? else { return Ok(Securing::NotFound) };
    Ok(match &record.sender_key {
        None => {
            let mut record = QueueRecord::clone(&record);
            record.sender_key = Some(*key);
            rows.put_queue(Arc::new(record));
            Securing::Secured
        }
        Some(present) if present == key => Securing::SameKey,
        Some(_) => Securing::OtherKey,
    })
}

pub(super) fn set_recipient_keys(
    rows: &mut impl Rows,
    recipient_id: &Id,
    keys: &RecipientKeys,
) -> Result<KeyReplacement, StoreError> {
    let Some(record) = rows.queue(recipient_id)? else { return Ok(KeyReplacement::NotFound) };
    if record.recipient_keys != *keys {
        let mut record = QueueRecord::clone(&record);
        record.recipient_keys = keys.clone();
        rows.put_queue(Arc::new(record));
    }
    Ok(KeyReplacement::Replaced)
}

pub(super) fn suspend(rows: &mut impl Rows, recipient_id: &Id) -> Result<Suspension, StoreError> {
    let Some(record) = rows.queue(recipient_id)? else { return Ok(Suspension::NotFound) };
    let status = match record.status {
        QueueStatus::Active | QueueStatus::Suspended => QueueStatus::Suspended,
        QueueStatus::Blocked { blocked, .. } => QueueStatus::Blocked { blocked, suspended: true },
    };
    set_status(rows, &record, status);
    Ok(Suspension::Suspended)
}

pub(super) fn delete(rows: &mut impl Rows, recipient_id: &Id, today: u32) -> Result<Option<DeletedQueue>, StoreError> {
    let Some(record) = rows.queue(recipient_id)? else { return Ok(None) };
    let state = rows.state(recipient_id)?;
    let notifications = match &record.notifier {
        Some(notifier) => Some((notifier.id, rows.notification_state(&notifier.id)?)),
        None => None,
    };
    reservation::reserve(rows, &record, today)?;
    for sequence in state.head..state.tail {
        rows.remove_message(recipient_id, sequence);
    }
    if let Some((notifier_id, state)) = notifications {
        notifier::remove_pending(rows, &notifier_id, state);
    }
    for (side, id) in names(&record) {
        rows.remove_name(side, &id);
    }
    if record.link_id.is_some() {
        rows.remove_link(recipient_id);
    }
    rows.remove_queue(recipient_id);
    let counts = rows.counts();
    counts.queues = counts.queues.saturating_sub(1);
    counts.messages = counts.messages.saturating_sub(state.size());
    Ok(Some(DeletedQueue { record, messages: state.size() }))
}

pub(super) fn touch(rows: &mut impl Rows, recipient_id: &Id, day: u32) -> Result<(), StoreError> {
    if let Some(record) = rows.queue(recipient_id)?
        && record.activity_day < day
    {
        let mut record = QueueRecord::clone(&record);
        record.activity_day = day;
        rows.put_queue(Arc::new(record));
    }
    Ok(())
}
