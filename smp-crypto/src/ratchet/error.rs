use core::fmt;

use smp_proto::wire;

/// Why the ratchet refused something. Whenever it does, nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not a message of the ratchet.
    Malformed(wire::Error),
    /// No header key opens the header: the message is of another ratchet, damaged, or of a chain too old.
    Header,
    /// The header opens, but holds something else than a header.
    UnparsableHeader(wire::Error),
    /// The message is the last one that was received.
    Duplicate,
    /// The message was received before, or given up: it is this many messages older than the last one.
    Earlier(u32),
    /// Too many messages are missing before this one: their number and one. See [`MAX_SKIPPED`](super::MAX_SKIPPED).
    TooManySkipped(u32),
    /// The body does not belong to this message key and header.
    Body,
    /// The body is authentic, but its padding holds no message.
    Padding,
    /// The peer answers a proposal of encapsulation that was not made.
    Encapsulation,
    /// A public key of the peer's has small order: everybody knows what would be agreed.
    WeakKey,
    /// Nothing can be sent before the first message was received.
    NotReady,
    /// The message does not fit into the padded length, or the output is too small.
    TooLong,
    /// The peer chose, or offers, no version that is spoken here.
    Version,
    /// A chain came to its last number. No conversation gets there.
    Exhausted,
    /// The stored bytes were written by a later release, in a format unknown here.
    NewerFormat,
    /// The stored bytes are damaged.
    Stored,
    /// Keys that are compared in two orders could not be made to agree: the random source repeats itself.
    Random,
    /// A derivation failed. This does not happen.
    Internal,
}

impl From<crate::Error> for Error {
    fn from(error: crate::Error) -> Self {
        match error {
            crate::Error::WeakKey => Self::WeakKey,
            _ => Self::Internal,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed(error) => return write!(f, "the message is malformed: {error}"),
            Self::Header => "no key opens the header",
            Self::UnparsableHeader(error) => return write!(f, "the header is malformed: {error}"),
            Self::Duplicate => "the message was just received",
            Self::Earlier(count) => return write!(f, "the message is {count} older than the last one"),
            Self::TooManySkipped(count) => return write!(f, "{count} messages further than the last one"),
            Self::Body => "the body is not authentic",
            Self::Padding => "the padding is wrong",
            Self::Encapsulation => "an encapsulation was accepted that was not proposed",
            Self::WeakKey => "the peer's public key has small order",
            Self::NotReady => "nothing can be sent before a message was received",
            Self::TooLong => "the message does not fit",
            Self::Version => "there is no common version",
            Self::Exhausted => "the chain is at its end",
            Self::NewerFormat => "the stored state has a newer format",
            Self::Stored => "the stored state is damaged",
            Self::Random => "the random source repeats itself",
            Self::Internal => "a derivation failed",
        })
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Malformed(error) | Self::UnparsableHeader(error) => Some(error),
            _ => None,
        }
    }
}

/// Why a message could not be decrypted. Nothing has changed: not the ratchet, not the skipped keys, not the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecryptError<E> {
    /// The ratchet refused the message.
    Ratchet(Error),
    /// The store of skipped keys failed. The same message can be tried again.
    Store(E),
}

impl<E> From<Error> for DecryptError<E> {
    fn from(error: Error) -> Self {
        Self::Ratchet(error)
    }
}

impl<E: fmt::Display> fmt::Display for DecryptError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ratchet(error) => error.fmt(f),
            Self::Store(error) => write!(f, "the store of skipped keys failed: {error}"),
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for DecryptError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Ratchet(error) => Some(error),
            Self::Store(error) => Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::error::Error as _;
    use std::string::{String, ToString};
    use std::vec::Vec;

    #[test]
    fn every_error_says_something_else() {
        let cause = wire::Error::Truncated;
        let all = [
            Error::Malformed(cause),
            Error::Header,
            Error::UnparsableHeader(cause),
            Error::Duplicate,
            Error::Earlier(7),
            Error::TooManySkipped(7),
            Error::Body,
            Error::Padding,
            Error::Encapsulation,
            Error::WeakKey,
            Error::NotReady,
            Error::TooLong,
            Error::Version,
            Error::Exhausted,
            Error::NewerFormat,
            Error::Stored,
            Error::Random,
            Error::Internal,
        ];
        let texts: Vec<String> = all.iter().map(ToString::to_string).collect();
        for (index, text) in texts.iter().enumerate() {
            assert!(text.len() > 4 && !texts[..index].contains(text), "{text}");
        }
        for (error, text) in all.iter().zip(&texts) {
            let names_cause = text.contains(&cause.to_string());
            assert_eq!(error.source().map(ToString::to_string), names_cause.then(|| cause.to_string()));
            let decrypt = DecryptError::<wire::Error>::from(*error);
            assert_eq!(decrypt.to_string(), *text);
            assert_eq!(decrypt.source().map(ToString::to_string).as_ref(), Some(text));
        }
        let store = DecryptError::Store(cause);
        assert!(store.to_string().ends_with(&cause.to_string()));
        assert_eq!(store.source().map(ToString::to_string), Some(cause.to_string()));
    }
}
