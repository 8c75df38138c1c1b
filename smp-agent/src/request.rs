//! What the agent asks of relays, and what they answer.
//!
//! The adapter executes each [`Request`] and gives its result back with the request's id, in any order, once. It opens the
//! connection a request needs when there is none, keeps it, and reports its end with [`RelayEvent::Disconnected`], after
//! the results of what was asked over it: a subscription that is reported later counts for the next connection. It
//! repeats nothing by itself, but for the one repetition through a proxy that lost its session (wire reference, section
//! 23): when to try again, and where, is decided here.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};
use smp_crypto::key::{AuthorizationKey, Ed25519PublicKey, Ed25519SecretKey, X25519PublicKey, X25519SecretKey};
use smp_proto::smp::recipient::QueueMode;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::policy::server::{Server, ServerPassword};
use crate::policy::session::SessionKey;

/// Names a request among those of one run of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Something to be done at a relay.
#[derive(Debug)]
pub struct Request {
    /// Comes back with the result.
    pub id: RequestId,
    /// The connection it belongs to: user, relay, and in entity mode what it is for.
    pub session: SessionKey,
    /// The proxy to send it through; `None` for a direct connection to the relay.
    pub proxy: Option<ServerAccess>,
    /// What is to be done.
    pub operation: Operation,
}

/// A relay of one's own choice, and the password it asks of its users.
#[derive(Clone)]
pub struct ServerAccess {
    /// The relay.
    pub server: Server,
    /// What it asks of who creates queues or uses it as a proxy.
    pub password: Option<ServerPassword>,
}

impl fmt::Debug for ServerAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerAccess(..)")
    }
}

/// A key that authorizes commands of one side of a queue: the seed of an Ed25519 key.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
pub struct AccessKey([u8; 32]);

impl AccessKey {
    /// Keeps a key.
    #[must_use]
    pub fn new(key: &Ed25519SecretKey) -> Self {
        Self(*key.as_bytes())
    }

    /// The key.
    #[must_use]
    pub fn secret(&self) -> Ed25519SecretKey {
        Ed25519SecretKey::from_bytes(&self.0)
    }

    /// The half that relays know.
    #[must_use]
    pub fn public(&self) -> Ed25519PublicKey {
        self.secret().public_key()
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// One side of a queue: the id this side knows it by, up to 255 bytes, and its key.
#[derive(Clone, PartialEq, Eq)]
pub struct QueueAccess {
    /// The id.
    pub id: Vec<u8>,
    /// The key.
    pub key: AccessKey,
}

impl fmt::Debug for QueueAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueueAccess(..)")
    }
}

/// An operation of a relay (wire reference of SMP, section 7).
#[derive(Debug)]
#[non_exhaustive]
pub enum Operation {
    /// `NEW`. Answered with [`Answer::Created`].
    CreateQueue(Box<NewQueue>),
    /// `SUB`, of up to [`SUBSCRIPTION_BATCH`](crate::SUBSCRIPTION_BATCH) queues. Answered with [`Answer::Each`], in the
    /// same order.
    Subscribe(Vec<QueueAccess>),
    /// `KEY`.
    Secure {
        /// The recipient's side.
        queue: QueueAccess,
        /// Who may send from now on.
        sender_key: AuthorizationKey,
    },
    /// `SKEY`: the sender sets its own key.
    SecureBySender {
        /// The sender's side.
        queue: QueueAccess,
    },
    /// `SEND`.
    Send {
        /// The sender's id of the queue.
        sender_id: Vec<u8>,
        /// The sender's key, once the queue is secured.
        key: Option<AccessKey>,
        /// Whether the recipient's device shall be woken.
        notify: bool,
        /// The sealed envelope.
        body: Vec<u8>,
    },
    /// `ACK`.
    Acknowledge {
        /// The recipient's side.
        queue: QueueAccess,
        /// The message.
        message_id: Vec<u8>,
    },
    /// `OFF`.
    Suspend(QueueAccess),
    /// `DEL`.
    Delete(QueueAccess),
    /// `LSET`.
    SetLink {
        /// The recipient's side.
        queue: QueueAccess,
        /// The link's id.
        link_id: Vec<u8>,
        /// Its data.
        data: LinkData,
    },
    /// `LDEL`.
    DeleteLink(QueueAccess),
    /// `LKEY`: reads the data of an invitation and secures its queue. Answered with [`Answer::Link`].
    ReadInvitation {
        /// The link's id.
        link_id: Vec<u8>,
        /// The sender's key.
        key: AccessKey,
    },
    /// `LGET`: reads the data of a contact address. Answered with [`Answer::Link`].
    ReadAddress {
        /// The link's id.
        link_id: Vec<u8>,
    },
}

