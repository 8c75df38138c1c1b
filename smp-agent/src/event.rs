//! What the agent tells applications.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::error::ConnectionError;
use crate::id::{ConnectionId, EventId, InvitationId, MessageId};
use crate::policy::integrity::Integrity;
use crate::policy::server::Server;
use crate::request::{Blocked, Failure};

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Names an event that is kept, and told again after a restart, until
    /// [`Command::Acknowledge`](crate::Command::Acknowledge). `None` for what only matters now.
    pub id: Option<EventId>,
    /// What happened.
    pub kind: EventKind,
}

/// The links to a connection that waits for a peer, or to an address.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Links {
    /// The full link, which needs no relay to be read.
    pub full: String,
    /// The short link, if it has one.
    pub short: Option<String>,
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Links(..)")
    }
}

/// What an application said, or another text of its: not printed.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content(#[serde(with = "serde_bytes")] pub Vec<u8>);

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({} bytes)", self.0.len())
    }
}

/// A received message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReceivedMessage {
    /// Its number here.
    pub id: MessageId,
    /// Its number at the sender.
    pub sender_number: i64,
    /// When the relay received it, in seconds since the Unix epoch. The relay's word.
    pub relay_time: i64,
    /// How it fits to what came before.
    pub integrity: Integrity,
    /// Whether its keys come from an encapsulated secret, too.
    pub post_quantum: bool,
    /// The message.
    pub body: Content,
}

/// How far a move of receive queues has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SwitchPhase {
    /// The new queue is there; or, at the sender, known.
    Started,
    /// The peer's keys are known; or, at the sender, sent.
    Confirmed,
    /// The new queue is secured.
    Secured,
    /// The old queue is not used any more.
    Completed,
    /// It was given up; the old queue stays.
    Aborted,
}

/// State of the ratchet of a connection (wire reference of the ratchet, section 14).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RatchetSync {
    /// Nothing is wrong.
    #[default]
    Ok,
    /// A message could not be read; it may have been a stray one.
    Allowed,
    /// The two sides have different keys: nothing can be sent before a re-synchronisation.
    Required,
    /// This side has proposed new keys.
    Started,
    /// Both sides have new keys; the first message shows that they are the same.
    Agreed,
}

