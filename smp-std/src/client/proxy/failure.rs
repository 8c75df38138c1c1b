//! What can go wrong between a client, its proxy and the relay behind it (wire reference, section 12.5).

use std::fmt;

use smp_proto::smp::SmpError;
use smp_proto::smp::error::{BrokerError, HandshakeError, NetworkError, ProxyError, TransportError};

use crate::client::{ClientError, RelayError};

/// Why a command did not go through a proxy. What the relay itself answers to a command is [`ClientError::Relay`], as if
/// there was no proxy.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ProxyFailure {
    /// No connection to the proxy.
    Connection(Box<ClientError>),
    /// The proxy speaks a version below 8, which does not forward.
    TooOld,
    /// The proxy wants a password, or another one.
    Password,
    /// The proxy refused or failed by itself.
    Refused(RelayError),
    /// The proxy has no session with the relay any more: ask for a new one.
    NoSession,
    /// The proxy cannot connect to the relay, or lost the connection. Proxies say no more when they found that the relay
    /// is not the one its address names.
    Network,
    /// The relay did not answer the proxy in time.
    TimedOut,
    /// No host of the relay's address can be reached from the proxy.
    NoUsableHost,
    /// The relay and the proxy, or the relay and this client, have no version in common that can be forwarded.
    NoCommonVersion,
    /// The proxy found that the relay is not the one its address names. It may not be telling the truth.
    WrongRelay,
    /// The session between proxy and relay could not be set up, or broke, for another reason.
    Transport(TransportError),
    /// The relay refused what the proxy forwarded: not the command, which the proxy cannot see, but the forwarding.
    Forwarding(RelayError),
    /// The proxy could not make sense of what the relay answered.
    Garbled,
    /// What came back was not made by the relay for this command, or cannot be opened: somebody, the proxy perhaps,
    /// changed it. Whether the command was executed is not known.
    Forged,
}

impl ProxyFailure {
    /// Sorts an error the proxy answered with.
    pub(crate) fn from_answer(error: &SmpError<'_>) -> Self {
        match error {
            SmpError::Proxy(ProxyError::BasicAuth) => Self::Password,
            SmpError::Proxy(ProxyError::NoSession) => Self::NoSession,
            SmpError::Proxy(ProxyError::Protocol(nested)) => Self::Forwarding(RelayError::new(&nested.get())),
            SmpError::Proxy(ProxyError::Broker(error)) => match error {
                BrokerError::Response(_) | BrokerError::Unexpected(_) => Self::Garbled,
                BrokerError::Network(NetworkError::UnknownAuthority)
                | BrokerError::Transport(TransportError::Handshake(HandshakeError::Identity)) => Self::WrongRelay,
                BrokerError::Network(NetworkError::Timeout) | BrokerError::Timeout => Self::TimedOut,
                BrokerError::Network(_) => Self::Network,
                BrokerError::Host => Self::NoUsableHost,
                BrokerError::Transport(TransportError::Version) => Self::NoCommonVersion,
                BrokerError::Transport(error) => Self::Transport(*error),
                // Proxies use no service credentials.
                BrokerError::NoService => Self::Garbled,
            },
            other => Self::Refused(RelayError::new(other)),
        }
    }

    /// Whether the same command may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Connection(error) => error.is_temporary(),
            Self::NoSession | Self::Network | Self::TimedOut | Self::Garbled => true,
            Self::Refused(error) => error.is_temporary() || error.get() == SmpError::Crypto,
            // The relay was restarted and has another session key.
            Self::Forwarding(error) => error.is_temporary() || error.get() == SmpError::Crypto,
            // What failed was one session; the next one may be in order.
            Self::Transport(error) => matches!(error, TransportError::Block | TransportError::Session),
            _ => false,
        }
    }

    /// Whether forwarding between this client, this proxy and this relay is impossible by nature: the relay or the proxy
    /// is too old for it, or the proxy cannot reach that kind of host.
    ///
    /// Neither a failing network nor a wrong certificate count: whoever can make a connection fail must not be able to
    /// bring about a direct one instead.
    #[must_use]
    pub const fn is_impossible(&self) -> bool {
        matches!(self, Self::TooOld | Self::NoUsableHost | Self::NoCommonVersion)
    }

    /// Whether the session with the relay is of no more use.
    pub(crate) fn ends_session(&self) -> bool {
        match self {
            Self::NoSession | Self::Network | Self::TimedOut | Self::Transport(_) | Self::Forged => true,
            Self::Forwarding(error) => error.get() == SmpError::Crypto,
            _ => false,
        }
    }

    /// Whether another proxy may do better.
    pub(in crate::client) const fn is_of_the_proxy(&self) -> bool {
        matches!(self, Self::Connection(_) | Self::TooOld | Self::Password | Self::Refused(_))
    }
}

