//! What the errors of relays and proxies mean for a device (wire reference, sections 11 and 12.5).

use core::fmt;

/// Why a relay did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Refusal {
    /// There is no such queue, or it belongs to somebody else; relays do not tell which (AUTH).
    NotAuthorized,
    /// The operator has blocked the queue (BLOCKED).
    Blocked,
    /// The queue is full until its recipient has received everything (QUOTA).
    QueueFull,
    /// The message is too long (LARGE_MSG).
    TooLarge,
    /// There is nothing to acknowledge (NO_MSG).
    NoMessage,
    /// The relay failed (STORE, INTERNAL), or uses a key that it should not use any more (EXPIRED).
    Failed,
    /// The relay does not understand what it was sent, or this client what it answered.
    Protocol,
    /// The command did not go through the proxy.
    Proxy(ProxyFailure),
}

/// Why a command did not go through a proxy. What the relay itself answers is told as if there was no proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ProxyFailure {
    /// The proxy speaks a version that does not forward.
    TooOld,
    /// The proxy wants a password, or another one.
    Password,
    /// The relay and the proxy, or the relay and this client, have no version in common that can be forwarded.
    NoCommonVersion,
    /// The proxy cannot reach any of the relay's hosts, by their kind.
    NoUsableHost,
    /// The proxy has no session with the relay any more: another one is asked for.
    NoSession,
    /// The proxy cannot connect to the relay, or lost the connection.
    Network,
    /// The relay did not answer the proxy in time.
    TimedOut,
    /// The proxy says that the relay is not the one its address names. It may not be telling the truth.
    WrongRelay,
    /// What the proxy gives as the relay's session key does not belong to the relay's address: the proxy is hostile, or
    /// somebody is between it and the relay.
    Identity,
    /// The session between proxy and relay failed, or what came out of it made no sense.
    Transport,
    /// The proxy or the relay refused to forward for now.
    Refused,
    /// What came back was not made by the relay for this command. Whether the command was executed is not known.
    Forged,
}

impl Refusal {
    /// Sorts the text of an error, what stands behind `ERR`. It is told by the relay that the command was for; `of_proxy` when
    /// a proxy that was to pass it on tells it. The decoders of all errors there are would be large, and are not used.
    #[must_use]
    pub fn read(error: &[u8], of_proxy: bool) -> Self {
        if of_proxy {
            return Self::Proxy(ProxyFailure::read(error));
        }
        const WORDS: [(&[u8], Refusal); 8] = [
            (b"AUTH", Refusal::NotAuthorized),
            (b"BLOCKED", Refusal::Blocked),
            (b"QUOTA", Refusal::QueueFull),
            (b"LARGE_MSG", Refusal::TooLarge),
            (b"NO_MSG", Refusal::NoMessage),
            (b"STORE", Refusal::Failed),
            (b"INTERNAL", Refusal::Failed),
            (b"EXPIRED", Refusal::Failed),
        ];
        let first = error.split(|byte| *byte == b' ').next().unwrap_or_default();
        WORDS.iter().find(|(word, _)| *word == first).map_or(Self::Protocol, |(_, refusal)| *refusal)
    }

    /// Whether the same command is refused again however often it is sent, until somebody changes something.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::NotAuthorized | Self::Blocked | Self::TooLarge => true,
            Self::Proxy(failure) => failure.is_final(),
            _ => false,
        }
    }
}

