//! Errors as they travel (wire reference, section 11; v7, section 3.4).
//!
//! An error fills the rest of its transmission. Everything is read without copying; errors inside errors, which a proxy
//! relays, are kept as the bytes they came in and read when asked for, so no depth of nesting costs stack.

use core::fmt;

use crate::version::SmpVersion;
use crate::wire::{Error, Reader, Writer};

mod blocked;
mod forwarding;
mod text;

pub use blocked::{Blocked, BlockingReason, Notice};
use forwarding::NESTED_PREFIX;
pub use forwarding::{BrokerError, HandshakeError, NestedError, NetworkError, ProxyError, TransportError};
pub use text::ErrorText;

/// Why a relay refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SmpError<'a> {
    /// `BLOCK`: malformed block, transmission or length of an authorization.
    Block,
    /// `SESSION`: wrong session identifier, version 6 only.
    Session,
    /// `CMD`: the command itself is wrong.
    Command(CommandError),
    /// `PROXY`: forwarding failed.
    Proxy(ProxyError<'a>),
    /// `AUTH`: not authorized, no such entity, suspended, wrong mode or not allowed; which of them is not told.
    Auth,
    /// `BLOCKED`: the operator blocked the queue. Versions below 12 see `AUTH`, below 18 no notice.
    Blocked(Blocked),
    /// `SERVICE`: the service signature is missing, unexpected or wrong.
    Service,
    /// `CRYPTO`: decryption failed in forwarding.
    Crypto,
    /// `QUOTA`: the queue is full.
    Quota,
    /// `STORE`: the relay's storage failed.
    Store(ErrorText<'a>),
    /// `EXPIRED`: reserved for expired relay keys.
    Expired,
    /// `NO_MSG`: nothing delivered that this acknowledges.
    NoMessage,
    /// `LARGE_MSG`: the body is too long.
    LargeMessage,
    /// `INTERNAL`: the relay failed.
    Internal,
    /// `DUPLICATE_`: read for compatibility, never sent.
    Duplicate,
    /// `NAME`: a name was not resolved.
    Name(NameError<'a>),
}

/// What is wrong with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum CommandError {
    /// `UNKNOWN`: no such tag.
    Unknown,
    /// `SYNTAX`: bad parameters, or bytes behind them.
    Syntax,
    /// `PROHIBITED`: not allowed here, in this role or in this state.
    Prohibited,
    /// `NO_AUTH`: authorization or entity is missing.
    NoAuthorization,
    /// `HAS_AUTH`: authorization or entity is given where it must not be.
    HasAuthorization,
    /// `NO_ENTITY`, also read from `NO_QUEUE`: the entity is missing.
    NoEntity,
}

/// Why a name was not resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError<'a> {
    /// `NO_RESOLVER`: names are not configured here.
    NoResolver,
    /// `NOT_FOUND`: no such name; final.
    NotFound,
    /// `RESOLVER`: the resolver failed; transient.
    Resolver(ErrorText<'a>),
}

fn space(reader: &mut Reader<'_>) -> Result<(), Error> {
    reader.expect(b" ")
}

/// The next word, behind the space that must precede it.
fn next_word<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Error> {
    space(reader)?;
    Ok(reader.until(b' '))
}

impl<'a> SmpError<'a> {
    /// Reads an error that fills everything the reader has left. Words this protocol does not know are
    /// [`Error::Invalid`].
    pub fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut outer = reader.clone();
        // Nested errors only add a prefix, so the innermost one tells whether all of them can be read.
        while let Some(inner) = reader.remaining().strip_prefix(NESTED_PREFIX) {
            *reader = Reader::new(inner);
        }
        Self::decode_level(reader)?;
        Self::decode_level(&mut outer)
    }

    /// Reads one level; an error nested in it is kept unread.
    fn decode_level(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let error = match reader.until(b' ') {
            b"BLOCK" => Self::Block,
            b"SESSION" => Self::Session,
            b"CMD" => Self::Command(CommandError::from_word(next_word(reader)?)?),
            b"PROXY" => Self::Proxy(ProxyError::decode(reader)?),
            b"AUTH" => Self::Auth,
            b"BLOCKED" => Self::Blocked(Blocked::decode(reader)?),
            b"SERVICE" => Self::Service,
            b"CRYPTO" => Self::Crypto,
            b"QUOTA" => Self::Quota,
            b"STORE" => {
                space(reader)?;
                Self::Store(ErrorText(reader.rest()))
            }
            b"EXPIRED" => Self::Expired,
            b"NO_MSG" => Self::NoMessage,
            b"LARGE_MSG" => Self::LargeMessage,
            b"INTERNAL" => Self::Internal,
            b"DUPLICATE_" => Self::Duplicate,
            b"NAME" => Self::Name(NameError::decode(reader)?),
            _ => return Err(Error::Invalid),
        };
        reader.finish()?;
        Ok(error)
    }

    /// Writes the error as a peer of this version may see it: `BLOCKED` turns into `AUTH` below version 12 and loses its
    /// notice below 18. Errors nested inside are passed on unchanged, as every proxy does.
    pub fn encode(&self, writer: &mut Writer<'_>, version: SmpVersion) -> Result<(), Error> {
        match self {
            Self::Blocked(_) if version < SmpVersion::BLOCKED => writer.bytes(b"AUTH"),
            Self::Blocked(Blocked { reason, .. }) if version < SmpVersion::BLOCKED_NOTICE => {
                Blocked { reason: *reason, notice: None }.encode(writer)
            }
            _ => self.encode_all(writer),
        }
    }

    fn encode_all(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        let mut error = *self;
        while let Self::Proxy(ProxyError::Protocol(nested)) = error {
            writer.bytes(NESTED_PREFIX)?;
            error = nested.get();
        }
        match error {
            Self::Block => writer.bytes(b"BLOCK"),
            Self::Session => writer.bytes(b"SESSION"),
            Self::Command(error) => {
                writer.bytes(b"CMD ")?;
                writer.bytes(error.word())
            }
            Self::Proxy(error) => error.encode_flat(writer),
            Self::Auth => writer.bytes(b"AUTH"),
            Self::Blocked(blocked) => blocked.encode(writer),
            Self::Service => writer.bytes(b"SERVICE"),
            Self::Crypto => writer.bytes(b"CRYPTO"),
            Self::Quota => writer.bytes(b"QUOTA"),
            Self::Store(text) => {
                writer.bytes(b"STORE ")?;
                text.encode_rest(writer)
            }
            Self::Expired => writer.bytes(b"EXPIRED"),
            Self::NoMessage => writer.bytes(b"NO_MSG"),
            Self::LargeMessage => writer.bytes(b"LARGE_MSG"),
            Self::Internal => writer.bytes(b"INTERNAL"),
            Self::Duplicate => writer.bytes(b"DUPLICATE_"),
            Self::Name(error) => error.encode(writer),
        }
    }
}

