//! Conversations and single attempts in the reference's own stored form (wire reference, section 15), made by a second
//! program. The deliberate differences are those of the other conversations.

use std::collections::HashMap;

use serde_json::Value;
use smp_crypto::ratchet::{DecryptError, EncapsulationRequest, Error, PreparedMessage, Ratchet, Sending};
use smp_proto::version::RatchetVersion;

use crate::common::{assert_bytes, bytes, for_each_case, number, text};
use crate::state::{
    Encapsulation, Recorded, Skipped, State, Store, encapsulation_key, public_key, skipped, store_of, stored,
    stored_store,
};

impl State {
    /// A state in the reference's own JSON (wire reference, section 15).
    pub fn persistent(state: &Value) -> Self {
        let bytes = |value: &Value| base64(value.as_str().unwrap());
        let chain = |value: &Value, key: &str, header: &str| {
            (!value.is_null()).then(|| (bytes(&value[key]), bytes(&value[header])))
        };
        let flag = |name: &str| state[name].as_bool().unwrap_or(false);
        let number = |name: &str| u32::try_from(state[name].as_u64().unwrap()).unwrap();
        let version = |index: usize, name: &str| {
            let version = &state["rcVersion"];
            u16::try_from(version[index].as_u64().or(version[name].as_u64()).unwrap()).unwrap()
        };
        let kem = &state["rcKEM"];
        let secret = base64(std::str::from_utf8(&bytes(&state["rcDHRs"])).unwrap())[16..].to_vec();
        Self {
            format: 1,
            version: version(0, "current"),
            max_version: version(1, "maxSupported"),
            associated_data: bytes(&state["rcAD"]),
            public: public_key(&secret),
            secret,
            encapsulation: (!kem.is_null()).then(|| {
                let secret = bytes(&kem["rcPQRs"][1]);
                assert_eq!(encapsulation_key(&secret), bytes(&kem["rcPQRs"][0]));
                let accepted = &kem["rcKEMs"];
                let ciphertext = (!accepted.is_null()).then(|| bytes(&accepted["rcPQRct"]));
                Encapsulation { secret, ciphertext }
            }),
            large_headers: flag("rcSupportKEM"),
            encapsulates: flag("rcEnableKEM"),
            sending_encapsulated: flag("rcSndKEM"),
            receiving_encapsulated: flag("rcRcvKEM"),
            root: bytes(&state["rcRK"]),
            sending: chain(&state["rcSnd"], "rcCKs", "rcHKs"),
            receiving: chain(&state["rcRcv"], "rcCKr", "rcHKr"),
            sent: number("rcNs"),
            received: number("rcNr"),
            previously_sent: number("rcPN"),
            next_sending_header_key: bytes(&state["rcNHKs"]),
            next_receiving_header_key: bytes(&state["rcNHKr"]),
        }
    }
}

/// The bytes of base64url text.
pub fn base64(text: &str) -> Vec<u8> {
    let mut buffer = vec![0; text.len()];
    smp_proto::wire::base64_url_decode(text.as_bytes(), &mut buffer).unwrap().to_vec()
}

/// A party: our ratchet, and the reference's state.
struct Party {
    ratchet: Ratchet,
    store: Box<Store>,
    reference: Value,
}

/// A state after a step.
fn changed(before: &Value, changes: &Value) -> Value {
    let mut state = before.clone();
    for (name, value) in changes.as_object().into_iter().flatten() {
        if value.is_null() {
            state.as_object_mut().unwrap().remove(name);
        } else {
            state[name] = value.clone();
        }
    }
    state
}

fn listed(keys: &Value) -> Vec<Skipped> {
    let mut all: Vec<Skipped> = keys
        .as_array()
        .unwrap()
        .iter()
        .map(|key| {
            let number = u32::try_from(number(key, "n")).unwrap();
            (bytes(key, "header_key"), number, bytes(key, "key"), bytes(key, "iv"))
        })
        .collect();
    all.sort();
    all
}

