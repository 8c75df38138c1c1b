//! `[proxy]`: private routing (wire reference, section 12), as proxy and as destination.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use smp_proto::address::{Host, ServerAddress};

use crate::net::{HostMode, NetworkPolicy, SocksMode};

/// Forwarding for clients that hide from other relays, and for relays that hide them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Proxy {
    /// Whether clients can have commands forwarded. What other relays forward is always carried out.
    pub enabled: bool,
    /// Which hosts of a relay are preferred.
    pub host_mode: HostMode,
    /// Whether hosts of the other kind will not do.
    pub required_host_mode: bool,
    /// Where a SOCKS5 proxy listens.
    pub socks_proxy: Option<SocketAddr>,
    /// What the SOCKS5 proxy is used for.
    pub socks_mode: SocksMode,
    /// Whether clients may have this relay connect into its own machine and network.
    pub allow_private_addresses: bool,
    /// Domains of relays of the same operator, which are counted apart.
    pub own_server_domains: Vec<String>,
    /// Connections to other relays.
    pub connections: usize,
    /// Seconds to connect to a relay: TCP and TLS, then the handshake of SMP.
    pub connect_timeout_seconds: u64,
    /// Seconds to wait for a relay's response.
    pub command_timeout_seconds: u64,
    /// Seconds for which a failed connection is remembered.
    pub failure_memory_seconds: u64,
    /// Seconds of a relay's silence before it is asked whether it is there.
    pub ping_interval_seconds: u64,
    /// Seconds after which a connection that nobody uses is closed.
    pub idle_timeout_seconds: u64,
    /// Forwarded commands that one client may wait for before it is no longer read.
    pub client_in_flight: usize,
    /// Forwarded commands that all clients together may wait for.
    pub in_flight: usize,
    /// Memory for forwarded commands and responses on their way, in MiB.
    pub memory_mib: usize,
    /// Commands one other relay may forward here before it is no longer read.
    pub received_in_flight: usize,
}

impl Default for Proxy {
    fn default() -> Self {
        Self {
            enabled: true,
            host_mode: HostMode::default(),
            required_host_mode: false,
            socks_proxy: None,
            socks_mode: SocksMode::default(),
            allow_private_addresses: false,
            own_server_domains: Vec::new(),
            connections: 1_000,
            connect_timeout_seconds: 45,
            command_timeout_seconds: 30,
            failure_memory_seconds: 30,
            ping_interval_seconds: 600,
            idle_timeout_seconds: 3_600,
            client_in_flight: 32,
            in_flight: 16_384,
            memory_mib: 32,
            received_in_flight: 512,
        }
    }
}

impl Proxy {
    /// Time to connect to a relay.
    #[must_use]
    pub fn connect_timeout(&self) -> Duration {
        Duration::from_secs(self.connect_timeout_seconds)
    }

    /// Time to wait for a relay's response.
    #[must_use]
    pub fn command_timeout(&self) -> Duration {
        Duration::from_secs(self.command_timeout_seconds)
    }

    /// How relays are reached.
    #[must_use]
    pub fn policy(&self) -> NetworkPolicy {
        NetworkPolicy {
            host_mode: self.host_mode,
            required_host_mode: self.required_host_mode,
            socks_proxy: self.socks_proxy,
            socks_mode: self.socks_mode,
            allow_private_addresses: self.allow_private_addresses,
            ..NetworkPolicy::default()
        }
    }

    /// Whether a relay is one of the same operator: its first host is, or is below, one of the configured domains.
    #[must_use]
    pub fn is_own(&self, relay: &ServerAddress<'_>) -> bool {
        let Some(Host::Domain(name) | Host::Onion(name)) = relay.hosts.iter().next() else { return false };
        self.own_server_domains.iter().any(|domain| {
            name.strip_suffix(domain.as_str()).is_some_and(|before| before.is_empty() || before.ends_with('.'))
        })
    }

    /// The first rule that the values break, in words.
    pub(super) fn check(&self) -> Option<&'static str> {
        let seconds = [
            self.connect_timeout_seconds,
            self.command_timeout_seconds,
            self.ping_interval_seconds,
            self.idle_timeout_seconds,
        ];
        let rules = [
            (
                seconds.iter().all(|seconds| (1..=86_400).contains(seconds)) && self.failure_memory_seconds <= 86_400,
                "the times of [proxy] must be 1 to 86400 seconds",
            ),
            (
                ![self.connections, self.client_in_flight, self.in_flight, self.received_in_flight].contains(&0),
                "proxy.connections, client_in_flight, in_flight and received_in_flight must be at least 1",
            ),
            ((1..=4_096).contains(&self.memory_mib), "proxy.memory_mib must be 1 to 4096"),
            (
                !(self.required_host_mode && self.host_mode == HostMode::Onion && self.socks_proxy.is_none()),
                "proxy.host_mode \"onion\" alone needs proxy.socks_proxy",
            ),
            (
                !(self.socks_mode == SocksMode::Always && self.socks_proxy.is_none()),
                "proxy.socks_mode \"always\" needs proxy.socks_proxy",
            ),
            (
                self.own_server_domains.iter().all(|domain| super::valid_host(domain)),
                "proxy.own_server_domains must be names of domains",
            ),
        ];
        rules.into_iter().find(|(kept, _)| !kept).map(|(_, what)| what)
    }
}

