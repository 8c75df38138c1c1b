//! The alarm button.

use apps::{AlarmButton, TEXT_LENGTH, Text, Texts, alarm_button};
use embassy_executor::Spawner;
use embassy_futures::select::{Either, select};
use embassy_sync::blocking_mutex::raw::{CriticalSectionRawMutex, NoopRawMutex};
use embassy_sync::mutex::Mutex;
use embassy_time::Duration;
use getrandom::SysRng;
use smp_embassy::dial::TcpNetwork;
use smp_embassy::outbox::Outbox;
use smp_embassy::sender::{Sender, SenderError, SenderEvent, SenderOptions};
use smp_embassy::{BUFFER_LENGTH, Device};

use crate::arguments::Arguments;
use crate::clock::SystemClock;
use crate::flash::FileFlash;
use crate::terminal::EnterKey;
use crate::{Failure, network, store};

/// Alarms that are not in the flash yet.
static OUTBOX: Outbox<CriticalSectionRawMutex, 4, TEXT_LENGTH> = Outbox::new();

/// Sends until that becomes impossible.
pub(crate) async fn run(spawner: Spawner, arguments: &Arguments, link: Option<&str>) -> Result<(), Failure> {
    let mut buffer = [0; store::BUFFER_LENGTH];
    let store = store::open::<16>(FileFlash::open(&arguments.flash)?, &mut buffer).await?;
    // For the sender and the button.
    let store = Mutex::<NoopRawMutex, _>::new(store);
    let mut sender = match Sender::load(&mut &store, link, &mut SysRng).await {
        Err(SenderError::NoQueue) => return Err("name the queue once, with --queue".into()),
        sender => sender?,
    };
    let stack = network::start(spawner, &arguments.tap, &arguments.place)?;
    let (mut receive, mut transmit) = ([0; 4096], [0; 4096]);
    let mut block = vec![0; BUFFER_LENGTH];
    let device = Device {
        network: &mut TcpNetwork::new(stack, &mut receive, &mut transmit),
        random: &mut SysRng,
        clock: &SystemClock,
        buffer: &mut block,
    };
    let settings = AlarmButton { name: "Enter", spacing: Duration::from_secs(1), ..AlarmButton::DEFAULT };
    let options = SenderOptions::default();
    let mut kept = &store;
    let sending = sender.run(device, &mut kept, &OUTBOX, &options, tell);
    match select(sending, alarm_button(EnterKey::listen(), &store, Telling, &settings)).await {
        Either::First(error) => Err(error.into()),
        Either::Second(never) => never,
    }
}

/// The outbox, telling when an alarm is safe: from then on the program may be killed.
struct Telling;

impl Texts for Telling {
    async fn put(&mut self, text: Text) {
        match OUTBOX.push(text.as_bytes()) {
            Ok(ticket) => {
                OUTBOX.kept(ticket).await;
                println!("kept");
            }
            Err(error) => eprintln!("host-tap: {error}"),
        }
    }
}

/// Says what happens on the network, for people and for tests.
fn tell(event: SenderEvent) {
    match event {
        SenderEvent::Secured => println!("secured"),
        SenderEvent::Accepted => println!("accepted"),
        SenderEvent::Failed(error) => eprintln!("host-tap: {error}"),
        SenderEvent::Refused(refusal) => eprintln!("host-tap: {refusal}"),
        _ => {}
    }
}
