//! Connecting to servers by their addresses: which of the hosts, directly or through a SOCKS5 proxy, and where not to.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use smp_crypto::hash::sha256;
use smp_proto::address::{Host, ServerAddress};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use super::resolve::resolve;
use super::socks::{self, Destination, Login};
use super::tcp::connect_to_any;
use super::{NetError, reach};

/// Which hosts of an address are preferred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HostMode {
    /// IP addresses and names of the DNS.
    #[default]
    Public,
    /// Onion names.
    Onion,
}

/// What the SOCKS5 proxy is used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SocksMode {
    /// For onion names only.
    #[default]
    Onion,
    /// For every connection. Names are resolved by the proxy, never here.
    Always,
}

/// How to introduce oneself to a SOCKS5 proxy. Clones share the secrets, which are wiped with the last one.
#[derive(Clone, Default)]
pub struct SocksLogin(Kind);

#[derive(Clone, Default)]
enum Kind {
    #[default]
    Anonymous,
    Password(Arc<Login>),
    Isolated(Arc<Zeroizing<[u8; 32]>>),
}

impl SocksLogin {
    /// Without a name.
    #[must_use]
    pub const fn anonymous() -> Self {
        Self(Kind::Anonymous)
    }

    /// With a name and a password of 1 to 255 bytes each (RFC 1929).
    #[must_use]
    pub fn password(user: &[u8], password: &[u8]) -> Self {
        let [user, password] = [user, password].map(|text| Zeroizing::new(text.to_vec()));
        Self(Kind::Password(Arc::new(Login { user, password })))
    }

    /// With a random name and password for each destination, the same as long as this value and its clones live. Tor
    /// leads connections with different names over different circuits, so that two relays cannot find out that they have
    /// the same client.
    #[must_use]
    pub fn isolated() -> Self {
        Self(Kind::Isolated(Arc::new(Zeroizing::new(rand::random()))))
    }

    fn for_destination(&self, host: &str, port: u16) -> Option<Arc<Login>> {
        match &self.0 {
            Kind::Anonymous => None,
            Kind::Password(login) => Some(Arc::clone(login)),
            Kind::Isolated(secret) => {
                let secret: &[u8; 32] = secret;
                let word = |what: u8| {
                    let hash = sha256(&[secret, &[what], &port.to_be_bytes(), host.as_bytes()]);
                    Zeroizing::new(hash.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect())
                };
                Some(Arc::new(Login { user: word(0), password: word(1) }))
            }
        }
    }
}

impl fmt::Debug for SocksLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Anonymous => "SocksLogin(anonymous)",
            Kind::Password(_) => "SocksLogin(password)",
            Kind::Isolated(_) => "SocksLogin(isolated)",
        })
    }
}

/// For which relays port 443 is used, where many networks let nothing else through, if their address names no port (wire
/// reference of the agent, section 21). They are offered `http/1.1` only, so that a connection looks like one to a web
/// site; a relay that does not listen there cannot be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WebPort {
    /// For none.
    #[default]
    Off,
    /// For all.
    All,
    /// For those whose first host is one of these names or below one of them.
    Domains(Vec<String>),
}

impl WebPort {
    /// Whether it is for the relay of an address.
    #[must_use]
    pub fn covers(&self, server: &ServerAddress<'_>) -> bool {
        match (self, server.hosts.iter().next()) {
            _ if !server.port.is_default() => false,
            (Self::Off, _) => false,
            (Self::All, _) => true,
            (Self::Domains(domains), Some(Host::Domain(name))) => domains.iter().any(|domain| is_below(name, domain)),
            (Self::Domains(_), _) => false,
        }
    }
}

/// Whether a name is a domain or below it; a dot in front of the domain means the same.
fn is_below(name: &str, domain: &str) -> bool {
    let domain = domain.strip_prefix('.').unwrap_or(domain);
    let Some(start) = name.len().checked_sub(domain.len()).filter(|_| !domain.is_empty()) else { return false };
    let (Some(rest), Some(end)) = (name.get(..start), name.get(start..)) else { return false };
    end.eq_ignore_ascii_case(domain) && (rest.is_empty() || rest.ends_with('.'))
}

/// How servers may be reached. The default connects directly, wherever an address leads.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NetworkPolicy {
    /// Which hosts of an address are preferred.
    pub host_mode: HostMode,
    /// Whether only hosts of the preferred kind will do. If not, addresses that have none of them are reached at their
    /// other hosts.
    pub required_host_mode: bool,
    /// Where a SOCKS5 proxy listens. Without one, onion names cannot be reached.
    pub socks_proxy: Option<SocketAddr>,
    /// How to introduce oneself to the proxy.
    pub socks_login: SocksLogin,
    /// What the proxy is used for.
    pub socks_mode: SocksMode,
    /// For which relays whose address names no port 443 is used.
    pub web_port: WebPort,
    /// Whether to connect into this machine and the network around it. Those who connect on behalf of strangers must not.
    /// Checked on the address that is then connected to. Of names that a SOCKS5 proxy resolves only those are refused that
    /// are local by their form, such as `localhost`, or another way to write an address: where the others lead, the proxy
    /// has to check.
    pub allow_private_addresses: bool,
}

