//! The other party of a connection, with all its keys: says what it is told to say, in the right encryption.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use smp_agent::policy::server::Server;
use smp_crypto::hash::sha256;
use smp_crypto::key::{Ed25519SecretKey, SharedSecret, X25519PublicKey, X25519SecretKey};
use smp_crypto::queue_envelope::{self, EnvelopeHeader, SealedEnvelope};
use smp_crypto::ratchet::{
    BodyKind, EncapsulationRequest, Initiator, Joiner, Ratchet, Resynchronization, Sending, SkippedStore,
};
use smp_crypto::secret_box::{BoxKey, Nonce};
use smp_proto::agent::connection_request::MAX_QUEUES;
use smp_proto::agent::{AgentEnvelope, AgentMessage, AgreedParameters, ConnectionRequest, EnvelopeContent, Message};
use smp_proto::id::QueueId;
use smp_proto::key::AuthorizationKey;
use smp_proto::smp::message::ClientMessage;
use smp_proto::smp::recipient::QueueMode;
use smp_proto::uri::{QueueAddress, QueueInfo, QueueUri};
use smp_proto::version::{AgentVersion, ClientVersion, VersionRange};
use smp_proto::wire::{Decode, Encode, NonEmptyList, Writer};

use super::relays::Sent;

/// Larger than any message.
const BUFFER: usize = 20_000;
/// How many messages of the agent are remembered.
const REMEMBERED: usize = 8;

type Skipped = SkippedStore<64, 4>;

/// A queue that leads to the agent.
#[derive(Clone)]
pub struct Lane {
    /// Its relay.
    pub server: Server,
    /// The sender's id.
    pub sender_id: Vec<u8>,
    secret: [u8; 32],
    shared: [u8; 32],
}

/// A queue that leads to the peer.
#[derive(Clone)]
pub struct Own {
    /// Its relay.
    pub server: Server,
    /// The sender's id.
    pub sender_id: Vec<u8>,
    /// What it is for.
    pub mode: Option<QueueMode>,
    secret: [u8; 32],
    shared: Option<[u8; 32]>,
}

/// The other party.
pub struct Peer {
    /// Its randomness.
    pub random: ChaCha8Rng,
    /// Its ratchet, once there is one.
    pub ratchet: Option<Ratchet>,
    skipped: Skipped,
    initiator: Option<Initiator>,
    /// Its keys for a new ratchet.
    pub resynchronization: Option<Resynchronization>,
    /// The agent's parameters for a new ratchet, encoded.
    pub proposed: Vec<u8>,
    /// What its confirmation says of the ratchet, encoded.
    pub parameters: Vec<u8>,
    /// The number of the last message it sent, and its hash.
    pub last: (i64, Vec<u8>),
    /// Numbers and hashes of messages that the agent sent.
    pub received: Vec<(i64, [u8; 32])>,
    /// Queues that lead to the agent.
    pub lanes: Vec<Lane>,
    /// Queues that lead here.
    pub own: Vec<Own>,
    /// Whether it uses post-quantum keys.
    pub post_quantum: bool,
    /// The version it says.
    pub version: AgentVersion,
}

impl Lane {
    /// How the agent knows the queue, with the peer's key.
    #[must_use]
    pub fn address(&self, mode: Option<QueueMode>) -> QueueAddress<'_> {
        QueueAddress {
            server: self.server.address(),
            sender_id: QueueId::new(&self.sender_id).unwrap_or(QueueId::EMPTY),
            dh_key: X25519SecretKey::from_bytes(&self.secret).public_key(),
            mode,
        }
    }
}

impl Own {
    /// Its address, as the agent has to know it.
    #[must_use]
    pub fn address(&self) -> QueueAddress<'_> {
        QueueAddress {
            server: self.server.address(),
            sender_id: QueueId::new(&self.sender_id).unwrap_or(QueueId::EMPTY),
            dh_key: X25519SecretKey::from_bytes(&self.secret).public_key(),
            mode: self.mode,
        }
    }
}

/// Writes a value that fits.
#[must_use]
pub fn encoded(value: &impl Encode) -> Option<Vec<u8>> {
    value.to_slice(&mut [0; BUFFER]).ok().map(<[u8]>::to_vec)
}

