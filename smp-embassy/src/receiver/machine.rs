//! What a receiver does next. No socket, no clock, no randomness: it is told what happened and when, and tells what to do.

use embassy_time::{Duration, Instant};
use smp_proto::key::AuthorizationKey;

use super::Unkept;
use crate::backoff::{Backoff, STABLE};
use crate::refusal::Refusal;
use crate::state::MESSAGE_ID_LENGTH;

/// How long a receiver waits for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiverTiming {
    /// For the answer to a command.
    pub response: Duration,
    /// Without a word from the relay, before it is asked for a sign of life.
    pub silence: Duration,
    /// Before the next attempt after a failure.
    pub backoff: Backoff,
}

impl ReceiverTiming {
    /// 15 seconds for an answer; a sign of life every five minutes.
    pub const DEFAULT: Self =
        Self { response: Duration::from_secs(15), silence: Duration::from_secs(300), backoff: Backoff::DEFAULT };
}

impl Default for ReceiverTiming {
    fn default() -> Self {
        Self::DEFAULT
    }
}

type MessageId = [u8; MESSAGE_ID_LENGTH];

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// NEW: a queue, and its messages.
    Create,
    /// SUB: the messages of the queue.
    Subscribe,
    /// KEY: the sender's key.
    Secure(AuthorizationKey),
    /// ACK: the application has the message.
    Acknowledge(MessageId),
    /// PING: a sign of life.
    Ping,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Keep the queue, then [`Machine::saved_queue`].
    SaveQueue,
    /// Keep which message was taken last, then [`Machine::saved_last`].
    SaveLast(MessageId),
    /// Connect, then [`Machine::connected`] or [`Machine::lost`].
    Connect,
    /// Close the connection, then [`Machine::lost`] or [`Machine::closed`].
    Disconnect,
    /// Send a command, then [`Machine::sent`] or [`Machine::lost`].
    Request(Request),
    /// Wait for the response, or for messages, until then; without a connection, wait.
    Wait(Instant),
    /// Nothing is received until somebody changes something.
    Stop(Stopped),
}

/// Why a receiver stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Stopped {
    /// The relay refuses: the queue is gone or blocked, or the relay makes no queues for strangers.
    Refused(Refusal),
    /// Another device receives from the queue now.
    TakenOver,
    /// The queue was deleted.
    Deleted,
}

impl core::fmt::Display for Stopped {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Refused(refusal) => core::fmt::Display::fmt(refusal, f),
            Self::TakenOver => f.write_str("another device receives from the queue"),
            Self::Deleted => f.write_str("the queue was deleted"),
        }
    }
}

impl core::error::Error for Stopped {}

/// The decisions of a receiver.
#[derive(Debug)]
pub(crate) struct Machine {
    timing: ReceiverTiming,
    has_queue: bool,
    /// Since when there is a connection.
    connected: Option<Instant>,
    subscribed: bool,
    dirty: bool,
    last: Option<MessageId>,
    last_dirty: bool,
    secure: Option<AuthorizationKey>,
    acknowledge: Option<MessageId>,
    /// The command on its way, and since it was sent, until when its response is waited for.
    outstanding: Option<(Request, Option<Instant>)>,
    not_before: Instant,
    ping_at: Instant,
    failures: u32,
    stopped: Option<Stopped>,
}

impl Machine {
    /// A receiver that has a queue or not, and whose application took this message last.
    pub(crate) fn new(timing: ReceiverTiming, has_queue: bool, last: Option<MessageId>, unkept: Unkept) -> Self {
        Self {
            timing,
            has_queue,
            connected: None,
            subscribed: false,
            dirty: unkept.queue,
            last,
            last_dirty: unkept.last,
            secure: None,
            acknowledge: None,
            outstanding: None,
            not_before: Instant::MIN,
            ping_at: Instant::MAX,
            failures: 0,
            stopped: None,
        }
    }

    /// What to do now.
    pub(crate) fn step(&mut self, now: Instant) -> Step {
        if self.dirty {
            return Step::SaveQueue;
        }
        if let (true, Some(last)) = (self.last_dirty, self.last) {
            return Step::SaveLast(last);
        }
        if let Some(stopped) = self.stopped {
            return if self.connected.is_some() { Step::Disconnect } else { Step::Stop(stopped) };
        }
        if let Some((request, deadline)) = self.outstanding {
            return match deadline {
                None => Step::Request(request),
                Some(deadline) if now < deadline => Step::Wait(deadline),
                Some(_) => Step::Disconnect,
            };
        }
        if now < self.not_before {
            return Step::Wait(self.not_before);
        }
        if self.connected.is_none() {
            return Step::Connect;
        }
        let request = if !self.has_queue {
            Request::Create
        } else if !self.subscribed {
            Request::Subscribe
        } else if let Some(key) = self.secure {
            Request::Secure(key)
        } else if let Some(id) = self.acknowledge {
            Request::Acknowledge(id)
        } else if now < self.ping_at {
            return Step::Wait(self.ping_at);
        } else {
            Request::Ping
        };
        self.outstanding = Some((request, None));
        Step::Request(request)
    }

