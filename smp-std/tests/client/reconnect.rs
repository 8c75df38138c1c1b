//! Connections that come back.

use std::time::Duration;

use smp_proto::address::{Host, Port, ServerBuf};
use smp_proto::smp::{BrokerMessage, SmpError};
use smp_std::client::{Backoff, ClientError, Credentials, Event, Options, ReconnectingClient};
use tokio::net::TcpListener;

use crate::scripted::{PATIENCE, Peer, accept, identity, versions};
use crate::{message, next, queue};

/// The address of a listener that proves the scripted identity.
pub(crate) fn address(listener: &TcpListener) -> ServerBuf {
    let port = Port::new(listener.local_addr().unwrap().port());
    ServerBuf::new(Host::parse("127.0.0.1").unwrap(), port, identity().fingerprint()).unwrap()
}

pub(crate) fn quick() -> Backoff {
    let mut backoff = Backoff::default();
    (backoff.first, backoff.most) = (Duration::from_millis(10), Duration::from_millis(50));
    backoff
}

#[tokio::test]
async fn subscriptions_come_back_with_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (client, mut events) = ReconnectingClient::start(address(&listener), Options::default(), quick());
    let queues: Vec<Credentials> = (1..=3).map(queue).collect();
    let script = async {
        for round in 0..3u8 {
            let stream = accept(listener.accept().await.unwrap().0).await.unwrap();
            let mut peer = Peer::greet(stream, versions(6, 20)).await;
            let mut subscribed = std::collections::BTreeSet::new();
            while subscribed.len() < 3 {
                for asked in peer.asked().await {
                    assert_eq!(asked.command, b"SUB");
                    subscribed.insert(asked.entity[0]);
                    peer.answer(&asked, BrokerMessage::Subscribed(None)).await;
                }
            }
            peer.say(&[(&[], &[1; 24], message(&[round; 24]))]).await;
            // Time for the client to take the message before the connection breaks off.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        listener
    };
    let story = async {
        for queue in &queues {
            client.subscribe(queue).await.unwrap();
        }
        for round in 0..3u8 {
            let mut connected = false;
            loop {
                match next(&mut events).await {
                    Event::Connected => connected = true,
                    Event::Message(delivery) => {
                        assert_eq!(delivery.message_id.as_bytes(), [round; 24]);
                        break;
                    }
                    Event::Waiting(..) | Event::Disconnected(_) => {}
                    event => panic!("{event:?}"),
                }
            }
            assert!(connected, "round {round}");
        }
    };
    tokio::time::timeout(PATIENCE, async { tokio::join!(script, story) }).await.expect("in time");
}

