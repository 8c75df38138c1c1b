//! The relay as a whole, in this process and without sockets: several clients, each of its own version, whose commands
//! the fuzzer chooses, compared with the model that the histories of smp-std's tests are compared with.
//!
//! An input is four bytes, the versions of the clients and which of them are services, and then steps: one command, several
//! of several clients under way together, a connection that ends, the tick of the clock that notifications wait for; and
//! between them what no honest client says, which has to be answered with an error and to change nothing.
//!
//! - `crew.rs` runs the relay, and knows when it has nothing left to do.
//! - `client.rs` is one client: TLS and SMP over a stream in memory.
//! - `keys.rs` has the keys of all queues, the same in every run.
//! - `world` carries out deeds and compares: what they say on the wire, and what came of them in the words of the model.
//! - `noise.rs` is what no honest client says.
//! - `steps.rs` reads an input.

mod client;
pub(crate) mod crew;
mod keys;
mod noise;
mod steps;
mod world;

pub use self::steps::play;
