//! The other ends of tests: clients behind the interface of the scripted server, and real servers.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

pub mod core;
pub mod openssl;
pub mod rustls_client;
pub mod rustls_server;
pub mod socket;
pub mod stream;

/// What clients here offer.
pub const ALPN: &[u8] = b"smp/1";