    /// The queue is kept.
    pub(crate) fn saved_queue(&mut self) {
        self.dirty = false;
    }

    /// The last message is kept.
    pub(crate) fn saved_last(&mut self) {
        self.last_dirty = false;
    }

    /// There is a connection.
    pub(crate) fn connected(&mut self, now: Instant) {
        self.closed();
        self.connected = Some(now);
        self.heard(now);
    }

    /// The connection failed or has ended. `spread` is random.
    ///
    /// Whether the relay has executed the command on its way is not known. It delivers every message again that was not
    /// acknowledged.
    pub(crate) fn lost(&mut self, now: Instant, spread: u16) {
        if self.connected.is_some_and(|since| now.saturating_duration_since(since) >= STABLE) {
            self.failures = 0;
        }
        self.closed();
        self.pause(now, spread);
    }

    /// The connection was closed for good.
    pub(crate) fn closed(&mut self) {
        self.connected = None;
        self.subscribed = false;
        self.outstanding = None;
        self.secure = None;
        self.acknowledge = None;
    }

    /// The command on its way.
    pub(crate) fn outstanding(&self) -> Option<Request> {
        self.outstanding.map(|(request, _)| request)
    }

    /// The command is on its way.
    pub(crate) fn sent(&mut self, now: Instant) {
        let deadline = now.saturating_add(self.timing.response);
        if let Some((_, until)) = &mut self.outstanding {
            *until = Some(deadline);
        }
    }

    /// Something came from the relay.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.ping_at = now.saturating_add(self.timing.silence);
    }

    /// The command is done. After NEW the queue is there.
    pub(crate) fn done(&mut self) {
        let Some((request, _)) = self.outstanding.take() else { return };
        // That there is a subscription brings nothing yet: relay or application may end it each time.
        if request != Request::Subscribe {
            self.failures = 0;
        }
        match request {
            Request::Create => {
                self.has_queue = true;
                self.subscribed = true;
                self.dirty = true;
                self.last = None;
            }
            Request::Subscribe => self.subscribed = true,
            // A relay may deliver the next message before the answer that the one before is gone: what that one asks for
            // is still to be done.
            Request::Secure(key) => self.secure = self.secure.filter(|next| *next != key),
            Request::Acknowledge(id) => self.acknowledge = self.acknowledge.filter(|next| *next != id),
            Request::Ping => {}
        }
    }

    /// The command is refused, or its answer cannot be read. `spread` is random.
    pub(crate) fn refused(&mut self, now: Instant, refusal: Refusal, spread: u16) {
        let Some((request, _)) = self.outstanding.take() else { return };
        match request {
            // Somebody has set another key: the message that asked for this one has no consequence.
            Request::Secure(key) if refusal == Refusal::NotAuthorized => {
                self.secure = self.secure.filter(|next| *next != key);
            }
            // The relay has another idea of what it has delivered: it is asked for the first message again.
            Request::Acknowledge(_) if refusal == Refusal::NoMessage => {
                self.acknowledge = None;
                self.subscribed = false;
                self.pause(now, spread);
            }
            _ if refusal.is_final() => self.stopped = Some(Stopped::Refused(refusal)),
            _ => self.pause(now, spread),
        }
    }

    /// An event that ends the reception.
    pub(crate) fn stop(&mut self, stopped: Stopped) {
        self.stopped = Some(stopped);
    }

    /// Whether the application has taken this message before, so that it is only acknowledged once more.
    pub(crate) fn is_repeated(&self, id: &MessageId) -> bool {
        self.last.as_ref() == Some(id)
    }

    /// The application has taken a message: it is to be acknowledged. The sender may ask for its key to be
    /// set. `introduced` tells whether the queue has changed, because the sender has introduced itself.
    pub(crate) fn taken(&mut self, id: MessageId, secure: Option<AuthorizationKey>, introduced: bool) {
        self.dirty |= introduced;
        self.last_dirty |= !self.is_repeated(&id);
        self.last = Some(id);
        self.secure = secure;
        self.acknowledge = Some(id);
    }

    /// Nobody can take a message: it is to be acknowledged. Nothing of that is worth a write to the flash, which strangers
    /// and relays could wear out.
    pub(crate) fn passed_over(&mut self, id: MessageId) {
        self.last = Some(id);
        self.secure = None;
        self.acknowledge = Some(id);
    }

    /// The sender has introduced itself with a message that was not taken: the queue has changed.
    pub(crate) fn introduced(&mut self, introduced: bool) {
        self.dirty |= introduced;
    }

    fn pause(&mut self, now: Instant, spread: u16) {
        self.failures = self.failures.saturating_add(1);
        self.not_before = now.saturating_add(self.timing.backoff.pause(self.failures, spread));
    }
}

#[cfg(test)]
mod tests;
