//! What a relay does, seen by clients over real connections (wire reference, sections 6, 7 and 10).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod blocked;
mod deletion;
mod destination;
mod fake;
#[allow(dead_code, reason = "only a part of it is needed here")]
#[path = "../store/gated.rs"]
mod gated;
mod harness;
mod limits;
mod link_data;
mod names;
mod narrow;
mod new_queue;
mod notifications;
mod proxy;
mod routing;
mod services;
mod turns;

use std::time::Duration;

use harness::{RawClient, TestQueue, TestRelay, ack, new_command, send_command};
use smp_crypto::key::{AuthorizationSecretKey, Ed448SecretKey, X25519SecretKey};
use smp_proto::smp::recipient::QueueMode;
use smp_proto::smp::{BrokerMessage, Command};
use smp_proto::transport::BLOCK_LENGTH;
use smp_proto::version::VersionRange;
use smp_std::identity::KeyAlgorithm;
use smp_std::net::ClientAlpn;
use smp_std::relay::config::Config;

fn ed25519() -> AuthorizationSecretKey {
    AuthorizationSecretKey::generate_ed25519(&mut rand::rng())
}

fn x25519() -> AuthorizationSecretKey {
    AuthorizationSecretKey::generate_x25519(&mut rand::rng())
}

async fn relay() -> TestRelay {
    TestRelay::start(Config::default()).await
}

/// The body of a received message: behind time, flags and a space.
fn body(plain: &[u8]) -> &[u8] {
    &plain[10..]
}

async fn send(client: &mut RawClient, key: Option<&AuthorizationSecretKey>, queue: &TestQueue, body: &[u8]) -> String {
    client.tell(key, &queue.sender_id, &send_command(body)).await
}

#[tokio::test]
async fn a_message_travels_at_every_version_with_every_kind_of_key() {
    let relay = relay().await;
    for version in 6..=14 {
        let mut keys = vec![ed25519(), AuthorizationSecretKey::Ed448(Ed448SecretKey::generate(&mut rand::rng()))];
        if version >= 7 {
            keys.push(x25519());
        }
        for key in keys {
            let (mut alice, mut bob) = (relay.client_at(version).await, relay.client_at(version).await);
            let sender_key = match &key {
                AuthorizationSecretKey::X25519(_) => x25519(),
                _ => ed25519(),
            };
            let queue = alice.new_queue_with(key, QueueMode::Contact, true).await;
            // Without a key anybody may send, but not with an authorization.
            assert_eq!(send(&mut bob, Some(&sender_key), &queue, b"first").await, "ERR AUTH");
            assert_eq!(send(&mut bob, None, &queue, b"first").await, "OK");
            let (id, plain) = alice.message(&queue).await;
            assert_eq!(body(&plain), b"first");
            assert_eq!(&plain[8..10], b"F ");
            assert_eq!(alice.tell(Some(&queue.key), &queue.recipient_id, &ack(&id)).await, "OK");

            let secure = Command::Secure(sender_key.public_key());
            assert_eq!(alice.tell(Some(&queue.key), &queue.recipient_id, &secure).await, "OK");
            assert_eq!(alice.tell(Some(&queue.key), &queue.recipient_id, &secure).await, "OK", "the same key again");
            let other = Command::Secure(ed25519().public_key());
            assert_eq!(alice.tell(Some(&queue.key), &queue.recipient_id, &other).await, "ERR AUTH");
            assert_eq!(send(&mut bob, None, &queue, b"second").await, "ERR AUTH");
            assert_eq!(send(&mut bob, Some(&ed25519()), &queue, b"second").await, "ERR AUTH");
            assert_eq!(send(&mut bob, Some(&sender_key), &queue, b"second").await, "OK");
            let (id, plain) = alice.message(&queue).await;
            assert_eq!(body(&plain), b"second");
            assert_eq!(alice.tell(Some(&queue.key), &queue.recipient_id, &ack(&id)).await, "OK");
            assert_eq!(alice.tell(Some(&queue.key), &queue.recipient_id, &Command::Delete).await, "OK");
            assert_eq!(send(&mut bob, Some(&sender_key), &queue, b"third").await, "ERR AUTH");
        }
    }
    relay.stop().await;
}

