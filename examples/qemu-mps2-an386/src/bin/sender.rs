//! An alarm button: `apps::alarm_button` on `smp_embassy::Sender`. The README tells how to run it.
//!
//! Arguments: `queue=` the queue's address, needed once; `flash=` the file that stands for the flash; `alarms=` how often
//! the button is pressed, once; `every=` milliseconds between presses; `proxy=` the address of a relay to send through;
//! `accepted=` after how many accepted alarms to end, as many as `alarms=` without it; `cut=` after how many bytes of
//! writes to the flash the power goes.

#![no_std]
#![no_main]

use core::future::pending;

use apps::{AlarmButton, Input, TEXT_LENGTH, Text, Texts, alarm_button};
use board::client::{self, Relays};
use board::{Board, arguments::Arguments, console, executor, exit, network, store, time};
use embassy_executor::Spawner;
use embassy_futures::select::{Either, select};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_time::{Duration, Timer};
use smp_embassy::outbox::Outbox;
use smp_embassy::sender::{Sender, SenderError, SenderEvent, SenderOptions};
use smp_embassy::{Device, NoClock};
use smp_proto::address::ServerUri;

/// Alarms that are not in the flash yet.
static OUTBOX: Outbox<CriticalSectionRawMutex, 4, TEXT_LENGTH> = Outbox::new();

/// The outbox, which tells which alarms are in the flash: those are not lost any more.
struct Watched;

impl Texts for Watched {
    async fn put(&mut self, text: Text) {
        if let Ok(ticket) = OUTBOX.push(text.as_bytes()) {
            OUTBOX.kept(ticket).await;
            console::event("kept", &text);
        }
    }
}

/// A button that somebody presses a number of times.
///
/// The contact stays as it is until the button has found it still, however late the emulator gives it the time to look:
/// no press is taken for a disturbance.
struct Finger {
    presses: u32,
    pause: Duration,
    pressed: bool,
    /// The button has looked whether the contact is still.
    looked: bool,
}

impl Input for Finger {
    async fn wait_until(&mut self, active: bool) {
        if self.pressed == active {
            return;
        }
        if !self.looked {
            self.looked = true;
            return pending().await;
        }
        if active {
            if self.presses == 0 {
                return pending().await;
            }
            Timer::after(self.pause).await;
            self.presses -= 1;
        }
        self.pressed = active;
        self.looked = false;
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
    let code = send(spawner, board).await;
    console::stack();
    exit(code)
}

async fn send(spawner: Spawner, board: Board) -> u32 {
    let Board { arguments, mut random, ethernet } = board;
    let Some(proxy) = proxy(arguments) else {
        console::event("bad-arguments", "");
        return 1;
    };
    let store = match store::open(arguments).await {
        Ok(store) => store,
        Err(_) => {
            console::event("stopped", "store");
            return 1;
        }
    };
    let mut sender = match Sender::load(&mut &store, arguments.get("queue"), &mut random).await {
        Ok(sender) => sender,
        Err(error) => return stopped(&error),
    };
    let Ok(stack) = network::start(spawner, ethernet, &mut random) else { return 1 };
    let mut network = Relays::new(stack);
    let device = Device { network: &mut network, random: &mut random, clock: &NoClock, buffer: client::buffer() };
    let presses = arguments.number("alarms", 1);
    let pause = Duration::from_millis(arguments.number("every", 200).into());
    let finger = Finger { presses, pause, pressed: false, looked: true };
    let settings = AlarmButton { spacing: pause, ..AlarmButton::DEFAULT };
    let mut told = Told { left: arguments.number("accepted", presses), since: 0 };
    let options = SenderOptions { proxy: proxy.as_ref(), ..SenderOptions::default() };
    let mut kept = &store;
    let sending = sender.run(device, &mut kept, &OUTBOX, &options, |event| told.tell(event));
    match select(sending, alarm_button(finger, &store, Watched, &settings)).await {
        Either::First(error) => stopped(&error),
        Either::Second(never) => never,
    }
}

/// The proxy, if there is to be one. Nothing when the address makes no sense.
fn proxy(arguments: Arguments) -> Option<Option<ServerUri>> {
    match arguments.get("proxy") {
        None => Some(None),
        Some(address) => ServerUri::parse(address).ok().map(Some),
    }
}

/// What was told of the sender.
struct Told {
    /// Alarms to be accepted before the program ends.
    left: u32,
    /// When the alarm on its way began to be sent, in instructions since the start.
    since: u64,
}

impl Told {
    fn tell(&mut self, event: SenderEvent) {
        match event {
            SenderEvent::Connected(version) => {
                console::event_number("connected", version.0.into());
                console::measure("connect", client::since_connected());
            }
            SenderEvent::Sending => self.since = time::instructions(),
            // Encrypted three times, authorized, and in the hands of the network.
            SenderEvent::Sent => console::measure("send", time::instructions().saturating_sub(self.since)),
            SenderEvent::Secured => console::event("secured", ""),
            SenderEvent::Accepted => {
                console::measure("send_to_accepted", time::instructions().saturating_sub(self.since));
                console::event("accepted", "");
                console::stack();
                self.left = self.left.wrapping_sub(1);
                if self.left == 0 {
                    exit(0);
                }
            }
            SenderEvent::Refused(_) => console::event("refused", ""),
            SenderEvent::Disconnected => console::event("disconnected", ""),
            SenderEvent::Failed(error) => console::event("failed", client::reason(&error)),
            _ => {}
        }
    }
}

fn stopped<E>(error: &SenderError<E>) -> u32 {
    console::event(
        "stopped",
        match error {
            SenderError::Address(_) => "address",
            SenderError::NoQueue => "no-queue",
            SenderError::Store(_) => "store",
            SenderError::Random(_) => "random",
            SenderError::Refused(_) => "refused",
            _ => "other",
        },
    );
    1
}
