//! Many commands over one connection: which wait to be sent, which for their response, and what to make of a block from
//! the relay. No socket and no clock: bytes and time come in, bytes, events and the next deadline go out.

mod request;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use smp_proto::id::SessionId;
use smp_proto::smp::BrokerMessage;
use smp_proto::transport::{Batch, BatchWriter, Transmission};
use smp_proto::version::SmpVersion;
use smp_proto::wire::Reader;
use tokio::time::Instant;

use super::commands::Notification;
use super::{ClientError, Delivery, Event, Id, RelayError};
use crate::net::SESSION_IDENTIFIER_SIZE;
pub use request::Anomalies;
use request::Pending;
pub(super) use request::{CorrelationId, Kind, Limits, Request, Response, Tick};

/// How many commands whose time was up are remembered, so that a late answer is not taken for a stray one.
const LATE_LIMIT: usize = 1024;
/// How many events may wait beyond those of subscribed queues when reading cannot pause.
const SPARE_EVENTS: usize = 256;
/// How many notifications may wait for the application. They only say that something waits, and relays send them without
/// being asked: what comes beyond that is left out.
const NOTIFICATION_LIMIT: usize = 1024;
/// How many encoded commands may wait to be packed into blocks, in bytes: a few blocks.
const WAITING_LIMIT: usize = 4 * crate::net::BLOCK_SIZE;

/// Longer than any connection lasts.
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

pub(super) struct Multiplexer {
    version: SmpVersion,
    session_id: [u8; SESSION_IDENTIFIER_SIZE],
    limits: Limits,
    waiting: VecDeque<Request>,
    waiting_bytes: usize,
    pending: HashMap<CorrelationId, Pending>,
    deadlines: BTreeMap<(Instant, u64), CorrelationId>,
    sequence: u64,
    late: VecDeque<CorrelationId>,
    subscribed: HashSet<Id>,
    /// How many they are, for those outside.
    subscriptions: Arc<AtomicUsize>,
    events: VecDeque<Event>,
    /// How many of the events are notifications.
    notifications: usize,
    /// How many of the events end subscriptions that there were.
    ended: usize,
    anomalies: Anomalies,
    /// When the last block arrived, or when the ping after it was sent. What else is sent says nothing about the relay.
    quiet_since: Instant,
    /// When the last block arrived.
    heard: Instant,
    /// A command was not answered, nor anything else said since it was sent: nobody may be there.
    doubted: bool,
    unanswered_pings: u32,
    /// The ping in flight.
    ping: Option<CorrelationId>,
}

impl Multiplexer {
    pub(super) fn new(
        version: SmpVersion,
        session_id: [u8; SESSION_IDENTIFIER_SIZE],
        limits: Limits,
        now: Instant,
    ) -> Self {
        Self {
            version,
            session_id,
            limits,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            pending: HashMap::new(),
            deadlines: BTreeMap::new(),
            sequence: 0,
            late: VecDeque::new(),
            subscribed: HashSet::new(),
            subscriptions: Arc::default(),
            events: VecDeque::new(),
            notifications: 0,
            ended: 0,
            anomalies: Anomalies::default(),
            quiet_since: now,
            heard: now,
            doubted: false,
            unanswered_pings: 0,
            ping: None,
        }
    }

    /// Whether one more command may be submitted.
    pub(super) fn has_room(&self) -> bool {
        self.waiting_bytes < WAITING_LIMIT
            && self.pending.len().saturating_add(self.waiting.len()) < self.limits.in_flight
    }

    /// Takes a command; it is sent with one of the next blocks.
    pub(super) fn submit(&mut self, request: Request) {
        self.waiting_bytes = self.waiting_bytes.saturating_add(request.transmission.len());
        self.waiting.push_back(request);
    }

    /// Takes a ping.
    pub(super) fn submit_ping(&mut self, request: Request) {
        self.ping = Some(request.correlation_id);
        self.submit(request);
    }