impl ProxyFailure {
    /// Sorts the text of an error that a proxy answered with.
    #[must_use]
    pub fn read(error: &[u8]) -> Self {
        // CRYPTO: the relay was restarted and has another key. What begins like none of these was refused.
        const BEGINNINGS: [(&[u8], ProxyFailure); 13] = [
            (b"PROXY BASIC_AUTH", ProxyFailure::Password),
            (b"PROXY NO_SESSION", ProxyFailure::NoSession),
            (b"PROXY PROTOCOL CRYPTO", ProxyFailure::NoSession),
            (b"PROXY BROKER NETWORK UNKNOWNCA", ProxyFailure::WrongRelay),
            (b"PROXY BROKER NETWORK TIMEOUT", ProxyFailure::TimedOut),
            (b"PROXY BROKER NETWORK", ProxyFailure::Network),
            (b"PROXY BROKER TRANSPORT HANDSHAKE IDENTITY", ProxyFailure::WrongRelay),
            (b"PROXY BROKER TRANSPORT VERSION", ProxyFailure::NoCommonVersion),
            (b"PROXY BROKER TRANSPORT", ProxyFailure::Transport),
            (b"PROXY BROKER TIMEOUT", ProxyFailure::TimedOut),
            (b"PROXY BROKER HOST", ProxyFailure::NoUsableHost),
            (b"PROXY BROKER", ProxyFailure::Transport),
            (b"", ProxyFailure::Refused),
        ];
        BEGINNINGS.iter().find(|(words, _)| error.starts_with(words)).map_or(Self::Refused, |(_, failure)| *failure)
    }

    /// Whether forwarding is impossible until somebody changes something.
    ///
    /// Neither a failing network nor a wrong certificate counts: whoever can bring about one of these must not be able to
    /// make a device give up.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::TooOld | Self::Password | Self::NoCommonVersion | Self::NoUsableHost)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAuthorized => "not authorized, or no such queue",
            Self::Blocked => "the operator has blocked the queue",
            Self::QueueFull => "the queue is full until its recipient has received everything",
            Self::TooLarge => "the message is too long",
            Self::NoMessage => "no such message to acknowledge",
            Self::Failed => "the relay failed",
            Self::Protocol => "the relay and this client do not understand each other",
            Self::Proxy(failure) => return failure.fmt(f),
        })
    }
}

impl fmt::Display for ProxyFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooOld => "the proxy is too old to forward",
            Self::Password => "the proxy wants a password, or another one",
            Self::NoCommonVersion => "the relay speaks no version that can be forwarded",
            Self::NoUsableHost => "the proxy cannot reach any of the relay's hosts",
            Self::NoSession => "the proxy has no session with the relay any more",
            Self::Network => "the proxy cannot reach the relay",
            Self::TimedOut => "the relay did not answer the proxy in time",
            Self::WrongRelay => "the proxy says that the relay is not the one its address names",
            Self::Identity => "the relay behind the proxy is not the one its address names",
            Self::Transport => "the session between the proxy and the relay failed",
            Self::Refused => "the proxy or the relay refused to forward",
            Self::Forged => "the answer was not made by the relay: the proxy may be hostile",
        })
    }
}

impl core::error::Error for Refusal {}
impl core::error::Error for ProxyFailure {}

#[cfg(test)]
mod tests {
    use smp_proto::smp::SmpError;
    use smp_proto::smp::error::{BrokerError, HandshakeError, NetworkError, ProxyError, TransportError};
    use smp_proto::wire::Reader;

    use super::*;

    /// What an error means by what it decodes to.
    fn decoded(error: &SmpError<'_>, of_proxy: bool) -> Refusal {
        if of_proxy {
            return Refusal::Proxy(decoded_of_proxy(error));
        }
        match error {
            SmpError::Auth => Refusal::NotAuthorized,
            SmpError::Blocked(_) => Refusal::Blocked,
            SmpError::Quota => Refusal::QueueFull,
            SmpError::LargeMessage => Refusal::TooLarge,
            SmpError::NoMessage => Refusal::NoMessage,
            SmpError::Store(_) | SmpError::Internal | SmpError::Expired => Refusal::Failed,
            _ => Refusal::Protocol,
        }
    }

    fn decoded_of_proxy(error: &SmpError<'_>) -> ProxyFailure {
        let SmpError::Proxy(error) = error else { return ProxyFailure::Refused };
        match error {
            ProxyError::BasicAuth => ProxyFailure::Password,
            ProxyError::NoSession => ProxyFailure::NoSession,
            // CRYPTO: the relay was restarted and has another key.
            ProxyError::Protocol(nested) if nested.get() == SmpError::Crypto => ProxyFailure::NoSession,
            ProxyError::Protocol(_) => ProxyFailure::Refused,
            ProxyError::Broker(error) => match error {
                BrokerError::Network(NetworkError::UnknownAuthority)
                | BrokerError::Transport(TransportError::Handshake(HandshakeError::Identity)) => {
                    ProxyFailure::WrongRelay
                }
                BrokerError::Network(NetworkError::Timeout) | BrokerError::Timeout => ProxyFailure::TimedOut,
                BrokerError::Network(_) => ProxyFailure::Network,
                BrokerError::Host => ProxyFailure::NoUsableHost,
                BrokerError::Transport(TransportError::Version) => ProxyFailure::NoCommonVersion,
                _ => ProxyFailure::Transport,
            },
        }
    }

