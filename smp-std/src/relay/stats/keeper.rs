//! Keeps the books of a relay that runs: ends days, writes their lines, saves the running day.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Sums;
use super::calendar::DAY_SECONDS;
use super::daily::DayBook;
use super::file::{Saved, append_line};
use crate::relay::Relay;

/// Clocks are set, and machines sleep: how often the day is looked at.
const LOOK: Duration = Duration::from_secs(60);

/// Days whose lines wait for a file that can be written.
const MAX_UNWRITTEN: usize = 62;

impl Relay {
    /// Keeps the books that were opened until the relay stops. `clock` tells the seconds since 1970-01-01, UTC.
    pub(in crate::relay) async fn keep_books(self: Arc<Self>, directory: PathBuf, clock: impl Fn() -> i64 + Send) {
        let day_of = |seconds: i64| u32::try_from(seconds.div_euclid(DAY_SECONDS)).unwrap_or_default();
        self.write_lines(&directory).await;
        let mut saved = clock();
        loop {
            let now = clock();
            self.turn_day(&directory, day_of(now)).await;
            let config = self.config();
            if now.abs_diff(saved) >= config.stats.save_interval_seconds {
                self.save_books(directory.clone()).await;
                saved = now;
            }
            let midnight = u64::try_from(DAY_SECONDS - now.rem_euclid(DAY_SECONDS)).unwrap_or_default();
            tokio::select! {
                () = self.stopping.cancelled() => break,
                () = tokio::time::sleep(LOOK.min(Duration::from_secs(midnight))) => {}
            }
        }
        // Connections may still be counting; what they count from here on is lost, which nobody can tell.
        self.save_books(directory).await;
    }

