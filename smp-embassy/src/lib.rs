//! A client of SimpleX relays for microcontrollers: notifier, sender and receiver, async, without allocation.
#![no_std]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

#[cfg(test)]
extern crate std;

mod fmt;
mod id;
mod identity;
mod key;
#[cfg(test)]
mod test;

pub mod backoff;
pub mod clock;
pub mod connection;
mod device;
pub mod dial;
mod error;
pub mod notifier;
pub mod outbox;
mod proxy;
pub mod random;
pub mod receiver;
mod refusal;
pub mod sender;
pub mod state;
pub mod store;

pub use backoff::Backoff;
pub use clock::{NoClock, WallClock};
pub use connection::{BUFFER_LENGTH, Connection};
pub use device::Device;
pub use dial::{DialError, Network};
pub use error::{Error, Wait};
pub use id::Id;
pub use key::{AgreedKey, CommandKey};
pub use notifier::{Notifier, NotifierEvent, NotifierQueue};
pub use outbox::Outbox;
pub use random::RandomError;
pub use receiver::{Receiver, ReceiverHandler};
pub use refusal::{ProxyFailure, Refusal};
pub use sender::Sender;
