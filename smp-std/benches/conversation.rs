//! One conversation, message after message: `cargo bench -p smp-std --bench conversation [-- MESSAGES [FOLDER]]`, 10,000
//! messages in a temporary folder if nothing else is said.
//!
//! Two agents with encrypted stores on disk, each with a relay of its own in memory, all in this process. One sends texts
//! of 100 bytes, at most 64 of them on their way; the other acknowledges each. Twenty lines tell messages per second since
//! the last one, resident memory of the process, and what the two stores take on disk. Memory stays as it is, however many
//! messages there were; the sender's store grows by what is kept of each sent message for 21 days, about 120 bytes.
// A program that measures may end at the first thing that is not as it should be.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../tests/relay/harness.rs"]
mod harness;
#[path = "../tests/conversations/person.rs"]
#[allow(dead_code, reason = "stories need more of it")]
mod person;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use harness::TestRelay;
use person::{Person, connect, servers};
use smp_agent::command::Command;
use smp_agent::policy::integrity::Integrity;
use smp_agent::policy::server::Server;
use smp_agent::{Event, EventKind};
use smp_proto::address::{Host, Port, ServerBuf};
use smp_std::agent::AgentOptions;
use smp_std::agent::store::{Passphrase, SqliteStorage};
use smp_std::relay::config::Config;
use tokio::sync::Semaphore;

/// Messages on their way.
const WINDOW: usize = 64;
const BODY: [u8; 100] = [b'x'; 100];

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        // Built and started by `cargo test --all-targets`: there is nothing to test.
        return;
    }
    let mut arguments = arguments.iter().filter(|argument| *argument != "--bench");
    let count = arguments.next().map_or(10_000, |count| count.parse().expect("a number of messages"));
    let temporary = tempfile::tempdir().unwrap();
    let folder = arguments.next().map_or_else(|| temporary.path().to_path_buf(), PathBuf::from);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure(count, &folder));
}

fn server(relay: &TestRelay) -> Server {
    let port = Port::new(relay.address.port());
    Server::from(&ServerBuf::new(Host::parse("127.0.0.1").unwrap(), port, &relay.fingerprint).unwrap())
}

async fn measure(count: u64, folder: &Path) {
    let (one, other) = (TestRelay::start(Config::default()).await, TestRelay::start(Config::default()).await);
    let files = ["sender.db", "recipient.db"].map(|name| folder.join(name));
    let [mut sender, mut recipient] = files.each_ref().map(|path| {
        let storage = SqliteStorage::create(path, &Passphrase::new("passphrase").unwrap()).unwrap();
        Person::begin(storage, AgentOptions::default())
    });
    sender.use_servers(servers(&[&server(&one)], &[])).await;
    recipient.use_servers(servers(&[&server(&other)], &[])).await;
    let (at_sender, _) = connect(&mut sender, &mut recipient).await;
    println!("{:>9} {:>9} {:>9} {:>11} {:>14}", "messages", "per s", "RSS MB", "sender KB", "recipient KB");
    let started = Instant::now();
    let room = Arc::new(Semaphore::new(WINDOW));
    let arrived = Arc::clone(&room);
    let sending = tokio::spawn(async move {
        let (mut begun, mut sent) = (0, 0);
        while sent < count {
            tokio::select! {
                permit = room.acquire(), if begun < count => {
                    permit.unwrap().forget();
                    sender.send(at_sender, BODY.to_vec()).await;
                    begun += 1;
                }
                event = sender.events.next() => {
                    let Event { id, kind } = event.unwrap();
                    match kind {
                        EventKind::Sent { .. } => sent += 1,
                        EventKind::Waiting { .. } | EventKind::NotSent { .. } | EventKind::Failed { .. } => {
                            panic!("{kind:?}")
                        }
                        _ => {}
                    }
                    acknowledge(&sender, id).await;
                }
            }
        }
        sender
    });
    let mut last = (Instant::now(), 0);
    let step = count.div_ceil(20);
    let mut received = 0;
    while received < count {
        let Event { id, kind } = recipient.next().await;
        if let EventKind::Message { message, .. } = &kind {
            assert_eq!(message.integrity, Integrity::Ok);
            assert_eq!(message.body.0, BODY);
            received += 1;
            arrived.add_permits(1);
        }
        acknowledge(&recipient, id).await;
        if matches!(kind, EventKind::Message { .. }) && (received % step == 0 || received == count) {
            let [sender, recipient] = files.each_ref().map(|path| size(path));
            let rate = (received - last.1) as f64 / last.0.elapsed().as_secs_f64();
            println!("{received:>9} {rate:>9.0} {:>9} {sender:>11} {recipient:>14}", memory());
            last = (Instant::now(), received);
        }
    }
    let rate = count as f64 / started.elapsed().as_secs_f64();
    println!("{count} messages in {:.0} s, {rate:.0} per second", started.elapsed().as_secs_f64());
    sending.await.unwrap().agent.stop().await.unwrap();
    recipient.agent.stop().await.unwrap();
    let [sender, recipient] = files.each_ref().map(|path| size(path));
    println!("closed: {sender} and {recipient} KB");
    one.stop().await;
    other.stop().await;
}

async fn acknowledge(person: &Person, event: Option<smp_agent::EventId>) {
    if let Some(event) = event {
        person.agent.command(Command::Acknowledge { event, receipt: None }).await.unwrap();
    }
}

/// Resident memory of this process in MB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024 / 1_000_000
}

/// What a store and what belongs to it take, in KB.
fn size(path: &Path) -> u64 {
    let files = ["", "-wal"].map(|end| PathBuf::from(format!("{}{end}", path.display())));
    files.iter().filter_map(|file| std::fs::metadata(file).ok()).map(|file| file.len()).sum::<u64>() / 1_000
}
