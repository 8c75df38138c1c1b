//! Two people who write to each other while somebody attacks their relay.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use smp_crypto::key::AuthorizationSecretKey;
use smp_proto::smp::Command;
use smp_proto::smp::recipient::QueueMode;
use smp_proto::version::VersionRange;
use smp_std::net::{ClientAlpn, ClientTls, connect_tcp};
use tokio::time::timeout;

use crate::harness::{PATIENCE, RawClient, TestQueue, ack, send_command};
use crate::process::RelayProcess;

/// The longest that an honest command may take while the relay is attacked. In quiet it takes milliseconds; the
/// attacker runs on the same cores.
pub(crate) const WORST: Duration = Duration::from_secs(5);

/// Messages on one queue before the pair agrees on another one.
const MESSAGES_PER_QUEUE: u64 = 20;

/// The pair, in a thread of its own so that the attacker does not keep it from running.
pub(crate) struct HonestPair {
    thread: Option<JoinHandle<Duration>>,
    rounds: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl HonestPair {
    /// Starts writing and waits for the first messages.
    pub(crate) async fn start(relay: &RelayProcess) -> Self {
        let (rounds, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (address, fingerprint) = (relay.address, relay.fingerprint);
        let thread = std::thread::spawn({
            let (rounds, stop) = (Arc::clone(&rounds), Arc::clone(&stop));
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(write_to_each_other(address.port(), fingerprint, &rounds, &stop))
            }
        });
        let pair = Self { thread: Some(thread), rounds, stop };
        pair.progress("before the attack").await;
        pair
    }

    /// Messages delivered and acknowledged so far.
    pub(crate) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// Waits for three more messages.
    pub(crate) async fn progress(&self, when: &str) {
        let (start, before) = (Instant::now(), self.rounds());
        while self.rounds() < before + 3 {
            let running = self.thread.as_ref().is_some_and(|thread| !thread.is_finished());
            assert!(running, "an honest client failed, {when}");
            assert!(start.elapsed() < WORST * 3, "honest clients wait, {when}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends the correspondence; the longest command must have been short enough.
    pub(crate) fn finish(mut self, what: &str) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        let worst = self.thread.take().unwrap().join().expect("an honest client failed");
        assert!(worst < WORST, "{what}: an honest command took {worst:?}");
        worst
    }
}

impl Drop for HonestPair {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

async fn connect(port: u16, fingerprint: [u8; 32]) -> RawClient {
    let tcp = connect_tcp("127.0.0.1", port, PATIENCE).await.unwrap();
    let tls = ClientTls::new(ClientAlpn::Smp).connect(tcp, &fingerprint, PATIENCE).await.unwrap();
    RawClient::greet(tls, fingerprint, VersionRange::SMP).await
}

/// Returns the longest time that a command took.
async fn write_to_each_other(port: u16, fingerprint: [u8; 32], rounds: &AtomicU64, stop: &AtomicBool) -> Duration {
    let mut alice = connect(port, fingerprint).await;
    let mut bob = connect(port, fingerprint).await;
    let mut worst = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let key = AuthorizationSecretKey::generate_x25519(&mut rand::rng());
        let queue = timed(&mut worst, alice.new_queue(QueueMode::Messaging, true)).await;
        let secure = Command::SecureBySender(key.public_key());
        assert_eq!(timed(&mut worst, bob.tell(Some(&key), &queue.sender_id, &secure)).await, "OK");
        for number in 0..MESSAGES_PER_QUEUE {
            one_message(&mut alice, &mut bob, &queue, &key, number, &mut worst).await;
            rounds.fetch_add(1, Ordering::Relaxed);
            if stop.load(Ordering::Relaxed) {
                break;
            }
            // They write, they do not flood.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(timed(&mut worst, alice.tell(Some(&queue.key), &queue.recipient_id, &Command::Delete)).await, "OK");
    }
    worst
}

async fn one_message(
    alice: &mut RawClient,
    bob: &mut RawClient,
    queue: &TestQueue,
    key: &AuthorizationSecretKey,
    number: u64,
    worst: &mut Duration,
) {
    let text = number.to_be_bytes();
    assert_eq!(timed(worst, bob.tell(Some(key), &queue.sender_id, &send_command(&text))).await, "OK");
    let (id, plain) = timed(worst, alice.message(queue)).await;
    assert_eq!(&plain[10..], text);
    assert_eq!(timed(worst, alice.tell(Some(&queue.key), &queue.recipient_id, &ack(&id))).await, "OK");
}

async fn timed<T>(worst: &mut Duration, command: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let outcome = timeout(PATIENCE, command).await.expect("no answer");
    *worst = (*worst).max(start.elapsed());
    outcome
}
