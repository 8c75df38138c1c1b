//! Duplex connections of the SimpleX network over one-way queues, as a state machine without IO.
#![no_std]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

extern crate alloc;

#[cfg(test)]
extern crate std;

pub mod policy;
pub mod storage;
