//! What applications ask of the agent.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::id::{ConnectionId, EventId, InvitationId, MessageId};
use crate::policy::server::{ServerList, UserId};

/// Whether a connection is protected by post-quantum keys (wire reference of the ratchet, section 12.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PostQuantum {
    /// No.
    Off,
    /// From the first messages on that both sides agree with. The key travels with the answer, and links stay short.
    #[default]
    On,
    /// From the first message on: the link holds the key, which makes it 1.6 KB longer.
    InLink,
}

/// The short link that a new address or invitation shall have (wire reference, section 9).
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkRequest {
    /// Data of the application that everybody who has the link can read, up to 13,706 bytes.
    pub user_data: Vec<u8>,
    /// What the link is about, up to 255 bytes.
    pub entity_id: Option<Vec<u8>>,
}

impl core::fmt::Debug for LinkRequest {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("LinkRequest(..)")
    }
}

/// What a connection shall be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionOptions {
    /// Whether to use post-quantum keys.
    pub post_quantum: PostQuantum,
    /// How many relays shall receive for this connection, 1 to [`MAX_RECEIVE_QUEUES`](crate::MAX_RECEIVE_QUEUES). More
    /// than one is used by peers that know of it, and does no harm with others: see the [redundancy](crate::redundancy)
    /// module.
    pub receive_queues: u8,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self { post_quantum: PostQuantum::default(), receive_queues: 1 }
    }
}

