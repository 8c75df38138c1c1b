//! Section 11, error by error: each is provoked, at every version that has it.
//!
//! Errors of forwarding are in the tests of the proxy; EXPIRED and DUPLICATE_ are never sent.

use smp_proto::transport::BLOCK_LENGTH;
use smp_std::relay::config::Config;

use crate::VERSIONS;
use crate::hand::{ask, key, transmission};
use crate::harness::{RawClient, TestRelay};
use crate::subject::{CONTACT, Kind, MESSAGING, Subject, dh_key};

async fn send_content(client: &mut RawClient, content: &[u8]) {
    let mut block = Box::new([0; BLOCK_LENGTH]);
    let range = client.session.sealer.content_range();
    block[range][..content.len()].copy_from_slice(content);
    client.send_content(block, content.len()).await;
}

/// A batch of one.
fn batch(entry: &[u8]) -> Vec<u8> {
    [&[1][..], &u16::try_from(entry.len()).unwrap().to_be_bytes(), entry].concat()
}

#[tokio::test]
async fn block() {
    let relay = TestRelay::start(Config::default()).await;
    for version in VERSIONS {
        let mut client = relay.client_at(version).await;
        let ping = transmission(&client, [1; 24], None, b"", b"PING").bytes;
        // No batch: nothing in it, more than it says, less than it says.
        for content in [
            vec![],
            vec![0],
            vec![1],
            vec![2, 0, 0],
            [batch(&ping), vec![0]].concat(),
            [&[2][..], &batch(&ping)[1..]].concat(),
        ] {
            send_content(&mut client, &content).await;
            let reply = client.receive().await;
            assert_eq!(
                (reply.text().as_str(), &reply.correlation[..], &reply.entity[..]),
                ("ERR BLOCK", &b""[..], &b""[..])
            );
        }
        // No transmission.
        for entry in [vec![], vec![0], vec![5, 1, 2], ping[..ping.len() - "PING".len() - 1].to_vec()] {
            send_content(&mut client, &batch(&entry)).await;
            let reply = client.receive().await;
            assert_eq!((reply.text().as_str(), &reply.correlation[..]), ("ERR BLOCK", &b""[..]), "{version}");
        }
        // Authorizations that nothing has: the correlation id is known.
        for length in [1u8, 63, 65, 79, 81, 113, 115, 255] {
            let service = if version >= 16 { &b"0"[..] } else { b"" };
            let entry = [&[length][..], &vec![7; usize::from(length)], service, &ping[1..]].concat();
            send_content(&mut client, &batch(&entry)).await;
            let reply = client.receive().await;
            assert_eq!(
                (reply.text().as_str(), &reply.correlation[..], &reply.entity[..]),
                ("ERR BLOCK", &[1; 24][..], &b""[..]),
                "{version}"
            );
        }
        if version >= 16 {
            // Neither a service signature nor its absence.
            let entry = [&[64][..], &[7; 64], b"2", &ping[1..]].concat();
            send_content(&mut client, &batch(&entry)).await;
            assert_eq!(client.receive().await.text(), "ERR BLOCK");
        }
        assert_eq!(ask(&mut client, None, b"", b"PING").await.text(), "PONG");
    }
    relay.stop().await;
}

#[tokio::test]
async fn session() {
    let relay = TestRelay::start(Config::default()).await;
    let (mut client, other) = (relay.client_at(6).await, relay.client_at(6).await);
    let entry = transmission(&other, [4; 24], None, &[5; 24], b"PING").bytes;
    client.send_block(&[entry]).await;
    let reply = client.receive().await;
    assert_eq!(
        (reply.text().as_str(), &reply.correlation[..], &reply.entity[..]),
        ("ERR SESSION", &[4; 24][..], &b""[..])
    );
    relay.stop().await;
}

#[tokio::test]
async fn command_errors() {
    let relay = TestRelay::start(Config::default()).await;
    let mut keeper = relay.client().await;
    for version in VERSIONS {
        let mut client = relay.client_at(version).await;
        for unknown in [&b""[..], b" ", b"sub", b"SUBSCRIBE", b"OK", b"MSG x", b"\xff\xfe", b"SUB\n"] {
            assert_eq!(ask(&mut client, None, b"", unknown).await.text(), "ERR CMD UNKNOWN", "{unknown:?}");
        }
        // SUB and GET exclude each other on one connection.
        let subject = Subject::new(&mut keeper, Kind::Ed25519, MESSAGING).await;
        subject.recipient(&mut client, b"GET", "OK").await;
        subject.recipient(&mut client, b"SUB", "ERR CMD PROHIBITED").await;
        let subject = Subject::new(&mut keeper, Kind::Ed25519, MESSAGING).await;
        subject.recipient(&mut client, b"SUB", if version < 16 { "OK" } else { "SOK 0" }).await;
        subject.recipient(&mut client, b"GET", "ERR CMD PROHIBITED").await;
    }
    relay.stop().await;
}

