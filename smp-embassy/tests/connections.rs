//! Connections as the roles use them: in pieces, interrupted at every step, one direction at a time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use common::{HostNetwork, TestRelay, buffer, keep_time, random};
use embassy_futures::poll_once;
use embedded_io_async::{ErrorType, Read, Write};
use rand_chacha::ChaCha20Rng;
use smp_crypto::session::SessionError;
use smp_embassy::connection::{Anomalies, ComposeError, Connection, Expectation, Keys, new_correlation_id, open};
use smp_embassy::notifier::NotifierOptions;
use smp_embassy::{CommandKey, Device, Error, Id, Network, NoClock, Notifier};
use smp_proto::address::ServerUri;
use smp_proto::id::EntityId;
use smp_proto::smp::error::SmpError;
use smp_proto::smp::{BrokerMessage, Command};
use smp_proto::version::{SmpVersion, VersionRange};
use smp_proto::wire;

/// A stream that moves a few bytes at a time and is interrupted after each step.
struct Dribble<T> {
    stream: T,
    step: usize,
    rest: bool,
}

impl<T> Dribble<T> {
    /// Every second time there is a pause.
    async fn pause(&mut self) {
        self.rest = !self.rest;
        let mut paused = !self.rest;
        poll_fn(|context| {
            if std::mem::replace(&mut paused, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

impl<T: ErrorType> ErrorType for Dribble<T> {
    type Error = T::Error;
}

impl<T: Read> Read for Dribble<T> {
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, T::Error> {
        self.pause().await;
        let length = bytes.len().min(self.step);
        self.stream.read(&mut bytes[..length]).await
    }
}

impl<T: Write> Write for Dribble<T> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, T::Error> {
        self.pause().await;
        self.stream.write(&bytes[..bytes.len().min(self.step)]).await
    }

    async fn flush(&mut self) -> Result<(), T::Error> {
        self.pause().await;
        self.stream.flush().await
    }
}

async fn connect<'b>(
    relay: &TestRelay,
    buffer: &'b mut [u8],
    step: usize,
    random: &mut ChaCha20Rng,
) -> Connection<'b, impl Read + Write + use<>> {
    let address = relay.address();
    let expectation = Expectation::new(&address.address(), &NoClock).unwrap();
    let keys = Keys::generate(random).unwrap();
    let stream = HostNetwork.connect(&address.address()).await.unwrap();
    Connection::connect(Dribble { stream, step, rest: false }, buffer, keys, &expectation).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_repeated_when_every_wait_is_given_up() {
    keep_time();
    let relay = TestRelay::start().await;
    for step in [97, 1_000, 7_777, 20_000] {
        let (random, mut buffer) = (&mut random(1), buffer());
        let mut connection = connect(&relay, &mut buffer, step, random).await;
        for _ in 0..4 {
            let id = new_correlation_id(random).unwrap();
            let pushed = connection.compose(|composer| composer.push(&id, EntityId::EMPTY, None, &Command::Ping));
            assert_eq!(pushed, Ok(Ok(())));
            assert!(!connection.can_compose(), "what was composed is still to be sent");
            assert_eq!(connection.compose(|_| ()), Err(Error::Busy));
            // Each future is polled once and dropped.
            loop {
                match poll_once(connection.flush()) {
                    Poll::Ready(result) => break result.unwrap(),
                    Poll::Pending => tokio::task::yield_now().await,
                }
            }
            assert!(connection.can_compose());
            loop {
                if let Poll::Ready(block) = poll_once(connection.receive()) {
                    let all: Vec<_> = block.unwrap().collect();
                    let [pong] = &all[..] else { panic!("{all:?}") };
                    assert!(pong.answers(&id, &Id::EMPTY));
                    assert_eq!(pong.message(), Ok(BrokerMessage::Pong));
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_micros(100)).await;
            }
        }
        assert_eq!(*connection.anomalies(), Anomalies::default());
        connection.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_composed_into_a_block_that_is_coming_in() {
    keep_time();
    let relay = TestRelay::start().await;
    let (random, mut buffer) = (&mut random(2), buffer());
    let mut connection = connect(&relay, &mut buffer, 1_000, random).await;
    let id = new_correlation_id(random).unwrap();
    connection.compose(|composer| composer.push(&id, EntityId::EMPTY, None, &Command::Ping)).unwrap().unwrap();
    connection.flush().await.unwrap();
    // Some of the answer comes in, then nobody waits for it any more.
    while connection.can_compose() {
        assert!(poll_once(connection.receive()).is_pending());
        tokio::task::yield_now().await;
    }
    assert_eq!(connection.compose(|_| ()), Err(Error::Busy));
    assert_eq!(connection.receive().await.unwrap().count(), 1);
    assert!(connection.can_compose(), "the block was read");
    assert_eq!(connection.compose(|composer| composer.is_empty()), Ok(true));
    assert!(connection.can_compose(), "nothing was added");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_in_a_block_leaves_the_rest_of_it() {
    keep_time();
    let relay = TestRelay::start().await;
    let (random, mut buffer) = (&mut random(3), buffer());
    let mut connection = connect(&relay, &mut buffer, 20_000, random).await;
    let key = CommandKey::generate_x25519(random).unwrap();
    let ids: [[u8; 24]; 4] = std::array::from_fn(|_| new_correlation_id(random).unwrap());
    let queue = Id::new([7; 24]);
    connection
        .compose(|composer| {
            composer.push(&ids[0], EntityId::EMPTY, None, &Command::Ping).unwrap();
            let large = |writer: &mut wire::Writer<'_>| writer.bytes(&[0; 16_384]);
            assert_eq!(composer.push_with(&ids[1], EntityId::EMPTY, None, large), Err(ComposeError::Full));
            composer.push(&ids[2], queue.as_entity(), Some(&key), &Command::SubscribeNotifications).unwrap();
            composer.push_with(&ids[3], EntityId::EMPTY, None, |writer| writer.bytes(b"PING")).unwrap();
            assert_eq!(composer.len(), 3);
        })
        .unwrap();
    let mut missing = vec![ids[0], ids[2], ids[3]];
    while !missing.is_empty() {
        for incoming in connection.receive().await.unwrap() {
            let id = incoming.correlation_id.unwrap();
            missing.retain(|other| *other != id);
            let expected = if id == ids[2] { BrokerMessage::Error(SmpError::Auth) } else { BrokerMessage::Pong };
            assert_eq!(incoming.message(), Ok(expected));
            assert!(incoming.answers(&id, if id == ids[2] { &queue } else { &Id::EMPTY }));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_are_agreed_on_or_refused() {
    keep_time();
    let relay = TestRelay::start().await;
    let address = relay.address();
    let range = |min, max| VersionRange::new(SmpVersion(min), SmpVersion(max)).unwrap();
    for (offered, expected) in [
        (range(7, 20), Ok(20)),
        (range(8, 12), Ok(12)),
        (range(20, 40), Ok(20)),
        (range(6, 6), Ok(6)),
        (range(21, 30), Err(Error::Session(SessionError::Version))),
        (range(1, 5), Err(Error::Session(SessionError::Version))),
    ] {
        let (mut network, mut buffer) = (HostNetwork, buffer());
        let expectation = Expectation { versions: offered, ..Expectation::new(&address.address(), &NoClock).unwrap() };
        let opened = open(&mut network, &mut buffer, &address.address(), &expectation, &mut random(4)).await;
        assert_eq!(opened.map(|connection| connection.version().0), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_goes_away_is_noticed_while_waiting() {
    keep_time();
    let mut relay = TestRelay::start().await;
    let (random, mut buffer) = (&mut random(5), buffer());
    let mut connection = connect(&relay, &mut buffer, 20_000, random).await;
    {
        let mut receiving = pin!(connection.receive());
        assert!(poll_fn(|context| Poll::Ready(receiving.as_mut().poll(context).is_pending())).await);
        relay.stop().await;
        let ended = receiving.await.map(Iterator::count);
        assert!(matches!(ended, Err(Error::Closed | Error::Transport(_))), "{ended:?}");
    }
    connection.close().await;
}

/// What a role holds across its waits lies in static memory on firmware. The limits are those of a 64-bit host with some
/// room; on a microcontroller it is less.
#[test]
fn what_is_held_across_waits_is_small() {
    let address: ServerUri = "smp://-pd7JvjLnNPNfqES2AdWWndE8JoS9gdcvKu0Ba-P2DY=@127.0.0.1".parse().unwrap();
    let address = address.address();
    let expectation = Expectation::new(&address, &NoClock).unwrap();
    let (mut network, mut buffer, mut random) = (HostNetwork, buffer(), random(1));
    let dialing = size_of_val(&network.connect(&address));
    let opening = size_of_val(&open(&mut network, &mut buffer, &address, &expectation, &mut random));
    let mut notifier = Notifier::<1>::new(Default::default(), NotifierOptions::DEFAULT);
    let device = Device { network: &mut network, random: &mut random, clock: &NoClock, buffer: &mut buffer };
    let running = size_of_val(&notifier.run(device, &address, &mut |_| {}, std::future::pending()));
    let connection = size_of::<Connection<'_, ()>>();
    let queue = size_of::<Notifier<5>>().abs_diff(size_of::<Notifier<1>>()) / 4;
    println!("dialing {dialing}, opening {opening}, running {running}, connection {connection}, queue {queue} bytes");
    // How the host connects is not of interest.
    assert!(opening - dialing < 2_800 && running - dialing < 5_000 && connection < 1_200 && queue <= 360);
}
