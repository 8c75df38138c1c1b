//! What is saved reads back, from this release and later ones; keys that were made ahead of time.

use smp_crypto::ratchet::{
    EncapsulationRequest, Error, Initiator, Joiner, KeyStock, NewKeys, PreparedMessage, Ratchet, SkippedStore,
};
use smp_crypto::sntrup761::SecretKey;
use smp_proto::version::VersionRange;

use crate::common::random;
use crate::state::{State, stored};
use crate::story::pair;

#[test]
fn a_ratchet_is_saved_after_every_step() {
    for (version, encapsulation) in [(2, false), (3, false), (3, true)] {
        let (mut one, mut other) = pair(version, encapsulation);
        let mut longest = 0;
        for turn in 0_u32..20 {
            let (sender, receiver) = if turn % 3 < 2 { (&mut one, &mut other) } else { (&mut other, &mut one) };
            let message = sender.send(&turn.to_be_bytes());
            assert_eq!(receiver.receive(&message).unwrap(), turn.to_be_bytes());
            for side in [&mut *sender, receiver] {
                let saved = stored(&side.ratchet);
                longest = longest.max(saved.len());
                side.ratchet = Ratchet::from_bytes(&saved).unwrap();
                assert_eq!(stored(&side.ratchet), saved);
            }
        }
        assert!(longest <= Ratchet::MAX_SERIALIZED_LENGTH);
        assert_eq!(longest > 3000, encapsulation);
    }
}

#[test]
fn the_bound_of_the_stored_form_is_exact() {
    let (mut one, mut other) = pair(3, true);
    other.receive(&one.send(b"")).unwrap();
    let mut state = State::of(&other.ratchet);
    state.sending.clone_from(&state.receiving);
    (state.version, state.max_version) = (3, 3);
    (state.sent, state.received, state.previously_sent) = (u32::MAX, u32::MAX, u32::MAX);
    // Two bytes each are left for versions that need them.
    assert_eq!(stored(&state.ratchet()).len(), Ratchet::MAX_SERIALIZED_LENGTH - 4);
}

#[test]
fn damaged_and_newer_forms_are_told_apart() {
    let (one, _) = pair(3, true);
    let saved = stored(&one.ratchet);
    for end in 0..saved.len() {
        assert_eq!(Ratchet::from_bytes(&saved[..end]).map(drop).unwrap_err(), Error::Stored);
        let mut buffer = vec![0; end];
        assert_eq!(one.ratchet.to_bytes(&mut buffer).unwrap_err(), Error::TooLong);
    }
    // A later release may add fields.
    let longer = [&saved[..], b"something new"].concat();
    assert_eq!(stored(&Ratchet::from_bytes(&longer).unwrap()), saved);
    for (format, error) in [(0, Error::Stored), (2, Error::NewerFormat), (255, Error::NewerFormat)] {
        let other = [&[format], &saved[1..]].concat();
        assert_eq!(Ratchet::from_bytes(&other).map(drop).unwrap_err(), error);
    }
    for version in [0, 1, 4] {
        let mut state = State::of(&one.ratchet);
        state.version = version;
        let bytes = postcard::to_stdvec(&state).unwrap();
        assert_eq!(Ratchet::from_bytes(&bytes).map(drop).unwrap_err(), Error::Stored);
    }
    let fields: [fn(&mut State) -> &mut Vec<u8>; 6] = [
        |state| &mut state.associated_data,
        |state| &mut state.secret,
        |state| &mut state.public,
        |state| &mut state.root,
        |state| &mut state.next_sending_header_key,
        |state| &mut state.encapsulation.as_mut().unwrap().secret,
    ];
    for field in fields {
        for change in [|field: &mut Vec<u8>| field.truncate(field.len() - 1), |field: &mut Vec<u8>| field.push(0)] {
            let mut state = State::of(&one.ratchet);
            change(field(&mut state));
            let bytes = postcard::to_stdvec(&state).unwrap();
            assert_eq!(Ratchet::from_bytes(&bytes).map(drop).unwrap_err(), Error::Stored);
        }
    }
}

