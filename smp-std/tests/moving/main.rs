//! Moving from the reference server and back, with files it made (`tests/samples`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod damage;
#[path = "../relay/harness.rs"]
mod harness;
mod refusals;
mod round;
mod service;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use smp_std::relay::moving::{ImportReport, Sources, import};
use smp_std::relay::store::{
    Backend, FjallBackend, FjallOptions, Id, LinkData, PendingNotification, QueueRecord, QueueState, ServiceRecord,
    StoredMessage,
};
use tempfile::TempDir;

/// The two kinds of store the samples are of.
const KINDS: [&str; 2] = ["memory", "journal"];

fn sample(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(kind)
}

/// What the sample says about its queues.
fn queues(kind: &str) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(sample(kind).join("queues.json")).unwrap();
    let mut file: serde_json::Value = serde_json::from_str(&text).unwrap();
    file["cases"].as_array_mut().map(std::mem::take).unwrap()
}

fn hex(value: &serde_json::Value) -> Vec<u8> {
    let text = value.as_str().unwrap_or_else(|| panic!("{value}"));
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn id(value: &serde_json::Value) -> Id {
    hex(value).try_into().unwrap()
}

/// Imports a server's folders into a directory of its own.
fn imported(sources: &Sources) -> (TempDir, ImportReport) {
    let directory = tempfile::tempdir().unwrap();
    let report = import(sources, directory.path(), false).unwrap();
    (directory, report)
}

/// Everything a store holds.
#[derive(PartialEq, Debug, Default)]
struct Everything {
    queues: BTreeMap<Id, Queue>,
    services: BTreeMap<Id, Arc<ServiceRecord>>,
    notifications: BTreeMap<Id, Vec<PendingNotification>>,
}

#[derive(PartialEq, Debug)]
struct Queue {
    record: Arc<QueueRecord>,
    link: Option<LinkData>,
    size: u64,
    full: bool,
    messages: Vec<StoredMessage>,
}

fn everything(directory: &Path) -> Everything {
    let backend = FjallBackend::open(&directory.join("store"), &FjallOptions::default()).unwrap();
    let mut all = Everything::default();
    for record in backend.queues(None, usize::MAX).unwrap() {
        let id = record.recipient_id;
        let state: QueueState = backend.state(&id).unwrap();
        let messages = (state.head..state.tail).map(|at| backend.message(&id, at).unwrap().unwrap()).collect();
        let link = backend.link(&id).unwrap();
        let queue = Queue { record, link, size: state.size(), full: state.quota_exceeded, messages };
        all.queues.insert(id, queue);
    }
    for service in backend.services(None, usize::MAX).unwrap() {
        all.services.insert(service.id, service);
    }
    for (notifier_id, _) in backend.notified(None, usize::MAX).unwrap().notifiers {
        let state = backend.notification_state(&notifier_id).unwrap();
        let waiting = (state.head..state.tail).map(|at| backend.notification(&notifier_id, at).unwrap().unwrap());
        all.notifications.insert(notifier_id, waiting.collect());
    }
    let counts = backend.counts();
    assert_eq!(counts.notifications, all.notifications.values().map(|waiting| waiting.len() as u64).sum::<u64>());
    assert_eq!(counts.queues, all.queues.len() as u64);
    assert_eq!(counts.messages, all.queues.values().map(|queue| queue.size).sum::<u64>());
    assert_eq!(counts.services, all.services.len() as u64);
    all
}

/// A copy of a sample that a test can change.
struct Copied {
    folder: TempDir,
}

impl Copied {
    fn new(kind: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(&sample(kind), folder.path());
        Self { folder }
    }

    fn sources(&self) -> Sources {
        Sources::below(self.folder.path())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::write(target, fs::read(path).unwrap()).unwrap();
        }
    }
}

/// Every file and folder with its content.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(tree(&path));
            all.insert(path, None);
        } else {
            let content = fs::read(&path).unwrap();
            all.insert(path, Some(content));
        }
    }
    all
}

/// Numbers that look random and are the same for the same seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }
}
