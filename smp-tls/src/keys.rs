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
        ChaCha20Poly1305::new((&self.key).into())
            .encrypt_inout_detached(&nonce.into(), header, InOutBuf::from(content))
            .map(Into::into)
            .map_err(|_| Error::TooLong)
    }

    /// Decrypts in place. Bytes with a wrong tag stay as they are.
    pub(crate) fn open(&mut self, header: &[u8], content: &mut [u8], tag: &[u8; TAG_LENGTH]) -> Result<(), Error> {
        let nonce = self.nonce()?;
        ChaCha20Poly1305::new((&self.key).into())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys::new(Secret::handshake(&[1; 32]))
    }

    #[test]
    fn what_one_side_seals_the_other_opens_once_and_in_order() {
        let (mut sender, mut receiver) = (keys(), keys());
        let mut first = *b"first";
        let tag = sender.seal(b"header", &mut first).unwrap();
        let mut second = *b"second";
        let second_tag = sender.seal(b"header", &mut second).unwrap();
        assert_ne!(&first, b"first");
        receiver.open(b"header", &mut first, &tag).unwrap();
        assert_eq!(&first, b"first");
        receiver.open(b"header", &mut second, &second_tag).unwrap();
        assert_eq!(&second, b"second");

        let mut sender = keys();
        let tag = sender.seal(b"header", &mut first).unwrap();
        let refused = Err(Alert::BAD_RECORD_MAC.into());
        assert_eq!(receiver.open(b"header", &mut first, &tag), refused, "a record again");
        assert_eq!(keys().open(b"Header", &mut first, &tag), refused);
        assert_eq!(keys().open(b"header", &mut first, &[0; TAG_LENGTH]), refused);
        first[0] ^= 1;
        assert_eq!(keys().open(b"header", &mut first, &tag), refused);
    }

    /// RFC 8446, section 5.3: the number in 64 bits, padded on the left, exclusive-or with the IV.
    #[test]
    fn nonces_count() {
        let mut keys = keys();
        keys.iv = [0xff; 12];
        assert_eq!(keys.nonce(), Ok([0xff; 12]));
        assert_eq!(keys.nonce(), Ok([255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 254]));
        keys.sequence = Some(0x0102_0304_0506_0708);
        assert_eq!(keys.nonce(), Ok([255, 255, 255, 255, !1, !2, !3, !4, !5, !6, !7, !8]));
    }

    #[test]
    fn no_nonce_comes_twice() {
        let mut keys = keys();
        keys.sequence = Some(u64::MAX);
        assert!(keys.seal(&[], &mut []).is_ok());
        assert_eq!(keys.seal(&[], &mut []), Err(Error::KeyExhausted));
        assert_eq!(keys.open(&[], &mut [], &[0; TAG_LENGTH]), Err(Error::KeyExhausted));
    }

    #[test]
    fn an_update_changes_everything_and_starts_again() {
        let mut updated = keys();
        updated.seal(&[], &mut []).unwrap();
        updated.update();
        assert_ne!((updated.key, updated.iv), (keys().key, keys().iv));
        assert_eq!(updated.sequence, Some(0));
        let mut again = keys();
        again.update();
        assert_eq!((updated.key, updated.iv), (again.key, again.iv));
    }

    #[test]
    fn leave_nothing_in_memory() {
        fn zeroizes<T: ZeroizeOnDrop>() {}
        zeroizes::<Keys>();
        let mut keys = keys();
        keys.zeroize();
        assert_eq!((keys.key, keys.iv, keys.sequence), ([0; 32], [0; 12], None));
    }
}
