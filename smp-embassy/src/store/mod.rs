//! What a device must not forget, in flash.

mod alarms;
mod checksum;
mod error;
mod flash;
mod guard;
mod index;
mod mount;
mod numbers;
mod record;
mod roles;

pub use error::Error;
pub use flash::FlashStore;
pub use numbers::{COUNTERS, NumberStore, STRIDE, VolatileNumbers};
pub use record::{Kind, LastMessage, NotifierKey, NotifierState, Record};
