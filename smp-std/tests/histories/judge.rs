//! Which states the relay may be in after what was seen: the order of commands under way together is free, and every order
//! that explains the responses and the events counts.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{CLIENTS, Deed, NotifierNumber, QueueNumber};
use crate::model::{Event, Item, Model, Receiving, Response};
use crate::services::Service;

/// What a step showed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// In the order of the deeds; nothing when the relay was killed before.
    pub(crate) responses: Vec<Option<Response>>,
    pub(crate) events: Vec<(usize, Event)>,
    /// NMSG, with the message's number if it was ever delivered.
    pub(crate) notifications: Vec<(usize, NotifierNumber, Option<u32>)>,
    /// The relay was killed: what was under way is done or not, and nobody has to be told.
    pub(crate) killed: bool,
}

/// What happened on the way to a possible state.
#[derive(Clone, Default)]
struct Trace {
    /// Every message that was the first of its queue for a moment.
    heads: BTreeSet<(QueueNumber, Item)>,
    subscribed: BTreeSet<(usize, QueueNumber)>,
    events: Vec<(usize, Event)>,
}

impl Trace {
    fn note(&mut self, model: &Model) {
        self.heads.extend(model.queues.iter().filter_map(|(number, queue)| Some((*number, *queue.messages.front()?))));
        self.subscribed.extend(model.receiving.iter().filter(|(_, it)| it.pushed).map(|(key, _)| *key));
        // What came to a service is pushed to the session that receives before it is to the one that brought it.
        for (number, queue) in model.queues.iter().filter(|(_, queue)| queue.service.is_some()) {
            let sessions = (0..CLIENTS).filter(|client| model.service(*client) == queue.service);
            self.subscribed.extend(sessions.map(|client| (client, *number)));
        }
    }
}

struct Judge<'a> {
    deeds: &'a [(usize, Deed)],
    seen: &'a Seen,
    found: BTreeSet<Model>,
}

/// The states that explain what was seen, of those possible before. Empty when the relay broke its word.
pub(crate) fn judge(before: &BTreeSet<Model>, deeds: &[(usize, Deed)], seen: &Seen) -> BTreeSet<Model> {
    let mut judge = Judge { deeds, seen, found: BTreeSet::new() };
    for model in before {
        let mut trace = Trace::default();
        trace.note(model);
        judge.explore(model.clone(), &trace, 0, &seen.notifications);
    }
    judge.found
}

