//! A store of skipped keys in memory, of fixed size.

use core::convert::Infallible;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::header::HeaderKey;
use super::message_key::MessageKey;
use super::skipped::{SkippedBatch, SkippedKey, SkippedKeys};
use super::{Error, stored};

/// The number of the stored format, its first byte.
const FORMAT: u8 = 1;

/// Room for the keys of `KEYS` messages of up to `CHAINS` chains, 56 bytes for a key and 32 for a chain.
///
/// When it is full the oldest keys are forgotten: their messages, should they still come, cannot be decrypted. A chain is
/// what one party sends until the other answers. Every chain that messages are missing of costs each message that arrives
/// an attempt to decrypt its header; the oldest chain is forgotten with all its keys when there are more than `CHAINS`.
///
/// # Stored form
///
/// Postcard: the format, 1 (`u8`); the number of chains and of keys (`u16` each); the header keys (32 bytes each), oldest
/// first; for each key the index of its chain (`u16`), the number of its message (`u32`), the key (32 bytes) and the
/// initialisation vector (16 bytes), oldest first. What follows is ignored. Formats with another number are refused.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SkippedStore<const KEYS: usize, const CHAINS: usize = 4> {
    chains: [[u8; 32]; CHAINS],
    chain_count: usize,
    keys: [Entry; KEYS],
    key_count: usize,
}

#[derive(Clone, Copy, Default, Zeroize, Serialize, Deserialize)]
struct Entry {
    chain: u16,
    number: u32,
    key: [u8; 32],
    iv: [u8; 16],
}

impl<const KEYS: usize, const CHAINS: usize> core::fmt::Debug for SkippedStore<KEYS, CHAINS> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl<const KEYS: usize, const CHAINS: usize> Default for SkippedStore<KEYS, CHAINS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const KEYS: usize, const CHAINS: usize> SkippedStore<KEYS, CHAINS> {
    /// The longest stored form in bytes.
    pub const MAX_SERIALIZED_LENGTH: usize = 1 + 3 + 3 + 32 * CHAINS + (3 + 5 + 32 + 16) * KEYS;

    /// An empty store.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(KEYS > 0 && CHAINS > 0 && KEYS <= 0xffff && CHAINS <= 0xffff) };
        Self {
            chains: [[0; 32]; CHAINS],
            chain_count: 0,
            keys: [Entry { chain: 0, number: 0, key: [0; 32], iv: [0; 16] }; KEYS],
            key_count: 0,
        }
    }

    /// How many keys are stored.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.key_count
    }

    /// Whether no key is stored.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.key_count == 0
    }

    /// The keys, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = SkippedKey> + '_ {
        self.entries().iter().filter_map(|entry| {
            Some(SkippedKey {
                header_key: HeaderKey::from_bytes(*self.chains.get(usize::from(entry.chain))?),
                number: entry.number,
                key: MessageKey::new(entry.key, entry.iv),
            })
        })
    }

    /// Writes the stored form and gives it. It is as secret as the keys.
    ///
    /// Fails with [`Error::TooLong`] when `out` is too small; [`Self::MAX_SERIALIZED_LENGTH`] is always enough.
    pub fn to_bytes<'b>(&self, out: &'b mut [u8]) -> Result<&'b mut [u8], Error> {
        let count = |count| u16::try_from(count).map_err(|_| Error::Internal);
        let mut writer = stored::Writer::new(out);
        writer.write(&(FORMAT, count(self.chain_count)?, count(self.key_count)?))?;
        self.header_keys().iter().try_for_each(|key| writer.write(key))?;
        self.entries().iter().try_for_each(|entry| writer.write(entry))?;
        writer.finish()
    }

    /// Reads the stored form. Keys that have no room are left out, the oldest first.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = stored::Reader::new(bytes, FORMAT)?;
        let (chain_count, key_count): (u16, u16) = reader.read()?;
        let mut store = Self::new();
        let all_chains = reader.clone();
        for _ in 0..chain_count {
            reader.read::<[u8; 32]>()?;
        }
        for _ in 0..key_count {
            let entry: Entry = reader.read()?;
            let mut chains = all_chains.clone();
            if entry.chain >= chain_count {
                return Err(Error::Stored);
            }
            for _ in 0..entry.chain {
                chains.read::<[u8; 32]>()?;
            }
            store.push(&SkippedKey {
                header_key: HeaderKey::from_bytes(chains.read()?),
                number: entry.number,
                key: MessageKey::new(entry.key, entry.iv),
            });
        }
        Ok(store)
    }

    fn entries(&self) -> &[Entry] {
        self.keys.get(..self.key_count).unwrap_or_default()
    }

    fn header_keys(&self) -> &[[u8; 32]] {
        self.chains.get(..self.chain_count).unwrap_or_default()
    }

    fn position(&self, header_key: &HeaderKey, number: u32) -> Option<usize> {
        let chain = self.chain(header_key)?;
        self.entries().iter().position(|entry| usize::from(entry.chain) == chain && entry.number == number)
    }

    fn chain(&self, header_key: &HeaderKey) -> Option<usize> {
        self.header_keys().iter().position(|key| HeaderKey::from_bytes(*key) == *header_key)
    }

    /// Forgets one key, and its chain when that has no other.
    fn remove_at(&mut self, index: usize) {
        let Some(tail) = self.keys.get_mut(index..self.key_count) else { return };
        let Some(chain) = tail.first().map(|entry| entry.chain) else { return };
        close_gap(tail);
        self.key_count = self.key_count.saturating_sub(1);
        if !self.entries().iter().any(|entry| entry.chain == chain) {
            self.remove_chain(chain);
        }
    }

    /// Forgets a chain that has no key any more.
    fn remove_chain(&mut self, chain: u16) {
        let Some(tail) = self.chains.get_mut(usize::from(chain)..self.chain_count) else { return };
        close_gap(tail);
        self.chain_count = self.chain_count.saturating_sub(1);
        for entry in self.keys.iter_mut().filter(|entry| entry.chain > chain) {
            entry.chain = entry.chain.saturating_sub(1);
        }
    }

    fn push(&mut self, skipped: &SkippedKey) {
        if let Some(index) = self.position(&skipped.header_key, skipped.number) {
            self.remove_at(index);
        }
        if self.key_count == KEYS {
            self.remove_at(0);
        }
        if self.chain(&skipped.header_key).is_none() && self.chain_count == CHAINS {
            while let Some(index) = self.entries().iter().position(|entry| entry.chain == 0)
                && self.chain_count == CHAINS
            {
                self.remove_at(index);
            }
        }
        let chain = self.chain(&skipped.header_key).unwrap_or(self.chain_count);
        let (Some(header_key), Some(entry)) = (self.chains.get_mut(chain), self.keys.get_mut(self.key_count)) else {
            return;
        };
        *header_key = *skipped.header_key.as_bytes();
        *entry = Entry {
            chain: u16::try_from(chain).unwrap_or_default(),
            number: skipped.number,
            key: *skipped.key.key(),
            iv: *skipped.key.iv(),
        };
        self.chain_count = self.chain_count.max(chain.saturating_add(1));
        self.key_count = self.key_count.saturating_add(1);
    }
}

