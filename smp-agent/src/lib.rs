//! Duplex connections of the SimpleX network over one-way queues, as a state machine without IO.
#![no_std]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

extern crate alloc;

#[cfg(test)]
extern crate std;

mod agent;
mod late;
mod record;
mod table;
mod transaction;

pub mod command;
pub mod configuration;
pub mod error;
pub mod event;
pub mod id;
pub mod policy;
pub mod redundancy;
pub mod request;
pub mod storage;
pub mod summary;
pub mod time;

pub use agent::Agent;
pub use command::{Command, ConnectionOptions, LinkRequest, PostQuantum, Reply};
pub use configuration::{Configuration, RedundancyPolicy};
pub use error::{ConnectionError, Error, Refusal};
pub use event::{Event, EventKind};
pub use id::{ConnectionId, EventId, InvitationId, MessageId};
pub use request::{Answer, Failure, RelayEvent, Request, RequestId};
pub use storage::Storage;
pub use summary::{ConnectionState, ConnectionSummary};
pub use time::Time;

/// The most receive queues a connection can have.
pub const MAX_RECEIVE_QUEUES: u8 = 4;
/// The most queues in one request for subscriptions.
pub const SUBSCRIPTION_BATCH: usize = 1_350;
