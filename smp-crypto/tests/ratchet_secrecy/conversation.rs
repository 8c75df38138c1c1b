//! A conversation of which everything is recorded: what was said, what was sent, every state, every secret.

use std::collections::HashMap;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use smp_crypto::key::{X448PublicKey, X448SecretKey};
use smp_crypto::ratchet::{EncapsulationRequest, Initiator, Joiner, KeyPair, NewKeys, Ratchet, SkippedStore};
use smp_crypto::sntrup761::{SecretKey, SharedSecret, decapsulate};
use smp_proto::version::VersionRange;

/// How encapsulation begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Hybrid {
    /// Not at all.
    Never,
    /// The party that joins proposes it.
    FromTheFirstAnswer,
    /// The invitation proposes it, and the agreement has it.
    FromTheInvitation,
}

/// Every turn is a chain of messages of one party; the other one's turn is next. Who joined begins.
pub const TURNS: usize = 8;
/// Messages in a turn.
pub const MESSAGES: usize = 3;

pub type Store = SkippedStore<16>;

/// New keys, all of which are remembered.
pub struct Recorder {
    random: ChaCha20Rng,
    pub curve: Vec<[u8; 56]>,
    pub encapsulation: Vec<[u8; 1763]>,
    pub ciphertexts: Vec<[u8; 1039]>,
    pub encapsulated: Vec<[u8; 32]>,
}

impl NewKeys for Recorder {
    fn key_pair(&mut self) -> KeyPair {
        let secret = X448SecretKey::generate(&mut self.random);
        self.curve.push(*secret.as_bytes());
        KeyPair::new(secret)
    }

    fn encapsulation_key(&mut self, secret: &mut SecretKey) {
        self.random.encapsulation_key(secret);
        self.encapsulation.push(*secret.as_bytes());
    }

    fn encapsulate(&mut self, key: &[u8; 1158], ciphertext: &mut [u8; 1039]) -> SharedSecret {
        let secret = self.random.encapsulate(key, ciphertext);
        self.ciphertexts.push(*ciphertext);
        self.encapsulated.push(*secret.as_bytes());
        secret
    }
}

/// A party: its ratchet and its skipped keys.
pub struct Party {
    pub ratchet: Ratchet,
    pub skipped: Box<Store>,
}

impl Party {
    /// What is copied from its disk or its memory.
    pub fn copy(&self) -> Copied {
        let ratchet = self.ratchet.to_bytes(&mut [0; Ratchet::MAX_SERIALIZED_LENGTH]).unwrap().to_vec();
        let skipped = self.skipped.iter().map(|skipped| (*skipped.key.key(), *skipped.key.iv())).collect();
        Copied { ratchet, skipped }
    }
}

/// A party's state in somebody else's hands.
#[derive(Clone, Default)]
pub struct Copied {
    pub ratchet: Vec<u8>,
    pub skipped: Vec<([u8; 32], [u8; 16])>,
}

pub struct Conversation {
    /// What the network saw, in the order of sending, and what it means.
    pub traffic: Vec<(Vec<u8>, Vec<u8>)>,
    /// The parties, the one that joined first, before the first message and after each.
    pub moments: Vec<[Copied; 2]>,
    /// The invitation with its secrets, as it was kept.
    pub invitation: Vec<u8>,
    pub keys: Recorder,
    /// The public keys of the agreement: i1, i2, j1, j2.
    pub agreement: [[u8; 56]; 4],
    /// All public keys, in the order of `keys.curve`.
    pub publics: Vec<[u8; 56]>,
    agreed: HashMap<(usize, usize), [u8; 56]>,
    decapsulated: HashMap<(usize, usize), [u8; 32]>,
}

/// Two parties that have agreed, and the invitation.
pub fn meet(hybrid: Hybrid) -> ([Party; 2], Recorder, Vec<u8>, [[u8; 56]; 4]) {
    let random = ChaCha20Rng::seed_from_u64(hybrid as u64);
    let mut keys = Recorder {
        random,
        curve: Vec::new(),
        encapsulation: Vec::new(),
        ciphertexts: Vec::new(),
        encapsulated: Vec::new(),
    };
    let wanted = hybrid != Hybrid::Never;
    let initiator = Initiator::generate(&mut keys, VersionRange::RATCHET, hybrid == Hybrid::FromTheInvitation);
    let invitation = initiator.parameters();
    let joiner = Joiner::answer(&mut keys, VersionRange::RATCHET, &invitation, wanted).unwrap();
    let answer = joiner.parameters();
    let agreement = [invitation.first_key, invitation.second_key, answer.first_key, answer.second_key].map(|key| key.0);
    let ratchets = [joiner.ratchet(&mut keys).unwrap(), initiator.accept(&answer, wanted).unwrap()];
    let kept = initiator.to_bytes(&mut [0; Initiator::MAX_SERIALIZED_LENGTH]).unwrap().to_vec();
    let parties = ratchets.map(|ratchet| Party { ratchet, skipped: Box::new(Store::new()) });
    (parties, keys, kept, agreement)
}

