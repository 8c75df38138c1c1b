//! What the unit tests share.

use rand_chacha::ChaCha20Rng;
use rand_core::{SeedableRng, TryCryptoRng, TryRng};

/// A source with the same values in each run.
pub(crate) fn random(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// A source that fails.
pub(crate) struct Broken;

/// The failure of a source.
#[derive(Debug)]
pub(crate) struct Failed;

impl core::fmt::Display for Failed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("no randomness")
    }
}

impl core::error::Error for Failed {}

impl TryRng for Broken {
    type Error = Failed;

    fn try_next_u32(&mut self) -> Result<u32, Failed> {
        Err(Failed)
    }

    fn try_next_u64(&mut self) -> Result<u64, Failed> {
        Err(Failed)
    }

    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Failed> {
        Err(Failed)
    }
}

impl TryCryptoRng for Broken {}

/// A source that gives one byte for ever.
pub(crate) struct Stuck(pub(crate) u8);

impl TryRng for Stuck {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(u32::from_ne_bytes([self.0; 4]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(u64::from_ne_bytes([self.0; 8]))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Self::Error> {
        to.fill(self.0);
        Ok(())
    }
}

impl TryCryptoRng for Stuck {}
