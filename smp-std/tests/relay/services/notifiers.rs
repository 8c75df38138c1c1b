//! NSUB and NSUBS: services that take the notifications of queues.

use smp_proto::smp::notifier::NotifierKeys;
use smp_proto::smp::sender::Send;

use super::*;

/// A notifier as its owner knows it.
struct TestNotifier {
    id: Vec<u8>,
    key: AuthorizationSecretKey,
}

async fn notifier(client: &mut RawClient, queue: &TestQueue) -> TestNotifier {
    let (key, dh) = (ed25519(), X25519SecretKey::generate(&mut rand::rng()));
    let keys = NotifierKeys { notifier_key: key.public_key(), recipient_dh_key: dh.public_key() };
    let response = client.ask(Some(&queue.key), &queue.recipient_id, &Command::EnableNotifications(keys)).await;
    match response.decode(client.version()) {
        BrokerMessage::NotifierId(ids) => TestNotifier { id: ids.notifier_id.as_bytes().to_vec(), key },
        _ => panic!("{}", response.text()),
    }
}

async fn send_notified(client: &mut RawClient, queue: &TestQueue) {
    let command = Command::Send(Send { notify: true, body: b"hello" });
    assert_eq!(client.tell(None, &queue.sender_id, &command).await, "OK");
}

impl RawClient {
    /// NSUB, and the service that SOK tells.
    async fn listen(&mut self, notifier: &TestNotifier) -> Option<Vec<u8>> {
        let response = self.ask(Some(&notifier.key), &notifier.id, &Command::SubscribeNotifications).await;
        match response.decode(self.version()) {
            BrokerMessage::Subscribed(service) => service.map(|id| id.as_bytes().to_vec()),
            _ => panic!("{}", response.text()),
        }
    }

    /// NSUBS, and what SOKS says.
    async fn listen_to_all(&mut self, expected: QueueSet) -> QueueSet {
        let (id, key) = (self.service_id(), self.service_key());
        let response = self.ask(Some(&key), &id, &Command::SubscribeNotifierService(queues(&expected))).await;
        self.read_set(&response)
    }

    async fn notification(&mut self) -> Vec<u8> {
        let received = self.receive().await;
        assert!(received.correlation.is_empty() && received.text().starts_with("NMSG "), "{}", received.text());
        received.entity
    }
}

fn fast() -> smp_std::relay::config::Config {
    let mut config = smp_std::relay::config::Config::default();
    config.notifications.interval_milliseconds = 50;
    config
}

#[tokio::test]
async fn a_notifier_comes_to_a_service_moves_and_leaves() {
    let relay = TestRelay::start(fast()).await;
    let (mut alice, mut bob) = (relay.client().await, relay.client().await);
    let queue = alice.new_queue(QueueMode::Contact, true).await;
    let own = notifier(&mut alice, &queue).await;
    let mut plain = relay.client().await;
    assert_eq!(plain.listen(&own).await, None);

    let mut first = TestService::self_signed().connect(&relay, ServiceRole::Notifier).await;
    let mut second = TestService::with_authority().connect(&relay, ServiceRole::Notifier).await;
    assert_eq!(first.listen(&own).await, Some(first.service_id()));
    assert_eq!(plain.event().await, (own.id.clone(), "END".into()));
    send_notified(&mut bob, &queue).await;
    assert_eq!(first.notification().await, own.id);
    assert_eq!(first.listen(&own).await, Some(first.service_id()), "as before");

    assert_eq!(second.listen(&own).await, Some(second.service_id()));
    assert_eq!(first.event().await, (own.id.clone(), "END".into()));
    send_notified(&mut bob, &queue).await;
    assert_eq!(second.notification().await, own.id);
    assert_eq!(first.listen_to_all(QueueSet::default()).await, QueueSet::default());
    assert_eq!(second.listen_to_all(set([&own.id])).await, set([&own.id]));

    assert_eq!(plain.listen(&own).await, None);
    assert_eq!(second.event().await, (own.id.clone(), "END".into()));
    send_notified(&mut bob, &queue).await;
    assert_eq!(plain.notification().await, own.id);
    for client in [&mut first, &mut second, &mut plain] {
        client.assert_silent().await;
    }
    let counters = &relay.relay.stats().notifier_services;
    let counts = [&counters.associated, &counters.associated_before, &counters.moved, &counters.left];
    assert_eq!(counts.map(|counter| counter.get()), [1, 1, 1, 1]);
}

