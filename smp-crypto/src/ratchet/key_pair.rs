//! X448 key pairs: a public key costs as much as an agreement, so it is kept.

use crate::key::{X448PublicKey, X448SecretKey, secret_debug};

/// An X448 key with its public half.
pub struct KeyPair {
    pub(super) secret: X448SecretKey,
    pub(super) public: X448PublicKey,
}

secret_debug!(KeyPair);

impl zeroize::ZeroizeOnDrop for KeyPair {}

impl KeyPair {
    /// What stands where no pair is.
    pub(super) const EMPTY: Self = Self { secret: X448SecretKey::from_bytes(&[0; 56]), public: X448PublicKey([0; 56]) };

    /// Computes the public half.
    #[must_use]
    pub fn new(secret: X448SecretKey) -> Self {
        let public = secret.public_key();
        Self { secret, public }
    }

    /// The public half.
    #[must_use]
    pub const fn public_key(&self) -> &X448PublicKey {
        &self.public
    }

    /// A second copy, for a step that may still fail.
    pub(super) fn duplicate(&self) -> Self {
        Self { secret: X448SecretKey::from_bytes(self.secret.as_bytes()), public: self.public }
    }
}
