//! Services and the queues associated with them (wire reference, section 4.3, and section 2.5 of its part on version 19).

use std::sync::Arc;

use crate::relay::store::StoreError;
use crate::relay::store::backend::Rows;
use crate::relay::store::operation::Side;
use crate::relay::store::record::{Id, QueueRecord};
use crate::relay::store::service::{Association, ServiceAdmission, ServiceRecord, ServiceSide};

/// The sides on which services have queues.
const SIDES: [ServiceSide; 2] = [ServiceSide::Recipient, ServiceSide::Notifier];

/// Finds the service with the record's certificate or adds the record, unless there are `limit` services.
pub(super) fn admit(
    rows: &mut impl Rows,
    record: &Arc<ServiceRecord>,
    limit: u64,
) -> Result<ServiceAdmission, StoreError> {
    if let Some(id) = rows.service_by_fingerprint(&record.fingerprint)? {
        let known = rows.service(&id)?.ok_or(StoreError::Corrupt("service: its record is missing"))?;
        if known.role != record.role {
            return Ok(ServiceAdmission::OtherRole);
        }
        touch(rows, &id, record.seen_day)?;
        return Ok(ServiceAdmission::Admitted(id));
    }
    if rows.counts().services >= limit {
        return Ok(ServiceAdmission::Full);
    }
    if rows.service(&record.id)?.is_some() {
        return Err(StoreError::Corrupt("service: a new id is taken"));
    }
    rows.put_service(Arc::clone(record));
    let counts = rows.counts();
    counts.services = counts.services.saturating_add(1);
    Ok(ServiceAdmission::Admitted(record.id))
}

/// Records that a service was seen on a day.
pub(super) fn touch(rows: &mut impl Rows, service: &Id, day: u32) -> Result<(), StoreError> {
    if let Some(record) = rows.service(service)?
        && record.seen_day < day
    {
        rows.put_service(Arc::new(ServiceRecord { seen_day: day, ..ServiceRecord::clone(&record) }));
    }
    Ok(())
}

/// Removes a service that has no queues and was not seen since a day. Whether it did.
pub(super) fn forget(rows: &mut impl Rows, service: &Id, before_day: u32) -> Result<bool, StoreError> {
    let Some(record) = rows.service(service)? else { return Ok(false) };
    if record.seen_day >= before_day || SIDES.iter().any(|side| rows.queue_set(service, *side).count > 0) {
        return Ok(false);
    }
    rows.remove_service(&record);
    let counts = rows.counts();
    counts.services = counts.services.saturating_sub(1);
    Ok(true)
}

/// Associates a queue with a service on one side, or with none. `None` if there is no such queue.
pub(super) fn associate(
    rows: &mut impl Rows,
    side: ServiceSide,
    id: &Id,
    service: Option<Id>,
) -> Result<Option<Association>, StoreError> {
    let recipient_id = match side {
        ServiceSide::Recipient => Some(*id),
        ServiceSide::Notifier => rows.recipient_id(Side::Notifier, id)?,
    };
    let Some(recipient_id) = recipient_id else { return Ok(None) };
    let Some(record) = rows.queue(&recipient_id)? else { return Ok(None) };
    let mut changed = QueueRecord::clone(&record);
    let place = match side {
        ServiceSide::Recipient => &mut changed.recipient_service,
        ServiceSide::Notifier => &mut changed.notifier_service,
    };
    let previous = std::mem::replace(place, service);
    if previous != service {
        rows.put_queue(Arc::new(changed));
    }
    Ok(Some(Association { previous }))
}

/// The service of a queue on one side, with the id it knows the queue by.
fn association(record: &QueueRecord, side: ServiceSide) -> Option<(Id, Id)> {
    match side {
        ServiceSide::Recipient => record.recipient_service.map(|service| (service, record.recipient_id)),
        ServiceSide::Notifier => record.notifier_service.zip(record.notifier.as_ref().map(|notifier| notifier.id)),
    }
}

/// Keeps what services have in step with a queue's record, which becomes `after`: whoever writes a record comes through
/// here ([`Rows::put_queue`], [`Rows::remove_queue`]), so that no change of a queue can forget it.
///
/// Without a notifier no service takes notifications.
pub(in crate::relay::store) fn follow<R: Rows + ?Sized>(
    rows: &mut R,
    before: Option<&QueueRecord>,
    after: Option<&mut Arc<QueueRecord>>,
) {
    let after = after.map(|after| {
        if after.notifier.is_none() && after.notifier_service.is_some() {
            Arc::make_mut(after).notifier_service = None;
        }
        &**after
    });
    for side in SIDES {
        let old = before.and_then(|record| association(record, side));
        let new = after.and_then(|record| association(record, side));
        if old == new {
            continue;
        }
        if let Some((service, queue)) = old {
            rows.remove_member(&service, side, &queue);
            let set = rows.queue_set(&service, side).without(&queue);
            rows.put_queue_set(&service, side, set);
        }
        if let Some((service, queue)) = new {
            rows.put_member(&service, side, &queue);
            let set = rows.queue_set(&service, side).with(&queue);
            rows.put_queue_set(&service, side, set);
        }
    }
}