impl CommandError {
    fn from_word(word: &[u8]) -> Result<Self, Error> {
        Ok(match word {
            b"UNKNOWN" => Self::Unknown,
            b"SYNTAX" => Self::Syntax,
            b"PROHIBITED" => Self::Prohibited,
            b"NO_AUTH" => Self::NoAuthorization,
            b"HAS_AUTH" => Self::HasAuthorization,
            b"NO_ENTITY" | b"NO_QUEUE" => Self::NoEntity,
            _ => return Err(Error::Invalid),
        })
    }

    const fn word(self) -> &'static [u8] {
        match self {
            Self::Unknown => b"UNKNOWN",
            Self::Syntax => b"SYNTAX",
            Self::Prohibited => b"PROHIBITED",
            Self::NoAuthorization => b"NO_AUTH",
            Self::HasAuthorization => b"HAS_AUTH",
            Self::NoEntity => b"NO_ENTITY",
        }
    }
}

impl From<CommandError> for SmpError<'_> {
    fn from(error: CommandError) -> Self {
        Self::Command(error)
    }
}

impl<'a> NameError<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(match next_word(reader)? {
            b"NO_RESOLVER" => Self::NoResolver,
            b"NOT_FOUND" => Self::NotFound,
            b"RESOLVER" => {
                space(reader)?;
                Self::Resolver(ErrorText(reader.rest()))
            }
            _ => return Err(Error::Invalid),
        })
    }

    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        match self {
            Self::NoResolver => writer.bytes(b"NAME NO_RESOLVER"),
            Self::NotFound => writer.bytes(b"NAME NOT_FOUND"),
            Self::Resolver(text) => {
                writer.bytes(b"NAME RESOLVER ")?;
                text.encode_rest(writer)
            }
        }
    }
}

impl fmt::Display for SmpError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Block => "malformed block or transmission",
            Self::Session => "transmission of another session",
            Self::Command(error) => return error.fmt(f),
            Self::Proxy(error) => return error.fmt(f),
            Self::Auth => "not authorized, or no such queue",
            Self::Blocked(Blocked { reason: BlockingReason::Spam, .. }) => "blocked by the operator as spam",
            Self::Blocked(Blocked { reason: BlockingReason::Content, .. }) => "blocked by the operator for its content",
            Self::Service => "the service signature is missing, unexpected or wrong",
            Self::Crypto => "a forwarded transmission cannot be decrypted",
            Self::Quota => "the queue is full until its recipient has received everything",
            Self::Store(text) => return write!(f, "the relay's storage failed: {text}"),
            Self::Expired => "the relay's key has expired",
            Self::NoMessage => "no such message to acknowledge",
            Self::LargeMessage => "the message is too long",
            Self::Internal => "the relay failed",
            Self::Duplicate => "duplicate",
            Self::Name(error) => return error.fmt(f),
        })
    }
}

impl core::error::Error for SmpError<'_> {}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown command",
            Self::Syntax => "the parameters of the command cannot be read",
            Self::Prohibited => "the command is not allowed here",
            Self::NoAuthorization => "the command needs an authorization and an entity",
            Self::HasAuthorization => "the command must go without authorization or entity",
            Self::NoEntity => "the command needs an entity",
        })
    }
}

impl core::error::Error for CommandError {}

