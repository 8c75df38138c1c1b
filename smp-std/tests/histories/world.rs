//! The clients of a history: carries out its steps on a relay, and says what they showed.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use smp_crypto::key::{AuthorizationSecretKey, X25519SecretKey};
use smp_crypto::notification;
use smp_crypto::secret_box::{BoxKey, Nonce};
use smp_proto::id::LinkId;
use smp_proto::key::X25519PublicKey;
use smp_proto::smp::error::{CommandError, SmpError};
use smp_proto::smp::link::{LinkData, SetLink};
use smp_proto::smp::notifier::NotifierKeys;
use smp_proto::smp::recipient::QueueMode;
use smp_proto::smp::sender::Send;
use smp_proto::smp::{BrokerMessage, Command};
use smp_proto::transport::BLOCK_LENGTH;
use smp_proto::transport::block::{Batch, BatchWriter};
use smp_proto::transport::transmission::Transmission;
use smp_proto::wire::LongString;
use tokio::time::{sleep, timeout};

use crate::harness::{PATIENCE, RawClient, Received, TestQueue, ack, new_command};
use crate::history::{CLIENTS, Deed, NotifierNumber, QueueNumber, Step};
use crate::host::Host;
use crate::judge::{Seen, judge};
use crate::model::{Event, Item, Model, Response};

/// More possible states than this: the history goes on one command at a time until it is clear again.
const UNCLEAR: usize = 24;

type Id = Vec<u8>;

/// A queue as its people know it.
pub(crate) struct Known {
    pub(crate) queue: TestQueue,
    pub(crate) link_id: [u8; 24],
    pub(crate) sender_keys: [AuthorizationSecretKey; 2],
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
    /// Keys made for NEW and NKEY.
    keys: Cell<Option<(AuthorizationSecretKey, X25519SecretKey)>>,
}

