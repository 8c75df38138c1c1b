//! What a relay verifies with where an entity has no key.

use core::hint::black_box;

use rand_core::CryptoRng;
use smp_proto::key::{Ed448PublicKey, Ed25519PublicKey, X25519PublicKey};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::key::{ED25519_SIGNATURE_LENGTH, secret_debug};

pub(super) const DUMMY_ED25519: Ed25519PublicKey = Ed25519PublicKey([
    0xd7, 0x7f, 0x4e, 0xaa, 0xce, 0x10, 0x82, 0x9a, 0x9b, 0x02, 0x60, 0x74, 0xa3, 0xba, 0xd9, 0x7f, 0xa4, 0xf5, 0xf6,
    0xbc, 0xa5, 0xec, 0x4e, 0xb9, 0x93, 0x80, 0x18, 0x7b, 0x49, 0x04, 0xdd, 0x0b,
]);
pub(super) const DUMMY_ED448: Ed448PublicKey = Ed448PublicKey([
    0xea, 0x26, 0xd0, 0x73, 0xd5, 0xe9, 0x91, 0x22, 0xed, 0xc2, 0xb7, 0xfb, 0x3c, 0xbb, 0xe9, 0xf3, 0x5a, 0x96, 0xfd,
    0xeb, 0x62, 0xba, 0x67, 0x24, 0x54, 0x52, 0x26, 0x08, 0xc4, 0x5d, 0x7e, 0xd7, 0x06, 0xfd, 0x7a, 0x29, 0x6c, 0xe4,
    0x9a, 0xab, 0xda, 0xb2, 0x2e, 0x1a, 0xe0, 0x25, 0x62, 0x8e, 0x2f, 0x23, 0x6b, 0x40, 0xf3, 0x55, 0xbe, 0x93, 0x00,
]);
pub(super) const DUMMY_X25519: X25519PublicKey = X25519PublicKey([
    0xe0, 0x91, 0x92, 0x31, 0x88, 0x6d, 0xd7, 0xc1, 0xf8, 0x99, 0xab, 0x3f, 0x8c, 0x77, 0x81, 0xc1, 0xf7, 0x0c, 0xee,
    0x32, 0xf0, 0x35, 0x82, 0x4d, 0x38, 0x08, 0x62, 0xdb, 0xf8, 0x38, 0x45, 0x78,
]);

/// A relay's secret part of verifying with keys that do not exist. 32 bytes, made when the relay starts and wiped when
/// dropped.
///
/// Verifying an Ed25519 signature takes a time that varies by a microsecond or so with the key and with what was signed, in
/// a way that everybody can compute who knows both. The dummy key stands in the source. Signatures whose verification by the
/// dummy is known to be quick or slow would tell that it was the dummy that verified, and that there is no such entity; with
/// this secret in place of a part of the signature nobody knows. The other kinds of authorization are verified in constant
/// time.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Decoy([u8; 32]);

secret_debug!(Decoy);

impl Decoy {
    #[cfg(test)]
    pub(crate) const TEST: Self = Self([5; 32]);

    /// A new one.
    pub fn generate<R: CryptoRng + ?Sized>(random: &mut R) -> Self {
        let mut decoy = Self([0; 32]);
        random.fill_bytes(&mut decoy.0);
        decoy
    }

    /// A signature that takes as long to verify as any, and nobody knows how long. It fits nothing.
    pub(super) fn blind(&self, signature: &[u8; ED25519_SIGNATURE_LENGTH]) -> [u8; ED25519_SIGNATURE_LENGTH] {
        let mut blinded = *signature;
        // The first half is hashed and then compared with a result; the second one has to be a number that is in range,
        // if it was one.
        if let Some(first) = blinded.first_chunk_mut() {
            *first = self.0;
        }
        blinded
    }
}

/// Whether a key fits. Tries all, or the dummy when there are none.
pub(super) fn any<K>(keys: impl Iterator<Item = K>, dummy: K, mut check: impl FnMut(K) -> bool) -> bool {
    let mut tried = false;
    let mut fits = false;
    for key in keys {
        tried = true;
        fits |= black_box(check(key));
    }
    if !tried {
        let _ = black_box(check(black_box(dummy)));
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{key::X25519SecretKey, test::random};

    #[test]
    fn the_work_does_not_depend_on_the_entity() {
        let counted = core::cell::Cell::new(0);
        let check = |_: &u8| {
            counted.set(counted.get() + 1);
            false
        };
        for (keys, expected) in [(&[][..], 1), (&[1][..], 1), (&[1, 2, 3][..], 3)] {
            counted.set(0);
            assert!(!any(keys.iter(), &0, check));
            assert_eq!(counted.get(), expected);
        }
        // All are tried after one fits.
        assert!(any([1, 2, 3].iter(), &0, |key| {
            counted.set(counted.get() + 1);
            *key == 1
        }));
        assert_eq!(counted.get(), 6);
        // The dummy never counts as a fitting key.
        assert!(!any([].iter(), &0, |_| true));
    }

    #[test]
    fn dummies_are_usable_keys() {
        assert!(ed25519_dalek::VerifyingKey::from_bytes(&DUMMY_ED25519.0).is_ok_and(|key| !key.is_weak()));
        #[cfg(feature = "ed448")]
        assert!(ed448_goldilocks::VerifyingKey::from_bytes(&DUMMY_ED448.0).is_ok());
        assert!(X25519SecretKey::generate(&mut random(7)).diffie_hellman(&DUMMY_X25519).is_ok());
    }

    /// What the dummy verifies is nobody's signature, and depends on the relay.
    #[test]
    fn blinded_signatures_differ_from_relay_to_relay() {
        let signature = core::array::from_fn(|place| u8::try_from(place).unwrap());
        let [one, other] = [8, 9].map(|seed| Decoy::generate(&mut random(seed)));
        assert_ne!(one.blind(&signature)[..32], other.blind(&signature)[..32]);
        assert_ne!(one.blind(&signature)[..32], signature[..32]);
        assert_eq!(one.blind(&signature)[32..], signature[32..]);
        assert_eq!(std::format!("{one:?}"), "Secret(..)");
    }
}
