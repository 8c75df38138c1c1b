use std::collections::{BTreeSet, VecDeque};

use smp_agent::request::{AccessKey, Blocked, Failure, LinkData};
use smp_agent::time::{SECOND, Time};
use smp_crypto::delivery::{self, SEALED_LENGTH};
use smp_crypto::key::AuthorizationKey;
use smp_crypto::secret_box::BoxKey;
use smp_proto::id::MessageId;
use smp_proto::smp::message::Delivery;
use smp_proto::smp::recipient::QueueMode;
use smp_proto::wire;

use super::{ConnectionNumber, NOT_AUTHORIZED};

/// A message that waits, or the mark that the queue was full.
pub struct Message {
    pub id: Vec<u8>,
    /// When the relay received it, or refused it.
    pub time: Time,
    /// Whether the device shall be woken, and the envelope; nothing in a mark.
    pub content: Option<(bool, Vec<u8>)>,
}

/// A queue as its relay knows it.
pub struct Queue {
    /// The sender's id.
    pub sender_id: Vec<u8>,
    /// What it is for; `None` when a session below version 9 created it.
    pub mode: Option<QueueMode>,
    /// Who may send, once it is secured.
    pub sender_key: Option<AuthorizationKey>,
    /// What waits, the oldest first.
    pub messages: VecDeque<Message>,
    /// Whether nothing is taken before all was fetched.
    pub full: bool,
    /// Whether nothing is taken any more.
    pub suspended: bool,
    /// The connection it is delivered to.
    pub subscriber: Option<ConnectionNumber>,
    /// Its link and the data behind it.
    pub link: Option<(Vec<u8>, LinkData)>,
    pub(super) recipient_key: AccessKey,
    pub(super) blocked: Option<Blocked>,
    /// Who has secured it as its sender.
    pub(super) secured_by: Option<usize>,
    /// Whether a message was accepted that the sender's key authorized.
    pub(super) signed: bool,
    /// The message that the subscriber has and has not acknowledged.
    pub(super) outstanding: Option<Vec<u8>>,
    /// All messages that were ever delivered.
    pub(super) delivered: BTreeSet<Vec<u8>>,
    delivery: BoxKey,
}

impl Queue {
    pub(super) fn new(recipient_key: AccessKey, delivery: BoxKey, sender_id: Vec<u8>, mode: Option<QueueMode>) -> Self {
        Self {
            sender_id,
            mode,
            sender_key: None,
            messages: VecDeque::new(),
            full: false,
            suspended: false,
            subscriber: None,
            link: None,
            recipient_key,
            blocked: None,
            secured_by: None,
            signed: false,
            outstanding: None,
            delivered: BTreeSet::new(),
            delivery,
        }
    }

    /// Its recipient has created it again, and knows another secret now.
    pub(super) fn agree_again(&mut self, delivery: BoxKey) {
        self.delivery = delivery;
    }

    pub(super) fn unsubscribe(&mut self) {
        self.subscriber = None;
        self.outstanding = None;
    }

    pub(super) fn expire(&mut self, before: Time) {
        // A mark ends what expires.
        while self.messages.front().is_some_and(|message| message.time < before && message.content.is_some()) {
            self.messages.pop_front();
        }
    }

    pub(super) fn secure_by_sender(&mut self, party: usize, key: &AccessKey) -> Result<(), Failure> {
        let key = AuthorizationKey::Ed25519(key.public());
        if self.mode != Some(QueueMode::Messaging) || self.sender_key.is_some_and(|known| known != key) {
            return Err(NOT_AUTHORIZED);
        }
        self.sender_key = Some(key);
        self.secured_by = Some(party);
        Ok(())
    }

    /// The first message, encrypted for the recipient, which is the subscriber's to acknowledge from now on.
    pub(super) fn deliver(&mut self) -> Option<(Vec<u8>, Vec<u8>)> {
        let message = self.messages.front()?;
        let time = wire::Time(i64::try_from(message.time.0 / SECOND).unwrap());
        let delivery = match &message.content {
            Some((notification, body)) => Delivery::Message { time, notification: *notification, body },
            None => Delivery::Quota { time },
        };
        let mut sealed = [0; SEALED_LENGTH];
        let id = MessageId::new(&message.id).unwrap();
        delivery::seal(&self.delivery, id, &delivery, &mut sealed).expect("no body is too long here");
        self.outstanding = Some(message.id.clone());
        self.delivered.insert(message.id.clone());
        Some((message.id.clone(), sealed.to_vec()))
    }
}
