//! The notification lamp together with the client that makes it blink.

use core::future::pending;

use embassy_futures::select::{Either, select};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use heapless::Vec;
use rand_core::TryCryptoRng;
use smp_embassy::notifier::{NotifierEnd, NotifierOptions};
use smp_embassy::store::NotifierState;
use smp_embassy::{Device, Error, Network, Notifier, NotifierEvent, WallClock};
use smp_proto::address::ServerAddress;
use smp_proto::wire::Decode;

use crate::access::notifier_queue;
use crate::{Blinking, Input, Output, notification_lamp};

/// Blinks while a message waits in a queue, until the button is pressed. `tell` hears of everything that happens on the
/// network.
///
/// Comes to an end only when the queue does not exist any more ([`NotifierEnd::NothingLeft`]) or the device is not what it
/// should be (an [`Error`] that no other attempt would heal).
pub async fn run_notification_lamp<W, R, C>(
    device: Device<'_, W, R, C>,
    state: &NotifierState,
    lamp: impl Output,
    button: impl Input,
    settings: &Blinking,
    mut tell: impl FnMut(&NotifierEvent),
) -> Result<NotifierEnd, Error>
where
    W: Network,
    R: TryCryptoRng + ?Sized,
    C: WallClock + ?Sized,
{
    let relay = ServerAddress::from_bytes(&state.server).map_err(|_| Error::Malformed)?;
    let mut queues = Vec::<_, 1>::new();
    // There is room for one.
    let _ = queues.push(notifier_queue(state).ok_or(Error::Malformed)?);
    let mut notifier = Notifier::new(queues, NotifierOptions::DEFAULT);
    let message = Signal::<NoopRawMutex, ()>::new();
    let mut handler = |event: NotifierEvent| {
        tell(&event);
        if let NotifierEvent::Message(..) = event {
            message.signal(());
        }
    };
    let notified = notifier.run(device, &relay, &mut handler, pending());
    match select(notified, notification_lamp(lamp, button, &message, settings)).await {
        Either::First(end) => end,
        Either::Second(never) => never,
    }
}
