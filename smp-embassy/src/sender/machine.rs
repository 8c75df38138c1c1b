//! What a sender does next. No socket, no clock, no randomness: it is told what happened and when, and tells what to do.

use embassy_time::{Duration, Instant};
use smp_proto::version::SmpVersion;

use crate::backoff::Backoff;
use crate::refusal::{ProxyFailure, Refusal};
use crate::state::SendStage;

/// How long a sender waits for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderTiming {
    /// For the answer to a command. Twice as long through a proxy, and longer by `proxy_connect` when the proxy may have to
    /// connect first.
    pub response: Duration,
    /// For the proxy to connect to the relay.
    pub proxy_connect: Duration,
    /// For further alarms before the connection is closed.
    pub linger: Duration,
    /// Before the next attempt after a failure.
    pub backoff: Backoff,
    /// Before the next attempt while the queue is full.
    pub full: Backoff,
}

impl SenderTiming {
    /// 15 seconds for an answer, 30 for the proxy to connect, connections closed after a minute without alarms; a full
    /// queue is tried after half a minute and then less and less often, up to twice an hour.
    pub const DEFAULT: Self = Self {
        response: Duration::from_secs(15),
        proxy_connect: Duration::from_secs(30),
        linger: Duration::from_secs(60),
        backoff: Backoff::DEFAULT,
        full: Backoff { first: Duration::from_secs(30), most: Duration::from_secs(1800) },
    };
}

impl Default for SenderTiming {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// PRXY: the proxy's session with the relay.
    Proxy,
    /// SKEY: the sender's key.
    Secure,
    /// SEND: the first alarm.
    Send {
        /// Whether the message tells the recipient who sends.
        confirmation: bool,
        /// Whether the sender has set its key itself.
        secures: bool,
        /// Whether the command is authorized.
        authorized: bool,
    },
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Keep the queue's state, then [`Machine::saved`].
    Save,
    /// Forget the first alarm, then [`Machine::removed`].
    Remove,
    /// Connect, then [`Machine::connected`] or [`Machine::lost`].
    Connect,
    /// Close the connection, then [`Machine::lost`] or [`Machine::closed`].
    Disconnect,
    /// Send a command, then [`Machine::sent`] or [`Machine::lost`].
    Request(Request),
    /// Wait for the response until then; then [`Machine::reply`], [`Machine::lost`] or again [`Machine::step`].
    Await(Instant),
    /// Wait for alarms, until then if there is a limit, or for the connection to end.
    Sleep {
        /// The next time something is due.
        until: Option<Instant>,
        /// Whether further alarms change anything.
        for_alarms: bool,
    },
    /// Nothing can be sent until somebody changes something.
    Stop(Refusal),
}

/// What a relay or a proxy answered to the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// OK.
    Done,
    /// The proxy has a session with the relay, at this version.
    Session(SmpVersion),
    /// It is refused, or failed.
    Refused(Refusal),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Down,
    /// A connection to the relay or to the proxy.
    Up(SmpVersion),
}

/// The decisions of a sender.
#[derive(Debug)]
pub(crate) struct Machine {
    timing: SenderTiming,
    proxied: bool,
    /// Whether the address allows the sender to set its key.
    may_secure: bool,
    stage: SendStage,
    secures: bool,
    /// The state has changed since it was kept.
    dirty: bool,
    /// The first alarm was accepted and is still in the store.
    accepted: bool,
    link: Link,
    /// The version of the session that the proxy has with the relay.
    session: Option<SmpVersion>,
    /// The command on its way, and since it was sent, until when its response is waited for.
    outstanding: Option<(Request, Option<Instant>)>,
    /// Nothing is tried before.
    not_before: Instant,
    /// The connection is closed then unless there is something to do.
    linger_until: Instant,
    /// Whether messages to a queue that the sender does not secure are authorized now: nobody tells when the recipient
    /// has set the key.
    authorized: bool,
    /// How often the current message was refused for want of the right authorization.
    attempts: u8,
    failures: u32,
    full: u32,
    stopped: Option<Refusal>,
}

