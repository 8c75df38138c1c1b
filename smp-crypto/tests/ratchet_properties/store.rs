//! Stores of skipped keys: one that forgets nothing, the library's own in two sizes, and the failures of a disk.

use std::collections::BTreeMap;

use smp_crypto::ratchet::{HeaderKey, MessageKey, SkippedBatch, SkippedKeys, SkippedStore};

/// A store that has to forget.
pub const SMALL: (usize, usize) = (6, 2);
/// A store that keeps what one message can skip.
pub const LARGE: (usize, usize) = (1024, 8);

type Small = SkippedStore<{ SMALL.0 }, { SMALL.1 }>;
type Large = SkippedStore<{ LARGE.0 }, { LARGE.1 }>;
type Chain = (HeaderKey, BTreeMap<u32, MessageKey>);

pub enum Kind {
    /// Forgets nothing.
    Unlimited(Vec<Chain>),
    Small(Box<Small>),
    Large(Box<Large>),
}

impl Clone for Kind {
    fn clone(&self) -> Self {
        let mut buffer = vec![0; Large::MAX_SERIALIZED_LENGTH];
        match self {
            Self::Unlimited(chains) => Self::Unlimited(chains.clone()),
            Self::Small(store) => {
                Self::Small(Box::new(Small::from_bytes(store.to_bytes(&mut buffer).unwrap()).unwrap()))
            }
            Self::Large(store) => {
                Self::Large(Box::new(Large::from_bytes(store.to_bytes(&mut buffer).unwrap()).unwrap()))
            }
        }
    }
}

/// The step at which a store fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    Find,
    Read,
    Remove,
    Store,
}

/// The disk failed.
#[derive(Debug, PartialEq)]
pub struct Failed;

#[derive(Clone)]
pub struct Store {
    pub kind: Kind,
    pub fails: Option<Step>,
    failed: bool,
}

impl Store {
    pub fn new(kind: Kind) -> Self {
        Self { kind, fails: None, failed: false }
    }

    /// The limits: how many keys, of how many chains.
    pub fn limits(&self) -> Option<(usize, usize)> {
        match &self.kind {
            Kind::Unlimited(_) => None,
            Kind::Small(_) => Some(SMALL),
            Kind::Large(_) => Some(LARGE),
        }
    }

    pub fn len(&self) -> usize {
        match &self.kind {
            Kind::Unlimited(chains) => chains.iter().map(|chain| chain.1.len()).sum(),
            Kind::Small(store) => store.len(),
            Kind::Large(store) => store.len(),
        }
    }

    /// Everything in it.
    pub fn content(&self) -> Vec<u8> {
        let mut buffer = vec![0; Large::MAX_SERIALIZED_LENGTH];
        match &self.kind {
            Kind::Unlimited(chains) => {
                let mut all = Vec::new();
                for (header_key, keys) in chains {
                    all.extend(header_key.as_bytes());
                    all.extend(
                        keys.iter().flat_map(|(number, key)| [&number.to_be_bytes()[..], key.key(), key.iv()].concat()),
                    );
                }
                all
            }
            Kind::Small(store) => {
                let length = Small::MAX_SERIALIZED_LENGTH;
                store.to_bytes(&mut buffer[..length]).unwrap().to_vec()
            }
            Kind::Large(store) => store.to_bytes(&mut buffer).unwrap().to_vec(),
        }
    }

    fn step(&mut self, step: Step) -> Result<(), Failed> {
        self.failed |= self.fails == Some(step);
        if self.fails == Some(step) { Err(Failed) } else { Ok(()) }
    }

    /// Ends the failure, and tells whether it was met.
    pub fn repair(&mut self) -> bool {
        self.fails = None;
        std::mem::take(&mut self.failed)
    }
}

impl SkippedKeys for Store {
    type Error = Failed;

    fn find_header_key(&mut self, opens: &mut dyn FnMut(&HeaderKey) -> bool) -> Result<Option<HeaderKey>, Failed> {
        self.step(Step::Find)?;
        match &mut self.kind {
            Kind::Unlimited(chains) => Ok(chains.iter().map(|chain| &chain.0).find(|key| opens(key)).cloned()),
            Kind::Small(store) => store.find_header_key(opens).map_err(|error| match error {}),
            Kind::Large(store) => store.find_header_key(opens).map_err(|error| match error {}),
        }
    }

    fn message_key(&mut self, header_key: &HeaderKey, number: u32) -> Result<Option<MessageKey>, Failed> {
        self.step(Step::Read)?;
        match &mut self.kind {
            Kind::Unlimited(chains) => {
                let chain = chains.iter().find(|chain| chain.0 == *header_key);
                Ok(chain.and_then(|chain| chain.1.get(&number)).cloned())
            }
            Kind::Small(store) => store.message_key(header_key, number).map_err(|error| match error {}),
            Kind::Large(store) => store.message_key(header_key, number).map_err(|error| match error {}),
        }
    }

    fn remove(&mut self, header_key: &HeaderKey, number: u32) -> Result<(), Failed> {
        self.step(Step::Remove)?;
        match &mut self.kind {
            Kind::Unlimited(chains) => {
                let chain = chains.iter_mut().find(|chain| chain.0 == *header_key).unwrap();
                assert!(chain.1.remove(&number).is_some(), "what is not there is removed");
                chains.retain(|chain| !chain.1.is_empty());
                Ok(())
            }
            Kind::Small(store) => store.remove(header_key, number).map_err(|error| match error {}),
            Kind::Large(store) => store.remove(header_key, number).map_err(|error| match error {}),
        }
    }

    fn store(&mut self, batch: SkippedBatch) -> Result<(), Failed> {
        self.step(Step::Store)?;
        match &mut self.kind {
            Kind::Unlimited(chains) => {
                for skipped in batch {
                    let index = chains.iter().position(|chain| chain.0 == skipped.header_key);
                    let index = index.unwrap_or_else(|| {
                        chains.push((skipped.header_key, BTreeMap::new()));
                        chains.len() - 1
                    });
                    assert!(chains[index].1.insert(skipped.number, skipped.key).is_none(), "a key is stored twice");
                }
                Ok(())
            }
            Kind::Small(store) => store.store(batch).map_err(|error| match error {}),
            Kind::Large(store) => store.store(batch).map_err(|error| match error {}),
        }
    }
}
