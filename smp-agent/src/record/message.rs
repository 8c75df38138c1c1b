//! Messages on their way, and what is kept of them afterwards.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::event::EventKind;
use crate::id::ConnectionId;
use crate::policy::back_off::MessageBackOff;
use crate::policy::server::UserId;
use crate::request::AccessKey;
use crate::time::Time;

/// What kind of message it is, as far as its delivery differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum OutgoingKind {
    /// The first message to a queue. The joining party's parameters of the ratchet, encoded.
    Confirmation { parameters: Option<Vec<u8>> },
    /// A request to an address; the text of the own invitation. Nothing of it is encrypted by a ratchet.
    Invitation { request: String },
    /// HELLO.
    Hello,
    /// A message of the application's.
    Application,
    /// A_RCVD.
    Receipt,
    /// A_QCONT.
    Continue,
    /// QADD.
    AddQueue,
    /// QKEY, about the send queue with this number.
    QueueKey { queue: u32 },
    /// QUSE, about the receive queue with this number.
    UseQueue { queue: u32 },
    /// QTEST, about the send queue with this number.
    TestQueue { queue: u32 },
    /// EREADY.
    Ready,
    /// Keys for a new ratchet; the parameters, encoded. Nothing of it is encrypted by a ratchet.
    RatchetKey { parameters: Vec<u8> },
}

/// A message that waits to be sent.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Outgoing {
    pub(crate) kind: OutgoingKind,
    /// Its number, as the peer counts.
    pub(crate) number: i64,
    /// The hash of its plaintext.
    pub(crate) hash: [u8; 32],
    pub(crate) created: Time,
    pub(crate) notify: bool,
    /// The plaintext, as it goes into the ratchet, or behind the envelope's front.
    #[serde(with = "serde_bytes")]
    pub(crate) plaintext: Vec<u8>,
    /// The stored form of [`PreparedMessage`](smp_crypto::ratchet::PreparedMessage); empty where no ratchet encrypts.
    #[serde(with = "serde_bytes")]
    pub(crate) prepared: Vec<u8>,
    /// What the plaintext is padded to.
    pub(crate) padded: u16,
    /// How many queues it still waits for.
    pub(crate) waiting: u8,
    /// Whether a queue has it.
    pub(crate) delivered: bool,
    pub(crate) back_off: Option<MessageBackOff>,
}

/// What is kept of a sent message for its receipt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SentRecord {
    /// Its number here.
    pub(crate) message: u64,
    pub(crate) hash: [u8; 32],
    /// When it was sent, for its expiry.
    pub(crate) day: u32,
}

/// Which message an event is about, for its acknowledgement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ReceivedFrom {
    pub(crate) connection: ConnectionId,
    /// The receive queue.
    pub(crate) queue: u32,
    /// The message's id at the relay.
    pub(crate) message_id: Vec<u8>,
    /// Its number at the peer.
    pub(crate) number: i64,
    /// The hash of its plaintext.
    pub(crate) hash: [u8; 32],
    /// Whether a receipt can be sent for it.
    pub(crate) receipt: bool,
}

/// An event that waits to be acknowledged.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct EventRecord {
    pub(crate) kind: EventKind,
    pub(crate) from: Option<ReceivedFrom>,
}

/// A request to an address.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Invitation {
    pub(crate) user: UserId,
    /// The address.
    pub(crate) address: ConnectionId,
    /// The invitation in the request, as text.
    pub(crate) request: String,
    /// The agent version of the envelope.
    pub(crate) created: Time,
}

/// A one-time link that is being read, or was. Under two keys: the link's, and once it is known the queue's.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct OneTimeLink {
    pub(crate) link_id: Vec<u8>,
    /// The key that secures the queue.
    pub(crate) key: AccessKey,
    /// When it was read first, for its expiry.
    pub(crate) day: u32,
}
