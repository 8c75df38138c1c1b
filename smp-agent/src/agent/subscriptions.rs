//! Which queues receive, session by session (wire reference, section 19).

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::work::Flight;
use super::{Agent, Result};
use crate::SUBSCRIPTION_BATCH;
use crate::event::EventKind;
use crate::id::ConnectionId;
use crate::policy::back_off::BackOff;
use crate::policy::session::SessionKey;
use crate::record::{Connection, ReceiveQueue};
use crate::request::{Answer, Failure, Operation, Request, RequestId};
use crate::storage::Storage;
use crate::time::Time;

/// The queues of one session.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    active: BTreeSet<(ConnectionId, u32)>,
    pending: BTreeSet<(ConnectionId, u32)>,
    /// Those that the application was told not to receive.
    down: BTreeSet<ConnectionId>,
    request: Option<RequestId>,
    back_off: Option<BackOff>,
    due: Option<Time>,
}

impl Subscriptions {
    /// Whether there is anything to ask for, or to keep.
    fn is_idle(&self) -> bool {
        self.active.is_empty() && self.pending.is_empty() && self.request.is_none()
    }
}

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    /// A queue that was created receives already.
    pub(super) fn subscribed(&mut self, session: &SessionKey, id: ConnectionId, queue: u32) {
        let subscriptions = self.subscriptions.entry(session.clone()).or_default();
        subscriptions.pending.remove(&(id, queue));
        subscriptions.active.insert((id, queue));
    }

    /// A queue shall receive.
    pub(super) fn want_subscription(&mut self, id: ConnectionId, connection: &Connection) {
        for queue in connection.receiving() {
            let session = self.session(connection.user, &queue.server, id);
            let subscriptions = self.subscriptions.entry(session.clone()).or_default();
            if !subscriptions.active.contains(&(id, queue.number)) {
                subscriptions.pending.insert((id, queue.number));
                self.unsubscribed.insert(session);
            }
        }
    }

    /// Whether a queue receives.
    pub(super) fn is_subscribed(&self, id: ConnectionId, connection: &Connection, queue: &ReceiveQueue) -> bool {
        let session = self.session(connection.user, &queue.server, id);
        let subscriptions = self.subscriptions.get(&session);
        subscriptions.is_some_and(|subscriptions| subscriptions.active.contains(&(id, queue.number)))
    }

    /// What can be said of some queues has changed with their session.
    fn hear_of_session(&mut self, queues: &[(ConnectionId, u32)]) {
        for (id, number) in queues {
            if self.connections.get(id).is_some_and(|connection| connection.receive_queues.len() > 1) {
                self.heard.insert((*id, *number), self.now);
                self.touched.insert(*id);
            }
        }
    }

    /// Asks a relay to deliver the first message of a queue again.
    pub(super) fn subscribe_again(&mut self, id: ConnectionId, connection: &Connection, number: u32) {
        let Some(queue) = connection.receive_queue(number) else { return };
        let session = self.session(connection.user, &queue.server, id);
        if let Some(subscriptions) = self.subscriptions.get_mut(&session)
            && subscriptions.active.remove(&(id, number))
        {
            subscriptions.pending.insert((id, number));
            self.unsubscribed.insert(session);
        }
    }

    /// A queue does not receive any more; whether it did, or was about to.
    pub(super) fn unsubscribe(&mut self, id: ConnectionId, queue: u32) -> bool {
        let Some(connection) = self.connections.get(&id) else { return false };
        let Some(server) = connection.receive_queue(queue).map(|queue| queue.server.clone()) else { return false };
        let session = self.session(connection.user, &server, id);
        let Some(subscriptions) = self.subscriptions.get_mut(&session) else { return false };
        let received = subscriptions.active.remove(&(id, queue)) | subscriptions.pending.remove(&(id, queue));
        if subscriptions.is_idle() {
            self.forget_session(&session);
        }
        received
    }

    /// Nothing receives over a session any more.
    fn forget_session(&mut self, session: &SessionKey) {
        if let Some(due) = self.subscriptions.remove(session).and_then(|subscriptions| subscriptions.due) {
            self.subscriptions_due.remove(&(due, session.clone()));
        }
        self.unsubscribed.remove(session);
    }

    /// All connections that are not suspended shall receive.
    pub(super) fn subscribe_all(&mut self) {
        let connections = core::mem::take(&mut self.connections);
        for (id, connection) in &connections {
            if !connection.suspended && connection.deleting.is_none() {
                self.want_subscription(*id, connection);
            }
        }
        self.connections = connections;
    }

    /// Asks for subscriptions that can be asked for now, a batch for each session.
    pub(super) fn subscribe_waiting(&mut self) {
        if self.is_offline() {
            return;
        }
        while let Some(session) = self.unsubscribed.pop_first() {
            let Some(subscriptions) = self.subscriptions.get(&session) else { continue };
            if subscriptions.request.is_some() || subscriptions.due.is_some() {
                continue;
            }
            let mut batch = Vec::new();
            let mut accesses = Vec::new();
            let mut gone = Vec::new();
            for (id, number) in subscriptions.pending.iter().take(SUBSCRIPTION_BATCH) {
                match self.connections.get(id).and_then(|connection| connection.receive_queue(*number)) {
                    Some(queue) if queue.is_created() && !queue.deleting => {
                        batch.push((*id, *number));
                        accesses.push(queue.access());
                    }
                    _ => gone.push((*id, *number)),
                }
            }
            let request = (!batch.is_empty()).then(|| self.new_request());
            if let Some(subscriptions) = self.subscriptions.get_mut(&session) {
                for queue in gone {
                    subscriptions.pending.remove(&queue);
                }
                subscriptions.request = request;
                if request.is_none() && !subscriptions.pending.is_empty() {
                    self.unsubscribed.insert(session.clone());
                }
            }
            if let Some(id) = request {
                self.flights.insert(id, Flight::Subscribe { session: session.clone(), queues: batch });
                let operation = Operation::Subscribe(accesses);
                self.transaction.requests.push(Request { id, session, proxy: None, operation });
            }
        }
    }

    /// A session asks again after a pause.
    fn subscribe_later(&mut self, session: &SessionKey) {
        let interval = self.configuration.reconnect;
        let Some(subscriptions) = self.subscriptions.get_mut(session) else { return };
        if subscriptions.due.is_some() {
            return;
        }
        let back_off = subscriptions.back_off.get_or_insert_with(|| BackOff::new(&interval));
        let due = self.now.after(back_off.advance(&interval));
        subscriptions.due = Some(due);
        self.subscriptions_due.insert((due, session.clone()));
    }

    /// Lets sessions ask whose pause is over.
    pub(super) fn advance_subscriptions(&mut self) {
        while let Some((due, session)) = self.subscriptions_due.first().cloned() {
            if due > self.now {
                break;
            }
            self.subscriptions_due.remove(&(due, session.clone()));
            if let Some(subscriptions) = self.subscriptions.get_mut(&session) {
                subscriptions.due = None;
                self.unsubscribed.insert(session);
            }
        }
    }

    /// The network is back: nothing waits.
    pub(super) fn hurry_subscriptions(&mut self) {
        self.subscriptions_due.clear();
        for (session, subscriptions) in &mut self.subscriptions {
            subscriptions.due = None;
            subscriptions.back_off = None;
            self.unsubscribed.insert(session.clone());
        }
    }

    pub(super) fn take_subscribed(
        &mut self,
        session: &SessionKey,
        queues: Vec<(ConnectionId, u32)>,
        result: core::result::Result<Answer, Failure>,
    ) -> Result<(), S> {
        let Some(subscriptions) = self.subscriptions.get_mut(session) else { return Ok(()) };
        subscriptions.request = None;
        let mut results = match result {
            Ok(Answer::Each(results)) => results.into_iter(),
            Ok(_) => Vec::new().into_iter(),
            Err(failure) => Vec::from_iter(queues.iter().map(|_| Err(failure))).into_iter(),
        };
        let mut up = BTreeSet::new();
        let mut receiving = Vec::new();
        let mut lost = Vec::new();
        let mut later = false;
        for queue in queues {
            match results.next() {
                // Given up while it was under way.
                _ if !subscriptions.pending.contains(&queue) => {}
                Some(Ok(())) => {
                    subscriptions.pending.remove(&queue);
                    subscriptions.active.insert(queue);
                    up.insert(queue.0);
                    receiving.push(queue);
                }
                Some(Err(failure)) if !failure.is_tried_again() => {
                    subscriptions.pending.remove(&queue);
                    lost.push((queue, failure));
                }
                _ => later = true,
            }
        }
        for id in &up {
            subscriptions.down.remove(id);
        }
        if later {
            self.subscribe_later(session);
        } else {
            subscriptions.back_off = None;
            if subscriptions.is_idle() {
                self.forget_session(session);
            } else if !subscriptions.pending.is_empty() {
                // The next batch.
                self.unsubscribed.insert(session.clone());
            }
        }
        self.open_again(&receiving)?;
        self.hear_of_session(&receiving);
        if !up.is_empty() {
            let connections = up.into_iter().collect();
            self.notify(EventKind::Up { server: session.server().clone(), connections })?;
        }
        for ((id, number), failure) in lost {
            self.subscription_refused(id, number, failure)?;
        }
        Ok(())
    }

    /// A connection to a relay ended: its queues do not receive until it is made again.
    pub(super) fn take_disconnected(&mut self, session: &SessionKey) -> Result<(), S> {
        let Some(subscriptions) = self.subscriptions.get_mut(session) else { return Ok(()) };
        let active = core::mem::take(&mut subscriptions.active);
        let mut down = Vec::new();
        let queues: Vec<_> = active.iter().copied().collect();
        for queue in active {
            subscriptions.pending.insert(queue);
            if subscriptions.down.insert(queue.0) {
                down.push(queue.0);
            }
        }
        if subscriptions.request.is_none() && !subscriptions.pending.is_empty() {
            self.subscribe_later(session);
        }
        self.hear_of_session(&queues);
        if down.is_empty() {
            return Ok(());
        }
        self.notify(EventKind::Down { server: session.server().clone(), connections: down })
    }
}
