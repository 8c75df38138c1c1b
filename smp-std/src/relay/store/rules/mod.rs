//! What operations do, over any [`Rows`].
//!
//! Every rule reads all it needs before it writes, so an operation that meets an unreadable value changes nothing.

pub(super) mod service;

use std::sync::Arc;

use bytes::Bytes;
use smp_proto::key::AuthorizationKey;

use super::StoreError;
use super::backend::Rows;
use super::operation::{
    AppendMessage, AppendOutcome, Appended, Creation, DeletedQueue, Operation, QueueName, Removal, Reply, Securing,
    Side, Suspension,
};
use super::record::{HeaderKind, Id, MessageHeader, QueueRecord, QueueState, QueueStatus, StoredMessage};

/// Carries out one operation.
pub fn apply(rows: &mut impl Rows, operation: &Operation) -> Result<Reply, StoreError> {
    match operation {
        Operation::CreateQueue(record) => create(rows, record).map(Reply::Creation),
        Operation::SecureQueue { queue, key } => secure(rows, queue, key).map(Reply::Securing),
        Operation::SuspendQueue { recipient_id } => suspend(rows, recipient_id).map(Reply::Suspension),
        Operation::DeleteQueue { recipient_id } => delete(rows, recipient_id).map(Reply::Deletion),
        Operation::TouchQueue { recipient_id, day } => touch(rows, recipient_id, *day).map(|()| Reply::Touched),
        Operation::AppendMessage(append) => append_message(rows, append).map(Reply::Appended),
        Operation::Acknowledge { recipient_id, message_id } => {
            acknowledge(rows, recipient_id, message_id).map(Reply::Acknowledged)
        }
        Operation::ExpireMessages { recipient_id, before } => {
            expire_messages(rows, recipient_id, *before).map(Reply::Expired)
        }
        Operation::AdmitService { record, limit } => service::admit(rows, record, *limit).map(Reply::Admission),
        Operation::TouchService { service, day } => service::touch(rows, service, *day).map(|()| Reply::Touched),
        Operation::ForgetService { service, before_day } => {
            service::forget(rows, service, *before_day).map(Reply::Forgotten)
        }
        Operation::AssociateQueue { side, id, service } => {
            service::associate(rows, *side, id, *service).map(Reply::Association)
        }
    }
}

/// The names of a queue besides its recipient's.
fn names(record: &QueueRecord) -> impl Iterator<Item = (Side, Id)> {
    let link = record.link_id.map(|id| (Side::Link, id));
    let notifier = record.notifier.as_ref().map(|notifier| (Side::Notifier, notifier.id));
    std::iter::once((Side::Sender, record.sender_id)).chain(link).chain(notifier)
}

fn create(rows: &mut impl Rows, record: &Arc<QueueRecord>) -> Result<Creation, StoreError> {
    if rows.queue(&record.recipient_id)?.is_some() {
        return Ok(Creation::IdTaken);
    }
    for (side, id) in names(record) {
        if rows.recipient_id(side, &id)?.is_some() {
            return Ok(Creation::IdTaken);
        }
    }
    for (side, id) in names(record) {
        rows.put_name(side, id, record.recipient_id);
    }
    rows.put_queue(Arc::clone(record));
    let counts = rows.counts();
    counts.queues = counts.queues.saturating_add(1);
    Ok(Creation::Created)
}

