//! The reference: what a relay answers and whom it tells of what (wire reference, sections 7 and 10), in as few words as
//! possible; `services.rs` has the part about services. No blocking.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::history::{CLIENTS, Deed, NotifierNumber, QueueNumber};
use crate::services::{Held, Receiver, Service, Session};

/// Messages one queue holds.
pub(crate) const QUOTA: usize = 3;

/// What stands in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Item {
    /// The message with this number.
    Message(u32),
    /// The quota mark with this number in its queue.
    Mark(u32),
}

/// A response to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Response {
    Ok,
    /// With the service that the queue or notifier has now.
    Subscribed(Option<Service>),
    /// With the service that has the queue.
    Created(Option<Service>),
    NotifierCreated,
    /// SOKS.
    All(Held),
    Message(Item),
    /// The user data of a link.
    Link(u32),
    Auth,
    /// The service's part is missing or wrong.
    NoService,
    Quota,
    NoMessage,
    Prohibited,
    /// To no command: so many messages were too old.
    Expired(u64),
    /// What no model answers.
    Other(String),
}

/// What a client is told without having asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    Message(QueueNumber, Item),
    Ended(QueueNumber),
    Deleted(QueueNumber),
    NotifierEnded(NotifierNumber),
    NotifierDeleted(NotifierNumber),
    /// Another session of the service took over.
    ServiceEnded(Held),
    /// What waited for a service was delivered.
    AllDelivered,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Queue {
    pub(crate) contact: bool,
    pub(crate) sender_key: Option<u8>,
    pub(crate) suspended: bool,
    pub(crate) full: bool,
    pub(crate) marks: u32,
    pub(crate) messages: VecDeque<Item>,
    pub(crate) link: Option<u32>,
    pub(crate) notifier: Option<Notifier>,
    /// Which receives from it.
    pub(crate) service: Option<Service>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Notifier {
    pub(crate) number: NotifierNumber,
    /// Numbers of messages that a notification waits for.
    pub(crate) waiting: VecDeque<u32>,
    /// So many of the first may have been on their way to a connection that is gone.
    pub(crate) uncertain: usize,
    /// Which hears it.
    pub(crate) service: Option<Service>,
}

/// How a connection receives from a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Receiving {
    /// By SUB, not by GET.
    pub(crate) pushed: bool,
    pub(crate) outstanding: Option<Item>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Model {
    /// Of the clients that are services.
    pub(crate) sessions: [Option<Session>; CLIENTS],
    pub(crate) receivers: BTreeMap<Service, Receiver>,
    pub(crate) queues: BTreeMap<QueueNumber, Queue>,
    /// By client and queue; sessions of services while something is outstanding.
    pub(crate) receiving: BTreeMap<(usize, QueueNumber), Receiving>,
    /// Clients that hear notifiers; sessions of services those that they were told of.
    pub(crate) listening: BTreeMap<NotifierNumber, usize>,
    /// Deleted queues, whose ids nobody may get, and whether they had a link.
    pub(crate) reserved: BTreeMap<QueueNumber, bool>,
}

impl Model {
    /// Carries out one command: the response, and what clients are told.
    pub(crate) fn apply(&mut self, client: usize, deed: &Deed) -> (Response, Vec<(usize, Event)>) {
        let mut events = Vec::new();
        let response = self.carry_out(client, deed, &mut events).unwrap_or(Response::Auth);
        // What a subscriber has nothing of is pushed.
        for ((client, queue), receiving) in &mut self.receiving {
            if receiving.pushed && receiving.outstanding.is_none() {
                receiving.outstanding = self.queues.get(queue).and_then(|queue| queue.messages.front().copied());
                events.extend(receiving.outstanding.map(|item| (*client, Event::Message(*queue, item))));
            }
        }
        let sessions = self.sessions;
        self.receiving.retain(|(client, _), it| !it.pushed || it.outstanding.is_some() || sessions[*client].is_none());
        (response, events)
    }

    /// `None` is AUTH.
    fn carry_out(&mut self, client: usize, deed: &Deed, events: &mut Vec<(usize, Event)>) -> Option<Response> {
        if let Deed::Expire { queue, notifier } = *deed {
            return Some(Response::Expired(self.expire(queue, notifier).unwrap_or(0)));
        }
        let service = self.service(client);
        let incomplete = service.is_some() && matches!(deed, Deed::New { subscribe: false, .. });
        if !self.permits(client, deed) || incomplete {
            return Some(Response::Prohibited);
        }
        let pushed = Receiving { pushed: true, outstanding: None };
        if let Deed::SubscribeAll { .. } = deed {
            return Some(self.subscribe_all(client, events));
        }
        if let Deed::New { .. } | Deed::Again { .. } = deed {
            self.receive(client, events);
        }
        if let Deed::New { queue, contact, subscribe, prepared } = *deed {
            self.queues.insert(queue, Queue { contact, link: prepared, service, ..Queue::default() });
            if subscribe {
                self.receiving.insert((client, queue), pushed);
            }
            return Some(Response::Created(service));
        }
        let number = deed.queue();
        let recipient = self.recipient(number);
        let queue = self.queues.get_mut(&number)?;
        Some(match *deed {
            Deed::New { .. } | Deed::Again { .. } | Deed::SubscribeAll { .. } | Deed::Expire { .. } => return None,
            Deed::Send { number: message, key, notify, .. } => {
                if queue.sender_key != key || queue.suspended {
                    return None;
                }
                if !queue.contact && queue.sender_key.is_some() {
                    queue.link = None;
                }
                if queue.full {
                    return Some(Response::Quota);
                }
                if let (Some(_), Some(receiver)) = (queue.service, recipient) {
                    self.receiving.entry((receiver, number)).or_insert(pushed);
                }
                if queue.messages.len() >= QUOTA {
                    queue.full = true;
                    queue.messages.push_back(Item::Mark(queue.marks));
                    queue.marks += 1;
                    return Some(Response::Quota);
                }
                queue.messages.push_back(Item::Message(message));
                if let Some(notifier) = queue.notifier.as_mut().filter(|_| notify) {
                    notifier.waiting.push_back(message);
                    let (notifier, service) = (notifier.number, notifier.service);
                    if let Some(listener) = self.listener(notifier, service) {
                        self.listening.insert(notifier, listener);
                    }
                }
                Response::Ok
            }
            Deed::Subscribe { .. } => {
                let own = self.receiving.get(&(client, number));
                if own.is_some_and(|own| !own.pushed) {
                    return Some(Response::Prohibited);
                }
                self.receive(client, events);
                if let Some(before) = self.recipient(number).filter(|before| *before != client) {
                    self.receiving.retain(|key, receiving| *key != (before, number) || !receiving.pushed);
                    events.push((before, Event::Ended(number)));
                }
                self.queues.get_mut(&number)?.service = service;
                // Delivered, once more if it was before.
                self.receiving.insert((client, number), pushed);
                Response::Subscribed(service)
            }
            Deed::Get { .. } => {
                let outstanding = queue.messages.front().copied();
                let own = self.receiving.entry((client, number)).or_insert(Receiving { pushed: false, outstanding });
                if own.pushed {
                    return Some(Response::Prohibited);
                }
                own.outstanding = outstanding;
                outstanding.map_or(Response::Ok, Response::Message)
            }
            Deed::Acknowledge { item, .. } => {
                let Some(own) = self.receiving.get_mut(&(client, number)) else { return Some(Response::NoMessage) };
                if item.is_none() || own.outstanding != item {
                    return Some(Response::NoMessage);
                }
                if queue.messages.front().copied() == item {
                    queue.messages.pop_front();
                    queue.full &= !queue.messages.is_empty();
                }
                own.outstanding = if own.pushed { queue.messages.front().copied() } else { None };
                own.outstanding.map_or(Response::Ok, Response::Message)
            }
            Deed::Secure { key, by_sender, .. } => {
                if by_sender && queue.contact || queue.sender_key.is_some_and(|known| known != key) {
                    return None;
                }
                queue.sender_key = Some(key);
                Response::Ok
            }
            Deed::Suspend { .. } => {
                queue.suspended = true;
                Response::Ok
            }
            Deed::Delete { .. } => {
                let Queue { notifier, link, .. } = self.queues.remove(&number)?;
                self.reserved.insert(number, link.is_some());
                self.forget_notifier(client, notifier, events);
                events.extend(recipient.filter(|told| *told != client).map(|told| (told, Event::Deleted(number))));
                self.receiving.retain(|(_, of), _| *of != number);
                Response::Ok
            }
            Deed::SetLink { user, .. } => {
                if !queue.contact && queue.sender_key.is_some() {
                    return None;
                }
                queue.link = Some(user);
                Response::Ok
            }
            Deed::DeleteLink { .. } => {
                queue.link = None;
                Response::Ok
            }
            Deed::GetLink { .. } => Response::Link(queue.link.filter(|_| queue.contact)?),
            Deed::SecureByLink { key, .. } => {
                let user = queue.link.filter(|_| !queue.contact)?;
                if queue.sender_key.is_some_and(|known| known != key) {
                    return None;
                }
                queue.sender_key = Some(key);
                Response::Link(user)
            }
            Deed::EnableNotifications { notifier, .. } => {
                let previous = queue.notifier.replace(Notifier { number: notifier, ..Notifier::default() });
                self.forget_notifier(client, previous, events);
                Response::NotifierCreated
            }
            Deed::DisableNotifications { .. } => {
                let previous = queue.notifier.take();
                self.forget_notifier(client, previous, events);
                Response::Ok
            }
            Deed::Listen { notifier, .. } => {
                let previous = queue.notifier.as_ref().filter(|current| current.number == notifier)?.service;
                self.receive(client, events);
                let before = self.listener(notifier, previous).filter(|before| *before != client);
                events.extend(before.map(|before| (before, Event::NotifierEnded(notifier))));
                self.queues.get_mut(&number)?.notifier.as_mut()?.service = service;
                self.listening.insert(notifier, client);
                Response::Subscribed(service)
            }
        })
    }

    /// The messages before a quota mark expire; who has one of them outstanding may still acknowledge it.
    fn expire(&mut self, number: QueueNumber, notifier: Option<NotifierNumber>) -> Option<u64> {
        let queue = self.queues.get_mut(&number)?;
        if notifier.is_some() {
            let found = queue.notifier.as_mut().filter(|found| Some(found.number) == notifier)?;
            (found.waiting, found.uncertain) = Default::default();
            return None;
        }
        let expired = queue.messages.iter().take_while(|item| matches!(item, Item::Message(_))).count();
        queue.messages.drain(..expired);
        Some(expired as u64)
    }

    fn forget_notifier(&mut self, client: usize, notifier: Option<Notifier>, events: &mut Vec<(usize, Event)>) {
        let Some(Notifier { number, service, .. }) = notifier else { return };
        let listener = self.listener(number, service).filter(|listener| *listener != client);
        self.listening.remove(&number);
        events.extend(listener.map(|listener| (listener, Event::NotifierDeleted(number))));
    }

    /// A client's connection ends.
    pub(crate) fn leave(&mut self, client: usize) {
        let heard: BTreeSet<_> = self.listening.iter().filter(|(_, who)| **who == client).map(|(it, _)| *it).collect();
        self.receiving.retain(|(of, _), _| *of != client);
        self.listening.retain(|_, of| *of != client);
        self.receivers.retain(|_, receiver| receiver.client != client);
        for notifier in self.queues.values_mut().filter_map(|queue| queue.notifier.as_mut()) {
            if heard.contains(&notifier.number) {
                notifier.uncertain = notifier.waiting.len();
            }
        }
    }

    /// The ways in which a client may have been told of a message by a notifier: `message` is its number where that is known.
    pub(crate) fn notified(&self, client: usize, notifier: NotifierNumber, message: Option<u32>) -> Vec<Self> {
        let mut ways = Vec::new();
        for (number, queue) in &self.queues {
            let Some(found) = queue.notifier.as_ref().filter(|found| found.number == notifier) else { continue };
            if self.listening.get(&notifier) != Some(&client) {
                continue;
            }
            for (position, waiting) in found.waiting.iter().enumerate().take(found.uncertain + 1) {
                if message.is_none_or(|message| message == *waiting) {
                    let mut way = self.clone();
                    if let Some(found) = way.queues.get_mut(number).and_then(|queue| queue.notifier.as_mut()) {
                        found.waiting.drain(..=position);
                        found.uncertain = found.uncertain.saturating_sub(position + 1);
                    }
                    ways.push(way);
                }
            }
        }
        ways
    }

    /// Whether notifications wait that somebody must be told of.
    pub(crate) fn owes_notifications(&self) -> bool {
        self.queues.values().filter_map(|queue| queue.notifier.as_ref()).any(|notifier| {
            self.listening.contains_key(&notifier.number) && notifier.waiting.len() > notifier.uncertain
        })
    }
}
