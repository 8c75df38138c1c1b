//! Somebody who has copied or broken some secrets and recorded all that was sent.
//!
//! It derives everything that can be derived from what it has, without the library's ratchet: from every key it takes every
//! step, with every agreement and every encapsulated secret it can compute, for as long as that gives anything new. It is
//! told more than an attacker would know: all public keys and all ciphertexts, also those in headers it cannot open, and it
//! tries each key that it has taken in every role.

use std::collections::{BTreeSet, HashMap};

use aes_gcm::aead::consts::U16;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{AesGcm, aes::Aes256};
use serde::Deserialize;
use smp_crypto::kdf::hkdf;
use smp_proto::agent::{EncryptedHeader, RatchetMessage};
use smp_proto::wire::{Decode, unpad};

use crate::conversation::{Conversation, Copied};

/// Longer than any chain here.
const FORWARD: usize = 8;

/// The stored form of a ratchet.
#[derive(Deserialize)]
#[allow(dead_code, reason = "flags and counters are no secrets")]
struct State {
    format: u8,
    versions: (u16, u16),
    associated_data: Vec<u8>,
    secret: Vec<u8>,
    public: Vec<u8>,
    encapsulation: Option<(Vec<u8>, Option<Vec<u8>>)>,
    flags: [bool; 4],
    root: Vec<u8>,
    sending: Option<(Vec<u8>, Vec<u8>)>,
    receiving: Option<(Vec<u8>, Vec<u8>)>,
    counts: [u32; 3],
    next_header_keys: (Vec<u8>, Vec<u8>),
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "versions are no secrets")]
struct Invitation {
    format: u8,
    versions: (u16, u16),
    first: (Vec<u8>, Vec<u8>),
    second: (Vec<u8>, Vec<u8>),
    encapsulation: Option<Vec<u8>>,
}

type Key = [u8; 32];

fn exact<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap()
}

fn derive(salt: &[u8], material: &[u8], info: &[u8]) -> [Key; 3] {
    let mut keys = [[0; 32]; 3];
    hkdf(salt, material, info, keys.as_flattened_mut()).unwrap();
    keys
}

fn decrypt(key: &Key, iv: &[u8; 16], data: &[u8], bytes: &[u8], tag: &[u8; 16]) -> Option<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    let cipher = AesGcm::<Aes256, U16>::new(key.into());
    let result = cipher.decrypt_inout_detached(iv.into(), data, bytes.as_mut_slice().into(), tag.into());
    result.ok().map(|()| bytes)
}

pub struct Attacker<'c> {
    conversation: &'c Conversation,
    /// Parts of every message, and each message by the initialisation vector of its header, which is sent in clear.
    messages: Vec<(RatchetMessage<'c>, EncryptedHeader<'c>)>,
    by_iv: HashMap<[u8; 16], usize>,
    associated_data: Vec<u8>,
    curve: BTreeSet<[u8; 56]>,
    encapsulation: BTreeSet<[u8; 1763]>,
    /// Keys of unknown role: each is tried as root key, chain key and header key.
    keys: BTreeSet<Key>,
    skipped: Vec<(Key, [u8; 16])>,
}

/// What an attack gave.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Loot {
    /// The messages that were read.
    pub read: BTreeSet<usize>,
    /// The messages whose headers were opened.
    pub opened: BTreeSet<usize>,
}

