//! Why a command or a connection failed, and whether trying again can help.

use std::{error::Error, fmt, sync::Arc};

use smp_proto::smp::CommandError;
use smp_proto::smp::error::{BlockingReason, NameError, SmpError};
use smp_proto::version::{SmpVersion, VersionRange};
use smp_proto::wire::{Reader, Writer};

use super::ProxyFailure;
use crate::net::NetError;

/// Why an operation of the client failed. Cheap to clone: when a connection ends, every command in flight gets the
/// reason.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// No address of the server may or can be reached from here under [`Options::network`](super::Options::network): all
    /// hosts are onion names and there is no SOCKS5 proxy, say, or the port is not a port.
    NoUsableHost,
    /// The address does not hold a fingerprint of 32 bytes, so nobody could tell the right server from another.
    NoFingerprint,
    /// The connection could not be made or broke.
    Network(Arc<NetError>),
    /// TLS failed.
    Tls(Arc<NetError>),
    /// The server is not the one its address names: its certificates, or the signature of its session key, are not those
    /// of the fingerprint. Somebody may be in between; never retry without asking.
    Identity,
    /// The hellos of the two sides do not agree. Without a common version the server's range is given.
    Handshake(HandshakeFailure),
    /// No answer in time. A command may have been executed all the same.
    Timeout,
    /// The relay refused the command.
    Relay(RelayError),
    /// The relay answered with something that is no answer to this command.
    Unexpected,
    /// The relay sent bytes that are not a block, or an answer that cannot be read.
    Malformed,
    /// The command does not exist, or not in this form, at the version the two sides agreed on.
    NotAtThisVersion(SmpVersion),
    /// The body of the message is longer than the version allows; the limit in bytes is given.
    TooLarge(usize),
    /// A key cannot be used in this session: X25519 authorization needs a session key of the server, which connections
    /// of version 6 do not have, and a public key of small order serves nobody.
    UnusableKey,
    /// The data of a link does not fit a command, or its id is missing.
    UnusableLink,
    /// The command did not go through the proxy.
    Proxy(ProxyFailure),
    /// The policy wants a proxy for this relay, and none of those configured is another server than the relay.
    NoProxy,
    /// The relay did not read what it was sent, or did not answer three pings.
    Unresponsive,
    /// The connection has been closed, by the relay in good order or by this side.
    Closed,
}

/// What was wrong with a hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeFailure {
    /// The server's hello cannot be read, or it is of version 7 or later and has no session key: without it blocks and
    /// commands would lose a layer of protection.
    Malformed,
    /// The server's hello is for another TLS session.
    Session,
    /// No version in common; the server offers this range.
    Version(VersionRange<SmpVersion>),
}

impl ClientError {
    /// Whether the same operation may succeed later without anybody changing anything: networks come back, relays are
    /// restarted, queues are emptied.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Network(_)
            | Self::Timeout
            | Self::Unresponsive
            | Self::Closed
            | Self::Malformed
            | Self::Unexpected
            | Self::Handshake(HandshakeFailure::Malformed) => true,
            // A peer that was cut off in the middle of the handshake looks like one that speaks no TLS.
            Self::Tls(error) => matches!(**error, NetError::Truncated | NetError::Closed | NetError::TimedOut),
            Self::Relay(error) => error.is_temporary(),
            Self::Proxy(failure) => failure.is_temporary(),
            _ => false,
        }
    }

    /// Whether the relay refused with `AUTH`: no such queue, wrong key, suspended, or not allowed.
    #[must_use]
    pub fn is_not_authorized(&self) -> bool {
        matches!(self, Self::Relay(error) if error.get() == SmpError::Auth)
    }

    /// Whether the queue is full.
    #[must_use]
    pub fn is_quota(&self) -> bool {
        matches!(self, Self::Relay(error) if error.get() == SmpError::Quota)
    }

    /// Whether the connection is gone, so that every further command on it fails too.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        matches!(self, Self::Network(_) | Self::Tls(_) | Self::Unresponsive | Self::Closed)
    }

    /// Sorts what the layer of sockets and TLS reports.
    pub(crate) fn from_net(error: NetError) -> Self {
        match error {
            NetError::NoUsableHost | NetError::AddressRefused => Self::NoUsableHost,
            NetError::Io(_) | NetError::Truncated | NetError::Socks(_) => Self::Network(Arc::new(error)),
            NetError::TimedOut => Self::Timeout,
            NetError::Closed => Self::Closed,
            NetError::ServerIdentity | NetError::ServerCertificate(_) => Self::Identity,
            _ => Self::Tls(Arc::new(error)),
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoUsableHost => f.write_str("the address has no host and port that can be reached from here"),
            Self::NoFingerprint => f.write_str("the address does not hold the fingerprint of a server (43 characters)"),
            Self::Network(error) | Self::Tls(error) => error.fmt(f),
            Self::Identity => f.write_str(
                "the server is not the one its address names: check the address; if it is right, somebody may be \
                 intercepting the connection",
            ),
            Self::Handshake(failure) => failure.fmt(f),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Relay(error) => error.fmt(f),
            Self::Unexpected => f.write_str("the relay answered something else than was asked"),
            Self::Malformed => f.write_str("the relay sent something that cannot be read"),
            Self::NotAtThisVersion(version) => {
                write!(f, "the relay speaks version {version}, which does not have this")
            }
            Self::TooLarge(limit) => write!(f, "the message is longer than {limit} bytes"),
            Self::UnusableKey => f.write_str("the key cannot be used in this session"),
            Self::UnusableLink => f.write_str("the data of the link is too long, or its id is missing"),
            Self::Proxy(failure) => failure.fmt(f),
            Self::NoProxy => f.write_str("there is no proxy for this relay that is another server than the relay"),
            Self::Unresponsive => f.write_str("the relay no longer responds"),
            Self::Closed => f.write_str("the connection is closed"),
        }
    }
}

