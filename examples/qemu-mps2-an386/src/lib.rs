//! Board support for QEMU's `mps2-an386` machine (Cortex-M4F at 25 MHz timers, LAN9118 Ethernet): what a board package
//! has to bring so that the programs of the `apps` crate run on it.
//!
//! Unsafe code of the firmware is here and nowhere else: registers, interrupts, semihosting and the stack's paint.
//!
//! What a real board has in hardware comes from the host by semihosting: random bytes from `/dev/urandom`
//! ([`random`]), flash from a file ([`flash`]), configuration from the command line ([`arguments`]), a console
//! ([`console`]).

#![no_std]

pub mod arguments;
pub mod client;
pub mod console;
pub mod copy;
pub mod ethernet;
pub mod executor;
mod fault;
pub mod flash;
mod interrupts;
pub mod network;
pub mod random;
mod registers;
mod semihosting;
pub mod stack;
pub mod store;
pub mod time;

pub use semihosting::exit;

use arguments::Arguments;
use ethernet::Ethernet;
use random::HostRandom;

/// Everything of the board that a program uses. There is one.
pub struct Board {
    /// What the command line said.
    pub arguments: Arguments,
    /// The random source.
    pub random: HostRandom,
    /// The network interface.
    pub ethernet: Ethernet,
}

/// Starts the board: paints the stack, starts the clock, opens the random source, finds the network interface. Ends the
/// program with exit code 2 if one of them is missing. Call it once, first thing in `main`.
pub fn start() -> Board {
    stack::paint();
    time::start();
    let board =
        || Some(Board { arguments: Arguments::read()?, random: HostRandom::open()?, ethernet: Ethernet::start()? });
    board().unwrap_or_else(|| {
        console::event("board-failed", "");
        exit(2)
    })
}
