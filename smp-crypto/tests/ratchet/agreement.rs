//! The first agreement of two parties, and the second one when they re-synchronise, with the keys of the reference.

use serde::Serialize;
use serde_json::Value;
use smp_crypto::key::X448PublicKey;
use smp_crypto::ratchet::{
    Error, Initiator, Joiner, PreparedMessage, Ratchet, Resynchronization, Role, Sending, SkippedStore, key_hash,
};
use smp_proto::agent::{AgreedParameters, Encapsulation};
use smp_proto::version::{RatchetVersion, VersionRange};
use smp_proto::wire::{Decode, Encode, Reader};

use crate::common::{array, bytes, for_each_case, random, text};
use crate::state::{Recorded, State, named_bytes, public_key, stored};

/// The stored form of keys.
#[derive(Serialize)]
struct Keys {
    first: (Vec<u8>, Vec<u8>),
    second: (Vec<u8>, Vec<u8>),
    encapsulation: Option<Vec<u8>>,
}

/// The stored form of what a joiner knows of its peer.
#[derive(Serialize)]
struct Peer {
    first: Vec<u8>,
    second: Vec<u8>,
    accepted: Option<(Vec<u8>, Vec<u8>)>,
}

fn keys(party: &Value, blobs: &Value) -> Keys {
    let pair = |name: &str| {
        let secret = bytes(party, name)[16..].to_vec();
        (secret.clone(), public_key(&secret))
    };
    let own = party["kem"].get("own").map(|own| named_bytes(&own["secret"], blobs));
    Keys { first: pair("private1"), second: pair("private2"), encapsulation: own }
}

fn versions(case: &Value, index: usize) -> u16 {
    u16::try_from(case["versions"][index].as_u64().unwrap()).unwrap()
}

/// The version that party came to, and the highest one it speaks.
fn initiator(case: &Value) -> Initiator {
    let party = &case["initiator"];
    let head = (1_u8, 2_u16, versions(party, 1));
    Initiator::from_bytes(&postcard::to_stdvec(&(head, keys(party, &case["blobs"]))).unwrap()).unwrap()
}

fn joiner(case: &Value) -> Joiner {
    let (party, peer, blobs) = (&case["joiner"], &case["initiator"], &case["blobs"]);
    let accepted = party["kem"]
        .get("ciphertext")
        .map(|ciphertext| (named_bytes(ciphertext, blobs), named_bytes(&party["kem"]["shared_secret"], blobs)));
    let peer = Peer { first: bytes(peer, "public1"), second: bytes(peer, "public2"), accepted };
    let head = (1_u8, versions(party, 0), versions(party, 1));
    Joiner::from_bytes(&postcard::to_stdvec(&(head, keys(party, blobs), peer)).unwrap()).unwrap()
}

/// Both answer each other once.
fn converse(sender: &mut Ratchet, receiver: &mut Ratchet) {
    let random = &mut random(7);
    let mut buffer = [0; 4096];
    let mut late = SkippedStore::<4>::new();
    assert!(sender.can_send() && !receiver.can_send());
    assert_eq!(receiver.encrypt(Sending::default(), b"", 2, &mut buffer).unwrap_err(), Error::NotReady);
    assert_eq!(receiver.prepare(Sending::default()).map(drop).unwrap_err(), Error::NotReady);
    let message = sender.encrypt(Sending::default(), b"hello", 100, &mut buffer).unwrap();
    assert_eq!(receiver.decrypt(&mut late, random, message).unwrap().message, b"hello");
    assert!(receiver.can_send());
    let message = receiver.encrypt(Sending::default(), b"good bye", 100, &mut buffer).unwrap();
    assert_eq!(sender.decrypt(&mut late, random, message).unwrap().message, b"good bye");
}

fn first_key(case: &Value) -> Recorded {
    Recorded { keys: vec![bytes(case, "first_ratchet_private")[16..].to_vec()], ..Recorded::default() }
}

