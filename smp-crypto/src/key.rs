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
mod curve;
mod pkcs8;
mod signature;

pub use smp_proto::key::{AuthorizationKey, Ed448PublicKey, Ed25519PublicKey, X448PublicKey, X25519PublicKey};

pub use agreement::{SharedSecret, X25519SecretKey};
#[cfg(feature = "x448")]
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

/// Compares secrets, whose bytes are their only field, in constant time.
macro_rules! secret_eq {
    ($($name:ident),+) => {
        $(
            impl subtle::ConstantTimeEq for $name {
                fn ct_eq(&self, other: &Self) -> subtle::Choice {
                    self.0.ct_eq(&other.0)
                }
            }

            impl PartialEq for $name {
                fn eq(&self, other: &Self) -> bool {
                    subtle::ConstantTimeEq::ct_eq(self, other).into()
                }
            }

            impl Eq for $name {}
        )+
    };
}
pub(crate) use secret_eq;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::random;

    #[test]
    fn pkcs8_has_one_form() {
        let random = &mut random(1);
        for key in [
            AuthorizationSecretKey::generate_ed25519(random),
            AuthorizationSecretKey::generate_x25519(random),
            #[cfg(feature = "ed448")]
            AuthorizationSecretKey::Ed448(Ed448SecretKey::generate(random)),
        ] {
            let der = key.to_pkcs8();
            let der = der.as_bytes();
            assert_eq!(AuthorizationSecretKey::from_pkcs8(der).unwrap().public_key(), key.public_key());
            for length in 0..der.len() {
                assert!(AuthorizationSecretKey::from_pkcs8(&der[..length]).is_err());
            }
            assert!(AuthorizationSecretKey::from_pkcs8(&[der, &[0]].concat()).is_err());
            // Everything in front of the raw key counts, but the last bit of the algorithm may make another one.
            for bit in 0..16 * 8 {
                let mut flipped = der.to_vec();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(AuthorizationSecretKey::from_pkcs8(&flipped).is_err(), "bit {bit}");
            }
        }
    }

    #[test]
    fn both_sides_agree_and_generated_keys_differ() {
        let random = &mut random(2);
        let [one, other] = [(); 2].map(|()| X25519SecretKey::generate(random));
        assert_ne!(one.public_key(), other.public_key());
        let agreed = one.diffie_hellman(&other.public_key()).unwrap();
        assert!(agreed == other.diffie_hellman(&one.public_key()).unwrap());
        assert!(agreed != one.diffie_hellman(&one.public_key()).unwrap());
        #[cfg(feature = "ed448")]
        {
            let [one, other] = [(); 2].map(|()| X448SecretKey::generate(random));
            let agreed = one.diffie_hellman(&other.public_key()).unwrap();
            assert!(agreed == other.diffie_hellman(&one.public_key()).unwrap());
            assert!(agreed != one.diffie_hellman(&one.public_key()).unwrap());
        }
    }

    /// Points of small order, in all encodings RFC 7748 reads: see <https://cr.yp.to/ecdh.html>.
    #[test]
    fn small_order_keys_are_refused() {
        let random = &mut random(3);
        let mut weak = std::vec![[0; 32]; 2];
        weak[1][0] = 1;
        for text in [
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ] {
            weak.push(crate::test::bytes(text));
        }
        for point in weak {
            for high in [0, 0x80] {
                let mut point = point;
                point[31] |= high;
                let agreed = X25519SecretKey::generate(random).diffie_hellman(&X25519PublicKey(point));
                assert_eq!(agreed, Err(Error::WeakKey));
            }
        }
        #[cfg(feature = "ed448")]
        {
            let mut one = [0; 56];
            one[0] = 1;
            let mut minus_one = [0xff; 56];
            minus_one[0] = 0xfe;
            minus_one[28] = 0xfe;
            for point in [[0; 56], one, minus_one] {
                let agreed = X448SecretKey::generate(random).diffie_hellman(&X448PublicKey(point));
                assert_eq!(agreed, Err(Error::WeakKey));
            }
        }
    }

    #[test]
    fn signatures_fit_one_key_and_one_message() {
        let random = &mut random(4);
        let key = Ed25519SecretKey::generate(random);
        let other = Ed25519SecretKey::generate(random).public_key();
        let signature = key.sign(b"message");
        assert_eq!(signature, key.sign_parts(&[b"mess", b"", b"age"]));
        assert_eq!(key.public_key().verify_parts(&[b"me", b"ssage"], &signature), Ok(()));
        assert_eq!(key.public_key().verify(b"massage", &signature), Err(Error::Signature));
        assert_eq!(other.verify(b"message", &signature), Err(Error::Signature));
        for length in 0..64 {
            assert_eq!(key.public_key().verify(b"message", &signature[..length]), Err(Error::Signature));
        }
        #[cfg(feature = "ed448")]
        {
            let key = Ed448SecretKey::generate(random);
            let signature = key.sign(b"message");
            assert_eq!(key.public_key().verify_parts(&[b"me", b"ssage"], &signature), Ok(()));
            assert_eq!(key.public_key().verify(b"massage", &signature), Err(Error::Signature));
            assert_eq!(key.public_key().verify(b"message", &signature[1..]), Err(Error::Signature));
            let long = [0; ED448_PARTS_LENGTH];
            assert_eq!(key.public_key().verify_parts(&[&long, b"!"], &signature), Err(Error::Length));
        }
        #[cfg(not(feature = "ed448"))]
        assert_eq!(Ed448PublicKey([0; 57]).verify(b"message", &[0; 114]), Err(Error::Unsupported));
    }

    /// Secrets print nothing of themselves.
    #[test]
    fn secrets_are_redacted() {
        let random = &mut random(5);
        let x25519 = X25519SecretKey::generate(random);
        let agreed = x25519.diffie_hellman(&X25519SecretKey::generate(random).public_key()).unwrap();
        assert_eq!(std::format!("{x25519:?} {agreed:?} {:?}", x25519.to_pkcs8()), "Secret(..) Secret(..) Secret(..)");
        let key = AuthorizationSecretKey::generate_ed25519(random);
        assert_eq!(std::format!("{key:?}"), "Ed25519(Secret(..))");
        #[cfg(feature = "ed448")]
        {
            let (ed448, x448) = (Ed448SecretKey::generate(random), X448SecretKey::generate(random));
            assert_eq!(std::format!("{ed448:?} {x448:?}"), "Secret(..) Secret(..)");
        }
    }

    /// Every type that holds a secret promises to wipe it, and those of ours do.
    #[test]
    fn secrets_are_wiped() {
        use zeroize::{Zeroize, ZeroizeOnDrop};

        fn promises<T: ZeroizeOnDrop>() {}
        promises::<X25519SecretKey>();
        promises::<Ed25519SecretKey>();
        promises::<SharedSecret>();
        promises::<Pkcs8>();
        promises::<crate::secret_box::BoxKey>();
        promises::<crate::block_chain::BlockChain>();
        promises::<crate::block_chain::BlockKey>();
        promises::<crate::short_link::LinkKey>();
        // What the wrapper relies on.
        promises::<ed25519_dalek::SigningKey>();

        let mut secret = SharedSecret::from_bytes([7; 32]);
        secret.zeroize();
        assert_eq!(*secret.as_bytes(), [0; 32]);
        #[cfg(feature = "ed448")]
        {
            promises::<Ed448SecretKey>();
            promises::<SharedSecret448>();
            promises::<ed448_goldilocks::SigningKey>();
            let mut key = X448SecretKey::from_bytes(&[7; 56]);
            key.zeroize();
            assert_eq!(*key.as_bytes(), [0; 56]);
        }
    }
}