#[tokio::test]
async fn clients_without_alpn_speak_version_6_and_relays_may_sign_with_ed448() {
    let relay = TestRelay::start_as(Config::default(), KeyAlgorithm::Ed448).await;
    let mut old = relay.client_of(VersionRange::SMP, ClientAlpn::Absent).await;
    assert_eq!(old.version().0, 6);
    assert_eq!(old.tell(None, b"", &Command::Ping).await, "PONG");
    let mut web = relay.client_of(VersionRange::SMP, ClientAlpn::Http11).await;
    assert_eq!(web.version(), smp_std::relay::MAX_VERSION);
    assert_eq!(web.tell(None, b"", &Command::Ping).await, "PONG");
}

#[tokio::test]
async fn a_sender_secures_a_messaging_queue_and_no_other() {
    let relay = relay().await;
    let (mut alice, mut bob) = (relay.client().await, relay.client().await);
    let queue = alice.new_queue(QueueMode::Messaging, true).await;
    let key = x25519();
    let secure = Command::SecureBySender(key.public_key());
    assert_eq!(bob.tell(Some(&ed25519()), &queue.sender_id, &secure).await, "ERR AUTH", "the key must prove itself");
    assert_eq!(bob.tell(Some(&key), &queue.sender_id, &secure).await, "OK");
    assert_eq!(bob.tell(Some(&key), &queue.sender_id, &secure).await, "OK");
    let other = ed25519();
    let again = Command::SecureBySender(other.public_key());
    assert_eq!(bob.tell(Some(&other), &queue.sender_id, &again).await, "ERR AUTH");
    assert_eq!(send(&mut bob, Some(&key), &queue, b"hello").await, "OK");
    assert_eq!(body(&alice.message(&queue).await.1), b"hello");

    let contact = alice.new_queue(QueueMode::Contact, true).await;
    assert_eq!(bob.tell(Some(&key), &contact.sender_id, &secure).await, "ERR AUTH");
    let mut old = relay.client_at(8).await;
    let unknown = old.new_queue(QueueMode::Messaging, true).await;
    assert_eq!(bob.tell(Some(&key), &unknown.sender_id, &secure).await, "ERR AUTH", "version 8 cannot allow it");
}

#[tokio::test]
async fn one_message_is_outstanding_and_the_next_follows_the_acknowledgement() {
    let relay = relay().await;
    let (mut alice, mut bob) = (relay.client().await, relay.client().await);
    let queue = alice.new_queue(QueueMode::Contact, true).await;
    for number in 0..5u8 {
        assert_eq!(send(&mut bob, None, &queue, &[number]).await, "OK");
    }
    let (mut id, plain) = alice.message(&queue).await;
    assert_eq!(body(&plain), [0]);
    alice.assert_silent().await;
    assert_eq!(alice.tell(Some(&queue.key), &queue.recipient_id, &ack(&[9; 24])).await, "ERR NO_MSG");
    for number in 1..5u8 {
        let response = alice.ask(Some(&queue.key), &queue.recipient_id, &ack(&id)).await;
        let (next, plain) = queue.open(&response, alice.version());
        assert_eq!(body(&plain), [number]);
        assert_ne!(next, id);
        id = next;
    }
    assert_eq!(alice.tell(Some(&queue.key), &queue.recipient_id, &ack(&id)).await, "OK");
    assert_eq!(alice.tell(Some(&queue.key), &queue.recipient_id, &ack(&id)).await, "ERR NO_MSG");
}

#[tokio::test]
async fn what_is_not_acknowledged_is_delivered_again_the_same() {
    let relay = relay().await;
    let (mut alice, mut bob) = (relay.client().await, relay.client().await);
    let queue = alice.new_queue(QueueMode::Contact, false).await;
    assert_eq!(send(&mut bob, None, &queue, b"kept").await, "OK");
    alice.assert_silent().await;
    assert_eq!(alice.tell(Some(&queue.key), &queue.recipient_id, &Command::Subscribe).await, "SOK 0");
    let first = alice.receive().await;
    // SUB on the same connection brings it again, and so does one on another, with the same bytes.
    assert_eq!(alice.tell(Some(&queue.key), &queue.recipient_id, &Command::Subscribe).await, "SOK 0");
    assert_eq!(alice.receive().await, first);
    drop(alice);
    let mut alice = relay.client().await;
    assert_eq!(alice.tell(Some(&queue.key), &queue.recipient_id, &Command::Subscribe).await, "SOK 0");
    assert_eq!(alice.receive().await, first);
}