#[test]
fn both_parties_come_to_the_states_of_the_reference() {
    let mut count = 0;
    for_each_case("ratchet-x3dh.json", |case| {
        if case["op"] != "x3dh" {
            return;
        }
        count += 1;
        let (initiator, joiner, blobs) = (initiator(case), joiner(case), &case["blobs"]);
        // What each publishes, in the form of one version.
        let mut buffer = [0; AgreedParameters::MAX_LENGTH];
        let published = initiator.parameters();
        let own = AgreedParameters {
            version: RatchetVersion(versions(&case["initiator"], 0)),
            first_key: published.first_key,
            second_key: published.second_key,
            encapsulation: published.encapsulation_key.as_ref().map(|key| Encapsulation::Proposed { key: &key.0 }),
        };
        assert_eq!(own.to_slice(&mut buffer).unwrap(), bytes(&case["initiator"], "params"));
        let answer = bytes(&case["joiner"], "params");
        assert_eq!(joiner.parameters().to_slice(&mut buffer).unwrap(), answer);

        let mut first_key = first_key(&case["joiner"]);
        let mut joined = joiner.ratchet(&mut first_key).unwrap();
        assert!(first_key.is_used());
        let answer = AgreedParameters::from_bytes(&answer).unwrap();
        let support = case["initiator"]["pqSupport"].as_bool().unwrap();
        let mut accepted = initiator.accept(&answer, support).unwrap();
        for (party, ratchet) in [("initiator", &accepted), ("joiner", &joined)] {
            assert_eq!(State::of(ratchet), State::named(&case[format!("state_{party}")], blobs));
            assert_eq!(ratchet.verification_code(), array(&case["x3dh"], "SHA256_AD"));
            let json: Value = serde_json::from_str(text(case, &format!("stored_{party}"))).unwrap();
            assert_eq!(State::of(ratchet), State::persistent(&json));
        }
        converse(&mut joined, &mut accepted);
    });
    assert!(count >= 14);
}

#[test]
fn both_sides_of_a_resynchronisation_come_to_the_states_of_the_reference() {
    let (mut count, mut disagreements) = (0, 0);
    for_each_case("ratchet-x3dh.json", |case| {
        if case["op"] != "resync" {
            return;
        }
        count += 1;
        let [one, other] = ["A", "B"].map(|name| {
            let party = &case[name];
            let params = bytes(party, "params");
            let version = u16::from_be_bytes([params[0], params[1]]);
            let head = (1_u8, version, versions(case, 1));
            let bytes = postcard::to_stdvec(&(head, keys(party, &case["blobs"]))).unwrap();
            (party, params, Resynchronization::from_bytes(&bytes).unwrap())
        });
        let support = case["pqSupport"].as_bool().unwrap();
        let mut ratchets = Vec::new();
        for ((party, params, own), (_, peer, _)) in [(&one, &other), (&other, &one)] {
            assert_eq!(own.parameters().to_slice(&mut [0; 2400]).unwrap(), params);
            let own_parameters = AgreedParameters::decode_proposal(&mut Reader::new(params)).unwrap();
            assert_eq!(key_hash(&own_parameters), array(party, "hash"));
            let peer = AgreedParameters::decode_proposal(&mut Reader::new(peer)).unwrap();
            let agree = party["role"] == party["role_unsigned"];
            assert_eq!(agree, case["orders_agree"].as_bool().unwrap());
            disagreements += usize::from(!agree);
            let role = match text(party, "role") {
                "sender" => Role::Sender,
                _ => Role::Receiver,
            };
            assert_eq!(own.role(&peer), if agree { role } else { Role::Disagree });
            let ratchet = match role {
                Role::Sender => own.sender(&peer, &mut first_key(case)).unwrap(),
                _ => own.receiver(&peer, support).unwrap(),
            };
            assert_eq!(State::of(&ratchet), State::named(&party["state"], &case["blobs"]));
            ratchets.push(ratchet);
        }
        let [one, other] = &mut ratchets[..] else { panic!() };
        if one.can_send() { converse(one, other) } else { converse(other, one) }
    });
    assert!(count >= 6 && disagreements >= 2);
}

#[test]
fn an_answer_to_what_was_not_proposed_is_refused() {
    let mut count = 0;
    for_each_case("ratchet-x3dh.json", |case| {
        if case["op"] != "x3dh_refused" {
            return;
        }
        count += 1;
        assert_eq!(text(&case["result"], "error"), "KEM state");
        let params = bytes(case, "peer_params");
        let peer = AgreedParameters::from_bytes(&params).unwrap();
        if case["role"] == "initiator" {
            let stored = postcard::to_stdvec(&((1_u8, 2_u16, 3_u16), keys(case, &Value::Null))).unwrap();
            let initiator = Initiator::from_bytes(&stored).unwrap();
            assert_eq!(initiator.accept(&peer, true).map(drop), Err(Error::Encapsulation));
            let stored = postcard::to_stdvec(&((1_u8, 3_u16, 3_u16), keys(case, &Value::Null))).unwrap();
            let own = Resynchronization::from_bytes(&stored).unwrap();
            assert_eq!(own.receiver(&peer, true).map(drop), Err(Error::Encapsulation));
            assert_eq!(own.sender(&peer, &mut random(1)).map(drop), Err(Error::Encapsulation));
        } else {
            // A joiner that finds no key in the invitation cannot accept one: it proposes.
            assert_eq!(peer.encapsulation, None);
            let invitation = smp_proto::agent::RatchetParameters {
                versions: VersionRange::RATCHET,
                first_key: peer.first_key,
                second_key: peer.second_key,
                encapsulation_key: None,
            };
            let joiner = Joiner::answer(&mut random(1), VersionRange::RATCHET, &invitation, true).unwrap();
            assert!(matches!(joiner.parameters().encapsulation, Some(Encapsulation::Proposed { .. })));
        }
    });
    assert_eq!(count, 2);
}

