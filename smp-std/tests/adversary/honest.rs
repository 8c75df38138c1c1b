//! Two people who write to each other while somebody attacks their relay.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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
    times: Arc<Times>,
    stop: Arc<AtomicBool>,
}

/// How long commands took since somebody looked.
#[derive(Default)]
struct Times(Mutex<Vec<Duration>>);

impl Times {
    fn add(&self, time: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(time);
    }

    fn take(&self) -> Vec<Duration> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The time that 99 of 100 commands did not exceed.
fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    let place = (times.len() * 99).div_ceil(100).saturating_sub(1);
    times.get(place).copied().unwrap_or_default()
}

impl HonestPair {
    /// Starts writing and waits for the first messages.
    pub(crate) async fn start(relay: &RelayProcess) -> Self {
        let (rounds, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let times = Arc::<Times>::default();
        let (address, fingerprint) = (relay.address, relay.fingerprint);
        let thread = std::thread::spawn({
            let (rounds, times, stop) = (Arc::clone(&rounds), Arc::clone(&times), Arc::clone(&stop));
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(write_to_each_other(address.port(), fingerprint, &rounds, &times, &stop))
            }
        });
        let pair = Self { thread: Some(thread), rounds, times, stop };
        pair.progress("before the attack").await;
        pair
    }

    /// Messages delivered and acknowledged so far.
    pub(crate) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// Of the commands since this was asked for the last time.
    pub(crate) fn p99(&self) -> Duration {
        p99(self.times.take())
    }

    /// How long commands take when nobody does any harm.
    pub(crate) async fn quiet(&self) -> Duration {
        self.times.take();
        tokio::time::sleep(Duration::from_millis(700)).await;
        self.p99()
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
async fn write_to_each_other(
    port: u16,
    fingerprint: [u8; 32],
    rounds: &AtomicU64,
    times: &Times,
    stop: &AtomicBool,
) -> Duration {
    let mut alice = connect(port, fingerprint).await;
    let mut bob = connect(port, fingerprint).await;
    let mut clock = Clock { worst: Duration::ZERO, times };
    while !stop.load(Ordering::Relaxed) {
        let key = AuthorizationSecretKey::generate_x25519(&mut rand::rng());
        let queue = timed(&mut clock, alice.new_queue(QueueMode::Messaging, true)).await;
        let secure = Command::SecureBySender(key.public_key());
        assert_eq!(timed(&mut clock, bob.tell(Some(&key), &queue.sender_id, &secure)).await, "OK");
        for number in 0..MESSAGES_PER_QUEUE {
            one_message(&mut alice, &mut bob, &queue, &key, number, &mut clock).await;
            rounds.fetch_add(1, Ordering::Relaxed);
            if stop.load(Ordering::Relaxed) {
                break;
            }
            // They write, they do not flood.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(timed(&mut clock, alice.tell(Some(&queue.key), &queue.recipient_id, &Command::Delete)).await, "OK");
    }
    clock.worst
}

async fn one_message(
    alice: &mut RawClient,
    bob: &mut RawClient,
    queue: &TestQueue,
    key: &AuthorizationSecretKey,
    number: u64,
    clock: &mut Clock<'_>,
) {
    let text = number.to_be_bytes();
    assert_eq!(timed(clock, bob.tell(Some(key), &queue.sender_id, &send_command(&text))).await, "OK");
    let (id, plain) = timed(clock, alice.message(queue)).await;
    assert_eq!(&plain[10..], text);
    assert_eq!(timed(clock, alice.tell(Some(&queue.key), &queue.recipient_id, &ack(&id))).await, "OK");
}

/// Times commands.
struct Clock<'t> {
    worst: Duration,
    times: &'t Times,
}

async fn timed<T>(clock: &mut Clock<'_>, command: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let outcome = timeout(PATIENCE, command).await.expect("no answer");
    clock.times.add(start.elapsed());
    clock.worst = clock.worst.max(start.elapsed());
    outcome
}