/// Why a delivery was given up or is late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum DeliveryProblem {
    /// The relay, or the way to it.
    Failed(Failure),
    /// It waited too long: 2 days, or 7 for a full queue.
    Expired,
    /// It is longer than what fits.
    TooLarge,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum EventKind {
    /// An invitation or an address can be handed out, or its short link was changed (`INV`).
    LinkReady {
        /// The connection.
        connection: ConnectionId,
        /// Its links.
        links: Links,
    },
    /// The links to an invitation or an address are known, and lead nowhere yet: [`Self::LinkReady`] follows once the
    /// relay has made the queue. The short link of an invitation is not known before that.
    LinkPrepared {
        /// The connection.
        connection: ConnectionId,
        /// Its links.
        links: Links,
    },
    /// The short link of an address was deleted.
    LinkDeleted {
        /// The address.
        connection: ConnectionId,
    },
    /// What is behind a short link (`LDATA`).
    LinkRead {
        /// The attempt.
        connection: ConnectionId,
        /// The full link.
        full: String,
        /// Whether it is an invitation for one.
        invitation: bool,
        /// Data of the application.
        user_data: Content,
        /// What the link is about.
        entity_id: Option<Content>,
        /// Other addresses that take requests for this one, as text.
        relays: Vec<String>,
        /// Whether requests may go to this address itself.
        direct: bool,
    },
    /// The peer's relay has the answer to an invitation, or the request to an address (`JOINED`).
    Joined {
        /// The connection.
        connection: ConnectionId,
        /// Whether messages can be sent already.
        can_send: bool,
    },
    /// Somebody answered an invitation (`CONF`): [`Command::Allow`](crate::Command::Allow) lets them in.
    Confirmation {
        /// The connection.
        connection: ConnectionId,
        /// What the peer says of itself.
        info: Content,
        /// The relays of the peer's queues.
        servers: Vec<Server>,
        /// Whether both sides support post-quantum keys.
        post_quantum: bool,
    },
    /// Somebody asks at an address (`REQ`): [`Command::Accept`](crate::Command::Accept) or
    /// [`Command::Reject`](crate::Command::Reject).
    Request {
        /// The address.
        connection: ConnectionId,
        /// The request.
        invitation: InvitationId,
        /// What the requester says of itself. Only the encryption of the address's queue protects it.
        info: Content,
        /// The relays of the requester's queues.
        servers: Vec<Server>,
        /// Whether the requester supports post-quantum keys.
        post_quantum: bool,
    },
    /// What the peer who let us in says of itself (`INFO`).
    Info {
        /// The connection.
        connection: ConnectionId,
        /// What it says.
        info: Content,
    },
    /// Both sides can send and receive (`CON`).
    Connected {
        /// The connection.
        connection: ConnectionId,
        /// Whether post-quantum keys are in use already.
        post_quantum: bool,
        /// The version of the agent protocol both speak.
        version: u16,
    },
    /// A message came (`MSG`).
    Message {
        /// The connection.
        connection: ConnectionId,
        /// The message.
        message: ReceivedMessage,
    },
    /// A message is at the peer's relay (`SENT`).
    Sent {
        /// The connection.
        connection: ConnectionId,
        /// The message.
        message: MessageId,
        /// Whether it went through a proxy.
        proxied: bool,
    },
    /// Messages will not be delivered (`MERR`, `MERRS`).
    NotSent {
        /// The connection.
        connection: ConnectionId,
        /// The messages.
        messages: Vec<MessageId>,
        /// Why.
        problem: DeliveryProblem,
    },
    /// A message waits and is tried again (`MWARN`). Not kept.
    Waiting {
        /// The connection.
        connection: ConnectionId,
        /// The message.
        message: MessageId,
        /// Why.
        failure: Failure,
    },
    /// The peer has received a message (`RCVD`).
    Receipt {
        /// The connection.
        connection: ConnectionId,
        /// The message.
        message: MessageId,
        /// Whether the peer received the same bytes.
        intact: bool,
    },
    /// Receive queues of the connection move (`SWITCH`).
    Switch {
        /// The connection.
        connection: ConnectionId,
        /// Whether it is this side whose queue moves.
        receiving: bool,
        /// How far it is.
        phase: SwitchPhase,
        /// The relays of that direction now.
        servers: Vec<Server>,
    },
    /// The ratchet's state changed (`RSYNC`).
    Ratchet {
        /// The connection.
        connection: ConnectionId,
        /// The new state.
        state: RatchetSync,
    },
    /// The peer makes room in a queue that was full (`QCONT`). Not kept.
    Continued {
        /// The connection.
        connection: ConnectionId,
    },
    /// A further receive queue is in use, or a redundant one was given up.
    Redundancy {
        /// The connection.
        connection: ConnectionId,
        /// The relays that receive for it now.
        receiving: Vec<Server>,
        /// The relays it sends to now.
        sending: Vec<Server>,
    },
    /// Connections receive (`UP`). Not kept.
    Up {
        /// The relay.
        server: Server,
        /// The connections.
        connections: Vec<ConnectionId>,
    },
    /// Connections do not receive until the relay is back (`DOWN`). Not kept.
    Down {
        /// The relay.
        server: Server,
        /// The connections.
        connections: Vec<ConnectionId>,
    },
    /// Another client receives instead (`END`).
    SubscriptionEnded {
        /// The connection.
        connection: ConnectionId,
    },
    /// A relay deleted a receive queue (`DELD`).
    QueueDeleted {
        /// The connection.
        connection: ConnectionId,
        /// The relay.
        server: Server,
    },
    /// The operator of a relay blocked a queue (`BLOCKED`). It is told once; what waits for the queue is not sent, and
    /// nothing is tried again by itself. When the operator opens the queue, the next message or subscription succeeds.
    QueueBlocked {
        /// The connection.
        connection: ConnectionId,
        /// Whether it is a queue of this side, which receives; the peer's otherwise.
        receiving: bool,
        /// The relay.
        server: Server,
        /// Why.
        blocked: Blocked,
    },
    /// A connection was deleted, with the queues that could be deleted (`DEL_RCVQS`, `DEL_CONNS`).
    Deleted {
        /// The connection.
        connection: ConnectionId,
        /// Relays that would not delete their queue.
        failures: Vec<(Server, Failure)>,
    },
    /// Something about a connection failed for good (`ERR`).
    Failed {
        /// The connection.
        connection: ConnectionId,
        /// What.
        error: ConnectionError,
    },
}

impl EventKind {
    /// Whether it is kept until it is acknowledged.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        !matches!(self, Self::Waiting { .. } | Self::Continued { .. } | Self::Up { .. } | Self::Down { .. })
    }

    /// The connection it is about, if it is about one.
    #[must_use]
    pub const fn connection(&self) -> Option<ConnectionId> {
        match self {
            Self::LinkReady { connection, .. }
            | Self::LinkPrepared { connection, .. }
            | Self::LinkDeleted { connection }
            | Self::LinkRead { connection, .. }
            | Self::Joined { connection, .. }
            | Self::Confirmation { connection, .. }
            | Self::Request { connection, .. }
            | Self::Info { connection, .. }
            | Self::Connected { connection, .. }
            | Self::Message { connection, .. }
            | Self::Sent { connection, .. }
            | Self::NotSent { connection, .. }
            | Self::Waiting { connection, .. }
            | Self::Receipt { connection, .. }
            | Self::Switch { connection, .. }
            | Self::Ratchet { connection, .. }
            | Self::Continued { connection }
            | Self::Redundancy { connection, .. }
            | Self::SubscriptionEnded { connection }
            | Self::QueueDeleted { connection, .. }
            | Self::QueueBlocked { connection, .. }
            | Self::Deleted { connection, .. }
            | Self::Failed { connection, .. } => Some(*connection),
            Self::Up { .. } | Self::Down { .. } => None,
        }
    }
}