pub(crate) struct World {
    pub(crate) host: Host,
    clients: Vec<RawClient>,
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
    pub(crate) async fn new(host: Host) -> Self {
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(host.connect().await);
        }
        Self {
            host,
            clients,
            queues: BTreeMap::new(),
            notifiers: BTreeMap::new(),
            items: HashMap::new(),
            ids: HashMap::new(),
            marks: BTreeMap::new(),
            delivered: BTreeMap::new(),
            sent: HashMap::new(),
            notified: HashMap::new(),
            kills: 0,
            states: BTreeSet::from([Model::default()]),
            commands: 0,
            recorder: None,
        }
    }

    /// Everybody leaves.
    pub(crate) async fn stop(self) {
        drop(self.clients);
        self.host.stop().await;
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
        self.conclude(&[], &seen)?;
        self.clients[client] = self.host.connect().await;
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
            if let Some((ask, transmission)) = self.encode(*client, deed) {
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
            self.kills += 1;
            self.conclude(&executed, &seen)?;
            self.host.start_again();
            self.delivered.clear();
            for client in 0..CLIENTS {
                self.clients[client] = self.host.connect().await;
            }
            return Ok(());
        }
        for (index, ask) in asked.iter().enumerate() {
            while seen.responses[index].is_none() {
                read(&mut self.clients[ask.client])
                    .await
                    .map_err(|error| format!("no response to {:?}: {error}", ask.deed))?;
                self.take_in(ask.client, &asked, &mut seen)?;
            }
        }
        self.barrier(&mut seen).await?;
        self.conclude(&executed, &seen)
    }

    /// Waits until everything that the relay has to say has arrived.
    async fn barrier(&mut self, seen: &mut Seen) -> Result<(), String> {
        let all: Vec<_> = (0..CLIENTS).collect();
        self.ping(&all, seen).await
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
            self.deeds(&[(2, Deed::Listen { queue, notifier })], None).await?;
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

    /// What a deed says on the wire; `None` when nobody knows the ids it needs.
    fn encode(&self, client: usize, deed: &Deed) -> Option<(Asked, Vec<u8>)> {
        let connection = self.clients.get(client)?;
        let made = || (generate(), X25519SecretKey::generate(&mut rand::rng()));
        let mut deed = deed.clone();
        let mut keys = None;
        if let Deed::New { contact, subscribe, .. } = deed {
            let (key, dh) = made();
            let mode = if contact { QueueMode::Contact } else { QueueMode::Messaging };
            let (correlation, bytes) = connection.encode(Some(&key), &[], &new_command(&key, &dh, mode, subscribe));
            return Some((Asked { client, correlation, deed, keys: Cell::new(Some((key, dh))) }, bytes));
        }
        let number = deed.queue();
        let known = self.queues.get(&number)?;
        let (own, recipient, sender) = (Some(&known.queue.key), &known.queue.recipient_id, &known.queue.sender_id);
        let sender_key = |key: u8| &known.sender_keys[usize::from(key) - 1];
        let (correlation, bytes) = match &mut deed {
            Deed::New { .. } => return None,
            Deed::Send { number: message, key, notify, .. } => {
                let body = body(number, *message);
                let command = Command::Send(Send { notify: *notify, body: &body });
                connection.encode(key.map(sender_key), sender, &command)
            }
            Deed::Subscribe { .. } => connection.encode(own, recipient, &Command::Subscribe),
            Deed::Get { .. } => connection.encode(own, recipient, &Command::Get),
            Deed::Acknowledge { wrong, item, .. } => {
                let last = self.delivered.get(&(client, number)).filter(|_| !*wrong);
                *item = last.and_then(|id| self.items.get(id)).map(|(_, item, _)| *item);
                let id = last.cloned().unwrap_or_else(|| vec![7; 24]);
                connection.encode(own, recipient, &ack(&id))
            }
            Deed::Secure { key, by_sender: false, .. } => {
                connection.encode(own, recipient, &Command::Secure(sender_key(*key).public_key()))
            }
            Deed::Secure { key, by_sender: true, .. } => {
                let key = sender_key(*key);
                connection.encode(Some(key), sender, &Command::SecureBySender(key.public_key()))
            }
            Deed::Suspend { .. } => connection.encode(own, recipient, &Command::Suspend),
            Deed::Delete { .. } => connection.encode(own, recipient, &Command::Delete),
            Deed::SetLink { user, .. } => {
                let (fixed, user) = (fixed_data(number), user_data(*user));
                let data = LinkData { fixed: LongString::new(&fixed).unwrap(), user: LongString::new(&user).unwrap() };
                let link_id = LinkId::new(&known.link_id).unwrap();
                connection.encode(own, recipient, &Command::SetLink(SetLink { link_id, data }))
            }
            Deed::DeleteLink { .. } => connection.encode(own, recipient, &Command::DeleteLink),
            Deed::GetLink { .. } => connection.encode(None, &known.link_id, &Command::GetLink),
            Deed::SecureByLink { key, .. } => {
                let key = sender_key(*key);
                connection.encode(Some(key), &known.link_id, &Command::SecureByLink(key.public_key()))
            }
            Deed::EnableNotifications { .. } => {
                let (key, dh) = made();
                let notifier_keys = NotifierKeys { notifier_key: key.public_key(), recipient_dh_key: dh.public_key() };
                keys = Some((key, dh));
                connection.encode(own, recipient, &Command::EnableNotifications(notifier_keys))
            }
            Deed::DisableNotifications { .. } => connection.encode(own, recipient, &Command::DisableNotifications),
            Deed::Listen { notifier, .. } => {
                let known = self.notifiers.get(notifier)?;
                connection.encode(Some(&known.key), &known.id, &Command::SubscribeNotifications)
            }
        };
        Some((Asked { client, correlation, deed, keys: Cell::new(keys) }, bytes))
    }

    /// Looks at what came to a client.
    fn take_in(&mut self, client: usize, asked: &[Asked], seen: &mut Seen) -> Result<(), String> {
        while let Some(received) = self.clients[client].inbox.pop_front() {
            if received.correlation.is_empty() {
                self.event(client, &received, seen)?;
                continue;
            }
            let index =
                asked.iter().position(|ask| ask.client == client && ask.correlation[..] == received.correlation);
            let index = index.ok_or_else(|| format!("a response nobody asked for: {}", received.text()))?;
            let response = self.response(&asked[index], &received)?;
            if let (Response::Ok, Deed::Send { queue, number, notify, .. }) = (&response, &asked[index].deed) {
                self.sent.insert(*number, (*queue, *notify));
            }
            self.mark(Mark::Answered(index, &response));
            if seen.responses[index].replace(response).is_some() {
                return Err(format!("a second response to {:?}", asked[index].deed));
            }
        }
        Ok(())
    }

    fn response(&mut self, ask: &Asked, received: &Received) -> Result<Response, String> {
        let version = self.clients[ask.client].version();
        let number = ask.deed.queue();
        Ok(match (received.decode(version), &ask.deed, ask.keys.take()) {
            (BrokerMessage::Ids(ids), Deed::New { queue, .. }, Some((key, dh))) => {
                let queue_keys = TestQueue {
                    key,
                    dh,
                    relay_key: ids.relay_dh_key,
                    recipient_id: ids.recipient_id.as_bytes().to_vec(),
                    sender_id: ids.sender_id.as_bytes().to_vec(),
                };
                let sender_keys = [generate(), generate()];
                let known = Known { queue: queue_keys, link_id: rand::random(), sender_keys };
                self.queues.insert(*queue, known);
                Response::Created
            }
            (BrokerMessage::NotifierId(ids), Deed::EnableNotifications { queue, notifier }, Some((key, dh))) => {
                let known = KnownNotifier {
                    key,
                    dh,
                    relay_key: ids.relay_dh_key,
                    id: ids.notifier_id.as_bytes().to_vec(),
                    queue: *queue,
                };
                self.notifiers.insert(*notifier, known);
                Response::NotifierCreated
            }
            (BrokerMessage::Link(content), _, _) => {
                let known = self.queues.get(&number).ok_or("no queue")?;
                let user = content.data.user.as_bytes();
                let told = user.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
                if content.sender_id.as_bytes() != known.queue.sender_id
                    || content.data.fixed.as_bytes() != fixed_data(number)
                    || user != user_data(told)
                {
                    return Err(format!("link data of another: {:?}", ask.deed));
                }
                Response::Link(told)
            }
            (BrokerMessage::Message(_), _, _) => Response::Message(self.message(ask.client, number, received)?),
            (BrokerMessage::Ok, _, _) => Response::Ok,
            (BrokerMessage::Subscribed(None), _, _) => Response::Subscribed,
            (BrokerMessage::Error(SmpError::Auth), _, _) => Response::Auth,
            (BrokerMessage::Error(SmpError::Quota), _, _) => Response::Quota,
            (BrokerMessage::Error(SmpError::NoMessage), _, _) => Response::NoMessage,
            (BrokerMessage::Error(SmpError::Command(CommandError::Prohibited)), _, _) => Response::Prohibited,
            _ => Response::Other(received.text()),
        })
    }

    fn event(&mut self, client: usize, received: &Received, seen: &mut Seen) -> Result<(), String> {
        let version = self.clients[client].version();
        let queue = self.queues.iter().find(|(_, known)| known.queue.recipient_id == received.entity);
        let event = match (queue.map(|(number, _)| *number), received.decode(version)) {
            (Some(queue), BrokerMessage::Message(_)) => Event::Message(queue, self.message(client, queue, received)?),
            (Some(queue), BrokerMessage::End) => Event::Ended(queue),
            (Some(queue), BrokerMessage::Deleted) => Event::Deleted(queue),
            (None, message) => {
                let notifier = self.notifiers.iter().find(|(_, known)| known.id == received.entity);
                let (number, known) = notifier.ok_or_else(|| format!("an event of nothing: {}", received.text()))?;
                match message {
                    BrokerMessage::End => Event::NotifierEnded(*number),
                    BrokerMessage::Deleted => Event::NotifierDeleted(*number),
                    BrokerMessage::Notification(sealed) => {
                        let secret = known.dh.diffie_hellman(&known.relay_key).map_err(|_| "key")?;
                        let mut bytes = sealed.metadata.as_bytes().to_vec();
                        let metadata = notification::open(&BoxKey::from(&secret), &Nonce(*sealed.nonce), &mut bytes)
                            .map_err(|_| "a notification that cannot be opened")?;
                        let id = metadata.message_id.as_bytes().to_vec();
                        let (number, queue) = (*number, known.queue);
                        return self.notification(client, number, queue, id, seen);
                    }
                    _ => return Err(format!("an unexpected event: {}", received.text())),
                }
            }
            _ => return Err(format!("an unexpected event: {}", received.text())),
        };
        if let Event::Ended(queue) | Event::Deleted(queue) = event {
            self.delivered.remove(&(client, queue));
        }
        seen.events.push((client, event));
        Ok(())
    }

    fn notification(
        &mut self,
        client: usize,
        notifier: NotifierNumber,
        queue: QueueNumber,
        id: Id,
        seen: &mut Seen,
    ) -> Result<(), String> {
        match self.notified.insert(id.clone(), (self.kills, queue)) {
            // It was forgotten on disk a little later than it was told: a kill may bring it again.
            Some((kills, _)) if kills < self.kills => return Ok(()),
            Some(_) => return Err("notified twice of a message".to_owned()),
            None => {}
        }
        let number = match self.items.get(&id) {
            Some((of, Item::Message(number), _)) if *of == queue => Some(*number),
            None => None,
            Some(_) => return Err("notified of another queue's message".to_owned()),
        };
        seen.notifications.push((client, notifier, number));
        Ok(())
    }

    /// Which message came; it must be what it was the last time, and nobody else's.
    fn message(&mut self, client: usize, number: QueueNumber, received: &Received) -> Result<Item, String> {
        let known = self.queues.get(&number).ok_or("no queue")?;
        let (id, plain) = known.queue.open(received, self.clients[client].version());
        self.delivered.insert((client, number), id.clone());
        if let Some((queue, item, before)) = self.items.get(&id) {
            let same = *queue == number && *before == plain;
            return if same { Ok(*item) } else { Err(format!("another message under the id of {item:?}")) };
        }
        let item = if plain.starts_with(b"QUOTA") {
            let marks = self.marks.entry(number).or_default();
            *marks += 1;
            Item::Mark(*marks - 1)
        } else {
            let flag = plain.get(8).copied();
            let content = plain.get(10..).unwrap_or_default();
            let told =
                content.get(4..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes));
            if content != body(number, told) {
                return Err(format!("a message that nobody sent to queue {number}"));
            }
            if self.sent.get(&told).is_some_and(|(_, notify)| flag != Some(if *notify { b'T' } else { b'F' })) {
                return Err(format!("message {told} with another flag"));
            }
            Item::Message(told)
        };
        if self.ids.insert((number, item), id.clone()).is_some() {
            return Err(format!("{item:?} of queue {number} has a second id"));
        }
        if self.notified.get(&id).is_some_and(|(_, queue)| *queue != number) {
            return Err("notified of another queue's message".to_owned());
        }
        self.items.insert(id, (number, item, plain));
        Ok(item)
    }
}

