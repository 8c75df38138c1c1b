//! A peer that says whatever a test wants it to say, and the relay between it and one agent.
//!
//! It has the keys of a real peer, so what it says is read. Nothing of it is checked, and nothing happens by itself.

mod resync;

use std::collections::VecDeque;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use smp_agent::Agent;
use smp_agent::command::{Command, ConnectionOptions, PostQuantum, Reply};
use smp_agent::configuration::Configuration;
use smp_agent::error::ConnectionError;
use smp_agent::event::{Event, EventKind};
use smp_agent::id::{ConnectionId, EventId};
use smp_agent::policy::server::{ConfiguredServer, Server, ServerList};
use smp_agent::policy::session::SessionKey;
use smp_agent::request::{Answer, CreatedQueue, Delivery, Failure, Operation, Reason, RelayEvent};
use smp_agent::time::{SECOND, Time};
use smp_crypto::delivery;
use smp_crypto::hash::sha256;
use smp_crypto::key::{X25519PublicKey, X25519SecretKey};
use smp_crypto::queue_envelope::{self, EnvelopeHeader, SealedEnvelope};
use smp_crypto::ratchet::{BodyKind, Joiner, Ratchet, Resynchronization, Sending, SkippedStore, key_hash};
use smp_crypto::secret_box::{BoxKey, Nonce};
use smp_proto::agent::{AgentEnvelope, AgentMessage, AgreedParameters, ConnectionRequest, EnvelopeContent, Message};
use smp_proto::id::{MessageId, QueueId};
use smp_proto::key::AuthorizationKey;
use smp_proto::smp::message::{ClientMessage, Delivery as Content};
use smp_proto::smp::recipient::QueueMode;
use smp_proto::uri::{QueueAddress, QueueInfo};
use smp_proto::version::{AgentVersion, ClientVersion, RatchetVersion, VersionRange};
use smp_proto::wire::{Decode, Encode, NonEmptyList};

use super::party::USER;
use super::storage::CuttingStorage;
pub use resync::Resync;

/// A queue of the agent's, as its relay knows it.
struct Own {
    recipient_id: Vec<u8>,
    session: SessionKey,
    delivery: BoxKey,
    /// What the peer encrypts with, once it knows the address.
    secret: Option<BoxKey>,
    /// What the relay has not delivered yet, and whether the first is with the agent.
    waiting: VecDeque<(Vec<u8>, Vec<u8>)>,
    delivered: bool,
    deleted: bool,
}

/// A queue of the peer's.
pub struct Theirs {
    pub sender_id: Vec<u8>,
    pub server: Server,
    pub key: X25519SecretKey,
    secret: Option<BoxKey>,
    /// Whether the relay says that it is full.
    pub full: bool,
}

impl Theirs {
    /// Its address.
    pub fn address(&self) -> QueueAddress<'_> {
        QueueAddress {
            server: self.server.address(),
            sender_id: QueueId::new(&self.sender_id).unwrap(),
            dh_key: self.key.public_key(),
            mode: Some(QueueMode::Messaging),
        }
    }
}

/// What the agent sent.
#[derive(Clone, PartialEq, Eq)]
pub enum Said {
    /// A message for the ratchet.
    Message(Vec<u8>),
    /// Keys for a new one.
    Keys(Vec<u8>),
    /// What the ratchet does not open.
    Unreadable,
}