/// The new keys a step left in the state.
fn recorded(changes: &Value) -> Recorded {
    let value = |value: &Value| base64(value.as_str().unwrap());
    let (own, encapsulated) = (&changes["rcKEM"]["rcPQRs"], &changes["rcKEM"]["rcKEMs"]);
    let key = changes.get("rcDHRs").map(|key| base64(std::str::from_utf8(&value(key)).unwrap())[16..].to_vec());
    Recorded {
        keys: key.into_iter().collect(),
        encapsulation_key: (!own.is_null()).then(|| value(&own[1])),
        encapsulation: (!encapsulated.is_null())
            .then(|| (value(&encapsulated["rcPQRct"]), value(&encapsulated["rcPQRss"]))),
    }
}

fn assert_error(error: Error, expected: &str) {
    let (name, parameter) = expected.split_once(' ').unwrap_or((expected, ""));
    let agrees = match name {
        "CERatchetHeader" => error == Error::Header,
        "CryptoHeaderError" => matches!(error, Error::Malformed(_) | Error::UnparsableHeader(_)),
        "CERatchetDuplicateMessage" => error == Error::Duplicate,
        "CERatchetEarlierMessage" => error == Error::Earlier(parameter.parse().unwrap()),
        "CERatchetTooManySkipped" => error == Error::TooManySkipped(parameter.parse().unwrap()),
        "AESDecryptError" => error == Error::Body,
        "CERatchetKEMState" => error == Error::Encapsulation,
        "CERatchetState" => error == Error::NotReady,
        "CryptoLargeMsgError" => error == Error::TooLong,
        other => panic!("unknown error {other}"),
    };
    assert!(agrees, "{error:?} is not {expected}");
}

fn sending(step: &Value) -> Sending {
    Sending {
        encapsulation: match step["pq"].as_bool() {
            Some(true) => EncapsulationRequest::On,
            Some(false) => EncapsulationRequest::Off,
            None => EncapsulationRequest::Unset,
        },
        max_version: RatchetVersion(step["local_max"].as_u64().map_or(3, |version| u16::try_from(version).unwrap())),
    }
}

/// The record the reference stores between the two steps of sending, made of what we store.
fn stored_key(prepared: &PreparedMessage) -> Vec<u8> {
    let mut buffer = [0; PreparedMessage::MAX_SERIALIZED_LENGTH];
    type Stored = (u8, u16, [u8; 32], [u8; 16], Vec<u8>);
    let (_, version, key, iv, data): Stored = postcard::from_bytes(prepared.to_bytes(&mut buffer).unwrap()).unwrap();
    let (associated_data, header) = data.split_at(112);
    let mut record = version.to_be_bytes().to_vec();
    for short in [associated_data, &key, &iv] {
        record.push(short.len() as u8);
        record.extend_from_slice(short);
    }
    record.extend((header.len() as u16).to_be_bytes());
    record.extend_from_slice(header);
    record
}

impl Party {
    fn new(reference: &Value, keys: &[Skipped]) -> Self {
        Self { ratchet: State::persistent(reference).ratchet(), store: store_of(keys), reference: reference.clone() }
    }

    fn save(&self) -> (Vec<u8>, Vec<u8>) {
        (stored(&self.ratchet), stored_store(&self.store))
    }

    fn assert_state(&self) {
        assert_eq!(State::of(&self.ratchet), State::persistent(&self.reference));
    }

    fn send(&mut self, step: &Value) -> Vec<u8> {
        let (sending, plaintext, padded_length) = (sending(step), bytes(step, "plaintext"), number(step, "pad_to"));
        let mut out = vec![0; 20_000];
        self.reference = changed(&self.reference, &step["state_changed"]);
        let before = self.save();
        if let Some(error) = step["error"].as_str() {
            assert_error(self.ratchet.encrypt(sending, &plaintext, padded_length, &mut out).unwrap_err(), error);
            assert_eq!(self.save(), before);
            if error != "CERatchetState" {
                let prepared = self.ratchet.prepare(sending).unwrap();
                assert!(prepared.seal(&plaintext, padded_length, &mut out).is_err());
            }
            self.assert_state();
            return Vec::new();
        }
        let prepared = Ratchet::from_bytes(&before.0).unwrap().prepare(sending).unwrap();
        if let Some(expected) = step.get("stored_key") {
            assert_bytes(&stored_key(&prepared), expected);
        }
        let message = self.ratchet.encrypt(sending, &plaintext, padded_length, &mut out).unwrap().to_vec();
        assert_bytes(&message, &step["message"]);
        assert_eq!(prepared.seal(&plaintext, padded_length, &mut out).unwrap(), message);
        if let Some(encapsulated) = step["snd_kem"].as_bool() {
            assert_eq!(self.ratchet.sends_encapsulated(), encapsulated);
        }
        let mut own = State::of(&self.ratchet);
        let expected = State::persistent(&self.reference);
        let ciphertext = |state: &State| state.encapsulation.as_ref().and_then(|own| own.ciphertext.clone());
        if step["pq"] == false && ciphertext(&own).is_some() {
            // It stays in the headers of this chain here.
            assert_eq!(ciphertext(&expected), None);
            own.encapsulation.as_mut().unwrap().ciphertext = None;
            self.ratchet = own.ratchet();
        }
        self.assert_state();
        message
    }

