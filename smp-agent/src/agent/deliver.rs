//! Delivery: the oldest message of each send queue is sealed and sent, and what the relay answers decides what follows
//! (wire reference, section 14).

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
use crate::error::ConnectionError;
use crate::event::{DeliveryProblem, EventKind};
use crate::id::{ConnectionId, MessageId};
use crate::policy::back_off::{MessageBackOff, Pace};
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

    #[expect(clippy::too_many_arguments, reason = "all that decides what follows")]
    fn take_failed(
        &mut self,
        work: &Work,
        id: ConnectionId,
        connection: &mut Connection,
        number: u32,
        message: MessageId,
        mut outgoing: Outgoing,
        failure: Failure,
    ) -> Result<(), S> {
        self.send_queue_blocked(id, connection, number, &failure)?;
        let introduction = matches!(outgoing.kind, OutgoingKind::Confirmation { .. } | OutgoingKind::Invitation { .. });
        let session = connection.send_queue(number).map(|queue| self.session(connection.user, &queue.server, id));
        if let Some(session) = &session
            && self.goes_directly(work, session, &failure)
        {
            return Ok(());
        }
        if !introduction && self.falls_back(work, id, connection, number, &failure)? {
            return Ok(());
        }
        // A clock that was wrong then does not let it wait for ever.
        outgoing.created = outgoing.created.min(self.now);
        let age = self.now.since(outgoing.created);
        let (pace, expiry) = match failure.reason {
            Reason::Quota if !introduction && failure.by == Reporter::Relay => {
                (Pace::Slow, self.configuration.quota_expiry)
            }
            _ if failure.is_tried_again() => (Pace::Fast, self.configuration.message_expiry),
            Reason::NotAuthorized
                if self.may_be_secured(connection, number, &outgoing) && self.signed.insert(work.clone()) =>
            {
                // The confirmation of an attempt whose answer was lost, perhaps before a restart, may have arrived, and
                // the recipient set the key. When that attempt is refused as well, it was somebody else's key.
                outgoing.back_off = None;
                self.transaction.put(&Key::outgoing(id, message), &outgoing)?;
                return Ok(());
            }
            _ => {
                self.finish(work);
                return self.give_up(id, connection, number, message, outgoing, failure);
            }
        };
        if age > expiry {
            self.finish(work);
            return self.fail_waiting(id, connection, number, Some(expiry), failure);
        }
        if pace == Pace::Slow {
            let now = self.now;
            if let Some(queue) = connection.send_queue_mut(number) {
                queue.full_since.get_or_insert(now);
            }
        }
        let intervals = self.configuration.delivery;
        let back_off = outgoing.back_off.get_or_insert_with(|| MessageBackOff::new(&intervals));
        let pause = back_off.advance(pace, &intervals);
        let tell = !failure.is_temporary() && matches!(outgoing.kind, OutgoingKind::Application);
        self.transaction.put(&Key::outgoing(id, message), &outgoing)?;
        self.retry_after(work, pause);
        if tell {
            self.notify(EventKind::Waiting { connection: id, message, failure })?;
        }
        Ok(())
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

    /// Whether the recipient may have secured a queue that this side did not.
    fn may_be_secured(&self, connection: &Connection, number: u32, outgoing: &Outgoing) -> bool {
        matches!(outgoing.kind, OutgoingKind::Confirmation { .. })
            && connection.send_queue(number).is_some_and(|queue| !queue.is_messaging())
    }

    /// A message cannot be delivered to a queue.
    fn give_up(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        number: u32,
        message: MessageId,
        outgoing: Outgoing,
        failure: Failure,
    ) -> Result<(), S> {
        // With others left, one that is gone is no loss.
        let gone = matches!(failure.reason, Reason::NotAuthorized | Reason::Blocked(_));
        let others = connection.send_queues.iter().any(|queue| queue.number != number && queue.is_usable());
        if gone && others && connection.stage == Stage::Connected {
            return self.send_queue_gone(id, connection, number);
        }
        let introduction = matches!(outgoing.kind, OutgoingKind::Confirmation { .. } | OutgoingKind::Invitation { .. });
        if failure.blocked().is_some() && !introduction {
            return self.fail_waiting(id, connection, number, None, failure);
        }
        self.complete(id, connection, number, message, outgoing, Outcome::Failed(DeliveryProblem::Failed(failure)))
    }

    /// One of the send queues is the first one.
    pub(super) fn choose_primary(&self, connection: &mut Connection) {
        if !connection.send_queues.iter().any(|queue| queue.primary)
            && let Some(queue) = connection.send_queues.iter_mut().find(|queue| !queue.disabled)
        {
            queue.primary = true;
        }
    }

    /// All messages of a queue fail, or those that are older than so many milliseconds.
    fn fail_waiting(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        number: u32,
        expiry: Option<u64>,
        failure: Failure,
    ) -> Result<(), S> {
        let waiting: Vec<MessageId> =
            self.waiting.get(&(id, number)).map(|messages| messages.iter().copied().collect()).unwrap_or_default();
        let mut failed = Vec::new();
        for message in waiting {
            let Some(outgoing) = self.transaction.get::<Outgoing>(&Key::outgoing(id, message))? else { continue };
            if expiry.is_some_and(|expiry| self.now.since(outgoing.created) <= expiry) {
                break;
            }
            if matches!(outgoing.kind, OutgoingKind::Application) && !outgoing.delivered && outgoing.waiting <= 1 {
                failed.push(message);
                self.forget_outgoing(id, number, message, outgoing)?;
            } else {
                let problem = DeliveryProblem::Failed(failure);
                self.complete(id, connection, number, message, outgoing, Outcome::Failed(problem))?;
            }
        }
        let problem = if expiry.is_some() { DeliveryProblem::Expired } else { DeliveryProblem::Failed(failure) };
        // As many as any storage takes in one record.
        for messages in failed.chunks(MESSAGES_IN_EVENT) {
            self.notify(EventKind::NotSent { connection: id, messages: messages.to_vec(), problem })?;
        }
        Ok(())
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
            (kind, Outcome::Failed(problem)) if last && !delivered => {
                self.service_failed(id, connection, &kind, problem)
            }
            (_, Outcome::Failed(_)) => Ok(()),
        }
    }

    /// What the agent itself had to say was not delivered.
    fn service_failed(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        kind: &OutgoingKind,
        problem: DeliveryProblem,
    ) -> Result<(), S> {
        if let DeliveryProblem::Failed(failure) = problem
            && (failure.is_temporary() || failure.is_of_host() || failure.reason == Reason::Quota)
        {
            // It has waited for too long. A move that stops here would never end, and no other one could begin.
            match kind {
                OutgoingKind::AddQueue | OutgoingKind::UseQueue { .. } => super::rotate::say_again(connection),
                OutgoingKind::QueueKey { queue } => self.say_key_again(id, connection, *queue)?,
                _ => {}
            }
        }
        let error = match (kind, problem) {
            (OutgoingKind::Hello | OutgoingKind::RatchetKey { .. }, DeliveryProblem::Failed(failure))
                if failure.reason == Reason::NotAuthorized =>
            {
                if connection.initiator {
                    ConnectionError::NotAvailable
                } else {
                    ConnectionError::NotAccepted
                }
            }
            (
                OutgoingKind::AddQueue
                | OutgoingKind::QueueKey { .. }
                | OutgoingKind::UseQueue { .. }
                | OutgoingKind::TestQueue { .. },
                DeliveryProblem::Failed(failure),
            ) if failure.reason == Reason::NotAuthorized => ConnectionError::Queue,
            (_, DeliveryProblem::Failed(failure)) => ConnectionError::Relay(failure),
            (_, DeliveryProblem::Expired | DeliveryProblem::TooLarge) => return Ok(()),
        };
        self.fail(id, error)
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
