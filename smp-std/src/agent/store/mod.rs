//! Where an agent's records are on a computer: one SQLite file, encrypted with a passphrase.
//!
//! ```
//! use smp_agent::storage::{APPLICATION, Change};
//! use smp_std::agent::store::{Passphrase, SqliteStorage};
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("agent.db");
//! let passphrase = Passphrase::new("correct horse battery staple")?;
//! let store = SqliteStorage::create(&path, &passphrase)?;
//! // The agent gets one handle; the program keeps another for records of its own.
//! let program = store.clone();
//! program.commit(&[Change::Put { key: vec![APPLICATION, 1], value: b"Alice".to_vec() }])?;
//! assert_eq!(program.get(&[APPLICATION, 1])?.as_deref(), Some(&b"Alice"[..]));
//! # Ok::<(), smp_std::agent::store::StorageError>(())
//! ```
//!
//! # What it promises
//!
//! - **Durable**: when [`commit`](SqliteStorage::commit) returns, all of its changes survive a power cut; before, none or
//!   all do.
//! - **Secret**: values can be read with the passphrase only, and a value that was changed, or moved to another key, is
//!   not taken for one. Keys of records, their number and the lengths of values can be seen by whoever has the file.
//! - **Small**: space of deleted records is used again, and given back to the file system when more than a quarter of the
//!   file (and 4 MiB) is free. What is deleted is overwritten with zeros. On flash memory, and in copies of the file, it
//!   may exist for longer; sealed, but the passphrase opens it.
//! - **One owner**: the file is locked while it is open. A file that another process has open is refused at once.
//!
//! It does not protect from whoever can write to the file and puts back an earlier state of it, or of a record, or takes
//! records away: keep it where only its user can write. Its mode is 0600. An agent that continues from an earlier state
//! repeats keys and message numbers which its peers have seen. That is also why an export is imported in one place only,
//! after which the store it was made from is not used any more.
//!
//! The file is complete after its last handle was dropped; until then the newest records are in a second one, whose name
//! ends in `-wal`. Copy a store with [`export`](SqliteStorage::export), not file by file.
//!
//! All calls block, commits until the disk has what they wrote: call them where tokio permits that
//! ([`block_in_place`](tokio::task::block_in_place), [`spawn_blocking`](tokio::task::spawn_blocking)).
//!
//! # What it costs
//!
//! Opening takes 64 MiB of memory for the moment that the passphrase takes; after that the store takes about 5 MB, whatever
//! is in it. A commit waits for the disk once. As a conversation makes them, two for a message (`cargo bench -p smp-std
//! --bench agent_store`), a commit writes 15 KB for short messages and 41 KB for those of 16,000 bytes, the log, the database
//! and the zeros included; the log has 4 MiB at most as long as no commit is larger.
//!
//! # Format
//!
//! A SQLite database with `application_id` 0x534d5061 and two tables. `header` has one row, the wrapped key; `records` has a
//! row for each record, its value sealed with XChaCha20-Poly1305 under that key: a random nonce of 24 bytes, the sealed value,
//! a tag of 16 bytes; the record's key is the associated data. A header is 106 bytes, numbers in network byte order:
//!
//! | bytes | what |
//! |------:|------|
//! | 1     | version of the format, 1 |
//! | 4     | Argon2id: memory in KiB |
//! | 4     | Argon2id: passes |
//! | 1     | Argon2id: lanes |
//! | 16    | Argon2id: salt |
//! | 24    | nonce |
//! | 48    | the key, sealed with XChaCha20-Poly1305 under what Argon2id makes of the passphrase; associated data are `SMP_agent_store` and an octet of zero (of an export, `SMP_agent_export`), and all that stands before the nonce |
//! | 8     | XXH3 of all that stands before, which tells damage from a wrong passphrase and protects nothing |
//!
//! An export is one file that does not depend on SQLite: the 16 octets `SMP agent export`, a header with a key made for this
//! export alone, and one sealed text in chunks of 65,536 bytes, of which only the last is shorter. Each is sealed with
//! XChaCha20-Poly1305: its nonce is the number of the chunk from 0 on (8 bytes), an octet that is 1 for the last chunk and 0
//! for others, and zeros; there are no associated data. The text is, for each record in the order of the keys: the length of
//! the key (1 byte, 1 to 64), the key, the length of the value (4 bytes), the value; then an octet of zero and the number of
//! records (8 bytes).

mod database;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod key;
mod passphrase;
mod stream;
mod transfer;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use smp_agent::storage::{Change, Record, Storage};

use database::Database;
pub use error::{Part, StorageError};
use key::Purpose;
pub use passphrase::{Cost, Passphrase};

