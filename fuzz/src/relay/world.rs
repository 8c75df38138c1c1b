//! Deeds on the wire, and what came of them in the words of the model.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::mem::{self, ManuallyDrop};

use smp_crypto::key::AuthorizationSecretKey;
use smp_crypto::notification;
use smp_crypto::secret_box::{BoxKey, Nonce};
use smp_proto::id::{LinkId, MessageId};
use smp_proto::smp::error::{CommandError, SmpError};
use smp_proto::smp::link::{LinkData, SetLink};
use smp_proto::smp::notifier::NotifierKeys;
use smp_proto::smp::recipient::{NewQueue, QueueMode, QueueRequest, SubscriptionMode};
use smp_proto::smp::sender::Send;
use smp_proto::smp::{BrokerMessage, Command};
use smp_proto::version::SmpVersion;
use smp_proto::wire::LongString;

use super::client::{Client, Received};
use super::crew::Crew;
use super::keys;
use crate::history::{CLIENTS, Deed, NotifierNumber, QueueNumber};
use crate::judge::{Seen, judge};
use crate::model::{Event, Item, Model, Response};

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
    inputs: u32,
}

thread_local! {
    /// Never dropped when the thread ends: the runtime cannot be used any more then.
    static POOL: RefCell<Option<ManuallyDrop<Pool>>> = const { RefCell::new(None) };
}

/// A queue as its people know it.
pub(super) struct Known {
    pub(super) recipient_id: Id,
    pub(super) sender_id: Id,
    /// What its messages are sealed with.
    secret: BoxKey,
}

pub(super) struct KnownNotifier {
    pub(super) id: Id,
    pub(super) queue: QueueNumber,
    secret: BoxKey,
}

/// A response that is waited for.
struct Asked {
    client: usize,
    correlation: [u8; 24],
    deed: Deed,
}

/// An error that is waited for, and what it says if that is known.
pub(super) struct Refusal {
    pub(super) client: usize,
    /// Unknown when the relay may not be able to read it.
    pub(super) correlation: Option<[u8; 24]>,
    pub(super) expected: Option<Vec<u8>>,
}

pub(super) struct World {
    crew: Crew,
    /// Connections of earlier inputs.
    idle: Vec<Client>,
    /// So many inputs used the relay before.
    inputs: u32,
    versions: [SmpVersion; CLIENTS],
    clients: [Option<Client>; CLIENTS],
    correlations: u64,
    pub(super) queues: BTreeMap<QueueNumber, Known>,
    pub(super) notifiers: BTreeMap<NotifierNumber, KnownNotifier>,
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
}

impl World {
    pub(super) fn new(versions: [SmpVersion; CLIENTS]) -> Self {
        let pool = POOL.take().map(ManuallyDrop::into_inner);
        let pool = pool.unwrap_or_else(|| Pool { crew: Crew::new(), idle: Vec::new(), inputs: 0 });
        Self {
            crew: pool.crew,
            idle: pool.idle,
            inputs: pool.inputs,
            versions,
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
            states: BTreeSet::from([Model::default()]),
            refusals: Vec::new(),
            unclear: Vec::new(),
        }
    }

    pub(super) const fn version(&self, client: usize) -> SmpVersion {
        self.versions[client]
    }

    /// The client, connected if it was not.
    pub(super) fn client(&mut self, client: usize) -> (&mut Client, &mut Crew) {
        let Self { crew, clients, idle, versions, .. } = self;
        let connected = clients[client].get_or_insert_with(|| {
            let fits = idle.iter().position(|before| before.version() == versions[client]);
            fits.map_or_else(|| Client::connect(crew, versions[client]), |position| idle.swap_remove(position))
        });
        assert_eq!(connected.version(), versions[client]);
        (connected, crew)
    }

    pub(super) const fn correlation(&mut self) -> [u8; 24] {
        self.correlations += 1;
        let mut correlation = [0xc0; 24];
        let [a, b, c, d, e, f, g, h] = self.correlations.to_be_bytes();
        [correlation[16], correlation[17], correlation[18], correlation[19]] = [a, b, c, d];
        [correlation[20], correlation[21], correlation[22], correlation[23]] = [e, f, g, h];
        correlation
    }

    /// Something was sent that has to be refused.
    pub(super) fn expect_refusal(&mut self, refusal: Refusal) {
        self.refusals.push(refusal);
    }

