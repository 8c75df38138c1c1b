//! A client of SimpleX relays for microcontrollers: notifier, sender and receiver, async, without allocation.
//!
//! | Role | What it does |
//! |---|---|
//! | [`Notifier`] | is told when a message waits in a queue, without being able to read it |
//! | [`Sender`] | secures a queue and sends encrypted messages to it, directly or through a proxy |
//! | [`Receiver`] | creates a queue, decrypts what arrives, acknowledges what the application took |
//!
//! All of them work over a [`Connection`]: TLS 1.3, the check of the relay's identity, the handshake of SMP versions 7 to
//! 20, blocks of transmissions. Streams come from a [`Network`]: embassy-net's TCP sockets
//! ([`dial::TcpNetwork`](dial), feature `embassy-net`) or any other of `embedded-io-async`.
//!
//! # Example
//!
//! A lamp that is lit when a message waits. The notifier id and the key come from `smp notifier`, which gives a device this
//! right, and takes it away.
//!
//! ```
//! use smp_crypto::key::Ed25519SecretKey;
//! use smp_embassy::notifier::NotifierOptions;
//! use smp_embassy::{CommandKey, Device, Error, Network, NoClock, Notifier, NotifierEvent, NotifierQueue};
//! use smp_proto::address::ServerAddress;
//!
//! /// Runs until `stop` is ready.
//! async fn lamp(
//!     network: &mut impl Network,
//!     random: &mut impl rand_core::TryCryptoRng,
//!     relay: &ServerAddress<'_>,
//!     notifier_id: [u8; 24],
//!     key: &[u8; 32],
//!     mut light: impl FnMut(),
//!     stop: impl Future<Output = ()>,
//! ) -> Result<(), Error> {
//!     let key = CommandKey::Ed25519(Ed25519SecretKey::from_bytes(key));
//!     let queues = [NotifierQueue::new(notifier_id, key)].into_iter().collect();
//!     let mut notifier = Notifier::<1>::new(queues, NotifierOptions::DEFAULT);
//!     // On a device: a static.
//!     let mut buffer = [0; smp_embassy::BUFFER_LENGTH];
//!     let device = Device { network, random, clock: &NoClock, buffer: &mut buffer };
//!     let mut handler = |event| {
//!         if let NotifierEvent::Message(..) = event {
//!             light();
//!         }
//!     };
//!     notifier.run(device, relay, &mut handler, stop).await.map(drop)
//! }
//! ```
//!
//! # What a device brings along
//!
//! - **Randomness**: a [`rand_core::TryCryptoRng`]. When it fails nothing is sent, and the application is told so.
//! - **Time**: an embassy-time driver. Every wait has an end; the limits are named constants of the modules. The time of day
//!   ([`WallClock`]) is optional: without it an expired certificate is not noticed.
//! - **Flash**, optional, for sender and receiver: see [`store`].
//!
//! # Features
//!
//! - `embassy-net` (default): TCP over embassy-net.
//! - `ed25519-keys` (default): commands authorized by Ed25519 keys. Without it, with X25519 keys only, 6 KiB less of flash.
//! - `precomputed-tables`: signatures and key pairs at a third of the cost, for 38 KiB of flash.
//! - `small-curve`: X25519 and the verification of Ed25519 signatures by this project's `smp-curve25519` instead of dalek,
//!   with the same results: half of the time and 10 KB less of flash.
//! - `ipv6`: relays with IPv6 addresses only.
//! - `ed448`: relays with Ed448 keys. Signatures take tens of millions of instructions each on a Cortex-M4, and some tens of
//!   KiB of flash.
//! - `agent`: the records of an agent of `smp-agent` in flash (`records`). Needs a heap.
//! - `defmt` or `log`: one of them, for few lines that identify nobody.
//!
//! # Memory
//!
//! No heap. One buffer of [`BUFFER_LENGTH`] bytes, in which blocks are received, decrypted, composed and encrypted in
//! place. What a role holds across its waits is 3 to 4 KiB, connection and handshake included; a queue of a notifier takes
//! 330 bytes. TCP buffers of 1 to 4 KiB are enough: blocks pass through them in pieces. The stack goes up to about 8 KiB,
//! in the verification of Ed25519 signatures (2 KiB less with `small-curve`).
#![no_std]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

#[cfg(feature = "agent")]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod apart;
mod fmt;
mod id;
mod identity;
mod key;
#[cfg(test)]
mod test;

pub mod backoff;
pub mod clock;
pub mod connection;
mod device;
pub mod dial;
mod error;
pub mod notifier;
pub mod outbox;
mod proxy;
pub mod random;
pub mod receiver;
#[cfg(feature = "agent")]
pub mod records;
mod refusal;
pub mod sender;
mod serve;
pub mod state;
pub mod store;

pub use backoff::Backoff;
pub use clock::{NoClock, WallClock};
pub use connection::{BUFFER_LENGTH, Connection};
pub use device::Device;
pub use dial::{DialError, Network};
pub use error::{Error, Wait};
pub use id::Id;
pub use key::{AgreedKey, CommandKey};
pub use notifier::{Notifier, NotifierEvent, NotifierQueue};
pub use outbox::Outbox;
pub use random::RandomError;
pub use receiver::{Receiver, ReceiverHandler};
pub use refusal::{ProxyFailure, Refusal};
pub use sender::Sender;
