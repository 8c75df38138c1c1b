//! What it costs when everybody comes back after a restart: `cargo bench -p smp-std --bench resubscribe [-- FILTER]`.
//!
//! Each line starts the relay's program with the store on disk, creates queues, kills the relay, starts it again, and has
//! all clients connect and subscribe to all their queues at once, in batches as long as a block holds:
//!
//! - `one`: one connection with 10,000 queues;
//! - `many`: 1,000 connections with 100 queues each.
//!
//! `start` is from starting the program to its `ready`; `all` from there until every queue of every connection is
//! subscribed, handshakes included; `relay CPU` and `peak MB` are the relay's own. The clients run on the same machine.
// A program that measures may end at the first thing that is not as it should be.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../tests/relay/harness.rs"]
mod harness;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command as Program, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::{PATIENCE, RawClient, TestQueue, new_command};
use smp_crypto::key::{AuthorizationSecretKey, X25519SecretKey};
use smp_proto::smp::recipient::QueueMode;
use smp_proto::smp::{BrokerMessage, Command};
use smp_proto::version::VersionRange;
use smp_std::identity::Identity;
use smp_std::net::{ClientAlpn, ClientTls, connect_tcp};
use tokio::sync::Semaphore;

const PROGRAM: &str = env!("CARGO_BIN_EXE_smp-server");
/// Transmissions in one block: SUB with an Ed25519 signature takes 123 bytes, NEW up to 250.
const SUBSCRIPTIONS: usize = 130;
const CREATIONS: usize = 60;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        // Built and started by `cargo test --all-targets`: there is nothing to test.
        return;
    }
    rlimit::increase_nofile_limit(8_192).unwrap();
    let filter = arguments.iter().find(|argument| *argument != "--bench").map_or("", String::as_str);
    for (name, connections, queues) in [("one", 1, 10_000), ("many", 1_000, 100)] {
        if name.contains(filter) {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(measure(name, connections, queues));
        }
    }
}

struct Relay {
    child: Child,
    port: u16,
    fingerprint: [u8; 32],
}

impl Relay {
    fn start(home: &Path, port: u16) -> Self {
        let mut child = Program::new(PROGRAM)
            .args(["--dir".as_ref(), home.as_os_str()])
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .env("RUST_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line == "ready"));
        Self { child, port, fingerprint: *Identity::load(home).unwrap().fingerprint() }
    }

    async fn client(&self) -> RawClient {
        let tcp = connect_tcp("127.0.0.1", self.port, PATIENCE).await.unwrap();
        let tls = ClientTls::new(ClientAlpn::Smp).connect(tcp, &self.fingerprint, PATIENCE).await.unwrap();
        RawClient::greet(tls, self.fingerprint, VersionRange::SMP).await
    }

    /// Resident memory now and at its peak in MB, and CPU time.
    fn usage(&self) -> (u64, u64, Duration) {
        let file = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).unwrap();
        let status = file("status");
        let megabytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024 / 1_000_000
        };
        let stat = file("stat");
        let fields: Vec<u64> =
            stat.rsplit_once(") ").unwrap().1.split(' ').skip(11).take(2).map(|field| field.parse().unwrap()).collect();
        (megabytes("VmRSS:"), megabytes("VmHWM:"), Duration::from_millis(fields.iter().sum::<u64>() * 10))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn create(mut client: RawClient, count: usize) -> Vec<TestQueue> {
    let mut queues = Vec::with_capacity(count);
    while queues.len() < count {
        let batch: Vec<_> = (0..CREATIONS.min(count - queues.len()))
            .map(|_| {
                let key = AuthorizationSecretKey::generate_ed25519(&mut rand::rng());
                let dh = X25519SecretKey::generate(&mut rand::rng());
                let command = new_command(&key, &dh, QueueMode::Messaging, false);
                let (correlation, bytes) = client.encode(Some(&key), &[], &command);
                (key, dh, correlation, bytes)
            })
            .collect();
        let block: Vec<_> = batch.iter().map(|(_, _, _, bytes)| bytes.clone()).collect();
        client.send_block(&block).await;
        for (key, dh, correlation, _) in batch {
            let response = client.response_to(&correlation).await;
            let BrokerMessage::Ids(ids) = response.decode(client.version()) else { panic!("{}", response.text()) };
            queues.push(TestQueue {
                key,
                dh,
                relay_key: ids.relay_dh_key,
                recipient_id: ids.recipient_id.as_bytes().to_vec(),
                sender_id: ids.sender_id.as_bytes().to_vec(),
            });
        }
    }
    queues
}

/// Blocks that are sent before the responses to the first of them are read. Whoever reads nothing is not read either.
const AHEAD: usize = 3;

async fn subscribe(client: &mut RawClient, queues: &[TestQueue]) {
    let mut outstanding = 0;
    for batch in queues.chunks(SUBSCRIPTIONS) {
        let block: Vec<_> = batch
            .iter()
            .map(|queue| client.encode(Some(&queue.key), &queue.recipient_id, &Command::Subscribe).1)
            .collect();
        client.send_block(&block).await;
        outstanding += batch.len();
        while outstanding > AHEAD * SUBSCRIPTIONS {
            assert_eq!(client.receive().await.text(), "SOK 0");
            outstanding -= 1;
        }
    }
    for _ in 0..outstanding {
        assert_eq!(client.receive().await.text(), "SOK 0");
    }
}

async fn measure(name: &str, connections: usize, count: usize) {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("relay");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert!(Program::new(PROGRAM).arg("init").arg("--dir").arg(&home).output().unwrap().status.success());
    let relay = Relay::start(&home, port);
    let mut all = Vec::new();
    for _ in 0..connections {
        all.push(create(relay.client().await, count).await);
    }
    drop(relay);

    let begun = Instant::now();
    let relay = Arc::new(Relay::start(&home, port));
    let started = begun.elapsed();
    let (idle, _, cpu_before) = relay.usage();
    let begun = Instant::now();
    // Clients prepare their own side a few at a time; more would only wait for this machine's processors.
    let permits = Arc::new(Semaphore::new(64));
    let mut tasks = tokio::task::JoinSet::new();
    for queues in all {
        let (relay, permits) = (Arc::clone(&relay), Arc::clone(&permits));
        tasks.spawn(async move {
            let permit = permits.acquire().await.unwrap();
            let mut client = relay.client().await;
            subscribe(&mut client, &queues).await;
            drop(permit);
            client
        });
    }
    // All stay connected to the end.
    let clients = tasks.join_all().await;
    let elapsed = begun.elapsed();
    let (resident, peak, cpu) = relay.usage();
    let subscriptions = connections * count;
    println!(
        "{name:<5} {connections:>5} connections {subscriptions:>7} queues: start {:.2} s, all {:.2} s ({:.0}/s), \
         relay CPU {:.2} s ({:.0} us each), {idle} MB before, {resident} MB after, peak {peak} MB",
        started.as_secs_f64(),
        elapsed.as_secs_f64(),
        subscriptions as f64 / elapsed.as_secs_f64(),
        (cpu - cpu_before).as_secs_f64(),
        (cpu - cpu_before).as_secs_f64() * 1e6 / subscriptions as f64,
    );
    drop(clients);
}
