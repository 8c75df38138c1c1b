//! Ids of deleted queues that must not be used again yet (wire reference, section 14.6).
//!
//! Most ids are random and never come again. Clients choose two kinds: link ids, which everybody who has the link knows,
//! and the sender ids of queues created with link data, which whoever knows the correlation id of their NEW can compute.
//! If these were free at once, a link that its owner deleted could be brought back by anybody who kept it, and NEW would
//! tell whether a queue still exists. So both stay reserved for some weeks, until the sweep releases them. A link id that
//! its owner removes from a living queue (LDEL) is free at once, so that it can be set again.

use super::RESERVED_IDS;
use crate::relay::store::StoreError;
use crate::relay::store::backend::Rows;
use crate::relay::store::operation::Side;
use crate::relay::store::record::{Id, QueueRecord};

/// Reserves the ids of a queue that is deleted on `today`.
pub(super) fn reserve(rows: &mut impl Rows, record: &QueueRecord, today: u32) -> Result<(), StoreError> {
    let ids = [Some((Side::Sender, record.sender_id)), record.link_id.map(|id| (Side::Link, id))];
    for (side, id) in ids.into_iter().flatten() {
        // Beyond the bound ids are free at once, rather than that somebody fills the disk by creating and deleting.
        if rows.counts().reserved < RESERVED_IDS {
            // One that was reserved before, and got to another queue by an import, counts once.
            let before = rows.is_reserved(side, &id)?;
            rows.reserve(side, id, today);
            let counts = rows.counts();
            counts.reserved = counts.reserved.saturating_add(u64::from(!before));
        }
    }
    Ok(())
}

/// Makes ids free. Returns how many were reserved.
pub(super) fn release(rows: &mut impl Rows, ids: &[(Side, Id)]) -> Result<u64, StoreError> {
    let mut reserved = Vec::with_capacity(ids.len());
    for (side, id) in ids {
        if rows.is_reserved(*side, id)? {
            reserved.push((*side, *id));
        }
    }
    reserved.sort_unstable();
    reserved.dedup();
    let mut released = 0u64;
    for (side, id) in reserved {
        rows.release(side, &id);
        released = released.saturating_add(1);
    }
    let counts = rows.counts();
    counts.reserved = counts.reserved.saturating_sub(released);
    Ok(released)
}
