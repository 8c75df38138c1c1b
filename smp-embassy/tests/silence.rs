//! A cable that is pulled: nothing arrives any more, and nobody says so. Its own program, because it has its own clock.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use common::{HostNetwork, TestRelay, buffer, random};
use embassy_time::{Duration, Instant, MockDriver};
use smp_embassy::notifier::{NotifierEnd, NotifierOptions};
use smp_embassy::{CommandKey, Device, Error, NoClock, Notifier, NotifierEvent, NotifierQueue, Wait};
use smp_proto::version::SmpVersion;
use smp_std::client::QueueOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// The least that a block takes on the way.
const BLOCK: usize = 16_384;

/// A cable between device and relay.
#[derive(Default)]
struct Cable {
    pulled: AtomicBool,
    /// How many bytes the device has sent, whether they arrived or not.
    sent: AtomicUsize,
    /// How many bytes of the relay have reached the device.
    arrived: AtomicUsize,
}

impl Cable {
    /// Passes bytes until the cable is pulled; then it swallows them.
    async fn pass(self: Arc<Self>, listener: TcpListener, relay: u16) {
        loop {
            let (device, _) = listener.accept().await.unwrap();
            let relay = TcpStream::connect(("127.0.0.1", relay)).await.unwrap();
            let (from_device, to_device) = device.into_split();
            let (from_relay, to_relay) = relay.into_split();
            tokio::spawn(Arc::clone(&self).pass_on(from_device, to_relay, true));
            tokio::spawn(Arc::clone(&self).pass_on(from_relay, to_device, false));
        }
    }

    async fn pass_on(self: Arc<Self>, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, is_device: bool) {
        let mut bytes = vec![0; 20_000];
        while let Ok(length @ 1..) = from.read(&mut bytes).await {
            let pulled = self.pulled.load(Ordering::Relaxed);
            if !pulled && to.write_all(&bytes[..length]).await.is_err() {
                break;
            }
            if is_device {
                self.sent.fetch_add(length, Ordering::Relaxed);
            } else if !pulled {
                self.arrived.fetch_add(length, Ordering::Relaxed);
            }
        }
    }

    /// Waits until so many bytes were counted, and until the device has had its turn with them.
    async fn wait_for(count: &AtomicUsize, least: usize) {
        while count.load(Ordering::Relaxed) < least {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_pulled_cable_is_noticed_and_the_lamp_comes_back() {
    let relay = TestRelay::start().await;
    let (owner, _events) = relay.client().await;
    let key = CommandKey::generate_ed25519(&mut random(1)).unwrap();
    let created = owner.create_queue(&QueueOptions::default()).await.unwrap();
    let access = owner.enable_notifications(&created.recipient, key.public_key()).await.unwrap();
    let queue = NotifierQueue::new(access.notifier_id.as_bytes().try_into().unwrap(), key);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = relay.address_by(listener.local_addr().unwrap().port());
    let cable = Arc::new(Cable::default());
    tokio::spawn(Arc::clone(&cable).pass(listener, relay.port()));

    let mut notifier = Notifier::<1>::new([queue].into_iter().collect(), NotifierOptions::DEFAULT);
    let (mut buffer, mut random, mut network) = (buffer(), random(2), HostNetwork);
    let device = Device { network: &mut network, random: &mut random, clock: &NoClock, buffer: &mut buffer };
    let events = RefCell::new(VecDeque::new());
    let next = async || {
        loop {
            if let Some(event) = events.borrow_mut().pop_front() {
                return event;
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    // The clock moves only here, when all that was to come before has come.
    let story = async {
        let advance = |seconds| MockDriver::get().advance(Duration::from_secs(seconds));
        assert_eq!(next().await, NotifierEvent::Connected(SmpVersion::MAX));
        assert_eq!(next().await, NotifierEvent::Subscribed(0));
        // Signs of life keep the connection.
        for _ in 0..3 {
            let arrived = cable.arrived.load(Ordering::Relaxed);
            advance(300);
            Cable::wait_for(&cable.arrived, arrived + BLOCK).await;
        }
        assert!(events.borrow().is_empty());

        cable.pulled.store(true, Ordering::Relaxed);
        let sent = cable.sent.load(Ordering::Relaxed);
        advance(300);
        Cable::wait_for(&cable.sent, sent + BLOCK).await;
        advance(29);
        Cable::wait_for(&cable.sent, 0).await;
        assert!(events.borrow().is_empty());
        advance(1);
        assert_eq!(next().await, NotifierEvent::Disconnected(Error::TimedOut(Wait::Response)));
        // The next attempt finds the cable pulled as well: the handshake does not wait for ever either.
        let sent = cable.sent.load(Ordering::Relaxed);
        advance(2);
        Cable::wait_for(&cable.sent, sent + 1).await;
        assert!(events.borrow().is_empty());
        advance(45);
        assert_eq!(next().await, NotifierEvent::Disconnected(Error::TimedOut(Wait::Handshake)));

        cable.pulled.store(false, Ordering::Relaxed);
        advance(4);
        assert_eq!(next().await, NotifierEvent::Connected(SmpVersion::MAX));
        assert_eq!(next().await, NotifierEvent::Subscribed(0));
        owner.send(&created.sender_id, None, true, b"again").await.unwrap();
        assert_eq!(next().await, NotifierEvent::Message(0, None));
    };
    let started = Instant::now();
    let address = address.address();
    let mut note = |event| events.borrow_mut().push_back(event);
    let running = notifier.run(device, &address, &mut note, story);
    let end = tokio::time::timeout(std::time::Duration::from_secs(60), running).await.expect("in time");
    assert_eq!(end, Ok(NotifierEnd::Stopped));
    assert_eq!(started.elapsed(), Duration::from_secs(4 * 300 + 30 + 2 + 45 + 4));
}
