//! The time of day, which certificates are checked against.

use std::time::{SystemTime, UNIX_EPOCH};

use smp_embassy::WallClock;

/// The computer's clock.
pub(crate) struct SystemClock;

impl WallClock for SystemClock {
    fn unix_seconds(&self) -> Option<i64> {
        i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
    }
}
