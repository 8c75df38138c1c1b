//! The one box: XSalsa20-Poly1305 with a 24-byte nonce and the 16-byte tag in front of the ciphertext (wire reference,
//! section 1.4).
//!
//! A key always goes through HSalsa20 with a zero nonce first, also when it was derived and not agreed. [`BoxKey`] does
//! this once, so that a key used for many messages does not pay for it again. This makes a box equal to NaCl's
//! `crypto_box`, and different from its `crypto_secretbox`.
//!
//! Everything happens in place, in a buffer of the caller's. A padded box stands in it as
//!
//! ```text
//! tag (16) | length (2) | message | filler up to the end of the buffer
//! ```
//!
//! so a message is written at [`PADDED_MESSAGE_START`] before it is sealed, and read where [`BoxKey::open_padded`] says.

use core::ops::Range;

use poly1305::{
    Poly1305,
    universal_hash::{KeyInit, UniversalHash},
};
use rand_core::CryptoRng;
use salsa20::{cipher::consts::U10, hsalsa};
use smp_proto::wire;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    Error,
    key::{SharedSecret, secret_debug},
    key_stream::KeyStream,
};

/// Length of a nonce in bytes.
pub const NONCE_LENGTH: usize = 24;
/// Length of a tag in bytes.
pub const TAG_LENGTH: usize = 16;
/// Where the message of a padded box starts: behind the tag and the length.
pub const PADDED_MESSAGE_START: usize = TAG_LENGTH + 2;

/// What proves that a ciphertext was made with a key and a nonce. Compare it through [`BoxKey::open_in_place`] only.
pub type Tag = [u8; TAG_LENGTH];

/// A number that is used once with each key. Many are the id of something, so it does not print.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Nonce(pub [u8; NONCE_LENGTH]);

impl core::fmt::Debug for Nonce {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Nonce(..)")
    }
}

impl Nonce {
    /// A random nonce.
    pub fn generate<R: CryptoRng + ?Sized>(random: &mut R) -> Self {
        let mut bytes = [0; NONCE_LENGTH];
        random.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// The first 24 bytes, or fewer bytes and zeros behind them: `cbNonce` of the wire reference. Identifiers become
    /// nonces this way.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Self {
        let mut nonce = [0; NONCE_LENGTH];
        nonce.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Self(nonce)
    }

    /// The same bytes in reverse order, the nonce of a reply in the forwarding protocol.
    #[must_use]
    pub fn reversed(mut self) -> Self {
        self.0.reverse();
        self
    }
}

/// A key that seals and opens boxes. 32 bytes, wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct BoxKey([u8; 32]);

secret_debug!(BoxKey);

impl From<&SharedSecret> for BoxKey {
    fn from(secret: &SharedSecret) -> Self {
        Self::new(secret.as_bytes())
    }
}

