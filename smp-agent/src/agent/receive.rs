//! What relays deliver: through the encryption of the relay, of the queue and of the ratchet, to what it means (wire
//! reference, sections 4 and 15).

use alloc::string::String;
use alloc::vec::Vec;

use rand_core::CryptoRng;
use smp_crypto::delivery;
use smp_crypto::hash::sha256;
use smp_crypto::key::X25519PublicKey;
use smp_crypto::queue_envelope::{EnvelopeHeader, SealedEnvelope};
use smp_crypto::ratchet::ENCAPSULATION_AGENT_VERSION;
use smp_crypto::secret_box::BoxKey;
use smp_proto::agent::{AgentEnvelope, AgentMessage, AgreedParameters, ConnectionRequest, EnvelopeContent, Message};
use smp_proto::id::MessageId as RelayMessageId;
use smp_proto::key::AuthorizationKey;
use smp_proto::smp::message::Delivery as Content;
use smp_proto::version::{AgentVersion, RatchetVersion};
use smp_proto::wire::Decode;

use super::enqueue::Manner;
use super::ratchet::Opened;
use super::work::Work;
use super::{Agent, Result};
use crate::error::{ConnectionError, Error};
use crate::event::{Content as Text, EventKind, ReceivedMessage};
use crate::id::{ConnectionId, EventId};
use crate::policy::integrity::{Integrity, Link};
use crate::policy::server::Server;
use crate::policy::session::SessionKey;
use crate::record::{
    Acknowledgement, Connection, EventRecord, OutgoingKind, QueueStatus, ReceivedFrom, ReplyQueue, Secret, Stage,
};
use crate::request::{Delivery, Failure, Reason, RelayEvent};
use crate::storage::Storage;
use crate::table::Key;

/// When the relay is told that a message was taken.
pub(super) enum Then {
    /// At once.
    Acknowledge,
    /// When the application has acknowledged the event.
    Wait(EventId),
    /// When messages of other queues have come that were sent before.
    Hold,
}

