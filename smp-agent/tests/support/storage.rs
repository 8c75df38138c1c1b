//! A storage that fails at a moment of the test's choice.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use smp_agent::storage::{Change, MAX_KEY_LENGTH, MAX_VALUE_LENGTH, MemoryStorage, Record, Storage};

/// When a storage fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// When this commit is asked for, counted from 1: it does not happen.
    Before(u64),
    /// When this commit has happened: its caller learns of a failure all the same.
    After(u64),
    /// At this read, counted from 1.
    Read(u64),
}

/// The storage failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Whether the changes of a commit were made.
    pub committed: bool,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.committed { "cut after a commit" } else { "cut" })
    }
}

impl std::error::Error for Failed {}

#[derive(Default)]
struct Inner {
    memory: MemoryStorage,
    commits: u64,
    reads: u64,
    cut: Option<Cut>,
    failed: Option<Failed>,
    /// Messages that were stored to be sent, as they were first.
    outgoing: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The table of messages that wait to be sent.
const OUTGOING: u8 = 7;

impl Inner {
    fn remember_outgoing(&mut self, changes: &[Change]) {
        for change in changes {
            let Change::Put { key, value } = change else { continue };
            if key[0] == OUTGOING && !self.outgoing.iter().any(|(known, _)| known == key) {
                self.outgoing.push((key.clone(), value.clone()));
            }
        }
    }
}

/// Records in memory, shared by all clones; fails once at a [`Cut`], and from then on until it is opened anew.
#[derive(Clone, Default)]
pub struct CuttingStorage(Rc<RefCell<Inner>>);

impl CuttingStorage {
    /// Fails at this moment, counted from the beginning.
    pub fn cut(&self, cut: Option<Cut>) {
        self.0.borrow_mut().cut = cut;
    }

    /// How many commits there were.
    pub fn commits(&self) -> u64 {
        self.0.borrow().commits
    }

    /// How many reads there were.
    pub fn reads(&self) -> u64 {
        self.0.borrow().reads
    }

    /// How it failed.
    pub fn failed(&self) -> Option<Failed> {
        self.0.borrow().failed
    }

    /// Works again, as after a restart.
    pub fn reopen(&self) {
        self.0.borrow_mut().failed = None;
    }

    /// Messages that were stored to be sent since this was asked for last.
    pub fn take_outgoing(&self) -> Vec<Vec<u8>> {
        let mut inner = self.0.borrow_mut();
        inner.outgoing.iter_mut().map(|(_, value)| std::mem::take(value)).filter(|value| !value.is_empty()).collect()
    }

    /// What it holds now.
    pub fn copy(&self) -> MemoryStorage {
        self.0.borrow().memory.clone()
    }

    /// Holds what it held once, as a computer does whose backup was restored.
    pub fn replace(&self, memory: MemoryStorage) {
        let mut inner = self.0.borrow_mut();
        inner.memory = memory;
        // Numbers of messages are given anew.
        inner.outgoing.clear();
    }

    fn read<T>(&self, read: impl FnOnce(&mut MemoryStorage) -> T) -> Result<T, Failed> {
        let mut inner = self.0.borrow_mut();
        inner.reads += 1;
        if inner.cut == Some(Cut::Read(inner.reads)) {
            inner.failed = Some(Failed { committed: false });
        }
        match inner.failed {
            Some(failed) => Err(failed),
            None => Ok(read(&mut inner.memory)),
        }
    }
}

impl Storage for CuttingStorage {
    type Error = Failed;

    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Failed> {
        self.read(|memory| memory.get(key).unwrap())
    }

    fn scan(&mut self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Record>, Failed> {
        self.read(|memory| memory.scan(prefix, after, limit).unwrap())
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), Failed> {
        let mut inner = self.0.borrow_mut();
        if let Some(failed) = inner.failed {
            return Err(failed);
        }
        for change in changes {
            assert!((1..=MAX_KEY_LENGTH).contains(&change.key().len()), "a key of {} bytes", change.key().len());
            if let Change::Put { value, .. } = change {
                assert!(value.len() <= MAX_VALUE_LENGTH, "a value of {} bytes", value.len());
            }
        }
        inner.commits += 1;
        let number = inner.commits;
        let failed = match inner.cut {
            Some(Cut::Before(cut)) if cut == number => Some(Failed { committed: false }),
            Some(Cut::After(cut)) if cut == number => Some(Failed { committed: true }),
            _ => None,
        };
        inner.failed = failed;
        if failed.is_none_or(|failed| failed.committed) {
            inner.remember_outgoing(changes);
            inner.memory.commit(changes).unwrap();
        }
        failed.map_or(Ok(()), Err)
    }
}
