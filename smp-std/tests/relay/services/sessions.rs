//! Who is let in as a service, and what its sessions may do.

use std::sync::atomic::Ordering;
use std::time::Duration;

use smp_crypto::session::SessionError;
use smp_proto::smp::error::{HandshakeError, TransportError};
use smp_proto::transport::BLOCK_LENGTH;
use smp_std::identity::{Identity, KeyAlgorithm};
use smp_std::relay::config::Config;

use super::certificates::Claim;
use super::*;
use crate::gated::gated;
use crate::harness::Signing;

const BOTH: Signing = Signing { with_fingerprint: true, service_signature: true };
const NEITHER: Signing = Signing { with_fingerprint: false, service_signature: false };

#[tokio::test]
async fn a_certificate_has_one_id_in_every_version() {
    let relay = relay().await;
    let services = [TestService::self_signed(), TestService::with_authority(), TestService::self_signed()];
    let mut ids = Vec::new();
    for service in &services {
        let id = service.connect(&relay, ServiceRole::Messaging).await.service_id();
        for version in 16..=20 {
            let mut client = service.connect_at(&relay, ServiceRole::Messaging, version).await;
            assert_eq!(client.service_id(), id);
            assert_eq!(client.tell(None, b"", &Command::Ping).await, "PONG");
        }
        assert_eq!(id.len(), 24);
        ids.push(id);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), services.len());
    // Below version 16 there are no services, whatever certificate is shown.
    let claim =
        Claim { in_tls: Some(&services[0]), in_hello: Some((&services[0], ServiceRole::Messaging)), version: 15 };
    let mut client = claim.connect(&relay).await.ok().unwrap();
    assert!(client.session.context.service().is_none());
    client.new_queue(QueueMode::Messaging, false).await;
    // And who has a certificate need not be one.
    let claim = Claim { in_tls: Some(&services[0]), in_hello: None, version: 20 };
    claim.connect(&relay).await.ok().unwrap().new_queue(QueueMode::Messaging, false).await;
}

#[tokio::test]
async fn who_is_not_the_service_is_told_and_sent_away() {
    let relay = relay().await;
    let (service, other) = (TestService::self_signed(), TestService::with_authority());
    drop(service.connect(&relay, ServiceRole::Messaging).await);
    drop(other.connect(&relay, ServiceRole::Notifier).await);
    let refused = async |in_tls, in_hello| {
        let claim = Claim { in_tls, in_hello: Some(in_hello), version: 20 };
        let Err((error, mut tls)) = claim.connect(&relay).await else { panic!("it was let in") };
        let mut block = Box::new([0; BLOCK_LENGTH]);
        let read = tokio::time::timeout(crate::harness::PATIENCE, tls.read_block(&mut block)).await.unwrap();
        assert!(read.is_err(), "the connection is closed");
        error
    };
    let handshake = |error| SessionError::Service(TransportError::Handshake(error));
    for role in [ServiceRole::Notifier, ServiceRole::Proxy] {
        assert_eq!(refused(Some(&service), (&service, role)).await, handshake(HandshakeError::BadService));
    }
    let bad = handshake(HandshakeError::BadAuthentication);
    assert_eq!(refused(Some(&other), (&service, ServiceRole::Messaging)).await, bad, "another's certificate");
    assert_eq!(refused(None, (&service, ServiceRole::Messaging)).await, bad, "none in TLS");
}

