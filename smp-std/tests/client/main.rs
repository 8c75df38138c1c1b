//! Stories of the client against relays that follow a script: slow, wrong, silent, hostile.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod conversation;
mod families;
mod links;
mod patience;
mod proxied;
mod reconnect;
mod scripted;

use std::time::Duration;

use scripted::{Asked, PATIENCE, Peer, accept, connect, connected, hello, identity, try_connect, versions};
use smp_crypto::certificate::CertificateSigner;
use smp_crypto::key::{Ed25519SecretKey, X25519SecretKey};
use smp_crypto::session::ServerConfiguration;
use smp_proto::id::{MessageId, QueueId, SessionId};
use smp_proto::smp::recipient::{EncryptedMessage, QueueIds, QueueMode};
use smp_proto::smp::{BrokerMessage, SmpError};
use smp_proto::transport::ServerHello;
use smp_proto::transport::hello::CertificateChain;
use smp_proto::version::SmpVersion;
use smp_proto::wire::{Encode, LongString, Writer, pad_in_place};
use smp_std::client::{
    Client, ClientError, CommandKey, Credentials, Event, Events, HandshakeFailure, Id, Options, QueueOptions,
};
use smp_std::net::{BLOCK_SIZE, ClientAlpn};

fn queue(number: u8) -> Credentials {
    Credentials { id: Id::new(&[number; 24]).unwrap(), key: CommandKey::generate(SmpVersion::MAX) }
}

fn message(id: &[u8; 24]) -> BrokerMessage<'_> {
    BrokerMessage::Message(EncryptedMessage { message_id: MessageId::from_array(id), body: b"body" })
}

async fn next(events: &mut Events) -> Event {
    tokio::time::timeout(PATIENCE, events.next()).await.expect("an event in time").expect("an event")
}

/// Answers every command with what `answer` says, until the client goes.
async fn serve(mut peer: Peer, answer: impl Fn(&Asked) -> BrokerMessage<'static>) -> Peer {
    loop {
        let asked = peer.asked().await;
        if asked.is_empty() {
            return peer;
        }
        for asked in asked {
            peer.answer(&asked, answer(&asked)).await;
        }
    }
}

#[tokio::test]
async fn the_highest_common_version_is_spoken() {
    for max in 6..=25 {
        let (client, _events, mut peer) = connected(max, &Options::default()).await;
        let session = client.session().clone();
        assert_eq!(session.version, SmpVersion(max.min(20)));
        assert_eq!(session.offered, versions(6, max));
        assert_eq!(session.blocks_encrypted, max >= 11);
        assert_eq!(peer.version, session.version);
        let (pong, ()) = tokio::join!(client.ping(), async {
            let asked = peer.asked().await;
            assert_eq!(asked[0].command, b"PING");
            peer.answer(&asked[0], BrokerMessage::Pong).await;
        });
        pong.unwrap();
    }
}

#[tokio::test]
async fn without_alpn_it_is_version_6() {
    let mut options = Options::default();
    options.alpn = ClientAlpn::Absent;
    let (client, _events, peer) = connected(20, &options).await;
    assert_eq!(client.session().version, SmpVersion(6));
    // Version 6 knows no authenticators: a new queue gets a signature key.
    let options = QueueOptions::default();
    let creating = client.create_queue(&options);
    let (created, _) = tokio::join!(creating, async {
        let mut peer = peer;
        let asked = peer.asked().await;
        let relay_dh_key = X25519SecretKey::generate(&mut rand::rng()).public_key();
        let ids = QueueIds {
            recipient_id: QueueId::from_array(&[1; 24]),
            sender_id: QueueId::from_array(&[2; 24]),
            relay_dh_key,
            mode: None,
            link_id: None,
            service_id: None,
            notifier: None,
        };
        peer.answer(&asked[0], BrokerMessage::Ids(ids)).await;
        peer
    });
    let created = created.unwrap();
    assert_eq!(created.mode, None);
    assert!(matches!(created.recipient.key.public(), smp_proto::key::AuthorizationKey::Ed25519(_)));
}

