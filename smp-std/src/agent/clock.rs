//! The agent's clock.

use std::time::{SystemTime, UNIX_EPOCH};

use smp_agent::Time;

/// The time of day, which does not go back while this exists. It goes on while the machine sleeps.
#[derive(Debug, Default)]
pub(super) struct Clock(Time);

impl Clock {
    pub(super) fn now(&mut self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.at(Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
    }

    fn at(&mut self, time: Time) -> Time {
        self.0 = self.0.max(time);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_does_not_go_back() {
        let mut clock = Clock::default();
        assert_eq!(clock.at(Time(5)), Time(5));
        assert_eq!(clock.at(Time(3)), Time(5));
        assert_eq!(clock.at(Time(6)), Time(6));
        let now = clock.now();
        // After 2020, before 2100.
        assert!(now > Time(1_577_836_800_000) && now < Time(4_102_444_800_000));
    }
}
