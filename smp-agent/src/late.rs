//! Keys of messages that did not arrive yet, of one connection.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use smp_crypto::ratchet::{HeaderKey, MessageKey, SkippedBatch, SkippedKeys};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// How many keys are kept: the most one message can skip. The oldest go first.
const MAX_KEYS: usize = 1_024;
/// How many chains may have keys: each costs every message that belongs to none of the current chains an attempt.
const MAX_CHAINS: usize = 16;

/// Keys of one chain, oldest first.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct LateChain {
    header_key: [u8; 32],
    keys: Vec<LateKey>,
}

#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct LateKey {
    number: u32,
    key: [u8; 32],
    iv: [u8; 16],
}

/// The keys, oldest chain first.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct LateKeys {
    chains: Vec<LateChain>,
}

impl LateKeys {
    pub(crate) fn is_empty(&self) -> bool {
        self.chains.is_empty()
    }

    fn len(&self) -> usize {
        self.chains.iter().map(|chain| chain.keys.len()).sum()
    }

    fn forget_oldest(&mut self) {
        if let Some(chain) = self.chains.first_mut() {
            if !chain.keys.is_empty() {
                chain.keys.remove(0);
            }
            if chain.keys.is_empty() {
                self.chains.remove(0);
            }
        }
    }
}

impl SkippedKeys for LateKeys {
    type Error = core::convert::Infallible;

    fn find_header_key(&mut self, opens: &mut dyn FnMut(&HeaderKey) -> bool) -> Result<Option<HeaderKey>, Self::Error> {
        Ok(self.chains.iter().map(|chain| HeaderKey::from_bytes(chain.header_key)).find(|key| opens(key)))
    }

    fn message_key(&mut self, header_key: &HeaderKey, number: u32) -> Result<Option<MessageKey>, Self::Error> {
        let chain = self.chains.iter().find(|chain| chain.header_key == *header_key.as_bytes());
        let key = chain.and_then(|chain| chain.keys.iter().find(|key| key.number == number));
        Ok(key.map(|key| MessageKey::new(key.key, key.iv)))
    }

    fn remove(&mut self, header_key: &HeaderKey, number: u32) -> Result<(), Self::Error> {
        for chain in &mut self.chains {
            if chain.header_key == *header_key.as_bytes() {
                chain.keys.retain(|key| key.number != number);
            }
        }
        self.chains.retain(|chain| !chain.keys.is_empty());
        Ok(())
    }

    fn store(&mut self, batch: SkippedBatch) -> Result<(), Self::Error> {
        for skipped in batch {
            let header_key = *skipped.header_key.as_bytes();
            let late = LateKey { number: skipped.number, key: *skipped.key.key(), iv: *skipped.key.iv() };
            match self.chains.iter_mut().find(|chain| chain.header_key == header_key) {
                Some(chain) => {
                    chain.keys.retain(|key| key.number != late.number);
                    chain.keys.push(late);
                }
                None => self.chains.push(LateChain { header_key, keys: Vec::from([late]) }),
            }
        }
        while self.chains.len() > MAX_CHAINS {
            self.chains.remove(0);
        }
        while self.len() > MAX_KEYS {
            self.forget_oldest();
        }
        Ok(())
    }
}
