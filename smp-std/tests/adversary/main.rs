//! Somebody attacks a relay while two people write to each other: they must not notice, and the relay must not grow.
//!
//! Every attack is made on two relays, each a process of its own: one signs with Ed25519 and keeps everything on disk,
//! the other signs with Ed448 and keeps everything in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod blocks;
#[allow(dead_code)]
#[path = "../relay/services/certificates.rs"]
mod certificates;
mod chains;
mod client_hello;
mod crowds;
#[path = "../relay/fake.rs"]
mod fake;
mod forwarding;
mod handshakes;
#[path = "../relay/harness.rs"]
mod harness;
mod honest;
mod hunger;
mod ledger;
mod process;
#[path = "../common/program.rs"]
mod program;
#[path = "../relay/routing.rs"]
mod routing;
mod visitors;

use std::time::{Duration, Instant};

use honest::HonestPair;
use ledger::Ledger;
use process::{Kind, RelayProcess};
use smp_crypto::key::{AuthorizationSecretKey, Ed448SecretKey};
use tokio::sync::Semaphore;

/// Two tests at a time: each spends most of its time waiting for relays to lose their patience, and what they hold relays to
/// is measured by process. `--test-threads=1` gives figures of one attack alone.
const PLACES: u32 = 2;
static PLACE: Semaphore = Semaphore::const_new(PLACES as usize);

/// Silence is punished quickly, so that the tests need not wait for it. The times are longer than any honest step takes
/// on a busy machine; honest clients' sockets take all they are ever sent, whether or not they read it in time.
const IMPATIENT: [(&str, u64); 5] = [
    ("store.cache_mib", CACHE),
    ("tls_timeout_seconds", 3),
    ("handshake_timeout_seconds", 3),
    ("block_timeout_seconds", 3),
    ("write_timeout_seconds", 1),
];

/// What memory may differ by after an attack for reasons of the allocator.
const NOISE: u64 = 12 << 20;

/// What the store on disk may have gathered in memory then: bodies, four kinds of rows, and what was read.
const STORE: u64 = (2 * 16 + 5 * 4 + CACHE) << 20;

/// The configured memory for what was read from disk, in MiB.
const CACHE: u64 = 8;

