//! Notifications, from NKEY to NMSG (wire reference, sections 7.3, 8 and 10.6).

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use smp_crypto::key::{AuthorizationSecretKey, Ed448SecretKey, X25519SecretKey};
use smp_crypto::notification;
use smp_crypto::secret_box::{BoxKey, Nonce};
use smp_proto::key::X25519PublicKey;
use smp_proto::smp::notifier::NotifierKeys;
use smp_proto::smp::recipient::QueueMode;
use smp_proto::smp::sender::Send;
use smp_proto::smp::{BrokerMessage, Command};
use smp_proto::version::SmpVersion;
use smp_std::identity::{Identity, KeyAlgorithm};
use smp_std::relay::config::Config;
use smp_std::relay::store::{
    FjallOptions, Id, NotificationLimits, PendingNotification, QueueName, Store, StoreOptions,
};

use crate::harness::{RawClient, Received, TestQueue, TestRelay, ack, until};
use crate::{ed25519, x25519};

/// As the default, but 30 times as often.
fn config() -> Config {
    let mut config = Config::default();
    config.notifications.interval_milliseconds = 50;
    config
}

/// Longer than several intervals.
const SEVERAL_INTERVALS: Duration = Duration::from_millis(250);

/// A relay whose store the test can look into.
async fn relay_with_store(config: Config, open: impl FnOnce(StoreOptions) -> Store) -> (TestRelay, Store) {
    let directory = tempfile::tempdir().unwrap();
    let identity = Identity::create(directory.path(), KeyAlgorithm::Ed25519, "localhost").unwrap();
    let opened = Arc::new(OnceLock::new());
    let relay = TestRelay::start_with(config, identity, directory, |options| {
        let store = open(options);
        assert!(opened.set(store.clone()).is_ok());
        store
    })
    .await;
    let store = opened.get().unwrap().clone();
    (relay, store)
}

struct TestNotifier {
    key: AuthorizationSecretKey,
    dh: X25519SecretKey,
    relay_key: X25519PublicKey,
    id: Vec<u8>,
}

fn enable_command(key: &AuthorizationSecretKey, recipient_dh_key: X25519PublicKey) -> Command<'static> {
    Command::EnableNotifications(NotifierKeys { notifier_key: key.public_key(), recipient_dh_key })
}

/// NKEY.
async fn enable(client: &mut RawClient, queue: &TestQueue, key: AuthorizationSecretKey) -> TestNotifier {
    let dh = X25519SecretKey::generate(&mut rand::rng());
    let command = enable_command(&key, dh.public_key());
    let response = client.ask(Some(&queue.key), &queue.recipient_id, &command).await;
    let BrokerMessage::NotifierId(ids) = response.decode(client.version()) else { panic!("{}", response.text()) };
    assert_eq!(ids.notifier_id.as_bytes().len(), 24);
    TestNotifier { key, dh, relay_key: ids.relay_dh_key, id: ids.notifier_id.as_bytes().to_vec() }
}

impl TestNotifier {
    /// NSUB succeeds, in the words of the version.
    async fn subscribe(&self, client: &mut RawClient) {
        let text = client.tell(Some(&self.key), &self.id, &Command::SubscribeNotifications).await;
        assert_eq!(text, if client.version() >= SmpVersion(16) { "SOK 0" } else { "OK" });
    }

    /// The id and time of the message that an NMSG is about, and its nonce.
    fn open(&self, received: &Received, version: SmpVersion) -> (Vec<u8>, i64, [u8; 24]) {
        assert_eq!(received.correlation, b"", "{}", received.text());
        assert_eq!(received.entity, self.id);
        let BrokerMessage::Notification(sealed) = received.decode(version) else { panic!("{}", received.text()) };
        let secret = self.dh.diffie_hellman(&self.relay_key).unwrap();
        let mut bytes = sealed.metadata.as_bytes().to_vec();
        assert_eq!(bytes.len(), 144);
        let metadata = notification::open(&BoxKey::from(&secret), &Nonce(*sealed.nonce), &mut bytes).unwrap();
        (metadata.message_id.as_bytes().to_vec(), metadata.time.0, *sealed.nonce)
    }

