//! Codecs of the SimpleX network's protocols: nothing but bytes to values and back.
//!
//! The queue protocol (SMP) in versions 6 to 20: blocks and batches, the hellos of a session, transmissions, every
//! command, every message and error of a relay, and what clients put inside message bodies; server addresses, queue
//! URIs, connection requests and short links; the parameters and messages of the double ratchet; the envelopes and
//! messages that agents exchange (versions 2 to 7). Sockets, clocks, random numbers and cryptography are elsewhere.
//!
//! - **No allocation, no panic, no `unsafe`.** `no_std`, fit for a microcontroller. Whatever arrives, the answer is a
//!   value or a small error.
//! - **Nothing is copied.** A decoded value borrows from the block it was read from and is written into a buffer of the
//!   caller's.
//! - **A value that exists is valid.** Identifiers, keys, passwords and domains are types of their own; two kinds of
//!   identifier do not mix. Printing them with `Debug` shows lengths and no contents.
//! - **Versions are arguments.** A codec writes for the version of the session, leaving out what that version has no room
//!   for, and reads what that version sends.
//!
//! # Example
//!
//! A client asks for the messages of a queue; the relay reads the block and answers.
//!
//! ```
//! use smp_proto::id::{CorrelationId, QueueId, SessionId};
//! use smp_proto::smp::{BrokerMessage, Command};
//! use smp_proto::transport::block::PLAIN_CONTENT_START;
//! use smp_proto::transport::transmission::{AuthorizedBytes, encode_unauthorized};
//! use smp_proto::transport::{Authorization, BLOCK_LENGTH, Batch, BatchWriter, Transmission};
//! use smp_proto::version::SmpVersion;
//! use smp_proto::wire::{Reader, pad_in_place, unpad};
//!
//! let version = SmpVersion(18);
//! let session_id = SessionId::new(&[1; 32])?;
//! let correlation_id = CorrelationId::from_array(&[2; 24]); // random in earnest, and never used twice
//! let queue_id = QueueId::from_array(&[3; 24]);
//!
//! // The client: what the signature covers, the signature, the block.
//! let mut buffer = [0; 256];
//! let covered = AuthorizedBytes::write(&mut buffer, session_id, correlation_id, queue_id.into(), |writer| {
//!     Command::Subscribe.encode(writer, version)
//! })?;
//! let signature = [4; 64]; // of `covered.as_bytes()`
//! let mut block = [0; BLOCK_LENGTH];
//! let mut batch = BatchWriter::new(&mut block[PLAIN_CONTENT_START..])?;
//! batch.push(|writer| covered.encode(writer, version, &Authorization::Ed25519(&signature), None))?;
//! let length = batch.finish().map_or(0, |content| content.len());
//! pad_in_place(&mut block, length)?;
//!
//! // The relay: every transmission of the block, an answer to each.
//! let mut answer = [0; BLOCK_LENGTH];
//! let mut answers = BatchWriter::new(&mut answer[PLAIN_CONTENT_START..])?;
//! for entry in &Batch::decode(unpad(&block)?)? {
//!     let transmission = Transmission::decode(entry, version, session_id).map_err(|error| error.error())?;
//!     let command = Command::decode(&mut Reader::new(transmission.command), version)?;
//!     command.check_credentials(transmission.authorization.is_some(), transmission.entity_id)?;
//!     assert_eq!(command, Command::Subscribe);
//!     answers.push(|writer| {
//!         let Transmission { correlation_id, entity_id, .. } = transmission;
//!         encode_unauthorized(writer, version, session_id, correlation_id, entity_id, |writer| {
//!             BrokerMessage::Subscribed(None).encode(writer, version)
//!         })
//!     })?;
//! }
//! assert_eq!(answers.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! None is on by default.
//!
//! - `defmt`: errors and versions implement `defmt::Format`.
//!
//! # Memory
//!
//! No statics but constants. A block takes the caller 16,384 bytes; the codecs need none beside it. Values live on the
//! stack: a [`Command`](smp::Command) or a [`BrokerMessage`](smp::BrokerMessage) takes less than 400 bytes with 64-bit
//! addresses and less than 256 with 32-bit ones, an envelope or a message of an agent less than 200. Addresses and links
//! that are kept in decoded form have buffers of fixed size inside: a [`ServerBuf`](address::ServerBuf), a
//! [`QueueUri`](uri::QueueUri) or a [`ShortLink`](short_link::ShortLink) takes half a kilobyte, a
//! [`ConnectionRequest`](agent::ConnectionRequest) four and a half. Reading recurses nowhere, so nothing that arrives can
//! make the stack grow.
#![no_std]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

#[cfg(test)]
extern crate std;

pub mod address;
pub mod agent;
pub mod id;
pub mod key;
pub mod name;
mod query;
pub mod short_link;
pub mod smp;
mod text;
pub mod transport;
pub mod uri;
pub mod version;
pub mod wire;
