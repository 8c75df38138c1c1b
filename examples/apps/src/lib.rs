//! What the firmware examples do, whatever the board they run on: an alarm button, a sensor with a limit, a lamp that
//! blinks while a message waits.
//!
//! Each application has two parts. The decisions take the time and what was observed and say what to do: [`Watch`] when a
//! reading is worth a message, [`Lamp`] when the lamp is lit. Around them is a small async loop over the traits of
//! [`io`](mod@io), which a board implements with its pins: [`alarm_button`], [`watch_sensor`], [`notification_lamp`].
//!
//! The first two put texts into an outbox, from which the sending client takes them, and number them by a store, so that
//! the receiver sees that one is missing or came twice; [`run_notification_lamp`] is the lamp together with its client.
//! [`ask`] and [`AccessRequest`] get the link of a queue onto a device that has a serial port.
//!
//! ```
//! use apps::{AlarmButton, Input, TEXT_LENGTH, alarm_button};
//! use embassy_futures::select::{Either, select};
//! use embassy_sync::{blocking_mutex::raw::CriticalSectionRawMutex, mutex::Mutex};
//! use rand_core::TryCryptoRng;
//! use smp_embassy::outbox::Outbox;
//! use smp_embassy::sender::{Sender, SenderError, SenderOptions};
//! use smp_embassy::{Device, Network, NoClock, state::SenderStore, store::NumberStore};
//!
//! /// Alarms on their way from the button to the client: four may wait.
//! static OUTBOX: Outbox<CriticalSectionRawMutex, 4, TEXT_LENGTH> = Outbox::new();
//!
//! /// Sends an alarm each time the button is pressed, to the queue with this link, or to the one in the store.
//! async fn alarm<N: Network, R: TryCryptoRng, E>(
//!     device: Device<'_, N, R, NoClock>,
//!     button: impl Input,
//!     store: &Mutex<CriticalSectionRawMutex, impl SenderStore<Error = E> + NumberStore>,
//!     link: Option<&str>,
//! ) -> SenderError<E> {
//!     let mut sender = match Sender::load(&mut &*store, link, device.random).await {
//!         Ok(sender) => sender,
//!         Err(error) => return error,
//!     };
//!     let options = SenderOptions::default();
//!     let mut kept = store;
//!     let sending = sender.run(device, &mut kept, &OUTBOX, &options, |_| {});
//!     let settings = AlarmButton { name: "front door", ..AlarmButton::DEFAULT };
//!     match select(sending, alarm_button(button, store, &OUTBOX, &settings)).await {
//!         Either::First(error) => error,
//!         Either::Second(never) => never,
//!     }
//! }
//! ```
#![no_std]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

mod access;
mod ask;
mod button;
pub mod io;
mod lamp;
mod notified;
mod sensor;
#[cfg(test)]
mod testing;
mod text;
mod threshold;

pub use access::{ACCESS_LENGTH, AccessRequest, SHOWN_KEY_LENGTH, notifier_queue};
pub use ask::{AskError, ask};
pub use button::{AlarmButton, Debounced, MESSAGE_COUNTER, alarm_button};
pub use io::{Input, NoInput, Output, Sensor, Texts};
pub use lamp::{Blinking, Lamp, Light, notification_lamp};
pub use notified::run_notification_lamp;
pub use sensor::{Gauge, watch_sensor};
pub use text::{TEXT_LENGTH, Text};
pub use threshold::{Limits, Report, Watch};
