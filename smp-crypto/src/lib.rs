//! Keys, envelopes and sessions of the SimpleX network.
#![no_std]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

#[cfg(test)]
extern crate std;

mod error;
#[cfg(test)]
mod test;

pub mod authorization;
pub mod block_chain;
pub mod certificate;
pub mod delivery;
pub mod hash;
pub mod kdf;
pub mod key;
pub mod notification;
pub mod queue_envelope;
pub mod routing;
pub mod secret_box;
pub mod session;
pub mod short_link;
pub mod signed_key;

pub use error::Error;
