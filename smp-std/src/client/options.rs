//! How patient a client is and how much it holds.

use std::time::Duration;

use smp_proto::version::{SmpVersion, VersionRange};

use crate::net::{ClientAlpn, NetworkPolicy};

/// Time limits and bounds of a connection. The defaults are those of a client in the background (wire reference, section
/// 3.3); [`Options::interactive`] is for commands a person waits for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The versions to offer.
    pub versions: VersionRange<SmpVersion>,
    /// The application protocol named in the TLS handshake. Without one the session has version 6.
    pub alpn: ClientAlpn,
    /// Which hosts to connect to, and whether through a SOCKS5 proxy.
    pub network: NetworkPolicy,
    /// For the TCP connection and the TLS handshake together, name resolution included, with all hosts of the address.
    pub connect_time_out: Duration,
    /// For the two hellos.
    pub handshake_time_out: Duration,
    /// For the response to a command, from the moment it is handed to the connection; also for how long the relay may
    /// leave what it is sent unread.
    pub response_time_out: Duration,
    /// Silence after which the relay is pinged.
    pub ping_interval: Duration,
    /// Whether the relay is pinged also while the connection receives from no queue. Nobody waits for what such a
    /// connection might bring; that it is gone shows with the next command.
    pub ping_unsubscribed: bool,
    /// Pings without an answer after which the connection is given up.
    pub ping_count: u32,
    /// How many commands may wait for their response at a time; more wait to be sent.
    pub in_flight: usize,
    /// How many events may wait for the application. When they are as many, nothing more is read from the relay, unless
    /// a command waits for its response: then at most one message for each subscribed queue is held in addition.
    pub events: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            versions: VersionRange::SMP,
            alpn: ClientAlpn::Smp,
            network: NetworkPolicy::default(),
            connect_time_out: Duration::from_secs(45),
            handshake_time_out: Duration::from_secs(45),
            response_time_out: Duration::from_secs(30),
            ping_interval: Duration::from_secs(600),
            ping_unsubscribed: true,
            ping_count: 3,
            in_flight: 1024,
            events: 64,
        }
    }
}

impl Options {
    /// For commands a person waits for: 15 s to connect, 10 s for a response.
    #[must_use]
    pub fn interactive() -> Self {
        Self {
            connect_time_out: Duration::from_secs(15),
            handshake_time_out: Duration::from_secs(15),
            response_time_out: Duration::from_secs(10),
            ..Self::default()
        }
    }
}