    /// The next transmission is an NMSG about the message.
    async fn expect(&self, client: &mut RawClient, message: &[u8]) {
        let received = client.receive().await;
        assert_eq!(self.open(&received, client.version()).0, message);
    }

    fn id(&self) -> Id {
        self.id.as_slice().try_into().unwrap()
    }
}

async fn send(client: &mut RawClient, queue: &TestQueue, notify: bool) -> String {
    client.tell(None, &queue.sender_id, &Command::Send(Send { notify, body: b"hello" })).await
}

/// Sends with a notification, lets the recipient acknowledge it, and gives the message's id.
async fn send_and_receive(sender: &mut RawClient, recipient: &mut RawClient, queue: &TestQueue) -> Vec<u8> {
    assert_eq!(send(sender, queue, true).await, "OK");
    let (id, _) = recipient.message(queue).await;
    assert_eq!(recipient.tell(Some(&queue.key), &queue.recipient_id, &ack(&id)).await, "OK");
    id
}

#[tokio::test]
async fn a_notification_reaches_the_notifier_at_every_version_with_every_kind_of_key() {
    let relay = TestRelay::start(config()).await;
    for version in [6, 7, 10, 14, 15, 16, 17, 18, 19, 20] {
        let mut keys = vec![ed25519(), AuthorizationSecretKey::Ed448(Ed448SecretKey::generate(&mut rand::rng()))];
        if version >= 7 {
            keys.push(x25519());
        }
        for key in keys {
            let (mut alice, mut bob) = (relay.client_at(version).await, relay.client_at(version).await);
            let mut server = relay.client_at(version).await;
            let queue = alice.new_queue(QueueMode::Contact, true).await;
            let notifier = enable(&mut alice, &queue, key).await;
            notifier.subscribe(&mut server).await;
            // Who does not ask for a notification causes none.
            assert_eq!(send(&mut bob, &queue, false).await, "OK");
            let (id, _) = alice.message(&queue).await;
            assert_eq!(alice.tell(Some(&queue.key), &queue.recipient_id, &ack(&id)).await, "OK");

            assert_eq!(send(&mut bob, &queue, true).await, "OK");
            let (id, plain) = alice.message(&queue).await;
            let (notified, time, nonce) = notifier.open(&server.receive().await, server.version());
            assert_eq!(notified, id);
            assert_eq!(time.to_be_bytes(), plain[..8], "the message's own time");
            assert_eq!(alice.tell(Some(&queue.key), &queue.recipient_id, &ack(&id)).await, "OK");
            let next = send_and_receive(&mut bob, &mut alice, &queue).await;
            let (notified, _, another) = notifier.open(&server.receive().await, server.version());
            assert_eq!(notified, next);
            assert_ne!(another, nonce);
            // The recipient sees that there is a notifier.
            let info = alice.tell(Some(&queue.key), &queue.recipient_id, &Command::QueueInfo).await;
            assert!(info.contains("\"qiNtf\":true"), "{info}");
            assert_eq!(alice.tell(Some(&queue.key), &queue.recipient_id, &Command::DisableNotifications).await, "OK");
            let gone = server.receive().await;
            assert_eq!(gone.entity, notifier.id);
            assert_eq!(gone.text(), if version < 10 { "END" } else { "DELD" });
            assert_eq!(send(&mut bob, &queue, true).await, "OK");
        }
    }
    assert_eq!(relay.relay.stats().queues.notifications.get(), 2 * 29);
    assert_eq!(relay.relay.stats().queues.notifications_unsubscribed.get(), 0);
    relay.stop().await;
}