/// Runs an attack on both relays.
async fn on_both(what: &str, options: &[(&str, u64)], attack: impl AsyncFn(&Ledger<'_>)) {
    let _place = PLACE.acquire().await.unwrap();
    futures_util::future::join_all(Kind::BOTH.map(|kind| attack_one(kind, what, options, &attack))).await;
}

/// Runs an attack on one relay, alone: it opens most of the files that a process may have.
async fn on_one(kind: Kind, what: &str, options: &[(&str, u64)], attack: impl AsyncFn(&Ledger<'_>)) {
    let _places = PLACE.acquire_many(PLACES).await.unwrap();
    attack_one(kind, what, options, &attack).await;
}

/// An attack with an honest pair at work, from which both the pair and the relay have to recover.
async fn attack_one(kind: Kind, what: &str, options: &[(&str, u64)], attack: &impl AsyncFn(&Ledger<'_>)) {
    let start = Instant::now();
    let relay = RelayProcess::start(kind, options);
    let pair = HonestPair::start(&relay).await;
    let (sockets, before) = (relay.sockets(), relay.memory());
    let noise = match kind {
        Kind::Disk => NOISE + STORE,
        Kind::Memory => NOISE,
    };
    let (mut memory, mut after) = (before, before);
    let ledger = Ledger::open(kind, &relay, &pair).await;
    for repeated in [false, true] {
        attack(&ledger).await;
        pair.progress("after the attack").await;
        let left = relay.wait_for_sockets(0..=sockets, Duration::from_secs(15)).await;
        // There may be fewer: before the attack the relay may have asked its resolver whether it works.
        assert!(left <= sockets, "{what}, {kind:?}: {left} connections of the attack are left, {sockets} before");
        after = relay.wait_for_memory(memory + noise, Duration::from_secs(10)).await;
        if after <= memory + noise {
            break;
        }
        // The allocator keeps pages that are half empty, now and then many. It does that once; what is lost grows with
        // every attack.
        assert!(!repeated, "{what}, {kind:?}: {before} bytes before, {memory} after an attack, {after} after two");
        eprintln!("{what}, {kind:?}: {} KiB before, {} KiB after, again", memory >> 10, after >> 10);
        memory = after;
    }
    let rounds = pair.rounds();
    let worst = pair.finish(what);
    relay.stop();
    eprintln!(
        "{what}, {kind:?}: {:?}, {rounds} messages, worst {worst:?}, {} KiB before, {} KiB after",
        start.elapsed(),
        before >> 10,
        after >> 10
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_handshakes_end_at_once_and_silent_ones_in_time() {
    on_both("handshakes", &IMPATIENT, async |ledger| {
        let relay = ledger.relay;
        let all = async {
            tokio::join!(
                handshakes::broken_tls(relay),
                handshakes::silent_tls(relay),
                handshakes::broken_hellos(relay),
                handshakes::silent_hellos(relay),
                handshakes::wrong_identity(relay.address),
            )
        };
        ledger.of("broken, silent and slow handshakes", 24, all).await;
        ledger.of("clients with slow certificates", 48, chains::of_clients(relay)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_blocks_are_answered_and_unfinished_ones_end_in_time() {
    on_both("blocks", &IMPATIENT, async |ledger| {
        let relay = ledger.relay;
        let all = async {
            tokio::join!(
                blocks::broken_contents(relay),
                blocks::misplaced_blocks(relay),
                blocks::broken_transmissions(relay),
                blocks::random_commands(relay),
                blocks::truncated_blocks(relay),
            )
        };
        ledger.of("broken and unfinished blocks", 24, all).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hungry_clients_cost_bounded_memory_and_are_cut_off() {
    on_both("hunger", &IMPATIENT, async |ledger| {
        let relay = ledger.relay;
        ledger.of("PINGs, answers unread", 14, hunger::ping_flood(relay)).await;
        ledger.of("NEW, answers unread", 123, hunger::new_flood(relay)).await;
        ledger.of("GET of 110 messages at once", 24, hunger::untaken_messages(relay)).await;
        ledger.of("GET, answers unread", 45, hunger::get_flood(relay)).await;
        ledger.of("SEND, answers unread", 125, hunger::send_flood(relay)).await;
        ledger.of("SUB, messages unread", 42, hunger::silent_subscriber(relay)).await;
        ledger.of("SUB of two, unread", 12, hunger::subscription_quarrel(relay)).await;
        ledger.of("2,000 subscriptions", 24, hunger::many_subscriptions(relay)).await;
        let key = AuthorizationSecretKey::generate_ed25519(&mut rand::rng());
        ledger.of("failed AUTH, Ed25519", 24, hunger::wrong_signatures(relay, key)).await;
        // These take 25 times as long to verify.
        let key = AuthorizationSecretKey::Ed448(Ed448SecretKey::generate(&mut rand::rng()));
        ledger.of("failed AUTH, Ed448", 24, hunger::wrong_signatures(relay, key)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_connections_are_opened_and_left() {
    let count = crowds::affordable(10_000);
    // Patient relays, so that the crowd is there all the time. The first may keep all of them, the second closes the
    // oldest beyond its default of 1,000 handshakes.
    for (kind, handshakes) in [(Kind::Disk, 12_000), (Kind::Memory, 1_000)] {
        let options = [("handshakes", handshakes), ("tls_timeout_seconds", 60), ("handshake_timeout_seconds", 60)];
        on_one(kind, "crowds", &options, async |ledger| {
            let Ledger { relay, pair, .. } = ledger;
            let kept = usize::try_from(handshakes).unwrap().min(count);
            ledger.of("300 sessions half open", 31, crowds::half_open_sessions(relay, pair, 300)).await;
            let left = crowds::opened_and_left(relay, pair, count, kept);
            ledger.of("10,000 connections left", 12 + kept as u64 / 64, left).await;
            ledger.of("3,000 connections reset", 24, crowds::opened_and_reset(relay, pair, 3_000)).await;
        })
        .await;
    }
}

/// As [`IMPATIENT`], for what relays have done by others.
const FORWARDING: [(&str, u64); 8] = [
    ("store.cache_mib", CACHE),
    ("tls_timeout_seconds", 3),
    ("handshake_timeout_seconds", 3),
    ("block_timeout_seconds", 3),
    ("write_timeout_seconds", 1),
    ("allow_private_addresses", 1),
    ("connect_timeout_seconds", 4),
    ("command_timeout_seconds", 2),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_and_clients_of_private_routing_cost_bounded_memory() {
    on_both("forwarding", &FORWARDING, async |ledger| {
        let relay = ledger.relay;
        ledger.of("LGET for others, unread", 16, forwarding::forwarded_links(relay)).await;
        ledger.of("SEND for others, unread", 123, forwarding::forwarded_sends(relay)).await;
        ledger.of("RFWD garbage, unread", 12, forwarding::forwarded_garbage(relay)).await;
        ledger.of("LGET, answers unread", 16, forwarding::own_links(relay)).await;
        ledger.of("PFWD to a silent relay", 24, forwarding::unanswered_forwards(relay)).await;
        ledger.of("PRXY to dead hosts", 40, forwarding::unreachable_relays(relay)).await;
        ledger.of("relays with slow certificates", 24, chains::of_relays(relay)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notifiers_services_names_and_visitors_cost_bounded_memory() {
    let silent = fake::silence().await;
    let mut options = IMPATIENT.to_vec();
    // The resolver is silent for 3 s, and who waits for it must not be taken for somebody who reads nothing.
    options.extend([("resolver", u64::from(silent.port())), ("http", 1), ("write_timeout_seconds", 4)]);
    on_both("services", &options, async |ledger| {
        let relay = ledger.relay;
        ledger.of("services by the thousand", 24, visitors::strange_services(relay)).await;
        ledger.of("SUBS of four, unread", 30, visitors::service_quarrel(relay)).await;
        ledger.of("NSUB, unread", 30, visitors::unread_notifications(relay)).await;
        ledger.of("RSLV of a silent resolver", 24, visitors::unresolved_names(relay)).await;
        ledger.of("slow browsers", 24, visitors::slow_browsers(relay)).await;
    })
    .await;
}

/// The long form: `cargo test --release -p smp-std --test adversary twenty -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes 21,000 open files and some minutes"]
async fn twenty_thousand_connections_from_one_address() {
    const COUNT: usize = 20_000;
    // Both sides need an open file for each, and some besides.
    let files = usize::try_from(rlimit::increase_nofile_limit(65_000).unwrap()).unwrap();
    let count = COUNT.min(files - 300);
    if count < COUNT {
        eprintln!("only {files} files may be open here: {count} connections instead of {COUNT}");
    }
    let refused = async |ledger: &Ledger<'_>| {
        let Ledger { relay, pair, .. } = ledger;
        // The default is 2,000.
        let sessions = ledger.of("20,000 from an address, refused", 80, crowds::sessions(relay, COUNT)).await;
        assert_eq!(sessions.len(), 2_000);
        pair.progress("with a crowd from one address").await;
    };
    on_one(Kind::Disk, "20,000 refused", &[("any_address", 1)], refused).await;
    let options = [("any_address", 1), ("limits.connections", 30_000), ("limits.connections_per_address", 30_000)];
    let admitted = async |ledger: &Ledger<'_>| {
        let Ledger { relay, pair, .. } = ledger;
        // 16 KiB each, and what handshakes under way take.
        let limit = count as u64 * 16 / 1_024 + 32;
        let sessions = ledger.of("20,000 from an address, admitted", limit, crowds::sessions(relay, count)).await;
        assert_eq!(sessions.len(), count);
        pair.progress("with a crowd from one address").await;
    };
    on_one(Kind::Disk, "20,000 admitted", &options, admitted).await;
}
