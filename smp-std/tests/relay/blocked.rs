//! Queues an operator blocks (wire reference, section 10.8).

use smp_crypto::key::{AuthorizationSecretKey, Ed448SecretKey};
use smp_proto::smp::error::{Blocked, BlockingReason, Notice};
use smp_proto::smp::notifier::NotifierKeys;
use smp_proto::smp::recipient::QueueMode;
use smp_proto::smp::{BrokerMessage, Command};
use smp_proto::wire::NonEmptyList;
use smp_std::relay::config::Config;
use smp_std::relay::store::{Blocking, QueueName, QueueStatus, Side, Unblocking};

use crate::harness::{TestRelay, ack, send_command, until};
use crate::link_data::{id, set};
use crate::new_queue::{NewParts, contact, data, ed25519, ids, invitation};

const CONTENT: Blocked = Blocked { reason: BlockingReason::Content, notice: Some(Notice { ttl: Some(86_400) }) };

/// What a client of a version is told of [`CONTENT`].
fn told(version: u16) -> &'static str {
    match version {
        ..12 => "ERR AUTH",
        12..18 => "ERR BLOCKED reason=content",
        _ => "ERR BLOCKED reason=content,notice={\"ttl\":86400}",
    }
}

#[tokio::test]
async fn a_blocked_queue_says_so_as_far_as_the_version_knows() {
    let relay = TestRelay::start(Config::default()).await;
    let mut owner = relay.client_at(20).await;
    for version in 6..=20 {
        let mut client = relay.client_at(version).await;
        let parts = NewParts::new();
        let link_id: [u8; 24] = rand::random();
        let request = contact(&parts, &link_id, data(b"f", b"u"));
        let response = parts.ask(&mut owner, parts.command(Some(request), None)).await;
        let queue = ids(&response, &owner).recipient_id.as_bytes().to_vec();
        let key = Some(&parts.key);
        assert_eq!(client.tell(None, &parts.sender_id, &send_command(b"before")).await, "OK");
        let subscribed = if version < 16 { "OK" } else { "SOK 0" };
        assert_eq!(client.tell(key, &queue, &Command::Subscribe).await, subscribed);
        let waiting = client.receive().await;
        let BrokerMessage::Message(message) = waiting.decode(client.version()) else { panic!("{}", waiting.text()) };
        let message = message.message_id.as_bytes().to_vec();

        let blocking = relay.relay.block(QueueName::Side(Side::Link, link_id), CONTENT).await.unwrap();
        assert_eq!(blocking, Blocking::Blocked { recipient_id: id(&queue), before: QueueStatus::Active });
        let event = client.receive().await;
        assert_eq!((event.correlation.as_slice(), event.entity.as_slice()), (&[][..], queue.as_slice()));
        assert_eq!(event.text(), told(version));
        // The same block again is no news.
        relay.relay.block(QueueName::Side(Side::Sender, parts.sender_id), CONTENT).await.unwrap();
        client.assert_silent().await;

        let notifier = NotifierKeys { notifier_key: parts.key.public_key(), recipient_dh_key: parts.dh.public_key() };
        let keys = [parts.key.public_key()];
        for command in [
            Command::Subscribe,
            Command::Get,
            Command::Secure(parts.key.public_key()),
            ack(&message),
            Command::SetRecipientKeys(NonEmptyList::new(&keys).unwrap()),
            set(&link_id, b"f", b"u"),
            Command::DeleteLink,
            Command::EnableNotifications(notifier),
            Command::DisableNotifications,
            Command::QueueInfo,
        ] {
            assert_eq!(client.tell(key, &queue, &command).await, told(version), "{version} {command:?}");
        }
        assert_eq!(client.tell(Some(&ed25519()), &queue, &Command::QueueInfo).await, "ERR AUTH", "authorized first");
        assert_eq!(client.tell(None, &link_id, &Command::GetLink).await, told(version));
        assert_eq!(client.tell(None, &parts.sender_id, &send_command(b"x")).await, told(version));
        let long = vec![0; 16_089];
        if version < 8 {
            assert_eq!(client.tell(None, &parts.sender_id, &send_command(&long)).await, "ERR LARGE_MSG", "first");
        }

        let unblocking = relay.relay.unblock(QueueName::Recipient(id(&queue))).await.unwrap();
        assert_eq!(unblocking, Unblocking::Unblocked { blocked: CONTENT, now: QueueStatus::Active });
        assert_eq!(client.tell(key, &queue, &ack(&message)).await, "OK");
        assert!(client.tell(None, &link_id, &Command::GetLink).await.starts_with("LNK "));
        assert_eq!(client.tell(None, &parts.sender_id, &send_command(b"after")).await, "OK");
        assert!(client.receive().await.text().starts_with("MSG "), "it is subscribed all the same");

        // Suspending and deleting still work, and do not lift the block.
        relay.relay.block(QueueName::Recipient(id(&queue)), CONTENT).await.unwrap();
        assert_eq!(client.receive().await.text(), told(version));
        assert_eq!(client.tell(key, &queue, &Command::Suspend).await, "OK");
        assert_eq!(client.tell(None, &parts.sender_id, &send_command(b"x")).await, "ERR AUTH");
        assert_eq!(client.tell(None, &link_id, &Command::GetLink).await, told(version));
        assert_eq!(client.tell(key, &queue, &Command::Delete).await, "OK");
    }
    relay.stop().await;
}

