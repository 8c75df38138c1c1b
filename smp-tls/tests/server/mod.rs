//! A scripted TLS 1.3 server: it shakes hands correctly when it is told to, and every step can be bent.
//!
//! It has keys of its own, key schedule and record protection of its own, and shares no code with the client under
//! test. `tests/scripted_server.rs` proves it against two other clients. Servers of the same script say the same to
//! every client, but for what depends on the client's keys.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    missing_docs,
    reason = "each test and fuzz target uses a part of it"
)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

pub mod hello;
pub mod identity;
pub mod keys;
pub mod messages;
pub mod receive;
pub mod script;
pub mod wire;

pub use identity::Identity;
pub use receive::Protection;
pub use script::{Layout, Server};

/// How far a client has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The handshake is not complete.
    Handshaking,
    /// Data can be sent and received.
    Connected,
    /// The server has closed its direction.
    Closed,
    /// Refused, and why.
    Failed(String),
}

/// A client as the server sees it. Nothing here waits, except in clients behind a socket.
pub trait Client {
    /// What it sends now; empty when it has nothing to say.
    fn output(&mut self) -> Vec<u8>;
    /// It receives `bytes`.
    fn input(&mut self, bytes: &[u8]);
    /// The transport ends: no more bytes come.
    fn end(&mut self);
    /// Whether the application can send at this moment.
    fn can_write(&self) -> bool;
    /// The application sends `data`.
    fn write(&mut self, data: &[u8]);
    /// What the application received since it was last asked.
    fn take(&mut self) -> Vec<u8>;
    fn state(&self) -> State;
}
