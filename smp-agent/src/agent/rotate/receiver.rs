//! The side that receives: makes a new queue, tells the peer of it, and gives the old one up when it is empty.
//!
//! How far a move is shows in the old queue, how far an addition is in the new one. The old queue is not deleted as soon as
//! the new one is in use: messages may wait in it that are nowhere else, because the application has not dealt with those
//! before them. It goes on receiving until it is seen to be empty, and `order.rs` keeps the messages of both in their order.

use alloc::vec::Vec;

use rand_core::CryptoRng;
use smp_crypto::key::X25519PublicKey;
use smp_proto::agent::{AddedQueue, Message, QueueKey, QueueReference, QueueUse};
use smp_proto::uri::QueueUri;
use smp_proto::wire::NonEmptyList;

use super::find_receive_queue;
use crate::agent::enqueue::Manner;
use crate::agent::order::sooner;
use crate::agent::receive::spki;
use crate::agent::{Agent, Result};
use crate::command::Reply;
use crate::error::{ConnectionError, Error, Refusal};
use crate::event::{EventKind, SwitchPhase};
use crate::id::ConnectionId;
use crate::policy::server::Server;
use crate::record::{Connection, Mode, OutgoingKind, QueueStatus, ReceiveQueue, ReceiveSwitch, Secret, Stage};
use crate::storage::Storage;
use crate::time::{MINUTE, Time};

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    /// A connection whose receive queues can change now.
    pub(in crate::agent) fn changeable(&self, id: ConnectionId) -> Result<Connection, S> {
        let connection = self.load(id).ok_or(Refusal::NoConnection)?;
        let stopped = connection.receive_queues.iter().any(|queue| queue.suspended.is_some());
        if connection.stage != Stage::Connected
            || connection.deleting.is_some()
            || stopped
            || connection.send_queues.is_empty()
            || connection.receive_queues.iter().any(|queue| queue.is_coming() && !queue.deleting)
        {
            return Err(Refusal::Prohibited.into());
        }
        if !self.is_synchronized(&connection) {
            return Err(Refusal::Ratchet(connection.sync).into());
        }
        Ok(connection)
    }

    pub(in crate::agent) fn switch(&mut self, id: ConnectionId) -> Result<Reply, S> {
        let mut connection = self.changeable(id)?;
        let mut moving: Vec<_> = connection
            .receiving()
            .filter(|queue| queue.switch.is_none())
            // A peer that knows of one queue only, or cannot secure another, refuses to hear of it.
            .filter(|queue| {
                let usable = connection.redundant_peer && queue.mode == Some(Mode::Messaging);
                usable || queue.envelope_secret.is_some()
            })
            .map(|queue| (!queue.primary, queue.number))
            .collect();
        moving.sort_unstable();
        if moving.is_empty() {
            return Err(Refusal::Prohibited.into());
        }
        for (_, number) in &moving {
            if let Some(queue) = connection.receive_queue_mut(*number) {
                queue.switch = Some(ReceiveSwitch::Waiting);
            }
        }
        if !self.move_next(&mut connection)? {
            return Err(Refusal::NoServer.into());
        }
        self.save(id, connection)?;
        Ok(Reply::Done)
    }

    /// Begins to move the next queue that is to be moved; whether there was one.
    pub(in crate::agent) fn move_next(&mut self, connection: &mut Connection) -> Result<bool, S> {
        if connection.receive_queues.iter().any(|queue| queue.replaces.is_some()) {
            return Ok(false);
        }
        let waiting = connection.receive_queues.iter().filter(|queue| queue.switch == Some(ReceiveSwitch::Waiting));
        let Some((_, old)) = waiting.map(|queue| (!queue.primary, queue.number)).min() else { return Ok(false) };
        let Some(server) = self.server_beside(connection) else {
            forget_waiting(connection);
            return Ok(false);
        };
        let new = self.new_receive_queue(connection, server, Mode::Messaging);
        if let Some(queue) = connection.receive_queue_mut(new) {
            queue.replaces = Some(old);
            queue.untested = true;
            queue.primary = false;
        }
        set_progress(connection, new, Some(ReceiveSwitch::Started));
        Ok(true)
    }

    /// A relay that has no queue of the connection, if there is one; else one of the peer's, and at last one of its own.
    pub(in crate::agent) fn server_beside(&mut self, connection: &Connection) -> Option<Server> {
        let own: Vec<Server> = connection.receive_queues.iter().map(|queue| queue.server.clone()).collect();
        let chosen = self.choose_servers(connection.user, 1, &connection.servers()).pop()?;
        if own.iter().any(|server| server.shares_host(&chosen)) {
            return self.choose_servers(connection.user, 1, &own).pop();
        }
        Some(chosen)
    }

    pub(in crate::agent) fn abort_switch(&mut self, id: ConnectionId) -> Result<Reply, S> {
        let mut connection = self.load(id).ok_or(Refusal::NoConnection)?;
        let early = |switch| matches!(switch, Some(ReceiveSwitch::Started | ReceiveSwitch::SendingAdd));
        let new = connection.receive_queues.iter().find(|queue| {
            let old = queue.replaces.and_then(|old| connection.receive_queue(old));
            old.is_some_and(|old| early(old.switch))
        });
        let new = new.map(|queue| queue.number).ok_or(Refusal::Prohibited)?;
        self.new_queue_failed(id, &mut connection, new)?;
        self.save(id, connection)?;
        Ok(Reply::Done)
    }

    /// A move or an addition is given up; the other queues stay as they are.
    pub(in crate::agent) fn new_queue_failed(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        number: u32,
    ) -> Result<(), S> {
        let Some(queue) = connection.receive_queue(number) else { return Ok(()) };
        if !queue.is_coming() {
            return Ok(());
        }
        let moved = queue.replaces.is_some();
        set_progress(connection, number, None);
        if let Some(queue) = connection.receive_queue_mut(number) {
            queue.replaces = None;
            queue.is_added = false;
            queue.secure_with = None;
            // One that is being created is deleted when it is there.
            queue.deleting = true;
        }
        if moved {
            forget_waiting(connection);
            self.switched(id, connection, true, SwitchPhase::Aborted)?;
        }
        Ok(())
    }

    /// Tells how far a move is.
    pub(in crate::agent) fn switched(
        &mut self,
        id: ConnectionId,
        connection: &Connection,
        receiving: bool,
        phase: SwitchPhase,
    ) -> Result<(), S> {
        let servers = match receiving {
            true => connection.receiving().map(|queue| queue.server.clone()).collect(),
            false => connection.send_queues.iter().map(|queue| queue.server.clone()).collect(),
        };
        self.notify(EventKind::Switch { connection: id, receiving, phase, servers })
    }

    /// A receive queue of an existing connection was created.
    pub(in crate::agent) fn new_queue_created(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
    ) -> Result<(), S> {
        self.announce(id, connection, &mut None)
    }

    /// KEY of a new queue is done.
    pub(in crate::agent) fn new_queue_secured(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        _number: u32,
    ) -> Result<(), S> {
        self.announce(id, connection, &mut None)
    }

    /// Tells the peer of queues that were created or secured, when that can be told.
    pub(in crate::agent) fn announce(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        due: &mut Option<Time>,
    ) -> Result<(), S> {
        let coming = connection.receiving().filter(|queue| queue.is_coming());
        let coming: Vec<_> = coming.map(|queue| (queue.number, queue.status)).collect();
        for (number, status) in coming {
            let told = match (progress(connection, number), status) {
                (Some(ReceiveSwitch::Started), _) => self.send_added(id, connection, number),
                (Some(ReceiveSwitch::SendingAdd), QueueStatus::Secured) => self.send_use(id, connection, number),
                _ => continue,
            };
            match told {
                // The ratchet is out of step.
                Err(Error::Refused(_)) => sooner(due, self.now.after(MINUTE)),
                told => told?,
            }
        }
        Ok(())
    }

    /// QADD.
    fn send_added(&mut self, id: ConnectionId, connection: &mut Connection, number: u32) -> Result<(), S> {
        if !self.is_synchronized(connection) {
            return Err(Refusal::Ratchet(connection.sync).into());
        }
        let copy = connection.clone();
        let Some(queue) = copy.receive_queue(number) else { return Ok(()) };
        let replaced = queue.replaces.and_then(|old| copy.receive_queue(old)).and_then(|old| old.address());
        let replaced = replaced.as_ref().map(QueueReference::from);
        let address = queue.address().ok_or(Error::Record)?;
        let uri = QueueUri::new(self.configuration.client_versions, &address).map_err(|_| Error::Record)?;
        let added = [AddedQueue { queue: uri, replaced }];
        let queues = NonEmptyList::new(&added).map_err(|_| Error::Record)?;
        self.send_message(id, connection, OutgoingKind::AddQueue, Message::AddQueues(queues), Manner::QUIET)?;
        set_progress(connection, number, Some(ReceiveSwitch::SendingAdd));
        if replaced.is_some() {
            self.switched(id, connection, true, SwitchPhase::Started)?;
        }
        Ok(())
    }

    /// QUSE.
    fn send_use(&mut self, id: ConnectionId, connection: &mut Connection, number: u32) -> Result<(), S> {
        if !self.is_synchronized(connection) {
            return Err(Refusal::Ratchet(connection.sync).into());
        }
        let copy = connection.clone();
        let Some(queue) = copy.receive_queue(number) else { return Ok(()) };
        let address = queue.address().ok_or(Error::Record)?;
        let primary = queue.replaces.is_some();
        let uses = [QueueUse { queue: QueueReference::from(&address), primary }];
        let queues = NonEmptyList::new(&uses).map_err(|_| Error::Record)?;
        let kind = OutgoingKind::UseQueue { queue: number };
        self.send_message(id, connection, kind, Message::UseQueues(queues), Manner::QUIET)?;
        set_progress(connection, number, Some(ReceiveSwitch::SendingUse));
        if primary {
            self.switched(id, connection, true, SwitchPhase::Secured)?;
        }
        Ok(())
    }

    /// QKEY: who will send into a new queue.
    pub(in crate::agent) fn take_queue_keys(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        keys: &NonEmptyList<'_, QueueKey<'_>>,
    ) -> Result<(), S> {
        let Some(key) = keys.iter().next() else { return Ok(()) };
        let reference = QueueReference::from(&key.queue.queue);
        let Some(number) = find_receive_queue(connection, &reference) else {
            return self.fail(id, ConnectionError::Queue);
        };
        let sending = progress(connection, number) == Some(ReceiveSwitch::SendingAdd);
        let Some(queue) = connection.receive_queue_mut(number) else { return Ok(()) };
        if queue.status != QueueStatus::New || queue.deleting {
            // Said twice, or too late.
            let others = queue.envelope_secret != agreed_with(queue, &key);
            if others && queue.is_coming() {
                // The peer has forgotten the keys that the relay knows.
                self.new_queue_failed(id, connection, number)?;
            }
            return Ok(());
        }
        if !queue.is_coming() || !sending {
            return self.fail(id, ConnectionError::Queue);
        }
        if !self.configuration.client_versions.contains(key.queue.version) {
            return self.fail(id, ConnectionError::Version);
        }
        let Some(agreed) = agreed_with(queue, &key) else { return self.fail(id, ConnectionError::Crypto) };
        queue.envelope_secret = Some(agreed);
        queue.version = queue.version.min(key.queue.version.0);
        queue.status = QueueStatus::Confirmed;
        queue.secure_with = Some(spki(&key.sender_key));
        if queue.replaces.is_some() {
            self.switched(id, connection, true, SwitchPhase::Confirmed)?;
        }
        Ok(())
    }

    /// The first message came through a queue.
    pub(in crate::agent) fn new_queue_active(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        number: u32,
    ) -> Result<(), S> {
        let now = self.now;
        if !connection.receive_queue(number).is_some_and(|queue| queue.is_coming()) {
            return Ok(());
        }
        set_progress(connection, number, None);
        let Some(queue) = connection.receive_queue_mut(number) else { return Ok(()) };
        let (replaced, added) = (queue.replaces.take(), core::mem::take(&mut queue.is_added));
        let old = replaced.and_then(|old| connection.receive_queue_mut(old));
        let primary = old.is_some_and(|old| {
            old.switch = Some(ReceiveSwitch::ReceivedMessage);
            old.since = now;
            core::mem::take(&mut old.primary)
        });
        if let Some(queue) = connection.receive_queue_mut(number) {
            queue.primary |= primary;
        }
        connection.additions = 0;
        if added && connection.stage == Stage::Connected {
            self.notify(crate::agent::deliver::redundancy(id, connection))?;
        }
        Ok(())
    }

    /// QTEST: the peer has begun to use a queue, and nothing that was sent before is still to come through it.
    pub(in crate::agent) fn take_tested_queues(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        queues: &NonEmptyList<'_, QueueReference<'_>>,
    ) -> Result<(), S> {
        let Some(tested) = queues.iter().next() else { return Ok(()) };
        let Some(number) = find_receive_queue(connection, &tested) else {
            return self.fail(id, ConnectionError::Queue);
        };
        if let Some(queue) = connection.receive_queue_mut(number) {
            queue.untested = false;
        }
        Ok(())
    }
}