#[tokio::test]
async fn a_queue_has_one_subscriber_and_the_older_one_is_told() {
    let relay = relay().await;
    let (mut phone, mut tablet, mut bob) = (relay.client().await, relay.client().await, relay.client().await);
    let queue = phone.new_queue(QueueMode::Contact, true).await;
    assert_eq!(send(&mut bob, None, &queue, b"one").await, "OK");
    let (id, _) = phone.message(&queue).await;
    assert_eq!(tablet.tell(Some(&queue.key), &queue.recipient_id, &Command::Subscribe).await, "SOK 0");
    let (again, plain) = tablet.message(&queue).await;
    assert_eq!((&again, body(&plain)), (&id, &b"one"[..]));
    let end = phone.receive().await;
    assert_eq!((end.text().as_str(), &end.entity, end.correlation.len()), ("END", &queue.recipient_id, 0));
    assert_eq!(phone.tell(Some(&queue.key), &queue.recipient_id, &ack(&id)).await, "ERR NO_MSG");
    assert_eq!(tablet.tell(Some(&queue.key), &queue.recipient_id, &ack(&id)).await, "OK");
    assert_eq!(send(&mut bob, None, &queue, b"two").await, "OK");
    assert_eq!(body(&tablet.message(&queue).await.1), b"two");
    phone.assert_silent().await;
}

#[tokio::test]
async fn the_subscriber_hears_of_a_deletion() {
    let relay = relay().await;
    let mut deleter = relay.client().await;
    for (version, event) in [(14, "DELD"), (10, "DELD"), (9, "END"), (6, "END")] {
        let mut phone = relay.client_at(version).await;
        let queue = phone.new_queue(QueueMode::Contact, true).await;
        assert_eq!(deleter.tell(Some(&queue.key), &queue.recipient_id, &Command::Delete).await, "OK");
        let told = phone.receive().await;
        assert_eq!((told.text().as_str(), &told.entity), (event, &queue.recipient_id));
        assert_eq!(phone.tell(Some(&queue.key), &queue.recipient_id, &Command::Subscribe).await, "ERR AUTH");
    }
    // Who deletes hears only OK.
    let queue = deleter.new_queue(QueueMode::Contact, true).await;
    assert_eq!(deleter.tell(Some(&queue.key), &queue.recipient_id, &Command::Delete).await, "OK");
    deleter.assert_silent().await;
}

#[tokio::test]
async fn get_fetches_without_subscribing() {
    let relay = relay().await;
    let (mut alice, mut bob) = (relay.client().await, relay.client().await);
    let queue = alice.new_queue(QueueMode::Contact, false).await;
    let (key, id) = (Some(&queue.key), &queue.recipient_id);
    assert_eq!(alice.tell(key, id, &Command::Get).await, "OK");
    assert_eq!(send(&mut bob, None, &queue, b"one").await, "OK");
    assert_eq!(send(&mut bob, None, &queue, b"two").await, "OK");
    let first = alice.ask(key, id, &Command::Get).await;
    let (message, plain) = queue.open(&first, alice.version());
    assert_eq!(body(&plain), b"one");
    assert_eq!(queue.open(&alice.ask(key, id, &Command::Get).await, alice.version()).0, message);
    assert_eq!(alice.tell(key, id, &Command::Subscribe).await, "ERR CMD PROHIBITED");
    assert_eq!(alice.tell(key, id, &ack(&message)).await, "OK", "the next message is fetched, not answered");
    alice.assert_silent().await;
    assert_eq!(alice.tell(key, id, &ack(&message)).await, "ERR NO_MSG");
    // A fetching connection does not displace a subscribed one, and a subscribed one cannot fetch.
    let mut tablet = relay.client().await;
    assert_eq!(tablet.tell(key, id, &Command::Subscribe).await, "SOK 0");
    assert_eq!(body(&tablet.message(&queue).await.1), b"two");
    assert_eq!(tablet.tell(key, id, &Command::Get).await, "ERR CMD PROHIBITED");
    let fetched = alice.ask(key, id, &Command::Get).await;
    assert_eq!(body(&queue.open(&fetched, alice.version()).1), b"two");
    tablet.assert_silent().await;
}

