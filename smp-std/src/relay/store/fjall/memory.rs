//! When rows that are gathered in memory go to tables on disk.
//!
//! Left alone, the engine (version 3.1) has its background threads do that. Each write that finds too much in memory sends
//! them a message, through a channel of 1,000, and the thread that takes one sends another. A merge of tables that lasts for
//! a thousand commits fills the channel; then that thread waits for room which only it could make. Nothing is written to
//! tables any more, memory and journal grow until there is none left, and no error says so.
//!
//! Here the thread that commits starts it, after each commit. The engine's own limit is out of reach in stores made by this
//! version, and further away than this one in those before.

use fjall::{AbstractTree, Keyspace};

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

    /// Lets the engine's threads write what keyspaces with too much in memory hold. While four earlier writes of a keyspace
    /// are not done, the engine makes the next commit wait.
    pub(super) fn write_out(&self) -> fjall::Result<()> {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use smp_proto::key::{AuthorizationKey, Ed25519PublicKey};

    use super::*;
    use crate::relay::store::backend::Backend;
    use crate::relay::store::fjall::{FjallBackend, FjallOptions};
    use crate::relay::store::{Operation, QueueRecord, SharedSecret};

    #[test]
    fn no_commit_leaves_too_much_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let options = FjallOptions { row_memory_bytes: 1 << 10, body_memory_bytes: 2 << 10, ..FjallOptions::default() };
        let store = FjallBackend::open(folder.path(), &options).unwrap();
        let key = AuthorizationKey::Ed25519(Ed25519PublicKey([1; 32]));
        let mut written = 0;
        for number in 0..100 {
            let before = gathered(&store.queues);
            let record = QueueRecord::new([number; 24], [number + 100; 24], key, SharedSecret::new([2; 32])).into();
            store.apply(&[Operation::CreateQueue { record, link: None }]).unwrap();
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
            batch.commit().unwrap();
            store.memory.write_out().unwrap();
            largest = largest.max(store.database.journal_disk_space().unwrap());
            assert!(largest < 3 * options.journal_bytes, "{largest} bytes after {number} messages");
        }
        assert!(largest > options.journal_bytes / 2, "{largest}");
    }
}
