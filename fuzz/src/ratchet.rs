//! Ratchets with known keys, and the messages they should take: made without the library's ratchet, so that every part of
//! a message can be wrong while the others are right.

use std::sync::LazyLock;

use aes_gcm::aead::consts::U16;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{AesGcm, aes::Aes256};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Deserialize;
use smp_crypto::kdf::hkdf;
use smp_crypto::key::X448SecretKey;
use smp_crypto::ratchet::{
    EncapsulationRequest, Initiator, Joiner, NewKeys, Ratchet, Resynchronization, Sending, SkippedStore,
};
use smp_crypto::sntrup761::{SecretKey, decapsulate};
use smp_proto::agent::{Encapsulation, RatchetHeader};
use smp_proto::key::X448PublicKey;
use smp_proto::version::{RatchetVersion, VersionRange};

/// The store of the ratchets here. One that has to forget finds more.
pub type Store = SkippedStore<24, 3>;

/// A key of 32 bytes.
pub type Key = [u8; 32];

/// The stored form of a ratchet.
#[derive(Deserialize)]
pub struct State {
    /// The format.
    pub format: u8,
    /// The version in use and the highest one.
    pub versions: (u16, u16),
    /// What messages are bound to.
    pub associated_data: Vec<u8>,
    /// The ratchet key.
    pub secret: Vec<u8>,
    /// Its public half.
    pub public: Vec<u8>,
    /// The own encapsulation key, and what it accepts.
    pub encapsulation: Option<(Vec<u8>, Option<Vec<u8>>)>,
    /// Large headers, encapsulation next, in the sending chain, in the receiving chain.
    pub flags: [bool; 4],
    /// The root key.
    pub root: Vec<u8>,
    /// Chain key and header key.
    pub sending: Option<(Vec<u8>, Vec<u8>)>,
    /// Chain key and header key.
    pub receiving: Option<(Vec<u8>, Vec<u8>)>,
    /// Sent, received, sent in the chain before.
    pub counts: [u32; 3],
    /// For sending and for receiving.
    pub next_header_keys: (Vec<u8>, Vec<u8>),
}

/// A party that waits for a message.
pub struct Waiting {
    /// Its stored ratchet.
    pub ratchet: Vec<u8>,
    /// Its stored skipped keys.
    pub skipped: Vec<u8>,
    /// The ratchet, readable.
    pub state: State,
}

/// Public keys that a header can have, and encapsulation keys with something that was encapsulated to nobody.
pub struct Peer {
    /// Key pairs for agreement.
    pub curve: [X448PublicKey; 3],
    /// Keys for encapsulation.
    pub encapsulation: [[u8; 1158]; 2],
}

/// The parties, the same in every run.
pub static WAITING: LazyLock<Vec<Waiting>> = LazyLock::new(waiting);
/// The one who writes to them.
pub static PEER: LazyLock<Peer> = LazyLock::new(|| {
    let mut random = random(99);
    let curve = [0; 3].map(|_| *random.key_pair().public_key());
    let encapsulation = [0; 2].map(|_| {
        let mut secret = SecretKey::zeroed();
        random.encapsulation_key(&mut secret);
        *secret.public_key()
    });
    Peer { curve, encapsulation }
});

