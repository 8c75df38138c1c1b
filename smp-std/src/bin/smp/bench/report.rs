//! The results of a measurement, as a table or as JSON.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::failure::Failure;
use crate::progress::duration;

/// The longest time a histogram holds, in microseconds: ten minutes.
const LONGEST: u64 = 600_000_000;

/// A distribution of times, kept in microseconds with three digits.
#[derive(Clone, Debug)]
pub(super) struct Times(Histogram<u64>);

impl Times {
    pub(super) fn new() -> Self {
        #[expect(
            clippy::expect_used,
            reason = "fails only for bounds that contradict each other, and these are constant"
        )]
        Self(Histogram::new_with_bounds(1, LONGEST, 3).expect("valid bounds"))
    }

    pub(super) fn record(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_micros()).unwrap_or(LONGEST).max(1));
    }

    pub(super) fn add(&mut self, other: &Self) {
        // Both have the same bounds.
        let _ = self.0.add(&other.0);
    }

    pub(super) fn len(&self) -> u64 {
        self.0.len()
    }

    pub(super) fn summary(&self) -> Summary {
        let seconds = |micros: u64| Duration::from_micros(micros).as_secs_f64();
        Summary {
            count: self.0.len(),
            p50: seconds(self.0.value_at_quantile(0.5)),
            p90: seconds(self.0.value_at_quantile(0.9)),
            p99: seconds(self.0.value_at_quantile(0.99)),
            max: seconds(self.0.max()),
        }
    }
}

/// What is printed of a distribution, in seconds.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Summary {
    pub(super) count: u64,
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

impl Summary {
    pub(super) fn print_header() {
        say!("{:<26}{:>10}{:>12}{:>12}{:>12}{:>12}", "", "count", "p50", "p90", "p99", "max");
    }

    pub(super) fn print(&self, name: &str) {
        let show = |seconds: f64| duration(Duration::from_secs_f64(seconds));
        say!(
            "{name:<26}{:>10}{:>12}{:>12}{:>12}{:>12}",
            self.count,
            show(self.p50),
            show(self.p90),
            show(self.p99),
            show(self.max)
        );
    }
}

/// Prints results as JSON.
pub(super) fn print_json(results: &impl Serialize) -> Result<(), Failure> {
    say!("{}", serde_json::to_string_pretty(results).map_err(std::io::Error::from)?);
    Ok(())
}

/// A number of bytes for people.
pub(super) fn bytes(bytes: f64) -> String {
    if bytes < 1024.0 {
        format!("{bytes:.0} bytes")
    } else if bytes < 1024.0 * 1024.0 {
        format!("{:.1} KiB", bytes / 1024.0)
    } else {
        format!("{:.1} MiB", bytes / (1024.0 * 1024.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_times() {
        let mut times = Times::new();
        let mut more = Times::new();
        for number in 1..=1000 {
            let half = if number % 2 == 0 { &mut times } else { &mut more };
            half.record(Duration::from_millis(number));
        }
        times.add(&more);
        let summary = times.summary();
        assert_eq!(summary.count, 1000);
        for (found, expected) in [(summary.p50, 0.5), (summary.p90, 0.9), (summary.p99, 0.99), (summary.max, 1.0)] {
            assert!((found - expected).abs() < 0.002, "{found} is not {expected}");
        }
    }

    #[test]
    fn times_out_of_range_are_counted_at_its_ends() {
        let mut times = Times::new();
        times.record(Duration::ZERO);
        times.record(Duration::MAX);
        assert_eq!(times.len(), 2);
        assert!(times.summary().max >= 599.0);
    }

    #[test]
    fn bytes_have_the_unit_that_suits() {
        assert_eq!(bytes(100.0), "100 bytes");
        assert_eq!(bytes(2048.0), "2.0 KiB");
        assert_eq!(bytes(3.5 * 1024.0 * 1024.0), "3.5 MiB");
    }
}
