//! Errors as they travel (wire reference, section 11; v7, section 3.4).
//!
//! An error fills the rest of its transmission. Everything is read without copying; errors inside errors, which a proxy
//! relays, are kept as the bytes they came in and read when asked for, so no depth of nesting costs stack.

use core::fmt::{self, Write as _};

use super::json::{Object, Value};
use crate::version::SmpVersion;
use crate::wire::{Error, Reader, Writer};

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

/// Why forwarding failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyError<'a> {
    /// `PROTOCOL`: the destination relay answered with this error.
    Protocol(NestedError<'a>),
    /// `BROKER`: the proxy could not talk to the destination relay.
    Broker(BrokerError<'a>),
    /// `BASIC_AUTH`: wrong password.
    BasicAuth,
    /// `NO_SESSION`: the session with the destination relay is gone; ask for a new one.
    NoSession,
}

/// Why a proxy could not talk to a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerError<'a> {
    /// `RESPONSE`: the response could not be read.
    Response(ErrorText<'a>),
    /// `UNEXPECTED`: the response was not one to this command.
    Unexpected(ErrorText<'a>),
    /// `TRANSPORT`: the handshake or a block failed.
    Transport(TransportError),
    /// `NETWORK`: the connection failed. The detail is read and never written.
    Network(NetworkError<'a>),
    /// `TIMEOUT`: no answer in time.
    Timeout,
    /// `HOST`: no usable host in the address.
    Host,
    /// `NO_SERVICE`: the relay has no service for these credentials.
    NoService,
}

/// Why a connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkError<'a> {
    /// `CONNECT`: no connection.
    Connect(ErrorText<'a>),
    /// `TLS`: no TLS session.
    Tls(ErrorText<'a>),
    /// `UNKNOWNCA`: the certificate chain is not the one of the address.
    UnknownAuthority,
    /// `FAILED`, or no detail.
    Failed,
    /// `TIMEOUT`: not in time.
    Timeout,
    /// `SUBSCRIBE`: could not subscribe after connecting.
    Subscribe(ErrorText<'a>),
}

/// Why a session could not be set up or went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransportError {
    /// `BLOCK`: malformed block.
    Block,
    /// `VERSION`: no version in common.
    Version,
    /// `LARGE_MSG`: does not fit a block.
    LargeMessage,
    /// `SESSION`: another session identifier than TLS has.
    Session,
    /// `NO_AUTH`: the relay sent no session key.
    NoServerKey,
    /// `HANDSHAKE`: the hellos do not agree.
    Handshake(HandshakeError),
}

/// Why a handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HandshakeError {
    /// `PARSE`: a hello could not be read.
    Parse,
    /// `IDENTITY`: not the expected identity.
    Identity,
    /// `BAD_AUTH`: the session key's signature is wrong.
    BadAuthentication,
    /// `BAD_SERVICE`: the service certificate has another role here.
    BadService,
}

/// Why a queue is blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Blocked {
    /// The operator's reason.
    pub reason: BlockingReason,
    /// What clients shall show, from version 18 on.
    pub notice: Option<Notice>,
}

/// An operator's reason to block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlockingReason {
    /// `spam`
    Spam,
    /// `content`
    Content,
}

/// A notice to the user about a blocked queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Notice {
    /// Seconds to show it; without end when absent.
    pub ttl: Option<i64>,
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

/// A description inside an error: bytes meant to be UTF-8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ErrorText<'a>(pub &'a [u8]);

impl<'a> ErrorText<'a> {
    fn decode_short(reader: &mut Reader<'a>) -> Result<Self, Error> {
        space(reader)?;
        reader.short().map(Self)
    }

    /// Writes a space and a `str`, cut to 255 bytes at the end of a character.
    fn encode_short(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        let mut end = self.0.len().min(255);
        if self.0.len() > 255 {
            while end > 252 && self.0.get(end).is_some_and(|byte| byte & 0xC0 == 0x80) {
                end = end.saturating_sub(1);
            }
        }
        writer.u8(b' ')?;
        writer.short(self.0.get(..end).unwrap_or_default())
    }

    fn encode_rest(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        for chunk in self.0.utf8_chunks() {
            writer.bytes(chunk.valid().as_bytes())?;
            if !chunk.invalid().is_empty() {
                writer.u8(b'?')?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for ErrorText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            f.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                f.write_char('?')?;
            }
        }
        Ok(())
    }
}

/// An error another relay answered with.
#[derive(Clone, Copy)]
pub struct NestedError<'a>(Nested<'a>);