#[tokio::test]
async fn only_the_notifier_subscribes() {
    let relay = TestRelay::start(config()).await;
    let (mut alice, mut server) = (relay.client().await, relay.client().await);
    let queue = alice.new_queue(QueueMode::Contact, true).await;
    let notifier = enable(&mut alice, &queue, ed25519()).await;
    let nsub = Command::SubscribeNotifications;
    for (key, id) in [
        (&ed25519(), &notifier.id),
        (&x25519(), &notifier.id),
        (&queue.key, &notifier.id),
        (&notifier.key, &queue.recipient_id),
        (&notifier.key, &queue.sender_id),
        (&notifier.key, &vec![7; 24]),
        (&notifier.key, &vec![7; 5]),
    ] {
        assert_eq!(server.tell(Some(key), id, &nsub).await, "ERR AUTH");
    }
    assert_eq!(server.tell(None, &notifier.id, &nsub).await, "ERR CMD NO_AUTH");
    assert_eq!(server.tell(Some(&notifier.key), b"", &nsub).await, "ERR CMD NO_AUTH");
    // The notifier can do nothing but be notified.
    assert_eq!(server.tell(Some(&notifier.key), &notifier.id, &Command::Subscribe).await, "ERR AUTH");
    assert_eq!(server.tell(Some(&notifier.key), &notifier.id, &Command::DisableNotifications).await, "ERR AUTH");
    notifier.subscribe(&mut server).await;
    notifier.subscribe(&mut server).await;
    let stats = &relay.relay.stats().queues;
    assert_eq!((stats.notifiers_subscribed.get(), stats.notifiers_subscribed_again.get()), (1, 1));
    assert_eq!(stats.notifiers_subscribed_auth.get(), 7);
}

#[tokio::test]
async fn another_connection_takes_over() {
    let relay = TestRelay::start(config()).await;
    let (mut alice, mut bob) = (relay.client().await, relay.client().await);
    let (mut first, mut second) = (relay.client().await, relay.client_at(9).await);
    let queue = alice.new_queue(QueueMode::Contact, true).await;
    let notifier = enable(&mut alice, &queue, ed25519()).await;
    notifier.subscribe(&mut first).await;
    notifier.subscribe(&mut second).await;
    let end = first.receive().await;
    assert_eq!((end.entity, end.message), (notifier.id.clone(), b"END".to_vec()));
    let message = send_and_receive(&mut bob, &mut alice, &queue).await;
    notifier.expect(&mut second, &message).await;
    first.assert_silent().await;
    // Back again: what the other got is not repeated.
    notifier.subscribe(&mut first).await;
    assert_eq!(second.receive().await.text(), "END");
    tokio::time::sleep(SEVERAL_INTERVALS).await;
    first.assert_silent().await;
    // A subscription ends with its connection, and what comes then waits for the next.
    drop(first);
    tokio::time::sleep(SEVERAL_INTERVALS).await;
    let message = send_and_receive(&mut bob, &mut alice, &queue).await;
    assert_eq!(relay.relay.stats().queues.notifications_unsubscribed.get(), 1);
    let mut third = relay.client().await;
    notifier.subscribe(&mut third).await;
    notifier.expect(&mut third, &message).await;
    third.assert_silent().await;
}

