//! What several test modules need.

use core::fmt;
use std::string::String;
use std::vec::Vec;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_core::{TryCryptoRng, TryRng};

use crate::Error;

pub(crate) fn random() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}

/// A random source that fails after so many answers.
pub(crate) struct FailingSource {
    pub(crate) answers: usize,
}

/// What it fails with.
#[derive(Debug)]
pub(crate) struct NoEntropy;

impl fmt::Display for NoEntropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no entropy")
    }
}

impl core::error::Error for NoEntropy {}

impl TryRng for FailingSource {
    type Error = NoEntropy;

    fn try_next_u32(&mut self) -> Result<u32, NoEntropy> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes).map(|()| u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, NoEntropy> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes).map(|()| u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        self.answers = self.answers.checked_sub(1).ok_or(NoEntropy)?;
        bytes.fill(self.answers as u8);
        Ok(())
    }
}

impl TryCryptoRng for FailingSource {}

/// Bytes from hexadecimal with spaces.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text.chars().filter(|character| !character.is_whitespace()).collect::<String>()).unwrap()
}

pub(crate) fn array<const N: usize>(text: &str) -> [u8; N] {
    bytes(text).try_into().unwrap()
}

/// Every beginning of the message is refused, and so is the message with a byte too many.
pub(crate) fn refuses_other_lengths<T>(message: &[u8], decode: impl Fn(&[u8]) -> Result<T, Error>) {
    assert!(decode(message).is_ok());
    for length in 0..message.len() {
        let error = decode(&message[..length]).err();
        assert_eq!(error, Some(Error::Refused(crate::Alert::DECODE_ERROR)), "of {length} bytes");
    }
    let longer = [message, &[0]].concat();
    assert_eq!(decode(&longer).err(), Some(Error::Refused(crate::Alert::DECODE_ERROR)));
}

/// A vector with a length of two bytes.
pub(crate) fn vector16(content: &[u8]) -> Vec<u8> {
    [&u16::try_from(content.len()).unwrap().to_be_bytes()[..], content].concat()
}

/// An extension.
pub(crate) fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector16(content)].concat()
}