/// The values of the wire reference, section 16.
#[test]
fn the_wire_reference_is_reproduced() {
    let pair = |byte: u8| (vec![byte; 56], public_key(&[byte; 56]));
    let keys = |first, second| Keys { first: pair(first), second: pair(second), encapsulation: None };
    let initiator = postcard::to_stdvec(&((1_u8, 2_u16, 3_u16), keys(0x11, 0x22))).unwrap();
    let initiator = Initiator::from_bytes(&initiator).unwrap();
    let (first, second) = (pair(0x11).1, pair(0x22).1);
    assert_eq!(
        hex::encode(&first),
        "b1a0c38170e994f11bb7f2b26d2b92f08d2f770578d0382532d58a5c2884a497c2779e5c7d7549d670a4f2d2289a73a3c434e3ea542b67cb"
    );
    let peer = Peer { first, second, accepted: None };
    let joiner = postcard::to_stdvec(&((1_u8, 3_u16, 3_u16), keys(0x33, 0x44), peer)).unwrap();
    let joiner = Joiner::from_bytes(&joiner).unwrap();
    let mut sender = joiner.ratchet(&mut Recorded { keys: vec![vec![0x55; 56]], ..Recorded::default() }).unwrap();
    let mut receiver = initiator.accept(&joiner.parameters(), false).unwrap();

    let state = State::of(&sender);
    let received = State::of(&receiver);
    let (chain, header_key) = state.sending.unwrap();
    for (value, expected) in [
        (&header_key, "dcee83d9817192f959603a332dee7f04f22c4b73c53a04a32d88574ab18019b6"),
        (&received.next_receiving_header_key, "dcee83d9817192f959603a332dee7f04f22c4b73c53a04a32d88574ab18019b6"),
        (&received.next_sending_header_key, "88d2e60da888f80c56834852298ff83c82354ae8be6461210a1e1b2c85cd7ed2"),
        (&received.root, "128f397328c8b4c59d2f6f348934fec6a71ffab634faef526b6b19ca3c790600"),
        (&state.root, "c4ffbecd2777345ea5d0b76ac5579d10e615fc90332f33f2c961fab0fefdab13"),
        (&chain, "335eda96143c34c4b8d27f37a0c916c824a62a3946b6ecbd53892ae63e23ddd5"),
        (&state.next_sending_header_key, "eca9561192ced274dab484c08119c628a653a49b88ca3a3eed6e22a8abc93081"),
        (&sender.verification_code().to_vec(), "aca5ff92a02457b2cfc248268c19766aaccd5838570aa3ebb4061ac7ae4eb5b5"),
    ] {
        assert_eq!(hex::encode(value), expected);
    }
    let prepared = sender.prepare(Sending::default()).unwrap();
    assert_eq!(
        hex::encode(State::of(&sender).sending.unwrap().0),
        "16c0fadc2c27de85711e664e0017de3c117afdc8142a9f53c100139601353a3d"
    );
    let mut buffer = [0; PreparedMessage::MAX_SERIALIZED_LENGTH];
    let saved = prepared.to_bytes(&mut buffer).unwrap();
    assert_eq!(hex::encode(&saved[2..34]), "d4ee6834103828887d0dc8b89bd6d4657d8d472d996d2ecd51683a5d7c106f4f");
    assert_eq!(hex::encode(&saved[34..50]), "5110934eab26b8e07bb752c646d04d94");
    let header = &saved[saved.len() - 124..];
    assert_eq!(
        hex::encode(smp_crypto::hash::sha256(&[header])),
        "2b32ec66b715ac2a0b177d4d6a65db3c1dd56d467d4adc4bd229e384cf3999e9"
    );
    assert_eq!(hex::encode(&header[2..18]), "bd0002304f1b4e7e280a1d8e288f5468");
    assert_eq!(hex::encode(&header[18..34]), "40336ce5a2aabddf116f9fdc3581082e");
    let mut buffer = [0; 400];
    let message = prepared.seal(b"hello", 100, &mut buffer).unwrap();
    assert_eq!(message.len(), 242);
    assert_eq!(hex::encode(&message[126..142]), "3a3fb2d7ad114c5c2794f017229c1140");
    assert_eq!(
        hex::encode(smp_crypto::hash::sha256(&[message])),
        "31b863fcd50a45f883352f445d688bd164849119b3c198e6ed36de82949db89a"
    );
    let received = receiver.decrypt(&mut SkippedStore::<1>::new(), &mut random(1), message).unwrap();
    assert_eq!((received.message, received.number, received.advanced), (&b"hello"[..], 0, true));
}