#[tokio::test]
async fn no_version_in_common_is_said_so() {
    let mut options = Options::default();
    options.versions = versions(15, 20);
    let (near, far) = tokio::io::duplex(3 * BLOCK_SIZE);
    tokio::spawn(async move {
        let mut stream = accept(far).await.unwrap();
        let chain: Vec<_> = identity().chain().iter().map(|der| LongString::new(der).unwrap()).collect();
        let configuration = ServerConfiguration::new(versions(6, 14), CertificateChain::new(&chain).unwrap()).unwrap();
        let (_, block) = hello(&configuration, &stream);
        stream.write_block(&block).await.unwrap();
        stream.flush().await.unwrap();
        let _ = stream.block_ready().await;
    });
    let error = connect(near, identity().fingerprint(), &options).await.unwrap_err();
    assert!(matches!(error, ClientError::Handshake(HandshakeFailure::Version(range)) if range == versions(6, 14)));
    assert!(!error.is_temporary());
}

#[tokio::test]
async fn another_identity_is_refused() {
    let (near, far) = tokio::io::duplex(3 * BLOCK_SIZE);
    let options = Options::default();
    let (result, _) = tokio::join!(connect(near, &[7; 32], &options), accept(far));
    let error = result.unwrap_err();
    assert!(matches!(error, ClientError::Identity), "{error:?}");
    assert!(!error.is_temporary());
}

