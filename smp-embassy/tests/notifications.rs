//! A device that is told when a message waits, against this project's relay over TCP.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{BrokenRandom, HostClock, HostNetwork, TestRelay, buffer, keep_time, random};
use embassy_time::Duration;
use rand_core::TryCryptoRng;
use smp_crypto::certificate::ChainError;
use smp_crypto::key::{AuthorizationSecretKey, X25519SecretKey};
use smp_embassy::dial::DialError;
use smp_embassy::notifier::{NotifierEnd, NotifierHandler, NotifierOptions};
use smp_embassy::{
    Backoff, CommandKey, Device, Error, NoClock, Notifier, NotifierEvent, NotifierQueue, RandomError, WallClock,
};
use smp_proto::address::ServerUri;
use smp_proto::version::{SmpVersion, VersionRange};
use smp_std::client::{Client, CreatedQueue, Credentials, Event, Events, QueueOptions};
use smp_std::identity::KeyAlgorithm;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

/// Short pauses: nobody wants to wait.
fn options() -> NotifierOptions {
    NotifierOptions {
        backoff: Backoff { first: Duration::from_millis(50), most: Duration::from_millis(400) },
        ..NotifierOptions::DEFAULT
    }
}

/// Hands events to the story.
struct Teller(mpsc::UnboundedSender<NotifierEvent>);

impl NotifierHandler for Teller {
    fn handle(&mut self, event: NotifierEvent) {
        let _ = self.0.send(event);
    }
}

/// A device at work.
struct Lamp {
    events: mpsc::UnboundedReceiver<NotifierEvent>,
    stop: oneshot::Sender<()>,
    running: std::thread::JoinHandle<Result<NotifierEnd, Error>>,
}

impl Lamp {
    fn start(queues: Vec<NotifierQueue>, relay: ServerUri, options: NotifierOptions) -> Self {
        Self::start_with(queues, relay, options, random(1), NoClock)
    }

    fn start_with<R, C>(
        queues: Vec<NotifierQueue>,
        relay: ServerUri,
        options: NotifierOptions,
        random: R,
        clock: C,
    ) -> Self
    where
        R: TryCryptoRng + Send + 'static,
        C: WallClock + Send + 'static,
    {
        keep_time();
        let (teller, events) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel::<()>();
        // Like on the device, the futures stay on one thread.
        let running = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let mut notifier = Notifier::<250>::new(queues.into_iter().collect(), options);
                let (mut buffer, mut random) = (buffer(), random);
                let device =
                    Device { network: &mut HostNetwork, random: &mut random, clock: &clock, buffer: &mut buffer };
                let stop = async move { drop(stopped.await) };
                let end = notifier.run(device, &relay.address(), &mut Teller(teller), stop).await;
                assert_eq!(notifier.anomalies(), Default::default());
                end
            })
        });
        Self { events, stop, running }
    }

    async fn next(&mut self) -> NotifierEvent {
        let next = tokio::time::timeout(std::time::Duration::from_secs(60), self.events.recv());
        next.await.expect("no event in time").expect("the notifier has ended")
    }

    /// Waits until these queues are subscribed to, in any order, whatever attempts that takes.
    async fn subscribed(&mut self, queues: &[usize]) {
        let mut missing = queues.to_vec();
        while !missing.is_empty() {
            match self.next().await {
                NotifierEvent::Subscribed(queue) => missing.retain(|other| *other != queue),
                NotifierEvent::Connected(_) | NotifierEvent::Disconnected(_) | NotifierEvent::Message(..) => {}
                event => panic!("{event:?}"),
            }
        }
    }

    async fn end(self) -> Result<NotifierEnd, Error> {
        drop(self.stop);
        tokio::task::spawn_blocking(|| self.running.join().unwrap()).await.unwrap()
    }
}

