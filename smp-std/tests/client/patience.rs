//! Peers and applications that keep the client waiting.

use std::time::Duration;

use smp_proto::smp::BrokerMessage;
use smp_std::client::{Event, Options, ReconnectingClient};
use tokio::net::TcpListener;

use crate::reconnect::{address, quick};
use crate::scripted::{PATIENCE, Peer, accept, versions};
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

/// Other systems do not have all addresses that begin with 127.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_host_that_does_not_answer_leaves_time_for_the_next() {
    use crate::scripted::identity;
    use smp_proto::{address::ServerUri, wire::Base64};
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
