//! Whether a command goes to a relay directly or through a proxy (wire reference of the agent, section 23).
//!
//! Four commands can go through a proxy: SEND, SKEY, LKEY and LGET. The relay then does not see the sender's IP address.
//!
//! ```
//! use smp_agent::policy::host::Network;
//! use smp_agent::policy::routing::{Failure, Next, Routing, Way};
//! use smp_agent::policy::server::{ConfiguredServer, Server, ServerList};
//!
//! let own = ConfiguredServer::parse("smp://-pd7JvjLnNPNfqES2AdWWndE8JoS9gdcvKu0Ba-P2DY=@smp.example.com")?;
//! let peer = Server::parse("smp://AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=@relay.example.net")?;
//! let (routing, network) = (Routing::default(), Network::default());
//!
//! let known = ServerList::from(vec![own.clone()]);
//! assert_eq!(routing.way(&own.server.address(), &known, &network), Way::Direct);
//! assert_eq!(routing.way(&peer.address(), &known, &network), Way::Proxy);
//! // Rather not at all than with the own address in sight.
//! assert_eq!(routing.after(Failure::Host, false, &peer.address(), &network), Next::Fail);
//! # Ok::<(), smp_proto::wire::Error>(())
//! ```

use serde::{Deserialize, Serialize};
use smp_proto::address::ServerAddress;
use smp_proto::smp::error::{BrokerError, ProxyError, SmpError, TransportError};

use super::host::Network;
use super::server::ServerList;

/// When to use a proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ProxyMode {
    /// For every relay.
    Always,
    /// For relays that share no host with a server of the user's: these see the user's address anyway.
    #[default]
    Unknown,
    /// For the same, unless the IP address is protected ([`Network::protects`]).
    Unprotected,
    /// For none.
    Never,
}

/// Whether to send directly where it is impossible through a proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Fallback {
    /// Yes: the relay may learn the IP address.
    Yes,
    /// Only when the IP address is protected ([`Network::protects`]).
    #[default]
    Protected,
    /// Never.
    No,
}

/// When to use a proxy, and what to do when that fails.
///
/// The default is that of the deployed applications: a proxy for unknown relays, and a direct connection instead only where
/// the IP address is protected. (The library under them never uses a proxy unless told to, and falls back always.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Routing {
    /// When to use a proxy.
    pub mode: ProxyMode,
    /// Whether to send directly where it is impossible through a proxy.
    pub fallback: Fallback,
}

/// How a command goes to its relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// Over a connection to the relay.
    Direct,
    /// Through a proxy: see [`choice`](super::choice), with the relay as the server that is used.
    Proxy,
}

/// Why a command did not get to its relay through a proxy. An error that the relay itself gave, in what the proxy brought
/// back, is none of these: it means what it means from the relay directly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// The proxy has no session with the relay any more; it did not forward the command.
    NoSession,
    /// There is no way by nature: no usable host, or no version in common, in the address of the proxy, or in that of the
    /// relay as the proxy says; or there is no proxy.
    Host,
    /// Everything else: no answer in time, no network, a wrong password, a wrong certificate.
    Other,
}

impl From<&SmpError<'_>> for Failure {
    /// What an error of the proxy itself means.
    fn from(error: &SmpError<'_>) -> Self {
        match error {
            SmpError::Proxy(ProxyError::NoSession) => Self::NoSession,
            SmpError::Proxy(ProxyError::Broker(error)) => Self::from(error),
            _ => Self::Other,
        }
    }
}

impl From<&BrokerError<'_>> for Failure {
    /// What keeps a proxy from the relay, or the agent from the proxy.
    fn from(error: &BrokerError<'_>) -> Self {
        match error {
            BrokerError::Host | BrokerError::Transport(TransportError::Version) => Self::Host,
            _ => Self::Other,
        }
    }
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Next {
    /// Ask the same proxy for another session with the relay, and send the command once more.
    SameProxy,
    /// Send directly.
    Direct,
    /// Give up for now. Whether to try again later is another question: see [`back_off`](super::back_off).
    Fail,
}

impl Routing {
    /// How a command that can go through a proxy goes to a relay. `known` are all servers of the user.
    #[must_use]
    pub fn way(&self, relay: &ServerAddress<'_>, known: &ServerList, network: &Network) -> Way {
        let proxy = match self.mode {
            ProxyMode::Always => true,
            ProxyMode::Unknown => !known.knows(relay),
            ProxyMode::Unprotected => !network.protects(relay) && !known.knows(relay),
            ProxyMode::Never => false,
        };
        if proxy { Way::Proxy } else { Way::Direct }
    }

    /// What to do after a command failed to get to its relay through a proxy. `repeated` says that it was sent once more
    /// already, after [`Next::SameProxy`].
    #[must_use]
    pub fn after(&self, failure: Failure, repeated: bool, relay: &ServerAddress<'_>, network: &Network) -> Next {
        match failure {
            Failure::NoSession if !repeated => Next::SameProxy,
            Failure::Host if self.permits_direct(relay, network) => Next::Direct,
            _ => Next::Fail,
        }
    }

