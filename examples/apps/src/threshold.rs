//! When a reading is worth a message.

use embassy_time::{Duration, Instant};

/// When to tell of readings.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Readings from here on are too high.
    pub limit: i32,
    /// How far below the limit a reading must be to count as low again; readings in between change nothing, so that a
    /// value that trembles about the limit is told once.
    pub hysteresis: i32,
    /// The least time between two messages.
    pub spacing: Duration,
    /// How often to tell that the value is still too high, or the sensor still broken.
    pub repeat: Duration,
    /// How many measurements in a row must fail for the sensor to count as broken.
    pub failures: u8,
}

/// What to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// The value rose to the limit: the highest since then. It may have fallen again meanwhile.
    Above(i32),
    /// The value has been too high since the last message.
    StillAbove(i32),
    /// The value is low again.
    Below(i32),
    /// The sensor does not answer.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Low,
    High,
    Failed,
}

/// Decides for each reading whether to tell of it. Has no clock: the caller gives the time.
#[derive(Debug)]
pub struct Watch {
    limits: Limits,
    state: State,
    failures: u8,
    /// What the receiver knows.
    told: State,
    last: Option<Instant>,
    /// The highest value of an excursion that was not told yet, so that a short one is not lost to the spacing.
    untold: Option<i32>,
}

impl Watch {
    /// Begins with a low value that needs no message.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self { limits, state: State::Low, failures: 0, told: State::Low, last: None, untold: None }
    }

    /// Takes a reading, or that there was none.
    pub fn reading(&mut self, now: Instant, reading: Option<i32>) -> Option<Report> {
        match reading {
            Some(value) => self.measured(value),
            None => {
                self.failures = self.failures.saturating_add(1);
                if self.failures >= self.limits.failures.max(1) {
                    self.state = State::Failed;
                }
            }
        }
        let report = self.due(now, reading)?;
        self.last = Some(now);
        Some(report)
    }

    fn measured(&mut self, value: i32) {
        self.failures = 0;
        let low = value < self.limits.limit.saturating_sub(self.limits.hysteresis.max(0));
        if value >= self.limits.limit {
            self.state = State::High;
        } else if low || self.state == State::Failed {
            self.state = State::Low;
        }
        if self.state == State::High && self.told != State::High {
            self.untold = Some(self.untold.map_or(value, |highest| highest.max(value)));
        }
    }

    fn due(&mut self, now: Instant, reading: Option<i32>) -> Option<Report> {
        let since = self.last.map(|last| now.saturating_duration_since(last));
        if since.is_some_and(|since| since < self.limits.spacing) {
            return None;
        }
        if let Some(highest) = self.untold.take() {
            self.told = State::High;
            return Some(Report::Above(highest));
        }
        let repeat = since.is_some_and(|since| since >= self.limits.repeat);
        if self.told == self.state && (self.state == State::Low || !repeat) {
            return None;
        }
        let report = match (self.state, reading) {
            (State::Failed, _) => Report::Failed,
            (State::High, Some(value)) => Report::StillAbove(value),
            (State::Low, Some(value)) => Report::Below(value),
            // A measurement that failed, but not often enough: the next one tells.
            (State::High | State::Low, None) => return None,
        };
        self.told = self.state;
        Some(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        limit: 300,
        hysteresis: 10,
        spacing: Duration::from_secs(60),
        repeat: Duration::from_secs(3600),
        failures: 3,
    };

    /// Readings, one each second from a time on: what is told of them, with the time.
    fn feed(watch: &mut Watch, from: u64, readings: &[Option<i32>]) -> heapless::Vec<(u64, Report), 8> {
        (from..)
            .zip(readings)
            .filter_map(|(second, reading)| Some((second, watch.reading(Instant::from_secs(second), *reading)?)))
            .collect()
    }

    #[test]
    fn a_value_that_trembles_about_the_limit_is_told_once() {
        let mut watch = Watch::new(LIMITS);
        assert_eq!(feed(&mut watch, 0, &[Some(0), Some(299), Some(300), Some(295)]), [(2, Report::Above(300))]);
        let mut second = 4;
        for _ in 0..300 {
            assert_eq!(feed(&mut watch, second, &[Some(290), Some(301)]), []);
            second += 2;
        }
        assert_eq!(feed(&mut watch, second, &[Some(289)]), [(second, Report::Below(289))]);
    }

    #[test]
    fn it_repeats_while_the_value_is_high() {
        let mut watch = Watch::new(LIMITS);
        assert_eq!(feed(&mut watch, 0, &[Some(310)]), [(0, Report::Above(310))]);
        assert_eq!(feed(&mut watch, 3599, &[Some(320), Some(330), Some(340)]), [(3600, Report::StillAbove(330))]);
        assert_eq!(feed(&mut watch, 7200, &[Some(350)]), [(7200, Report::StillAbove(350))]);
        assert_eq!(feed(&mut watch, 7300, &[Some(0)]), [(7300, Report::Below(0))]);
        assert_eq!(feed(&mut watch, 100_000, &[Some(0)]), [], "a low value is not repeated");
    }

    #[test]
    fn messages_keep_their_distance_and_no_excursion_is_lost() {
        let mut watch = Watch::new(LIMITS);
        assert_eq!(feed(&mut watch, 0, &[Some(300), Some(0)]), [(0, Report::Above(300))]);
        assert_eq!(feed(&mut watch, 60, &[Some(0)]), [(60, Report::Below(0))]);
        // Up, higher and down again, all too early to tell.
        assert_eq!(feed(&mut watch, 61, &[Some(310), Some(400), Some(320), Some(0), Some(0)]), []);
        assert_eq!(feed(&mut watch, 119, &[Some(0), Some(0)]), [(120, Report::Above(400))]);
        assert_eq!(feed(&mut watch, 179, &[Some(0), Some(0)]), [(180, Report::Below(0))]);
    }

    #[test]
    fn a_broken_sensor_is_told_and_that_it_works_again() {
        let mut watch = Watch::new(LIMITS);
        assert_eq!(feed(&mut watch, 0, &[None, None, Some(0), None, None, None, None]), [(5, Report::Failed)]);
        assert_eq!(feed(&mut watch, 3605, &[None]), [(3605, Report::Failed)]);
        assert_eq!(feed(&mut watch, 3700, &[Some(295)]), [(3700, Report::Below(295))]);
        // Broken while the value is high.
        assert_eq!(feed(&mut watch, 4000, &[Some(300)]), [(4000, Report::Above(300))]);
        assert_eq!(feed(&mut watch, 4100, &[None, None, None]), [(4102, Report::Failed)]);
        assert_eq!(feed(&mut watch, 4200, &[Some(310)]), [(4200, Report::Above(310))]);
    }

    #[test]
    fn extreme_limits_do_no_harm() {
        let limits = Limits { limit: i32::MIN, hysteresis: i32::MAX, failures: 0, ..LIMITS };
        let mut watch = Watch::new(limits);
        assert_eq!(feed(&mut watch, 0, &[Some(i32::MIN)]), [(0, Report::Above(i32::MIN))]);
        assert_eq!(feed(&mut watch, 100, &[None]), [(100, Report::Failed)]);
    }
}
