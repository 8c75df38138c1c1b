//! Conversations between two parties that the reference implementation played, with the keys it made.
//!
//! Every state after every step and every byte of every message is compared. Two differences are deliberate, and asserted
//! where they occur: a message that is refused changes nothing here, and a chain goes on as it began when encapsulation is
//! switched off. The state of the reference is taken over then, so that the next step can be compared.

use std::collections::HashMap;

use serde_json::Value;
use smp_crypto::ratchet::{Changed, DecryptError, EncapsulationRequest, Error, Ratchet, Sending};
use smp_proto::version::RatchetVersion;

use crate::common::{assert_bytes, bytes, for_each_case, number, text};
use crate::state::{Recorded, Skipped, State, Store, named_bytes, skipped, store_of, stored, stored_store};

struct Party {
    ratchet: Ratchet,
    store: Box<Store>,
    saved: HashMap<String, (Vec<u8>, Vec<u8>)>,
}

impl Party {
    fn new(state: &Value, blobs: &Value) -> Self {
        let ratchet = State::named(state, blobs).ratchet();
        Self { ratchet, store: store_of(&listed(&state["skipped"]).unwrap()), saved: HashMap::new() }
    }

    fn save(&self) -> (Vec<u8>, Vec<u8>) {
        (stored(&self.ratchet), stored_store(&self.store))
    }

    /// Takes over a state of the reference's. Long lists of skipped keys are not written out; those stay.
    fn adopt(&mut self, state: &Value, blobs: &Value) {
        self.ratchet = State::named(state, blobs).ratchet();
        match listed(&state["skipped"]) {
            Some(keys) => self.store = store_of(&keys),
            None => assert_skipped(&self.store, &state["skipped"]),
        }
    }

    fn assert_state(&self, state: &Value, blobs: &Value) {
        assert_eq!(State::of(&self.ratchet), State::named(state, blobs));
        assert_skipped(&self.store, &state["skipped"]);
    }
}

/// The skipped keys of a state, unless they are too many to be listed.
fn listed(groups: &Value) -> Option<Vec<Skipped>> {
    let mut all = Vec::new();
    for group in groups.as_array().unwrap() {
        for key in group.get("keys")?.as_array().unwrap() {
            let number = u32::try_from(number(key, "n")).unwrap();
            all.push((bytes(group, "header_key"), number, bytes(key, "key"), bytes(key, "iv")));
        }
    }
    all.sort();
    Some(all)
}

fn assert_skipped(store: &Store, groups: &Value) {
    let keys = skipped(store);
    if let Some(expected) = listed(groups) {
        assert_eq!(keys, expected);
        return;
    }
    let mut total = 0;
    for group in groups.as_array().unwrap() {
        let header_key = bytes(group, "header_key");
        let own: Vec<_> = keys.iter().filter(|key| key.0 == header_key).collect();
        total += own.len();
        let Some(count) = group.get("count") else {
            assert_eq!(own.len(), group["keys"].as_array().unwrap().len());
            continue;
        };
        assert_eq!(own.len() as u64, count.as_u64().unwrap());
        for (key, name) in [(own[0], "first"), (own[own.len() - 1], "last")] {
            assert_eq!((key.1 as usize, &key.2), (number(&group[name], "n"), &bytes(&group[name], "key")));
        }
        let joined: Vec<u8> = own.iter().flat_map(|key| [&key.1.to_be_bytes()[..], &key.2, &key.3].concat()).collect();
        assert_eq!(hex::encode(smp_crypto::hash::sha256(&[&joined])), text(group, "sha256"));
    }
    assert_eq!(total, keys.len());
}

/// What a step of the vectors sends.
fn sending(step: &Value) -> Sending {
    Sending {
        encapsulation: match text(step, "pq") {
            "on" => EncapsulationRequest::On,
            "off" => EncapsulationRequest::Off,
            _ => EncapsulationRequest::Unset,
        },
        max_version: RatchetVersion(u16::try_from(number(step, "local_max")).unwrap()),
    }
}

