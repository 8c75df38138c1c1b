//! All counters at one moment.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Stats;

/// Counters by name, as `queues.messages_sent`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Sums(BTreeMap<String, u64>);

impl FromIterator<(String, u64)> for Sums {
    fn from_iter<T: IntoIterator<Item = (String, u64)>>(sums: T) -> Self {
        Self(sums.into_iter().collect())
    }
}

impl Sums {
    /// The sum of a counter; 0 for a name that is not known.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// Names and sums in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, sum)| (name.as_str(), *sum))
    }

    /// What was counted after `earlier`.
    pub(super) fn since(mut self, earlier: &Self) -> Self {
        for (name, sum) in &mut self.0 {
            *sum = sum.saturating_sub(earlier.get(name));
        }
        self
    }

    /// Both together.
    pub(super) fn plus(mut self, other: &Self) -> Self {
        for (name, sum) in &other.0 {
            let entry = self.0.entry(name.clone()).or_default();
            *entry = entry.saturating_add(*sum);
        }
        self
    }
}

impl Stats {
    /// All counters as they are now.
    #[must_use]
    pub fn sums(&self) -> Sums {
        let groups = [
            ("queues", self.queues.sums()),
            ("proxy_sessions", self.proxy_sessions.sums()),
            ("proxy_sessions_own", self.proxy_sessions_own.sums()),
            ("proxy_forwards", self.proxy_forwards.sums()),
            ("proxy_forwards_own", self.proxy_forwards_own.sums()),
            ("forwards", vec![("received", self.forwards_received.get())]),
            ("recipient_services", self.recipient_services.sums()),
            ("notifier_services", self.notifier_services.sums()),
            ("names", self.names.sums()),
            ("connections", self.connections.sums()),
            ("limits", self.limits.sums()),
        ];
        let sums = groups.into_iter().flat_map(|(group, counters)| {
            counters.into_iter().map(move |(counter, sum)| (format!("{group}.{counter}"), sum))
        });
        Sums(sums.collect())
    }
}
