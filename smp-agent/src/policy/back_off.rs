//! When to try again: intervals that grow (wire reference of the agent, section 24). All times are milliseconds.
//!
//! Nothing here is random. Where many agents would come back at the same moment, the adapter may spread the delays.
//!
//! ```
//! use smp_agent::policy::back_off::{BackOff, RECONNECT};
//!
//! let mut back_off = BackOff::new(&RECONNECT);
//! let waits: Vec<u64> = (0..8).map(|_| back_off.advance(&RECONNECT)).collect();
//! assert_eq!(waits, [2_000, 2_000, 2_000, 2_000, 2_000, 3_000, 4_500, 6_750]);
//! ```

use serde::{Deserialize, Serialize};

use super::timing::{HOUR, SECOND};

/// Between attempts to connect to a server whose subscriptions were lost, and for commands that are repeated.
pub const RECONNECT: RetryInterval = RetryInterval { initial: 2 * SECOND, after: 10 * SECOND, max: 180 * SECOND };
/// Between attempts to deliver a message, unless the queue is full.
pub const MESSAGE_FAST: RetryInterval = RetryInterval { initial: 2 * SECOND, after: 10 * SECOND, max: 120 * SECOND };
/// Between attempts to deliver a message to a queue that is full.
pub const MESSAGE_SLOW: RetryInterval = RetryInterval { initial: 300 * SECOND, after: 60 * SECOND, max: 6 * HOUR };
/// Both intervals for the delivery of messages.
pub const MESSAGE: RetryIntervals = RetryIntervals { fast: MESSAGE_FAST, slow: MESSAGE_SLOW };

/// How long to wait between attempts, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryInterval {
    /// The first delay.
    pub initial: u64,
    /// The delays grow once the sum of all of them is so long.
    pub after: u64,
    /// They never grow beyond this.
    pub max: u64,
}

impl RetryInterval {
    /// The delay that follows `delay` when `waited` is the sum of all delays, this one included: one and a half times as
    /// long, rounded down, once it is time to grow.
    #[must_use]
    pub fn next(&self, delay: u64, waited: u64) -> u64 {
        if waited < self.after {
            return delay;
        }
        let grown = delay.saturating_add(delay / 2);
        // One millisecond and none would never grow, and occupy whoever waits so long.
        grown.max(delay.saturating_add(1)).min(self.max)
    }
}

/// How far an interval has grown.
///
/// It keeps the sum of its delays, too: after a restart it grows as if there had been none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackOff {
    delay: u64,
    waited: u64,
}

impl BackOff {
    /// Before the first attempt.
    #[must_use]
    pub const fn new(interval: &RetryInterval) -> Self {
        Self { delay: interval.initial, waited: 0 }
    }

    /// The delay after the next failed attempt, in milliseconds.
    #[must_use]
    pub const fn delay(&self) -> u64 {
        self.delay
    }

    /// The sum of all delays so far, in milliseconds.
    #[must_use]
    pub const fn waited(&self) -> u64 {
        self.waited
    }

    /// An attempt failed: gives the delay to wait now, in milliseconds, and counts it as waited. A delay that is cut short
    /// later counts in full.
    pub fn advance(&mut self, interval: &RetryInterval) -> u64 {
        let delay = self.delay;
        self.waited = self.waited.saturating_add(delay);
        self.delay = interval.next(delay, self.waited);
        delay
    }

    /// Begins anew: something succeeded, or the network is back, or the user is.
    pub fn reset(&mut self, interval: &RetryInterval) {
        *self = Self::new(interval);
    }
}

/// Which of the two intervals of a message an attempt has to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Pace {
    /// The failure was temporary.
    Fast,
    /// The queue is full.
    Slow,
}

/// The intervals for the delivery of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryIntervals {
    /// For temporary failures.
    pub fast: RetryInterval,
    /// For full queues.
    pub slow: RetryInterval,
}

/// How far both intervals of a message have grown; each grows by its own delays only. It is stored with the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageBackOff {
    /// For temporary failures.
    pub fast: BackOff,
    /// For full queues.
    pub slow: BackOff,
}

impl MessageBackOff {
    /// Before the first attempt.
    #[must_use]
    pub const fn new(intervals: &RetryIntervals) -> Self {
        Self { fast: BackOff::new(&intervals.fast), slow: BackOff::new(&intervals.slow) }
    }