impl Judge<'_> {
    fn explore(
        &mut self,
        model: Model,
        trace: &Trace,
        done: u32,
        notifications: &[(usize, NotifierNumber, Option<u32>)],
    ) {
        // As early as possible: nothing depends on a notification that is gone.
        for (position, (client, notifier, message)) in notifications.iter().enumerate() {
            let ways = model.notified(*client, *notifier, *message);
            if !ways.is_empty() {
                let rest = [&notifications[..position], &notifications[position + 1..]].concat();
                for way in ways {
                    self.explore(way, trace, done, &rest);
                }
                return;
            }
        }
        if done.count_ones() as usize == self.deeds.len() {
            if (notifications.is_empty() || self.seen.killed)
                && let Some(model) = self.settle(model, trace)
            {
                self.found.insert(model);
            }
            return;
        }
        for (index, (client, deed)) in self.deeds.iter().enumerate() {
            let earlier = self.deeds[..index].iter().enumerate();
            let in_turn = earlier.filter(|(_, (other, _))| other == client).all(|(index, _)| done & 1 << index != 0);
            if done & 1 << index != 0 || !in_turn {
                continue;
            }
            let response = self.seen.responses[index].as_ref();
            if response.is_none() {
                self.explore(model.clone(), trace, done | 1 << index, notifications);
                // Nobody knows the ids of a queue whose creation was not answered.
                if matches!(deed, Deed::New { .. }) {
                    continue;
                }
            }
            let (mut model, mut trace) = (model.clone(), trace.clone());
            let (expected, events) = model.apply(*client, deed);
            trace.events.extend(events);
            match (response, &expected) {
                (None, _) => {}
                (Some(response), expected) if response == expected => {}
                // What others bring or take away at the same time is a service's, and counted, an instant before its session
                // receives from it.
                (Some(Response::All(told)), Response::All(held)) if told.differs_by(held) < self.deeds.len() => {}
                // GET comes before what was just sent is pushed to the service.
                (Some(Response::Message(item)), Response::Prohibited)
                    if matches!(deed, Deed::Get { .. }) && model.service(*client).is_some() =>
                {
                    let pushed = (*client, Event::Message(deed.queue(), *item));
                    let Some(place) = trace.events.iter().position(|event| *event == pushed) else { continue };
                    trace.events.swap_remove(place);
                    let fetched = Receiving { pushed: false, outstanding: Some(*item) };
                    model.receiving.insert((*client, deed.queue()), fetched);
                }
                // The next message may come by itself when others touch the queue at the same time.
                (Some(Response::Ok), Response::Message(_))
                    if matches!(deed, Deed::Acknowledge { .. }) && self.deeds.len() > 1 =>
                {
                    if let Some(receiving) = model.receiving.get_mut(&(*client, deed.queue())) {
                        receiving.outstanding = None;
                    }
                }
                _ => continue,
            }
            trace.note(&model);
            self.explore(model, &trace, done | 1 << index, notifications);
        }
    }

    /// Whether those were told who had to be; what each has outstanding.
    fn settle(&self, mut model: Model, trace: &Trace) -> Option<Model> {
        if self.seen.killed {
            (0..CLIENTS).for_each(|client| model.leave(client));
            return Some(model);
        }
        let mut expected = trace.events.clone();
        let mut seen = self.seen.events.clone();
        // That all was delivered is said last.
        let early = |(at, (client, event)): (usize, &(usize, Event))| {
            *event == Event::AllDelivered && seen[at + 1..].iter().any(|(of, _)| of == client)
        };
        if self.deeds.len() < 2 && seen.iter().enumerate().any(early) {
            return None;
        }
        expected.sort_unstable();
        seen.sort_unstable();
        if expected == seen {
            return Some(model);
        }
        if self.deeds.len() < 2 {
            return None;
        }
        // Several at the same time: a message may be pushed to who was subscribed in between, or be overtaken.
        let mut delivered: BTreeMap<(usize, QueueNumber), Item> = BTreeMap::new();
        let mut lost = BTreeMap::new();
        // Of the sessions of a service, the one before or the one after may hear that a queue left while it was taken over.
        let sessions = model.sessions;
        let who = |client: usize, loss| match (sessions[client], loss) {
            (Some(session), Loss::Queue(_) | Loss::Notifier(_)) => Who::Service(session.service),
            _ => Who::Client(client),
        };
        for (client, event) in &self.seen.events {
            match *event {
                Event::Message(queue, item) => {
                    let plausible =
                        trace.subscribed.contains(&(*client, queue)) && trace.heads.contains(&(queue, item));
                    if !plausible {
                        return None;
                    }
                    delivered.insert((*client, queue), item);
                }
                other => *lost.entry((who(*client, loss(other)), loss(other))).or_insert(0) -= 1,
            }
        }
        for (client, event) in &trace.events {
            if !matches!(event, Event::Message(..)) {
                *lost.entry((who(*client, loss(*event)), loss(*event))).or_insert(0) += 1;
            }
        }
        for ((who, loss), missing) in lost {
            // Who subscribed again need not hear that it had lost the subscription for a moment.
            let again = match (who, loss) {
                (Who::Service(service), Loss::Queue(queue)) => {
                    model.queues.get(&queue).and_then(|it| it.service) == Some(service)
                }
                (Who::Service(service), _) => model
                    .queues
                    .values()
                    .filter_map(|it| it.notifier.as_ref())
                    .any(|it| loss == Loss::Notifier(it.number) && it.service == Some(service)),
                // Nor who deleted the queue itself.
                (Who::Client(client), Loss::Queue(queue)) => {
                    model.receiving.get(&(client, queue)).is_some_and(|it| it.pushed)
                        || self.deeds.iter().any(|(of, deed)| (*of, deed) == (client, &Deed::Delete { queue }))
                }
                (Who::Client(client), Loss::Notifier(notifier)) => model.listening.get(&notifier) == Some(&client),
                (Who::Client(client), Loss::Service) => model.receivers.values().any(|it| it.client == client),
                // Who is not the one that receives any more is not told.
                (Who::Client(client), Loss::AllDelivered) => model.receivers.values().all(|it| it.client != client),
            };
            // Sessions may take a service from each other more than once, and hear of one loss from both sides.
            if missing < 0 && loss != Loss::Service && !matches!(who, Who::Service(_)) || missing > 0 && !again {
                return None;
            }
        }
        for ((client, queue), receiving) in model.receiving.iter_mut().filter(|(_, receiving)| receiving.pushed) {
            let owed = receiving.outstanding.map(|item| (*client, Event::Message(*queue, item)));
            let pushed = owed.is_some_and(|event| trace.events.contains(&event));
            match delivered.get(&(*client, *queue)) {
                Some(item) => receiving.outstanding = Some(*item),
                // It expired before it was read from the store.
                None if pushed
                    && self.expired(*queue)
                    && model.queues.get(queue).is_none_or(|it| it.messages.is_empty()) =>
                {
                    receiving.outstanding = None;
                }
                None if pushed => return None,
                None => {}
            }
        }
        // What another session acknowledges may be read, and delivered to the one that takes over, before it is gone.
        for ((client, queue), item) in delivered {
            let service = model.service(client);
            let receives = service.is_some_and(|it| model.receivers.get(&it).is_some_and(|it| it.client == client));
            let has_queue = model.queues.get(&queue).is_some_and(|it| it.service == service);
            if receives && has_queue && !trace.events.contains(&(client, Event::Message(queue, item))) {
                let late = Receiving { pushed: true, outstanding: Some(item) };
                model.receiving.entry((client, queue)).or_insert(late);
            }
        }
        Some(model)
    }

    /// Whether messages of a queue expired meanwhile.
    fn expired(&self, queue: QueueNumber) -> bool {
        self.deeds.iter().any(|(_, deed)| *deed == Deed::Expire { queue, notifier: None })
    }
}

/// Who is told of a loss.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Client(usize),
    /// Any of its sessions.
    Service(Service),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Loss {
    Queue(QueueNumber),
    Notifier(NotifierNumber),
    Service,
    /// Which is none, but counted as they are.
    AllDelivered,
}

/// Whether END or DELD is told may depend on who comes first.
fn loss(event: Event) -> Loss {
    match event {
        Event::Message(queue, _) | Event::Ended(queue) | Event::Deleted(queue) => Loss::Queue(queue),
        Event::NotifierEnded(notifier) | Event::NotifierDeleted(notifier) => Loss::Notifier(notifier),
        Event::ServiceEnded(_) => Loss::Service,
        Event::AllDelivered => Loss::AllDelivered,
    }
}
