//! Notifications and names, and what new queues can come with, between the client and this project's relay.

use smp_proto::smp::SmpError;
use smp_proto::smp::names::Domain;
use smp_proto::smp::recipient::QueueMode;
use smp_proto::version::SmpVersion;
use smp_std::client::{ClientError, CommandKey, Credentials, Event, NewLink, QueueOptions, ReservedId, SenderCommands};

use crate::conversation::{client, relay};
use crate::next;

#[tokio::test]
async fn links_and_notifiers_of_new_queues_need_their_versions() {
    let server = relay();
    let (owner, _events) = client(&server, 14).await;
    let reserved = ReservedId::generate();
    let mut options = QueueOptions::default();
    options.link = Some(NewLink { reserved: &reserved, link_id: None, fixed: b"", user: b"" });
    assert!(matches!(owner.create_queue(&options).await, Err(ClientError::NotAtThisVersion(SmpVersion(14)))));
    options.mode = QueueMode::Contact;
    let (owner, _events) = client(&server, 16).await;
    assert!(matches!(owner.create_queue(&options).await, Err(ClientError::UnusableLink)), "no link id");
    options.link = None;
    options.notifier = Some(CommandKey::generate(SmpVersion::MAX).public());
    assert!(matches!(owner.create_queue(&options).await, Err(ClientError::NotAtThisVersion(SmpVersion(16)))));
}

#[tokio::test]
async fn a_notifier_learns_that_a_message_waits_and_nothing_more() {
    let server = relay();
    // On both sides of every change: notifications take their time.
    for version in [6, 9, 10, 16, 17, 20] {
        let (owner, mut events) = client(&server, version).await;
        let (notifier, mut notified) = client(&server, version).await;
        let key = CommandKey::generate(SmpVersion(version));
        let mut options = QueueOptions::default();
        if version >= 17 {
            options.notifier = Some(key.public());
        }
        let created = owner.create_queue(&options).await.unwrap();
        let access = match created.notifier {
            Some(access) => access,
            None => owner.enable_notifications(&created.recipient, key.public()).await.unwrap(),
        };
        let credentials = Credentials { id: access.notifier_id.clone(), key };
        notifier.subscribe_notifications(&credentials).await.unwrap();
        let (sender, _events) = client(&server, version).await;
        sender.send(&created.sender_id, None, true, b"hello").await.unwrap();
        let Event::Message(delivery) = next(&mut events).await else { panic!("no message") };
        let Event::Notification(notification) = next(&mut notified).await else { panic!("no notification") };
        assert_eq!(notification.notifier_id, access.notifier_id);
        let (message, time) = notification.open(&access.secret).unwrap();
        assert_eq!(message, delivery.message_id);
        assert!(time > 1_700_000_000);
        let other = smp_crypto::key::SharedSecret::from_bytes([7; 32]);
        assert!(matches!(notification.open(&other), Err(ClientError::Malformed)));

        owner.disable_notifications(&created.recipient).await.unwrap();
        match next(&mut notified).await {
            Event::QueueDeleted(id) if version >= 10 => assert_eq!(id, access.notifier_id),
            Event::SubscriptionEnded(id) if version < 10 => assert_eq!(id, access.notifier_id),
            event => panic!("{event:?}"),
        }
        assert!(notifier.subscribe_notifications(&credentials).await.unwrap_err().is_not_authorized());
    }
}

#[tokio::test]
async fn names_need_a_relay_that_resolves_them() {
    let server = relay();
    let name = Domain::new("alice.simplex").unwrap();
    let (client_20, _events) = client(&server, 20).await;
    let error = client_20.resolve_name(name).await.unwrap_err();
    let ClientError::Relay(error) = error else { panic!("{error:?}") };
    assert!(matches!(error.get(), SmpError::Name(_)), "{error:?}");
    let (client_19, _events) = client(&server, 19).await;
    assert!(matches!(client_19.resolve_name(name).await, Err(ClientError::NotAtThisVersion(SmpVersion(19)))));
}
