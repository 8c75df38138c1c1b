//! What follows from the inputs since the last commit: changed records, requests and events.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Bound;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::event::EventKind;
use crate::id::EventId;
use crate::request::Request;
use crate::storage::{Change, MAX_VALUE_LENGTH, Storage};
use crate::table::Key;

/// The format of all records. A record of another one is of a later release.
const FORMAT: u8 = 1;

/// An event that waits for the application.
#[derive(Debug)]
pub(crate) enum Notice {
    /// In the storage.
    Kept(EventId),
    /// Nowhere else.
    Passing(EventKind),
}

/// Changes in front of a storage, and what may be let out once they are durable.
pub(crate) struct Transaction<S> {
    storage: S,
    changes: Vec<Change>,
    /// Where the last change of each record is.
    index: BTreeMap<Vec<u8>, usize>,
    pub(crate) requests: Vec<Request>,
    pub(crate) notices: Vec<Notice>,
}

/// A point to return to when an input turns out to be refused.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    changes: usize,
    requests: usize,
    notices: usize,
}

/// The bytes of a record.
pub(crate) fn encode<T: Serialize, E>(value: &T) -> Result<Vec<u8>, Error<E>> {
    let bytes = postcard::to_extend(value, Vec::from([FORMAT])).map_err(|_| Error::Record)?;
    if bytes.len() > MAX_VALUE_LENGTH { Err(Error::Record) } else { Ok(bytes) }
}

/// Reads the bytes of a record.
pub(crate) fn decode<T: DeserializeOwned, E>(bytes: &[u8]) -> Result<T, Error<E>> {
    match bytes.split_first() {
        Some((&FORMAT, value)) => postcard::from_bytes(value).map_err(|_| Error::Record),
        _ => Err(Error::Record),
    }
}

impl<S: Storage> Transaction<S> {
    pub(crate) const fn new(storage: S) -> Self {
        Self { storage, changes: Vec::new(), index: BTreeMap::new(), requests: Vec::new(), notices: Vec::new() }
    }

    pub(crate) fn storage(&mut self) -> &mut S {
        &mut self.storage
    }

    pub(crate) fn into_storage(self) -> S {
        self.storage
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark { changes: self.changes.len(), requests: self.requests.len(), notices: self.notices.len() }
    }

    /// Forgets everything since the mark.
    pub(crate) fn roll_back(&mut self, mark: Mark) {
        self.requests.truncate(mark.requests);
        self.notices.truncate(mark.notices);
        if self.changes.len() > mark.changes {
            self.changes.truncate(mark.changes);
            self.index = self.changes.iter().enumerate().map(|(place, change)| (change.key().into(), place)).collect();
        }
    }

    /// The bytes of a record, as changed.
    pub(crate) fn bytes(&mut self, key: &Key) -> Result<Option<Vec<u8>>, Error<S::Error>> {
        self.bytes_of(key.as_bytes())
    }

    /// The bytes of a record whose key was found, as changed.
    pub(crate) fn bytes_of(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Error<S::Error>> {
        match self.index.get(key).and_then(|place| self.changes.get(*place)) {
            Some(Change::Put { value, .. }) => Ok(Some(value.clone())),
            Some(Change::Delete { .. }) => Ok(None),
            None => self.storage.get(key).map_err(Error::Storage),
        }
    }

    /// A record.
    pub(crate) fn get<T: DeserializeOwned>(&mut self, key: &Key) -> Result<Option<T>, Error<S::Error>> {
        self.bytes(key)?.map(|bytes| decode(&bytes)).transpose()
    }

    fn change(&mut self, change: Change) {
        let key = Vec::from(change.key());
        // A record that changes again before the commit is written once.
        self.index.insert(key, self.changes.len());
        self.changes.push(change);
    }

    /// Writes a record.
    pub(crate) fn put<T: Serialize>(&mut self, key: &Key, value: &T) -> Result<(), Error<S::Error>> {
        self.put_bytes(key.as_bytes(), value)
    }

    /// Writes a record whose key was found.
    pub(crate) fn put_bytes<T: Serialize>(&mut self, key: &[u8], value: &T) -> Result<(), Error<S::Error>> {
        let value = encode(value)?;
        self.change(Change::Put { key: key.into(), value });
        Ok(())
    }

    /// Deletes a record.
    pub(crate) fn delete(&mut self, key: &Key) {
        self.delete_bytes(key.as_bytes());
    }

    /// Deletes a record whose key was found.
    pub(crate) fn delete_bytes(&mut self, key: &[u8]) {
        self.change(Change::Delete { key: key.into() });
    }

    /// All records of a table below a prefix that are durable. To be called when nothing waits for a commit.
    pub(crate) fn scan(
        &mut self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<crate::storage::Record>, Error<S::Error>> {
        self.storage.scan(prefix, after, limit).map_err(Error::Storage)
    }

    /// Deletes records whose keys begin with this, of those that are durable at most so many; whether none is left.
    pub(crate) fn delete_all(&mut self, prefix: &[u8], limit: usize) -> Result<bool, Error<S::Error>> {
        let written = self.index.range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded));
        let written = written.map(|(key, _)| key).take_while(|key| key.starts_with(prefix));
        let mut keys: Vec<Vec<u8>> = written.cloned().collect();
        let durable = self.scan(prefix, None, limit)?;
        let all = durable.len() < limit;
        keys.extend(durable.into_iter().map(|(key, _)| key));
        for key in keys {
            self.change(Change::Delete { key });
        }
        Ok(all)
    }

    /// Makes all changes durable.
    pub(crate) fn commit(&mut self) -> Result<(), Error<S::Error>> {
        if self.changes.is_empty() {
            return Ok(());
        }
        let index = core::mem::take(&mut self.index);
        let changes = core::mem::take(&mut self.changes);
        // Of several changes of a record only the last one counts.
        let last = changes.into_iter().enumerate().filter(|(place, change)| index.get(change.key()) == Some(place));
        let changes: Vec<Change> = last.map(|(_, change)| change).collect();
        self.storage.commit(&changes).map_err(Error::Storage)
    }
}