impl BoxKey {
    /// Prepares an agreed or derived key.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self(hsalsa::<U10>(key.into(), &[0; 16].into()).into())
    }

    /// Encrypts a message where it stands.
    #[must_use]
    pub fn seal_in_place(&self, nonce: &Nonce, message: &mut [u8]) -> Tag {
        let (mut stream, tag_key) = self.stream(nonce);
        stream.apply(message);
        compute_tag(&tag_key, message)
    }

    /// Decrypts where the ciphertext stands. After an error it is unchanged.
    pub fn open_in_place(&self, nonce: &Nonce, tag: &Tag, ciphertext: &mut [u8]) -> Result<(), Error> {
        self.verified(nonce, tag, ciphertext)?.apply(ciphertext);
        Ok(())
    }

    /// Makes a box in a buffer whose first 16 bytes are room for the tag and whose other bytes are the message.
    ///
    /// Fails with [`Error::Length`] when the buffer is shorter than a tag.
    pub fn seal(&self, nonce: &Nonce, buffer: &mut [u8]) -> Result<(), Error> {
        let (tag, message) = buffer.split_first_chunk_mut::<TAG_LENGTH>().ok_or(Error::Length)?;
        *tag = self.seal_in_place(nonce, message);
        Ok(())
    }

    /// Opens a box and gives the message, which stands behind the first 16 bytes. After an error the box is unchanged.
    pub fn open<'b>(&self, nonce: &Nonce, buffer: &'b mut [u8]) -> Result<&'b mut [u8], Error> {
        let (tag, ciphertext) = buffer.split_first_chunk_mut::<TAG_LENGTH>().ok_or(Error::Decrypt)?;
        self.open_in_place(nonce, tag, ciphertext)?;
        Ok(ciphertext)
    }

    /// Pads and makes a box of the whole buffer, whose bytes from [`PADDED_MESSAGE_START`] on are a message of
    /// `message_length` bytes: `boxpad(key, nonce, message, n)` with `n` 16 less than the length of the buffer.
    ///
    /// Fails with [`Error::Length`] when the message does not fit.
    pub fn seal_padded(&self, nonce: &Nonce, buffer: &mut [u8], message_length: usize) -> Result<(), Error> {
        let (tag, padded) = buffer.split_first_chunk_mut::<TAG_LENGTH>().ok_or(Error::Length)?;
        wire::pad_in_place(padded, message_length).map_err(|_| Error::Length)?;
        *tag = self.seal_in_place(nonce, padded);
        Ok(())
    }

    /// Makes a padded box of the whole buffer, as [`seal_padded`](Self::seal_padded) does, of what `content` writes.
    ///
    /// Fails with [`Error::Length`] when the content does not fit.
    pub fn seal_content(
        &self,
        nonce: &Nonce,
        buffer: &mut [u8],
        content: impl FnOnce(&mut wire::Writer<'_>) -> Result<(), wire::Error>,
    ) -> Result<(), Error> {
        let mut writer = wire::Writer::new(buffer.get_mut(PADDED_MESSAGE_START..).ok_or(Error::Length)?);
        content(&mut writer).map_err(|_| Error::Length)?;
        let length = writer.len();
        self.seal_padded(nonce, buffer, length)
    }

    /// Opens a padded box and gives the message. Otherwise like [`open_padded`](Self::open_padded).
    pub fn open_content<'b>(&self, nonce: &Nonce, buffer: &'b mut [u8]) -> Result<&'b [u8], Error> {
        let range = self.open_padded(nonce, buffer)?;
        buffer.get(range).ok_or(Error::Length)
    }

    /// Opens a box and tells where in the buffer the message stands. All of the box is verified; the padding behind the
    /// message stays encrypted, so that a short message in a long box costs a fifth.
    ///
    /// Fails with [`Error::Decrypt`], leaving the box unchanged, or with [`Error::Format`] when the padding is wrong.
    pub fn open_padded(&self, nonce: &Nonce, buffer: &mut [u8]) -> Result<Range<usize>, Error> {
        let (tag, padded) = buffer.split_first_chunk_mut::<TAG_LENGTH>().ok_or(Error::Decrypt)?;
        let mut stream = self.verified(nonce, tag, padded)?;
        let (length, _) = padded.split_at_mut_checked(2).ok_or(wire::Error::Truncated)?;
        stream.apply(length);
        let message = wire::unpad_range(padded)?;
        stream.apply(padded.get_mut(message.clone()).ok_or(Error::Length)?);
        Ok(message.start.saturating_add(TAG_LENGTH)..message.end.saturating_add(TAG_LENGTH))
    }

    /// Verifies the tag; gives the key stream from the first byte of the message on.
    fn verified(&self, nonce: &Nonce, tag: &Tag, ciphertext: &[u8]) -> Result<KeyStream, Error> {
        let (stream, tag_key) = self.stream(nonce);
        if bool::from(compute_tag(&tag_key, ciphertext).ct_eq(tag)) { Ok(stream) } else { Err(Error::Decrypt) }
    }

    /// The key stream from the first byte of the message on, and the key of the tag, which are its first 32 bytes.
    fn stream(&self, nonce: &Nonce) -> (KeyStream, Zeroizing<[u8; 32]>) {
        let mut stream = KeyStream::new(&self.0, &nonce.0);
        let mut tag_key = Zeroizing::new([0; 32]);
        stream.apply(tag_key.as_mut());
        (stream, tag_key)
    }
}

