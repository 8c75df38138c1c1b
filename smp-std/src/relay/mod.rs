//! The relay server.

pub mod store;
