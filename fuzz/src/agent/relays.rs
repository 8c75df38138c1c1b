//! Relays that do what they are asked, and keep what is sent: those of the agent and those of its peer.

use std::collections::VecDeque;

use smp_agent::policy::server::Server;
use smp_agent::request::{Answer, CreatedQueue, Failure, LinkData, Operation, Reason};
use smp_crypto::delivery::{self, SEALED_LENGTH};
use smp_crypto::hash::{sender_id, sha256};
use smp_crypto::key::{SharedSecret, X25519SecretKey};
use smp_crypto::secret_box::BoxKey;
use smp_proto::id::{CorrelationId, MessageId};
use smp_proto::smp::message::Delivery;
use smp_proto::smp::recipient::QueueMode;
use smp_proto::wire;

/// How many messages a queue keeps.
const QUOTA: usize = 8;

/// A queue that the agent receives from.
#[derive(Clone)]
pub struct Queue {
    /// Its relay.
    pub server: Server,
    /// The recipient's id.
    pub recipient_id: Vec<u8>,
    /// The sender's id.
    pub sender_id: Vec<u8>,
    /// Messages that wait, the oldest first: its id and what the sender sent.
    pub messages: VecDeque<(Vec<u8>, Vec<u8>)>,
    /// Whether the agent has the first one.
    pub delivered: bool,
    secret: [u8; 32],
}

/// A message that the agent sent.
#[derive(Clone)]
pub struct Sent {
    /// The sender's id of its queue.
    pub sender_id: Vec<u8>,
    /// The envelope.
    pub body: Vec<u8>,
}

/// All relays.
#[derive(Clone)]
pub struct Relays {
    /// The queues of the agent.
    pub queues: Vec<Queue>,
    /// What the agent has sent and the peer has not read.
    pub sent: VecDeque<Sent>,
    /// The links of the peer: their ids, the sender's ids and the data.
    pub links: Vec<(Vec<u8>, Vec<u8>, LinkData)>,
    /// Whether queues are made without a mode, as by relays before version 9.
    pub old: bool,
    /// How the next messages of the agent are refused.
    pub refusals: VecDeque<Failure>,
    last: u64,
}

impl Default for Relays {
    fn default() -> Self {
        Self {
            queues: Vec::new(),
            sent: VecDeque::new(),
            links: Vec::new(),
            old: false,
            refusals: VecDeque::new(),
            last: 0,
        }
    }
}

impl Queue {
    /// The encryption of its last hop.
    #[must_use]
    pub fn key(&self) -> BoxKey {
        BoxKey::from(&SharedSecret::from_bytes(self.secret))
    }

    /// What the relay makes of something for the recipient.
    #[must_use]
    pub fn seal(&self, message_id: &[u8], content: &Delivery<'_>) -> Vec<u8> {
        let mut sealed = [0; SEALED_LENGTH];
        let Ok(id) = MessageId::new(message_id) else { return Vec::new() };
        match delivery::seal(&self.key(), id, content, &mut sealed) {
            Ok(()) => sealed.to_vec(),
            Err(_) => Vec::new(),
        }
    }

    /// The first message, when it was not delivered yet.
    pub fn deliver(&mut self, now: u64) -> Option<(Vec<u8>, Vec<u8>)> {
        if self.delivered {
            return None;
        }
        let (id, body) = self.messages.front()?;
        let time = wire::Time(i64::try_from(now / 1_000).ok()?);
        let sealed = self.seal(id, &Delivery::Message { time, notification: true, body });
        let id = id.clone();
        self.delivered = true;
        Some((id, sealed))
    }
}

impl Relays {
    /// An id that none had before.
    pub fn id(&mut self) -> Vec<u8> {
        self.last += 1;
        sha256(&[b"id", &self.last.to_be_bytes()])[..24].to_vec()
    }

    /// Keeps a message of the peer for a queue, if there is room.
    pub fn send(&mut self, queue: usize, body: Vec<u8>) {
        let id = self.id();
        if let Some(queue) = self.queues.get_mut(queue)
            && queue.messages.len() < QUOTA
            && body.len() <= 16_064
        {
            queue.messages.push_back((id, body));
        }
    }

    /// The place of a queue by the recipient's id.
    #[must_use]
    pub fn place(&self, recipient_id: &[u8]) -> Option<usize> {
        self.queues.iter().position(|queue| queue.recipient_id == recipient_id)
    }

    /// The connection to the relays ended: what was delivered is delivered again.
    pub fn disconnect(&mut self) {
        self.queues.iter_mut().for_each(|queue| queue.delivered = false);
    }

    /// Does what the agent asks.
    ///
    /// # Errors
    /// The operation is refused.
    pub fn execute(&mut self, server: &Server, operation: &Operation) -> Result<Answer, Failure> {
        const NOT_AUTHORIZED: Failure = Failure::of_relay(Reason::NotAuthorized);
        match operation {
            Operation::CreateQueue(new) => {
                let link = new.link.as_ref().filter(|_| !self.old);
                let sender_id = match link {
                    Some(link) => sender_id(CorrelationId::from_array(&link.correlation_id)).to_vec(),
                    None => self.id(),
                };
                let recipient_id = self.id();
                let link_id = link.map(|link| link.link_id.map_or_else(|| self.id(), |id| id.to_vec()));
                let relay_key = X25519SecretKey::from_bytes(&[9; 32]);
                let secret = relay_key.diffie_hellman(&new.delivery_key.public_key()).map_err(|_| NOT_AUTHORIZED)?;
                self.queues.push(Queue {
                    server: server.clone(),
                    recipient_id: recipient_id.clone(),
                    sender_id: sender_id.clone(),
                    messages: VecDeque::new(),
                    delivered: false,
                    secret: *secret.as_bytes(),
                });
                let mode: Option<QueueMode> = (!self.old).then_some(new.mode);
                let relay_key = relay_key.public_key();
                Ok(Answer::Created(CreatedQueue { recipient_id, sender_id, relay_key, mode, link_id }))
            }
            Operation::Subscribe(queues) => {
                for access in queues {
                    if let Some(place) = self.place(&access.id) {
                        self.queues[place].delivered = false;
                    }
                }
                let known = |id: &[u8]| self.place(id).map(drop).ok_or(NOT_AUTHORIZED);
                Ok(Answer::Each(queues.iter().map(|access| known(&access.id)).collect()))
            }
            Operation::Send { sender_id, body, .. } => {
                if let Some(failure) = self.refusals.pop_front() {
                    return Err(failure);
                }
                self.sent.push_back(Sent { sender_id: sender_id.clone(), body: body.clone() });
                Ok(Answer::Done)
            }
            Operation::Acknowledge { queue, message_id } => {
                let place = self.place(&queue.id).ok_or(NOT_AUTHORIZED)?;
                let queue = &mut self.queues[place];
                if queue.delivered && queue.messages.front().is_some_and(|(id, _)| id == message_id) {
                    queue.messages.pop_front();
                    queue.delivered = false;
                    return Ok(Answer::Done);
                }
                Err(Failure::of_relay(Reason::NoMessage))
            }
            Operation::Delete(access) => {
                let place = self.place(&access.id).ok_or(NOT_AUTHORIZED)?;
                self.queues.remove(place);
                Ok(Answer::Done)
            }
            Operation::ReadInvitation { link_id, .. } | Operation::ReadAddress { link_id } => {
                let link = self.links.iter().find(|(id, _, _)| id == link_id).ok_or(NOT_AUTHORIZED)?;
                Ok(Answer::Link { sender_id: link.1.clone(), data: link.2.clone() })
            }
            _ => Ok(Answer::Done),
        }
    }
}
