//! How full the disk is: queues are no longer created, and then messages no longer taken, before it is full.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::Relay;

/// How often the disk is looked at.
const INTERVAL: Duration = Duration::from_secs(5);

/// Bytes that are left for the store.
#[derive(Debug)]
pub(super) struct Disk {
    folder: OnceLock<PathBuf>,
    free: AtomicU64,
}

impl Default for Disk {
    fn default() -> Self {
        Self { folder: OnceLock::new(), free: AtomicU64::new(u64::MAX) }
    }
}

impl Disk {
    /// Bytes that are left; [`u64::MAX`] when nothing is watched or the system does not say.
    pub(super) fn free(&self) -> u64 {
        self.free.load(Ordering::Relaxed)
    }

    /// The folder that is watched.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.folder.get().map(PathBuf::as_path)
    }

    fn look(&self) {
        let Some(folder) = self.folder.get() else { return };
        self.free.store(free_bytes(folder), Ordering::Relaxed);
    }
}

/// Bytes that are left on the disk of a folder; [`u64::MAX`] when the system does not say.
pub(super) fn free_bytes(folder: &Path) -> u64 {
    match rustix::fs::statvfs(folder) {
        Ok(found) => found.f_bavail.saturating_mul(found.f_frsize),
        Err(_) => u64::MAX,
    }
}

impl Relay {
    /// Watches the disk of the store's folder from [`Self::serve`] on: before it is full, no queues are created, and then
    /// no messages taken. Only the first folder named counts; without one nothing is watched.
    pub fn watch_disk_of(&self, folder: PathBuf) {
        if self.disk.folder.set(folder).is_ok() {
            self.disk.look();
        }
    }

    /// Whether there is room on the disk for new queues.
    pub(super) fn has_room_for_queues(&self) -> bool {
        self.disk.free() >= self.config().disk.free_for_queues()
    }

    /// Whether there is room on the disk for messages.
    pub(super) fn has_room_for_messages(&self) -> bool {
        self.disk.free() >= self.config().disk.free_for_messages()
    }

    /// Looks at the disk again and again, and says in the log when it becomes full and when it no longer is.
    pub(super) async fn watch_disk(self: Arc<Self>) {
        if self.disk.folder.get().is_none() {
            return;
        }
        let mut told = (true, true);
        loop {
            let relay = Arc::clone(&self);
            // A network file system may take its time.
            if tokio::task::spawn_blocking(move || relay.disk.look()).await.is_err() {
                return;
            }
            let now = (self.has_room_for_queues(), self.has_room_for_messages());
            if now != told {
                let free_mib = self.disk.free() >> 20;
                match now {
                    (true, _) => tracing::info!(free_mib, "the disk has room again"),
                    (false, true) => tracing::warn!(free_mib, "the disk is nearly full: no new queues are created"),
                    (false, false) => tracing::error!(free_mib, "the disk is nearly full: no messages are taken"),
                }
                told = now;
            }
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }
}