/// What came, as far as its relay and its queue tell.
pub(super) struct Arrival<'a> {
    pub(super) id: ConnectionId,
    /// The receive queue.
    pub(super) queue: u32,
    pub(super) message_id: &'a [u8],
    /// When the relay received it, in seconds since the epoch.
    pub(super) time: i64,
}

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    pub(super) fn take_relay_event(&mut self, event: RelayEvent) -> Result<(), S> {
        match event {
            RelayEvent::Message(delivery) => self.take_message(*delivery),
            RelayEvent::Disconnected(session) => self.take_disconnected(&session),
            RelayEvent::SubscriptionEnded { session, queue } => {
                let Some((id, number)) = self.find_queue(&session, queue) else { return Ok(()) };
                // It ends once, however often a relay says so.
                if !self.unsubscribe(id, number) {
                    return Ok(());
                }
                self.notify(EventKind::SubscriptionEnded { connection: id })
            }
            RelayEvent::QueueBlocked { session, queue, blocked } => {
                let Some((id, number)) = self.find_queue(&session, queue) else { return Ok(()) };
                let known = self.connections.get(&id).and_then(|connection| connection.receive_queue(number));
                // Whatever else a relay says of it, as often as it likes.
                if known.is_none_or(|queue| queue.blocked.is_some()) {
                    return Ok(());
                }
                self.subscription_refused(id, number, Failure::of_relay(Reason::Blocked(blocked)))
            }
            RelayEvent::QueueDeleted { session, queue } => {
                let Some((id, number)) = self.find_queue(&session, queue) else { return Ok(()) };
                let Some(mut connection) = self.load(id) else { return Ok(()) };
                if connection.receive_queue(number).is_some_and(|queue| queue.deleting) || !self.unsubscribe(id, number)
                {
                    return Ok(());
                }
                self.queue_gone(id, &mut connection, number)?;
                self.save_if_there(id, connection)
            }
        }
    }

    fn find_queue(&self, session: &SessionKey, queue: Vec<u8>) -> Option<(ConnectionId, u32)> {
        self.queues.get(&(session.server().clone(), queue)).copied()
    }

    fn take_message(&mut self, delivery: Delivery) -> Result<(), S> {
        let Delivery { server, queue, message_id, mut body, .. } = delivery;
        let Some((id, number)) = self.queues.get(&(server, queue)).copied() else { return Ok(()) };
        let Some(mut connection) = self.load(id) else { return Ok(()) };
        if connection.deleting.is_some() {
            return Ok(());
        }
        let Some(queue) = connection.receive_queue_mut(number) else { return Ok(()) };
        if let Some(last) = &queue.last
            && last.message_id == message_id
        {
            // The relay repeats what it was not told about in time. The application still has it, or had it.
            if last.event.is_none() && queue.held.is_none() {
                queue.acknowledging = true;
                return self.save(id, connection);
            }
            return Ok(());
        }
        if queue.held.is_some() || queue.last.as_ref().is_some_and(|last| last.event.is_some()) {
            // The relay goes on without having been told to: the last message waits for the application or for earlier
            // ones, and its place is needed until then. This one is asked for afterwards.
            self.ahead.insert((id, number));
            return Ok(());
        }
        let (mark, undo, first_event) = (self.transaction.mark(), self.undo.len(), self.next_event);
        let then = match self.open_delivery(id, &mut connection, number, &message_id, &mut body) {
            // What would have followed from it is not possible: as if nothing of it had come.
            Err(Error::Refused(_)) => {
                self.take_back(mark, undo);
                connection = self.load(id).unwrap_or(connection);
                self.dropped(id, ConnectionError::Prohibited)?
            }
            then => then?,
        };
        let then = self.wait_for_application(&connection, id, number, &message_id, then, first_event)?;
        // A relay that delivers another message has forgotten the last one: the answer that says so may come after it.
        self.drop_work(&Work::Acknowledge(id, number));
        if let Some(queue) = connection.receive_queue_mut(number) {
            queue.acknowledging = matches!(then, Then::Acknowledge);
            let event = match then {
                Then::Acknowledge | Then::Hold => None,
                Then::Wait(event) => Some(event),
            };
            queue.last = Some(Acknowledgement { message_id, event });
        }
        self.hear(id, &connection, number);
        self.release_in_order(id, &mut connection)?;
        self.save_if_there(id, connection)
    }

    /// What the application has to be told of a message holds up the next one of its queue, whatever it is: peers and
    /// relays can fill the storage no faster than the application takes their events.
    fn wait_for_application(
        &mut self,
        connection: &Connection,
        id: ConnectionId,
        queue: u32,
        message_id: &[u8],
        then: Then,
        first_event: u64,
    ) -> Result<Then, S> {
        if !matches!(then, Then::Acknowledge) || self.next_event <= first_event || connection.deleting.is_some() {
            return Ok(then);
        }
        let event = EventId(self.next_event.saturating_sub(1));
        let key = Key::event(event);
        let Some(mut record) = self.transaction.get::<EventRecord>(&key)? else { return Ok(then) };
        if matches!(record.kind, EventKind::Confirmation { .. } | EventKind::Info { .. } | EventKind::Connected { .. })
        {
            // Each comes once.
            return Ok(then);
        }
        record.from = Some(ReceivedFrom {
            connection: id,
            queue,
            message_id: message_id.to_vec(),
            number: 0,
            hash: [0; 32],
            receipt: false,
        });
        self.transaction.put(&key, &record)?;
        Ok(Then::Wait(event))
    }

    /// The relay's encryption.
    fn open_delivery(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        number: u32,
        message_id: &[u8],
        body: &mut [u8],
    ) -> Result<Then, S> {
        let Some(queue) = connection.receive_queue(number) else { return Ok(Then::Acknowledge) };
        let Ok(relay_id) = RelayMessageId::new(message_id) else { return self.dropped(id, ConnectionError::Message) };
        let (time, sent) = match delivery::open(&queue.delivery_key(), relay_id, body) {
            Ok(Content::Message { time, body, .. }) => (time.0, body.to_vec()),
            Ok(Content::Quota { .. }) => return self.queue_was_full(id, connection, number),
            Err(_) => return self.dropped(id, ConnectionError::Crypto),
        };
        let arrival = Arrival { id, queue: number, message_id, time };
        self.open_envelope(&arrival, connection, sent)
    }

    /// A message that cannot be used: the application learns why, and the relay may forget it.
    pub(super) fn dropped(&mut self, id: ConnectionId, error: ConnectionError) -> Result<Then, S> {
        self.fail(id, error)?;
        Ok(Then::Acknowledge)
    }

    /// The queue was full and is not any more: the peer need not wait.
    fn queue_was_full(&mut self, id: ConnectionId, connection: &mut Connection, number: u32) -> Result<Then, S> {
        let copy = connection.clone();
        if connection.send_queues.is_empty()
            || connection.stage != Stage::Connected
            || !self.is_synchronized(connection)
        {
            return Ok(Then::Acknowledge);
        }
        let Some(queue) = copy.receive_queue(number) else { return Ok(Then::Acknowledge) };
        if self.is_waiting(id, queue.continue_message)? {
            return Ok(Then::Acknowledge);
        }
        if let Some(queue) = queue.address() {
            let reference = smp_proto::agent::QueueReference { server: queue.server, sender_id: queue.sender_id };
            let message = Message::QuotaContinue(reference);
            let message = self.send_message(id, connection, OutgoingKind::Continue, message, Manner::QUIET)?;
            if let Some(queue) = connection.receive_queue_mut(number) {
                queue.continue_message = Some(message);
            }
        }
        Ok(Then::Acknowledge)
    }

    /// The encryption of the queue.
    fn open_envelope(
        &mut self,
        arrival: &Arrival<'_>,
        connection: &mut Connection,
        mut sent: Vec<u8>,
    ) -> Result<Then, S> {
        let id = arrival.id;
        let Ok(sealed) = SealedEnvelope::new(&mut sent) else { return self.dropped(id, ConnectionError::Message) };
        let header = *sealed.header();
        let Some(queue) = connection.receive_queue(arrival.queue) else { return Ok(Then::Acknowledge) };
        let own = self.configuration.client_versions;
        if !own.contains(header.version) && header.version.0 > queue.version {
            return self.dropped(id, ConnectionError::Version);
        }
        let (key, fresh) = match (&queue.envelope_secret, header.key) {
            (Some(secret), _) => (BoxKey::from(&smp_crypto::key::SharedSecret::from_bytes(secret.0)), None),
            (None, Some(sender)) => {
                let agreed = queue.envelope_key().diffie_hellman(&X25519PublicKey(sender.0));
                let Ok(agreed) = agreed else { return self.dropped(id, ConnectionError::Crypto) };
                (BoxKey::from(&agreed), Some(Secret(*agreed.as_bytes())))
            }
            (None, None) => return self.dropped(id, ConnectionError::Prohibited),
        };
        let Ok(content) = sealed.open(&key) else { return self.dropped(id, ConnectionError::Crypto) };
        let sender_key = content.sender_key;
        let mut body = content.body.to_vec();
        let Ok((envelope, rest)) = AgentEnvelope::split(&mut body) else {
            return self.dropped(id, ConnectionError::Message);
        };
        let version = envelope.version;
        match (envelope.content, fresh) {
            (EnvelopeContent::Confirmation { parameters, .. }, Some(secret)) => {
                let introduction = Introduction { header, secret, sender_key, version };
                self.take_confirmation(arrival, connection, introduction, parameters, rest)
            }
            // Its acknowledgement was lost, or it came to another queue of the connection before.
            (EnvelopeContent::Confirmation { .. }, None) if header.key.is_some() => Ok(Then::Acknowledge),
            (EnvelopeContent::Invitation { request, .. }, Some(_)) if sender_key.is_none() => {
                let request = String::from(request);
                let info = rest.to_vec();
                self.take_request(arrival, connection, request, info)
            }
            (EnvelopeContent::Message(_), None) if header.key.is_none() && sender_key.is_none() => {
                self.raise_version(connection, version);
                self.take_ratchet_message(arrival, connection, rest)
            }
            (EnvelopeContent::RatchetKey { parameters, .. }, None) if header.key.is_none() && sender_key.is_none() => {
                self.raise_version(connection, version);
                self.take_ratchet_key(arrival, connection, &parameters)
            }
            _ => self.dropped(id, ConnectionError::Prohibited),
        }
    }

    /// A version that the peer has shown to speak is used from now on; never a lower one.
    fn raise_version(&self, connection: &mut Connection, peer: AgentVersion) {
        let shown = peer.min(self.configuration.agent_versions.max());
        connection.version = connection.version.max(shown.0);
    }

    fn accepts_version(&self, connection: &Connection, version: AgentVersion) -> bool {
        self.configuration.agent_versions.contains(version) || version.0 <= connection.version
    }

    /// The first message of a queue.
    fn take_confirmation(
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
    fn take_request(
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

    fn take_ratchet_message(
        &mut self,
        arrival: &Arrival<'_>,
        connection: &mut Connection,
        message: &mut [u8],
    ) -> Result<Then, S> {
        let id = arrival.id;
        let hash = sha256(&[message]);
        // With several queues most messages come several times: no need to ask the ratchet.
        if connection.receive_queues.len() > 1 && self.was_received(id, message)? {
            self.queue_active(id, connection, arrival.queue)?;
            return Ok(Then::Acknowledge);
        }
        let Some(mut ratchet) = self.ratchet(id)? else { return self.dropped(id, ConnectionError::Prohibited) };
        let opened = match self.decrypt(id, &mut ratchet, message)? {
            Ok(opened) => opened,
            Err(_) if self.was_received(id, message)? => return Ok(Then::Acknowledge),
            Err(error) => match self.decrypt_with_other_role(arrival, connection, message)? {
                Some(opened) => opened,
                None => return self.cannot_decrypt(id, connection, error),
            },
        };
        self.remember_received(id, &hash)?;
        self.queue_active(id, connection, arrival.queue)?;
        self.ratchet_works(id, connection)?;
        if opened.answers && connection.stage == Stage::Allowed {
            self.confirmation_arrived(id, connection)?;
        }
        let Ok(AgentMessage::Sequenced { number, message, .. }) = AgentMessage::from_bytes(&opened.plaintext) else {
            return self.dropped(id, ConnectionError::Message);
        };
        // Nothing that was sent before the first message under a new ratchet can be read any more, and the peer waits.
        let begins = matches!(message, Message::Ready(_));
        if begins {
            self.release_before(id, connection, number)?;
        } else if self.comes_early(id, connection, arrival.queue, number) {
            return self.hold_back(arrival, connection, number, opened);
        }
        self.take_opened(arrival, connection, &opened)
    }

    /// What a message says, when it is its turn.
    pub(super) fn take_opened(
        &mut self,
        arrival: &Arrival<'_>,
        connection: &mut Connection,
        opened: &Opened,
    ) -> Result<Then, S> {
        let id = arrival.id;
        let plaintext_hash = sha256(&[&opened.plaintext]);
        let Ok(AgentMessage::Sequenced { number, previous_hash, message }) =
            AgentMessage::from_bytes(&opened.plaintext)
        else {
            return self.dropped(id, ConnectionError::Message);
        };
        let last = Link { number: connection.received_number, hash: &connection.received_hash };
        let integrity = Integrity::check(last, Link { number, hash: previous_hash });
        let late = connection.missing.is_some_and(|(first, last)| (first..=last).contains(&number));
        // What was missed and comes after all is no step back.
        if !(late && number < connection.received_number) {
            connection.received_number = number;
            connection.received_hash = plaintext_hash.to_vec();
        }
        if let Integrity::Skipped { first, last } = integrity {
            connection.missing = Some((first, last));
        }
        match message {
            Message::Application(body) => {
                let received = ReceivedMessage {
                    id: connection.next_message(),
                    sender_number: number,
                    relay_time: arrival.time,
                    integrity,
                    post_quantum: opened.post_quantum,
                    body: Text(body.to_vec()),
                };
                let from = ReceivedFrom {
                    connection: id,
                    queue: arrival.queue,
                    message_id: arrival.message_id.to_vec(),
                    number,
                    hash: plaintext_hash,
                    receipt: true,
                };
                let event = self.notify_from(EventKind::Message { connection: id, message: received }, Some(from))?;
                Ok(event.map_or(Then::Acknowledge, Then::Wait))
            }
            message => {
                let _ = connection.next_message();
                self.take_service_message(arrival, connection, &message, opened.first)?;
                Ok(Then::Acknowledge)
            }
        }
    }

    /// What agents say to each other.
    fn take_service_message(
        &mut self,
        arrival: &Arrival<'_>,
        connection: &mut Connection,
        message: &Message<'_>,
        first: bool,
    ) -> Result<(), S> {
        let id = arrival.id;
        let about_queues = matches!(
            message,
            Message::QuotaContinue(_)
                | Message::AddQueues(_)
                | Message::QueueKeys(_)
                | Message::UseQueues(_)
                | Message::TestQueues(_)
        );
        // Who was not let in has no say about where to send, and is not answered.
        if about_queues && !matches!(connection.stage, Stage::Allowed | Stage::Greeting | Stage::Connected) {
            return self.fail(id, ConnectionError::Prohibited);
        }
        match message {
            Message::Application(_) => Ok(()),
            Message::Hello => self.hello_received(id, connection),
            Message::Receipts(receipts) => {
                for receipt in receipts {
                    self.take_receipt(id, connection, receipt.number, receipt.hash)?;
                }
                Ok(())
            }
            Message::QuotaContinue(queue) => self.take_continue(id, connection, queue),
            Message::AddQueues(queues) => self.take_added_queues(id, connection, queues),
            Message::QueueKeys(keys) => self.take_queue_keys(id, connection, keys),
            Message::UseQueues(queues) => self.take_used_queues(id, connection, queues),
            Message::TestQueues(queues) => self.take_tested_queues(id, connection, queues),
            Message::Ready(_) => self.take_ready(id, connection, first),
        }
    }

    fn take_continue(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        reference: &smp_proto::agent::QueueReference<'_>,
    ) -> Result<(), S> {
        let queue = connection.send_queues.iter_mut().find(|queue| {
            queue.server.address().same_server(&reference.server) && queue.sender_id == reference.sender_id.as_bytes()
        });
        // It was left meanwhile, and what waited for it with it.
        let Some(queue) = queue else { return Ok(()) };
        queue.full_since = None;
        let number = queue.number;
        self.continue_delivery(id, number);
        self.notify(EventKind::Continued { connection: id })
    }

    /// A message came through a queue.
    fn queue_active(&mut self, id: ConnectionId, connection: &mut Connection, number: u32) -> Result<(), S> {
        let Some(queue) = connection.receive_queue_mut(number) else { return Ok(()) };
        if queue.status == QueueStatus::Active && !queue.is_coming() {
            return Ok(());
        }
        queue.status = QueueStatus::Active;
        self.new_queue_active(id, connection, number)
    }
}

/// Who sends into a queue, from its first message.
pub(super) struct Introduction {
    header: EnvelopeHeader,
    secret: Secret,
    sender_key: Option<AuthorizationKey>,
    version: AgentVersion,
}

pub(super) fn spki(key: &AuthorizationKey) -> Vec<u8> {
    use smp_proto::wire::Encode;
    let mut buffer = [0; 160];
    // A key's encoding is its SubjectPublicKeyInfo behind a byte for its length.
    let bytes = key.to_slice(&mut buffer).unwrap_or_default();
    bytes.get(1..).unwrap_or_default().to_vec()
}