#[tokio::test]
async fn a_full_queue_says_so_once_and_has_room_when_it_is_empty() {
    let mut config = Config::default();
    config.messages.quota = 3;
    let relay = TestRelay::start(config).await;
    let (mut alice, mut bob) = (relay.client().await, relay.client().await);
    let queue = alice.new_queue(QueueMode::Contact, true).await;
    for number in 0..3u8 {
        assert_eq!(send(&mut bob, None, &queue, &[number]).await, "OK");
    }
    for _ in 0..3 {
        assert_eq!(send(&mut bob, None, &queue, b"too much").await, "ERR QUOTA");
    }
    let (mut id, _) = alice.message(&queue).await;
    for _ in 0..2 {
        id = queue.open(&alice.ask(Some(&queue.key), &queue.recipient_id, &ack(&id)).await, alice.version()).0;
        assert_eq!(send(&mut bob, None, &queue, b"too early").await, "ERR QUOTA");
    }
    let mark = alice.ask(Some(&queue.key), &queue.recipient_id, &ack(&id)).await;
    let (id, plain) = queue.open(&mark, alice.version());
    assert_eq!(&plain[..6], b"QUOTA ");
    assert_eq!(plain.len(), 14);
    assert_eq!(send(&mut bob, None, &queue, b"still too early").await, "ERR QUOTA");
    assert_eq!(alice.tell(Some(&queue.key), &queue.recipient_id, &ack(&id)).await, "OK");
    assert_eq!(send(&mut bob, None, &queue, b"room").await, "OK");
    assert_eq!(body(&alice.message(&queue).await.1), b"room");
}

#[tokio::test]
async fn a_suspended_queue_delivers_and_takes_nothing() {
    let relay = relay().await;
    let (mut alice, mut bob) = (relay.client().await, relay.client().await);
    let queue = alice.new_queue(QueueMode::Contact, false).await;
    assert_eq!(send(&mut bob, None, &queue, b"before").await, "OK");
    for _ in 0..2 {
        assert_eq!(alice.tell(Some(&queue.key), &queue.recipient_id, &Command::Suspend).await, "OK");
    }
    assert_eq!(send(&mut bob, None, &queue, b"after").await, "ERR AUTH");
    assert_eq!(alice.tell(Some(&queue.key), &queue.recipient_id, &Command::Subscribe).await, "SOK 0");
    assert_eq!(body(&alice.message(&queue).await.1), b"before");
}

#[tokio::test]
async fn wrong_commands_get_the_errors_of_the_pipeline() {
    let relay = relay().await;
    let mut client = relay.client().await;
    let queue = client.new_queue(QueueMode::Contact, false).await;
    let (key, id) = (&queue.key, queue.recipient_id.clone());
    let dh = X25519SecretKey::generate(&mut rand::rng());
    let new = new_command(key, &dh, QueueMode::Contact, true);
    for (key, entity, command, expected) in [
        (None, &b""[..], &b"PINGx"[..], "ERR CMD UNKNOWN"),
        (None, b"", b"PING ", "ERR CMD SYNTAX"),
        (None, b"", b"", "ERR CMD UNKNOWN"),
        (Some(key), &id, b"SUB ", "ERR CMD SYNTAX"),
        (Some(key), &id, b"SUBx", "ERR CMD UNKNOWN"),
        (Some(key), &id, b"KEY abc", "ERR CMD SYNTAX"),
        (Some(key), b"", b"SUB", "ERR CMD NO_AUTH"),
        (None, &id, b"SUB", "ERR CMD NO_AUTH"),
        (None, &id, b"PING", "ERR CMD HAS_AUTH"),
        (None, b"", b"SEND T hello", "ERR CMD NO_ENTITY"),
        (None, &queue.sender_id, b"SEND X hello", "ERR CMD SYNTAX"),
        (Some(key), &[7; 24], b"SUB", "ERR AUTH"),
        (Some(key), b"short", b"SUB", "ERR AUTH"),
        (Some(key), &queue.sender_id, b"SUB", "ERR AUTH"),
        (None, &[7; 24], b"SEND T hello", "ERR AUTH"),
        (None, &id, b"SEND T hello", "ERR AUTH"),
    ] {
        assert_eq!(client.tell_raw(key, entity, command).await, expected, "{}", String::from_utf8_lossy(command));
    }
    assert_eq!(client.tell(None, b"", &new).await, "ERR CMD NO_AUTH");
    assert_eq!(client.tell(Some(key), &id, &new).await, "ERR CMD HAS_AUTH");
    assert_eq!(client.tell(Some(&ed25519()), b"", &new).await, "ERR AUTH", "NEW is authorized by its own key");
    assert_eq!(client.tell(Some(&ed25519()), &id, &Command::Subscribe).await, "ERR AUTH");
    assert_eq!(client.tell(Some(&x25519()), &id, &Command::Subscribe).await, "ERR AUTH");
}