#[test]
fn prepared_messages_are_saved() {
    for (version, encapsulation) in [(2, false), (3, false), (3, true)] {
        let (mut one, mut other) = pair(version, encapsulation);
        let prepared = one.ratchet.prepare(EncapsulationRequest::Unset.into()).unwrap();
        let mut buffer = [0; PreparedMessage::MAX_SERIALIZED_LENGTH];
        let saved = prepared.to_bytes(&mut buffer).unwrap().to_vec();
        // Only versions that need three bytes would take one more, or two.
        assert!(!encapsulation || saved.len() == PreparedMessage::MAX_SERIALIZED_LENGTH - 2);
        for end in 0..saved.len() {
            assert_eq!(PreparedMessage::from_bytes(&saved[..end]).map(drop).unwrap_err(), Error::Stored);
            assert_eq!(prepared.to_bytes(&mut buffer[..end]).unwrap_err(), Error::TooLong);
        }
        let newer = [&[2], &saved[1..]].concat();
        assert_eq!(PreparedMessage::from_bytes(&newer).map(drop).unwrap_err(), Error::NewerFormat);
        assert_eq!(format!("{prepared:?}"), "Secret(..)");
        let prepared = PreparedMessage::from_bytes(&[&saved[..], b"later"].concat()).unwrap();
        let mut out = [0; 3000];
        let message = prepared.seal(b"hello", 100, &mut out).unwrap();
        assert_eq!(other.receive(message).unwrap(), b"hello");
    }
}

#[test]
fn keys_are_made_ahead_of_time() {
    let mut stock = KeyStock::<_, 2>::new(random(1), true);
    let mut made = 1;
    while stock.refill() && made < 10 {
        made += 1;
    }
    assert_eq!(made, 4);
    assert!(!stock.refill());
    assert_eq!(format!("{stock:?}"), "Secret(..)");
    // What was made is used first, and never twice; then new ones are made.
    let pairs: Vec<_> = (0..4).map(|_| *stock.key_pair().public_key()).collect();
    let keys: Vec<_> = (0..3)
        .map(|_| {
            let mut secret = SecretKey::zeroed();
            stock.encapsulation_key(&mut secret);
            secret.public_key().to_vec()
        })
        .collect();
    for (index, pair) in pairs.iter().enumerate() {
        assert!(!pairs[..index].contains(pair) && pair.0 != [0; 56]);
    }
    for (index, key) in keys.iter().enumerate() {
        assert!(!keys[..index].contains(key) && *key != [0; 1158]);
    }
    assert!(stock.refill());

    // A conversation that takes its keys from a stock.
    let mut other = random(2);
    let initiator = Initiator::generate(&mut stock, VersionRange::RATCHET, true);
    let joiner = Joiner::answer(&mut other, VersionRange::RATCHET, &initiator.parameters(), true).unwrap();
    let mut one = joiner.ratchet(&mut other).unwrap();
    let mut two = initiator.accept(&joiner.parameters(), true).unwrap();
    let mut late = SkippedStore::<1>::new();
    for _ in 0..3 {
        let mut buffer = [0; 3000];
        let message = one.encrypt(EncapsulationRequest::On.into(), b"hello", 60, &mut buffer).unwrap();
        assert_eq!(two.decrypt(&mut late, &mut stock, message).unwrap().message, b"hello");
        let message = two.encrypt(EncapsulationRequest::On.into(), b"hello", 60, &mut buffer).unwrap();
        assert_eq!(one.decrypt(&mut late, &mut other, message).unwrap().message, b"hello");
    }
    let mut plain = KeyStock::<_, 2>::new(random(3), false);
    assert_eq!([plain.refill(), plain.refill(), plain.refill()], [true, false, false]);
    let mut secret = SecretKey::zeroed();
    plain.encapsulation_key(&mut secret);
    assert_ne!(secret.as_bytes(), SecretKey::zeroed().as_bytes());
}

/// Nothing that is printed tells a secret, or how much was said.
#[test]
fn what_is_printed_is_redacted() {
    let (mut one, mut other) = pair(3, true);
    other.receive(&one.send(b"hello")).unwrap();
    assert_eq!(
        format!("{:?}", other.ratchet),
        "Ratchet { version: RatchetVersion(3), can_send: true, sends_encapsulated: true, \
         receives_encapsulated: true, .. }"
    );
    let mut message = one.send(b"hello");
    let decrypted = other.ratchet.decrypt(&mut *other.late, &mut other.random, &mut message).unwrap();
    assert_eq!(format!("{decrypted:?}"), "Decrypted { length: 5, encapsulated: true, advanced: false, .. }");
    assert_eq!(format!("{:?}", other.random.key_pair()), "Secret(..)");
}
