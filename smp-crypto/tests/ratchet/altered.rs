//! What is altered, replayed, made up or cannot be stored is refused, and changes nothing: not the ratchet, not the skipped
//! keys, not the message.

use smp_crypto::ratchet::{
    Changed, DecryptError, EncapsulationRequest, Error, HeaderKey, MessageKey, Sending, SkippedBatch, SkippedKeys,
};

use crate::common::random;
use crate::state::{Recorded, State, Store, stored, stored_store};
use crate::story::{Side, pair, pair_of};

/// Asserts that a message is refused and that nothing has changed.
#[track_caller]
fn refused(side: &mut Side, message: &[u8]) -> Error {
    let before = (stored(&side.ratchet), stored_store(&side.late));
    let mut copy = message.to_vec();
    // No new key is made for it, either.
    let result = side.ratchet.decrypt(&mut *side.late, &mut Recorded::default(), &mut copy);
    let Err(DecryptError::Ratchet(error)) = result else { panic!("{result:?}") };
    assert_eq!(copy, message);
    assert_eq!((stored(&side.ratchet), stored_store(&side.late)), before);
    error
}

/// Every bit and every truncation of the message that `sender` sends next, at every kind of receiver.
fn altered_everywhere(version: u16, encapsulation: bool) {
    let (mut one, mut other) = pair(version, encapsulation);
    let mut message = one.send(b"first");
    for (turn, name) in ["a new chain", "the same chain", "a late message"].into_iter().enumerate() {
        let step = if encapsulation { 37 } else { 1 };
        for bit in (0..message.len() * 8).step_by(step) {
            message[bit / 8] ^= 1 << (bit % 8);
            refused(&mut other, &message);
            message[bit / 8] ^= 1 << (bit % 8);
        }
        for length in (0..message.len()).step_by(step) {
            refused(&mut other, &message[..length]);
        }
        refused(&mut other, &[&message[..], b"x"].concat());
        refused(&mut one, &message);
        assert!(other.receive(&message).is_ok(), "{name}");
        refused(&mut other, &message);
        message = match turn {
            0 => one.send(b"second"),
            _ => {
                let late = one.send(b"third");
                let next = one.send(b"fourth");
                other.receive(&next).unwrap();
                assert_eq!(other.late.len(), 1);
                late
            }
        };
    }
}

#[test]
fn version_2() {
    altered_everywhere(2, false);
}

#[test]
fn version_3() {
    altered_everywhere(3, false);
}

#[test]
fn version_3_with_encapsulation() {
    altered_everywhere(3, true);
}

/// The clear version is authenticated with the body only, and lengths may have other forms.
#[test]
fn a_changed_version_costs_no_key() {
    for (version, other_versions) in [(2_u8, [0, 1, 3]), (3, [0, 2, 4])] {
        let (mut one, mut other) = pair(u16::from(version), false);
        let message = one.send(b"hello");
        let at = if version == 2 { 2 } else { 3 };
        for changed in other_versions {
            let mut message = message.clone();
            assert_eq!(message[at], version);
            message[at] = changed;
            refused(&mut other, &message);
        }
        assert_eq!(other.receive(&message).unwrap(), b"hello");
    }
    // A length in one byte is accepted in version 3, too.
    let (mut one, mut other) = pair(3, false);
    let message = one.send(b"hello");
    assert_eq!(other.receive(&message[1..]).unwrap(), b"hello");
}

#[test]
fn messages_of_other_conversations_are_refused() {
    let (mut one, mut other) = pair(3, false);
    let (mut stranger, _) = pair_of(8, 3, false);
    let own = one.send(b"hello");
    assert_eq!(refused(&mut one, &own), Error::Header);
    assert_eq!(refused(&mut other, &stranger.send(b"hello")), Error::Header);
    // A header of one message with the body of another.
    let second = one.send(b"hullo");
    let mixed = [&own[..126], &second[126..]].concat();
    assert_eq!(refused(&mut other, &mixed), Error::Body);
    for message in [own, second] {
        other.receive(&message).unwrap();
    }
}

