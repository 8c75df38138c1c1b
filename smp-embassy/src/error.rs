//! Why a connection to a relay is not made, or ends.

use core::fmt;

use embedded_io_async::ErrorKind;
use smp_crypto::certificate::ChainError;
use smp_crypto::session::SessionError;
use smp_tls::StreamError;

use crate::dial::DialError;
use crate::random::RandomError;

/// What took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Wait {
    /// The handshakes of TLS and SMP.
    Handshake,
    /// Sending a block: the relay does not take it.
    Send,
    /// The response to a command, or the rest of a block.
    Response,
}

/// Why there is no connection to a relay, or none any more. Except for [`Error::Busy`], what was connected must be
/// dropped; a new attempt may succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The random source failed. Nothing was sent.
    Random(RandomError),
    /// The address has no fingerprint: nobody can tell whether a relay is the right one.
    NoFingerprint,
    /// No stream to the relay.
    Dial(DialError),
    /// Something took too long.
    TimedOut(Wait),
    /// The stream failed.
    Transport(ErrorKind),
    /// The relay closed the connection, or it was cut.
    Closed,
    /// TLS failed.
    Tls(smp_tls::Error),
    /// The relay is not the one of the address, or its certificates do not prove it.
    Certificate(ChainError),
    /// The handshake of SMP failed.
    Session(SessionError),
    /// A block could not be decrypted or read.
    Malformed,
    /// The buffer is in use by the other direction: a part of a block was received, or a composed block is not sent yet.
    /// Nothing has changed.
    Busy,
    /// The buffer is shorter than [`BUFFER_LENGTH`](crate::BUFFER_LENGTH).
    BufferTooShort,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random(error) => error.fmt(f),
            Self::NoFingerprint => f.write_str("the address has no fingerprint"),
            Self::Dial(error) => error.fmt(f),
            Self::TimedOut(Wait::Handshake) => f.write_str("the relay takes too long for the handshake"),
            Self::TimedOut(Wait::Send) => f.write_str("the relay does not take what is sent"),
            Self::TimedOut(Wait::Response) => f.write_str("the relay does not answer"),
            Self::Transport(_) => f.write_str("the stream to the relay failed"),
            Self::Closed => f.write_str("the relay closed the connection"),
            Self::Tls(error) => error.fmt(f),
            Self::Certificate(error) => error.fmt(f),
            Self::Session(error) => error.fmt(f),
            Self::Malformed => f.write_str("a block of the relay cannot be read"),
            Self::Busy => f.write_str("the buffer is in use by the other direction"),
            Self::BufferTooShort => f.write_str("the buffer is too short for a block"),
        }
    }
}

impl core::error::Error for Error {}

/// A number for each kind of error, in the order of the documentation: what is inside is for debuggers.
#[cfg(feature = "defmt")]
impl defmt::Format for Error {
    fn format(&self, f: defmt::Formatter<'_>) {
        match self {
            Self::Random(error) => defmt::write!(f, "Random({})", error),
            Self::NoFingerprint => defmt::write!(f, "NoFingerprint"),
            Self::Dial(error) => defmt::write!(f, "Dial({})", error),
            Self::TimedOut(wait) => defmt::write!(f, "TimedOut({})", wait),
            Self::Transport(_) => defmt::write!(f, "Transport"),
            Self::Closed => defmt::write!(f, "Closed"),
            Self::Tls(error) => defmt::write!(f, "Tls({})", error),
            Self::Certificate(error) => defmt::write!(f, "Certificate(alert {})", error.tls_alert()),
            Self::Session(_) => defmt::write!(f, "Session"),
            Self::Malformed => defmt::write!(f, "Malformed"),
            Self::Busy => defmt::write!(f, "Busy"),
            Self::BufferTooShort => defmt::write!(f, "BufferTooShort"),
        }
    }
}

impl From<RandomError> for Error {
    fn from(error: RandomError) -> Self {
        Self::Random(error)
    }
}

impl From<DialError> for Error {
    fn from(error: DialError) -> Self {
        Self::Dial(error)
    }
}

impl From<smp_tls::Error> for Error {
    fn from(error: smp_tls::Error) -> Self {
        match error {
            smp_tls::Error::Closed | smp_tls::Error::Truncated => Self::Closed,
            smp_tls::Error::Busy => Self::Busy,
            error => Self::Tls(error),
        }
    }
}

impl<E: embedded_io_async::Error> From<StreamError<E>> for Error {
    fn from(error: StreamError<E>) -> Self {
        match error {
            StreamError::Transport(error) => Self::Transport(error.kind()),
            StreamError::Tls(error) => error.into(),
            _ => Self::Closed,
        }
    }
}