/// A message of one party, as it is sent.
pub fn say(party: &mut Party, text: &[u8], hybrid: Hybrid) -> Vec<u8> {
    let request = if hybrid == Hybrid::Never { EncapsulationRequest::Unset } else { EncapsulationRequest::On };
    party.ratchet.encrypt(request.into(), text, 64, &mut [0; 4096]).unwrap().to_vec()
}

/// Hears a message.
pub fn hear(party: &mut Party, keys: &mut Recorder, message: &[u8], text: &[u8]) {
    let mut message = message.to_vec();
    let heard = party.ratchet.decrypt(&mut *party.skipped, keys, &mut message).unwrap();
    assert_eq!(heard.message, text);
}

impl Conversation {
    /// All turns, each message heard before the next is said.
    pub fn new(hybrid: Hybrid) -> Self {
        let (mut parties, mut keys, invitation, agreement) = meet(hybrid);
        let mut moments = vec![parties.each_ref().map(Party::copy)];
        let mut traffic = Vec::new();
        for turn in 0..TURNS {
            for number in 0..MESSAGES {
                let text = format!("message {number} of turn {turn}").into_bytes();
                let message = say(&mut parties[turn % 2], &text, hybrid);
                hear(&mut parties[1 - turn % 2], &mut keys, &message, &text);
                traffic.push((message, text));
                moments.push(parties.each_ref().map(Party::copy));
            }
        }
        let hybrid_now = parties[0].ratchet.sends_encapsulated() && parties[1].ratchet.sends_encapsulated();
        assert_eq!(hybrid_now, hybrid != Hybrid::Never);
        Self::recorded(traffic, moments, invitation, keys, agreement)
    }

    pub fn recorded(
        traffic: Vec<(Vec<u8>, Vec<u8>)>,
        moments: Vec<[Copied; 2]>,
        invitation: Vec<u8>,
        keys: Recorder,
        agreement: [[u8; 56]; 4],
    ) -> Self {
        let secrets: Vec<_> = keys.curve.iter().map(X448SecretKey::from_bytes).collect();
        let publics: Vec<_> = secrets.iter().map(|secret| secret.public_key().0).collect();
        let mut agreed = HashMap::new();
        for (own, secret) in secrets.iter().enumerate() {
            for (peer, public) in publics.iter().enumerate() {
                let both = (own.min(peer), own.max(peer));
                let agree = || *secret.diffie_hellman(&X448PublicKey(*public)).unwrap().as_bytes();
                let known = *agreed.entry(both).or_insert_with(agree);
                agreed.insert((own, peer), known);
            }
        }
        let mut decapsulated = HashMap::new();
        for (own, secret) in keys.encapsulation.iter().enumerate() {
            let secret = SecretKey::from_bytes(*secret);
            for (number, ciphertext) in keys.ciphertexts.iter().enumerate() {
                // Taken out with another key it is a random value that nobody uses.
                let secret = *decapsulate(&secret, ciphertext).as_bytes();
                if secret == keys.encapsulated[number] {
                    decapsulated.insert((own, number), secret);
                }
            }
        }
        Self { traffic, moments, invitation, keys, agreement, publics, agreed, decapsulated }
    }

    /// What the owner of a secret and the owner of a public key agree on.
    pub fn agreed(&self, secret: &[u8; 56], public: &[u8; 56]) -> [u8; 56] {
        let secret = self.keys.curve.iter().position(|known| known == secret).unwrap();
        let public = self.publics.iter().position(|known| known == public).unwrap();
        self.agreed[&(secret, public)]
    }

    /// The secrets that the owner of an encapsulation key takes out of all ciphertexts.
    pub fn decapsulated(&self, secret: &[u8; 1763]) -> impl Iterator<Item = [u8; 32]> + '_ {
        let secret = self.keys.encapsulation.iter().position(|known| known == secret).unwrap();
        (0..self.keys.ciphertexts.len()).filter_map(move |number| self.decapsulated.get(&(secret, number)).copied())
    }
}