/// Connects to a relay whose hello is what `make` writes.
async fn connect_to_hello(
    make: impl FnOnce(&mut Writer<'_>, SessionId<'_>, &CertificateChain<'_>) + Send + 'static,
) -> ClientError {
    let (near, far) = tokio::io::duplex(3 * BLOCK_SIZE);
    tokio::spawn(async move {
        let mut stream = accept(far).await.unwrap();
        let chain: Vec<_> = identity().chain().iter().map(|der| LongString::new(der).unwrap()).collect();
        let chain = CertificateChain::new(&chain).unwrap();
        let mut block = Box::new([0; BLOCK_SIZE]);
        let mut writer = Writer::new(&mut block[2..]);
        make(&mut writer, SessionId::new(stream.session_identifier()).unwrap(), &chain);
        let length = writer.len();
        pad_in_place(&mut block[..], length).unwrap();
        stream.write_block(&block).await.unwrap();
        stream.flush().await.unwrap();
        let _ = stream.block_ready().await;
    });
    connect(near, identity().fingerprint(), &Options::default()).await.unwrap_err()
}

#[tokio::test]
async fn wrong_hellos_are_refused() {
    let error = connect_to_hello(|writer, session_id, _| {
        versions(6, 20).encode(writer).unwrap();
        session_id.encode(writer).unwrap();
    })
    .await;
    assert!(matches!(error, ClientError::Handshake(HandshakeFailure::Malformed)), "no session key: {error:?}");

    let error = connect_to_hello(|writer, _, _| {
        let hello = ServerHello {
            versions: versions(6, 6),
            session_id: SessionId::new(&[1; 32]).unwrap(),
            authentication: None,
        };
        hello.encode(writer).unwrap();
    })
    .await;
    assert!(matches!(error, ClientError::Handshake(HandshakeFailure::Session)), "another session: {error:?}");

    let error = connect_to_hello(|writer, session_id, chain| {
        // Signed by another key than the leaf's.
        let signer = Ed25519SecretKey::generate(&mut rand::rng());
        let key = X25519SecretKey::generate(&mut rand::rng());
        let signed = smp_crypto::signed_key::SignedKey::sign(key.public_key(), CertificateSigner::Ed25519(&signer));
        let mut der = [0; 200];
        versions(6, 20).encode(writer).unwrap();
        session_id.encode(writer).unwrap();
        chain.encode(writer).unwrap();
        writer.long(signed.to_der(&mut der).unwrap()).unwrap();
    })
    .await;
    assert!(matches!(error, ClientError::Identity), "another signer: {error:?}");

    let error = connect_to_hello(|writer, _, _| writer.bytes(b"HTTP/1.1 400 Bad Request\r\n").unwrap()).await;
    assert!(matches!(error, ClientError::Handshake(_)), "no hello: {error:?}");
}

#[tokio::test]
async fn many_commands_share_blocks_and_answers_come_in_any_order() {
    let (client, _events, mut peer) = connected(20, &Options::default()).await;
    let relay = async {
        let (mut asked, mut blocks) = (Vec::new(), 0);
        while asked.len() < 100 {
            asked.extend(peer.asked().await);
            blocks += 1;
        }
        for asked in asked.iter().rev() {
            let number = asked.entity[0];
            let answer = if number % 10 == 0 { BrokerMessage::Error(SmpError::Auth) } else { BrokerMessage::Ok };
            peer.answer(asked, answer).await;
        }
        blocks
    };
    let queues: Vec<Credentials> = (0..100).map(queue).collect();
    let (results, blocks) = tokio::join!(client.subscribe_all(&queues), relay);
    assert!(blocks <= 10, "{blocks} blocks for 100 commands");
    for (number, result) in results.into_iter().enumerate() {
        match result {
            Ok(()) => assert_ne!(number % 10, 0),
            Err(error) => assert!(error.is_not_authorized() && number % 10 == 0, "{number}: {error:?}"),
        }
    }
}

#[tokio::test]
async fn correlation_ids_are_long_and_never_the_same() {
    let (client, _events, mut peer) = connected(20, &Options::default()).await;
    let pinging = async {
        for _ in 0..200 {
            client.ping().await.unwrap();
        }
    };
    let mut seen = std::collections::HashSet::new();
    let answering = async {
        while seen.len() < 200 {
            for asked in peer.asked().await {
                assert_eq!(asked.correlation_id.len(), 24);
                assert!(seen.insert(asked.correlation_id.clone()), "repeated");
                peer.answer(&asked, BrokerMessage::Pong).await;
            }
        }
    };
    tokio::join!(pinging, answering);
}

#[tokio::test]
async fn a_block_that_cannot_be_read_ends_the_connection_for_everybody() {
    for content in [&b"\x02\x00\x01"[..], b"\x00", b"\x01\x00\x05\x00", b""] {
        let (client, mut events, mut peer) = connected(20, &Options::default()).await;
        let script = async {
            peer.asked().await;
            peer.say_content(content).await;
        };
        let (one, two, ()) = tokio::join!(client.ping(), client.ping(), script);
        for result in [one, two] {
            assert!(matches!(result, Err(ClientError::Malformed)), "{result:?}");
        }
        assert!(matches!(next(&mut events).await, Event::Disconnected(ClientError::Malformed)));
        assert!(events.next().await.is_none());
        assert!(matches!(client.ping().await, Err(ClientError::Closed)));
        assert!(client.is_closed());
    }
}

#[tokio::test]
async fn a_block_that_was_not_sealed_ends_the_connection() {
    let (client, mut events, mut peer) = connected(20, &Options::default()).await;
    peer.write(&[0x55; BLOCK_SIZE]).await;
    assert!(matches!(next(&mut events).await, Event::Disconnected(ClientError::Malformed)));
    assert!(matches!(client.ping().await, Err(ClientError::Closed)));
}

#[tokio::test]
async fn commands_in_flight_learn_of_the_end() {
    // In order, and broken off.
    for orderly in [true, false] {
        let (client, mut events, mut peer) = connected(20, &Options::default()).await;
        let script = async {
            peer.asked().await;
            if orderly {
                peer.stream.close().await.unwrap();
            }
            drop(peer);
        };
        let (result, ()) = tokio::join!(client.ping(), script);
        let error = result.unwrap_err();
        assert!(error.is_disconnected() && error.is_temporary(), "{error:?}");
        assert_eq!(matches!(error, ClientError::Closed), orderly, "{error:?}");
        assert!(matches!(next(&mut events).await, Event::Disconnected(_)));
    }
}

#[tokio::test(start_paused = true)]
async fn commands_time_out_one_by_one() {
    let (client, _events, mut peer) = connected(20, &Options::interactive()).await;
    let begun = tokio::time::Instant::now();
    let script = async {
        let mut asked = peer.asked().await;
        while asked.len() < 2 {
            asked.extend(peer.asked().await);
        }
        let second = asked.iter().find(|asked| asked.entity == [2; 24]).unwrap();
        peer.answer(second, BrokerMessage::Ok).await;
        tokio::time::sleep(Duration::from_secs(11)).await;
        // Too late: it is not taken for an answer to anything else.
        let first = asked.iter().find(|asked| asked.entity == [1; 24]).unwrap();
        peer.answer(first, BrokerMessage::Ok).await;
        let asked = peer.asked().await;
        peer.answer(&asked[0], BrokerMessage::Pong).await;
    };
    let commands = async {
        let (one, two) = (queue(1), queue(2));
        let (one, two) = tokio::join!(client.suspend(&one), client.suspend(&two));
        two.unwrap();
        assert!(matches!(one, Err(ClientError::Timeout)));
        assert_eq!(begun.elapsed().as_secs(), 10);
        tokio::time::sleep(Duration::from_secs(2)).await;
        client.ping().await.unwrap();
    };
    tokio::join!(script, commands);
}

#[tokio::test(start_paused = true)]
async fn a_silent_relay_is_pinged_and_given_up() {
    let (_client, mut events, mut peer) = connected(20, &Options::default()).await;
    let begun = tokio::time::Instant::now();
    // The first ping is answered, the next three are not.
    for number in 0..4 {
        let asked = peer.asked().await;
        assert_eq!(asked[0].command, b"PING", "{number}");
        if number == 0 {
            assert_eq!(begun.elapsed().as_secs(), 600);
            peer.answer(&asked[0], BrokerMessage::Pong).await;
        }
    }
    assert!(matches!(next(&mut events).await, Event::Disconnected(ClientError::Unresponsive)));
    assert!(begun.elapsed() > Duration::from_secs(4 * 600));
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_does_not_read_is_given_up() {
    let (client, mut events, peer) = connected(20, &Options::default()).await;
    let sending = async {
        let mut failed = None;
        for number in 0..40 {
            let sender = queue(number);
            if let Err(error) = client.send(&sender.id, None, false, &[0; 16_000]).await {
                failed.get_or_insert(error);
            }
        }
        failed
    };
    let many = (0..20).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { client.send(&queue(1).id, None, false, &[0; 16_000]).await })
    });
    let many: Vec<_> = many.collect();
    let begun = tokio::time::Instant::now();
    assert!(sending.await.is_some());
    for task in many {
        assert!(task.await.unwrap().is_err());
    }
    assert!(begun.elapsed() < Duration::from_secs(120), "{:?}", begun.elapsed());
    assert!(matches!(next(&mut events).await, Event::Disconnected(ClientError::Unresponsive)));
    drop(peer);
}