impl Default for NetworkPolicy {
    fn default() -> Self {
        Self {
            host_mode: HostMode::default(),
            required_host_mode: false,
            socks_proxy: None,
            socks_login: SocksLogin::default(),
            socks_mode: SocksMode::default(),
            web_port: WebPort::default(),
            allow_private_addresses: true,
        }
    }
}

/// One way to a server.
#[derive(Clone, PartialEq, Eq)]
pub struct Route {
    host: RouteHost,
    port: u16,
    /// The SOCKS5 proxy on the way.
    socks: Option<SocketAddr>,
}

#[derive(Clone, PartialEq, Eq)]
enum RouteHost {
    Address(IpAddr),
    Name(String),
}

impl Route {
    /// Whether the way leads through the SOCKS5 proxy.
    #[must_use]
    pub const fn is_through_socks(&self) -> bool {
        self.socks.is_some()
    }
}

/// Does not show where to.
impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_through_socks() { "Route(SOCKS)" } else { "Route(direct)" })
    }
}

impl NetworkPolicy {
    /// The ways to a server that this policy allows, in the order to try them; at least one. `default_port` is for
    /// addresses without a port.
    ///
    /// Hosts of both kinds are never mixed: somebody who makes onion hosts fail must not get a direct connection instead.
    ///
    /// # Errors
    /// [`NetError::NoUsableHost`] if no host of the address may or can be reached, or the port is none.
    pub fn routes(&self, server: &ServerAddress<'_>, default_port: u16) -> Result<Vec<Route>, NetError> {
        let port = server.port.number(default_port).map_err(|_| NetError::NoUsableHost)?;
        let of_kind = |onion: bool| -> Vec<Route> {
            let hosts = server.hosts.iter().filter(|host| matches!(host, Host::Onion(_)) == onion);
            hosts.filter_map(|host| self.route(host, port)).collect()
        };
        let prefer_onion = self.host_mode == HostMode::Onion;
        let mut routes = of_kind(prefer_onion);
        if routes.is_empty() && !self.required_host_mode {
            routes = of_kind(!prefer_onion);
        }
        if routes.is_empty() { Err(NetError::NoUsableHost) } else { Ok(routes) }
    }

    fn route(&self, host: Host<'_>, port: u16) -> Option<Route> {
        let socks = self.socks_proxy.filter(|_| self.socks_mode == SocksMode::Always);
        let route = |host, socks| Some(Route { host, port, socks });
        match host {
            // A host that is an address needs no resolution to be refused.
            Host::Ipv4(address) if self.allows(address.into()) => route(RouteHost::Address(address.into()), socks),
            Host::Ipv6(address) if self.allows(address.into()) => route(RouteHost::Address(address.into()), socks),
            Host::Ipv4(_) | Host::Ipv6(_) => None,
            // What a SOCKS5 proxy resolves cannot be checked afterwards.
            Host::Domain(name) if socks.is_some() && !self.allow_private_addresses && !reach::is_public_name(name) => {
                None
            }
            Host::Domain(name) => route(RouteHost::Name(name.to_owned()), socks),
            Host::Onion(name) => {
                self.socks_proxy.and_then(|proxy| route(RouteHost::Name(name.to_owned()), Some(proxy)))
            }
        }
    }

    fn allows(&self, address: IpAddr) -> bool {
        self.allow_private_addresses || reach::is_public(address)
    }

    /// Connects on one of the [`routes`](Self::routes) within `time_out`, name resolution included. Of several addresses
    /// of a name each may take an equal share of the time that is left.
    ///
    /// # Errors
    /// [`NetError::AddressRefused`] if the name leads only to addresses that are not allowed, [`NetError::Socks`] if the
    /// SOCKS5 proxy did not connect, [`NetError::TimedOut`], or [`NetError::Io`].
    pub async fn connect(&self, route: &Route, time_out: Duration) -> Result<TcpStream, NetError> {
        let begun = Instant::now();
        let deadline = begun.checked_add(time_out).unwrap_or(begun);
        timeout_at(deadline, self.connect_before(route, deadline)).await.map_err(|_| NetError::TimedOut)?
    }

    async fn connect_before(&self, route: &Route, deadline: Instant) -> Result<TcpStream, NetError> {
        let Some(proxy) = route.socks else {
            let addresses: Vec<SocketAddr> = match &route.host {
                RouteHost::Address(address) => vec![(*address, route.port).into()],
                RouteHost::Name(name) => resolve(name, route.port).await?,
            };
            let found = addresses.len();
            let allowed: Vec<_> = addresses.into_iter().filter(|address| self.allows(address.ip())).collect();
            if allowed.is_empty() && found > 0 {
                return Err(NetError::AddressRefused);
            }
            return connect_to_any(&allowed, deadline).await;
        };
        let mut stream = connect_to_any(&[proxy], deadline).await?;
        let (host, destination) = match &route.host {
            RouteHost::Address(address) => (address.to_string(), Destination::Address(*address)),
            RouteHost::Name(name) => (name.clone(), Destination::Name(name)),
        };
        let login = self.socks_login.for_destination(&host, route.port);
        socks::connect(&mut stream, destination, route.port, login.as_deref()).await?;
        Ok(stream)
    }
}

#[cfg(test)]
mod tests;
