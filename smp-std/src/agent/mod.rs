//! Runs the agent of the crate `smp-agent` on a computer: connections to people instead of queues at relays.
//!
//! [`Agent::start`] gives a handle for commands and the events that follow from them. The agent has a thread of its own,
//! because its storage makes it wait; its connections to relays are tasks on the tokio runtime, each request executed once
//! by [`client`](crate::client). When to try again, and where, is decided by the state machine. [`store`] keeps what an agent
//! must not forget.

mod clock;
mod error;
mod handle;
mod network;
mod options;
pub mod store;
mod thread;

pub use error::{AgentFailure, CommandError, StartError};
pub use handle::{Agent, Events};
pub use options::AgentOptions;

use handle::{Outlet, Shared};
