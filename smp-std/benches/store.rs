//! What the store costs: `cargo bench -p smp-std --bench store [-- FILTER]`.
//!
//! Each line is a process of its own, so that processor time, memory and bytes written to disk are its own too:
//!
//! - `flow`: each connection appends a message of 16,048 bytes to its queue, waits until it is durable, acknowledges it,
//!   waits, and so on;
//! - `backlog`: 40,000 messages (640 MB) wait in 2,000 queues before they are acknowledged;
//! - `start`: opening a store with 1,000,000 queues, 10,000 of them with a message, and finding 200,000 queues by their
//!   sender ids;
//! - `reopen`: opening a store that was killed under the load of `flow`.
//!
//! `p50` and `p99` are of an append and its acknowledgement together, or of a read; `written` is bytes written to disk
//! per byte of message body; `MB` is resident memory at the end.
//!
//! Stores live below `TMPDIR`: point it to the disk in question, not to memory.
// A program that measures may end at the first thing that is not as it should be.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod usage;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use smp_proto::key::{AuthorizationKey, Ed25519PublicKey};
use smp_std::relay::store::{
    AppendMessage, AppendOutcome, Expiry, FjallOptions, Id, QueueRecord, SharedSecret, Store, StoreOptions,
};
use usage::Usage;

const BODY: usize = 16_048;
const QUEUES: u64 = 1_000_000;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let filter = match arguments.as_slice() {
        ["run", arguments @ ..] => return run(arguments),
        ["--bench"] => "",
        [filter, "--bench"] => filter,
        // Built and started by `cargo test --all-targets`: there is nothing to test.
        _ => return,
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    println!(
        "{:<8} {:<7} {:>11} {:>9} {:>9} {:>9} {:>9} {:>9} {:>10} {:>6}",
        "load", "engine", "connections", "msg/s", "p50 ms", "p99 ms", "cpu us", "written", "opening s", "MB"
    );
    for engine in ["fjall", "memory"] {
        for connections in ["1", "100", "1000"] {
            start_run(filter, &["flow", engine, connections, folder]);
        }
        start_run(filter, &["backlog", engine, "100", folder]);
    }
    if start_run(filter, &["fill", "fjall", "1000", folder]) {
        start_run("", &["start", "fjall", "1", folder]);
    }
    if "reopen".contains(filter) {
        let mut killed = program().args(["run", "flow", "fjall", "1000", folder]).spawn().unwrap();
        std::thread::sleep(Duration::from_secs(4));
        killed.kill().unwrap();
        killed.wait().unwrap();
        std::fs::rename(Path::new(folder).join("flow-fjall-1000"), Path::new(folder).join("reopen-fjall-1")).unwrap();
        start_run("", &["reopen", "fjall", "1", folder]);
    }
}

/// Runs one line in a process of its own, if it passes the filter.
fn start_run(filter: &str, arguments: &[&str]) -> bool {
    let chosen = arguments.join(" ").contains(filter);
    if chosen {
        assert!(program().arg("run").args(arguments).status().unwrap().success());
    }
    chosen
}

fn program() -> Command {
    Command::new(std::env::current_exe().unwrap())
}

fn run(arguments: &[&str]) {
    let [load, engine, connections, folder] = arguments else { panic!("run LOAD ENGINE CONNECTIONS FOLDER") };
    let name =
        if ["fill", "start"].contains(load) { "million".into() } else { format!("{load}-{engine}-{connections}") };
    let path = Path::new(folder).join(name);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build().unwrap();
    let started = Instant::now();
    let store = match *engine {
        "memory" => Store::memory(StoreOptions::default()).unwrap(),
        _ => Store::fjall(&path, &FjallOptions::default(), StoreOptions::default()).unwrap(),
    };
    let opened = started.elapsed();
    let mut line = Line { load, engine, connections, opened, ..Line::default() };
    let before = Usage::now();
    let number: u64 = connections.parse().unwrap();
    runtime.block_on(async {
        match *load {
            "flow" => flow(&store, number, &mut line).await,
            "backlog" => backlog(&store, number, &mut line).await,
            "fill" => fill(&store, number, &mut line).await,
            "start" => read(&store, &mut line),
            _ => line.messages = store.counts().queues as usize,
        }
        store.close().await.unwrap();
    });
    drop(store);
    line.print(&before, &Usage::now());
    if !["fill", "start", "memory"].iter().any(|kept| kept == load || kept == engine) {
        std::fs::remove_dir_all(path).unwrap();
    }
}

async fn flow(store: &Store, connections: u64, line: &mut Line<'_>) {
    let end = Instant::now() + Duration::from_secs(6);
    let mut tasks = Vec::new();
    for number in 0..connections {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            store.create_queue(queue(number).into()).await.unwrap().await.unwrap();
            let mut times = Vec::new();
            let mut message = 0;
            while Instant::now() < end {
                let append = message_for(number, message);
                let started = Instant::now();
                let stored = store.append_message(append).await.unwrap().await.unwrap();
                assert!(matches!(stored.outcome, AppendOutcome::Stored { was_empty: true, .. }));
                let acknowledged = store.acknowledge(id(number), id(message)).await.unwrap().await.unwrap().unwrap();
                assert!(acknowledged.deleted.is_some() && acknowledged.next.is_none());
                times.push(started.elapsed());
                message += 1;
            }
            times
        }));
    }
    for task in tasks {
        line.times.extend(task.await.unwrap());
    }
    line.messages = line.times.len();
}