#[test]
fn versions_are_negotiated() {
    let random = &mut random(2);
    let range = |min, max| VersionRange::new(RatchetVersion(min), RatchetVersion(max)).unwrap();
    for (invited, joined, chosen) in [
        ((2, 3), (2, 3), Some(3)),
        ((2, 9), (2, 3), Some(3)),
        ((2, 2), (2, 3), Some(2)),
        ((2, 3), (2, 2), Some(2)),
        ((4, 5), (2, 3), None),
        ((1, 1), (2, 3), None),
    ] {
        let (invited, joined) = (range(invited.0, invited.1), range(joined.0, joined.1));
        let initiator = Initiator::generate(random, invited, true);
        let answered = Joiner::answer(random, joined, &initiator.parameters(), true);
        let Some(chosen) = chosen else {
            assert_eq!(answered.map(drop), Err(Error::Version));
            continue;
        };
        let joiner = answered.unwrap();
        assert_eq!(joiner.version(), RatchetVersion(chosen));
        assert_eq!(joiner.parameters().encapsulation.is_some(), chosen > 2);
        let ratchet = initiator.accept(&joiner.parameters(), true).unwrap();
        assert_eq!(ratchet.version(), RatchetVersion(chosen));
    }
    let initiator = Initiator::generate(random, range(2, 3), false);
    let joiner = Joiner::answer(random, range(2, 3), &initiator.parameters(), false).unwrap();
    for version in [0, 1, 4, 0x0103] {
        let answer = AgreedParameters { version: RatchetVersion(version), ..joiner.parameters() };
        assert_eq!(initiator.accept(&answer, false).map(drop), Err(Error::Version));
        let own = Resynchronization::start(random, RatchetVersion(3), false);
        assert_eq!(own.receiver(&answer, false).map(drop), Err(Error::Version));
        assert_eq!(own.sender(&answer, random).map(drop), Err(Error::Version));
        let answered = Resynchronization::answer(random, range(2, 3), &answer, false);
        assert_eq!(answered.map(drop), Err(Error::Version));
    }
}

#[test]
fn who_answers_a_resynchronisation_is_sure_of_its_role() {
    let random = &mut random(3);
    for round in 0..6 {
        let support = round % 2 == 0;
        let started = Resynchronization::start(random, RatchetVersion(3), support);
        let answered =
            Resynchronization::answer(random, VersionRange::RATCHET, &started.parameters(), support).unwrap();
        let roles = (started.role(&answered.parameters()), answered.role(&started.parameters()));
        let mut receiver_and_sender = match roles {
            (Role::Receiver, Role::Sender) => (
                started.receiver(&answered.parameters(), support).unwrap(),
                answered.sender(&started.parameters(), random).unwrap(),
            ),
            (Role::Sender, Role::Receiver) => (
                answered.receiver(&started.parameters(), support).unwrap(),
                started.sender(&answered.parameters(), random).unwrap(),
            ),
            other => panic!("{other:?}"),
        };
        converse(&mut receiver_and_sender.1, &mut receiver_and_sender.0);
    }
    // A random source that repeats itself is found out.
    let started = Resynchronization::start(random, RatchetVersion(3), false);
    let peer = key_hash(&started.parameters());
    let repeated = (0_u8..)
        .find(|byte| {
            let key = X448PublicKey(public_key(&[*byte; 56]).try_into().unwrap());
            let own = AgreedParameters { first_key: key, second_key: key, ..started.parameters() };
            Role::by_hashes(&key_hash(&own), &peer) == Role::Disagree
        })
        .unwrap();
    let mut stuck = Recorded { keys: vec![vec![repeated; 56]; 200], ..Recorded::default() };
    let answered = Resynchronization::answer(&mut stuck, VersionRange::RATCHET, &started.parameters(), false);
    assert_eq!(answered.map(drop), Err(Error::Random));
}