    fn receive(&mut self, step: &Value, message: &[u8]) {
        let mut bytes = message.to_vec();
        let before = self.save();
        let mut new_keys = recorded(&step["state_changed"]);
        self.reference = changed(&self.reference, &step["state_changed"]);
        let result = self.ratchet.decrypt(&mut *self.store, &mut new_keys, &mut bytes);
        if let Some(error) = step["error"].as_str() {
            let Err(DecryptError::Ratchet(actual)) = result else { panic!("{error} came as {result:?}") };
            assert_error(actual, error);
            assert_eq!(bytes, message);
            assert_eq!(self.save(), before);
            // The reference may have moved on; the next step is compared from there.
            let keys = step.get("skipped").filter(|_| step["op"] != "decrypt").map(listed);
            *self = Self::new(&self.reference, &keys.unwrap_or_else(|| skipped(&self.store)));
            return;
        }
        let decrypted = result.unwrap();
        assert_bytes(decrypted.message, &step["plaintext"]);
        if let Some(encapsulated) = step["rcv_kem"].as_bool() {
            assert_eq!(decrypted.encapsulated, encapsulated);
        }
        assert!(new_keys.is_used());
        self.assert_state();
        if step["op"] == "receive" {
            assert_eq!(skipped(&self.store), listed(&step["skipped"]));
        }
    }
}

fn converse(case: &Value) -> usize {
    let mut parties: HashMap<&str, Party> =
        ["initiator", "joiner"].map(|name| (name, Party::new(&case[format!("{name}_state")], &[]))).into();
    let mut messages = HashMap::new();
    let steps = case["steps"].as_array().unwrap();
    for (index, step) in steps.iter().enumerate() {
        eprintln!("{} step {index}", text(case, "name"));
        let name = text(step, "party");
        let party = parties.get_mut(name).unwrap();
        let message = number(step, "message_no");
        match text(step, "op") {
            "send" => {
                messages.insert((name, message), party.send(step));
            }
            "receive" => {
                let peer = if name == "joiner" { "initiator" } else { "joiner" };
                party.receive(step, &messages[&(peer, message)]);
            }
            "receive_damaged" => party.receive(step, &bytes(step, "message")),
            other => panic!("unknown step {other}"),
        }
    }
    for (name, party) in &parties {
        assert_eq!(party.reference, case["final"][format!("{name}_state")]);
        assert_eq!(party.store.len(), number(&case["final"], &format!("{name}_skipped")));
    }
    steps.len()
}

#[test]
fn conversations() {
    let mut steps = 0;
    for_each_case("ratchet-conversations.json", |case| steps += converse(case));
    for_each_case("ratchet-pq-conversations.json", |case| steps += converse(case));
    assert!(steps > 400, "{steps} steps");
}

#[test]
fn single_attempts() {
    let mut count = 0;
    for_each_case("ratchet-errors.json", |case| {
        count += 1;
        let keys = case.get("skipped").map(listed).unwrap_or_default();
        let mut party = Party::new(&case["state"], &keys);
        match text(case, "op") {
            "decrypt" => {
                party.receive(case, &bytes(case, "message"));
                if case["error"].is_null() {
                    assert_eq!(party.store.len(), number(case, "skipped_count_after"));
                }
            }
            _ => drop(party.send(case)),
        }
    });
    assert!(count >= 35);
}
