//! What goes wrong at relays and proxies, in the words of the agent (wire reference of the agent, sections 23 and 25).
//!
//! Of a relay that is asked directly ([`Reporter::Relay`]):
//!
//! | What happened | Reason |
//! |---|---|
//! | no host that can be reached from here | [`Reason::Host`] |
//! | the connection could not be made, broke, was closed, or answered no pings | [`Reason::Network`] |
//! | no answer in time | [`Reason::Timeout`] |
//! | another identity, an address without one, a hello of another session | [`Reason::Identity`] |
//! | no version in common, or one without the command | [`Reason::Version`] |
//! | bytes that cannot be read, another answer than one to the command | [`Reason::Unexpected`] |
//! | the command cannot be made from what was given | [`Reason::Refused`] |
//! | `AUTH` | [`Reason::NotAuthorized`] |
//! | `QUOTA` | [`Reason::Quota`] |
//! | `LARGE_MSG`, a message or link data above the limit | [`Reason::TooLarge`] |
//! | `NO_MSG` | [`Reason::NoMessage`] |
//! | `BLOCKED` | [`Reason::Blocked`] |
//! | `INTERNAL`, `STORE`, `BLOCK` | [`Reason::Unavailable`] |
//! | every other error of the protocol | [`Reason::Refused`] |
//!
//! Through a proxy, what the relay answered to the command is the same. The rest is the proxy's ([`Reporter::Proxy`]), with
//! the same reasons, and in addition `PROXY BASIC_AUTH`: [`Reason::NotAuthorized`]; `PROXY NO_SESSION`:
//! [`Reason::NoSession`]; `CRYPTO` and answers that were not made by the relay: [`Reason::Unavailable`] and
//! [`Reason::Unexpected`]. Except what the proxy says of its connection to the relay ([`Reporter::ProxyAboutRelay`]):
//!
//! | What the proxy says | Reason |
//! |---|---|
//! | `PROXY BROKER HOST` | [`Reason::Host`] |
//! | `PROXY BROKER TRANSPORT VERSION`, or versions of the relay that cannot be forwarded | [`Reason::Version`] |
//! | `PROXY BROKER NETWORK` | [`Reason::Network`] |
//! | `PROXY BROKER TIMEOUT` | [`Reason::Timeout`] |
//! | a wrong identity; or its proof of the relay's identity is none | [`Reason::Identity`] |
//! | `PROXY BROKER RESPONSE`, `UNEXPECTED` | [`Reason::Unexpected`] |
//! | `PROXY BROKER TRANSPORT BLOCK`, `SESSION`; `PROXY PROTOCOL CRYPTO` | [`Reason::Unavailable`] |
//! | every other error of the transport | [`Reason::Refused`] |
//! | another `PROXY PROTOCOL` error | as that error of a relay |

use smp_agent::request::{Blocked, BlockingReason, Failure, Notice, Reason, Reporter};
use smp_proto::smp::SmpError;
use smp_proto::smp::error::{self, TransportError};

use crate::client::{ClientError, HandshakeFailure, ProxyFailure};

/// A failure at a relay that is asked directly, or of the connection to it.
pub(super) fn of_relay(error: &ClientError) -> Failure {
    Failure { by: Reporter::Relay, reason: reason(error) }
}

/// A failure of what was sent through a proxy, or of asking the proxy for the way.
pub(super) fn through_proxy(error: &ClientError) -> Failure {
    let by = match error {
        ClientError::Proxy(failure) => return of_proxy(failure),
        // What the relay answered, or what cannot be said to a relay of this version at all.
        ClientError::Relay(_)
        | ClientError::NotAtThisVersion(_)
        | ClientError::TooLarge(_)
        | ClientError::UnusableLink
        | ClientError::NoFingerprint => Reporter::Relay,
        // The proxy's proof does not hold: it lies, or somebody is between it and the relay.
        ClientError::Identity => Reporter::ProxyAboutRelay,
        _ => Reporter::Proxy,
    };
    Failure { by, reason: reason(error) }
}