impl Peer {
    /// A party without anything.
    #[must_use]
    pub fn new(seed: u64, post_quantum: bool) -> Self {
        Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            ratchet: None,
            skipped: Skipped::new(),
            initiator: None,
            resynchronization: None,
            proposed: Vec::new(),
            parameters: Vec::new(),
            last: (0, Vec::new()),
            received: Vec::new(),
            lanes: Vec::new(),
            own: Vec::new(),
            post_quantum,
            version: AgentVersion::MAX,
        }
    }

    /// The same party again.
    #[must_use]
    pub fn copy(&self) -> Self {
        let ratchet = self.ratchet.as_ref().map(|ratchet| {
            let mut buffer = [0; Ratchet::MAX_SERIALIZED_LENGTH];
            Ratchet::from_bytes(ratchet.to_bytes(&mut buffer).expect("the bound is right")).expect("it was written")
        });
        let skipped = self.skipped.to_bytes(&mut [0; Skipped::MAX_SERIALIZED_LENGTH]).map(|bytes| bytes.to_vec());
        let initiator = self.initiator.as_ref().map(|keys| {
            let mut buffer = [0; Initiator::MAX_SERIALIZED_LENGTH];
            Initiator::from_bytes(keys.to_bytes(&mut buffer).expect("the bound is right")).expect("it was written")
        });
        let resynchronization = self.resynchronization.as_ref().map(|keys| {
            let mut buffer = [0; Resynchronization::MAX_SERIALIZED_LENGTH];
            let bytes = keys.to_bytes(&mut buffer).expect("the bound is right");
            Resynchronization::from_bytes(bytes).expect("it was written")
        });
        Self {
            random: self.random.clone(),
            ratchet,
            skipped: Skipped::from_bytes(&skipped.expect("the bound is right")).expect("it was written"),
            initiator,
            resynchronization,
            proposed: self.proposed.clone(),
            parameters: self.parameters.clone(),
            last: self.last.clone(),
            received: self.received.clone(),
            lanes: self.lanes.clone(),
            own: self.own.clone(),
            ..*self
        }
    }

    /// A queue of its own at one of its relays.
    pub fn add_own(&mut self, relay: usize, mode: Option<QueueMode>) {
        let mut sender_id = vec![0; 24];
        self.random.fill_bytes(&mut sender_id);
        let secret = *X25519SecretKey::generate(&mut self.random).as_bytes();
        self.own.push(Own { server: super::starts::peer_server(relay), sender_id, mode, secret, shared: None });
    }

    /// Learns of a queue that leads to the agent.
    pub fn add_lane(&mut self, address: &QueueAddress<'_>) {
        let secret = X25519SecretKey::generate(&mut self.random);
        let (Ok(server), Ok(shared)) = (Server::try_from(&address.server), secret.diffie_hellman(&address.dh_key))
        else {
            return;
        };
        let sender_id = address.sender_id.as_bytes().to_vec();
        if self.lanes.len() < 2 * MAX_QUEUES && !self.lanes.iter().any(|lane| lane.sender_id == sender_id) {
            let (secret, shared) = (*secret.as_bytes(), *shared.as_bytes());
            self.lanes.push(Lane { server, sender_id, secret, shared });
        }
    }

    /// The link of an invitation to its queues.
    pub fn invitation(&mut self) -> String {
        let initiator = Initiator::generate(&mut self.random, VersionRange::RATCHET, self.post_quantum);
        let uri = |own: &Own| QueueUri::new(VersionRange::CLIENT, &own.address()).expect("ids are short");
        let request = ConnectionRequest::invitation(VersionRange::AGENT, uri(&self.own[0]), initiator.parameters());
        let mut more = self.own.iter().take(MAX_QUEUES).skip(1);
        let request = more.try_fold(request, |request, own| request.with_queue(uri(own)));
        self.initiator = Some(initiator);
        request.expect("there are few").to_string()
    }

    /// Makes its half of the ratchet from the agent's invitation.
    pub fn join(&mut self, link: &str) {
        let Ok(request) = ConnectionRequest::parse(link) else { return };
        for queue in request.queues() {
            self.add_lane(&queue.queue());
        }
        let Some(parameters) = request.ratchet() else { return };
        let joiner = Joiner::answer(&mut self.random, VersionRange::RATCHET, parameters, self.post_quantum);
        let joiner = joiner.expect("versions overlap");
        self.ratchet = Some(joiner.ratchet(&mut self.random).expect("the agent's keys are good"));
        self.parameters = encoded(&joiner.parameters()).unwrap_or_default();
    }

    /// The body of its confirmation: its queues and information, or as the initiator information only.
    pub fn introduction(&mut self, info: &[u8]) -> Vec<u8> {
        let queues: Vec<_> =
            self.own.iter().map(|own| QueueInfo { version: ClientVersion::MAX, queue: own.address() }).collect();
        let message = match NonEmptyList::new(&queues) {
            Ok(queues) if !self.parameters.is_empty() => AgentMessage::ConnectionInfoReply { queues, info },
            _ => AgentMessage::ConnectionInfo(info),
        };
        let bytes = encoded(&message).unwrap_or_default();
        self.count(1, &bytes);
        bytes
    }

    /// A message was made.
    pub fn count(&mut self, number: i64, bytes: &[u8]) {
        self.last = (number, sha256(&[bytes]).to_vec());
    }

    /// A numbered message in the right order.
    pub fn numbered(&mut self, message: Message<'_>) -> Vec<u8> {
        let (number, hash) = (self.last.0.saturating_add(1), std::mem::take(&mut self.last.1));
        let bytes = encoded(&AgentMessage::Sequenced { number, previous_hash: &hash, message }).unwrap_or_default();
        self.count(number, &bytes);
        bytes
    }

    /// What the ratchet makes of it.
    pub fn encrypt(&mut self, plaintext: &[u8], kind: BodyKind) -> Option<Vec<u8>> {
        let request = if self.post_quantum { EncapsulationRequest::On } else { EncapsulationRequest::Off };
        let padded = kind.padded_length(self.version, self.post_quantum);
        let mut buffer = [0; BUFFER];
        let sent = self.ratchet.as_mut()?.encrypt(Sending::from(request), plaintext, padded, &mut buffer).ok()?;
        Some(sent.to_vec())
    }

    /// Numbers that are missing when the next message comes.
    pub fn skip(&mut self, count: usize) {
        for _ in 0..count {
            if let Some(ratchet) = &mut self.ratchet {
                let _ = ratchet.prepare(Sending::default());
            }
        }
    }

    /// An agent's envelope.
    #[must_use]
    pub fn envelope(&self, content: EnvelopeContent<'_>) -> Option<Vec<u8>> {
        encoded(&AgentEnvelope { version: self.version, content })
    }

    /// The confirmation in its agent's envelope.
    #[must_use]
    pub fn confirmation(&self, message: &[u8]) -> Option<Vec<u8>> {
        let parameters = match self.parameters.is_empty() {
            true => None,
            false => Some(AgreedParameters::from_bytes(&self.parameters).ok()?),
        };
        self.envelope(EnvelopeContent::Confirmation { parameters, message })
    }

    /// Seals something for one of its lanes; an introduction brings the own key, and perhaps one to secure the queue with.
    pub fn seal(&mut self, lane: usize, body: &[u8], introduces: bool, secures: bool) -> Option<Vec<u8>> {
        let secret = X25519SecretKey::from_bytes(&self.lanes.get(lane)?.secret);
        let header = EnvelopeHeader {
            version: ClientVersion::MAX,
            key: introduces.then(|| secret.public_key()),
            nonce: Nonce::generate(&mut self.random),
        };
        let key = Ed25519SecretKey::from_bytes(&[5; 32]).public_key();
        let content = ClientMessage { sender_key: secures.then_some(AuthorizationKey::Ed25519(key)), body };
        let mut buffer = [0; BUFFER];
        queue_envelope::seal(&self.lane_key(lane)?, &header, &content, &mut buffer).ok().map(<[u8]>::to_vec)
    }

    /// Seals any bytes in the place of the message and its front.
    pub fn seal_raw(&mut self, lane: usize, front: &[u8], content: &[u8]) -> Option<Vec<u8>> {
        let nonce = Nonce::generate(&mut self.random);
        let mut sealed = vec![0; 16_000];
        let key = self.lane_key(lane)?;
        key.seal_content(&nonce, &mut sealed, |writer: &mut Writer<'_>| writer.bytes(content)).ok()?;
        Some([front, &nonce.0, &sealed].concat())
    }

    fn lane_key(&self, lane: usize) -> Option<BoxKey> {
        Some(BoxKey::from(&SharedSecret::from_bytes(self.lanes.get(lane)?.shared)))
    }

    /// Starts anew, or answers what the agent proposed: the parameters of its key message.
    pub fn resynchronize(&mut self) -> Option<Vec<u8>> {
        let version = smp_proto::version::RatchetVersion::MAX;
        let keys = match AgreedParameters::from_bytes(&self.proposed) {
            Ok(parameters) => {
                Resynchronization::answer(&mut self.random, VersionRange::RATCHET, &parameters, self.post_quantum)
                    .ok()?
            }
            Err(_) => Resynchronization::start(&mut self.random, version, self.post_quantum),
        };
        let parameters = encoded(&keys.parameters());
        self.resynchronization = Some(keys);
        self.agree();
        parameters
    }

    /// Takes a new ratchet when both sides' keys are known.
    fn agree(&mut self) {
        use smp_crypto::ratchet::Role;
        let (Some(keys), Ok(parameters)) = (&self.resynchronization, AgreedParameters::from_bytes(&self.proposed))
        else {
            return;
        };
        let ratchet = match keys.role(&parameters) {
            Role::Sender => keys.sender(&parameters, &mut self.random),
            Role::Receiver | Role::Disagree => keys.receiver(&parameters, self.post_quantum),
        };
        if let Ok(ratchet) = ratchet {
            (self.ratchet, self.skipped) = (Some(ratchet), Skipped::new());
        }
        self.resynchronization = None;
        self.proposed.clear();
    }

    /// Reads what the agent sent to one of its queues.
    pub fn read(&mut self, sent: &Sent) -> Option<()> {
        let place = self.own.iter().position(|own| own.sender_id == sent.sender_id)?;
        let mut body = sent.body.clone();
        let sealed = SealedEnvelope::new(&mut body).expect("the agent sends envelopes");
        let own = &mut self.own[place];
        if let Some(X25519PublicKey(key)) = sealed.header().key {
            let secret = X25519SecretKey::from_bytes(&own.secret);
            own.shared = Some(*secret.diffie_hellman(&X25519PublicKey(key)).ok()?.as_bytes());
        }
        let key = BoxKey::from(&SharedSecret::from_bytes(own.shared?));
        let mut body = sealed.open(&key).ok()?.body.to_vec();
        let (envelope, rest) = AgentEnvelope::split(&mut body).expect("the agent sends envelopes of agents");
        match envelope.content {
            EnvelopeContent::Confirmation { parameters: Some(parameters), .. } => {
                if let Some(initiator) = self.initiator.take() {
                    self.ratchet = initiator.accept(&parameters, self.post_quantum).ok();
                }
                self.open(rest)
            }
            EnvelopeContent::Confirmation { .. } | EnvelopeContent::Message(_) => self.open(rest),
            EnvelopeContent::Invitation { request, .. } => {
                self.join(request);
                Some(())
            }
            EnvelopeContent::RatchetKey { parameters, .. } => {
                self.proposed = encoded(&parameters)?;
                self.agree();
                Some(())
            }
        }
    }

    /// The agent has told its key for a queue that was added.
    fn agree_on_own(&mut self, queue: &QueueAddress<'_>) {
        let sender_id = queue.sender_id.as_bytes();
        if let Some(own) = self.own.iter_mut().find(|own| own.sender_id == sender_id) {
            let shared = X25519SecretKey::from_bytes(&own.secret).diffie_hellman(&queue.dh_key);
            own.shared = shared.ok().map(|shared| *shared.as_bytes());
        }
    }

    /// Decrypts with its ratchet and learns of queues.
    fn open(&mut self, message: &mut [u8]) -> Option<()> {
        let opened = self.ratchet.as_mut()?.decrypt(&mut self.skipped, &mut self.random, message).ok()?;
        let plaintext = opened.message.to_vec();
        match AgentMessage::from_bytes(&plaintext).expect("the agent sends messages") {
            AgentMessage::ConnectionInfoReply { queues, .. } => {
                for queue in &queues {
                    self.add_lane(&queue.queue);
                }
            }
            AgentMessage::Sequenced { number, message, .. } => {
                self.received.insert(0, (number, sha256(&[&plaintext])));
                self.received.truncate(REMEMBERED);
                match message {
                    Message::AddQueues(queues) => {
                        for added in &queues {
                            self.add_lane(&added.queue.queue());
                        }
                    }
                    Message::QueueKeys(keys) => {
                        for key in &keys {
                            self.agree_on_own(&key.queue.queue);
                        }
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        Some(())
    }
}
