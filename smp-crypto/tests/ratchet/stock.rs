//! Keys that were made when there was time.

use std::cell::Cell;
use std::convert::Infallible;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, TryCryptoRng, TryRng};
use smp_crypto::ratchet::{KeyStock, NewKeys};
use smp_crypto::sntrup761::SecretKey;

use crate::common::random;

/// A random source that counts what is drawn from it.
struct Counted<'a>(ChaCha20Rng, &'a Cell<usize>);

impl TryRng for Counted<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.1.set(self.1.get() + 4);
        Ok(self.0.next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.1.set(self.1.get() + 8);
        Ok(self.0.next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.1.set(self.1.get() + bytes.len());
        self.0.fill_bytes(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Counted<'_> {}

#[test]
fn keys_in_stock_are_used_before_new_ones_are_made() {
    let drawn = Cell::new(0);
    let mut stock = KeyStock::<_, 2>::new(Counted(random(1), &drawn), true);
    for more in [true, true, true, false, false] {
        assert_eq!(stock.refill(), more);
    }
    assert!(drawn.take() > 2 * 56 + 2 * 761);
    let mut secret = SecretKey::zeroed();
    for _ in 0..2 {
        drop(stock.key_pair());
        stock.encapsulation_key(&mut secret);
    }
    assert_eq!(drawn.get(), 0);
    drop(stock.key_pair());
    assert_eq!(drawn.take(), 56);
    stock.encapsulation_key(&mut secret);
    assert!(drawn.get() > 761);
    assert!(stock.refill());
}
