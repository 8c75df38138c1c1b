//! Two clients and this project's relay, at every version the relay offers.

use std::num::NonZeroU32;
use std::sync::Arc;

use smp_proto::address::{Host, Port, ServerBuf};
use smp_proto::smp::SmpError;
use smp_std::client::{
    Client, ClientError, Delivery, Event, Events, Options, QueueError, QueueOptions, ReceiveQueue, Received, SendQueue,
    SendStage,
};
use smp_std::net::{ClientAlpn, Listener};
use smp_std::relay::config::Config;
use smp_std::relay::store::{Store, StoreOptions};
use smp_std::relay::{Relay, Wakeups, offered_versions};

use crate::scripted::{identity, versions};
use crate::{next, queue};

/// A relay in this process that keeps everything in memory.
pub(crate) fn relay() -> ServerBuf {
    let wakeups = Wakeups::default();
    let options = StoreOptions {
        budget: NonZeroU32::new(16 << 20).unwrap(),
        observer: Some(Arc::new(wakeups.clone())),
        ..StoreOptions::default()
    };
    let store = Store::memory(options).unwrap();
    let relay = Relay::new(Config::default(), identity(), store, &wakeups).unwrap();
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = Port::new(listener.local_address().unwrap().port());
    tokio::spawn(async move { relay.serve(vec![listener]).await });
    ServerBuf::new(Host::parse("127.0.0.1").unwrap(), port, identity().fingerprint()).unwrap()
}

/// A client that speaks this version at most; version 6 as very old clients do, without ALPN.
pub(crate) async fn client(server: &ServerBuf, version: u16) -> (Client, Events) {
    let mut options = Options::default();
    options.versions = versions(6, version);
    if version == 6 {
        options.alpn = ClientAlpn::Absent;
    }
    let (client, events) = Client::connect_to(&server.address(), &options).await.unwrap();
    assert_eq!(client.session().version.0, version);
    (client, events)
}

async fn delivery(events: &mut Events) -> Delivery {
    match next(events).await {
        Event::Message(delivery) => *delivery,
        event => panic!("{event:?}"),
    }
}

#[tokio::test]
async fn two_clients_talk_at_every_pair_of_versions() {
    let server = relay();
    let all = offered_versions().min().0..=offered_versions().max().0;
    for recipient_version in all.clone() {
        for sender_version in all.clone() {
            talk(&server, recipient_version, sender_version).await;
        }
    }
}

/// A queue from its creation to its end.
async fn talk(server: &ServerBuf, recipient_version: u16, sender_version: u16) {
    let what = format!("recipient {recipient_version}, sender {sender_version}");
    let (recipient, mut events) = client(server, recipient_version).await;
    let created = recipient.create_queue(&QueueOptions::default()).await.unwrap();
    let mut queue = ReceiveQueue::new(server, created).unwrap();
    let uri = queue.uri().unwrap();
    let (sender, _events) = client(server, sender_version).await;
    let mut sending = SendQueue::new(&uri, sender.session().version).unwrap();

    for number in 0..3u8 {
        sending.send(&sender, &[number; 100]).await.unwrap_or_else(|error| panic!("{what}: {number}: {error}"));
        assert_eq!(sending.stage(), SendStage::Confirmed);
        let delivery = delivery(&mut events).await;
        let Received::Message(message) = queue.open(&delivery).unwrap() else { panic!("{what}: no message") };
        assert_eq!(message.body, [number; 100]);
        // The queue knows from its address whether the sender can do it alone.
        let sender_secures = recipient_version >= 9 && sender_version >= 9;
        assert_eq!(message.secure_with.is_some(), number == 0 && !sender_secures, "{what}");
        if let Some(key) = message.secure_with {
            recipient.secure(queue.credentials(), key).await.unwrap();
        }
        recipient.acknowledge(queue.credentials(), &delivery.message_id).await.unwrap();
    }

    // Nobody else gets in.
    let mut other = SendQueue::new(&uri, sender.session().version).unwrap();
    assert!(other.send(&sender, b"me too").await.unwrap_err().is_not_authorized(), "{what}");

    let status = recipient.queue_status(queue.credentials()).await.unwrap();
    assert!(status.secured && !status.notifications && status.size == 0, "{what}");
    recipient.suspend(queue.credentials()).await.unwrap();
    assert!(sending.send(&sender, b"late").await.unwrap_err().is_not_authorized(), "{what}");
    recipient.delete(queue.credentials()).await.unwrap();
    assert!(recipient.subscribe(queue.credentials()).await.unwrap_err().is_not_authorized(), "{what}");
}

#[tokio::test]
async fn messages_can_be_fetched_one_by_one() {
    let server = relay();
    let (recipient, _events) = client(&server, 14).await;
    let mut options = QueueOptions::default();
    options.subscribe = false;
    let created = recipient.create_queue(&options).await.unwrap();
    let mut queue = ReceiveQueue::new(&server, created).unwrap();
    assert_eq!(recipient.get(queue.credentials()).await.unwrap(), None);
    let (sender, _events) = client(&server, 14).await;
    let mut sending = SendQueue::new(&queue.uri().unwrap(), sender.session().version).unwrap();
    for number in 0..3u8 {
        sending.send(&sender, &[number]).await.unwrap();
    }
    for number in 0..3u8 {
        let delivery = recipient.get(queue.credentials()).await.unwrap().unwrap();
        assert!(matches!(queue.open(&delivery).unwrap(), Received::Message(message) if message.body == [number]));
        recipient.acknowledge(queue.credentials(), &delivery.message_id).await.unwrap();
    }
    assert_eq!(recipient.get(queue.credentials()).await.unwrap(), None);
}

