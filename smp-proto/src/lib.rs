//! Codecs of the SimpleX network's protocols: nothing but bytes to values and back.
#![no_std]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

#[cfg(test)]
extern crate std;

pub mod address;
pub mod id;
pub mod key;
mod query;
pub mod smp;
pub mod transport;
pub mod uri;
pub mod version;
pub mod wire;
