//! The key of one message's body (wire reference of the ratchet, sections 8 and 9).

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{Error, aead};
use crate::key::secret_debug;

/// The key and the initialisation vector of one message. Used once, wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MessageKey {
    key: [u8; 32],
    iv: [u8; 16],
}

secret_debug!(MessageKey);

impl MessageKey {
    /// Takes a key that was stored.
    #[must_use]
    pub const fn new(key: [u8; 32], iv: [u8; 16]) -> Self {
        Self { key, iv }
    }

    /// The raw key.
    #[must_use]
    pub const fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// The initialisation vector, as secret as the key: it is never sent.
    #[must_use]
    pub const fn iv(&self) -> &[u8; 16] {
        &self.iv
    }

    /// Encrypts a padded body in place and gives its tag.
    pub(super) fn seal(&self, associated_data: &[u8], body: &mut [u8]) -> Result<[u8; 16], Error> {
        aead::encrypt(&self.key, &self.iv, associated_data, body)
    }

    /// Decrypts a body in place. When this fails the body is as it was.
    pub(super) fn open(&self, associated_data: &[u8], body: &mut [u8], tag: &[u8; 16]) -> Result<(), Error> {
        if aead::decrypt(&self.key, &self.iv, associated_data, body, tag) { Ok(()) } else { Err(Error::Body) }
    }

    /// Makes a decrypted body what it was before.
    pub(super) fn restore(&self, body: &mut [u8]) {
        // Encryption is the same key stream again; its tag has no use here. It cannot fail where decryption did not.
        let _tag = self.seal(&[], body);
    }
}
