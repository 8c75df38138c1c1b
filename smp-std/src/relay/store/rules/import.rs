//! Taking over queues that another program kept. The outcomes are those of the reference when it reads its log.

use std::sync::Arc;

use super::{link, message, queue};
use crate::relay::store::StoreError;
use crate::relay::store::backend::Rows;
use crate::relay::store::import::{ImportStep, Imported, QueueChange};
use crate::relay::store::link_data::LinkData;
use crate::relay::store::notification::PendingNotification;
use crate::relay::store::operation::{Creation, Side};
use crate::relay::store::record::{HeaderKind, Id, QueueRecord, QueueStatus, StoredMessage};
use crate::relay::store::service::{ServiceRecord, ServiceSide};

pub(super) fn import(rows: &mut impl Rows, step: &ImportStep) -> Result<Imported, StoreError> {
    match step {
        ImportStep::Service(record) => service(rows, record),
        ImportStep::Queue(record, link) => create(rows, record, link.as_ref()),
        ImportStep::Change { recipient_id, change: QueueChange::Delete, today } => {
            match queue::delete(rows, recipient_id, *today)? {
                Some(_) => Ok(Imported::Done),
                None => Ok(Imported::UnknownQueue),
            }
        }
        ImportStep::Change { recipient_id, change, .. } => match rows.queue(recipient_id)? {
            Some(record) => change_queue(rows, &record, change),
            None => Ok(Imported::UnknownQueue),
        },
        ImportStep::Message { recipient_id, message } => append(rows, recipient_id, message),
        ImportStep::Notification { notifier_id, notification } => notify(rows, notifier_id, *notification),
        ImportStep::Full { recipient_id } => {
            let mut state = rows.state(recipient_id)?;
            if !state.is_empty() && !state.quota_exceeded {
                state.quota_exceeded = true;
                rows.put_state(recipient_id, state);
            }
            Ok(Imported::Done)
        }
    }
}

fn service(rows: &mut impl Rows, record: &Arc<ServiceRecord>) -> Result<Imported, StoreError> {
    if let Some(id) = rows.service_by_fingerprint(&record.fingerprint)? {
        return Ok(if id == record.id { Imported::Done } else { Imported::IdTaken });
    }
    if rows.service(&record.id)?.is_some() {
        return Ok(Imported::IdTaken);
    }
    rows.put_service(Arc::clone(record));
    let counts = rows.counts();
    counts.services = counts.services.saturating_add(1);
    Ok(Imported::Done)
}

fn create(rows: &mut impl Rows, record: &Arc<QueueRecord>, link: Option<&LinkData>) -> Result<Imported, StoreError> {
    match queue::create(rows, record, link)? {
        Creation::Created => Ok(Imported::Done),
        Creation::IdTaken => Ok(Imported::IdTaken),
    }
}

fn change_queue(rows: &mut impl Rows, record: &QueueRecord, change: &QueueChange) -> Result<Imported, StoreError> {
    let recipient_id = record.recipient_id;
    let mut changed = record.clone();
    match change {
        QueueChange::Link(id, data) => {
            match rows.recipient_id(Side::Link, id)? {
                Some(owner) if owner != recipient_id => return Ok(Imported::IdTaken),
                _ => {}
            }
            let present = rows.link(&recipient_id)?;
            let same = record.link_id == Some(*id) && present.is_none_or(|present| present.fixed == data.fixed);
            if record.link_id.is_some() && !same {
                return Ok(Imported::OtherLink);
            }
            changed.link_id = Some(*id);
            rows.put_name(Side::Link, *id, recipient_id);
            rows.put_link(&recipient_id, data.clone());
        }
        QueueChange::DeleteLink => {
            link::remove(rows, record);
            return Ok(Imported::Done);
        }
        QueueChange::Secure(key) => match &record.sender_key {
            Some(present) if present != key => return Ok(Imported::OtherKey),
            _ => changed.sender_key = Some(*key),
        },
        QueueChange::RecipientKeys(keys) => changed.recipient_keys = keys.clone(),
        QueueChange::Notifier(notifier, service) => {
            if rows.recipient_id(Side::Notifier, &notifier.id)?.is_some() {
                return Ok(Imported::IdTaken);
            }
            if let Some(previous) = &record.notifier {
                rows.remove_name(Side::Notifier, &previous.id);
            }
            rows.put_name(Side::Notifier, notifier.id, recipient_id);
            changed.notifier = Some(notifier.clone());
            // The service belongs to the notifier: a record whose notifier changes starts without one.
            changed.notifier_service = None;
            if service.is_some() {
                rows.put_queue(Arc::new(changed.clone()));
                changed.notifier_service = *service;
            }
        }
        QueueChange::DeleteNotifier => {
            if let Some(previous) = changed.notifier.take() {
                rows.remove_name(Side::Notifier, &previous.id);
            }
            changed.notifier_service = None;
        }
        QueueChange::Suspend => changed.status = QueueStatus::Suspended,
        QueueChange::Unblock => changed.status = QueueStatus::Active,
        // The reference forgets that a blocked queue was suspended; its recipient did not mean that.
        QueueChange::Block(blocked) => {
            let suspended = record.status.is_suspended();
            changed.status = QueueStatus::Blocked { blocked: *blocked, suspended };
        }
        // Done above.
        QueueChange::Delete => {}
        QueueChange::Used(day) => changed.activity_day = *day,
        QueueChange::Service(ServiceSide::Recipient, service) => changed.recipient_service = *service,
        QueueChange::Service(ServiceSide::Notifier, service) => {
            if record.notifier.is_none() {
                return Ok(Imported::NoNotifier);
            }
            changed.notifier_service = *service;
        }
    }
    if changed != *record {
        rows.put_queue(Arc::new(changed));
    }
    Ok(Imported::Done)
}

/// Whatever the limits are: they hold again with the next notification that is added.
fn notify(rows: &mut impl Rows, notifier_id: &Id, notification: PendingNotification) -> Result<Imported, StoreError> {
    if rows.recipient_id(Side::Notifier, notifier_id)?.is_none() {
        return Ok(Imported::UnknownNotifier);
    }
    let mut state = rows.notification_state(notifier_id)?;
    rows.put_notification(notifier_id, state.tail, notification);
    state.tail = state.tail.saturating_add(1);
    rows.put_notification_state(notifier_id, state);
    let counts = rows.counts();
    counts.notifications = counts.notifications.saturating_add(1);
    Ok(Imported::Done)
}

fn append(rows: &mut impl Rows, recipient_id: &Id, stored: &StoredMessage) -> Result<Imported, StoreError> {
    if rows.queue(recipient_id)?.is_none() {
        return Ok(Imported::UnknownQueue);
    }
    let mut state = rows.state(recipient_id)?;
    let header = stored.header();
    if header.kind == HeaderKind::QuotaMark {
        if !state.is_empty() && message::header(rows, recipient_id, state.head)?.kind == HeaderKind::QuotaMark {
            message::remove_oldest(rows, recipient_id, &mut state, 1)?;
        }
        state.quota_exceeded = true;
    }
    rows.put_message(recipient_id, state.tail, header, stored.body());
    state.tail = state.tail.saturating_add(1);
    rows.put_state(recipient_id, state);
    let counts = rows.counts();
    counts.messages = counts.messages.saturating_add(1);
    Ok(Imported::Done)
}
