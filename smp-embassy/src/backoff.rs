//! Pauses between attempts to connect.

use embassy_time::Duration;

/// After how long a connection counts as good: the next pause is a short one again.
pub(crate) const STABLE: Duration = Duration::from_secs(60);

/// How long to wait between two attempts: twice as long each time, up to a limit, spread so that the clients of a relay
/// that comes back do not all come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The pause after the first failure.
    pub first: Duration,
    /// The longest pause.
    pub most: Duration,
}

impl Backoff {
    /// 1 second, then longer up to 5 minutes.
    pub const DEFAULT: Self = Self { first: Duration::from_secs(1), most: Duration::from_secs(300) };

    /// The pause after so many failures in a row, one or more: between half and one and a half times the doubled one, as
    /// `random` decides.
    #[must_use]
    pub fn pause(&self, failures: u32, random: u16) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let ticks = self.first.as_ticks().saturating_mul(1 << doublings).min(self.most.as_ticks());
        // Half of it, and up to a whole of it by chance: in 16 bits, so that no product overflows for years.
        let spread = (ticks >> 16)
            .saturating_mul(u64::from(random))
            .saturating_add(((ticks & 0xffff).saturating_mul(u64::from(random))) >> 16);
        Duration::from_ticks((ticks / 2).saturating_add(spread))
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit() {
        let backoff = Backoff { first: Duration::from_secs(2), most: Duration::from_secs(60) };
        let middle = |failures| backoff.pause(failures, 0x8000);
        assert_eq!(middle(0), Duration::from_secs(2));
        assert_eq!(middle(1), Duration::from_secs(2));
        assert_eq!(middle(2), Duration::from_secs(4));
        assert_eq!(middle(5), Duration::from_secs(32));
        for failures in [6, 7, 64, u32::MAX] {
            assert_eq!(middle(failures), Duration::from_secs(60));
        }
    }

    #[test]
    fn pauses_are_spread_from_half_to_one_and_a_half() {
        let backoff = Backoff::DEFAULT;
        assert_eq!(backoff.pause(3, 0), Duration::from_secs(2));
        let longest = backoff.pause(3, u16::MAX);
        assert!(longest > Duration::from_millis(5_990) && longest < Duration::from_secs(6));
        let endless = Backoff { first: Duration::MAX, most: Duration::MAX };
        assert!(endless.pause(u32::MAX, u16::MAX) > Duration::from_secs(1 << 40));
    }
}
