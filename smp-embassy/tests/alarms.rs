//! A device that sends alarms, against this project's relays over TCP, read by a client of the host.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;
use std::time::Duration as HostDuration;

use common::flash::{CAPACITY, Flash, flaky, silent};
use common::{HostNetwork, TestRelay, buffer, keep_time, random};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_time::Duration;
use smp_embassy::dial::DialError;
use smp_embassy::outbox::Ticket;
use smp_embassy::sender::{AddressError, MAX_ALARM_LENGTH, SenderError, SenderEvent, SenderOptions, SenderTiming};
use smp_embassy::{Backoff, Device, Error, NoClock, Outbox, ProxyFailure, Refusal, Sender};
use smp_proto::address::ServerUri;
use smp_proto::uri::QueueUri;
use smp_proto::version::{SmpVersion, VersionRange};
use smp_std::client::{Client, Event, Events, QueueOptions, ReceiveQueue, Received, SendQueue};
use tokio::sync::{mpsc, oneshot};

const LENGTH: usize = 32;
type End = SenderError<postcard::Error>;

/// Short pauses: nobody wants to wait.
const TIMING: SenderTiming = SenderTiming {
    response: Duration::from_secs(3),
    proxy_connect: Duration::from_secs(5),
    linger: Duration::from_secs(3),
    backoff: Backoff { first: Duration::from_millis(20), most: Duration::from_millis(200) },
    full: Backoff { first: Duration::from_millis(50), most: Duration::from_millis(200) },
};

/// How a story wants its device.
#[derive(Clone)]
struct Story {
    address: Option<String>,
    proxy: Option<ServerUri>,
    versions: VersionRange<SmpVersion>,
    seed: u64,
}

impl Story {
    fn new(uri: &QueueUri) -> Self {
        let versions = VersionRange::new(SmpVersion(7), SmpVersion(20)).unwrap();
        Self { address: Some(uri.to_string()), proxy: None, versions, seed: 1 }
    }

    fn only(self, version: u16) -> Self {
        Self { versions: VersionRange::new(SmpVersion(version), SmpVersion(version)).unwrap(), ..self }
    }

    fn through(self, proxy: ServerUri) -> Self {
        Self { proxy: Some(proxy), ..self }
    }
}

/// Waits until something is true.
async fn until(is_true: impl Fn() -> bool) {
    let waiting = async {
        while !is_true() {
            tokio::time::sleep(HostDuration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(HostDuration::from_secs(60), waiting).await.expect("in time");
}

/// A device at work.
struct Button<const N: usize = LENGTH> {
    outbox: Arc<Outbox<CriticalSectionRawMutex, 4, N>>,
    events: mpsc::UnboundedReceiver<SenderEvent>,
    stop: Option<oneshot::Sender<()>>,
    running: std::thread::JoinHandle<Option<End>>,
}

impl<const N: usize> Button<N> {
    fn start(story: Story, flash: &Flash) -> Self {
        Self::with(story, flash, Arc::new(Outbox::new()))
    }

    fn with(story: Story, flash: &Flash, outbox: Arc<Outbox<CriticalSectionRawMutex, 4, N>>) -> Self {
        keep_time();
        let (tell, events) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let (mut flash, shared) = (flash.clone(), Arc::clone(&outbox));
        // Like on the device, the futures stay on one thread.
        let running = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let (mut buffer, mut random) = (buffer(), random(story.seed));
                let mut sender = match Sender::load(&mut flash, story.address.as_deref(), &mut random).await {
                    Ok(sender) => sender,
                    Err(error) => return Some(error),
                };
                let options = SenderOptions { proxy: story.proxy.as_ref(), timing: TIMING, versions: story.versions };
                let device =
                    Device { network: &mut HostNetwork, random: &mut random, clock: &NoClock, buffer: &mut buffer };
                let report = |event| {
                    let _ = tell.send(event);
                };
                tokio::select! {
                    end = sender.run(device, &mut flash, &shared, &options, report) => Some(end),
                    _ = stopped => None,
                }
            })
        });
        Self { outbox, events, stop: Some(stop), running }
    }

    async fn push(&self, alarm: &[u8]) -> Ticket {
        let pushing = async {
            loop {
                match self.outbox.push(alarm) {
                    Ok(ticket) => return ticket,
                    Err(_) => tokio::time::sleep(HostDuration::from_millis(2)).await,
                }
            }
        };
        tokio::time::timeout(HostDuration::from_secs(60), pushing).await.expect("no room in time")
    }

    async fn event(&mut self) -> SenderEvent {
        let next = tokio::time::timeout(HostDuration::from_secs(20), self.events.recv());
        next.await.expect("no event in time").expect("the sender has ended")
    }

    async fn until(&mut self, wanted: impl Fn(&SenderEvent) -> bool) -> SenderEvent {
        loop {
            let event = self.event().await;
            if wanted(&event) {
                return event;
            }
        }
    }

    /// Cuts the power, whatever it is doing.
    async fn reset(mut self) {
        drop(self.stop.take());
        assert_eq!(self.end().await, None);
    }

    /// Waits for its end.
    async fn end(self) -> Option<End> {
        tokio::task::spawn_blocking(|| self.running.join().unwrap()).await.unwrap()
    }
}