#[tokio::test]
async fn the_recipient_replaces_and_removes_the_notifier() {
    let relay = TestRelay::start(config()).await;
    let (mut alice, mut bob, mut server) = (relay.client().await, relay.client().await, relay.client_at(9).await);
    let queue = alice.new_queue(QueueMode::Contact, true).await;
    let disable = Command::DisableNotifications;
    assert_eq!(alice.tell(Some(&queue.key), &queue.recipient_id, &disable).await, "OK", "there is none");
    let first = enable(&mut alice, &queue, ed25519()).await;
    first.subscribe(&mut server).await;
    let second = enable(&mut alice, &queue, ed25519()).await;
    assert_ne!(first.id, second.id);
    let gone = server.receive().await;
    assert_eq!((gone.entity, gone.message), (first.id.clone(), b"END".to_vec()), "version 9 has no DELD");
    let nsub = Command::SubscribeNotifications;
    for key in [&first.key, &second.key] {
        assert_eq!(server.tell(Some(key), &first.id, &nsub).await, "ERR AUTH");
    }

    // What waits for a notifier goes with it.
    send_and_receive(&mut bob, &mut alice, &queue).await;
    let third = enable(&mut alice, &queue, ed25519()).await;
    let mut server = relay.client().await;
    third.subscribe(&mut server).await;
    let message = send_and_receive(&mut bob, &mut alice, &queue).await;
    third.expect(&mut server, &message).await;
    for _ in 0..2 {
        assert_eq!(alice.tell(Some(&queue.key), &queue.recipient_id, &disable).await, "OK");
    }
    assert_eq!(server.receive().await.text(), "DELD");
    assert_eq!(server.tell(Some(&third.key), &third.id, &nsub).await, "ERR AUTH");

    // The queue's end is the notifier's end.
    let fourth = enable(&mut alice, &queue, ed25519()).await;
    fourth.subscribe(&mut server).await;
    assert_eq!(alice.tell(Some(&queue.key), &queue.recipient_id, &Command::Delete).await, "OK");
    let gone = server.receive().await;
    assert_eq!((gone.entity, gone.message), (fourth.id.clone(), b"DELD".to_vec()));
    assert_eq!(server.tell(Some(&fourth.key), &fourth.id, &nsub).await, "ERR AUTH");
    let stats = &relay.relay.stats().queues;
    assert_eq!((stats.notifiers_created.get(), stats.notifiers_deleted.get()), (4, 1));
}

#[tokio::test]
async fn one_connection_may_be_recipient_and_notifier() {
    let relay = TestRelay::start(config()).await;
    let (mut both, mut bob) = (relay.client().await, relay.client().await);
    let queue = both.new_queue(QueueMode::Contact, true).await;
    let notifier = enable(&mut both, &queue, ed25519()).await;
    notifier.subscribe(&mut both).await;
    assert_eq!(send(&mut bob, &queue, true).await, "OK");
    let (id, _) = both.message(&queue).await;
    notifier.expect(&mut both, &id).await;
    // Whoever ends something is not told that it ended.
    let other = enable(&mut both, &queue, ed25519()).await;
    other.subscribe(&mut both).await;
    assert_eq!(both.tell(Some(&queue.key), &queue.recipient_id, &Command::DisableNotifications).await, "OK");
    let last = enable(&mut both, &queue, ed25519()).await;
    last.subscribe(&mut both).await;
    assert_eq!(both.tell(Some(&queue.key), &queue.recipient_id, &Command::Delete).await, "OK");
    both.assert_silent().await;
}

#[tokio::test]
async fn a_key_that_would_make_notifications_readable_is_refused() {
    let relay = TestRelay::start(config()).await;
    let mut alice = relay.client().await;
    let queue = alice.new_queue(QueueMode::Contact, true).await;
    for point in [[0; 32], {
        let mut one = [0; 32];
        one[0] = 1;
        one
    }] {
        let command = enable_command(&ed25519(), X25519PublicKey(point));
        assert_eq!(alice.tell(Some(&queue.key), &queue.recipient_id, &command).await, "ERR CMD SYNTAX");
    }
    let info = alice.tell(Some(&queue.key), &queue.recipient_id, &Command::QueueInfo).await;
    assert!(info.contains("\"qiNtf\":false"), "{info}");
    let command = enable_command(&ed25519(), X25519SecretKey::generate(&mut rand::rng()).public_key());
    assert_eq!(alice.tell(Some(&ed25519()), &queue.recipient_id, &command).await, "ERR AUTH");
    assert_eq!(alice.tell(Some(&queue.key), &queue.sender_id, &command).await, "ERR AUTH");
}