// The loop over whole blocks stays a function of its own: inlined into code that is compiled for size, as firmware is, it
// would be compiled for size too.
#[inline(never)]
fn compute_tag(key: &[u8; 32], ciphertext: &[u8]) -> Tag {
    let mut tag = Poly1305::new(key.into());
    let (blocks, tail) = poly1305::Block::slice_as_chunks(ciphertext);
    tag.update(blocks);
    tag.compute_unpadded(tail).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::X25519SecretKey;
    use crate::test::{bytes, numbers, random};

    /// The values of the wire reference, Appendix A.
    #[test]
    fn appendix_a_vectors() {
        let nonce = Nonce(numbers(0x40));
        let mut sealed = *b"................abc";
        BoxKey::new(&numbers(0)).seal(&nonce, &mut sealed).unwrap();
        assert_eq!(sealed, bytes("4d0d894083ac7ed4cc58537193b32cef3cadee"));
        // Without the first step it is another box, the wrong one.
        let mut sealed = *b"................abc";
        BoxKey(numbers(0)).seal(&nonce, &mut sealed).unwrap();
        assert_eq!(sealed, bytes("4a28b14ad0324b9ffe95ba55a57aebd22b7536"));
    }

    /// The values of the agent's wire reference, section 27.
    #[test]
    fn agent_vectors() {
        let (key, nonce) = (BoxKey::new(&numbers(0)), Nonce(numbers(0)));
        assert_eq!(key.0, bytes("50088706d3e1cee8a5c0f12504d968443211cf12af4a4b49e5c874b3ef4f85e7"));
        let hello = |writer: &mut wire::Writer<'_>| writer.bytes(b"hello");
        let mut sealed = [0; 32];
        key.seal_content(&nonce, &mut sealed, hello).unwrap();
        assert_eq!(sealed, bytes("58956cfc651905a2b85c837cb8fa0a8b6b8bb4d5ac72df60c93c2c45bce7aa07"));

        let one = X25519SecretKey::from_bytes(&[1; 32]);
        let other = X25519SecretKey::from_bytes(&[2; 32]);
        let agreed = one.diffie_hellman(&other.public_key()).unwrap();
        let expected = bytes("2ed76ab549b1e73c031eb49c9448f0798aea81b698279a0c3dc3e49fbfc4b953");
        assert_eq!(agreed.as_bytes(), &expected);
        BoxKey::from(&agreed).seal_content(&nonce, &mut sealed, hello).unwrap();
        assert_eq!(sealed, bytes("ab2245c29fbcedaa93876de167929c35e2caeba6f65d89159a755be4efbf24db"));
    }

    #[test]
    fn boxes_of_every_length_open() {
        let random = &mut random(1);
        let key = BoxKey::new(&[1; 32]);
        for length in (0..300).chain([4_095, 16_368, 70_000]) {
            let nonce = Nonce::generate(random);
            let mut buffer = std::vec![length as u8; length + TAG_LENGTH];
            key.seal(&nonce, &mut buffer).unwrap();
            assert!(length < 16 || buffer[TAG_LENGTH..] != std::vec![length as u8; length]);
            assert_eq!(key.open(&nonce, &mut buffer).unwrap(), std::vec![length as u8; length]);
        }
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_refused() {
        let key = BoxKey::new(&[2; 32]);
        let nonce = Nonce([3; 24]);
        let mut sealed = [9; 100];
        key.seal_padded(&nonce, &mut sealed, 50).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed;
            flipped[bit / 8] ^= 1 << (bit % 8);
            let before = flipped;
            assert_eq!(key.open_padded(&nonce, &mut flipped), Err(Error::Decrypt));
            assert_eq!(flipped, before);
        }
        for length in 0..sealed.len() {
            let mut shorter = sealed;
            assert_eq!(key.open_padded(&nonce, &mut shorter[..length]), Err(Error::Decrypt));
        }
        for bit in 0..24 * 8 {
            let mut other = nonce;
            other.0[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.open_padded(&other, &mut { sealed }), Err(Error::Decrypt));
        }
        assert_eq!(BoxKey::new(&[4; 32]).open_padded(&nonce, &mut { sealed }), Err(Error::Decrypt));
        let before = sealed;
        assert_eq!(key.open_padded(&nonce, &mut sealed), Ok(18..68));
        assert_eq!(sealed[18..68], [9; 50]);
        assert_eq!(sealed[68..], before[68..]);
    }

    #[test]
    fn messages_that_do_not_fit_are_refused() {
        let key = BoxKey::new(&[2; 32]);
        let nonce = Nonce([3; 24]);
        assert_eq!(key.seal_padded(&nonce, &mut [0; 20], 3), Err(Error::Length));
        assert_eq!(key.seal_padded(&nonce, &mut [0; 17], 0), Err(Error::Length));
        assert_eq!(key.seal_padded(&nonce, &mut [0; 15], 0), Err(Error::Length));
        assert_eq!(key.seal(&nonce, &mut [0; 15]), Err(Error::Length));
        assert_eq!(key.seal_padded(&nonce, &mut std::vec![0; 70_000], 65_534), Err(Error::Length));
        assert_eq!(key.seal_padded(&nonce, &mut std::vec![0; 70_000], 65_533), Ok(()));
        // A box of something that is no padding.
        let mut unpadded = [0xff; 30];
        key.seal(&nonce, &mut unpadded).unwrap();
        assert_eq!(key.open_padded(&nonce, &mut unpadded), Err(Error::Format(wire::Error::Truncated)));
    }

    #[test]
    fn secrets_do_not_print_and_are_wiped() {
        let mut key = BoxKey::new(&[5; 32]);
        assert_eq!(std::format!("{key:?}"), "Secret(..)");
        key.zeroize();
        assert_eq!(key.0, [0; 32]);
    }
}
