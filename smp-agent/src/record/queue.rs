//! The two ends of queues.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use smp_crypto::key::{SharedSecret, X25519PublicKey, X25519SecretKey};
use smp_crypto::secret_box::BoxKey;
use smp_proto::id::QueueId;
use smp_proto::smp::recipient::QueueMode;
use smp_proto::uri::QueueAddress;
use smp_proto::version::ClientVersion;

use super::Secret;
use crate::id::{EventId, MessageId};
use crate::policy::server::Server;
use crate::request::{AccessKey, Blocked, LinkData, QueueAccess};
use crate::time::Time;

/// What a queue is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Mode {
    Messaging,
    Contact,
}

impl From<QueueMode> for Mode {
    fn from(mode: QueueMode) -> Self {
        match mode {
            QueueMode::Messaging => Self::Messaging,
            QueueMode::Contact => Self::Contact,
        }
    }
}

impl From<Mode> for QueueMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Messaging => Self::Messaging,
            Mode::Contact => Self::Contact,
        }
    }
}

/// How far a queue has come (wire reference, section 11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum QueueStatus {
    New,
    Confirmed,
    Secured,
    Active,
}

/// Where a receive queue is in a move (section 18): the old one in the first two and the fourth, the new one's progress
/// shows in its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ReceiveSwitch {
    /// The new queue is being created.
    Started,
    /// QADD was sent.
    SendingAdd,
    /// QUSE was sent.
    SendingUse,
    /// A message came through the new queue.
    ReceivedMessage,
    /// It moves when another queue of the connection has moved.
    Waiting,
}

/// Where a send queue is in a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SendSwitch {
    /// QKEY was sent.
    SendingKey,
    /// QTEST was sent.
    SendingTest,
}

/// What is known of the last message of a receive queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Acknowledgement {
    /// The message's id at the relay.
    pub(crate) message_id: Vec<u8>,
    /// The event the application has to acknowledge first.
    pub(crate) event: Option<EventId>,
}

/// The short link of an own queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QueueLink {
    /// The link's id; empty as long as the relay has not told it.
    pub(crate) id: Vec<u8>,
    /// The key in the link.
    pub(crate) key: Secret,
    /// Signs the link's data.
    pub(crate) root_key: Secret,
    /// The data on its way to the relay; once that has it, only the part that is sent again with later changes.
    pub(crate) data: LinkData,
    /// Whether the relay has the data.
    pub(crate) stored: bool,
    /// Whether the relay has earlier data as long as it does not have this.
    pub(crate) replaces: bool,
    /// Whether it is to be deleted.
    pub(crate) deleting: bool,
    /// The correlation id of NEW, for a queue that is created with a link.
    pub(crate) correlation_id: Option<[u8; 24]>,
    /// Whether it was told before its queue was created, which is created with this link or not at all.
    pub(crate) prepared: bool,
}

impl QueueLink {
    /// The relay has the data: it will give it to whoever has the link, and need not be kept here.
    pub(crate) fn keep_stored(&mut self) {
        self.data.user = Vec::new();
        self.stored = true;
        self.replaces = false;
        self.correlation_id = None;
        self.prepared = false;
    }
}

/// A queue this side receives from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReceiveQueue {
    /// Names it among the queues of the connection, both directions; never reused.
    pub(crate) number: u32,
    pub(crate) server: Server,
    /// Authorizes commands.
    pub(crate) key: AccessKey,
    /// Agrees on the encryption of the last hop; the agreed secret once the relay's key is known.
    pub(crate) delivery: Secret,
    /// The private half of the key in the address.
    pub(crate) envelope_key: Secret,
    /// The recipient's id; empty as long as the queue is not created.
    pub(crate) recipient_id: Vec<u8>,
    /// The sender's id; empty as long as it is not known.
    pub(crate) sender_id: Vec<u8>,
    pub(crate) mode: Option<Mode>,
    /// What is agreed with the sender.
    pub(crate) envelope_secret: Option<Secret>,
    /// The version of envelopes.
    pub(crate) version: u16,
    pub(crate) status: QueueStatus,
    /// The sender's key, as SubjectPublicKeyInfo, which the relay shall be told.
    pub(crate) secure_with: Option<Vec<u8>>,
    pub(crate) primary: bool,
    /// The queue it takes the place of.
    pub(crate) replaces: Option<u32>,
    /// Whether it was added to a connection that had others, and takes the place of none.
    pub(crate) is_added: bool,
    /// Whether the peer has still to say QTEST, which it sends when it begins to use the queue.
    pub(crate) untested: bool,
    pub(crate) switch: Option<ReceiveSwitch>,
    pub(crate) link: Option<QueueLink>,
    /// The last message that was taken from it.
    pub(crate) last: Option<Acknowledgement>,
    /// Whether the relay is to be told that the last message was taken.
    pub(crate) acknowledging: bool,
    /// The last message that told the sender that there is room again.
    pub(crate) continue_message: Option<MessageId>,
    /// Whether it is subscribed to as soon as possible.
    pub(crate) subscribe: bool,
    /// Whether it is to be deleted at the relay.
    pub(crate) deleting: bool,
    /// How often that failed.
    pub(crate) failed_deletions: u8,
    /// Relays that did not create it.
    pub(crate) tried: Vec<Server>,
    /// Whether the relay shall refuse messages from now on; `Some(true)` when it does.
    pub(crate) suspended: Option<bool>,
    /// The number of its last message, which waits for earlier ones of other queues.
    pub(crate) held: Option<i64>,
    /// Why the operator of its relay has blocked it, as the application was told.
    pub(crate) blocked: Option<Blocked>,
    /// When it was wanted, then when its relay made it, and later when the connection was made, or when another one took its
    /// place.
    pub(crate) since: Time,
}