#[tokio::test]
async fn events_tell_what_happened_to_queues() {
    let (client, mut events, mut peer) = connected(20, &Options::default()).await;
    let one = queue(1);
    let (subscribed, ()) = tokio::join!(client.subscribe(&one), async {
        let asked = peer.asked().await;
        assert_eq!(asked[0].command, b"SUB");
        peer.say(&[
            (&asked[0].correlation_id, &asked[0].entity, BrokerMessage::Subscribed(None)),
            (&[], &[1; 24], message(&[9; 24])),
            (&[], &[1; 24], BrokerMessage::End),
            (&[], &[2; 24], BrokerMessage::Deleted),
        ])
        .await;
    });
    subscribed.unwrap();
    assert!(matches!(next(&mut events).await,
        Event::Message(delivery) if delivery.queue == one.id && delivery.message_id.as_bytes() == [9; 24]));
    assert!(matches!(next(&mut events).await, Event::SubscriptionEnded(id) if id == one.id));
    assert!(matches!(next(&mut events).await, Event::QueueDeleted(id) if id.as_bytes() == [2; 24]));
}

#[tokio::test]
async fn a_slow_application_holds_the_relay_back_and_loses_nothing() {
    let mut options = Options::default();
    options.events = 4;
    let (client, mut events, mut peer) = connected(20, &options).await;
    // More than the events, the channel and the pipe can hold.
    let flood = tokio::spawn(async move {
        for number in 0..200u8 {
            peer.say(&[(&[], &[1; 24], message(&[number; 24]))]).await;
        }
        serve(peer, |_| BrokerMessage::Pong).await
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!flood.is_finished(), "the relay was not held back");
    for number in 0..200u8 {
        let Event::Message(delivery) = next(&mut events).await else { panic!("another event") };
        assert_eq!(delivery.message_id.as_bytes(), [number; 24]);
        // A command in between gets through all the same.
        if number == 100 {
            client.ping().await.unwrap();
        }
    }
    drop((client, events));
    flood.await.unwrap();
}

#[tokio::test]
async fn a_client_that_only_sends_need_not_listen() {
    let (client, events, peer) = connected(20, &Options::default()).await;
    drop(events);
    let relay = tokio::spawn(async move {
        let mut peer = peer;
        for number in 0..100u8 {
            peer.say(&[(&[], &[1; 24], message(&[number; 24]))]).await;
        }
        serve(peer, |_| BrokerMessage::Pong).await
    });
    for _ in 0..10 {
        client.ping().await.unwrap();
    }
    drop(client);
    let mut peer = tokio::time::timeout(PATIENCE, relay).await.expect("the connection is closed").unwrap();
    assert!(peer.stream.block_ready().await.is_err());
}

#[tokio::test]
async fn ids_that_could_be_guessed_are_refused() {
    let (client, _events, mut peer) = connected(20, &Options::default()).await;
    for (recipient, mode) in [(&[1; 8][..], QueueMode::Messaging), (&[1; 24], QueueMode::Contact)] {
        let options = QueueOptions::default();
        let (created, ()) = tokio::join!(client.create_queue(&options), async {
            let asked = peer.asked().await;
            let ids = QueueIds {
                recipient_id: QueueId::new(recipient).unwrap(),
                sender_id: QueueId::from_array(&[2; 24]),
                relay_dh_key: X25519SecretKey::generate(&mut rand::rng()).public_key(),
                mode: Some(mode),
                link_id: None,
                service_id: None,
                notifier: None,
            };
            peer.answer(&asked[0], BrokerMessage::Ids(ids)).await;
        });
        assert!(matches!(created, Err(ClientError::Unexpected)), "{created:?}");
    }
}

#[tokio::test]
async fn addresses_that_lead_nowhere_are_explained() {
    let onion = "smp://LcJUMfVhwD8yxjAiSaDzzGF3-kLG4Uh0Fl_ZIjrRwjI=@abcdefgh.onion".parse().unwrap();
    let error = Client::connect(&onion, &Options::interactive()).await.unwrap_err();
    assert!(matches!(error, ClientError::NoUsableHost));
    let short = "smp://LcJUMfVhwD8yxjAiSaDzzA==@localhost".parse().unwrap();
    let error = Client::connect(&short, &Options::interactive()).await.unwrap_err();
    assert!(matches!(error, ClientError::NoFingerprint));
    let (result, _) = try_connect(20, &Options::default()).await;
    assert!(result.is_ok());
}