impl Machine {
    /// A sender whose queue has come this far.
    pub(crate) fn new(
        timing: SenderTiming,
        proxied: bool,
        may_secure: bool,
        stage: SendStage,
        secures: bool,
        new: bool,
    ) -> Self {
        Self {
            timing,
            proxied,
            may_secure,
            stage,
            secures,
            dirty: new,
            accepted: false,
            link: Link::Down,
            session: None,
            outstanding: None,
            not_before: Instant::MIN,
            linger_until: Instant::MIN,
            // A confirmed queue has a key, most likely.
            authorized: stage >= SendStage::Confirmed,
            attempts: 0,
            failures: 0,
            full: 0,
            stopped: None,
        }
    }

    /// How far things have come, to be kept.
    pub(crate) const fn stage(&self) -> (SendStage, bool) {
        (self.stage, self.secures)
    }

    /// Whether something was not kept yet.
    pub(crate) const fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// What to do now. `alarm` tells whether there is one.
    pub(crate) fn step(&mut self, now: Instant, alarm: bool) -> Step {
        if self.dirty {
            return Step::Save;
        }
        if self.accepted {
            return Step::Remove;
        }
        if let Some(refusal) = self.stopped {
            return if self.link == Link::Down { Step::Stop(refusal) } else { Step::Disconnect };
        }
        // The key is set as soon as possible: until then, anybody who has seen the address can set one.
        let secure = self.may_secure && self.stage == SendStage::New;
        let work = alarm || secure;
        let Link::Up(version) = self.link else {
            return match (work, now < self.not_before) {
                (false, _) => Step::Sleep { until: None, for_alarms: true },
                (true, true) => Step::Sleep { until: Some(self.not_before), for_alarms: false },
                (true, false) => Step::Connect,
            };
        };
        if let Some((request, deadline)) = self.outstanding {
            return match deadline {
                None => Step::Request(request),
                Some(deadline) if now < deadline => Step::Await(deadline),
                Some(_) => Step::Disconnect,
            };
        }
        let waits = now < self.not_before;
        if !work || waits {
            let until = if work { self.not_before.min(self.linger_until) } else { self.linger_until };
            return if now < self.linger_until {
                Step::Sleep { until: Some(until), for_alarms: !work }
            } else {
                Step::Disconnect
            };
        }
        let Some(version) = (if self.proxied { self.session } else { Some(version) }) else {
            if version < SmpVersion::PRIVATE_ROUTING {
                self.stopped = Some(Refusal::Proxy(ProxyFailure::TooOld));
                return Step::Disconnect;
            }
            return self.request(Request::Proxy);
        };
        if self.stage == SendStage::New {
            self.secures = self.may_secure && version >= SmpVersion::SENDER_SECURED;
            if self.secures {
                return self.request(Request::Secure);
            }
            if !alarm {
                // Nothing to do before there is an alarm: below version 9 senders cannot secure.
                self.may_secure = false;
                return self.step(now, alarm);
            }
        }
        let confirmation = self.stage < SendStage::Confirmed;
        self.request(Request::Send { confirmation, secures: self.secures, authorized: self.secures || self.authorized })
    }

    fn request(&mut self, request: Request) -> Step {
        self.outstanding = Some((request, None));
        Step::Request(request)
    }

    /// The state is kept.
    pub(crate) fn saved(&mut self) {
        self.dirty = false;
    }

    /// The first alarm is forgotten.
    pub(crate) fn removed(&mut self) {
        self.accepted = false;
    }

    /// There is a connection.
    pub(crate) fn connected(&mut self, now: Instant, version: SmpVersion) {
        self.link = Link::Up(version);
        self.session = None;
        self.outstanding = None;
        self.stay(now);
    }

