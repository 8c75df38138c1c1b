//! What an application needs of its board and of the client, in the smallest traits that do.
//!
//! They are not those of `embedded-hal`, to which a pin's polarity is unknown: a board says in its implementation that a
//! pressed button reads low.
#![allow(async_fn_in_trait, reason = "the executors of firmware need no Send futures")]

use embassy_sync::blocking_mutex::raw::RawMutex;
use embassy_sync::channel;

use crate::Text;

/// Something with two states that can be watched: a button, the contact of a door, a float switch.
pub trait Input {
    /// Waits until the input is active (pressed, open, wet), or inactive, as asked; at once when it is. Dropping the
    /// future gives up the wait and nothing else.
    async fn wait_until(&mut self, active: bool);
}

/// The input of a board that has none: never active.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoInput;

impl Input for NoInput {
    async fn wait_until(&mut self, active: bool) {
        if active {
            core::future::pending().await
        }
    }
}

/// Something that is on or off: a lamp, a relay.
pub trait Output {
    /// Switches it.
    fn set(&mut self, on: bool);
}

/// Something that is measured.
pub trait Sensor {
    /// Why a measurement failed.
    type Error;

    /// Measures once, in whole steps of the unit that the sensor's [`Gauge`](crate::Gauge) names.
    async fn read(&mut self) -> Result<i32, Self::Error>;
}

/// Numbers for messages, each used once in the life of the device, also when the power fails: a store in flash that
/// writes before it answers.
pub trait Numbers {
    /// Why there is no number.
    type Error;

    /// The next number. Numbers grow; after a loss of power some may be left out.
    async fn next(&mut self) -> Result<u64, Self::Error>;
}

/// Where texts wait to be sent.
pub trait Outbox {
    /// Hands over a text. Waits as long as there is no room.
    async fn put(&mut self, text: Text);
}

impl<M: RawMutex, const N: usize> Outbox for channel::Sender<'_, M, Text, N> {
    async fn put(&mut self, text: Text) {
        self.send(text).await;
    }
}
