//! `[services]`: clients that receive, or take notifications, for many queues at once.

use serde::{Deserialize, Serialize};

/// How many services the relay knows, and for how long.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Services {
    /// Services in all; beyond it new ones are refused.
    pub max: u64,
    /// Days after which a service without queues that did not connect is forgotten.
    pub forget_days: u32,
}

impl Default for Services {
    fn default() -> Self {
        Self { max: 100_000, forget_days: 30 }
    }
}

impl Services {
    /// What is wrong with the options, if anything.
    pub(super) fn check(&self) -> Option<&'static str> {
        (self.forget_days == 0).then_some("services.forget_days must be at least 1")
    }
}

/// The section of a new configuration file.
pub(super) fn template() -> String {
    let Services { max, forget_days } = Services::default();
    format!(
        r#"
[services]
# Services that the relay knows: clients with a certificate that receive, or take notifications, for all their queues at
# once. A client may be a service in every profile, and shows its certificate on every connection. Each takes about 500
# bytes on disk, and 100 in memory when it has queues. When there are as many, those without queues that are not connected
# are forgotten; if that is not enough, new ones are refused.
max = {max}
# Days after which a service without queues that did not connect is forgotten; a new id waits for it when it comes again.
forget_days = {forget_days}
"#
    )
}
