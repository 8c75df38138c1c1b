//! The time for which the relay was there, as opposed to what the system's clock says: messages expire by the first.
//!
//! Messages carry the time of the clock at which they came. If their age were the difference to the clock's time now, a
//! clock that is corrected by weeks, or jumps ahead, would make messages of the last minute look weeks old, and all of them
//! would expire at once. So the relay remembers the stretches of time in which the clock went on steadily, over restarts
//! as well, and counts only these. Time for which the relay was away does not count either: nobody could fetch a message then.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Relay;
use super::store::Expiry;
use super::store::rules::RESERVED_DAYS;

/// What is saved, inside the relay's directory.
pub(super) const CLOCK_FILE: &str = "clock.json";

/// Between two looks at the clock.
const LOOK: Duration = Duration::from_secs(60);

/// Looks between two times at which the stretches are saved, if the clock did not jump: one small write in a quarter of an
/// hour, since memory cards wear.
const LOOKS_TO_SAVE: u32 = 15;

/// The clock may go wrong by so many seconds between two looks: what time servers correct without being asked twice.
const STEADY: i64 = 300;

/// A relay that comes back after so many seconds was not away. More than passes between two times of saving.
const RESTART: i64 = 3_600;

/// Stretches that are remembered at most.
const STRETCHES: usize = 128;

/// What is read of the file at most.
const FILE_LIMIT: u64 = 64 << 10;

/// The clock went on steadily.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
struct Stretch {
    /// From this second on: since 1970-01-01, UTC, as the clock said.
    from: i64,
    /// For so many seconds at least.
    seconds: i64,
}

impl Stretch {
    const fn end(self) -> i64 {
        self.from.saturating_add(self.seconds)
    }

    /// Goes on until the clock says `now`.
    fn extend(&mut self, now: i64) {
        self.seconds = self.seconds.max(now.saturating_sub(self.from));
    }
}

/// What happened to the clock between two looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Passed {
    /// It went on.
    Steadily,
    /// It jumped by so many seconds, or the relay was away for so long.
    Jumped(i64),
}

/// The stretches of steady time.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    /// Those before, the newest last.
    older: VecDeque<Stretch>,
    /// The one that goes on.
    newest: Stretch,
}

impl Clock {
    /// A clock that says `now`.
    pub(super) fn new(now: i64) -> Self {
        Self { older: VecDeque::new(), newest: Stretch { from: now, seconds: 0 } }
    }

    /// The clock says `now`, `elapsed` seconds after the last look.
    pub(super) fn look(&mut self, now: i64, elapsed: i64) -> Passed {
        let expected = self.newest.end().saturating_add(elapsed);
        let drift = now.saturating_sub(expected);
        if drift.saturating_abs() <= STEADY {
            self.newest.extend(now);
            return Passed::Steadily;
        }
        // Nobody knows when between the looks it jumped: both stretches get the time.
        self.newest.extend(expected);
        self.begin(Stretch { from: now.saturating_sub(elapsed), seconds: elapsed });
        Passed::Jumped(drift)
    }

    /// The relay starts again and the clock says `now`.
    pub(super) fn resume(&mut self, now: i64) -> Passed {
        let away = now.saturating_sub(self.newest.end());
        if (-STEADY..=RESTART).contains(&away) {
            self.newest.extend(now);
            return Passed::Steadily;
        }
        self.begin(Stretch { from: now, seconds: 0 });
        Passed::Jumped(away)
    }

    fn begin(&mut self, stretch: Stretch) {
        self.older.push_back(std::mem::replace(&mut self.newest, stretch));
        if self.older.len() >= STRETCHES {
            self.older.pop_front();
        }
    }

    /// Forgets what is longer ago than the last `seconds` of steady time.
    pub(super) fn forget(&mut self, seconds: i64) {
        let mut sum = self.newest.seconds;
        let kept = self.older.iter().rev().take_while(|stretch| {
            let before = sum;
            sum = sum.saturating_add(stretch.seconds);
            before < seconds
        });
        let kept = kept.count();
        self.older.drain(..self.older.len().saturating_sub(kept));
    }

