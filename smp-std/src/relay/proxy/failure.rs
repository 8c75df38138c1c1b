//! What clients are told when a relay cannot be reached or misbehaves (wire reference, section 12.5).

use std::io;

use smp_crypto::session::SessionError;
use smp_proto::smp::BrokerMessage;
use smp_proto::smp::error::{BrokerError, CommandError, ErrorText, NetworkError, ProxyError, SmpError, TransportError};
use smp_proto::version::SmpVersion;
use smp_proto::wire::{Error, Writer};

use crate::net::NetError;

/// How much of an unexpected response is passed on, in characters.
const UNEXPECTED_LENGTH: usize = 32;

/// Why a command was not forwarded or not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The relay answered with this error, encoded.
    Protocol(Box<[u8]>),
    /// The relay's response could not be read.
    Response(&'static str),
    /// The relay's response belongs to another command; its beginning.
    Unexpected(Box<str>),
    /// No response in time.
    Timeout,
    /// No connection.
    Network,
    /// No host of the address may or can be reached.
    Host,
    /// The handshake failed.
    Transport(TransportError),
    /// What the relay sent is not sealed as it should be.
    Crypto,
    /// This relay failed.
    Internal,
    /// Not the password.
    BasicAuth,
    /// There is no session with this relay, or not any more.
    NoSession,
}

impl Failure {
    /// The relay answered with an error.
    pub(super) fn protocol(error: &SmpError<'_>) -> Self {
        let mut buffer = vec![0; smp_proto::transport::BLOCK_LENGTH];
        let mut writer = Writer::new(&mut buffer);
        match error.encode(&mut writer, SmpVersion::MAX) {
            Ok(()) => Self::Protocol(Box::from(writer.written())),
            Err(_) => Self::Internal,
        }
    }

    /// The relay's response could not be read.
    pub(super) const fn response(error: CommandError) -> Self {
        Self::Response(match error {
            CommandError::Unknown => "CMD UNKNOWN",
            _ => "CMD SYNTAX",
        })
    }

    /// The relay's response belongs to another command.
    pub(super) fn unexpected(message: &[u8]) -> Self {
        let printable = |byte: &u8| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '?' };
        Self::Unexpected(message.iter().take(UNEXPECTED_LENGTH).map(printable).collect())
    }

    /// Whether the relay could not be reached, and may be another time.
    pub(crate) const fn is_connection(&self) -> bool {
        matches!(self, Self::Timeout | Self::Network | Self::Internal)
    }

    /// Whether the relay is of another kind.
    pub(crate) const fn is_version(&self) -> bool {
        matches!(self, Self::Transport(TransportError::Version | TransportError::NoServerKey))
    }

    /// Writes the error of the response.
    pub(crate) fn encode(&self, writer: &mut Writer<'_>, version: SmpVersion) -> Result<(), Error> {
        let broker = |error| SmpError::Proxy(ProxyError::Broker(error));
        let error = match self {
            Self::Protocol(error) => {
                writer.bytes(b"ERR PROXY PROTOCOL ")?;
                return writer.bytes(error);
            }
            Self::Response(text) => broker(BrokerError::Response(ErrorText(text.as_bytes()))),
            Self::Unexpected(text) => broker(BrokerError::Unexpected(ErrorText(text.as_bytes()))),
            Self::Timeout => broker(BrokerError::Timeout),
            Self::Network => broker(BrokerError::Network(NetworkError::Failed)),
            Self::Host => broker(BrokerError::Host),
            Self::Transport(error) => broker(BrokerError::Transport(*error)),
            Self::Crypto => SmpError::Crypto,
            Self::Internal => SmpError::Internal,
            Self::BasicAuth => SmpError::Proxy(ProxyError::BasicAuth),
            Self::NoSession => SmpError::Proxy(ProxyError::NoSession),
        };
        BrokerMessage::Error(error).encode(writer, version)
    }
}

impl From<NetError> for Failure {
    fn from(error: NetError) -> Self {
        match error {
            NetError::NoUsableHost | NetError::AddressRefused => Self::Host,
            NetError::Io(error) if is_ours(&error) => Self::Internal,
            _ => Self::Network,
        }
    }
}

