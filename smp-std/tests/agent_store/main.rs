//! What an agent's store on a computer promises.

// A test ends at the first thing that is not as it should be, also in what the tests share.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod crash;
mod damage;
mod growth;
mod owner;
#[path = "../common/program.rs"]
mod program;
mod records;
mod transfer;

use std::path::PathBuf;

use smp_agent::storage::Change;
use smp_std::agent::store::{Cost, Passphrase, SqliteStorage};
use tempfile::TempDir;

/// A folder with room for one store.
struct Fixture {
    folder: TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn create(&self) -> SqliteStorage {
        SqliteStorage::create(&self.path("agent.db"), &passphrase("first")).unwrap()
    }

    fn open(&self) -> SqliteStorage {
        SqliteStorage::open(&self.path("agent.db"), &passphrase("first")).unwrap()
    }

    /// Names of all files in the folder.
    fn files(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }
}

/// The cheapest passphrase there is.
fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text).unwrap().with_cost(Cost::WEAKEST).unwrap()
}

fn put(key: &[u8], value: &[u8]) -> Change {
    Change::Put { key: key.to_vec(), value: value.to_vec() }
}

fn delete(key: &[u8]) -> Change {
    Change::Delete { key: key.to_vec() }
}

/// Reproducible numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn bytes(&mut self, length: u64) -> Vec<u8> {
        (0..length).map(|_| self.below(256) as u8).collect()
    }
}
