//! The counters of the running day and the queues used in it, on disk over restarts.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::active::SavedActive;
use super::{Stats, Sums};

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
}

impl Saved {
    pub(super) fn new(day: u32, sums: Sums, stats: &Stats) -> Self {
        Self { day, sums, active: stats.active.save(), active_notified: stats.active_notified.save() }
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
        let text = serde_json::to_vec(self)?;
        let temporary = directory.join(format!("{STATE_FILE}.new"));
        let mut file = private().create(true).truncate(true).open(&temporary)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&temporary, directory.join(STATE_FILE))?;
        File::open(directory)?.sync_all()
    }
}

/// Adds the line of a day.
pub(super) fn append_line(directory: &Path, line: &str) -> io::Result<()> {
    let mut file = File::options().append(true).create(true).mode(0o600).open(directory.join(DAILY_FILE))?;
    file.write_all(format!("{line}\n").as_bytes())?;
    file.sync_all()
}

fn private() -> fs::OpenOptions {
    let mut options = File::options();
    options.write(true).mode(0o600);
    options
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
        Saved::new(7, stats.sums(), &stats).store(directory.path()).unwrap();
        Saved::new(8, stats.sums(), &stats).store(directory.path()).unwrap();
        let later = Stats::default();
        let saved = Saved::load(directory.path(), &later).unwrap().unwrap();
        assert_eq!((saved.day, saved.sums), (8, stats.sums()));
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
}