/// A queue to be created.
pub struct NewQueue {
    /// Authorizes the recipient's commands.
    pub key: AccessKey,
    /// Agrees with the relay's key on the encryption of messages on their last hop.
    pub delivery_key: X25519SecretKey,
    /// What the relay asks of who creates queues.
    pub password: Option<ServerPassword>,
    /// For one sender, or for everybody.
    pub mode: QueueMode,
    /// Whether to receive at once.
    pub subscribe: bool,
    /// Its link, from version 15 of the relay on. At earlier versions it is left out, and the answer has no link id.
    pub link: Option<NewLink>,
}

impl fmt::Debug for NewQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewQueue").field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// The link of a queue that is to be created (wire reference, section 9.4).
#[derive(Clone, Debug)]
pub struct NewLink {
    /// The correlation id of the transmission, which the sender's id follows from.
    pub correlation_id: [u8; 24],
    /// The link's id; `None` for an invitation, whose id the relay makes.
    pub link_id: Option<[u8; 24]>,
    /// Its data.
    pub data: LinkData,
}

/// Encrypted data of a link.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkData {
    /// The part that never changes.
    #[serde(with = "serde_bytes")]
    pub fixed: Vec<u8>,
    /// The part that may be replaced.
    #[serde(with = "serde_bytes")]
    pub user: Vec<u8>,
}

impl fmt::Debug for LinkData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkData(..)")
    }
}

/// What a relay answers.
#[derive(Debug)]
#[non_exhaustive]
pub enum Answer {
    /// It is done.
    Done,
    /// The queue was created.
    Created(CreatedQueue),
    /// Results of a batch, in its order.
    Each(Vec<Result<(), Failure>>),
    /// The data of a link.
    Link {
        /// The sender's id of its queue.
        sender_id: Vec<u8>,
        /// The data.
        data: LinkData,
    },
}

/// A queue that was created.
#[derive(Clone)]
pub struct CreatedQueue {
    /// The recipient's id.
    pub recipient_id: Vec<u8>,
    /// The sender's id.
    pub sender_id: Vec<u8>,
    /// The relay's half of the encryption of the last hop.
    pub relay_key: X25519PublicKey,
    /// What the queue is for; `None` when the session's version is below 9: its sender cannot secure it.
    pub mode: Option<QueueMode>,
    /// The id of its link, if it has one.
    pub link_id: Option<Vec<u8>>,
}

impl fmt::Debug for CreatedQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedQueue").field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// Who reports a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reporter {
    /// The relay, or the own connection to it.
    Relay,
    /// The proxy, or the own connection to it.
    Proxy,
    /// The proxy, about its connection to the relay.
    ProxyAboutRelay,
}

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Who says so.
    pub by: Reporter,
    /// What happened.
    pub reason: Reason,
}

/// What made an operation fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Reason {
    /// No connection, or it broke. The operation may have been executed.
    Network,
    /// No answer in time. The operation may have been executed.
    Timeout,
    /// The relay, or the proxy, cannot serve now: its storage failed, it is restarting.
    Unavailable,
    /// The proxy has lost its session with the relay.
    NoSession,
    /// No host of the address can be reached from here.
    Host,
    /// No version in common, or the version in common does not have the operation.
    Version,
    /// It is not the relay of the address: somebody may be in between.
    Identity,
    /// `AUTH`: no such queue, another key, suspended, or a password is wanted.
    NotAuthorized,
    /// The queue is full.
    Quota,
    /// The message is too large.
    TooLarge,
    /// There is no message to acknowledge.
    NoMessage,
    /// `BLOCKED`: the operator of the relay blocked the queue. It may be opened again.
    Blocked(Blocked),
    /// The relay answered something that is no answer to this.
    Unexpected,
    /// The relay refused for another reason.
    Refused,
}

/// What the operator of a relay says of a queue that it blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// Why.
    pub reason: BlockingReason,
    /// What users shall be told of the relay, from version 18 of the session on.
    pub notice: Option<Notice>,
}

/// Why an operator blocked a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlockingReason {
    /// Unwanted messages.
    Spam,
    /// What was sent or shown through it.
    Content,
}

/// An operator's notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// For how many seconds it holds; `None` for good.
    pub ttl: Option<i64>,
}

