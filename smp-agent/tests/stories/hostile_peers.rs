//! Peers that say what no correct peer says, or say it again, or at the wrong time: the agent goes on, and nothing of
//! theirs is more than theirs.

use crate::support::puppet::{Puppet, Said, bytes};
use smp_agent::error::ConnectionError;
use smp_agent::event::{EventKind, RatchetSync};
use smp_agent::policy::integrity::Integrity;
use smp_agent::storage::Storage;
use smp_agent::time::{DAY, HOUR};
use smp_crypto::hash::sha256;
use smp_crypto::ratchet::Resynchronization;
use smp_proto::agent::{AgentMessage, Message, Receipt};
use smp_proto::key::{AuthorizationKey, Ed448PublicKey, Ed25519PublicKey, X25519PublicKey};
use smp_proto::uri::QueueInfo;
use smp_proto::version::{ClientVersion, RatchetVersion};
use smp_proto::wire::NonEmptyList;

#[test]
fn the_puppet_talks_with_an_agent() {
    for queues in [1, 2] {
        let mut puppet = Puppet::connected(1, queues);
        assert!(puppet.events.iter().any(|kind| matches!(kind, EventKind::Connected { .. })), "{:?}", puppet.events);
        puppet.say(Message::Application(b"one"));
        puppet.say(Message::Application(b"two"));
        assert_eq!(puppet.texts(), ["one", "two"]);
        puppet.send("three");
        assert_eq!(puppet.kinds(), ["C", "M"]);
        puppet.restart();
        puppet.say(Message::Application(b"four"));
        puppet.send("five");
        assert_eq!(puppet.texts(), ["four"]);
        assert_eq!(puppet.kinds(), ["C", "M", "M"]);
    }
}

fn receipt(puppet: &mut Puppet, number: i64, hash: &[u8]) {
    let receipts = [Receipt { number, hash, info: b"" }];
    puppet.say(Message::Receipts(NonEmptyList::new(&receipts).unwrap()));
}

/// The hash of the last message that the agent said.
fn last_hash(puppet: &Puppet) -> [u8; 32] {
    match puppet.said.last() {
        Some((_, Said::Message(plaintext))) => sha256(&[plaintext]),
        _ => panic!("no message"),
    }
}

fn receipts(puppet: &Puppet) -> Vec<bool> {
    let intact = puppet.events.iter().filter_map(|kind| match kind {
        EventKind::Receipt { intact, .. } => Some(*intact),
        _ => None,
    });
    intact.collect()
}

#[test]
fn a_receipt_with_a_wrong_hash_is_told_and_the_right_one_still_counts() {
    let mut puppet = Puppet::connected(2, 1);
    puppet.send("one");
    let hash = last_hash(&puppet);
    receipt(&mut puppet, 2, &[7; 32]);
    receipt(&mut puppet, 2, &hash[..31]);
    assert_eq!(receipts(&puppet), [false, false]);
    receipt(&mut puppet, 2, &hash);
    receipt(&mut puppet, 2, &hash);
    receipt(&mut puppet, 2, &[7; 32]);
    // Of the confirmation, and of what was never sent.
    for number in [i64::MIN, -1, 0, 1, 3, i64::MAX] {
        receipt(&mut puppet, number, &hash);
    }
    assert_eq!(receipts(&puppet), [false, false, true]);
}

#[test]
fn a_receipt_of_another_message_with_the_same_number_is_no_delivery() {
    // As after one side's storage was restored: the peer speaks of what is forgotten here.
    let mut puppet = Puppet::connected(3, 1);
    puppet.theirs[0].full = true;
    puppet.send("one");
    receipt(&mut puppet, 2, &[7; 32]);
    assert!(!puppet.events.iter().any(|kind| matches!(kind, EventKind::Sent { .. })));
    puppet.theirs[0].full = false;
    puppet.wait(DAY);
    assert_eq!(puppet.kinds(), ["C", "M"]);
    let hash = last_hash(&puppet);
    receipt(&mut puppet, 2, &hash);
    assert_eq!(receipts(&puppet), [true]);
}

