//! The data of a link (wire reference, sections 7.3 and 13.2).

use std::fmt;

use bytes::Bytes;

/// The two encrypted parts of link data, opaque to the relay. Kept apart from the queue's record, which stays small.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkData {
    /// The part that never changes; its hash is in the link.
    pub fixed: Bytes,
    /// The part its owner may replace.
    pub user: Bytes,
}

impl LinkData {
    /// How many bytes both parts have.
    #[must_use]
    pub fn length(&self) -> usize {
        self.fixed.len().saturating_add(self.user.len())
    }
}

impl fmt::Debug for LinkData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkData({} bytes)", self.length())
    }
}