    /// Whether a block is ready to be packed.
    pub(super) fn wants_to_send(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Packs the commands that wait, oldest first, as many as fit one block; their time runs from now.
    ///
    /// Commands about one entity never share a block: relays execute the commands of a block in any order, and check all
    /// authorizations before they execute the first.
    pub(super) fn pack(&mut self, writer: &mut BatchWriter<'_>, now: Instant) {
        let mut entities = HashSet::new();
        while let Some(request) = self.waiting.front() {
            if !request.entity.is_empty() && entities.contains(&request.entity) {
                break;
            }
            if writer.push(|writer| writer.bytes(&request.transmission)).is_err() {
                if writer.is_empty() {
                    // Commands that fit no block are refused before they are submitted.
                    self.drop_front();
                    continue;
                }
                break;
            }
            if let Some(request) = self.take_front() {
                if !request.entity.is_empty() {
                    entities.insert(request.entity.clone());
                }
                self.sequence = self.sequence.wrapping_add(1);
                if self.ping == Some(request.correlation_id) {
                    self.quiet_since = now;
                }
                let deadline = (now.checked_add(request.time_out).unwrap_or(now), self.sequence);
                self.deadlines.insert(deadline, request.correlation_id);
                let Request { correlation_id, entity, kind, responder, .. } = request;
                self.pending.insert(correlation_id, Pending { entity, kind, sent: now, deadline, responder });
            }
        }
    }

    fn take_front(&mut self) -> Option<Request> {
        let request = self.waiting.pop_front()?;
        self.waiting_bytes = self.waiting_bytes.saturating_sub(request.transmission.len());
        Some(request)
    }

    fn drop_front(&mut self) {
        if let Some(responder) = self.take_front().and_then(|request| request.responder) {
            let _ = responder.send(Err(ClientError::TooLarge(self.version.max_message_length())));
        }
    }

    /// Whether the next block may be read: when events wait for the application, only commands in flight are a reason to
    /// go on reading.
    pub(super) fn may_read(&self) -> bool {
        self.events.len() < self.limits.events || !self.pending.is_empty()
    }

    /// Takes the content of a block. An error means that the connection must be given up.
    pub(super) fn receive(&mut self, content: &[u8], now: Instant) -> Result<(), ClientError> {
        (self.quiet_since, self.heard, self.doubted) = (now, now, false);
        self.unanswered_pings = 0;
        let batch = Batch::decode(content).map_err(|_| ClientError::Malformed)?;
        let session_id = self.session_id;
        let session_id = SessionId::new(&session_id).map_err(|_| ClientError::Malformed)?;
        for transmission in batch.iter() {
            match Transmission::decode(transmission, self.version, session_id) {
                Ok(transmission) => self.receive_one(&transmission),
                Err(_) => self.anomalies.malformed = self.anomalies.malformed.saturating_add(1),
            }
        }
        self.subscriptions.store(self.subscribed.len(), Ordering::Relaxed);
        // A relay has at most one message out for each subscription, and ends each once.
        let most = self.limits.events.saturating_add(self.subscribed.len()).saturating_add(SPARE_EVENTS);
        let bounded = self.notifications.saturating_add(self.ended);
        if self.events.len().saturating_sub(bounded) > most { Err(ClientError::Malformed) } else { Ok(()) }
    }

    fn receive_one(&mut self, transmission: &Transmission<'_>) {
        let entity = Id::from(transmission.entity_id);
        let body = transmission.command;
        let message = BrokerMessage::decode(&mut Reader::new(body), self.version);
        let correlation_id = transmission.correlation_id.to_array();
        if transmission.correlation_id.is_empty() {
            match message {
                Ok(message) => self.event(entity, &message),
                Err(_) => self.anomalies.malformed = self.anomalies.malformed.saturating_add(1),
            }
            return;
        }
        let Some((correlation_id, pending)) =
            correlation_id.and_then(|id| self.pending.remove(&id).map(|pending| (id, pending)))
        else {
            self.stray(correlation_id, entity, message.ok().as_ref());
            return;
        };
        self.deadlines.remove(&pending.deadline);
        if self.ping == Some(correlation_id) {
            self.ping = None;
        }
        let response = match message {
            Err(_) => {
                self.anomalies.malformed = self.anomalies.malformed.saturating_add(1);
                Err(ClientError::Malformed)
            }
            Ok(message) if !answers(&message, &entity, &pending) => {
                self.anomalies.unexpected = self.anomalies.unexpected.saturating_add(1);
                Err(ClientError::Unexpected)
            }
            Ok(BrokerMessage::Error(error)) => Err(ClientError::Relay(RelayError::new(&error))),
            Ok(message) => {
                self.note_success(&pending, &message);
                Ok(Box::from(body))
            }
        };
        if let Some(responder) = pending.responder {
            // Whoever asked may have gone away.
            let _ = responder.send(response);
        }
    }

    /// What a success means for subscriptions; messages in responses to SUB and ACK are events like others.
    fn note_success(&mut self, pending: &Pending, message: &BrokerMessage<'_>) {
        match (pending.kind, message) {
            (Kind::Subscribe, _) => {
                self.subscribed.insert(pending.entity.clone());
            }
            (Kind::Create, BrokerMessage::Ids(ids)) => {
                self.subscribed.insert(ids.recipient_id.into());
            }
            (Kind::Delete, _) => {
                self.subscribed.remove(&pending.entity);
            }
            _ => {}
        }
        if let (Kind::Subscribe | Kind::Acknowledge, BrokerMessage::Message(_)) = (pending.kind, message) {
            self.event(pending.entity.clone(), message);
        }
    }

    /// A response to no command in flight. A message in it is a message all the same: a late answer to an ACK.
    fn stray(&mut self, id: Option<CorrelationId>, entity: Id, message: Option<&BrokerMessage<'_>>) {
        if id.is_some_and(|id| self.late.contains(&id)) {
            self.anomalies.late = self.anomalies.late.saturating_add(1);
            if let Some(message @ BrokerMessage::Message(_)) = message
                && self.subscribed.contains(&entity)
            {
                self.event(entity, message);
            }
        } else {
            self.anomalies.unexpected = self.anomalies.unexpected.saturating_add(1);
        }
    }

    fn event(&mut self, entity: Id, message: &BrokerMessage<'_>) {
        let event = match message {
            BrokerMessage::Message(message) if !entity.is_empty() => Event::Message(Box::new(Delivery {
                queue: entity,
                message_id: message.message_id.into(),
                body: Box::from(message.body),
            })),
            BrokerMessage::Notification(notification) if !entity.is_empty() => {
                if self.notifications >= NOTIFICATION_LIMIT {
                    return;
                }
                self.notifications = self.notifications.saturating_add(1);
                Event::Notification(Box::new(Notification {
                    notifier_id: entity,
                    nonce: *notification.nonce,
                    metadata: Box::from(notification.metadata.as_bytes()),
                }))
            }
            BrokerMessage::End if !entity.is_empty() => {
                self.unsubscribed(&entity);
                Event::SubscriptionEnded(entity)
            }
            BrokerMessage::Deleted if !entity.is_empty() => {
                self.unsubscribed(&entity);
                Event::QueueDeleted(entity)
            }
            BrokerMessage::Error(error) => {
                Event::Error(Some(entity).filter(|entity| !entity.is_empty()), RelayError::new(error))
            }
            _ => {
                self.anomalies.unexpected = self.anomalies.unexpected.saturating_add(1);
                return;
            }
        };
        self.events.push_back(event);
    }

    /// The relay ended a subscription.
    fn unsubscribed(&mut self, queue: &Id) {
        self.ended = self.ended.saturating_add(usize::from(self.subscribed.remove(queue)));
    }

    /// The next event for the application.
    pub(super) fn next_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front();
        match event {
            Some(Event::Notification(_)) => self.notifications = self.notifications.saturating_sub(1),
            Some(Event::SubscriptionEnded(_) | Event::QueueDeleted(_)) => self.ended = self.ended.saturating_sub(1),
            _ => {}
        }
        event
    }