#[tokio::test]
async fn quota_and_no_message() {
    let mut config = Config::default();
    config.messages.quota = 2;
    let relay = TestRelay::start(config).await;
    let mut keeper = relay.client().await;
    for version in VERSIONS {
        let mut client = relay.client_at(version).await;
        let subject = Subject::new(&mut keeper, Kind::Ed25519, CONTACT).await;
        let acknowledge = |id: &[u8]| [b"ACK \x18", id].concat();
        subject.recipient(&mut client, &acknowledge(&[0; 24]), "ERR NO_MSG").await;
        for expected in ["OK", "OK", "ERR QUOTA", "ERR QUOTA"] {
            assert_eq!(subject.send(&mut client, b"body").await.text(), expected, "version {version}");
        }
        let mut got = 0;
        loop {
            let reply = ask(&mut client, Some(&subject.recipient_key), &subject.recipient_id, b"GET").await;
            if reply.text() == "OK" {
                break;
            }
            assert!(reply.message.starts_with(b"MSG \x18"));
            let id = reply.message[5..29].to_vec();
            subject.recipient(&mut client, &acknowledge(&[0; 24]), "ERR NO_MSG").await;
            subject.recipient(&mut client, &acknowledge(&id), "OK").await;
            subject.recipient(&mut client, &acknowledge(&id), "ERR NO_MSG").await;
            got += 1;
        }
        assert_eq!(got, 3, "two messages and the quota mark");
        assert_eq!(subject.send(&mut client, b"body").await.text(), "OK", "there is room again");
    }
    relay.stop().await;
}

#[tokio::test]
async fn large_message() {
    let relay = TestRelay::start(Config::default()).await;
    let mut keeper = relay.client().await;
    for version in VERSIONS {
        let limit = match version {
            6 | 7 => 16_088,
            8..=10 => 16_064,
            _ => 16_048,
        };
        let mut client = relay.client_at(version).await;
        let subject = Subject::new(&mut keeper, Kind::Ed25519, MESSAGING).await;
        assert_eq!(subject.send(&mut client, &vec![1; limit + 1]).await.text(), "ERR LARGE_MSG", "version {version}");
        assert_eq!(subject.send(&mut client, &vec![1; limit]).await.text(), "OK", "version {version}");
    }
    relay.stop().await;
}

#[tokio::test]
async fn store() {
    let mut config = Config::default();
    config.queues.max = Some(0);
    let relay = TestRelay::start(config).await;
    for version in VERSIONS {
        let mut client = relay.client_at(version).await;
        let (own, dh) = (Kind::Ed25519.generate(), smp_crypto::key::X25519SecretKey::generate(&mut rand::rng()));
        let tail: &[u8] = match version {
            6..=8 => b"C",
            9..=14 => b"0CT",
            15 | 16 => b"0C0",
            _ => b"0C00",
        };
        let command = [b"NEW ".to_vec(), key(&own), dh_key(&dh), tail.to_vec()].concat();
        let expected =
            if version >= 16 { "ERR STORE the relay has as many queues as it may have" } else { "ERR INTERNAL" };
        assert_eq!(ask(&mut client, Some(&own), b"", &command).await.text(), expected, "version {version}");
    }
    relay.stop().await;
}

#[tokio::test]
async fn auth_for_new_queues() {
    for (allow, password) in [(false, None), (true, Some("secret".to_owned()))] {
        let mut config = Config::default();
        (config.queues.allow_new, config.queues.password) = (allow, password);
        let relay = TestRelay::start(config).await;
        for version in VERSIONS {
            let mut client = relay.client_at(version).await;
            let (own, dh) = (Kind::Ed25519.generate(), smp_crypto::key::X25519SecretKey::generate(&mut rand::rng()));
            let head = [b"NEW ".to_vec(), key(&own), dh_key(&dh)].concat();
            let (none, wrong, right): (&[u8], &[u8], &[u8]) = match version {
                6..=8 => (b"C", b"A\x06secreTC", b"A\x06secretC"),
                9..=14 => (b"0CT", b"1\x06secreTCT", b"1\x06secretCT"),
                15 | 16 => (b"0C0", b"1\x06secreTC0", b"1\x06secretC0"),
                _ => (b"0C00", b"1\x06secreTC00", b"1\x06secretC00"),
            };
            for tail in [none, wrong] {
                let reply = ask(&mut client, Some(&own), b"", &[&head[..], tail].concat()).await;
                assert_eq!(reply.text(), "ERR AUTH", "version {version}");
            }
            let reply = ask(&mut client, Some(&own), b"", &[&head[..], right].concat()).await;
            assert_eq!(reply.message.starts_with(b"IDS "), allow, "version {version}: {}", reply.text());
        }
        relay.stop().await;
    }
}
