//! What a relay says without being asked.

use std::fmt;

use smp_proto::id::{EntityId, MessageId, QueueId};

use super::RelayError;

/// An identifier to keep: the id of a queue or a message, up to 255 bytes. Printing it shows only its length.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(Vec<u8>);

impl Id {
    /// No bytes: what is about no queue.
    pub const EMPTY: Self = Self(Vec::new());

    /// Keeps an identifier; `None` for more than 255 bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (bytes.len() <= 255).then(|| Self(Vec::from(bytes)))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn entity(&self) -> EntityId<'_> {
        // Never longer than 255 bytes.
        EntityId::new(&self.0).unwrap_or(EntityId::EMPTY)
    }

    pub(crate) fn message(&self) -> MessageId<'_> {
        MessageId::new(&self.0).unwrap_or(MessageId::EMPTY)
    }

    pub(crate) fn queue(&self) -> QueueId<'_> {
        QueueId::new(&self.0).unwrap_or(QueueId::EMPTY)
    }
}

impl From<EntityId<'_>> for Id {
    fn from(id: EntityId<'_>) -> Self {
        Self(Vec::from(id.as_bytes()))
    }
}

impl From<QueueId<'_>> for Id {
    fn from(id: QueueId<'_>) -> Self {
        Self(Vec::from(id.as_bytes()))
    }
}

impl From<MessageId<'_>> for Id {
    fn from(id: MessageId<'_>) -> Self {
        Self(Vec::from(id.as_bytes()))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({} bytes)", self.0.len())
    }
}

/// A message as the relay delivered it, still encrypted by the relay to the recipient (wire reference, section 10.1).
/// [`ReceiveQueue::open`](super::ReceiveQueue::open) opens it.
#[derive(Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The recipient's id of the queue.
    pub queue: Id,
    /// The message's id, to be acknowledged.
    pub message_id: Id,
    /// The encrypted body.
    pub body: Box<[u8]>,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Delivery({} bytes)", self.body.len())
    }
}

/// Something the relay said without being asked, or that happened to the connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A message. The queue's next one comes after this one has been acknowledged.
    Message(Box<Delivery>),
    /// A message waits in a queue whose notifier this connection is. When more than 1,024 of them wait for the application,
    /// further ones are left out.
    Notification(Box<super::Notification>),
    /// Another connection has subscribed to the queue. Relays below version 10 also say so of a deleted queue.
    SubscriptionEnded(Id),
    /// The queue was deleted.
    QueueDeleted(Id),
    /// Something about a queue, such as that the operator blocked it; without an id, something about a block that could
    /// not be read.
    Error(Option<Id>, RelayError),
    /// The connection ended. This is the last event of a connection.
    Disconnected(super::ClientError),
    /// A [`ReconnectingClient`](super::ReconnectingClient) is connected, for the first time or again. Left out when the
    /// application is behind, as are the connection's end and [`Event::Waiting`].
    Connected,
    /// A [`ReconnectingClient`](super::ReconnectingClient) could not subscribe to a queue again, and will not try before
    /// the next connection.
    SubscriptionFailed(Id, super::ClientError),
    /// A [`ReconnectingClient`](super::ReconnectingClient) could not connect; it tries again after this pause.
    Waiting(super::ClientError, std::time::Duration),
}