#[derive(Clone, Copy)]
enum Nested<'a> {
    /// A complete error, read once.
    Encoded(&'a [u8]),
    Value(&'a SmpError<'a>),
}

impl<'a> NestedError<'a> {
    /// An error to be passed on.
    #[must_use]
    pub const fn new(error: &'a SmpError<'a>) -> Self {
        Self(Nested::Value(error))
    }

    /// The error.
    #[must_use]
    pub fn get(&self) -> SmpError<'a> {
        match self.0 {
            Nested::Value(error) => *error,
            // The bytes were read once before they were kept, up to the next nesting, and that is all this reads.
            Nested::Encoded(bytes) => SmpError::decode_level(&mut Reader::new(bytes)).unwrap_or(SmpError::Internal),
        }
    }

    /// The innermost error and how many levels of `PROXY PROTOCOL` are around it.
    fn innermost(&self) -> (usize, SmpError<'a>) {
        let mut depth = 0usize;
        let mut error = self.get();
        while let SmpError::Proxy(ProxyError::Protocol(nested)) = error {
            depth = depth.saturating_add(1);
            error = nested.get();
        }
        (depth, error)
    }
}

impl PartialEq for NestedError<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.innermost() == other.innermost()
    }
}

impl Eq for NestedError<'_> {}

impl fmt::Debug for NestedError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (depth, error) = self.innermost();
        write!(f, "NestedError({error:?}, {depth} levels deeper)")
    }
}

fn space(reader: &mut Reader<'_>) -> Result<(), Error> {
    reader.expect(b" ")
}

/// The next word, behind the space that must precede it.
fn next_word<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Error> {
    space(reader)?;
    Ok(reader.until(b' '))
}

const NESTED_PREFIX: &[u8] = b"PROXY PROTOCOL ";

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

impl<'a> ProxyError<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(match next_word(reader)? {
            b"PROTOCOL" => {
                space(reader)?;
                Self::Protocol(NestedError(Nested::Encoded(reader.rest())))
            }
            b"BROKER" => Self::Broker(BrokerError::decode(reader)?),
            b"BASIC_AUTH" => Self::BasicAuth,
            b"NO_SESSION" => Self::NoSession,
            _ => return Err(Error::Invalid),
        })
    }

    fn encode_flat(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        match self {
            // The caller has written every level of nesting already.
            Self::Protocol(_) => Err(Error::Invalid),
            Self::Broker(error) => {
                writer.bytes(b"PROXY BROKER ")?;
                error.encode(writer)
            }
            Self::BasicAuth => writer.bytes(b"PROXY BASIC_AUTH"),
            Self::NoSession => writer.bytes(b"PROXY NO_SESSION"),
        }
    }
}

impl<'a> BrokerError<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(match next_word(reader)? {
            b"RESPONSE" => Self::Response(ErrorText::decode_short(reader)?),
            b"UNEXPECTED" => Self::Unexpected(ErrorText::decode_short(reader)?),
            b"TRANSPORT" => {
                space(reader)?;
                Self::Transport(TransportError::decode(reader)?)
            }
            b"NETWORK" if reader.is_empty() => Self::Network(NetworkError::Failed),
            b"NETWORK" => Self::Network(NetworkError::decode(reader)?),
            b"TIMEOUT" => Self::Timeout,
            b"HOST" => Self::Host,
            b"NO_SERVICE" => Self::NoService,
            _ => return Err(Error::Invalid),
        })
    }

    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        match self {
            Self::Response(text) => {
                writer.bytes(b"RESPONSE")?;
                text.encode_short(writer)
            }
            Self::Unexpected(text) => {
                writer.bytes(b"UNEXPECTED")?;
                text.encode_short(writer)
            }
            Self::Transport(error) => {
                writer.bytes(b"TRANSPORT ")?;
                error.encode(writer)
            }
            Self::Network(_) => writer.bytes(b"NETWORK"),
            Self::Timeout => writer.bytes(b"TIMEOUT"),
            Self::Host => writer.bytes(b"HOST"),
            Self::NoService => writer.bytes(b"NO_SERVICE"),
        }
    }
}