#[tokio::test]
async fn broken_blocks_are_answered_and_the_session_goes_on() {
    for version in [6, 7, 10, 11, 14] {
        let relay = relay().await;
        let mut client = relay.client_at(version).await;
        let contents: [&[u8]; 6] = [&[], &[0], &[1, 0], &[2, 0, 1, 0], &[1, 0, 0, 9], &[1, 0xff, 0xff]];
        for content in contents {
            let mut block = Box::new([0; BLOCK_LENGTH]);
            client.session.sealer.content_mut(&mut block)[..content.len()].copy_from_slice(content);
            client.send_content(block, content.len()).await;
            let answer = client.receive().await;
            assert_eq!((answer.text().as_str(), answer.correlation.len(), answer.entity.len()), ("ERR BLOCK", 0, 0));
        }
        // A block whose encryption or padding is broken: the chain of block keys moves on all the same.
        let mut block = Box::new([0xff; BLOCK_LENGTH]);
        client.session.sealer.seal(&mut block, 1).unwrap();
        block[0] = 0xff;
        block[1] = 0xff;
        client.tls.write_block(&block).await.unwrap();
        client.tls.flush().await.unwrap();
        assert_eq!(client.receive().await.text(), "ERR BLOCK");
        assert_eq!(client.tell(None, b"", &Command::Ping).await, "PONG");
    }
}

#[tokio::test]
async fn all_entries_of_a_block_are_authorized_before_any_is_executed() {
    let relay = relay().await;
    let (mut alice, mut bob) = (relay.client().await, relay.client().await);
    let queue = alice.new_queue(QueueMode::Messaging, true).await;
    let key = ed25519();
    let (secure_id, secure) = bob.encode(Some(&key), &queue.sender_id, &Command::SecureBySender(key.public_key()));
    let (send_id, send) = bob.encode(Some(&key), &queue.sender_id, &send_command(b"too early"));
    bob.send_block(&[secure, send]).await;
    assert_eq!(bob.response_to(&secure_id).await.text(), "OK");
    assert_eq!(bob.response_to(&send_id).await.text(), "ERR AUTH");
    alice.assert_silent().await;
}

#[tokio::test]
async fn a_batch_of_subscriptions_is_answered_before_the_messages() {
    let relay = relay().await;
    let (mut alice, mut bob) = (relay.client().await, relay.client().await);
    let mut queues = Vec::new();
    for number in 0..100u8 {
        let queue = alice.new_queue(QueueMode::Contact, false).await;
        if number % 10 == 0 {
            assert_eq!(send(&mut bob, None, &queue, &[number]).await, "OK");
        }
        queues.push(queue);
    }
    drop(alice);
    let mut alice = relay.client().await;
    let (ids, block): (Vec<_>, Vec<_>) =
        queues.iter().map(|queue| alice.encode(Some(&queue.key), &queue.recipient_id, &Command::Subscribe)).unzip();
    alice.send_block(&block).await;
    for (id, queue) in ids.iter().zip(&queues) {
        let response = alice.receive().await;
        assert_eq!((response.text().as_str(), &response.correlation[..]), ("SOK 0", &id[..]));
        assert_eq!(response.entity, queue.recipient_id);
    }
    let mut seen = Vec::new();
    for _ in 0..10 {
        let received = alice.receive().await;
        let queue = queues.iter().find(|queue| queue.recipient_id == received.entity).unwrap();
        seen.push(body(&queue.open(&received, alice.version()).1)[0]);
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..10).map(|ten| ten * 10).collect::<Vec<u8>>());
    alice.assert_silent().await;
}

