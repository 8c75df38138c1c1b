//! What a role needs of the device it runs on.

use core::fmt;

/// Network, randomness, time of day and the one large buffer, lent to a role while it runs.
pub struct Device<'d, N, R: ?Sized, C: ?Sized> {
    /// Makes streams to relays.
    pub network: &'d mut N,
    /// A cryptographic random source.
    pub random: &'d mut R,
    /// The time of day, if the device knows it.
    pub clock: &'d C,
    /// [`BUFFER_LENGTH`](crate::BUFFER_LENGTH) bytes. Between connections others may use it.
    pub buffer: &'d mut [u8],
}

impl<N, R: ?Sized, C: ?Sized> fmt::Debug for Device<'_, N, R, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").finish_non_exhaustive()
    }
}
