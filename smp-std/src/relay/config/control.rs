//! `[control]`: what operators do with a relay that runs.

use serde::{Deserialize, Serialize};

/// What operators do with a relay that runs.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControlConfig {
    /// Whether the relay takes commands at a socket in its directory. Applied at the start.
    pub socket: bool,
    /// Queues that can be blocked in a day; 0 is any number.
    pub daily_block_quota: u64,
}

impl Default for ControlConfig {
    fn default() -> Self {
        Self { socket: true, daily_block_quota: 20 }
    }
}

pub(super) fn template() -> String {
    let ControlConfig { socket, daily_block_quota } = ControlConfig::default();
    format!(
        r#"
[control]
# Whether the relay takes commands at the unix socket "control.sock" in this folder ("smp-server control help" lists them).
# Only the user who runs the relay, and root, can use it.
socket = {socket}
# Queues that can be blocked in a day (UTC), so that a mistake or a stolen account does limited harm; 0 is any number.
daily_block_quota = {daily_block_quota}
"#
    )
}
