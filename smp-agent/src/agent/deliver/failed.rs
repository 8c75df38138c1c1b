//! What becomes of a message that a relay did not take: another attempt later, or none.

use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::{MESSAGES_IN_EVENT, Outcome};
use crate::agent::rotate;
use crate::agent::work::Work;
use crate::agent::{Agent, Result};
use crate::error::ConnectionError;
use crate::event::{DeliveryProblem, EventKind};
use crate::id::{ConnectionId, MessageId};
use crate::policy::back_off::{MessageBackOff, Pace};
use crate::record::{Connection, Outgoing, OutgoingKind, Stage};
use crate::request::{Failure, Reason, Reporter};
use crate::storage::Storage;
use crate::table::Key;

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    #[expect(clippy::too_many_arguments, reason = "all that decides what follows")]
    pub(super) fn take_failed(
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
            // A first message finds a queue full that somebody else has filled. Attempts whose answers were lost may have
            // filled it themselves.
            Reason::Quota if failure.by == Reporter::Relay && (!introduction || outgoing.back_off.is_some()) => {
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

    /// What has waited for SKEY or KEY can be sent from now on: how long that took is no sign that nobody takes it.
    pub(in crate::agent) fn introduction_begins(
        &mut self,
        id: ConnectionId,
        connection: &Connection,
        number: u32,
    ) -> Result<(), S> {
        if !matches!(connection.stage, Stage::Allowed | Stage::Greeting) {
            return Ok(());
        }
        let waiting: Vec<MessageId> = self.waiting.get(&(id, number)).into_iter().flatten().copied().collect();
        for message in waiting {
            let key = Key::outgoing(id, message);
            let Some(mut outgoing) = self.transaction.get::<Outgoing>(&key)? else { continue };
            if matches!(outgoing.kind, OutgoingKind::Confirmation { .. } | OutgoingKind::Hello) {
                outgoing.created = self.now;
                self.transaction.put(&key, &outgoing)?;
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

    /// All messages of a queue fail, or those that are older than so many milliseconds.
    pub(super) fn fail_waiting(
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

    /// What the agent itself had to say was not delivered.
    pub(super) fn service_failed(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        kind: &OutgoingKind,
        problem: DeliveryProblem,
    ) -> Result<(), S> {
        if is_late(&problem) {
            // A move or a new ratchet that stops here would never come about.
            match kind {
                OutgoingKind::AddQueue | OutgoingKind::UseQueue { .. } => rotate::say_again(connection),
                OutgoingKind::QueueKey { queue } => self.say_key_again(id, connection, *queue)?,
                OutgoingKind::RatchetKey { .. } => self.say_ratchet_key_again(id, connection, kind)?,
                OutgoingKind::Ready => self.say_ready_again(id, connection)?,
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
}

/// Whether a message has waited for too long for something that may still come.
pub(super) fn is_late(problem: &DeliveryProblem) -> bool {
    match problem {
        DeliveryProblem::Failed(failure) => failure.is_tried_again() || failure.reason == Reason::Quota,
        _ => false,
    }
}
