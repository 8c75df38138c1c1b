//! Connections: TLS 1.3 in the profile of SMP over any byte stream, and the TCP sockets below it.
//!
//! [`ServerTls`] and [`ClientTls`] turn a connected byte stream into a [`TlsStream`]. The stream reads and writes whole
//! transport blocks of [`BLOCK_SIZE`] bytes, knows the session identifier both sides derive from the handshake, and
//! holds no buffer while nothing is in flight, so that a relay can keep many thousands of idle connections.
//!
//! [`NetworkPolicy`] says which hosts of an address to connect to, and whether through a SOCKS5 proxy.
//!
//! The handshake of SMP itself (the two hellos) comes on top of this; see `wire/smp.md` section 3 for what is done here.

mod config;
mod curve448;
mod dial;
mod error;
mod finished;
mod provider;
mod reach;
mod resolve;
mod socks;
mod stream;
mod tcp;
mod tls;
mod verify;

pub use config::{Alpn, ClientAlpn, ClientTls, ServerTls};
pub use dial::{HostMode, NetworkPolicy, Route, SocksLogin, SocksMode, WebPort};
pub use error::NetError;
pub use socks::SocksError;
pub use stream::{Ready, TlsStream};
pub(crate) use tcp::share;
pub use tcp::{Listener, connect_tcp};

/// Length of one transport block on the wire in bytes (section 5).
pub const BLOCK_SIZE: usize = smp_proto::transport::BLOCK_LENGTH;

/// Length of a session identifier in bytes: the client's Finished value with SHA-256 (section 3.1).
pub const SESSION_IDENTIFIER_SIZE: usize = 32;
