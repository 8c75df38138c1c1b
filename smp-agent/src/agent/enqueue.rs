//! Messages on their way into send queues: numbered, chained and given their place in the ratchet, in one transaction.

use alloc::vec;
use alloc::vec::Vec;

use rand_core::CryptoRng;
use smp_crypto::hash::sha256;
use smp_crypto::ratchet::{BodyKind, EncapsulationRequest, PreparedMessage, Sending};
use smp_proto::agent::{AgentMessage, Message};
use smp_proto::wire::Encode;

use super::{Agent, Result, Undo};
use crate::configuration::RedundancyPolicy;
use crate::error::{Error, Refusal};
use crate::id::{ConnectionId, MessageId};
use crate::record::{Connection, Outgoing, OutgoingKind};
use crate::storage::Storage;
use crate::table::Key;

/// Longer than any message.
const MAX_PLAINTEXT: usize = 16_384;

/// What a message asks of encapsulation, and of the peer's device.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    pub(super) encapsulation: EncapsulationRequest,
    pub(super) notify: bool,
}

impl Manner {
    /// What the user did not write, and nobody is to be woken for.
    pub(super) const QUIET: Self = Self { encapsulation: EncapsulationRequest::Unset, notify: false };
    /// What the user did not write, and the peer shall act on.
    pub(super) const URGENT: Self = Self { encapsulation: EncapsulationRequest::Unset, notify: true };
}

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    /// The queues a message goes to: the first one, and others that are ready (wire reference, section 11).
    pub(super) fn send_queues(&self, id: ConnectionId, connection: &Connection) -> Vec<u32> {
        let mut queues: Vec<_> = connection.send_queues.iter().filter(|queue| !queue.disabled).collect();
        // Primary queues first, and among them those that replace nothing.
        queues.sort_by_key(|queue| (!queue.primary, queue.replaces.is_some(), queue.number));
        if self.configuration.redundancy == RedundancyPolicy::First {
            queues.sort_by_key(|queue| (!queue.is_usable(), self.is_failing(id, queue.number)));
        }
        let mut numbers: Vec<u32> = Vec::new();
        for (place, queue) in queues.into_iter().enumerate() {
            let further = queue.is_usable()
                && (queue.replaces.is_some() || self.configuration.redundancy == RedundancyPolicy::All);
            if place == 0 || further {
                numbers.push(queue.number);
            }
        }
        numbers
    }

    /// Enqueues a numbered message for all queues.
    pub(super) fn send_message(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        kind: OutgoingKind,
        message: Message<'_>,
        manner: Manner,
    ) -> Result<MessageId, S> {
        let queues = self.send_queues(id, connection);
        self.send_message_to(id, connection, kind, message, manner, &queues)
    }

    /// Enqueues a numbered message for these queues.
    pub(super) fn send_message_to(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        kind: OutgoingKind,
        message: Message<'_>,
        manner: Manner,
        queues: &[u32],
    ) -> Result<MessageId, S> {
        let number = connection.sent_number.saturating_add(1);
        let previous_hash = connection.sent_hash.clone();
        let message = AgentMessage::Sequenced { number, previous_hash: &previous_hash, message };
        self.enqueue(id, connection, kind, &message, BodyKind::Message, manner, queues)
    }

    /// Enqueues what a ratchet encrypts.
    #[expect(clippy::too_many_arguments, reason = "each of them decides something else about the message")]
    pub(super) fn enqueue(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        kind: OutgoingKind,
        message: &AgentMessage<'_>,
        body: BodyKind,
        manner: Manner,
        queues: &[u32],
    ) -> Result<MessageId, S> {
        let mut buffer = vec![0; MAX_PLAINTEXT];
        let plaintext = message.to_slice(&mut buffer).map_err(|_| Refusal::TooLarge)?.to_vec();
        let padded = body.padded_length(connection.agent_version(), connection.post_quantum);
        if plaintext.len().saturating_add(2) > padded {
            return Err(Refusal::TooLarge.into());
        }
        let mut ratchet = self.ratchet(id)?.ok_or(Refusal::Prohibited)?;
        let sending =
            Sending { encapsulation: manner.encapsulation, max_version: self.configuration.ratchet_versions.max() };
        let prepared = ratchet.prepare(sending).map_err(|_| Refusal::Ratchet(connection.sync))?;
        self.save_ratchet(id, &ratchet)?;
        let mut stored = vec![0; PreparedMessage::MAX_SERIALIZED_LENGTH];
        let stored = prepared.to_bytes(&mut stored).map_err(|_| Error::Record)?.to_vec();
        let padded = u16::try_from(padded).map_err(|_| Error::Record)?;
        self.put_outgoing(id, connection, kind, plaintext, (stored, padded), manner.notify, queues)
    }

    /// Stores a message and lets it wait for its queues. It takes the next number, whatever becomes of it.
    #[expect(clippy::too_many_arguments, reason = "the parts of a record")]
    pub(super) fn put_outgoing(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        kind: OutgoingKind,
        plaintext: Vec<u8>,
        (prepared, padded): (Vec<u8>, u16),
        notify: bool,
        queues: &[u32],
    ) -> Result<MessageId, S> {
        let number = connection.sent_number.saturating_add(1);
        let hash = sha256(&[&plaintext]);
        connection.sent_number = number;
        connection.sent_hash = hash.to_vec();
        let message = connection.next_message();
        let waiting = u8::try_from(queues.len()).map_err(|_| Error::Record)?;
        let outgoing = Outgoing {
            kind,
            number,
            hash,
            created: self.now,
            notify,
            plaintext,
            prepared,
            padded,
            waiting,
            delivered: false,
            back_off: None,
        };
        self.transaction.put(&Key::outgoing(id, message), &outgoing)?;
        for queue in queues {
            self.transaction.put(&Key::delivery(id, *queue, message), &())?;
            self.insert_waiting(id, *queue, message);
            self.undo.push(Undo::Waits(id, *queue, message));
        }
        Ok(message)
    }

    /// Whether a message was not delivered to all queues yet.
    pub(super) fn is_waiting(&mut self, id: ConnectionId, message: Option<MessageId>) -> Result<bool, S> {
        match message {
            Some(message) => Ok(self.transaction.bytes(&Key::outgoing(id, message))?.is_some()),
            None => Ok(false),
        }
    }

    /// Makes a further queue wait for a message that waits already.
    pub(super) fn also_to(&mut self, id: ConnectionId, message: MessageId, queue: u32) -> Result<(), S> {
        let Some(mut outgoing) = self.transaction.get::<Outgoing>(&Key::outgoing(id, message))? else { return Ok(()) };
        outgoing.waiting = outgoing.waiting.saturating_add(1);
        self.transaction.put(&Key::outgoing(id, message), &outgoing)?;
        self.transaction.put(&Key::delivery(id, queue, message), &())?;
        self.insert_waiting(id, queue, message);
        self.undo.push(Undo::Waits(id, queue, message));
        Ok(())
    }
}
