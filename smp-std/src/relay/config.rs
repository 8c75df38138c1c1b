//! The relay's configuration: `smp-server.toml`, written with every option explained when a relay is created.

mod control;
mod disk;
mod error;
mod information;
mod limits;
mod metrics;
pub mod names;
mod notifications;
mod proxy;
mod rates;
mod reload;
mod services;
mod stats;
mod template;
mod web;

use std::net::SocketAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};
use smp_proto::address::Host;
use smp_proto::version::{SmpVersion, VersionRange};

pub use control::ControlConfig;
pub use disk::DiskConfig;
pub use error::ConfigError;
pub use information::{HostingType, Information};
pub use limits::Limits;
pub use metrics::MetricsConfig;
pub use names::Names;
pub use notifications::Notifications;
pub use proxy::Proxy;
pub use rates::Rates;
pub use services::Services;
pub use stats::StatsConfig;
pub use template::{Choices, template};
pub use web::Web;

/// The name of the configuration file inside the relay's directory.
pub const FILE_NAME: &str = "smp-server.toml";

/// Everything an operator can set. Fields that a file leaves out have the defaults of the template.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the relay listens and how its address is written.
    pub server: Server,
    /// Who may create queues.
    pub queues: Queues,
    /// How long messages are kept, and how many.
    pub messages: Messages,
    /// Where queues and messages are kept.
    pub store: StoreConfig,
    /// What one peer and all of them together may use.
    pub limits: Limits,
    /// When connections that do nothing are closed.
    pub inactive_clients: InactiveClients,
    /// What waits for notification servers.
    pub notifications: Notifications,
    /// Forwarding for clients that hide from other relays, and for relays that hide them.
    pub proxy: Proxy,
    /// Who runs the relay, for its web page.
    pub information: Information,
    /// Where the web site is served.
    pub web: Web,
    /// How fast clients may be.
    pub rates: Rates,
    /// What must stay free on the disk.
    pub disk: DiskConfig,
    /// How many services are known.
    pub services: Services,
    /// Who resolves names.
    pub names: Names,
    /// What the relay writes down of what it counts.
    pub stats: StatsConfig,
    /// Where a monitoring system finds the relay's numbers.
    pub metrics: MetricsConfig,
    /// What operators do with a relay that runs.
    pub control: ControlConfig,
}

/// Where the relay listens and how its address is written.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Socket addresses to accept connections on.
    pub listen: Vec<SocketAddr>,
    /// Host names of the relay's address, the first is the main one.
    pub hosts: Vec<String>,
    /// Port of the relay's address; that of the first socket when absent.
    pub port: Option<u16>,
    /// The versions offered to clients, all that are known when absent. Not in the file: for tests of how others get along
    /// with older relays.
    #[serde(skip)]
    pub versions: Option<VersionRange<SmpVersion>>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([0u16; 8], DEFAULT_PORT))],
            hosts: vec!["localhost".to_owned()],
            port: None,
            versions: None,
        }
    }
}

/// The port relays listen on unless told otherwise.
pub const DEFAULT_PORT: u16 = 5223;

/// Who may create queues.
#[derive(Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Queues {
    /// Whether new queues can be created at all.
    pub allow_new: bool,
    /// What clients must know to create queues.
    #[serde(skip_serializing)]
    pub password: Option<String>,
    /// Queues in all; beyond it none can be created.
    pub max: Option<u64>,
}

impl Default for Queues {
    fn default() -> Self {
        Self { allow_new: true, password: None, max: None }
    }
}

impl std::fmt::Debug for Queues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let password = self.password.as_ref().map(|_| "Secret(..)");
        f.debug_struct("Queues")
            .field("allow_new", &self.allow_new)
            .field("password", &password)
            .field("max", &self.max)
            .finish()
    }
}

/// How long messages are kept, and how many.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Messages {
    /// Messages one queue holds before its sender is told to wait.
    pub quota: u32,
    /// Messages in all queues together; beyond it senders are told to wait.
    pub max: Option<u64>,
    /// Days after which messages nobody fetched are dropped, of those on which the relay was there; 0 keeps them.
    pub expire_days: u32,
    /// Whether a queue is also looked through whenever a message is sent to it.
    pub expire_on_send: bool,
    /// Seconds between two looks through all queues.
    pub sweep_interval_seconds: u64,
}

impl Default for Messages {
    fn default() -> Self {
        Self { quota: 128, max: None, expire_days: 21, expire_on_send: false, sweep_interval_seconds: 7_200 }
    }
}

/// The kinds of store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// On disk, nothing acknowledged is ever lost.
    #[default]
    Fjall,
    /// In memory only; everything is gone when the relay stops.
    Memory,
}

/// Where queues and messages are kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// The kind of store.
    pub engine: Engine,
    /// Memory for blocks read from disk, in MiB.
    pub cache_mib: u64,
    /// Changes that may wait for the disk at one time, in MiB.
    pub in_flight_mib: u32,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { engine: Engine::Fjall, cache_mib: 32, in_flight_mib: 16 }
    }
}