    /// Carries out commands that are under way together, and compares. Those of one client go in one block if `packed`.
    pub(super) fn deeds(&mut self, deeds: &[(usize, Deed)], packed: bool) {
        if self.states.len() > UNCLEAR && deeds.len() > 1 {
            for deed in deeds {
                self.deeds(std::slice::from_ref(deed), packed);
            }
            return;
        }
        let mut asked = Vec::new();
        let mut transmissions: [Vec<Vec<u8>>; CLIENTS] = Default::default();
        for (client, deed) in deeds {
            if let Some((ask, transmission)) = self.encode(*client, deed) {
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

    /// Until everything is answered and everybody has been told everything.
    fn settle(&mut self, asked: &[Asked]) -> Seen {
        let mut seen = Seen { responses: vec![None; asked.len()], ..Seen::default() };
        loop {
            self.crew.run();
            for client in 0..CLIENTS {
                self.take_in(client, asked, &mut seen);
            }
            if seen.responses.iter().all(Option::is_some) && self.refusals.is_empty() {
                return seen;
            }
            // The relay may have waited for room to write.
            self.crew.wait();
        }
    }

    /// Compares when nothing was asked, or only what is refused.
    pub(super) fn check(&mut self) {
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
    pub(super) fn leave(&mut self, client: usize) {
        let Some(connected) = self.clients[client].take() else { return };
        let others = self.clients.iter().flatten().count() + self.idle.len();
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
    pub(super) fn tick(&mut self) {
        self.crew.tick();
        self.check();
        assert!(!self.states.iter().all(Model::owes_notifications), "notifications do not come");
    }

    /// The store holds what the model says, and nothing once all queues are deleted.
    pub(super) fn end(mut self) {
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
        let cleaner = (0..CLIENTS).find(|client| self.versions[*client] >= SmpVersion::AUTHENTICATORS);
        let (Some(cleaner), true) = (cleaner, self.inputs < INPUTS) else { return };
        let queues: Vec<_> = self.queues.keys().copied().collect();
        for queue in queues {
            self.deeds(&[(cleaner, Deed::Delete { queue })], false);
        }
        let counts = self.crew.store().counts();
        let left = (counts.queues, counts.messages, counts.notifiers, counts.notifications);
        assert_eq!(left, (0, 0, 0, 0), "something is left of deleted queues");
        let Self { crew, clients, mut idle, inputs, .. } = self;
        idle.extend(clients.into_iter().flatten());
        POOL.set(Some(ManuallyDrop::new(Pool { crew, idle, inputs: inputs + 1 })));
    }

    /// What a deed says on the wire; `None` when nobody knows the ids it needs, or the client's version does not know it.
    fn encode(&mut self, client: usize, deed: &Deed) -> Option<(Asked, Vec<u8>)> {
        let correlation = self.correlation();
        let version = self.version(client);
        let (key, entity) = self.credentials(deed)?;
        let mut deed = deed.clone();
        if let Deed::Acknowledge { queue, wrong, item } = &mut deed {
            let last = self.delivered.get(&(client, *queue)).filter(|_| !*wrong);
            *item = last.and_then(|id| self.items.get(id)).map(|(_, item, _)| *item);
        }
        let needs = match deed {
            Deed::New { .. } | Deed::Secure { by_sender: true, .. } => SmpVersion::SENDER_SECURED,
            Deed::SetLink { .. } | Deed::DeleteLink { .. } | Deed::GetLink { .. } | Deed::SecureByLink { .. } => {
                SmpVersion::SHORT_LINKS
            }
            _ => SmpVersion::MIN,
        };
        if version < needs {
            return None;
        }
        let last = self.delivered.get(&(client, deed.queue())).cloned();
        let input = self.inputs;
        let (connected, _) = self.client(client);
        let transmission = connected.encode(&correlation, key, &entity, |writer| {
            with_command(input, &deed, last.as_deref(), |command| command.encode(writer, version))
        })?;
        Some((Asked { client, correlation, deed }, transmission))
    }

    /// Who authorizes a deed, and which entity it is about.
    pub(super) fn credentials(&self, deed: &Deed) -> Option<(Option<&'static AuthorizationSecretKey>, Id)> {
        let number = deed.queue();
        let own = keys::of(number);
        let sender = |key: u8| &own.senders[usize::from(key) - 1];
        if matches!(deed, Deed::New { .. }) {
            return Some((Some(&own.recipient), Vec::new()));
        }
        let known = self.queues.get(&number)?;
        Some(match deed {
            Deed::Send { key, .. } => (key.map(sender), known.sender_id.clone()),
            Deed::Secure { key, by_sender: true, .. } => (Some(sender(*key)), known.sender_id.clone()),
            Deed::GetLink { .. } => (None, link_id(self.inputs, number).to_vec()),
            Deed::SecureByLink { key, .. } => (Some(sender(*key)), link_id(self.inputs, number).to_vec()),
            Deed::Listen { notifier, .. } => {
                (Some(&keys::of(*notifier).notifier), self.notifiers.get(notifier)?.id.clone())
            }
            _ => (Some(&own.recipient), known.recipient_id.clone()),
        })
    }

    /// What a deed of this client says on the wire, to be spoilt: with its key and its entity.
    pub(super) fn command(&self, client: usize, deed: &Deed) -> Vec<u8> {
        let (version, last) = (self.version(client), self.delivered.get(&(client, deed.queue())));
        let command = with_command(self.inputs, deed, last.map(Vec::as_slice), |command| {
            crate::write(|writer| command.encode(writer, version))
        });
        command.unwrap_or_default()
    }

    /// Looks at what came to a client.
    fn take_in(&mut self, client: usize, asked: &[Asked], seen: &mut Seen) {
        let Some(connected) = &mut self.clients[client] else { return };
        connected.take_in();
        for received in mem::take(&mut connected.inbox) {
            let ask = asked.iter().position(|ask| ask.client == client && ask.correlation[..] == received.correlation);
            if let Some(index) = ask {
                let response = self.response(&asked[index], &received);
                if let (Response::Ok, Deed::Send { number, notify, .. }) = (&response, &asked[index].deed) {
                    self.sent.insert(*number, *notify);
                }
                let before = seen.responses[index].replace(response);
                assert_eq!(before, None, "a second response to {:?}", asked[index].deed);
            } else if !self.refused(client, &received) {
                assert!(received.correlation.is_empty(), "a response nobody asked for: {}", received.text());
                self.event(client, &received, seen);
            }
        }
    }

    /// Whether it is one of the errors that are waited for.
    fn refused(&mut self, client: usize, received: &Received) -> bool {
        let named = |refusal: &Refusal| {
            refusal.client == client && refusal.correlation.is_some_and(|id| id[..] == received.correlation)
        };
        let unnamed = |refusal: &Refusal| refusal.client == client && refusal.correlation.is_none();
        let is_error = received.message.starts_with(b"ERR ");
        let position = self.refusals.iter().position(named).or_else(|| {
            // PING needs nothing, so that any bytes may turn out to be one.
            (is_error || received.message == b"PONG").then(|| self.refusals.iter().position(unnamed)).flatten()
        });
        let Some(position) = position else { return false };
        let refusal = self.refusals.swap_remove(position);
        match refusal.expected {
            Some(expected) => {
                assert_eq!(received.text(), String::from_utf8_lossy(&expected), "refused in another way");
            }
            None => assert!(is_error || refusal.correlation.is_none(), "not refused: {}", received.text()),
        }
        true
    }

    fn response(&mut self, ask: &Asked, received: &Received) -> Response {
        let version = self.version(ask.client);
        let number = ask.deed.queue();
        let subscribes = matches!(ask.deed, Deed::Subscribe { .. } | Deed::Listen { .. });
        match (received.decode(version), &ask.deed) {
            (BrokerMessage::Ids(ids), Deed::New { queue, .. }) => {
                let secret = keys::of(*queue).dh.diffie_hellman(&ids.relay_dh_key).expect("the relay's key is good");
                let (recipient_id, sender_id) = (ids.recipient_id.as_bytes(), ids.sender_id.as_bytes());
                assert!(recipient_id.len() == 24 && sender_id.len() == 24 && recipient_id != sender_id);
                let known = Known {
                    recipient_id: recipient_id.to_vec(),
                    sender_id: sender_id.to_vec(),
                    secret: BoxKey::from(&secret),
                };
                self.queues.insert(*queue, known);
                Response::Created
            }
            (BrokerMessage::NotifierId(ids), Deed::EnableNotifications { queue, notifier }) => {
                let own = &keys::of(*notifier).notifier_dh;
                let secret = own.diffie_hellman(&ids.relay_dh_key).expect("the relay's key is good");
                let id = ids.notifier_id.as_bytes().to_vec();
                let known = KnownNotifier { id, queue: *queue, secret: BoxKey::from(&secret) };
                self.notifiers.insert(*notifier, known);
                Response::NotifierCreated
            }
            (BrokerMessage::Link(content), _) => {
                let user = content.data.user.as_bytes();
                let told = user.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
                let known = &self.queues[&number];
                assert_eq!(content.sender_id.as_bytes(), known.sender_id, "the link of another queue");
                assert_eq!(content.data.fixed.as_bytes(), fixed_data(number));
                assert_eq!(user, user_data(told), "link data that nobody set");
                Response::Link(told)
            }
            (BrokerMessage::Message(_), _) => Response::Message(self.message(ask.client, number, received)),
            (BrokerMessage::Ok, _) if subscribes && version < SmpVersion::SERVICES => Response::Subscribed,
            (BrokerMessage::Subscribed(None), _) => Response::Subscribed,
            (BrokerMessage::Ok, _) => Response::Ok,
            (BrokerMessage::Error(SmpError::Auth), _) => Response::Auth,
            (BrokerMessage::Error(SmpError::Quota), _) => Response::Quota,
            (BrokerMessage::Error(SmpError::NoMessage), _) => Response::NoMessage,
            (BrokerMessage::Error(SmpError::Command(CommandError::Prohibited)), _) => Response::Prohibited,
            _ => Response::Other(received.text()),
        }
    }

    fn event(&mut self, client: usize, received: &Received, seen: &mut Seen) {
        let version = self.version(client);
        let queue = self.queues.iter().find(|(_, known)| known.recipient_id == received.entity);
        let event = match (queue.map(|(number, _)| *number), received.decode(version)) {
            (Some(queue), BrokerMessage::Message(_)) => Event::Message(queue, self.message(client, queue, received)),
            (Some(queue), BrokerMessage::End) => Event::Ended(queue),
            (Some(queue), BrokerMessage::Deleted) => Event::Deleted(queue),
            (None, message) => {
                let notifier = self.notifiers.iter().find(|(_, known)| known.id == received.entity);
                let Some((number, known)) = notifier else { panic!("an event of nothing: {}", received.text()) };
                match message {
                    BrokerMessage::End => Event::NotifierEnded(*number),
                    BrokerMessage::Deleted => Event::NotifierDeleted(*number),
                    BrokerMessage::Notification(sealed) => {
                        let mut bytes = sealed.metadata.as_bytes().to_vec();
                        let metadata = notification::open(&known.secret, &Nonce(*sealed.nonce), &mut bytes);
                        let id = metadata.expect("a notification can be opened").message_id.as_bytes().to_vec();
                        let (number, queue) = (*number, known.queue);
                        return self.notification(client, number, queue, id, seen);
                    }
                    _ => panic!("an unexpected event: {}", received.text()),
                }
            }
            _ => panic!("an unexpected event: {}", received.text()),
        };
        if let Event::Ended(queue) | Event::Deleted(queue) = event {
            self.delivered.remove(&(client, queue));
        }
        if version < SmpVersion::DELETED_EVENT && received.message == b"END" {
            self.unclear.push(seen.events.len());
        }
        seen.events.push((client, event));
    }

    fn notification(&mut self, client: usize, notifier: NotifierNumber, queue: QueueNumber, id: Id, seen: &mut Seen) {
        let number = match self.items.get(&id) {
            Some((of, Item::Message(number), _)) if *of == queue => Some(*number),
            None => None,
            Some(other) => panic!("notified of {other:?} instead of a message of queue {queue}"),
        };
        assert!(self.notified.insert(id), "notified twice of a message");
        seen.notifications.push((client, notifier, number));
    }

    /// Which message came; it must be what it was the last time, and nobody else's.
    fn message(&mut self, client: usize, number: QueueNumber, received: &Received) -> Item {
        let version = self.version(client);
        let BrokerMessage::Message(message) = received.decode(version) else { panic!("{}", received.text()) };
        let id = message.message_id.as_bytes().to_vec();
        let mut sealed = message.body.to_vec();
        let nonce = Nonce::from_slice(&id);
        let plain = self.queues[&number].secret.open_padded(&nonce, &mut sealed).expect("a message can be opened");
        let plain = sealed[plain].to_vec();
        self.delivered.insert((client, number), id.clone());
        if let Some((queue, item, before)) = self.items.get(&id) {
            assert!(*queue == number && *before == plain, "another message under the id of {item:?}");
            return *item;
        }
        let item = if plain.starts_with(b"QUOTA") {
            let marks = self.marks.entry(number).or_default();
            *marks += 1;
            Item::Mark(*marks - 1)
        } else {
            let content = plain.get(10..).unwrap_or_default();
            let told = content.get(4..).and_then(|rest| rest.first_chunk()).map_or(0, |it| u32::from_le_bytes(*it));
            assert!(content == body(number, told), "a message that nobody sent to queue {number}");
            let flag = plain.get(8).copied();
            let other = self.sent.get(&told).is_some_and(|notify| flag != Some(if *notify { b'T' } else { b'F' }));
            assert!(!other, "message {told} with another flag");
            Item::Message(told)
        };
        let before = self.ids.insert((number, item), id.clone());
        assert_eq!(before, None, "{item:?} of queue {number} has a second id");
        self.items.insert(id, (number, item, plain));
        item
    }
}

/// The command of a deed in the input with this number; `last` is the id that came last to who does it.
fn with_command<T>(input: u32, deed: &Deed, last: Option<&[u8]>, run: impl FnOnce(&Command<'_>) -> T) -> T {
    let own = keys::of(deed.queue());
    let sender_key = |key: u8| own.senders[usize::from(key) - 1].public_key();
    let (sent, fixed, user_bytes) = match deed {
        Deed::Send { queue, number, .. } => (body(*queue, *number), Vec::new(), Vec::new()),
        Deed::SetLink { queue, user } => (Vec::new(), fixed_data(*queue), user_data(*user)),
        _ => Default::default(),
    };
    let link = link_id(input, deed.queue());
    run(&match deed {
        Deed::New { contact, subscribe, .. } => Command::New(NewQueue {
            recipient_key: own.recipient.public_key(),
            recipient_dh_key: own.dh.public_key(),
            password: None,
            subscription: if *subscribe { SubscriptionMode::Subscribe } else { SubscriptionMode::CreateOnly },
            request: Some(match if *contact { QueueMode::Contact } else { QueueMode::Messaging } {
                QueueMode::Messaging => QueueRequest::Messaging(None),
                QueueMode::Contact => QueueRequest::Contact(None),
            }),
            notifier: None,
        }),
        Deed::Send { notify, .. } => Command::Send(Send { notify: *notify, body: &sent }),
        Deed::Subscribe { .. } => Command::Subscribe,
        Deed::Get { .. } => Command::Get,
        Deed::Acknowledge { wrong, .. } => {
            let id = last.filter(|_| !*wrong).unwrap_or(&[7; 24]);
            Command::Acknowledge(MessageId::new(id).expect("an id is short"))
        }
        Deed::Secure { key, by_sender: false, .. } => Command::Secure(sender_key(*key)),
        Deed::Secure { key, by_sender: true, .. } => Command::SecureBySender(sender_key(*key)),
        Deed::Suspend { .. } => Command::Suspend,
        Deed::Delete { .. } => Command::Delete,
        Deed::SetLink { .. } => Command::SetLink(SetLink {
            link_id: LinkId::new(&link).expect("an id is short"),
            data: LinkData {
                fixed: LongString::new(&fixed).expect("it is short"),
                user: LongString::new(&user_bytes).expect("it is short"),
            },
        }),
        Deed::DeleteLink { .. } => Command::DeleteLink,
        Deed::GetLink { .. } => Command::GetLink,
        Deed::SecureByLink { key, .. } => Command::SecureByLink(sender_key(*key)),
        Deed::EnableNotifications { notifier, .. } => {
            let keys = keys::of(*notifier);
            let (notifier_key, recipient_dh_key) = (keys.notifier.public_key(), keys.notifier_dh.public_key());
            Command::EnableNotifications(NotifierKeys { notifier_key, recipient_dh_key })
        }
        Deed::DisableNotifications { .. } => Command::DisableNotifications,
        Deed::Listen { .. } => Command::SubscribeNotifications,
    })
}

/// A body that tells whose it is. A few are as long as bodies can be.
fn body(queue: QueueNumber, number: u32) -> Vec<u8> {
    let length = [8, 300, 1_000, 8, 40, 8, 8, 16_048][number as usize % 8];
    let mut body: Vec<u8> = queue.to_le_bytes().into_iter().chain(number.to_le_bytes()).collect();
    body.extend((8..length).map(|at| (at as u32 ^ number) as u8));
    body
}

fn fixed_data(queue: QueueNumber) -> Vec<u8> {
    queue.to_le_bytes().repeat(25)
}

fn user_data(user: u32) -> Vec<u8> {
    user.to_le_bytes().into_iter().cycle().take([4, 40, 1_000][user as usize % 3]).collect()
}

/// Other ids for each input of a relay: those of deleted queues stay taken.
fn link_id(input: u32, queue: QueueNumber) -> [u8; 24] {
    let mut id = [queue as u8 + 1; 24];
    id[..4].copy_from_slice(&input.to_be_bytes());
    id
}
