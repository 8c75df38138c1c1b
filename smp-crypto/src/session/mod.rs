//! The handshake of a connection and the session it ends in (wire reference, sections 4 and 5), without input or output:
//! blocks come in and go out, TLS and sockets are the caller's.
//!
//! ```text
//! server                                        client
//! ServerHandshake::hello      -- hello ------>  ClientHandshake::receive
//! ServerHandshake::receive    <- hello -------
//!   Session, or                                   Session, or
//!   ServiceRequest::accept    -- reply ------>    AwaitingReply::receive
//!     Session                                       Session
//! ```
//!
//! TLS must be finished first. From it come the session identifier, the client's Finished value, which ties the hellos to
//! this TLS session; for the client the server's leaf certificate, of a chain that
//! [`validate_server_chain`](crate::certificate::validate_server_chain) accepted; for the server the certificates of the
//! client, if it has shown any.
//!
//! When a step fails the connection must be closed; only a [`ServiceRefusal`] has a last block to send before.
//!
//! # Stricter than the reference
//!
//! A client makes no session without the server's session key at version 7 and later: it would have no block encryption,
//! and nobody would notice. It always sends a session key of its own, and the leaf in the hello must be the one of TLS. Keys
//! with unused bits and of small order are refused.

mod blocks;
mod client;
mod context;
mod server;
mod service;

use core::fmt;

use smp_proto::{
    smp::error::{HandshakeError, TransportError},
    transport::BLOCK_LENGTH,
    wire::{self, Decode, Encode, Reader, pad_in_place, unpad},
};

use crate::Error;

pub use blocks::{Opener, Sealer, Session};
pub use client::{AwaitingReply, ClientConfiguration, ClientHandshake, ClientSessionKey, ClientStep, ServerLeaf};
pub use context::{MAX_SESSION_ID_LENGTH, MIN_SESSION_ID_LENGTH, SessionContext, SessionIdentifier};
pub use server::{ServerConfiguration, ServerHandshake, ServerSessionKey, ServerStep};
pub use service::{ServiceCredentials, ServiceRefusal, ServiceRequest, SessionService};

/// One block: every message of a connection has this length.
pub type Block = [u8; BLOCK_LENGTH];

/// Why there is no session. The connection must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionError {
    /// The peer's message cannot be read.
    Parse(wire::Error),
    /// The client looks for a server with another identity.
    Identity,
    /// There is no version that both sides know.
    Version,
    /// The server has another TLS session than the client: somebody is in between.
    Session,
    /// The peer's certificates or its session key do not prove what they should.
    BadAuthentication,
    /// The server refused the client's service.
    Service(TransportError),
    /// The own message cannot be written: the configuration does not fit a block.
    Encode(wire::Error),
}

impl SessionError {
    /// The same in the words of the protocol, for reports to others.
    #[must_use]
    pub const fn to_transport_error(self) -> TransportError {
        match self {
            Self::Parse(_) => TransportError::Handshake(HandshakeError::Parse),
            Self::Identity => TransportError::Handshake(HandshakeError::Identity),
            Self::Version => TransportError::Version,
            Self::Session => TransportError::Session,
            Self::BadAuthentication => TransportError::Handshake(HandshakeError::BadAuthentication),
            Self::Service(error) => error,
            Self::Encode(_) => TransportError::LargeMessage,
        }
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parse(_) => "the peer's hello cannot be read",
            Self::Identity => "the client looks for a server with another identity",
            Self::Version => "client and server have no protocol version in common",
            Self::Session => "the server has another TLS session than the client",
            Self::BadAuthentication => "the peer's certificates do not prove its session key",
            Self::Service(_) => "the server refused the service certificate",
            Self::Encode(_) => "the certificates do not fit a block",
        })
    }
}

impl core::error::Error for SessionError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Parse(error) | Self::Encode(error) => Some(error),
            _ => None,
        }
    }
}

/// Keys and signatures fail here only for what the peer sent.
impl From<Error> for SessionError {
    fn from(_: Error) -> Self {
        Self::BadAuthentication
    }
}

/// Reads a message of the handshake. What stands behind its last known field is ignored.
fn read_message<'a, T: Decode<'a>>(block: &'a Block) -> Result<T, SessionError> {
    unpad(block).and_then(|message| Reader::new(message).value()).map_err(SessionError::Parse)
}

/// Writes a message of the handshake, which is never encrypted.
fn write_message<T: Encode>(block: &mut Block, message: &T) -> Result<(), SessionError> {
    let [_, _, content @ ..] = block;
    let length = message.to_slice(content).map_err(SessionError::Encode)?.len();
    pad_in_place(block, length).map_err(SessionError::Encode)
}