    /// An attempt failed: gives the delay to wait now, in milliseconds, as [`BackOff::advance`] does.
    pub fn advance(&mut self, pace: Pace, intervals: &RetryIntervals) -> u64 {
        match pace {
            Pace::Fast => self.fast.advance(&intervals.fast),
            Pace::Slow => self.slow.advance(&intervals.slow),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const FAST: RetryInterval = RetryInterval { initial: 10_000, after: 20_000, max: 40_000 };
    const SLOW: RetryInterval = RetryInterval { initial: 20_000, after: 40_000, max: 40_000 };
    const BOTH: RetryIntervals = RetryIntervals { fast: FAST, slow: SLOW };

    /// The delays before each of the attempts that follow the first one.
    fn delays(attempts: impl IntoIterator<Item = Pace>) -> (Vec<u64>, Vec<(u64, u64)>) {
        let mut state = MessageBackOff::new(&BOTH);
        let mut seen = Vec::from([(state.slow.delay(), state.fast.delay())]);
        let waits = attempts.into_iter().map(|pace| {
            let wait = state.advance(pace, &BOTH);
            // Each attempt may be the last before a restart.
            let stored = postcard::to_allocvec(&state).unwrap();
            state = postcard::from_bytes(&stored).unwrap();
            seen.push((state.slow.delay(), state.fast.delay()));
            wait
        });
        (waits.collect(), seen)
    }

    #[test]
    fn grows_after_so_long_and_up_to_so_much() {
        let (waits, seen) = delays([Pace::Fast; 8]);
        assert_eq!(waits, [10_000, 10_000, 15_000, 22_500, 33_750, 40_000, 40_000, 40_000]);
        let fast = [10_000, 10_000, 15_000, 22_500, 33_750, 40_000, 40_000, 40_000, 40_000];
        assert_eq!(seen, fast.map(|fast| (20_000, fast)));
    }

    #[test]
    fn each_interval_grows_by_its_own_delays() {
        let (waits, seen) = delays([[Pace::Fast; 5], [Pace::Slow; 5]].concat());
        assert_eq!(waits, [10_000, 10_000, 15_000, 22_500, 33_750, 20_000, 20_000, 30_000, 40_000, 40_000]);
        let slow = [(20_000, 40_000), (20_000, 40_000), (30_000, 40_000), (40_000, 40_000), (40_000, 40_000)];
        assert_eq!(seen[5..10], slow);
        assert_eq!(seen[10], (40_000, 40_000));
    }

    #[test]
    fn begins_anew_when_reset() {
        let mut back_off = BackOff::new(&FAST);
        for _ in 0..4 {
            back_off.advance(&FAST);
        }
        assert_eq!(back_off.delay(), 33_750);
        assert_eq!(back_off.waited(), 57_500);
        back_off.reset(&FAST);
        assert_eq!(back_off, BackOff::new(&FAST));
        assert_eq!(
            [back_off.advance(&FAST), back_off.advance(&FAST), back_off.advance(&FAST)],
            [10_000, 10_000, 15_000]
        );
    }

    #[test]
    fn the_named_intervals() {
        let waits = |interval: &RetryInterval| {
            let mut back_off = BackOff::new(interval);
            (0..24).map(|_| back_off.advance(interval)).collect::<Vec<_>>()
        };
        let reconnect = waits(&RECONNECT);
        assert_eq!(reconnect[..8], [2_000, 2_000, 2_000, 2_000, 2_000, 3_000, 4_500, 6_750]);
        assert_eq!(reconnect[8..11], [10_125, 15_187, 22_780], "rounded down");
        assert_eq!(reconnect[23], 180_000);
        assert_eq!(waits(&MESSAGE_FAST)[23], 120_000);
        let slow = waits(&MESSAGE_SLOW);
        assert_eq!(slow[..3], [300_000, 450_000, 675_000], "the first delay is longer than the time it is to stay");
        assert_eq!(slow[23], 6 * 60 * 60 * 1_000);
    }

    #[test]
    fn no_interval_overflows_or_shrinks() {
        let values = [0, 1, 2, 3, 1_000, u64::MAX / 2, u64::MAX - 1, u64::MAX];
        for initial in values {
            for after in values {
                for max in values.into_iter().filter(|max| *max >= initial) {
                    let interval = RetryInterval { initial, after, max };
                    let mut back_off = BackOff::new(&interval);
                    let mut last = (0, 0);
                    for _ in 0..64 {
                        let delay = back_off.advance(&interval);
                        let now = (delay, back_off.waited());
                        assert!(now >= last && delay <= max, "{interval:?}");
                        let stays = delay == max || back_off.waited() < after;
                        assert!(stays || back_off.delay() > delay, "{interval:?}");
                        last = now;
                    }
                }
            }
        }
    }

    #[test]
    fn a_lower_limit_takes_effect_on_what_is_stored() {
        let mut back_off = BackOff { delay: 40_000, waited: 400_000 };
        let lower = RetryInterval { max: 30_000, ..FAST };
        back_off.advance(&lower);
        assert_eq!(back_off.delay(), 30_000);
    }
}
