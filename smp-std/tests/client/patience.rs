//! Peers and applications that keep the client waiting.

use std::time::Duration;

use smp_proto::address::ServerUri;
use smp_proto::wire::Base64;
use smp_std::client::{Client, Options};
use tokio::net::TcpListener;

use crate::scripted::{Peer, accept, identity, versions};

/// Other systems do not have all addresses that begin with 127.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_host_that_does_not_answer_leaves_time_for_the_next() {
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
