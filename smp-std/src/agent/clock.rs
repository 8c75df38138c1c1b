//! The agent's clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use smp_agent::Time;

/// The time of day. It goes on while the machine sleeps. When the time of day is set back, this goes on from where it was,
/// at the pace of a clock that nobody sets: it neither goes back nor stands still, or nothing would be due until the time
/// of day has caught up.
#[derive(Debug, Default)]
pub(super) struct Clock(Option<(Time, Instant)>);

impl Clock {
    pub(super) fn now(&mut self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.at(Time(milliseconds(since)), Instant::now())
    }

    fn at(&mut self, time_of_day: Time, instant: Instant) -> Time {
        let Some((last, then)) = &mut self.0 else {
            self.0 = Some((time_of_day, instant));
            return time_of_day;
        };
        let passed = milliseconds(instant.saturating_duration_since(*then));
        // Whole milliseconds are taken, the rest stays for the next time.
        *then = then.checked_add(Duration::from_millis(passed)).unwrap_or(instant);
        *last = time_of_day.max(Time(last.0.saturating_add(passed)));
        *last
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_does_not_go_back() {
        let (mut clock, start) = (Clock::default(), Instant::now());
        assert_eq!(clock.at(Time(5), start), Time(5));
        assert_eq!(clock.at(Time(3), start), Time(5));
        assert_eq!(clock.at(Time(6), start), Time(6));
        let now = Clock::default().now();
        // After 2020, before 2100.
        assert!(now > Time(1_577_836_800_000) && now < Time(4_102_444_800_000));
    }

    /// As after a start with the hour of another zone, until the network tells the right one.
    #[test]
    fn time_goes_on_when_the_time_of_day_is_set_back() {
        const HOUR: u64 = 3_600_000;
        let (mut clock, start) = (Clock::default(), Instant::now());
        let later = |milliseconds| start + Duration::from_millis(milliseconds);
        assert_eq!(clock.at(Time(3 * HOUR), start), Time(3 * HOUR));
        assert_eq!(clock.at(Time(2 * HOUR), later(0)), Time(3 * HOUR));
        assert_eq!(clock.at(Time(2 * HOUR + 2_000), later(2_000)), Time(3 * HOUR + 2_000));
        // Read more often than the milliseconds pass.
        for tenth in 1..=50 {
            clock.at(Time(2 * HOUR + 2_000), start + Duration::from_micros(2_000_000 + tenth * 100));
        }
        assert_eq!(clock.at(Time(2 * HOUR + 2_005), later(2_005)), Time(3 * HOUR + 2_005));
        // Where the time of day is ahead, it counts: the machine slept.
        assert_eq!(clock.at(Time(5 * HOUR), later(2_006)), Time(5 * HOUR));
    }
}