/// An agent and its peer.
pub struct Puppet {
    agent: Option<Agent<CuttingStorage, ChaCha20Rng>>,
    pub storage: CuttingStorage,
    configuration: Configuration,
    pub random: ChaCha20Rng,
    pub now: Time,
    own: Vec<Own>,
    pub theirs: Vec<Theirs>,
    pub connection: ConnectionId,
    joiner: Option<Joiner>,
    pub ratchet: Option<Ratchet>,
    /// What the peer does with keys for a new ratchet, if anything.
    pub resync: Option<Resync>,
    late: SkippedStore<64>,
    pub number: i64,
    pub hash: Vec<u8>,
    /// Events that were told, in order.
    pub events: Vec<EventKind>,
    /// Kept events that were not acknowledged.
    pub pending: VecDeque<EventId>,
    /// Whether events are acknowledged at once.
    pub acknowledges: bool,
    /// The agent's queue whose relay answers no acknowledgement.
    pub deaf: Option<usize>,
    /// What the agent sent, with the place of the queue it came to.
    pub said: Vec<(usize, Said)>,
    /// Operations by name, with the relay's number.
    pub asked: Vec<(usize, &'static str)>,
    servers: Vec<Server>,
    next_id: u64,
}

/// The address of a relay.
pub fn server(number: usize) -> Server {
    let letter = char::from(b'A' + u8::try_from(number).unwrap());
    Server::parse(&format!("smp://{letter}pd7JvjLnNPNfqES2AdWWndE8JoS9gdcvKu0Ba-P2DY=@relay{number}.example.com"))
        .unwrap()
}

/// How many relays there are. The first half is the agent's.
const RELAYS: usize = 8;

impl Puppet {
    /// An agent whose user has an invitation that the peer knows.
    pub fn invited(seed: u64, receive_queues: u8) -> Self {
        Self::configured(seed, receive_queues, Configuration::default())
    }

    /// The same with a configuration.
    pub fn configured(seed: u64, receive_queues: u8, configuration: Configuration) -> Self {
        let storage = CuttingStorage::default();
        let now = Time(1_700_000_000 * SECOND);
        let agent = Agent::open(storage.clone(), configuration.clone(), ChaCha20Rng::seed_from_u64(seed), now).unwrap();
        let mut puppet = Self {
            agent: Some(agent),
            storage,
            configuration,
            random: ChaCha20Rng::seed_from_u64(seed + 1_000),
            now,
            own: Vec::new(),
            theirs: Vec::new(),
            connection: ConnectionId::from_bytes([0; 12]),
            joiner: None,
            ratchet: None,
            resync: None,
            late: SkippedStore::new(),
            number: 0,
            hash: Vec::new(),
            events: Vec::new(),
            pending: VecDeque::new(),
            acknowledges: true,
            deaf: None,
            said: Vec::new(),
            asked: Vec::new(),
            servers: (0..RELAYS).map(server).collect(),
            next_id: 0,
        };
        let own =
            puppet.servers[..RELAYS / 2].iter().map(|server| ConfiguredServer::parse(&server.to_string()).unwrap());
        let servers = ServerList::from(own.collect::<Vec<_>>());
        puppet.command(Command::SetServers { user: USER, servers });
        let options = ConnectionOptions { post_quantum: PostQuantum::Off, receive_queues };
        let Reply::Connection(connection) = puppet.command(Command::Invite { user: USER, options, link: None }) else {
            panic!("no connection");
        };
        puppet.connection = connection;
        puppet
    }

    /// A connection to one queue of the peer's, at its relay 4, that is made.
    pub fn connected(seed: u64, receive_queues: u8) -> Self {
        let mut puppet = Self::invited(seed, receive_queues);
        puppet.join(1);
        puppet.allow();
        puppet
    }

    fn agent(&mut self) -> &mut Agent<CuttingStorage, ChaCha20Rng> {
        self.agent.as_mut().expect("it runs")
    }

    /// Gives a command that must not be refused.
    pub fn command(&mut self, command: Command) -> Reply {
        let now = self.now;
        let reply = self.agent().handle(now, command).expect("it is not refused");
        self.settle();
        reply
    }

    /// The agent's process ends and starts again.
    pub fn restart(&mut self) {
        self.agent = None;
        self.pending.clear();
        self.events.clear();
        for queue in &mut self.own {
            queue.delivered = false;
        }
        self.next_id += 1;
        let random = ChaCha20Rng::seed_from_u64(self.next_id);
        self.agent = Some(Agent::open(self.storage.clone(), self.configuration.clone(), random, self.now).unwrap());
        self.command(Command::SubscribeAll);
    }