    /// The times that lie before the last `seconds` of steady time. Times that no stretch has, from before the relay kept
    /// them, count as if the oldest had gone on backwards; times to come have not passed.
    pub(super) fn expiry(&self, seconds: i64) -> Expiry {
        let counted = |rest: i64, stretch: &Stretch, oldest| if oldest { rest } else { rest.min(stretch.seconds) };
        let last = counted(seconds, &self.newest, self.older.is_empty());
        let mut expiry = Expiry::before(self.newest.end().saturating_sub(last));
        let mut rest = seconds.saturating_sub(last);
        for (before, stretch) in self.older.iter().enumerate().rev() {
            if rest <= 0 {
                break;
            }
            let part = counted(rest, stretch, before == 0);
            // What came after the last time of saving is spared, too.
            expiry.spare(stretch.end().saturating_sub(part)..=stretch.end().saturating_add(RESTART));
            rest = rest.saturating_sub(part);
        }
        expiry
    }

    /// Reads what was saved, if anything was.
    fn load(directory: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(directory.join(CLOCK_FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => result?,
        };
        let mut text = Vec::new();
        file.take(FILE_LIMIT).read_to_end(&mut text)?;
        let mut older: VecDeque<Stretch> = serde_json::from_slice(&text)?;
        let possible = older.len() <= STRETCHES && older.iter().all(|stretch| stretch.seconds >= 0);
        let newest = older.pop_back().filter(|_| possible).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Some(Self { older, newest }))
    }

    fn save(&self, directory: &Path) -> io::Result<()> {
        let stretches: Vec<&Stretch> = self.older.iter().chain([&self.newest]).collect();
        super::saved::replace(directory, CLOCK_FILE, &serde_json::to_vec(&stretches)?)
    }
}

impl Relay {
    /// The times at which came what expires after `seconds`.
    pub(super) fn expiry(&self, seconds: i64) -> Expiry {
        self.clock.lock().expiry(seconds)
    }