impl Failure {
    /// Why the operator of the relay blocked the queue it is about, if that is what failed.
    #[must_use]
    pub const fn blocked(&self) -> Option<Blocked> {
        match (self.by, self.reason) {
            (Reporter::Relay, Reason::Blocked(blocked)) => Some(blocked),
            _ => None,
        }
    }

    /// A failure of the relay, or of the own connection to it.
    #[must_use]
    pub const fn of_relay(reason: Reason) -> Self {
        Self { by: Reporter::Relay, reason }
    }

    /// Whether the same operation may succeed later without anybody changing anything.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(
            self.reason,
            Reason::Network | Reason::Timeout | Reason::Unavailable | Reason::NoSession | Reason::Unexpected
        )
    }

    /// Whether the relay cannot be reached from here at all, or not with these versions: temporary for what is delivered
    /// in the background, and a reason to go another way.
    #[must_use]
    pub const fn is_of_host(&self) -> bool {
        matches!(self.reason, Reason::Host | Reason::Version)
    }

    /// Whether what is done in the background is tried again after this failure: it may succeed when it is.
    ///
    /// Beside what is temporary and what is of the host, that is whatever a proxy says, since another one may do better and
    /// none may decide what becomes of a message, and a wrong identity, which everybody shows who stands in the way for a
    /// while: the page of a network that wants a password is enough.
    #[must_use]
    pub const fn is_tried_again(&self) -> bool {
        !matches!(self.by, Reporter::Relay)
            || self.is_temporary()
            || self.is_of_host()
            || matches!(self.reason, Reason::Identity)
    }

    /// Whether it is known that the operation was not executed.
    #[must_use]
    pub const fn is_not_executed(&self) -> bool {
        !matches!(self.reason, Reason::Network | Reason::Timeout | Reason::Unavailable | Reason::Unexpected)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.reason {
            Reason::Network => "the connection failed",
            Reason::Timeout => "no answer in time",
            Reason::Unavailable => "cannot serve now",
            Reason::NoSession => "the proxy lost its session",
            Reason::Host => "no host can be reached from here",
            Reason::Version => "no version in common",
            Reason::Identity => "not the relay of the address",
            Reason::NotAuthorized => "refused (AUTH)",
            Reason::Quota => "the queue is full",
            Reason::TooLarge => "the message is too large",
            Reason::NoMessage => "no message to acknowledge",
            Reason::Blocked(Blocked { reason: BlockingReason::Spam, .. }) => "the operator blocked the queue as spam",
            Reason::Blocked(Blocked { reason: BlockingReason::Content, .. }) => {
                "the operator blocked the queue for its content"
            }
            Reason::Unexpected => "answered something else",
            Reason::Refused => "refused",
        })?;
        f.write_str(match self.by {
            Reporter::Relay => "",
            Reporter::Proxy => " (proxy)",
            Reporter::ProxyAboutRelay => " (between proxy and relay)",
        })
    }
}

impl core::error::Error for Failure {}

/// What a relay says without being asked, or what happened to a connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum RelayEvent {
    /// `MSG`: a message. The queue's next one comes after this one was acknowledged.
    Message(Box<Delivery>),
    /// `END`: another connection subscribed to the queue.
    SubscriptionEnded {
        /// The connection it came over.
        session: SessionKey,
        /// The recipient's id of the queue.
        queue: Vec<u8>,
    },
    /// `DELD`: the queue was deleted.
    QueueDeleted {
        /// The connection it came over.
        session: SessionKey,
        /// The recipient's id of the queue.
        queue: Vec<u8>,
    },
    /// `ERR BLOCKED`: the operator of the relay has blocked the queue.
    QueueBlocked {
        /// The connection it came over.
        session: SessionKey,
        /// The recipient's id of the queue.
        queue: Vec<u8>,
        /// Why.
        blocked: Blocked,
    },
    /// The connection ended, and with it its subscriptions. Requests that were under way fail by themselves.
    Disconnected(SessionKey),
}

/// A message as the relay delivered it, encrypted by the relay to the recipient.
pub struct Delivery {
    /// The relay.
    pub server: Server,
    /// The connection it came over.
    pub session: SessionKey,
    /// The recipient's id of the queue.
    pub queue: Vec<u8>,
    /// The message's id at the relay.
    pub message_id: Vec<u8>,
    /// The encrypted body.
    pub body: Vec<u8>,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Delivery({} bytes)", self.body.len())
    }
}
