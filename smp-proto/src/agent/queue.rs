//! Queues as agent messages name them: to refer to one, and to move a connection from one to another (wire reference
//! of the agent, sections 6 and 18).

use crate::address::ServerAddress;
use crate::id::QueueId;
use crate::key::AuthorizationKey;
use crate::uri::{QueueAddress, QueueInfo, QueueUri};
use crate::wire::{Decode, Encode, Error, Reader, Writer};

/// A queue that both parties know, by the relay that keeps it and by its sender's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueReference<'a> {
    /// The relay that keeps the queue.
    pub server: ServerAddress<'a>,
    /// The sender's name of the queue.
    pub sender_id: QueueId<'a>,
}

impl QueueReference<'_> {
    /// Whether both name the same queue. The fingerprint of the relay does not count.
    #[must_use]
    pub fn same_queue(&self, other: &QueueReference<'_>) -> bool {
        self.server.same_server(&other.server) && self.sender_id == other.sender_id
    }
}

impl<'a> From<&QueueAddress<'a>> for QueueReference<'a> {
    fn from(queue: &QueueAddress<'a>) -> Self {
        Self { server: queue.server, sender_id: queue.sender_id }
    }
}

impl<'a> Decode<'a> for QueueReference<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { server: reader.value()?, sender_id: reader.value()? })
    }
}

impl Encode for QueueReference<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.server)?;
        writer.value(&self.sender_id)
    }
}

/// A queue that its recipient adds to a connection: an item of QADD. It owns the address, in about half a kilobyte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedQueue<'a> {
    /// The new queue.
    pub queue: QueueUri,
    /// The queue it takes the place of.
    pub replaced: Option<QueueReference<'a>>,
}

impl<'a> Decode<'a> for AddedQueue<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { queue: reader.value()?, replaced: reader.value()? })
    }
}

impl Encode for AddedQueue<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.queue)?;
        writer.value(&self.replaced)
    }
}

/// A sender's keys for a queue that was added: an item of QKEY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueKey<'a> {
    /// The queue as it was added, at the version the sender chose, with the sender's key of the encryption in the place
    /// of the recipient's.
    pub queue: QueueInfo<'a>,
    /// The key to secure the queue with.
    pub sender_key: AuthorizationKey,
}

impl<'a> Decode<'a> for QueueKey<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { queue: reader.value()?, sender_key: reader.value()? })
    }
}

impl Encode for QueueKey<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.queue)?;
        writer.value(&self.sender_key)
    }
}

/// A queue that is ready to be used: an item of QUSE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueUse<'a> {
    /// The queue.
    pub queue: QueueReference<'a>,
    /// Whether messages are to go there first.
    pub primary: bool,
}

impl<'a> Decode<'a> for QueueUse<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { queue: reader.value()?, primary: reader.value()? })
    }
}

impl Encode for QueueUse<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.queue)?;
        writer.value(&self.primary)
    }
}
