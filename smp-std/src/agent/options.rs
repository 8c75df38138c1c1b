//! How an agent runs.

use std::time::Duration;

use smp_agent::Configuration;
use smp_agent::policy::host;

use crate::client::Options;
use crate::net::{HostMode, NetworkPolicy, SocksMode};

/// How an agent behaves, and what it may use.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// How the agent behaves: versions, private routing, what shares a connection, intervals. Its
    /// [`network`](Configuration::network) is not used: [`client`](Self::client) says how relays are reached.
    pub configuration: Configuration,
    /// For connections to relays and proxies: hosts, SOCKS5 proxy, time limits. [`Options::ping_unsubscribed`] is not
    /// used: connections that receive from no queue are not pinged.
    pub client: Options,
    /// Whether a SOCKS5 proxy is told by user names to keep apart what the session mode of the configuration keeps apart,
    /// as Tor does; [`NetworkPolicy::socks_login`](crate::net::NetworkPolicy::socks_login) is not used then. Proxies that
    /// know no names refuse that.
    pub isolate_sessions: bool,
    /// How many connections are made at a time; more wait.
    pub concurrent_connects: usize,
    /// How long a connection that receives from no queue, and a way through a proxy, is kept without being used.
    pub idle_time_out: Duration,
    /// How many requests are under way at a time; more wait in the agent. Each holds a message of 16 KB at most, or the
    /// keys of a batch of subscriptions.
    pub requests_under_way: usize,
    /// How many events wait for the application; more wait in the agent's storage.
    pub events: usize,
    /// How long [`Agent::stop`](super::Agent::stop) waits for answers to what is under way.
    pub stop_time_out: Duration,
}

impl Default for AgentOptions {
    fn default() -> Self {
        Self {
            configuration: Configuration::default(),
            client: Options::default(),
            isolate_sessions: true,
            concurrent_connects: 16,
            idle_time_out: Duration::from_secs(300),
            requests_under_way: 1_024,
            events: 64,
            stop_time_out: Duration::from_secs(5),
        }
    }
}

impl AgentOptions {
    /// What the state machine has to know.
    pub(super) fn configuration(&self) -> Configuration {
        Configuration { network: network(&self.client.network), ..self.configuration.clone() }
    }
}

fn network(policy: &NetworkPolicy) -> host::Network {
    let socks = policy.socks_proxy.map(|_| match policy.socks_mode {
        SocksMode::Onion => host::SocksMode::Onion,
        SocksMode::Always => host::SocksMode::Always,
    });
    let host_mode = match policy.host_mode {
        HostMode::Onion if policy.socks_proxy.is_some() => host::HostMode::Onion,
        // Here nobody reaches onion names without a proxy: what is connected to instead is told the IP address, and must
        // not be taken for protected.
        HostMode::Onion | HostMode::Public => host::HostMode::Public,
    };
    host::Network { socks, host_mode, required_host_mode: policy.required_host_mode }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smp_agent::policy::server::Server;

    #[test]
    fn the_state_machine_learns_how_relays_are_reached() {
        let mut options = AgentOptions::default();
        options.configuration.network.required_host_mode = true;
        assert_eq!(options.configuration().network, network(&NetworkPolicy::default()));
        assert_eq!(options.configuration().network.socks, None);
        options.client.network.socks_mode = SocksMode::Always;
        assert_eq!(options.configuration().network.socks, None, "there is no proxy");
        options.client.network.socks_proxy = Some(([127, 0, 0, 1], 9050).into());
        options.client.network.host_mode = HostMode::Onion;
        options.client.network.required_host_mode = true;
        let expected = host::Network {
            socks: Some(host::SocksMode::Always),
            host_mode: host::HostMode::Onion,
            required_host_mode: true,
        };
        assert_eq!(options.configuration().network, expected);
    }

    /// What decides whether a relay may be asked directly must be what is then connected to.
    #[test]
    fn protected_is_what_is_not_connected_to_directly() {
        const HASH: &str = "smp://LcJUMfVhwD8yxjAiSaDzzGF3-kLG4Uh0Fl_ZIjrRwjI=";
        for hosts in ["a.example,abc.onion", "abc.onion,a.example", "a.example", "abc.onion", "1.2.3.4"] {
            let server = Server::parse(&format!("{HASH}@{hosts}")).unwrap();
            for host_mode in [HostMode::Public, HostMode::Onion] {
                for required_host_mode in [false, true] {
                    for socks in [None, Some(SocksMode::Onion), Some(SocksMode::Always)] {
                        let policy = NetworkPolicy {
                            host_mode,
                            required_host_mode,
                            socks_proxy: socks.map(|_| ([127, 0, 0, 1], 9050).into()),
                            socks_mode: socks.unwrap_or_default(),
                            ..NetworkPolicy::default()
                        };
                        let Ok(routes) = policy.routes(&server.address(), 5223) else { continue };
                        let hidden = routes.iter().all(|route| route.is_through_socks());
                        let protected = network(&policy).protects(&server.address());
                        assert_eq!(protected, hidden, "{hosts} {policy:?}");
                    }
                }
            }
        }
    }
}
