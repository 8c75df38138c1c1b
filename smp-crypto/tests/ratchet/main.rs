//! The double ratchet against values made by the reference implementation, and against itself.
#![cfg(feature = "ratchet")]
#![allow(unreachable_pub, clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

#[path = "../common/mod.rs"]
mod common;

mod agreement;
mod altered;
mod conversations;
mod forms;
mod late;
mod persistent;
mod saved;
mod state;
mod stock;
mod story;