#[tokio::test]
async fn suspended_and_blocked_queues_keep_their_notifiers() {
    let (relay, store) = relay_with_store(config(), |options| Store::memory(options).unwrap()).await;
    let (mut alice, mut server) = (relay.client().await, relay.client().await);
    let queue = alice.new_queue(QueueMode::Contact, true).await;
    let notifier = enable(&mut alice, &queue, ed25519()).await;
    assert_eq!(alice.tell(Some(&queue.key), &queue.recipient_id, &Command::Suspend).await, "OK");
    notifier.subscribe(&mut server).await;
    let id: Id = queue.recipient_id.as_slice().try_into().unwrap();
    let spam = smp_std::relay::store::Blocked { reason: smp_std::relay::store::BlockingReason::Spam, notice: None };
    let _ = store.block_queue(QueueName::Recipient(id), spam).await.unwrap().await.unwrap();
    let mut again = relay.client().await;
    notifier.subscribe(&mut again).await;
    assert_eq!(server.receive().await.text(), "END");
    let command = enable_command(&ed25519(), X25519SecretKey::generate(&mut rand::rng()).public_key());
    for command in [&command, &Command::DisableNotifications] {
        let refused = alice.tell(Some(&queue.key), &queue.recipient_id, command).await;
        assert!(refused.starts_with("ERR BLOCKED"), "{refused}");
    }
}

/// Queues with notifiers, and in the store `each` notifications of each that are older the earlier they come in turn.
async fn backlog(
    relay: &TestRelay,
    store: &Store,
    notifiers: usize,
    each: i64,
) -> (Vec<TestNotifier>, Vec<(Vec<u8>, i64)>) {
    let mut alice = relay.client().await;
    let mut made = Vec::new();
    let mut expected = Vec::new();
    let now = 2_000_000_000;
    for index in 0..notifiers {
        let queue = alice.new_queue(QueueMode::Contact, false).await;
        let notifier = enable(&mut alice, &queue, ed25519()).await;
        // The turns of notifiers are interleaved.
        let waiting: Vec<_> = (0..each)
            .map(|number| PendingNotification {
                message_id: rand::random(),
                time: now + number * notifiers as i64 + index as i64,
            })
            .collect();
        expected.extend(waiting.iter().map(|waiting| (waiting.message_id.to_vec(), waiting.time)));
        let limits = NotificationLimits { per_notifier: 1000, total: 1_000_000 };
        let lost = store.insert_notifications(notifier.id(), waiting, limits).await.unwrap().await.unwrap();
        assert_eq!(lost, 0);
        made.push(notifier);
    }
    expected.sort_by_key(|(_, time)| *time);
    (made, expected)
}

/// NSUB of all in as few blocks as possible.
async fn subscribe_all(client: &mut RawClient, notifiers: &[TestNotifier]) {
    for group in notifiers.chunks(50) {
        let mut transmissions = Vec::new();
        for notifier in group {
            transmissions.push(client.encode(Some(&notifier.key), &notifier.id, &Command::SubscribeNotifications).1);
        }
        client.send_block(&transmissions).await;
    }
}

async fn receive_notifications(
    client: &mut RawClient,
    notifiers: &[TestNotifier],
    count: usize,
) -> Vec<(Vec<u8>, i64)> {
    let mut found = Vec::new();
    for _ in 0..count {
        let received = client.receive().await;
        let notifier = notifiers.iter().find(|notifier| notifier.id == received.entity).unwrap();
        let (id, time, _) = notifier.open(&received, client.version());
        found.push((id, time));
    }
    found
}

#[tokio::test]
async fn what_waits_comes_in_the_order_of_time_many_to_a_block() {
    let (relay, store) = relay_with_store(config(), |options| Store::memory(options).unwrap()).await;
    let (notifiers, expected) = backlog(&relay, &store, 5, 40).await;
    let mut server = relay.client().await;
    subscribe_all(&mut server, &notifiers).await;
    for _ in &notifiers {
        assert_eq!(server.receive().await.text(), "SOK 0", "nothing overtakes the answers");
    }
    let before = server.blocks;
    assert_eq!(receive_notifications(&mut server, &notifiers, 200).await, expected);
    let blocks = server.blocks - before;
    assert!((3..=4).contains(&blocks), "{blocks}");
    server.assert_silent().await;
    assert!(server.inbox.is_empty());
    let stats = &relay.relay.stats().queues;
    assert_eq!(stats.notifications.get(), 200);
    assert!((3..=4).contains(&stats.notifications_batches.get()));
    for notifier in &notifiers {
        assert_eq!(store.notifications(&notifier.id(), 0, 1).unwrap(), []);
    }
}

