//! What an agent's store costs: `cargo bench -p smp-std --bench agent_store [-- FILTER]`.
//!
//! Each message is two commits, as a conversation makes them. One that is received: the state of the ratchet (4,500 bytes
//! with post-quantum encapsulation) and the message; then, when the program took it, its record goes and the connection's
//! (200 bytes) is written. One that is sent: the state and the sealed message (16,000 bytes); then, when the relay has it,
//! its record goes and the connection's is written.
//!
//! - `receive`: messages of 300 bytes;
//! - `send`: sealed messages of 16,000 bytes;
//! - `backlog`: 2,000 sealed messages wait before the first goes, and the store gives their space back;
//! - `together`: `send`, with the messages of 20 connections in one commit;
//! - `export`: 100 MB of messages of 16,000 bytes, written into an export and read from it; a commit is a record then.
//!
//! `p50` and `p99` are of a commit; `written` is bytes written to disk for a commit; `file MB` is the store in the end, and
//! `most MB` the most that it and its log had, looked at after every 1,000 commits; `MB` is resident memory.
//!
//! Stores live below `TMPDIR`: point it to the disk in question, not to memory.
// A program that measures may end at the first thing that is not as it should be.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod usage;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use smp_agent::storage::Change;
use smp_std::agent::store::{Passphrase, SqliteStorage};
use usage::Usage;

const STATE: usize = 4_500;
const CONNECTION: usize = 200;
const RECEIVED: usize = 300;
const SEALED: usize = 16_000;
const CONNECTIONS: u64 = 50;
const TIME: Duration = Duration::from_secs(8);

/// What a line measures.
type Load = fn(&mut Line);

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        // Built and started by `cargo test --all-targets`: there is nothing to test.
        return;
    }
    let filter = arguments.iter().find(|argument| *argument != "--bench").map_or("", String::as_str);
    println!(
        "{:<8} {:>9} {:>9} {:>8} {:>8} {:>8} {:>9} {:>8} {:>8} {:>5}",
        "load", "commits", "commits/s", "p50 ms", "p99 ms", "cpu us", "written", "file MB", "most MB", "MB"
    );
    let loads: [(_, Load); 5] = [
        ("receive", |line| conversation(line, RECEIVED, 1)),
        ("send", |line| conversation(line, SEALED, 1)),
        ("together", |line| conversation(line, SEALED, 20)),
        ("backlog", backlog),
        ("export", export),
    ];
    for (name, load) in loads {
        if name.contains(filter) {
            let mut line = Line::new(name);
            load(&mut line);
            line.print();
        }
    }
}

/// Messages of `connections` connections at a time arrive and go.
fn conversation(line: &mut Line, length: usize, connections: u64) {
    let end = Instant::now() + TIME;
    let mut number = 0;
    while Instant::now() < end {
        let numbers = number..number + connections;
        number += connections;
        let arrive = numbers.clone().flat_map(|n| [put(1, n % CONNECTIONS, STATE), put(2, n, length)]).collect();
        line.commit(arrive);
        line.commit(numbers.flat_map(|n| [delete(2, n), put(3, n % CONNECTIONS, CONNECTION)]).collect());
    }
}

fn backlog(line: &mut Line) {
    for number in 0..2_000 {
        line.commit(vec![put(1, number % CONNECTIONS, STATE), put(2, number, SEALED)]);
    }
    for number in 0..2_000 {
        line.commit(vec![delete(2, number), put(3, number % CONNECTIONS, CONNECTION)]);
    }
}

fn export(line: &mut Line) {
    for batch in 0..63 {
        line.store.commit(&(0..100).map(|number| put(2, batch * 100 + number, SEALED)).collect::<Vec<_>>()).unwrap();
    }
    let (export, new) = (line.folder.path().join("export"), line.folder.path().join("new.db"));
    let (passphrase, other) = (Passphrase::empty(), Passphrase::new("other").unwrap());
    (line.started, line.before) = (Instant::now(), Usage::now());
    line.store.export(&export, &passphrase).unwrap();
    line.times.extend([line.started.elapsed() / 6_300; 6_300]);
    line.print();
    line.times.clear();
    (line.started, line.before) = (Instant::now(), Usage::now());
    drop(SqliteStorage::import(&export, &passphrase, &new, &other).unwrap());
    line.load = "import";
    line.times.extend([line.started.elapsed() / 6_300; 6_300]);
}

struct Line {
    load: &'static str,
    folder: tempfile::TempDir,
    store: SqliteStorage,
    started: Instant,
    before: Usage,
    times: Vec<Duration>,
    most: u64,
}

impl Line {
    fn new(load: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStorage::create(&folder.path().join("agent.db"), &Passphrase::empty()).unwrap();
        let (before, times) = (Usage::now(), Vec::new());
        Self { load, folder, store, started: Instant::now(), before, times, most: 0 }
    }

    fn commit(&mut self, changes: Vec<Change>) {
        let started = Instant::now();
        self.store.commit(&changes).unwrap();
        self.times.push(started.elapsed());
        if self.times.len().is_multiple_of(1_000) {
            self.most = self.most.max(self.size());
        }
    }

    /// The bytes of the store and its log.
    fn size(&self) -> u64 {
        let size = |name: &str| std::fs::metadata(self.path(name)).map_or(0, |file| file.len());
        size("agent.db") + size("agent.db-wal")
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(self.folder.path()).join(name)
    }

    fn print(&mut self) {
        let (seconds, after) = (self.started.elapsed().as_secs_f64(), Usage::now());
        self.most = self.most.max(self.size());
        self.times.sort_unstable();
        let commits = self.times.len();
        let at = |percent: usize| self.times[(commits * percent / 100).min(commits - 1)].as_secs_f64() * 1e3;
        println!(
            "{:<8} {:>9} {:>9.0} {:>8.3} {:>8.3} {:>8.1} {:>9.0} {:>8.2} {:>8.2} {:>5}",
            self.load,
            commits,
            commits as f64 / seconds,
            at(50),
            at(99),
            (after.cpu - self.before.cpu).as_micros() as f64 / commits as f64,
            (after.written - self.before.written) as f64 / commits as f64,
            std::fs::metadata(self.path("agent.db")).unwrap().len() as f64 / 1e6,
            self.most as f64 / 1e6,
            after.memory >> 20,
        );
    }
}

/// A record of a table.
fn key(table: u8, number: u64) -> Vec<u8> {
    [&[table][..], &number.to_be_bytes()].concat()
}

fn put(table: u8, number: u64, length: usize) -> Change {
    Change::Put { key: key(table, number), value: vec![7; length] }
}

fn delete(table: u8, number: u64) -> Change {
    Change::Delete { key: key(table, number) }
}
