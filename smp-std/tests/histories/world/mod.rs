//! The clients of a history: carries out its steps on a relay, and says what they showed.

mod commands;
mod inbox;
mod services;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use smp_crypto::key::{AuthorizationSecretKey, X25519SecretKey};
use smp_proto::key::X25519PublicKey;
use smp_proto::smp::Command;
use smp_proto::smp::service::ServiceRole;
use smp_proto::version::SmpVersion;
use smp_std::relay::store::Expiry;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use self::commands::write;
pub(crate) use self::commands::{body, fixed_data, user_data};
use self::inbox::read;
use self::services::Told;
use crate::certificates::{Claim, TestService};
use crate::harness::{PATIENCE, RawClient, TestQueue};
use crate::history::{CLIENTS, Deed, NotifierNumber, People, QueueNumber, Step};
use crate::host::Host;
use crate::judge::{Seen, judge};
use crate::model::{Item, Model, Response};
use crate::services::{Service, Session};

/// More possible states than this: the history goes on one command at a time until it is clear again.
const UNCLEAR: usize = 24;

type Id = Vec<u8>;

/// A queue as its people know it.
pub(crate) struct Known {
    pub(crate) queue: TestQueue,
    contact: bool,
    pub(crate) link_id: [u8; 24],
    pub(crate) sender_keys: [AuthorizationSecretKey; 2],
    /// The correlation id of NEW, where it had a link.
    prepared: Option<[u8; 24]>,
}

pub(crate) struct KnownNotifier {
    key: AuthorizationSecretKey,
    dh: X25519SecretKey,
    relay_key: X25519PublicKey,
    pub(crate) id: Id,
    queue: QueueNumber,
}

/// What a client waits for.
struct Asked {
    client: usize,
    correlation: [u8; 24],
    deed: Deed,
    /// Chosen for the link of a new queue.
    link_id: [u8; 24],
    /// Keys made for NEW and NKEY.
    keys: Cell<Option<(AuthorizationSecretKey, X25519SecretKey)>>,
    /// Where it is no command: how many expired.
    expired: Cell<Option<JoinHandle<u64>>>,
}

pub(crate) struct World {
    pub(crate) host: Host,
    pub(crate) people: People,
    certificates: BTreeMap<Service, TestService>,
    clients: Vec<RawClient>,
    /// Sets of queues that were told by their hashes.
    told: Vec<Told>,
    pub(crate) queues: BTreeMap<QueueNumber, Known>,
    pub(crate) notifiers: BTreeMap<NotifierNumber, KnownNotifier>,
    /// What came with an id: it is the same ever after.
    pub(crate) items: HashMap<Id, (QueueNumber, Item, Vec<u8>)>,
    ids: HashMap<(QueueNumber, Item), Id>,
    marks: BTreeMap<QueueNumber, u32>,
    /// The id that came last, by client and queue.
    delivered: BTreeMap<(usize, QueueNumber), Id>,
    sent: HashMap<u32, (QueueNumber, bool)>,
    /// When, in kills, a notification told of a message, and to which queue it belongs.
    notified: HashMap<Id, (u32, QueueNumber)>,
    kills: u32,
    pub(crate) states: BTreeSet<Model>,
    pub(crate) commands: usize,
    /// Told when a step begins and ends, with its deeds and what they showed.
    pub(crate) recorder: Option<Recorder>,
}

