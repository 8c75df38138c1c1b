//! A relay as the destination of private routing (wire reference, sections 12.3 and 12.4).

use smp_crypto::key::X25519SecretKey;
use smp_proto::id::CorrelationId;
use smp_proto::key::X25519PublicKey;
use smp_proto::smp::Command;
use smp_proto::smp::recipient::QueueMode;
use smp_proto::version::{SmpVersion, VersionRange};
use smp_std::net::ClientAlpn;

use crate::harness::{ack, send_command};
use crate::routing::{RawProxy, RelaySession};
use crate::{body, ed25519, relay, x25519};

#[tokio::test]
async fn forwarded_commands_do_what_direct_ones_do() {
    let relay = relay().await;
    for version in [8, 9, 10, 14, 15, 16, 17, 18, 19, 20] {
        let mut alice = relay.client().await;
        let mut proxy = RawProxy::connect(&relay, version).await;
        for key in [ed25519(), x25519()] {
            let queue = alice.new_queue(QueueMode::Messaging, true).await;
            let session = proxy.session.clone();
            let sealed = session.seal(None, &queue.sender_id, &send_command(b"before"));
            let response = proxy.ask(&sealed).await;
            assert_eq!(response.correlation, sealed.correlation);
            assert_eq!(response.entity, queue.sender_id);
            assert_eq!(response.text(), "OK");
            let (id, plain) = alice.message(&queue).await;
            assert_eq!(body(&plain), b"before");
            assert_eq!(alice.tell(Some(&queue.key), &queue.recipient_id, &ack(&id)).await, "OK");

            let secure = Command::SecureBySender(key.public_key());
            let sealed = session.seal(Some(&key), &queue.sender_id, &secure);
            assert_eq!(proxy.ask(&sealed).await.text(), "OK");
            let sealed = session.seal(None, &queue.sender_id, &send_command(b"stranger"));
            assert_eq!(proxy.ask(&sealed).await.text(), "ERR AUTH");
            let longest = vec![7; SmpVersion(version).max_message_length()];
            let sealed = session.seal(Some(&key), &queue.sender_id, &send_command(&longest));
            assert_eq!(proxy.ask(&sealed).await.text(), "OK");
            let (_, plain) = alice.message(&queue).await;
            assert_eq!(body(&plain), longest);
            if version >= 11 {
                let longer = vec![7; longest.len() + 1];
                let sealed = session.seal(Some(&ed25519()), &queue.sender_id, &send_command(&longer));
                // Who is not allowed to send does not learn how much would be.
                assert_eq!(proxy.ask(&sealed).await.text(), "ERR AUTH");
                let sealed = session.seal(Some(&key), &queue.sender_id, &send_command(&longer));
                assert_eq!(proxy.ask(&sealed).await.text(), "ERR LARGE_MSG");
            }
        }
    }
    assert_eq!(relay.relay.stats().forwards_received.get(), 10 * 2 * 4 + 7 * 2 * 2);
    relay.stop().await;
}

/// The version in the envelope counts, not that of the connection.
#[tokio::test]
async fn the_envelope_names_the_version() {
    let relay = relay().await;
    let mut alice = relay.client().await;
    let mut proxy = RawProxy::connect(&relay, 20).await;
    let queue = alice.new_queue(QueueMode::Contact, true).await;
    for (version, length, expected) in [
        (8, 16_064, "OK"),
        (10, 16_064, "OK"),
        (11, 16_064, "ERR LARGE_MSG"),
        (20, 16_049, "ERR LARGE_MSG"),
        (20, 16_048, "OK"),
        // Versions nobody negotiates: the framing inside stays the same.
        (7, 16_088, "OK"),
        (6, 16_088, "OK"),
        (0, 16_089, "ERR LARGE_MSG"),
        (99, 16_048, "OK"),
    ] {
        let body = vec![1; length];
        let framing = proxy.session_at(version.max(7));
        let correlation = rand::random();
        let transmission =
            framing.transmission(&correlation, None, &queue.sender_id, &framing.command(&send_command(&body)));
        let mut sealed = framing.seal_batch(correlation, &[transmission]);
        sealed.version = SmpVersion(version);
        assert_eq!(proxy.ask(&sealed).await.text(), expected, "{version}");
    }
    relay.stop().await;
}