/// What an application asks of the agent.
///
/// What needs a relay is only noted when the command returns: it survives restarts, is tried until it succeeds or cannot
/// succeed any more, and an event tells which.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Command {
    /// Sets the relays of a user, who is new or not. Existing queues stay where they are.
    SetServers {
        /// The user.
        user: UserId,
        /// The relays.
        servers: ServerList,
    },
    /// Makes an invitation for one peer: [`Reply::Connection`], then [`EventKind::LinkReady`](crate::EventKind::LinkReady).
    Invite {
        /// Whose it is.
        user: UserId,
        /// What the connection shall be like.
        options: ConnectionOptions,
        /// Its short link, if it shall have one. A relay below version 15 makes none.
        link: Option<LinkRequest>,
    },
    /// Makes an address that anybody who has it can send requests to: [`Reply::Connection`], then
    /// [`EventKind::LinkReady`](crate::EventKind::LinkReady).
    CreateAddress {
        /// Whose it is.
        user: UserId,
        /// Its short link, if it shall have one.
        link: Option<LinkRequest>,
    },
    /// Makes an invitation whose full link is known without a network: [`Reply::Connection`], with it
    /// [`EventKind::LinkPrepared`](crate::EventKind::LinkPrepared), and
    /// [`EventKind::LinkReady`](crate::EventKind::LinkReady) once the relay has made the queue (wire reference, section
    /// 9.4). Before that nobody can join it.
    ///
    /// The link says which relay, which therefore cannot be replaced by another one, and has one receive queue, to which
    /// others are added when the peer knows of redundancy. It always has a short link, whose id the relay makes. When the
    /// relay refuses, is below version 15, or has made the queue and its answer is lost,
    /// [`ConnectionError::PreparedLink`](crate::ConnectionError::PreparedLink) tells that the link leads nowhere.
    PrepareInvitation {
        /// Whose it is.
        user: UserId,
        /// What the connection shall be like.
        options: ConnectionOptions,
        /// What is behind its short link.
        link: LinkRequest,
    },
    /// Makes an address whose links, full and short, are known without a network: as
    /// [`PrepareInvitation`](Self::PrepareInvitation).
    PrepareAddress {
        /// Whose it is.
        user: UserId,
        /// What is behind its short link.
        link: LinkRequest,
    },
    /// Replaces the user data behind the short link of an address or an unused invitation; an address that has no short
    /// link gets one. Then [`EventKind::LinkReady`](crate::EventKind::LinkReady).
    SetLink {
        /// The address or invitation.
        connection: ConnectionId,
        /// The new data of the application.
        user_data: Vec<u8>,
    },
    /// Deletes the short link of an address; the address stays. Then
    /// [`EventKind::LinkDeleted`](crate::EventKind::LinkDeleted).
    DeleteLink {
        /// The address.
        connection: ConnectionId,
    },
    /// Reads what is behind a short link, without connecting: [`Reply::Connection`] names the attempt, then
    /// [`EventKind::LinkRead`](crate::EventKind::LinkRead). Reading an invitation secures it for this agent; a following
    /// [`Command::Join`] of the same link uses what was read.
    ReadLink {
        /// Who reads.
        user: UserId,
        /// The link.
        link: String,
    },
    /// Joins an invitation, or sends a request to an address: [`Reply::Connection`], then
    /// [`EventKind::Joined`](crate::EventKind::Joined).
    Join {
        /// Who joins.
        user: UserId,
        /// The link, full or short.
        link: String,
        /// What the peer shall know of this user, such as a profile.
        info: Vec<u8>,
        /// What the connection shall be like.
        options: ConnectionOptions,
    },
    /// Lets the peer of [`EventKind::Confirmation`](crate::EventKind::Confirmation) in.
    Allow {
        /// The connection.
        connection: ConnectionId,
        /// What the peer shall know of this user.
        info: Vec<u8>,
    },
    /// Accepts a request to an address: [`Reply::Connection`].
    Accept {
        /// The request.
        invitation: InvitationId,
        /// What the peer shall know of this user.
        info: Vec<u8>,
        /// What the connection shall be like.
        options: ConnectionOptions,
    },
    /// Forgets a request to an address. The requester learns nothing.
    Reject {
        /// The request.
        invitation: InvitationId,
    },
    /// Sends a message: [`Reply::Message`], then [`EventKind::Sent`](crate::EventKind::Sent).
    Send {
        /// The connection.
        connection: ConnectionId,
        /// The message, up to 15,795 bytes, or 13,573 with post-quantum keys.
        body: Vec<u8>,
        /// Whether the peer's device shall be woken for it.
        notify: bool,
    },
    /// The application has dealt with an event, which is then forgotten. A message's relay sends the next one only then.
    Acknowledge {
        /// The event.
        event: EventId,
        /// Sends a delivery receipt with this information for a message, up to 1,024 bytes; the peer's agent reports the
        /// receipt without it.
        receipt: Option<Vec<u8>>,
    },
    /// Moves the receive queues of a connection to other relays.
    Switch {
        /// The connection.
        connection: ConnectionId,
    },
    /// Stops a move as long as the peer does not know of it.
    AbortSwitch {
        /// The connection.
        connection: ConnectionId,
    },
    /// Makes new ratchet keys with the peer.
    Resynchronize {
        /// The connection.
        connection: ConnectionId,
        /// Also when nothing is known to be wrong.
        force: bool,
    },
    /// Adds a receive queue at another relay to a connection whose peer knows of redundancy.
    AddReceiveQueue {
        /// The connection.
        connection: ConnectionId,
    },
    /// Receives on all connections that are not suspended. Without it only new queues receive.
    SubscribeAll,
    /// Receives on a connection, also when it is suspended here.
    Subscribe {
        /// The connection.
        connection: ConnectionId,
    },
    /// Stops the queues of a connection: their relays refuse what is sent from now on. Cannot be undone. What they hold
    /// already still comes; after a restart, only when [`Command::Subscribe`] asks for it.
    Suspend {
        /// The connection.
        connection: ConnectionId,
    },
    /// Deletes a connection, or an address, and its queues: then [`EventKind::Deleted`](crate::EventKind::Deleted). The
    /// peer is told nothing. A second command can only take back that messages are delivered first. Requests that came
    /// to an address can still be accepted.
    Delete {
        /// The connection.
        connection: ConnectionId,
        /// Whether messages that wait are delivered first, for at most two days.
        deliver_first: bool,
    },
    /// Forgets a message that was sent before its time: one that waits is not sent any more, unless it is under way, and
    /// the peer finds that its number is missing; the receipt of one that was sent is not waited for any more.
    ForgetMessage {
        /// The connection.
        connection: ConnectionId,
        /// The message.
        message: MessageId,
    },
    /// The network came back, or the program to the foreground: what waits is tried now.
    NetworkChanged {
        /// Whether there is a network.
        online: bool,
    },
}

/// What a command returns at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// Nothing more.
    Done,
    /// The connection it is about.
    Connection(ConnectionId),
    /// The message it is about.
    Message(MessageId),
}