type Recorder = Box<dyn FnMut(Mark<'_>)>;

/// What a recorder is told.
pub(crate) enum Mark<'a> {
    /// These are on their way.
    Begin(&'a [(usize, Deed)]),
    /// The response to the deed with this number is here.
    Answered(usize, &'a Response),
    /// The step is over and leaves these states.
    End(&'a BTreeSet<Model>),
}

impl World {
    pub(crate) async fn new(host: Host, people: People) -> Self {
        let session = |service| Session { service, counts: false };
        let model = Model { sessions: people.map(|service| service.map(session)), ..Model::default() };
        let certificates = people.iter().flatten().map(|service| (*service, TestService::self_signed())).collect();
        let mut world = Self {
            host,
            people,
            certificates,
            clients: Vec::new(),
            told: Vec::new(),
            queues: BTreeMap::new(),
            notifiers: BTreeMap::new(),
            items: HashMap::new(),
            ids: HashMap::new(),
            marks: BTreeMap::new(),
            delivered: BTreeMap::new(),
            sent: HashMap::new(),
            notified: HashMap::new(),
            kills: 0,
            states: BTreeSet::from([model]),
            commands: 0,
            recorder: None,
        };
        for client in 0..CLIENTS {
            let connected = world.connect(client).await;
            world.clients.push(connected);
        }
        world
    }

    async fn connect(&self, client: usize) -> RawClient {
        let Some(service) = self.people[client] else { return self.host.connect().await };
        let role = match service {
            Service::Messages(_) => ServiceRole::Messaging,
            Service::Notifications(_) => ServiceRole::Notifier,
        };
        let (own, (address, identity)) = (&self.certificates[&service], self.host.address());
        let claim = Claim { in_tls: Some(own), in_hello: Some((own, role)), version: SmpVersion::MAX.0 };
        let connected = claim.connect_to(address.port(), identity).await;
        connected.unwrap_or_else(|(error, _)| panic!("{error:?}"))
    }

    /// Everybody leaves.
    pub(crate) async fn stop(self) {
        drop(self.clients);
        self.host.stop().await;
    }

    /// Tells the recorder what is so before anything was done: the services that have their ids.
    pub(crate) fn begin(&mut self) {
        let states = self.states.clone();
        self.mark(Mark::End(&states));
    }

    fn mark(&mut self, mark: Mark<'_>) {
        if let Some(recorder) = &mut self.recorder {
            recorder(mark);
        }
    }

    /// Carries out one step and compares; what is wrong, in words.
    pub(crate) async fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Leave(client) => self.leave(*client).await,
            Step::Kill(deeds) => self.deeds(deeds, Some(Duration::from_micros(deeds.len() as u64 * 500))).await,
            Step::Deeds(deeds) if self.states.len() > UNCLEAR => {
                for deed in deeds {
                    self.deeds(std::slice::from_ref(deed), None).await?;
                }
                Ok(())
            }
            Step::Deeds(deeds) => self.deeds(deeds, None).await,
        }
    }

    async fn leave(&mut self, client: usize) -> Result<(), String> {
        // What is on its way arrives before.
        let mut seen = Seen::default();
        self.ping(&[client], &mut seen).await?;
        self.name_queues(&mut seen)?;
        self.conclude(&[], &seen)?;
        self.clients[client] = self.connect(client).await;
        self.delivered.retain(|(of, _), _| *of != client);
        self.states = std::mem::take(&mut self.states)
            .into_iter()
            .map(|mut model| {
                model.leave(client);
                model
            })
            .collect();
        let states = self.states.clone();
        self.mark(Mark::End(&states));
        // The relay may hear of the end later than of the next connection: the older one's subscriptions end then, which
        // nobody notices who is not subscribed.
        sleep(Duration::from_millis(20)).await;
        Ok(())
    }

    async fn deeds(&mut self, deeds: &[(usize, Deed)], kill: Option<Duration>) -> Result<(), String> {
        let mut asked = Vec::new();
        let mut blocks = Vec::new();
        for (client, deed) in deeds {
            if let Deed::Expire { .. } = deed {
                asked.extend(self.expire(*client, deed));
            } else if let Some((ask, transmission)) = self.encode(*client, deed) {
                blocks.push((*client, transmission));
                asked.push(ask);
            }
        }
        let executed: Vec<(usize, Deed)> = asked.iter().map(|ask| (ask.client, ask.deed.clone())).collect();
        self.commands += executed.len();
        let mut seen = Seen { responses: vec![None; executed.len()], killed: kill.is_some(), ..Seen::default() };
        self.mark(Mark::Begin(&executed));
        for (client, transmission) in blocks {
            write(&mut self.clients[client], &transmission).await?;
        }
        if let Some(after) = kill {
            sleep(after).await;
            self.host.kill();
            for client in 0..CLIENTS {
                while read(&mut self.clients[client]).await.is_ok() {}
                self.take_in(client, &asked, &mut seen)?;
            }
            self.name_queues(&mut seen)?;
            self.kills += 1;
            self.conclude(&executed, &seen)?;
            self.host.start_again();
            self.delivered.clear();
            for client in 0..CLIENTS {
                self.clients[client] = self.connect(client).await;
            }
            return Ok(());
        }
        for (index, ask) in asked.iter().enumerate() {
            if let Some(expired) = ask.expired.take() {
                let count = expired.await.map_err(|error| format!("nothing expires: {error}"))?;
                // Nobody knows how many a notifier had been told of.
                let unknown = matches!(ask.deed, Deed::Expire { notifier: Some(_), .. });
                seen.responses[index] = Some(Response::Expired(if unknown { 0 } else { count }));
            }
            while seen.responses[index].is_none() {
                read(&mut self.clients[ask.client])
                    .await
                    .map_err(|error| format!("no response to {:?}: {error}", ask.deed))?;
                self.take_in(ask.client, &asked, &mut seen)?;
            }
        }
        self.barrier(&mut seen).await?;
        // What waits for a service is looked for while it has its answer.
        let patience = Instant::now() + PATIENCE;
        let looks = executed.iter().any(|(_, deed)| matches!(deed, Deed::SubscribeAll { .. }));
        while looks && judge(&self.states, &executed, &seen).is_empty() && Instant::now() < patience {
            sleep(Duration::from_millis(5)).await;
            self.barrier(&mut seen).await?;
        }
        self.conclude(&executed, &seen)
    }

    /// Lets expire what waits, as the relay does by the clock; not in a program of its own, whose clock nobody turns.
    fn expire(&self, client: usize, deed: &Deed) -> Option<Asked> {
        let Deed::Expire { queue, notifier } = deed else { return None };
        let store = self.host.store()?.clone();
        let of_notifier = match notifier {
            Some(notifier) => Some(self.notifiers.get(notifier)?.id.clone()),
            None => None,
        };
        let id =
            of_notifier.as_ref().unwrap_or(&self.queues.get(queue)?.queue.recipient_id).as_slice().try_into().ok()?;
        let is_notifier = notifier.is_some();
        let expired = tokio::spawn(async move {
            let all = Expiry::before(i64::MAX);
            let pending = match is_notifier {
                true => store.expire_notifications(id, all).await,
                false => store.expire_messages(id, all).await,
            };
            pending.unwrap().await.unwrap()
        });
        let (keys, expired) = (Cell::new(None), Cell::new(Some(expired)));
        Some(Asked { client, correlation: rand::random(), deed: deed.clone(), link_id: [0; 24], keys, expired })
    }

    /// Waits until everything that the relay has to say has arrived.
    async fn barrier(&mut self, seen: &mut Seen) -> Result<(), String> {
        let all: Vec<_> = (0..CLIENTS).collect();
        self.ping(&all, seen).await?;
        self.name_queues(seen)
    }

    /// Whatever was said before a PONG has arrived with it, unless a block was full: then more comes with the next.
    async fn ping(&mut self, clients: &[usize], seen: &mut Seen) -> Result<(), String> {
        let mut again = clients.to_vec();
        while !again.is_empty() {
            let mut pings = Vec::new();
            for client in again.drain(..) {
                let (correlation, transmission) = self.clients[client].encode(None, &[], &Command::Ping);
                write(&mut self.clients[client], &transmission).await?;
                pings.push((client, correlation));
            }
            for (client, correlation) in pings {
                let position = loop {
                    let mut inbox = self.clients[client].inbox.iter();
                    if let Some(position) = inbox.position(|received| received.correlation == correlation) {
                        break position;
                    }
                    read(&mut self.clients[client]).await?;
                };
                self.clients[client].inbox.remove(position);
                let before = seen.events.len() + seen.notifications.len();
                self.take_in(client, &[], seen)?;
                if seen.events.len() + seen.notifications.len() > before {
                    again.push(client);
                }
            }
        }
        Ok(())
    }

    fn conclude(&mut self, executed: &[(usize, Deed)], seen: &Seen) -> Result<(), String> {
        let states = judge(&self.states, executed, seen);
        if states.is_empty() {
            let before = self.states.first();
            return Err(format!("{executed:?} showed {seen:?}; of {} states, one: {before:?}", self.states.len()));
        }
        self.mark(Mark::End(&states));
        self.states = states;
        Ok(())
    }

    /// Everything that waits is delivered and acknowledged, and everybody has heard what was owed.
    pub(crate) async fn finish(&mut self) -> Result<(), String> {
        for client in 0..CLIENTS {
            self.leave(client).await?;
        }
        let queues: Vec<_> = self.queues.keys().copied().collect();
        for queue in queues {
            self.deeds(&[(0, Deed::Subscribe { queue })], None).await?;
            while self.delivered.contains_key(&(0, queue)) {
                let last = self.delivered.get(&(0, queue)).cloned();
                self.deeds(&[(0, Deed::Acknowledge { queue, wrong: false, item: None })], None).await?;
                if self.delivered.get(&(0, queue)) == last.as_ref() {
                    break;
                }
            }
            self.deeds(&[(1, Deed::GetLink { queue })], None).await?;
        }
        let notifiers: Vec<_> = self.notifiers.iter().map(|(number, known)| (*number, known.queue)).collect();
        for (notifier, queue) in notifiers {
            self.deeds(&[(1, Deed::Listen { queue, notifier })], None).await?;
        }
        let patience = Instant::now() + PATIENCE;
        while self.states.iter().all(Model::owes_notifications) {
            if Instant::now() > patience {
                return Err(format!("notifications do not come: {:?}", self.states.first()));
            }
            sleep(Duration::from_millis(10)).await;
            let mut seen = Seen::default();
            self.barrier(&mut seen).await?;
            self.conclude(&[], &seen)?;
        }
        Ok(())
    }
}
