//! Messages that come late, or never.

use smp_crypto::ratchet::{Changed, EncapsulationRequest, Error, MAX_SKIPPED, Sending, SkippedStore};
use smp_proto::version::RatchetVersion;

use crate::state::{State, skipped, stored};
use crate::story::{Side, pair};

fn many(side: &mut Side, count: u32) -> Vec<Vec<u8>> {
    (0..count).map(|number| side.send(&number.to_be_bytes())).collect()
}

#[test]
fn messages_come_in_any_order() {
    for encapsulation in [false, true] {
        let (mut one, mut other) = pair(3, encapsulation);
        let first = many(&mut one, 5);
        assert_eq!(other.receive(&first[3]).unwrap(), 3_u32.to_be_bytes());
        let answer = other.send(b"answer");
        one.receive(&answer).unwrap();
        let second = many(&mut one, 4);
        // Three are missing in the new chain, one more at the end of the old one.
        assert_eq!(other.receive(&second[3]).unwrap(), 3_u32.to_be_bytes());
        assert_eq!(other.late.len(), 3 + 1 + 3);
        for (chain, number) in [(&first, 4), (&second, 1), (&first, 0), (&second, 0), (&first, 2), (&first, 1)] {
            assert_eq!(other.receive(&chain[number]).unwrap(), (number as u32).to_be_bytes());
            assert!(other.receive(&chain[number]).is_err());
        }
        assert_eq!(other.late.len(), 1);
        assert_eq!(one.receive(&answer).unwrap_err(), Error::Duplicate);
    }
}

#[test]
fn no_more_than_512_are_skipped_in_each_chain() {
    assert_eq!(MAX_SKIPPED, 512);
    let (mut one, mut other) = pair(3, false);
    let messages = many(&mut one, 515);
    assert_eq!(other.receive(&messages[514]).unwrap_err(), Error::TooManySkipped(515));
    assert_eq!(other.receive(&messages[513]).unwrap_err(), Error::TooManySkipped(514));
    other.receive(&messages[512]).unwrap();
    assert_eq!(other.late.len(), 512);
    // The same in the middle of a chain.
    let (mut one, mut other) = pair(3, false);
    let messages = many(&mut one, 520);
    other.receive(&messages[0]).unwrap();
    assert_eq!(other.receive(&messages[514]).unwrap_err(), Error::TooManySkipped(514));
    other.receive(&messages[513]).unwrap();
    assert_eq!(other.receive(&messages[513]).unwrap_err(), Error::Duplicate);
    assert_eq!(other.receive(&messages[0]).unwrap_err(), Error::Earlier(513));
    other.receive(&messages[514]).unwrap();

    // 512 at the end of a chain that ended, and 512 of the next.
    let (mut one, mut other) = pair(3, false);
    other.receive(&one.send(b"")).unwrap();
    for (ended, refused) in [(513, Some(Error::TooManySkipped(514))), (512, None)] {
        let (one_before, other_before) = (State::of(&one.ratchet), State::of(&other.ratchet));
        let old = many(&mut one, ended);
        one.receive(&other.send(b"")).unwrap();
        let new = many(&mut one, 513);
        let result = other.receive(&new[512]);
        match refused {
            Some(error) => {
                assert_eq!(result.unwrap_err(), error);
                assert!(other.late.is_empty());
                (one.ratchet, other.ratchet) = (one_before.ratchet(), other_before.ratchet());
            }
            None => {
                result.unwrap();
                assert_eq!(other.late.len(), 1024);
                for message in [&old[0], &old[511], &new[0], &new[511]] {
                    other.receive(message).unwrap();
                }
            }
        }
    }
}

#[test]
fn a_small_store_forgets_the_oldest() {
    let (mut one, mut other) = pair(3, false);
    let mut late = SkippedStore::<3, 2>::new();
    let messages = many(&mut one, 10);
    let mut receive = |number: usize| {
        let mut message = messages[number].clone();
        let random = &mut other.random;
        other.ratchet.decrypt(&mut late, random, &mut message).map(|decrypted| decrypted.changed).ok()
    };
    assert_eq!(receive(9), Some(Changed::RatchetAndSkippedKeys));
    for (number, changed) in [(5, None), (6, Some(Changed::SkippedKeys)), (6, None), (8, Some(Changed::SkippedKeys))] {
        assert_eq!(receive(number), changed);
    }
    assert_eq!(late.len(), 1);
}

