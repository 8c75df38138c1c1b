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

impl Relay {
    /// Keeps the books that were opened until the relay stops. `clock` tells the seconds since 1970-01-01, UTC.
    pub(in crate::relay) async fn keep_books(self: Arc<Self>, directory: PathBuf, clock: impl Fn() -> i64 + Send) {
        let day_of = |seconds: i64| u32::try_from(seconds.div_euclid(DAY_SECONDS)).unwrap_or_default();
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
        let (day, carried) = match loaded {
            Ok(Ok(Some(saved))) => (saved.day, saved.sums),
            Ok(Ok(None)) => (today, Sums::default()),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the saved sums of the day cannot be read; it is counted anew");
                (today, Sums::default())
            }
            Err(_) => (today, Sums::default()),
        };
        *self.stats.today.lock() = Some(DayBook::new(day.min(today), carried, &self.stats));
    }

    async fn turn_day(self: &Arc<Self>, directory: &std::path::Path, today: u32) {
        let held = self.held();
        let line = self.stats.today.lock().as_mut().and_then(|book| book.turn(today, &self.stats, &held));
        let Some(line) = line else { return };
        if self.config().stats.daily_file {
            let path = directory.to_owned();
            let written = tokio::task::spawn_blocking(move || append_line(&path, &line)).await;
            if let Ok(Err(error)) = written {
                tracing::error!(%error, "the sums of the day cannot be written");
            }
        }
        // Otherwise the same day would be written again after a crash.
        self.save_books(directory.to_owned()).await;
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
            Saved::new(book.day(), book.sums(&self.stats), &self.stats)
        };
        saved.store(directory)
    }
}
