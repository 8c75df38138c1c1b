//! Randomness from the caller's source, which may fail.

use core::fmt;

use rand_core::{TryCryptoRng, TryRng};

/// From this length on equal bytes are no accident, in bytes: the chance is below one in 2^120.
const SUSPICIOUS_LENGTH: usize = 16;

/// Why there is no randomness. Nothing is made of what a failed source gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RandomError {
    /// The source reports a failure.
    Source,
    /// The source gives the same byte again and again: its clock is off, or it is broken.
    Stuck,
}

impl fmt::Display for RandomError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "the random source reports a failure",
            Self::Stuck => "the random source always gives the same",
        })
    }
}

impl core::error::Error for RandomError {}

/// Fills a buffer with random bytes.
///
/// The quality of the source is the caller's business; only the plainest defect is found here: 16 bytes or more that are
/// all the same.
pub fn fill<R: TryCryptoRng + ?Sized>(random: &mut R, buffer: &mut [u8]) -> Result<(), RandomError> {
    random.try_fill_bytes(buffer).map_err(|_| RandomError::Source)?;
    match buffer.split_first() {
        Some((first, rest)) if buffer.len() >= SUSPICIOUS_LENGTH && rest.iter().all(|byte| byte == first) => {
            Err(RandomError::Stuck)
        }
        _ => Ok(()),
    }
}

/// An array of random bytes.
pub fn array<R: TryCryptoRng + ?Sized, const N: usize>(random: &mut R) -> Result<[u8; N], RandomError> {
    let mut bytes = [0; N];
    fill(random, &mut bytes)?;
    Ok(bytes)
}

/// Chance for the length of a pause. A source without randomness must not stop the attempts: it may recover.
pub(crate) fn spread<R: TryCryptoRng + ?Sized>(random: &mut R) -> u16 {
    array(random).map_or(0x8000, u16::from_le_bytes)
}

/// A source whose failures and plainest defect are found.
pub(crate) struct Checked<'r, R: ?Sized>(pub(crate) &'r mut R);

impl<R: TryCryptoRng + ?Sized> TryRng for Checked<'_, R> {
    type Error = RandomError;

    fn try_next_u32(&mut self) -> Result<u32, RandomError> {
        array(self.0).map(u32::from_le_bytes)
    }

    fn try_next_u64(&mut self) -> Result<u64, RandomError> {
        array(self.0).map(u64::from_le_bytes)
    }

    fn try_fill_bytes(&mut self, buffer: &mut [u8]) -> Result<(), RandomError> {
        fill(self.0, buffer)
    }
}

impl<R: TryCryptoRng + ?Sized> TryCryptoRng for Checked<'_, R> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::{Broken, Stuck, random};

    #[test]
    fn failures_and_stuck_sources_are_told() {
        assert_eq!(array::<_, 32>(&mut Broken), Err(RandomError::Source));
        assert_eq!(array::<_, 32>(&mut Stuck(0)), Err(RandomError::Stuck));
        assert_eq!(array::<_, 16>(&mut Stuck(0xff)), Err(RandomError::Stuck));
        assert_eq!(array::<_, 4>(&mut Stuck(7)), Ok([7; 4]), "four equal bytes may be an accident");
        assert_eq!(array::<_, 0>(&mut Stuck(7)), Ok([]));
    }

    #[test]
    fn values_differ() {
        let random = &mut random(1);
        assert_ne!(array::<_, 24>(random), array::<_, 24>(random));
    }
}