/// Commands of a block are authorized before any is carried out: while that takes long, an operator blocks a queue that is
/// about to be subscribed.
#[tokio::test]
async fn who_subscribes_while_a_queue_is_blocked_is_told() {
    let relay = TestRelay::start(Config::default()).await;
    let mut client = relay.client_at(20).await;
    let queue = client.new_queue(QueueMode::Contact, false).await;
    let slow = AuthorizationSecretKey::Ed448(Ed448SecretKey::generate(&mut rand::rng()));
    let mut commands = vec![client.encode(Some(&queue.key), &queue.recipient_id, &Command::Subscribe)];
    commands.extend((0..30).map(|_| client.encode(Some(&slow), &[1; 24], &send_command(b"x"))));
    let (ids, transmissions): (Vec<_>, Vec<_>) = commands.into_iter().unzip();
    client.send_block(&transmissions).await;
    let refused = || relay.relay.stats().queues.messages_sent_auth.get();
    until(|| refused() > 0).await;
    relay.relay.block(QueueName::Recipient(id(&queue.recipient_id)), CONTENT).await.unwrap();
    assert!(refused() < 30, "the block was not carried out yet");
    assert!(client.response_to(&ids[0]).await.text().starts_with("SOK"));
    for id in &ids[1..] {
        assert_eq!(client.response_to(id).await.text(), "ERR AUTH");
    }
    let told = client.receive().await;
    assert_eq!(
        (told.text().as_str(), told.entity),
        ("ERR BLOCKED reason=content,notice={\"ttl\":86400}", queue.recipient_id)
    );
    relay.stop().await;
}

#[tokio::test]
async fn senders_and_links_of_a_blocked_invitation_are_refused() {
    let relay = TestRelay::start(Config::default()).await;
    let mut client = relay.client_at(18).await;
    let parts = NewParts::new();
    let request = invitation(&parts, data(b"f", b"u"));
    let response = parts.ask(&mut client, parts.command(Some(request), None)).await;
    let ids = ids(&response, &client);
    let (queue, link_id) = (ids.recipient_id.as_bytes().to_vec(), ids.link_id.unwrap().as_bytes().to_vec());
    let spam = Blocked { reason: BlockingReason::Spam, notice: Some(Notice { ttl: None }) };
    relay.relay.block(QueueName::Recipient(id(&queue)), spam).await.unwrap();
    let sender = ed25519();
    let expected = "ERR BLOCKED reason=spam,notice={}";
    let by_link = Command::SecureByLink(sender.public_key());
    assert_eq!(client.tell(Some(&sender), &link_id, &by_link).await, expected);
    let by_sender = Command::SecureBySender(sender.public_key());
    assert_eq!(client.tell(Some(&sender), &parts.sender_id, &by_sender).await, expected);
    assert_eq!(client.tell(Some(&ed25519()), &link_id, &by_link).await, "ERR AUTH", "a key proves itself first");
    assert!(relay.store().queue_by_recipient(&id(&queue)).unwrap().unwrap().sender_key.is_none());
    assert!(relay.store().link(&id(&queue)).unwrap().is_some(), "nothing was sent");
    relay.stop().await;
}

#[tokio::test]
async fn an_operator_finds_blocks_and_deletes_by_any_id() {
    let relay = TestRelay::start(Config::default()).await;
    let mut client = relay.client_at(17).await;
    let queue = client.new_queue(QueueMode::Contact, true).await;
    let link_id: [u8; 24] = rand::random();
    assert_eq!(client.tell(Some(&queue.key), &queue.recipient_id, &set(&link_id, b"f", b"u")).await, "OK");
    let recipient_id = id(&queue.recipient_id);
    for known in [recipient_id, id(&queue.sender_id), link_id] {
        let record = relay.relay.queue_status(&known).unwrap().unwrap();
        assert_eq!((record.recipient_id, record.status), (recipient_id, QueueStatus::Active));
    }
    assert!(relay.relay.queue_status(&[0; 24]).unwrap().is_none());
    assert_eq!(relay.relay.block(QueueName::Recipient([0; 24]), CONTENT).await.unwrap(), Blocking::NotFound);
    assert_eq!(relay.relay.unblock(QueueName::Recipient([0; 24])).await.unwrap(), Unblocking::NotFound);
    let name = QueueName::Side(Side::Sender, id(&queue.sender_id));
    assert_eq!(relay.relay.unblock(name).await.unwrap(), Unblocking::NotBlocked(QueueStatus::Active));

    assert_eq!(client.tell(None, &queue.sender_id, &send_command(b"hello")).await, "OK");
    assert!(client.receive().await.text().starts_with("MSG "));
    assert_eq!(relay.relay.delete_queue_by_operator(recipient_id).await.unwrap(), Some(1));
    let told = client.receive().await;
    assert_eq!((told.text().as_str(), told.entity.as_slice()), ("DELD", queue.recipient_id.as_slice()));
    assert_eq!(relay.relay.delete_queue_by_operator(recipient_id).await.unwrap(), None);
    assert_eq!(client.tell(None, &link_id, &Command::GetLink).await, "ERR AUTH");
    assert_eq!(client.tell(None, &queue.sender_id, &send_command(b"x")).await, "ERR AUTH");
    relay.stop().await;
}
