//! A relay in memory: what it does with each operation (wire reference of SMP, sections 7 and 10), and what a correct
//! agent never asks of it.

mod links;
mod messages;
mod queue;

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use smp_agent::policy::server::{Server, ServerPassword};
use smp_agent::request::{AccessKey, Answer, Blocked, CreatedQueue, Failure, NewQueue, Operation, QueueAccess, Reason};
use smp_agent::time::Time;
use smp_crypto::hash::sender_id;
use smp_crypto::key::{AuthorizationKey, X25519SecretKey};
use smp_crypto::secret_box::BoxKey;
use smp_proto::id::CorrelationId;
use smp_proto::smp::recipient::QueueMode;

pub use queue::Queue;

/// A connection of one agent to one relay, numbered through the whole world.
pub type ConnectionNumber = u64;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// Which agent.
    pub party: usize,
    /// Over which connection.
    pub connection: ConnectionNumber,
    /// The version of that connection.
    pub version: u16,
    /// Whether a proxy stands between them.
    pub proxied: bool,
}

/// What a relay says without being asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Push {
    /// `MSG`.
    Message {
        /// The recipient's id of the queue.
        queue: Vec<u8>,
        /// The message.
        message_id: Vec<u8>,
        /// What the relay encrypted.
        body: Vec<u8>,
    },
    /// `END`.
    Ended(Vec<u8>),
    /// `DELD`.
    Deleted(Vec<u8>),
    /// `ERR BLOCKED`.
    Blocked(Vec<u8>, Blocked),
}

/// A relay.
pub struct Relay {
    /// Its address.
    pub server: Server,
    /// The latest version it speaks.
    pub version: u16,
    /// How many messages a queue takes.
    pub quota: usize,
    /// What it asks of those who create queues.
    pub password: Option<Vec<u8>>,
    /// Whether NEW that is repeated with the same key and sender's id gets the same answer. Deployed relays refuse it.
    pub repeats: bool,
    /// What no correct agent would have done.
    pub violations: Vec<String>,
    /// So many messages it takes and forgets at once, as no honest relay does.
    pub swallows: usize,
    /// The keys of all queues that it was asked to create.
    pub asked_for: Vec<AccessKey>,
    /// What connections are to be told.
    pub pushes: Vec<(ConnectionNumber, Push)>,
    queues: BTreeMap<Vec<u8>, Queue>,
    /// The recipient's ids of queues by the sender's.
    senders: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The recipient's ids of queues by links' ids.
    links: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Ids of deleted queues, and the keys that may be asked about them still.
    deleted: BTreeSet<Vec<u8>>,
    random: ChaCha20Rng,
}

/// `AUTH`.
const NOT_AUTHORIZED: Failure = Failure::of_relay(Reason::NotAuthorized);

impl Relay {
    /// A relay without queues.
    pub fn new(server: Server, seed: u64) -> Self {
        Self {
            server,
            version: 18,
            quota: 128,
            password: None,
            repeats: false,
            violations: Vec::new(),
            swallows: 0,
            asked_for: Vec::new(),
            pushes: Vec::new(),
            queues: BTreeMap::new(),
            senders: BTreeMap::new(),
            links: BTreeMap::new(),
            deleted: BTreeSet::new(),
            random: ChaCha20Rng::seed_from_u64(seed),
        }
    }

    /// All queues by the recipient's ids.
    pub fn queues(&self) -> impl Iterator<Item = (&Vec<u8>, &Queue)> {
        self.queues.iter()
    }

    /// The queue with this sender's id.
    pub fn queue_of_sender(&self, sender_id: &[u8]) -> Option<&Queue> {
        self.queues.get(self.senders.get(sender_id)?)
    }

    /// Executes an operation.
    pub fn execute(&mut self, caller: Caller, now: Time, operation: &Operation) -> Result<Answer, Failure> {
        if caller.version < 15 && links::is_about_links(operation) {
            return Err(Failure::of_relay(Reason::Version));
        }
        match operation {
            Operation::CreateQueue(new) => self.create(caller, new).map(Answer::Created),
            Operation::Subscribe(queues) => {
                if queues.is_empty() || queues.len() > smp_agent::SUBSCRIPTION_BATCH {
                    self.violation(caller, format!("SUB of {} queues at once", queues.len()));
                }
                let results = queues.iter().map(|queue| self.subscribe(caller, queue));
                Ok(Answer::Each(results.collect()))
            }
            Operation::Secure { queue, sender_key } => self.secure(caller, queue, sender_key),
            Operation::SecureBySender { queue } => self.secure_by_sender(caller, queue),
            Operation::Send { sender_id, key, notify, body } => {
                self.send(caller, now, sender_id, key.as_ref(), *notify, body)
            }
            Operation::Acknowledge { queue, message_id } => self.acknowledge(caller, queue, message_id),
            Operation::Suspend(queue) => self.own(caller, queue).map(|queue| {
                queue.suspended = true;
                Answer::Done
            }),
            Operation::Delete(queue) => self.delete(caller, queue),
            Operation::SetLink { queue, link_id, data } => self.set_link(caller, queue, link_id, data),
            Operation::DeleteLink(queue) => self.delete_link(caller, queue),
            Operation::ReadInvitation { link_id, key } => self.read_invitation(caller, link_id, key),
            Operation::ReadAddress { link_id } => self.read_address(link_id),
            other => panic!("the relay does not know {other:?}"),
        }
    }