impl fmt::Display for NameError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoResolver => f.write_str("the relay resolves no names"),
            Self::NotFound => f.write_str("no such name"),
            Self::Resolver(text) => write!(f, "the name resolver failed: {text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded<'b>(error: &SmpError<'_>, version: SmpVersion, buffer: &'b mut [u8]) -> &'b [u8] {
        let mut writer = Writer::new(buffer);
        error.encode(&mut writer, version).unwrap();
        writer.into_written()
    }

    #[test]
    fn blocking_is_told_as_far_as_the_version_knows() {
        let notice = Some(Notice { ttl: Some(-5) });
        let error = SmpError::Blocked(Blocked { reason: BlockingReason::Content, notice });
        let buffer = &mut [0; 100];
        assert_eq!(encoded(&error, SmpVersion(11), buffer), b"AUTH");
        assert_eq!(encoded(&error, SmpVersion(12), buffer), b"BLOCKED reason=content");
        assert_eq!(encoded(&error, SmpVersion(17), buffer), b"BLOCKED reason=content");
        assert_eq!(encoded(&error, SmpVersion(18), buffer), b"BLOCKED reason=content,notice={\"ttl\":-5}");
        let nested = SmpError::Proxy(ProxyError::Protocol(NestedError::new(&error)));
        let expected = b"PROXY PROTOCOL BLOCKED reason=content,notice={\"ttl\":-5}";
        assert_eq!(encoded(&nested, SmpVersion(6), buffer), expected);
        assert_eq!(SmpError::decode(&mut Reader::new(expected)), Ok(nested));
    }

    #[test]
    fn names_have_errors_of_their_own() {
        let known = [
            (NameError::NoResolver, &b"NAME NO_RESOLVER"[..]),
            (NameError::NotFound, b"NAME NOT_FOUND"),
            (NameError::Resolver(ErrorText(b"HTTP 502")), b"NAME RESOLVER HTTP 502"),
            (NameError::Resolver(ErrorText(b"")), b"NAME RESOLVER "),
        ];
        for (error, bytes) in known {
            assert_eq!(encoded(&SmpError::Name(error), SmpVersion(6), &mut [0; 50]), bytes);
            assert_eq!(SmpError::decode(&mut Reader::new(bytes)), Ok(SmpError::Name(error)));
        }
        for bad in [&b"NAME"[..], b"NAME ", b"NAME RESOLVER", b"NAME NOT_FOUND ", b"NAME OTHER"] {
            assert!(SmpError::decode(&mut Reader::new(bad)).is_err());
        }
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        fn unexpected(text: &[u8]) -> SmpError<'_> {
            SmpError::Proxy(ProxyError::Broker(BrokerError::Unexpected(ErrorText(text))))
        }
        let cut = |text: &str, length: usize| {
            let mut buffer = [0; 400];
            let bytes = encoded(&unexpected(text.as_bytes()), SmpVersion::MAX, &mut buffer);
            let expected = &text.as_bytes()[..length];
            assert_eq!(SmpError::decode(&mut Reader::new(bytes)), Ok(unexpected(expected)));
        };
        cut(&"x".repeat(255), 255);
        cut(&"x".repeat(256), 255);
        cut(&["x".repeat(254), "\u{e9}".repeat(9)].concat(), 254);
        cut(&["x".repeat(253), "\u{1f600}".repeat(9)].concat(), 253);
        cut(&["x".repeat(252), "\u{1f600}".repeat(9)].concat(), 252);
        cut(&["x".repeat(251), "\u{1f600}".repeat(9)].concat(), 255);
    }

    #[test]
    fn texts_that_are_no_text_are_repaired() {
        let error = SmpError::Store(ErrorText(b"a\xffb\xe2\x82c"));
        assert_eq!(encoded(&error, SmpVersion::MAX, &mut [0; 50]), b"STORE a?b?c");
        assert_eq!(std::format!("{}", ErrorText(b"a\xff\x1b[2J")), "a??[2J");
    }

    #[test]
    fn nesting_costs_no_stack() {
        let bytes = [&b"PROXY PROTOCOL ".repeat(100_000)[..], b"CMD NO_QUEUE"].concat();
        let error = SmpError::decode(&mut Reader::new(&bytes)).unwrap();
        assert_eq!(error, error);
        let mut buffer = std::vec![0; bytes.len() + 1];
        let again = encoded(&error, SmpVersion::MAX, &mut buffer);
        assert!(again.ends_with(b" CMD NO_ENTITY"));
        assert_eq!(SmpError::decode(&mut Reader::new(again)), Ok(error));
        let shallow = SmpError::decode(&mut Reader::new(&bytes[15..])).unwrap();
        assert_ne!(shallow, error);
        assert!(std::format!("{error:?}").contains("99999 levels"));
        let shown = "the destination relay answered: the command needs an entity";
        assert_eq!(std::format!("{error}"), shown);
        let bad = [&b"PROXY PROTOCOL ".repeat(100_000)[..], b"CMD"].concat();
        assert!(SmpError::decode(&mut Reader::new(&bad)).is_err());
    }
}
