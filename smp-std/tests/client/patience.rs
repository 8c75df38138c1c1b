//! Peers and applications that keep the client waiting.

use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::FutureExt;
use smp_crypto::key::X25519SecretKey;
use smp_proto::id::QueueId;
use smp_proto::smp::recipient::{QueueIds, QueueMode};
use smp_proto::smp::{BrokerMessage, SmpError};
use smp_proto::wire::Base64;
use smp_std::client::{Event, Options, ReconnectingClient};
use tokio::net::TcpListener;

use crate::reconnect::{address, quick};
use crate::scripted::{PATIENCE, Peer, accept, connected, identity, versions};
use crate::{message, next, queue};

#[tokio::test]
async fn an_application_that_is_behind_does_not_hold_up_the_next_connection() {
    const ROUNDS: u8 = 20;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (client, mut events) = ReconnectingClient::start(address(&listener), Options::default(), quick());
    let queue = queue(1);
    let script = async {
        for round in 0..ROUNDS {
            let stream = accept(listener.accept().await.unwrap().0).await.unwrap();
            let mut peer = Peer::greet(stream, versions(6, 20)).await;
            for asked in peer.asked().await {
                peer.answer(&asked, BrokerMessage::Ok).await;
            }
            for number in 0..10 {
                peer.say(&[(&[], &[1; 24], message(&[number; 24]))]).await;
            }
            if round == ROUNDS - 1 {
                peer.say(&[(&[], &[1; 24], message(&[200; 24]))]).await;
                return peer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        unreachable!()
    };
    // Nobody reads the events as long as it takes.
    let (peer, subscribed) = tokio::time::timeout(PATIENCE, async { tokio::join!(script, client.subscribe(&queue)) })
        .await
        .expect("in time");
    subscribed.unwrap();
    // What the last connection brought is there.
    loop {
        match next(&mut events).await {
            Event::Message(delivery) if delivery.message_id.as_bytes() == [200; 24] => break,
            Event::Message(_) | Event::Connected | Event::Waiting(..) | Event::Disconnected(_) => {}
            event => panic!("{event:?}"),
        }
    }
    drop(peer);
}

/// A command that waits for room keeps the place it is given also while the application does something else.
#[tokio::test]
async fn a_command_that_nobody_goes_on_with_does_not_hide_the_end_of_the_connection() {
    let mut options = Options::default();
    options.in_flight = 1;
    let (client, mut events, mut peer) = connected(20, &options).await;
    let mut pings: Vec<_> = (0..40).map(|_| Box::pin(client.ping())).collect();
    for ping in &mut pings {
        assert!(ping.now_or_never().is_none());
    }
    // One is taken, and its place in front of the connection goes to one that waits.
    assert_eq!(peer.asked().await.len(), 1);
    drop(peer);
    assert!(matches!(next(&mut events).await, Event::Disconnected(_)));
    for ping in pings {
        assert!(tokio::time::timeout(PATIENCE, ping).await.expect("in time").is_err());
    }
}

/// The program `smp receive`, ended with the story.
struct Receiving(std::process::Child);

impl Drop for Receiving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn smp_receive_asks_again_for_a_subscription_the_relay_could_not_make() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("smp://{}@{}", Base64(identity().fingerprint()), listener.local_addr().unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_smp"));
    command.args(["receive", "--server", &address]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let receiving = Receiving(command.spawn().unwrap());
    let story = async {
        let mut answers = [BrokerMessage::Error(SmpError::Internal), BrokerMessage::Ok].into_iter();
        loop {
            let stream = accept(listener.accept().await.unwrap().0).await.unwrap();
            let mut peer = Peer::greet(stream, versions(6, 20)).await;
            loop {
                let asked = peer.asked().await;
                let Some(asked) = asked.first() else { break };
                if asked.command == b"SUB" {
                    let Some(answer) = answers.next() else { panic!("asked too often") };
                    let last = answer == BrokerMessage::Ok;
                    peer.answer(asked, answer).await;
                    if last {
                        return;
                    }
                } else {
                    assert!(asked.command.starts_with(b"NEW "));
                    let dh_key = X25519SecretKey::generate(&mut rand::rng()).public_key();
                    let ids = QueueIds {
                        recipient_id: QueueId::new(&[1; 24]).unwrap(),
                        sender_id: QueueId::new(&[2; 24]).unwrap(),
                        relay_dh_key: dh_key,
                        mode: Some(QueueMode::Messaging),
                        link_id: None,
                        service_id: None,
                        notifier: None,
                    };
                    peer.answer(asked, BrokerMessage::Ids(ids)).await;
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, story).await.expect("in time");
    drop(receiving);
}

/// Other systems do not have all addresses that begin with 127.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_host_that_does_not_answer_leaves_time_for_the_next() {
    use smp_proto::address::ServerUri;
    use smp_std::client::Client;
    let good = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let port = good.local_addr().unwrap().port();
    // Connections are made here, but nobody says a word.
    let _silent = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let address = format!("smp://{}@127.0.0.1,127.0.0.2:{port}", Base64(identity().fingerprint()));
    let server: ServerUri = address.parse().unwrap();
    let mut options = Options::default();
    options.connect_time_out = Duration::from_secs(4);
    let relay = async { Peer::greet(accept(good.accept().await.unwrap().0).await.unwrap(), versions(6, 20)).await };
    let story = async { tokio::join!(Client::connect(&server, &options), relay).0 };
    tokio::time::timeout(Duration::from_secs(20), story).await.expect("in time").unwrap();
}
