//! Clients carry out deeds, and what that showed is compared with the model.

mod commands;
mod inbox;
mod services;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::mem::{self, ManuallyDrop};
use std::sync::mpsc;

use smp_crypto::secret_box::BoxKey;
use smp_proto::version::SmpVersion;
use smp_std::relay::store::QueueSet;

use super::client::Client;
use super::crew::{Crew, Expiring};
use crate::history::{CLIENTS, Deed, NotifierNumber, QueueNumber};
use crate::judge::{Seen, judge};
use crate::model::{Event, Item, Model, Response};
use crate::services::{Service, Session};

/// More possible states than this: commands go one at a time until it is clear again.
const UNCLEAR: usize = 24;

/// So many inputs use one relay and its connections.
const INPUTS: u32 = 64;

type Id = Vec<u8>;

/// A relay without queues, and connections to it that receive nothing: handshakes take several times as long as what most
/// inputs do.
struct Pool {
    crew: Crew,
    idle: Vec<Client>,
    keepers: BTreeMap<Service, Client>,
    inputs: u32,
}

thread_local! {
    /// Never dropped when the thread ends: the runtime cannot be used any more then.
    static POOL: RefCell<Option<ManuallyDrop<Pool>>> = const { RefCell::new(None) };
}

/// A queue as its people know it.
pub(in crate::relay) struct Known {
    pub(in crate::relay) recipient_id: Id,
    pub(in crate::relay) sender_id: Id,
    /// What its messages are sealed with.
    secret: BoxKey,
    link_id: Id,
    /// The correlation id of NEW, where it had a link.
    prepared: Option<[u8; 24]>,
    contact: bool,
}

pub(in crate::relay) struct KnownNotifier {
    pub(in crate::relay) id: Id,
    pub(in crate::relay) queue: QueueNumber,
    secret: BoxKey,
}

/// Who a client is.
#[derive(Clone, Copy)]
pub(in crate::relay) struct Person {
    version: SmpVersion,
    service: Option<Service>,
}

impl Person {
    /// Versions before services have none.
    pub(in crate::relay) fn new(version: SmpVersion, service: Option<Service>) -> Self {
        Self { version, service: service.filter(|_| version >= SmpVersion::SERVICES) }
    }

    fn session(self) -> Option<Session> {
        let counts = self.version < SmpVersion::SERVICE_SUBSCRIPTIONS;
        self.service.map(|service| Session { service, counts })
    }
}

/// The queues of a service, as SOKS or ENDS tell them.
struct Told {
    place: Place,
    service: Service,
    set: QueueSet,
}

/// Where among what was seen.
enum Place {
    Response(usize),
    Event(usize),
}

/// A response that is waited for.
struct Asked {
    client: usize,
    correlation: [u8; 24],
    deed: Deed,
    /// Where it is no command: how many expired.
    done: Option<mpsc::Receiver<u64>>,
}

/// An error that is waited for, and what it says if that is known.
pub(in crate::relay) struct Refusal {
    pub(in crate::relay) client: usize,
    /// Unknown when the relay may not be able to read it.
    pub(in crate::relay) correlation: Option<[u8; 24]>,
    pub(in crate::relay) expected: Option<Vec<u8>>,
}

pub(in crate::relay) struct World {
    crew: Crew,
    /// Connections of earlier inputs.
    idle: Vec<Client>,
    /// Sessions that receive for the services between inputs, so that those that are idle do not.
    keepers: BTreeMap<Service, Client>,
    /// So many inputs used the relay before.
    inputs: u32,
    people: [Person; CLIENTS],
    clients: [Option<Client>; CLIENTS],
    correlations: u64,
    pub(in crate::relay) queues: BTreeMap<QueueNumber, Known>,
    pub(in crate::relay) notifiers: BTreeMap<NotifierNumber, KnownNotifier>,
    /// What came with an id: it is the same ever after.
    items: HashMap<Id, (QueueNumber, Item, Vec<u8>)>,
    ids: HashMap<(QueueNumber, Item), Id>,
    marks: BTreeMap<QueueNumber, u32>,
    /// The id that came last, by client and queue.
    delivered: BTreeMap<(usize, QueueNumber), Id>,
    sent: HashMap<u32, bool>,
    notified: HashSet<Id>,
    states: BTreeSet<Model>,
    refusals: Vec<Refusal>,
    /// Places of events that old versions say END for, whether something was deleted or another client took it over.
    unclear: Vec<usize>,
    /// Sets of queues that were told by their hashes.
    told: Vec<Told>,
}

