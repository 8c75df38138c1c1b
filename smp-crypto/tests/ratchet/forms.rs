//! What stored forms take at most, and what is refused in them.

use smp_crypto::ratchet::{Error, Initiator, Joiner, Resynchronization, SkippedStore};
use smp_proto::agent::{AgreedParameters, Encapsulation};
use smp_proto::version::{RatchetVersion, VersionRange};

use crate::common::random;
use crate::state::{State, skipped};
use crate::story::pair;

/// Whoever takes buffers of these lengths has enough, and nothing to spare but for versions that need two bytes more each.
#[test]
fn the_bounds_of_the_stored_keys_are_exact() {
    let random = &mut random(1);
    let mut buffer = [0; 8000];
    let initiator = Initiator::generate(random, VersionRange::RATCHET, true);
    let joiner = Joiner::answer(random, VersionRange::RATCHET, &initiator.parameters(), true).unwrap();
    let own = Resynchronization::start(random, RatchetVersion(3), true);
    assert_eq!(initiator.to_bytes(&mut buffer).unwrap().len(), Initiator::MAX_SERIALIZED_LENGTH - 4);
    assert_eq!(joiner.to_bytes(&mut buffer).unwrap().len(), Joiner::MAX_SERIALIZED_LENGTH - 4);
    assert_eq!(own.to_bytes(&mut buffer).unwrap().len(), Resynchronization::MAX_SERIALIZED_LENGTH - 4);
}

/// Two bytes each are left for counts and places above 127.
#[test]
fn the_bound_of_a_stored_store_is_exact() {
    type Small = SkippedStore<3, 2>;
    let (mut one, mut other) = pair(3, false);
    let messages: Vec<_> = (0..4).map(|_| one.send(b"")).collect();
    let mut late = Small::new();
    other.ratchet.decrypt(&mut late, &mut other.random, &mut messages[3].clone()).unwrap();
    let mut buffer = [0; Small::MAX_SERIALIZED_LENGTH];
    // There is one chain, and its numbers 0, 1 and 2 take four bytes less than the highest ones.
    let saved = late.to_bytes(&mut buffer).unwrap().len();
    assert_eq!((late.len(), saved), (3, Small::MAX_SERIALIZED_LENGTH - 2 * 2 - 32 - 3 * (2 + 4)));
}

/// What was encapsulated cannot be announced without an own key.
#[test]
fn a_joiner_that_accepted_without_a_key_is_no_joiner() {
    let random = &mut random(2);
    let initiator = Initiator::generate(random, VersionRange::RATCHET, true);
    let joiner = Joiner::answer(random, VersionRange::RATCHET, &initiator.parameters(), true).unwrap();
    let mut buffer = [0; Joiner::MAX_SERIALIZED_LENGTH];
    let mut saved = joiner.to_bytes(&mut buffer).unwrap().to_vec();
    assert!(Joiner::from_bytes(&saved).is_ok());
    let key = 3 + 4 * 57;
    assert_eq!(saved[key], 1);
    saved.splice(key..key + 1 + 2 + 1763, [0]);
    assert_eq!(Joiner::from_bytes(&saved).map(drop), Err(Error::Stored));
}

/// Parameters of version 2 that were made, not read, may hold an encapsulation; it has no effect.
#[test]
fn encapsulation_has_no_effect_in_version_2() {
    let random = &mut random(3);
    let initiator = Initiator::generate(random, VersionRange::RATCHET, true);
    let joiner = Joiner::answer(random, VersionRange::RATCHET, &initiator.parameters(), true).unwrap();
    assert!(matches!(joiner.parameters().encapsulation, Some(Encapsulation::Accepted { .. })));
    let answer = AgreedParameters { version: RatchetVersion(2), ..joiner.parameters() };
    let accepted = State::of(&initiator.accept(&answer, true).unwrap());
    assert_eq!(accepted.encapsulation, None);
    assert!(!accepted.large_headers && !accepted.encapsulates);
    let plain = AgreedParameters { encapsulation: None, ..answer };
    assert_eq!(State::of(&initiator.accept(&plain, true).unwrap()), accepted);
}

/// The store was saved, and then the ratchet was not: messages come a second time, and the conversation goes on.
#[test]
fn a_ratchet_older_than_its_store_goes_on() {
    let (mut one, mut other) = pair(3, false);
    other.receive(&one.send(b"before")).unwrap();
    one.receive(&other.send(b"turn")).unwrap();
    let old = State::of(&other.ratchet);
    let messages = [&b"a"[..], b"b", b"c", b"d"].map(|text| one.send(text));
    other.receive(&messages[2]).unwrap();
    assert_eq!(other.late.len(), 2);
    let keys = skipped(&other.late);
    other.ratchet = old.ratchet();
    // Its header opens with the key of a late message, which is that of the chain to come.
    assert_eq!(other.receive(&messages[3]).unwrap(), b"d");
    assert_eq!(skipped(&other.late)[..2], keys);
    for (message, text) in messages.iter().zip([b"a", b"b", b"c"]) {
        assert_eq!(other.receive(message).unwrap(), text);
    }
    assert!(other.late.is_empty());
    one.receive(&other.send(b"answer")).unwrap();
}