/// Errors that say nothing about the relay, but that this process or system has no more of something.
fn is_ours(error: &io::Error) -> bool {
    /// Too many open files, in the process and in the system; no buffer space. The same numbers on all systems with them
    /// but the last.
    const EXHAUSTED: [i32; 3] = [24, 23, 105];
    error.kind() == io::ErrorKind::OutOfMemory || error.raw_os_error().is_some_and(|code| EXHAUSTED.contains(&code))
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        Self::Transport(error.to_transport_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smp_crypto::certificate::ChainError;
    use smp_proto::smp::error::{Blocked, BlockingReason, HandshakeError, Notice};

    fn text(failure: &Failure) -> String {
        let mut buffer = [0; 500];
        let mut writer = Writer::new(&mut buffer);
        failure.encode(&mut writer, SmpVersion(8)).unwrap();
        String::from_utf8(writer.written().to_vec()).unwrap()
    }

    /// Every row of the table in section 12.5, and PRXY's own errors.
    #[test]
    fn failures_are_told_as_the_table_says() {
        let blocked = Blocked { reason: BlockingReason::Spam, notice: Some(Notice { ttl: None }) };
        for (failure, expected) in [
            (Failure::protocol(&SmpError::Auth), "ERR PROXY PROTOCOL AUTH"),
            (Failure::protocol(&SmpError::Crypto), "ERR PROXY PROTOCOL CRYPTO"),
            (
                Failure::protocol(&SmpError::Proxy(ProxyError::Broker(BrokerError::Transport(
                    TransportError::NoServerKey,
                )))),
                "ERR PROXY PROTOCOL PROXY BROKER TRANSPORT NO_AUTH",
            ),
            (Failure::protocol(&SmpError::Blocked(blocked)), "ERR PROXY PROTOCOL BLOCKED reason=spam,notice={}"),
            (Failure::response(CommandError::Unknown), "ERR PROXY BROKER RESPONSE \x0bCMD UNKNOWN"),
            (Failure::response(CommandError::Syntax), "ERR PROXY BROKER RESPONSE \x0aCMD SYNTAX"),
            (Failure::Response("BLOCK"), "ERR PROXY BROKER RESPONSE \x05BLOCK"),
            (Failure::unexpected(b"PONG"), "ERR PROXY BROKER UNEXPECTED \x04PONG"),
            (
                Failure::unexpected("INFO {\"x\":\"\u{e9} and more than fits in there".as_bytes()),
                "ERR PROXY BROKER UNEXPECTED \x20INFO {\"x\":\"?? and more than fits",
            ),
            (Failure::Timeout, "ERR PROXY BROKER TIMEOUT"),
            (NetError::TimedOut.into(), "ERR PROXY BROKER NETWORK"),
            (NetError::Closed.into(), "ERR PROXY BROKER NETWORK"),
            (NetError::ServerIdentity.into(), "ERR PROXY BROKER NETWORK"),
            (NetError::ServerCertificate(ChainError::Expired).into(), "ERR PROXY BROKER NETWORK"),
            (NetError::from(io::Error::from(io::ErrorKind::ConnectionRefused)).into(), "ERR PROXY BROKER NETWORK"),
            (NetError::Io(io::Error::from_raw_os_error(24)).into(), "ERR INTERNAL"),
            (NetError::NoUsableHost.into(), "ERR PROXY BROKER HOST"),
            (NetError::AddressRefused.into(), "ERR PROXY BROKER HOST"),
            (SessionError::Version.into(), "ERR PROXY BROKER TRANSPORT VERSION"),
            (SessionError::Session.into(), "ERR PROXY BROKER TRANSPORT SESSION"),
            (SessionError::Parse(Error::Invalid).into(), "ERR PROXY BROKER TRANSPORT HANDSHAKE PARSE"),
            (SessionError::BadAuthentication.into(), "ERR PROXY BROKER TRANSPORT HANDSHAKE BAD_AUTH"),
            (
                Failure::Transport(TransportError::Handshake(HandshakeError::Identity)),
                "ERR PROXY BROKER TRANSPORT HANDSHAKE IDENTITY",
            ),
            (Failure::Transport(TransportError::NoServerKey), "ERR PROXY BROKER TRANSPORT NO_AUTH"),
            (Failure::Transport(TransportError::LargeMessage), "ERR PROXY BROKER TRANSPORT LARGE_MSG"),
            (Failure::Crypto, "ERR CRYPTO"),
            (Failure::Internal, "ERR INTERNAL"),
            (Failure::BasicAuth, "ERR PROXY BASIC_AUTH"),
            (Failure::NoSession, "ERR PROXY NO_SESSION"),
        ] {
            assert_eq!(text(&failure), expected);
        }
    }
}
