//! A device that is told when a message waits, against this project's relay over TCP.

mod common;

use std::cell::RefCell;

use common::{BrokenRandom, HostClock, HostNetwork, TestRelay, buffer, keep_time, random};
use embassy_time::Duration;
use rand_core::TryCryptoRng;
use smp_crypto::certificate::ChainError;
use smp_embassy::notifier::{NotifierEnd, NotifierHandler, NotifierOptions};
use smp_embassy::{
    Backoff, CommandKey, Device, Error, Id, NoClock, Notifier, NotifierEvent, NotifierQueue, RandomError, WallClock,
};
use smp_proto::address::ServerUri;
use smp_proto::version::{SmpVersion, VersionRange};
use smp_std::client::{Client, CreatedQueue, Event, Events, QueueOptions};
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
        let next = tokio::time::timeout(std::time::Duration::from_secs(20), self.events.recv());
        next.await.expect("no event in time").expect("the notifier has ended")
    }

    /// The next event that is not about the connection.
    async fn next_of_queue(&mut self) -> NotifierEvent {
        loop {
            let event = self.next().await;
            if !matches!(event, NotifierEvent::Connected(_) | NotifierEvent::Disconnected(_)) {
                return event;
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
        let mut subscribed = [lamp.next().await, lamp.next().await];
        subscribed.sort_by_key(|event| *event != NotifierEvent::Subscribed(0));
        assert_eq!(subscribed, [NotifierEvent::Subscribed(0), NotifierEvent::Subscribed(1)]);

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