    /// Lets time pass, in milliseconds.
    pub fn wait(&mut self, span: u64) {
        let end = self.now.after(span);
        while let Some(deadline) = self.agent().next_deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            let now = self.now;
            self.agent().advance(now).unwrap();
            self.settle();
        }
        self.now = end;
    }

    /// Executes what the agent asks for, delivers what waits for it, and acknowledges its events, until nothing follows.
    pub fn settle(&mut self) {
        loop {
            self.agent().commit().expect("the storage works");
            let mut idle = true;
            while let Some(Event { id, kind }) = self.agent().poll().expect("the storage works") {
                self.events.push(kind);
                self.pending.extend(id);
            }
            let now = self.now;
            if self.acknowledges
                && let Some(event) = self.pending.pop_front()
            {
                self.agent().handle(now, Command::Acknowledge { event, receipt: None }).expect("an event");
                continue;
            }
            while let Some(request) = self.agent().next_request() {
                idle = false;
                let result = self.execute(&request.session, &request.operation);
                self.agent().answer(now, request.id, result).expect("it goes on");
            }
            for place in 0..self.own.len() {
                let queue = &mut self.own[place];
                if queue.delivered || queue.deleted {
                    continue;
                }
                let Some((message_id, body)) = queue.waiting.front().cloned() else { continue };
                queue.delivered = true;
                idle = false;
                let delivery = Delivery {
                    server: queue.session.server().clone(),
                    session: queue.session.clone(),
                    queue: queue.recipient_id.clone(),
                    message_id,
                    body,
                };
                self.agent().relay_event(now, RelayEvent::Message(Box::new(delivery))).expect("it goes on");
                // Each message is durable for itself.
                self.agent().commit().expect("the storage works");
            }
            if idle {
                return;
            }
        }
    }

    fn id(&mut self) -> Vec<u8> {
        self.next_id += 1;
        let mut id = vec![0; 24];
        id[..8].copy_from_slice(&self.next_id.to_be_bytes());
        id
    }

    fn execute(&mut self, session: &SessionKey, operation: &Operation) -> Result<Answer, Failure> {
        let relay = self.servers.iter().position(|server| server == session.server()).unwrap_or(usize::MAX);
        let name = match operation {
            Operation::CreateQueue(_) => "NEW",
            Operation::Secure { .. } => "KEY",
            Operation::SecureBySender { .. } => "SKEY",
            Operation::Send { .. } => "SEND",
            Operation::Subscribe(_) => "SUB",
            Operation::Acknowledge { .. } => "ACK",
            Operation::Delete(_) => "DEL",
            _ => "other",
        };
        self.asked.push((relay, name));
        match operation {
            Operation::CreateQueue(new) => {
                let relay_key = X25519SecretKey::generate(&mut self.random);
                let secret = relay_key.diffie_hellman(&new.delivery_key.public_key()).unwrap();
                let (recipient_id, sender_id) = (self.id(), self.id());
                self.own.push(Own {
                    recipient_id: recipient_id.clone(),
                    session: session.clone(),
                    delivery: BoxKey::from(&secret),
                    secret: None,
                    waiting: VecDeque::new(),
                    delivered: false,
                    deleted: false,
                });
                Ok(Answer::Created(CreatedQueue {
                    recipient_id,
                    sender_id,
                    relay_key: relay_key.public_key(),
                    mode: Some(new.mode),
                    link_id: None,
                }))
            }
            Operation::Subscribe(queues) => Ok(Answer::Each(queues.iter().map(|_| Ok(())).collect())),
            Operation::Acknowledge { queue, message_id } => {
                let place = self.own.iter().position(|own| own.recipient_id == queue.id).expect("a queue");
                if self.deaf == Some(place) {
                    return Err(Failure::of_relay(Reason::Timeout));
                }
                let own = &mut self.own[place];
                if own.waiting.front().is_some_and(|(id, _)| id == message_id) {
                    own.waiting.pop_front();
                    own.delivered = false;
                    return Ok(Answer::Done);
                }
                Err(Failure::of_relay(Reason::NoMessage))
            }
            Operation::Delete(queue) => {
                let own = self.own.iter_mut().find(|own| own.recipient_id == queue.id).expect("a queue");
                own.deleted = true;
                Ok(Answer::Done)
            }
            Operation::Send { sender_id, body, .. } => self.take_sent(sender_id, body),
            _ => Ok(Answer::Done),
        }
    }

