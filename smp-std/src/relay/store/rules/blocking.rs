//! Queues blocked and unblocked by the operator (wire reference, section 10.8).

use std::sync::Arc;

use super::find;
use crate::relay::store::StoreError;
use crate::relay::store::backend::Rows;
use crate::relay::store::operation::{Blocking, QueueName, Unblocking};
use crate::relay::store::record::{Blocked, QueueRecord, QueueStatus};

pub(super) fn block(rows: &mut impl Rows, queue: &QueueName, blocked: Blocked) -> Result<Blocking, StoreError> {
    let Some(record) = find(rows, queue)? else { return Ok(Blocking::NotFound) };
    let before = record.status;
    set_status(rows, &record, QueueStatus::Blocked { blocked, suspended: before.is_suspended() });
    Ok(Blocking::Blocked { recipient_id: record.recipient_id, before })
}

pub(super) fn unblock(rows: &mut impl Rows, queue: &QueueName) -> Result<Unblocking, StoreError> {
    let Some(record) = find(rows, queue)? else { return Ok(Unblocking::NotFound) };
    Ok(match record.status {
        QueueStatus::Blocked { blocked, suspended } => {
            let now = if suspended { QueueStatus::Suspended } else { QueueStatus::Active };
            set_status(rows, &record, now);
            Unblocking::Unblocked { blocked, now }
        }
        status => Unblocking::NotBlocked(status),
    })
}

pub(super) fn set_status(rows: &mut impl Rows, record: &QueueRecord, status: QueueStatus) {
    if record.status != status {
        rows.put_queue(Arc::new(QueueRecord { status, ..record.clone() }));
    }
}