/// A body that tells whose it is; lengths from a few bytes to the largest.
pub(crate) fn body(queue: QueueNumber, number: u32) -> Vec<u8> {
    let length = [8, 300, 700, 2_000, 16_048][if number % 16 == 7 { 4 } else { number as usize % 4 }];
    let mut body: Vec<u8> = queue.to_le_bytes().into_iter().chain(number.to_le_bytes()).collect();
    body.extend((8..length).map(|at| (at as u32 ^ number) as u8));
    body
}

pub(crate) fn fixed_data(queue: QueueNumber) -> Vec<u8> {
    queue.to_le_bytes().repeat(25)
}

pub(crate) fn user_data(user: u32) -> Vec<u8> {
    user.to_le_bytes().into_iter().cycle().take([4, 40, 1_000][user as usize % 3]).collect()
}

fn generate() -> AuthorizationSecretKey {
    AuthorizationSecretKey::generate_ed25519(&mut rand::rng())
}

async fn write(client: &mut RawClient, transmission: &[u8]) -> Result<(), String> {
    let mut block = Box::new([0; BLOCK_LENGTH]);
    let mut batch = BatchWriter::new(client.session.sealer.content_mut(&mut block)).unwrap();
    batch.push(|writer| writer.bytes(transmission)).unwrap();
    let length = batch.finish().unwrap().len();
    client.session.sealer.seal(&mut block, length).unwrap();
    client.tls.write_block(&block).await.map_err(|error| error.to_string())?;
    client.tls.flush().await.map_err(|error| error.to_string())
}

async fn read(client: &mut RawClient) -> Result<(), String> {
    let mut block = Box::new([0; BLOCK_LENGTH]);
    let read = timeout(PATIENCE, client.tls.read_block(&mut block)).await.map_err(|_| "nothing came")?;
    read.map_err(|error| error.to_string())?;
    let content = client.session.opener.open(&mut block).unwrap();
    for entry in Batch::decode(&block[content]).unwrap().iter() {
        let context = &client.session.context;
        let transmission = Transmission::decode(entry, context.version(), context.session_id()).unwrap();
        client.inbox.push_back(Received {
            correlation: transmission.correlation_id.as_bytes().to_vec(),
            entity: transmission.entity_id.as_bytes().to_vec(),
            message: transmission.command.to_vec(),
        });
    }
    Ok(())
}
