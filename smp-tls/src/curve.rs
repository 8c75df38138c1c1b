//! The arithmetic of Curve25519. It is dalek's, or with the feature `small-curve` the one of `smp-curve25519`, which takes
//! less of a microcontroller. Results are the same.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use arithmetic::x25519;
pub(crate) use arithmetic::{verify, x25519_public_key};

/// Agrees on a secret. With a peer's key of small order there is none: everybody would know it.
pub(crate) fn agree(secret: &[u8; 32], peer: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
    let shared = Zeroizing::new(x25519(secret, peer));
    let contributory = !shared.ct_eq(&[0; 32]);
    bool::from(contributory).then_some(shared)
}

#[cfg(not(feature = "small-curve"))]
mod arithmetic {
    use ed25519_dalek::ed25519::signature::Verifier;
    use ed25519_dalek::{Signature, VerifyingKey};
    use x25519_dalek::{PublicKey, StaticSecret};

    pub(super) fn x25519(secret: &[u8; 32], point: &[u8; 32]) -> [u8; 32] {
        StaticSecret::from(*secret).diffie_hellman(&(*point).into()).to_bytes()
    }

    pub(crate) fn x25519_public_key(secret: &[u8; 32]) -> [u8; 32] {
        PublicKey::from(&StaticSecret::from(*secret)).to_bytes()
    }

    /// Whether the signature is one of this key. A key of small order verifies nothing: with it one signature fits many
    /// messages.
    pub(crate) fn verify(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        let key = VerifyingKey::from_bytes(key).ok().filter(|key| !key.is_weak());
        key.is_some_and(|key| key.verify(message, &Signature::from_bytes(signature)).is_ok())
    }
}

#[cfg(feature = "small-curve")]
mod arithmetic {
    pub(super) use smp_curve25519::x25519;
    pub(crate) use smp_curve25519::x25519_public_key;

    pub(crate) fn verify(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        smp_curve25519::verify(key, &[message], signature).is_ok()
    }
}