#[tokio::test]
async fn responses_that_waited_for_the_disk_share_blocks() {
    let relay = relay().await;
    let (mut alice, mut bob) = (relay.client().await, relay.client().await);
    let queue = alice.new_queue(QueueMode::Contact, false).await;
    let (ids, block): (Vec<_>, Vec<_>) =
        (0..100u8).map(|number| bob.encode(None, &queue.sender_id, &send_command(&[number]))).unzip();
    let before = bob.blocks;
    bob.send_block(&block).await;
    for id in ids {
        let response = bob.receive().await;
        assert_eq!((response.text().as_str(), &response.correlation[..]), ("OK", &id[..]));
    }
    // One would do; a few more come when the disk answers while the first is being filled.
    assert!(bob.blocks - before <= 20, "{} blocks for 100 short responses", bob.blocks - before);
}

#[tokio::test]
async fn queues_and_messages_in_all_are_bounded() {
    let mut config = Config::default();
    config.queues.max = Some(2);
    config.messages.max = Some(3);
    let relay = TestRelay::start(config).await;
    let (mut alice, mut bob) = (relay.client().await, relay.client().await);
    let first = alice.new_queue(QueueMode::Contact, true).await;
    let second = alice.new_queue(QueueMode::Contact, false).await;
    let (key, dh) = (ed25519(), X25519SecretKey::generate(&mut rand::rng()));
    let new = new_command(&key, &dh, QueueMode::Contact, true);
    assert_eq!(alice.tell(Some(&key), b"", &new).await, "ERR STORE the relay has as many queues as it may have");
    for _ in 0..2 {
        assert_eq!(send(&mut bob, None, &second, b"kept").await, "OK");
    }
    assert_eq!(send(&mut bob, None, &first, b"last").await, "OK");
    assert_eq!(send(&mut bob, None, &first, b"too much").await, "ERR QUOTA");
    let (id, _) = alice.message(&first).await;
    assert_eq!(alice.tell(Some(&first.key), &first.recipient_id, &ack(&id)).await, "OK");
    assert_eq!(send(&mut bob, None, &first, b"room again").await, "OK");
    assert_eq!(alice.tell(Some(&second.key), &second.recipient_id, &Command::Delete).await, "OK");
    assert!(alice.tell(Some(&key), b"", &new).await.starts_with("IDS "));
}

#[tokio::test]
async fn a_body_may_be_as_long_as_the_version_allows_and_no_longer() {
    let relay = relay().await;
    let mut alice = relay.client().await;
    let queue = alice.new_queue(QueueMode::Contact, true).await;
    for (version, limit) in [(6, 16_088), (7, 16_088), (8, 16_064), (10, 16_064), (11, 16_048), (14, 16_048)] {
        let mut bob = relay.client_at(version).await;
        assert_eq!(send(&mut bob, None, &queue, &vec![1; limit + 1]).await, "ERR LARGE_MSG", "version {version}");
        assert_eq!(send(&mut bob, None, &queue, &vec![1; limit]).await, "OK", "version {version}");
        let (id, plain) = alice.message(&queue).await;
        assert_eq!(body(&plain).len(), limit);
        assert_eq!(alice.tell(Some(&queue.key), &queue.recipient_id, &ack(&id)).await, "OK");
    }
}

