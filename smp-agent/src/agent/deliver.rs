//! Delivery: the oldest message of each send queue is sealed and sent, and what the relay answers decides what follows
//! (wire reference, section 14).

mod failed;

use alloc::vec;
use alloc::vec::Vec;

use rand_core::CryptoRng;
use smp_crypto::queue_envelope::{self, EnvelopeHeader};
use smp_crypto::ratchet::PreparedMessage;
use smp_crypto::secret_box::Nonce;
use smp_proto::agent::{AgentEnvelope, AgreedParameters, EnvelopeContent};
use smp_proto::key::AuthorizationKey;
use smp_proto::smp::message::ClientMessage;
use smp_proto::wire::{Decode, Writer};

use super::work::{Attempt, Work};
use super::{Agent, Result, Undo};
use crate::event::{DeliveryProblem, EventKind};
use crate::id::{ConnectionId, MessageId};
use crate::record::{Connection, Outgoing, OutgoingKind, QueueStatus, SendQueue, SentRecord, Stage};
use crate::request::{Answer, Failure, Operation, Reason, Reporter};
use crate::storage::Storage;
use crate::table::Key;

/// How many messages one event tells of at most.
const MESSAGES_IN_EVENT: usize = 1_000;

/// What became of a message in one queue.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
    Delivered { proxied: bool },
    Failed(DeliveryProblem),
}

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    /// The next message of a queue, ready to be sent.
    pub(super) fn prepare_delivery(
        &mut self,
        work: &Work,
        id: ConnectionId,
        number: u32,
    ) -> Result<Option<Attempt>, S> {
        let Some(connection) = self.connections.get(&id) else { return Ok(None) };
        let Some(queue) = connection.send_queue(number) else { return Ok(None) };
        let (version, user, queue) = (connection.agent_version(), connection.user, queue.clone());
        let (message, outgoing) = loop {
            let Some(message) = self.waiting.get(&(id, number)).and_then(|messages| messages.front().copied()) else {
                return Ok(None);
            };
            if let Some(outgoing) = self.transaction.get::<Outgoing>(&Key::outgoing(id, message))? {
                break (message, outgoing);
            }
            self.forget_delivery(id, number, message);
        };
        let highest = self.configuration.agent_versions.max();
        let version = match outgoing.kind {
            OutgoingKind::Confirmation { .. } | OutgoingKind::Invitation { .. } => version,
            _ => highest,
        };
        let introduces = matches!(outgoing.kind, OutgoingKind::Confirmation { .. } | OutgoingKind::Invitation { .. });
        let asks = matches!(outgoing.kind, OutgoingKind::Confirmation { .. }) && !queue.is_messaging();
        let Some(envelope) = seal_agent_envelope(version, &outgoing) else {
            return self.cannot_seal(id, number, message, outgoing);
        };
        let header = EnvelopeHeader {
            version: queue.client_version(),
            key: introduces.then(|| queue.public_key()),
            nonce: Nonce::generate(&mut self.random),
        };
        let sender_key = asks.then(|| AuthorizationKey::Ed25519(queue.key.public()));
        let content = ClientMessage { sender_key, body: &envelope };
        let mut body = vec![0; queue_envelope::MESSAGE_LENGTH];
        let Ok(sealed) = queue_envelope::seal(&queue.box_key(), &header, &content, &mut body) else {
            return self.cannot_seal(id, number, message, outgoing);
        };
        let length = sealed.len();
        body.truncate(length);
        // An address is never secured, and the recipient cannot know the key before it has read it.
        let signed = !matches!(outgoing.kind, OutgoingKind::Invitation { .. }) && (!asks || self.signed.contains(work));
        let key = signed.then(|| queue.key.clone());
        let operation = Operation::Send { sender_id: queue.sender_id.clone(), key, notify: outgoing.notify, body };
        let session = self.session(user, &queue.server, id);
        let attempt = self.sending(work, session, operation);
        if attempt.is_none() {
            // The user's relays have changed: none is left that the routing allows to send through.
            let failure = Failure { by: Reporter::Proxy, reason: Reason::Host };
            let expiry = self.configuration.message_expiry;
            if self.now.since(outgoing.created) > expiry {
                self.finish(work);
                let Some(mut connection) = self.load(id) else { return Ok(None) };
                self.fail_waiting(id, &mut connection, number, Some(expiry), failure)?;
                self.save_if_there(id, connection)?;
                return Ok(None);
            }
            self.notify(EventKind::Waiting { connection: id, message, failure })?;
        }
        Ok(attempt.map(|attempt| Attempt { message: Some(message), ..attempt }))
    }

    /// A message does not fit into a queue's envelope, which can be known of one with a link in it only here. Others go on.
    fn cannot_seal(
        &mut self,
        id: ConnectionId,
        number: u32,
        message: MessageId,
        outgoing: Outgoing,
    ) -> Result<Option<Attempt>, S> {
        let Some(mut connection) = self.load(id) else { return Ok(None) };
        let outcome = Outcome::Failed(DeliveryProblem::TooLarge);
        self.complete(id, &mut connection, number, message, outgoing, outcome)?;
        self.save_if_there(id, connection)?;
        Ok(None)
    }

    /// A queue does not wait for a message any more.
    pub(super) fn forget_delivery(&mut self, id: ConnectionId, queue: u32, message: MessageId) {
        self.transaction.delete(&Key::delivery(id, queue, message));
        if self.remove_waiting(id, queue, message) {
            self.undo.push(Undo::WaitsNot(id, queue, message));
        }
    }

    pub(super) fn take_delivered(
        &mut self,
        work: &Work,
        id: ConnectionId,
        number: u32,
        message: MessageId,
        proxied: bool,
        result: core::result::Result<Answer, Failure>,
    ) -> Result<(), S> {
        let Some(mut connection) = self.load(id) else { return Ok(()) };
        let Some(outgoing) = self.transaction.get::<Outgoing>(&Key::outgoing(id, message))? else { return Ok(()) };
        match result {
            Ok(_) => {
                self.finish(work);
                if let Some(queue) = connection.send_queue_mut(number) {
                    queue.full_since = None;
                    queue.blocked = None;
                }
                self.failing.remove(&(id, number));
                self.complete(id, &mut connection, number, message, outgoing, Outcome::Delivered { proxied })?;
            }
            Err(failure) => self.take_failed(work, id, &mut connection, number, message, outgoing, failure)?,
        }
        self.save_if_there(id, connection)
    }

    /// Saves a connection that was not deleted meanwhile.
    pub(super) fn save_if_there(&mut self, id: ConnectionId, connection: Connection) -> Result<(), S> {
        if self.connections.contains_key(&id) { self.save(id, connection) } else { Ok(()) }
    }

    /// The answer to a request to an address came before the relay's: the request has arrived.
    pub(super) fn request_arrived(&mut self, id: ConnectionId, connection: &mut Connection) -> Result<(), S> {
        let queues: Vec<u32> = connection.send_queues.iter().map(|queue| queue.number).collect();
        for number in queues {
            let Some(message) = self.waiting.get(&(id, number)).and_then(|messages| messages.front().copied()) else {
                continue;
            };
            if let Some(outgoing) = self.transaction.get::<Outgoing>(&Key::outgoing(id, message))? {
                let outcome = Outcome::Delivered { proxied: false };
                self.complete(id, connection, number, message, outgoing, outcome)?;
            }
        }
        Ok(())
    }

    /// The peer has answered before its relay: it has the own confirmation. Where that went to several queues, those
    /// whose relays have not answered still have to learn who sends.
    pub(super) fn confirmation_arrived(&mut self, id: ConnectionId, connection: &mut Connection) -> Result<(), S> {
        let queues: Vec<u32> = connection.send_queues.iter().map(|queue| queue.number).collect();
        for number in queues {
            let Some(message) = self.waiting.get(&(id, number)).and_then(|messages| messages.front().copied()) else {
                continue;
            };
            let Some(outgoing) = self.transaction.get::<Outgoing>(&Key::outgoing(id, message))? else { continue };
            if outgoing.waiting <= 1
                && !outgoing.delivered
                && matches!(outgoing.kind, OutgoingKind::Confirmation { .. })
            {
                self.hurry(&Work::Deliver(id, number));
                let outcome = Outcome::Delivered { proxied: false };
                self.complete(id, connection, number, message, outgoing, outcome)?;
            }
        }
        Ok(())
    }

    /// One of the send queues is the first one.
    pub(super) fn choose_primary(&self, connection: &mut Connection) {
        if !connection.send_queues.iter().any(|queue| queue.primary)
            && let Some(queue) = connection.send_queues.iter_mut().find(|queue| !queue.disabled)
        {
            queue.primary = true;
        }
    }

    /// A queue is done with a message; when all are, nothing of it is left here.
    pub(super) fn forget_outgoing(
        &mut self,
        id: ConnectionId,
        number: u32,
        message: MessageId,
        mut outgoing: Outgoing,
    ) -> Result<(), S> {
        self.forget_delivery(id, number, message);
        outgoing.waiting = outgoing.waiting.saturating_sub(1);
        outgoing.back_off = None;
        if outgoing.waiting == 0 {
            self.transaction.delete(&Key::outgoing(id, message));
            return Ok(());
        }
        self.transaction.put(&Key::outgoing(id, message), &outgoing)
    }

    /// The peer has a message whose delivery to a queue was not answered.
    pub(super) fn delivered_unanswered(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        number: u32,
        message: MessageId,
        outgoing: Outgoing,
    ) -> Result<(), S> {
        let outcome = Outcome::Delivered { proxied: false };
        self.complete(id, connection, number, message, outgoing, outcome)
    }

    /// What follows when a queue is done with a message.
    pub(super) fn complete(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        number: u32,
        message: MessageId,
        mut outgoing: Outgoing,
        outcome: Outcome,
    ) -> Result<(), S> {
        let first = !outgoing.delivered;
        let last = outgoing.waiting <= 1;
        if matches!(outcome, Outcome::Delivered { .. }) {
            outgoing.delivered = true;
        }
        let (kind, sent_number, hash) = (outgoing.kind.clone(), outgoing.number, outgoing.hash);
        let delivered = outgoing.delivered;
        self.forget_outgoing(id, number, message, outgoing)?;
        match (kind, outcome) {
            (OutgoingKind::Application, Outcome::Delivered { proxied }) if first => {
                let record = SentRecord { message: message.0, hash, day: self.now.day() };
                self.transaction.put(&Key::sent(id, sent_number), &record)?;
                self.notify(EventKind::Sent { connection: id, message, proxied })
            }
            (OutgoingKind::Application, Outcome::Failed(problem)) if last && !delivered => {
                self.notify(EventKind::NotSent { connection: id, messages: vec![message], problem })
            }
            (OutgoingKind::Application, _) => Ok(()),
            (OutgoingKind::Confirmation { parameters }, Outcome::Delivered { .. }) => {
                self.confirmation_delivered(id, connection, number, parameters.is_some())
            }
            (OutgoingKind::Confirmation { parameters }, Outcome::Failed(_))
                if matches!(connection.stage, Stage::Greeting | Stage::Connected)
                    && connection.send_queues.iter().all(|queue| queue.status < QueueStatus::Confirmed) =>
            {
                // It was answered: one of the queues has it, though no relay has said so.
                self.confirmation_delivered(id, connection, number, parameters.is_some())
            }
            (OutgoingKind::Confirmation { .. }, Outcome::Failed(problem)) => {
                self.introduction_failed(id, connection, number, last && !delivered, problem)
            }
            (OutgoingKind::Invitation { .. }, Outcome::Delivered { .. }) => {
                connection.send_queues.retain(|queue| queue.number != number);
                connection.stage = Stage::Invited;
                self.notify(EventKind::Joined { connection: id, can_send: false })
            }
            (OutgoingKind::Invitation { .. }, Outcome::Failed(problem)) => {
                connection.send_queues.retain(|queue| queue.number != number);
                self.introduction_failed(id, connection, number, true, problem)
            }
            (OutgoingKind::Hello, Outcome::Delivered { .. }) => self.hello_delivered(id, connection, number),
            (OutgoingKind::QueueKey { queue }, Outcome::Delivered { .. }) => {
                self.queue_key_delivered(id, connection, queue, first)
            }
            (OutgoingKind::TestQueue { queue }, Outcome::Delivered { .. }) if queue == number => {
                self.queue_test_delivered(id, connection, queue)
            }
            (_, Outcome::Delivered { .. }) => Ok(()),
            // Only the new queue counts, whatever others have it.
            (OutgoingKind::TestQueue { queue }, Outcome::Failed(problem))
                if queue == number && failed::is_late(&problem) =>
            {
                self.say_test_again(id, connection, queue)
            }
            (kind, Outcome::Failed(problem)) if last && !delivered => {
                self.service_failed(id, connection, &kind, problem)
            }
            (_, Outcome::Failed(_)) => Ok(()),
        }
    }

    /// The peer has made room in a queue that was full: its messages are tried at once.
    pub(super) fn continue_delivery(&mut self, id: ConnectionId, number: u32) {
        self.hurry(&Work::Deliver(id, number));
    }
}

