//! Queues that the operators of their relays have blocked (wire reference of SMP, sections 7.3 and 11).
//!
//! The application is told once of each, by which side's command or by the relay's own word it becomes known. What a relay
//! refuses so is not tried again. An operator may open a queue again: then the next command that comes by itself, a message
//! of the application or a subscription at the next start, finds it open.

use rand_core::CryptoRng;

use super::{Agent, Result};
use crate::event::EventKind;
use crate::id::ConnectionId;
use crate::record::Connection;
use crate::request::{Blocked, Failure};
use crate::storage::Storage;

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    /// A command about a receive queue failed; whether because the queue is blocked, which the application is told then.
    pub(super) fn receive_queue_blocked(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        number: u32,
        failure: &Failure,
    ) -> Result<bool, S> {
        let Some(blocked) = failure.blocked() else { return Ok(false) };
        let Some(queue) = connection.receive_queue_mut(number) else { return Ok(true) };
        if queue.deleting || is_known(queue.blocked, blocked) {
            return Ok(true);
        }
        queue.blocked = Some(blocked);
        let server = queue.server.clone();
        self.notify(EventKind::QueueBlocked { connection: id, receiving: true, server, blocked })?;
        Ok(true)
    }

    /// The same for a send queue.
    pub(super) fn send_queue_blocked(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        number: u32,
        failure: &Failure,
    ) -> Result<(), S> {
        let Some(blocked) = failure.blocked() else { return Ok(()) };
        let deleting = connection.deleting.is_some();
        let Some(queue) = connection.send_queue_mut(number) else { return Ok(()) };
        if deleting || is_known(queue.blocked, blocked) {
            return Ok(());
        }
        queue.blocked = Some(blocked);
        let server = queue.server.clone();
        self.notify(EventKind::QueueBlocked { connection: id, receiving: false, server, blocked })
    }

    /// Queues that receive are not blocked any more.
    pub(super) fn open_again(&mut self, queues: &[(ConnectionId, u32)]) -> Result<(), S> {
        for (id, number) in queues {
            let known = self.connections.get(id).and_then(|connection| connection.receive_queue(*number));
            if known.is_none_or(|queue| queue.blocked.is_none()) {
                continue;
            }
            let Some(mut connection) = self.load(*id) else { continue };
            if let Some(queue) = connection.receive_queue_mut(*number) {
                queue.blocked = None;
            }
            self.save(*id, connection)?;
        }
        Ok(())
    }
}

/// Whether the same was told before. Which version a session has decides whether there is a notice.
fn is_known(before: Option<Blocked>, now: Blocked) -> bool {
    before.is_some_and(|before| before.reason == now.reason)
}
