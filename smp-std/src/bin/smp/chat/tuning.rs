//! Arguments about how the agent behaves. The defaults are right for everybody who does not test it.

use clap::{Args, ValueEnum};
use smp_agent::policy::routing::{Fallback, ProxyMode};
use smp_agent::policy::session::SessionMode;
use smp_proto::version::{AgentVersion, ClientVersion, RatchetVersion, SmpVersion, VersionRange};
use smp_std::agent::AgentOptions;

use crate::network::Network;

/// How to reach relays, and which versions to speak.
#[derive(Clone, Debug, Default, PartialEq, Args)]
pub(crate) struct Tuning {
    #[command(flatten)]
    pub(crate) network: Network,
    /// Give the SOCKS5 proxy no name, for one that knows no users, as that of ssh. Otherwise it gets one for whatever has a
    /// connection of its own (--session-mode), and Tor keeps these apart.
    #[arg(long, requires = "socks", conflicts_with = "socks_isolate", help_heading = "Network")]
    pub(crate) socks_no_names: bool,
    /// When to send through a relay of yours that hides your IP address from the other side's relay.
    #[arg(long, value_name = "MODE", help_heading = "Network")]
    pub(crate) proxy_mode: Option<ProxyWord>,
    /// Whether to send directly where it is impossible through a proxy.
    #[arg(long, value_name = "WHEN", help_heading = "Network")]
    pub(crate) fallback: Option<FallbackWord>,
    /// What has a connection to a relay of its own. In entity mode relays cannot see that two conversations have the same
    /// user, unless by the IP address.
    #[arg(long, value_name = "MODE", help_heading = "Network")]
    pub(crate) session_mode: Option<SessionWord>,
    /// Versions of the agent protocol to speak, such as 2-6. For tests with others, as the next three.
    #[arg(long, value_name = "MIN-MAX", value_parser = agent_versions, help_heading = "Versions")]
    pub(crate) agent_versions: Option<VersionRange<AgentVersion>>,
    /// Versions of SMP to speak with relays.
    #[arg(long, value_name = "MIN-MAX", value_parser = smp_versions, help_heading = "Versions")]
    pub(crate) smp_versions: Option<VersionRange<SmpVersion>>,
    /// Versions of the end-to-end encryption.
    #[arg(long, value_name = "MIN-MAX", value_parser = ratchet_versions, help_heading = "Versions")]
    pub(crate) e2e_versions: Option<VersionRange<RatchetVersion>>,
    /// Versions of the envelopes in queues.
    #[arg(long, value_name = "MIN-MAX", value_parser = client_versions, help_heading = "Versions")]
    pub(crate) client_versions: Option<VersionRange<ClientVersion>>,
}

impl Tuning {
    /// Sets the options.
    pub(crate) fn apply(&self, options: &mut AgentOptions) {
        self.network.apply(&mut options.client);
        options.isolate_sessions = !self.socks_no_names;
        options.client.versions = self.smp_versions.unwrap_or(options.client.versions);
        let agent = &mut options.configuration;
        agent.agent_versions = self.agent_versions.unwrap_or(agent.agent_versions);
        agent.ratchet_versions = self.e2e_versions.unwrap_or(agent.ratchet_versions);
        agent.client_versions = self.client_versions.unwrap_or(agent.client_versions);
        agent.routing.mode = self.proxy_mode.map_or(agent.routing.mode, ProxyMode::from);
        agent.routing.fallback = self.fallback.map_or(agent.routing.fallback, Fallback::from);
        let apart = if self.network.isolates_relays() { SessionMode::Server } else { agent.session_mode };
        agent.session_mode = self.session_mode.map_or(apart, SessionMode::from);
    }
}

/// When to use a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProxyWord {
    /// For every relay.
    Always,
    /// For relays that are not yours.
    Unknown,
    /// For relays that are not yours, unless the SOCKS5 proxy protects the IP address.
    Unprotected,
    /// For none.
    Never,
}

impl From<ProxyWord> for ProxyMode {
    fn from(word: ProxyWord) -> Self {
        match word {
            ProxyWord::Always => Self::Always,
            ProxyWord::Unknown => Self::Unknown,
            ProxyWord::Unprotected => Self::Unprotected,
            ProxyWord::Never => Self::Never,
        }
    }
}

/// When to send directly instead of through a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FallbackWord {
    /// Whenever it is impossible through a proxy.
    Yes,
    /// When the SOCKS5 proxy protects the IP address.
    Protected,
    /// Never.
    No,
}

