//! When rows that are gathered in memory go to tables on disk.
//!
//! Left alone, the engine (version 3.1) has its background threads do that. Each write that finds too much in memory sends
//! them a message, through a channel of 1,000, and the thread that takes one sends another. A merge of tables that lasts for
//! a thousand commits fills the channel; then that thread waits for room which only it could make. Nothing is written to
//! tables any more, memory and journal grow until there is none left, and no error says so.
//!
//! Here the thread that commits starts it, after each commit. The engine's own limit is out of reach in stores made by this
//! version, and further away than this one in those before.
//!
//! When the engine's threads fall behind, a commit waits for them. The engine would do that itself, inside a commit, and
//! until they have caught up: also when none of them is left, because a table could not be written. So no commit begins
//! that would get there.

use std::thread;
use std::time::Duration;

use fjall::{AbstractTree, Database, Keyspace, OwnedWriteBatch, PersistMode};

/// Rows of one keyspace that wait to be written, each as many as may be gathered: from so many on no commit begins. With
/// one more the engine would wait at 4, and its thread can add one at any time to shorten the journal.
const SEALED: usize = 3;

/// Tables of one keyspace that wait to be merged: from so many on no commit begins. The engine would wait at 30; until
/// then each of what waits to be written can become one.
const UNMERGED: usize = 26;

/// How long a commit waits before it looks again.
const PAUSE: Duration = Duration::from_millis(10);

/// The keyspaces of a store, each with the bytes that it may gather in memory.
pub(super) struct Memory {
    limits: Vec<(Keyspace, u64)>,
}

impl Memory {
    pub(super) const fn new() -> Self {
        Self { limits: Vec::new() }
    }

    /// A keyspace that is to gather up to about `bytes` in memory.
    pub(super) fn limit(&mut self, keyspace: Keyspace, bytes: u64) -> Keyspace {
        // Stores of earlier versions have `bytes` as the engine's own limit: one commit more must not reach it.
        self.limits.push((keyspace.clone(), bytes / 4 * 3));
        keyspace
    }

    /// Commits rows, once the engine's threads can follow, and has them write what is then too much in memory.
    pub(super) fn commit(&self, database: &Database, batch: OwnedWriteBatch) -> fjall::Result<()> {
        self.wait_for_room(database)?;
        batch.commit()?;
        self.write_out()
    }

