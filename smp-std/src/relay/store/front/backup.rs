//! Backups.

use std::path::Path;

use super::Store;
use crate::relay::store::StoreError;

impl Store {
    /// Copies everything that is durable now to a new store in `folder`, which must not exist or be empty, while commands
    /// go on. Stops with [`StoreError::Io`] when less than `leave_free` bytes are left on the disk of `folder`: 0 when
    /// nothing else needs it. [`StoreError::Engine`] when the store keeps nothing on disk. Reads and writes everything:
    /// call it where blocking is allowed.
    pub fn backup(&self, folder: &Path, leave_free: u64) -> Result<(), StoreError> {
        self.inner.readable()?.backup(folder, leave_free)
    }
}
