//! The TLS client behind the interface of the scripted server.

#[path = "../../smp-tls/tests/peers/core.rs"]
pub mod core;
