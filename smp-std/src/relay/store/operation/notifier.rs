//! Notifiers: what comes of setting and removing them, and of their notifications.

use crate::relay::store::record::Id;

/// What became of the notification of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Notified {
    /// The queue's notifier.
    pub notifier_id: Id,
    /// It waits for the notifier.
    pub stored: bool,
    /// How many were dropped because too many wait: older ones, or this one.
    pub lost: u64,
    /// The service that takes the queue's notifications.
    pub service: Option<Id>,
}

impl std::fmt::Debug for Notified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notified").field("stored", &self.stored).field("lost", &self.lost).finish_non_exhaustive()
    }
}

/// What came of setting a notifier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotifierSetting {
    /// The queue has it now.
    Set {
        /// The notifier it had before.
        previous: Option<Id>,
        /// The service that took its notifications.
        service: Option<Id>,
    },
    /// Another queue's notifier has the id; nothing was changed.
    IdTaken,
    /// There is no such queue.
    NotFound,
}

/// What came of removing a notifier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotifierRemoval {
    /// The queue has none now.
    Removed {
        /// The notifier it had.
        notifier_id: Id,
        /// The service that took its notifications.
        service: Option<Id>,
    },
    /// It had none.
    NotSet,
    /// There is no such queue.
    NotFound,
}
