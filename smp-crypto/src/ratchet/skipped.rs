//! Keys of messages that did not arrive yet (wire reference of the ratchet, section 11).

use super::Error;
use super::chain::{Chain, ChainKey};
use super::header::HeaderKey;
use super::message_key::MessageKey;

/// How many messages may be missing in a chain when a later one arrives. One message can skip as many in the chain that
/// ended and as many again in its own.
pub const MAX_SKIPPED: u32 = 512;

/// A store for the keys of messages that did not arrive yet.
///
/// The store and the [`Ratchet`](super::Ratchet) belong together: save both in one transaction, when
/// [`Decrypted`](super::Decrypted) says that they changed. A store that is older than its ratchet has lost messages, a
/// ratchet that is older than its store takes messages a second time.
///
/// Keys have no expiry of their own. Every distinct header key costs each message that arrives an attempt to decrypt,
/// so a store should bound how many there are, and forget the oldest.
pub trait SkippedKeys {
    /// Why the store failed.
    type Error;

    /// Calls `opens` with each distinct header key of the store until it answers `true`, and gives that key.
    fn find_header_key(&mut self, opens: &mut dyn FnMut(&HeaderKey) -> bool) -> Result<Option<HeaderKey>, Self::Error>;

    /// The key of message `number` under this header key.
    fn message_key(&mut self, header_key: &HeaderKey, number: u32) -> Result<Option<MessageKey>, Self::Error>;

    /// Forgets the key of message `number` under this header key; its message was decrypted.
    fn remove(&mut self, header_key: &HeaderKey, number: u32) -> Result<(), Self::Error>;

    /// Stores all keys of `batch`, up to twice [`MAX_SKIPPED`], or none of them. A key that is there already is
    /// replaced.
    fn store(&mut self, batch: SkippedBatch) -> Result<(), Self::Error>;
}

/// The key of a message that did not arrive yet.
#[derive(Clone, Debug)]
pub struct SkippedKey {
    /// The key of its header.
    pub header_key: HeaderKey,
    /// Its number in the chain.
    pub number: u32,
    /// The key of its body.
    pub key: MessageKey,
}

/// The keys one message skips, oldest first. Each is derived when it is asked for.
#[derive(Clone, Default)]
pub struct SkippedBatch {
    ended: Option<Gap>,
    current: Option<Gap>,
}

crate::key::secret_debug!(SkippedBatch);

/// Messages that are missing in one chain.
#[derive(Clone)]
pub(super) struct Gap {
    chain: Chain,
    next: u32,
    end: u32,
}

impl SkippedBatch {
    /// What is missing in the chain that ended and in the one that goes on.
    pub(super) fn new(ended: Option<Gap>, current: Gap) -> Self {
        Self { ended, current: Some(current) }
    }
}

impl Iterator for SkippedBatch {
    type Item = SkippedKey;

    fn next(&mut self) -> Option<SkippedKey> {
        let first = self.ended.as_mut().and_then(Gap::next);
        first.or_else(|| self.current.as_mut().and_then(Gap::next))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = [&self.ended, &self.current].into_iter().flatten().map(Gap::len).fold(0, usize::saturating_add);
        (count, Some(count))
    }
}

impl ExactSizeIterator for SkippedBatch {}

impl Gap {
    /// What is missing in front of message `number` of a chain whose next message is `next`.
    pub(super) fn before(number: u32, next: u32, chain: Chain) -> Result<Self, Error> {
        Self::check(number, next)?;
        Ok(Self { chain, next, end: number })
    }

    /// The rule of section 11.
    pub(super) fn check(number: u32, next: u32) -> Result<(), Error> {
        if next > number {
            return Err(match next.saturating_sub(number).saturating_sub(1) {
                0 => Error::Duplicate,
                count => Error::Earlier(count),
            });
        }
        let missing = number.saturating_sub(next);
        if missing > MAX_SKIPPED {
            return Err(Error::TooManySkipped(missing.saturating_add(1)));
        }
        Ok(())
    }

    fn len(&self) -> usize {
        usize::try_from(self.end.saturating_sub(self.next)).unwrap_or(usize::MAX)
    }

    /// The chain behind the gap.
    pub(super) fn cross(&self) -> Result<Chain, Error> {
        let mut chain = self.chain.clone();
        for _ in self.next..self.end {
            chain.key = chain.key.next()?.0;
        }
        Ok(chain)
    }

    fn next(&mut self) -> Option<SkippedKey> {
        if self.next >= self.end {
            return None;
        }
        // The same derivations succeeded when the gap was crossed.
        let (chain, key, _): (ChainKey, _, _) = self.chain.key.next().ok()?;
        let number = self.next;
        self.chain.key = chain;
        self.next = number.saturating_add(1);
        Some(SkippedKey { header_key: self.chain.header_key.clone(), number, key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain() -> Chain {
        Chain { key: ChainKey::from_bytes([1; 32]), header_key: HeaderKey::from_bytes([2; 32]) }
    }

    #[test]
    fn the_rule_has_its_limits_where_the_reference_has_them() {
        let rule = |number, next| Gap::before(number, next, chain()).map(|gap| gap.len());
        assert_eq!(rule(0, 0), Ok(0));
        assert_eq!(rule(7, 7), Ok(0));
        assert_eq!(rule(8, 7), Ok(1));
        assert_eq!(rule(512, 0), Ok(512));
        assert_eq!(rule(513, 0), Err(Error::TooManySkipped(514)));
        assert_eq!(rule(6, 7), Err(Error::Duplicate));
        assert_eq!(rule(5, 7), Err(Error::Earlier(1)));
        assert_eq!(rule(0, 7), Err(Error::Earlier(6)));
        assert_eq!(rule(u32::MAX, 0), Err(Error::TooManySkipped(u32::MAX)));
        assert_eq!(rule(0, u32::MAX), Err(Error::Earlier(u32::MAX - 1)));
        assert_eq!(rule(u32::MAX, u32::MAX - 512), Ok(512));
    }

    #[test]
    fn a_batch_gives_the_keys_of_both_chains_in_order() {
        let ended = Gap::before(5, 3, chain()).unwrap();
        let other = Chain { key: ChainKey::from_bytes([3; 32]), header_key: HeaderKey::from_bytes([4; 32]) };
        let mut batch = SkippedBatch::new(Some(ended.clone()), Gap::before(1, 0, other).unwrap());
        assert_eq!(batch.len(), 3);
        let mut key = chain().key;
        for number in 3..5 {
            let skipped = batch.next().unwrap();
            let (next, expected, _) = key.next().unwrap();
            assert_eq!((skipped.number, skipped.key.key()), (number, expected.key()));
            assert_eq!(skipped.header_key, chain().header_key);
            key = next;
        }
        assert_eq!(ended.cross().unwrap().key.as_bytes(), key.as_bytes());
        let last = batch.next().unwrap();
        assert_eq!((last.number, last.header_key.as_bytes()), (0, &[4; 32]));
        assert_eq!(batch.len(), 0);
        assert!(batch.next().is_none());
        assert_eq!(std::format!("{batch:?} {last:?}").matches("Secret(..)").count(), 3);
    }
}