/// What is agreed with who will send into a queue; nothing with a key of small order.
fn agreed_with(queue: &ReceiveQueue, key: &QueueKey<'_>) -> Option<Secret> {
    let sender = X25519PublicKey(key.queue.queue.dh_key.0);
    let agreed = queue.envelope_key().diffie_hellman(&sender).ok()?;
    Some(Secret(*agreed.as_bytes()))
}

/// The peer is told again of queues that come: under the last ratchet it may not have read it.
pub(in crate::agent) fn say_again(connection: &mut Connection) {
    let coming = connection.receiving().filter(|queue| queue.is_coming());
    for number in coming.map(|queue| queue.number).collect::<Vec<_>>() {
        if matches!(progress(connection, number), Some(ReceiveSwitch::SendingAdd | ReceiveSwitch::SendingUse)) {
            set_progress(connection, number, Some(ReceiveSwitch::Started));
        }
    }
}

/// How far a queue is that comes.
fn progress(connection: &Connection, number: u32) -> Option<ReceiveSwitch> {
    let queue = connection.receive_queue(number)?;
    match queue.replaces {
        Some(old) => connection.receive_queue(old)?.switch,
        None => queue.switch,
    }
}

/// Notes how far a queue is that comes.
pub(in crate::agent) fn set_progress(connection: &mut Connection, number: u32, progress: Option<ReceiveSwitch>) {
    let Some(queue) = connection.receive_queue(number) else { return };
    let place = queue.replaces.unwrap_or(number);
    if let Some(queue) = connection.receive_queue_mut(place) {
        queue.switch = progress;
    }
}

/// Queues that were to move after another one stay.
fn forget_waiting(connection: &mut Connection) {
    for queue in connection.receive_queues.iter_mut().filter(|queue| queue.switch == Some(ReceiveSwitch::Waiting)) {
        queue.switch = None;
    }
}
