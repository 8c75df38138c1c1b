//! Secret keys, key agreement and signatures (wire reference, section 1.2).
//!
//! Public keys are types of [`smp_proto::key`], shown again here. Secret keys are wiped from memory when dropped, cannot
//! be cloned, and print as `Secret(..)`. They are stored and travel as PKCS#8 DER (RFC 8410).
//!
//! # Small-order public keys
//!
//! Key agreement fails with [`Error::WeakKey`] when the result is zero. The reference implementation does not check
//! this. No step of the protocol needs such a result: it only comes from one of the few public keys of small order,
//! which no generator makes, and peers that send one agree on a secret that everybody knows. The refusal gives nothing
//! away to the peer either, because clamped secrets are multiples of the cofactor: whether the result is zero depends on
//! the public key alone and never on the secret.

mod agreement;
mod pkcs8;
mod signature;

pub use smp_proto::key::{AuthorizationKey, Ed448PublicKey, Ed25519PublicKey, X448PublicKey, X25519PublicKey};

pub use agreement::{SharedSecret, X25519SecretKey};
#[cfg(feature = "ed448")]
pub use agreement::{SharedSecret448, X448SecretKey};
pub use pkcs8::Pkcs8;
#[cfg(feature = "ed448")]
pub use signature::Ed448SecretKey;
pub use signature::{ED448_PARTS_LENGTH, ED448_SIGNATURE_LENGTH, ED25519_SIGNATURE_LENGTH, Ed25519SecretKey, Verify};

use rand_core::CryptoRng;

use crate::Error;

/// The secret half of a key that authorizes commands.
#[derive(Debug)]
#[cfg_attr(feature = "ed448", expect(clippy::large_enum_variant, reason = "keys live in place: there is no allocator"))]
pub enum AuthorizationSecretKey {
    /// Authorizes by signature.
    Ed25519(Ed25519SecretKey),
    /// Authorizes by signature.
    #[cfg(feature = "ed448")]
    Ed448(Ed448SecretKey),
    /// Authorizes by an authenticator, deniably.
    X25519(X25519SecretKey),
}

impl AuthorizationSecretKey {
    /// A new Ed25519 key.
    pub fn generate_ed25519<R: CryptoRng + ?Sized>(random: &mut R) -> Self {
        Self::Ed25519(Ed25519SecretKey::generate(random))
    }

    /// A new X25519 key.
    pub fn generate_x25519<R: CryptoRng + ?Sized>(random: &mut R) -> Self {
        Self::X25519(X25519SecretKey::generate(random))
    }

    /// Reads a complete PKCS#8 key of one of the algorithms.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, Error> {
        #[cfg(feature = "ed448")]
        if let Ok(key) = Ed448SecretKey::from_pkcs8(der) {
            return Ok(Self::Ed448(key));
        }
        Ed25519SecretKey::from_pkcs8(der)
            .map(Self::Ed25519)
            .or_else(|_| X25519SecretKey::from_pkcs8(der).map(Self::X25519))
    }

    /// The PKCS#8 form.
    #[must_use]
    pub fn to_pkcs8(&self) -> Pkcs8 {
        match self {
            Self::Ed25519(key) => key.to_pkcs8(),
            #[cfg(feature = "ed448")]
            Self::Ed448(key) => key.to_pkcs8(),
            Self::X25519(key) => key.to_pkcs8(),
        }
    }

    /// The half that is registered with a relay.
    #[must_use]
    pub fn public_key(&self) -> AuthorizationKey {
        match self {
            Self::Ed25519(key) => AuthorizationKey::Ed25519(key.public_key()),
            #[cfg(feature = "ed448")]
            Self::Ed448(key) => AuthorizationKey::Ed448(key.public_key()),
            Self::X25519(key) => AuthorizationKey::X25519(key.public_key()),
        }
    }
}

macro_rules! secret_debug {
    ($($name:ident),+) => {
        $(
            impl core::fmt::Debug for $name {
                fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                    f.write_str("Secret(..)")
                }
            }
        )+
    };
}
pub(crate) use secret_debug;
