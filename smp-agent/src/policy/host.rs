//! Which host of a server to connect to, and whether through a SOCKS proxy (wire reference of the agent, section 21).

use serde::{Deserialize, Serialize};
use smp_proto::address::{Host, ServerAddress};

/// Which hosts of an address are preferred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HostMode {
    /// Onion names if a SOCKS proxy is configured, others if none is.
    #[default]
    OnionViaSocks,
    /// Onion names. Without a SOCKS proxy, the network itself has to know them.
    Onion,
    /// IP addresses and names of the DNS.
    Public,
}

/// What a SOCKS proxy is used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SocksMode {
    /// For every connection.
    #[default]
    Always,
    /// For onion names only.
    Onion,
}

/// How servers are reached. The default connects directly to hosts that are no onion names, if there are any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Network {
    /// What the SOCKS proxy is used for, if there is one.
    pub socks: Option<SocksMode>,
    /// Which hosts are preferred.
    pub host_mode: HostMode,
    /// Whether no other host will do.
    pub required_host_mode: bool,
}

impl Network {
    /// The host to connect to: the first one that is preferred, or else the first one. `None` if a preferred one is
    /// required and there is none.
    #[must_use]
    pub fn choose_host<'a>(&self, server: &ServerAddress<'a>) -> Option<Host<'a>> {
        let onion = match self.host_mode {
            HostMode::OnionViaSocks => self.socks.is_some(),
            HostMode::Onion => true,
            HostMode::Public => false,
        };
        let preferred = server.hosts.iter().find(|host| is_onion(host) == onion);
        if self.required_host_mode { preferred } else { preferred.or_else(|| server.hosts.iter().next()) }
    }

    /// Whether the SOCKS proxy is used for a host.
    #[must_use]
    pub const fn uses_socks(&self, host: &Host<'_>) -> bool {
        match self.socks {
            None => false,
            Some(SocksMode::Always) => true,
            Some(SocksMode::Onion) => is_onion(host),
        }
    }

    /// Whether a connection to a server keeps the own IP address from it: it goes through the SOCKS proxy, or to an onion
    /// name because only such are wanted.
    ///
    /// The deployed clients take it for protected whenever a SOCKS proxy is configured, even where it is used for onion
    /// names only and the server has none. Here it is not.
    #[must_use]
    pub fn protects(&self, server: &ServerAddress<'_>) -> bool {
        let Some(host) = self.choose_host(server) else { return false };
        self.uses_socks(&host) || (self.host_mode == HostMode::Onion && is_onion(&host))
    }
}

const fn is_onion(host: &Host<'_>) -> bool {
    matches!(host, Host::Onion(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::server::Server;
    use alloc::format;

    const PUBLIC: &str = "smp.example.com";
    const ONION: &str = "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrst.onion";
    const MODES: [HostMode; 3] = [HostMode::OnionViaSocks, HostMode::Onion, HostMode::Public];
    const SOCKS: [Option<SocksMode>; 3] = [None, Some(SocksMode::Always), Some(SocksMode::Onion)];

    fn server(hosts: &[&str]) -> Server {
        Server::parse(&format!("smp://LcJU@{}", hosts.join(","))).unwrap()
    }

    fn chosen(network: Network, hosts: &[&str]) -> Option<alloc::string::String> {
        network.choose_host(&server(hosts).address()).map(|host| format!("{host}"))
    }

    /// What each mode prefers without and with a SOCKS proxy.
    fn preferred(host_mode: HostMode, socks: Option<SocksMode>) -> (&'static str, &'static str) {
        match (host_mode, socks) {
            (HostMode::Public, _) | (HostMode::OnionViaSocks, None) => (PUBLIC, ONION),
            (HostMode::Onion, _) | (HostMode::OnionViaSocks, Some(_)) => (ONION, PUBLIC),
        }
    }

    #[test]
    fn the_preferred_host_or_the_first_one() {
        for host_mode in MODES {
            for socks in SOCKS {
                let network = Network { socks, host_mode, required_host_mode: false };
                let (preferred, other) = preferred(host_mode, socks);
                assert_eq!(chosen(network, &[PUBLIC, ONION]).as_deref(), Some(preferred), "{network:?}");
                assert_eq!(chosen(network, &[ONION, PUBLIC]).as_deref(), Some(preferred), "{network:?}");
                assert_eq!(chosen(network, &[other]).as_deref(), Some(other), "{network:?}");
            }
        }
        assert_eq!(chosen(Network::default(), &[PUBLIC, ONION]).as_deref(), Some(PUBLIC));
        assert_eq!(chosen(Network::default(), &["10.0.0.1", PUBLIC]).as_deref(), Some("10.0.0.1"));
    }

    #[test]
    fn no_host_where_a_preferred_one_is_required() {
        for host_mode in MODES {
            for socks in SOCKS {
                let network = Network { socks, host_mode, required_host_mode: true };
                let (preferred, other) = preferred(host_mode, socks);
                assert_eq!(chosen(network, &[other]), None, "{network:?}");
                assert_eq!(chosen(network, &[preferred]).as_deref(), Some(preferred), "{network:?}");
                assert_eq!(chosen(network, &[preferred, PUBLIC, ONION]).as_deref(), Some(preferred), "{network:?}");
            }
        }
    }

    #[test]
    fn socks_for_every_host_or_for_onion_names() {
        let uses = |socks, host| Network { socks, ..Network::default() }.uses_socks(&Host::parse(host).unwrap());
        assert!(!uses(None, PUBLIC) && !uses(None, ONION));
        assert!(uses(Some(SocksMode::Always), PUBLIC) && uses(Some(SocksMode::Always), ONION));
        assert!(!uses(Some(SocksMode::Onion), PUBLIC) && uses(Some(SocksMode::Onion), ONION));
    }

    #[test]
    fn protected_is_what_goes_through_socks_or_to_wanted_onion_names() {
        for host_mode in MODES {
            for socks in SOCKS {
                let network = Network { socks, host_mode, required_host_mode: false };
                let protects = |hosts: &[&str]| network.protects(&server(hosts).address());
                let always = socks == Some(SocksMode::Always);
                let onion = socks.is_some() || host_mode == HostMode::Onion;
                assert_eq!(protects(&[PUBLIC]), always, "{network:?}");
                assert_eq!(protects(&[ONION]), onion, "{network:?}");
                assert_eq!(
                    protects(&[PUBLIC, ONION]),
                    always || (onion && host_mode != HostMode::Public),
                    "{network:?}"
                );
                let required = Network { required_host_mode: true, ..network };
                let (_, other) = preferred(host_mode, socks);
                assert!(!required.protects(&server(&[other]).address()), "there is no connection");
            }
        }
    }
}