async fn backlog(store: &Store, connections: u64, line: &mut Line<'_>) {
    const PER_CONNECTION: u64 = 20;
    const EACH: u64 = 20;
    for draining in [false, true] {
        let mut tasks = Vec::new();
        for connection in 0..connections {
            let store = store.clone();
            tasks.push(tokio::spawn(async move {
                for message in 0..EACH {
                    for number in connection * PER_CONNECTION..(connection + 1) * PER_CONNECTION {
                        if draining {
                            let acknowledged = store.acknowledge(id(number), id(message)).await.unwrap().await.unwrap();
                            assert!(acknowledged.unwrap().deleted.is_some());
                            continue;
                        }
                        if message == 0 {
                            store.create_queue(queue(number).into()).await.unwrap().await.unwrap();
                        }
                        store.append_message(message_for(number, message)).await.unwrap().await.unwrap();
                    }
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    }
    line.messages = (connections * PER_CONNECTION * EACH) as usize;
}

async fn fill(store: &Store, connections: u64, line: &mut Line<'_>) {
    let mut tasks = Vec::new();
    for connection in 0..connections {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            for number in (connection..QUEUES).step_by(connections as usize) {
                store.create_queue(queue(number).into()).await.unwrap().await.unwrap();
                if number % 100 == 0 {
                    store.append_message(message_for(number, number)).await.unwrap().await.unwrap();
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    line.messages = QUEUES as usize;
}

fn read(store: &Store, line: &mut Line<'_>) {
    assert_eq!((store.counts().queues, store.counts().messages), (QUEUES, QUEUES / 100));
    println!("start: {} MB after opening", Usage::now().memory >> 20);
    line.started = Instant::now();
    for number in (0..QUEUES).cycle().step_by(7919).take(200_000) {
        let started = Instant::now();
        assert!(store.queue_by_sender(&id(number + QUEUES)).unwrap().is_some());
        line.times.push(started.elapsed());
    }
    line.messages = line.times.len();
}

struct Line<'a> {
    load: &'a str,
    engine: &'a str,
    connections: &'a str,
    opened: Duration,
    started: Instant,
    messages: usize,
    times: Vec<Duration>,
}

impl Default for Line<'_> {
    fn default() -> Self {
        Self {
            load: "",
            engine: "",
            connections: "",
            opened: Duration::ZERO,
            started: Instant::now(),
            messages: 0,
            times: Vec::new(),
        }
    }
}

impl Line<'_> {
    fn print(mut self, before: &Usage, after: &Usage) {
        let seconds = self.started.elapsed().as_secs_f64();
        self.times.sort_unstable();
        let at = |percent: usize| {
            let time = self.times.get(self.times.len() * percent / 100);
            time.map_or("-".into(), |time| format!("{:.3}", time.as_secs_f64() * 1e3))
        };
        let messages = self.messages as f64;
        println!(
            "{:<8} {:<7} {:>11} {:>9.0} {:>9} {:>9} {:>9.1} {:>9.2} {:>10.3} {:>6}",
            self.load,
            self.engine,
            self.connections,
            messages / seconds,
            at(50),
            at(99),
            (after.cpu - before.cpu).as_micros() as f64 / messages,
            (after.written - before.written) as f64 / (messages * BODY as f64),
            self.opened.as_secs_f64(),
            after.memory >> 20,
        );
    }
}

fn id(number: u64) -> Id {
    let mut id = [0x5a; 24];
    id[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    id
}

fn queue(number: u64) -> QueueRecord {
    let key = |salt: u64| AuthorizationKey::Ed25519(Ed25519PublicKey(noise(number ^ salt)));
    let mut record = QueueRecord::new(id(number), id(number + QUEUES), key(1 << 40), SharedSecret::new(noise(number)));
    record.sender_key = Some(key(2 << 40));
    record
}

fn message_for(queue: u64, number: u64) -> AppendMessage {
    AppendMessage {
        recipient_id: id(queue),
        message_id: id(number),
        time: 1_700_000_000,
        notification: true,
        notify: None,
        secured: true,
        body: Bytes::from_owner(noise::<BODY>(queue << 32 | number)),
        quota: 128,
        expire: Some(Expiry::before(0)),
    }
}

/// Bytes that cannot be compressed.
fn noise<const N: usize>(seed: u64) -> [u8; N] {
    let mut bytes = [0; N];
    let mut state = seed;
    for chunk in bytes.chunks_mut(8) {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        chunk.copy_from_slice(&(mixed ^ (mixed >> 27)).to_le_bytes()[..chunk.len()]);
    }
    bytes
}