    /// The connection ended: its subscriptions with it.
    pub fn disconnect(&mut self, connection: ConnectionNumber) {
        for queue in self.queues.values_mut().filter(|queue| queue.subscriber == Some(connection)) {
            queue.unsubscribe();
        }
    }

    /// Loses everything, as a relay that kept it in memory does.
    pub fn lose_everything(&mut self) {
        self.queues.clear();
        self.senders.clear();
        self.links.clear();
    }

    /// Blocks a queue, or opens it again, as an operator may.
    pub fn block(&mut self, sender_id: &[u8], blocked: Option<Blocked>) {
        let id = self.senders.get(sender_id).expect("a queue with this sender's id");
        let queue = self.queues.get_mut(id).expect("the same queue");
        queue.blocked = blocked;
        if let (Some(blocked), Some(subscriber)) = (blocked, queue.subscriber) {
            self.pushes.push((subscriber, Push::Blocked(id.clone(), blocked)));
        }
    }

    /// Delivers the next message of each queue without having been told that the last one was taken, as no honest relay
    /// does.
    pub fn go_ahead(&mut self) {
        for (id, queue) in &mut self.queues {
            let Some(subscriber) = queue.subscriber.filter(|_| queue.messages.len() > 1) else { continue };
            queue.messages.pop_front();
            if let Some((message_id, body)) = queue.deliver() {
                self.pushes.push((subscriber, Push::Message { queue: id.clone(), message_id, body }));
            }
        }
    }

    /// Says something about each queue to who is subscribed.
    pub fn say(&mut self, what: impl Fn(&[u8]) -> Push) {
        let queues = self.queues.iter().filter_map(|(id, queue)| Some((queue.subscriber?, what(id))));
        self.pushes.extend(queues);
    }

    /// Forgets messages that have waited for too long.
    pub fn expire(&mut self, before: Time) {
        self.queues.values_mut().for_each(|queue| queue.expire(before));
    }

    fn violation(&mut self, caller: Caller, what: impl Into<String>) {
        let what = what.into();
        self.violations.push(format!("agent {}: {what}", caller.party));
    }

    fn id(&mut self) -> Vec<u8> {
        let mut id = vec![0; 24];
        self.random.fill_bytes(&mut id);
        id
    }

    fn create(&mut self, caller: Caller, new: &NewQueue) -> Result<CreatedQueue, Failure> {
        if caller.proxied {
            self.violation(caller, "NEW through a proxy");
        }
        self.asked_for.push(new.key.clone());
        if self.password.is_some() && self.password.as_deref() != new.password.as_ref().map(ServerPassword::as_bytes) {
            return Err(NOT_AUTHORIZED);
        }
        let mode = (caller.version >= 9).then_some(new.mode);
        let link = new.link.as_ref().filter(|_| caller.version >= 15);
        let (sender, link_id) = match link {
            Some(link) => {
                links::check_lengths(&link.data).unwrap_or_else(|what| self.violation(caller, what));
                match (new.mode, link.link_id) {
                    (QueueMode::Contact, None) => self.violation(caller, "NEW of an address without its link's id"),
                    (QueueMode::Messaging, Some(_)) => self.violation(caller, "NEW of an invitation with a link's id"),
                    _ => {}
                }
                let link_id = link.link_id.map_or_else(|| self.id(), |id| id.to_vec());
                (sender_id(CorrelationId::from_array(&link.correlation_id)).to_vec(), Some(link_id))
            }
            None => (self.id(), None),
        };
        if let Some(created) = self.created_before(caller, new, &sender) {
            return Ok(created);
        }
        let taken =
            |id: &Vec<u8>| self.senders.contains_key(id) || self.links.contains_key(id) || self.deleted.contains(id);
        if taken(&sender) || link_id.as_ref().is_some_and(taken) {
            return Err(NOT_AUTHORIZED);
        }
        let recipient_id = self.id();
        let relay_key = X25519SecretKey::generate(&mut self.random);
        let secret = relay_key.diffie_hellman(&new.delivery_key.public_key()).expect("a key of the agent's own");
        let mut queue = Queue::new(new.key.clone(), BoxKey::from(&secret), sender.clone(), mode);
        if new.subscribe {
            queue.subscriber = Some(caller.connection);
        }
        if let (Some(link), Some(id)) = (link, &link_id) {
            queue.link = Some((id.clone(), link.data.clone()));
            self.links.insert(id.clone(), recipient_id.clone());
        }
        self.senders.insert(sender.clone(), recipient_id.clone());
        self.queues.insert(recipient_id.clone(), queue);
        Ok(CreatedQueue { recipient_id, sender_id: sender, relay_key: relay_key.public_key(), mode, link_id })
    }