#[tokio::test]
async fn notifications_wait_for_their_time() {
    let mut config = Config::default();
    config.notifications.interval_milliseconds = 1_000;
    let (relay, store) = relay_with_store(config, |options| Store::memory(options).unwrap()).await;
    let (notifiers, expected) = backlog(&relay, &store, 2, 3).await;
    let mut server = relay.client().await;
    // Subscribed just after one tick they have to wait for the next.
    let start = tokio::time::Instant::now();
    let mut quiet = Duration::ZERO;
    for round in 0..2 {
        let asked = tokio::time::Instant::now();
        notifiers[round].subscribe(&mut server).await;
        receive_notifications(&mut server, &notifiers, 3).await;
        quiet = quiet.max(asked.elapsed());
    }
    assert!(quiet > Duration::from_millis(700), "{quiet:?}");
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(expected.len(), 6);
}

#[tokio::test]
async fn a_reader_that_pauses_gets_all_later() {
    let (relay, store) = relay_with_store(config(), |options| Store::memory(options).unwrap()).await;
    let (notifiers, expected) = backlog(&relay, &store, 40, 200).await;
    let mut server = relay.client().await;
    subscribe_all(&mut server, &notifiers).await;
    tokio::time::sleep(SEVERAL_INTERVALS).await;
    // It does not read, and costs others nothing.
    let mut alice = relay.client().await;
    assert_eq!(alice.tell(None, b"", &Command::Ping).await, "PONG");
    for _ in &notifiers {
        assert_eq!(server.receive().await.text(), "SOK 0");
    }
    let found = receive_notifications(&mut server, &notifiers, 8_000).await;
    assert!(found.is_sorted_by_key(|(_, time)| *time));
    assert_eq!(found, expected);
}

#[tokio::test]
async fn too_many_push_out_the_oldest() {
    let mut config = config();
    config.notifications.per_notifier = 2;
    let relay = TestRelay::start(config).await;
    let (mut alice, mut bob, mut server) = (relay.client().await, relay.client().await, relay.client().await);
    let queue = alice.new_queue(QueueMode::Contact, true).await;
    let notifier = enable(&mut alice, &queue, ed25519()).await;
    let mut messages = Vec::new();
    for _ in 0..5 {
        messages.push(send_and_receive(&mut bob, &mut alice, &queue).await);
    }
    assert_eq!(relay.relay.stats().queues.notifications_lost.get(), 3);
    notifier.subscribe(&mut server).await;
    for message in &messages[3..] {
        notifier.expect(&mut server, message).await;
    }
    server.assert_silent().await;
}

#[tokio::test]
async fn quota_marks_notify_nobody() {
    let mut config = config();
    config.messages.quota = 2;
    let relay = TestRelay::start(config).await;
    let (mut alice, mut bob, mut server) = (relay.client().await, relay.client().await, relay.client().await);
    let queue = alice.new_queue(QueueMode::Contact, false).await;
    let notifier = enable(&mut alice, &queue, ed25519()).await;
    notifier.subscribe(&mut server).await;
    for expected in ["OK", "OK", "ERR QUOTA", "ERR QUOTA"] {
        assert_eq!(send(&mut bob, &queue, true).await, expected);
    }
    for _ in 0..2 {
        notifier.open(&server.receive().await, server.version());
    }
    tokio::time::sleep(SEVERAL_INTERVALS).await;
    server.assert_silent().await;
}