    /// Goes on with the stretches of steady time that are saved in `directory`.
    pub(super) async fn resume_clock(&self, directory: &Path) {
        let directory = directory.to_owned();
        match tokio::task::spawn_blocking(move || Clock::load(&directory)).await {
            Ok(Ok(Some(mut clock))) => {
                if let Passed::Jumped(seconds) = clock.resume(self.now()) {
                    tracing::info!(seconds, "the relay was away, or its clock was set: nothing expires for that time");
                }
                *self.clock.lock() = clock;
            }
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "{CLOCK_FILE} cannot be read; it begins anew"),
            Err(error) => tracing::warn!(%error, "{CLOCK_FILE} cannot be read; it begins anew"),
        }
    }

    /// Looks at the clock again and again, and saves its stretches if there is a directory for them.
    pub(super) async fn keep_clock(self: Arc<Self>) {
        let directory = self.operator.get().map(|operator| operator.directory.clone());
        let mut looked = Instant::now();
        let mut unsaved = LOOKS_TO_SAVE;
        loop {
            let stopping = tokio::select! {
                () = self.stopping.cancelled() => true,
                () = tokio::time::sleep(LOOK) => false,
            };
            let elapsed = looked.elapsed().as_secs();
            // What is left of a second counts at the next look.
            looked = looked.checked_add(Duration::from_secs(elapsed)).unwrap_or_else(Instant::now);
            let passed = self.look_at_clock(self.now(), i64::try_from(elapsed).unwrap_or(i64::MAX));
            unsaved = unsaved.saturating_add(1);
            if let Some(directory) = &directory
                && (stopping || unsaved >= LOOKS_TO_SAVE || passed != Passed::Steadily)
            {
                unsaved = 0;
                self.save_clock(directory.clone()).await;
            }
            if stopping {
                return;
            }
        }
    }

    /// The clock says `now`, `elapsed` seconds after the last look.
    pub(super) fn look_at_clock(&self, now: i64, elapsed: i64) -> Passed {
        let days = self.config().messages.expire_days.max(RESERVED_DAYS);
        let mut clock = self.clock.lock();
        let passed = clock.look(now, elapsed);
        clock.forget(i64::from(days) * 86_400);
        if let Passed::Jumped(seconds) = passed {
            tracing::warn!(seconds, "the system's clock jumped: nothing expires for that time");
        }
        passed
    }

    async fn save_clock(&self, directory: PathBuf) {
        let clock = self.clock.lock().clone();
        let saved = tokio::task::spawn_blocking(move || clock.save(&directory)).await;
        if let Err(error) = saved.unwrap_or_else(|error| Err(io::Error::other(error))) {
            tracing::error!(%error, "{CLOCK_FILE} cannot be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const MINUTE: i64 = 60;
    const DAY: i64 = 86_400;
    const WEEK: i64 = 7 * DAY;
    /// A day in 2026.
    const TODAY: i64 = 1_795_000_000;

    /// A relay with a clock that runs, and one that others set.
    struct Scene {
        clock: Clock,
        now: i64,
    }

    impl Scene {
        fn new() -> Self {
            Self { clock: Clock::new(TODAY), now: TODAY }
        }

        /// The relay runs, and the clock with it.
        fn run(&mut self, seconds: i64) -> &mut Self {
            let mut rest = seconds;
            while rest > 0 {
                let step = rest.min(MINUTE);
                self.now += step;
                self.clock.look(self.now, step);
                rest -= step;
            }
            self
        }

        /// Somebody sets the clock, and the relay looks at it.
        fn set(&mut self, ahead: i64) -> &mut Self {
            self.now += ahead;
            self.clock.look(self.now, 0);
            self
        }

        /// The relay is away.
        fn pause(&mut self, seconds: i64) -> &mut Self {
            self.now += seconds;
            self.clock.resume(self.now);
            self
        }

        fn expired(&self, time: i64) -> bool {
            self.clock.expiry(3 * WEEK).includes(time)
        }
    }

    #[test]
    fn messages_expire_after_their_time() {
        let mut scene = Scene::new();
        scene.run(3 * WEEK);
        assert!(!scene.expired(TODAY));
        assert!(scene.expired(TODAY - 1));
        scene.run(MINUTE);
        assert!(scene.expired(TODAY + MINUTE - 1));
        assert!(!scene.expired(TODAY + MINUTE));
        assert!(scene.clock.older.is_empty());
    }

    #[test]
    fn messages_from_before_the_relay_kept_time_expire_by_the_clock() {
        let mut scene = Scene::new();
        assert!(scene.expired(TODAY - 3 * WEEK - 1));
        assert!(!scene.expired(TODAY - 3 * WEEK));
        scene.run(DAY);
        assert!(scene.expired(TODAY - 3 * WEEK + DAY - 1));
        assert!(!scene.expired(TODAY - 3 * WEEK + DAY));
    }

    #[test]
    fn a_clock_that_is_corrected_expires_nothing_that_came_before() {
        // A machine without a clock of its own begins long ago.
        let mut scene = Scene::new();
        scene.run(WEEK).set(-50 * 365 * DAY);
        let long_ago = scene.now;
        scene.run(MINUTE).set(50 * 365 * DAY);
        let corrected = scene.now;
        for time in [TODAY, TODAY + WEEK, long_ago, long_ago + MINUTE, corrected] {
            assert!(!scene.expired(time), "{time}");
        }
        assert!(scene.expired(long_ago - 1), "that is not the relay's");
        // All of them get the time they are due, and no more.
        scene.run(2 * WEEK - 2 * MINUTE);
        assert!(!scene.expired(TODAY));
        scene.run(2 * MINUTE);
        assert!(scene.expired(TODAY));
        assert!(!scene.expired(long_ago) && !scene.expired(TODAY + WEEK));
        scene.run(WEEK + MINUTE);
        assert!(scene.expired(long_ago) && scene.expired(TODAY + WEEK));
        assert!(!scene.expired(corrected + 2 * MINUTE));
    }

    #[test]
    fn a_clock_that_jumps_ahead_expires_nothing_before_and_after_its_correction() {
        let mut scene = Scene::new();
        scene.run(WEEK).set(365 * DAY);
        assert!(!scene.expired(TODAY) && !scene.expired(scene.now));
        let ahead = scene.now;
        scene.run(MINUTE).set(-365 * DAY);
        assert!(!scene.expired(TODAY) && !scene.expired(ahead) && !scene.expired(scene.now));
        scene.run(3 * WEEK + MINUTE);
        assert!(scene.expired(TODAY) && scene.expired(TODAY + WEEK - 1));
        assert!(!scene.expired(ahead), "its time has not come");
    }

    #[test]
    fn time_away_does_not_count() {
        let mut scene = Scene::new();
        scene.run(WEEK).pause(10 * WEEK);
        let back = scene.now;
        assert!(!scene.expired(TODAY));
        scene.run(2 * WEEK);
        assert!(!scene.expired(TODAY));
        scene.run(MINUTE);
        assert!(scene.expired(TODAY));
        // What was not saved before a crash is spared.
        assert!(!scene.expired(TODAY + WEEK + 15 * MINUTE));
        assert!(scene.expired(back - WEEK) && !scene.expired(back));
    }

    #[test]
    fn a_short_restart_is_no_absence() {
        let mut scene = Scene::new();
        for _ in 0..1_000 {
            scene.run(DAY / 24).pause(DAY / 24).pause(-STEADY);
        }
        assert!(scene.clock.older.is_empty());
        assert_eq!(scene.clock.newest.end(), scene.now + STEADY);
    }

    #[test]
    fn a_clock_that_drifts_is_followed() {
        let mut scene = Scene::new();
        for _ in 0..10_000 {
            scene.now += MINUTE + 1;
            assert_eq!(scene.clock.look(scene.now, MINUTE), Passed::Steadily);
        }
        assert_eq!(scene.clock.newest, Stretch { from: TODAY, seconds: 10_000 * (MINUTE + 1) });
        assert_eq!(scene.clock.look(scene.now + MINUTE + STEADY + 1, MINUTE), Passed::Jumped(STEADY + 1));
        assert_eq!(scene.clock.look(scene.now, MINUTE), Passed::Jumped(-2 * MINUTE - STEADY - 1));
    }

    #[test]
    fn what_is_over_is_forgotten_without_a_difference() {
        let mut scene = Scene::new();
        for round in 0..200 {
            scene.run(DAY).pause((round % 5) * WEEK).set(if round % 3 == 0 { -100 * DAY } else { 0 });
            let mut forgetful = scene.clock.clone();
            forgetful.forget(3 * WEEK);
            assert!(forgetful.older.len() <= 44, "{}", forgetful.older.len());
            let (all, some) = (scene.clock.expiry(3 * WEEK), forgetful.expiry(3 * WEEK));
            for time in (-150 * DAY..150 * DAY).step_by(7_919).map(|offset| scene.now + offset) {
                assert!(!some.includes(time) || all.includes(time), "{round}: {time}");
            }
            assert!(scene.clock.older.len() < STRETCHES);
        }
    }

    #[test]
    fn no_clock_is_too_far_off() {
        for now in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX] {
            let mut clock = Clock::new(now);
            for then in [i64::MAX, i64::MIN, 0, now] {
                clock.look(then, MINUTE);
                clock.resume(then);
                clock.forget(3 * WEEK);
                assert!(!clock.expiry(3 * WEEK).includes(then), "{now} {then}");
            }
        }
    }

    #[test]
    fn what_was_saved_is_there_again() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Clock::load(directory.path()).unwrap().is_none());
        let mut scene = Scene::new();
        scene.run(DAY).pause(WEEK).run(DAY);
        scene.clock.save(directory.path()).unwrap();
        let loaded = Clock::load(directory.path()).unwrap().unwrap();
        assert_eq!((&loaded.older, loaded.newest), (&scene.clock.older, scene.clock.newest));
        for damaged in
            ["", "[]", "{}", "[{\"from\":0,\"seconds\":-1}]", "[{\"from\":0}]", "[{\"from\":1e30,\"seconds\":0}]"]
        {
            fs::write(directory.path().join(CLOCK_FILE), damaged).unwrap();
            assert!(Clock::load(directory.path()).is_err(), "{damaged}");
        }
    }
}
