//! Connections are deleted, and what has become old is forgotten (wire reference, section 20).
//!
//! A deletion is noted at once and goes on across restarts: pending messages first, where that was asked for, for at most
//! two days; then the queues at their relays; then every record of the connection, in commits of limited size; at last the
//! connection itself, in the same commit as its [`EventKind::Deleted`]. Events that the application has not acknowledged
//! stay until it does: they are the application's. Requests that came to an address stay as well, as do the connections
//! that were accepted through it.
//!
//! What is kept for a while is forgotten after [`Configuration::retention`](crate::Configuration::retention): hashes of
//! received messages and of keys for ratchets, and records of sent messages whose receipts did not come. Requests to
//! addresses, and keys of invitations that were read and not joined, are forgotten after [`Configuration::request_expiry`](crate::Configuration::request_expiry). A cleanup goes
//! on where the last one stopped, so that it never takes long, however much there is.

use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::work::Work;
use super::{Agent, Result};
use crate::command::Reply;
use crate::error::Refusal;
use crate::event::EventKind;
use crate::id::{ConnectionId, MessageId};
use crate::record::{Connection, Invitation, OneTimeLink, Outgoing, OutgoingKind, ReceivedHashes, SentRecord, Stage};
use crate::request::{Answer, Failure, Reason};
use crate::storage::Storage;
use crate::table::{Key, OF_CONNECTIONS, Table};
use crate::time::{DAY, HOUR, Time};
use crate::transaction::decode;

/// How long messages that wait may hold up a deletion, in milliseconds.
const DELIVERY_LIMIT: u64 = 2 * DAY;
/// So many attempts to delete a queue follow each other as those for anything else do; the pauses grow to hours then.
const QUICK_ATTEMPTS: u8 = 3;
/// The longest pause between two attempts, in milliseconds.
const LONGEST_PAUSE: u64 = 6 * HOUR;
/// How many records of a deleted connection are deleted with one commit.
const DELETED_AT_ONCE: usize = 1_000;
/// How many records one cleanup looks at.
const CLEANED_AT_ONCE: usize = 2_000;
/// How many of them are read at once.
const PAGE: usize = 250;
/// The tables that are cleaned up.
const CLEANED: [Table; 5] = [Table::Received, Table::Sent, Table::KeyMessage, Table::Invitation, Table::OneTimeLink];