#[tokio::test]
async fn a_subscription_is_taken_over_and_messages_come_again() {
    let server = relay();
    let (first, mut first_events) = client(&server, 14).await;
    let created = first.create_queue(&QueueOptions::default()).await.unwrap();
    let mut queue = ReceiveQueue::new(&server, created).unwrap();
    let (sender, _events) = client(&server, 14).await;
    let mut sending = SendQueue::new(&queue.uri().unwrap(), sender.session().version).unwrap();
    sending.send(&sender, b"text").await.unwrap();
    let delivered = delivery(&mut first_events).await;

    let (second, mut second_events) = client(&server, 14).await;
    second.subscribe(queue.credentials()).await.unwrap();
    assert!(matches!(next(&mut first_events).await, Event::SubscriptionEnded(id) if id == queue.credentials().id));
    let again = delivery(&mut second_events).await;
    assert_eq!(again, delivered, "the same message");
    // Only the connection it was delivered on last can acknowledge it.
    let error = first.acknowledge(queue.credentials(), &delivered.message_id).await.unwrap_err();
    assert!(matches!(error, ClientError::Relay(error) if error.get() == SmpError::NoMessage));
    assert!(matches!(queue.open(&again).unwrap(), Received::Message(_)));
    second.acknowledge(queue.credentials(), &again.message_id).await.unwrap();
    first.delete(queue.credentials()).await.unwrap();
    assert!(matches!(next(&mut second_events).await, Event::QueueDeleted(id) if id == queue.credentials().id));
}

#[tokio::test]
async fn a_full_queue_is_told_to_both() {
    let server = relay();
    let (recipient, mut events) = client(&server, 14).await;
    let created = recipient.create_queue(&QueueOptions::default()).await.unwrap();
    let mut queue = ReceiveQueue::new(&server, created).unwrap();
    let (sender, _events) = client(&server, 14).await;
    let mut sending = SendQueue::new(&queue.uri().unwrap(), sender.session().version).unwrap();
    let mut sent = 0;
    let error = loop {
        match sending.send(&sender, b"one of many").await {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert!(error.is_quota() && error.is_temporary());
    assert_eq!(sent, 128);
    let mut messages = 0;
    loop {
        let delivery = delivery(&mut events).await;
        let received = queue.open(&delivery).unwrap();
        recipient.acknowledge(queue.credentials(), &delivery.message_id).await.unwrap();
        match received {
            Received::Message(_) => messages += 1,
            Received::Quota { time } => {
                assert!(time > 1_700_000_000);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(messages, 128);
    sending.send(&sender, b"room again").await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_opened_is_told_apart() {
    let server = relay();
    let (recipient, mut events) = client(&server, 14).await;
    let created = recipient.create_queue(&QueueOptions::default()).await.unwrap();
    let mut queue = ReceiveQueue::new(&server, created).unwrap();
    let uri = queue.uri().unwrap();
    let (sender, _events) = client(&server, 14).await;
    let sender_id = smp_std::client::Id::from(uri.sender_id());

    // Not an envelope at all.
    sender.send(&sender_id, None, false, b"hello").await.unwrap();
    let garbage = delivery(&mut events).await;
    assert_eq!(queue.open(&garbage).unwrap_err(), QueueError::NotFromSender);
    recipient.acknowledge(queue.credentials(), &garbage.message_id).await.unwrap();

    let mut sending = SendQueue::new(&uri, sender.session().version).unwrap();
    sending.send(&sender, b"first").await.unwrap();
    let good = delivery(&mut events).await;
    for position in [0, 100, good.body.len() - 1] {
        let mut bad = good.clone();
        bad.body[position] ^= 1;
        assert_eq!(queue.open(&bad).unwrap_err(), QueueError::NotForUs);
    }
    let mut of_another = good.clone();
    of_another.queue = self::queue(9).id;
    assert_eq!(queue.open(&of_another).unwrap_err(), QueueError::NotForUs);
    assert!(!queue.is_confirmed());
    assert!(matches!(queue.open(&good), Ok(Received::Message(_))));
    assert!(queue.is_confirmed());
    // Kept and restored, it opens the same and what follows.
    let mut kept = ReceiveQueue::from_parts(queue.to_parts()).unwrap();
    assert!(matches!(kept.open(&good), Ok(Received::Message(message)) if message.body == b"first"));
    recipient.acknowledge(queue.credentials(), &good.message_id).await.unwrap();
    let mut resumed = SendQueue::from_parts(sending.to_parts()).unwrap();
    resumed.send(&sender, b"second").await.unwrap();
    let second = delivery(&mut events).await;
    assert!(matches!(kept.open(&second), Ok(Received::Message(message)) if message.body == b"second"));
    // One that knows of no confirmation has no key for it.
    let mut parts = queue.to_parts();
    parts.sender_key = None;
    let mut fresh = ReceiveQueue::from_parts(parts).unwrap();
    assert_eq!(fresh.open(&second).unwrap_err(), QueueError::NotConfirmed);
}

#[tokio::test]
async fn too_long_messages_are_refused_before_they_are_sent() {
    let server = relay();
    for version in [6, 9, 14] {
        let (sender, _events) = client(&server, version).await;
        let limit = sender.session().version.max_message_length();
        let to = queue(1).id;
        let error = sender.send(&to, None, false, &vec![0; limit + 1]).await.unwrap_err();
        assert!(matches!(error, ClientError::TooLarge(length) if length == limit), "{version}");
        // At the limit it travels, to no queue in this case.
        let error = sender.send(&to, None, false, &vec![0; limit]).await.unwrap_err();
        assert!(error.is_not_authorized(), "{version}: {error}");
    }
}
