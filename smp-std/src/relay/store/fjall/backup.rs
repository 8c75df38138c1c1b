//! A copy of a store that is in use.
//!
//! The engine keeps versions of rows: what was durable at one moment is read through a snapshot and written to a new store,
//! while commands go on. Rows that were deleted before are not in the copy, so it is also a compact one.

use std::io;
use std::path::Path;

use fjall::{Database, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode, Readable};

use super::{FjallBackend, FjallOptions, error};
use crate::relay::disk::free_bytes;
use crate::relay::store::StoreError;

/// Bytes written in one go.
const BATCH_BYTES: usize = 4 << 20;

/// Copies all rows of `database`, as they are now, to a new store in `folder`, which is returned. Stops when less than
/// `leave_free` bytes are left on the disk.
pub(super) fn copy(
    database: &Database,
    folder: &Path,
    options: &FjallOptions,
    leave_free: u64,
) -> Result<FjallBackend, StoreError> {
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
                check_room(folder, leave_free)?;
                write(&target, std::mem::replace(&mut batch, target.database.batch()))?;
                bytes = 0;
            }
        }
        check_room(folder, leave_free)?;
        write(&target, batch)?;
    }
    target.database.persist(PersistMode::SyncAll).map_err(error)?;
    Ok(target)
}

/// Writes rows, and keeps what the copy holds in memory within its limits.
fn write(target: &FjallBackend, batch: OwnedWriteBatch) -> Result<(), StoreError> {
    target.memory.commit(&target.database, batch).map_err(error)
}

fn check_room(folder: &Path, leave_free: u64) -> io::Result<()> {
    let free = free_bytes(folder);
    if free >= leave_free {
        return Ok(());
    }
    let words = format!("{} MiB are left on the disk, and {} MiB are to stay free", free >> 20, leave_free >> 20);
    Err(io::Error::new(io::ErrorKind::StorageFull, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The engine does not write tables by itself: what is not written out stays in memory until the copy is whole.
    #[test]
    fn a_copy_is_not_gathered_in_memory() {
        const ROWS: u64 = 3 * (BATCH_BYTES as u64 >> 16);
        let folder = tempfile::tempdir().unwrap();
        let options =
            FjallOptions { row_memory_bytes: 64 << 10, body_memory_bytes: 1 << 20, ..FjallOptions::default() };
        let store = FjallBackend::open(&folder.path().join("store"), &options).unwrap();
        let mut batch = store.database.batch();
        for number in 0..ROWS {
            batch.insert(&store.bodies, number.to_be_bytes(), vec![1; 64 << 10]);
            batch.insert(&store.headers, number.to_be_bytes(), vec![1; 1 << 10]);
        }
        batch.commit().unwrap();
        let copy = copy(&store.database, &folder.path().join("copy"), &options, 0).unwrap();
        for keyspace in [&copy.bodies, &copy.headers] {
            assert_eq!(keyspace.iter().count() as u64, ROWS);
        }
        copy.memory.assert_within_limits();
    }

    #[test]
    fn a_copy_stops_before_the_disk_is_full() {
        let folder = tempfile::tempdir().unwrap();
        let options = FjallOptions::default();
        let store = FjallBackend::open(&folder.path().join("store"), &options).unwrap();
        let copied = copy(&store.database, &folder.path().join("copy"), &options, free_bytes(folder.path()) * 2);
        let Err(StoreError::Io(error)) = copied else { panic!("copied, or another error") };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