#[test]
fn headers_longer_than_any_version_sends_are_refused() {
    let (mut one, mut other) = pair(3, true);
    let message = one.send(b"hello");
    assert_eq!(&message[..2], &2346_u16.to_be_bytes());
    let mut longer = message.clone();
    longer.splice(2 + 36..2 + 36, [0; 1]);
    longer[..2].copy_from_slice(&2347_u16.to_be_bytes());
    longer[2 + 34..2 + 36].copy_from_slice(&2311_u16.to_be_bytes());
    assert!(matches!(refused(&mut other, &longer), Error::Malformed(_)));
    other.receive(&message).unwrap();
}

#[test]
fn a_message_that_does_not_fit_moves_nothing() {
    let (mut one, mut other) = pair(3, true);
    let mut buffer = [0; 4000];
    for (length, padded, room) in
        [(99, 100, 4000), (98, 100, 2463), (0, 1, 4000), (0, 0, 4000), (65_534, 70_000, 80_000), (98, 100, 0)]
    {
        let before = stored(&one.ratchet);
        let (message, mut out) = (vec![1; length], vec![0; room]);
        let sent = one.ratchet.encrypt(Sending::default(), &message, padded, &mut out);
        assert_eq!(sent.unwrap_err(), Error::TooLong);
        assert_eq!(stored(&one.ratchet), before);
    }
    let sent = one.ratchet.encrypt(Sending::default(), &[1; 98], 100, &mut buffer[..2464]).unwrap().to_vec();
    assert_eq!(other.receive(&sent).unwrap(), [1; 98]);
    let sent = one.ratchet.encrypt(Sending::default(), b"", 2, &mut buffer).unwrap().to_vec();
    assert_eq!(other.receive(&sent).unwrap(), b"");
}

#[test]
fn in_place_and_copied_messages_are_the_same() {
    let (mut one, _) = pair(3, false);
    let prepared = one.ratchet.prepare(EncapsulationRequest::Unset.into()).unwrap();
    let mut copied = [1; 300];
    let copied = prepared.seal(b"hello", 100, &mut copied).unwrap();
    let mut buffer = [2; 300];
    buffer[prepared.message_start()..][..5].copy_from_slice(b"hello");
    assert_eq!(prepared.seal_in_place(&mut buffer, 5, 100).unwrap(), copied);
    assert_eq!(copied.len(), prepared.encrypted_length(100));
    assert_eq!(prepared.seal_in_place(&mut buffer, 99, 100).unwrap_err(), Error::TooLong);
    assert_eq!(prepared.seal_in_place(&mut buffer[..200], 5, 100).unwrap_err(), Error::TooLong);
}

/// A store that fails on demand.
struct Failing {
    inner: Box<Store>,
    fails: Option<&'static str>,
}

impl Failing {
    fn call(&self, name: &'static str) -> Result<(), &'static str> {
        if self.fails == Some(name) { Err(name) } else { Ok(()) }
    }
}

impl SkippedKeys for Failing {
    type Error = &'static str;

    fn find_header_key(&mut self, opens: &mut dyn FnMut(&HeaderKey) -> bool) -> Result<Option<HeaderKey>, Self::Error> {
        self.call("find")?;
        Ok(self.inner.find_header_key(opens).unwrap())
    }

    fn message_key(&mut self, header_key: &HeaderKey, number: u32) -> Result<Option<MessageKey>, Self::Error> {
        self.call("key")?;
        Ok(self.inner.message_key(header_key, number).unwrap())
    }

    fn remove(&mut self, header_key: &HeaderKey, number: u32) -> Result<(), Self::Error> {
        self.call("remove")?;
        self.inner.remove(header_key, number).unwrap();
        Ok(())
    }

