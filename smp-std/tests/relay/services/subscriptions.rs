//! SUBS: all queues of a service at once, and who receives for it.

use std::time::Duration;

use super::*;

/// Receives until ALLS, and gives the number of messages of each queue, with their ids.
async fn until_all(client: &mut RawClient) -> HashMap<Vec<u8>, Vec<Vec<u8>>> {
    let mut received: HashMap<Vec<u8>, Vec<Vec<u8>>> = HashMap::new();
    loop {
        let event = client.receive().await;
        assert_eq!(event.correlation, b"", "{}", event.text());
        match event.decode(client.version()) {
            BrokerMessage::Message(message) => {
                let id = message.message_id.as_bytes().to_vec();
                received.entry(event.entity.clone()).or_default().push(id);
            }
            BrokerMessage::AllDelivered => {
                assert_eq!(event.entity, b"");
                return received;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn all_waiting_messages_come_once_and_then_alls() {
    let relay = relay().await;
    let service = TestService::self_signed();
    let mut client = service.connect(&relay, ServiceRole::Messaging).await;
    let mut bob = relay.client().await;
    let mut all = Vec::new();
    for number in 0..350 {
        let queue = client.new_queue(QueueMode::Contact, true).await;
        all.push(queue);
        assert_eq!(number + 1, all.len());
    }
    drop(client);
    for queue in &all[..300] {
        for text in [b"one", b"two"] {
            assert_eq!(send(&mut bob, None, queue, text).await, "OK");
        }
    }
    let mut client = service.connect(&relay, ServiceRole::Messaging).await;
    client.assert_silent().await;
    assert_eq!(client.subscribe_all(recipients(&all)).await, recipients(&all));
    let received = until_all(&mut client).await;
    assert_eq!(received.len(), 300);
    assert!(received.values().all(|messages| messages.len() == 1), "one is outstanding at a time");

    // Once more: the same answer, and nothing comes again.
    assert_eq!(client.subscribe_all(QueueSet::default()).await, recipients(&all));
    client.assert_silent().await;
    for queue in &all[..300] {
        let id = &received[&queue.recipient_id][0];
        let next = client.ask(Some(&queue.key), &queue.recipient_id, &ack(id)).await;
        let (id, plain) = queue.open(&next, client.version());
        assert_eq!(body(&plain), b"two");
        assert_eq!(client.acknowledge(queue, &id).await, "OK");
    }
    // What comes from now on is delivered at once, from those that had messages and from those that had none.
    for queue in [&all[0], &all[340]] {
        assert_eq!(send(&mut bob, None, queue, b"live").await, "OK");
        assert_eq!(body(&client.message(queue).await.1), b"live");
    }
    let counters = &relay.relay.stats().recipient_services;
    assert_eq!((counters.subscriptions.get(), counters.repeated_subscriptions.get()), (1, 1));
    assert_eq!(counters.subscribed_queues.get(), 350);
}

#[tokio::test]
async fn a_service_without_queues_hears_alls_at_once_behind_soks() {
    let relay = relay().await;
    let mut client = TestService::self_signed().connect(&relay, ServiceRole::Messaging).await;
    let (id, key) = (client.service_id(), client.service_key());
    let none = QueueSet::default();
    let correlation = client.send(Some(&key), &id, &Command::SubscribeService(queues(&none))).await;
    let response = client.receive().await;
    assert_eq!(response.correlation, correlation);
    let expected = [&b"SOKS "[..], &[0; 8], &[16], &[0; 16]].concat();
    assert_eq!((response.message, response.entity), (expected, id));
    let event = client.receive().await;
    assert_eq!((&event.correlation[..], &event.entity[..], &event.message[..]), (&b""[..], &b""[..], &b"ALLS"[..]));
}

#[tokio::test]
async fn versions_16_to_18_have_the_short_forms() {
    let relay = relay().await;
    let service = TestService::self_signed();
    for version in 16..=18 {
        let mut client = service.connect_at(&relay, ServiceRole::Messaging, version).await;
        let queue = client.new_queue(QueueMode::Contact, true).await;
        assert_eq!(send(&mut relay.client().await, None, &queue, b"hello").await, "OK");
        client.message(&queue).await;
        let mut second = service.connect_at(&relay, ServiceRole::Messaging, version).await;
        let (id, key) = (second.service_id(), second.service_key());
        let (correlation, transmission) = second.encode_raw(Some(&key), &id, b"SUBS");
        second.send_block(&[transmission]).await;
        let response = second.response_to(&correlation).await;
        assert_eq!(response.message, b"SOKS \0\0\0\0\0\0\0\x01");
        let mut received = until_all(&mut second).await;
        let messages = received.remove(&queue.recipient_id).unwrap();
        let ended = client.receive().await;
        assert_eq!((&ended.message[..], ended.entity), (&b"ENDS \0\0\0\0\0\0\0\x01"[..], id));
        assert_eq!(second.acknowledge(&queue, &messages[0]).await, "OK");
        assert_eq!(second.tell(Some(&queue.key), &queue.recipient_id, &Command::Delete).await, "OK");
    }
    let counters = &relay.relay.stats().recipient_services;
    assert_eq!((counters.count_same.get(), counters.ended.get()), (3, 3), "they do not say what they expect");
}

#[tokio::test]
async fn the_latest_session_receives_and_the_older_one_hears_what_it_held() {
    let relay = relay().await;
    let service = TestService::self_signed();
    let mut first = service.connect(&relay, ServiceRole::Messaging).await;
    let mut bob = relay.client().await;
    let one = first.new_queue(QueueMode::Contact, true).await;
    let two = first.new_queue(QueueMode::Contact, true).await;
    assert_eq!(send(&mut bob, None, &one, b"hello").await, "OK");
    let (id, _) = first.message(&one).await;

    // By SUBS.
    let mut second = service.connect(&relay, ServiceRole::Messaging).await;
    assert_eq!(second.subscribe_all(recipients([&one, &two])).await, recipients([&one, &two]));
    let ended = first.receive().await;
    assert_eq!(ended.entity, first.service_id());
    assert_eq!(first.read_set(&ended), recipients([&one, &two]));
    assert_eq!(until_all(&mut second).await[&one.recipient_id], std::slice::from_ref(&id));
    assert_eq!(first.acknowledge(&one, &id).await, "ERR NO_MSG", "its deliveries ended");
    assert_eq!(send(&mut bob, None, &two, b"live").await, "OK");
    second.message(&two).await;
    first.assert_silent().await;

    // By NEW: the new queue is not among those that the other held.
    let three = first.new_queue(QueueMode::Contact, true).await;
    let ended = second.receive().await;
    assert_eq!(second.read_set(&ended), recipients([&one, &two]));
    // By SUB of a queue that was the service's before: what waits in others comes with SUBS.
    let mut third = service.connect(&relay, ServiceRole::Messaging).await;
    assert_eq!(third.subscribe(&one).await, Some(third.service_id()));
    assert_eq!(third.message(&one).await.0, id);
    let ended = first.receive().await;
    assert_eq!(first.read_set(&ended), recipients([&one, &two, &three]));
    // By SUB of a queue that was not.
    let four = bob.new_queue(QueueMode::Contact, false).await;
    second.subscribe(&four).await;
    let ended = third.receive().await;
    assert_eq!(third.read_set(&ended), recipients([&one, &two, &three]));
    assert_eq!(second.subscribe_all(QueueSet::default()).await, recipients([&one, &two, &three, &four]));
    let received = until_all(&mut second).await;
    assert_eq!(received.len(), 2);
    assert_eq!(relay.relay.stats().recipient_services.ended.get(), 4);
    for client in [&mut first, &mut third] {
        client.assert_silent().await;
    }
}

#[tokio::test]
async fn what_clients_believe_is_compared_and_never_refused() {
    let relay = relay().await;
    let service = TestService::self_signed();
    let mut creator = service.connect(&relay, ServiceRole::Messaging).await;
    let (one, two) =
        (creator.new_queue(QueueMode::Contact, true).await, creator.new_queue(QueueMode::Contact, true).await);
    let actual = recipients([&one, &two]);
    let other = QueueSet { hash: [1; 16], ..actual };
    for expected in [actual, recipients([&one]), QueueSet { count: 3, ..actual }, other, actual] {
        let mut client = service.connect(&relay, ServiceRole::Messaging).await;
        assert_eq!(client.subscribe_all(expected).await, actual);
    }
    let counters = &relay.relay.stats().recipient_services;
    let counts = [&counters.count_same, &counters.count_more, &counters.count_fewer, &counters.hash_different];
    assert_eq!(counts.map(|counter| counter.get()), [2, 1, 1, 1]);
}

#[tokio::test]
async fn a_restart_keeps_associations_and_messages() {
    let folder = tempfile::tempdir().unwrap();
    let service = TestService::self_signed();
    let relay = TestRelay::start_in(folder.path()).await;
    let mut client = service.connect(&relay, ServiceRole::Messaging).await;
    let id = client.service_id();
    let mut all = Vec::new();
    for _ in 0..20 {
        all.push(client.new_queue(QueueMode::Contact, true).await);
    }
    let mut bob = relay.client().await;
    let left = all.pop().unwrap();
    bob.subscribe(&left).await;
    for queue in &all[..5] {
        assert_eq!(send(&mut bob, None, queue, b"hello").await, "OK");
    }
    drop((client, bob));
    relay.stop().await;

    let relay = TestRelay::start_in(folder.path()).await;
    let mut client = service.connect(&relay, ServiceRole::Messaging).await;
    assert_eq!(client.service_id(), id);
    assert_eq!(client.subscribe_all(recipients(&all)).await, recipients(&all));
    let received = until_all(&mut client).await;
    assert_eq!(received.len(), 5);
    assert!(all[..5].iter().all(|queue| received[&queue.recipient_id].len() == 1));
    let mut bob = relay.client().await;
    assert_eq!(send(&mut bob, None, &all[19 - 1], b"live").await, "OK");
    assert_eq!(body(&client.message(&all[18]).await.1), b"live");
    drop((client, bob));
    relay.stop().await;
}

#[tokio::test]
async fn a_session_that_does_not_read_slows_down_nobody_else() {
    let relay = relay().await;
    let service = TestService::self_signed();
    let mut client = service.connect(&relay, ServiceRole::Messaging).await;
    let (mut alice, mut bob) = (relay.client().await, relay.client().await);
    let own = alice.new_queue(QueueMode::Contact, true).await;
    let mut all = Vec::new();
    for _ in 0..400 {
        all.push(client.new_queue(QueueMode::Contact, true).await);
    }
    for queue in &all[..200] {
        assert_eq!(send(&mut bob, None, queue, &[1; 16_000]).await, "OK");
    }
    // From here on it reads nothing.
    let (id, key) = (client.service_id(), client.service_key());
    let none = QueueSet::default();
    client.send(Some(&key), &id, &Command::SubscribeService(queues(&none))).await;
    for (number, queue) in all[200..].iter().enumerate() {
        assert_eq!(send(&mut bob, None, queue, &[2; 16_000]).await, "OK");
        if number % 20 == 0 {
            assert_eq!(send(&mut bob, None, &own, b"hello").await, "OK");
            let (id, _) = alice.message(&own).await;
            assert_eq!(alice.acknowledge(&own, &id).await, "OK");
        }
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    // When it reads again, everything is there, once.
    let mut received: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut done = false;
    while received.len() < all.len() || !done {
        let next = client.receive().await;
        match next.decode(client.version()) {
            BrokerMessage::Message(_) => *received.entry(next.entity.clone()).or_default() += 1,
            BrokerMessage::AllDelivered => done = true,
            BrokerMessage::ServiceSubscribed(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(received.values().all(|count| *count == 1));
    client.assert_silent().await;
}
