//! The counters of the running day and the queues used in it, on disk over restarts.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::active::SavedActive;
use super::{Stats, Sums};
use crate::relay::saved::replace;

/// What is saved, inside the relay's directory.
pub const STATE_FILE: &str = "stats.json";

/// The lines of past days, inside the relay's directory. The name that the reference relay gives it.
pub const DAILY_FILE: &str = "smp-server-stats.daily.log";

/// The contents of [`STATE_FILE`].
#[derive(Deserialize, Serialize)]
pub(super) struct Saved {
    /// The day the sums are of.
    pub(super) day: u32,
    /// What was counted on it.
    pub(super) sums: Sums,
    active: SavedActive,
    active_notified: SavedActive,
    /// Lines of past days that may not stand in [`DAILY_FILE`] yet, the oldest first.
    #[serde(default)]
    pub(super) unwritten: Vec<String>,
}

impl Saved {
    pub(super) fn new(day: u32, sums: Sums, unwritten: Vec<String>, stats: &Stats) -> Self {
        Self { day, sums, active: stats.active.save(), active_notified: stats.active_notified.save(), unwritten }
    }

    /// Reads what was saved, if anything was, and goes on with the queues used.
    pub(super) fn load(directory: &Path, stats: &Stats) -> io::Result<Option<Self>> {
        let text = match fs::read(directory.join(STATE_FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => result?,
        };
        let saved: Self = serde_json::from_slice(&text)?;
        let restored = stats.active.restore(&saved.active) & stats.active_notified.restore(&saved.active_notified);
        if restored { Ok(Some(saved)) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    /// Replaces what was saved before, whole or not at all.
    pub(super) fn store(&self, directory: &Path) -> io::Result<()> {
        replace(directory, STATE_FILE, &serde_json::to_vec(self)?)
    }
}

/// Adds the line of a day, unless it is the last one already. What is left of it after a crash is completed.
pub(super) fn append_line(directory: &Path, line: &str) -> io::Result<()> {
    let path = directory.join(DAILY_FILE);
    let mut file = File::options().read(true).append(true).create(true).mode(0o600).open(path)?;
    let end = last_line(&mut file)?;
    let rest = match end.strip_suffix(b"\n") {
        Some(last) if last == line.as_bytes() => return Ok(()),
        _ if end.is_empty() || end.ends_with(b"\n") => format!("{line}\n"),
        _ => match std::str::from_utf8(&end).ok().and_then(|begun| line.strip_prefix(begun)) {
            Some(rest) => format!("{rest}\n"),
            // Not ours.
            None => format!("\n{line}\n"),
        },
    };
    file.write_all(rest.as_bytes())?;
    file.sync_all()
}

/// The last line of a file with its end, if it has one; of a long line only what is behind its first part.
fn last_line(file: &mut File) -> io::Result<Vec<u8>> {
    const LONGEST: u64 = 16 << 10;
    let length = file.metadata()?.len();
    file.seek(io::SeekFrom::Start(length.saturating_sub(LONGEST)))?;
    let mut end = Vec::new();
    file.take(LONGEST).read_to_end(&mut end)?;
    let line = end.strip_suffix(b"\n").unwrap_or(&end);
    let begin = line.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    Ok(end.split_off(begin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::stats::Period;

    #[test]
    fn what_was_saved_is_there_again() {
        let directory = tempfile::tempdir().unwrap();
        let stats = Stats::default();
        assert!(Saved::load(directory.path(), &stats).unwrap().is_none());
        stats.message_sent(&[1; 24], true);
        Saved::new(7, stats.sums(), Vec::new(), &stats).store(directory.path()).unwrap();
        Saved::new(8, stats.sums(), vec!["a,b".to_owned()], &stats).store(directory.path()).unwrap();
        let later = Stats::default();
        let saved = Saved::load(directory.path(), &later).unwrap().unwrap();
        assert_eq!((saved.day, saved.sums), (8, stats.sums()));
        assert_eq!(saved.unwritten, ["a,b"]);
        assert_eq!(later.active_notified.count(Period::Month), 1);
        fs::write(directory.path().join(STATE_FILE), "{").unwrap();
        assert!(Saved::load(directory.path(), &later).is_err());
    }

    #[test]
    fn lines_are_added_behind_each_other() {
        let directory = tempfile::tempdir().unwrap();
        append_line(directory.path(), "2026-11-22,1").unwrap();
        append_line(directory.path(), "2026-11-23,2").unwrap();
        let text = fs::read_to_string(directory.path().join(DAILY_FILE)).unwrap();
        assert_eq!(text, "2026-11-22,1\n2026-11-23,2\n");
    }

    #[test]
    fn a_line_is_written_once_whatever_a_crash_left_of_it() {
        let line = "2026-11-23,2,30";
        let whole = format!("2026-11-22,1\n{line}\n");
        for length in "2026-11-22,1\n".len()..=whole.len() {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join(DAILY_FILE);
            fs::write(&path, &whole[..length]).unwrap();
            append_line(directory.path(), line).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), whole, "{length}");
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(DAILY_FILE);
        fs::write(&path, "somebody's").unwrap();
        append_line(directory.path(), line).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("somebody's\n{line}\n"));
    }
}
