//! The side that sends: follows the peer to a new queue.
//!
//! All that waits for the old queue is also given to the new one before QTEST: when that has arrived, the old one can be
//! dropped and nothing is lost, whether its relay ever comes back or not.

use alloc::vec;
use alloc::vec::Vec;

use rand_core::CryptoRng;
use smp_proto::agent::{AddedQueue, Message, QueueKey, QueueReference, QueueUse};
use smp_proto::id::QueueId;
use smp_proto::key::{AuthorizationKey, X25519PublicKey};
use smp_proto::smp::recipient::QueueMode;
use smp_proto::uri::{QueueAddress, QueueInfo};
use smp_proto::wire::NonEmptyList;

use super::find_send_queue;
use crate::MAX_RECEIVE_QUEUES;
use crate::agent::deliver::redundancy;
use crate::agent::enqueue::Manner;
use crate::agent::{Agent, Result};
use crate::error::{ConnectionError, Error};
use crate::event::SwitchPhase;
use crate::id::{ConnectionId, MessageId};
use crate::policy::server::Server;
use crate::record::{Connection, Mode, OutgoingKind, QueueStatus, ReplyQueue, SendQueue, SendSwitch};
use crate::storage::Storage;

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    /// QADD: the peer has a new queue. As everywhere only the first of a list counts.
    pub(in crate::agent) fn take_added_queues(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        queues: &NonEmptyList<'_, AddedQueue<'_>>,
    ) -> Result<(), S> {
        let Some(added) = queues.iter().next() else { return Ok(()) };
        let address = added.queue.queue();
        if let Some(known) = find_send_queue(connection, &QueueReference::from(&address)) {
            // Said twice. Perhaps the peer has not got the answer.
            let waits = connection.send_queue(known).is_some_and(|queue| queue.switch == Some(SendSwitch::SendingKey));
            return if waits { self.send_queue_key(id, connection, known) } else { Ok(()) };
        }
        let known = self.configuration.redundancy_known;
        let replaced = match &added.replaced {
            None if known => None,
            None => return self.fail(id, ConnectionError::Queue),
            Some(reference) => match find_send_queue(connection, reference) {
                // It has been given up here, others have not.
                None if known && connection.redundant_peer => None,
                None => return self.fail(id, ConnectionError::Queue),
                replaced => replaced,
            },
        };
        connection.redundant_peer |= added.replaced.is_none();
        let Some(versions) = added.queue.versions().intersection(&self.configuration.client_versions) else {
            return self.fail(id, ConnectionError::Version);
        };
        // An earlier attempt to move the same queue was given up.
        let earlier = connection.send_queues.iter().filter(|queue| replaced.is_some() && queue.replaces == replaced);
        for number in earlier.map(|queue| queue.number).collect::<Vec<_>>() {
            self.withdraw_given_up(id, connection, number)?;
        }
        if replaced.is_none() {
            // The same for additions: there is one at a time.
            let coming = connection
                .send_queues
                .iter()
                .filter(|queue| queue.switch == Some(SendSwitch::SendingKey) && queue.replaces.is_none());
            for number in coming.map(|queue| queue.number).collect::<Vec<_>>() {
                self.withdraw_given_up(id, connection, number)?;
            }
        }
        let server = Server::try_from(&address.server);
        let (Ok(server), true) = (server, connection.send_queues.len() < 2 * usize::from(MAX_RECEIVE_QUEUES)) else {
            return self.fail(id, ConnectionError::Queue);
        };
        let queue = ReplyQueue {
            version: versions.max().0,
            server,
            sender_id: address.sender_id.as_bytes().to_vec(),
            recipient_key: address.dh_key.0,
            mode: address.mode.map(Mode::from),
        };
        let Some(number) = self.new_send_queue(connection, &queue) else {
            return self.fail(id, ConnectionError::Crypto);
        };
        if let Some(queue) = connection.send_queue_mut(number) {
            queue.replaces = replaced;
            queue.primary = false;
            queue.switch = Some(SendSwitch::SendingKey);
        }
        if replaced.is_some() {
            self.switched(id, connection, false, SwitchPhase::Started)?;
        }
        self.send_queue_key(id, connection, number)
    }

    /// Forgets a queue that the peer has given up for another one. As long as its QKEY waits it keeps its place, of which there
    /// are few: a peer that adds one queue after the other fills nothing.
    fn withdraw_given_up(&mut self, id: ConnectionId, connection: &mut Connection, number: u32) -> Result<(), S> {
        let message = connection.send_queue(number).and_then(|queue| queue.key_message);
        if self.is_waiting(id, message)? { Ok(()) } else { self.withdraw_send_queue(id, connection, number) }
    }

    /// QKEY.
    fn send_queue_key(&mut self, id: ConnectionId, connection: &mut Connection, number: u32) -> Result<(), S> {
        let Some(queue) = connection.send_queue(number).cloned() else { return Ok(()) };
        // A peer that asks again and again fills nothing; nor would it read what follows the keys for a new ratchet under the
        // old one. It asks again then.
        if self.is_waiting(id, queue.key_message)? || !self.is_synchronized(connection) {
            return Ok(());
        }
        let address = QueueAddress {
            server: queue.server.address(),
            sender_id: QueueId::new(&queue.sender_id).map_err(|_| Error::Record)?,
            dh_key: X25519PublicKey(queue.envelope_public),
            mode: queue.mode.map(QueueMode::from),
        };
        let info = QueueInfo { version: queue.client_version(), queue: address };
        let keys = [QueueKey { queue: info, sender_key: AuthorizationKey::Ed25519(queue.key.public()) }];
        let keys = NonEmptyList::new(&keys).map_err(|_| Error::Record)?;
        let kind = OutgoingKind::QueueKey { queue: number };
        let message = self.send_message(id, connection, kind, Message::QueueKeys(keys), Manner::QUIET)?;
        if let Some(queue) = connection.send_queue_mut(number) {
            queue.key_message = Some(message);
        }
        Ok(())
    }

    /// QKEY has waited for too long.
    pub(in crate::agent) fn say_key_again(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        number: u32,
    ) -> Result<(), S> {
        let waits = connection.send_queue(number).is_some_and(|queue| queue.switch == Some(SendSwitch::SendingKey));
        match waits {
            true if is_given_up(connection, number) => self.withdraw_send_queue(id, connection, number),
            true => self.send_queue_key(id, connection, number),
            false => Ok(()),
        }
    }

    /// QKEY is at the peer's relay.
    pub(in crate::agent) fn queue_key_delivered(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        number: u32,
        first: bool,
    ) -> Result<(), S> {
        if is_given_up(connection, number) {
            return self.withdraw_send_queue(id, connection, number);
        }
        let moved = connection.send_queue(number).is_some_and(|queue| queue.replaces.is_some());
        if first && moved { self.switched(id, connection, false, SwitchPhase::Confirmed) } else { Ok(()) }
    }

    /// QUSE: the new queue is secured.
    pub(in crate::agent) fn take_used_queues(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        queues: &NonEmptyList<'_, QueueUse<'_>>,
    ) -> Result<(), S> {
        let Some(used) = queues.iter().next() else { return Ok(()) };
        let Some(number) = find_send_queue(connection, &used.queue) else {
            return self.fail(id, ConnectionError::Queue);
        };
        let Some(queue) = connection.send_queue_mut(number) else { return Ok(()) };
        if queue.switch != Some(SendSwitch::SendingKey) {
            // Said twice.
            return Ok(());
        }
        queue.switch = Some(SendSwitch::SendingTest);
        queue.status = QueueStatus::Secured;
        let replaced = queue.replaces;
        self.copy_waiting(id, connection, number, replaced)?;
        self.send_queue_test(id, connection, number)?;
        if replaced.is_some() {
            self.switched(id, connection, false, SwitchPhase::Secured)?;
        }
        Ok(())
    }

    /// QTEST.
    fn send_queue_test(&mut self, id: ConnectionId, connection: &mut Connection, number: u32) -> Result<(), S> {
        let Some(copy) = connection.send_queue(number).cloned() else { return Ok(()) };
        let sender_id = QueueId::new(&copy.sender_id).map_err(|_| Error::Record)?;
        let tested = [QueueReference { server: copy.server.address(), sender_id }];
        let tested = NonEmptyList::new(&tested).map_err(|_| Error::Record)?;
        let kind = OutgoingKind::TestQueue { queue: number };
        let mut queues = vec![number];
        if connection.redundant_peer {
            // It has a number like any message: were it in the new queue only, later ones would be there before it.
            let others = self.send_queues(id, connection);
            queues.extend(others.into_iter().filter(|queue| *queue != number && Some(*queue) != copy.replaces));
        }
        self.send_message_to(id, connection, kind, Message::TestQueues(tested), Manner::QUIET, &queues).map(drop)
    }

    /// QTEST has waited for too long.
    pub(in crate::agent) fn say_test_again(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        number: u32,
    ) -> Result<(), S> {
        let waits = connection.send_queue(number).is_some_and(|queue| queue.switch == Some(SendSwitch::SendingTest));
        // Under another ratchet the next message does as well.
        if waits && self.is_synchronized(connection) { self.send_queue_test(id, connection, number) } else { Ok(()) }
    }

    /// Lets a queue wait for all that waits for the one it replaces, or for any other.
    fn copy_waiting(
        &mut self,
        id: ConnectionId,
        connection: &Connection,
        number: u32,
        replaced: Option<u32>,
    ) -> Result<(), S> {
        let from = connection.send_queues.iter().map(|queue| queue.number);
        let from = from.filter(|queue| *queue != number && replaced.is_none_or(|replaced| *queue == replaced));
        let mut messages: Vec<MessageId> =
            from.filter_map(|queue| self.waiting.get(&(id, queue))).flatten().copied().collect();
        if let Some(waiting) = self.waiting.get(&(id, number)) {
            messages.retain(|message| waiting.binary_search(message).is_err());
        }
        messages.sort_unstable();
        messages.dedup();
        for message in messages {
            self.also_to(id, message, number)?;
        }
        Ok(())
    }

    /// QTEST is in the new queue.
    pub(in crate::agent) fn queue_test_delivered(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        number: u32,
    ) -> Result<(), S> {
        let Some(queue) = connection.send_queue_mut(number) else { return Ok(()) };
        if queue.switch != Some(SendSwitch::SendingTest) {
            return Ok(());
        }
        queue.switch = None;
        queue.status = QueueStatus::Active;
        let Some(replaced) = queue.replaces.take() else { return self.notify(redundancy(id, connection)) };
        let primary = connection.send_queue(replaced).is_some_and(|old| old.primary);
        if let Some(queue) = connection.send_queue_mut(number) {
            queue.primary |= primary;
        }
        self.withdraw_send_queue(id, connection, replaced)?;
        self.switched(id, connection, false, SwitchPhase::Completed)
    }
}

/// Whether the peer has told of another queue instead of one that comes.
fn is_given_up(connection: &Connection, number: u32) -> bool {
    let comes = |queue: &&SendQueue| queue.switch == Some(SendSwitch::SendingKey);
    let Some(queue) = connection.send_queue(number).filter(comes) else { return false };
    connection.send_queues.iter().filter(comes).any(|other| other.number > number && other.replaces == queue.replaces)
}
