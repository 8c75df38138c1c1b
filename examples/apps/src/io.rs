//! What an application needs of its board and of the client, in the smallest traits that do.
//!
//! They are not those of `embedded-hal`, to which a pin's polarity is unknown: a board says in its implementation that a
//! pressed button reads low.
#![allow(async_fn_in_trait, reason = "the executors of firmware need no Send futures")]

use embassy_sync::blocking_mutex::raw::RawMutex;
use embassy_time::{Duration, Timer};
use smp_embassy::outbox::Outbox;

use crate::{TEXT_LENGTH, Text};

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

/// Where texts wait to be sent.
pub trait Texts {
    /// Hands over a text. Waits as long as there is no room.
    async fn put(&mut self, text: Text);
}

/// How long to wait before there may be room in an outbox.
const ROOM_PAUSE: Duration = Duration::from_secs(1);

impl<M: RawMutex, const ALARMS: usize, const LENGTH: usize> Texts for &Outbox<M, ALARMS, LENGTH> {
    async fn put(&mut self, text: Text) {
        const { assert!(LENGTH >= TEXT_LENGTH, "alarms of the outbox are shorter than texts") };
        // It is full only while the store is, which takes hours without a network: no need to hurry.
        while self.push(text.as_bytes()).is_err() {
            Timer::after(ROOM_PAUSE).await;
        }
    }
}
