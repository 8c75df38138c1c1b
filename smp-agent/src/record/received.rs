//! Hashes of messages that were received, in few bytes each: there are as many as messages in three weeks.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::storage::MAX_VALUE_LENGTH;

/// How many octets of a hash are kept, beside the one that chooses the record.
const LENGTH: usize = 7;
/// The most hashes in a record: no value of a storage may be longer.
const MAX_HASHES: usize = MAX_VALUE_LENGTH / (2 + LENGTH) - 16;
/// In how many records the hashes of a connection are.
const RECORDS: u32 = 256;
/// An entry: the day in which the message came, modulo 2^16, and octets of its hash.
type Entry = [u8; 2 + LENGTH];

/// Hashes of messages of one connection that begin with the same octet, oldest first.
///
/// They are salted, so nobody can make one message look like another; that it happens by chance to one of ten million
/// messages among a hundred thousand others has a probability of one in ten million.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct ReceivedHashes(Vec<u8>);

impl ReceivedHashes {
    /// The record that a salted hash belongs to.
    pub(crate) const fn bucket(hash: &[u8; 32]) -> u8 {
        let [bucket, ..] = *hash;
        bucket
    }

    fn octets(hash: &[u8; 32]) -> &[u8] {
        hash.get(1..=LENGTH).unwrap_or_default()
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.as_chunks().0.iter()
    }

    /// Whether a salted hash is among them.
    pub(crate) fn contains(&self, hash: &[u8; 32]) -> bool {
        let octets = Self::octets(hash);
        self.entries().any(|[_, _, known @ ..]| known == octets)
    }

    /// Adds a salted hash of this day. The oldest are forgotten when so many messages of the connection are remembered.
    pub(crate) fn insert(&mut self, hash: &[u8; 32], day: u32, remembered: u32) {
        let most = usize::try_from(remembered / RECORDS).unwrap_or(MAX_HASHES).clamp(1, MAX_HASHES);
        let excess = self.entries().count().saturating_add(1).saturating_sub(most);
        self.0.drain(..excess.saturating_mul(2 + LENGTH).min(self.0.len()));
        let [_, _, high, low] = day.to_be_bytes();
        self.0.extend([high, low]);
        self.0.extend(Self::octets(hash));
    }

    /// Forgets what came before this day; whether there was any. They are in order, as days only go on.
    pub(crate) fn forget_before(&mut self, day: u32) -> bool {
        let [_, _, high, low] = day.to_be_bytes();
        let first = u16::from_be_bytes([high, low]);
        // Days wrap after 179 years; half of that is the past.
        let is_old = |[high, low, ..]: &&Entry| u16::from_be_bytes([*high, *low]).wrapping_sub(first) > u16::MAX / 2;
        let old = self.entries().take_while(is_old).count();
        self.0.drain(..old.saturating_mul(2 + LENGTH).min(self.0.len()));
        old > 0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_found_until_they_are_old() {
        let hash = |number: u8| {
            let mut hash = [9; 32];
            hash[7] = number;
            hash
        };
        let mut hashes = ReceivedHashes::default();
        // Over the day on which the days wrap.
        for number in 0..100 {
            hashes.insert(&hash(number), 65_500 + u32::from(number), u32::MAX);
        }
        assert_eq!(hashes.0.len(), 900);
        assert!((0..100).all(|number| hashes.contains(&hash(number))) && !hashes.contains(&hash(100)));
        assert!(!hashes.forget_before(65_500));
        assert!(hashes.forget_before(65_540));
        assert!(!hashes.contains(&hash(39)) && hashes.contains(&hash(40)));
        assert!(hashes.forget_before(65_600) && hashes.is_empty());
        assert!(!hashes.forget_before(65_601));
        assert_eq!(ReceivedHashes::bucket(&[5; 32]), 5);
    }

    #[test]
    fn no_flood_makes_a_record_too_long() {
        let hash = |number: u32| {
            let mut hash = [9; 32];
            hash[4..8].copy_from_slice(&number.to_be_bytes());
            hash
        };
        for (remembered, most) in [(0, 1), (256 * 50, 50), (u32::MAX, 7_000)] {
            let mut hashes = ReceivedHashes::default();
            for number in 0..10_000 {
                hashes.insert(&hash(number), 1, remembered);
            }
            let kept = (0..10_000).filter(|number| hashes.contains(&hash(*number))).count();
            assert!(kept >= most && kept <= most + 300, "{kept} of {most}");
            assert!(hashes.contains(&hash(9_999)) && !hashes.contains(&hash(0)));
            assert!(crate::transaction::encode::<_, core::convert::Infallible>(&hashes).is_ok());
        }
    }
}
