use core::fmt;

use embedded_io_async::ErrorKind;

use crate::alert::Alert;

/// Why the protocol does not go on.
///
/// After [`Error::Busy`], [`Error::BufferFull`] and [`Error::TooLong`] the connection is as it was before; after all
/// others it is at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// The server broke a rule of the protocol, or the verifier refused its certificates. The server is told by this
    /// alert.
    Refused(Alert),
    /// The server sent something that the protocol allows and that is larger than this client takes: certificates beyond
    /// the buffer, a cookie of more than 512 bytes, a chain of more than eight certificates. The server is told by
    /// [`Alert::INTERNAL_ERROR`].
    Limit,
    /// The server ended the connection with this alert.
    Alert(Alert),
    /// The server closed the connection in order (close_notify): nothing is missing.
    Closed,
    /// The transport ended without close_notify: what the server sent last may be missing.
    Truncated,
    /// A direction's keys have been used for 2^64 records.
    KeyExhausted,
    /// The buffer holds bytes that were received and not consumed, or that were not sent yet.
    Busy,
    /// The next record, or as many bytes as were asked for, does not fit into the buffer next to what was not consumed.
    BufferFull,
    /// More content than one record or the buffer can carry.
    TooLong,
}

impl Error {
    /// The alert that tells the server.
    pub(crate) const fn alert(self) -> Option<Alert> {
        match self {
            Self::Refused(alert) => Some(alert),
            Self::Limit | Self::KeyExhausted => Some(Alert::INTERNAL_ERROR),
            _ => None,
        }
    }

    /// Whether the connection is at its end.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Busy | Self::BufferFull | Self::TooLong)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused(alert) => return write!(f, "the server was refused with alert {alert}"),
            Self::Limit => "the server sent more than fits here",
            Self::Alert(alert) => return write!(f, "the server sent alert {alert}"),
            Self::Closed => "the server closed the connection",
            Self::Truncated => "the connection ended before the server closed it",
            Self::KeyExhausted => "the keys of the connection are used up",
            Self::Busy => "the buffer still holds bytes of the other direction",
            Self::BufferFull => "the buffer has no room for the next record",
            Self::TooLong => "the content does not fit into a record",
        })
    }
}

impl core::error::Error for Error {}

/// Why a [`TlsStream`](crate::TlsStream) over a transport with errors `E` does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum StreamError<E> {
    /// The transport failed.
    Transport(E),
    /// The protocol does not go on.
    Tls(Error),
}

impl<E> From<Error> for StreamError<E> {
    fn from(error: Error) -> Self {
        Self::Tls(error)
    }
}

impl<E: fmt::Display> fmt::Display for StreamError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(error) => error.fmt(f),
            Self::Tls(error) => error.fmt(f),
        }
    }
}

impl<E: core::error::Error> core::error::Error for StreamError<E> {}

impl<E: embedded_io_async::Error> embedded_io_async::Error for StreamError<E> {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Transport(error) => error.kind(),
            Self::Tls(error) => match error {
                Error::Refused(_) => ErrorKind::InvalidData,
                Error::Limit | Error::BufferFull => ErrorKind::OutOfMemory,
                Error::Alert(_) => ErrorKind::ConnectionAborted,
                Error::Closed | Error::Truncated => ErrorKind::ConnectionReset,
                Error::TooLong => ErrorKind::InvalidInput,
                Error::KeyExhausted | Error::Busy => ErrorKind::Other,
            },
        }
    }
}