/// What the proxy says, and what is wrong with the proxy.
fn of_proxy(failure: &ProxyFailure) -> Failure {
    let (by, reason) = match failure {
        ProxyFailure::Connection(error) => (Reporter::Proxy, reason(error)),
        ProxyFailure::TooOld => (Reporter::Proxy, Reason::Version),
        ProxyFailure::Password => (Reporter::Proxy, Reason::NotAuthorized),
        ProxyFailure::Refused(error) => (Reporter::Proxy, of_forwarding(&error.get())),
        ProxyFailure::NoSession => (Reporter::Proxy, Reason::NoSession),
        ProxyFailure::Forged => (Reporter::Proxy, Reason::Unexpected),
        ProxyFailure::Network => (Reporter::ProxyAboutRelay, Reason::Network),
        ProxyFailure::TimedOut => (Reporter::ProxyAboutRelay, Reason::Timeout),
        ProxyFailure::NoUsableHost => (Reporter::ProxyAboutRelay, Reason::Host),
        ProxyFailure::NoCommonVersion => (Reporter::ProxyAboutRelay, Reason::Version),
        ProxyFailure::WrongRelay => (Reporter::ProxyAboutRelay, Reason::Identity),
        ProxyFailure::Garbled => (Reporter::ProxyAboutRelay, Reason::Unexpected),
        ProxyFailure::Transport(TransportError::Block | TransportError::Session) => {
            (Reporter::ProxyAboutRelay, Reason::Unavailable)
        }
        ProxyFailure::Transport(_) => (Reporter::ProxyAboutRelay, Reason::Refused),
        ProxyFailure::Forwarding(error) => (Reporter::ProxyAboutRelay, of_forwarding(&error.get())),
    };
    Failure { by, reason }
}

fn reason(error: &ClientError) -> Reason {
    match error {
        ClientError::NoUsableHost => Reason::Host,
        ClientError::Network(_) | ClientError::Tls(_) | ClientError::Unresponsive | ClientError::Closed => {
            Reason::Network
        }
        ClientError::Timeout => Reason::Timeout,
        ClientError::Identity | ClientError::NoFingerprint | ClientError::Handshake(HandshakeFailure::Session) => {
            Reason::Identity
        }
        ClientError::Handshake(HandshakeFailure::Version(_)) | ClientError::NotAtThisVersion(_) => Reason::Version,
        ClientError::Handshake(HandshakeFailure::Malformed) | ClientError::Unexpected | ClientError::Malformed => {
            Reason::Unexpected
        }
        ClientError::TooLarge(_) | ClientError::UnusableLink => Reason::TooLarge,
        ClientError::Relay(error) => of_answer(&error.get()),
        ClientError::Proxy(failure) => of_proxy(failure).reason,
        ClientError::UnusableKey | ClientError::NoProxy => Reason::Refused,
    }
}

/// An error that a relay answered a command with.
fn of_answer(error: &SmpError<'_>) -> Reason {
    match error {
        SmpError::Auth => Reason::NotAuthorized,
        SmpError::Quota => Reason::Quota,
        SmpError::LargeMessage => Reason::TooLarge,
        SmpError::NoMessage => Reason::NoMessage,
        SmpError::Blocked(blocked) => Reason::Blocked(of_block(blocked)),
        SmpError::Internal | SmpError::Store(_) | SmpError::Block => Reason::Unavailable,
        _ => Reason::Refused,
    }
}

/// What an operator says of a queue it blocked.
pub(super) fn of_block(blocked: &smp_proto::smp::error::Blocked) -> Blocked {
    Blocked {
        reason: match blocked.reason {
            error::BlockingReason::Spam => BlockingReason::Spam,
            error::BlockingReason::Content => BlockingReason::Content,
        },
        notice: blocked.notice.map(|notice| Notice { ttl: notice.ttl }),
    }
}