    fn sort(error: &str, of_proxy: bool) -> Refusal {
        let refusal = decoded(&SmpError::decode(&mut Reader::new(error.as_bytes())).unwrap(), of_proxy);
        assert_eq!(Refusal::read(error.as_bytes(), of_proxy), refusal, "{error}");
        refusal
    }

    #[test]
    fn errors_of_relays_are_sorted() {
        for (error, refusal, is_final) in [
            ("AUTH", Refusal::NotAuthorized, true),
            ("BLOCKED reason=spam", Refusal::Blocked, true),
            ("QUOTA", Refusal::QueueFull, false),
            ("LARGE_MSG", Refusal::TooLarge, true),
            ("NO_MSG", Refusal::NoMessage, false),
            ("INTERNAL", Refusal::Failed, false),
            ("STORE disk full", Refusal::Failed, false),
            ("BLOCKED reason=content,notice={\"ttl\":86400}", Refusal::Blocked, true),
            ("EXPIRED", Refusal::Failed, false),
            ("SESSION", Refusal::Protocol, false),
            ("CMD SYNTAX", Refusal::Protocol, false),
            ("BLOCK", Refusal::Protocol, false),
            ("PROXY NO_SESSION", Refusal::Protocol, false),
        ] {
            assert_eq!(sort(error, false), refusal, "{error}");
            assert_eq!(refusal.is_final(), is_final, "{error}");
        }
    }

    #[test]
    fn errors_of_proxies_are_sorted() {
        for (error, failure, is_final) in [
            ("AUTH", ProxyFailure::Refused, false),
            ("CRYPTO", ProxyFailure::Refused, false),
            ("PROXY BASIC_AUTH", ProxyFailure::Password, true),
            ("PROXY NO_SESSION", ProxyFailure::NoSession, false),
            ("PROXY PROTOCOL CRYPTO", ProxyFailure::NoSession, false),
            ("PROXY PROTOCOL AUTH", ProxyFailure::Refused, false),
            ("PROXY BROKER TIMEOUT", ProxyFailure::TimedOut, false),
            ("PROXY PROTOCOL PROXY PROTOCOL CRYPTO", ProxyFailure::Refused, false),
            ("PROXY PROTOCOL PROXY NO_SESSION", ProxyFailure::Refused, false),
            ("PROXY BROKER NETWORK", ProxyFailure::Network, false),
            ("PROXY BROKER NETWORK TIMEOUT", ProxyFailure::TimedOut, false),
            ("PROXY BROKER NETWORK UNKNOWNCA", ProxyFailure::WrongRelay, false),
            ("PROXY BROKER NETWORK FAILED", ProxyFailure::Network, false),
            ("PROXY BROKER NETWORK TLS \x04text", ProxyFailure::Network, false),
            ("PROXY BROKER NO_SERVICE", ProxyFailure::Transport, false),
            ("PROXY BROKER TRANSPORT HANDSHAKE BAD_AUTH", ProxyFailure::Transport, false),
            ("PROXY BROKER HOST", ProxyFailure::NoUsableHost, true),
            ("PROXY BROKER TRANSPORT VERSION", ProxyFailure::NoCommonVersion, true),
            ("PROXY BROKER TRANSPORT HANDSHAKE IDENTITY", ProxyFailure::WrongRelay, false),
            ("PROXY BROKER TRANSPORT BLOCK", ProxyFailure::Transport, false),
            ("PROXY BROKER RESPONSE \x08nonsense", ProxyFailure::Transport, false),
        ] {
            assert_eq!(sort(error, true), Refusal::Proxy(failure), "{error}");
            assert_eq!(failure.is_final(), is_final, "{error}");
        }
    }
}
