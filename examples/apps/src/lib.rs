//! What the firmware examples do, whatever the board they run on: an alarm button, a sensor with a limit, a lamp that
//! blinks while a message waits.
//!
//! Each application has two parts. The decisions take the time and what was observed and say what to do: [`Watch`] when a
//! reading is worth a message, [`Lamp`] when the lamp is lit. Around them is a small async loop over the traits of
//! [`io`](mod@io), which a board implements with its pins: [`alarm_button`], [`watch_sensor`], [`notification_lamp`].
//!
//! The loops know nothing of relays. Texts go into an [`Outbox`], which is one end of an `embassy_sync` channel whose other
//! end is the sending client; the lamp waits for a signal that the notifier client's callback gives.
//!
//! [`ask`] gets the link of a queue onto a device that has a serial port.
//!
//! ```
//! use apps::{AlarmButton, Input, Numbers, Text, alarm_button};
//! use embassy_sync::{blocking_mutex::raw::CriticalSectionRawMutex, channel::Channel};
//!
//! /// Alarms on their way from the button to the client: four may wait.
//! static ALARMS: Channel<CriticalSectionRawMutex, Text, 4> = Channel::new();
//!
//! async fn button_task(button: impl Input, numbers: impl Numbers) -> ! {
//!     alarm_button(button, numbers, ALARMS.sender(), &AlarmButton { name: "front door", ..AlarmButton::DEFAULT }).await
//! }
//! ```
#![no_std]

mod ask;
mod button;
pub mod io;
mod lamp;
mod sensor;
#[cfg(test)]
mod testing;
mod text;
mod threshold;

pub use ask::{AskError, ask};
pub use button::{AlarmButton, Debounced, alarm_button};
pub use io::{Input, NoInput, Numbers, Outbox, Output, Sensor};
pub use lamp::{Blinking, Lamp, Light, notification_lamp};
pub use sensor::{Gauge, watch_sensor};
pub use text::{TEXT_LENGTH, Text};
pub use threshold::{Limits, Report, Watch};