impl Error for ClientError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Network(error) | Self::Tls(error) => error.source(),
            _ => None,
        }
    }
}

impl From<NetError> for ClientError {
    fn from(error: NetError) -> Self {
        Self::from_net(error)
    }
}

impl fmt::Display for HandshakeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the server's hello cannot be read: is this an SMP server?"),
            Self::Session => f.write_str("the server's hello belongs to another TLS session"),
            Self::Version(range) => write!(
                f,
                "no version in common: the server speaks {} to {}, this program {} to {}",
                range.min(),
                range.max(),
                SmpVersion::MIN,
                SmpVersion::MAX
            ),
        }
    }
}

/// An error a relay answered with, to keep.
#[derive(Clone, PartialEq, Eq)]
pub struct RelayError(
    /// The error as it was read, so that reading it again cannot fail.
    Box<[u8]>,
);

impl RelayError {
    /// Keeps an error.
    #[must_use]
    pub fn new(error: &SmpError<'_>) -> Self {
        // No error is longer than the block it came in.
        let mut buffer = vec![0; crate::net::BLOCK_SIZE];
        let mut writer = Writer::new(&mut buffer);
        match error.encode(&mut writer, SmpVersion::MAX) {
            Ok(()) => Self(Box::from(writer.written())),
            Err(_) => Self(Box::from(&b"INTERNAL"[..])),
        }
    }

    /// The error.
    #[must_use]
    pub fn get(&self) -> SmpError<'_> {
        SmpError::decode(&mut Reader::new(&self.0)).unwrap_or(SmpError::Internal)
    }

    /// Whether the same command may be accepted later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(
            self.get(),
            SmpError::Quota
                | SmpError::Internal
                | SmpError::Store(_)
                | SmpError::Block
                | SmpError::Name(NameError::Resolver(_))
        )
    }
}

impl fmt::Debug for RelayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelayError({})", self.0.escape_ascii())
    }
}

impl fmt::Display for RelayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.get() {
            SmpError::Auth => f.write_str(
                "the relay refused (AUTH): the queue does not exist any more, was suspended, belongs to another key, \
                 or the relay asks for a password",
            ),
            SmpError::Quota => f.write_str("the queue is full (QUOTA): its recipient has to fetch the messages first"),
            SmpError::Blocked(blocked) => {
                let reason = match blocked.reason {
                    BlockingReason::Spam => "spam",
                    BlockingReason::Content => "content",
                };
                write!(f, "the relay's operator blocked the queue ({reason})")
            }
            SmpError::LargeMessage => f.write_str("the message is too large for the relay (LARGE_MSG)"),
            SmpError::NoMessage => f.write_str("nothing was delivered that could be acknowledged (NO_MSG)"),
            SmpError::Command(CommandError::Unknown) => f.write_str("the relay does not know this command"),
            SmpError::Internal => f.write_str("the relay failed (INTERNAL); try again later"),
            SmpError::Store(_) => f.write_str("the relay's storage failed (STORE); try again later"),
            _ => write!(f, "the relay refused: {}", self.0.escape_ascii()),
        }
    }
}

impl Error for RelayError {}
