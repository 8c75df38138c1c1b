//! Pauses between attempts to connect.

use std::time::Duration;

/// How long to wait between two attempts to connect.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Backoff {
    /// The pause after the first failure.
    pub first: Duration,
    /// The longest pause.
    pub most: Duration,
    /// By how much each pause is longer than the one before, in percent.
    pub growth: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), most: Duration::from_secs(300), growth: 80 }
    }
}

impl Backoff {
    /// The pause after so many failures in a row, before it is spread.
    fn pause(&self, failures: u32) -> Duration {
        let factor = 1.0 + f64::from(self.growth) / 100.0;
        let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = self.first.as_secs_f64() * factor.powi(exponent);
        Duration::try_from_secs_f64(seconds).unwrap_or(self.most).min(self.most)
    }

    /// The pause, spread from half to one and a half times as long, so that the clients of a relay that comes back do not
    /// all come at once.
    pub(super) fn spread(&self, failures: u32) -> Duration {
        let pause = self.pause(failures);
        let spread = pause.as_secs_f64() * (0.5 + rand::random::<f64>());
        // Of a pause that is meant to last for ever there is no longer one.
        Duration::try_from_secs_f64(spread).unwrap_or(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_pauses_can_be_spread() {
        for (first, growth) in [(Duration::ZERO, 0), (Duration::MAX, 0), (Duration::from_secs(1), u32::MAX)] {
            let backoff = Backoff { first, most: Duration::MAX, growth };
            for failures in [0, 1, 2, 50, u32::MAX] {
                for _ in 0..20 {
                    assert!(backoff.spread(failures) >= first / 3);
                }
            }
        }
    }

    #[test]
    fn pauses_grow_to_a_limit_and_are_spread() {
        let backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(60), growth: 100 };
        assert_eq!(backoff.pause(1), Duration::from_secs(1));
        assert_eq!(backoff.pause(2), Duration::from_secs(2));
        assert_eq!(backoff.pause(5), Duration::from_secs(16));
        for failures in [7, 100, u32::MAX] {
            assert_eq!(backoff.pause(failures), Duration::from_secs(60));
        }
        let pauses: Vec<Duration> = (0..50).map(|_| backoff.spread(3)).collect();
        assert!(pauses.iter().all(|pause| (2.0..=6.0).contains(&pause.as_secs_f64())));
        assert!(pauses.iter().any(|pause| pause != &pauses[0]));
    }
}
