//! Which times are over.

use std::ops::RangeInclusive;

/// The times at which came what expires now: all before one, but for those spared.
///
/// Times are seconds since 1970-01-01, UTC.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Expiry {
    before: i64,
    spared: Vec<RangeInclusive<i64>>,
}

impl Expiry {
    /// All times before `before`.
    #[must_use]
    pub const fn before(before: i64) -> Self {
        Self { before, spared: Vec::new() }
    }

    /// Leaves times out.
    pub fn spare(&mut self, times: RangeInclusive<i64>) {
        if *times.start() < self.before {
            self.spared.push(times);
        }
    }

    /// Whether what came at `time` expires.
    #[must_use]
    pub fn includes(&self, time: i64) -> bool {
        time < self.before && !self.spared.iter().any(|spared| spared.contains(&time))
    }
}

impl From<i64> for Expiry {
    fn from(before: i64) -> Self {
        Self::before(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spared_does_not_expire() {
        let mut over = Expiry::before(100);
        over.spare(-5..=5);
        over.spare(90..=120);
        for (time, expires) in
            [(i64::MIN, true), (-6, true), (-5, false), (5, false), (6, true), (89, true), (90, false), (100, false)]
        {
            assert_eq!(over.includes(time), expires, "{time}");
        }
    }

    #[test]
    fn nothing_is_kept_of_times_that_do_not_expire_anyway() {
        let mut over = Expiry::before(100);
        over.spare(100..=120);
        assert_eq!(over, Expiry::from(100));
    }
}
