//! A client of SimpleX relays for microcontrollers: notifier, sender and receiver, async, without allocation.
#![no_std]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

#[cfg(test)]
extern crate std;

pub mod state;
