//! `[rates]`: how fast clients may be.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::relay::rates::Rate;

/// How fast clients may be. Who is faster waits; nothing is lost by that.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// Commands on one connection in a second, on average; beyond it the connection is read more slowly.
    pub commands_per_second: u32,
    /// Commands on one connection at once.
    pub commands_burst: u32,
    /// New queues from one address (IPv6: one /64 network) in a minute, on average. Loopback is exempt.
    pub queues_per_minute: u32,
    /// New queues from one address at once.
    pub queues_burst: u32,
    /// Seconds a client waits for its new queue before it is refused.
    pub queues_patience_seconds: u64,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            commands_per_second: 2_000,
            commands_burst: 20_000,
            queues_per_minute: 120,
            queues_burst: 2_000,
            queues_patience_seconds: 5,
        }
    }
}

impl Rates {
    /// Commands on one connection.
    pub(crate) fn commands(&self) -> Rate {
        Rate::new(self.commands_per_second, Duration::from_secs(1), self.commands_burst)
    }

    /// New queues from one address.
    pub(crate) fn queues(&self) -> Rate {
        Rate::new(self.queues_per_minute, Duration::from_secs(60), self.queues_burst)
    }

    /// How long a client waits for its new queue before it is refused.
    pub(crate) const fn queues_patience(&self) -> Duration {
        Duration::from_secs(self.queues_patience_seconds)
    }

    /// What is wrong with the options, if anything.
    pub(super) fn check(&self) -> Option<&'static str> {
        let counts = [self.commands_per_second, self.commands_burst, self.queues_per_minute, self.queues_burst];
        if counts.contains(&0) {
            return Some("the options of [rates] must be at least 1");
        }
        (self.queues_patience_seconds > 60).then_some("rates.queues_patience_seconds must be 0 to 60")
    }
}

/// The section of a new configuration file.
pub(super) fn template() -> String {
    let Rates { commands_per_second, commands_burst, queues_per_minute, queues_burst, queues_patience_seconds } =
        Rates::default();
    format!(
        r#"
[rates]
# Commands on one connection in a second, on average, and at once; beyond it the connection is read more slowly. After a
# restart a client may subscribe to thousands of queues at once, and a relay forwards for all its clients on one connection.
commands_per_second = {commands_per_second}
commands_burst = {commands_burst}
# New queues from one address (from one /64 network with IPv6) in a minute, on average, and at once. Loopback, where Tor
# connects from, is exempt.
queues_per_minute = {queues_per_minute}
queues_burst = {queues_burst}
# Seconds a client waits for its new queue before it is refused.
queues_patience_seconds = {queues_patience_seconds}
"#
    )
}