/// Whether a refusal is the one the reference gives.
pub fn assert_error(error: Error, expected: &Value) {
    let parameter = || u32::try_from(number(expected, "param")).unwrap();
    let agrees = match text(expected, "error") {
        "header error" => error == Error::Header,
        "parse error" => matches!(error, Error::Malformed(_) | Error::UnparsableHeader(_)),
        "duplicate message" => error == Error::Duplicate,
        "earlier message" => error == Error::Earlier(parameter()),
        "too many skipped" => error == Error::TooManySkipped(parameter()),
        "body authentication" => error == Error::Body,
        "bad padding" => error == Error::Padding,
        "KEM state" => error == Error::Encapsulation,
        "message too large" => error == Error::TooLong,
        other => panic!("unknown error {other}"),
    };
    assert!(agrees, "{error:?} is not {expected}");
}

fn recorded(step: &Value, blobs: &Value) -> Recorded {
    let random = &step["random"];
    let bytes = |value: &Value| named_bytes(value, blobs);
    let encapsulation = &random["encapsulation"];
    Recorded {
        keys: random.get("DHs").map(|key| bytes(key)[16..].to_vec()).into_iter().collect(),
        encapsulation_key: random.get("kem_own").map(|own| bytes(&own["secret"])),
        encapsulation: (!encapsulation.is_null())
            .then(|| (bytes(&encapsulation["ciphertext"]), bytes(&encapsulation["shared_secret"]))),
    }
}

fn edited(step: &Value, mut message: Vec<u8>) -> Vec<u8> {
    for edit in step.get("edits").and_then(Value::as_array).into_iter().flatten() {
        if let Some(bits) = edit.get("xor") {
            message[number(edit, "offset")] ^= u8::try_from(bits.as_u64().unwrap()).unwrap();
        } else if edit.get("truncate_to").is_some() {
            message.truncate(number(edit, "truncate_to"));
        } else {
            message.extend(bytes(edit, "append"));
        }
    }
    message
}

fn encrypt(party: &mut Party, step: &Value, blobs: &Value) -> Option<Vec<u8>> {
    let sending = sending(step);
    let padded_length = number(step, "padded_length");
    let plaintext = match step.get("plaintext") {
        Some(_) => bytes(step, "plaintext"),
        None => bytes(step, "plaintext_repeat").repeat(number(step, "plaintext_length")),
    };
    let mut out = vec![0; 20_000];
    let before = party.save();
    if step["result"]["error"].is_string() {
        let error = party.ratchet.encrypt(sending, &plaintext, padded_length, &mut out).unwrap_err();
        assert_error(error, &step["result"]);
        assert_eq!(party.save(), before);
        // In two steps a number is used up, as always with the reference.
        let prepared = party.ratchet.prepare(sending).unwrap();
        assert_eq!(prepared.seal(&plaintext, padded_length, &mut out).unwrap_err(), error);
        party.assert_state(&step["state"], blobs);
        return None;
    }
    let length = party.ratchet.encrypted_length(sending, padded_length);
    let message = party.ratchet.encrypt(sending, &plaintext, padded_length, &mut out).unwrap().to_vec();
    assert_eq!(message.len(), length);
    if let Some(expected) = step.get("message") {
        assert_eq!(message, named_bytes(expected, blobs));
    }
    // What is stored between the two steps is enough to finish.
    let mut again = Ratchet::from_bytes(&before.0).unwrap();
    let mut buffer = [0; smp_crypto::ratchet::PreparedMessage::MAX_SERIALIZED_LENGTH];
    let prepared = again.prepare(sending).unwrap().to_bytes(&mut buffer).unwrap().to_vec();
    let prepared = smp_crypto::ratchet::PreparedMessage::from_bytes(&prepared).unwrap();
    assert_eq!(prepared.encrypted_length(padded_length), length);
    assert_eq!(prepared.seal(&plaintext, padded_length, &mut out).unwrap(), message);
    assert_eq!(stored(&again), stored(&party.ratchet));
    compare_sent(party, step, blobs);
    Some(message)
}

/// The ciphertext stays in the headers of the chain here when encapsulation is switched off; the reference removes it.
fn compare_sent(party: &mut Party, step: &Value, blobs: &Value) {
    let (mut own, expected) = (State::of(&party.ratchet), State::named(&step["state"], blobs));
    let accepted = |state: &State| state.encapsulation.as_ref().is_some_and(|own| own.ciphertext.is_some());
    if step["pq"] == "off" && accepted(&own) {
        assert!(!accepted(&expected));
        own.encapsulation.as_mut().unwrap().ciphertext = None;
        party.ratchet = own.ratchet();
    }
    party.assert_state(&step["state"], blobs);
}