    /// The agent sends something to the peer.
    fn take_sent(&mut self, sender_id: &[u8], body: &[u8]) -> Result<Answer, Failure> {
        let Some(place) = self.theirs.iter().position(|queue| queue.sender_id == sender_id) else {
            return Err(Failure::of_relay(Reason::NotAuthorized));
        };
        let queue = &mut self.theirs[place];
        if queue.full {
            return Err(Failure::of_relay(Reason::Quota));
        }
        let mut body = body.to_vec();
        let sealed = SealedEnvelope::new(&mut body).expect("an envelope");
        if let Some(key) = sealed.header().key {
            queue.secret = Some(BoxKey::from(&queue.key.diffie_hellman(&key).unwrap()));
        }
        let secret = queue.secret.as_ref().expect("keys were agreed on");
        let content = sealed.open(secret).expect("the key of the queue");
        let mut content = content.body.to_vec();
        let (envelope, rest) = AgentEnvelope::split(&mut content).expect("an envelope of an agent");
        let could_send = self.ratchet.as_ref().is_some_and(Ratchet::can_send);
        let said = match envelope.content {
            EnvelopeContent::RatchetKey { parameters, .. } => {
                let mut buffer = [0; AgreedParameters::MAX_LENGTH];
                self.take_keys(&parameters);
                Said::Keys(parameters.to_slice(&mut buffer).unwrap().to_vec())
            }
            _ => match self.ratchet.as_mut().map(|ratchet| ratchet.decrypt(&mut self.late, &mut self.random, rest)) {
                Some(Ok(opened)) => Said::Message(opened.message.to_vec()),
                _ => Said::Unreadable,
            },
        };
        if let (Said::Message(plaintext), Some(resync)) = (&said, &mut self.resync) {
            (resync.agreed, resync.required) = (false, false);
            let message = AgentMessage::from_bytes(plaintext).expect("a message");
            if matches!(message, AgentMessage::Sequenced { message: Message::Ready(_), .. }) && !could_send {
                self.put_ready();
            }
        }
        self.said.push((place, said));
        Ok(Answer::Done)
    }

    /// A new queue of the peer's at a relay; its place.
    pub fn new_queue(&mut self, relay: usize) -> usize {
        let sender_id = self.id();
        let key = X25519SecretKey::generate(&mut self.random);
        self.theirs.push(Theirs { sender_id, server: server(relay), key, secret: None, full: false });
        self.theirs.len() - 1
    }

    /// What was agreed for a queue with the sender's key in QKEY.
    pub fn agree(&mut self, place: usize, sender: &X25519PublicKey) {
        let queue = &mut self.theirs[place];
        queue.secret = Some(BoxKey::from(&queue.key.diffie_hellman(sender).unwrap()));
    }

    /// The link of the invitation.
    pub fn request(&self) -> ConnectionRequest {
        let links = self.events.iter().find_map(|kind| match kind {
            EventKind::LinkReady { links, .. } => Some(links.full.clone()),
            _ => None,
        });
        ConnectionRequest::parse(&links.expect("a link")).unwrap()
    }

