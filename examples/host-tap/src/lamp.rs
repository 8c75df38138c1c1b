//! The lamp that blinks while a message waits.

use std::io::BufRead;

use apps::{AccessRequest, Blinking, run_notification_lamp};
use embassy_executor::Spawner;
use getrandom::SysRng;
use smp_embassy::dial::TcpNetwork;
use smp_embassy::notifier::NotifierEnd;
use smp_embassy::store::NotifierState;
use smp_embassy::{BUFFER_LENGTH, Device, NotifierEvent};

use crate::arguments::Arguments;
use crate::clock::SystemClock;
use crate::flash::FileFlash;
use crate::terminal::{EnterKey, PrintedLamp};
use crate::{Failure, network, store};

/// Runs until the queue is deleted.
pub(crate) async fn run(spawner: Spawner, arguments: &Arguments) -> Result<(), Failure> {
    let mut buffer = [0; store::BUFFER_LENGTH];
    let mut store = store::open::<0>(FileFlash::open(&arguments.flash)?, &mut buffer).await?;
    let state = match store.load::<NotifierState>(0).await? {
        Some(state) => state,
        None => {
            let state = request()?;
            store.save(0, &state).await?;
            state
        }
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
    let settings = Blinking::DEFAULT;
    let ended =
        run_notification_lamp(device, &state, PrintedLamp::default(), EnterKey::listen(), &settings, tell).await?;
    match ended {
        NotifierEnd::NothingLeft => Err("the queue or its notifier was deleted".into()),
        _ => Ok(()),
    }
}

/// Shows a key, and takes what the owner of the queue says about it.
fn request() -> Result<NotifierState, Failure> {
    let request = AccessRequest::new(&mut SysRng)?;
    println!("{}", request.key());
    eprintln!("let this key in with `smp notifier`, and enter what that prints:");
    let line = std::io::stdin().lock().lines().next().ok_or("no answer")??;
    request.complete(line.trim()).ok_or_else(|| "this is not what `smp notifier` prints".into())
}

/// Says what happens on the network, for people and for tests.
fn tell(event: &NotifierEvent) {
    match event {
        NotifierEvent::Subscribed(_) => println!("subscribed"),
        NotifierEvent::Message(..) => println!("message"),
        NotifierEvent::Gone(_) => println!("gone"),
        NotifierEvent::Disconnected(error) => eprintln!("host-tap: {error}"),
        _ => {}
    }
}
