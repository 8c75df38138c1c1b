//! The Nucleo-H563ZI: what it has that the applications use.
//!
//! | what | where |
//! |---|---|
//! | network | the Ethernet socket (RMII, LAN8742 on the board), DHCP |
//! | random bytes | the true random number generator ([`Random`]) |
//! | store | the last 64 KiB of flash bank 2 ([`StoreFlash`]) |
//! | button | B1, blue ([`Button`]) |
//! | lamp | LD1, green ([`GreenLamp`]) |
//! | thermometer | the processor's own ([`Temperature`]) |
//! | terminal | USART3, which the board's debug probe offers as a serial port, 115200 baud ([`Terminal`]) |
//! | log | defmt over the debug probe |
//!
//! Unsafe code is in one place: the handler of an interrupt that cannot be masked, in `flash.rs`.
#![no_std]

mod board;
mod flash;
mod network;
mod pins;
pub mod provision;
mod random;
mod temperature;
mod work;

pub use board::{Board, Terminal};
pub use flash::{FlashError, STORE, StoreFlash};
pub use pins::{Button, GreenLamp};
pub use random::{Random, RandomError};
pub use temperature::{NoReading, Temperature};
pub use work::{connection, device, rest, send};

use defmt_rtt as _;
use panic_probe as _;
