//! `[stats]`: what a relay writes down of what it counts.

use serde::{Deserialize, Serialize};

/// What a relay writes down of what it counts.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct StatsConfig {
    /// Whether the sums of each day are added to a file.
    pub daily_file: bool,
    /// Seconds between two times at which the sums of the running day are saved.
    pub save_interval_seconds: u64,
}

impl Default for StatsConfig {
    fn default() -> Self {
        Self { daily_file: true, save_interval_seconds: 1_800 }
    }
}

impl StatsConfig {
    pub(super) fn check(&self) -> Option<&'static str> {
        (self.save_interval_seconds < 60).then_some("stats.save_interval_seconds must be at least 60")
    }
}

pub(super) fn template() -> String {
    let StatsConfig { daily_file, save_interval_seconds } = StatsConfig::default();
    format!(
        r#"
[stats]
# Whether the sums of each day are added to "smp-server-stats.daily.log" at midnight (UTC), in the columns of the reference
# relay. They name no user, queue or address.
daily_file = {daily_file}
# Seconds between two times at which the sums of the running day are saved to "stats.json". A crash loses those since the
# last time; a stop saves them.
save_interval_seconds = {save_interval_seconds}
"#
    )
}
