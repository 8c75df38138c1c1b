//! What the unit tests share.

use rand_core::SeedableRng;

/// A random source that gives the same bytes in every run.
pub(crate) fn random(seed: u64) -> rand_chacha::ChaCha20Rng {
    rand_chacha::ChaCha20Rng::seed_from_u64(seed)
}

/// The bytes of a hexadecimal text.
pub(crate) fn bytes<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

/// The bytes that count up from one.
pub(crate) fn numbers<const N: usize>(first: u8) -> [u8; N] {
    core::array::from_fn(|index| first.wrapping_add(index as u8))
}
