//! What has to be done at relays: found from the state of connections, tried until it succeeds or cannot any more.
//!
//! Nothing of it is stored. Whatever a connection's queues and stage say is to be done is work; after a restart it is
//! found again, and every operation may be executed twice.

use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::{Agent, Result};
use crate::error::ConnectionError;
use crate::id::{ConnectionId, MessageId};
use crate::policy::back_off::BackOff;
use crate::policy::server::Server;
use crate::policy::session::SessionKey;
use crate::record::{Connection, ReceiveQueue, SendQueue, Stage};
use crate::request::{Answer, Failure, Operation, Request, RequestId, ServerAccess};
use crate::storage::Storage;
use crate::time::Time;

/// Something to be done, once at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    /// NEW, for a receive queue.
    Create(ConnectionId, u32),
    /// SKEY, for a send queue.
    SecureBySender(ConnectionId, u32),
    /// KEY, for a receive queue.
    Secure(ConnectionId, u32),
    /// SEND of the oldest message that waits for a send queue.
    Deliver(ConnectionId, u32),
    /// ACK of the last message of a receive queue.
    Acknowledge(ConnectionId, u32),
    /// OFF.
    Suspend(ConnectionId, u32),
    /// DEL.
    Delete(ConnectionId, u32),
    /// LSET or LDEL.
    StoreLink(ConnectionId, u32),
    /// LKEY or LGET.
    ReadLink(ConnectionId),
    /// What is left of a deleted connection is forgotten; no relay is asked.
    Remove(ConnectionId),
    /// The other role in a new ratchet is taken when nothing came; no relay is asked.
    DoubtRole(ConnectionId),
    /// Queues that come and go and messages that wait for others are looked at again; no relay is asked.
    LookAfter(ConnectionId),
}

impl Work {
    pub(super) const fn connection(&self) -> ConnectionId {
        match self {
            Self::Create(id, _)
            | Self::SecureBySender(id, _)
            | Self::Secure(id, _)
            | Self::Deliver(id, _)
            | Self::Acknowledge(id, _)
            | Self::Suspend(id, _)
            | Self::Delete(id, _)
            | Self::StoreLink(id, _)
            | Self::ReadLink(id)
            | Self::Remove(id)
            | Self::DoubtRole(id)
            | Self::LookAfter(id) => *id,
        }
    }
}

/// How far some work is.
#[derive(Debug)]
pub(super) struct Progress {
    /// The request that is under way.
    pub(super) request: Option<RequestId>,
    /// When the next attempt is due.
    pub(super) due: Option<Time>,
    pub(super) back_off: BackOff,
}

/// What a request is for.
#[derive(Debug)]
pub(super) enum Flight {
    Work {
        work: Work,
        /// The proxy it went through.
        proxy: Option<Server>,
        /// The session to the relay, whatever way it went.
        session: SessionKey,
        /// The message that is delivered.
        message: Option<MessageId>,
    },
    Subscribe {
        session: SessionKey,
        queues: Vec<(ConnectionId, u32)>,
    },
}

