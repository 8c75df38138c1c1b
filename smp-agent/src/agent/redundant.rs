//! Redundant queues come and go: what the [redundancy](crate::redundancy) module describes.

use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::deliver::{Outcome, redundancy};
use super::order::{Expectation, sooner};
use super::work::Work;
use super::{Agent, Result};
use crate::MAX_RECEIVE_QUEUES;
use crate::command::Reply;
use crate::configuration::RedundancyPolicy;
use crate::error::{ConnectionError, Refusal};
use crate::event::{DeliveryProblem, EventKind, SwitchPhase};
use crate::id::{ConnectionId, MessageId};
use crate::record::{
    Connection, Mode, Outgoing, OutgoingKind, QueueStatus, ReceiveQueue, ReceiveSwitch, SendQueue, Stage,
};
use crate::request::{Failure, Reason};
use crate::storage::Storage;
use crate::table::Key;
use crate::time::{DAY, MINUTE, Time};

/// After so many queues in a row that the peer has not used no further one is added by itself.
const MAX_ADDITIONS: u8 = 10;
/// How long a send queue that has failed comes last, in milliseconds.
const FAILING: u64 = MINUTE;

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    pub(super) fn add_receive_queue(&mut self, id: ConnectionId) -> Result<Reply, S> {
        let mut connection = self.changeable(id)?;
        if !connection.redundant_peer || !self.configuration.redundancy_known {
            return Err(Refusal::Prohibited.into());
        }
        let count = connection.receive_queues.iter().filter(|queue| queue.stays()).count();
        if count >= usize::from(MAX_RECEIVE_QUEUES) {
            return Err(Refusal::TooManyQueues.into());
        }
        if !self.add_queue(&mut connection) {
            return Err(Refusal::NoServer.into());
        }
        let wanted = u8::try_from(count.saturating_add(1)).unwrap_or(MAX_RECEIVE_QUEUES);
        connection.options.receive_queues = connection.options.receive_queues.max(wanted);
        self.save(id, connection)?;
        Ok(Reply::Done)
    }

    /// Begins to add a queue, if there is a relay that has none.
    fn add_queue(&mut self, connection: &mut Connection) -> bool {
        let Some(server) = self.server_beside(connection) else { return false };
        if connection.receive_queues.iter().any(|queue| queue.stays() && queue.server.shares_host(&server)) {
            return false;
        }
        let number = self.new_receive_queue(connection, server, Mode::Messaging);
        if let Some(queue) = connection.receive_queue_mut(number) {
            queue.is_added = true;
            queue.untested = true;
            queue.primary = false;
            queue.switch = Some(ReceiveSwitch::Started);
        }
        true
    }

    /// Whether a connection has fewer receive queues than it shall have, and its peer would use more.
    fn misses_queues(&self, connection: &Connection) -> bool {
        let count = connection.receive_queues.iter().filter(|queue| queue.stays()).count();
        connection.redundant_peer
            && self.configuration.redundancy_known
            && connection.additions < MAX_ADDITIONS
            && !connection.suspended
            && count < usize::from(connection.options.receive_queues.clamp(1, MAX_RECEIVE_QUEUES))
    }

    /// Whether there is something to be done when time has passed.
    pub(super) fn needs_looking_after(&self, connection: &Connection) -> bool {
        if connection.deleting.is_some() {
            return false;
        }
        if connection.receive_queues.iter().any(|queue| queue.held.is_some()) {
            return true;
        }
        if connection.stage != Stage::Connected {
            return false;
        }
        connection.receive_queues.iter().any(|queue| queue.is_coming() || queue.switch.is_some() || queue.is_unused())
            || self.misses_queues(connection)
    }

    /// Does what time has made due for a connection's queues.
    pub(super) fn look_after(&mut self, id: ConnectionId) -> Result<(), S> {
        let Some(mut connection) = self.load(id) else { return Ok(()) };
        let before = connection.clone();
        let mut due = None;
        self.release_late(id, &mut connection, &mut due)?;
        if connection.stage == Stage::Connected && connection.deleting.is_none() {
            self.announce(id, &mut connection, &mut due)?;
            self.retire_queues(id, &mut connection, &mut due)?;
            self.move_next(&mut connection)?;
            self.add_missing(&mut connection, &mut due);
        }
        let work = Work::LookAfter(id);
        match due {
            _ if connection != before => self.save(id, connection),
            Some(due) => {
                self.retry_after(&work, due.since(self.now).max(1));
                Ok(())
            }
            None => {
                self.hurry(&work);
                Ok(())
            }
        }
    }

    /// Deletes queues that are not needed any more.
    fn retire_queues(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        due: &mut Option<Time>,
    ) -> Result<(), S> {
        let copy = connection.clone();
        for queue in copy.receiving() {
            let end = if queue.is_old() {
                let end = queue.since.after(self.configuration.old_queue_expiry);
                match self.emptiness(id, &copy, queue) {
                    Some(empty) => end.min(empty),
                    None => end,
                }
            } else if queue.is_unused() || queue.is_added && !queue.primary {
                queue.since.after(self.configuration.unused_queue_expiry)
            } else {
                continue;
            };
            if end > self.now {
                sooner(due, end);
                continue;
            }
            if queue.is_old() {
                if queue.held.is_some() {
                    self.release(id, connection, queue.number)?;
                }
                self.switched(id, connection, true, SwitchPhase::Completed)?;
            }
            if let Some(queue) = connection.receive_queue_mut(queue.number) {
                queue.switch = None;
                queue.is_added = false;
                queue.deleting = true;
            }
        }
        Ok(())
    }

    /// When an old queue will have been empty for long enough, if it is not known to have messages.
    fn emptiness(&mut self, id: ConnectionId, connection: &Connection, queue: &ReceiveQueue) -> Option<Time> {
        if queue.held.is_some() || queue.acknowledging || !self.is_subscribed(id, connection, queue) {
            return None;
        }
        match self.expectation(id, connection, queue, queue.since) {
            Expectation::Nothing => Some(self.now),
            Expectation::Until(time) => Some(time),
            Expectation::Something => None,
        }
    }

    /// Adds a queue in the place of one that is gone, less and less often when they are not used.
    fn add_missing(&mut self, connection: &mut Connection, due: &mut Option<Time>) {
        let busy = connection.receive_queues.iter().any(ReceiveQueue::is_coming);
        if !self.misses_queues(connection) || busy || !self.is_synchronized(connection) {
            return;
        }
        if connection.add_after > self.now {
            return sooner(due, connection.add_after);
        }
        let chosen = self.add_queue(connection);
        let pause = MINUTE.saturating_mul(4_u64.saturating_pow(u32::from(connection.additions))).min(DAY);
        connection.add_after = self.now.after(pause);
        connection.additions = connection.additions.saturating_add(1);
        if !chosen {
            spare_additions(connection);
        }
    }

    /// A relay refuses to deliver from a queue.
    pub(super) fn subscription_refused(&mut self, id: ConnectionId, number: u32, failure: Failure) -> Result<(), S> {
        let Some(mut connection) = self.load(id) else { return Ok(()) };
        let blocked = self.receive_queue_blocked(id, &mut connection, number, &failure)?;
        let gone = matches!(failure.reason, Reason::NotAuthorized | Reason::Blocked(_));
        if gone && connection.deleting.is_none() && self.receive_queue_lost(id, &mut connection, number)? {
            return self.save(id, connection);
        }
        if blocked {
            return self.save(id, connection);
        }
        self.fail(id, ConnectionError::Relay(failure))
    }

    /// A relay has deleted a queue.
    pub(super) fn queue_gone(&mut self, id: ConnectionId, connection: &mut Connection, number: u32) -> Result<(), S> {
        if self.receive_queue_lost(id, connection, number)? {
            return Ok(());
        }
        let Some(queue) = connection.receive_queue(number) else { return Ok(()) };
        let server = queue.server.clone();
        self.notify(EventKind::QueueDeleted { connection: id, server })
    }

    /// A receive queue is gone; whether the connection can do without it.
    fn receive_queue_lost(&mut self, id: ConnectionId, connection: &mut Connection, number: u32) -> Result<bool, S> {
        let Some(queue) = connection.receive_queue(number) else { return Ok(true) };
        if queue.deleting || queue.is_coming() && !queue.primary {
            self.new_queue_failed(id, connection, number)?;
            self.forget_receive_queue(id, connection, number)?;
            return Ok(true);
        }
        if queue.is_old() {
            self.forget_receive_queue(id, connection, number)?;
            self.switched(id, connection, true, SwitchPhase::Completed)?;
            return Ok(true);
        }
        if !connection.receiving().any(|other| other.number != number && other.is_known()) {
            return Ok(false);
        }
        let switch = queue.switch;
        if let Some(new) = connection.receive_queues.iter_mut().find(|other| other.replaces == Some(number)) {
            // There is nothing left that it could replace.
            new.replaces = None;
            new.is_added = true;
            new.switch = switch;
        }
        self.forget_receive_queue(id, connection, number)?;
        connection.add_after = self.now;
        self.notify(redundancy(id, connection))?;
        Ok(true)
    }

    /// Forgets a receive queue that is gone. What it held back is given out.
    pub(super) fn forget_receive_queue(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        number: u32,
    ) -> Result<(), S> {
        let Some(queue) = connection.receive_queue(number) else { return Ok(()) };
        self.queues.remove(&(queue.server.clone(), queue.recipient_id.clone()));
        if queue.held.is_some() && connection.deleting.is_none() {
            self.release(id, connection, number)?;
        }
        let _ = self.unsubscribe(id, number);
        self.heard.remove(&(id, number));
        self.ahead.remove(&(id, number));
        connection.receive_queues.retain(|queue| queue.number != number);
        if !connection.receive_queues.iter().any(|queue| queue.primary)
            && let Some(queue) = connection.receive_queues.iter_mut().find(|queue| queue.stays())
        {
            queue.primary = true;
        }
        Ok(())
    }

    /// A send queue is gone, and the connection can do without it.
    pub(super) fn send_queue_gone(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        number: u32,
    ) -> Result<(), S> {
        let moved = connection.send_queue(number).is_some_and(|queue| queue.replaces.is_some());
        self.withdraw_send_queue(id, connection, number)?;
        if moved {
            self.switched(id, connection, false, SwitchPhase::Aborted)?;
            return self.fail(id, ConnectionError::Queue);
        }
        self.notify(redundancy(id, connection))
    }

    /// Does without a queue whose relay could not be reached for as long as messages wait, if there is another one.
    pub(super) fn withdraw_if_late(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        number: u32,
    ) -> Result<(), S> {
        let secured = |queue: &SendQueue| queue.number != number && queue.is_usable() && !queue.wants_key();
        if connection.stage != Stage::Connected || !connection.send_queues.iter().any(secured) {
            return Ok(());
        }
        let Some(first) = self.waiting.get(&(id, number)).and_then(|messages| messages.front().copied()) else {
            return Ok(());
        };
        let outgoing = self.transaction.get::<Outgoing>(&Key::outgoing(id, first))?;
        let late = outgoing.is_some_and(|one| self.now.since(one.created) > self.configuration.message_expiry);
        if late { self.send_queue_gone(id, connection, number) } else { Ok(()) }
    }

    /// Forgets a send queue. What waits for it alone goes to another one.
    pub(super) fn withdraw_send_queue(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        number: u32,
    ) -> Result<(), S> {
        let mut others: Vec<_> =
            connection.send_queues.iter().filter(|queue| queue.number != number && queue.is_usable()).collect();
        others.sort_by_key(|queue| (!queue.primary, queue.wants_key(), queue.number));
        let other = others.first().map(|queue| queue.number);
        let waiting: Vec<MessageId> =
            self.waiting.get(&(id, number)).map(|messages| messages.iter().copied().collect()).unwrap_or_default();
        for message in waiting {
            let Some(outgoing) = self.transaction.get::<Outgoing>(&Key::outgoing(id, message))? else {
                self.forget_delivery(id, number, message);
                continue;
            };
            let alone = outgoing.waiting <= 1 && !outgoing.delivered && is_for_any(&outgoing.kind, number);
            match other {
                Some(other) if alone => {
                    self.also_to(id, message, other)?;
                    if let Some(outgoing) = self.transaction.get::<Outgoing>(&Key::outgoing(id, message))? {
                        self.forget_outgoing(id, number, message, outgoing)?;
                    }
                }
                None if alone => {
                    let problem = DeliveryProblem::Failed(Failure::of_relay(Reason::NotAuthorized));
                    self.complete(id, connection, number, message, outgoing, Outcome::Failed(problem))?;
                }
                _ => self.forget_outgoing(id, number, message, outgoing)?,
            }
        }
        self.failing.remove(&(id, number));
        connection.send_queues.retain(|queue| queue.number != number);
        self.choose_primary(connection);
        Ok(())
    }

    /// Whether a send queue has failed lately.
    pub(super) fn is_failing(&self, id: ConnectionId, number: u32) -> bool {
        self.failing.get(&(id, number)).is_some_and(|until| *until > self.now)
    }

    /// Where messages go to the first queue that takes them, those of one that does not go to the next one; whether there
    /// was one.
    pub(super) fn falls_back(
        &mut self,
        work: &Work,
        id: ConnectionId,
        connection: &Connection,
        number: u32,
        failure: &Failure,
    ) -> Result<bool, S> {
        let passes = failure.is_tried_again() || failure.reason == Reason::Quota;
        if self.configuration.redundancy != RedundancyPolicy::First || !passes {
            return Ok(false);
        }
        self.failing.insert((id, number), self.now.after(FAILING));
        let ready = |queue: &&SendQueue| {
            queue.number != number && queue.is_usable() && !queue.wants_key() && !self.is_failing(id, queue.number)
        };
        let next = connection.send_queues.iter().filter(ready).map(|queue| (!queue.primary, queue.number)).min();
        let Some((_, next)) = next else { return Ok(false) };
        let waiting: Vec<MessageId> =
            self.waiting.get(&(id, number)).map(|messages| messages.iter().copied().collect()).unwrap_or_default();
        for message in waiting {
            let Some(outgoing) = self.transaction.get::<Outgoing>(&Key::outgoing(id, message))? else { continue };
            // What a move is about has to take its own way.
            if !is_for_any(&outgoing.kind, number) {
                return Ok(false);
            }
            if self.waiting.get(&(id, next)).is_none_or(|messages| messages.binary_search(&message).is_err()) {
                self.also_to(id, message, next)?;
            }
            if let Some(outgoing) = self.transaction.get::<Outgoing>(&Key::outgoing(id, message))? {
                self.forget_outgoing(id, number, message, outgoing)?;
            }
        }
        self.finish(work);
        Ok(true)
    }
}

/// No relay has made what was to be added last, which says nothing of the peer: it is tried again for ever, and enough is
/// left of the additions that the peer may not use.
pub(super) fn spare_additions(connection: &mut Connection) {
    connection.additions = connection.additions.min(MAX_ADDITIONS / 2);
}

/// Whether a message that waits for a queue may as well go to another one.
fn is_for_any(kind: &OutgoingKind, number: u32) -> bool {
    match kind {
        OutgoingKind::Confirmation { .. } | OutgoingKind::Invitation { .. } => false,
        OutgoingKind::QueueKey { queue } | OutgoingKind::TestQueue { queue } => *queue != number,
        _ => true,
    }
}

impl ReceiveQueue {
    /// Whether its sender is known.
    pub(super) fn is_known(&self) -> bool {
        self.envelope_secret.is_some()
    }

    /// Whether it is there for a peer that has made no use of it.
    fn is_unused(&self) -> bool {
        self.status == QueueStatus::New
            && self.is_created()
            && !self.primary
            && !self.is_coming()
            // The one that replaces it names it.
            && self.switch.is_none()
            && !self.deleting
    }
}
