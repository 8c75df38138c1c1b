//! Queues that come to services and leave them.

use super::*;

#[tokio::test]
async fn a_new_queue_is_the_services_and_is_delivered_from_at_once() {
    let relay = relay().await;
    let (service, mut bob) = (TestService::self_signed(), relay.client().await);
    for version in [16, 17, 18, 19, 20] {
        let mut client = service.connect_at(&relay, ServiceRole::Messaging, version).await;
        let (key, dh) = (ed25519(), X25519SecretKey::generate(&mut rand::rng()));
        let response = client.ask(Some(&key), b"", &new_command(&key, &dh, QueueMode::Contact, true)).await;
        let BrokerMessage::Ids(ids) = response.decode(client.version()) else { panic!("{}", response.text()) };
        assert_eq!(ids.service_id.unwrap().as_bytes(), client.service_id());
        let queue = TestQueue {
            key,
            dh,
            relay_key: ids.relay_dh_key,
            recipient_id: ids.recipient_id.as_bytes().to_vec(),
            sender_id: ids.sender_id.as_bytes().to_vec(),
        };
        for number in 0..3u8 {
            assert_eq!(send(&mut bob, None, &queue, &[number]).await, "OK");
        }
        let (mut id, plain) = client.message(&queue).await;
        assert_eq!(body(&plain), [0]);
        client.assert_silent().await;
        for number in 1..3u8 {
            let received = client.ask(Some(&queue.key), &queue.recipient_id, &ack(&id)).await;
            let (next, plain) = queue.open(&received, client.version());
            assert_eq!(body(&plain), [number]);
            id = next;
        }
        assert_eq!(client.acknowledge(&queue, &id).await, "OK");
        assert_eq!(client.acknowledge(&queue, &id).await, "ERR NO_MSG");
        assert_eq!(send(&mut bob, None, &queue, b"again").await, "OK");
        assert_eq!(body(&client.message(&queue).await.1), b"again");
    }
}

#[tokio::test]
async fn a_queue_comes_to_a_service_by_sub() {
    let relay = relay().await;
    let (mut alice, mut bob) = (relay.client().await, relay.client().await);
    let queue = alice.new_queue(QueueMode::Contact, true).await;
    let mut client = TestService::self_signed().connect(&relay, ServiceRole::Messaging).await;
    assert_eq!(send(&mut bob, None, &queue, b"first").await, "OK");
    assert_eq!(body(&alice.message(&queue).await.1), b"first");

    assert_eq!(client.subscribe(&queue).await, Some(client.service_id()));
    assert_eq!(alice.event().await, (queue.recipient_id.clone(), "END".into()));
    let (id, plain) = client.message(&queue).await;
    assert_eq!(body(&plain), b"first", "what waits follows");
    assert_eq!(alice.acknowledge(&queue, &id).await, "ERR NO_MSG");
    // Once more is no different, and brings the message again.
    assert_eq!(client.subscribe(&queue).await, Some(client.service_id()));
    assert_eq!(client.message(&queue).await.0, id);
    assert_eq!(client.acknowledge(&queue, &id).await, "OK");
    let counters = &relay.relay.stats().recipient_services;
    assert_eq!((counters.associated.get(), counters.associated_before.get()), (1, 1));
    assert_eq!(client.subscribe_all(QueueSet::default()).await, recipients([&queue]));
}

#[tokio::test]
async fn a_queue_moves_from_service_to_service_and_back_to_a_client() {
    let relay = relay().await;
    let mut bob = relay.client().await;
    let mut first = TestService::self_signed().connect(&relay, ServiceRole::Messaging).await;
    let mut second = TestService::with_authority().connect(&relay, ServiceRole::Messaging).await;
    let queue = first.new_queue(QueueMode::Contact, true).await;
    assert_eq!(send(&mut bob, None, &queue, b"hello").await, "OK");
    let (id, _) = first.message(&queue).await;

    assert_eq!(second.subscribe(&queue).await, Some(second.service_id()));
    assert_eq!(first.event().await, (queue.recipient_id.clone(), "END".into()));
    assert_eq!(first.acknowledge(&queue, &id).await, "ERR NO_MSG", "its delivery ended with that");
    assert_eq!(second.message(&queue).await.0, id);
    assert_eq!(first.subscribe_all(QueueSet::default()).await, QueueSet::default());
    assert_eq!(first.event().await, (vec![], "ALLS".into()));
    assert_eq!(second.subscribe_all(recipients([&queue])).await, recipients([&queue]));
    assert_eq!(second.event().await, (vec![], "ALLS".into()), "the message is outstanding already");

    let mut alice = relay.client().await;
    assert_eq!(alice.subscribe(&queue).await, None);
    assert_eq!(second.event().await, (queue.recipient_id.clone(), "END".into()));
    assert_eq!(alice.message(&queue).await.0, id);
    assert_eq!(second.subscribe_all(recipients([&queue])).await, QueueSet::default());
    assert_eq!(alice.acknowledge(&queue, &id).await, "OK");
    assert_eq!(send(&mut bob, None, &queue, b"for the client").await, "OK");
    assert_eq!(body(&alice.message(&queue).await.1), b"for the client");
    first.assert_silent().await;
    second.assert_silent().await;
    let counters = &relay.relay.stats().recipient_services;
    assert_eq!((counters.associated.get(), counters.moved.get(), counters.left.get()), (1, 1, 1));
}