/// A queue whose recipient lets the device know.
async fn queue(owner: &Client, key: CommandKey, metadata: bool) -> (CreatedQueue, NotifierQueue) {
    let created = owner.create_queue(&QueueOptions::default()).await.unwrap();
    let access = owner.enable_notifications(&created.recipient, key.public_key()).await.unwrap();
    let queue = NotifierQueue::new(access.notifier_id.as_bytes().try_into().unwrap(), key);
    let queue = if metadata { queue.with_metadata_secret(&access.secret) } else { queue };
    (created, queue)
}

async fn send(owner: &Client, queue: &CreatedQueue) {
    owner.send(&queue.sender_id, None, true, b"it rings").await.unwrap();
}

/// The message the owner gets.
async fn received(events: &mut Events) -> smp_std::client::Delivery {
    loop {
        if let Event::Message(delivery) = events.next().await.unwrap() {
            return *delivery;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lamp_is_lit_by_a_message_at_every_version() {
    let relay = TestRelay::start().await;
    let random = &mut random(2);
    for version in 7..=20 {
        let (owner, mut events) = relay.client().await;
        let signing = CommandKey::generate_ed25519(random).unwrap();
        let agreeing = CommandKey::generate_x25519(random).unwrap();
        let (first, first_queue) = queue(&owner, signing, true).await;
        let (second, second_queue) = queue(&owner, agreeing, false).await;
        let only = SmpVersion(version);
        let options = NotifierOptions { versions: VersionRange::new(only, only).unwrap(), ..options() };
        let mut lamp = Lamp::start(vec![first_queue, second_queue], relay.address(), options);
        assert_eq!(lamp.next().await, NotifierEvent::Connected(only));
        lamp.subscribed(&[0, 1]).await;

        send(&owner, &first).await;
        let delivery = received(&mut events).await;
        let NotifierEvent::Message(0, Some(message)) = lamp.next().await else { panic!("no message") };
        assert_eq!(message.id.as_bytes(), delivery.message_id.as_bytes());
        assert!(message.time > 1_700_000_000);
        send(&owner, &second).await;
        assert_eq!(lamp.next().await, NotifierEvent::Message(1, None));

        // What is deleted is gone; at versions before 10 only the next attempt tells.
        owner.disable_notifications(&first.recipient).await.unwrap();
        let expected = if version < 10 { NotifierEvent::Displaced(0) } else { NotifierEvent::Gone(0) };
        assert_eq!(lamp.next().await, expected);
        send(&owner, &second).await;
        received(&mut events).await;
        assert_eq!(lamp.end().await, Ok(NotifierEnd::Stopped));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_is_restarted_is_found_again() {
    let mut relay = TestRelay::start().await;
    let (owner, mut events) = relay.client().await;
    let (first, first_queue) = queue(&owner, CommandKey::generate_ed25519(&mut random(3)).unwrap(), true).await;
    let (second, second_queue) = queue(&owner, CommandKey::generate_x25519(&mut random(4)).unwrap(), true).await;
    let mut lamp = Lamp::start(vec![first_queue, second_queue], relay.address(), options());
    assert_eq!(lamp.next().await, NotifierEvent::Connected(SmpVersion::MAX));
    lamp.subscribed(&[0, 1]).await;
    send(&owner, &first).await;
    assert!(matches!(lamp.next().await, NotifierEvent::Message(0, Some(_))));
    received(&mut events).await;

    for _ in 0..2 {
        relay.stop().await;
        let disconnected = lamp.next().await;
        assert!(
            matches!(disconnected, NotifierEvent::Disconnected(Error::Closed | Error::Transport(_))),
            "{disconnected:?}"
        );
        // Some attempts fail before the relay is there again.
        assert_eq!(lamp.next().await, NotifierEvent::Disconnected(Error::Dial(DialError::Refused)));
        relay.run().await;
        lamp.subscribed(&[0, 1]).await;
        let (owner, _events) = relay.client().await;
        send(&owner, &second).await;
        loop {
            match lamp.next().await {
                NotifierEvent::Message(1, Some(_)) => break,
                // The first message was not acknowledged: the relay may tell of it again.
                NotifierEvent::Message(0, Some(_)) => {}
                event => panic!("{event:?}"),
            }
        }
    }
    assert_eq!(lamp.end().await, Ok(NotifierEnd::Stopped));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_queues_than_a_block_has_room_for_are_subscribed_to() {
    let relay = TestRelay::start().await;
    let (owner, _events) = relay.client().await;
    let mut queues = Vec::new();
    let mut last = None;
    for seed in 0..150 {
        let (created, queue) = queue(&owner, CommandKey::generate_ed25519(&mut random(seed)).unwrap(), false).await;
        queues.push(queue);
        last = Some(created);
    }
    let mut lamp = Lamp::start(queues, relay.address(), options());
    assert_eq!(lamp.next().await, NotifierEvent::Connected(SmpVersion::MAX));
    lamp.subscribed(&Vec::from_iter(0..150)).await;
    send(&owner, &last.unwrap()).await;
    assert_eq!(lamp.next().await, NotifierEvent::Message(149, None));
    assert_eq!(lamp.end().await, Ok(NotifierEnd::Stopped));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_gone_does_not_hold_up_the_others() {
    let relay = TestRelay::start().await;
    let (owner, mut events) = relay.client().await;
    let (_, wrong_key) = queue(&owner, CommandKey::generate_ed25519(&mut random(5)).unwrap(), false).await;
    let wrong_key = wrong_key.with_key(CommandKey::generate_ed25519(&mut random(6)).unwrap());
    let unknown = NotifierQueue::new([7; 24], CommandKey::generate_x25519(&mut random(7)).unwrap());
    let (kept, good) = queue(&owner, CommandKey::generate_ed25519(&mut random(8)).unwrap(), false).await;
    let mut lamp = Lamp::start(vec![wrong_key, unknown, good], relay.address(), options());
    assert_eq!(lamp.next().await, NotifierEvent::Connected(SmpVersion::MAX));
    let mut answers = [lamp.next().await, lamp.next().await, lamp.next().await];
    answers.sort_by_key(|event| match event {
        NotifierEvent::Gone(index) | NotifierEvent::Subscribed(index) => *index,
        event => panic!("{event:?}"),
    });
    assert_eq!(answers, [NotifierEvent::Gone(0), NotifierEvent::Gone(1), NotifierEvent::Subscribed(2)]);
    send(&owner, &kept).await;
    received(&mut events).await;
    assert_eq!(lamp.next().await, NotifierEvent::Message(2, None));
    // The last one goes, and there is nothing left to do.
    owner.delete(&kept.recipient).await.unwrap();
    assert_eq!(lamp.next().await, NotifierEvent::Gone(2));
    assert_eq!(lamp.end().await, Ok(NotifierEnd::NothingLeft));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_devices_with_one_key_take_turns() {
    let relay = TestRelay::start().await;
    let (owner, _events) = relay.client().await;
    let secret = [9; 32];
    let key = || X25519SecretKey::from_bytes(&secret);
    let created = owner.create_queue(&QueueOptions::default()).await.unwrap();
    let access = owner.enable_notifications(&created.recipient, CommandKey::X25519(key()).public_key()).await.unwrap();
    let queue = NotifierQueue::new(access.notifier_id.as_bytes().try_into().unwrap(), CommandKey::X25519(key()));
    let options = NotifierOptions { retry: Duration::from_millis(300), ..options() };
    let mut lamp = Lamp::start(vec![queue], relay.address(), options);
    assert_eq!(lamp.next().await, NotifierEvent::Connected(SmpVersion::MAX));
    assert_eq!(lamp.next().await, NotifierEvent::Subscribed(0));

    let (other, _events) = relay.client().await;
    let key = smp_std::client::CommandKey::new(AuthorizationSecretKey::X25519(key()));
    let credentials = Credentials { id: access.notifier_id.clone(), key };
    other.subscribe_notifications(&credentials).await.unwrap();
    assert_eq!(lamp.next().await, NotifierEvent::Displaced(0));
    assert_eq!(lamp.next().await, NotifierEvent::Subscribed(0));
    assert_eq!(lamp.end().await, Ok(NotifierEnd::Stopped));
}

/// A lamp that must not get through; tells the first reason.
async fn refused(lamp: &mut Lamp) -> Error {
    match lamp.next().await {
        NotifierEvent::Disconnected(error) => error,
        event => panic!("{event:?}"),
    }
}

fn any_queue() -> NotifierQueue {
    NotifierQueue::new([7; 24], CommandKey::generate_ed25519(&mut random(1)).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_relay_than_the_one_of_the_address_is_refused() {
    let (relay, other) = (TestRelay::start().await, TestRelay::start().await);
    let mut lamp = Lamp::start(vec![any_queue()], other.address_by(relay.port()), options());
    for _ in 0..2 {
        assert_eq!(refused(&mut lamp).await, Error::Certificate(ChainError::UnknownCa));
    }
    assert_eq!(lamp.end().await, Ok(NotifierEnd::Stopped));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dates_count_on_devices_with_a_clock() {
    let relay = TestRelay::start().await;
    let year = 365 * 24 * 3_600;
    for (clock, expected) in [
        (HostClock(3_000 * year), Some(ChainError::Expired)),
        (HostClock(-year), Some(ChainError::NotYetValid)),
        (HostClock(0), None),
    ] {
        let mut lamp = Lamp::start_with(vec![any_queue()], relay.address(), options(), random(1), clock);
        match expected {
            Some(expected) => assert_eq!(refused(&mut lamp).await, Error::Certificate(expected)),
            None => assert_eq!(lamp.next().await, NotifierEvent::Connected(SmpVersion::MAX)),
        }
        lamp.end().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_without_randomness() {
    let relay = TestRelay::start().await;
    let mut lamp = Lamp::start_with(vec![any_queue()], relay.address(), options(), BrokenRandom, NoClock);
    for _ in 0..3 {
        assert_eq!(refused(&mut lamp).await, Error::Random(RandomError::Source));
    }
    assert_eq!(relay.connections(), 0);
    assert_eq!(lamp.end().await, Ok(NotifierEnd::Stopped));
}

/// Relays with Ed448 keys need the feature `ed448`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_with_ed448_keys_are_for_builds_with_ed448() {
    let relay = TestRelay::with_algorithm(KeyAlgorithm::Ed448).await;
    let (owner, _events) = relay.client().await;
    let (kept, good) = queue(&owner, CommandKey::generate_ed25519(&mut random(1)).unwrap(), true).await;
    let mut lamp = Lamp::start(vec![good], relay.address(), options());
    if cfg!(feature = "ed448") {
        assert_eq!(lamp.next().await, NotifierEvent::Connected(SmpVersion::MAX));
        assert_eq!(lamp.next().await, NotifierEvent::Subscribed(0));
        send(&owner, &kept).await;
        assert!(matches!(lamp.next().await, NotifierEvent::Message(0, Some(_))));
    } else {
        let error = refused(&mut lamp).await;
        assert!(matches!(error, Error::Certificate(_) | Error::Tls(_)), "{error:?}");
    }
    lamp.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_without_identity_is_useless() {
    keep_time();
    let relay: ServerUri = "smp://AAAA@127.0.0.1".parse().unwrap();
    let mut notifier = Notifier::<1>::new([any_queue()].into_iter().collect(), options());
    for (length, address, expected) in [
        (buffer().len(), relay, Error::NoFingerprint),
        (buffer().len() - 1, TestRelay::start().await.address(), Error::BufferTooShort),
    ] {
        let mut buffer = vec![0; length];
        let (mut random, mut network) = (random(1), HostNetwork);
        let device = Device { network: &mut network, random: &mut random, clock: &NoClock, buffer: &mut buffer };
        let end = notifier.run(device, &address.address(), &mut |_| {}, std::future::pending()).await;
        assert_eq!(end, Err(expected));
    }
}