    /// Whether a relay may be sent to directly where it is impossible through a proxy.
    #[must_use]
    pub fn permits_direct(&self, relay: &ServerAddress<'_>, network: &Network) -> bool {
        match self.fallback {
            Fallback::Yes => true,
            Fallback::Protected => network.protects(relay),
            Fallback::No => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::host::{HostMode, SocksMode};
    use crate::policy::server::{ConfiguredServer, Server};
    use alloc::vec::Vec;

    const MODES: [ProxyMode; 4] = [ProxyMode::Always, ProxyMode::Unknown, ProxyMode::Unprotected, ProxyMode::Never];
    const FALLBACKS: [Fallback; 3] = [Fallback::Yes, Fallback::Protected, Fallback::No];

    fn server(hosts: &str) -> Server {
        Server::parse(&alloc::format!("smp://LcJU@{hosts}")).unwrap()
    }

    fn known() -> ServerList {
        let off = ConfiguredServer { enabled: false, ..ConfiguredServer::new(server("off.example"), None) };
        Vec::from([ConfiguredServer::new(server("own.example,own.onion"), None), off]).into()
    }

    fn open() -> Network {
        Network::default()
    }

    fn socks() -> Network {
        Network { socks: Some(SocksMode::Always), ..open() }
    }

    /// The ways in the modes always, unknown, unprotected and never; `true` is through a proxy.
    fn proxied(hosts: &str, network: Network) -> [bool; 4] {
        MODES.map(|mode| {
            let routing = Routing { mode, ..Routing::default() };
            routing.way(&server(hosts).address(), &known(), &network) == Way::Proxy
        })
    }

    #[test]
    fn each_mode() {
        assert_eq!(proxied("relay.example", open()), [true, true, true, false]);
        assert_eq!(proxied("own.example", open()), [true, false, false, false]);
        assert_eq!(proxied("relay.example", socks()), [true, true, false, false], "protected");
        assert_eq!(proxied("own.example", socks()), [true, false, false, false]);
    }

    #[test]
    fn one_known_host_is_enough_and_the_server_need_not_be_enabled() {
        for hosts in ["relay.example,own.onion", "own.example:443", "off.example"] {
            assert_eq!(proxied(hosts, open()), [true, false, false, false], "{hosts}");
        }
        let nobody = ServerList::default();
        assert_eq!(Routing::default().way(&server("own.example").address(), &nobody, &open()), Way::Proxy);
    }

    #[test]
    fn an_onion_name_protects_where_only_such_are_wanted() {
        let onion = Network { host_mode: HostMode::Onion, ..open() };
        assert_eq!(proxied("relay.example,relay.onion", onion), [true, true, false, false]);
        assert_eq!(proxied("relay.example", onion), [true, true, true, false]);
        assert_eq!(proxied("relay.onion", open()), [true, true, true, false]);
    }

    #[test]
    fn a_socks_proxy_for_onion_names_protects_nothing_else() {
        let onion = Network { socks: Some(SocksMode::Onion), ..open() };
        assert_eq!(proxied("relay.example", onion), [true, true, true, false]);
        assert_eq!(proxied("relay.example,relay.onion", onion), [true, true, false, false]);
    }

    #[test]
    fn each_fallback_for_each_failure() {
        let relay = server("relay.example");
        for network in [open(), socks()] {
            for fallback in FALLBACKS {
                let routing = Routing { fallback, ..Routing::default() };
                let after = |failure, repeated| routing.after(failure, repeated, &relay.address(), &network);
                let allowed = match fallback {
                    Fallback::Yes => true,
                    Fallback::Protected => network.socks.is_some(),
                    Fallback::No => false,
                };
                for repeated in [false, true] {
                    let expected = if allowed { Next::Direct } else { Next::Fail };
                    assert_eq!(after(Failure::Host, repeated), expected, "{routing:?}");
                    assert_eq!(after(Failure::Other, repeated), Next::Fail, "a network that fails changes nothing");
                }
                assert_eq!(after(Failure::NoSession, false), Next::SameProxy);
                assert_eq!(after(Failure::NoSession, true), Next::Fail);
            }
        }
    }

    #[test]
    fn errors_of_the_proxy_have_their_class() {
        use smp_proto::smp::error::NetworkError;
        use smp_proto::wire::Reader;

        let class = |text: &[u8]| Failure::from(&SmpError::decode(&mut Reader::new(text)).unwrap());
        assert_eq!(class(b"PROXY NO_SESSION"), Failure::NoSession);
        assert_eq!(class(b"PROXY BROKER HOST"), Failure::Host);
        assert_eq!(class(b"PROXY BROKER TRANSPORT VERSION"), Failure::Host);
        for other in [
            &b"PROXY BROKER TIMEOUT"[..],
            b"PROXY BROKER NETWORK",
            b"PROXY BROKER TRANSPORT BLOCK",
            b"PROXY BASIC_AUTH",
            b"PROXY PROTOCOL AUTH",
            b"AUTH",
            b"INTERNAL",
        ] {
            assert_eq!(class(other), Failure::Other, "{}", other.escape_ascii());
        }
        assert_eq!(Failure::from(&BrokerError::Host), Failure::Host);
        assert_eq!(Failure::from(&BrokerError::Network(NetworkError::UnknownAuthority)), Failure::Other);
    }
}
