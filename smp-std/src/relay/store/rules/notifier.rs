//! Notifiers of queues, and the notifications that wait for them (wire reference, 7.3 and 10.6).

use std::sync::Arc;

use super::is_taken;
use crate::relay::store::backend::Rows;
use crate::relay::store::notification::{NotificationLimits, NotificationState, PendingNotification};
use crate::relay::store::operation::{Notified, NotifierRemoval, NotifierSetting, Side};
use crate::relay::store::record::{Id, Notifier, QueueRecord};
use crate::relay::store::{Expiry, StoreError};

/// Gives a queue this notifier in the place of the one it has.
pub(super) fn set(rows: &mut impl Rows, recipient_id: &Id, notifier: &Notifier) -> Result<NotifierSetting, StoreError> {
    let Some(record) = rows.queue(recipient_id)? else { return Ok(NotifierSetting::NotFound) };
    if is_taken(rows, Side::Notifier, &notifier.id)? {
        return Ok(NotifierSetting::IdTaken);
    }
    let previous = record.notifier.as_ref().map(|previous| previous.id);
    if let Some(previous) = &previous {
        remove_all(rows, previous)?;
    }
    let service = record.notifier_service;
    let mut record = QueueRecord::clone(&record);
    record.notifier = Some(Box::new(notifier.clone()));
    // Services have notifiers and not queues: the new one has to come to it again.
    record.notifier_service = None;
    rows.put_queue(Arc::new(record));
    rows.put_name(Side::Notifier, notifier.id, *recipient_id);
    Ok(NotifierSetting::Set { previous, service })
}

/// Takes a queue's notifier away.
pub(super) fn remove(rows: &mut impl Rows, recipient_id: &Id) -> Result<NotifierRemoval, StoreError> {
    let Some(record) = rows.queue(recipient_id)? else { return Ok(NotifierRemoval::NotFound) };
    let Some(notifier) = &record.notifier else { return Ok(NotifierRemoval::NotSet) };
    remove_all(rows, &notifier.id)?;
    let mut without = QueueRecord::clone(&record);
    without.notifier = None;
    rows.put_queue(Arc::new(without));
    Ok(NotifierRemoval::Removed { notifier_id: notifier.id, service: record.notifier_service })
}

/// Removes a notifier's name and all its notifications.
fn remove_all(rows: &mut impl Rows, notifier_id: &Id) -> Result<(), StoreError> {
    let state = rows.notification_state(notifier_id)?;
    remove_pending(rows, notifier_id, state);
    rows.remove_name(Side::Notifier, notifier_id);
    Ok(())
}

/// Removes all notifications, which are at `state`, of a notifier that goes.
pub(super) fn remove_pending(rows: &mut impl Rows, notifier_id: &Id, state: NotificationState) {
    remove_before(rows, notifier_id, state, state.tail);
    if state != NotificationState::default() {
        rows.remove_notification_state(notifier_id);
    }
}

/// Lets a notification wait. The caller has read `state`, so that nothing is left to fail.
pub(super) fn enqueue(
    rows: &mut impl Rows,
    notifier_id: &Id,
    state: &mut NotificationState,
    notification: PendingNotification,
    limits: NotificationLimits,
) -> Notified {
    let room = u64::from(limits.per_notifier).saturating_sub(1);
    let mut dropped = state.size().saturating_sub(room);
    if dropped == 0 && rows.counts().notifications >= limits.total {
        dropped = state.size().min(1);
    }
    let next = state.head.saturating_add(dropped);
    *state = remove_before(rows, notifier_id, *state, next);
    let counts = rows.counts();
    let stored = limits.per_notifier > 0 && counts.notifications < limits.total;
    if stored {
        counts.notifications = counts.notifications.saturating_add(1);
        rows.put_notification(notifier_id, state.tail, notification);
        state.tail = state.tail.saturating_add(1);
    }
    if stored || dropped > 0 {
        rows.put_notification_state(notifier_id, *state);
    }
    Notified { notifier_id: *notifier_id, stored, lost: dropped.saturating_add(u64::from(!stored)), service: None }
}

/// Adds notifications that were kept elsewhere, the oldest first; how many were lost to the limits, or all of them when
/// there is no such notifier.
pub(super) fn insert(
    rows: &mut impl Rows,
    notifier_id: &Id,
    notifications: &[PendingNotification],
    limits: NotificationLimits,
) -> Result<u64, StoreError> {
    if rows.recipient_id(Side::Notifier, notifier_id)?.is_none() {
        return Ok(notifications.len() as u64);
    }
    let mut state = rows.notification_state(notifier_id)?;
    let mut lost = 0u64;
    for notification in notifications {
        lost = lost.saturating_add(enqueue(rows, notifier_id, &mut state, *notification, limits).lost);
    }
    Ok(lost)
}

/// Removes notifications that were delivered.
pub(super) fn forget(rows: &mut impl Rows, notifier_id: &Id, next: u64) -> Result<(), StoreError> {
    let state = rows.notification_state(notifier_id)?;
    let next = next.min(state.tail);
    if next > state.head {
        let state = remove_before(rows, notifier_id, state, next);
        rows.put_notification_state(notifier_id, state);
    }
    Ok(())
}

/// Removes notifications of messages that came at times which are `over`, from the oldest to the first that stays.
pub(super) fn expire(rows: &mut impl Rows, notifier_id: &Id, over: &Expiry) -> Result<u64, StoreError> {
    let state = rows.notification_state(notifier_id)?;
    let mut next = state.head;
    while next < state.tail {
        let notification =
            rows.notification(notifier_id, next)?.ok_or(StoreError::Corrupt("notifier: a notification is missing"))?;
        if !over.includes(notification.time) {
            break;
        }
        next = next.saturating_add(1);
    }
    if next > state.head {
        let moved = remove_before(rows, notifier_id, state, next);
        rows.put_notification_state(notifier_id, moved);
    }
    Ok(next.saturating_sub(state.head))
}

/// Removes the notifications before the sequence number `next`. The caller writes the state that comes of it.
fn remove_before(rows: &mut impl Rows, notifier_id: &Id, state: NotificationState, next: u64) -> NotificationState {
    for sequence in state.head..next {
        rows.remove_notification(notifier_id, sequence);
    }
    let counts = rows.counts();
    counts.notifications = counts.notifications.saturating_sub(next.saturating_sub(state.head));
    NotificationState { head: next, tail: state.tail }
}
