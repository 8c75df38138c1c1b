//! A device that receives messages, against this project's relay over TCP, sent by a client of the host or by another
//! device.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration as HostDuration;

use common::flash::{Flash, flaky, silent};
use common::{HostNetwork, TestRelay, buffer, keep_time, random};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_time::Duration;
use smp_embassy::receiver::{
    ReceivedMessage, ReceiverError, ReceiverEvent, ReceiverOptions, ReceiverTiming, Stopped, Taken,
};
use smp_embassy::sender::{SenderError, SenderOptions};
use smp_embassy::{Backoff, Device, Error, NoClock, Outbox, Receiver, ReceiverHandler, Refusal, Sender};
use smp_proto::address::ServerUri;
use smp_proto::uri::QueueUri;
use smp_proto::version::{SmpVersion, VersionRange};
use smp_std::client::{Client, Events, Options, SendQueue};
use tokio::sync::{mpsc, oneshot, watch};

type End = ReceiverError<postcard::Error>;

/// Short pauses: nobody wants to wait.
const TIMING: ReceiverTiming = ReceiverTiming {
    response: Duration::from_secs(3),
    silence: Duration::from_millis(200),
    backoff: Backoff { first: Duration::from_millis(20), most: Duration::from_millis(200) },
};

/// The application: hands everything to the story.
struct Display {
    address: watch::Sender<Option<QueueUri>>,
    messages: mpsc::UnboundedSender<(Vec<u8>, Vec<u8>)>,
    events: mpsc::UnboundedSender<ReceiverEvent>,
    /// How many messages it cannot take yet.
    busy: u32,
    /// Whether it thinks about a message for ever.
    stuck: bool,
}

impl ReceiverHandler for Display {
    fn queue(&mut self, address: &QueueUri) {
        let _ = self.address.send(Some(address.clone()));
    }

    async fn message(&mut self, message: ReceivedMessage<'_>) -> Taken {
        tokio::task::yield_now().await;
        if self.busy > 0 {
            self.busy -= 1;
            return Taken::Later;
        }
        assert!(message.time > 1_700_000_000);
        let _ = self.messages.send((message.id.to_vec(), message.body.to_vec()));
        if self.stuck {
            std::future::pending::<()>().await;
        }
        Taken::Yes
    }

    fn event(&mut self, event: ReceiverEvent) {
        let _ = self.events.send(event);
    }
}

/// A device at work.
struct Screen {
    address: watch::Receiver<Option<QueueUri>>,
    messages: mpsc::UnboundedReceiver<(Vec<u8>, Vec<u8>)>,
    events: mpsc::UnboundedReceiver<ReceiverEvent>,
    stop: Option<oneshot::Sender<()>>,
    running: std::thread::JoinHandle<Option<End>>,
}

impl Screen {
    fn start(relay: ServerUri, version: Option<u16>, flash: &Flash) -> Self {
        Self::busy(relay, version, flash, 0)
    }

