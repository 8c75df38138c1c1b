//! When the relay ran: a file of periods that survives crashes, and how much of each day they cover.
//!
//! Each line of the file is one period, two times in seconds since 1970 (UTC), as wide as every other. While the relay
//! runs, the last line is written over once a minute, without waiting for the disk: after a crash at most a minute is
//! missing, and an SD card sees one small write in a while.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// The name of the file in the relay's directory.
pub(crate) const FILE_NAME: &str = "uptime";

/// How many days are shown, and kept.
pub(crate) const DAYS: usize = 90;

const DAY: i64 = 86_400;

/// Periods that are kept at most: a relay that starts more often in 90 days has other worries.
const MAX_PERIODS: usize = 1_000;

/// Two numbers of ten digits, a space and a line feed.
const LINE: usize = 22;

/// How far clock and running time may differ between two notes before they are taken for two periods: the machine slept,
/// or its clock was set.
const LEAP: i64 = 120;

/// From when until when the relay ran, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Period {
    start: i64,
    end: i64,
}

impl Period {
    fn parse(line: &str) -> Option<Self> {
        let (start, end) = line.split_once(' ')?;
        let period = Self { start: start.parse().ok()?, end: end.parse().ok()? };
        (0 <= period.start && period.start <= period.end).then_some(period)
    }

    fn line(self) -> String {
        format!("{:010} {:010}\n", self.start, self.end)
    }
}

/// How much of a day the relay ran.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Day {
    /// Days since 1970-01-01, UTC.
    pub(crate) number: i64,
    /// Parts in one of the time that counts; `None` on days before the first start.
    pub(crate) share: Option<f64>,
}

/// The periods so far, the last of which goes on.
#[derive(Debug)]
pub(crate) struct Uptime {
    file: Option<File>,
    periods: Vec<Period>,
    noted: Instant,
}

impl Uptime {
    /// Reads what is in the directory and begins a new period now. What cannot be read is left out. Without a file that
    /// can be written, the history is of this run only.
    pub(crate) fn open(directory: &Path, now: i64) -> (Self, io::Result<()>) {
        let path = directory.join(FILE_NAME);
        let text = fs::read(&path).unwrap_or_default();
        let since = now.saturating_sub(DAY.saturating_mul(DAYS as i64));
        let mut periods: Vec<Period> = String::from_utf8_lossy(&text)
            .lines()
            .filter_map(Period::parse)
            .filter(|period| period.end >= since && period.start <= now)
            .collect();
        let surplus = periods.len().saturating_sub(MAX_PERIODS - 1);
        periods.drain(..surplus);
        periods.push(Period { start: now, end: now });
        let mut uptime = Self { file: None, periods, noted: Instant::now() };
        let result = uptime.rewrite(&path).map(|file| uptime.file = Some(file));
        (uptime, result)
    }

    /// A new file with all periods, in place of the old one.
    fn rewrite(&self, path: &Path) -> io::Result<File> {
        let new = path.with_extension("new");
        let text: String = self.periods.iter().map(|period| period.line()).collect();
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all_at(text.as_bytes(), 0)?;
        file.sync_all()?;
        fs::rename(new, path)?;
        Ok(file)
    }

    /// Notes that the relay runs at `now`.
    pub(crate) fn note(&mut self, now: i64) -> io::Result<()> {
        let elapsed = self.noted.elapsed();
        self.noted = Instant::now();
        self.note_after(now, elapsed)
    }

    /// As [`Self::note`], so long after the last note.
    fn note_after(&mut self, now: i64, elapsed: Duration) -> io::Result<()> {
        let room = self.periods.len() < MAX_PERIODS;
        let Some(last) = self.periods.last_mut() else { return Ok(()) };
        let passed = i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX);
        let leap = now.saturating_sub(last.end).saturating_sub(passed);
        if leap.abs() > LEAP && room {
            self.periods.push(Period { start: now, end: now });
        } else {
            last.end = last.end.max(now);
        }
        let (Some(file), Some(last)) = (&self.file, self.periods.last()) else { return Ok(()) };
        let offset = self.periods.len().saturating_sub(1).saturating_mul(LINE);
        file.write_all_at(last.line().as_bytes(), u64::try_from(offset).unwrap_or(u64::MAX))
    }

    /// The last days, the oldest first, today as far as it has come.
    pub(crate) fn days(&self, now: i64) -> Vec<Day> {
        let first = self.first(now);
        let today = now.div_euclid(DAY);
        let count = i64::try_from(DAYS).unwrap_or_default();
        (today.saturating_sub(count).saturating_add(1)..=today)
            .map(|number| {
                let start = number.saturating_mul(DAY).max(first);
                let end = number.saturating_add(1).saturating_mul(DAY).min(now);
                let share = (start < end).then(|| self.share(start, end));
                Day { number, share }
            })
            .collect()
    }

    /// The share of all the days that are shown, since the first start.
    pub(crate) fn total(&self, now: i64) -> f64 {
        let oldest = now.div_euclid(DAY).saturating_sub(DAYS as i64 - 1).saturating_mul(DAY);
        let start = self.first(now).max(oldest);
        if start < now { self.share(start, now) } else { 1.0 }
    }

    /// When the relay ran first, as far as is known.
    pub(crate) fn first(&self, now: i64) -> i64 {
        self.periods.iter().map(|period| period.start).min().unwrap_or(now)
    }

    /// When the running period began.
    pub(crate) fn since(&self) -> Option<i64> {
        self.periods.last().map(|period| period.start)
    }

    /// The part of a time that periods cover; where two overlap, because the clock was set back, it counts once.
    fn share(&self, start: i64, end: i64) -> f64 {
        let mut parts: Vec<(i64, i64)> = self
            .periods
            .iter()
            .map(|period| (period.start.max(start), period.end.min(end)))
            .filter(|(from, to)| from < to)
            .collect();
        parts.sort_unstable();
        let mut covered = 0i64;
        let mut reached = start;
        for (from, to) in parts {
            covered = covered.saturating_add(to.saturating_sub(from.max(reached)).max(0));
            reached = reached.max(to);
        }
        let whole = end.saturating_sub(start).max(1);
        // The minute that is not noted yet is no outage.
        if whole.saturating_sub(covered) <= 60 { 1.0 } else { covered as f64 / whole as f64 }
    }
}

