//! Commands of the application.

use alloc::vec::Vec;

use rand_core::CryptoRng;
use smp_crypto::ratchet::EncapsulationRequest;
use smp_proto::agent::{Message, Receipt};
use smp_proto::wire::NonEmptyList;

use super::enqueue::Manner;
use super::{Agent, Result};
use crate::command::{Command, Reply};
use crate::error::{Error, Refusal};
use crate::id::{ConnectionId, EventId, MessageId};
use crate::policy::server::{ServerList, UserId};
use crate::record::{Connection, EventRecord, OutgoingKind, ReceivedFrom, Stage};
use crate::storage::Storage;
use crate::summary::ConnectionSummary;
use crate::table::Key;

/// The longest information in a receipt, in bytes.
const MAX_RECEIPT_INFO: usize = 1_024;
/// The first version of the agent protocol with receipts.
const RECEIPTS: u16 = 4;

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    pub(super) fn command(&mut self, command: Command) -> Result<Reply, S> {
        if let Some(connection) = lives_on(&command)
            && self.connections.get(&connection).is_some_and(|connection| connection.deleting.is_some())
        {
            return Err(Refusal::Prohibited.into());
        }
        match command {
            Command::SetServers { user, servers } => self.set_servers(user, servers),
            Command::Invite { user, options, link } => self.invite(user, options, link),
            Command::CreateAddress { user, link } => self.create_address(user, link),
            Command::PrepareInvitation { user, options, link } => self.prepare_invitation(user, options, link),
            Command::PrepareAddress { user, link } => self.prepare_address(user, link),
            Command::SetLink { connection, user_data } => self.set_link(connection, user_data),
            Command::DeleteLink { connection } => self.delete_link(connection),
            Command::ReadLink { user, link } => self.read_link(user, &link),
            Command::Join { user, link, info, options } => self.join(user, &link, info, options),
            Command::Allow { connection, info } => self.allow(connection, &info).map(|()| Reply::Done),
            Command::Accept { invitation, info, options } => self.accept(invitation, info, options),
            Command::Reject { invitation } => self.reject(invitation),
            Command::Send { connection, body, notify } => self.send(connection, &body, notify),
            Command::Acknowledge { event, receipt } => self.acknowledge(event, receipt),
            Command::Switch { connection } => self.switch(connection),
            Command::AbortSwitch { connection } => self.abort_switch(connection),
            Command::Resynchronize { connection, force } => self.resynchronize(connection, force),
            Command::AddReceiveQueue { connection } => self.add_receive_queue(connection),
            Command::SubscribeAll => {
                self.subscribe_all();
                Ok(Reply::Done)
            }
            Command::Subscribe { connection } => self.subscribe(connection),
            Command::Suspend { connection } => self.suspend(connection),
            Command::Delete { connection, deliver_first } => self.delete(connection, deliver_first),
            Command::ForgetMessage { connection, message } => self.forget_message(connection, message),
            Command::NetworkChanged { online } => {
                self.network_changed(online);
                Ok(Reply::Done)
            }
        }
    }

    /// All connections and their users.
    pub fn connections(&self) -> impl Iterator<Item = (ConnectionId, UserId)> + '_ {
        self.connections.iter().map(|(id, connection)| (*id, connection.user))
    }

    /// What is known of a connection.
    #[must_use]
    pub fn connection(&self, id: ConnectionId) -> Option<ConnectionSummary> {
        let connection = self.connections.get(&id)?;
        let messages = connection
            .send_queues
            .iter()
            .filter_map(|queue| self.waiting.get(&(id, queue.number)))
            .map(alloc::collections::VecDeque::len)
            .max();
        Some(ConnectionSummary::new(connection, messages.unwrap_or_default()))
    }

    /// What users compare to verify a connection: the same for both. `None` before there is a ratchet.
    ///
    /// # Errors
    /// The storage failed.
    pub fn verification_code(&mut self, id: ConnectionId) -> Result<Option<[u8; 32]>, S> {
        Ok(self.ratchet(id)?.map(|ratchet| ratchet.verification_code()))
    }

    fn set_servers(&mut self, user: UserId, servers: ServerList) -> Result<Reply, S> {
        self.transaction.put(&Key::user(user), &servers).map_err(|error| match error {
            // More than a storage takes in one record.
            Error::Record => Refusal::TooLarge.into(),
            error => error,
        })?;
        self.users.insert(user, servers);
        Ok(Reply::Done)
    }

    /// A connection that messages can be sent on.
    pub(super) fn duplex(&self, id: ConnectionId) -> Result<Connection, S> {
        let connection = self.load(id).ok_or(Refusal::NoConnection)?;
        let can_send = match connection.stage {
            Stage::Connected => true,
            // Who joined may send before the initiator has answered, if it is known to read that.
            Stage::Answered => {
                !connection.initiator
                    && connection.version >= 7
                    && connection.send_queues.iter().any(|queue| queue.is_messaging())
            }
            _ => false,
        };
        if !can_send || connection.deleting.is_some() || connection.send_queues.is_empty() {
            return Err(Refusal::Prohibited.into());
        }
        if !self.is_synchronized(&connection) {
            return Err(Refusal::Ratchet(connection.sync).into());
        }
        Ok(connection)
    }

    fn send(&mut self, id: ConnectionId, body: &[u8], notify: bool) -> Result<Reply, S> {
        let mut connection = self.duplex(id)?;
        let encapsulation = if connection.post_quantum { EncapsulationRequest::On } else { EncapsulationRequest::Off };
        let manner = Manner { encapsulation, notify };
        let kind = OutgoingKind::Application;
        let message = self.send_message(id, &mut connection, kind, Message::Application(body), manner)?;
        self.save(id, connection)?;
        Ok(Reply::Message(message))
    }

    fn acknowledge(&mut self, event: EventId, receipt: Option<Vec<u8>>) -> Result<Reply, S> {
        let key = Key::event(event);
        let record = self.transaction.get::<EventRecord>(&key)?.ok_or(Refusal::NoEvent)?;
        if receipt.as_ref().is_some_and(|info| info.len() > MAX_RECEIPT_INFO) {
            return Err(Refusal::TooLarge.into());
        }
        self.transaction.delete(&key);
        let Some(from) = record.from else { return Ok(Reply::Done) };
        let Some(mut connection) = self.load(from.connection) else { return Ok(Reply::Done) };
        if let Some(queue) = connection.receive_queue_mut(from.queue)
            && let Some(last) = &mut queue.last
            && last.event == Some(event)
        {
            last.event = None;
            queue.acknowledging = true;
            self.hear(from.connection, &connection, from.queue);
        }
        if let Some(info) = receipt {
            self.send_receipt(&from, &mut connection, &info)?;
        }
        self.save(from.connection, connection)?;
        Ok(Reply::Done)
    }

    fn send_receipt(&mut self, from: &ReceivedFrom, connection: &mut Connection, info: &[u8]) -> Result<(), S> {
        let able = from.receipt
            && connection.version >= RECEIPTS
            && connection.stage == Stage::Connected
            && connection.deleting.is_none()
            && !connection.send_queues.is_empty()
            && self.is_synchronized(connection);
        if !able {
            return Ok(());
        }
        let receipt = [Receipt { number: from.number, hash: &from.hash, info }];
        let receipts = NonEmptyList::new(&receipt).map_err(|_| Refusal::TooLarge)?;
        let message = Message::Receipts(receipts);
        self.send_message(from.connection, connection, OutgoingKind::Receipt, message, Manner::QUIET).map(drop)
    }

    fn subscribe(&mut self, id: ConnectionId) -> Result<Reply, S> {
        let mut connection = self.load(id).ok_or(Refusal::NoConnection)?;
        self.want_subscription(id, &connection);
        if connection.suspended {
            connection.suspended = false;
            self.save(id, connection)?;
        }
        Ok(Reply::Done)
    }

    fn suspend(&mut self, id: ConnectionId) -> Result<Reply, S> {
        let mut connection = self.load(id).ok_or(Refusal::NoConnection)?;
        connection.suspended = true;
        for queue in connection.receive_queues.iter_mut().filter(|queue| queue.suspended.is_none()) {
            queue.suspended = Some(false);
        }
        self.save(id, connection)?;
        Ok(Reply::Done)
    }

    fn forget_message(&mut self, id: ConnectionId, message: MessageId) -> Result<Reply, S> {
        let connection = self.connections.get(&id).ok_or(Refusal::NoConnection)?;
        let queues: Vec<u32> = connection.send_queues.iter().map(|queue| queue.number).collect();
        let waits = |queue: &u32| self.waiting.get(&(id, *queue)).is_some_and(|waiting| waiting.contains(&message));
        if !queues.iter().any(waits) {
            return self.forget_sent(id, message);
        }
        self.withdraw(id, message, &queues)
    }
}

/// The connection of a command that needs one that is not being deleted.
const fn lives_on(command: &Command) -> Option<ConnectionId> {
    match command {
        Command::SetLink { connection, .. }
        | Command::DeleteLink { connection }
        | Command::Allow { connection, .. }
        | Command::Send { connection, .. }
        | Command::Switch { connection }
        | Command::AbortSwitch { connection }
        | Command::Resynchronize { connection, .. }
        | Command::AddReceiveQueue { connection }
        | Command::Subscribe { connection }
        | Command::Suspend { connection } => Some(*connection),
        _ => None,
    }
}