fn decrypt(party: &mut Party, step: &Value, blobs: &Value, message: &[u8]) {
    let mut message = edited(step, message.to_vec());
    let original = message.clone();
    let before = party.save();
    let mut new_keys = recorded(step, blobs);
    let result = party.ratchet.decrypt(&mut *party.store, &mut new_keys, &mut message);
    let expected = &step["result"];
    if expected["error"].is_string() {
        let Err(DecryptError::Ratchet(error)) = result else { panic!("{expected} came as {result:?}") };
        assert_error(error, expected);
        assert_eq!(party.save(), before);
        assert_eq!(message, original);
        if step["state_changed"] == true {
            party.adopt_after_failure(step, blobs);
        }
        return;
    }
    let decrypted = result.unwrap();
    assert_bytes(decrypted.message, &expected["plaintext"]);
    assert_eq!(decrypted.encapsulated, expected["kem_used"].as_bool().unwrap());
    assert_eq!(decrypted.advanced, step["dh_step"].as_bool().unwrap());
    assert!(new_keys.is_used());
    let changed = decrypted.changed;
    party.assert_state(&step["state"], blobs);
    let after = party.save();
    assert_eq!(changed != Changed::SkippedKeys, after.0 != before.0);
    assert_eq!(changed != Changed::Ratchet, after.1 != before.1);
    // A replay is refused and changes nothing.
    let mut replay = original;
    assert!(party.ratchet.decrypt(&mut *party.store, &mut Recorded::default(), &mut replay).is_err());
    assert_eq!(party.save(), after);
}

impl Party {
    fn adopt_after_failure(&mut self, step: &Value, blobs: &Value) {
        assert_ne!(
            (State::of(&self.ratchet), skipped(&self.store)),
            (State::named(&step["state"], blobs), listed(&step["state"]["skipped"]).unwrap_or_default())
        );
        self.adopt(&step["state"], blobs);
    }
}

fn play(case: &Value) -> usize {
    let blobs = &case["blobs"];
    let mut parties: HashMap<&str, Party> =
        ["initiator", "joiner"].map(|name| (name, Party::new(&case["initial"][name], blobs))).into();
    let mut messages = HashMap::new();
    let mut steps = 0;
    for step in case["steps"].as_array().unwrap() {
        eprintln!("{} step {} {}", text(case, "name"), step["step"], step["what"]);
        let Some(party) = step["party"].as_str().map(|name| parties.get_mut(name).unwrap()) else { continue };
        steps += 1;
        match text(step, "op") {
            "encrypt" => {
                if let Some(message) = encrypt(party, step, blobs)
                    && let Some(name) = step["message_id"].as_str()
                {
                    messages.insert(name.to_owned(), message);
                }
            }
            "encrypt_and_drop" => {
                for _ in 0..number(step, "count") {
                    drop(party.ratchet.prepare(sending(step)).unwrap());
                }
                party.assert_state(&step["state"], blobs);
            }
            "crafted_message" => {
                messages.insert(text(step, "message_id").to_owned(), named_bytes(&step["message"], blobs));
            }
            "decrypt" => {
                let message = messages[text(step, "message_id")].clone();
                decrypt(party, step, blobs, &message);
            }
            "save" => {
                let saved = party.save();
                party.saved.insert(text(step, "name").to_owned(), saved);
            }
            "restore" => {
                let (ratchet, store) = party.saved[text(step, "name")].clone();
                party.ratchet = Ratchet::from_bytes(&ratchet).unwrap();
                *party.store = Store::from_bytes(&store).unwrap();
            }
            "set_state" => party.adopt(&step["state"], blobs),
            other => panic!("unknown step {other}"),
        }
    }
    steps
}

fn play_all(name: &str, expected_steps: usize) {
    let mut steps = 0;
    for_each_case(name, |case| steps += play(case));
    assert!(steps >= expected_steps, "{steps} steps");
}

#[test]
fn plain() {
    play_all("ratchet-conversations-plain.json", 130);
}

#[test]
fn encapsulated() {
    play_all("ratchet-conversations-pq.json", 95);
}

#[test]
fn encapsulation_switched_on_and_off() {
    play_all("ratchet-conversations-switch.json", 115);
}

#[test]
fn failures() {
    play_all("ratchet-conversations-failures.json", 240);
}
