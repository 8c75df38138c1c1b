//! A connection: its queues, where it stands, and its place in both sequences of messages.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use smp_proto::version::AgentVersion;

use super::{ReceiveQueue, SendQueue};
use crate::command::{ConnectionOptions, LinkRequest};
use crate::event::RatchetSync;
use crate::policy::server::{Server, UserId};
use crate::request::Failure;
use crate::time::{DAY, Time};

/// Where a connection stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// Own queues are being created for an invitation.
    Inviting,
    /// An invitation was handed out, or sent to an address: waits for the answer.
    Invited,
    /// An answer came; the application has to allow it.
    Confirmed {
        /// The joining party's queues.
        queues: Vec<ReplyQueue>,
    },
    /// The own confirmation is on its way to the joining party.
    Allowed,
    /// A short link is being read, to be shown or to be joined.
    Reading {
        /// The text of the short link.
        link: String,
        /// What follows; nothing when it was to be read only.
        join: Option<Joining>,
    },
    /// Own queues are being created to answer an invitation, or to send one to an address.
    Joining(Joining),
    /// The answer is on its way, or was given; waits for the initiator's confirmation.
    Answered,
    /// Both confirmations were exchanged; waits for HELLO.
    Greeting,
    /// Both sides can send.
    Connected,
    /// An address of one's own, which receives requests.
    Address(Address),
    /// Nothing more can come of it, until it is deleted.
    Failed,
}

/// What is to be joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Joining {
    /// What the peer shall know.
    pub(crate) info: Vec<u8>,
    /// What is joined.
    pub(crate) target: Target,
}

/// What is joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Target {
    /// Not known before the link is read.
    Unknown,
    /// An invitation; the own public parameters of the ratchet, encoded.
    Invitation {
        /// What the confirmation says of the ratchet.
        parameters: Vec<u8>,
    },
    /// An address.
    Address,
}

/// A queue of a peer's, encoded as it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReplyQueue {
    /// The version of envelopes both know.
    pub(crate) version: u16,
    pub(crate) server: Server,
    pub(crate) sender_id: Vec<u8>,
    pub(crate) recipient_key: [u8; 32],
    pub(crate) mode: Option<super::Mode>,
}

/// What belongs to an address only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Address {
    /// Whether its links were told to the application.
    pub(crate) published: bool,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Connection {
    pub(crate) user: UserId,
    pub(crate) stage: Stage,
    /// Whether this side made the invitation.
    pub(crate) initiator: bool,
    pub(crate) options: ConnectionOptions,
    /// The version in use, raised by what arrives and never lowered.
    pub(crate) version: u16,
    /// Whether both sides support post-quantum keys, as far as known.
    pub(crate) post_quantum: bool,
    pub(crate) receive_queues: Vec<ReceiveQueue>,
    pub(crate) send_queues: Vec<SendQueue>,
    /// The number of the last queue.
    pub(crate) last_queue: u32,
    /// The number of the last message here, sent or received.
    pub(crate) last_message: u64,
    /// The number of the last message sent, as the peer counts.
    pub(crate) sent_number: i64,
    /// The hash of its plaintext; empty before the first.
    pub(crate) sent_hash: Vec<u8>,
    /// The number of the last message received, as the peer counts.
    pub(crate) received_number: i64,
    /// The hash of its plaintext.
    pub(crate) received_hash: Vec<u8>,
    /// The numbers of the last gap, first and last: they may come late.
    pub(crate) missing: Option<(i64, i64)>,
    pub(crate) sync: RatchetSync,
    /// Whether the peer has shown that it knows of redundancy.
    pub(crate) redundant_peer: bool,
    /// Nothing is received until the application asks for it.
    pub(crate) suspended: bool,
    /// Since when it is being deleted, and whether messages are delivered first.
    pub(crate) deleting: Option<(Time, bool)>,
    pub(crate) created: Time,
    /// The short link that its first queue shall have.
    pub(crate) link: Option<LinkRequest>,
    /// Whether HELLO of the peer has come.
    pub(crate) greeted: bool,
    /// Until when the other role in a new ratchet may still turn out to be the right one.
    pub(crate) role_doubt: Option<Time>,
    /// Queues that their relays did not delete.
    pub(crate) kept_queues: Vec<(Server, Failure)>,
    /// Not before then a receive queue is added by itself.
    pub(crate) add_after: Time,
    /// How often one was added that the peer has not used so far.
    pub(crate) additions: u8,
}

impl Connection {
    pub(crate) fn new(user: UserId, stage: Stage, initiator: bool, options: ConnectionOptions, now: Time) -> Self {
        Self {
            user,
            stage,
            initiator,
            options,
            version: AgentVersion::MAX.0,
            post_quantum: options.post_quantum != crate::command::PostQuantum::Off,
            receive_queues: Vec::new(),
            send_queues: Vec::new(),
            last_queue: 0,
            last_message: 0,
            sent_number: 0,
            sent_hash: Vec::new(),
            received_number: 0,
            received_hash: Vec::new(),
            missing: None,
            sync: RatchetSync::Ok,
            redundant_peer: false,
            suspended: false,
            deleting: None,
            created: now,
            link: None,
            greeted: false,
            role_doubt: None,
            kept_queues: Vec::new(),
            add_after: now,
            additions: 0,
        }
    }

    /// Nothing has happened later than now, whatever a clock said that was wrong then.
    pub(crate) fn forget_future(&mut self, now: Time) {
        let soon = now.after(DAY);
        self.created = self.created.min(now);
        self.add_after = self.add_after.min(soon);
        self.role_doubt = self.role_doubt.map(|doubt| doubt.min(soon));
        if let Some((since, _)) = &mut self.deleting {
            *since = now.min(*since);
        }
        for queue in &mut self.receive_queues {
            queue.since = queue.since.min(now);
        }
    }

    pub(crate) fn agent_version(&self) -> AgentVersion {
        AgentVersion(self.version)
    }

    /// The number of a new queue.
    pub(crate) fn next_queue(&mut self) -> u32 {
        self.last_queue = self.last_queue.saturating_add(1);
        self.last_queue
    }

    /// The number of a new message here.
    pub(crate) fn next_message(&mut self) -> crate::id::MessageId {
        self.last_message = self.last_message.saturating_add(1);
        crate::id::MessageId(self.last_message)
    }

    pub(crate) fn receive_queue(&self, number: u32) -> Option<&ReceiveQueue> {
        self.receive_queues.iter().find(|queue| queue.number == number)
    }

    pub(crate) fn receive_queue_mut(&mut self, number: u32) -> Option<&mut ReceiveQueue> {
        self.receive_queues.iter_mut().find(|queue| queue.number == number)
    }

    pub(crate) fn send_queue(&self, number: u32) -> Option<&SendQueue> {
        self.send_queues.iter().find(|queue| queue.number == number)
    }

    pub(crate) fn send_queue_mut(&mut self, number: u32) -> Option<&mut SendQueue> {
        self.send_queues.iter_mut().find(|queue| queue.number == number)
    }

    /// Receive queues that exist and shall stay.
    pub(crate) fn receiving(&self) -> impl Iterator<Item = &ReceiveQueue> {
        self.receive_queues.iter().filter(|queue| queue.is_created() && !queue.deleting)
    }

    /// All relays of the connection, both directions.
    pub(crate) fn servers(&self) -> Vec<Server> {
        let receiving = self.receive_queues.iter().map(|queue| queue.server.clone());
        receiving.chain(self.send_queues.iter().map(|queue| queue.server.clone())).collect()
    }
}
