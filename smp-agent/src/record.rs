//! What is stored of connections. Every record is written whole, in postcard, behind an octet for the format.

mod connection;
mod message;
mod queue;
mod received;
mod resynchronization;

pub(crate) use connection::{Address, Connection, Joining, ReplyQueue, Stage, Target};
pub(crate) use message::{EventRecord, Invitation, OneTimeLink, Outgoing, OutgoingKind, ReceivedFrom, SentRecord};
pub(crate) use queue::{
    Acknowledgement, Mode, QueueLink, QueueStatus, ReceiveQueue, ReceiveSwitch, SendQueue, SendSwitch,
};

pub(crate) use received::ReceivedHashes;
pub(crate) use resynchronization::NewRatchet;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// 32 secret bytes: a private key of X25519 or Ed25519, or an agreed secret.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
pub(crate) struct Secret(pub(crate) [u8; 32]);

impl core::fmt::Debug for Secret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What there is once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct State {
    /// Makes hashes in keys of records say nothing to others.
    pub(crate) salt: Secret,
    /// No event has this number or a higher one.
    pub(crate) events_below: u64,
}