    fn busy(relay: ServerUri, version: Option<u16>, flash: &Flash, busy: u32) -> Self {
        keep_time();
        let (address, addresses) = watch::channel(None);
        let (message, messages) = mpsc::unbounded_channel();
        let (event, events) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let mut display = Display { address, messages: message, events: event, busy, stuck: false };
        let mut flash = flash.clone();
        // Like on the device, the futures stay on one thread.
        let running = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let (mut buffer, mut random) = (buffer(), random(another_seed()));
                let mut receiver = match Receiver::load(&mut flash).await {
                    Ok(receiver) => receiver,
                    Err(error) => return Some(error),
                };
                let mut options = ReceiverOptions { timing: TIMING, ..ReceiverOptions::new(&relay) };
                if let Some(version) = version.map(SmpVersion) {
                    options.versions = VersionRange::new(version, version).unwrap();
                }
                let device =
                    Device { network: &mut HostNetwork, random: &mut random, clock: &NoClock, buffer: &mut buffer };
                tokio::select! {
                    end = receiver.run(device, &mut flash, &options, &mut display) => Some(end),
                    _ = stopped => None,
                }
            })
        });
        Self { address: addresses, messages, events, stop: Some(stop), running }
    }

    async fn address(&mut self) -> QueueUri {
        let address = self.address.wait_for(Option::is_some);
        let address = tokio::time::timeout(HostDuration::from_secs(20), address).await.expect("no queue in time");
        address.unwrap().clone().unwrap()
    }

    async fn message(&mut self) -> (Vec<u8>, Vec<u8>) {
        let next = tokio::time::timeout(HostDuration::from_secs(20), self.messages.recv());
        next.await.expect("no message in time").expect("the receiver has ended")
    }

    async fn until(&mut self, wanted: impl Fn(&ReceiverEvent) -> bool) -> ReceiverEvent {
        loop {
            let next = tokio::time::timeout(HostDuration::from_secs(20), self.events.recv());
            let event = next.await.expect("no event in time").expect("the receiver has ended");
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

/// A receiver whose application the story itself looks at.
struct Desk {
    receiver: Receiver,
    display: Display,
    address: watch::Receiver<Option<QueueUri>>,
    messages: mpsc::UnboundedReceiver<(Vec<u8>, Vec<u8>)>,
}

impl Desk {
    /// As the device starts.
    async fn start(flash: &Flash) -> Self {
        keep_time();
        let receiver = Receiver::load(&mut flash.clone()).await.unwrap();
        let (address, addresses) = watch::channel(None);
        let (message, messages) = mpsc::unbounded_channel();
        let (event, _) = mpsc::unbounded_channel();
        let display = Display { address, messages: message, events: event, busy: 0, stuck: false };
        Self { receiver, display, address: addresses, messages }
    }

    /// Receives until a condition is met, or until that becomes impossible.
    async fn until(&mut self, relay: &TestRelay, flash: &Flash, condition: impl Future<Output = ()>) -> Option<End> {
        let (mut buffer, mut random) = (buffer(), random(another_seed()));
        let relay = relay.address();
        let options = ReceiverOptions { timing: TIMING, ..ReceiverOptions::new(&relay) };
        let device = Device { network: &mut HostNetwork, random: &mut random, clock: &NoClock, buffer: &mut buffer };
        let Self { receiver, display, .. } = self;
        let mut flash = flash.clone();
        tokio::select! {
            end = receiver.run(device, &mut flash, &options, display) => Some(end),
            () = condition => None,
            () = tokio::time::sleep(HostDuration::from_secs(20)) => panic!("not in time"),
        }
    }
}

/// Other random values for each device.
fn another_seed() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static SEED: AtomicU64 = AtomicU64::new(1_000);
    SEED.fetch_add(1, Ordering::Relaxed)
}

async fn client(relay: &TestRelay, version: u16) -> (Client, Events) {
    let mut options = Options::interactive();
    options.versions = VersionRange::new(SmpVersion(version), SmpVersion(version)).unwrap();
    Client::connect(&relay.address(), &options).await.unwrap()
}

/// Sends, whatever happens to the relay meanwhile.
async fn send(relay: &TestRelay, queue: &mut SendQueue, body: &[u8]) {
    for _ in 0..200 {
        if let Ok((client, _events)) = Client::connect(&relay.address(), &Options::interactive()).await
            && queue.send(&client, body).await.is_ok()
        {
            return;
        }
        tokio::time::sleep(HostDuration::from_millis(20)).await;
    }
    panic!("the relay does not take a message");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_arrive_at_every_version() {
    let relay = TestRelay::start().await;
    for version in 7..=20 {
        let mut screen = Screen::start(relay.address(), Some(version), &Flash::default());
        let uri = screen.address().await;
        let (client, _events) = client(&relay, version).await;
        let mut queue = SendQueue::new(&uri, SmpVersion(version)).unwrap();
        for number in 0..3u8 {
            queue.send(&client, &[number; 100]).await.unwrap();
            assert_eq!(screen.message().await.1, [number; 100], "version {version}");
        }
        // The device has set the key that the sender asked for.
        let mut other = SendQueue::new(&uri, SmpVersion(version)).unwrap();
        assert!(other.send(&client, b"me too").await.unwrap_err().is_not_authorized(), "version {version}");
        screen.until(|event| *event == ReceiverEvent::Introduced).await;
        screen.reset().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_message_arrives() {
    let relay = TestRelay::start().await;
    let mut screen = Screen::start(relay.address(), None, &Flash::default());
    let mut queue = SendQueue::new(&screen.address().await, SmpVersion::MAX).unwrap();
    let longest = [7; smp_std::client::MAX_BODY_LENGTH];
    for _ in 0..2 {
        send(&relay, &mut queue, &longest).await;
        assert!(screen.message().await.1 == longest);
    }
    screen.reset().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_device_writes_to_another_through_a_proxy() {
    let (relay, proxy) = (TestRelay::start().await, TestRelay::start().await);
    let mut screen = Screen::start(relay.address(), None, &Flash::default());
    let address = screen.address().await.to_string();
    let outbox = Arc::new(Outbox::<CriticalSectionRawMutex, 4, 32>::new());
    let (shared, proxy_address) = (Arc::clone(&outbox), proxy.address());
    let (stop, stopped) = oneshot::channel::<()>();
    let running = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let (mut buffer, mut random, mut flash) = (buffer(), random(another_seed()), Flash::default());
            let mut sender = Sender::load(&mut flash, Some(&address), &mut random).await.unwrap();
            let options = SenderOptions { proxy: Some(&proxy_address), ..SenderOptions::default() };
            let device =
                Device { network: &mut HostNetwork, random: &mut random, clock: &NoClock, buffer: &mut buffer };
            let run = sender.run(device, &mut flash, &shared, &options, |_| {});
            tokio::select! {
                end = run => Some(end),
                _ = stopped => None::<SenderError<postcard::Error>>,
            }
        })
    });
    for number in 0..4u8 {
        outbox.push(&[number]).unwrap();
        assert_eq!(screen.message().await.1, [number]);
    }
    drop(stop);
    assert_eq!(tokio::task::spawn_blocking(|| running.join().unwrap()).await.unwrap(), None);
    screen.reset().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_is_restarted_loses_no_message() {
    let mut relay = TestRelay::start().await;
    let mut screen = Screen::start(relay.address(), None, &Flash::default());
    let mut queue = SendQueue::new(&screen.address().await, SmpVersion::MAX).unwrap();
    let mut seen = BTreeSet::new();
    for round in 0..5u8 {
        for number in 0..3 {
            send(&relay, &mut queue, &[round, number]).await;
        }
        relay.stop().await;
        relay.run().await;
        for number in 0..3 {
            let (id, body) = screen.message().await;
            assert_eq!(body, [round, number]);
            assert!(seen.insert(id), "a message came twice");
        }
    }
    screen.reset().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_fails_and_resets_lose_no_message() {
    let relay = TestRelay::start().await;
    let flash = Flash::default();
    let port = flaky(relay.port(), 3).await;
    let mut screen = Screen::start(relay.address_by(port), None, &flash);
    // The sender has a better network.
    let uri = screen.address().await.to_string();
    let uri = uri.replace(&format!(":{port}/"), &format!(":{}/", relay.port()));
    let mut queue = SendQueue::new(&uri.parse().unwrap(), SmpVersion::MAX).unwrap();
    let mut received: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let count = 40u8;
    for number in 0..count {
        send(&relay, &mut queue, &[number]).await;
        if number % 4 == 3 {
            while let Ok(message) = screen.messages.try_recv() {
                received.push(message);
            }
            let mut old = std::mem::replace(&mut screen, Screen::start(relay.address_by(port), None, &flash));
            drop(old.stop.take());
            while let Some(message) = old.messages.recv().await {
                received.push(message);
            }
            assert_eq!(old.end().await, None);
        }
    }
    while received.last().is_none_or(|(_, body)| *body != [count - 1]) {
        received.push(screen.message().await);
    }
    screen.reset().await;
    // What was taken in the moment of a reset may come twice, with the same id.
    received.dedup();
    let bodies: Vec<u8> = received.iter().map(|(_, body)| body[0]).collect();
    assert_eq!(bodies, (0..count).collect::<Vec<u8>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_fall_silent_are_given_up() {
    let relay = TestRelay::start().await;
    let port = silent(relay.port(), 7).await;
    let mut screen = Screen::start(relay.address_by(port), None, &Flash::default());
    let uri = screen.address().await.to_string();
    let uri = uri.replace(&format!(":{port}/"), &format!(":{}/", relay.port()));
    let mut queue = SendQueue::new(&uri.parse().unwrap(), SmpVersion::MAX).unwrap();
    for number in 0..10u8 {
        send(&relay, &mut queue, &[number]).await;
        assert_eq!(screen.message().await.1, [number]);
    }
    screen.until(|event| matches!(event, ReceiverEvent::Failed(Error::TimedOut(_)))).await;
    screen.reset().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_cannot_be_taken_comes_again() {
    let relay = TestRelay::start().await;
    let flash = Flash::default();
    let mut screen = Screen::busy(relay.address(), None, &flash, 3);
    let mut queue = SendQueue::new(&screen.address().await, SmpVersion::MAX).unwrap();
    send(&relay, &mut queue, b"first").await;
    send(&relay, &mut queue, b"second").await;
    assert_eq!(screen.message().await.1, b"first");
    assert_eq!(screen.message().await.1, b"second");
    screen.reset().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_strangers_send_does_not_wear_the_flash() {
    let relay = TestRelay::start().await;
    let flash = Flash::default();
    let mut screen = Screen::start(relay.address(), None, &flash);
    let uri = screen.address().await;
    let (client, _events) = relay.client().await;
    for _ in 0..20 {
        client.send(&uri.sender_id().into(), None, false, b"nonsense").await.unwrap();
        screen.until(|event| matches!(event, ReceiverEvent::Unreadable(_))).await;
    }
    let mut sender = SendQueue::new(&uri, SmpVersion::MAX).unwrap();
    send(&relay, &mut sender, b"sense").await;
    assert_eq!(screen.message().await.1, b"sense");
    send(&relay, &mut sender, b"more").await;
    assert_eq!(screen.message().await.1, b"more");
    // That of the last one may not be written yet.
    assert!(flash.writes() <= 2, "{} writes", flash.writes());
    screen.reset().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_the_sender_is_is_kept_though_the_first_message_was_interrupted() {
    let relay = TestRelay::start().await;
    let flash = Flash::default();
    let mut desk = Desk::start(&flash).await;
    let mut address = desk.address.clone();
    assert_eq!(desk.until(&relay, &flash, async { drop(address.wait_for(Option::is_some).await) }).await, None);
    let address = desk.receiver.address().unwrap();
    let mut queue = SendQueue::new(&address, SmpVersion::MAX).unwrap();
    send(&relay, &mut queue, b"first").await;
    // The application has the message when everything is given up.
    desk.display.stuck = true;
    let (_none, mut messages) = mpsc::unbounded_channel();
    std::mem::swap(&mut messages, &mut desk.messages);
    let interrupted = async { assert_eq!(messages.recv().await.unwrap().1, b"first") };
    assert_eq!(desk.until(&relay, &flash, interrupted).await, None);
    desk.display.stuck = false;
    let acknowledged = async {
        assert_eq!(messages.recv().await.unwrap().1, b"first", "it comes again");
        send(&relay, &mut queue, b"second").await;
        assert_eq!(messages.recv().await.unwrap().1, b"second");
        send(&relay, &mut queue, b"third").await;
    };
    assert_eq!(desk.until(&relay, &flash, acknowledged).await, None);
    // After a reset there is only what was kept.
    let mut screen = Screen::start(relay.address(), None, &flash);
    loop {
        match screen.message().await.1.as_slice() {
            b"second" => {} // Its acknowledgement may have been interrupted.
            third => break assert_eq!(third, b"third"),
        }
    }
    screen.reset().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_is_given_to_nobody_before_its_queue_is_kept() {
    let relay = TestRelay::start().await;
    let flash = Flash::default();
    let mut desk = Desk::start(&flash).await;
    let failed = Some(ReceiverError::Store(postcard::Error::SerializeBufferFull));
    flash.fail(true);
    for _ in 0..2 {
        assert_eq!(desk.until(&relay, &flash, std::future::pending()).await, failed);
        assert!(desk.receiver.address().is_none() && desk.address.borrow().is_none(), "a reset would forget the queue");
    }
    flash.fail(false);
    let mut told = desk.address.clone();
    assert_eq!(desk.until(&relay, &flash, async { drop(told.wait_for(Option::is_some).await) }).await, None);
    let kept = Receiver::load(&mut flash.clone()).await.unwrap().address().unwrap();
    assert_eq!(desk.receiver.address().unwrap().to_string(), kept.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mark_of_a_full_queue_is_told_and_acknowledged() {
    let mut relay = TestRelay::start().await;
    relay.stop().await;
    relay.quota = 2;
    relay.run().await;
    let flash = Flash::default();
    let mut screen = Screen::start(relay.address(), None, &flash);
    let mut queue = SendQueue::new(&screen.address().await, SmpVersion::MAX).unwrap();
    screen.reset().await;
    let (client, _events) = relay.client().await;
    let mut sent = 0u8;
    while queue.send(&client, &[sent]).await.is_ok() {
        sent += 1;
    }
    let mut screen = Screen::start(relay.address(), None, &flash);
    for number in 0..sent {
        assert_eq!(screen.message().await.1, [number]);
    }
    screen.until(|event| matches!(event, ReceiverEvent::Full(_))).await;
    send(&relay, &mut queue, b"after").await;
    assert_eq!(screen.message().await.1, b"after");
    screen.reset().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_in_other_hands_ends_the_receiver() {
    let relay = TestRelay::start().await;
    let flash = Flash::default();
    let mut first = Screen::start(relay.address(), None, &flash);
    let address = first.address().await;
    first.until(|event| *event == ReceiverEvent::Subscribed).await;
    // The same records in another device.
    let mut second = Screen::start(relay.address(), None, &flash);
    assert_eq!(second.address().await.to_string(), address.to_string());
    assert_eq!(first.end().await, Some(ReceiverError::Stopped(Stopped::TakenOver)));
    second.reset().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_create_no_queues_without_the_password() {
    let mut relay = TestRelay::start().await;
    relay.stop().await;
    relay.password = Some("secret".into());
    relay.run().await;
    let screen = Screen::start(relay.address(), None, &Flash::default());
    let refused = ReceiverError::Stopped(Stopped::Refused(Refusal::NotAuthorized));
    assert_eq!(screen.end().await, Some(refused));
    let address: ServerUri = relay.address().to_string().replace('@', ":secret@").parse().unwrap();
    let mut screen = Screen::start(address, None, &Flash::default());
    assert!(!screen.address().await.to_string().contains("secret"));
    screen.reset().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_connection_is_asked_for_signs_of_life() {
    let relay = TestRelay::start().await;
    let flash = Flash::default();
    let mut screen = Screen::start(relay.address(), None, &flash);
    let mut queue = SendQueue::new(&screen.address().await, SmpVersion::MAX).unwrap();
    // Several times as long as the device stands silence.
    tokio::time::sleep(HostDuration::from_millis(900)).await;
    send(&relay, &mut queue, b"still there").await;
    assert_eq!(screen.message().await.1, b"still there");
    let mut connected = 0;
    while let Ok(event) = screen.events.try_recv() {
        connected += u32::from(matches!(event, ReceiverEvent::Connected(_)));
    }
    assert_eq!(connected, 1);
    screen.reset().await;
}