    /// Whether events wait for the application.
    pub(super) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// How many queues the connection receives from, kept up to date.
    pub(super) fn subscriptions(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.subscriptions)
    }

    /// Whether silence has to be looked into.
    fn may_ping(&self) -> bool {
        self.ping.is_none() && (self.doubted || self.limits.ping_unsubscribed || !self.subscribed.is_empty())
    }

    /// When [`Self::tick`] has something to do next.
    pub(super) fn next_deadline(&self) -> Instant {
        let ping = self.quiet_since.checked_add(self.limits.ping_interval).filter(|_| self.may_ping());
        let response = self.deadlines.first_key_value().map(|((deadline, _), _)| *deadline);
        let never = self.quiet_since.checked_add(NEVER).unwrap_or(self.quiet_since);
        [ping, response].into_iter().flatten().min().unwrap_or(never)
    }

    /// Ends the commands whose time is up.
    pub(super) fn tick(&mut self, now: Instant) -> Tick {
        while let Some(entry) = self.deadlines.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let id = entry.remove();
            if let Some(pending) = self.pending.remove(&id) {
                if self.late.len() >= LATE_LIMIT {
                    self.late.pop_front();
                }
                self.late.push_back(id);
                if self.ping == Some(id) {
                    self.ping = None;
                    self.unanswered_pings = self.unanswered_pings.saturating_add(1);
                } else if pending.sent > self.heard {
                    self.doubted = true;
                }
                if let Some(responder) = pending.responder {
                    let _ = responder.send(Err(ClientError::Timeout));
                }
            }
        }
        if self.unanswered_pings >= self.limits.ping_count {
            return Tick::GiveUp;
        }
        let silent = self.doubted || now.saturating_duration_since(self.quiet_since) >= self.limits.ping_interval;
        if silent && self.may_ping() { Tick::Ping } else { Tick::Nothing }
    }

    /// How many commands wait to be sent or for their response.
    pub(super) fn outstanding(&self) -> usize {
        self.pending.len().saturating_add(self.waiting.len())
    }

    /// What the peer did that it should not.
    pub(super) fn anomalies(&self) -> Anomalies {
        self.anomalies
    }

    /// Ends all commands for the same reason.
    pub(super) fn fail_all(&mut self, error: &ClientError) {
        let waiting = self.waiting.drain(..).filter_map(|request| request.responder);
        let pending = self.pending.drain().filter_map(|(_, pending)| pending.responder);
        for responder in waiting.chain(pending) {
            let _ = responder.send(Err(error.clone()));
        }
        self.waiting_bytes = 0;
        self.deadlines.clear();
    }

    /// The ping limits.
    pub(super) fn ping_time_out(&self) -> Duration {
        self.limits.ping_time_out
    }
}

/// Whether a message can be the answer to a command: it is about the same entity, or about none where that is right.
fn answers(message: &BrokerMessage<'_>, entity: &Id, pending: &Pending) -> bool {
    let same = *entity == pending.entity;
    match message {
        BrokerMessage::Error(_) => same || entity.is_empty(),
        // IDS answers NEW, whose entity is empty.
        _ => same,
    }
}

#[cfg(test)]
mod tests;
