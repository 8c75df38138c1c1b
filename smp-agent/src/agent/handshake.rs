//! From queues to a connection: links are handed out, confirmations exchanged, HELLO where it is needed (wire reference,
//! section 12).

use alloc::string::ToString;
use alloc::vec::Vec;

use rand_core::CryptoRng;
use smp_crypto::ratchet::{BodyKind, EncapsulationRequest};
use smp_proto::agent::{AgentMessage, ConnectionRequest, Message};
use smp_proto::uri::{QueueInfo, QueueUri};
use smp_proto::version::ClientVersion;
use smp_proto::wire::NonEmptyList;

use super::enqueue::Manner;
use super::{Agent, Result};
use crate::command::PostQuantum;
use crate::error::{ConnectionError, Error, Refusal};
use crate::event::{DeliveryProblem, EventKind, Links};
use crate::id::ConnectionId;
use crate::record::{Connection, Mode, OutgoingKind, QueueStatus, ReceiveQueue, Stage, Target};
use crate::request::Reason;
use crate::storage::Storage;

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    /// A receive queue was created, or done without: goes on when all are there.
    pub(super) fn queues_changed(&mut self, id: ConnectionId, connection: &mut Connection) -> Result<(), S> {
        let ready = connection.receive_queues.iter().all(ReceiveQueue::is_created);
        if !ready {
            return Ok(());
        }
        match connection.stage.clone() {
            Stage::Inviting => {
                connection.stage = Stage::Invited;
                self.publish(id, connection)
            }
            Stage::Address(mut address) if !address.published => {
                address.published = true;
                connection.stage = Stage::Address(address);
                self.publish(id, connection)
            }
            Stage::Joining(joining) => match joining.target {
                Target::Invitation { parameters } => self.answer_invitation(id, connection, &joining.info, parameters),
                Target::Address => self.send_request(id, connection, joining.info),
                Target::Unknown => Ok(()),
            },
            Stage::Connected => self.new_queue_created(id, connection),
            _ => Ok(()),
        }
    }

    /// The addresses of all receive queues that exist, the first one first.
    pub(super) fn queue_uris(&self, connection: &Connection) -> Vec<QueueUri> {
        let mut queues: Vec<_> = connection.receiving().collect();
        queues.sort_by_key(|queue| (!queue.primary, queue.number));
        let versions = self.configuration.client_versions;
        queues.into_iter().filter_map(|queue| QueueUri::new(versions, &queue.address()?).ok()).collect()
    }

    /// The full link of an invitation or an address, with the key for encapsulation or without.
    pub(super) fn connection_request(
        &mut self,
        id: ConnectionId,
        connection: &Connection,
        uris: Vec<QueueUri>,
        encapsulation: bool,
    ) -> Result<ConnectionRequest, S> {
        let mut uris = uris.into_iter();
        let first = uris.next().ok_or(Error::Record)?;
        let versions = self.configuration.agent_versions;
        let request = if matches!(connection.stage, Stage::Address(_)) {
            // What everybody uses is the first queue.
            return Ok(ConnectionRequest::contact(versions, first));
        } else {
            let mut parameters = self.initiator(id)?.ok_or(Error::Record)?.parameters();
            if !encapsulation {
                parameters.encapsulation_key = None;
            }
            ConnectionRequest::invitation(versions, first, parameters)
        };
        uris.try_fold(request, |request, uri| request.with_queue(uri)).map_err(|_| Error::Record)
    }

    /// Gives the application the links.
    pub(super) fn publish(&mut self, id: ConnectionId, connection: &Connection) -> Result<(), S> {
        let uris = self.queue_uris(connection);
        let encapsulation = connection.options.post_quantum == PostQuantum::InLink;
        let full = self.connection_request(id, connection, uris, encapsulation)?.to_string();
        let short =
            connection.receive_queues.iter().find(|queue| queue.primary).and_then(|queue| self.short_link(queue));
        self.notify(EventKind::LinkReady { connection: id, links: Links { full, short } })
    }

    /// The joining party's confirmation, with its queues.
    fn answer_invitation(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        info: &[u8],
        parameters: Vec<u8>,
    ) -> Result<(), S> {
        // Receive queues are limited to what the inviting party reads.
        let limit = connection.send_queues.iter().map(|queue| queue.version).min().unwrap_or(ClientVersion::MAX.0);
        for queue in &mut connection.receive_queues {
            queue.version = queue.version.min(limit);
        }
        let copy = connection.clone();
        let mut queues: Vec<_> = copy.receiving().collect();
        queues.sort_by_key(|queue| (!queue.primary, queue.number));
        let infos: Vec<QueueInfo<'_>> = queues
            .into_iter()
            .filter_map(|queue| Some(QueueInfo { version: ClientVersion(queue.version), queue: queue.address()? }))
            .collect();
        let queues = NonEmptyList::new(&infos).map_err(|_| Error::Record)?;
        let message = AgentMessage::ConnectionInfoReply { queues, info };
        let kind = OutgoingKind::Confirmation { parameters: Some(parameters) };
        let targets: Vec<u32> = connection.send_queues.iter().map(|queue| queue.number).collect();
        let manner = self.introduction_manner(connection);
        self.enqueue(id, connection, kind, &message, BodyKind::Confirmation, manner, &targets)?;
        connection.stage = Stage::Answered;
        Ok(())
    }

    fn introduction_manner(&self, connection: &Connection) -> Manner {
        let encapsulation = if connection.post_quantum { EncapsulationRequest::On } else { EncapsulationRequest::Off };
        Manner { encapsulation, notify: true }
    }

    /// A request to an address, in its queue's encryption only.
    fn send_request(&mut self, id: ConnectionId, connection: &mut Connection, info: Vec<u8>) -> Result<(), S> {
        let uris = self.queue_uris(connection);
        let request = self.connection_request(id, connection, uris, true)?.to_string();
        let targets: Vec<u32> = connection.send_queues.iter().map(|queue| queue.number).collect();
        let kind = OutgoingKind::Invitation { request };
        // It has no number: the confirmation that may follow is the first message.
        let (number, hash) = (connection.sent_number, connection.sent_hash.clone());
        self.put_outgoing(id, connection, kind, info, (Vec::new(), 0), true, &targets)?;
        (connection.sent_number, connection.sent_hash) = (number, hash);
        connection.stage = Stage::Answered;
        Ok(())
    }

    /// The application lets the joining party in.
    pub(super) fn allow(&mut self, id: ConnectionId, info: &[u8]) -> Result<(), S> {
        let mut connection = self.load(id).ok_or(Refusal::NoConnection)?;
        let Stage::Confirmed { queues } = connection.stage.clone() else { return Err(Refusal::Prohibited.into()) };
        for queue in &queues {
            // All that differs from a single queue: messages go to each of them.
            let _ = self.new_send_queue(&mut connection, queue);
        }
        let targets: Vec<u32> = connection.send_queues.iter().map(|queue| queue.number).collect();
        if targets.is_empty() {
            return Err(Refusal::Prohibited.into());
        }
        connection.stage = Stage::Allowed;
        let kind = OutgoingKind::Confirmation { parameters: None };
        let message = AgentMessage::ConnectionInfo(info);
        let manner = self.introduction_manner(&connection);
        self.enqueue(id, &mut connection, kind, &message, BodyKind::Confirmation, manner, &targets)?;
        self.save(id, connection)
    }

    /// A confirmation is at the peer's relay.
    pub(super) fn confirmation_delivered(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        number: u32,
        joining: bool,
    ) -> Result<(), S> {
        let messaging = connection.send_queue(number).is_some_and(|queue| queue.is_messaging());
        if let Some(queue) = connection.send_queue_mut(number) {
            let reached = if joining || !messaging { QueueStatus::Confirmed } else { QueueStatus::Active };
            queue.status = queue.status.max(reached);
        }
        if joining {
            if let Some(queue) = connection.send_queue(number) {
                self.forget_one_time_link(queue)?;
            }
            // Further queues only repeat what the first one did.
            let first =
                connection.send_queues.iter().filter(|queue| queue.status >= QueueStatus::Confirmed).count() == 1;
            let can_send = messaging && connection.version >= 7;
            return if first { self.notify(EventKind::Joined { connection: id, can_send }) } else { Ok(()) };
        }
        if connection.stage != Stage::Allowed {
            return Ok(());
        }
        if messaging {
            self.connected(id, connection)
        } else {
            connection.stage = Stage::Greeting;
            if connection.greeted { self.send_hello(id, connection) } else { Ok(()) }
        }
    }

    /// A queue is secured with KEY: what waited for it goes on.
    pub(super) fn queue_secured(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        number: u32,
    ) -> Result<(), S> {
        if connection.receive_queue(number).is_some_and(|queue| queue.replaces.is_some() || queue.is_added) {
            return self.new_queue_secured(id, connection, number);
        }
        Ok(())
    }

    /// HELLO, which shows the other side that it can send.
    pub(super) fn send_hello(&mut self, id: ConnectionId, connection: &mut Connection) -> Result<(), S> {
        self.send_message(id, connection, OutgoingKind::Hello, Message::Hello, Manner::URGENT).map(drop)
    }

    pub(super) fn hello_delivered(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        number: u32,
    ) -> Result<(), S> {
        if let Some(queue) = connection.send_queue_mut(number) {
            queue.status = QueueStatus::Active;
        }
        if connection.stage == Stage::Greeting && connection.greeted {
            return self.connected(id, connection);
        }
        Ok(())
    }

    /// HELLO of the peer came.
    pub(super) fn hello_received(&mut self, id: ConnectionId, connection: &mut Connection) -> Result<(), S> {
        if connection.greeted {
            return Ok(());
        }
        connection.greeted = true;
        match (&connection.stage, connection.initiator) {
            (Stage::Greeting, true) => self.send_hello(id, connection),
            (Stage::Greeting, false) => {
                let sent = connection.send_queues.iter().any(|queue| queue.status == QueueStatus::Active);
                if sent { self.connected(id, connection) } else { Ok(()) }
            }
            // Before the own confirmation is known to have arrived.
            (Stage::Allowed, true) => Ok(()),
            _ => Ok(()),
        }
    }

    /// Both sides can send.
    pub(super) fn connected(&mut self, id: ConnectionId, connection: &mut Connection) -> Result<(), S> {
        connection.stage = Stage::Connected;
        for queue in &mut connection.receive_queues {
            queue.since = self.now;
        }
        self.forget_initiator(id);
        // What completed the handshake was sent by the initiator and received by who joined.
        let post_quantum = self.ratchet(id)?.is_some_and(|ratchet| {
            if connection.initiator { ratchet.sends_encapsulated() } else { ratchet.receives_encapsulated() }
        });
        let version = connection.version;
        self.notify(EventKind::Connected { connection: id, post_quantum, version })?;
        if connection.receive_queues.len() > 1 || connection.send_queues.len() > 1 {
            self.notify(super::deliver::redundancy(id, connection))?;
        }
        Ok(())
    }

    /// A confirmation, or SKEY before it, was refused by the relay, or came too late.
    pub(super) fn introduction_failed(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        number: u32,
        last: bool,
        problem: DeliveryProblem,
    ) -> Result<(), S> {
        if !last {
            return self.withdraw_send_queue(id, connection, number);
        }
        connection.stage = Stage::Failed;
        let error = match problem {
            DeliveryProblem::Failed(failure) => match failure.reason {
                Reason::NotAuthorized | Reason::Quota => ConnectionError::NotAvailable,
                _ => ConnectionError::Relay(failure),
            },
            DeliveryProblem::TooLarge => ConnectionError::TooLarge,
            DeliveryProblem::Expired => ConnectionError::NotAvailable,
        };
        self.fail(id, error)
    }

    /// A queue's mode as an address says it.
    pub(super) fn mode(queue: &smp_proto::uri::QueueAddress<'_>) -> Option<Mode> {
        queue.mode.map(Mode::from)
    }
}
