//! How much a relay holds and uses at this moment.

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use smp_proto::smp::service::ServiceRole;

use super::Relay;
use super::stats::{DeliveryFacts, Held, Sums};
use super::store::ServiceSide;

/// Services that are looked at. Relays have a few.
const MAX_SERVICES: usize = 1_000;

/// How long a look at the store's files is good for.
const DISK_AGE: Duration = Duration::from_secs(60);

/// Everything a relay can tell in numbers, at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// What was counted since the start.
    pub(crate) sums: Sums,
    pub(crate) held: Held,
    /// Queues used in the day, the week and the month.
    pub(crate) active: [u64; 3],
    /// Those among them with notifications.
    pub(crate) active_notified: [u64; 3],
    pub(crate) connections: u64,
    /// Connections with a subscription.
    pub(crate) connections_subscribed: u64,
    pub(crate) recipient_subscriptions: u64,
    pub(crate) notifier_subscriptions: u64,
    /// Services that a session receives for.
    pub(crate) services_subscribed: u64,
    pub(crate) deliveries: DeliveryFacts,
    /// Connections to other relays.
    pub(crate) upstream_connections: u64,
    /// Forwarded commands that clients wait for.
    pub(crate) forwards_in_flight: u64,
    /// Forwarded blocks in memory.
    pub(crate) forwarded_blocks: u64,
    /// Seconds since 1970-01-01, UTC, at which certificates expire, by name.
    pub(crate) certificates: Vec<(&'static str, i64)>,
    /// Seconds since 1970-01-01, UTC, at which the relay started.
    pub(crate) started: i64,
    pub(crate) uptime: Duration,
    /// Bytes of the store's files, and free bytes of the disk they are on; none for a store in memory.
    pub(crate) disk: Option<StoreDisk>,
    pub(crate) process: Process,
}

/// What a store takes of a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoreDisk {
    pub(crate) store_bytes: u64,
    pub(crate) free_bytes: u64,
}

impl StoreDisk {
    fn of(folder: &Path, free_bytes: u64) -> Option<Self> {
        Some(Self { store_bytes: store_bytes(folder).ok()?, free_bytes })
    }
}

/// Bytes that the files of a store occupy on the disk.
pub(crate) fn store_bytes(folder: &Path) -> std::io::Result<u64> {
    folder_bytes(folder, 4)
}

/// Bytes that the files of a folder occupy on the disk, down to folders nested so deep.
fn folder_bytes(folder: &Path, depth: u32) -> std::io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut sum = 0u64;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // A file may be removed while the folder is read.
        let Ok(metadata) = entry.metadata() else { continue };
        let bytes = match metadata.is_dir() {
            true if depth > 0 => folder_bytes(&entry.path(), depth - 1).unwrap_or_default(),
            true => 0,
            // The journal is a file with room ahead of what is written.
            false => metadata.blocks().saturating_mul(512),
        };
        sum = sum.saturating_add(bytes);
    }
    Ok(sum)
}

/// What the process uses, as the system tells it; zeros where it does not.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Process {
    /// Bytes of memory that are not swapped out.
    pub(crate) resident_bytes: u64,
    /// Bytes of addresses.
    pub(crate) virtual_bytes: u64,
    pub(crate) threads: u64,
    pub(crate) open_files: u64,
    /// Of the processor, by the program and by the system for it.
    pub(crate) cpu_seconds: f64,
}

impl Process {
    /// Reads `/proc`.
    pub(crate) fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kibibytes = |name| field(&status, name).saturating_mul(1_024);
        Self {
            resident_bytes: kibibytes("VmRSS:"),
            virtual_bytes: kibibytes("VmSize:"),
            threads: field(&status, "Threads:"),
            open_files: fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64),
            cpu_seconds: cpu_seconds(&fs::read_to_string("/proc/self/stat").unwrap_or_default()),
        }
    }
}