/// An open store. Clones are handles of the same one; it is closed when the last is dropped.
#[derive(Clone)]
pub struct SqliteStorage(Arc<Mutex<Database>>);

impl fmt::Debug for SqliteStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqliteStorage(..)")
    }
}

impl SqliteStorage {
    /// Makes a store with no records. It appears under its name when it is complete; a process that is killed before
    /// leaves a hidden file beside it whose name ends in `.new`.
    ///
    /// # Errors
    /// [`StorageError::Exists`]: there is such a file. Others when it cannot be written.
    pub fn create(path: &Path, passphrase: &Passphrase) -> Result<Self, StorageError> {
        Ok(Self::new(Database::create(path, passphrase, |_| Ok(()))?))
    }

    /// Opens a store.
    ///
    /// # Errors
    /// [`StorageError::NotFound`], [`StorageError::InUse`], [`StorageError::NotAStore`], [`StorageError::NewerFormat`],
    /// [`StorageError::Cost`], [`StorageError::WrongPassphrase`], [`StorageError::Damaged`]; others when it cannot be
    /// read. Records are verified when they are read, not before.
    pub fn open(path: &Path, passphrase: &Passphrase) -> Result<Self, StorageError> {
        Ok(Self::new(Database::open(path, passphrase)?))
    }

    fn new(database: Database) -> Self {
        Self(Arc::new(Mutex::new(database)))
    }

    /// Sets another passphrase. The key that seals the records stays the same: a copy of the file from before opens with
    /// the former passphrase, also what was not in it yet. If somebody may have such a copy, make an export and import it
    /// instead.
    ///
    /// # Errors
    /// [`StorageError::WrongPassphrase`]: `current` is not the passphrase. Others when the store cannot be written.
    pub fn change_passphrase(&self, current: &Passphrase, new: &Passphrase) -> Result<(), StorageError> {
        let header = self.0.lock().header()?;
        let key = key::unwrap_key(Purpose::Store, &header, current)?;
        let header = key::wrap_key(Purpose::Store, &key, new)?;
        self.0.lock().replace_header(&header)
    }

    /// The value of a record.
    ///
    /// # Errors
    /// [`StorageError::Damaged`]: it was changed, or is another record's. Others when it cannot be read.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.0.lock().get(key)
    }

    /// The first `limit` records whose keys begin with `prefix` and are greater than `after`, in the order of their keys.
    ///
    /// # Errors
    /// As of [`get`](Self::get).
    pub fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Record>, StorageError> {
        self.0.lock().scan(prefix, after, limit)
    }

    /// Makes all changes, in their order, or none; when it returns, they are durable. The changes may be the agent's, the
    /// program's (keys from [`APPLICATION`](smp_agent::storage::APPLICATION) on), or both.
    ///
    /// # Errors
    /// [`StorageError::Length`]: a key or value is too long or a key empty; nothing was done. After any other error the
    /// store says [`StorageError::Failed`] to everything until it is opened anew, which shows whether the changes were
    /// made.
    pub fn commit(&self, changes: &[Change]) -> Result<(), StorageError> {
        self.0.lock().commit(changes)
    }

    /// Writes all records as they are at one moment into a new file, which only its owner can read, sealed under a
    /// passphrase of its own. Everything else waits meanwhile. The file appears under its name when it is complete and
    /// durable.
    ///
    /// # Errors
    /// [`StorageError::Exists`]: there is such a file. [`StorageError::Damaged`]: a record is. Others when the file cannot
    /// be written.
    pub fn export(&self, path: &Path, passphrase: &Passphrase) -> Result<(), StorageError> {
        let (key, header) = transfer::prepare(passphrase)?;
        transfer::export(&self.0.lock(), path, key, &header)
    }

    /// Makes a store at `store` of the export at `path`, and opens it. It needs no more memory for a large export than for
    /// a small one, and appears under its name when all of the export was verified.
    ///
    /// # Errors
    /// [`StorageError::Exists`]: there is such a store. [`StorageError::NotAnExport`], [`StorageError::NewerFormat`],
    /// [`StorageError::Cost`], [`StorageError::WrongPassphrase`], [`StorageError::Damaged`]; others when something
    /// cannot be read or written.
    pub fn import(
        path: &Path,
        passphrase: &Passphrase,
        store: &Path,
        new_passphrase: &Passphrase,
    ) -> Result<Self, StorageError> {
        Ok(Self::new(transfer::import(path, passphrase, store, new_passphrase)?))
    }
}

impl Storage for SqliteStorage {
    type Error = StorageError;

    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        Self::get(self, key)
    }

    fn scan(&mut self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Record>, StorageError> {
        Self::scan(self, prefix, after, limit)
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), StorageError> {
        Self::commit(self, changes)
    }
}