#[tokio::test]
async fn que_describes_the_queue() {
    let relay = relay().await;
    let (mut alice, mut bob) = (relay.client().await, relay.client().await);
    let queue = alice.new_queue(QueueMode::Messaging, true).await;
    let response = alice.ask(Some(&queue.key), &queue.recipient_id, &Command::QueueInfo).await;
    assert_eq!(response.text(), r#"INFO {"qiSnd":false,"qiNtf":false,"qiSub":{"qSubThread":"noSub"},"qiSize":0}"#);
    assert_eq!(send(&mut bob, None, &queue, b"hello").await, "OK");
    let (_, _) = alice.message(&queue).await;
    let response = alice.ask(Some(&queue.key), &queue.recipient_id, &Command::QueueInfo).await;
    let BrokerMessage::Info(info) = response.decode(alice.version()) else { panic!() };
    assert_eq!(info.size, 1);
    assert!(info.subscription.unwrap().delivered.is_some());
    assert!(info.head.is_some());
}

#[tokio::test]
async fn a_password_keeps_strangers_from_creating_queues() {
    let mut config = Config::default();
    config.queues.password = Some("secret".to_owned());
    let relay = TestRelay::start(config).await;
    for version in [6, 8, 9, 14] {
        let mut client = relay.client_at(version).await;
        let (key, dh) = (ed25519(), X25519SecretKey::generate(&mut rand::rng()));
        let Command::New(new) = new_command(&key, &dh, QueueMode::Contact, true) else { panic!() };
        for (password, allowed) in [(None, false), (Some(&b"Secret"[..]), false), (Some(b"secret"), true)] {
            let password = password.map(|password| smp_proto::smp::password::PasswordRef::new(password).unwrap());
            let command = Command::New(smp_proto::smp::recipient::NewQueue { password, ..new });
            let answer = client.tell(Some(&key), b"", &command).await;
            assert_eq!(answer.starts_with("IDS "), allowed, "{answer}");
            assert!(allowed || answer == "ERR AUTH");
        }
    }
}

#[tokio::test]
async fn expired_messages_are_swept_away() {
    let mut config = Config::default();
    config.messages.expire_days = 1;
    config.messages.sweep_interval_seconds = 1;
    let relay = TestRelay::start(config).await;
    let (mut alice, mut bob) = (relay.client().await, relay.client().await);
    let queue = alice.new_queue(QueueMode::Contact, false).await;
    assert_eq!(send(&mut bob, None, &queue, b"fresh").await, "OK");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(alice.tell(Some(&queue.key), &queue.recipient_id, &Command::Subscribe).await, "SOK 0");
    assert_eq!(body(&alice.message(&queue).await.1), b"fresh", "a sweep leaves what is not a day old");
}

#[tokio::test]
async fn silent_connections_without_subscriptions_are_closed() {
    let mut config = Config::default();
    config.inactive_clients.ttl_seconds = 1;
    config.inactive_clients.check_interval_seconds = 1;
    let relay = TestRelay::start(config).await;
    let (mut idle, mut subscribed) = (relay.client().await, relay.client().await);
    let _queue = subscribed.new_queue(QueueMode::Contact, true).await;
    let mut block = Box::new([0; BLOCK_LENGTH]);
    let closed = tokio::time::timeout(harness::PATIENCE, idle.tls.read_block(&mut block)).await.unwrap();
    assert!(matches!(closed, Err(smp_std::net::NetError::Closed)), "{closed:?}");
    assert_eq!(subscribed.tell(None, b"", &Command::Ping).await, "PONG");
}

#[tokio::test]
async fn many_senders_one_reader_nothing_lost_and_each_in_order() {
    let relay = relay().await;
    let mut alice = relay.client().await;
    let queue = alice.new_queue(QueueMode::Contact, true).await;
    let senders = (0..4u8).map(|sender| {
        let (mut bob, id) = (None, queue.sender_id.clone());
        let relay = &relay;
        async move {
            let bob = bob.insert(relay.client().await);
            for number in 0..25u8 {
                assert_eq!(bob.tell(None, &id, &send_command(&[sender, number])).await, "OK");
            }
        }
    });
    let reading = async {
        let mut next = [0u8; 4];
        let (mut id, mut plain) = alice.message(&queue).await;
        for count in 1..=100 {
            let [sender, number] = body(&plain) else { panic!() };
            assert_eq!(*number, next[usize::from(*sender)]);
            next[usize::from(*sender)] += 1;
            let response = alice.ask(Some(&queue.key), &queue.recipient_id, &ack(&id)).await;
            if count < 100 {
                (id, plain) = if response.text() == "OK" {
                    alice.message(&queue).await
                } else {
                    queue.open(&response, alice.version())
                };
            }
        }
        assert_eq!(next, [25; 4]);
    };
    futures_util::future::join(futures_util::future::join_all(senders), reading).await;
}
