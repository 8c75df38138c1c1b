//! Messages of several queues in their order.
//!
//! A queue that is new has only what was sent since; what was sent before may still wait in another one, for the
//! application, or for its relay to come back. A message that comes early is held back: it is decrypted and stored, and its
//! relay sends nothing more of its queue until it was its turn. It is given out when the messages before it have come, or
//! when no other queue can have them any more: those that receive are seen to be empty
//! ([`Configuration::queue_rest`](crate::Configuration::queue_rest)), the others were waited for
//! ([`Configuration::order_wait`](crate::Configuration::order_wait)). Then its integrity result tells what is missing.

use alloc::vec::Vec;

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

use super::ratchet::Opened;
use super::receive::{Arrival, Then};
use super::{Agent, Result};
use crate::error::{ConnectionError, Error};
use crate::id::ConnectionId;
use crate::record::{Connection, ReceiveQueue};
use crate::storage::Storage;
use crate::table::Key;
use crate::time::Time;

/// A message that waits for earlier ones.
#[derive(Serialize, Deserialize)]
struct Held {
    /// When its relay received it, in seconds since the epoch.
    time: i64,
    post_quantum: bool,
    first: bool,
    since: Time,
    plaintext: Vec<u8>,
}

/// Whether a message may come through a queue that was sent before one that is here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Expectation {
    /// No.
    Nothing,
    /// If so, then until this time.
    Until(Time),
    /// As long as the application has not acknowledged what came before.
    Something,
}

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    /// Something was learned of a queue.
    pub(super) fn hear(&mut self, id: ConnectionId, connection: &Connection, number: u32) {
        if connection.receive_queues.len() > 1 {
            self.heard.insert((id, number), self.now);
        }
    }

    /// What may still come through a queue, for somebody who has waited since some time.
    pub(super) fn expectation(
        &mut self,
        id: ConnectionId,
        connection: &Connection,
        queue: &ReceiveQueue,
        since: Time,
    ) -> Expectation {
        let heard = *self.heard.entry((id, queue.number)).or_insert(self.now);
        let waits = queue.last.as_ref().is_some_and(|last| last.event.is_some());
        let pause = match self.is_subscribed(id, connection, queue) {
            true if waits => return Expectation::Something,
            // A relay that does not answer that is as good as away.
            true if queue.acknowledging => self.configuration.order_wait,
            // QTEST, and what waited for the queue that it replaces, comes this way only, and what is sent after that may
            // be faster through the others.
            true if queue.is_coming() || queue.untested => self.configuration.order_wait,
            true => self.configuration.queue_rest,
            false => self.configuration.order_wait,
        };
        let until = heard.max(since).after(pause);
        if until > self.now { Expectation::Until(until) } else { Expectation::Nothing }
    }

    /// What may still come through all queues but one, and but those that hold back a message themselves.
    fn expectation_of_others(
        &mut self,
        id: ConnectionId,
        connection: &Connection,
        except: u32,
        since: Time,
    ) -> Expectation {
        let others =
            connection.receiving().filter(|queue| queue.number != except && queue.held.is_none() && queue.is_known());
        others.map(|queue| self.expectation(id, connection, queue, since)).max().unwrap_or(Expectation::Nothing)
    }

    /// Whether a message has to wait for others.
    pub(super) fn comes_early(&mut self, id: ConnectionId, connection: &Connection, queue: u32, number: i64) -> bool {
        number > connection.received_number.saturating_add(1)
            && connection.receive_queues.len() > 1
            && self.expectation_of_others(id, connection, queue, self.now) != Expectation::Nothing
    }

    /// Keeps a message for later.
    pub(super) fn hold_back(
        &mut self,
        arrival: &Arrival<'_>,
        connection: &mut Connection,
        number: i64,
        opened: Opened,
    ) -> Result<Then, S> {
        let Some(queue) = connection.receive_queue_mut(arrival.queue) else { return Ok(Then::Acknowledge) };
        queue.held = Some(number);
        let Opened { plaintext, post_quantum, first, .. } = opened;
        let held = Held { time: arrival.time, post_quantum, first, since: self.now, plaintext };
        self.transaction.put(&Key::held(arrival.id, arrival.queue), &held)?;
        Ok(Then::Hold)
    }

    /// The queue that holds back the earliest message.
    fn earliest_held(connection: &Connection) -> Option<(i64, u32)> {
        connection.receive_queues.iter().filter_map(|queue| Some((queue.held?, queue.number))).min()
    }

    /// Gives out what had to wait for the last message.
    pub(super) fn release_in_order(&mut self, id: ConnectionId, connection: &mut Connection) -> Result<(), S> {
        while let Some((number, queue)) = Self::earliest_held(connection)
            && number <= connection.received_number.saturating_add(1)
        {
            self.release(id, connection, queue)?;
        }
        Ok(())
    }

    /// Gives out what was sent before a message that waits for nothing.
    pub(super) fn release_before(&mut self, id: ConnectionId, connection: &mut Connection, end: i64) -> Result<(), S> {
        while let Some((number, queue)) = Self::earliest_held(connection)
            && number < end
        {
            self.release(id, connection, queue)?;
        }
        Ok(())
    }

    /// Gives out what has waited in vain.
    pub(super) fn release_late(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        due: &mut Option<Time>,
    ) -> Result<(), S> {
        while let Some((_, queue)) = Self::earliest_held(connection) {
            let Some(held) = self.transaction.get::<Held>(&Key::held(id, queue))? else {
                return Err(Error::Record);
            };
            // A clock that was wrong then does not count.
            let since = if held.since > self.now { Time::default() } else { held.since };
            match self.expectation_of_others(id, connection, queue, since) {
                Expectation::Nothing => self.release(id, connection, queue)?,
                Expectation::Until(time) => {
                    sooner(due, time);
                    return Ok(());
                }
                Expectation::Something => return Ok(()),
            }
            self.release_in_order(id, connection)?;
        }
        Ok(())
    }

    /// Gives out the message that a queue holds back.
    pub(super) fn release(&mut self, id: ConnectionId, connection: &mut Connection, number: u32) -> Result<(), S> {
        let key = Key::held(id, number);
        let held = self.transaction.get::<Held>(&key)?;
        self.transaction.delete(&key);
        let Some(queue) = connection.receive_queue_mut(number) else { return Ok(()) };
        queue.held = None;
        let message_id = queue.last.as_ref().map(|last| last.message_id.clone()).unwrap_or_default();
        let Some(Held { time, post_quantum, first, plaintext, .. }) = held else { return Ok(()) };
        let arrival = Arrival { id, queue: number, message_id: &message_id, time };
        let opened = Opened { plaintext, post_quantum, first, answers: false };
        let (mark, undo, before) = (self.transaction.mark(), self.undo.len(), connection.clone());
        let then = match self.take_opened(&arrival, connection, &opened) {
            // What would have followed from it is not possible.
            Err(Error::Refused(_)) => {
                let touched = core::mem::take(&mut self.touched);
                self.take_back(mark, undo);
                self.touched = touched;
                *connection = before;
                self.dropped(id, ConnectionError::Prohibited)?
            }
            then => then?,
        };
        if let Some(queue) = connection.receive_queue_mut(number) {
            queue.acknowledging = matches!(then, Then::Acknowledge);
            if let (Then::Wait(event), Some(last)) = (then, &mut queue.last) {
                last.event = Some(event);
            }
        }
        self.hear(id, connection, number);
        Ok(())
    }
}

/// An earlier time takes the place of a later one.
pub(super) fn sooner(due: &mut Option<Time>, time: Time) {
    *due = Some(due.map_or(time, |due| due.min(time)));
}
