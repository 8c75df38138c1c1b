//! Backups.

use std::path::Path;

use super::Store;
use crate::relay::store::StoreError;

impl Store {
    /// Copies everything that is durable now to a new store in `folder`, which must not exist or be empty, while commands
    /// go on. [`StoreError::Engine`] when the store keeps nothing on disk. Reads and writes everything: call it where
    /// blocking is allowed.
    pub fn backup(&self, folder: &Path) -> Result<(), StoreError> {
        self.inner.readable()?.backup(folder)
    }
}
