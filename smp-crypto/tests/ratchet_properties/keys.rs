//! New keys at a price that lets many schedules run.

use std::sync::LazyLock;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use smp_crypto::ratchet::{KeyPair, NewKeys};
use smp_crypto::sntrup761::{SECRET_KEY_LENGTH, SecretKey, SharedSecret};

/// Encapsulation keys, made once: they cost more than everything else. That two schedules have the same ones shows nothing
/// and hides nothing; inside a schedule one of another turn has to be wrong, so there are more than a schedule has turns.
static ENCAPSULATION_KEYS: LazyLock<Vec<[u8; SECRET_KEY_LENGTH]>> = LazyLock::new(|| {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let make = |_| {
        let mut secret = SecretKey::zeroed();
        NewKeys::encapsulation_key(&mut random, &mut secret);
        *secret.as_bytes()
    };
    (0..32).map(make).collect()
});

pub struct Keys {
    random: ChaCha8Rng,
    next: usize,
}

impl Keys {
    pub fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let next = random.next_u32() as usize;
        Self { random, next }
    }
}

impl NewKeys for Keys {
    fn key_pair(&mut self) -> KeyPair {
        self.random.key_pair()
    }

    fn encapsulation_key(&mut self, secret: &mut SecretKey) {
        self.next = self.next.wrapping_add(1);
        *secret = SecretKey::from_bytes(ENCAPSULATION_KEYS[self.next % ENCAPSULATION_KEYS.len()]);
    }

    fn encapsulate(&mut self, key: &[u8; 1158], ciphertext: &mut [u8; 1039]) -> SharedSecret {
        self.random.encapsulate(key, ciphertext)
    }
}
