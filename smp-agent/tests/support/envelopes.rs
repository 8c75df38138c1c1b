//! Reads what agents sent: envelopes with the keys they have drawn, and messages as they stored them before their ratchet
//! encrypted them.

use std::collections::BTreeMap;

use serde::Deserialize;
use smp_agent::time::Time;
use smp_crypto::key::X25519SecretKey;
use smp_crypto::queue_envelope::SealedEnvelope;
use smp_crypto::secret_box::BoxKey;
use smp_proto::agent::{AgentEnvelope, AgentMessage, AgreedParameters, Encapsulation, EnvelopeContent, MessageKind};
use smp_proto::wire::Decode;

use super::world::World;

/// Keys of queues by the sender's ids.
#[derive(Default)]
pub struct Opener(BTreeMap<Vec<u8>, BoxKey>);

/// The front of a stored outgoing message.
#[derive(Deserialize)]
struct Outgoing {
    _kind: Kind,
    number: i64,
    _hash: [u8; 32],
    _created: Time,
    _notify: bool,
    plaintext: Vec<u8>,
    prepared: Vec<u8>,
    padded: u16,
}

/// Kinds of outgoing messages in the order in which they are numbered.
#[derive(Deserialize)]
enum Kind {
    Confirmation(Option<Vec<u8>>),
    Invitation(String),
    Hello,
    Application,
    Receipt,
    Continue,
    AddQueue,
    QueueKey(u32),
    UseQueue(u32),
    TestQueue(u32),
    Ready,
    RatchetKey(Vec<u8>),
}

/// Messages for the ratchet, of stored records.
pub fn messages(records: &[Vec<u8>]) -> Vec<String> {
    let messages = records.iter().filter_map(|record| {
        let (outgoing, _) = postcard::take_from_bytes::<Outgoing>(&record[1..]).expect("an outgoing message");
        if outgoing.prepared.is_empty() {
            return None;
        }
        let message = AgentMessage::from_bytes(&outgoing.plaintext).expect("a message of an agent");
        let (kind, with_address) = match message.kind() {
            MessageKind::ConnectionInfo => ("I", false),
            MessageKind::ConnectionInfoReply => ("D", true),
            MessageKind::Hello => ("HELLO", false),
            MessageKind::Application => ("A_MSG", false),
            MessageKind::Receipts => ("A_RCVD", false),
            MessageKind::QuotaContinue => ("A_QCONT", true),
            MessageKind::AddQueues => ("QADD", true),
            MessageKind::QueueKeys => ("QKEY", true),
            MessageKind::UseQueues => ("QUSE", true),
            MessageKind::TestQueues => ("QTEST", true),
            MessageKind::Ready => ("EREADY", false),
            other => panic!("{other:?} does not go into a ratchet"),
        };
        let size = if with_address { "any".into() } else { outgoing.plaintext.len().to_string() };
        Some(format!("{kind} {} size {size} padded {}", outgoing.number, outgoing.padded))
    });
    messages.collect()
}

impl Opener {
    /// An envelope in the words of the records.
    pub fn read(&mut self, world: &World, sender: usize, sender_id: &[u8], body: &[u8]) -> String {
        let key = self.key(world, sender, sender_id, body);
        let mut body = body.to_vec();
        let sealed = SealedEnvelope::new(&mut body).expect("an envelope");
        let header = *sealed.header();
        let message = sealed.open(key).expect("the key of the queue");
        let envelope = AgentEnvelope::from_bytes(message.body).expect("an envelope of an agent");
        let parameters = |parameters: &AgreedParameters<'_>| {
            let kem = match parameters.encapsulation {
                None => "none",
                Some(Encapsulation::Proposed { .. }) => "proposed",
                Some(_) => "accepted",
            };
            format!(" e2e {} kem {kem}", parameters.version.0)
        };
        let content = match &envelope.content {
            EnvelopeContent::Confirmation { parameters: given, message } => {
                let parameters = given.as_ref().map_or_else(String::new, parameters);
                format!("confirmation{parameters} ratchet {}", message.len())
            }
            EnvelopeContent::Message(message) => format!("message ratchet {}", message.len()),
            EnvelopeContent::Invitation { request, .. } => {
                format!("invitation kem in link {}", request.contains("kem_key"))
            }
            EnvelopeContent::RatchetKey { parameters: given, .. } => format!("ratchetKey{}", parameters(given)),
        };
        format!(
            "client {} key {} header {} agent {} {content}",
            header.version.0,
            if header.key.is_some() { "T" } else { "F" },
            if message.sender_key.is_some() { "K Ed25519" } else { "_" },
            envelope.version.0,
        )
    }

    /// The key of a queue: found among all that the sender and the others may have agreed on.
    fn key(&mut self, world: &World, sender: usize, sender_id: &[u8], body: &[u8]) -> &BoxKey {
        let opens = |key: &BoxKey| SealedEnvelope::new(&mut body.to_vec()).is_ok_and(|sealed| sealed.open(key).is_ok());
        if self.0.get(sender_id).is_none_or(|known| !opens(known)) {
            let header = SealedEnvelope::new(&mut body.to_vec()).expect("an envelope").header().key;
            let secrets = |party: usize| {
                let keys = world.parties[party].keys.borrow();
                keys.iter().map(X25519SecretKey::from_bytes).collect::<Vec<_>>()
            };
            let recipients = (0..world.parties.len()).filter(|party| *party != sender).flat_map(secrets);
            let publics = match header {
                Some(key) => vec![key],
                None => secrets(sender).iter().map(X25519SecretKey::public_key).collect(),
            };
            let found = recipients.into_iter().find_map(|secret| {
                publics.iter().find_map(|public| {
                    let key = BoxKey::from(&secret.diffie_hellman(public).ok()?);
                    opens(&key).then_some(key)
                })
            });
            self.0.insert(sender_id.to_vec(), found.expect("keys that the agents have drawn"));
        }
        &self.0[sender_id]
    }
}