/// Who receives and sends now.
pub(super) fn redundancy(id: ConnectionId, connection: &Connection) -> EventKind {
    EventKind::Redundancy {
        connection: id,
        receiving: connection.receiving().map(|queue| queue.server.clone()).collect(),
        sending: connection.send_queues.iter().map(|queue: &SendQueue| queue.server.clone()).collect(),
    }
}

/// The agent's envelope of a message, with what the ratchet makes of its plaintext.
fn seal_agent_envelope(version: smp_proto::version::AgentVersion, outgoing: &Outgoing) -> Option<Vec<u8>> {
    let content = match &outgoing.kind {
        OutgoingKind::Confirmation { parameters } => EnvelopeContent::Confirmation {
            parameters: match parameters {
                Some(bytes) => Some(AgreedParameters::from_bytes(bytes).ok()?),
                None => None,
            },
            message: &[],
        },
        OutgoingKind::Invitation { request } => EnvelopeContent::Invitation { request, info: &outgoing.plaintext },
        OutgoingKind::RatchetKey { parameters } => EnvelopeContent::RatchetKey {
            parameters: AgreedParameters::from_bytes(parameters).ok()?,
            info: &outgoing.plaintext,
        },
        _ => EnvelopeContent::Message(&[]),
    };
    let mut buffer = vec![0; queue_envelope::MESSAGE_LENGTH];
    let mut writer = Writer::new(&mut buffer);
    writer.value(&AgentEnvelope { version, content }).ok()?;
    if !outgoing.prepared.is_empty() {
        let prepared = PreparedMessage::from_bytes(&outgoing.prepared).ok()?;
        let padded = usize::from(outgoing.padded);
        let sealed = writer.reserve(prepared.encrypted_length(padded)).ok()?;
        prepared.seal(&outgoing.plaintext, padded, sealed).ok()?;
    }
    let length = writer.len();
    buffer.truncate(length);
    Some(buffer)
}
