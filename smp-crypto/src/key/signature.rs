use ed25519_dalek::ed25519::signature::MultipartSigner;
use rand_core::CryptoRng;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::{Ed448PublicKey, Ed25519PublicKey, Pkcs8, curve, pkcs8, secret_debug};
use crate::Error;

/// Length of an Ed25519 signature in bytes.
pub const ED25519_SIGNATURE_LENGTH: usize = 64;
/// Length of an Ed448 signature in bytes.
pub const ED448_SIGNATURE_LENGTH: usize = 114;

/// A public key that checks signatures.
pub trait Verify {
    /// Succeeds when `signature` is one of this key over `message`.
    ///
    /// Signatures must be canonical, and keys of small order verify nothing: with them a signature fits many messages.
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        self.verify_parts(&[message], signature)
    }

    /// The same for a message in parts, which are signed as if they stood one after the other.
    ///
    /// Ed448 needs them in one place: for several parts it takes [`ED448_PARTS_LENGTH`] bytes of stack, and fails with
    /// [`Error::Length`] when they are longer together.
    fn verify_parts(&self, message: &[&[u8]], signature: &[u8]) -> Result<(), Error>;
}

/// How long a message in parts may be for Ed448, in bytes: a block and what an authorization covers besides.
pub const ED448_PARTS_LENGTH: usize = 16_384 + 512;

impl Verify for Ed25519PublicKey {
    fn verify_parts(&self, message: &[&[u8]], signature: &[u8]) -> Result<(), Error> {
        curve::verify_ed25519(&self.0, message, signature.try_into().map_err(|_| Error::Signature)?)
    }
}

impl Verify for Ed448PublicKey {
    #[cfg(feature = "ed448")]
    fn verify_parts(&self, message: &[&[u8]], signature: &[u8]) -> Result<(), Error> {
        let signature = ed448_goldilocks::Signature::from_slice(signature).map_err(|_| Error::Signature)?;
        let key = ed448_goldilocks::VerifyingKey::from_bytes(&self.0).map_err(|_| Error::InvalidKey)?;
        match message {
            [message] => key.verify_raw(&signature, message),
            parts => {
                let mut buffer = [0; ED448_PARTS_LENGTH];
                let mut writer = smp_proto::wire::Writer::new(&mut buffer);
                parts.iter().try_for_each(|part| writer.bytes(part)).map_err(|_| Error::Length)?;
                key.verify_raw(&signature, writer.written())
            }
        }
        .map_err(|_| Error::Signature)
    }

    /// Fails with [`Error::Unsupported`]: this build has no Ed448.
    #[cfg(not(feature = "ed448"))]
    fn verify_parts(&self, _message: &[&[u8]], _signature: &[u8]) -> Result<(), Error> {
        Err(Error::Unsupported)
    }
}

/// The secret half of an [`Ed25519PublicKey`]. Holds the public half too.
pub struct Ed25519SecretKey(ed25519_dalek::SigningKey);

secret_debug!(Ed25519SecretKey);

impl ZeroizeOnDrop for Ed25519SecretKey {}

impl Ed25519SecretKey {
    /// A new key.
    pub fn generate<R: CryptoRng + ?Sized>(random: &mut R) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        random.fill_bytes(seed.as_mut());
        Self::from_bytes(&seed)
    }

    /// Takes the raw key, which RFC 8032 calls the seed.
    #[must_use]
    pub fn from_bytes(seed: &[u8; 32]) -> Self {
        Self(seed.into())
    }

    /// The raw key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Reads a complete PKCS#8 key.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, Error> {
        pkcs8::read(der, &pkcs8::ED25519).map(Self::from_bytes)
    }

    /// The PKCS#8 form, 48 bytes.
    #[must_use]
    pub fn to_pkcs8(&self) -> Pkcs8 {
        Pkcs8::new(&pkcs8::ED25519, self.as_bytes())
    }

    /// The other half.
    #[must_use]
    pub fn public_key(&self) -> Ed25519PublicKey {
        Ed25519PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs a message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; ED25519_SIGNATURE_LENGTH] {
        self.sign_parts(&[message])
    }

    /// Signs a message in parts, as if they stood one after the other.
    #[must_use]
    pub fn sign_parts(&self, message: &[&[u8]]) -> [u8; ED25519_SIGNATURE_LENGTH] {
        self.0.multipart_sign(message).to_bytes()
    }
}

#[cfg(feature = "ed448")]
mod curve448 {
    use super::{
        CryptoRng, ED448_SIGNATURE_LENGTH, Ed448PublicKey, Error, Pkcs8, ZeroizeOnDrop, Zeroizing, pkcs8, secret_debug,
    };

    /// The secret half of an [`Ed448PublicKey`]. Holds the public half too.
    pub struct Ed448SecretKey(ed448_goldilocks::SigningKey);

    secret_debug!(Ed448SecretKey);

    impl ZeroizeOnDrop for Ed448SecretKey {}

    impl Ed448SecretKey {
        /// A new key.
        pub fn generate<R: CryptoRng + ?Sized>(random: &mut R) -> Self {
            let mut seed = Zeroizing::new([0; 57]);
            random.fill_bytes(seed.as_mut());
            Self::from_bytes(&seed)
        }

        /// Takes the raw key, which RFC 8032 calls the seed.
        #[must_use]
        pub fn from_bytes(seed: &[u8; 57]) -> Self {
            let seed: &ed448_goldilocks::SecretKey = seed.into();
            Self(seed.into())
        }

        /// The raw key.
        #[must_use]
        pub fn as_bytes(&self) -> &[u8; 57] {
            self.0.as_bytes().as_ref()
        }

        /// Reads a complete PKCS#8 key.
        pub fn from_pkcs8(der: &[u8]) -> Result<Self, Error> {
            pkcs8::read(der, &pkcs8::ED448).map(Self::from_bytes)
        }

        /// The PKCS#8 form, 73 bytes.
        #[must_use]
        pub fn to_pkcs8(&self) -> Pkcs8 {
            Pkcs8::new(&pkcs8::ED448, self.as_bytes())
        }

        /// The other half.
        #[must_use]
        pub fn public_key(&self) -> Ed448PublicKey {
            Ed448PublicKey(self.0.verifying_key().to_bytes())
        }

        /// Signs a message.
        #[must_use]
        pub fn sign(&self, message: &[u8]) -> [u8; ED448_SIGNATURE_LENGTH] {
            self.0.sign_raw(message).to_bytes()
        }
    }
}

#[cfg(feature = "ed448")]
pub use curve448::Ed448SecretKey;
