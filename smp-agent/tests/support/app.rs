//! An application: does what its manners say with each event, and keeps what it saw, as a program with a database of its
//! own does.

use std::collections::{BTreeMap, BTreeSet};

use smp_agent::command::{Command, ConnectionOptions, Reply};
use smp_agent::error::ConnectionError;
use smp_agent::event::{Event, EventKind, RatchetSync, ReceivedMessage};
use smp_agent::id::{ConnectionId, EventId, InvitationId};
use smp_agent::policy::integrity::Integrity;

/// What an application does by itself.
#[derive(Clone, Debug)]
pub struct Manners {
    /// Whether everybody is let in.
    pub allow: bool,
    /// Whether requests are accepted.
    pub accept: bool,
    /// Whether events are acknowledged; messages by hand otherwise.
    pub acknowledge_messages: bool,
    /// Whether messages are acknowledged with a receipt.
    pub receipts: bool,
    /// The shortest and the longest time it thinks before it does anything, in milliseconds.
    pub delay: (u64, u64),
    /// What peers are told.
    pub info: Vec<u8>,
    /// What accepted connections are like.
    pub options: ConnectionOptions,
    /// Whether ratchets that are out of step are replaced.
    pub resynchronize: bool,
    /// Whether messages may be missing, and deliveries and connections fail.
    pub expects_failures: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            allow: true,
            accept: true,
            acknowledge_messages: true,
            receipts: false,
            delay: (0, 50),
            info: Vec::new(),
            options: ConnectionOptions::default(),
            resynchronize: false,
            expects_failures: false,
        }
    }
}

/// Something to do about an event.
#[derive(Clone, Debug)]
pub enum Step {
    /// A command, once.
    Once(Deed, Command),
    /// A command that may be refused.
    Try(Command),
    /// The event was dealt with.
    Acknowledge(EventId, Option<Vec<u8>>),
}

/// What is done once, whatever is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// Let a peer in.
    Allowed(ConnectionId),
    /// Accepted a request.
    Accepted(InvitationId),
}

/// An application and what it remembers.
#[derive(Default)]
pub struct App {
    /// What it does by itself.
    pub manners: Manners,
    /// All events in the order they came first. Kept ones have their number.
    pub events: Vec<Event>,
    /// What no correct agent tells.
    pub violations: Vec<String>,
    /// The connections of accepted requests.
    pub accepted: Vec<ConnectionId>,
    kept: BTreeMap<EventId, EventKind>,
    /// Told in this run of the agent.
    told: BTreeSet<EventId>,
    acknowledged: BTreeSet<EventId>,
    done: BTreeSet<Deed>,
}

impl App {
    /// An application that has seen nothing.
    pub fn new(manners: Manners) -> Self {
        Self { manners, ..Self::default() }
    }

    /// The agent was started: events are told again.
    pub fn restarted(&mut self) {
        self.told.clear();
    }

    /// The agent has an older state than this application: the numbers of events start there again.
    pub fn restored(&mut self) {
        self.kept.clear();
        self.acknowledged.clear();
    }

    /// Looks at an event; what is to be done about it.
    pub fn see(&mut self, event: &Event) -> Vec<Step> {
        let Event { id, kind } = event;
        if id.is_some() != kind.is_kept() {
            self.violations.push(format!("the number of {kind:?} is {id:?}"));
        }
        if let Some(id) = *id {
            if !self.told.insert(id) || self.acknowledged.contains(&id) {
                self.violations.push(format!("{kind:?} came again as {id:?}"));
            }
            let last = self.kept.last_key_value().map(|(id, _)| *id);
            match self.kept.insert(id, kind.clone()) {
                None if last.is_some_and(|last| last > id) => {
                    self.violations.push(format!("{kind:?} came as {id:?} after {last:?}"));
                }
                None => self.events.push(event.clone()),
                Some(before) if before != *kind => {
                    self.violations.push(format!("{id:?} was {before:?} and is {kind:?} now"));
                }
                Some(_) => {}
            }
        } else {
            self.events.push(event.clone());
        }
        self.judge(kind);
        self.plan(*id, kind)
    }

    fn judge(&mut self, kind: &EventKind) {
        let bad = match kind {
            EventKind::Message { message, .. } => message.integrity != Integrity::Ok,
            EventKind::Receipt { intact, .. } => !intact,
            EventKind::NotSent { .. } | EventKind::Failed { .. } | EventKind::QueueDeleted { .. } => true,
            EventKind::SubscriptionEnded { .. } | EventKind::QueueBlocked { .. } => true,
            _ => false,
        };
        if bad && !self.manners.expects_failures {
            self.violations.push(format!("{kind:?}"));
        }
    }