#[tokio::test]
async fn what_is_wrong_inside_is_told_inside() {
    let relay = relay().await;
    let mut alice = relay.client().await;
    let mut proxy = RawProxy::connect(&relay, 20).await;
    let session = proxy.session.clone();
    let queue = alice.new_queue(QueueMode::Messaging, false).await;
    let entity = &queue.sender_id[..];
    let key = Some(&queue.key);
    for (key, entity, command, expected) in [
        (None, &[][..], &b"PING"[..], "ERR CMD PROHIBITED"),
        (key, &queue.recipient_id[..], b"SUB", "ERR CMD PROHIBITED"),
        (key, &queue.recipient_id, b"GET", "ERR CMD PROHIBITED"),
        (key, &queue.recipient_id, b"DEL", "ERR CMD PROHIBITED"),
        (None, &[], b"RFWD abc", "ERR CMD PROHIBITED"),
        (
            None,
            &session.id,
            &[&b"PFWD \x00\x14\x2c"[..], &X25519PublicKey::from_spki(&some_key()).unwrap().to_spki(), b"x"].concat(),
            "ERR CMD PROHIBITED",
        ),
        (None, &[], b"SUB", "ERR CMD NO_AUTH"),
        (None, &[], b"SEND F body", "ERR CMD NO_ENTITY"),
        (None, entity, b"SEND", "ERR CMD SYNTAX"),
        (None, entity, b"HELLO", "ERR CMD UNKNOWN"),
        (None, entity, b"", "ERR CMD UNKNOWN"),
        (None, &[9; 24], b"SEND F body", "ERR AUTH"),
        (key, entity, b"SEND F body", "ERR AUTH"),
    ] {
        let correlation = rand::random();
        let transmission = session.transmission(&correlation, key, entity, command);
        let response = proxy.ask(&session.seal_batch(correlation, &[transmission])).await;
        assert_eq!(response.text(), expected, "{:?}", String::from_utf8_lossy(command));
        assert_eq!(response.correlation, correlation);
        assert_eq!(response.entity, entity);
    }

    // No transmission, one that cannot be read, and one with an authorization that cannot be one.
    let correlation: [u8; 24] = rand::random();
    for content in [&b""[..], b"\0", b"\x01", b"\x01\0\x05\0\0", b"\x01\0\x02\x18a", b"\x01\0\x03\0\0\0garbage"] {
        let response = proxy.ask(&session.seal_content(correlation, content)).await;
        assert_eq!(response.text(), "ERR BLOCK");
        assert_eq!((&response.correlation[..], &response.entity[..]), (&b""[..], &b""[..]));
    }
    let transmission = [&[3, 1, 2, 3, b'0', 24][..], &correlation, &[0], b"PING"].concat();
    let response = proxy.ask(&session.seal_batch(correlation, &[transmission])).await;
    assert_eq!(response.text(), "ERR BLOCK");
    assert_eq!(response.correlation, correlation);
    relay.stop().await;
}

fn some_key() -> Vec<u8> {
    X25519SecretKey::generate(&mut rand::rng()).public_key().to_spki().to_vec()
}