#[tokio::test]
async fn subscriptions_of_both_kinds_count_together() {
    let mut config = config();
    config.limits.subscriptions_per_connection = 2;
    let relay = TestRelay::start(config).await;
    let (mut alice, mut server) = (relay.client().await, relay.client().await);
    let queue = alice.new_queue(QueueMode::Contact, true).await;
    let other = alice.new_queue(QueueMode::Contact, true).await;
    let third = server.new_queue(QueueMode::Contact, true).await;
    let (first, second) = (enable(&mut alice, &queue, ed25519()).await, enable(&mut alice, &other, ed25519()).await);
    first.subscribe(&mut server).await;
    first.subscribe(&mut server).await;
    let nsub = Command::SubscribeNotifications;
    assert_eq!(server.tell(Some(&second.key), &second.id, &nsub).await, "ERR INTERNAL");
    assert_eq!(server.tell(Some(&third.key), &third.recipient_id, &Command::Delete).await, "OK");
    second.subscribe(&mut server).await;
}

#[tokio::test]
async fn a_notifier_is_not_inactive() {
    let mut config = config();
    config.inactive_clients.ttl_seconds = 1;
    config.inactive_clients.check_interval_seconds = 1;
    let relay = TestRelay::start(config).await;
    let (mut alice, mut bob, mut server) = (relay.client().await, relay.client().await, relay.client().await);
    let queue = alice.new_queue(QueueMode::Contact, true).await;
    let notifier = enable(&mut alice, &queue, ed25519()).await;
    notifier.subscribe(&mut server).await;
    let idle = relay.client().await;
    until(|| relay.relay.connections() <= 2).await;
    drop((idle, bob));
    bob = relay.client().await;
    let message = send_and_receive(&mut bob, &mut alice, &queue).await;
    notifier.expect(&mut server, &message).await;
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_survives_a_crash_and_expires() {
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &Path| {
        let path = path.to_owned();
        move |options| Store::fjall(&path, &FjallOptions::default(), options).unwrap()
    };
    let (relay, _) = relay_with_store(config(), open(&folder.path().join("store"))).await;
    let (mut alice, mut bob, mut server) = (relay.client().await, relay.client().await, relay.client().await);
    let queue = alice.new_queue(QueueMode::Contact, true).await;
    let notifier = enable(&mut alice, &queue, ed25519()).await;
    notifier.subscribe(&mut server).await;
    let delivered = send_and_receive(&mut bob, &mut alice, &queue).await;
    notifier.expect(&mut server, &delivered).await;
    drop(server);
    tokio::time::sleep(SEVERAL_INTERVALS).await;
    let mut messages = Vec::new();
    for _ in 0..3 {
        messages.push(send_and_receive(&mut bob, &mut alice, &queue).await);
    }
    // What the disk holds while the relay still runs is what a crash leaves. Writing goes on in the background, but not here.
    copy(&folder.path().join("store"), &folder.path().join("crashed"));
    relay.stop().await;

    let (relay, store) = relay_with_store(config(), open(&folder.path().join("crashed"))).await;
    let mut server = relay.client().await;
    notifier.subscribe(&mut server).await;
    for message in &messages {
        notifier.expect(&mut server, message).await;
    }
    server.assert_silent().await;
    drop(server);
    tokio::time::sleep(SEVERAL_INTERVALS).await;
    // Behind these two some wait that are too old, the first of them from before everything.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let waiting: Vec<_> = [0, now - 25 * 3_600, now - 23 * 3_600]
        .map(|time| PendingNotification { message_id: rand::random(), time })
        .into();
    let limits = NotificationLimits { per_notifier: 10, total: 10 };
    let last = waiting[2].message_id;
    assert_eq!(store.insert_notifications(notifier.id(), waiting, limits).await.unwrap().await.unwrap(), 0);
    drop(store);
    relay.stop().await;

    let (relay, store) = relay_with_store(config(), open(&folder.path().join("crashed"))).await;
    until(|| relay.relay.stats().queues.notifications_expired.get() >= 2).await;
    let mut server = relay.client().await;
    notifier.subscribe(&mut server).await;
    notifier.expect(&mut server, &last).await;
    server.assert_silent().await;
    assert_eq!(relay.relay.stats().queues.notifications_expired.get(), 2);
    drop(store);
    relay.stop().await;
}
