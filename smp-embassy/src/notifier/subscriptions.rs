//! What a notifier decides: what to send, what a response means, when to give up. Transmissions and time come in;
//! transmissions, events and the next deadline go out.

use embassy_time::{Duration, Instant};
use heapless::Vec;
use rand_core::TryCryptoRng;
use smp_crypto::notification;
use smp_crypto::secret_box::{BoxKey, Nonce};
use smp_proto::id::{EntityId, ID_LENGTH, ServiceId};
use smp_proto::smp::notifier::EncryptedNotification;
use smp_proto::wire::Decode;

use super::{NotifiedMessage, NotifierEvent, NotifierOptions, NotifierQueue};
use crate::backoff::STABLE;
use crate::connection::{Anomalies, ComposeError, Composer, Incoming, RESPONSE_TIME_OUT, new_correlation_id};
use crate::id::Id;
use crate::random::RandomError;

/// How far a subscription has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    /// To be asked for.
    Wanted,
    /// Asked for with this correlation id.
    Asked([u8; ID_LENGTH]),
    /// The relay tells of messages.
    Subscribed,
    /// To be asked for at this time.
    Later(Instant),
    /// Not to be asked for any more.
    Gone,
}

/// What a relay says to notifiers. Read here and not with all messages there are, whose decoders are larger than the
/// rest of the notifier.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    /// `SOK`, below version 16 `OK`.
    Subscribed,
    /// `ERR AUTH`.
    Refused,
    /// Any other `ERR`.
    Failed,
    Notification,
    End,
    Deleted,
    Pong,
    /// Cannot be read, or is not for notifiers.
    Other,
}

impl Said {
    fn read(incoming: &Incoming<'_>) -> Self {
        match incoming.body() {
            b"OK" => Self::Subscribed,
            b"ERR AUTH" => Self::Refused,
            b"END" => Self::End,
            b"DELD" => Self::Deleted,
            b"PONG" => Self::Pong,
            _ => {
                let readable = |tag: &[u8], decode: fn(&[u8]) -> bool| incoming.parameters(tag).is_some_and(decode);
                if readable(b"SOK", |service| <Option<ServiceId<'_>>>::from_bytes(service).is_ok()) {
                    Self::Subscribed
                } else if readable(b"NMSG", |notification| EncryptedNotification::from_bytes(notification).is_ok()) {
                    Self::Notification
                } else if incoming.parameters(b"ERR").is_some() {
                    Self::Failed
                } else {
                    Self::Other
                }
            }
        }
    }
}

struct Subscription {
    queue: NotifierQueue,
    status: Status,
}

/// The subscriptions of a notifier and their state on the current connection. Has no clock, no connection and no random
/// source of its own.
pub struct Subscriptions<const N: usize> {
    entries: Vec<Subscription, N>,
    options: NotifierOptions,
    anomalies: Anomalies,
    /// Since when there is a connection.
    connected: Option<Instant>,
    /// How many connections or attempts ended in a row.
    failures: u32,
    /// When the last block arrived.
    heard: Instant,
    /// The correlation id of the PING that waits for its response.
    ping: Option<[u8; ID_LENGTH]>,
    /// When the next response must have come, while one is waited for.
    response_due: Option<Instant>,
}

impl<const N: usize> core::fmt::Debug for Subscriptions<N> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Subscriptions").field("queues", &self.entries.len()).finish_non_exhaustive()
    }
}

impl<const N: usize> Subscriptions<N> {
    /// Subscriptions to these queues.
    #[must_use]
    pub fn new(queues: Vec<NotifierQueue, N>, options: NotifierOptions) -> Self {
        let mut entries = Vec::new();
        for queue in queues {
            // Both lists have the same capacity.
            let _ = entries.push(Subscription { queue, status: Status::Wanted });
        }
        Self {
            entries,
            options,
            anomalies: Anomalies::default(),
            connected: None,
            failures: 0,
            heard: Instant::MIN,
            ping: None,
            response_due: None,
        }
    }

