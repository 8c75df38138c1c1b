//! Messages appended, acknowledged and expired (wire reference, sections 7.4, 7.5, 10.4 and 10.5).

use bytes::Bytes;

use super::{link, notifier};
use crate::relay::store::backend::Rows;
use crate::relay::store::notification::PendingNotification;
use crate::relay::store::operation::{AppendMessage, AppendOutcome, Appended, Notified, Removal};
use crate::relay::store::record::{HeaderKind, Id, MessageHeader, QueueState, StoredMessage};
use crate::relay::store::{Expiry, StoreError};

pub(super) fn append(rows: &mut impl Rows, append: &AppendMessage) -> Result<Appended, StoreError> {
    let recipient_id = &append.recipient_id;
    let refused = |outcome| Ok(Appended { outcome, expired: 0, recipient_service: None, notified: None });
    let Some(record) = rows.queue(recipient_id)? else { return refused(AppendOutcome::NotFound) };
    if record.status.is_suspended() {
        return refused(AppendOutcome::Suspended);
    }
    if let Some(blocked) = record.status.blocked() {
        return refused(AppendOutcome::Blocked(blocked));
    }

    let mut state = rows.state(recipient_id)?;
    let expired = match &append.expire {
        Some(over) => expired_count(rows, recipient_id, state, over)?,
        None => 0,
    };
    let notify = match (&record.notifier, append.notify) {
        (Some(notifier), Some(limits)) if append.notification => {
            Some((notifier.id, rows.notification_state(&notifier.id)?, limits))
        }
        _ => None,
    };
    remove_oldest(rows, recipient_id, &mut state, expired)?;
    if append.secured && record.is_secured_for_one() {
        // A one-time link has done its work, also when there is no room for the message. Not when somebody was let in
        // before the queue was secured, which happened since: who secured it by the link may have to ask again.
        link::remove(rows, &record);
    }
    if state.quota_exceeded {
        if expired > 0 {
            rows.put_state(recipient_id, state);
        }
        let outcome = AppendOutcome::QuotaExceeded;
        return Ok(Appended { outcome, expired, recipient_service: None, notified: None });
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

    let notified = match notify {
        // The recipient learns from the mark that a message was dropped; nobody else does.
        Some((notifier_id, mut state, limits)) if !full => {
            let notification = PendingNotification { message_id: append.message_id, time: append.time };
            let notified = notifier::enqueue(rows, &notifier_id, &mut state, notification, limits);
            Some(Notified { service: record.notifier_service, ..notified })
        }
        _ => None,
    };

    let message = StoredMessage::from_parts(header, body);
    let outcome = if full {
        AppendOutcome::QuotaMarked { was_empty, message }
    } else {
        AppendOutcome::Stored { was_empty, message }
    };
    Ok(Appended { outcome, expired, recipient_service: record.recipient_service, notified })
}

pub(super) fn acknowledge(
    rows: &mut impl Rows,
    recipient_id: &Id,
    message_id: &Id,
) -> Result<Option<Removal>, StoreError> {
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

pub(super) fn expire(rows: &mut impl Rows, recipient_id: &Id, over: &Expiry) -> Result<u64, StoreError> {
    let mut state = rows.state(recipient_id)?;
    let expired = expired_count(rows, recipient_id, state, over)?;
    if expired > 0 {
        remove_oldest(rows, recipient_id, &mut state, expired)?;
        rows.put_state(recipient_id, state);
    }
    Ok(expired)
}

/// How many of the oldest messages are expired: the walk ends at the first that is not, or is a quota mark.
fn expired_count(rows: &mut impl Rows, recipient_id: &Id, state: QueueState, over: &Expiry) -> Result<u64, StoreError> {
    let mut count = 0u64;
    for sequence in state.head..state.tail {
        if !header(rows, recipient_id, sequence)?.is_expired(over) {
            break;
        }
        count = count.saturating_add(1);
    }
    Ok(count)
}

/// Removes the oldest `count` messages and moves the state, which the caller writes.
pub(super) fn remove_oldest(
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
pub(super) fn header(rows: &mut impl Rows, recipient_id: &Id, sequence: u64) -> Result<MessageHeader, StoreError> {
    rows.header(recipient_id, sequence)?.ok_or(StoreError::Corrupt("queue: a message is missing"))
}
