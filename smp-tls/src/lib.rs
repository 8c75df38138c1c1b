//! A TLS 1.3 client (RFC 8446) in the profile of the SimpleX network: TLS_CHACHA20_POLY1305_SHA256, X25519, server
//! signatures with Ed25519 and, by feature, Ed448.
#![no_std]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

#[cfg(test)]
extern crate std;

mod alert;
mod codec;
mod config;
mod connection;
mod error;
mod handshake;
mod keys;
mod message;
mod record;
mod schedule;
mod stream;
#[cfg(test)]
mod test;
mod transcript;
mod verify;

pub use alert::Alert;
pub use config::{Config, Ephemeral};
pub use connection::Connection;
pub use error::{Error, StreamError};
pub use handshake::{Handshake, Progress};
pub use record::{BUFFER_LENGTH, CONTENT_LENGTH};
pub use stream::TlsStream;
pub use verify::{CertificateChain, Certificates, ServerKey, Verifier};