    /// The peer's first message to each of the agent's queues that the link names, with queues of its own.
    pub fn join(&mut self, queues: usize) {
        self.prepare_to_join();
        let places: Vec<usize> = (0..queues).map(|number| self.new_queue(RELAYS / 2 + number)).collect();
        let theirs = std::mem::take(&mut self.theirs);
        let infos: Vec<QueueInfo<'_>> = places
            .iter()
            .map(|place| QueueInfo { version: ClientVersion::MAX, queue: theirs[*place].address() })
            .collect();
        let message = AgentMessage::ConnectionInfoReply { queues: NonEmptyList::new(&infos).unwrap(), info: b"peer" };
        let plaintext = bytes(&message);
        self.theirs = theirs;
        self.confirm(&plaintext, None);
    }

    /// Makes the peer's keys.
    pub fn prepare_to_join(&mut self) {
        let request = self.request();
        let joiner =
            Joiner::answer(&mut self.random, VersionRange::RATCHET, request.ratchet().unwrap(), false).unwrap();
        self.ratchet = Some(joiner.ratchet(&mut self.random).unwrap());
        self.joiner = Some(joiner);
    }

    /// Sends a confirmation with this in it to each of the agent's queues that the link names.
    pub fn confirm(&mut self, plaintext: &[u8], sender_key: Option<AuthorizationKey>) {
        let padded = BodyKind::Confirmation.padded_length(AgentVersion::MAX, false);
        let message = self.encrypt(plaintext, padded);
        let joiner = self.joiner.take().expect("keys");
        let content = EnvelopeContent::Confirmation { parameters: Some(joiner.parameters()), message: &message };
        let envelope = bytes(&AgentEnvelope { version: AgentVersion::MAX, content });
        self.joiner = Some(joiner);
        let addresses: Vec<_> = self.request().queues().map(|queue| queue.dh_key()).collect();
        for (place, address) in addresses.iter().enumerate() {
            let secret = X25519SecretKey::generate(&mut self.random);
            let key = BoxKey::from(&secret.diffie_hellman(address).unwrap());
            self.deliver_envelope(place, &key, Some(secret.public_key()), sender_key, &envelope);
            self.own[place].secret = Some(key);
        }
        self.number = 1;
        self.hash = sha256(&[plaintext]).to_vec();
        self.settle();
    }

    /// The user lets the peer in.
    pub fn allow(&mut self) {
        let connection = self.connection;
        self.command(Command::Allow { connection, info: b"agent".to_vec() });
    }

    /// Encrypts with the ratchet.
    pub fn encrypt(&mut self, plaintext: &[u8], padded: usize) -> Vec<u8> {
        let mut out = vec![0; 16_384];
        let ratchet = self.ratchet.as_mut().expect("a ratchet");
        ratchet.encrypt(Sending::default(), plaintext, padded, &mut out).unwrap().to_vec()
    }

    /// The next message of the peer's, for the ratchet.
    pub fn next_plaintext(&mut self, message: Message<'_>) -> Vec<u8> {
        self.number += 1;
        let previous_hash = self.hash.clone();
        let plaintext = bytes(&AgentMessage::Sequenced { number: self.number, previous_hash: &previous_hash, message });
        self.hash = sha256(&[&plaintext]).to_vec();
        plaintext
    }

    /// The next message of the peer's, encrypted by the ratchet.
    pub fn next_message(&mut self, message: Message<'_>) -> Vec<u8> {
        let plaintext = self.next_plaintext(message);
        self.encrypt(&plaintext, BodyKind::Message.padded_length(AgentVersion::MAX, false))
    }

    /// Puts what a ratchet encrypted into one of the agent's queues.
    pub fn put(&mut self, place: usize, message: &[u8]) {
        let content = EnvelopeContent::Message(message);
        self.put_content(place, content);
    }

    /// Puts an envelope into one of the agent's queues.
    pub fn put_content(&mut self, place: usize, content: EnvelopeContent<'_>) {
        let envelope = bytes(&AgentEnvelope { version: AgentVersion::MAX, content });
        let key = self.own[place].secret.take().expect("keys were agreed on");
        self.deliver_envelope(place, &key, None, None, &envelope);
        self.own[place].secret = Some(key);
    }