#[tokio::test]
async fn what_is_wrong_with_the_envelope_is_told_to_the_proxy() {
    let relay = relay().await;
    let mut proxy = RawProxy::connect(&relay, 18).await;
    let session = proxy.session.clone();
    let sealed = session.seal(None, &[1; 24], &send_command(b"hello"));

    // Not sealed by the session's keys, in whatever length.
    let (correlation, parameter) = proxy.wrap(&sealed);
    assert_eq!(proxy.refused(rand::random(), &parameter).await, "ERR CRYPTO");
    for length in [0, 1, 15, 16, 17, 100, parameter.len() - 1] {
        assert_eq!(proxy.refused(correlation, &parameter[..length]).await, "ERR CRYPTO", "{length}");
    }
    let mut changed = parameter.clone();
    changed[5_000] ^= 1;
    assert_eq!(proxy.refused(correlation, &changed).await, "ERR CRYPTO");

    // Sealed, but not an envelope.
    let mut buffer = vec![0; 200];
    let nonsense = smp_crypto::secret_box::BoxKey::from(&proxy.client.session.context.session_secret().unwrap());
    buffer[16..].fill(0xff);
    nonsense.seal(&smp_crypto::secret_box::Nonce::from_slice(&correlation), &mut buffer).unwrap();
    assert_eq!(proxy.refused(correlation, &buffer).await, "ERR CMD SYNTAX");

    // For another relay's key, or changed on the way.
    let other = RelaySession { key: X25519SecretKey::generate(&mut rand::rng()).public_key(), ..session.clone() };
    for sealed in [
        other.seal(None, &[1; 24], &send_command(b"hello")),
        {
            let mut sealed = session.seal(None, &[1; 24], &send_command(b"hello"));
            sealed.encrypted[77] ^= 1;
            sealed
        },
        {
            let mut sealed = session.seal(None, &[1; 24], &send_command(b"hello"));
            sealed.encrypted.truncate(10);
            sealed
        },
    ] {
        let (correlation, parameter) = proxy.wrap(&sealed);
        assert_eq!(proxy.refused(correlation, &parameter).await, "ERR CRYPTO");
    }

    // More than one transmission.
    let correlation = rand::random();
    let one = session.transmission(&correlation, None, &[1; 24], b"SEND F body");
    let sealed = session.seal_batch(correlation, &[one.clone(), one]);
    let (correlation, parameter) = proxy.wrap(&sealed);
    assert_eq!(proxy.refused(correlation, &parameter).await, "ERR BLOCK");

    // The connection goes on.
    let sealed = session.seal(None, &[1; 24], &send_command(b"hello"));
    assert_eq!(proxy.ask(&sealed).await.text(), "ERR AUTH");
    relay.stop().await;
}

/// Version 6 has no session keys.
#[tokio::test]
async fn without_session_keys_nothing_can_be_forwarded() {
    let relay = relay().await;
    let mut client = relay.client_of(VersionRange::SMP_LEGACY, ClientAlpn::Smp).await;
    assert_eq!(client.tell_raw(None, &[], b"RFWD abc").await, "ERR PROXY BROKER TRANSPORT NO_AUTH");
    relay.stop().await;
}

/// Many at once: all are answered, although only a few at a time are carried out.
#[tokio::test]
async fn many_forwarded_commands_are_carried_out_at_once() {
    let mut config = smp_std::relay::config::Config::default();
    config.proxy.received_in_flight = 8;
    let relay = crate::TestRelay::start(config).await;
    let mut alice = relay.client().await;
    let mut proxy = RawProxy::connect(&relay, 20).await;
    let queue = alice.new_queue(QueueMode::Contact, false).await;
    for _ in 0..5 {
        let mut waiting = std::collections::HashMap::new();
        for number in 0..20u8 {
            let sealed = proxy.session.seal(None, &queue.sender_id, &send_command(&[number]));
            let (correlation, parameter) = proxy.wrap(&sealed);
            proxy.send(correlation, &parameter).await;
            waiting.insert(correlation.to_vec(), sealed);
        }
        while !waiting.is_empty() {
            let received = proxy.client.receive().await;
            let sealed = waiting.remove(&received.correlation).expect("answered once");
            let correlation = CorrelationId::new(&received.correlation).unwrap().to_array().unwrap();
            assert_eq!(proxy.unwrap(&sealed, &correlation, &received).text(), "OK");
        }
    }
    relay.stop().await;
}
