use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{Pkcs8, X25519PublicKey, curve, pkcs8, secret_debug, secret_eq};
use crate::Error;

/// What X25519 agreed on: 32 bytes. Wiped when dropped, compared in constant time.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SharedSecret([u8; 32]);

secret_debug!(SharedSecret, X25519SecretKey);
secret_eq!(SharedSecret);

impl SharedSecret {
    /// Takes a secret that was agreed earlier, such as one from a store.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The raw secret.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The secret half of an [`X25519PublicKey`].
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct X25519SecretKey([u8; 32]);

impl X25519SecretKey {
    /// A new key.
    pub fn generate<R: CryptoRng + ?Sized>(random: &mut R) -> Self {
        let mut key = Self([0; 32]);
        random.fill_bytes(&mut key.0);
        key
    }

    /// Takes the raw key. Clamping happens when it is used.
    #[must_use]
    pub fn from_bytes(raw: &[u8; 32]) -> Self {
        Self(*raw)
    }

    /// The raw key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads a complete PKCS#8 key.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, Error> {
        pkcs8::read(der, &pkcs8::X25519).map(Self::from_bytes)
    }

    /// The PKCS#8 form, 48 bytes.
    #[must_use]
    pub fn to_pkcs8(&self) -> Pkcs8 {
        Pkcs8::new(&pkcs8::X25519, self.as_bytes())
    }

    /// The other half. This costs about a third of an agreement, and with the feature `small-curve` as much as one.
    #[must_use]
    pub fn public_key(&self) -> X25519PublicKey {
        X25519PublicKey(curve::x25519_public_key(&self.0))
    }

    /// Agrees on a secret, or fails with [`Error::WeakKey`] when the peer's key has small order (see the
    /// [module documentation](super)).
    pub fn diffie_hellman(&self, peer: &X25519PublicKey) -> Result<SharedSecret, Error> {
        let (secret, contributory) = self.diffie_hellman_unchecked(peer);
        if contributory.into() { Ok(secret) } else { Err(Error::WeakKey) }
    }

    /// Agrees on a secret and tells whether it is one, in constant time.
    // Not inlined: the ladder would be compiled for size in firmware that is, at a quarter more instructions.
    #[inline(never)]
    pub(crate) fn diffie_hellman_unchecked(&self, peer: &X25519PublicKey) -> (SharedSecret, subtle::Choice) {
        let agreed = SharedSecret(curve::x25519(&self.0, &peer.0));
        let contributory = !agreed.0.ct_eq(&[0; 32]);
        (agreed, contributory)
    }
}

#[cfg(feature = "x448")]
mod curve448 {
    use zeroize::Zeroizing;

    use super::{ConstantTimeEq, CryptoRng, Error, Pkcs8, Zeroize, ZeroizeOnDrop, pkcs8, secret_debug, secret_eq};
    use crate::key::X448PublicKey;

    /// What X448 agreed on: 56 bytes. Wiped when dropped, compared in constant time.
    #[derive(Zeroize, ZeroizeOnDrop)]
    pub struct SharedSecret448([u8; 56]);

    /// The secret half of an [`X448PublicKey`].
    #[derive(Zeroize, ZeroizeOnDrop)]
    pub struct X448SecretKey([u8; 56]);

    secret_debug!(SharedSecret448, X448SecretKey);
    secret_eq!(SharedSecret448);

    impl SharedSecret448 {
        /// The raw secret.
        #[must_use]
        pub const fn as_bytes(&self) -> &[u8; 56] {
            &self.0
        }
    }

    impl X448SecretKey {
        /// A new key.
        pub fn generate<R: CryptoRng + ?Sized>(random: &mut R) -> Self {
            let mut raw = [0; 56];
            random.fill_bytes(&mut raw);
            let key = Self(raw);
            raw.zeroize();
            key
        }

        /// Takes the raw key. Clamping happens when it is used.
        #[must_use]
        pub const fn from_bytes(raw: &[u8; 56]) -> Self {
            Self(*raw)
        }

        /// The raw key.
        #[must_use]
        pub const fn as_bytes(&self) -> &[u8; 56] {
            &self.0
        }

        /// Reads a complete PKCS#8 key.
        pub fn from_pkcs8(der: &[u8]) -> Result<Self, Error> {
            pkcs8::read(der, &pkcs8::X448).map(Self::from_bytes)
        }

        /// The PKCS#8 form, 72 bytes.
        #[must_use]
        pub fn to_pkcs8(&self) -> Pkcs8 {
            Pkcs8::new(&pkcs8::X448, self.as_bytes())
        }

        /// The other half. This costs as much as an agreement.
        #[must_use]
        pub fn public_key(&self) -> X448PublicKey {
            X448PublicKey(x448::x448_unchecked(self.0, x448::X448_BASEPOINT_BYTES))
        }

        /// Agrees on a secret, or fails with [`Error::WeakKey`] when the peer's key has small order (see the
        /// [module documentation](crate::key)).
        pub fn diffie_hellman(&self, peer: &X448PublicKey) -> Result<SharedSecret448, Error> {
            let agreed = Zeroizing::new(x448::x448_unchecked(self.0, peer.0));
            if agreed.ct_eq(&[0; 56]).into() { Err(Error::WeakKey) } else { Ok(SharedSecret448(*agreed)) }
        }
    }
}

#[cfg(feature = "x448")]
pub use curve448::{SharedSecret448, X448SecretKey};
