//! Relay server, client and programs of the SimpleX network on tokio.

pub mod net;
pub mod relay;