    /// How patient the notifier is.
    pub(super) const fn options(&self) -> &NotifierOptions {
        &self.options
    }

    /// What relays did that they should not.
    #[must_use]
    pub const fn anomalies(&self) -> Anomalies {
        self.anomalies
    }

    /// Whether no queue is left.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.entries.iter().all(|entry| entry.status == Status::Gone)
    }

    /// There is a new connection: nothing is subscribed to on it.
    pub fn connected(&mut self, now: Instant) {
        for entry in &mut self.entries {
            if matches!(entry.status, Status::Asked(_) | Status::Subscribed) {
                entry.status = Status::Wanted;
            }
        }
        self.connected = Some(now);
        self.heard = now;
        self.ping = None;
        self.response_due = None;
    }

    /// The connection ended, or none could be made. Tells how long to wait before the next attempt, spread by `random`.
    pub fn disconnected(&mut self, now: Instant, random: u16) -> Duration {
        let lasted = self.connected.take().map_or(Duration::MIN, |since| now.saturating_duration_since(since));
        if lasted >= STABLE {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        self.options.backoff.pause(self.failures, random)
    }

    /// A block arrived, whatever is in it: the relay lives.
    pub const fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// Lets the time pass. False when the relay has not answered in time: the connection is to be given up.
    pub fn tick(&mut self, now: Instant) -> bool {
        for entry in &mut self.entries {
            if matches!(entry.status, Status::Later(at) if at <= now) {
                entry.status = Status::Wanted;
            }
        }
        // The second case is a block that began and never ended, so that no PING could be sent.
        self.response_due.is_none_or(|due| now < due) && now < self.last_deadline()
    }

    /// When [`tick`](Self::tick) has something to do next.
    #[must_use]
    pub fn deadline(&self, now: Instant) -> Instant {
        let later = self.entries.iter().filter_map(|entry| match entry.status {
            Status::Later(at) => Some(at),
            _ => None,
        });
        let ping = Some(self.ping_due()).filter(|due| self.ping.is_none() && now < *due);
        later.chain(ping).chain(self.response_due).fold(self.last_deadline(), Instant::min)
    }

    fn ping_due(&self) -> Instant {
        self.heard.checked_add(self.options.ping_interval).unwrap_or(Instant::MAX)
    }

    fn last_deadline(&self) -> Instant {
        self.ping_due().checked_add(RESPONSE_TIME_OUT).unwrap_or(Instant::MAX)
    }

    fn must_ping(&self, now: Instant) -> bool {
        self.ping.is_none() && now >= self.ping_due()
    }

    /// Whether there is something to send.
    #[must_use]
    pub fn wants_to_send(&self, now: Instant) -> bool {
        self.must_ping(now) || self.entries.iter().any(|entry| entry.status == Status::Wanted)
    }

    /// Composes a block of what is to be sent, as much as fits.
    pub fn compose<R: TryCryptoRng + ?Sized>(
        &mut self,
        composer: &mut Composer<'_>,
        now: Instant,
        random: &mut R,
    ) -> Result<(), RandomError> {
        if self.must_ping(now) {
            let id = new_correlation_id(random)?;
            // It is the first one and fits.
            if composer.push_with(&id, EntityId::EMPTY, None, |writer| writer.bytes(b"PING")).is_ok() {
                self.ping = Some(id);
            }
        }
        let later = now.checked_add(self.options.retry).unwrap_or(Instant::MAX);
        for entry in self.entries.iter_mut().filter(|entry| entry.status == Status::Wanted) {
            let id = new_correlation_id(random)?;
            let notifier_id = EntityId::from_array(&entry.queue.notifier_id);
            match composer.push_with(&id, notifier_id, Some(&entry.queue.key), |writer| writer.bytes(b"NSUB")) {
                Ok(()) => entry.status = Status::Asked(id),
                Err(ComposeError::Full) => break,
                // A key that cannot be used in this session; in another one it may.
                Err(_) => entry.status = Status::Later(later),
            }
        }
        if self.is_waiting() && self.response_due.is_none() {
            self.response_due = now.checked_add(RESPONSE_TIME_OUT);
        }
        Ok(())
    }

    fn is_waiting(&self) -> bool {
        self.ping.is_some() || self.entries.iter().any(|entry| matches!(entry.status, Status::Asked(_)))
    }

    /// Takes a transmission of the relay's.
    pub fn receive(&mut self, incoming: Incoming<'_>, now: Instant) -> Option<NotifierEvent> {
        let later = now.checked_add(self.options.retry).unwrap_or(Instant::MAX);
        let Some(id) = incoming.correlation_id else { return self.event(incoming, later) };
        let event = self.response(&id, &incoming, later)?;
        // One that was waited for has come: the time of the others begins anew.
        self.response_due = if self.is_waiting() { now.checked_add(RESPONSE_TIME_OUT) } else { None };
        event
    }

    /// Nothing when it answers nothing; else the event there may be.
    fn response(
        &mut self,
        id: &[u8; ID_LENGTH],
        incoming: &Incoming<'_>,
        later: Instant,
    ) -> Option<Option<NotifierEvent>> {
        if self.ping.as_ref() == Some(id) && incoming.answers(id, &Id::EMPTY) {
            // Whatever it says, it is a sign of life.
            self.ping = None;
            if Said::read(incoming) != Said::Pong {
                self.anomalies.count_unexpected();
            }
            return Some(None);
        }
        let asked = |entry: &Subscription| {
            entry.status == Status::Asked(*id) && incoming.answers(id, &Id::new(entry.queue.notifier_id))
        };
        let Some((index, entry)) = self.entries.iter_mut().enumerate().find(|(_, entry)| asked(entry)) else {
            self.anomalies.count_unexpected();
            return None;
        };
        let (status, event) = match Said::read(incoming) {
            Said::Subscribed => (Status::Subscribed, NotifierEvent::Subscribed(index)),
            Said::Refused => (Status::Gone, NotifierEvent::Gone(index)),
            said => {
                if said != Said::Failed {
                    self.anomalies.count_malformed();
                }
                (Status::Later(later), NotifierEvent::Postponed(index))
            }
        };
        entry.status = status;
        Some(Some(event))
    }

    fn event(&mut self, incoming: Incoming<'_>, later: Instant) -> Option<NotifierEvent> {
        let entity = incoming.entity;
        let known = |entry: &Subscription| {
            matches!(entry.status, Status::Asked(_) | Status::Subscribed) && Id::new(entry.queue.notifier_id) == entity
        };
        let found = self.entries.iter_mut().enumerate().find(|(_, entry)| known(entry));
        let Some((index, entry)) = found else {
            self.anomalies.count_unexpected();
            return None;
        };
        match Said::read(&incoming) {
            Said::Notification => {
                let Some(key) = &entry.queue.metadata_key else { return Some(NotifierEvent::Message(index, None)) };
                let message = read_metadata(key, incoming);
                if message.is_none() {
                    self.anomalies.count_malformed();
                }
                Some(NotifierEvent::Message(index, message))
            }
            Said::End => {
                entry.status = Status::Later(later);
                Some(NotifierEvent::Displaced(index))
            }
            Said::Deleted => {
                entry.status = Status::Gone;
                Some(NotifierEvent::Gone(index))
            }
            // An operator blocked the queue: notifiers of blocked queues keep their subscription.
            Said::Failed => None,
            Said::Subscribed | Said::Refused | Said::Pong => {
                self.anomalies.count_unexpected();
                None
            }
            Said::Other => {
                self.anomalies.count_malformed();
                None
            }
        }
    }
}

/// Decrypts which message a notification is about.
fn read_metadata(key: &BoxKey, incoming: Incoming<'_>) -> Option<NotifiedMessage> {
    let (nonce, sealed) = incoming.into_encrypted_notification()?;
    let metadata = notification::open(key, &Nonce(nonce), sealed).ok()?;
    Some(NotifiedMessage { id: Id::from_slice(metadata.message_id.as_bytes())?, time: metadata.time.0 })
}

#[cfg(test)]
mod tests;
