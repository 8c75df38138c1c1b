//! What relays deliver: through the encryption of the relay, of the queue and of the ratchet, to what it means (wire
//! reference, sections 4 and 15).

mod confirmation;
mod content;

use alloc::string::String;
use alloc::vec::Vec;

use rand_core::CryptoRng;
use smp_crypto::delivery;
use smp_crypto::key::X25519PublicKey;
use smp_crypto::queue_envelope::{EnvelopeHeader, SealedEnvelope};
use smp_crypto::secret_box::BoxKey;
use smp_proto::agent::{AgentEnvelope, EnvelopeContent, Message};
use smp_proto::id::MessageId as RelayMessageId;
use smp_proto::key::AuthorizationKey;
use smp_proto::smp::message::Delivery as Content;
use smp_proto::version::AgentVersion;

use super::enqueue::Manner;
use super::work::Work;
use super::{Agent, Result};
use crate::error::{ConnectionError, Error};
use crate::event::EventKind;
use crate::id::{ConnectionId, EventId};
use crate::policy::session::SessionKey;
use crate::record::{Acknowledgement, Connection, EventRecord, OutgoingKind, ReceivedFrom, Secret, Stage};
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
