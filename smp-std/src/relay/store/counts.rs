//! How much a store holds, counted along with every change.

use parking_lot::RwLock;

use super::record::QueueRecord;

/// How much a store holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Queues.
    pub queues: u64,
    /// Messages of all queues, quota marks included.
    pub messages: u64,
    /// Services.
    pub services: u64,
    /// Ids of deleted queues that must not be used again yet.
    pub reserved: u64,
    /// Notifications that wait for their notifiers.
    pub notifications: u64,
    /// Queues with a notifier.
    pub notifiers: u64,
}

impl Counts {
    /// A queue's record becomes `after`, or goes.
    pub(super) fn follow(&mut self, before: Option<&QueueRecord>, after: Option<&QueueRecord>) {
        let has = |record: Option<&QueueRecord>| u64::from(record.is_some_and(|record| record.notifier.is_some()));
        self.notifiers = self.notifiers.saturating_add(has(after)).saturating_sub(has(before));
    }
}

/// The counts of a store, read from any thread.
#[derive(Debug, Default)]
pub(super) struct SharedCounts(RwLock<Counts>);

impl SharedCounts {
    pub(super) fn get(&self) -> Counts {
        *self.0.read()
    }

    pub(super) fn set(&self, counts: Counts) {
        *self.0.write() = counts;
    }
}