/// The section with its defaults, every option explained.
pub(super) fn template() -> String {
    let Proxy {
        enabled,
        required_host_mode,
        allow_private_addresses,
        connections,
        connect_timeout_seconds,
        command_timeout_seconds,
        failure_memory_seconds,
        ping_interval_seconds,
        idle_timeout_seconds,
        client_in_flight,
        in_flight,
        memory_mib,
        received_in_flight,
        ..
    } = Proxy::default();
    format!(
        r#"
[proxy]
# Whether clients can send to other relays through this one, so that those do not learn the clients' addresses. The password
# of [queues] is asked for this, too. What other relays forward to this one is always carried out.
enabled = {enabled}
# Which hosts of a relay are preferred, "public" or "onion", and whether hosts of the other kind will not do.
host_mode = "public"
required_host_mode = {required_host_mode}
# Where a SOCKS5 proxy such as Tor listens, and whether it is used for "onion" hosts only or "always". Without it onion hosts
# cannot be reached.
# socks_proxy = "127.0.0.1:9050"
socks_mode = "onion"
# Whether clients may name relays on this machine or in the network around it. Leave it at false: everybody could look around
# there through this relay.
allow_private_addresses = {allow_private_addresses}
# Domains of relays of your own, which are counted apart. Relays below them count, too.
own_server_domains = []
# Connections to other relays; one serves all clients. When a new one is needed, the one unused for longest is closed.
connections = {connections}
# Seconds to connect to a relay, and to wait for its response.
connect_timeout_seconds = {connect_timeout_seconds}
command_timeout_seconds = {command_timeout_seconds}
# Seconds for which a relay that could not be reached is not tried again.
failure_memory_seconds = {failure_memory_seconds}
# Seconds of a relay's silence before it is asked whether it is there, and after which a connection nobody uses is closed.
ping_interval_seconds = {ping_interval_seconds}
idle_timeout_seconds = {idle_timeout_seconds}
# Forwarded commands that one client may wait for before its next commands have to wait.
client_in_flight = {client_in_flight}
# Forwarded commands that all clients together may wait for, and memory in MiB for those that wait to be passed on. No relay
# can take up more than half of what others leave.
in_flight = {in_flight}
memory_mib = {memory_mib}
# Commands that one other relay may forward to this one before its next ones have to wait.
received_in_flight = {received_in_flight}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use smp_proto::address::ServerUri;

    #[test]
    fn own_relays_are_told_by_their_first_host() {
        let proxy = Proxy { own_server_domains: vec!["example.org".to_owned()], ..Proxy::default() };
        let hash = "-pd7JvjLnNPNfqES2AdWWndE8JoS9gdcvKu0Ba-P2DY=";
        for (hosts, own) in [
            ("example.org", true),
            ("smp.example.org", true),
            ("smp.example.org,other.net", true),
            ("notexample.org", false),
            ("example.org.net", false),
            ("other.net,smp.example.org", false),
            ("192.0.2.1", false),
        ] {
            let uri: ServerUri = format!("smp://{hash}@{hosts}").parse().unwrap();
            assert_eq!(proxy.is_own(&uri.address()), own, "{hosts}");
        }
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (text, word) in [
            ("connect_timeout_seconds = 0", "times"),
            ("client_in_flight = 0", "client_in_flight"),
            ("memory_mib = 0", "memory_mib"),
            ("socks_mode = \"always\"", "socks_proxy"),
            ("host_mode = \"onion\"\nrequired_host_mode = true", "socks_proxy"),
            ("own_server_domains = [\"a b\"]", "own_server_domains"),
        ] {
            let error = Config::parse(&format!("[proxy]\n{text}")).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        let good = "[proxy]\nsocks_proxy = \"127.0.0.1:9050\"\nsocks_mode = \"always\"\nhost_mode = \"onion\"";
        assert_eq!(Config::parse(good).unwrap().proxy.host_mode, HostMode::Onion);
    }
}
