//! Connections in numbers: opened and left, and opened and reset at once.

use std::time::Duration;

use futures_util::StreamExt;
use smp_proto::version::VersionRange;
use smp_std::net::{ClientAlpn, ClientTls};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::harness::{PATIENCE, RawClient};
use crate::honest::HonestPair;
use crate::process::RelayProcess;

/// What a connection that has said nothing may cost: its task, its place in the runtime, its state of TLS.
const SILENT: u64 = 16 << 10;
/// What a connection in the middle of a handshake may cost: TLS with its keys, a block to send and a block to receive.
const HALF_OPEN: u64 = 64 << 10;

/// How many connections may be opened at once here: the file descriptors of this process are the limit.
pub(crate) fn affordable(wanted: usize) -> usize {
    let limit = rlimit::increase_nofile_limit(wanted as u64 + 1_000).unwrap_or(1_024);
    let possible = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(1_000).max(20);
    if possible < wanted {
        eprintln!("only {limit} files may be open here: {possible} connections instead of {wanted}");
    }
    wanted.min(possible)
}

async fn open(relay: &RelayProcess, count: usize) -> Vec<TcpStream> {
    let opened = futures_util::stream::iter(0..count)
        .map(|_| async { timeout(PATIENCE, TcpStream::connect(relay.address)).await.unwrap().unwrap() })
        .buffer_unordered(64);
    opened.collect().await
}

fn leave(connections: Vec<TcpStream>) {
    for connection in connections {
        // A reset: the ports are free again at once.
        SockRef::from(&connection).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// `count` connections are opened and left; the relay may keep `kept` of them. The pair goes on meanwhile, and newcomers
/// get in.
pub(crate) async fn opened_and_left(relay: &RelayProcess, pair: &HonestPair, count: usize, kept: usize) {
    let (sockets, before) = (relay.sockets(), relay.memory());
    let connections = open(relay, count).await;
    pair.progress("with a crowd at the door").await;
    let held = relay.wait_for_sockets(sockets + kept - 5..=sockets + kept + 5, PATIENCE).await - sockets;
    let cost = relay.memory().saturating_sub(before);
    eprintln!(
        "{count} connections opened and left: {held} held, {} KiB, {} bytes each",
        cost >> 10,
        cost / held as u64
    );
    assert!(held <= kept + 5, "{held} are held");
    assert!(held >= kept.min(count) - 5, "only {held} are held");
    assert!(cost <= SILENT * held as u64 + (12 << 20), "{held} silent connections cost {cost} bytes");
    // The crowd stays, and whoever comes now is served.
    for _ in 0..3 {
        let mut newcomer = relay.client().await;
        assert_eq!(newcomer.tell(None, b"", &smp_proto::smp::Command::Ping).await, "PONG");
    }
    pair.progress("with a crowd in the house").await;
    leave(connections);
    pair.progress("when the crowd leaves").await;
}

/// Connections whose TLS handshake is complete, and that say nothing then.
pub(crate) async fn half_open_sessions(relay: &RelayProcess, pair: &HonestPair, count: usize) {
    let (sockets, before) = (relay.sockets(), relay.memory());
    let connections: Vec<_> =
        futures_util::stream::iter(0..count).map(|_| relay.tls()).buffer_unordered(16).collect().await;
    // The relay's hellos are on their way into sockets nobody reads.
    sleep(Duration::from_millis(300)).await;
    let cost = relay.memory().saturating_sub(before);
    eprintln!("{count} sessions half open: {} KiB, {} bytes each", cost >> 10, cost / count as u64);
    assert!(cost <= HALF_OPEN * count as u64 + (12 << 20), "{count} half-open sessions cost {cost} bytes");
    pair.progress("with sessions half open").await;
    drop(connections);
    relay.wait_for_sockets(0..=sockets, PATIENCE).await;
}

/// Sessions of as many clients as the relay admits of `count`, from this machine's own address: those over loopback are not
/// counted.
pub(crate) async fn sessions(relay: &RelayProcess, count: usize) -> Vec<RawClient> {
    // Nothing is sent: this only asks which address would be used.
    let probe = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    probe.connect("192.0.2.1:9").expect("an address that is not loopback");
    let own = probe.local_addr().unwrap().ip();
    let opened = futures_util::stream::iter(0..count).map(|_| async move {
        let tcp = TcpStream::connect((own, relay.address.port())).await.unwrap();
        let tls = ClientTls::new(ClientAlpn::Smp).connect(tcp, &relay.fingerprint, PATIENCE).await.ok()?;
        Some(RawClient::greet(tls, relay.fingerprint, VersionRange::SMP).await)
    });
    let before = relay.memory();
    let sessions: Vec<_> = opened.buffer_unordered(32).filter_map(std::future::ready).collect().await;
    let cost = relay.memory().saturating_sub(before);
    eprintln!("{} sessions of {count}: {} bytes each", sessions.len(), cost / sessions.len().max(1) as u64);
    sessions
}

/// Connections that are gone before they are accepted.
pub(crate) async fn opened_and_reset(relay: &RelayProcess, pair: &HonestPair, count: usize) {
    futures_util::stream::iter(0..count)
        .for_each_concurrent(64, |_| async {
            let connection = TcpStream::connect(relay.address).await.unwrap();
            SockRef::from(&connection).set_linger(Some(Duration::ZERO)).unwrap();
        })
        .await;
    pair.progress("after many resets").await;
}