impl<'c> Attacker<'c> {
    /// An attacker that has nothing but the traffic.
    pub fn new(conversation: &'c Conversation) -> Self {
        let parts = |(bytes, _): &'c (Vec<u8>, Vec<u8>)| {
            let message = RatchetMessage::from_bytes(bytes).unwrap();
            (message, EncryptedHeader::from_bytes(message.header).unwrap())
        };
        let messages: Vec<_> = conversation.traffic.iter().map(parts).collect();
        let by_iv = messages.iter().enumerate().map(|(number, (_, header))| (*header.iv, number)).collect();
        let [initiator, _, joiner, _] = &conversation.agreement;
        Self {
            conversation,
            messages,
            by_iv,
            associated_data: [&joiner[..], initiator].concat(),
            curve: BTreeSet::new(),
            encapsulation: BTreeSet::new(),
            keys: BTreeSet::new(),
            skipped: Vec::new(),
        }
    }

    /// Takes everything in a copied state.
    pub fn with_state(mut self, copied: &Copied) -> Self {
        let state: State = postcard::from_bytes(&copied.ratchet).unwrap();
        assert_eq!(state.associated_data, self.associated_data);
        self.curve.insert(exact(&state.secret));
        self.encapsulation.extend(state.encapsulation.map(|(secret, _)| exact::<1763>(&secret)));
        self.keys.insert(exact(&state.root));
        for (chain, header) in [state.sending, state.receiving, Some(state.next_header_keys)].into_iter().flatten() {
            self.keys.extend([exact(&chain), exact(&header)]);
        }
        self.skipped.extend(&copied.skipped);
        self
    }

    /// Takes the secrets of the invitation.
    pub fn with_invitation(mut self) -> Self {
        let invitation: Invitation = postcard::from_bytes(&self.conversation.invitation).unwrap();
        self.curve.extend([invitation.first, invitation.second].map(|(secret, _)| exact::<56>(&secret)));
        self.encapsulation.extend(invitation.encapsulation.map(|secret| exact::<1763>(&secret)));
        self
    }

    /// Breaks X448: knows every secret key of both parties, of all times.
    pub fn with_every_curve_secret(mut self) -> Self {
        self.curve.extend(&self.conversation.keys.curve);
        self
    }

    /// Breaks sntrup761: knows every secret key of both parties, of all times.
    pub fn with_every_encapsulation_secret(mut self) -> Self {
        self.encapsulation.extend(&self.conversation.keys.encapsulation);
        self
    }

    /// Derives all that can be derived, and reads all that can be read.
    pub fn attack(mut self) -> Loot {
        let mut loot = Loot::default();
        for (key, iv) in &self.skipped {
            let all = 0..self.messages.len();
            loot.read.extend(all.filter(|number| self.opens_body(*number, key, iv)));
        }
        let agreements = self.agreements();
        let secrets: BTreeSet<_> =
            self.encapsulation.iter().flat_map(|secret| self.conversation.decapsulated(secret)).collect();
        // No secret at all, or each of them.
        let secrets: Vec<Vec<u8>> = std::iter::once(Vec::new()).chain(secrets.iter().map(|key| key.to_vec())).collect();
        self.agree(&secrets);
        let mut done = BTreeSet::new();
        while let Some(key) = self.keys.difference(&done).next().copied() {
            done.insert(key);
            loot.read.extend(self.follow(key));
            self.open_headers(&key, &mut loot.opened);
            for agreed in &agreements {
                for secret in &secrets {
                    let [root, chain, header] = derive(&key, &[&agreed[..], secret].concat(), b"SimpleXRootRatchet");
                    // A step that nobody took leads nowhere. Every chain here has messages.
                    let read = self.follow(chain);
                    if !read.is_empty() {
                        loot.read.extend(read);
                        self.open_headers(&header, &mut loot.opened);
                        self.keys.insert(root);
                    }
                }
            }
        }
        loot
    }

    /// Every agreement between a secret it has and any public key.
    fn agreements(&self) -> BTreeSet<[u8; 56]> {
        let publics = &self.conversation.publics;
        let pairs = self.curve.iter().flat_map(|secret| publics.iter().map(move |public| (secret, public)));
        pairs.map(|(secret, public)| self.conversation.agreed(secret, public)).collect()
    }

    /// The first agreement, when it has the secrets for it.
    fn agree(&mut self, secrets: &[Vec<u8>]) {
        let [i1, i2, j1, j2] = &self.conversation.agreement;
        let either = |one: &[u8; 56], other: &[u8; 56]| {
            let owned = |public: &[u8; 56]| {
                let index = self.conversation.publics.iter().position(|known| known == public)?;
                let secret = &self.conversation.keys.curve[index];
                self.curve.contains(secret).then_some(secret)
            };
            let (secret, public) = owned(one).map(|own| (own, other)).or_else(|| owned(other).map(|own| (own, one)))?;
            Some(self.conversation.agreed(secret, public))
        };
        let (Some(first), Some(second), Some(third)) = (either(i1, j2), either(i2, j1), either(i2, j2)) else {
            return;
        };
        for secret in secrets {
            let material = [&first[..], &second, &third, secret].concat();
            self.keys.extend(derive(&[0; 64], &material, b"SimpleXX3DH"));
        }
    }

    /// The messages that a chain key reads, from its own on.
    fn follow(&self, mut chain: Key) -> BTreeSet<usize> {
        let mut read = BTreeSet::new();
        for step in 0..FORWARD {
            let [next, key, ivs] = derive(&[], &chain, b"SimpleXChainRatchet");
            let (iv, header_iv) = (exact(&ivs[..16]), exact::<16>(&ivs[16..]));
            match self.by_iv.get(&header_iv) {
                Some(number) => {
                    assert!(self.opens_body(*number, &key, &iv));
                    read.insert(*number);
                }
                // Messages of a chain that were not sent yet end it; what never was a chain has none at the start.
                None if step > 0 => break,
                None => {}
            }
            chain = next;
        }
        read
    }

    fn opens_body(&self, number: usize, key: &Key, iv: &[u8; 16]) -> bool {
        let (message, _) = &self.messages[number];
        let data = [&self.associated_data[..], message.header].concat();
        let body = decrypt(key, iv, &data, message.body, message.tag);
        body.is_some_and(|body| {
            assert_eq!(unpad(&body), Ok(&self.conversation.traffic[number].1[..]));
            true
        })
    }

    fn open_headers(&self, key: &Key, opened: &mut BTreeSet<usize>) {
        for (number, (_, header)) in self.messages.iter().enumerate() {
            if decrypt(key, header.iv, &self.associated_data, header.ciphertext, header.tag).is_some() {
                opened.insert(number);
            }
        }
    }
}