#[tokio::test]
async fn services_beyond_the_limit_wait_until_there_is_room() {
    let mut config = smp_std::relay::config::Config::default();
    config.services.max = 2;
    let relay = TestRelay::start(config).await;
    let (kept, unused, late) = (TestService::self_signed(), TestService::self_signed(), TestService::self_signed());
    let mut receiver = kept.connect(&relay, ServiceRole::Messaging).await;
    receiver.new_queue(QueueMode::Messaging, true).await;
    let kept_id = receiver.service_id();
    drop(receiver);
    drop(unused.connect(&relay, ServiceRole::Messaging).await);
    // One that has no queues and is not connected makes room for it, in the background.
    let mut attempts = 0;
    loop {
        let claim = Claim { in_tls: Some(&late), in_hello: Some((&late, ServiceRole::Messaging)), version: 20 };
        match claim.connect(&relay).await {
            Ok(_) => break,
            Err((error, _)) => {
                assert_eq!(error, SessionError::Service(TransportError::Handshake(HandshakeError::BadService)))
            }
        }
        attempts += 1;
        assert!(attempts < 100, "nothing was forgotten");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(attempts > 0);
    assert_eq!(kept.connect(&relay, ServiceRole::Messaging).await.service_id(), kept_id, "it has a queue");
}

#[tokio::test]
async fn commands_that_associate_queues_are_signed_by_the_service() {
    let relay = relay().await;
    let service = TestService::self_signed();
    for version in [16, 18, 19, 20] {
        let mut client = service.connect_at(&relay, ServiceRole::Messaging, version).await;
        let id = client.service_id();
        let (key, dh) = (ed25519(), X25519SecretKey::generate(&mut rand::rng()));
        let mut buffer = vec![0; BLOCK_LENGTH];
        let mut writer = smp_proto::wire::Writer::new(&mut buffer);
        new_command(&key, &dh, QueueMode::Contact, true).encode(&mut writer, client.version()).unwrap();
        let new = writer.written().to_vec();
        let tell =
            async |client: &mut RawClient, key: &AuthorizationSecretKey, entity: &[u8], command: &[u8], signing| {
                let (correlation, transmission) = client.encode_signing(Some(key), entity, command, signing);
                client.send_block(&[transmission]).await;
                client.response_to(&correlation).await.text()
            };
        assert_eq!(tell(&mut client, &key, b"", &new, NEITHER).await, "ERR SERVICE");
        let only_signed = Signing { with_fingerprint: false, service_signature: true };
        assert_eq!(tell(&mut client, &key, b"", &new, only_signed).await, "ERR AUTH");
        let unsigned = Signing { with_fingerprint: true, service_signature: false };
        assert_eq!(tell(&mut client, &key, b"", &new, unsigned).await, "ERR SERVICE");
        assert!(tell(&mut client, &key, b"", &new, BOTH).await.starts_with("IDS "));

        let queue = client.new_queue(QueueMode::Contact, true).await;
        let recipient = queue.recipient_id.clone();
        assert_eq!(tell(&mut client, &queue.key, &recipient, b"SUB", NEITHER).await, "ERR SERVICE");
        assert!(tell(&mut client, &queue.key, &recipient, b"SUB", BOTH).await.starts_with("SOK 1"));
        for command in [&b"GET"[..], b"QUE", b"OFF", b"DEL"] {
            assert_eq!(tell(&mut client, &queue.key, &recipient, command, BOTH).await, "ERR SERVICE");
        }
        // Somebody else's key in the place of the service's.
        let own = client.service.replace(smp_crypto::key::Ed25519SecretKey::generate(&mut rand::rng()));
        assert_eq!(tell(&mut client, &queue.key, &recipient, b"SUB", BOTH).await, "ERR SERVICE");
        let wrong = client.service_key();
        client.service = own;
        let own = client.service_key();
        let mut writer = smp_proto::wire::Writer::new(&mut buffer);
        Command::SubscribeService(ServiceQueues::UNKNOWN).encode(&mut writer, client.version()).unwrap();
        let subs = writer.written().to_vec();
        assert_eq!(tell(&mut client, &wrong, &id, &subs, NEITHER).await, "ERR SERVICE");
        assert_eq!(tell(&mut client, &own, &[7; 24], &subs, NEITHER).await, "ERR SERVICE");
        assert_eq!(tell(&mut client, &own, &id, &subs, BOTH).await, "ERR SERVICE");
        let fingerprinted = Signing { with_fingerprint: true, service_signature: false };
        assert_eq!(tell(&mut client, &own, &id, &subs, fingerprinted).await, "ERR SERVICE");
        assert!(tell(&mut client, &own, &id, &subs, NEITHER).await.starts_with("SOKS "));

        // Who is no service has no such signatures, and no such commands.
        let mut plain = relay.client_at(version).await;
        assert_eq!(tell(&mut plain, &queue.key, &recipient, b"SUB", BOTH).await, "ERR SERVICE");
        assert_eq!(tell(&mut plain, &own, &id, &subs, NEITHER).await, "ERR SERVICE");
        assert_eq!(tell(&mut plain, &queue.key, &recipient, b"DEL", NEITHER).await, "OK");
    }
}

#[tokio::test]
async fn a_session_keeps_to_its_role() {
    let relay = relay().await;
    let mut clients = Vec::new();
    for role in [ServiceRole::Messaging, ServiceRole::Notifier, ServiceRole::Proxy] {
        clients.push((role, TestService::self_signed().connect(&relay, role).await));
    }
    let mut plain = relay.client().await;
    let queue = plain.new_queue(QueueMode::Contact, true).await;
    const PROHIBITED: &str = "ERR CMD PROHIBITED";
    for (role, client) in &mut clients {
        let (messaging, notifier) = (*role == ServiceRole::Messaging, *role == ServiceRole::Notifier);
        let (key, id) = (client.service_key(), client.service_id());
        assert_eq!(client.tell(None, b"", &Command::Ping).await, "PONG");
        // The role comes before the signature and before everything about the queue.
        let allowed =
            |response: &str, allowed: bool| assert_eq!(response != PROHIBITED, allowed, "{role:?} {response}");
        allowed(&client.tell_raw(Some(&ed25519()), &[1; 24], b"SUB").await, messaging);
        allowed(&client.tell_raw(Some(&ed25519()), &[1; 24], b"DEL").await, messaging);
        allowed(&client.tell(None, &queue.sender_id, &send_command(b"hello")).await, messaging);
        allowed(&client.tell_raw(None, b"", b"RSLV simplex.testing").await, messaging);
        allowed(&client.tell_raw(Some(&ed25519()), &[1; 24], b"NSUB").await, notifier);
        let none = QueueSet::default();
        let subs = Command::SubscribeService(queues(&none));
        allowed(&client.tell(Some(&key), &id, &subs).await, messaging);
        let nsubs = Command::SubscribeNotifierService(queues(&none));
        allowed(&client.tell(Some(&key), &id, &nsubs).await, notifier);
    }
    // Services have no queues that they do not receive from.
    let (_, client) = &mut clients[0];
    let (key, dh) = (ed25519(), X25519SecretKey::generate(&mut rand::rng()));
    let create_only = new_command(&key, &dh, QueueMode::Messaging, false);
    assert_eq!(client.tell(Some(&key), b"", &create_only).await, PROHIBITED);
}

#[tokio::test]
async fn whoever_brings_a_queue_receives_although_another_took_over_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let identity = Identity::create(directory.path(), KeyAlgorithm::Ed25519, "localhost").unwrap();
    let mut gate = None;
    let open = |options| {
        let (gated, store) = gated(options);
        gate = Some(gated);
        store
    };
    let relay = TestRelay::start_with(Config::default(), identity, directory, open).await;
    let gated = gate.unwrap();
    let service = TestService::self_signed();
    let mut first = service.connect(&relay, ServiceRole::Messaging).await;
    let mut second = service.connect(&relay, ServiceRole::Messaging).await;
    let mut bob = relay.client().await;
    let queue = bob.new_queue(QueueMode::Contact, false).await;
    assert_eq!(send(&mut bob, None, &queue, b"waits").await, "OK");

    gated.gate(true);
    let entered = gated.entered.load(Ordering::SeqCst);
    let correlation = first.send(Some(&queue.key), &queue.recipient_id, &Command::Subscribe).await;
    while gated.entered.load(Ordering::SeqCst) == entered {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // It looks through queues of which that is none yet.
    assert_eq!(second.subscribe_all(QueueSet::default()).await, QueueSet::default());
    assert_eq!(second.event().await.1, "ALLS");
    gated.gate(false);
    assert!(first.response_to(&correlation).await.text().starts_with("SOK 1"));
    let ended = second.receive().await;
    assert_eq!((second.read_set(&ended), ended.entity), (QueueSet::default(), second.service_id()));
    let (id, plain) = first.message(&queue).await;
    assert_eq!(body(&plain), b"waits");
    assert_eq!(first.acknowledge(&queue, &id).await, "OK");
    assert_eq!(send(&mut bob, None, &queue, b"live").await, "OK");
    assert_eq!(body(&first.message(&queue).await.1), b"live");
    assert_eq!(first.subscribe_all(QueueSet::default()).await, recipients([&queue]));
    second.assert_silent().await;
}

/// Each session begins to receive with this queue, so that it may hear nothing yet of what others do with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_loses_a_queue_in_the_instant_in_which_it_came_is_told() {
    let relay = relay().await;
    let mut owner = relay.client().await;
    for _ in 0..40 {
        let queue = owner.new_queue(QueueMode::Contact, false).await;
        let mut sessions = Vec::new();
        for _ in 0..2 {
            sessions.push(TestService::self_signed().connect(&relay, ServiceRole::Messaging).await);
        }
        let mut asked = Vec::new();
        for session in &mut sessions {
            asked.push(session.send(Some(&queue.key), &queue.recipient_id, &Command::Subscribe).await);
        }
        for (session, asked) in sessions.iter_mut().zip(&asked) {
            assert!(session.response_to(asked).await.text().starts_with("SOK 1"));
        }
        let mut losers = Vec::new();
        for mut session in sessions {
            if session.subscribe_all(QueueSet::default()).await.count == 0 {
                losers.push(session);
            }
        }
        assert_eq!(losers.len(), 1);
        let mut event = losers[0].event().await;
        if event.1 == "ALLS" {
            event = losers[0].event().await;
        }
        assert_eq!(event, (queue.recipient_id, "END".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_brings_a_queue_that_is_deleted_in_that_instant_is_told_so() {
    let relay = relay().await;
    let mut owner = relay.client().await;
    let mut brought = 0;
    for _ in 0..40 {
        let queue = owner.new_queue(QueueMode::Contact, false).await;
        let mut session = TestService::self_signed().connect(&relay, ServiceRole::Messaging).await;
        let asked = session.send(Some(&queue.key), &queue.recipient_id, &Command::Subscribe).await;
        assert_eq!(owner.tell(Some(&queue.key), &queue.recipient_id, &Command::Delete).await, "OK");
        let answer = session.response_to(&asked).await.text();
        if answer.starts_with("SOK 1") {
            assert_eq!(session.event().await, (queue.recipient_id, "DELD".to_owned()));
            brought += 1;
        } else {
            assert_eq!(answer, "ERR AUTH");
        }
    }
    assert!(brought > 0, "every queue was deleted before it was brought");
}
