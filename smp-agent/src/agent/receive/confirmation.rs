//! The first message of a queue: who sends into it, and what both sides agree on.

use alloc::string::String;
use alloc::vec::Vec;

use rand_core::CryptoRng;
use smp_crypto::hash::sha256;
use smp_crypto::ratchet::ENCAPSULATION_AGENT_VERSION;
use smp_proto::agent::{AgentMessage, AgreedParameters, ConnectionRequest};
use smp_proto::version::RatchetVersion;
use smp_proto::wire::Decode;

use super::{Arrival, Introduction, Then, spki};
use crate::agent::{Agent, Result};
use crate::error::ConnectionError;
use crate::event::{Content as Text, EventKind};
use crate::policy::server::Server;
use crate::record::{Connection, QueueStatus, ReplyQueue, Stage};
use crate::storage::Storage;

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    /// The first message of a queue.
    pub(super) fn take_confirmation(
        &mut self,
        arrival: &Arrival<'_>,
        connection: &mut Connection,
        introduction: Introduction,
        parameters: Option<AgreedParameters<'_>>,
        message: &mut [u8],
    ) -> Result<Then, S> {
        let id = arrival.id;
        let hash = sha256(&[message]);
        if !self.accepts_version(connection, introduction.version) {
            return self.dropped(id, ConnectionError::Version);
        }
        if self.was_received(id, message)? {
            // A copy, through another queue of the connection: the peer knows of redundancy.
            self.introduce(connection, arrival.queue, &introduction);
            connection.redundant_peer = true;
            return Ok(Then::Acknowledge);
        }
        match (&connection.stage, parameters) {
            // Of a request, too, which relay and proxy may not have confirmed yet.
            (Stage::Invited | Stage::Answered, Some(parameters)) if connection.initiator => {
                self.take_answer_of_joiner(arrival, connection, &introduction, &parameters, message, &hash)
            }
            (Stage::Answered, None) if !connection.initiator => {
                self.take_answer_of_initiator(arrival, connection, &introduction, message, &hash)
            }
            _ => self.dropped(id, ConnectionError::Prohibited),
        }
    }

    /// A queue knows its sender.
    fn introduce(&self, connection: &mut Connection, number: u32, introduction: &Introduction) {
        if let Some(queue) = connection.receive_queue_mut(number) {
            queue.envelope_secret = Some(introduction.secret.clone());
            queue.version = queue.version.min(introduction.header.version.0);
            queue.status = queue.status.max(QueueStatus::Confirmed);
            queue.secure_with = introduction.sender_key.map(|key| spki(&key));
        }
    }

    fn take_answer_of_joiner(
        &mut self,
        arrival: &Arrival<'_>,
        connection: &mut Connection,
        introduction: &Introduction,
        parameters: &AgreedParameters<'_>,
        message: &mut [u8],
        hash: &[u8; 32],
    ) -> Result<Then, S> {
        let id = arrival.id;
        let Some(initiator) = self.initiator(id)? else { return self.dropped(id, ConnectionError::Prohibited) };
        let post_quantum = connection.post_quantum
            && introduction.version >= ENCAPSULATION_AGENT_VERSION
            && parameters.version >= RatchetVersion::ENCAPSULATION;
        let Ok(mut ratchet) = initiator.accept(parameters, post_quantum) else {
            return self.dropped(id, ConnectionError::Crypto);
        };
        let Ok(opened) = self.decrypt(id, &mut ratchet, message)? else {
            return self.dropped(id, ConnectionError::Crypto);
        };
        let Ok(AgentMessage::ConnectionInfoReply { queues, info }) = AgentMessage::from_bytes(&opened.plaintext) else {
            // The keys stay usable for the right answer.
            self.forget_ratchet(id);
            return self.dropped(id, ConnectionError::Message);
        };
        let own = self.configuration.client_versions;
        let queues: Vec<ReplyQueue> = queues
            .iter()
            .enumerate()
            .filter_map(|(place, info)| {
                let known = own.contains(info.version);
                let further = self.configuration.redundancy_known && info.queue.sender_can_secure();
                let usable = known && (place == 0 || further);
                if !usable || place >= usize::from(crate::MAX_RECEIVE_QUEUES) {
                    return None;
                }
                Some(ReplyQueue {
                    version: info.version.0,
                    server: Server::try_from(&info.queue.server).ok()?,
                    sender_id: info.queue.sender_id.as_bytes().to_vec(),
                    recipient_key: info.queue.dh_key.0,
                    mode: Self::mode(&info.queue),
                })
            })
            .collect();
        if queues.is_empty() {
            self.forget_ratchet(id);
            return self.dropped(id, ConnectionError::Version);
        }
        self.remember_received(id, hash)?;
        connection.version = introduction.version.min(self.configuration.agent_versions.max()).0;
        connection.post_quantum = post_quantum;
        connection.redundant_peer = queues.len() > 1;
        connection.received_number = 1;
        connection.received_hash = sha256(&[&opened.plaintext]).to_vec();
        if connection.stage == Stage::Answered {
            self.request_arrived(id, connection)?;
        }
        self.introduce(connection, arrival.queue, introduction);
        let servers = queues.iter().map(|queue| queue.server.clone()).collect();
        let info = Text(info.to_vec());
        connection.stage = Stage::Confirmed { queues };
        for queue in &mut connection.receive_queues {
            // A link is for one: its relay has deleted it.
            queue.link = None;
        }
        self.notify(EventKind::Confirmation { connection: id, info, servers, post_quantum })?;
        Ok(Then::Acknowledge)
    }

    fn take_answer_of_initiator(
        &mut self,
        arrival: &Arrival<'_>,
        connection: &mut Connection,
        introduction: &Introduction,
        message: &mut [u8],
        hash: &[u8; 32],
    ) -> Result<Then, S> {
        let id = arrival.id;
        let Some(mut ratchet) = self.ratchet(id)? else { return self.dropped(id, ConnectionError::Prohibited) };
        let Ok(opened) = self.decrypt(id, &mut ratchet, message)? else {
            return self.dropped(id, ConnectionError::Crypto);
        };
        self.remember_received(id, hash)?;
        let Ok(AgentMessage::ConnectionInfo(info)) = AgentMessage::from_bytes(&opened.plaintext) else {
            return self.dropped(id, ConnectionError::Message);
        };
        self.confirmation_arrived(id, connection)?;
        self.raise_version(connection, introduction.version);
        connection.received_number = 1;
        connection.received_hash = sha256(&[&opened.plaintext]).to_vec();
        self.introduce(connection, arrival.queue, introduction);
        self.notify(EventKind::Info { connection: id, info: Text(info.to_vec()) })?;
        if introduction.sender_key.is_some() {
            // KEY first: until it is done nothing is sent.
            connection.stage = Stage::Greeting;
            self.send_hello(id, connection)?;
        } else {
            if let Some(queue) = connection.receive_queue_mut(arrival.queue) {
                queue.status = QueueStatus::Active;
            }
            self.connected(id, connection)?;
        }
        Ok(Then::Acknowledge)
    }

    /// A request to an address.
    pub(super) fn take_request(
        &mut self,
        arrival: &Arrival<'_>,
        connection: &mut Connection,
        text: String,
        info: Vec<u8>,
    ) -> Result<Then, S> {
        let id = arrival.id;
        let request = match (&connection.stage, ConnectionRequest::parse(&text)) {
            (Stage::Address(_), Ok(request)) => request,
            (Stage::Address(_), Err(_)) => return self.dropped(id, ConnectionError::Message),
            _ => return self.dropped(id, ConnectionError::Prohibited),
        };
        // Who does not know whether a request has arrived sends it again.
        if self.was_received(id, text.as_bytes())? {
            return Ok(Then::Acknowledge);
        }
        self.remember_received(id, &sha256(&[text.as_bytes()]))?;
        let version = self.common_version(&request);
        let post_quantum = version.is_some_and(|version| version >= ENCAPSULATION_AGENT_VERSION)
            && request.ratchet().is_some_and(|ratchet| ratchet.versions.max() >= RatchetVersion::ENCAPSULATION);
        let servers = request.queues().filter_map(|queue| Server::try_from(&queue.server()).ok()).collect();
        let invitation = self.keep_invitation(connection.user, id, text)?;
        let info = Text(info);
        self.notify(EventKind::Request { connection: id, invitation, info, servers, post_quantum })?;
        Ok(Then::Acknowledge)
    }
}
