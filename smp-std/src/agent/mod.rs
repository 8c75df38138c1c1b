//! What runs the agent of the crate `smp-agent` on a computer.

pub mod store;
