//! Blinks when a message waits in one of its queues, which it cannot read: `apps::notification_lamp` on
//! `smp_embassy::Notifier`. The README tells how to run it.
//!
//! Arguments: `key=` the device's secret key (base64url of 32 bytes), `queue=` the link that `smp notifier` printed, once
//! for each queue; `messages=` after how many notifications to end. Without a queue it prints the public key and ends.
//! A link may go on with `#` and what recipient and relay agreed on for notifications (base64url of 32 bytes): then the
//! program can read which message each is about.

#![no_std]
#![no_main]

use core::cell::Cell;
use core::sync::atomic::{AtomicBool, Ordering};

use apps::{Blinking, NoInput, Output, notification_lamp};
use board::client::{self, Relays};
use board::{Board, arguments::Arguments, console, executor, exit, network};
use embassy_executor::Spawner;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::signal::Signal;
use smp_crypto::key::{SharedSecret, X25519SecretKey};
use smp_embassy::notifier::{NotifiedMessage, Notifier, NotifierEnd, NotifierEvent, NotifierOptions, NotifierQueue};
use smp_embassy::{CommandKey, Device, NoClock};
use smp_proto::address::{ServerBuf, ServerUri};
use smp_proto::wire::base64_url_encode;

/// Queues at most, all on one relay.
const QUEUES: usize = 4;

/// A message waits.
static MESSAGE: Signal<CriticalSectionRawMutex, ()> = Signal::new();

/// Whether the relay was connected to before.
static KNOWN: AtomicBool = AtomicBool::new(false);

/// The lamp, on the console.
struct Lamp;

impl Output for Lamp {
    fn set(&mut self, on: bool) {
        console::event("lamp", if on { "on" } else { "off" });
    }
}

#[cortex_m_rt::entry]
fn main() -> ! {
    let board = board::start();
    executor::run(|spawner| {
        let tasks = lamp().and_then(|lamp| Ok((lamp, notify(spawner, board)?)));
        if let Ok((lamp, notify)) = tasks {
            spawner.spawn(lamp);
            spawner.spawn(notify);
        }
    })
}

#[embassy_executor::task]
async fn lamp() {
    notification_lamp(Lamp, NoInput, &MESSAGE, &Blinking::DEFAULT).await
}

#[embassy_executor::task]
async fn notify(spawner: Spawner, board: Board) {
    let Board { arguments, mut random, ethernet } = board;
    let Some((relay, queues)) = configuration(arguments) else {
        console::event("bad-arguments", "");
        exit(1)
    };
    let Some(relay) = relay else { exit(0) };
    let Ok(stack) = network::start(spawner, ethernet, &mut random) else { exit(1) };
    let mut network = Relays::new(stack);
    let device = Device { network: &mut network, random: &mut random, clock: &NoClock, buffer: client::buffer() };
    let done = Signal::<CriticalSectionRawMutex, ()>::new();
    let left = Cell::new(arguments.number("messages", 0));
    let mut handler = |event| {
        if told(event) {
            MESSAGE.signal(());
            left.set(left.get().wrapping_sub(1));
            if left.get() == 0 {
                done.signal(());
            }
        }
    };
    let mut notifier = Notifier::<QUEUES>::new(queues, NotifierOptions::DEFAULT);
    let end = notifier.run(device, &relay.address(), &mut handler, done.wait()).await;
    console::stack();
    exit(match end {
        Ok(NotifierEnd::Stopped) => 0,
        _ => 1,
    })
}

/// Prints an event. Whether it is a message.
fn told(event: NotifierEvent) -> bool {
    match event {
        NotifierEvent::Connected(version) => console::event_number("connected", version.0.into()),
        NotifierEvent::Subscribed(queue) => {
            console::event_number("subscribed", queue as u64);
            // Later the relay's certificates are known, and not verified again.
            let known = KNOWN.swap(true, Ordering::Relaxed);
            console::measure(if known { "reconnect_to_nsub" } else { "connect_to_nsub" }, client::since_connected());
            console::stack();
        }
        NotifierEvent::Message(queue, message) => {
            console::event_number("notified", queue as u64);
            if let Some(NotifiedMessage { id, .. }) = message
                && let Ok(id) = base64_url_encode(id.as_bytes(), true, &mut [0; 64])
            {
                console::event("message", id);
            }
            return true;
        }
        NotifierEvent::Displaced(queue) => console::event_number("displaced", queue as u64),
        NotifierEvent::Postponed(queue) => console::event_number("postponed", queue as u64),
        NotifierEvent::Gone(queue) => console::event_number("gone", queue as u64),
        NotifierEvent::Disconnected(error) => console::event("disconnected", client::reason(&error)),
        _ => {}
    }
    false
}

/// The relay, if there are queues, and the queues. Nothing when the arguments make no sense.
#[inline(never)]
fn configuration(arguments: Arguments) -> Option<(Option<ServerBuf>, heapless::Vec<NotifierQueue, QUEUES>)> {
    let secret = client::decode::<32>(arguments.get("key")?)?;
    let mut queues = heapless::Vec::new();
    let mut relay: Option<ServerBuf> = None;
    for link in arguments.all("queue") {
        let (server, names) = link.split_once('#')?;
        let (id, metadata) = names.split_once('#').map_or((names, None), |(id, secret)| (id, Some(secret)));
        let server = ServerUri::parse(server).ok()?.server().clone();
        if relay.get_or_insert_with(|| server.clone()) != &server {
            return None;
        }
        let key = CommandKey::X25519(X25519SecretKey::from_bytes(&secret));
        let mut queue = NotifierQueue::new(client::decode(id)?, key);
        if let Some(metadata) = metadata {
            queue = queue.with_metadata_secret(&SharedSecret::from_bytes(client::decode(metadata)?));
        }
        queues.push(queue).ok()?;
    }
    if relay.is_none() {
        let public = X25519SecretKey::from_bytes(&secret).public_key().to_spki();
        console::event("key", base64_url_encode(&public, true, &mut [0; 64]).ok()?);
    }
    Some((relay, queues))
}
