//! Look-ups that hide by their cost what another look-up has found.

use std::hint::black_box;

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

/// The names of a queue that stands in for others.
#[derive(Clone, Copy)]
struct Names {
    recipient: Id,
    sender: Id,
    link: Option<Id>,
    notifier: Option<Id>,
}

impl Names {
    fn of(record: &QueueRecord) -> Self {
        Self {
            recipient: record.recipient_id,
            sender: record.sender_id,
            link: record.link_id,
            notifier: record.notifier.as_ref().map(|notifier| notifier.id),
        }
    }

    /// A name on this side; the sender's, which every queue has, where it has none.
    fn on(&self, side: Option<Side>) -> (Option<Side>, Id) {
        let other = match side {
            None => return (None, self.recipient),
            Some(Side::Sender) => None,
            Some(Side::Link) => self.link,
            Some(Side::Notifier) => self.notifier,
        };
        other.map_or((Some(Side::Sender), self.sender), |name| (side, name))
    }
}

/// Queues that stand in for those that do not exist: 7 KiB of ids.
pub(super) struct Decoys {
    /// One for each value of six bits of the id that was asked for: who asks for one id again and again makes the relay
    /// read the same rows, as it does with an id that exists.
    queues: Mutex<[Option<Names>; DECOYS]>,
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

    /// A queue was deleted. If it stood in for others, who is refused next chooses another one, whether or not what is
    /// asked for exists.
    pub(super) fn forget(&self, recipient_id: &Id) {
        for place in &mut *self.queues.lock() {
            if place.is_some_and(|names| names.recipient == *recipient_id) {
                *place = None;
            }
        }
    }
}

impl Store {
    /// Does what would have been done had a look-up found the opposite, so that both together cost the same whether or not
    /// there is such a queue: looks up an id that nothing has, or a queue that is there. For refusals: what is granted may
    /// tell by its time that it was found. A failure of the store is not told here.
    pub(crate) fn look_up_opposite(&self, looked_up: &LookedUp) {
        let Ok(backend) = self.inner.readable() else { return };
        // Both ids are worked out, whichever is used. Nothing stands in for anything where there are no queues.
        let Ok(Some(decoy)) = self.decoy(backend, &looked_up.id) else { return };
        let absent = self.inner.decoys.absent(&looked_up.id);
        let (side, id) = if looked_up.found { (looked_up.side, absent) } else { decoy.on(looked_up.side) };
        let found = match side {
            None => self.queue_by_recipient(&id),
            Some(side) => self.queue_by_side(side, &id),
        };
        match found {
            Ok(Some(record)) => read_keys(looked_up.side, &record),
            // It lost this name, or was deleted just now. This takes longer, once.
            Ok(None) if !looked_up.found => {
                let _ = self.choose_decoy(backend, &looked_up.id);
            }
            _ => {}
        }
    }

    /// The queue that stands in for an id; chosen when it is asked for first.
    fn decoy(&self, backend: &dyn Backend, id: &Id) -> Result<Option<Names>, StoreError> {
        let chosen = self.inner.decoys.queues.lock().get(place(id)).copied().flatten();
        if chosen.is_some() { Ok(chosen) } else { self.choose_decoy(backend, id) }
    }

    fn choose_decoy(&self, backend: &dyn Backend, id: &Id) -> Result<Option<Names>, StoreError> {
        let next = match backend.queues(Some(id), 1)?.pop() {
            Some(next) => Some(next),
            None => backend.queues(None, 1)?.pop(),
        };
        let names = next.as_deref().map(Names::of);
        if let Some(decoy) = self.inner.decoys.queues.lock().get_mut(place(id)) {
            *decoy = names;
        }
        Ok(names)
    }
}

/// Reads of a record what an authorization on this side reads, so that these lines of memory are fetched as well.
fn read_keys(side: Option<Side>, record: &QueueRecord) {
    match side {
        None => {
            let _ = black_box(record.recipient_keys.iter().next().copied());
        }
        Some(Side::Notifier) => {
            let _ = black_box(record.notifier.as_ref().map(|notifier| notifier.key));
        }
        Some(Side::Sender | Side::Link) => {
            let _ = black_box((record.mode, record.sender_key));
        }
    }
}

fn place(id: &Id) -> usize {
    let [first, ..] = *id;
    usize::from(first) % DECOYS
}
