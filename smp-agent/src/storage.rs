//! Where an agent keeps what must survive a restart.
//!
//! [`Storage`] is a sorted map from short keys to values with one way to change it: [`commit`](Storage::commit) makes all
//! changes of a batch or none, and they are durable when it returns. The agent makes one batch of everything that follows
//! from what it was given, and lets nothing out (no command to a relay, no event) before the batch is committed. A
//! process that is cut off at any moment therefore continues from the last commit and repeats what had been let out after
//! it, which every procedure allows.
//!
//! Keys hold nothing that needs protection: the number of a table, random identifiers that only this agent knows, counters
//! and salted hashes. Values hold everything else, secret keys and messages among it: a storage on disk encrypts them.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::ops::Bound;

/// First octet of keys that are left to the program around the agent, for its contacts and history.
pub const APPLICATION: u8 = 0x80;
/// Length of the longest key in bytes.
pub const MAX_KEY_LENGTH: usize = 64;
/// Length of the longest value in bytes: two messages and what belongs to them.
pub const MAX_VALUE_LENGTH: usize = 65_536;

/// A change of one record.
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    /// The record has this value from now on.
    Put {
        /// The record's key, 1 to [`MAX_KEY_LENGTH`] bytes.
        key: Vec<u8>,
        /// Its value, up to [`MAX_VALUE_LENGTH`] bytes.
        value: Vec<u8>,
    },
    /// There is no such record any more; it need not have existed.
    Delete {
        /// The record's key.
        key: Vec<u8>,
    },
}

impl core::fmt::Debug for Change {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Put { key, value } => write!(f, "Put({} bytes, {} bytes)", key.len(), value.len()),
            Self::Delete { key } => write!(f, "Delete({} bytes)", key.len()),
        }
    }
}

impl Change {
    /// The record that is changed.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

/// A record: its key and its value.
pub type Record = (Vec<u8>, Vec<u8>);

/// A sorted map that outlives the process.
pub trait Storage {
    /// Why the storage failed. An agent whose storage fails stops; it goes on when it is made anew from a storage that
    /// works.
    type Error: core::error::Error;

    /// The value of a record.
    ///
    /// # Errors
    /// The storage cannot be read.
    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Self::Error>;

    /// The first `limit` records whose keys begin with `prefix` and are greater than `after`, in the order of their keys.
    ///
    /// # Errors
    /// The storage cannot be read.
    fn scan(&mut self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Record>, Self::Error>;

    /// Makes all changes, in their order, or none; when it returns, they are durable.
    ///
    /// # Errors
    /// The storage cannot be written. Nothing may be said then of whether the changes were made, until it is opened anew.
    fn commit(&mut self, changes: &[Change]) -> Result<(), Self::Error>;
}

/// Records in memory, for tests and for agents that shall forget everything.
#[derive(Clone, Default)]
pub struct MemoryStorage {
    records: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl core::fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "MemoryStorage({} records)", self.records.len())
    }
}

impl MemoryStorage {
    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The bytes of all keys and values.
    #[must_use]
    pub fn size(&self) -> usize {
        self.records.iter().map(|(key, value)| key.len().saturating_add(value.len())).sum()
    }
}

impl Storage for MemoryStorage {
    type Error = Infallible;

    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.records.get(key).cloned())
    }

    fn scan(&mut self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Record>, Infallible> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let records = self.records.range::<[u8], _>((start, Bound::Unbounded));
        let records = records.take_while(|(key, _)| key.starts_with(prefix));
        Ok(records.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), Infallible> {
        for change in changes {
            match change {
                Change::Put { key, value } => drop(self.records.insert(key.clone(), value.clone())),
                Change::Delete { key } => drop(self.records.remove(key)),
            }
        }
        Ok(())
    }
}