/// Randomness that is the same in every run.
#[must_use]
pub fn random(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// The stored form of a ratchet.
#[must_use]
pub fn stored(ratchet: &Ratchet) -> Vec<u8> {
    ratchet.to_bytes(&mut [0; Ratchet::MAX_SERIALIZED_LENGTH]).expect("the bound is right").to_vec()
}

/// The stored form of skipped keys.
#[must_use]
pub fn stored_keys(store: &Store) -> Vec<u8> {
    store.to_bytes(&mut [0; Store::MAX_SERIALIZED_LENGTH]).expect("the bound is right").to_vec()
}

fn waiting() -> Vec<Waiting> {
    let mut all = Vec::new();
    for (version, encapsulation) in [(2, false), (3, false), (3, true)] {
        let mut random = random(u64::from(version) + u64::from(encapsulation));
        let versions = VersionRange::new(RatchetVersion(2), RatchetVersion(version)).expect("2 is the lowest");
        let initiator = Initiator::generate(&mut random, versions, encapsulation);
        let invitation = initiator.parameters();
        let joiner = Joiner::answer(&mut random, versions, &invitation, encapsulation).expect("versions overlap");
        let mut parties = [
            (joiner.ratchet(&mut random).expect("keys are good"), Store::new()),
            (initiator.accept(&joiner.parameters(), encapsulation).expect("keys are good"), Store::new()),
        ];
        keep(&mut all, &parties);
        let request = if encapsulation { EncapsulationRequest::On } else { EncapsulationRequest::Unset };
        let sending = Sending { encapsulation: request, max_version: RatchetVersion(version) };
        for turn in 0..4_usize {
            // In every turn some messages are missing, at the start and in the middle.
            for number in 0..5 {
                let mut buffer = [0; 4096];
                let sent = parties[turn % 2].0.encrypt(sending, b"hello", 40, &mut buffer).expect("it can send");
                if [1, 4].contains(&number) {
                    let (ratchet, store) = &mut parties[1 - turn % 2];
                    ratchet.decrypt(store, &mut random, sent).expect("it is authentic");
                }
            }
            keep(&mut all, &parties);
        }
    }
    let mut random = random(7);
    let start = Resynchronization::start(&mut random, RatchetVersion::MAX, true);
    let answer = Resynchronization::answer(&mut random, VersionRange::RATCHET, &start.parameters(), true)
        .expect("versions overlap");
    let receiver = start.receiver(&answer.parameters(), true).expect("keys are good");
    let sender = answer.sender(&start.parameters(), &mut random).expect("keys are good");
    keep(&mut all, &[(sender, Store::new()), (receiver, Store::new())]);
    all
}

fn keep(all: &mut Vec<Waiting>, parties: &[(Ratchet, Store); 2]) {
    all.extend(parties.iter().map(|(ratchet, store)| {
        let ratchet = stored(ratchet);
        let state = postcard::from_bytes(&ratchet).expect("the form is the documented one");
        Waiting { ratchet, skipped: stored_keys(store), state }
    }));
}

/// Three keys out of one.
#[must_use]
pub fn derive(salt: &[u8], material: &[u8], info: &[u8]) -> [Key; 3] {
    let mut keys = [[0; 32]; 3];
    hkdf(salt, material, info, keys.as_flattened_mut()).expect("the output is short");
    keys
}

/// Encrypts in place and gives the tag.
#[must_use]
pub fn encrypt(key: &Key, iv: &[u8; 16], data: &[u8], bytes: &mut [u8]) -> [u8; 16] {
    let cipher = AesGcm::<Aes256, U16>::new(key.into());
    cipher.encrypt_inout_detached(iv.into(), data, bytes.into()).expect("messages are short").into()
}

/// The key and initialisation vector of the message `count` steps behind a chain key.
#[must_use]
pub fn message_key(chain: &Key, count: u32) -> (Key, [u8; 16]) {
    let mut chain = *chain;
    for _ in 0..count {
        [chain, _, _] = derive(&[], &chain, b"SimpleXChainRatchet");
    }
    let [_, key, ivs] = derive(&[], &chain, b"SimpleXChainRatchet");
    (key, *ivs.first_chunk().expect("it has 32 bytes"))
}

impl State {
    /// The key of the chain that begins with this header, if it can begin one.
    #[must_use]
    pub fn next_chain(&self, header: &RatchetHeader<'_>) -> Option<Key> {
        let secret = X448SecretKey::from_bytes(self.secret.as_slice().try_into().ok()?);
        let agreed = secret.diffie_hellman(&header.key).ok()?;
        let mut material = agreed.as_bytes().to_vec();
        if let Some(Encapsulation::Accepted { ciphertext, .. }) = header.encapsulation {
            let (secret, _) = self.encapsulation.as_ref()?;
            let secret = SecretKey::from_bytes(secret.as_slice().try_into().ok()?);
            material.extend(decapsulate(&secret, ciphertext).as_bytes());
        }
        Some(derive(&self.root, &material, b"SimpleXRootRatchet")[1])
    }
}
