//! `[notifications]`: what waits for notification servers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Config, Engine};
use crate::relay::store::NotificationLimits;

/// How notifications are delivered, and how long and how many wait (wire reference, section 10.6).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Notifications {
    /// Milliseconds between two deliveries.
    pub interval_milliseconds: u64,
    /// Hours after which notifications nobody fetched are dropped.
    pub expire_hours: u32,
    /// Notifications that wait for one notifier; beyond it the oldest is dropped.
    pub per_notifier: u32,
    /// Notifications that wait in all; beyond it no more are added.
    pub max: Option<u64>,
}

impl Default for Notifications {
    fn default() -> Self {
        Self { interval_milliseconds: 1_500, expire_hours: 24, per_notifier: 256, max: None }
    }
}

impl Notifications {
    /// Time between two deliveries.
    #[must_use]
    pub fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_milliseconds)
    }

    /// The first rule that the values break, in words.
    pub(super) fn check(&self) -> Option<&'static str> {
        let rules = [
            (
                (10..=3_600_000).contains(&self.interval_milliseconds),
                "notifications.interval_milliseconds must be 10 to 3600000",
            ),
            (self.expire_hours > 0, "notifications.expire_hours must be at least 1"),
            ((1..=65_536).contains(&self.per_notifier), "notifications.per_notifier must be 1 to 65536"),
        ];
        rules.into_iter().find(|(kept, _)| !kept).map(|(_, rule)| rule)
    }
}

impl Config {
    /// How many notifications may wait: what the configuration says, or what suits the store.
    #[must_use]
    pub fn notification_limits(&self) -> NotificationLimits {
        let total = match self.store.engine {
            Engine::Fjall => 1_000_000,
            Engine::Memory => 100_000,
        };
        let Notifications { per_notifier, max, .. } = self.notifications;
        NotificationLimits { per_notifier, total: max.unwrap_or(total) }
    }
}

/// The section in a new configuration file.
pub(super) fn template() -> String {
    let Notifications { interval_milliseconds, expire_hours, per_notifier, max: _ } = Notifications::default();
    format!(
        r#"
[notifications]
# Milliseconds between two deliveries of notifications to notification servers.
interval_milliseconds = {interval_milliseconds}
# Hours after which notifications that no notification server fetched are dropped.
expire_hours = {expire_hours}
# Notifications that wait for one queue's notifier; beyond it the oldest is dropped.
per_notifier = {per_notifier}
# Notifications that wait in all, of about 100 bytes each; beyond it no more are added. The default is 1000000, with the
# memory store 100000.
# max = 1000000
"#
    )
}