#[test]
fn any_key_of_a_sender_is_passed_on() {
    for key in [
        AuthorizationKey::Ed25519(Ed25519PublicKey([1; 32])),
        AuthorizationKey::Ed448(Ed448PublicKey([1; 57])),
        AuthorizationKey::X25519(X25519PublicKey([1; 32])),
    ] {
        let mut puppet = Puppet::invited(6, 1);
        puppet.prepare_to_join();
        let place = puppet.new_queue(4);
        let theirs = std::mem::take(&mut puppet.theirs);
        let infos = [QueueInfo { version: ClientVersion::MAX, queue: theirs[place].address() }];
        let message = AgentMessage::ConnectionInfoReply { queues: NonEmptyList::new(&infos).unwrap(), info: b"peer" };
        let plaintext = bytes(&message);
        puppet.theirs = theirs;
        puppet.confirm(&plaintext, Some(key));
        puppet.allow();
        assert!(puppet.asked.contains(&(0, "KEY")) || puppet.asked.iter().any(|(_, name)| *name == "KEY"));
        puppet.say(Message::Application(b"one"));
        assert_eq!(puppet.texts(), ["one"]);
    }
}

/// How many records of a table there are.
fn records(puppet: &Puppet, table: u8) -> usize {
    puppet.storage.copy().scan(&[table], None, usize::MAX).unwrap().len()
}

#[test]
fn a_confirmation_that_is_refused_leaves_nothing_behind() {
    const RATCHET: u8 = 4;
    const SKIPPED: u8 = 6;
    let mut puppet = Puppet::invited(7, 1);
    puppet.prepare_to_join();
    for _ in 0..20 {
        // Not sent: the keys of these are kept for later.
        puppet.encrypt(b"Ilate", 14_832);
    }
    puppet.confirm(b"Ino queues", None);
    assert!(puppet.failures().contains(&ConnectionError::Message));
    assert_eq!((records(&puppet, RATCHET), records(&puppet, SKIPPED)), (0, 0));
    // Somebody else is still welcome.
    puppet.join(1);
    puppet.allow();
    puppet.say(Message::Application(b"one"));
    assert_eq!(puppet.texts(), ["one"]);
}

#[test]
fn what_cannot_be_read_fills_nothing_faster_than_the_application_takes_it() {
    let mut puppet = Puppet::connected(8, 1);
    puppet.acknowledges = false;
    for _ in 0..50 {
        puppet.put(0, &[7; 15_000]);
    }
    puppet.settle();
    assert_eq!(puppet.waiting(0), 50);
    let size = puppet.storage.copy().size();
    puppet.wait(HOUR);
    assert_eq!((puppet.waiting(0), puppet.storage.copy().size()), (50, size));
    puppet.restart();
    assert_eq!(puppet.waiting(0), 50);
    puppet.acknowledges = true;
    puppet.settle();
    assert_eq!(puppet.waiting(0), 0);
    puppet.say(Message::Application(b"one"));
    assert_eq!((puppet.texts(), puppet.summary().ratchet), (vec!["one".to_owned()], RatchetSync::Ok));
}

#[test]
fn a_message_comes_again_in_any_way() {
    let mut puppet = Puppet::connected(9, 1);
    puppet.acknowledges = false;
    let one = puppet.next_message(Message::Application(b"one"));
    for _ in 0..3 {
        puppet.put(0, &one);
    }
    puppet.settle();
    puppet.restart();
    puppet.acknowledges = true;
    puppet.settle();
    assert_eq!((puppet.texts(), puppet.waiting(0)), (vec!["one".to_owned()], 0));
    for _ in 0..3 {
        puppet.put(0, &one);
        puppet.settle();
        puppet.restart();
        puppet.put(0, &one);
    }
    puppet.settle();
    assert!(puppet.texts().is_empty() && puppet.failures().is_empty());
    puppet.say(Message::Hello);
    puppet.say(Message::Hello);
    puppet.say(Message::Ready(7));
    puppet.say(Message::Application(b""));
    assert_eq!(puppet.texts(), [""]);
    assert!(puppet.count("H") == 0 && puppet.count("E") == 0);
}