    /// Goes on with the sums of the day that were saved.
    pub(in crate::relay) async fn open_books(self: &Arc<Self>, directory: &std::path::Path, today: u32) {
        let (relay, path) = (Arc::clone(self), directory.to_owned());
        let loaded = tokio::task::spawn_blocking(move || Saved::load(&path, &relay.stats)).await;
        let (day, carried, unwritten) = match loaded {
            Ok(Ok(Some(saved))) => (saved.day, saved.sums, saved.unwritten),
            Ok(Ok(None)) => (today, Sums::default(), Vec::new()),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the saved sums of the day cannot be read; it is counted anew");
                (today, Sums::default(), Vec::new())
            }
            Err(_) => (today, Sums::default(), Vec::new()),
        };
        let mut book = DayBook::new(day.min(today), carried, &self.stats);
        book.unwritten = unwritten;
        *self.stats.today.lock() = Some(book);
    }

    async fn turn_day(self: &Arc<Self>, directory: &std::path::Path, today: u32) {
        if self.stats.today.lock().as_ref().is_none_or(|book| book.day() >= today) {
            return;
        }
        let held = self.held();
        let daily_file = self.config().stats.daily_file;
        if let Some(book) = self.stats.today.lock().as_mut()
            && let Some(line) = book.turn(today, &self.stats, &held)
            && daily_file
        {
            // A file that cannot be written for so long is not written for this.
            if book.unwritten.len() >= MAX_UNWRITTEN {
                book.unwritten.remove(0);
            }
            book.unwritten.push(line);
        }
        // The books first: after a crash the line is in them, and written if the file does not end with it.
        self.save_books(directory.to_owned()).await;
        self.write_lines(directory).await;
    }

    /// Writes the lines of days that are over.
    async fn write_lines(self: &Arc<Self>, directory: &std::path::Path) {
        loop {
            let line = self.stats.today.lock().as_ref().and_then(|book| book.unwritten.first().cloned());
            let Some(line) = line else { return };
            let path = directory.to_owned();
            match tokio::task::spawn_blocking(move || append_line(&path, &line)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::error!(%error, "the sums of the day cannot be written; it is tried again tomorrow");
                    return;
                }
                Err(_) => return,
            }
            if let Some(book) = self.stats.today.lock().as_mut() {
                book.unwritten.remove(0);
            }
            // Otherwise only the last line would be known to be written.
            self.save_books(directory.to_owned()).await;
        }
    }

    async fn save_books(self: &Arc<Self>, directory: PathBuf) {
        let relay = Arc::clone(self);
        let stored = tokio::task::spawn_blocking(move || relay.save_books_now(&directory)).await;
        if let Ok(Err(error)) = stored {
            tracing::error!(%error, "the sums of the day cannot be saved");
        }
    }

    /// Saves the running day. Writes to disk: call it where blocking is allowed.
    pub(in crate::relay) fn save_books_now(&self, directory: &std::path::Path) -> std::io::Result<()> {
        let saved = {
            let today = self.stats.today.lock();
            let Some(book) = today.as_ref() else { return Ok(()) };
            Saved::new(book.day(), book.sums(&self.stats), book.unwritten.clone(), &self.stats)
        };
        saved.store(directory)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::identity::{Identity, KeyAlgorithm};
    use crate::relay::Wakeups;
    use crate::relay::config::Config;
    use crate::relay::stats::DAILY_FILE;
    use crate::relay::store::{Store, StoreOptions};

    /// 2026-11-22, a Sunday.
    const SUNDAY: u32 = 20_779;

    fn relay(directory: &Path) -> Arc<Relay> {
        let identity = Identity::load(directory)
            .or_else(|_| Identity::create(directory, KeyAlgorithm::Ed25519, "localhost"))
            .unwrap();
        let wakeups = Wakeups::default();
        let store = Store::memory(StoreOptions::default()).unwrap();
        Relay::new(Config::default(), &identity, store, &wakeups).unwrap()
    }

    fn lines(directory: &Path) -> Vec<String> {
        let text = fs::read_to_string(directory.join(DAILY_FILE)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Columns: the date, queues created, messages sent, and queues active in the day and in the week.
    fn columns(line: &str) -> [&str; 5] {
        let columns: Vec<&str> = line.split(',').collect();
        [columns[0], columns[1], columns[4], columns[6], columns[7]]
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_is_written_at_every_midnight() {
        let folder = tempfile::tempdir().unwrap();
        let relay = relay(folder.path());
        let begun = tokio::time::Instant::now();
        let start = i64::from(SUNDAY) * DAY_SECONDS + 86_400 - 90;
        let clock = move || start + i64::try_from(begun.elapsed().as_secs()).unwrap();
        relay.open_books(folder.path(), SUNDAY).await;
        let keeping = tokio::spawn(Arc::clone(&relay).keep_books(folder.path().to_owned(), clock));
        relay.stats.queues.queues_created.one();
        relay.stats.message_sent(&[1; 24], false);
        tokio::time::sleep(Duration::from_secs(89)).await;
        assert!(lines(folder.path()).is_empty());
        tokio::time::sleep(Duration::from_secs(4)).await;
        let written = lines(folder.path());
        assert_eq!(written.len(), 1);
        assert_eq!(columns(&written[0]), ["2026-11-22", "1", "1", "1", "1"]);
        assert_eq!(relay.stats.today().get("queues.messages_sent"), 0);
        relay.stats.message_sent(&[1; 24], false);
        relay.stats.message_sent(&[2; 24], false);
        tokio::time::sleep(Duration::from_secs(86_400)).await;
        let written = lines(folder.path());
        assert_eq!(written.len(), 2);
        assert_eq!(columns(&written[1]), ["2026-11-23", "0", "2", "2", ""]);
        relay.stop();
        keeping.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_relay_that_was_down_at_midnight_ends_the_day_when_it_starts() {
        let folder = tempfile::tempdir().unwrap();
        let noon = |day: u32| move || i64::from(day) * DAY_SECONDS + 43_200;
        for (day, lines_then) in [(SUNDAY, 0), (SUNDAY, 0), (SUNDAY + 2, 1)] {
            let relay = relay(folder.path());
            relay.open_books(folder.path(), day).await;
            relay.stats.message_sent(&[7; 24], false);
            let keeping = tokio::spawn(Arc::clone(&relay).keep_books(folder.path().to_owned(), noon(day)));
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(lines(folder.path()).len(), lines_then);
            relay.stop();
            keeping.await.unwrap();
        }
        // Two runs on Sunday, with the same queue; the one message of the third run came before its first look.
        assert_eq!(columns(&lines(folder.path())[0]), ["2026-11-22", "0", "3", "1", "1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_crash_behind_the_line_does_not_write_it_twice() {
        let folder = tempfile::tempdir().unwrap();
        let noon = |day: u32| move || i64::from(day) * DAY_SECONDS + 43_200;
        let mut between = Vec::new();
        for (day, crash) in [(SUNDAY, false), (SUNDAY + 1, true), (SUNDAY + 1, false)] {
            if day == SUNDAY + 1 && !crash {
                // As if the relay had been killed before it knew that the line was written.
                fs::write(folder.path().join(crate::relay::stats::STATE_FILE), &between).unwrap();
            }
            let relay = relay(folder.path());
            relay.open_books(folder.path(), day).await;
            if crash {
                let held = relay.held();
                let mut today = relay.stats.today.lock();
                let book = today.as_mut().unwrap();
                let line = book.turn(day, &relay.stats, &held).unwrap();
                book.unwritten.push(line.clone());
                drop(today);
                relay.save_books_now(folder.path()).unwrap();
                between = fs::read(folder.path().join(crate::relay::stats::STATE_FILE)).unwrap();
                append_line(folder.path(), &line).unwrap();
                continue;
            }
            relay.stats.message_sent(&[7; 24], false);
            let keeping = tokio::spawn(Arc::clone(&relay).keep_books(folder.path().to_owned(), noon(day)));
            tokio::time::sleep(Duration::from_secs(1)).await;
            relay.stop();
            keeping.await.unwrap();
        }
        let written = lines(folder.path());
        assert_eq!(written.len(), 1);
        assert_eq!(columns(&written[0]), ["2026-11-22", "0", "1", "1", "1"]);
        let saved = fs::read_to_string(folder.path().join(crate::relay::stats::STATE_FILE)).unwrap();
        assert!(saved.contains("\"unwritten\":[]"), "{saved}");
    }
}