/// The recipient.
struct Owner {
    client: Client,
    events: Events,
    queue: ReceiveQueue,
}

impl Owner {
    async fn new(relay: &TestRelay) -> Self {
        let (client, events) = relay.client().await;
        let created = client.create_queue(&QueueOptions::default()).await.unwrap();
        let queue = ReceiveQueue::new(relay.address().server(), created).unwrap();
        Self { client, events, queue }
    }

    /// Connects again.
    async fn come_back(self, relay: &TestRelay) -> Self {
        let (client, events) = relay.client().await;
        client.subscribe(self.queue.credentials()).await.unwrap();
        Self { client, events, ..self }
    }

    /// The next message, acknowledged, and whether its sender asked for its key to be set; nothing for the mark of a full
    /// queue.
    async fn next(&mut self) -> Option<(Vec<u8>, bool)> {
        let delivery = loop {
            let next = tokio::time::timeout(HostDuration::from_secs(20), self.events.next());
            if let Event::Message(delivery) = next.await.expect("no message in time").unwrap() {
                break *delivery;
            }
        };
        let received = self.queue.open(&delivery).unwrap();
        let received = match received {
            Received::Message(message) => {
                if let Some(key) = message.secure_with {
                    self.client.secure(self.queue.credentials(), key).await.unwrap();
                }
                Some((message.body, message.secure_with.is_some()))
            }
            _ => None,
        };
        self.client.acknowledge(self.queue.credentials(), &delivery.message_id).await.unwrap();
        received
    }