    /// Waits until the engine's threads can follow. Fails when one of them has failed.
    pub(super) fn wait_for_room(&self, database: &Database) -> fjall::Result<()> {
        while self.limits.iter().any(|(keyspace, _)| is_behind(keyspace)) {
            // Asked for its error: this is where the engine says that one of its threads has failed.
            database.persist(PersistMode::Buffer)?;
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Lets the engine's threads write what keyspaces with too much in memory hold.
    fn write_out(&self) -> fjall::Result<()> {
        for (keyspace, bytes) in &self.limits {
            if gathered(keyspace) >= *bytes {
                keyspace.rotate_memtable()?;
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn assert_within_limits(&self) {
        for (keyspace, bytes) in &self.limits {
            assert!(gathered(keyspace) < *bytes, "{}: {} bytes", keyspace.name(), gathered(keyspace));
        }
    }
}

fn gathered(keyspace: &Keyspace) -> u64 {
    keyspace.tree.active_memtable().size()
}

fn is_behind(keyspace: &Keyspace) -> bool {
    keyspace.tree.sealed_memtable_count() >= SEALED || keyspace.tree.l0_run_count() >= UNMERGED
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::{Arc, mpsc};

    use smp_proto::key::{AuthorizationKey, Ed25519PublicKey};

    use super::*;
    use crate::relay::store::backend::Backend;
    use crate::relay::store::fjall::{FjallBackend, FjallOptions};
    use crate::relay::store::{Operation, QueueRecord, SharedSecret, StoreError};

    fn create(store: &FjallBackend, number: u8) -> Result<(), StoreError> {
        let key = AuthorizationKey::Ed25519(Ed25519PublicKey([1; 32]));
        let record = QueueRecord::new([number; 24], [number + 100; 24], key, SharedSecret::new([2; 32])).into();
        store.apply(&[Operation::CreateQueue { record, link: None }]).map(drop)
    }

    /// Puts a file where the engine would make tables.
    fn spoil_tables(folder: &Path) {
        for keyspace in std::fs::read_dir(folder.join("keyspaces")).unwrap() {
            let tables = keyspace.unwrap().path().join("tables");
            std::fs::rename(&tables, tables.with_extension("away")).unwrap();
            std::fs::write(&tables, []).unwrap();
        }
    }

    /// Creates queues until it fails. The error, when there is one.
    fn create_until_failure(store: &Arc<FjallBackend>) -> mpsc::Receiver<StoreError> {
        let (sender, receiver) = mpsc::channel();
        let store = Arc::clone(store);
        thread::spawn(move || {
            let error = (0..100).find_map(|number| create(&store, number).err());
            error.map(|error| sender.send(error))
        });
        receiver
    }

    fn assert_waits_then_fails(failure: &mpsc::Receiver<StoreError>, fail: impl FnOnce()) {
        let early = failure.recv_timeout(Duration::from_millis(300));
        assert!(matches!(early, Err(mpsc::RecvTimeoutError::Timeout)), "{early:?}");
        fail();
        let error = failure.recv_timeout(Duration::from_secs(20)).expect("a commit must not wait for ever");
        assert!(matches!(&error, StoreError::Engine(words) if words.contains("Poisoned")), "{error:?}");
    }

    #[test]
    fn a_commit_does_not_wait_for_a_thread_that_failed_to_write() {
        let folder = tempfile::tempdir().unwrap();
        let options = FjallOptions { row_memory_bytes: 4, ..FjallOptions::default() };
        let store = Arc::new(FjallBackend::open(folder.path(), &options).unwrap());
        // The engine's thread stops here.
        let writing = store.queues.tree.get_flush_lock();
        let failure = create_until_failure(&store);
        assert_waits_then_fails(&failure, || {
            assert!(store.queues.tree.sealed_memtable_count() >= SEALED);
            spoil_tables(folder.path());
            drop(writing);
        });
    }

    #[test]
    fn a_commit_does_not_wait_for_a_thread_that_failed_to_merge() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(FjallBackend::open(folder.path(), &FjallOptions::default()).unwrap());
        // The engine's thread knows nothing of these tables, and leaves them as they are.
        for _ in 0..30 {
            for key in [[0xfe; 24], [0xff; 24]] {
                store.queues.insert(key, []).unwrap();
            }
            store.queues.tree.rotate_memtable().unwrap();
            store.queues.tree.flush(&store.queues.tree.get_flush_lock(), 0).unwrap();
        }
        assert_eq!(store.queues.tree.l0_run_count(), 30);
        let failure = create_until_failure(&store);
        assert_waits_then_fails(&failure, || {
            spoil_tables(folder.path());
            store.links.insert([1; 24], []).unwrap();
            store.links.rotate_memtable().unwrap();
        });
    }

    #[test]
    fn no_commit_leaves_too_much_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let options = FjallOptions { row_memory_bytes: 1 << 10, body_memory_bytes: 2 << 10, ..FjallOptions::default() };
        let store = FjallBackend::open(folder.path(), &options).unwrap();
        let mut written = 0;
        for number in 0..100 {
            let before = gathered(&store.queues);
            create(&store, number).unwrap();
            written += usize::from(gathered(&store.queues) < before);
            store.memory.assert_within_limits();
        }
        assert!(written >= 10, "{written}");
        assert_eq!(store.memory.limits.len(), store.database.list_keyspace_names().len(), "each keyspace has a limit");
    }

    /// As fast as the engine can, and with other work on all processors, so that more than a thousand commits pass while
    /// tables are merged. With the engine's own limits, and without `write_out`, each run ends with a journal that only grows.
    #[test]
    #[ignore = "takes a while, and memory for a disk"]
    fn journals_stay_small_while_tables_are_merged() {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let options = FjallOptions::default();
        let store = FjallBackend::open(folder.path(), &options).unwrap();
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 32
        };
        let noise: Vec<u8> = (0..4 << 20).map(|_| random() as u8).collect();
        let mut largest = 0;
        let busy = Arc::new(());
        for _ in 0..8 {
            let busy = Arc::downgrade(&busy);
            thread::spawn(move || while busy.strong_count() > 0 {});
        }
        for number in 0..140_000u64 {
            let start = random() as usize % (noise.len() - 16_000);
            let mut batch = store.database.batch();
            batch.insert(&store.bodies, number.to_be_bytes(), &noise[start..start + 16_000]);
            if let Some(before) = number.checked_sub(50) {
                batch.remove(&store.bodies, before.to_be_bytes());
            }
            batch.insert(&store.states, (number % 50).to_be_bytes(), number.to_be_bytes());
            store.memory.commit(&store.database, batch).unwrap();
            largest = largest.max(store.database.journal_disk_space().unwrap());
            assert!(largest < 3 * options.journal_bytes, "{largest} bytes after {number} messages");
        }
        assert!(largest > options.journal_bytes / 2, "{largest}");
    }
}
