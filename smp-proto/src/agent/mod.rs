//! The agent protocol, which connects two parties over queues: how they find each other.

pub mod connection_request;
pub mod link_data;
pub mod ratchet_parameters;

pub use connection_request::{ConnectionLink, ConnectionRequest};
pub use ratchet_parameters::RatchetParameters;