    /// Reads alarms 0 to `count`, which come in order; one may come twice in a row.
    async fn read(&mut self, count: u32) {
        let mut expected = 0;
        while expected < count {
            let Some((body, _)) = self.next().await else { continue };
            let number = u32::from_be_bytes(body.try_into().unwrap());
            if Some(number) != expected.checked_sub(1) {
                assert_eq!(number, expected, "an alarm is missing");
                expected += 1;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alarms_arrive_at_every_version() {
    let relay = TestRelay::start().await;
    for version in 7..=20 {
        let mut owner = Owner::new(&relay).await;
        let story = Story::new(&owner.queue.uri().unwrap()).only(version);
        let mut button = Button::<LENGTH>::start(story, &Flash::default());
        assert_eq!(button.event().await, SenderEvent::Connected(SmpVersion(version)));
        if version >= 9 {
            assert_eq!(button.event().await, SenderEvent::Secured, "before there is an alarm");
        }
        for number in 0..3u8 {
            let ticket = button.outbox.push(&[number; LENGTH]).unwrap();
            let expected = (vec![number; LENGTH], version < 9 && number == 0);
            assert_eq!(owner.next().await, Some(expected));
            let told = async { tokio::join!(button.outbox.kept(ticket), button.outbox.accepted(ticket)) };
            tokio::time::timeout(HostDuration::from_secs(20), told).await.expect("told in time");
        }
        let status = owner.client.queue_status(owner.queue.credentials()).await.unwrap();
        assert!(status.secured, "nobody else can send");
        button.reset().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alarms_arrive_through_a_proxy_at_every_version() {
    let (relay, proxy) = (TestRelay::start().await, TestRelay::start().await);
    for version in 8..=20 {
        let mut owner = Owner::new(&relay).await;
        let story = Story::new(&owner.queue.uri().unwrap()).only(version).through(proxy.address());
        let mut button = Button::<LENGTH>::start(story, &Flash::default());
        for number in 0..3u8 {
            button.push(&[number; LENGTH]).await;
            assert_eq!(owner.next().await.unwrap().0, [number; LENGTH], "version {version}");
            button.until(|event| *event == SenderEvent::Accepted).await;
        }
        button.reset().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_alarm_arrives() {
    let (relay, proxy) = (TestRelay::start().await, TestRelay::start().await);
    for through in [None, Some(proxy.address())] {
        let mut owner = Owner::new(&relay).await;
        let story = Story { proxy: through, ..Story::new(&owner.queue.uri().unwrap()) };
        let button = Button::<MAX_ALARM_LENGTH>::start(story, &Flash::default());
        for number in 1..3 {
            button.push(&[number; MAX_ALARM_LENGTH]).await;
            assert!(owner.next().await.unwrap().0 == [number; MAX_ALARM_LENGTH]);
        }
        button.reset().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_that_are_restarted_lose_no_alarm() {
    let (mut relay, mut proxy) = (TestRelay::start().await, TestRelay::start().await);
    for proxied in [false, true] {
        let mut owner = Owner::new(&relay).await;
        let story = Story::new(&owner.queue.uri().unwrap());
        let story = if proxied { story.through(proxy.address()) } else { story };
        let mut button = Button::<LENGTH>::start(story, &Flash::default());
        for round in 0..6u32 {
            for number in 0..2 {
                button.push(&(round * 4 + number).to_be_bytes()).await;
            }
            if round % 2 == 0 {
                relay.stop().await
            } else {
                proxy.stop().await
            }
            for number in 2..4 {
                button.push(&(round * 4 + number).to_be_bytes()).await;
            }
            if round % 2 == 0 {
                relay.run().await
            } else {
                proxy.run().await
            }
            button.until(|event| *event == SenderEvent::Accepted).await;
        }
        owner = owner.come_back(&relay).await;
        owner.read(24).await;
        button.reset().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_store_whose_alarms_are_damaged_takes_others() {
    let mut relay = TestRelay::start().await;
    let mut owner = Owner::new(&relay).await;
    let flash = Flash::default();
    let mut button = Button::<LENGTH>::start(Story::new(&owner.queue.uri().unwrap()), &flash);
    button.until(|event| *event == SenderEvent::Secured).await;
    relay.stop().await;
    for _ in 0..CAPACITY {
        button.push(b"damaged").await;
    }
    let last = button.push(b"last").await;
    until(|| button.outbox.len() == 1).await;
    // It learns so when it is asked for room for the last.
    tokio::time::sleep(HostDuration::from_millis(100)).await;
    flash.damage_alarms();
    relay.run().await;
    owner = owner.come_back(&relay).await;
    assert_eq!(owner.next().await.unwrap().0, b"last");
    tokio::time::timeout(HostDuration::from_secs(20), button.outbox.accepted(last)).await.expect("accepted");
    button.reset().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_ever_for_an_alarm_that_the_store_found_damaged() {
    let mut relay = TestRelay::start().await;
    let owner = Owner::new(&relay).await;
    let flash = Flash::default();
    let mut button = Button::<LENGTH>::start(Story::new(&owner.queue.uri().unwrap()), &flash);
    button.until(|event| *event == SenderEvent::Secured).await;
    relay.stop().await;
    let damaged = button.push(b"damaged").await;
    tokio::time::timeout(HostDuration::from_secs(20), button.outbox.kept(damaged)).await.expect("kept");
    flash.damage_alarms();
    relay.run().await;
    tokio::time::timeout(HostDuration::from_secs(20), button.outbox.accepted(damaged)).await.expect("given up");
    button.reset().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_fails_and_resets_lose_no_alarm() {
    let (relay, proxy) = (TestRelay::start().await, TestRelay::start().await);
    for proxied in [false, true] {
        let mut owner = Owner::new(&relay).await;
        let uri = owner.queue.uri().unwrap();
        let port = flaky(if proxied { proxy.port() } else { relay.port() }, 1).await;
        let story = if proxied {
            Story::new(&uri).through(proxy.address_by(port))
        } else {
            let text = uri.to_string().replace(&format!(":{}/", relay.port()), &format!(":{port}/"));
            assert_ne!(text, uri.to_string());
            Story { address: Some(text), ..Story::new(&uri) }
        };
        let flash = Flash::default();
        let device = tokio::spawn(async move {
            let mut number = 0u32;
            for life in 0..10 {
                // From its second life on the device knows its queue.
                let address = story.address.clone().filter(|_| life == 0);
                let button = Button::<LENGTH>::start(Story { seed: 10 + life, address, ..story.clone() }, &flash);
                for _ in 0..4 {
                    button.push(&number.to_be_bytes()).await;
                    number += 1;
                }
                if life < 9 {
                    // Alarms survive from here on.
                    until(|| button.outbox.is_empty()).await;
                    tokio::time::sleep(HostDuration::from_millis(life * 13)).await;
                    button.reset().await;
                } else {
                    return (button, flash);
                }
            }
            unreachable!()
        });
        owner.read(40).await;
        let (button, flash) = device.await.unwrap();
        until(|| flash.alarms() == 0).await;
        button.reset().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_fall_silent_are_given_up() {
    let relay = TestRelay::start().await;
    let mut owner = Owner::new(&relay).await;
    let uri = owner.queue.uri().unwrap();
    let port = silent(relay.port(), 5).await;
    let text = uri.to_string().replace(&format!(":{}/", relay.port()), &format!(":{port}/"));
    let story = Story { address: Some(text), ..Story::new(&uri) };
    let mut button = Button::<LENGTH>::start(story, &Flash::default());
    for number in 0..10u32 {
        button.push(&number.to_be_bytes()).await;
    }
    owner.read(10).await;
    button.until(|event| matches!(event, SenderEvent::Failed(Error::TimedOut(_)))).await;
    button.reset().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_is_tried_again_until_its_owner_has_read_it() {
    let mut relay = TestRelay::start().await;
    relay.stop().await;
    relay.quota = 2;
    relay.run().await;
    for proxied in [false, true] {
        let mut owner = Owner::new(&relay).await;
        let story = Story::new(&owner.queue.uri().unwrap());
        let story = if proxied { story.through(relay.address()) } else { story };
        let mut button = Button::<LENGTH>::start(story, &Flash::default());
        for number in 0..4u32 {
            button.push(&number.to_be_bytes()).await;
        }
        for _ in 0..2 {
            button.until(|event| *event == SenderEvent::Refused(Refusal::QueueFull)).await;
        }
        owner.read(4).await;
        button.reset().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn some_refusals_are_final_and_alarms_are_kept() {
    let relay = TestRelay::start().await;
    let refused = Some(SenderError::Refused(Refusal::NotAuthorized));

    let owner = Owner::new(&relay).await;
    let (sender, _events) = relay.client().await;
    let uri = owner.queue.uri().unwrap();
    SendQueue::new(&uri, SmpVersion::MAX).unwrap().send(&sender, b"first").await.unwrap();
    let flash = Flash::default();
    let button = Button::<LENGTH>::start(Story::new(&uri), &flash);
    button.push(b"second").await;
    assert_eq!(button.end().await, refused, "somebody else has the queue");
    assert_eq!(flash.alarms(), 1);

    let mut owner = Owner::new(&relay).await;
    let flash = Flash::default();
    let mut button = Button::<LENGTH>::start(Story::new(&owner.queue.uri().unwrap()), &flash);
    button.push(b"first").await;
    owner.next().await;
    button.until(|event| *event == SenderEvent::Accepted).await;
    owner.client.delete(owner.queue.credentials()).await.unwrap();
    button.push(b"second").await;
    button.push(b"third").await;
    let outbox = Arc::clone(&button.outbox);
    assert_eq!(button.end().await, refused, "the queue is gone");
    assert_eq!(flash.alarms() + outbox.len(), 2);

    // A new queue gets them.
    let mut owner = Owner::new(&relay).await;
    let button = Button::with(Story::new(&owner.queue.uri().unwrap()), &flash, outbox);
    assert_eq!(owner.next().await.unwrap().0, b"second");
    assert_eq!(owner.next().await.unwrap().0, b"third");
    button.reset().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_with_a_password_wants_it() {
    let (relay, mut proxy) = (TestRelay::start().await, TestRelay::start().await);
    proxy.stop().await;
    proxy.password = Some("secret".into());
    proxy.run().await;
    let mut owner = Owner::new(&relay).await;
    let uri = owner.queue.uri().unwrap();
    let button = Button::<LENGTH>::start(Story::new(&uri).through(proxy.address()), &Flash::default());
    button.push(b"alarm").await;
    assert_eq!(button.end().await, Some(SenderError::Refused(Refusal::Proxy(ProxyFailure::Password))));

    let address = proxy.address().to_string().replace('@', ":secret@");
    let button = Button::<LENGTH>::start(Story::new(&uri).through(address.parse().unwrap()), &Flash::default());
    button.push(b"alarm").await;
    assert_eq!(owner.next().await.unwrap().0, b"alarm");
    button.reset().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_impostor_gets_nothing() {
    let (relay, impostor, proxy) = (TestRelay::start().await, TestRelay::start().await, TestRelay::start().await);
    let owner = Owner::new(&relay).await;
    let uri = owner.queue.uri().unwrap();
    let (real, other) = (format!(":{}/", relay.port()), format!(":{}/", impostor.port()));
    let address = uri.to_string().replace(&real, &other);
    let flash = Flash::default();
    let story = Story { address: Some(address), ..Story::new(&uri) };
    let mut button = Button::<LENGTH>::start(story.clone(), &flash);
    button.push(b"alarm").await;
    for _ in 0..2 {
        let failed = button.event().await;
        assert!(matches!(failed, SenderEvent::Failed(Error::Certificate(_))), "{failed:?}");
    }
    button.reset().await;
    // The proxy itself finds out, and if it did not, the device would.
    let mut button = Button::<LENGTH>::start(story.through(proxy.address()), &Flash::default());
    button.push(b"alarm").await;
    for _ in 0..2 {
        let refused = button.until(|event| matches!(event, SenderEvent::Refused(_))).await;
        assert!(matches!(refused, SenderEvent::Refused(Refusal::Proxy(_))), "{refused:?}");
    }
    button.reset().await;
    assert_eq!(flash.alarms(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alarms_wait_for_a_relay_that_is_not_there() {
    let mut relay = TestRelay::start().await;
    let owner = Owner::new(&relay).await;
    let story = Story::new(&owner.queue.uri().unwrap());
    relay.stop().await;
    let flash = Flash::default();
    let mut button = Button::<LENGTH>::start(story, &flash);
    assert_eq!(button.event().await, SenderEvent::Failed(Error::Dial(DialError::Refused)));
    // More than the outbox holds: the store takes them.
    for number in 0..12u32 {
        button.push(&number.to_be_bytes()).await;
    }
    relay.run().await;
    owner.come_back(&relay).await.read(12).await;
    for _ in 0..12 {
        button.until(|event| *event == SenderEvent::Accepted).await;
    }
    assert_eq!(flash.alarms(), 0);
    button.reset().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_are_closed_and_opened_again() {
    let relay = TestRelay::start().await;
    let mut owner = Owner::new(&relay).await;
    let mut button = Button::<LENGTH>::start(Story::new(&owner.queue.uri().unwrap()), &Flash::default());
    for number in 0..2u8 {
        button.push(&[number]).await;
        assert_eq!(owner.next().await.unwrap().0, [number]);
        button.until(|event| *event == SenderEvent::Disconnected).await;
    }
    button.reset().await;
}

#[tokio::test]
async fn what_is_no_address_is_told_at_once() {
    let flash = &mut Flash::default();
    let random = &mut random(1);
    let nothing = Sender::load(flash, None, random).await.map(|_| ());
    assert_eq!(nothing, Err(SenderError::NoQueue));
    let wrong = Sender::load(flash, Some("smp://nonsense"), random).await.map(|_| ());
    assert_eq!(wrong, Err(SenderError::Address(AddressError::Malformed)));
    let address = "smp://-pd7JvjLnNPNfqES2AdWWndE8JoS9gdcvKu0Ba-P2DY=@a/AAAA#/?v=1-4\
        &dh=MCowBQYDK2VuAyEAPczoNHJA2y1_oVECI0rKexDkpp6dLAjWC_Jz2grsoig%3D&q=m";
    let broken = Sender::load(flash, Some(address), &mut common::BrokenRandom).await;
    assert!(matches!(broken, Err(SenderError::Random(_))));
}