#[tokio::test]
async fn removed_and_replaced_notifiers_are_told() {
    let relay = TestRelay::start(fast()).await;
    let mut alice = relay.client().await;
    let mut client = TestService::self_signed().connect(&relay, ServiceRole::Notifier).await;
    let mut listened = Vec::new();
    for _ in 0..4 {
        let queue = alice.new_queue(QueueMode::Contact, true).await;
        let own = notifier(&mut alice, &queue).await;
        client.listen(&own).await;
        listened.push((queue, own));
    }
    let [removed, replaced, deleted, deleted_by_operator] = &listened[..] else { panic!() };
    let remove = Command::DisableNotifications;
    assert_eq!(alice.tell(Some(&removed.0.key), &removed.0.recipient_id, &remove).await, "OK");
    assert_eq!(client.event().await, (removed.1.id.clone(), "DELD".into()));
    let new = notifier(&mut alice, &replaced.0).await;
    assert_eq!(client.event().await, (replaced.1.id.clone(), "DELD".into()));
    assert_eq!(alice.tell(Some(&deleted.0.key), &deleted.0.recipient_id, &Command::Delete).await, "OK");
    assert_eq!(client.event().await, (deleted.1.id.clone(), "DELD".into()));
    let queue = deleted_by_operator.0.recipient_id.as_slice().try_into().unwrap();
    assert_eq!(relay.relay.delete_queue_by_operator(queue).await.unwrap(), Some(0));
    assert_eq!(client.event().await, (deleted_by_operator.1.id.clone(), "DELD".into()));
    assert_eq!(client.listen_to_all(QueueSet::default()).await, QueueSet::default());
    client.listen(&new).await;
    assert_eq!(client.listen_to_all(QueueSet::default()).await, set([&new.id]));
}

#[tokio::test]
async fn all_notifications_that_wait_come_after_nsubs_and_others_live() {
    let relay = TestRelay::start(fast()).await;
    let (mut alice, mut bob) = (relay.client().await, relay.client().await);
    let service = TestService::self_signed();
    let mut client = service.connect(&relay, ServiceRole::Notifier).await;
    let mut all = Vec::new();
    for _ in 0..120 {
        let queue = alice.new_queue(QueueMode::Contact, false).await;
        let own = notifier(&mut alice, &queue).await;
        client.listen(&own).await;
        all.push((queue, own));
    }
    let expected = set(all.iter().map(|(_, own)| &own.id));
    drop(client);
    for (queue, _) in &all[..100] {
        send_notified(&mut bob, queue).await;
    }
    let mut client = service.connect(&relay, ServiceRole::Notifier).await;
    assert_eq!(client.listen_to_all(expected).await, expected);
    let mut heard = Vec::new();
    for _ in 0..100 {
        heard.push(client.notification().await);
    }
    heard.sort();
    heard.dedup();
    assert_eq!(heard.len(), 100);
    for number in [0, 110, 0] {
        send_notified(&mut bob, &all[number].0).await;
        assert_eq!(client.notification().await, all[number].1.id);
    }
    client.assert_silent().await;

    // Another session takes over, and hears what comes.
    let mut other = service.connect(&relay, ServiceRole::Notifier).await;
    assert_eq!(other.listen_to_all(QueueSet::default()).await, expected);
    let ended = client.receive().await;
    assert_eq!((client.read_set(&ended), ended.entity), (expected, client.service_id()));
    send_notified(&mut bob, &all[5].0).await;
    assert_eq!(other.notification().await, all[5].1.id);
    client.assert_silent().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_a_notifier_that_is_removed_in_that_instant_is_told_so() {
    let relay = TestRelay::start(fast()).await;
    let mut alice = relay.client().await;
    let mut taken = 0;
    for _ in 0..40 {
        let queue = alice.new_queue(QueueMode::Contact, true).await;
        let own = notifier(&mut alice, &queue).await;
        let mut session = TestService::self_signed().connect(&relay, ServiceRole::Notifier).await;
        let asked = session.send(Some(&own.key), &own.id, &Command::SubscribeNotifications).await;
        let remove = Command::DisableNotifications;
        assert_eq!(alice.tell(Some(&queue.key), &queue.recipient_id, &remove).await, "OK");
        let answer = session.response_to(&asked).await.text();
        if answer.starts_with("SOK 1") {
            assert_eq!(session.event().await, (own.id, "DELD".to_owned()));
            taken += 1;
        } else {
            assert_eq!(answer, "ERR AUTH");
        }
    }
    assert!(taken > 0, "every notifier was removed before it was taken");
}
