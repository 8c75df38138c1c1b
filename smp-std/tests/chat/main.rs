//! `smp chat` as people and bots use it: processes of the program, over processes of the relay.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![cfg(unix)]

mod bots;
mod folders;
mod people;
mod procedures;
#[path = "../common/program.rs"]
mod program;
mod programs;
