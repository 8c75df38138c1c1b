//! The true random number generator as `rand_core` knows it, with its failures told.

use core::fmt;

use embassy_futures::poll_once;
use embassy_stm32::peripherals::RNG;
use embassy_stm32::rng::Rng;
use rand_core::{TryCryptoRng, TryRng};

/// How often to look for a number. One takes about 10 µs, and looking takes a fraction of one: this is some hundredths of a
/// second.
const PATIENCE: u32 = 100_000;

/// Why there are no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum RandomError {
    /// The generator's own tests, of its noise and of its clock, found an error. The next attempt may succeed.
    Defect,
    /// It gave nothing in time.
    Silent,
}

impl fmt::Display for RandomError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Defect => "the random number generator reports an error",
            Self::Silent => "the random number generator does not answer",
        })
    }
}

impl core::error::Error for RandomError {}

/// The random number generator. The driver speaks `rand_core` 0.9, which hides failures; this speaks 0.10 and tells them.
pub struct Random(Rng<'static, RNG>);

impl Random {
    pub(crate) const fn new(generator: Rng<'static, RNG>) -> Self {
        Self(generator)
    }

    /// A number that others need not be able to guess: the network's first ports and transaction numbers.
    pub(crate) fn seed(&mut self) -> Result<u64, RandomError> {
        self.try_next_u64()
    }

    fn word(&mut self) -> Result<[u8; 4], RandomError> {
        let mut word = [0; 4];
        for _ in 0..PATIENCE {
            if let core::task::Poll::Ready(result) = poll_once(self.0.async_fill_bytes(&mut word)) {
                return result.map(|()| word).map_err(|_| RandomError::Defect);
            }
        }
        Err(RandomError::Silent)
    }
}

impl TryRng for Random {
    type Error = RandomError;

    fn try_next_u32(&mut self) -> Result<u32, RandomError> {
        Ok(u32::from_le_bytes(self.word()?))
    }

    fn try_next_u64(&mut self) -> Result<u64, RandomError> {
        Ok(u64::from(self.try_next_u32()?) << 32 | u64::from(self.try_next_u32()?))
    }

    fn try_fill_bytes(&mut self, buffer: &mut [u8]) -> Result<(), RandomError> {
        for chunk in buffer.chunks_mut(4) {
            for (to, from) in chunk.iter_mut().zip(self.word()?) {
                *to = from;
            }
        }
        Ok(())
    }
}

impl TryCryptoRng for Random {}
