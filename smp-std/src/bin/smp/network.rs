//! Arguments about the way to relays.

use std::net::SocketAddr;

use clap::{Args, ValueEnum};
use smp_proto::address::{ServerAddress, ServerUri};
use smp_std::client::{ClientError, Options, ProxyMode, Route, Router, RoutingPolicy};
use smp_std::net::{HostMode, SocksLogin, SocksMode};

/// How to reach relays and proxies.
#[derive(Clone, Debug, Default, PartialEq, Args)]
pub(crate) struct Network {
    /// Connect through the SOCKS5 proxy at this IP address and port, such as 127.0.0.1:9050 for Tor. Names of hosts are
    /// resolved by it, never here. Needed for onion names.
    #[arg(long, value_name = "ADDRESS:PORT", help_heading = "Network")]
    socks: Option<SocketAddr>,
    /// Give the SOCKS5 proxy a random name and password for each relay, so that Tor uses circuits of their own.
    #[arg(long, requires = "socks", help_heading = "Network")]
    socks_isolate: bool,
    /// Which hosts of an address to connect to. Addresses without a host of this kind are reached at their others.
    #[arg(long, value_name = "MODE", help_heading = "Network")]
    host_mode: Option<Hosts>,
    /// Connect to hosts of the kind of --host-mode only.
    #[arg(long, requires = "host_mode", help_heading = "Network")]
    require_host_mode: bool,
}

/// A kind of hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Hosts {
    /// IP addresses and ordinary names.
    Public,
    /// Onion names.
    Onion,
}

impl Network {
    /// Whether each relay shall have a circuit of its own.
    pub(crate) const fn isolates_relays(&self) -> bool {
        self.socks_isolate
    }

    /// Sets the options.
    pub(crate) fn apply(&self, options: &mut Options) {
        let network = &mut options.network;
        network.socks_proxy = self.socks;
        network.socks_mode = SocksMode::Always;
        network.socks_login = if self.socks_isolate { SocksLogin::isolated() } else { SocksLogin::anonymous() };
        network.host_mode = match self.host_mode {
            Some(Hosts::Onion) => HostMode::Onion,
            Some(Hosts::Public) | None => HostMode::Public,
        };
        network.required_host_mode = self.require_host_mode;
    }
}

/// The proxies to send through.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Via {
    /// Send through this relay as a proxy, so that the queue's relay does not see your address. Can be given several
    /// times: one that works is chosen at random. Nothing is ever sent directly then.
    #[arg(long, value_name = "ADDRESS", value_parser = crate::receive::parse_server)]
    via: Vec<ServerUri>,
}

impl Via {
    pub(crate) fn is_used(&self) -> bool {
        !self.via.is_empty()
    }

    /// The way to a relay: through a proxy if any is named, and then never directly.
    pub(crate) fn route(&self, relay: &ServerAddress<'_>, options: Options) -> Result<Route, ClientError> {
        let mut policy = RoutingPolicy::default();
        policy.mode = if self.is_used() { ProxyMode::Always } else { ProxyMode::Never };
        policy.proxies.clone_from(&self.via);
        policy.direct_fallback = false;
        Router::new(policy, options).route(relay)
    }
}