impl World {
    pub(in crate::relay) fn new(people: [Person; CLIENTS]) -> Self {
        let pool = POOL.take().map(ManuallyDrop::into_inner);
        let pool =
            pool.unwrap_or_else(|| Pool { crew: Crew::new(), idle: Vec::new(), keepers: BTreeMap::new(), inputs: 0 });
        Self {
            crew: pool.crew,
            idle: pool.idle,
            keepers: pool.keepers,
            inputs: pool.inputs,
            people,
            clients: [const { None }; CLIENTS],
            correlations: 0,
            queues: BTreeMap::new(),
            notifiers: BTreeMap::new(),
            items: HashMap::new(),
            ids: HashMap::new(),
            marks: BTreeMap::new(),
            delivered: BTreeMap::new(),
            sent: HashMap::new(),
            notified: HashSet::new(),
            states: BTreeSet::from([Model { sessions: people.map(Person::session), ..Model::default() }]),
            refusals: Vec::new(),
            unclear: Vec::new(),
            told: Vec::new(),
        }
    }

    pub(in crate::relay) const fn version(&self, client: usize) -> SmpVersion {
        self.people[client].version
    }

    /// The client, connected if it was not.
    pub(in crate::relay) fn client(&mut self, client: usize) -> (&mut Client, &mut Crew) {
        let Self { crew, clients, idle, people, .. } = self;
        let Person { version, service } = people[client];
        let connected = clients[client].get_or_insert_with(|| {
            let is_same = |before: &Client| before.version() == version && before.service == service;
            let fits = idle.iter().position(is_same);
            fits.map_or_else(|| Client::connect(crew, version, service), |position| idle.swap_remove(position))
        });
        assert_eq!(connected.version(), version);
        (connected, crew)
    }

    /// Another one for each input of a relay: ids that were made of them stay taken.
    pub(in crate::relay) const fn correlation(&mut self) -> [u8; 24] {
        self.correlations += 1;
        let mut correlation = [0xc0; 24];
        [correlation[0], correlation[1], correlation[2], correlation[3]] = self.inputs.to_be_bytes();
        let [a, b, c, d, e, f, g, h] = self.correlations.to_be_bytes();
        [correlation[16], correlation[17], correlation[18], correlation[19]] = [a, b, c, d];
        [correlation[20], correlation[21], correlation[22], correlation[23]] = [e, f, g, h];
        correlation
    }

    /// Whether a client may do this: services keep to their role.
    pub(in crate::relay) fn permits(&self, client: usize, deed: &Deed) -> bool {
        self.states.first().is_some_and(|model| model.permits(client, deed))
    }

    /// Something was sent that has to be refused.
    pub(in crate::relay) fn expect_refusal(&mut self, refusal: Refusal) {
        self.refusals.push(refusal);
    }

    /// Carries out commands that are under way together, and compares. Those of one client go in one block if `packed`.
    pub(in crate::relay) fn deeds(&mut self, deeds: &[(usize, Deed)], packed: bool) {
        if self.states.len() > UNCLEAR && deeds.len() > 1 {
            for deed in deeds {
                self.deeds(std::slice::from_ref(deed), packed);
            }
            return;
        }
        let mut asked = Vec::new();
        let mut transmissions: [Vec<Vec<u8>>; CLIENTS] = Default::default();
        for (client, deed) in deeds {
            if let Deed::Expire { queue, notifier } = *deed {
                let done = self.expire(queue, notifier, packed);
                asked.extend(done.map(|done| Asked {
                    client: *client,
                    correlation: [0; 24],
                    deed: deed.clone(),
                    done: Some(done),
                }));
            } else if let Some((ask, transmission)) = self.encode(*client, deed) {
                transmissions[*client].push(transmission);
                asked.push(ask);
            }
        }
        for (client, transmissions) in transmissions.iter().enumerate().filter(|(_, all)| !all.is_empty()) {
            let (client, crew) = self.client(client);
            client.send_all(crew, transmissions, packed);
        }
        let seen = self.settle(&asked);
        let executed: Vec<(usize, Deed)> = asked.into_iter().map(|ask| (ask.client, ask.deed)).collect();
        self.conclude(&executed, &seen);
    }

    /// Begins to let expire what waits; nothing when nobody knows the ids.
    fn expire(
        &mut self,
        queue: QueueNumber,
        notifier: Option<NotifierNumber>,
        late: bool,
    ) -> Option<mpsc::Receiver<u64>> {
        let expiring = match notifier {
            Some(notifier) => Expiring::Notifications(*self.notifiers.get(&notifier)?.id.first_chunk()?),
            None => Expiring::Messages(*self.queues.get(&queue)?.recipient_id.first_chunk()?),
        };
        Some(self.crew.expire(expiring, late))
    }

