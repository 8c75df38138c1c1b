//! What the relay refuses or slows down to protect itself and everybody else.

use std::time::Duration;

use smp_proto::id::LinkId;
use smp_proto::smp::Command;
use smp_proto::smp::link::{LinkData, SetLink};
use smp_proto::smp::notifier::NotifierKeys;
use smp_proto::smp::recipient::QueueMode;
use smp_proto::wire::{LongString, NonEmptyList};
use smp_std::relay::config::Config;
use tokio::time::Instant;

use crate::harness::new_command;
use crate::harness::{TestRelay, ack};
use crate::{body, ed25519, send};

#[tokio::test]
async fn commands_in_a_hurry_wait_and_others_do_not() {
    let mut config = Config::default();
    (config.rates.commands_per_second, config.rates.commands_burst) = (20, 10);
    let relay = TestRelay::start(config).await;
    let (mut hasty, mut other) = (relay.client().await, relay.client().await);
    let begun = Instant::now();
    let pings: Vec<_> = (0..40).map(|_| hasty.encode(None, b"", &Command::Ping).1).collect();
    for block in pings.chunks(10) {
        hasty.send_block(block).await;
    }
    assert_eq!(other.tell(None, b"", &Command::Ping).await, "PONG");
    assert!(begun.elapsed() < Duration::from_millis(500), "others are not slowed down");
    for _ in 0..pings.len() {
        assert_eq!(hasty.receive().await.text(), "PONG");
    }
    // The first block is free, the last is read when the three before it are paid for, but for one command.
    assert!(begun.elapsed() >= Duration::from_millis(950), "{:?}", begun.elapsed());
    assert!(relay.relay.stats().limits.commands_delayed.get() >= 3);
    relay.stop().await;
}

#[tokio::test]
async fn there_are_only_so_many_queues() {
    let mut config = Config::default();
    config.queues.max = Some(1);
    let relay = TestRelay::start(config).await;
    let mut client = relay.client().await;
    client.new_queue(QueueMode::Messaging, false).await;
    for (version, expected) in [(14, "ERR INTERNAL"), (20, "ERR STORE the relay has as many queues as it may have")] {
        let mut client = relay.client_at(version).await;
        let key = ed25519();
        let dh = smp_crypto::key::X25519SecretKey::generate(&mut rand::rng());
        let new = new_command(&key, &dh, QueueMode::Messaging, false);
        assert_eq!(client.tell(Some(&key), b"", &new).await, expected);
    }
    assert_eq!(relay.relay.stats().limits.queues_total.get(), 2);
    relay.stop().await;
}

#[tokio::test]
async fn a_full_disk_stops_what_fills_it_and_nothing_else() {
    let relay = TestRelay::start(Config::default()).await;
    relay.relay.watch_disk_of(std::env::temp_dir());
    let mut client = relay.client().await;
    let queue = client.new_queue(QueueMode::Messaging, true).await;
    let contact = client.new_queue(QueueMode::Contact, false).await;
    let (key, dh) = (ed25519(), smp_crypto::key::X25519SecretKey::generate(&mut rand::rng()));
    let keys = [key.public_key()];
    let data = LinkData { fixed: LongString::new(b"fixed").unwrap(), user: LongString::new(b"user").unwrap() };
    let growing = [
        Command::SetLink(SetLink { link_id: LinkId::new(&[7; 24]).unwrap(), data }),
        Command::SetRecipientKeys(NonEmptyList::new(&keys).unwrap()),
        Command::EnableNotifications(NotifierKeys {
            notifier_key: key.public_key(),
            recipient_dh_key: dh.public_key(),
        }),
    ];
    assert_eq!(send(&mut client, None, &queue, b"before").await, "OK");
    let mut config = Config::default();
    config.disk.queues_free_mib = u64::MAX;
    relay.reload(config.clone());
    let key = ed25519();
    let dh = smp_crypto::key::X25519SecretKey::generate(&mut rand::rng());
    let new = new_command(&key, &dh, QueueMode::Messaging, false);
    assert_eq!(client.tell(Some(&key), b"", &new).await, "ERR STORE the relay has no room for new queues");
    for command in &growing {
        let key = if let Command::SetRecipientKeys(_) | Command::SetLink(_) = command { &contact } else { &queue };
        assert_eq!(
            client.tell(Some(&key.key), &key.recipient_id, command).await,
            "ERR STORE the relay has no room",
            "{command:?}"
        );
    }
    assert_eq!(send(&mut client, None, &queue, b"still").await, "OK");
    config.disk.messages_free_mib = u64::MAX;
    relay.reload(config);
    assert_eq!(send(&mut client, None, &queue, b"refused").await, "ERR QUOTA");
    // What is there can be received and deleted.
    let (id, plain) = client.message(&queue).await;
    assert_eq!(body(&plain), b"before");
    let next = client.ask(Some(&queue.key), &queue.recipient_id, &ack(&id)).await;
    let (id, plain) = queue.open(&next, client.version());
    assert_eq!(body(&plain), b"still");
    assert_eq!(client.tell(Some(&queue.key), &queue.recipient_id, &ack(&id)).await, "OK");
    assert_eq!(client.tell(Some(&queue.key), &queue.recipient_id, &Command::Delete).await, "OK");
    let limits = &relay.relay.stats().limits;
    assert_eq!((limits.queues_disk.get(), limits.messages_disk.get()), (4, 1));
    relay.reload(Config::default());
    let answer = client.tell(Some(&contact.key), &contact.recipient_id, &growing[0]).await;
    assert_eq!(answer, "OK");
    client.new_queue(QueueMode::Messaging, false).await;
    relay.stop().await;
}
