//! What the programs have in common: memory for a connection, lines of the log, and what to do when nothing can be done.

use defmt::{error, info, warn};
use embassy_net::Stack;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_time::{Duration, Timer};
use smp_embassy::dial::TcpNetwork;
use smp_embassy::outbox::Outbox;
use smp_embassy::sender::{Sender, SenderError, SenderEvent, SenderOptions};
use smp_embassy::{BUFFER_LENGTH, Device, NoClock};
use static_cell::ConstStaticCell;

use crate::Random;
use crate::provision::SharedStore;

/// Segments under way in each direction, in bytes: about three.
const SOCKET_BUFFER: usize = 4096;

/// What a client needs of the board: its network, its random numbers, and one block of memory. The board does not know the
/// time of day: certificates of relays are checked but for their dates.
///
/// There is one connection's memory: call it once.
pub fn connection(stack: Stack<'static>) -> (TcpNetwork<'static>, &'static mut [u8]) {
    static RECEIVE: ConstStaticCell<[u8; SOCKET_BUFFER]> = ConstStaticCell::new([0; SOCKET_BUFFER]);
    static TRANSMIT: ConstStaticCell<[u8; SOCKET_BUFFER]> = ConstStaticCell::new([0; SOCKET_BUFFER]);
    static BLOCK: ConstStaticCell<[u8; BUFFER_LENGTH]> = ConstStaticCell::new([0; BUFFER_LENGTH]);
    (TcpNetwork::new(stack, RECEIVE.take(), TRANSMIT.take()), BLOCK.take())
}

/// Lends them to a client.
pub fn device<'d>(
    network: &'d mut TcpNetwork<'static>,
    buffer: &'d mut [u8],
    random: &'d mut Random,
) -> Device<'d, TcpNetwork<'static>, Random, NoClock> {
    Device { network, random, clock: &NoClock, buffer }
}

/// Before a store that failed is used again.
const PAUSE: Duration = Duration::from_secs(10);

/// Sends alarms for ever. What another attempt at once does not heal, such as a queue that was deleted, is tried again
/// after an hour, a store that failed after ten seconds; meanwhile alarms wait in the outbox.
pub async fn send<const ALARMS: usize, const LENGTH: usize>(
    sender: &mut Sender,
    network: Stack<'static>,
    random: &mut Random,
    store: &SharedStore,
    outbox: &Outbox<CriticalSectionRawMutex, ALARMS, LENGTH>,
) -> ! {
    let (mut network, buffer) = connection(network);
    let options = SenderOptions::default();
    loop {
        let device = device(&mut network, &mut *buffer, &mut *random);
        let failure = sender.run(device, &mut &*store, outbox, &options, tell).await;
        error!("the sender stopped: {}", failure);
        Timer::after(if let SenderError::Store(_) = failure { PAUSE } else { REST }).await;
    }
}

/// Logs what happens to a sender.
fn tell(event: SenderEvent) {
    match event {
        SenderEvent::Connected(version) => info!("connected, version {}", version.0),
        SenderEvent::Secured => info!("the queue is this device's own"),
        SenderEvent::Accepted => info!("an alarm was accepted"),
        SenderEvent::Refused(refusal) => warn!("refused: {}", refusal),
        SenderEvent::Disconnected => info!("disconnected"),
        SenderEvent::Failed(failure) => warn!("no connection: {}", failure),
        _ => {}
    }
}

/// How long to wait before everything is tried again from the start.
const REST: Duration = Duration::from_secs(3600);

/// For failures that another attempt does not heal, such as a queue that was deleted: starts again after an hour, in case
/// somebody did something about it.
pub async fn rest() -> ! {
    Timer::after(REST).await;
    cortex_m::peripheral::SCB::sys_reset()
}
