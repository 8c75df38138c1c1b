//! Duplex connections of the SimpleX network over one-way queues, as a state machine without IO.
//!
//! A conversation is two or more queues on relays that the recipients choose. [`Agent`] turns them into connections: it
//! makes and reads links, exchanges confirmations, keeps the double ratchet, numbers and chains messages, delivers them
//! in order, removes duplicates, sends receipts, moves queues to other relays, replaces a ratchet that is out of step, and
//! survives the loss of relays and of its own process at any moment. Byte for byte what deployed clients do (wire reference
//! of the agent).
//!
//! It owns no socket, clock or random source. An adapter brings them:
//!
//! | Input | From |
//! |---|---|
//! | [`Agent::handle`] with a [`Command`] | the application |
//! | [`Agent::answer`] with the result of a [`Request`] | a relay |
//! | [`Agent::relay_event`] with a [`RelayEvent`] | a relay, unasked |
//! | [`Agent::advance`] | the clock, at [`Agent::next_deadline`] |
//!
//! After inputs, [`Agent::commit`] makes all that follows from them durable in one [`Storage::commit`], and then
//! [`Agent::next_request`] and [`Agent::poll`] give the requests to execute and the [`Event`]s for the application.
//!
//! # Example
//!
//! An adapter that executes one request after the other.
//!
//! ```
//! use rand_core::CryptoRng;
//! use smp_agent::storage::MemoryStorage;
//! use smp_agent::policy::server::{ConfiguredServer, ServerList, UserId};
//! use smp_agent::{Agent, Answer, Command, ConnectionOptions, Event, Failure, Request, Storage, Time};
//!
//! /// Lets out what was committed until nothing more follows.
//! fn settle<S: Storage, R: CryptoRng>(
//!     agent: &mut Agent<S, R>,
//!     now: Time,
//!     execute: &mut impl FnMut(&Request) -> Result<Answer, Failure>,
//!     tell: &mut impl FnMut(Event),
//! ) -> Result<(), smp_agent::Error<S::Error>> {
//!     loop {
//!         agent.commit()?;
//!         while let Some(event) = agent.poll()? {
//!             tell(event);
//!         }
//!         let Some(request) = agent.next_request() else { return Ok(()) };
//!         let result = execute(&request);
//!         agent.answer(now, request.id, result)?;
//!     }
//! }
//!
//! # use rand_core::SeedableRng;
//! # let random = rand_chacha::ChaCha20Rng::seed_from_u64(1); // outside examples, the system's source
//! let now = Time(1_700_000_000_000);
//! let mut agent = Agent::open(MemoryStorage::default(), Default::default(), random, now)?;
//! let server = ConfiguredServer::parse("smp://-pd7JvjLnNPNfqES2AdWWndE8JoS9gdcvKu0Ba-P2DY=@smp.example.com")?;
//! agent.handle(now, Command::SetServers { user: UserId(1), servers: ServerList::from(vec![server]) })?;
//! agent.handle(now, Command::Invite { user: UserId(1), options: ConnectionOptions::default(), link: None })?;
//!
//! // Without a network nothing is lost: the queue is created when there is one.
//! let mut execute = |_: &Request| Err(Failure::of_relay(smp_agent::request::Reason::Network));
//! settle(&mut agent, now, &mut execute, &mut |event| println!("{event:?}"))?;
//! let next_attempt = agent.next_deadline().expect("it is tried again");
//! assert!(next_attempt > now);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What survives
//!
//! Nothing leaves the agent before what it follows from is durable. Events that matter later have an [`EventId`] and are
//! told again after a restart until the application acknowledges them with [`Command::Acknowledge`]; an application that
//! stores an event's number together with what it made of it sees each exactly once. A received message is acknowledged
//! to its relay only after the application has acknowledged its event. What has to be done at relays is not stored but
//! found from the state of connections, so that it is found again after a restart; every operation may be executed twice.
//!
//! # Refused, temporary, permanent
//!
//! A [`Refusal`] answers a command and means that nothing changed. Failures of relays are [`Failure`]s: those that may
//! pass ([`Failure::is_tried_again`]) are tried again, after intervals that grow ([`policy::back_off`]); permanent ones end
//! in an event. What peers send wrongly ends in [`EventKind::Failed`] and changes nothing else. When the
//! storage fails the agent stops: make a new one from the storage.
//!
//! # Memory
//!
//! `alloc`, and no `std`. All connections are in memory, some 1.5 KiB each with one queue in each direction; ratchets,
//! messages and events are read from the storage when they are needed. For each message that waits to be sent 8 bytes are
//! in memory.
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