/// Year, month and day of a day since 1970-01-01.
pub(crate) fn date(day: i64) -> String {
    // Years begin in March here, so that the leap day is the last one; 400 years have 146,097 days.
    let shifted = day.saturating_add(719_468);
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era.saturating_mul(400).saturating_add(year_of_era).saturating_add(i64::from(month <= 2));
    format!("{year:04}-{month:02}-{day_of_month:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22, noon.
    const NOON: i64 = 1_795_348_800;

    fn open(directory: &Path, now: i64) -> Uptime {
        let (uptime, result) = Uptime::open(directory, now);
        result.unwrap();
        uptime
    }

    fn minutes(uptime: &mut Uptime, from: i64, count: i64) -> i64 {
        for minute in 1..=count {
            uptime.note_after(from + minute * 60, Duration::from_secs(60)).unwrap();
        }
        from + count * 60
    }

    #[test]
    fn dates_are_right() {
        for (day, text) in [(0, "1970-01-01"), (59, "1970-03-01"), (11_016, "2000-02-29"), (20_779, "2026-11-22")] {
            assert_eq!(date(day), text);
        }
        assert_eq!(date(-1), "1969-12-31");
        assert_eq!(date(NOON / DAY), "2026-11-22");
    }

    #[test]
    fn a_crash_costs_a_minute_and_an_outage_shows() {
        let directory = tempfile::tempdir().unwrap();
        let mut uptime = open(directory.path(), NOON - 2 * DAY);
        minutes(&mut uptime, NOON - 2 * DAY, 720);
        // Without any closing; the relay comes back twelve hours later.
        drop(uptime);
        let mut uptime = open(directory.path(), NOON - DAY);
        let now = minutes(&mut uptime, NOON - DAY, 1_440);
        assert_eq!(now, NOON);
        let days = uptime.days(now);
        assert_eq!(days.len(), DAYS);
        let shares: Vec<_> = days[DAYS - 4..].iter().map(|day| day.share).collect();
        assert_eq!(shares, [None, Some(1.0), Some(0.5), Some(1.0)]);
        assert_eq!(uptime.total(now), 0.75);
        assert_eq!(uptime.since(), Some(NOON - DAY));
        assert_eq!(fs::read_to_string(directory.path().join(FILE_NAME)).unwrap().lines().count(), 2);
    }

    #[test]
    fn sleep_and_a_set_clock_are_two_periods() {
        let directory = tempfile::tempdir().unwrap();
        // A computer without a battery for its clock starts in the past and learns the time later.
        let mut uptime = open(directory.path(), NOON - 400 * DAY);
        uptime.note_after(NOON, Duration::from_secs(60)).unwrap();
        let now = minutes(&mut uptime, NOON, 10);
        assert_eq!(uptime.periods.len(), 2);
        assert_eq!(uptime.periods[1], Period { start: NOON, end: now });
        // Set back a little: time that is counted already is not counted again.
        uptime.note_after(now - 300, Duration::from_secs(60)).unwrap();
        uptime.note_after(now, Duration::from_secs(300)).unwrap();
        assert_eq!(uptime.share(NOON, now), 1.0);
        assert_eq!(open(directory.path(), now).periods.len(), 3, "the first is too old to be kept");
    }

    #[test]
    fn damage_is_left_out_and_length_is_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        let mut text = b"\xff\xfe\n12 \n9 8\nnonsense here\n".to_vec();
        text.extend_from_slice(Period { start: NOON - 100, end: NOON - 50 }.line().as_bytes());
        text.extend_from_slice(Period { start: NOON + DAY, end: NOON + 2 * DAY }.line().as_bytes());
        fs::write(&path, text).unwrap();
        assert_eq!(open(directory.path(), NOON).periods[0], Period { start: NOON - 100, end: NOON - 50 });
        let many: String = (0..3_000).map(|n| Period { start: NOON - n, end: NOON - n }.line()).collect();
        fs::write(&path, many).unwrap();
        let mut uptime = open(directory.path(), NOON);
        assert_eq!(uptime.periods.len(), MAX_PERIODS);
        uptime.note_after(NOON + DAY, Duration::from_secs(60)).unwrap();
        assert_eq!(fs::metadata(path).unwrap().len(), (MAX_PERIODS * LINE) as u64);
    }

    #[test]
    fn a_directory_that_cannot_be_written_leaves_this_run() {
        let (mut uptime, result) = Uptime::open(Path::new("/nonexistent"), NOON);
        assert!(result.is_err());
        let now = minutes(&mut uptime, NOON, 5);
        assert_eq!(uptime.total(now), 1.0);
    }
}