/// When connections that do nothing are closed.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct InactiveClients {
    /// Whether they are closed at all.
    pub disconnect: bool,
    /// Seconds without a block in either direction, and without a subscription, after which a connection is inactive.
    pub ttl_seconds: u64,
    /// Seconds between two looks at all connections.
    pub check_interval_seconds: u64,
}

impl Default for InactiveClients {
    fn default() -> Self {
        Self { disconnect: true, ttl_seconds: 21_600, check_interval_seconds: 3_600 }
    }
}

impl Config {
    /// Reads and checks `smp-server.toml` in `directory`.
    pub fn load(directory: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(directory.join(FILE_NAME)).map_err(ConfigError::Io)?;
        Self::parse(&text)
    }

    /// Reads and checks a configuration.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            ConfigError::Syntax { line: before.matches('\n').count() + 1, message: error.message().to_owned() }
        })?;
        config.check()?;
        Ok(config)
    }

    /// The configuration as a file of it could be, without its secrets and without explanations. They are left out: the
    /// password for new queues, the resolver's authorization.
    ///
    /// # Errors
    /// Those of the syntax: for a path that is not text.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }

    /// Refuses values that make no sense.
    pub fn check(&self) -> Result<(), ConfigError> {
        let rules = [
            (self.server.listen.is_empty(), "server.listen needs at least one address such as \"[::]:5223\""),
            (self.server.hosts.is_empty(), "server.hosts needs at least one host name"),
            (
                !self.server.hosts.iter().all(|host| valid_host(host)),
                "server.hosts must be host names or IP addresses, without ports",
            ),
            (self.server.port == Some(0), "server.port cannot be 0"),
            (self.messages.quota == 0, "messages.quota must be at least 1"),
            (self.messages.sweep_interval_seconds == 0, "messages.sweep_interval_seconds must be at least 1"),
            (!(1..=256).contains(&self.store.in_flight_mib), "store.in_flight_mib must be 1 to 256"),
            (self.limits.connections == 0, "limits.connections must be at least 1"),
            (self.limits.connections_per_address == 0, "limits.connections_per_address must be at least 1"),
            (self.limits.handshakes == 0, "limits.handshakes must be at least 1"),
            (self.limits.pending_responses == 0, "limits.pending_responses must be at least 1"),
            (
                [
                    self.limits.tls_timeout_seconds,
                    self.limits.handshake_timeout_seconds,
                    self.limits.block_timeout_seconds,
                    self.limits.write_timeout_seconds,
                ]
                .iter()
                .any(|seconds| !(1..=86_400).contains(seconds)),
                "the time-outs of [limits] must be 1 to 86400 seconds",
            ),
            (
                self.inactive_clients.check_interval_seconds == 0,
                "inactive_clients.check_interval_seconds must be at least 1",
            ),
            (
                self.queues.password.as_deref().is_some_and(|password| !valid_password(password)),
                "queues.password must be 1 to 255 printable characters without spaces, '@', ':' and '/'",
            ),
        ];
        let broken = rules.into_iter().find(|(broken, _)| *broken).map(|(_, what)| what);
        match broken
            .or_else(|| self.proxy.check())
            .or_else(|| self.information.check())
            .or_else(|| self.web.check())
            .or_else(|| self.names.check())
            .or_else(|| self.rates.check())
            .or_else(|| self.disk.check())
            .or_else(|| self.stats.check())
            .or_else(|| self.services.check())
            .or_else(|| self.notifications.check())
        {
            Some(what) => Err(ConfigError::Value(what)),
            None => Ok(()),
        }
    }

    /// Queues in all: what the configuration says, or what suits the store.
    #[must_use]
    pub fn max_queues(&self) -> u64 {
        let default = match self.store.engine {
            Engine::Fjall => 2_000_000,
            Engine::Memory => 100_000,
        };
        self.queues.max.unwrap_or(default)
    }

    /// Messages in all: what the configuration says, or what suits the store.
    #[must_use]
    pub fn max_messages(&self) -> u64 {
        let default = match self.store.engine {
            Engine::Fjall => 1_000_000,
            Engine::Memory => 20_000,
        };
        self.messages.max.unwrap_or(default)
    }

    /// The port of the relay's address.
    #[must_use]
    pub fn address_port(&self) -> u16 {
        self.server.port.or_else(|| self.server.listen.first().map(SocketAddr::port)).unwrap_or(DEFAULT_PORT)
    }
}

/// Whether a password can stand in an address (wire reference, section 1.8).
#[must_use]
pub fn valid_password(password: &str) -> bool {
    (1..=255).contains(&password.len())
        && password.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'@' | b':' | b'/'))
}

/// Whether a text can stand as a host in an address: a domain name, an onion name or an IP address.
#[must_use]
pub fn valid_host(host: &str) -> bool {
    Host::parse(host).is_ok()
}

#[cfg(test)]
mod tests;
