//! Why a command is refused, what goes wrong with connections, and what ends an agent.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::event::RatchetSync;
use crate::request::Failure;

/// Why a command is refused, or that the storage failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error<E> {
    /// The command is refused; nothing changed.
    Refused(Refusal),
    /// The storage failed: the agent is of no use any more. Make a new one from the storage.
    Storage(E),
    /// A record of the storage cannot be read: it is damaged, or of a later release.
    Record,
    /// An earlier call failed with one of the last two.
    Stopped,
}

/// Why a command is refused. Nothing changed. All are permanent: the same command is refused again until something else
/// changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no such connection.
    NoConnection,
    /// There is no such request, or it was accepted or rejected.
    NoInvitation,
    /// There is no such event, or it was acknowledged.
    NoEvent,
    /// There is no such message.
    NoMessage,
    /// The user has no relay to create a queue at, or none to send through where the routing wants a proxy.
    NoServer,
    /// The connection is not at the point, or not of the kind, for this.
    Prohibited,
    /// The link is none, or of a kind that is not known.
    Link,
    /// The link asks for versions that are not spoken here.
    Version,
    /// The message, the information or the link's data is too long.
    TooLarge,
    /// The ratchet has to be synchronised first; its state is given.
    Ratchet(RatchetSync),
    /// The connection has as many receive queues as it can have.
    TooManyQueues,
}

/// What went wrong with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ConnectionError {
    /// A relay refused what the connection needs.
    Relay(Failure),
    /// The initiator's queue does not take the answer: the invitation was used by somebody else, or is gone
    /// (`NOT_AVAILABLE`).
    NotAvailable,
    /// The joiner's queue does not take the initiator's answer (`NOT_ACCEPTED`).
    NotAccepted,
    /// The data behind a link cannot be trusted or read (`A_LINK`).
    Link(LinkProblem),
    /// The peer speaks no version that is spoken here (`A_VERSION`).
    Version,
    /// A message cannot be read (`A_MESSAGE`); it was dropped.
    Message,
    /// A message is not allowed at this point (`A_PROHIBITED`); it was dropped.
    Prohibited,
    /// The encryption of a queue or of the ratchet does not open (`A_CRYPTO`); the message was dropped.
    Crypto,
    /// A message came a second time after it was forgotten (`A_DUPLICATE`); it was dropped.
    Duplicate,
    /// A queue that the peer speaks of is not known, or not in the state for it (`A_QUEUE`).
    Queue,
    /// Re-synchronisation failed and has to be started anew (`RATCHET_SYNC`).
    RatchetSync,
    /// What waited to be sent is lost, as the connection's queue at the relay is gone.
    QueueGone,
    /// The user has no relay any more to create a queue at, or to send through.
    NoServer,
    /// What this user shall be known by does not fit beside the queues of the connection.
    TooLarge,
    /// A link that was told before its queue was made leads nowhere: the relay did not make the queue, or not the one
    /// that the link leads to.
    PreparedLink(Failure),
}

/// What is wrong with the data behind a link (wire reference, section 9.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum LinkProblem {
    /// The data belongs to another link.
    Hash,
    /// The fixed data is not signed by its root key.
    FixedSignature,
    /// The user data is not signed by the root key or an owner.
    UserSignature,
    /// The owners' chain is broken.
    Owner,
    /// The data is of another queue than the relay says.
    Address,
    /// The data cannot be decrypted or read.
    Format,
    /// The address takes no requests itself, only the relays it lists do.
    Indirect,
}

impl<E> From<Refusal> for Error<E> {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Storage(error) => write!(f, "the storage failed: {error}"),
            Self::Record => f.write_str("a record of the storage cannot be read"),
            Self::Stopped => f.write_str("the agent stopped when its storage failed"),
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Storage(error) => Some(error),
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoConnection => "there is no such connection",
            Self::NoInvitation => "there is no such request",
            Self::NoEvent => "there is no such event",
            Self::NoMessage => "there is no such message",
            Self::NoServer => "no relay is configured to receive at, or to send through",
            Self::Prohibited => "the connection does not allow this now",
            Self::Link => "this is not a link",
            Self::Version => "the link asks for versions that are not known here",
            Self::TooLarge => "too long",
            Self::Ratchet(_) => "the encryption has to be synchronised with the peer first",
            Self::TooManyQueues => "the connection has as many receive queues as it can have",
        })
    }
}

impl core::error::Error for Refusal {}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Relay(failure) => return write!(f, "the relay: {failure}"),
            Self::NotAvailable => "the invitation is not available any more",
            Self::NotAccepted => "the peer does not accept the connection any more",
            Self::Link(LinkProblem::Indirect) => "the address takes no requests itself, only the relays it lists do",
            Self::Link(_) => "the data behind the link cannot be trusted",
            Self::Version => "the peer speaks no version that is known here",
            Self::Message => "a message could not be read",
            Self::Prohibited => "a message was not allowed",
            Self::Crypto => "a message could not be decrypted",
            Self::Duplicate => "a message came a second time",
            Self::Queue => "the peer speaks of a queue that is not known",
            Self::RatchetSync => "the encryption could not be synchronised",
            Self::TooLarge => "the information about oneself is too long",
            Self::PreparedLink(failure) => return write!(f, "the link leads nowhere, as the relay: {failure}"),
            Self::QueueGone => "a queue is gone",
            Self::NoServer => "no relay is configured to receive at, or to send through",
        })
    }
}

impl core::error::Error for ConnectionError {}
