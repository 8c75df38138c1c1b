//! Links: what comes of setting and removing their data.

/// What came of setting link data (LSET; wire reference, 7.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkSetting {
    /// It is set.
    Set,
    /// The queue is secured and not for many senders: nobody needs its link any more.
    Secured,
    /// The queue has a link with another id, which stays.
    OtherLink,
    /// The queue has link data with another fixed part, which stays.
    OtherFixedData,
    /// Another queue has the link id, or had it and was deleted not long ago.
    IdTaken,
    /// There is no such queue.
    NotFound,
}

/// What came of removing link data (LDEL).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkDeletion {
    /// There is none any more, or there was none.
    Deleted,
    /// There is no such queue.
    NotFound,
}
