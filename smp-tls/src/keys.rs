//! The keys of one direction (RFC 8446, sections 5.2, 5.3 and 7.3).

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::alert::Alert;
use crate::error::Error;
use crate::schedule::Secret;

/// Length in bytes of the tag at the end of a protected record.
pub(crate) const TAG_LENGTH: usize = 16;

/// A traffic secret, what follows from it, and how many records it has protected.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Keys {
    secret: Secret,
    key: [u8; 32],
    iv: [u8; 12],
    /// Number of the next record. `None` after the last one.
    sequence: Option<u64>,
}

impl Keys {
    pub(crate) fn new(secret: Secret) -> Self {
        Self { key: secret.expand(b"key", &[]), iv: secret.expand(b"iv", &[]), secret, sequence: Some(0) }
    }

    /// The traffic secret, from which the Finished value follows.
    pub(crate) const fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The keys after a KeyUpdate.
    pub(crate) fn update(&mut self) {
        *self = Self::new(self.secret.update());
    }

    /// Encrypts in place and returns the tag.
    pub(crate) fn seal(&mut self, header: &[u8], content: &mut [u8]) -> Result<[u8; TAG_LENGTH], Error> {
        let nonce = self.nonce()?;
        ChaCha20Poly1305::new(&self.key.into())
            .encrypt_inout_detached(&nonce.into(), header, InOutBuf::from(content))
            .map(Into::into)
            .map_err(|_| Error::TooLong)
    }

    /// Decrypts in place. Bytes with a wrong tag stay as they are.
    pub(crate) fn open(&mut self, header: &[u8], content: &mut [u8], tag: &[u8; TAG_LENGTH]) -> Result<(), Error> {
        let nonce = self.nonce()?;
        ChaCha20Poly1305::new(&self.key.into())
            .decrypt_inout_detached(&nonce.into(), header, InOutBuf::from(content), &(*tag).into())
            .map_err(|_| Alert::BAD_RECORD_MAC.into())
    }

    /// The nonce of the next record, once.
    fn nonce(&mut self) -> Result<[u8; 12], Error> {
        let sequence = self.sequence.ok_or(Error::KeyExhausted)?;
        self.sequence = sequence.checked_add(1);
        let mut nonce = self.iv;
        nonce.iter_mut().rev().zip(sequence.to_le_bytes()).for_each(|(nonce, byte)| *nonce ^= byte);
        Ok(nonce)
    }
}
