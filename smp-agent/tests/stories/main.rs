//! What people and relays do with agents, told in the world of `support`. One program for all, as most of each is the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

#[path = "../support/mod.rs"]
mod support;

mod blocked;
mod contact;
mod crashes;
mod damage;
mod deletion;
mod faults;
mod hostile_peers;
mod hostile_queues;
mod hostile_relays;
mod invitation;
mod lost_queue;
mod messages;
mod prepared;
mod procedures;
mod queue_names;
mod redundancy;
mod relay;
mod relays_lost;
mod resync;
mod resync_released;
mod rotation;
mod routing;
mod schedules;
mod short_links;
mod upkeep;
mod waits;
