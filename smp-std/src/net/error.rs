//! What can go wrong with a connection before and below the transport blocks.

use std::{error::Error, fmt, io};

/// Why a connection could not be made or did not go on.
#[derive(Debug)]
#[non_exhaustive]
pub enum NetError {
    /// The operating system refused or broke the connection.
    Io(io::Error),
    /// No host of the address may or can be reached under the [`NetworkPolicy`](super::NetworkPolicy), or the port of the
    /// address is none. Nothing was tried.
    NoUsableHost,
    /// A name leads to addresses that the [`NetworkPolicy`](super::NetworkPolicy) does not allow.
    AddressRefused,
    /// The SOCKS5 proxy did not connect.
    Socks(super::SocksError),
    /// The step did not finish in the time given.
    TimedOut,
    /// The peer closed the connection in order, between two blocks.
    Closed,
    /// The connection ended inside a block or without the closing message of TLS: data may be missing.
    Truncated,
    /// The server is not the one whose fingerprint the address holds. Never retry with this server: either the address
    /// is wrong or somebody is in between.
    ServerIdentity,
    /// The server's certificate chain breaks a rule of section 3.2.
    ServerCertificate(smp_crypto::certificate::ChainError),
    /// Both sides offered application protocols and have none in common.
    NoCommonProtocol,
    /// The handshake ended without a session identifier; nothing may be sent over such a connection.
    SessionIdentifier,
    /// The TLS layer refused what the peer sent, or the peer refused ours.
    Tls(rustls::Error),
}

impl fmt::Display for NetError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(out, "network: {error}"),
            Self::NoUsableHost => out.write_str("the address has no host and port that can be reached from here"),
            Self::AddressRefused => out.write_str("the host has an address that may not be connected to"),
            Self::Socks(error) => error.fmt(out),
            Self::TimedOut => out.write_str("the peer did not answer in time"),
            Self::Closed => out.write_str("the peer closed the connection"),
            Self::Truncated => out.write_str("the connection broke off"),
            Self::ServerIdentity => {
                out.write_str("the server is not the one named by the fingerprint in its address; check the address")
            }
            Self::ServerCertificate(error) => write!(out, "the server's certificate chain is refused: {error}"),
            Self::NoCommonProtocol => out.write_str("the peer speaks none of the application protocols offered"),
            Self::SessionIdentifier => out.write_str("the TLS handshake gave no session identifier"),
            Self::Tls(error) => write!(out, "TLS: {error}"),
        }
    }
}

impl Error for NetError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::ServerCertificate(error) => Some(error),
            Self::Tls(error) => Some(error),
            Self::Socks(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for NetError {
    /// An end of file is [`NetError::Truncated`]: only the closing message of TLS ends a connection in order.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated,
            io::ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Io(error),
        }
    }
}

impl From<super::SocksError> for NetError {
    fn from(error: super::SocksError) -> Self {
        Self::Socks(error)
    }
}

impl From<rustls::Error> for NetError {
    fn from(error: rustls::Error) -> Self {
        use rustls::{AlertDescription, Error};
        match error {
            Error::NoApplicationProtocol | Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
                Self::NoCommonProtocol
            }
            error => Self::Tls(error),
        }
    }
}

impl From<NetError> for io::Error {
    fn from(error: NetError) -> Self {
        let kind = match error {
            NetError::Io(error) => return error,
            NetError::TimedOut => io::ErrorKind::TimedOut,
            NetError::Closed => io::ErrorKind::ConnectionAborted,
            NetError::Truncated => io::ErrorKind::UnexpectedEof,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}
