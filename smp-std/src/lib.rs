//! Relay server, client and programs of the SimpleX network on tokio.

pub mod agent;
pub mod client;
pub mod identity;
pub mod net;
pub mod relay;