/// Where the next cleanup goes on.
#[derive(Debug, Default)]
pub(super) struct Cleanup {
    table: usize,
    after: Option<Vec<u8>>,
}

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    pub(super) fn delete(&mut self, id: ConnectionId, deliver_first: bool) -> Result<Reply, S> {
        let mut connection = self.load(id).ok_or(Refusal::NoConnection)?;
        match &mut connection.deleting {
            Some((_, delivers)) => *delivers = *delivers && deliver_first,
            deleting => *deleting = Some((self.now, deliver_first)),
        }
        for queue in &mut connection.receive_queues {
            queue.deleting = true;
        }
        self.stop_receiving(id, &connection);
        self.save(id, connection)?;
        Ok(Reply::Done)
    }

    fn stop_receiving(&mut self, id: ConnectionId, connection: &Connection) {
        for queue in &connection.receive_queues {
            let _ = self.unsubscribe(id, queue.number);
        }
    }

    /// Whether messages are still delivered before the deletion goes on.
    pub(super) fn delivers_first(&self, id: ConnectionId, connection: &Connection) -> bool {
        let Some((since, true)) = connection.deleting else { return false };
        if connection.stage == Stage::Failed {
            // Nothing is delivered any more.
            return false;
        }
        let waits = |number| self.waiting.get(&(id, number)).is_some_and(|messages| !messages.is_empty());
        self.now.since(since) < DELIVERY_LIMIT && connection.send_queues.iter().any(|queue| waits(queue.number))
    }

    /// Whether nothing has to be waited for before queues are deleted.
    pub(super) fn may_delete(&self, id: ConnectionId, connection: &Connection) -> bool {
        !self.delivers_first(id, connection)
    }

    /// DEL was answered. A relay that knows no such queue has none.
    pub(super) fn take_deleted(
        &mut self,
        work: &Work,
        id: ConnectionId,
        number: u32,
        result: core::result::Result<Answer, Failure>,
    ) -> Result<(), S> {
        let Some(mut connection) = self.load(id) else { return Ok(()) };
        let Some(queue) = connection.receive_queue_mut(number) else { return Ok(()) };
        if let Err(failure) = result
            && failure.reason != Reason::NotAuthorized
        {
            queue.failed_deletions = queue.failed_deletions.saturating_add(1);
            if failure.is_tried_again() && queue.failed_deletions < self.configuration.deletion_attempts {
                let failed = queue.failed_deletions;
                self.retry_deletion(work, failed);
                return self.save(id, connection);
            }
            let server = queue.server.clone();
            if connection.deleting.is_some() {
                connection.kept_queues.push((server, failure));
            }
        }
        self.finish(work);
        self.forget_receive_queue(id, &mut connection, number)?;
        self.save(id, connection)
    }

    fn retry_deletion(&mut self, work: &Work, failed: u8) {
        match failed.checked_sub(QUICK_ATTEMPTS) {
            None => self.retry(work),
            Some(slow) => {
                let pause = self.configuration.cleanup_interval.saturating_mul(1_u64 << slow.min(30));
                self.retry_after(work, pause.min(LONGEST_PAUSE));
            }
        }
    }

    /// A queue that was given up before it was created.
    pub(super) fn forget_uncreated(&mut self, id: ConnectionId, number: u32) -> Result<(), S> {
        self.finish(&Work::Delete(id, number));
        let Some(mut connection) = self.load(id) else { return Ok(()) };
        connection.receive_queues.retain(|queue| queue.number != number || queue.is_created());
        self.save(id, connection)
    }

    /// Goes on with a deletion: forgets everything about the connection once its queues are gone.
    pub(super) fn begin_removal(&mut self, id: ConnectionId) -> Result<(), S> {
        let work = Work::Remove(id);
        let Some(connection) = self.connections.get(&id) else { return Ok(()) };
        let Some((since, _)) = connection.deleting else { return Ok(()) };
        if self.delivers_first(id, connection) {
            self.retry_after(&work, since.after(DELIVERY_LIMIT).since(self.now));
            return Ok(());
        }
        if !connection.receive_queues.is_empty() {
            return Ok(());
        }
        for table in OF_CONNECTIONS {
            if !self.transaction.delete_all(Key::of(table, id).as_bytes(), DELETED_AT_ONCE)? {
                // The rest with the next commit.
                self.retry_after(&work, 1);
                return Ok(());
            }
        }
        self.remove(id)
    }

    /// The last of a connection.
    fn remove(&mut self, id: ConnectionId) -> Result<(), S> {
        for work in self.work_of(id) {
            self.drop_work(&work);
        }
        let Some(connection) = self.connections.remove(&id) else { return Ok(()) };
        for queue in &connection.send_queues {
            self.waiting.remove(&(id, queue.number));
        }
        self.direct.retain(|work| work.connection() != id);
        self.failing.retain(|(of, _), _| *of != id);
        self.heard.retain(|(of, _), _| *of != id);
        self.signed.retain(|work| work.connection() != id);
        self.transaction.delete(&Key::connection(id));
        self.notify(EventKind::Deleted { connection: id, failures: connection.kept_queues })
    }

    /// A message that waits is not sent any more. The peer will find that its number is missing.
    pub(super) fn withdraw(&mut self, id: ConnectionId, message: MessageId, queues: &[u32]) -> Result<Reply, S> {
        let Some(outgoing) = self.transaction.get::<Outgoing>(&Key::outgoing(id, message))? else {
            return Err(Refusal::NoMessage.into());
        };
        if outgoing.kind != OutgoingKind::Application {
            return Err(Refusal::NoMessage.into());
        }
        for queue in queues {
            self.forget_delivery(id, *queue, message);
            self.hurry(&Work::Deliver(id, *queue));
        }
        self.transaction.delete(&Key::outgoing(id, message));
        self.touched.insert(id);
        Ok(Reply::Done)
    }

    /// The receipt of a message is not waited for any more.
    pub(super) fn forget_sent(&mut self, id: ConnectionId, message: MessageId) -> Result<Reply, S> {
        let prefix = Key::of(Table::Sent, id);
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.transaction.scan(prefix.as_bytes(), after.as_deref(), PAGE)?;
            for (key, value) in &page {
                if decode::<SentRecord, S::Error>(value)?.message == message.0 {
                    self.transaction.delete_bytes(key);
                    return Ok(Reply::Done);
                }
            }
            match page.into_iter().last() {
                Some((key, _)) => after = Some(key),
                None => return Err(Refusal::NoMessage.into()),
            }
        }
    }

    /// The day before which things are old.
    pub(super) fn oldest_day(&self) -> u32 {
        Time(self.now.0.saturating_sub(self.configuration.retention)).day()
    }

    pub(super) fn clean_up_if_due(&mut self) -> Result<(), S> {
        if self.now < self.next_cleanup {
            return Ok(());
        }
        self.next_cleanup = self.now.after(self.configuration.cleanup_interval);
        let mut looked_at = 0_usize;
        while looked_at < CLEANED_AT_ONCE {
            let Some(table) = CLEANED.get(self.cleanup.table).copied() else {
                self.cleanup = Cleanup::default();
                return Ok(());
            };
            let after = self.cleanup.after.take();
            let page = self.transaction.scan(Key::new(table).as_bytes(), after.as_deref(), PAGE)?;
            for (key, _) in &page {
                self.clean_up(table, key)?;
            }
            looked_at = looked_at.saturating_add(PAGE);
            match page.into_iter().last() {
                Some((key, _)) => self.cleanup.after = Some(key),
                None => self.cleanup.table = self.cleanup.table.saturating_add(1),
            }
        }
        Ok(())
    }

    /// Forgets what is old of a record.
    fn clean_up(&mut self, table: Table, key: &[u8]) -> Result<(), S> {
        // What the inputs before this one have changed counts.
        let Some(value) = self.transaction.bytes_of(key)? else { return Ok(()) };
        let oldest = self.oldest_day();
        let is_old = match table {
            Table::Received => {
                let mut hashes: ReceivedHashes = decode(&value)?;
                let changed = hashes.forget_before(oldest);
                if changed && !hashes.is_empty() {
                    self.transaction.put_bytes(key, &hashes)?;
                }
                hashes.is_empty()
            }
            Table::Sent => decode::<SentRecord, S::Error>(&value)?.day < oldest,
            Table::KeyMessage => decode::<u32, S::Error>(&value)? < oldest,
            Table::Invitation => {
                let created = decode::<Invitation, S::Error>(&value)?.created;
                self.now.since(created) > self.configuration.request_expiry
            }
            Table::OneTimeLink => {
                let oldest = Time(self.now.0.saturating_sub(self.configuration.request_expiry)).day();
                decode::<OneTimeLink, S::Error>(&value)?.day < oldest
            }
            _ => false,
        };
        if is_old {
            self.transaction.delete_bytes(key);
        }
        Ok(())
    }
}
