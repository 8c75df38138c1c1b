//! What time it is, for devices that know.

/// Tells the time of day.
///
/// Certificates have dates, and only with a clock can an expired one be refused. Many devices have none, or one that is
/// wrong until something has set it: they answer `None`, and the chain of a relay is checked but for its dates.
pub trait WallClock {
    /// Seconds since the Unix epoch, or nothing when the time is not known.
    fn unix_seconds(&self) -> Option<i64>;
}

/// A device that does not know the time.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoClock;

impl WallClock for NoClock {
    fn unix_seconds(&self) -> Option<i64> {
        None
    }
}

impl<C: WallClock + ?Sized> WallClock for &C {
    fn unix_seconds(&self) -> Option<i64> {
        (**self).unix_seconds()
    }
}
