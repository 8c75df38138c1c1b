//! Versions that are not spoken here are never taken up, whoever asks for them.
#![cfg(feature = "ratchet")]
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use smp_crypto::ratchet::{Error, Initiator, Joiner, Ratchet, Resynchronization, Sending, SkippedStore};
use smp_proto::version::{RatchetVersion, VersionRange};

const NEWER: RatchetVersion = RatchetVersion(RatchetVersion::MAX.0 + 1);

fn newer() -> VersionRange<RatchetVersion> {
    VersionRange::new(RatchetVersion::MIN, NEWER).unwrap()
}

fn reload(ratchet: &Ratchet) -> Ratchet {
    let mut buffer = [0; Ratchet::MAX_SERIALIZED_LENGTH];
    Ratchet::from_bytes(ratchet.to_bytes(&mut buffer).unwrap()).unwrap()
}

/// A state that a message brought to an unknown version could not be read again: the conversation would be lost.
#[test]
fn a_conversation_stays_readable_when_both_sides_announce_a_newer_version() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let initiator = Initiator::generate(&mut random, newer(), false);
    let joiner = Joiner::answer(&mut random, VersionRange::RATCHET, &initiator.parameters(), false).unwrap();
    let mut parties = [joiner.ratchet(&mut random).unwrap(), initiator.accept(&joiner.parameters(), false).unwrap()];
    let sending = Sending { max_version: NEWER, ..Sending::default() };
    let mut buffer = [0; 4096];
    for turn in 0..6 {
        let message = parties[turn % 2].encrypt(sending, b"hello", 100, &mut buffer).unwrap();
        let receiver = &mut parties[1 - turn % 2];
        let received = receiver.decrypt(&mut SkippedStore::<4>::new(), &mut random, message).unwrap();
        assert_eq!(received.message, b"hello");
        parties = parties.each_ref().map(reload);
        assert!(parties.iter().all(|party| party.version() <= RatchetVersion::MAX));
    }
}

/// A later release may have left its own version in a state that an older one reads.
#[test]
fn a_state_of_a_later_release_goes_on_with_the_versions_of_this_one() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let initiator = Initiator::generate(&mut random, VersionRange::RATCHET, false);
    let joiner = Joiner::answer(&mut random, VersionRange::RATCHET, &initiator.parameters(), false).unwrap();
    let bob = joiner.ratchet(&mut random).unwrap();
    let mut buffer = [0; Ratchet::MAX_SERIALIZED_LENGTH];
    let bytes = bob.to_bytes(&mut buffer).unwrap();
    // The format, the version, the highest version.
    assert_eq!(bytes[..3], [1, 3, 3]);
    bytes[2] = 4;
    let bob = Ratchet::from_bytes(bytes).unwrap();
    assert_eq!(bob.to_bytes(&mut [0; Ratchet::MAX_SERIALIZED_LENGTH]).unwrap()[..3], [1, 3, 3]);
}

#[test]
fn nobody_agrees_on_an_unknown_version() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let initiator = Initiator::generate(&mut random, newer(), false);
    let joiner = Joiner::answer(&mut random, newer(), &initiator.parameters(), false).unwrap();
    assert_eq!(joiner.version(), RatchetVersion::MAX);
    for version in [1, NEWER.0] {
        let mut answer = joiner.parameters();
        answer.version = RatchetVersion(version);
        assert_eq!(initiator.accept(&answer, false).err(), Some(Error::Version));
    }

    let ours = Resynchronization::start(&mut random, NEWER, false);
    assert_eq!(ours.parameters().version, RatchetVersion::MAX);
    for version in [1, NEWER.0] {
        let mut theirs = ours.parameters();
        theirs.version = RatchetVersion(version);
        assert_eq!(ours.receiver(&theirs, false).err(), Some(Error::Version));
        assert_eq!(ours.sender(&theirs, &mut random).err(), Some(Error::Version));
        let answer = Resynchronization::answer(&mut random, newer(), &theirs, false);
        assert_eq!(answer.err(), Some(Error::Version));
    }
}