#[test]
fn numbers_and_hashes_may_be_anything() {
    let mut puppet = Puppet::connected(10, 2);
    for number in [5, i64::MAX - 1, i64::MAX - 1, i64::MIN + 1, -1, 0, 7] {
        puppet.number = number;
        puppet.hash = vec![3; number.unsigned_abs() as usize % 256];
        puppet.say(Message::Application(b"x"));
        // What comes early waits for the other queue.
        puppet.wait(HOUR);
    }
    let integrity: Vec<Integrity> = puppet
        .events
        .iter()
        .filter_map(|kind| match kind {
            EventKind::Message { message, .. } => Some(message.integrity),
            _ => None,
        })
        .collect();
    let skipped = |first, last| Integrity::Skipped { first, last };
    assert_eq!(
        integrity,
        [
            skipped(2, 5),
            skipped(7, i64::MAX - 1),
            Integrity::Duplicate,
            Integrity::BadId { number: i64::MIN + 2 },
            skipped(i64::MIN + 3, -1),
            Integrity::BadHash,
            skipped(2, 7),
        ]
    );
}

#[test]
fn a_message_far_ahead_is_lost_and_those_before_it_are_not() {
    let mut puppet = Puppet::connected(11, 1);
    let messages: Vec<_> = (0..600).map(|_| puppet.next_message(Message::Application(b"x"))).collect();
    puppet.put(0, &messages[599]);
    puppet.settle();
    assert_eq!(puppet.summary().ratchet, RatchetSync::Required);
    puppet.put(0, &messages[500]);
    puppet.put(0, &messages[3]);
    puppet.put(0, &messages[3]);
    puppet.put(0, &messages[599]);
    puppet.settle();
    assert_eq!((puppet.texts().len(), puppet.summary().ratchet), (3, RatchetSync::Ok));
    puppet.say(Message::Application(b"x"));
    puppet.send("x");
    assert_eq!((puppet.texts().len(), puppet.count("M")), (4, 1));
}

#[test]
fn a_relay_that_takes_no_acknowledgement_holds_up_no_other() {
    let mut puppet = Puppet::connected(13, 2);
    puppet.deaf = Some(1);
    let message = puppet.next_message(Message::Application(b"one"));
    puppet.put(1, &message);
    puppet.settle();
    // A number that was used for nothing.
    puppet.number += 1;
    puppet.say(Message::Application(b"two"));
    puppet.wait(HOUR);
    assert_eq!(puppet.texts(), ["one", "two"]);
}

#[test]
fn keys_and_confirmations_at_the_wrong_time_change_nothing() {
    let mut puppet = Puppet::invited(14, 1);
    puppet.join(1);
    let keys = Resynchronization::start(&mut puppet.random, RatchetVersion::MAX, false);
    let message = (puppet.number, puppet.hash.clone());
    puppet.put_keys(&keys);
    puppet.settle();
    (puppet.number, puppet.hash) = message.clone();
    assert_eq!(puppet.failures(), [ConnectionError::Prohibited]);
    puppet.allow();
    puppet.say(Message::Application(b"one"));
    // Another confirmation, with other keys, when all is done.
    let (number, hash) = (puppet.number, puppet.hash.clone());
    let (ratchet, secret) = (puppet.ratchet.take(), puppet.swap_secret(0, None));
    puppet.prepare_to_join();
    puppet.confirm(b"Iagain", None);
    puppet.swap_secret(0, secret);
    (puppet.ratchet, puppet.number, puppet.hash) = (ratchet, number, hash);
    assert_eq!(puppet.waiting(0), 0);
    puppet.say(Message::Application(b"two"));
    puppet.send("three");
    assert_eq!((puppet.texts(), puppet.count("M")), (vec!["one".to_owned(), "two".to_owned()], 1));
    assert_eq!(puppet.failures(), [ConnectionError::Prohibited, ConnectionError::Crypto]);
}
