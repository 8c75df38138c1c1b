//! `[limits]`: what one peer and all of them together may use.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What one peer and all of them together may use.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections in total.
    pub connections: usize,
    /// Connections from one address (IPv6: one /64 network). Loopback is exempt.
    pub connections_per_address: usize,
    /// Connections that have not finished their handshakes; beyond it the oldest of them is closed.
    pub handshakes: usize,
    /// Seconds for a connection to finish TLS.
    pub tls_timeout_seconds: u64,
    /// Seconds for a connection to finish the SMP handshake after TLS.
    pub handshake_timeout_seconds: u64,
    /// Seconds for a block to arrive once it has begun.
    pub block_timeout_seconds: u64,
    /// Seconds for a peer to take a block.
    pub write_timeout_seconds: u64,
    /// Responses one connection may have outstanding before it is no longer read.
    pub pending_responses: usize,
    /// Queues one connection may be subscribed to.
    pub subscriptions_per_connection: usize,
    /// Queues all connections together may be subscribed to. Each takes about 200 bytes.
    pub subscriptions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            connections_per_address: 2_000,
            handshakes: 1_000,
            tls_timeout_seconds: 30,
            handshake_timeout_seconds: 30,
            block_timeout_seconds: 120,
            write_timeout_seconds: 120,
            pending_responses: 512,
            subscriptions_per_connection: 100_000,
            subscriptions: 1_000_000,
        }
    }
}

impl Limits {
    /// Time for a connection to finish TLS.
    #[must_use]
    pub fn tls_timeout(&self) -> Duration {
        Duration::from_secs(self.tls_timeout_seconds)
    }

    /// Time for a connection to finish the SMP handshake.
    #[must_use]
    pub fn handshake_timeout(&self) -> Duration {
        Duration::from_secs(self.handshake_timeout_seconds)
    }

    /// Time for a block to arrive once it has begun.
    #[must_use]
    pub fn block_timeout(&self) -> Duration {
        Duration::from_secs(self.block_timeout_seconds)
    }

    /// Time for a peer to take a block.
    #[must_use]
    pub fn write_timeout(&self) -> Duration {
        Duration::from_secs(self.write_timeout_seconds)
    }
}