fn secure(rows: &mut impl Rows, queue: &QueueName, key: &AuthorizationKey) -> Result<Securing, StoreError> {
    let recipient_id = match queue {
        QueueName::Recipient(id) => Some(*id),
        QueueName::Side(side, id) => rows.recipient_id(*side, id)?,
    };
    let Some(recipient_id) = recipient_id else { return Ok(Securing::NotFound) };
    let Some(record) = rows.queue(&recipient_id)? else { return Ok(Securing::NotFound) };
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

fn suspend(rows: &mut impl Rows, recipient_id: &Id) -> Result<Suspension, StoreError> {
    let Some(record) = rows.queue(recipient_id)? else { return Ok(Suspension::NotFound) };
    if record.status != QueueStatus::Suspended {
        let mut record = QueueRecord::clone(&record);
        record.status = QueueStatus::Suspended;
        rows.put_queue(Arc::new(record));
    }
    Ok(Suspension::Suspended)
}

fn delete(rows: &mut impl Rows, recipient_id: &Id) -> Result<Option<DeletedQueue>, StoreError> {
    let Some(record) = rows.queue(recipient_id)? else { return Ok(None) };
    let state = rows.state(recipient_id)?;
    for sequence in state.head..state.tail {
        rows.remove_message(recipient_id, sequence);
    }
    for (side, id) in names(&record) {
        rows.remove_name(side, &id);
    }
    rows.remove_queue(recipient_id);
    let counts = rows.counts();
    counts.queues = counts.queues.saturating_sub(1);
    counts.messages = counts.messages.saturating_sub(state.size());
    Ok(Some(DeletedQueue { record, messages: state.size() }))
}

fn touch(rows: &mut impl Rows, recipient_id: &Id, day: u32) -> Result<(), StoreError> {
    if let Some(record) = rows.queue(recipient_id)?
        && record.activity_day < day
    {
        let mut record = QueueRecord::clone(&record);
        record.activity_day = day;
        rows.put_queue(Arc::new(record));
    }
    Ok(())
}

fn append_message(rows: &mut impl Rows, append: &AppendMessage) -> Result<Appended, StoreError> {
    let recipient_id = &append.recipient_id;
    let refused = |outcome| Ok(Appended { outcome, expired: 0 });
    let Some(record) = rows.queue(recipient_id)? else { return refused(AppendOutcome::NotFound) };
    match &record.status {
        QueueStatus::Active => {}
        QueueStatus::Suspended => return refused(AppendOutcome::Suspended),
        status @ QueueStatus::Blocked { .. } => return refused(AppendOutcome::Blocked(status.clone())),
    }

    let mut state = rows.state(recipient_id)?;
    let expired = match append.expire_before {
        Some(before) => expired_count(rows, recipient_id, state, before)?,
        None => 0,
    };
    remove_oldest(rows, recipient_id, &mut state, expired)?;
    if state.quota_exceeded {
        if expired > 0 {
            rows.put_state(recipient_id, state);
        }
        return Ok(Appended { outcome: AppendOutcome::QuotaExceeded, expired });
    }

    let was_empty = state.is_empty();
    let full = state.size() >= append.quota;
    let (kind, body) = if full {
        (HeaderKind::QuotaMark, Bytes::new())
    } else {
        (HeaderKind::Message { notification: append.notification }, append.body.clone())
    };
    let header = MessageHeader { id: append.message_id, time: append.time, kind };
    rows.put_message(recipient_id, state.tail, header, body.clone());
    state.tail = state.tail.saturating_add(1);
    state.quota_exceeded = full;
    rows.put_state(recipient_id, state);
    let counts = rows.counts();
    counts.messages = counts.messages.saturating_add(1);

    let message = StoredMessage::from_parts(header, body);
    let outcome = if full {
        AppendOutcome::QuotaMarked { was_empty, message }
    } else {
        AppendOutcome::Stored { was_empty, message }
    };
    Ok(Appended { outcome, expired })
}

fn acknowledge(rows: &mut impl Rows, recipient_id: &Id, message_id: &Id) -> Result<Option<Removal>, StoreError> {
    if rows.queue(recipient_id)?.is_none() {
        return Ok(None);
    }
    let mut state = rows.state(recipient_id)?;
    let mut deleted = None;
    if !state.is_empty() {
        let head = header(rows, recipient_id, state.head)?;
        if head.id == *message_id {
            remove_oldest(rows, recipient_id, &mut state, 1)?;
            rows.put_state(recipient_id, state);
            deleted = Some(head);
        }
    }
    let next = (!state.is_empty()).then_some(state.head);
    Ok(Some(Removal { recipient_id: *recipient_id, deleted, next }))
}

fn expire_messages(rows: &mut impl Rows, recipient_id: &Id, before: i64) -> Result<u64, StoreError> {
    let mut state = rows.state(recipient_id)?;
    let expired = expired_count(rows, recipient_id, state, before)?;
    if expired > 0 {
        remove_oldest(rows, recipient_id, &mut state, expired)?;
        rows.put_state(recipient_id, state);
    }
    Ok(expired)
}

/// How many of the oldest messages are expired: the walk ends at the first that is not, or is a quota mark.
fn expired_count(rows: &mut impl Rows, recipient_id: &Id, state: QueueState, before: i64) -> Result<u64, StoreError> {
    let mut count = 0u64;
    for sequence in state.head..state.tail {
        if !header(rows, recipient_id, sequence)?.is_expired(before) {
            break;
        }
        count = count.saturating_add(1);
    }
    Ok(count)
}

/// Removes the oldest `count` messages and moves the state, which the caller writes.
fn remove_oldest(
    rows: &mut impl Rows,
    recipient_id: &Id,
    state: &mut QueueState,
    count: u64,
) -> Result<(), StoreError> {
    let head = state.head;
    state.remove_oldest(count)?;
    for sequence in head..state.head {
        rows.remove_message(recipient_id, sequence);
    }
    let counts = rows.counts();
    counts.messages = counts.messages.saturating_sub(count);
    Ok(())
}

/// The header of a message that the state says is there.
fn header(rows: &mut impl Rows, recipient_id: &Id, sequence: u64) -> Result<MessageHeader, StoreError> {
    rows.header(recipient_id, sequence)?.ok_or(StoreError::Corrupt("queue: a message is missing"))
}