#[test]
fn keys_of_small_order_are_refused_everywhere() {
    let random = &mut random(4);
    let initiator = Initiator::generate(random, VersionRange::RATCHET, false);
    let joiner = Joiner::answer(random, VersionRange::RATCHET, &initiator.parameters(), false).unwrap();
    let own = Resynchronization::start(random, RatchetVersion(3), false);
    let mut one = [0; 56];
    one[0] = 1;
    let mut minus_one = [0xff; 56];
    (minus_one[0], minus_one[28]) = (0xfe, 0xfe);
    for weak in [[0; 56], one, minus_one].map(X448PublicKey) {
        let good = joiner.parameters();
        for answer in [AgreedParameters { first_key: weak, ..good }, AgreedParameters { second_key: weak, ..good }] {
            assert_eq!(initiator.accept(&answer, false).map(drop), Err(Error::WeakKey));
            assert_eq!(own.receiver(&answer, false).map(drop), Err(Error::WeakKey));
            assert_eq!(own.sender(&answer, random).map(drop), Err(Error::WeakKey));
            let mut invitation = initiator.parameters();
            (invitation.first_key, invitation.second_key) = (answer.first_key, answer.second_key);
            let weak_joiner = Joiner::answer(random, VersionRange::RATCHET, &invitation, false).unwrap();
            assert_eq!(weak_joiner.ratchet(random).map(drop), Err(Error::WeakKey));
        }
    }
}

#[test]
fn keys_are_saved_and_read_back() {
    let random = &mut random(5);
    for encapsulation in [false, true] {
        let initiator = Initiator::generate(random, VersionRange::RATCHET, encapsulation);
        let mut buffer = [0; 5000];
        let saved = initiator.to_bytes(&mut buffer).unwrap().to_vec();
        assert_eq!(saved.len() < Initiator::MAX_SERIALIZED_LENGTH - 1000, !encapsulation);
        let initiator = Initiator::from_bytes(&saved).unwrap();
        let joiner = Joiner::answer(random, VersionRange::RATCHET, &initiator.parameters(), encapsulation).unwrap();
        let saved_joiner = joiner.to_bytes(&mut buffer).unwrap().to_vec();
        let again = Joiner::from_bytes(&saved_joiner).unwrap();
        assert_eq!(again.parameters(), joiner.parameters());
        let mut joined = again.ratchet(random).unwrap();
        let mut accepted = initiator.accept(&joiner.parameters(), encapsulation).unwrap();
        assert_eq!(State::of(&joined).encapsulation.is_some(), encapsulation);
        converse(&mut joined, &mut accepted);
        let own = Resynchronization::start(random, RatchetVersion(3), encapsulation);
        let saved_own = own.to_bytes(&mut buffer).unwrap().to_vec();
        assert_eq!(Resynchronization::from_bytes(&saved_own).unwrap().parameters(), own.parameters());

        assert!(saved.len() <= Initiator::MAX_SERIALIZED_LENGTH);
        assert!(saved_joiner.len() <= Joiner::MAX_SERIALIZED_LENGTH);
        assert!(saved_own.len() <= Resynchronization::MAX_SERIALIZED_LENGTH);
        let newer = |bytes: &[u8]| [&[2], &bytes[1..]].concat();
        assert_eq!(Initiator::from_bytes(&newer(&saved)).map(drop), Err(Error::NewerFormat));
        assert_eq!(Joiner::from_bytes(&newer(&saved_joiner)).map(drop), Err(Error::NewerFormat));
        assert_eq!(Resynchronization::from_bytes(&newer(&saved_own)).map(drop), Err(Error::NewerFormat));
        for end in 0..saved.len() {
            assert_eq!(Initiator::from_bytes(&saved[..end]).map(drop), Err(Error::Stored));
            assert_eq!(initiator.to_bytes(&mut buffer[..end]).map(drop), Err(Error::TooLong));
        }
        for end in 0..saved_joiner.len() {
            assert_eq!(Joiner::from_bytes(&saved_joiner[..end]).map(drop), Err(Error::Stored));
        }
        for end in 0..saved_own.len() {
            assert_eq!(Resynchronization::from_bytes(&saved_own[..end]).map(drop), Err(Error::Stored));
        }
        assert_eq!(format!("{initiator:?} {joiner:?} {own:?}"), ["Secret(..)"; 3].join(" "));
        assert_eq!(stored(&joined)[0], 1);
    }
}