#[tokio::test]
async fn a_notifier_hears_again_after_the_connection_has_come_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (client, mut events) = ReconnectingClient::start(address(&listener), Options::default(), quick());
    let metadata = [7; 144];
    let script = async {
        for round in 0..3u8 {
            let stream = accept(listener.accept().await.unwrap().0).await.unwrap();
            let mut peer = Peer::greet(stream, versions(6, 20)).await;
            let mut subscribed = std::collections::BTreeMap::new();
            while subscribed.len() < 2 {
                for asked in peer.asked().await {
                    subscribed.insert(asked.entity[0], asked.command.clone());
                    peer.answer(&asked, BrokerMessage::Subscribed(None)).await;
                }
            }
            assert_eq!(subscribed.into_iter().collect::<Vec<_>>(), [(1, b"SUB".to_vec()), (2, b"NSUB".to_vec())]);
            let notification = smp_proto::smp::notifier::EncryptedNotification {
                nonce: &[round; 24],
                metadata: smp_proto::wire::ShortString::new(&metadata).unwrap(),
            };
            peer.say(&[(&[], &[2; 24], BrokerMessage::Notification(notification))]).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let story = async {
        client.subscribe(&queue(1)).await.unwrap();
        client.subscribe_notifications(&queue(2)).await.unwrap();
        for round in 0..3u8 {
            let notification = loop {
                match next(&mut events).await {
                    Event::Notification(notification) => break notification,
                    Event::Connected | Event::Waiting(..) | Event::Disconnected(_) => {}
                    event => panic!("{event:?}"),
                }
            };
            assert_eq!((notification.notifier_id.as_bytes(), notification.nonce), (&[2; 24][..], [round; 24]));
        }
    };
    tokio::time::timeout(PATIENCE, async { tokio::join!(script, story) }).await.expect("in time");
}

#[tokio::test]
async fn a_queue_that_is_gone_is_not_subscribed_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (client, mut events) = ReconnectingClient::start(address(&listener), Options::default(), quick());
    let (good, bad) = (queue(1), queue(2));
    let script = async {
        let mut asked_for = Vec::new();
        for round in 0..3 {
            let stream = accept(listener.accept().await.unwrap().0).await.unwrap();
            let mut peer = Peer::greet(stream, versions(6, 20)).await;
            let expected = if round < 2 { 2 } else { 1 };
            let mut seen = std::collections::BTreeSet::new();
            while seen.len() < expected {
                for asked in peer.asked().await {
                    let gone = round == 1 && asked.entity == [2; 24];
                    let answer = if gone { BrokerMessage::Error(SmpError::Auth) } else { BrokerMessage::Ok };
                    seen.insert(asked.entity[0]);
                    peer.answer(&asked, answer).await;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            asked_for.push(seen.into_iter().collect::<Vec<_>>());
        }
        asked_for
    };
    let story = async {
        client.subscribe(&good).await.unwrap();
        client.subscribe(&bad).await.unwrap();
        loop {
            if let Event::SubscriptionFailed(id, error) = next(&mut events).await {
                assert_eq!(id, bad.id);
                assert!(error.is_not_authorized());
                break;
            }
        }
        while events.next().await.is_some() {}
    };
    tokio::select! {
        asked_for = script => assert_eq!(asked_for, [vec![1, 2], vec![1, 2], vec![1]]),
        () = story => panic!("the connection ended"),
        () = tokio::time::sleep(PATIENCE) => panic!("not in time"),
    }
}

#[tokio::test]
async fn commands_wait_for_the_connection_and_then_fail() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = address(&listener);
    drop(listener);
    let mut options = Options::default();
    options.response_time_out = Duration::from_millis(300);
    let (client, mut events) = ReconnectingClient::start(server, options, quick());
    let listening = tokio::spawn(async move { while events.next().await.is_some() {} });
    let error = client.queue_status(&queue(1)).await.unwrap_err();
    assert!(matches!(error, ClientError::Timeout) && error.is_temporary());
    drop(client);
    tokio::time::timeout(PATIENCE, listening).await.expect("the supervisor ends with its clients").unwrap();
}

#[tokio::test]
async fn a_false_relay_ends_the_attempts() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = Port::new(listener.local_addr().unwrap().port());
    let server = ServerBuf::new(Host::parse("127.0.0.1").unwrap(), port, &[3; 32]).unwrap();
    tokio::spawn(async move { while accept(listener.accept().await.unwrap().0).await.is_none() {} });
    let (client, mut events) = ReconnectingClient::start(server, Options::default(), quick());
    assert!(matches!(next(&mut events).await, Event::Disconnected(ClientError::Identity)));
    assert!(events.next().await.is_none());
    assert!(matches!(client.subscribe(&queue(1)).await, Err(ClientError::Identity)));
}

#[tokio::test]
async fn a_queue_is_subscribed_once_on_each_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (client, mut events) = ReconnectingClient::start(address(&listener), Options::default(), quick());
    let listening = tokio::spawn(async move { while events.next().await.is_some() {} });
    // Asked for before there is a connection, while there is one, and between two.
    let before = queue(1);
    let subscribing = tokio::spawn({
        let client = client.clone();
        async move { client.subscribe(&before).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    for round in 0..3u8 {
        let stream = accept(listener.accept().await.unwrap().0).await.unwrap();
        let mut peer = Peer::greet(stream, versions(6, 20)).await;
        let later = queue(round + 2);
        let subscribing = tokio::spawn({
            let client = client.clone();
            async move { client.subscribe(&later).await }
        });
        let mut seen = Vec::new();
        // Until nothing more comes.
        while let Ok(asked) = tokio::time::timeout(Duration::from_millis(200), peer.asked()).await {
            for asked in asked {
                assert_eq!(asked.command, b"SUB");
                seen.push(asked.entity[0]);
                peer.answer(&asked, BrokerMessage::Ok).await;
            }
        }
        subscribing.await.unwrap().unwrap();
        seen.sort_unstable();
        assert_eq!(seen, (1..=round + 2).collect::<Vec<_>>(), "round {round}");
    }
    subscribing.await.unwrap().unwrap();
    drop(client);
    tokio::time::timeout(PATIENCE, listening).await.expect("in time").unwrap();
}