    /// Until everything is answered and everybody has been told everything.
    fn settle(&mut self, asked: &[Asked]) -> Seen {
        let mut seen = Seen { responses: vec![None; asked.len()], ..Seen::default() };
        loop {
            self.crew.run();
            for (ask, response) in asked.iter().zip(&mut seen.responses) {
                if let Some(count) = ask.done.as_ref().and_then(|done| done.try_recv().ok()) {
                    // Nobody knows how many a notifier had been told of.
                    let unknown = matches!(ask.deed, Deed::Expire { notifier: Some(_), .. });
                    *response = Some(Response::Expired(if unknown { 0 } else { count }));
                }
            }
            for client in 0..CLIENTS {
                self.take_in(client, asked, &mut seen);
            }
            if !seen.responses.iter().all(Option::is_some) || !self.refusals.is_empty() {
                // The relay may have waited for room to write.
                self.crew.wait();
            } else if self.people.iter().all(|person| person.service.is_none()) || self.crew.is_idle() {
                self.name_queues(&mut seen);
                return seen;
            }
        }
    }

    /// Compares when nothing was asked, or only what is refused.
    pub(in crate::relay) fn check(&mut self) {
        let seen = self.settle(&[]);
        self.conclude(&[], &seen);
    }

    fn conclude(&mut self, executed: &[(usize, Deed)], seen: &Seen) {
        let unclear = mem::take(&mut self.unclear);
        let readings = 1_u32 << unclear.len().min(6);
        let states = (0..readings).map(|reading| {
            let mut seen = seen.clone();
            for (_, place) in unclear.iter().enumerate().filter(|(bit, _)| reading & 1 << bit != 0) {
                let event = &mut seen.events[*place].1;
                *event = match *event {
                    Event::Ended(queue) => Event::Deleted(queue),
                    Event::NotifierEnded(notifier) => Event::NotifierDeleted(notifier),
                    other => other,
                };
            }
            judge(&self.states, executed, &seen)
        });
        let states = states.reduce(|all, more| &all | &more).unwrap_or_default();
        assert!(
            !states.is_empty(),
            "{executed:?} showed {seen:?}; of {} states, one: {:?}",
            self.states.len(),
            self.states.first()
        );
        self.states = states;
    }

    /// A client's connection ends.
    pub(in crate::relay) fn leave(&mut self, client: usize) {
        let Some(connected) = self.clients[client].take() else { return };
        let others = self.clients.iter().flatten().count() + self.idle.len() + self.keepers.len();
        drop(connected);
        self.crew.run();
        assert_eq!(self.crew.connections(), others, "a connection outlives its client");
        self.delivered.retain(|(of, _), _| *of != client);
        let left = mem::take(&mut self.states).into_iter().map(|mut model| {
            model.leave(client);
            model
        });
        self.states = left.collect();
        self.check();
    }

    /// Notifiers are told what waits for them.
    pub(in crate::relay) fn tick(&mut self) {
        self.crew.tick();
        self.check();
        assert!(!self.states.iter().all(Model::owes_notifications), "notifications do not come");
    }

    /// The store holds what the model says, and nothing once all queues are deleted.
    pub(in crate::relay) fn end(mut self) {
        self.check();
        let counts = self.crew.store().counts();
        let fits = self.states.iter().any(|model| {
            let messages: usize = model.queues.values().map(|queue| queue.messages.len()).sum();
            let notifiers = model.queues.values().filter(|queue| queue.notifier.is_some()).count();
            (counts.queues, counts.messages, counts.notifiers)
                == (model.queues.len() as u64, messages as u64, notifiers as u64)
        });
        assert!(fits, "{counts:?} counted, but {:?}", self.states.first());

        // Version 6 cannot authorize by every kind of key.
        let cleans = |person: &Person| {
            person.version >= SmpVersion::AUTHENTICATORS && !matches!(person.service, Some(Service::Notifications(_)))
        };
        let cleaner = self.people.iter().position(cleans);
        let (Some(cleaner), true) = (cleaner, self.inputs < INPUTS) else { return };
        let queues: Vec<_> = self.queues.keys().copied().collect();
        for queue in queues {
            self.deeds(&[(cleaner, Deed::Delete { queue })], false);
        }
        let counts = self.crew.store().counts();
        let left = (counts.queues, counts.messages, counts.notifiers, counts.notifications);
        assert_eq!(left, (0, 0, 0, 0), "something is left of deleted queues");
        self.keep_services();
        let Self { crew, clients, mut idle, keepers, inputs, .. } = self;
        idle.extend(clients.into_iter().flatten());
        POOL.set(Some(ManuallyDrop::new(Pool { crew, idle, keepers, inputs: inputs + 1 })));
    }
}