#[tokio::test]
async fn clients_below_version_16_take_queues_from_services_too() {
    let relay = relay().await;
    let mut client = TestService::self_signed().connect(&relay, ServiceRole::Messaging).await;
    let queue = client.new_queue(QueueMode::Contact, true).await;
    let mut old = relay.client_at(9).await;
    assert_eq!(old.tell(Some(&queue.key), &queue.recipient_id, &Command::Subscribe).await, "OK");
    assert_eq!(client.event().await, (queue.recipient_id.clone(), "END".into()));
    assert_eq!(send(&mut relay.client().await, None, &queue, b"hello").await, "OK");
    assert_eq!(body(&old.message(&queue).await.1), b"hello");
}

#[tokio::test]
async fn a_deleted_queue_is_told_to_the_service_unless_it_deleted_it() {
    let relay = relay().await;
    let service = TestService::self_signed();
    let mut client = service.connect(&relay, ServiceRole::Messaging).await;
    let mut bob = relay.client().await;
    let queues = [client.new_queue(QueueMode::Contact, true).await, client.new_queue(QueueMode::Contact, true).await];
    for queue in &queues {
        assert_eq!(send(&mut bob, None, queue, b"hello").await, "OK");
        client.message(queue).await;
    }
    let [theirs, own] = &queues;
    assert_eq!(bob.tell(Some(&theirs.key), &theirs.recipient_id, &Command::Delete).await, "OK");
    assert_eq!(client.event().await, (theirs.recipient_id.clone(), "DELD".into()));
    assert_eq!(client.subscribe_all(recipients(&queues)).await, recipients([own]));
    assert_eq!(client.event().await.1, "ALLS");
    assert_eq!(client.tell(Some(&own.key), &own.recipient_id, &Command::Delete).await, "OK");
    client.assert_silent().await;
    assert_eq!(client.subscribe_all(QueueSet::default()).await, QueueSet::default());
}

#[tokio::test]
async fn get_and_sub_exclude_each_other_and_a_failed_sub_changes_nothing() {
    let relay = relay().await;
    let (mut alice, mut bob) = (relay.client().await, relay.client().await);
    let queue = alice.new_queue(QueueMode::Contact, true).await;
    let mut client = TestService::self_signed().connect(&relay, ServiceRole::Messaging).await;
    assert_eq!(client.tell(Some(&queue.key), &queue.recipient_id, &Command::Get).await, "OK");
    let response = client.tell(Some(&queue.key), &queue.recipient_id, &Command::Subscribe).await;
    assert_eq!(response, "ERR CMD PROHIBITED");
    assert_eq!(send(&mut bob, None, &queue, b"hello").await, "OK");
    assert_eq!(body(&alice.message(&queue).await.1), b"hello", "it is still the client's");

    let own = client.new_queue(QueueMode::Contact, true).await;
    assert_eq!(client.tell(Some(&own.key), &own.recipient_id, &Command::Get).await, "OK", "nothing is outstanding");
    let own = client.new_queue(QueueMode::Contact, true).await;
    assert_eq!(send(&mut bob, None, &own, b"hello").await, "OK");
    client.message(&own).await;
    assert_eq!(client.tell(Some(&own.key), &own.recipient_id, &Command::Get).await, "ERR CMD PROHIBITED");
}

#[tokio::test]
async fn a_block_of_subs_moves_many_queues_in_one_go() {
    let relay = relay().await;
    let (mut alice, mut bob) = (relay.client().await, relay.client().await);
    let mut queues = Vec::new();
    for _ in 0..60 {
        queues.push(alice.new_queue(QueueMode::Contact, true).await);
        assert_eq!(send(&mut bob, None, queues.last().unwrap(), b"hello").await, "OK");
        alice.message(queues.last().unwrap()).await;
    }
    let mut client = TestService::self_signed().connect(&relay, ServiceRole::Messaging).await;
    let encoded: Vec<_> =
        queues.iter().map(|queue| client.encode(Some(&queue.key), &queue.recipient_id, &Command::Subscribe)).collect();
    client.send_block(&encoded.iter().map(|(_, transmission)| transmission.clone()).collect::<Vec<_>>()).await;
    for (correlation, _) in &encoded {
        assert!(client.receive().await.correlation == *correlation, "responses come first, in order");
    }
    let mut messages = 0;
    for _ in &queues {
        let received = client.receive().await;
        messages += usize::from(received.text().starts_with("MSG "));
        assert!(queues.iter().any(|queue| queue.recipient_id == received.entity));
    }
    assert_eq!(messages, queues.len());
    for _ in &queues {
        assert_eq!(alice.event().await.1, "END");
    }
    assert_eq!(client.subscribe_all(recipients(&queues)).await, recipients(&queues));
}
