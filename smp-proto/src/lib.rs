//! Codecs of the SimpleX network's protocols: nothing but bytes to values and back.
#![no_std]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

#[cfg(test)]
extern crate std;

pub mod address;
pub mod agent;
pub mod id;
pub mod key;
pub mod name;
mod query;
pub mod short_link;
pub mod smp;
pub mod transport;
pub mod uri;
pub mod version;
pub mod wire;
