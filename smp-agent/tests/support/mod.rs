//! A world in which agents are tested: relays, applications and a network, without IO, in virtual time, and the same for
//! the same seed.
//!
//! A test makes a [`World`] with relays and parties, gives commands, and lets time pass until something is true. The
//! world delivers requests and answers after random times, in order within each connection, lets [faults](faults) happen,
//! and fails as soon as a relay, an application or the world itself sees what no correct agent does.

// Each test uses its own part of this.
#![allow(dead_code, unreachable_pub, unused_imports)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

pub mod app;
pub mod envelopes;
pub mod faults;
pub mod network;
pub mod party;
pub mod puppet;
pub mod relay;
pub mod replay;
pub mod run;
pub mod seeds;
pub mod storage;
pub mod stories;
pub mod transcript;
pub mod vectors;
pub mod world;

pub use app::{App, Manners};
pub use faults::{Fault, Faults};
pub use party::Setup;
pub use relay::{Push, Relay};
pub use storage::{Cut, CuttingStorage};
pub use world::World;
