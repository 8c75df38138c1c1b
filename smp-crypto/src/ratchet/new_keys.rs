//! Where the ratchet takes new keys from.

use rand_core::CryptoRng;
use zeroize::Zeroize;

use super::key_pair::KeyPair;
use crate::key::X448SecretKey;
use crate::sntrup761::{self, CIPHERTEXT_LENGTH, PUBLIC_KEY_LENGTH, SecretKey, SharedSecret};

/// Gives the ratchet new keys. Every [`CryptoRng`] does; a [`KeyStock`] does it from what was made before.
///
/// All of them must come from a good random source, and no key may be given twice. A panic in the middle would leave a
/// ratchet that is of no use.
pub trait NewKeys {
    /// A new pair for key agreement.
    fn key_pair(&mut self) -> KeyPair;

    /// A new secret key for encapsulation.
    fn encapsulation_key(&mut self, secret: &mut SecretKey);

    /// Encapsulates a new secret to the peer's key.
    fn encapsulate(&mut self, key: &[u8; PUBLIC_KEY_LENGTH], ciphertext: &mut [u8; CIPHERTEXT_LENGTH]) -> SharedSecret;
}

impl<R: CryptoRng> NewKeys for R {
    fn key_pair(&mut self) -> KeyPair {
        KeyPair::new(X448SecretKey::generate(self))
    }

    fn encapsulation_key(&mut self, secret: &mut SecretKey) {
        sntrup761::generate_in_place(self, secret);
    }

    fn encapsulate(&mut self, key: &[u8; PUBLIC_KEY_LENGTH], ciphertext: &mut [u8; CIPHERTEXT_LENGTH]) -> SharedSecret {
        sntrup761::encapsulate(self, key, ciphertext)
    }
}

/// Up to `N` keys of each kind that were made when there was time. A device pays tens of millions of instructions for one.
///
/// A step of the ratchet takes one key pair, and one encapsulation key when encapsulation is in use. When there is none
/// left, it is made at once. Each encapsulation key takes 1763 bytes.
pub struct KeyStock<R, const N: usize> {
    random: R,
    key_pairs: [KeyPair; N],
    key_pair_count: usize,
    encapsulation_keys: [SecretKey; N],
    encapsulation_key_count: usize,
    encapsulation: bool,
}

impl<R, const N: usize> core::fmt::Debug for KeyStock<R, N> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl<R, const N: usize> zeroize::ZeroizeOnDrop for KeyStock<R, N> {}

impl<R: CryptoRng, const N: usize> KeyStock<R, N> {
    /// An empty stock. Encapsulation keys are kept in it only when `encapsulation` is set.
    pub fn new(random: R, encapsulation: bool) -> Self {
        Self {
            random,
            key_pairs: [const { KeyPair::EMPTY }; N],
            key_pair_count: 0,
            encapsulation_keys: [const { SecretKey::zeroed() }; N],
            encapsulation_key_count: 0,
            encapsulation,
        }
    }

    /// Makes one key, and tells whether there is room for more. To be called while there is nothing else to do.
    pub fn refill(&mut self) -> bool {
        if let Some(empty) = self.key_pairs.get_mut(self.key_pair_count) {
            *empty = self.random.key_pair();
            self.key_pair_count = self.key_pair_count.saturating_add(1);
        } else if self.encapsulation
            && let Some(empty) = self.encapsulation_keys.get_mut(self.encapsulation_key_count)
        {
            sntrup761::generate_in_place(&mut self.random, empty);
            self.encapsulation_key_count = self.encapsulation_key_count.saturating_add(1);
        }
        self.key_pair_count < N || (self.encapsulation && self.encapsulation_key_count < N)
    }
}

impl<R: CryptoRng, const N: usize> NewKeys for KeyStock<R, N> {
    fn key_pair(&mut self) -> KeyPair {
        let Some(last) = self.key_pair_count.checked_sub(1) else { return self.random.key_pair() };
        self.key_pair_count = last;
        // What is replaced leaves nothing behind.
        let taken = self.key_pairs.get_mut(last).map(|pair| core::mem::replace(pair, KeyPair::EMPTY));
        taken.unwrap_or_else(|| self.random.key_pair())
    }

    fn encapsulation_key(&mut self, secret: &mut SecretKey) {
        let last = self.encapsulation_key_count.saturating_sub(1);
        match self.encapsulation_keys.get_mut(last) {
            Some(key) if self.encapsulation_key_count > 0 => {
                secret.set_bytes(key.as_bytes());
                key.zeroize();
                self.encapsulation_key_count = last;
            }
            _ => sntrup761::generate_in_place(&mut self.random, secret),
        }
    }

    fn encapsulate(&mut self, key: &[u8; PUBLIC_KEY_LENGTH], ciphertext: &mut [u8; CIPHERTEXT_LENGTH]) -> SharedSecret {
        sntrup761::encapsulate(&mut self.random, key, ciphertext)
    }
}