/// Encapsulation is switched off, and the first message of the chain is lost or late.
#[test]
fn every_message_of_a_chain_can_be_the_first_to_arrive() {
    for first in 0..3 {
        let (mut one, mut other) = pair(3, true);
        let messages = [EncapsulationRequest::Off, EncapsulationRequest::Off, EncapsulationRequest::Unset]
            .map(|request| one.send_with(request, b"off"));
        assert!(one.ratchet.sends_encapsulated());
        other.receive(&messages[first]).unwrap();
        assert!(other.ratchet.receives_encapsulated());
        for late in (0..3).filter(|late| *late != first) {
            other.receive(&messages[late]).unwrap();
        }
        // It ends with the next step of the ratchet.
        one.receive(&other.send(b"answer")).unwrap();
        let message = one.send(b"plain");
        assert_eq!(State::of(&one.ratchet).encapsulation, None);
        assert!(!one.ratchet.sends_encapsulated());
        other.receive(&message).unwrap();
        assert!(!other.ratchet.receives_encapsulated());
    }
}

/// A peer of the reference removes the ciphertext from the later headers of the chain. Its messages are refused until one
/// that has it comes, and then all of them can be read.
#[test]
fn a_late_first_message_repairs_the_chain_of_a_reference_peer() {
    let (mut one, mut other) = pair(3, true);
    let first = one.send_with(EncapsulationRequest::Off, b"first");
    let mut reference = State::of(&one.ratchet);
    reference.encapsulation.as_mut().unwrap().ciphertext = None;
    one.ratchet = reference.ratchet();
    let later = [&b"second"[..], b"third"].map(|text| one.send_with(EncapsulationRequest::Off, text));
    for message in later.iter().chain(&later) {
        let before = stored(&other.ratchet);
        assert_eq!(other.receive(message).unwrap_err(), Error::Body);
        assert_eq!(stored(&other.ratchet), before);
    }
    assert!(other.late.is_empty());
    assert_eq!(other.receive(&first).unwrap(), b"first");
    for (message, text) in later.iter().zip([&b"second"[..], b"third"]) {
        assert_eq!(other.receive(message).unwrap(), text);
    }
    one.receive(&other.send(b"answer")).unwrap();
    other.receive(&one.send(b"and so on")).unwrap();
}

#[test]
fn encapsulation_is_switched_on_in_the_steps_of_the_wire_reference() {
    let (mut one, mut other) = pair(3, false);
    other.receive(&one.send(b"")).unwrap();
    one.receive(&other.send(b"")).unwrap();
    let sizes: Vec<usize> = (0..5)
        .map(|turn| {
            let (sender, receiver) = if turn % 2 == 0 { (&mut one, &mut other) } else { (&mut other, &mut one) };
            let message = sender.send_with(EncapsulationRequest::On, b"on");
            receiver.receive(&message).unwrap();
            let encapsulated = (sender.ratchet.sends_encapsulated(), receiver.ratchet.receives_encapsulated());
            assert_eq!(encapsulated, (turn >= 3, turn >= 3), "turn {turn}");
            message.len()
        })
        .collect();
    assert_eq!(sizes, [2364 + 60; 5]);
    assert!(one.ratchet.sends_encapsulated() && other.ratchet.sends_encapsulated());
}

#[test]
fn version_3_begins_in_the_middle_of_a_conversation() {
    let (mut one, mut other) = pair(2, false);
    other.receive(&one.send(b"")).unwrap();
    let send = |side: &mut Side, encapsulation| {
        let mut buffer = [0; 3000];
        let sending = Sending { encapsulation, max_version: RatchetVersion(3) };
        side.ratchet.encrypt(sending, b"hello", 60, &mut buffer).unwrap().to_vec()
    };
    // Both programs are upgraded; each speaks version 3 when the other has announced it.
    let message = send(&mut other, EncapsulationRequest::Unset);
    assert_eq!(message.len(), 200);
    one.receive(&message).unwrap();
    assert_eq!(one.ratchet.version(), RatchetVersion(2));
    other.receive(&send(&mut one, EncapsulationRequest::Unset)).unwrap();
    assert_eq!(other.ratchet.version(), RatchetVersion(3));
    let message = send(&mut other, EncapsulationRequest::On);
    assert_eq!(message.len(), 2364 + 60);
    one.receive(&message).unwrap();
    assert_eq!(one.ratchet.version(), RatchetVersion(3));
    for _ in 0..3 {
        other.receive(&send(&mut one, EncapsulationRequest::On)).unwrap();
        one.receive(&send(&mut other, EncapsulationRequest::On)).unwrap();
    }
    assert!(one.ratchet.receives_encapsulated() && other.ratchet.receives_encapsulated());
}

#[test]
fn keys_are_forgotten_with_their_messages() {
    let (mut one, mut other) = pair(3, false);
    let messages = many(&mut one, 3);
    other.receive(&messages[2]).unwrap();
    let keys = skipped(&other.late);
    assert_eq!(keys.iter().map(|key| key.1).collect::<Vec<_>>(), [0, 1]);
    other.receive(&messages[0]).unwrap();
    assert_eq!(skipped(&other.late), keys[1..]);
    assert_eq!(format!("{:?}", other.late), "Secret(..)");
}
