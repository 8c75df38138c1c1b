use core::fmt;

use super::{ErrorText, SmpError, next_word, space};
use crate::wire::{Error, Reader, Writer};

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
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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

/// What stands in front of a nested error.
pub(super) const NESTED_PREFIX: &[u8] = b"PROXY PROTOCOL ";

impl<'a> ProxyError<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
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

    pub(super) fn encode_flat(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
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

impl fmt::Display for ProxyError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Relays answer in one level; whatever is nested deeper is shown without the levels between.
            Self::Protocol(nested) => write!(f, "the destination relay answered: {}", nested.innermost().1),
            Self::Broker(error) => write!(f, "the proxy cannot reach the destination relay: {error}"),
            Self::BasicAuth => f.write_str("the proxy wants another password"),
            Self::NoSession => f.write_str("the proxy has no such session any more"),
        }
    }
}

impl fmt::Display for BrokerError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Response(text) => write!(f, "unreadable response: {text}"),
            Self::Unexpected(text) => write!(f, "unexpected response: {text}"),
            Self::Transport(error) => error.fmt(f),
            Self::Network(error) => error.fmt(f),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Host => f.write_str("no usable host in its address"),
            Self::NoService => f.write_str("no service for these credentials"),
        }
    }
}

impl fmt::Display for NetworkError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(text) => write!(f, "no connection: {text}"),
            Self::Tls(text) => write!(f, "no TLS session: {text}"),
            Self::UnknownAuthority => f.write_str("its certificates are not those of its address"),
            Self::Failed => f.write_str("the connection failed"),
            Self::Timeout => f.write_str("no connection in time"),
            Self::Subscribe(text) => write!(f, "no subscription: {text}"),
        }
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Block => "malformed block",
            Self::Version => "no version in common",
            Self::LargeMessage => "too large for a block",
            Self::Session => "another session identifier than TLS has",
            Self::NoServerKey => "the relay sent no session key",
            Self::Handshake(HandshakeError::Parse) => "unreadable hello",
            Self::Handshake(HandshakeError::Identity) => "not the expected identity",
            Self::Handshake(HandshakeError::BadAuthentication) => "the signature of the session key is wrong",
            Self::Handshake(HandshakeError::BadService) => "the service certificate has another role",
        })
    }
}

impl core::error::Error for TransportError {}
