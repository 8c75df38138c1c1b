//! `[metrics]`: numbers for a monitoring system.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Where a monitoring system finds the relay's numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// Where `/metrics` is served over HTTP; nowhere when absent.
    pub listen: Option<SocketAddr>,
}

pub(super) fn template() -> String {
    r#"
[metrics]
# Where Prometheus finds the relay's numbers, over HTTP at /metrics; nowhere by default. Whoever reaches the port can read
# them: choose an address that only the monitoring system reaches. docs/metrics.md explains each number.
# listen = "127.0.0.1:9223"
"#
    .to_owned()
}