impl ReceiveQueue {
    /// Whether it exists at its relay.
    pub(crate) fn is_created(&self) -> bool {
        !self.recipient_id.is_empty()
    }

    /// Whether its link was told before it was created.
    pub(crate) fn is_prepared(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.prepared)
    }

    /// Whether the peer has still to learn of it, or to use it for the first time.
    pub(crate) fn is_coming(&self) -> bool {
        self.replaces.is_some() || self.is_added
    }

    /// Whether another one has taken its place.
    pub(crate) fn is_old(&self) -> bool {
        self.switch == Some(ReceiveSwitch::ReceivedMessage)
    }

    /// Whether it is to be counted on.
    pub(crate) fn stays(&self) -> bool {
        !self.deleting && !self.is_old() && self.replaces.is_none()
    }

    pub(crate) fn access(&self) -> QueueAccess {
        QueueAccess { id: self.recipient_id.clone(), key: self.key.clone() }
    }

    pub(crate) fn delivery_key(&self) -> BoxKey {
        BoxKey::from(&SharedSecret::from_bytes(self.delivery.0))
    }

    pub(crate) fn envelope_key(&self) -> X25519SecretKey {
        X25519SecretKey::from_bytes(&self.envelope_key.0)
    }

    /// The address for its sender.
    pub(crate) fn address(&self) -> Option<QueueAddress<'_>> {
        Some(QueueAddress {
            server: self.server.address(),
            sender_id: QueueId::new(&self.sender_id).ok()?,
            dh_key: self.envelope_key().public_key(),
            mode: self.mode.map(QueueMode::from),
        })
    }
}

/// A queue this side sends to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SendQueue {
    /// Names it among the queues of the connection, both directions; never reused.
    pub(crate) number: u32,
    pub(crate) server: Server,
    /// The sender's id.
    pub(crate) sender_id: Vec<u8>,
    /// The recipient's key in the address.
    pub(crate) recipient_key: [u8; 32],
    /// Authorizes messages.
    pub(crate) key: AccessKey,
    /// The own public key, in the header of the first message.
    pub(crate) envelope_public: [u8; 32],
    /// What is agreed with the recipient.
    pub(crate) envelope_secret: Secret,
    /// The version of envelopes.
    pub(crate) version: u16,
    pub(crate) mode: Option<Mode>,
    pub(crate) status: QueueStatus,
    pub(crate) primary: bool,
    /// The queue it takes the place of.
    pub(crate) replaces: Option<u32>,
    pub(crate) switch: Option<SendSwitch>,
    /// The last message that told the recipient of the keys for it.
    pub(crate) key_message: Option<MessageId>,
    /// When it was full last, and since when: nothing of it can be told from the relay otherwise.
    pub(crate) full_since: Option<Time>,
    /// Nothing can be sent to it any more.
    pub(crate) disabled: bool,
    /// Why the operator of its relay has blocked it, as the application was told.
    pub(crate) blocked: Option<Blocked>,
}

impl SendQueue {
    /// Whether its sender sets the key itself.
    pub(crate) fn is_messaging(&self) -> bool {
        self.mode == Some(Mode::Messaging)
    }

    /// Whether SKEY has to come before the first message.
    pub(crate) fn wants_key(&self) -> bool {
        self.is_messaging() && self.status == QueueStatus::New && !self.disabled && self.switch.is_none()
    }

    /// Whether messages can be left to it: it is secured, or its sender is about to do that.
    pub(crate) fn is_usable(&self) -> bool {
        !self.disabled
            && self.switch != Some(SendSwitch::SendingKey)
            && (self.status != QueueStatus::New || self.is_messaging())
    }

    pub(crate) fn box_key(&self) -> BoxKey {
        BoxKey::from(&SharedSecret::from_bytes(self.envelope_secret.0))
    }

    pub(crate) fn access(&self) -> QueueAccess {
        QueueAccess { id: self.sender_id.clone(), key: self.key.clone() }
    }

    pub(crate) fn client_version(&self) -> ClientVersion {
        ClientVersion(self.version)
    }

    pub(crate) fn public_key(&self) -> X25519PublicKey {
        X25519PublicKey(self.envelope_public)
    }
}
