//! The random source: the host's `/dev/urandom`, in place of a microcontroller's generator.

use core::convert::Infallible;

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

/// Numbers that look random, for next to nothing: what the source costs is not part of a benchmark's figures. Never for
/// keys that protect anything.
#[derive(Debug)]
pub struct Numbers(pub u32);

impl TryRng for Numbers {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0 = self.0.wrapping_mul(0x915f_77f5).wrapping_add(1);
        Ok(self.0.rotate_left(13) ^ self.0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from(self.try_next_u32()?) << 32 | u64::from(self.try_next_u32()?))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for word in bytes.chunks_mut(4) {
            word.iter_mut().zip(self.try_next_u32()?.to_le_bytes()).for_each(|(to, from)| *to = from);
        }
        Ok(())
    }
}

impl TryCryptoRng for Numbers {}
