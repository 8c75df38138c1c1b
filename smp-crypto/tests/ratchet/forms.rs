//! What stored forms take at most, and what is refused in them.

use smp_crypto::ratchet::{
    Error, Initiator, Joiner, MAX_MESSAGE_LENGTH, PreparedMessage, Resynchronization, Sending, SkippedStore,
};
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

#[test]
fn a_prepared_message_with_another_length_of_header_is_none() {
    let (mut one, _) = pair(3, false);
    let prepared = one.ratchet.prepare(Sending::default()).unwrap();
    let mut buffer = [0; PreparedMessage::MAX_SERIALIZED_LENGTH];
    type Stored = (u8, u16, [u8; 32], [u8; 16], Vec<u8>);
    let saved: Stored = postcard::from_bytes(prepared.to_bytes(&mut buffer).unwrap()).unwrap();
    assert_eq!((saved.1, saved.4.len()), (3, 112 + 124));
    for (version, length, read) in [
        (3, 124, true),
        (3, 2346, true),
        (2, 123, true),
        (3, 0, false),
        (3, 123, false),
        (3, 125, false),
        (2, 2346, false),
        (3, 2345, false),
        (3, 2347, false),
    ] {
        let data = vec![0; 112 + length];
        let bytes = postcard::to_stdvec(&(1_u8, version as u16, saved.2, saved.3, data)).unwrap();
        assert_eq!(PreparedMessage::from_bytes(&bytes).is_ok(), read, "{version} {length}");
    }
}

/// Neither a program nor a stored state can announce a version that is not spoken, or one below the current.
#[test]
fn the_highest_version_stays_among_those_that_are_spoken() {
    for (version, highest, expected) in [(2, 2, 2), (2, 3, 3), (2, 9, 3), (3, 2, 3), (3, 9, 3)] {
        let (mut one, _) = pair(version, false);
        let sending = Sending { max_version: RatchetVersion(highest), ..Sending::default() };
        one.ratchet.prepare(sending).unwrap();
        let mut state = State::of(&one.ratchet);
        assert_eq!((state.version, state.max_version), (version, expected));
        state.max_version = highest;
        assert_eq!(State::of(&state.ratchet()).max_version, expected);
    }
}

#[test]
fn the_longest_message_is_sent() {
    let (mut one, mut other) = pair(3, false);
    let message = vec![7; MAX_MESSAGE_LENGTH];
    let mut out = vec![0; 66_000];
    let sending = Sending::default();
    let sent = one.ratchet.encrypt(sending, &message, MAX_MESSAGE_LENGTH + 2, &mut out).unwrap().to_vec();
    assert_eq!(other.receive(&sent).unwrap(), message);
    let longer = one.ratchet.encrypt(sending, &[&message[..], b"x"].concat(), MAX_MESSAGE_LENGTH + 3, &mut out);
    assert_eq!(longer.unwrap_err(), Error::TooLong);
}

#[test]
fn a_resynchronisation_proposes_where_it_is_supported() {
    let random = &mut random(4);
    for (version, support) in [(2, false), (2, true), (3, false), (3, true)] {
        let proposes = support && version == 3;
        let version = RatchetVersion(version);
        let started = Resynchronization::start(random, version, support);
        assert_eq!(matches!(started.parameters().encapsulation, Some(Encapsulation::Proposed { .. })), proposes);
        for peer_supports in [false, true] {
            let peer = Resynchronization::start(random, version, peer_supports);
            let answered =
                Resynchronization::answer(random, VersionRange::RATCHET, &peer.parameters(), support).unwrap();
            let answer = answered.parameters();
            assert_eq!(answer.version, version);
            assert_eq!(matches!(answer.encapsulation, Some(Encapsulation::Proposed { .. })), proposes);
            assert_eq!(answer.encapsulation.is_some(), proposes);
        }
    }
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
