//! A TLS 1.3 client (RFC 8446) in the profile of the SimpleX network: TLS_CHACHA20_POLY1305_SHA256, X25519, server
//! signatures with Ed25519 and, by feature, Ed448.
#![no_std]