/// The number behind a name in `/proc/self/status`.
fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// User and system time of `/proc/self/stat`, which counts hundredths of a second on Linux.
#[allow(clippy::cast_precision_loss, reason = "the time that makes a difference is longer than a machine lives")]
fn cpu_seconds(stat: &str) -> f64 {
    // The name of the program is in parentheses and may hold anything.
    let Some((_, rest)) = stat.rsplit_once(") ") else { return 0.0 };
    let ticks: u64 = rest.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}

impl Relay {
    /// How much the relay holds. Reads the services from the store.
    #[must_use]
    pub fn held(&self) -> Held {
        let counts = self.store.counts();
        let mut held = Held {
            queues: counts.queues,
            messages: counts.messages,
            notifications: counts.notifications,
            notifiers: counts.notifiers,
            ..Held::default()
        };
        // A store that cannot be read shows elsewhere.
        for service in self.store.services(None, MAX_SERVICES).unwrap_or_default() {
            let queues = |side| self.store.service_queues(&service.id, side).count;
            match service.role {
                ServiceRole::Messaging => {
                    held.recipient_services += 1;
                    held.recipient_service_queues += queues(ServiceSide::Recipient);
                }
                ServiceRole::Notifier => {
                    held.notifier_services += 1;
                    held.notifier_service_queues += queues(ServiceSide::Notifier);
                }
                _ => {}
            }
        }
        held
    }

    /// What the store takes of its disk; from a look at the files at most a minute ago.
    fn store_disk(&self) -> Option<StoreDisk> {
        let folder = self.disk.folder()?;
        let mut looked = self.store_disk.lock();
        if looked.as_ref().is_none_or(|(at, _)| at.elapsed() > DISK_AGE) {
            *looked = StoreDisk::of(folder, self.disk.free()).map(|disk| (Instant::now(), disk));
        }
        looked.as_ref().map(|(_, disk)| StoreDisk { free_bytes: self.disk.free(), ..*disk })
    }

    /// Everything in numbers.
    pub(crate) fn facts(&self) -> Facts {
        use super::stats::Period::{Day, Month, Week};
        let subscribed = |peers: &std::collections::HashMap<_, std::sync::Arc<super::hub::Peer>>| {
            peers.values().filter(|peer| peer.subscriptions.load(Ordering::Relaxed) > 0).count() as u64
        };
        let (recipient_subscriptions, notifier_subscriptions) = self.hub.subscriptions_by_part();
        Facts {
            sums: self.stats.sums(),
            held: self.held(),
            active: [Day, Week, Month].map(|period| self.stats.active.count(period)),
            active_notified: [Day, Week, Month].map(|period| self.stats.active_notified.count(period)),
            connections: self.connections() as u64,
            connections_subscribed: subscribed(&self.peers.lock()),
            recipient_subscriptions: recipient_subscriptions as u64,
            notifier_subscriptions: notifier_subscriptions as u64,
            services_subscribed: self.hub.services.receiving() as u64,
            deliveries: self.stats.deliveries.facts(),
            upstream_connections: self.upstream_connections() as u64,
            forwards_in_flight: self.forwards_in_flight() as u64,
            forwarded_blocks: self.forwarded_blocks() as u64,
            certificates: self.certificates(),
            started: self.now().saturating_sub(i64::try_from(self.uptime()).unwrap_or_default()),
            uptime: self.started.elapsed(),
            disk: self.store_disk(),
            process: Process::now(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_of_this_process() {
        let process = Process::now();
        assert!(process.resident_bytes > 1 << 20, "{process:?}");
        assert!(process.virtual_bytes >= process.resident_bytes);
        assert!(process.threads > 0 && process.open_files > 2);
        assert!((cpu_seconds("7 (a (b) c) S 1 7 7 0 -1 4 1 0 0 0 150 50 0 0 20 0") - 2.0).abs() < 1e-9);
    }

    #[test]
    fn folders_are_counted_with_what_is_below() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("below")).unwrap();
        fs::write(folder.path().join("below/file"), vec![1; 100_000]).unwrap();
        let disk = StoreDisk::of(folder.path(), 1).unwrap();
        assert!((100_000..400_000).contains(&disk.store_bytes), "{disk:?}");
    }
}