/// Moves all but the first forward by one, and wipes the place that becomes free.
// By swapping, because rotating can panic as far as the compiler knows.
fn close_gap<T: Zeroize>(items: &mut [T]) {
    let mut items = items.iter_mut();
    let Some(mut place) = items.next() else { return };
    for next in items {
        core::mem::swap(place, next);
        place = next;
    }
    place.zeroize();
}

impl<const KEYS: usize, const CHAINS: usize> SkippedKeys for SkippedStore<KEYS, CHAINS> {
    type Error = Infallible;

    fn find_header_key(&mut self, opens: &mut dyn FnMut(&HeaderKey) -> bool) -> Result<Option<HeaderKey>, Infallible> {
        // What is late is most often of the newest chain.
        Ok(self.header_keys().iter().rev().map(|key| HeaderKey::from_bytes(*key)).find(|key| opens(key)))
    }

    fn message_key(&mut self, header_key: &HeaderKey, number: u32) -> Result<Option<MessageKey>, Infallible> {
        let entry = self.position(header_key, number).and_then(|index| self.keys.get(index));
        Ok(entry.map(|entry| MessageKey::new(entry.key, entry.iv)))
    }

    fn remove(&mut self, header_key: &HeaderKey, number: u32) -> Result<(), Infallible> {
        if let Some(index) = self.position(header_key, number) {
            self.remove_at(index);
        }
        Ok(())
    }

