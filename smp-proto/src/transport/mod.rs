//! What travels between TLS and the commands: blocks, hellos and transmissions (wire reference, sections 4 to 6).

pub mod block;
pub mod hello;
pub mod transmission;

pub use block::{BLOCK_LENGTH, Batch, BatchWriter};
pub use hello::{ClientHello, ServerHello};
pub use transmission::{Authorization, Transmission};
