//! Links: what comes of setting and removing their data, and of securing a queue by its link.

use crate::relay::store::link_data::LinkData;

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

/// What came of securing a queue by its link (LKEY; wire reference, 7.3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SecuringByLink {
    /// The queue has this sender's key, and its link this data.
    Secured {
        /// Whether the key is set now.
        first: bool,
        /// The data at the moment at which the queue was found to have the key.
        data: LinkData,
    },
    /// Another key is set and stays.
    OtherKey,
    /// There is no such queue, or it has not this link.
    NotFound,
}