impl fmt::Display for ProxyFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(error) => write!(f, "no connection to the proxy: {error}"),
            Self::TooOld => f.write_str("the proxy is too old to forward"),
            Self::Password => f.write_str("the proxy wants a password in its address, or another one"),
            Self::Refused(error) => write!(f, "the proxy refused: {error}"),
            Self::NoSession => f.write_str("the proxy has no session with the relay any more"),
            Self::Network => f.write_str("the proxy cannot reach the relay, or found another one at its address"),
            Self::TimedOut => f.write_str("the relay did not answer the proxy in time"),
            Self::NoUsableHost => f.write_str("the proxy cannot reach any of the relay's hosts"),
            Self::NoCommonVersion => f.write_str("the relay speaks no version that can be forwarded"),
            Self::WrongRelay => f.write_str(
                "the proxy says that the relay is not the one its address names: check the address; if it is right, \
                 somebody may be intercepting the connection between the two",
            ),
            Self::Transport(_) => f.write_str("the session between the proxy and the relay failed"),
            Self::Forwarding(error) => write!(f, "forwarding: {error}"),
            Self::Garbled => f.write_str("the proxy could not read what the relay answered"),
            Self::Forged => f.write_str("the answer was not made by the relay: the proxy may be hostile"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smp_proto::wire::Reader;

    /// What a client makes of an error, the text behind `ERR`.
    fn sorted(text: &str) -> ProxyFailure {
        ProxyFailure::from_answer(&SmpError::decode(&mut Reader::new(text.as_bytes())).unwrap())
    }

    /// Wire reference, section 12.5, and the forms that only parsers know.
    #[test]
    fn every_error_of_a_proxy_has_its_kind() {
        for (text, kind, temporary, impossible) in [
            ("PROXY BASIC_AUTH", "Password", false, false),
            ("PROXY NO_SESSION", "NoSession", true, false),
            ("PROXY PROTOCOL CRYPTO", "Forwarding(RelayError(CRYPTO))", true, false),
            ("PROXY PROTOCOL BLOCK", "Forwarding(RelayError(BLOCK))", true, false),
            ("PROXY PROTOCOL CMD SYNTAX", "Forwarding(RelayError(CMD SYNTAX))", false, false),
            (
                "PROXY PROTOCOL PROXY BROKER TRANSPORT NO_AUTH",
                "Forwarding(RelayError(PROXY BROKER TRANSPORT NO_AUTH))",
                false,
                false,
            ),
            ("PROXY BROKER RESPONSE \x05BLOCK", "Garbled", true, false),
            ("PROXY BROKER UNEXPECTED \x04PONG", "Garbled", true, false),
            ("PROXY BROKER TIMEOUT", "TimedOut", true, false),
            ("PROXY BROKER NETWORK", "Network", true, false),
            ("PROXY BROKER NETWORK FAILED", "Network", true, false),
            ("PROXY BROKER NETWORK CONNECT \x01x", "Network", true, false),
            ("PROXY BROKER NETWORK TLS \x01x", "Network", true, false),
            ("PROXY BROKER NETWORK TIMEOUT", "TimedOut", true, false),
            ("PROXY BROKER NETWORK UNKNOWNCA", "WrongRelay", false, false),
            ("PROXY BROKER HOST", "NoUsableHost", false, true),
            ("PROXY BROKER NO_SERVICE", "Garbled", true, false),
            ("PROXY BROKER TRANSPORT VERSION", "NoCommonVersion", false, true),
            ("PROXY BROKER TRANSPORT NO_AUTH", "Transport(NoServerKey)", false, false),
            ("PROXY BROKER TRANSPORT BLOCK", "Transport(Block)", true, false),
            ("PROXY BROKER TRANSPORT SESSION", "Transport(Session)", true, false),
            ("PROXY BROKER TRANSPORT HANDSHAKE PARSE", "Transport(Handshake(Parse))", false, false),
            ("PROXY BROKER TRANSPORT HANDSHAKE IDENTITY", "WrongRelay", false, false),
            ("CRYPTO", "Refused(RelayError(CRYPTO))", true, false),
            ("INTERNAL", "Refused(RelayError(INTERNAL))", true, false),
            ("CMD UNKNOWN", "Refused(RelayError(CMD UNKNOWN))", false, false),
            ("AUTH", "Refused(RelayError(AUTH))", false, false),
        ] {
            let failure = sorted(text);
            assert_eq!(format!("{failure:?}"), kind, "{text}");
            assert_eq!(failure.is_temporary(), temporary, "{text}");
            assert_eq!(failure.is_impossible(), impossible, "{text}");
            assert!(!failure.to_string().is_empty());
        }
    }
}
