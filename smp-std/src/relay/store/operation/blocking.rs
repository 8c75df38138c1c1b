//! What comes of an operator's blocking and unblocking.

use crate::relay::store::record::{Blocked, Id, QueueStatus};

/// What came of blocking a queue (wire reference, 10.8).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blocking {
    /// The queue is blocked, with the reason and notice given.
    Blocked {
        /// The queue.
        recipient_id: Id,
        /// What it was before: anything but active means that it took no messages already.
        before: QueueStatus,
    },
    /// There is no such queue.
    NotFound,
}

/// What came of unblocking a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unblocking {
    /// The queue is what it was before it was blocked.
    Unblocked {
        /// Why it had been blocked.
        blocked: Blocked,
        /// What it is now.
        now: QueueStatus,
    },
    /// It was not blocked, but active or suspended.
    NotBlocked(QueueStatus),
    /// There is no such queue.
    NotFound,
}
