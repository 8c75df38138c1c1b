//! A copy of a store that is in use.
//!
//! The engine keeps versions of rows: what was durable at one moment is read through a snapshot and written to a new store,
//! while commands go on. Rows that were deleted before are not in the copy, so it is also a compact one.

use std::path::Path;

use fjall::{Database, KeyspaceCreateOptions, PersistMode, Readable};

use super::{FjallBackend, FjallOptions, error};
use crate::relay::store::StoreError;

/// Bytes written in one go.
const BATCH_BYTES: usize = 4 << 20;

/// Copies all rows of `database`, as they are now, to a new store in `folder`.
pub(super) fn copy(database: &Database, folder: &Path, options: &FjallOptions) -> Result<(), StoreError> {
    let snapshot = database.snapshot();
    // Made by the same code as any new store, so that its keyspaces have their options.
    let target = FjallBackend::open(folder, options)?;
    for name in database.list_keyspace_names() {
        let from = database.keyspace(&name, KeyspaceCreateOptions::default).map_err(error)?;
        let to = target.database.keyspace(&name, KeyspaceCreateOptions::default).map_err(error)?;
        let (mut batch, mut bytes) = (target.database.batch(), 0usize);
        for row in snapshot.iter(&from) {
            let (key, value) = row.into_inner().map_err(error)?;
            bytes = bytes.saturating_add(key.len()).saturating_add(value.len());
            batch.insert(&to, key, value);
            if bytes >= BATCH_BYTES {
                let full = std::mem::replace(&mut batch, target.database.batch());
                full.commit().map_err(error)?;
                target.memory.write_out().map_err(error)?;
                bytes = 0;
            }
        }
        batch.commit().map_err(error)?;
    }
    target.database.persist(PersistMode::SyncAll).map_err(error)
}
