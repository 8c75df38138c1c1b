//! Receive queues at their relays: created, secured, acknowledged, suspended, deleted; and SKEY of send queues.

use rand_core::CryptoRng;
use smp_crypto::key::{Ed25519SecretKey, X25519PublicKey, X25519SecretKey};
use smp_proto::id::LinkId;
use smp_proto::key::AuthorizationKey;
use smp_proto::smp::recipient::QueueMode;
use smp_proto::uri::SENDER_ID_CAPACITY;

use super::work::{Attempt, Next, Work};
use super::{Agent, Result};
use crate::error::{ConnectionError, Error};
use crate::event::DeliveryProblem;
use crate::id::ConnectionId;
use crate::policy::server::Server;
use crate::policy::session::SessionKey;
use crate::record::{Connection, Mode, QueueStatus, ReceiveQueue, ReplyQueue, Secret, SendQueue, Stage, Target};
use crate::request::{AccessKey, Answer, CreatedQueue, Failure, NewQueue, Operation, Reason};
use crate::storage::Storage;

/// After so many relays that did not create a redundant queue it is done without.
const REDUNDANT_ATTEMPTS: usize = 3;

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    /// The request for some work; `None` when there is nothing to do, or not now.
    pub(super) fn prepare(&mut self, work: &Work) -> Result<Option<Attempt>, S> {
        let (id, number) = match work {
            Work::Deliver(id, number) => return self.prepare_delivery(work, *id, *number),
            Work::Create(id, number) => return self.prepare_creation(*id, *number),
            Work::StoreLink(id, number) => return self.prepare_link_storing(*id, *number),
            Work::ReadLink(id) => return self.prepare_link_reading(work, *id),
            Work::SecureBySender(id, number) => {
                let Some(connection) = self.connections.get(id) else { return Ok(None) };
                let Some(queue) = connection.send_queue(*number) else { return Ok(None) };
                let session = self.session(connection.user, &queue.server, *id);
                let operation = Operation::SecureBySender { queue: queue.access() };
                return Ok(self.sending(work, session, operation));
            }
            Work::Remove(_) | Work::DoubtRole(_) | Work::LookAfter(_) => return Ok(None),
            Work::Secure(id, number)
            | Work::Acknowledge(id, number)
            | Work::Suspend(id, number)
            | Work::Delete(id, number) => (*id, *number),
        };
        let Some(connection) = self.connections.get(&id) else { return Ok(None) };
        let Some(queue) = connection.receive_queue(number) else { return Ok(None) };
        if matches!(work, Work::Delete(..)) && !queue.is_created() {
            self.forget_uncreated(id, number)?;
            return Ok(None);
        }
        let access = queue.access();
        let operation = match work {
            Work::Secure(..) => {
                let key = queue.secure_with.as_deref().and_then(|key| AuthorizationKey::from_spki(key).ok());
                Operation::Secure { queue: access, sender_key: key.ok_or(Error::Record)? }
            }
            Work::Acknowledge(..) => {
                let Some(last) = &queue.last else { return Ok(None) };
                Operation::Acknowledge { queue: access, message_id: last.message_id.clone() }
            }
            Work::Suspend(..) => Operation::Suspend(access),
            _ => Operation::Delete(access),
        };
        Ok(Some(Attempt::direct(self.session(connection.user, &queue.server, id), operation)))
    }

    /// A new receive queue at a relay, not created yet.
    pub(super) fn new_receive_queue(&mut self, connection: &mut Connection, server: Server, mode: Mode) -> u32 {
        let number = connection.next_queue();
        let primary = connection.receive_queues.is_empty();
        connection.receive_queues.push(ReceiveQueue {
            number,
            server,
            key: AccessKey::new(&Ed25519SecretKey::generate(&mut self.random)),
            delivery: Secret(*X25519SecretKey::generate(&mut self.random).as_bytes()),
            envelope_key: Secret(*X25519SecretKey::generate(&mut self.random).as_bytes()),
            recipient_id: Default::default(),
            sender_id: Default::default(),
            mode: Some(mode),
            envelope_secret: None,
            version: self.configuration.client_versions.max().0,
            status: QueueStatus::New,
            secure_with: None,
            primary,
            replaces: None,
            is_added: false,
            untested: false,
            switch: None,
            link: None,
            last: None,
            acknowledging: false,
            continue_message: None,
            subscribe: true,
            deleting: false,
            failed_deletions: 0,
            tried: Default::default(),
            suspended: connection.suspended.then_some(false),
            held: None,
            blocked: None,
            since: self.now,
        });
        number
    }

    /// The own end of a peer's queue; `None` when its key is of small order.
    pub(super) fn new_send_queue(&mut self, connection: &mut Connection, queue: &ReplyQueue) -> Option<u32> {
        let secret = X25519SecretKey::generate(&mut self.random);
        let agreed = secret.diffie_hellman(&X25519PublicKey(queue.recipient_key)).ok()?;
        let number = connection.next_queue();
        let primary = connection.send_queues.is_empty();
        connection.send_queues.push(SendQueue {
            number,
            server: queue.server.clone(),
            sender_id: queue.sender_id.clone(),
            recipient_key: queue.recipient_key,
            key: AccessKey::new(&Ed25519SecretKey::generate(&mut self.random)),
            envelope_public: secret.public_key().0,
            envelope_secret: Secret(*agreed.as_bytes()),
            version: queue.version,
            mode: queue.mode,
            status: QueueStatus::New,
            primary,
            replaces: None,
            switch: None,
            key_message: None,
            full_since: None,
            disabled: false,
            blocked: None,
        });
        Some(number)
    }

    /// Whether it is time for a queue: who joins secures the other's queue first, so that an invitation that is gone
    /// costs no queue; and a queue with a link knows the addresses of the others.
    pub(super) fn may_create(&self, connection: &Connection, queue: &ReceiveQueue) -> bool {
        if connection.stage == Stage::Failed {
            return false;
        }
        if let Stage::Joining(joining) = &connection.stage
            && matches!(joining.target, Target::Invitation { .. })
            && connection.send_queues.iter().all(SendQueue::wants_key)
        {
            return false;
        }
        connection.link.is_none()
            || !queue.primary
            || connection.receive_queues.iter().all(|other| other.primary || other.is_created())
    }

    fn prepare_creation(&mut self, id: ConnectionId, number: u32) -> Result<Option<Attempt>, S> {
        let Some(mut connection) = self.load(id) else { return Ok(None) };
        let link = self.link_of_new_queue(id, &mut connection, number)?;
        let Some(queue) = connection.receive_queue(number) else { return Ok(None) };
        let mode = queue.mode.map_or(QueueMode::Messaging, QueueMode::from);
        let new = NewQueue {
            key: queue.key.clone(),
            delivery_key: X25519SecretKey::from_bytes(&queue.delivery.0),
            password: self.password(connection.user, &queue.server),
            mode,
            subscribe: queue.subscribe,
            link,
        };
        let session = self.session(connection.user, &queue.server, id);
        if self.connections.get(&id) != Some(&connection) {
            self.save(id, connection)?;
        }
        Ok(Some(Attempt::direct(session, Operation::CreateQueue(new.into()))))
    }

    pub(super) fn take_created(
        &mut self,
        work: &Work,
        id: ConnectionId,
        number: u32,
        session: &SessionKey,
        result: core::result::Result<Answer, Failure>,
    ) -> Result<(), S> {
        let Some(mut connection) = self.load(id) else { return Ok(()) };
        let result = match result {
            Ok(Answer::Created(created)) if is_void(&connection, number, &created) => {
                self.finish(work);
                self.prepared_in_vain(id, &mut connection, number, Some(&created), Failure::of_relay(Reason::Version))?;
                return self.save_if_there(id, connection);
            }
            Ok(Answer::Created(created)) => match self.adopt(&mut connection, number, &created) {
                true => Ok(created),
                false => Err(Failure::of_relay(Reason::Unexpected)),
            },
            Ok(_) => Err(Failure::of_relay(Reason::Unexpected)),
            Err(failure) => Err(failure),
        };
        if connection.receive_queue(number).is_some_and(|queue| queue.deleting) {
            // Given up while it was under way: deleted if it is there, forgotten if it is not.
            if result.is_err() {
                connection.receive_queues.retain(|queue| queue.number != number);
            }
            self.finish(work);
            return self.save(id, connection);
        }
        match result {
            Ok(created) => {
                self.finish(work);
                self.queues.insert((session.server().clone(), created.recipient_id), (id, number));
                self.subscribed(session, id, number);
                self.queues_changed(id, &mut connection)?;
            }
            Err(failure) => self.creation_failed(work, id, &mut connection, number, failure)?,
        }
        self.save_if_there(id, connection)
    }

    /// Takes over what a relay tells of a new queue; not when it cannot be used.
    fn adopt(&mut self, connection: &mut Connection, number: u32, created: &CreatedQueue) -> bool {
        let Some(queue) = connection.receive_queue_mut(number) else { return false };
        let secret = X25519SecretKey::from_bytes(&queue.delivery.0);
        let Ok(agreed) = secret.diffie_hellman(&created.relay_key) else { return false };
        let ids = [&created.recipient_id, &created.sender_id];
        if ids.iter().any(|id| id.is_empty() || id.len() > SENDER_ID_CAPACITY) || !link_matches(queue, created) {
            return false;
        }
        queue.delivery = Secret(*agreed.as_bytes());
        queue.recipient_id.clone_from(&created.recipient_id);
        queue.sender_id.clone_from(&created.sender_id);
        queue.mode = match (queue.mode, created.mode) {
            // Anybody may send to an address whatever the relay knows of modes.
            (Some(Mode::Contact), _) => Some(Mode::Contact),
            (_, mode) => mode.map(Mode::from),
        };
        match (&mut queue.link, &created.link_id) {
            (Some(link), Some(link_id)) => {
                link.id.clone_from(link_id);
                link.keep_stored();
            }
            (link, _) => *link = None,
        }
        queue.tried.clear();
        // A relay that did not answer for long takes nothing from the time there is to use it.
        queue.since = self.now;
        if queue.primary {
            // What was asked for is made, or the relay knows nothing of it.
            connection.link = None;
        }
        true
    }

    fn creation_failed(
        &mut self,
        work: &Work,
        id: ConnectionId,
        connection: &mut Connection,
        number: u32,
        failure: Failure,
    ) -> Result<(), S> {
        if connection.receive_queue(number).is_some_and(ReceiveQueue::is_prepared) {
            return match self.next(work, &failure) {
                // With the same keys: the answer to an earlier attempt may still come.
                Next::Later => Ok(()),
                Next::Never => self.prepared_in_vain(id, connection, number, None, failure),
            };
        }
        let others = connection.receive_queues.iter().any(|queue| queue.number != number && !queue.deleting);
        let used = connection.servers();
        let user = connection.user;
        // Only the first queue can have a short link.
        let wants_link = connection.link.is_some();
        let Some(queue) = connection.receive_queue_mut(number) else { return Ok(()) };
        super::work::remember(&mut queue.tried, &queue.server.clone());
        let many = queue.tried.len() >= REDUNDANT_ATTEMPTS || !failure.is_temporary();
        let redundant = others && queue.replaces.is_none();
        let linked = wants_link && queue.primary;
        // One that is not wanted any more was only to be deleted.
        if queue.deleting || redundant && many && !linked {
            self.finish(work);
            return self.do_without(id, connection, number);
        }
        let known = queue.tried.len();
        let mut tried = core::mem::take(&mut queue.tried);
        let other = self.choose_other_server(user, &used, &mut tried);
        let fresh = tried.len() > known;
        // No two relays see the same key.
        let key = AccessKey::new(&Ed25519SecretKey::generate(&mut self.random));
        let secret = Secret(*X25519SecretKey::generate(&mut self.random).as_bytes());
        if let Some(queue) = connection.receive_queue_mut(number) {
            queue.key = key;
            queue.delivery = secret;
            queue.link = None;
            queue.tried = tried;
            if let Some(other) = &other {
                queue.server = other.clone();
            }
        }
        match self.next(work, &failure) {
            Next::Later => Ok(()),
            // What one relay refuses another may grant.
            Next::Never if fresh && other.is_some() => {
                self.retry(work);
                Ok(())
            }
            Next::Never if redundant => {
                connection.link = None;
                self.do_without(id, connection, number)
            }
            Next::Never => {
                connection.link = None;
                self.new_queue_failed(id, connection, number)?;
                self.forget_receive_queue(id, connection, number)?;
                if !matches!(connection.stage, Stage::Connected) {
                    connection.stage = Stage::Failed;
                }
                self.fail(id, ConnectionError::Relay(failure))
            }
        }
    }

    /// A redundant queue is given up before it was created.
    fn do_without(&mut self, id: ConnectionId, connection: &mut Connection, number: u32) -> Result<(), S> {
        super::redundant::spare_additions(connection);
        self.forget_receive_queue(id, connection, number)?;
        self.queues_changed(id, connection)
    }

    pub(super) fn take_secured_by_sender(
        &mut self,
        work: &Work,
        id: ConnectionId,
        number: u32,
        result: core::result::Result<Answer, Failure>,
    ) -> Result<(), S> {
        let Some(mut connection) = self.load(id) else { return Ok(()) };
        match result {
            Ok(_) => {
                self.finish(work);
                if let Some(queue) = connection.send_queue_mut(number) {
                    queue.status = queue.status.max(QueueStatus::Secured);
                }
                self.introduction_begins(id, &connection, number)?;
            }
            Err(failure) => {
                self.send_queue_blocked(id, &mut connection, number, &failure)?;
                let session =
                    connection.send_queue(number).map(|queue| self.session(connection.user, &queue.server, id));
                if session.is_some_and(|session| self.goes_directly(work, &session, &failure)) {
                    return Ok(());
                }
                if matches!(self.next(work, &failure), Next::Never) {
                    let only = connection.send_queues.len() <= 1;
                    if only {
                        self.introduction_failed(id, &mut connection, number, true, DeliveryProblem::Failed(failure))?;
                    } else {
                        self.withdraw_send_queue(id, &mut connection, number)?;
                    }
                } else {
                    self.withdraw_if_late(id, &mut connection, number)?;
                }
            }
        }
        self.save_if_there(id, connection)
    }

    pub(super) fn take_secured(
        &mut self,
        work: &Work,
        id: ConnectionId,
        number: u32,
        result: core::result::Result<Answer, Failure>,
    ) -> Result<(), S> {
        let Some(mut connection) = self.load(id) else { return Ok(()) };
        match result {
            Ok(_) => {
                self.finish(work);
                if let Some(queue) = connection.receive_queue_mut(number) {
                    queue.secure_with = None;
                    queue.status = queue.status.max(QueueStatus::Secured);
                }
                for queue in &connection.send_queues {
                    self.introduction_begins(id, &connection, queue.number)?;
                }
                self.queue_secured(id, &mut connection, number)?;
            }
            Err(failure) => {
                if matches!(self.next(work, &failure), Next::Never) {
                    if let Some(queue) = connection.receive_queue_mut(number) {
                        queue.secure_with = None;
                    }
                    self.receive_queue_blocked(id, &mut connection, number, &failure)?;
                    self.fail(id, ConnectionError::Relay(failure))?;
                    self.new_queue_failed(id, &mut connection, number)?;
                }
            }
        }
        self.save_if_there(id, connection)
    }

    pub(super) fn take_acknowledged(
        &mut self,
        work: &Work,
        id: ConnectionId,
        number: u32,
        result: core::result::Result<Answer, Failure>,
    ) -> Result<(), S> {
        if let Err(failure) = &result
            && matches!(self.next(work, failure), Next::Later)
        {
            return Ok(());
        }
        // A relay that knows of no such message has been told before, or will deliver it again.
        self.finish(work);
        let Some(mut connection) = self.load(id) else { return Ok(()) };
        if let Some(queue) = connection.receive_queue_mut(number) {
            queue.acknowledging = false;
            if result.is_ok() {
                queue.blocked = None;
            }
        }
        if let Err(failure) = &result {
            self.receive_queue_blocked(id, &mut connection, number, failure)?;
        }
        if self.ahead.remove(&(id, number)) {
            self.subscribe_again(id, &connection, number);
        }
        self.hear(id, &connection, number);
        let deleting = connection.receive_queue(number).is_none_or(|queue| queue.deleting);
        self.save(id, connection)?;
        match result {
            // The key is the one that it was created with: the relay has lost the queue. It is told once.
            Err(failure) if failure.reason == Reason::NotAuthorized && !deleting && self.unsubscribe(id, number) => {
                self.subscription_refused(id, number, failure)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn take_suspended(
        &mut self,
        work: &Work,
        id: ConnectionId,
        number: u32,
        result: core::result::Result<Answer, Failure>,
    ) -> Result<(), S> {
        let failed = match result {
            Ok(_) => None,
            Err(failure) => match self.next(work, &failure) {
                Next::Later => return Ok(()),
                Next::Never => Some(failure),
            },
        };
        self.finish(work);
        let Some(mut connection) = self.load(id) else { return Ok(()) };
        if let Some(queue) = connection.receive_queue_mut(number) {
            queue.suspended = Some(true);
        }
        self.save(id, connection)?;
        failed.map_or(Ok(()), |failure| self.fail(id, ConnectionError::Relay(failure)))
    }
}

/// Whether a queue was created that the link, which was told before, does not lead to.
fn is_void(connection: &Connection, number: u32, created: &CreatedQueue) -> bool {
    let queue = connection.receive_queue(number).filter(|queue| queue.is_prepared());
    queue.is_some_and(|queue| created.link_id.is_none() || !link_matches(queue, created))
}

/// Whether the ids are those that were asked for.
fn link_matches(queue: &ReceiveQueue, created: &CreatedQueue) -> bool {
    let (Some(link), Some(link_id)) = (&queue.link, &created.link_id) else { return true };
    let Some(correlation_id) = &link.correlation_id else { return true };
    let sender_id = smp_crypto::hash::sender_id(smp_proto::id::CorrelationId::from_array(correlation_id));
    let contact = queue.mode == Some(Mode::Contact);
    let id_matches = if contact { *link_id == link.id } else { LinkId::new(link_id).is_ok_and(|id| !id.is_empty()) };
    created.sender_id == sender_id && id_matches
}
