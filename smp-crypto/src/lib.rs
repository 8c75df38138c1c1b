//! Keys, envelopes and sessions of the SimpleX network.
//!
//! Everything here works on buffers of the caller's, in place where it can, takes its randomness from the caller, and
//! knows neither sockets nor clocks: the same code runs in a relay, in a client and in firmware.
//!
//! | Module | What it protects |
//! |---|---|
//! | [`key`] | secret keys, key agreement, signatures |
//! | [`secret_box`] | the one encryption everything below is made of |
//! | [`authorization`] | commands: made by clients, verified by relays in constant work |
//! | [`certificate`], [`signed_key`] | who a relay is, and which session keys are its own |
//! | [`session`] | the handshake of client and relay, and the blocks that follow |
//! | [`block_chain`] | the keys of blocks between client and relay |
//! | [`queue_envelope`] | messages from sender to recipient |
//! | [`delivery`], [`notification`] | messages and notifications from relay to recipient |
//! | [`routing`] | commands that travel through a proxy |
//! | [`short_link`] | what is kept behind a short link |
//! | `ratchet` (feature `ratchet`) | what two parties say to each other |
//! | `sntrup761` (feature `ratchet`) | the post-quantum key encapsulation of the double ratchet |
//! | [`kdf`], [`hash`] | derivations and hashes used by the others |
//!
//! # Example
//!
//! A sender encrypts a message with the key in a queue's address; the recipient decrypts it with the sender's key, which
//! the first message carries.
//!
//! ```
//! use smp_crypto::key::X25519SecretKey;
//! use smp_crypto::queue_envelope::{self, EnvelopeHeader, SealedEnvelope};
//! use smp_crypto::secret_box::{BoxKey, Nonce};
//! use smp_proto::smp::message::ClientMessage;
//! use smp_proto::version::ClientVersion;
//! # use rand_core::SeedableRng;
//! # let mut random = rand_chacha::ChaCha20Rng::seed_from_u64(1); // outside examples, the system's source
//!
//! let recipient = X25519SecretKey::generate(&mut random); // its public half is in the queue's address
//! let sender = X25519SecretKey::generate(&mut random);
//!
//! let key = BoxKey::from(&sender.diffie_hellman(&recipient.public_key())?);
//! let header = EnvelopeHeader {
//!     version: ClientVersion::MAX,
//!     key: Some(sender.public_key()),
//!     nonce: Nonce::generate(&mut random),
//! };
//! let message = ClientMessage { sender_key: None, body: b"hello" };
//! let mut buffer = [0; queue_envelope::MESSAGE_LENGTH];
//! let length = queue_envelope::seal(&key, &header, &message, &mut buffer)?.len();
//!
//! let envelope = SealedEnvelope::new(&mut buffer[..length])?;
//! let sender_key = envelope.header().key.expect("the first message of a sender has its key");
//! let key = BoxKey::from(&recipient.diffie_hellman(&sender_key)?);
//! assert_eq!(envelope.open(&key)?.body, b"hello");
//! # Ok::<(), smp_crypto::Error>(())
//! ```
//!
//! # Features
//!
//! - `ed448` (default): Ed448 signatures and X448 agreement. Relays and full clients need them. Without it Ed448
//!   signatures never verify, which is right for a device whose relays have Ed25519 certificates.
//! - `precomputed-tables` (default): signatures and key pairs of Curve25519 at a third of the cost, for 38 KiB of constants.
//! - `small-curve`: X25519 and the verification of Ed25519 signatures by `smp-curve25519`, for microcontrollers, instead of
//!   dalek. Results are the same.
//! - `ratchet` (default): the double ratchet, which clients need and relays do not.
//! - `simd`: boxes at three times the speed, by AVX-512, AVX2, SSE or NEON, whichever the processor has. It takes the
//!   standard library. Results are the same.
//!
//! # Memory
//!
//! No heap. Buffers are the caller's: one block is 16,384 bytes and is encrypted and decrypted where it stands. A
//! prepared box key or a block chain is 32 bytes, an X25519 key 32, an Ed25519 key 224, an Ed448 key 464. On a Cortex-M4
//! the stack goes up to 1 KiB in encryption, 2.2 KiB in X25519, 6 KiB in Ed25519 and 8 KiB in Ed448. Verifying an Ed448
//! signature over a message in parts takes 17 KiB more, which only relays do. `ratchet` and `sntrup761` say what they take.
#![no_std]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

#[cfg(test)]
extern crate std;

mod error;
#[cfg(test)]
mod test;

pub mod authorization;
pub mod block_chain;
pub mod certificate;
pub mod delivery;
pub mod hash;
pub mod kdf;
pub mod key;
mod key_stream;
pub mod notification;
pub mod queue_envelope;
#[cfg(feature = "ratchet")]
pub mod ratchet;
pub mod routing;
pub mod secret_box;
pub mod session;
pub mod short_link;
pub mod signed_key;
#[cfg(feature = "ratchet")]
pub mod sntrup761;

pub use error::Error;
