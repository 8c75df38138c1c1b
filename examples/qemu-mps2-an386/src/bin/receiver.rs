//! Prints what arrives in a queue of its own: `smp_embassy::Receiver`. The README tells how to run it.
//!
//! Arguments: `relay=` the address of the relay on which to create the queue; `flash=` the file that stands for the flash;
//! `messages=` after how many messages to end; `cut=` after how many bytes of writes to the flash the power goes.

#![no_std]
#![no_main]

use board::client::{self, Relays};
use board::{Board, console, executor, exit, network, store, time};
use embassy_executor::Spawner;
use embassy_futures::select::{Either, select};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Timer};
use smp_embassy::receiver::{
    ReceivedMessage, Receiver, ReceiverError, ReceiverEvent, ReceiverHandler, ReceiverOptions, Taken,
};
use smp_embassy::{Device, NoClock};
use smp_proto::address::ServerUri;
use smp_proto::uri::QueueUri;

/// How long an acknowledgement may take before the program ends.
const ACKNOWLEDGED: Duration = Duration::from_millis(500);

/// Texts of `smp send` begin with this: magic, version, and in the rest the text's id, the part's number and whether
/// it is the last. A short text has one part.
const FRAME: &[u8] = b"\0smp\x01";
const FRAME_REST: usize = 16 + 4 + 1;

/// The application: shows everything on the console.
struct Shown<'d> {
    /// Messages before the program ends.
    left: u32,
    /// When the last thing happened, in instructions since the start.
    since: u64,
    done: &'d Signal<NoopRawMutex, ()>,
}

impl ReceiverHandler for Shown<'_> {
    fn queue(&mut self, address: &QueueUri) {
        console::event_shown("queue", address);
    }

    async fn message(&mut self, message: ReceivedMessage<'_>) -> Taken {
        let text = match message.body.strip_prefix(FRAME) {
            Some(framed) => framed.get(FRAME_REST..).unwrap_or_default(),
            None => message.body,
        };
        console::event("message", core::str::from_utf8(text).unwrap_or("(not text)"));
        let now = time::instructions();
        console::measure("receive", now - self.since);
        self.since = now;
        console::stack();
        self.left = self.left.wrapping_sub(1);
        if self.left == 0 {
            self.done.signal(());
        }
        Taken::Yes
    }

    fn event(&mut self, event: ReceiverEvent) {
        if let ReceiverEvent::Connected(_) | ReceiverEvent::Subscribed = event {
            self.since = time::instructions();
        }
        match event {
            ReceiverEvent::Connected(version) => console::event_number("connected", version.0.into()),
            ReceiverEvent::Subscribed => console::event("subscribed", ""),
            ReceiverEvent::Introduced => console::event("introduced", ""),
            ReceiverEvent::Full(_) => console::event("full", ""),
            ReceiverEvent::Unreadable(_) => console::event("unreadable", ""),
            ReceiverEvent::Refused(_) => console::event("refused", ""),
            ReceiverEvent::Failed(error) => console::event("failed", client::reason(&error)),
            _ => {}
        }
    }
}

#[cortex_m_rt::entry]
fn main() -> ! {
    let board = board::start();
    executor::run(|spawner| {
        if let Ok(task) = run(spawner, board) {
            spawner.spawn(task);
        }
    })
}

#[embassy_executor::task]
async fn run(spawner: Spawner, board: Board) {
    let code = receive(spawner, board).await;
    console::stack();
    exit(code)
}

async fn receive(spawner: Spawner, board: Board) -> u32 {
    let Board { arguments, mut random, ethernet } = board;
    let Some(relay) = arguments.get("relay").and_then(|address| ServerUri::parse(address).ok()) else {
        console::event("bad-arguments", "");
        return 1;
    };
    let Ok(store) = store::open(arguments).await else { return stopped("store") };
    let Ok(mut receiver) = Receiver::load(&mut &store).await else { return stopped("store") };
    let Ok(stack) = network::start(spawner, ethernet, &mut random) else { return stopped("random") };
    let mut network = Relays::new(stack);
    let device = Device { network: &mut network, random: &mut random, clock: &NoClock, buffer: client::buffer() };
    let done = Signal::new();
    let mut shown = Shown { left: arguments.number("messages", 0), since: 0, done: &done };
    let options = ReceiverOptions::new(&relay);
    let end = async {
        done.wait().await;
        // The last message is still to be acknowledged.
        Timer::after(ACKNOWLEDGED).await;
    };
    let mut kept = &store;
    let error = match select(receiver.run(device, &mut kept, &options, &mut shown), end).await {
        Either::First(error) => error,
        Either::Second(()) => return 0,
    };
    stopped(match error {
        ReceiverError::Store(_) => "store",
        ReceiverError::Corrupt => "corrupt",
        ReceiverError::Stopped(_) => "refused",
        ReceiverError::NoFingerprint => "no-fingerprint",
        _ => "other",
    })
}

fn stopped(reason: &str) -> u32 {
    console::event("stopped", reason);
    1
}