impl From<FallbackWord> for Fallback {
    fn from(word: FallbackWord) -> Self {
        match word {
            FallbackWord::Yes => Self::Yes,
            FallbackWord::Protected => Self::Protected,
            FallbackWord::No => Self::No,
        }
    }
}

/// What shares a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SessionWord {
    /// Everything.
    User,
    /// Everything of one run of the program.
    Session,
    /// Everything of one run of the program, each relay over a circuit of its own.
    Server,
    /// Nothing.
    Entity,
}

impl From<SessionWord> for SessionMode {
    fn from(word: SessionWord) -> Self {
        match word {
            SessionWord::User => Self::User,
            SessionWord::Session => Self::Session,
            SessionWord::Server => Self::Server,
            SessionWord::Entity => Self::Entity,
        }
    }
}

/// The two numbers of `MIN-MAX`, or `ONLY`.
fn numbers(text: &str) -> Option<(u16, u16)> {
    let (min, max) = text.split_once('-').unwrap_or((text, text));
    Some((min.parse().ok()?, max.parse().ok()?))
}

macro_rules! versions {
    ($name:ident, $version:ident, $all:expr) => {
        fn $name(text: &str) -> Result<VersionRange<$version>, String> {
            let all = $all;
            numbers(text)
                .and_then(|(min, max)| VersionRange::new($version(min), $version(max)).ok())
                .filter(|range| all.contains(range.min()) && all.contains(range.max()))
                .ok_or_else(|| format!("these are not among the versions {all}"))
        }
    };
}

versions!(agent_versions, AgentVersion, VersionRange::AGENT);
versions!(smp_versions, SmpVersion, VersionRange::SMP);
versions!(ratchet_versions, RatchetVersion, VersionRange::RATCHET);
versions!(client_versions, ClientVersion, VersionRange::CLIENT);

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        tuning: Tuning,
    }

    #[test]
    fn the_agent_gets_what_was_asked_for() {
        let line = "chat --agent-versions 3-5 --smp-versions 7-9 --e2e-versions 2 --client-versions 1-3 --proxy-mode always \
                    --fallback no --session-mode entity";
        let line: Line = clap::Parser::try_parse_from(line.split_whitespace()).unwrap();
        let mut options = AgentOptions::default();
        line.tuning.apply(&mut options);
        let agent = &options.configuration;
        let texts = [
            agent.agent_versions.to_string(),
            options.client.versions.to_string(),
            agent.ratchet_versions.to_string(),
            agent.client_versions.to_string(),
        ];
        assert_eq!(texts, ["3-5", "7-9", "2", "1-3"]);
        assert_eq!((agent.routing.mode, agent.routing.fallback), (ProxyMode::Always, Fallback::No));
        assert_eq!(agent.session_mode, SessionMode::Entity);
    }

    #[test]
    fn socks_proxies_are_told_names_unless_they_know_none() {
        let options = |line: &str| {
            let line: Line = clap::Parser::try_parse_from(line.split_whitespace()).map_err(|error| error.kind())?;
            let mut options = AgentOptions::default();
            line.tuning.apply(&mut options);
            Ok::<_, clap::error::ErrorKind>((options.isolate_sessions, options.configuration.session_mode))
        };
        assert_eq!(options("chat --socks 127.0.0.1:1"), Ok((true, SessionMode::Session)));
        assert_eq!(options("chat --socks 127.0.0.1:1 --socks-isolate"), Ok((true, SessionMode::Server)));
        let both = "chat --socks 127.0.0.1:1 --socks-isolate --session-mode entity";
        assert_eq!(options(both), Ok((true, SessionMode::Entity)));
        assert_eq!(options("chat --socks 127.0.0.1:1 --socks-no-names"), Ok((false, SessionMode::Session)));
        assert!(options("chat --socks-no-names").is_err());
        assert!(options("chat --socks 127.0.0.1:1 --socks-no-names --socks-isolate").is_err());
    }

    #[test]
    fn versions_are_a_range_of_those_that_are_spoken() {
        let range = |min, max| VersionRange::new(AgentVersion(min), AgentVersion(max)).unwrap();
        assert_eq!(agent_versions("2-6"), Ok(range(2, 6)));
        assert_eq!(agent_versions("5"), Ok(range(5, 5)));
        for wrong in ["", "6-2", "1-6", "2-99", "2-", "-3", "x", "2-6-7"] {
            assert!(agent_versions(wrong).is_err(), "{wrong}");
        }
        assert!(smp_versions("6-20").is_ok() && smp_versions("5").is_err());
        assert!(ratchet_versions("2-3").is_ok() && ratchet_versions("9").is_err());
        assert!(client_versions("1-4").is_ok() && client_versions("0").is_err());
    }
}
