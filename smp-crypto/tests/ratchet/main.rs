//! The double ratchet against values made by the reference implementation, and against itself.
#![cfg(feature = "ratchet")]
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that fails should say where"
)]

#[path = "../common/mod.rs"]
mod common;

mod conversations;

mod state;
