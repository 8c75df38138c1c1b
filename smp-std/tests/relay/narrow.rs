//! Networks that take a part of a block and nothing more for a while, or that panic.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use smp_proto::address::ServerAddress;
use smp_proto::smp::Command;
use smp_proto::smp::proxy::ProxySession;
use smp_proto::smp::recipient::QueueMode;
use smp_proto::wire::Decode;
use smp_std::relay::config::Config;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::fake::silence;
use crate::harness::{PATIENCE, RawClient, TestRelay, until};
use crate::proxy::encoded;

#[derive(Default)]
enum Gate {
    #[default]
    Open,
    /// It shuts in the next block.
    Shutting,
    Shut(Option<Waker>),
    Panic,
}

/// A socket behind a gate.
struct Narrow {
    tcp: TcpStream,
    gate: Arc<Mutex<Gate>>,
}

impl AsyncRead for Narrow {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        assert!(!matches!(*self.gate.lock().unwrap(), Gate::Panic), "as the test wants it");
        Pin::new(&mut self.tcp).poll_read(context, to)
    }
}

impl AsyncWrite for Narrow {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self { tcp, gate } = &mut *self;
        let mut gate = gate.lock().unwrap();
        match &mut *gate {
            Gate::Open | Gate::Panic => Pin::new(tcp).poll_write(context, bytes),
            Gate::Shutting => {
                *gate = Gate::Shut(None);
                Pin::new(tcp).poll_write(context, &bytes[..100])
            }
            Gate::Shut(waker) => {
                *waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

/// A client of the relay behind a gate, which only this connection has.
async fn client(relay: &mut TestRelay) -> (RawClient, Arc<Mutex<Gate>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = std::mem::replace(&mut relay.address, listener.local_addr().unwrap());
    let gate: Arc<Mutex<Gate>> = Arc::default();
    let (served, narrow) = (Arc::clone(&relay.relay), Arc::clone(&gate));
    tokio::spawn(async move {
        let (tcp, address) = listener.accept().await.unwrap();
        served.serve_stream(Narrow { tcp, gate: narrow }, address.ip()).await;
    });
    let client = relay.client().await;
    relay.address = address;
    (client, gate)
}

/// Whether somebody waits for the gate to open.
fn is_shut(gate: &Mutex<Gate>) -> bool {
    matches!(*gate.lock().unwrap(), Gate::Shut(Some(_)))
}

fn open(gate: &Mutex<Gate>) {
    if let Gate::Shut(Some(waker)) = std::mem::take(&mut *gate.lock().unwrap()) {
        waker.wake();
    }
}

#[tokio::test]
async fn the_rest_of_a_block_goes_out_while_nothing_is_read() {
    const COMMANDS: usize = 60;
    // Having paid for so many commands takes longer than anybody waits here.
    let mut config = Config::default();
    (config.rates.commands_per_second, config.rates.commands_burst) = (1, 1);
    let mut relay = TestRelay::start(config).await;
    let (mut client, gate) = client(&mut relay).await;
    *gate.lock().unwrap() = Gate::Shutting;
    let pings: Vec<_> = (0..COMMANDS).map(|_| client.encode(None, b"", &Command::Ping).1).collect();
    client.send_block(&pings).await;
    until(|| is_shut(&gate)).await;
    open(&gate);
    for _ in 0..COMMANDS {
        assert_eq!(client.receive().await.text(), "PONG");
    }
    relay.stop().await;
}

#[tokio::test]
async fn the_rest_of_a_block_goes_out_while_commands_wait_to_be_forwarded() {
    let mut config = Config::default();
    (config.proxy.allow_private_addresses, config.proxy.client_in_flight) = (true, 1);
    let mut relay = TestRelay::start(config).await;
    let (mut client, gate) = client(&mut relay).await;
    *gate.lock().unwrap() = Gate::Shutting;
    let ping = client.send(None, b"", &Command::Ping).await;
    until(|| is_shut(&gate)).await;
    let silent = silence().await;
    let sessions = [1, 2].map(|number| {
        let address = encoded(silent, &[number; 32]);
        let server = ServerAddress::from_bytes(&address).unwrap();
        client.encode(None, b"", &Command::ProxySession(ProxySession { server, password: None })).1
    });
    client.send_block(&sessions).await;
    // The second waits until the first is answered, which takes longer than anybody waits here.
    until(|| relay.relay.stats().limits.forwarding.get() == 1).await;
    open(&gate);
    assert_eq!(client.response_to(&ping).await.text(), "PONG");
    relay.stop().await;
}

/// Only who does not read has so little time.
#[tokio::test]
async fn forwarding_may_take_longer_than_a_client_may_over_a_block() {
    let mut config = Config::default();
    (config.proxy.allow_private_addresses, config.proxy.client_in_flight) = (true, 1);
    (config.proxy.connect_timeout_seconds, config.limits.write_timeout_seconds) = (2, 1);
    let relay = TestRelay::start(config).await;
    let mut client = relay.client().await;
    let silent = silence().await;
    let (first, second) = (encoded(silent, &[1; 32]), encoded(silent, &[2; 32]));
    let [first, second] = [first, second].map(|address| {
        let server = ServerAddress::from_bytes(&address).unwrap();
        client.encode(None, b"", &Command::ProxySession(ProxySession { server, password: None }))
    });
    client.send_block(&[first.1, second.1]).await;
    for session in [first.0, second.0] {
        assert_eq!(client.response_to(&session).await.text(), "ERR PROXY BROKER NETWORK");
    }
    relay.stop().await;
}

#[tokio::test]
async fn a_connection_that_panics_gives_its_subscriptions_back() {
    let mut config = Config::default();
    config.limits.subscriptions = 1;
    let mut relay = TestRelay::start(config).await;
    let (mut first, gate) = client(&mut relay).await;
    first.new_queue(QueueMode::Messaging, true).await;
    *gate.lock().unwrap() = Gate::Panic;
    first.send(None, b"", &Command::Ping).await;
    assert!(timeout(PATIENCE, first.tls.block_ready()).await.expect("the end").is_err());
    relay.client().await.new_queue(QueueMode::Messaging, true).await;
    relay.stop().await;
}