/// The same of what was to be forwarded: one side was restarted and has another key.
fn of_forwarding(error: &SmpError<'_>) -> Reason {
    if *error == SmpError::Crypto { Reason::Unavailable } else { of_answer(error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::RelayError;
    use crate::net::NetError;
    use smp_proto::smp::CommandError;
    use smp_proto::version::{SmpVersion, VersionRange};
    use smp_proto::wire::Reader;
    use std::io;
    use std::sync::Arc;

    fn relay(text: &str) -> RelayError {
        RelayError::new(&SmpError::decode(&mut Reader::new(text.as_bytes())).unwrap())
    }

    #[test]
    fn failures_at_a_relay() {
        let io = || Arc::new(NetError::Io(io::Error::from(io::ErrorKind::ConnectionRefused)));
        let answered = |text| ClientError::Relay(relay(text));
        for (error, reason, temporary) in [
            (ClientError::NoUsableHost, Reason::Host, false),
            (ClientError::NoFingerprint, Reason::Identity, false),
            (ClientError::Network(io()), Reason::Network, true),
            (ClientError::Tls(io()), Reason::Network, true),
            (ClientError::Identity, Reason::Identity, false),
            (ClientError::Handshake(HandshakeFailure::Malformed), Reason::Unexpected, true),
            (ClientError::Handshake(HandshakeFailure::Session), Reason::Identity, false),
            (ClientError::Handshake(HandshakeFailure::Version(VersionRange::SMP)), Reason::Version, false),
            (ClientError::Timeout, Reason::Timeout, true),
            (ClientError::Unexpected, Reason::Unexpected, true),
            (ClientError::Malformed, Reason::Unexpected, true),
            (ClientError::NotAtThisVersion(SmpVersion::MIN), Reason::Version, false),
            (ClientError::TooLarge(16_000), Reason::TooLarge, false),
            (ClientError::UnusableKey, Reason::Refused, false),
            (ClientError::UnusableLink, Reason::TooLarge, false),
            (ClientError::NoProxy, Reason::Refused, false),
            (ClientError::Unresponsive, Reason::Network, true),
            (ClientError::Closed, Reason::Network, true),
            (answered("AUTH"), Reason::NotAuthorized, false),
            (answered("QUOTA"), Reason::Quota, false),
            (answered("LARGE_MSG"), Reason::TooLarge, false),
            (answered("NO_MSG"), Reason::NoMessage, false),
            (
                answered("BLOCKED reason=spam"),
                Reason::Blocked(Blocked { reason: BlockingReason::Spam, notice: None }),
                false,
            ),
            (
                answered("BLOCKED reason=content,notice={\"ttl\":60}"),
                Reason::Blocked(Blocked { reason: BlockingReason::Content, notice: Some(Notice { ttl: Some(60) }) }),
                false,
            ),
            (answered("INTERNAL"), Reason::Unavailable, true),
            (answered("STORE disk full"), Reason::Unavailable, true),
            (answered("BLOCK"), Reason::Unavailable, true),
            (answered("SESSION"), Reason::Refused, false),
            (answered("CMD UNKNOWN"), Reason::Refused, false),
            (answered("CMD SYNTAX"), Reason::Refused, false),
            (answered("PROXY NO_SESSION"), Reason::Refused, false),
            (answered("SERVICE"), Reason::Refused, false),
            (answered("CRYPTO"), Reason::Refused, false),
            (answered("EXPIRED"), Reason::Refused, false),
            (answered("DUPLICATE_"), Reason::Refused, false),
            (answered("NAME NOT_FOUND"), Reason::Refused, false),
        ] {
            let failure = of_relay(&error);
            assert_eq!((failure.by, failure.reason), (Reporter::Relay, reason), "{error:?}");
            assert_eq!(failure.is_temporary(), temporary, "{error:?}");
        }
    }

    #[test]
    fn failures_behind_and_at_a_proxy() {
        use Reporter::{Proxy, ProxyAboutRelay, Relay};
        let said = |text| ClientError::Proxy(ProxyFailure::from_answer(&relay(text).get()));
        for (error, by, reason) in [
            (ClientError::Relay(relay("AUTH")), Relay, Reason::NotAuthorized),
            (ClientError::Relay(relay("QUOTA")), Relay, Reason::Quota),
            (ClientError::TooLarge(16_000), Relay, Reason::TooLarge),
            (ClientError::NotAtThisVersion(SmpVersion::MIN), Relay, Reason::Version),
            (ClientError::NoFingerprint, Relay, Reason::Identity),
            (ClientError::Identity, ProxyAboutRelay, Reason::Identity),
            (ClientError::Timeout, Proxy, Reason::Timeout),
            (ClientError::Closed, Proxy, Reason::Network),
            (ClientError::Unresponsive, Proxy, Reason::Network),
            (ClientError::Malformed, Proxy, Reason::Unexpected),
            (ClientError::Unexpected, Proxy, Reason::Unexpected),
            (ClientError::UnusableKey, Proxy, Reason::Refused),
            (ClientError::Proxy(ProxyFailure::Connection(Box::new(ClientError::Timeout))), Proxy, Reason::Timeout),
            (ClientError::Proxy(ProxyFailure::TooOld), Proxy, Reason::Version),
            (ClientError::Proxy(ProxyFailure::Forged), Proxy, Reason::Unexpected),
            (ClientError::Proxy(ProxyFailure::NoCommonVersion), ProxyAboutRelay, Reason::Version),
            (said("AUTH"), Proxy, Reason::NotAuthorized),
            (said("INTERNAL"), Proxy, Reason::Unavailable),
            (said("CRYPTO"), Proxy, Reason::Unavailable),
            (said("CMD UNKNOWN"), Proxy, Reason::Refused),
            (said("PROXY BASIC_AUTH"), Proxy, Reason::NotAuthorized),
            (said("PROXY NO_SESSION"), Proxy, Reason::NoSession),
            (said("PROXY PROTOCOL CRYPTO"), ProxyAboutRelay, Reason::Unavailable),
            (said("PROXY PROTOCOL AUTH"), ProxyAboutRelay, Reason::NotAuthorized),
            (said("PROXY PROTOCOL BLOCK"), ProxyAboutRelay, Reason::Unavailable),
            (said("PROXY PROTOCOL CMD SYNTAX"), ProxyAboutRelay, Reason::Refused),
            (said("PROXY BROKER RESPONSE \x05BLOCK"), ProxyAboutRelay, Reason::Unexpected),
            (said("PROXY BROKER UNEXPECTED \x04PONG"), ProxyAboutRelay, Reason::Unexpected),
            (said("PROXY BROKER TIMEOUT"), ProxyAboutRelay, Reason::Timeout),
            (said("PROXY BROKER NETWORK"), ProxyAboutRelay, Reason::Network),
            (said("PROXY BROKER HOST"), ProxyAboutRelay, Reason::Host),
            (said("PROXY BROKER TRANSPORT VERSION"), ProxyAboutRelay, Reason::Version),
            (said("PROXY BROKER TRANSPORT BLOCK"), ProxyAboutRelay, Reason::Unavailable),
            (said("PROXY BROKER TRANSPORT SESSION"), ProxyAboutRelay, Reason::Unavailable),
            (said("PROXY BROKER TRANSPORT NO_AUTH"), ProxyAboutRelay, Reason::Refused),
            (said("PROXY BROKER TRANSPORT HANDSHAKE IDENTITY"), ProxyAboutRelay, Reason::Identity),
        ] {
            assert_eq!(through_proxy(&error), Failure { by, reason }, "{error:?}");
        }
        let unknown = ClientError::Relay(RelayError::new(&SmpError::Command(CommandError::Unknown)));
        assert_eq!(through_proxy(&unknown).reason, Reason::Refused);
    }
}
