//! Queues: what comes of creating, securing, suspending and deleting them.

use std::sync::Arc;

use crate::relay::store::record::QueueRecord;

/// What came of creating a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Creation {
    /// The queue is there.
    Created,
    /// Another queue has one of its ids, or had it and was deleted not long ago; nothing was changed.
    IdTaken,
}

/// What came of securing a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Securing {
    /// The key is set now.
    Secured,
    /// It was set to this key before.
    SameKey,
    /// Another key is set and stays.
    OtherKey,
    /// There is no such queue.
    NotFound,
}

/// What came of replacing the recipient's keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyReplacement {
    /// The keys are the new ones.
    Replaced,
    /// There is no such queue.
    NotFound,
}

/// What came of suspending a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Suspension {
    /// The queue is suspended, now or from before.
    Suspended,
    /// There is no such queue.
    NotFound,
}

/// A queue that is gone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeletedQueue {
    /// Its last record.
    pub record: Arc<QueueRecord>,
    /// How many messages went with it.
    pub messages: u64,
}
