//! The random source: the host's `/dev/urandom`, in place of a microcontroller's generator.

use rand_core::{TryCryptoRng, TryRng};

use crate::semihosting::{File, Mode};

/// The host's random source.
pub struct HostRandom(File);

/// The host gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRandomness;

impl core::fmt::Display for NoRandomness {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str("the random source gave nothing")
    }
}

impl core::error::Error for NoRandomness {}

impl HostRandom {
    /// Opens it; `None` on a host without one.
    pub(crate) fn open() -> Option<Self> {
        File::open(b"/dev/urandom\0", Mode::Read).map(Self)
    }
}

impl TryRng for HostRandom {
    type Error = NoRandomness;

    fn try_next_u32(&mut self) -> Result<u32, NoRandomness> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, NoRandomness> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        self.0.read(bytes).map_err(|_| NoRandomness)
    }
}

impl TryCryptoRng for HostRandom {}
