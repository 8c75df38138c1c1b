//! What applications may know of a connection.

use alloc::vec::Vec;

use smp_proto::version::AgentVersion;

use crate::event::RatchetSync;
use crate::policy::server::{Server, UserId};
use crate::record::{Connection, Stage};

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionState {
    /// Its queues are being created, or its link read.
    Preparing,
    /// Handed out, or answered: waits for the peer.
    Waiting,
    /// Waits for the application to allow it.
    ToBeAllowed,
    /// Both sides can send.
    Connected,
    /// An address.
    Address,
    /// Being deleted.
    Deleting,
    /// Nothing more can come of it.
    Failed,
}

/// What is known of a connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionSummary {
    /// Whose it is.
    pub user: UserId,
    /// Where it stands.
    pub state: ConnectionState,
    /// The version in use.
    pub version: AgentVersion,
    /// Whether both sides support post-quantum keys, as far as known.
    pub post_quantum: bool,
    /// State of the ratchet.
    pub ratchet: RatchetSync,
    /// The relays that receive for it.
    pub receiving: Vec<Server>,
    /// The relays it sends to.
    pub sending: Vec<Server>,
    /// How many messages wait to be sent.
    pub waiting: usize,
}

impl ConnectionSummary {
    pub(crate) fn new(connection: &Connection, waiting: usize) -> Self {
        let state = match &connection.stage {
            _ if connection.deleting.is_some() => ConnectionState::Deleting,
            Stage::Inviting | Stage::Reading { .. } | Stage::Joining(_) => ConnectionState::Preparing,
            Stage::Invited | Stage::Answered | Stage::Allowed | Stage::Greeting => ConnectionState::Waiting,
            Stage::Confirmed { .. } => ConnectionState::ToBeAllowed,
            Stage::Connected => ConnectionState::Connected,
            Stage::Address(_) => ConnectionState::Address,
            Stage::Failed => ConnectionState::Failed,
        };
        Self {
            user: connection.user,
            state,
            version: connection.agent_version(),
            post_quantum: connection.post_quantum,
            ratchet: connection.sync,
            receiving: connection.receiving().map(|queue| queue.server.clone()).collect(),
            sending: connection.send_queues.iter().map(|queue| queue.server.clone()).collect(),
            waiting,
        }
    }
}