    /// The connection failed or has ended, wanted or not. `spread` is random.
    ///
    /// Whether the relay has executed the command on its way is not known: it is sent again.
    pub(crate) fn lost(&mut self, now: Instant, spread: u16) {
        let idle = self.link != Link::Down && self.outstanding.is_none();
        self.closed();
        // The end of a connection that nobody needed is no failure.
        if !idle {
            self.pause(now, spread);
        }
    }

    /// The connection was closed because nothing was to be done, or for good.
    pub(crate) fn closed(&mut self) {
        self.link = Link::Down;
        self.session = None;
        self.outstanding = None;
    }

    /// Whether a command is on its way, so that closing the connection is a failure.
    pub(crate) const fn is_waiting(&self) -> bool {
        self.outstanding.is_some()
    }

    /// The command was not composed: what it was for is not there any more.
    pub(crate) fn withdraw(&mut self) {
        self.outstanding = self.outstanding.filter(|(_, deadline)| deadline.is_some());
    }

    /// The command is on its way.
    pub(crate) fn sent(&mut self, now: Instant) {
        let response = self.timing.response;
        if let Some((request, deadline)) = &mut self.outstanding {
            let patience = match request {
                Request::Proxy => saturating_sum(response, self.timing.proxy_connect),
                _ if self.proxied => saturating_sum(response, response),
                _ => response,
            };
            *deadline = Some(now.saturating_add(patience));
        }
    }

    /// The response to the command. `spread` is random.
    pub(crate) fn reply(&mut self, now: Instant, reply: Reply, spread: u16) {
        let Some((request, _)) = self.outstanding.take() else { return };
        self.stay(now);
        match (request, reply) {
            (Request::Proxy, Reply::Session(version)) => self.session = Some(version),
            (Request::Secure, Reply::Done) => {
                self.succeeded();
                self.stage = SendStage::Secured;
                self.dirty = true;
            }
            (Request::Send { confirmation, authorized, .. }, Reply::Done) => {
                self.succeeded();
                self.full = 0;
                self.attempts = 0;
                self.authorized = authorized;
                self.accepted = true;
                if confirmation {
                    self.stage = SendStage::Confirmed;
                    self.dirty = true;
                }
            }
            (_, Reply::Refused(refusal)) => self.refused(now, request, refusal, spread),
            // Not an answer to this command.
            _ => self.pause(now, spread),
        }
    }

    fn refused(&mut self, now: Instant, request: Request, refusal: Refusal, spread: u16) {
        match refusal {
            Refusal::Proxy(failure) if !failure.is_final() => {
                let lost = failure == ProxyFailure::NoSession && self.failures == 0 && request != Request::Proxy;
                self.session = None;
                if lost {
                    // The relay was restarted, most likely: ask at once, but count it.
                    self.failures = 1;
                } else {
                    self.pause(now, spread);
                }
            }
            Refusal::NotAuthorized if matches!(request, Request::Send { secures: false, .. }) => {
                // The recipient may have set the key, or may set it between two attempts: three cover all cases.
                self.attempts = self.attempts.saturating_add(1);
                self.authorized = !self.authorized;
                if self.attempts >= 3 {
                    self.attempts = 0;
                    self.stopped = Some(refusal);
                }
            }
            Refusal::QueueFull => {
                self.full = self.full.saturating_add(1);
                self.not_before = now.saturating_add(self.timing.full.pause(self.full, spread));
            }
            refusal if refusal.is_final() => self.stopped = Some(refusal),
            _ => self.pause(now, spread),
        }
    }

    fn succeeded(&mut self) {
        self.failures = 0;
    }

    fn stay(&mut self, now: Instant) {
        self.linger_until = now.saturating_add(self.timing.linger);
    }

    fn pause(&mut self, now: Instant, spread: u16) {
        self.failures = self.failures.saturating_add(1);
        self.not_before = now.saturating_add(self.timing.backoff.pause(self.failures, spread));
    }
}

fn saturating_sum(one: Duration, other: Duration) -> Duration {
    one.checked_add(other).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests;