/// How a failed attempt goes on.
pub(super) enum Next {
    /// It is tried again after a pause.
    Later,
    /// It is given up; the connection says so.
    Never,
}

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    /// Finds the work of all connections that changed, and begins what can begin.
    pub(super) fn plan_touched(&mut self) -> Result<(), S> {
        while let Some(id) = self.touched.pop_first() {
            let mut wanted = Vec::new();
            if let Some(connection) = self.connections.get(&id) {
                self.find_work(id, connection, &mut wanted);
            }
            let known = self.work_of(id);
            for work in known {
                if !wanted.contains(&work) {
                    self.drop_work(&work);
                }
            }
            for work in wanted {
                if self.unless_refused(|agent| agent.begin(work.clone()))?.is_none() {
                    self.retry(&work);
                }
            }
        }
        Ok(())
    }

    /// All work of a connection that is known.
    pub(super) fn work_of(&self, id: ConnectionId) -> Vec<Work> {
        let zero = 0;
        let mut found = Vec::new();
        for first in [
            Work::Create(id, zero),
            Work::SecureBySender(id, zero),
            Work::Secure(id, zero),
            Work::Deliver(id, zero),
            Work::Acknowledge(id, zero),
            Work::Suspend(id, zero),
            Work::Delete(id, zero),
            Work::StoreLink(id, zero),
            Work::ReadLink(id),
            Work::Remove(id),
            Work::DoubtRole(id),
            Work::LookAfter(id),
        ] {
            let kind = core::mem::discriminant(&first);
            let same = |work: &Work| work.connection() == id && core::mem::discriminant(work) == kind;
            found.extend(self.work.range(first..).map(|(work, _)| work).take_while(|work| same(work)).cloned());
        }
        found
    }

    fn find_work(&self, id: ConnectionId, connection: &Connection, wanted: &mut Vec<Work>) {
        for queue in &connection.receive_queues {
            self.find_receive_work(id, connection, queue, wanted);
        }
        for queue in &connection.send_queues {
            self.find_send_work(id, connection, queue, wanted);
        }
        if connection.deleting.is_some() {
            wanted.push(Work::Remove(id));
        } else if matches!(connection.stage, Stage::Reading { .. }) {
            wanted.push(Work::ReadLink(id));
        }
        if self.doubts_role(connection) {
            wanted.push(Work::DoubtRole(id));
        }
        if self.needs_looking_after(connection) {
            wanted.push(Work::LookAfter(id));
        }
    }

    fn find_receive_work(
        &self,
        id: ConnectionId,
        connection: &Connection,
        queue: &ReceiveQueue,
        wanted: &mut Vec<Work>,
    ) {
        let number = queue.number;
        if !queue.is_created() {
            // What is under way may still be created, and has to be known then to be deleted.
            if self.is_under_way(&Work::Create(id, number)) {
                wanted.push(Work::Create(id, number));
            } else if queue.deleting {
                wanted.push(Work::Delete(id, number));
            } else if self.may_create(connection, queue) {
                wanted.push(Work::Create(id, number));
            }
            return;
        }
        if queue.deleting {
            if self.may_delete(id, connection) {
                wanted.push(Work::Delete(id, number));
            }
            return;
        }
        if queue.secure_with.is_some() && !matches!(connection.stage, Stage::Confirmed { .. }) {
            wanted.push(Work::Secure(id, number));
        }
        if queue.acknowledging {
            wanted.push(Work::Acknowledge(id, number));
        }
        if queue.suspended == Some(false) {
            wanted.push(Work::Suspend(id, number));
        }
        if queue.link.as_ref().is_some_and(|link| !link.stored || link.deleting) {
            wanted.push(Work::StoreLink(id, number));
        }
    }

    fn find_send_work(&self, id: ConnectionId, connection: &Connection, queue: &SendQueue, wanted: &mut Vec<Work>) {
        let number = queue.number;
        if queue.disabled || connection.stage == Stage::Failed {
            return;
        }
        if connection.deleting.is_some() && !self.delivers_first(id, connection) {
            return;
        }
        // Who is let in with KEY must find the queue secured when it answers.
        let securing = connection.receive_queues.iter().any(|queue| queue.secure_with.is_some() && !queue.deleting);
        // What is under way is answered first: a second copy could overtake it.
        let under_way = self.work.get(&Work::Deliver(id, number)).is_some_and(|progress| progress.request.is_some());
        if securing && !under_way && matches!(connection.stage, Stage::Allowed | Stage::Greeting) {
            return;
        }
        if queue.wants_key() {
            wanted.push(Work::SecureBySender(id, number));
        } else if self.waiting.get(&(id, number)).is_some_and(|messages| !messages.is_empty())
            // The next one waits for the answer to one that turned out to be delivered, or was withdrawn.
            || self.is_under_way(&Work::Deliver(id, number))
        {
            wanted.push(Work::Deliver(id, number));
        }
    }

    /// Begins some work, unless it is under way or has to wait.
    fn begin(&mut self, work: Work) -> Result<(), S> {
        let now = self.now;
        let interval = self.configuration.reconnect;
        if let Work::Remove(id) = work {
            return self.begin_removal(id);
        }
        if self.is_offline() {
            return Ok(());
        }
        if let Work::LookAfter(id) = work {
            return self.look_after(id);
        }
        if let Some(progress) = self.work.get(&work) {
            if progress.request.is_some() || progress.due.is_some_and(|due| due > now) {
                return Ok(());
            }
            if let Some(due) = progress.due {
                self.due.remove(&(due, work.clone()));
            }
        }
        if let Work::DoubtRole(id) = work {
            return self.begin_doubt(id);
        }
        let Some(attempt) = self.prepare(&work)? else { return Ok(()) };
        let request = self.request(attempt, &work);
        let progress = self.work.entry(work).or_insert_with(|| Progress {
            request: None,
            due: None,
            back_off: BackOff::new(&interval),
        });
        progress.request = Some(request);
        progress.due = None;
        Ok(())
    }

    /// Hands a request out with the next commit.
    fn request(&mut self, attempt: Attempt, work: &Work) -> RequestId {
        let id = self.new_request();
        let Attempt { session, proxy, operation, message } = attempt;
        let through = proxy.as_ref().map(|proxy| proxy.server.clone());
        let flight = Flight::Work { work: work.clone(), proxy: through, session: session.clone(), message };
        self.flights.insert(id, flight);
        self.transaction.requests.push(Request { id, session, proxy, operation });
        id
    }

    pub(super) fn new_request(&mut self) -> RequestId {
        let id = RequestId(self.next_request);
        self.next_request = self.next_request.saturating_add(1);
        id
    }

    /// Whether a request for some work was not answered yet.
    fn is_under_way(&self, work: &Work) -> bool {
        self.work.get(work).is_some_and(|progress| progress.request.is_some())
    }

    /// Forgets work that is not to be done any more. A request that is under way is ignored when it is answered.
    pub(super) fn drop_work(&mut self, work: &Work) {
        self.signed.remove(work);
        if let Some(progress) = self.work.remove(work)
            && let Some(due) = progress.due
        {
            self.due.remove(&(due, work.clone()));
        }
    }

    /// Some work is done: it begins from the first interval when it comes again.
    pub(super) fn finish(&mut self, work: &Work) {
        self.drop_work(work);
        self.touched.insert(work.connection());
    }

    /// Tries again after a pause of so many milliseconds.
    pub(super) fn retry_after(&mut self, work: &Work, pause: u64) {
        let due = self.now.after(pause);
        let interval = self.configuration.reconnect;
        let progress = self.work.entry(work.clone()).or_insert_with(|| Progress {
            request: None,
            due: None,
            back_off: BackOff::new(&interval),
        });
        if let Some(due) = progress.due {
            self.due.remove(&(due, work.clone()));
        }
        progress.request = None;
        progress.due = Some(due);
        self.due.insert((due, work.clone()));
    }

    /// Tries again after the interval of what is no message.
    pub(super) fn retry(&mut self, work: &Work) {
        let interval = self.configuration.reconnect;
        let pause = match self.work.get_mut(work) {
            Some(progress) => progress.back_off.advance(&interval),
            None => interval.initial,
        };
        self.retry_after(work, pause);
    }

    /// Ends the pause of some work.
    pub(super) fn hurry(&mut self, work: &Work) {
        if let Some(progress) = self.work.get_mut(work)
            && let Some(due) = progress.due.take()
        {
            self.due.remove(&(due, work.clone()));
            self.touched.insert(work.connection());
        }
    }

    /// Ends all pauses: the network is back.
    pub(super) fn hurry_all(&mut self) {
        let interval = self.configuration.reconnect;
        for (_, work) in core::mem::take(&mut self.due) {
            if let Some(progress) = self.work.get_mut(&work) {
                progress.due = None;
                progress.back_off = BackOff::new(&interval);
                self.touched.insert(work.connection());
            }
        }
    }

    /// Lets work go on whose pause is over.
    pub(super) fn advance_work(&mut self) {
        while let Some((due, work)) = self.due.first().cloned() {
            if due > self.now {
                break;
            }
            self.due.remove(&(due, work.clone()));
            self.touched.insert(work.connection());
        }
    }

    pub(super) fn take_answer(
        &mut self,
        request: RequestId,
        result: core::result::Result<Answer, Failure>,
    ) -> Result<(), S> {
        match self.flights.remove(&request) {
            // Of another run, or answered already.
            None => Ok(()),
            Some(Flight::Subscribe { session, queues }) => self.take_subscribed(&session, queues, result),
            Some(Flight::Work { work, proxy, session, message }) => {
                if let Some(proxy) = &proxy {
                    self.judge_proxy(proxy, &session, result.as_ref().err());
                }
                let proxied = proxy.is_some();
                // Dropped, or begun anew, meanwhile.
                let current = self.work.get_mut(&work).filter(|progress| progress.request == Some(request));
                let Some(progress) = current else {
                    return Ok(());
                };
                progress.request = None;
                self.touched.insert(work.connection());
                if let Err(failure) = &result
                    && failure.by != crate::request::Reporter::Relay
                {
                    // Another proxy may do better.
                    self.proxies.forget(&session);
                }
                let taken =
                    self.unless_refused(|agent| agent.take_result(&work, proxied, &session, message, result))?;
                if taken.is_some() { Ok(()) } else { self.cannot_go_on(&work) }
            }
        }
    }

    /// What follows from a result is not possible. A connection that is only being made cannot come about: what is to be
    /// said of oneself does not fit. Others try again.
    fn cannot_go_on(&mut self, work: &Work) -> Result<(), S> {
        let id = work.connection();
        match self.load(id) {
            Some(mut connection) if matches!(connection.stage, Stage::Joining(_)) => {
                connection.stage = Stage::Failed;
                self.save(id, connection)?;
                self.fail(id, ConnectionError::TooLarge)
            }
            _ => {
                self.retry(work);
                Ok(())
            }
        }
    }

    fn take_result(
        &mut self,
        work: &Work,
        proxied: bool,
        session: &SessionKey,
        message: Option<MessageId>,
        result: core::result::Result<Answer, Failure>,
    ) -> Result<(), S> {
        match work {
            Work::Create(id, queue) => self.take_created(work, *id, *queue, session, result),
            Work::SecureBySender(id, queue) => self.take_secured_by_sender(work, *id, *queue, result),
            Work::Secure(id, queue) => self.take_secured(work, *id, *queue, result),
            Work::Deliver(id, queue) => match message {
                Some(message) => self.take_delivered(work, *id, *queue, message, proxied, result),
                None => Ok(()),
            },
            Work::Acknowledge(id, queue) => self.take_acknowledged(work, *id, *queue, result),
            Work::Suspend(id, queue) => self.take_suspended(work, *id, *queue, result),
            Work::Delete(id, queue) => self.take_deleted(work, *id, *queue, result),
            Work::StoreLink(id, queue) => self.take_link_stored(work, *id, *queue, result),
            Work::ReadLink(id) => self.take_link_read(work, *id, session, result),
            Work::Remove(_) | Work::DoubtRole(_) | Work::LookAfter(_) => Ok(()),
        }
    }

    /// The rule for what is no message.
    pub(super) fn next(&mut self, work: &Work, failure: &Failure) -> Next {
        if failure.is_tried_again() {
            self.retry(work);
            Next::Later
        } else {
            self.finish(work);
            Next::Never
        }
    }
}

/// A request that is to be made.
pub(super) struct Attempt {
    pub(super) session: SessionKey,
    pub(super) proxy: Option<ServerAccess>,
    pub(super) operation: Operation,
    pub(super) message: Option<MessageId>,
}

impl Attempt {
    /// Something of the recipient's: never through a proxy.
    pub(super) fn direct(session: SessionKey, operation: Operation) -> Self {
        Self { session, proxy: None, operation, message: None }
    }
}

/// Adds a relay to those that were tried.
pub(super) fn remember(tried: &mut Vec<Server>, server: &Server) {
    if !tried.contains(server) {
        tried.push(server.clone());
    }
}
