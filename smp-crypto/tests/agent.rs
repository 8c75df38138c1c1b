//! Messages of agents, through every layer between two parties.

#![cfg(feature = "ratchet")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::{array, for_each_case, text};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use smp_crypto::key::X25519SecretKey;
use smp_crypto::queue_envelope::{self, EnvelopeHeader, SealedEnvelope};
use smp_crypto::ratchet::{BodyKind, Initiator, Joiner, KeyStock, Ratchet, Sending, SkippedStore, key_hash};
use smp_crypto::secret_box::{BoxKey, Nonce};
use smp_proto::agent::{AgentEnvelope, AgentMessage, AgreedParameters, EnvelopeContent, Message, RatchetParameters};
use smp_proto::key::{X448PublicKey, X25519PublicKey};
use smp_proto::version::{AgentVersion, ClientVersion, RatchetVersion, VersionRange};
use smp_proto::wire::{self, Decode, Encode, Writer};

#[test]
fn hashes_of_ratchet_keys() {
    let mut count = 0;
    for_each_case("agent.json", |case| {
        if text(case, "op") == "ratchet_key_hash" {
            let [first_key, second_key] = ["k1", "k2"].map(|name| X448PublicKey(array(case, name)));
            let version = RatchetVersion::MAX;
            let peer = AgreedParameters { version, first_key, second_key, encapsulation: None };
            assert_eq!(key_hash(&peer), array(case, "hash"));
            count += 1;
        }
    });
    assert!(count > 0);
}

/// The key of a queue, and the sender's public key until the recipient has it.
fn queue_key(random: &mut ChaCha20Rng) -> (BoxKey, X25519PublicKey) {
    let (recipient, sender) = (X25519SecretKey::generate(random), X25519SecretKey::generate(random));
    (BoxKey::from(&sender.diffie_hellman(&recipient.public_key()).unwrap()), sender.public_key())
}

/// Seals a message without a copy of what is encrypted: the envelopes are written around the bytes that the ratchet
/// encrypts where they will be sent from.
fn seal(
    ratchet: &mut Ratchet,
    queue: &BoxKey,
    (key, nonce): (Option<X25519PublicKey>, Nonce),
    content: EnvelopeContent<'_>,
    message: &AgentMessage<'_>,
    encapsulation: bool,
) -> Vec<u8> {
    let confirmation = matches!(content, EnvelopeContent::Confirmation { .. });
    let kind = if confirmation { BodyKind::Confirmation } else { BodyKind::Message };
    let version = AgentVersion::MAX;
    let padded_length = kind.padded_length(version, encapsulation);
    let prepared = ratchet.prepare(Sending::default()).unwrap();
    let header = EnvelopeHeader { version: ClientVersion::MAX, key, nonce };
    let mut buffer = vec![0; queue_envelope::MESSAGE_LENGTH];
    let sealed = queue_envelope::seal_with(queue, &header, None, &mut buffer, |writer| {
        writer.value(&AgentEnvelope { version, content })?;
        let place = writer.reserve(prepared.encrypted_length(padded_length))?;
        let mut inside = Writer::new(place.get_mut(prepared.message_start()..).ok_or(wire::Error::NoSpace)?);
        inside.value(message)?;
        let length = inside.len();
        prepared.seal_in_place(place, length, padded_length).map(|_| ()).map_err(|_| wire::Error::TooLong)
    });
    sealed.unwrap().to_vec()
}

/// Opens a message where it stands and calls `check` with what it agrees the ratchet with and with what is inside.
fn open(sealed: &mut [u8], queue: &BoxKey, check: impl FnOnce(Option<&AgreedParameters<'_>>, &mut [u8])) {
    let (sender_key, body) = SealedEnvelope::new(sealed).unwrap().open_in_place(queue).unwrap();
    assert_eq!(sender_key, None);
    let (envelope, message) = AgentEnvelope::split(body).unwrap();
    assert_eq!(envelope.version, AgentVersion::MAX);
    match envelope.content {
        EnvelopeContent::Confirmation { parameters, message: [] } => check(parameters.as_ref(), message),
        EnvelopeContent::Message([]) => check(None, message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn agents_confirm_and_write_through_every_layer_in_place() {
    for encapsulation in [false, true] {
        let random = &mut ChaCha20Rng::seed_from_u64(1);
        let mut keys = KeyStock::<_, 4>::new(ChaCha20Rng::seed_from_u64(2), encapsulation);
        let mut skipped = SkippedStore::<8>::default();
        let (queue, sender_key) = queue_key(random);

        // The invitation travels as text.
        let initiator = Initiator::generate(&mut keys, VersionRange::RATCHET, encapsulation);
        let published = RatchetParameters::parse(&initiator.parameters().to_string()).unwrap();
        let joiner = Joiner::answer(&mut keys, VersionRange::RATCHET, &published, encapsulation).unwrap();
        let mut joined = joiner.ratchet(&mut keys).unwrap();

        // The longest information that fits beside the tag.
        let length = BodyKind::Confirmation.padded_length(AgentVersion::MAX, encapsulation) - 3;
        let info = vec![b'i'; length];
        let content = EnvelopeContent::Confirmation { parameters: Some(joiner.parameters()), message: &[] };
        let message = AgentMessage::ConnectionInfo(&info);
        let first = (Some(sender_key), Nonce::generate(random));
        let mut sealed = seal(&mut joined, &queue, first, content, &message, encapsulation);
        assert_eq!(sealed.len(), queue_envelope::CONFIRMATION_LENGTH);
        let mut accepted = None;
        open(&mut sealed, &queue, |parameters, message| {
            let mut ratchet = initiator.accept(parameters.unwrap(), encapsulation).unwrap();
            let decrypted = ratchet.decrypt(&mut skipped, &mut keys, message).unwrap();
            assert_eq!(AgentMessage::from_bytes(decrypted.message), Ok(AgentMessage::ConnectionInfo(&info)));
            accepted = Some(ratchet);
        });
        let mut accepted = accepted.unwrap();

        // The longest message fits as well.
        let padded_length = BodyKind::Message.padded_length(AgentVersion::MAX, encapsulation);
        let body = vec![b'm'; padded_length - 45];
        assert_eq!(body.len(), if encapsulation { 13_573 } else { 15_795 });
        let hash = smp_crypto::hash::sha256(&[message.to_slice(&mut [0; 16_000]).unwrap()]);
        let message = AgentMessage::Sequenced { number: 2, previous_hash: &hash, message: Message::Application(&body) };
        let later = (None, Nonce::generate(random));
        let content = EnvelopeContent::Message(&[]);
        let mut sealed = seal(&mut joined, &queue, later, content, &message, encapsulation);
        assert_eq!(sealed.len(), queue_envelope::MESSAGE_LENGTH);
        open(&mut sealed, &queue, |_, encrypted| {
            let decrypted = accepted.decrypt(&mut skipped, &mut keys, encrypted).unwrap();
            assert_eq!(AgentMessage::from_bytes(decrypted.message), Ok(message));
        });
    }
}
