//! Look-ups that hide by their cost what another look-up has found.

use std::sync::Arc;

use parking_lot::Mutex;

use super::Store;
use crate::relay::store::StoreError;
use crate::relay::store::backend::Backend;
use crate::relay::store::operation::Side;
use crate::relay::store::record::{Id, QueueRecord};

/// How many queues stand in for those that do not exist.
const DECOYS: usize = 64;

/// A look-up of a queue, and what came of it.
#[derive(Clone, Copy)]
pub(crate) struct LookedUp {
    /// The side that has the id; the recipient's where there is none.
    pub(crate) side: Option<Side>,
    /// What was asked for.
    pub(crate) id: Id,
    /// Whether there is such a queue.
    pub(crate) found: bool,
}

impl std::fmt::Debug for LookedUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LookedUp(..)")
    }
}

/// Queues that stand in for those that do not exist: 3 KiB of ids.
pub(super) struct Decoys {
    /// Recipient and sender ids, one of them for each value of six bits of the id that was asked for: who asks for one id
    /// again and again makes the relay read the same rows, as it does with an id that exists.
    queues: Mutex<[Option<(Id, Id)>; DECOYS]>,
    /// Turns an id that exists into one that does not.
    mask: Id,
}

impl Decoys {
    pub(super) fn new() -> Self {
        Self { queues: Mutex::new([None; DECOYS]), mask: rand::random() }
    }

    fn absent(&self, id: &Id) -> Id {
        let mut absent = *id;
        absent.iter_mut().zip(self.mask).for_each(|(byte, mask)| *byte ^= mask);
        absent
    }
}

impl Store {
    /// Does what would have been done had a look-up found the opposite, so that both together cost the same whether or not
    /// there is such a queue: looks up an id that nothing has, or a queue that is there. For refusals: what is granted may
    /// tell by its time that it was found. A failure of the store is not told here.
    pub(crate) fn look_up_opposite(&self, looked_up: &LookedUp) {
        let Ok(backend) = self.inner.readable() else { return };
        let _ = if looked_up.found {
            let absent = self.inner.decoys.absent(&looked_up.id);
            self.look_up(looked_up.side, &absent).map(|record| record.is_some())
        } else {
            self.look_up_decoy(backend, looked_up)
        };
    }

    fn look_up(&self, side: Option<Side>, id: &Id) -> Result<Option<Arc<QueueRecord>>, StoreError> {
        match side {
            None => self.queue_by_recipient(id),
            Some(side) => self.queue_by_side(side, id),
        }
    }

    fn look_up_decoy(&self, backend: &dyn Backend, looked_up: &LookedUp) -> Result<bool, StoreError> {
        let [first, ..] = looked_up.id;
        let place = usize::from(first) % DECOYS;
        let chosen = self.inner.decoys.queues.lock().get(place).copied().flatten();
        if let Some((recipient_id, sender_id)) = chosen {
            // Every queue has a sender's id; rows of other sides look the same.
            let found = match looked_up.side {
                None => self.queue_by_recipient(&recipient_id)?,
                Some(_) => self.queue_by_sender(&sender_id)?,
            };
            if found.is_some() {
                return Ok(true);
            }
        }
        // It was deleted, or none was chosen yet. This takes longer, once.
        let next = match backend.queues(Some(&looked_up.id), 1)?.pop() {
            Some(next) => Some(next),
            None => backend.queues(None, 1)?.pop(),
        };
        let ids = next.as_ref().map(|record| (record.recipient_id, record.sender_id));
        if let Some(decoy) = self.inner.decoys.queues.lock().get_mut(place) {
            *decoy = ids;
        }
        Ok(ids.is_some())
    }
}
