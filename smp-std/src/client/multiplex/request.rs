//! Commands on their way, and what bounds them.

use std::time::Duration;

use smp_proto::id::ID_LENGTH;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::client::{ClientError, Id};

/// What ties a response to its command.
pub(in crate::client) type CorrelationId = [u8; ID_LENGTH];

/// A response: the broker message as it stood behind the ids, and whether it came from a command in flight.
pub(in crate::client) type Response = Result<Box<[u8]>, ClientError>;

/// What a command asks for, as far as its response needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) enum Kind {
    /// Nothing special.
    Plain,
    /// `SUB`: a success subscribes the connection to the entity; old relays answer with the first message.
    Subscribe,
    /// `NEW` that subscribes at once.
    Create,
    /// `ACK`: the next message may come as the response.
    Acknowledge,
    /// `DEL`: a success ends the subscription.
    Delete,
}

/// A command on its way to the relay.
pub(in crate::client) struct Request {
    pub(in crate::client) correlation_id: CorrelationId,
    pub(in crate::client) entity: Id,
    pub(in crate::client) kind: Kind,
    /// The whole transmission, authorized.
    pub(in crate::client) transmission: Box<[u8]>,
    pub(in crate::client) time_out: Duration,
    /// Who waits for the response. Nobody does for pings.
    pub(in crate::client) responder: Option<oneshot::Sender<Response>>,
}

/// A command that was sent.
pub(super) struct Pending {
    pub(super) entity: Id,
    pub(super) kind: Kind,
    pub(super) sent: Instant,
    /// When its time is up, with a number that tells commands of the same moment apart.
    pub(super) deadline: (Instant, u64),
    pub(super) responder: Option<oneshot::Sender<Response>>,
}

/// What a peer did that an orderly one does not do. Only counted: nothing of it is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Anomalies {
    /// Responses that could not be read.
    pub malformed: u64,
    /// Responses to no command that was sent, and events that are none.
    pub unexpected: u64,
    /// Responses that came after the time for them was up.
    pub late: u64,
}

/// The limits of a multiplexer.
#[derive(Clone, Debug)]
pub(in crate::client) struct Limits {
    pub(in crate::client) in_flight: usize,
    pub(in crate::client) events: usize,
    pub(in crate::client) ping_interval: Duration,
    pub(in crate::client) ping_unsubscribed: bool,
    pub(in crate::client) ping_time_out: Duration,
    pub(in crate::client) ping_count: u32,
}

/// What [`Multiplexer::tick`] asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) enum Tick {
    Nothing,
    /// The relay was silent for too long: send a ping.
    Ping,
    /// The relay is gone.
    GiveUp,
}