    /// Says something in the first queue, and lets the agent do what follows.
    pub fn say(&mut self, message: Message<'_>) {
        let message = self.next_message(message);
        self.put(0, &message);
        self.settle();
    }

    /// Takes what was agreed for one of the agent's queues, and puts this in its place.
    pub fn swap_secret(&mut self, place: usize, secret: Option<BoxKey>) -> Option<BoxKey> {
        std::mem::replace(&mut self.own[place].secret, secret)
    }

    /// Encrypts for a queue and leaves it to its relay.
    fn deliver_envelope(
        &mut self,
        place: usize,
        key: &BoxKey,
        public: Option<X25519PublicKey>,
        sender_key: Option<AuthorizationKey>,
        envelope: &[u8],
    ) {
        let mut body = vec![0; queue_envelope::MESSAGE_LENGTH];
        let nonce = Nonce::generate(&mut self.random);
        let header = EnvelopeHeader { version: ClientVersion::MAX, key: public, nonce };
        let content = ClientMessage { sender_key, body: envelope };
        let sealed = queue_envelope::seal(key, &header, &content, &mut body).unwrap().to_vec();
        let id = self.id();
        let mut body = [0; delivery::SEALED_LENGTH];
        let time = smp_proto::wire::Time(1_700_000_000);
        let content = Content::Message { time, notification: true, body: &sealed };
        delivery::seal(&self.own[place].delivery, MessageId::new(&id).unwrap(), &content, &mut body).unwrap();
        self.own[place].waiting.push_back((id, body.to_vec()));
    }

    /// How many messages the agent has not acknowledged in a queue.
    pub fn waiting(&self, place: usize) -> usize {
        self.own[place].waiting.len()
    }

    /// What the agent said in messages for the ratchet, by the letters of their kinds.
    pub fn kinds(&self) -> Vec<String> {
        self.said
            .iter()
            .map(|(_, said)| match said {
                Said::Message(plaintext) => {
                    AgentMessage::from_bytes(plaintext).expect("a message").kind().code().to_owned()
                }
                Said::Keys(_) => "R".to_owned(),
                Said::Unreadable => "?".to_owned(),
            })
            .collect()
    }

    /// How often the agent said this.
    pub fn count(&self, code: &str) -> usize {
        self.kinds().iter().filter(|kind| *kind == code).count()
    }

    /// The bodies of messages that came.
    pub fn texts(&self) -> Vec<String> {
        let texts = self.events.iter().filter_map(|kind| match kind {
            EventKind::Message { message, .. } => Some(String::from_utf8_lossy(&message.body.0).into_owned()),
            _ => None,
        });
        texts.collect()
    }

    /// What the agent told of that went wrong.
    pub fn failures(&self) -> Vec<ConnectionError> {
        let errors = self.events.iter().filter_map(|kind| match kind {
            EventKind::Failed { error, .. } => Some(*error),
            _ => None,
        });
        errors.collect()
    }

    /// Sends a message of the user's; its number.
    pub fn send(&mut self, text: &str) -> smp_agent::id::MessageId {
        let (connection, body) = (self.connection, text.as_bytes().to_vec());
        match self.command(Command::Send { connection, body, notify: true }) {
            Reply::Message(message) => message,
            other => panic!("{other:?}"),
        }
    }

    /// What the agent tells of the connection.
    pub fn summary(&mut self) -> smp_agent::summary::ConnectionSummary {
        let connection = self.connection;
        self.agent().connection(connection).expect("a connection")
    }

    /// A number.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.random.next_u64() % limit
    }
}

/// The encoding of something.
pub fn bytes(value: &impl Encode) -> Vec<u8> {
    let mut buffer = vec![0; 32_768];
    value.to_slice(&mut buffer).expect("it fits").to_vec()
}