    /// The queue that an earlier NEW with the same key and sender's id has created.
    fn created_before(&mut self, caller: Caller, new: &NewQueue, sender: &[u8]) -> Option<CreatedQueue> {
        let recipient_id = self.senders.get(sender).filter(|_| self.repeats)?.clone();
        let queue = self.queues.get_mut(&recipient_id).filter(|queue| same_key(&queue.recipient_key, &new.key))?;
        let relay_key = X25519SecretKey::generate(&mut self.random);
        let secret = relay_key.diffie_hellman(&new.delivery_key.public_key()).expect("a key of the agent's own");
        queue.agree_again(BoxKey::from(&secret));
        queue.subscriber = new.subscribe.then_some(caller.connection);
        Some(CreatedQueue {
            recipient_id,
            sender_id: sender.to_vec(),
            relay_key: relay_key.public_key(),
            mode: queue.mode,
            link_id: queue.link.as_ref().map(|(id, _)| id.clone()),
        })
    }

    /// The queue of a recipient who proves to be it.
    fn own(&mut self, caller: Caller, access: &QueueAccess) -> Result<&mut Queue, Failure> {
        if caller.proxied {
            self.violation(caller, "a recipient's command through a proxy");
        }
        let known = self.queues.get(&access.id).map(|queue| same_key(&queue.recipient_key, &access.key));
        if known == Some(false) {
            self.violation(caller, "a recipient's command with the key of another queue");
        }
        match self.queues.get_mut(&access.id).filter(|_| known == Some(true)) {
            Some(queue) => Ok(queue),
            None => Err(NOT_AUTHORIZED),
        }
    }

    /// The same for commands that blocked queues refuse.
    fn own_open(&mut self, caller: Caller, access: &QueueAccess) -> Result<&mut Queue, Failure> {
        let queue = self.own(caller, access)?;
        match queue.blocked {
            Some(blocked) => Err(Failure::of_relay(Reason::Blocked(blocked))),
            None => Ok(queue),
        }
    }

    fn secure(&mut self, caller: Caller, access: &QueueAccess, key: &AuthorizationKey) -> Result<Answer, Failure> {
        let queue = self.own_open(caller, access)?;
        let known = queue.sender_key.get_or_insert(*key);
        if known == key { Ok(Answer::Done) } else { Err(NOT_AUTHORIZED) }
    }

    fn secure_by_sender(&mut self, caller: Caller, access: &QueueAccess) -> Result<Answer, Failure> {
        let Some(queue) = self.senders.get(&access.id).and_then(|id| self.queues.get_mut(id)) else {
            return Err(NOT_AUTHORIZED);
        };
        if let Some(blocked) = queue.blocked {
            return Err(Failure::of_relay(Reason::Blocked(blocked)));
        }
        let mode = queue.mode;
        let result = queue.secure_by_sender(caller.party, &access.key).map(|()| Answer::Done);
        if mode != Some(QueueMode::Messaging) {
            self.violation(caller, "SKEY of a queue that its sender cannot secure");
        }
        result
    }

    fn delete(&mut self, caller: Caller, access: &QueueAccess) -> Result<Answer, Failure> {
        self.own(caller, access)?;
        let Some(queue) = self.queues.remove(&access.id) else { return Err(NOT_AUTHORIZED) };
        self.senders.remove(&queue.sender_id);
        self.deleted.extend([access.id.clone(), queue.sender_id]);
        if let Some((id, _)) = queue.link {
            self.links.remove(&id);
            self.deleted.insert(id);
        }
        if let Some(subscriber) = queue.subscriber.filter(|subscriber| *subscriber != caller.connection) {
            self.pushes.push((subscriber, Push::Deleted(access.id.clone())));
        }
        Ok(Answer::Done)
    }
}

fn same_key(one: &AccessKey, other: &AccessKey) -> bool {
    one.secret().as_bytes() == other.secret().as_bytes()
}