    fn store(&mut self, batch: SkippedBatch) -> Result<(), Infallible> {
        let surplus = batch.len().saturating_sub(KEYS);
        batch.skip(surplus).for_each(|skipped| self.push(&skipped));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn key(chain: u8, number: u32) -> SkippedKey {
        SkippedKey {
            header_key: HeaderKey::from_bytes([chain; 32]),
            number,
            key: MessageKey::new([number as u8; 32], [chain; 16]),
        }
    }

    fn numbers<const K: usize, const C: usize>(store: &SkippedStore<K, C>) -> Vec<(u8, u32)> {
        for skipped in store.iter() {
            assert_eq!(skipped.key.key()[0], skipped.number as u8);
            assert_eq!(skipped.key.iv()[0], skipped.header_key.as_bytes()[0]);
        }
        store.iter().map(|key| (key.header_key.as_bytes()[0], key.number)).collect()
    }

    #[test]
    fn the_oldest_keys_and_chains_are_forgotten() {
        let mut store = SkippedStore::<4, 2>::new();
        for (chain, number) in [(1, 0), (1, 1), (2, 0), (1, 2)] {
            store.push(&key(chain, number));
        }
        assert_eq!(numbers(&store), [(1, 0), (1, 1), (2, 0), (1, 2)]);
        store.push(&key(2, 7));
        assert_eq!(numbers(&store), [(1, 1), (2, 0), (1, 2), (2, 7)]);
        // The third chain takes the place of the first, wherever its keys are.
        store.push(&key(3, 5));
        assert_eq!(numbers(&store), [(2, 0), (2, 7), (3, 5)]);
        assert!(store.chain_count == 2 && !store.is_empty());
        // A key that is there is replaced.
        store.push(&key(2, 0));
        assert_eq!(numbers(&store), [(2, 7), (3, 5), (2, 0)]);
        for (chain, number, left) in [(2, 7, 2), (2, 8, 2), (9, 0, 2), (3, 5, 1), (2, 0, 0)] {
            store.remove(&HeaderKey::from_bytes([chain; 32]), number).unwrap();
            assert_eq!(store.len(), left);
        }
        assert!(store.is_empty() && store.chain_count == 0);
        // Nothing is left behind what counts.
        assert!(store.chains.iter().all(|key| *key == [0; 32]));
        assert!(store.keys.iter().all(|entry| entry.key == [0; 32] && entry.iv == [0; 16]));
    }

    #[test]
    fn header_keys_are_found_newest_first() {
        let mut store = SkippedStore::<4>::new();
        for chain in [1, 2, 3] {
            store.push(&key(chain, 0));
        }
        let mut seen = Vec::new();
        let found = store.find_header_key(&mut |key| {
            seen.push(key.as_bytes()[0]);
            key.as_bytes()[0] == 2
        });
        assert_eq!(found.unwrap().unwrap().as_bytes(), &[2; 32]);
        assert_eq!(seen, [3, 2]);
        assert!(store.find_header_key(&mut |_| false).unwrap().is_none());
        assert!(store.message_key(&HeaderKey::from_bytes([2; 32]), 1).unwrap().is_none());
        assert!(store.message_key(&HeaderKey::from_bytes([2; 32]), 0).unwrap().is_some());
    }

    #[test]
    fn a_wiped_store_is_empty() {
        let mut store = SkippedStore::<4, 2>::new();
        for (chain, number) in [(1, 0), (1, 1), (2, 0)] {
            store.push(&key(chain, number));
        }
        store.zeroize();
        assert_eq!((store.len(), store.chain_count), (0, 0));
        assert!(store.chains.iter().all(|key| *key == [0; 32]));
        let none = Entry::default();
        let same = |entry: &Entry| (entry.chain, entry.number, entry.key, entry.iv) == (0, 0, none.key, none.iv);
        assert!(store.keys.iter().all(same));
    }

    #[test]
    fn the_stored_form_reads_back() {
        const LENGTH: usize = SkippedStore::<4, 2>::MAX_SERIALIZED_LENGTH;
        let mut store = SkippedStore::<4, 2>::new();
        for (chain, number) in [(1, u32::MAX), (1, 1), (2, u32::MAX), (2, 2)] {
            store.push(&key(chain, number));
        }
        let mut buffer = [0; LENGTH];
        let bytes = store.to_bytes(&mut buffer).unwrap().to_vec();
        assert_eq!(numbers(&SkippedStore::<4, 2>::from_bytes(&bytes).unwrap()), numbers(&store));
        assert_eq!(numbers(&SkippedStore::<9, 9>::from_bytes(&bytes).unwrap()), numbers(&store));
        assert_eq!(numbers(&SkippedStore::<2, 2>::from_bytes(&bytes).unwrap()), [(2, u32::MAX), (2, 2)]);
        assert_eq!(numbers(&SkippedStore::<4, 1>::from_bytes(&bytes).unwrap()), [(2, u32::MAX), (2, 2)]);
        assert!(SkippedStore::<4, 2>::from_bytes(&[&bytes[..], b"later"].concat()).is_ok());
        for end in 0..bytes.len() {
            assert_eq!(SkippedStore::<4, 2>::from_bytes(&bytes[..end]).err(), Some(Error::Stored));
            assert_eq!(store.to_bytes(&mut buffer[..end]).err(), Some(Error::TooLong));
        }
        let newer = [&[2], &bytes[1..]].concat();
        assert_eq!(SkippedStore::<4, 2>::from_bytes(&newer).err(), Some(Error::NewerFormat));
        assert_eq!(std::format!("{store:?}"), "Secret(..)");
    }
}
