//! The documented stored form of a ratchet, read without the library, and the reference's states in that form.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use smp_crypto::key::X448SecretKey;
use smp_crypto::ratchet::{KeyPair, NewKeys, Ratchet, SkippedStore};
use smp_crypto::sntrup761::{SecretKey, SharedSecret};

/// Room for every skipped key of the vectors.
pub type Store = SkippedStore<2048, 64>;

/// The stored form, format 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub format: u8,
    pub version: u16,
    pub max_version: u16,
    pub associated_data: Vec<u8>,
    pub secret: Vec<u8>,
    pub public: Vec<u8>,
    pub encapsulation: Option<Encapsulation>,
    pub large_headers: bool,
    pub encapsulates: bool,
    pub sending_encapsulated: bool,
    pub receiving_encapsulated: bool,
    pub root: Vec<u8>,
    pub sending: Option<(Vec<u8>, Vec<u8>)>,
    pub receiving: Option<(Vec<u8>, Vec<u8>)>,
    pub sent: u32,
    pub received: u32,
    pub previously_sent: u32,
    pub next_sending_header_key: Vec<u8>,
    pub next_receiving_header_key: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Encapsulation {
    pub secret: Vec<u8>,
    pub ciphertext: Option<Vec<u8>>,
}

impl State {
    pub fn of(ratchet: &Ratchet) -> Self {
        postcard::from_bytes(&stored(ratchet)).unwrap()
    }

    pub fn ratchet(&self) -> Ratchet {
        let mut buffer = [0; Ratchet::MAX_SERIALIZED_LENGTH];
        Ratchet::from_bytes(postcard::to_slice(self, &mut buffer).unwrap()).unwrap()
    }

    /// A state of the vectors that name fields as the wire reference does; `blobs` are the long values of the case.
    pub fn named(state: &Value, blobs: &Value) -> Self {
        let bytes = |value: &Value| named_bytes(value, blobs);
        let chain = |value: &Value, key: &str, header: &str| {
            (!value.is_null()).then(|| (bytes(&value[key]), bytes(&value[header])))
        };
        let flag = |name: &str| state[name].as_bool().unwrap();
        let number = |name: &str| u32::try_from(state[name].as_u64().unwrap()).unwrap();
        let version = |name: &str| u16::try_from(state["version"][name].as_u64().unwrap()).unwrap();
        let kem = &state["kem"];
        let secret = bytes(&state["DHs"])[16..].to_vec();
        Self {
            format: 1,
            version: version("current"),
            max_version: version("maxSupported"),
            associated_data: bytes(&state["AD"]),
            public: public_key(&secret),
            secret,
            encapsulation: (!kem.is_null()).then(|| {
                let secret = bytes(&kem["own"]["secret"]);
                assert_eq!(encapsulation_key(&secret), bytes(&kem["own"]["public"]));
                let accepted = &kem["accepted"];
                let ciphertext = (!accepted.is_null()).then(|| bytes(&accepted["ciphertext"]));
                Encapsulation { secret, ciphertext }
            }),
            large_headers: flag("supportKEM"),
            encapsulates: flag("enableKEM"),
            sending_encapsulated: flag("sndKEM"),
            receiving_encapsulated: flag("rcvKEM"),
            root: bytes(&state["RK"]),
            sending: chain(&state["snd"], "CKs", "HKs"),
            receiving: chain(&state["rcv"], "CKr", "HKr"),
            sent: number("Ns"),
            received: number("Nr"),
            previously_sent: number("PN"),
            next_sending_header_key: bytes(&state["NHKs"]),
            next_receiving_header_key: bytes(&state["NHKr"]),
        }
    }
}

/// The bytes of a hexadecimal value, or of the blob it names.
pub fn named_bytes(value: &Value, blobs: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap_or_else(|| panic!("{value:?} is no text"));
    match text.strip_prefix('@') {
        Some(name) => hex::decode(blobs[name].as_str().unwrap()).unwrap(),
        None => hex::decode(text).unwrap(),
    }
}

pub fn public_key(secret: &[u8]) -> Vec<u8> {
    X448SecretKey::from_bytes(secret.try_into().unwrap()).public_key().0.to_vec()
}

pub fn encapsulation_key(secret: &[u8]) -> Vec<u8> {
    SecretKey::from_bytes(secret.try_into().unwrap()).public_key().to_vec()
}

/// The stored form of a ratchet.
pub fn stored(ratchet: &Ratchet) -> Vec<u8> {
    ratchet.to_bytes(&mut [0; Ratchet::MAX_SERIALIZED_LENGTH]).unwrap().to_vec()
}

/// A skipped key: header key, number, key, initialisation vector.
pub type Skipped = (Vec<u8>, u32, Vec<u8>, Vec<u8>);

/// The keys of a store, in order.
pub fn skipped(store: &Store) -> Vec<Skipped> {
    let mut keys: Vec<_> = store
        .iter()
        .map(|skipped| {
            let key = skipped.key.key().to_vec();
            (skipped.header_key.as_bytes().to_vec(), skipped.number, key, skipped.key.iv().to_vec())
        })
        .collect();
    keys.sort();
    keys
}

/// A store with these keys, made through its documented stored form.
pub fn store_of(keys: &[Skipped]) -> Box<Store> {
    let mut chains: Vec<&[u8]> = keys.iter().map(|key| &key.0[..]).collect();
    chains.dedup();
    let mut bytes = postcard::to_stdvec(&(1_u8, chains.len() as u16, keys.len() as u16)).unwrap();
    chains.iter().for_each(|chain| bytes.extend_from_slice(chain));
    for (header_key, number, key, iv) in keys {
        let chain = chains.iter().position(|chain| chain == header_key).unwrap() as u16;
        bytes.extend(postcard::to_stdvec(&(chain, number)).unwrap());
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(iv);
    }
    Box::new(Store::from_bytes(&bytes).unwrap())
}

/// The stored form of a store.
pub fn stored_store(store: &Store) -> Vec<u8> {
    store.to_bytes(&mut vec![0; Store::MAX_SERIALIZED_LENGTH]).unwrap().to_vec()
}

/// New keys that were recorded. Asking for others fails the test.
#[derive(Default)]
pub struct Recorded {
    pub keys: Vec<Vec<u8>>,
    pub encapsulation_key: Option<Vec<u8>>,
    /// The ciphertext and the secret.
    pub encapsulation: Option<(Vec<u8>, Vec<u8>)>,
}

impl Recorded {
    /// Whether everything was asked for.
    pub fn is_used(&self) -> bool {
        self.keys.is_empty() && self.encapsulation_key.is_none() && self.encapsulation.is_none()
    }
}

impl NewKeys for Recorded {
    fn key_pair(&mut self) -> KeyPair {
        let raw = self.keys.remove(0);
        KeyPair::new(X448SecretKey::from_bytes(raw.as_slice().try_into().unwrap()))
    }

    fn encapsulation_key(&mut self, secret: &mut SecretKey) {
        *secret = SecretKey::from_bytes(self.encapsulation_key.take().unwrap().try_into().unwrap());
    }

    fn encapsulate(&mut self, _key: &[u8; 1158], ciphertext: &mut [u8; 1039]) -> SharedSecret {
        let (recorded, secret) = self.encapsulation.take().unwrap();
        ciphertext.copy_from_slice(&recorded);
        SharedSecret::from_bytes(secret.try_into().unwrap())
    }
}