    fn plan(&self, id: Option<EventId>, kind: &EventKind) -> Vec<Step> {
        let mut steps = Vec::new();
        let Manners { info, options, .. } = self.manners.clone();
        let mut acknowledged = true;
        let mut receipt = None;
        match kind {
            EventKind::Confirmation { connection, .. } if self.manners.allow => {
                let deed = Deed::Allowed(*connection);
                steps.push(Step::Once(deed, Command::Allow { connection: *connection, info }));
            }
            EventKind::Request { invitation, .. } if self.manners.accept => {
                let deed = Deed::Accepted(*invitation);
                steps.push(Step::Once(deed, Command::Accept { invitation: *invitation, info, options }));
            }
            EventKind::Ratchet { connection, state: RatchetSync::Allowed | RatchetSync::Required }
                if self.manners.resynchronize =>
            {
                steps.push(Step::Try(Command::Resynchronize { connection: *connection, force: false }));
            }
            // A peer with an old copy of its storage sends with keys it has used: only its reader can notice.
            EventKind::Failed { connection, error: ConnectionError::Duplicate } if self.manners.resynchronize => {
                steps.push(Step::Try(Command::Resynchronize { connection: *connection, force: true }));
            }
            EventKind::Message { .. } => {
                acknowledged = self.manners.acknowledge_messages;
                receipt = self.manners.receipts.then(Vec::new);
            }
            _ => {}
        }
        steps.extend(id.filter(|_| acknowledged).map(|id| Step::Acknowledge(id, receipt)));
        steps
    }

    /// Whether a step has still to be done.
    pub fn wants(&self, step: &Step) -> bool {
        match step {
            Step::Once(deed, _) => !self.done.contains(deed),
            Step::Try(_) => true,
            Step::Acknowledge(id, _) => !self.acknowledged.contains(id),
        }
    }

    /// A step was done, and what it did is durable.
    pub fn did(&mut self, step: &Step, reply: Option<Reply>) {
        if let Some(Reply::Connection(connection)) = reply {
            self.accepted.push(connection);
        }
        match step {
            Step::Once(deed, _) => drop(self.done.insert(*deed)),
            Step::Try(_) => {}
            Step::Acknowledge(id, _) => self.acknowledged(*id),
        }
    }

    /// An event was acknowledged, and that is durable.
    pub fn acknowledged(&mut self, id: EventId) {
        self.acknowledged.insert(id);
    }

    /// Whether an event was acknowledged.
    pub fn has_acknowledged(&self, id: EventId) -> bool {
        self.acknowledged.contains(&id)
    }

    /// What happened, in order.
    pub fn kinds(&self) -> impl DoubleEndedIterator<Item = &EventKind> {
        self.events.iter().map(|event| &event.kind)
    }

    /// Events of a connection.
    pub fn of(&self, connection: ConnectionId) -> impl Iterator<Item = &EventKind> {
        self.kinds().filter(move |kind| kind.connection() == Some(connection))
    }

    /// Messages of a connection in the order they came, with the numbers of their events.
    pub fn messages(&self, connection: ConnectionId) -> Vec<(EventId, &ReceivedMessage)> {
        let messages = self.events.iter().filter_map(|event| match &event.kind {
            EventKind::Message { connection: of, message } if *of == connection => Some((event.id?, message)),
            _ => None,
        });
        messages.collect()
    }

    /// Their bodies as text.
    pub fn texts(&self, connection: ConnectionId) -> Vec<String> {
        let messages = self.messages(connection);
        messages.into_iter().map(|(_, message)| String::from_utf8_lossy(&message.body.0).into_owned()).collect()
    }

    /// How many messages of a connection were sent.
    pub fn sent(&self, connection: ConnectionId) -> usize {
        self.of(connection).filter(|kind| matches!(kind, EventKind::Sent { .. })).count()
    }

    /// How many receipts came for a connection.
    pub fn receipts(&self, connection: ConnectionId) -> usize {
        self.of(connection).filter(|kind| matches!(kind, EventKind::Receipt { .. })).count()
    }

    /// Whether both sides of a connection can send.
    pub fn is_connected(&self, connection: ConnectionId) -> bool {
        self.of(connection).any(|kind| matches!(kind, EventKind::Connected { .. }))
    }
}