impl<'a> NetworkError<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(match next_word(reader)? {
            b"CONNECT" => Self::Connect(ErrorText::decode_short(reader)?),
            b"TLS" => Self::Tls(ErrorText::decode_short(reader)?),
            b"UNKNOWNCA" => Self::UnknownAuthority,
            b"FAILED" => Self::Failed,
            b"TIMEOUT" => Self::Timeout,
            b"SUBSCRIBE" => Self::Subscribe(ErrorText::decode_short(reader)?),
            _ => return Err(Error::Invalid),
        })
    }
}

impl TransportError {
    /// Reads the words of a transport error and leaves the reader behind them.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(match reader.until(b' ') {
            b"BLOCK" => Self::Block,
            b"VERSION" => Self::Version,
            b"LARGE_MSG" => Self::LargeMessage,
            b"SESSION" => Self::Session,
            b"NO_AUTH" => Self::NoServerKey,
            b"HANDSHAKE" => Self::Handshake(match next_word(reader)? {
                b"PARSE" => HandshakeError::Parse,
                b"IDENTITY" => HandshakeError::Identity,
                b"BAD_AUTH" => HandshakeError::BadAuthentication,
                b"BAD_SERVICE" => HandshakeError::BadService,
                _ => return Err(Error::Invalid),
            }),
            _ => return Err(Error::Invalid),
        })
    }

    /// Writes the words.
    pub fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.bytes(match self {
            Self::Block => b"BLOCK",
            Self::Version => b"VERSION",
            Self::LargeMessage => b"LARGE_MSG",
            Self::Session => b"SESSION",
            Self::NoServerKey => b"NO_AUTH",
            Self::Handshake(HandshakeError::Parse) => b"HANDSHAKE PARSE",
            Self::Handshake(HandshakeError::Identity) => b"HANDSHAKE IDENTITY",
            Self::Handshake(HandshakeError::BadAuthentication) => b"HANDSHAKE BAD_AUTH",
            Self::Handshake(HandshakeError::BadService) => b"HANDSHAKE BAD_SERVICE",
        })
    }
}

impl Blocked {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.expect(b" reason=")?;
        let reason = match reader.until(b',') {
            b"spam" => BlockingReason::Spam,
            b"content" => BlockingReason::Content,
            _ => return Err(Error::Invalid),
        };
        if reader.is_empty() {
            return Ok(Self { reason, notice: None });
        }
        reader.expect(b",notice=")?;
        let mut ttl = None;
        Object::from_json(reader.rest())?.read(|key, value| {
            if key == "ttl" {
                ttl = match value {
                    Value::Null => None,
                    value => Some(value.integer()?),
                };
            }
            Ok(())
        })?;
        Ok(Self { reason, notice: Some(Notice { ttl }) })
    }

    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.bytes(match self.reason {
            BlockingReason::Spam => b"BLOCKED reason=spam",
            BlockingReason::Content => b"BLOCKED reason=content",
        })?;
        match self.notice {
            None => Ok(()),
            Some(Notice { ttl: None }) => writer.bytes(b",notice={}"),
            Some(Notice { ttl: Some(ttl) }) => {
                writer.bytes(b",notice={\"ttl\":")?;
                super::json::write_integer(writer, ttl)?;
                writer.u8(b'}')
            }
        }
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