    fn store(&mut self, batch: SkippedBatch) -> Result<(), Self::Error> {
        self.call("store")?;
        self.inner.store(batch).unwrap();
        Ok(())
    }
}

#[test]
fn when_the_store_fails_the_message_can_be_tried_again() {
    for encapsulation in [false, true] {
        let (mut one, mut other) = pair(3, encapsulation);
        let messages = [&b"a"[..], b"b", b"c", b"d"].map(|text| one.send(text));
        let mut late = Failing { inner: Box::default(), fails: None };
        // The last one skips three; then one of these comes.
        for (index, failures) in [(3, &["find", "store"][..]), (1, &["find", "key", "remove"])] {
            for failure in failures {
                let before = (stored(&other.ratchet), stored_store(&late.inner));
                late.fails = Some(failure);
                let mut message = messages[index].clone();
                let result = other.ratchet.decrypt(&mut late, &mut other.random, &mut message);
                assert_eq!(result.map(drop), Err(DecryptError::Store(*failure)));
                assert_eq!(message, messages[index]);
                assert_eq!((stored(&other.ratchet), stored_store(&late.inner)), before);
            }
            late.fails = None;
            let mut message = messages[index].clone();
            let decrypted = other.ratchet.decrypt(&mut late, &mut other.random, &mut message).unwrap();
            let expected = if index == 3 { Changed::RatchetAndSkippedKeys } else { Changed::SkippedKeys };
            assert_eq!((decrypted.message.len(), decrypted.changed), (1, expected));
        }
        assert_eq!(late.inner.len(), 2);
    }
}

#[test]
fn weak_ratchet_keys_are_refused() {
    // A peer whose own ratchet key is weak: its messages are authentic, but start no chain.
    let (mut one, mut other) = pair(3, false);
    let first = one.send(b"hello");
    let mut minus_one = vec![0xff; 56];
    (minus_one[0], minus_one[28]) = (0xfe, 0xfe);
    let mut small = vec![0; 56];
    small[0] = 1;
    for weak in [vec![0; 56], small, minus_one] {
        let mut state = State::of(&one.ratchet);
        (state.public, state.sent) = (weak, 0);
        let mut forger = Side { ratchet: state.ratchet(), late: Box::default(), random: random(1) };
        let forged = forger.send(b"hello");
        assert_eq!(refused(&mut other, &forged), Error::WeakKey);
    }
    other.receive(&first).unwrap();
}

#[test]
fn chains_end_before_their_numbers_repeat() {
    let (mut one, mut other) = pair(3, false);
    other.receive(&one.send(b"hello")).unwrap();
    let mut state = State::of(&one.ratchet);
    state.sent = u32::MAX - 1;
    let mut received = State::of(&other.ratchet);
    received.received = u32::MAX - 1;
    (received.receiving.as_mut().unwrap().0, received.sent) = (state.sending.as_ref().unwrap().0.clone(), u32::MAX);
    (one.ratchet, other.ratchet) = (state.ratchet(), received.ratchet());
    other.receive(&one.send(b"the last one")).unwrap();
    assert_eq!(one.ratchet.prepare(Sending::default()).map(drop).unwrap_err(), Error::Exhausted);
    assert_eq!(other.ratchet.prepare(Sending::default()).map(drop).unwrap_err(), Error::Exhausted);
}

/// As with the reference, what is announced is looked at before the number of the message.
#[test]
fn an_answer_to_no_proposal_is_refused_first() {
    let (one, mut other) = pair(3, false);
    let (proposed, _) = pair(3, true);
    let mut state = State::of(&one.ratchet);
    (state.encapsulation, state.large_headers) = (State::of(&proposed.ratchet).encapsulation, true);
    assert!(state.encapsulation.as_ref().unwrap().ciphertext.is_some());
    for (sent, plain, error) in
        [(0, false, Error::Encapsulation), (513, false, Error::Encapsulation), (513, true, Error::TooManySkipped(514))]
    {
        let mut state = state.clone();
        state.sent = sent;
        state.encapsulation = state.encapsulation.filter(|_| !plain);
        let mut forger = Side { ratchet: state.ratchet(), late: Box::default(), random: random(1) };
        assert_eq!(refused(&mut other, &forger.send(b"hello")), error);
    }
}
