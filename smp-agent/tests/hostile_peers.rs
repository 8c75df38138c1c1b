//! Peers that say what no correct peer says, or say it again, or at the wrong time: the agent goes on, and nothing of
//! theirs is more than theirs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod support;

use smp_agent::command::Command;
use smp_agent::error::ConnectionError;
use smp_agent::event::{EventKind, RatchetSync, SwitchPhase};
use smp_agent::policy::integrity::Integrity;
use smp_agent::storage::Storage;
use smp_agent::time::{DAY, HOUR};
use smp_crypto::hash::sha256;
use smp_crypto::key::X25519SecretKey;
use smp_crypto::ratchet::Resynchronization;
use smp_crypto::secret_box::BoxKey;
use smp_proto::agent::{AddedQueue, AgentMessage, Message, QueueKey, QueueReference, QueueUse, Receipt};
use smp_proto::key::{AuthorizationKey, Ed448PublicKey, Ed25519PublicKey, X25519PublicKey};
use smp_proto::uri::{QueueInfo, QueueUri};
use smp_proto::version::{ClientVersion, RatchetVersion, VersionRange};
use smp_proto::wire::{Decode, NonEmptyList};
use support::puppet::{Puppet, Said, bytes};

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

/// QADD of a queue of the peer's, in the place of another or beside the others.
fn add(puppet: &mut Puppet, new: usize, replaced: Option<usize>) {
    let theirs = std::mem::take(&mut puppet.theirs);
    let queue = QueueUri::new(VersionRange::CLIENT, &theirs[new].address()).unwrap();
    let replaced = replaced.map(|old| QueueReference::from(&theirs[old].address()));
    let added = [AddedQueue { queue, replaced }];
    let message = puppet.next_message(Message::AddQueues(NonEmptyList::new(&added).unwrap()));
    puppet.theirs = theirs;
    puppet.put(0, &message);
    puppet.settle();
}

/// QUSE of a queue of the peer's.
fn use_queue(puppet: &mut Puppet, place: usize) {
    let theirs = std::mem::take(&mut puppet.theirs);
    let used = [QueueUse { queue: QueueReference::from(&theirs[place].address()), primary: true }];
    let message = puppet.next_message(Message::UseQueues(NonEmptyList::new(&used).unwrap()));
    puppet.theirs = theirs;
    puppet.put(0, &message);
    puppet.settle();
}

/// The sender's keys in the last QKEY that came.
fn last_keys(puppet: &Puppet) -> (X25519PublicKey, AuthorizationKey) {
    let keys = puppet.said.iter().rev().find_map(|(_, said)| match said {
        Said::Message(plaintext) => match AgentMessage::from_bytes(plaintext) {
            Ok(AgentMessage::Sequenced { message: Message::QueueKeys(keys), .. }) => {
                let key = keys.first()?;
                Some((key.queue.queue.dh_key, key.sender_key))
            }
            _ => None,
        },
        _ => None,
    });
    keys.expect("QKEY")
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
fn a_queue_that_is_added_many_times_takes_no_room() {
    let mut puppet = Puppet::connected(4, 1);
    puppet.theirs[0].full = true;
    let new = puppet.new_queue(5);
    add(&mut puppet, new, Some(0));
    let before = puppet.storage.copy().len();
    for _ in 0..200 {
        add(&mut puppet, new, Some(0));
    }
    let after = puppet.storage.copy().len();
    // Nine bytes of each message's hash, in few records.
    assert!(after < before + 150, "{before} {after}");
    puppet.theirs[0].full = false;
    puppet.wait(DAY);
    assert_eq!(puppet.count("QK"), 1);
    // The answer was lost on the peer's side.
    add(&mut puppet, new, Some(0));
    assert_eq!(puppet.count("QK"), 2);
    let (key, _) = last_keys(&puppet);
    puppet.agree(new, &key);
    use_queue(&mut puppet, new);
    assert_eq!(puppet.count("QT"), 1);
    use_queue(&mut puppet, new);
    add(&mut puppet, new, Some(0));
    assert_eq!((puppet.count("QT"), puppet.count("QK")), (1, 2));
    puppet.send("to the new queue");
    assert_eq!(puppet.said.last().map(|(place, _)| *place), Some(new));
}

#[test]
fn who_was_not_let_in_cannot_add_queues() {
    for replaced in [None, Some(0)] {
        let mut puppet = Puppet::invited(5, 1);
        puppet.join(1);
        let new = puppet.new_queue(5);
        add(&mut puppet, new, replaced);
        puppet.wait(HOUR);
        assert!(!puppet.asked.iter().any(|(_, operation)| matches!(*operation, "SEND" | "SKEY")), "{:?}", puppet.asked);
        assert!(puppet.summary().sending.is_empty());
        puppet.allow();
        puppet.send("one");
        assert_eq!(puppet.kinds(), ["C", "M"]);
        assert!(puppet.said.iter().all(|(place, _)| *place == 0));
    }
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
    assert!(failures(&puppet).contains(&ConnectionError::Message));
    assert_eq!((records(&puppet, RATCHET), records(&puppet, SKIPPED)), (0, 0));
    // Somebody else is still welcome.
    puppet.join(1);
    puppet.allow();
    puppet.say(Message::Application(b"one"));
    assert_eq!(puppet.texts(), ["one"]);
}

fn failures(puppet: &Puppet) -> Vec<ConnectionError> {
    let errors = puppet.events.iter().filter_map(|kind| match kind {
        EventKind::Failed { error, .. } => Some(*error),
        _ => None,
    });
    errors.collect()
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
    assert!(puppet.texts().is_empty() && failures(&puppet).is_empty());
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
fn a_peer_names_thousands_of_queues_and_wrong_ones() {
    let mut puppet = Puppet::connected(12, 1);
    // Its own queues, one in the place of the other and beside the others.
    for number in 0..60 {
        let new = puppet.new_queue(5);
        let replaced = match number % 3 {
            0 => None,
            1 => Some(0),
            _ => Some(new - 1),
        };
        add(&mut puppet, new, replaced);
        assert!(puppet.summary().sending.len() <= 8);
    }
    // Those that are not there.
    let absent = puppet.new_queue(6);
    use_queue(&mut puppet, absent);
    assert_eq!(failures(&puppet).last(), Some(&ConnectionError::Queue));
    // One of the agent's, as a new one and to be used.
    let request = puppet.request();
    let address = request.queue().queue();
    let queue = QueueUri::new(VersionRange::CLIENT, &address).unwrap();
    let added = [AddedQueue { queue, replaced: None }];
    puppet.say(Message::AddQueues(NonEmptyList::new(&added).unwrap()));
    let used = [QueueUse { queue: QueueReference::from(&address), primary: true }];
    puppet.say(Message::UseQueues(NonEmptyList::new(&used).unwrap()));
    let keys = [QueueKey {
        queue: QueueInfo { version: ClientVersion::MAX, queue: address },
        sender_key: AuthorizationKey::Ed25519(Ed25519PublicKey([1; 32])),
    }];
    puppet.say(Message::QueueKeys(NonEmptyList::new(&keys).unwrap()));
    puppet.wait(10 * DAY);
    assert!(puppet.summary().sending.len() <= 8);
    assert_eq!(puppet.summary().receiving.len(), 1);
    puppet.send("one");
    assert!(puppet.said.iter().any(|(place, said)| *place == 0 && matches!(said, Said::Message(_))));
    assert_eq!(puppet.said.last().map(|(place, _)| *place), Some(0));
    puppet.say(Message::Application(b"two"));
    assert_eq!(puppet.texts(), ["two"]);
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
    assert_eq!(failures(&puppet), [ConnectionError::Prohibited]);
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
    assert_eq!(failures(&puppet), [ConnectionError::Prohibited, ConnectionError::Crypto]);
}

/// QADD, the last that came: the new queue of the agent.
fn added(puppet: &Puppet) -> QueueUri {
    let added = puppet.said.iter().rev().find_map(|(_, said)| match said {
        Said::Message(plaintext) => match AgentMessage::from_bytes(plaintext) {
            Ok(AgentMessage::Sequenced { message: Message::AddQueues(queues), .. }) => {
                queues.first().map(|added| added.queue)
            }
            _ => None,
        },
        _ => None,
    });
    added.expect("QADD")
}

/// QKEY for a queue of the agent's.
fn say_keys(puppet: &mut Puppet, queue: &QueueUri, secret: &X25519SecretKey) {
    let mut address = queue.queue();
    address.dh_key = secret.public_key();
    let keys = [QueueKey {
        queue: QueueInfo { version: ClientVersion::MAX, queue: address },
        sender_key: AuthorizationKey::Ed25519(Ed25519PublicKey([1; 32])),
    }];
    puppet.say(Message::QueueKeys(NonEmptyList::new(&keys).unwrap()));
}

fn phases(puppet: &Puppet) -> Vec<SwitchPhase> {
    let phases = puppet.events.iter().filter_map(|kind| match kind {
        EventKind::Switch { receiving: true, phase, .. } => Some(*phase),
        _ => None,
    });
    phases.collect()
}

fn moving(seed: u64) -> (Puppet, QueueUri) {
    let mut puppet = Puppet::connected(seed, 1);
    let connection = puppet.connection;
    puppet.command(Command::Switch { connection });
    let queue = added(&puppet);
    (puppet, queue)
}

#[test]
fn keys_for_a_new_queue_come_twice() {
    let (mut puppet, queue) = moving(15);
    let secret = X25519SecretKey::generate(&mut puppet.random);
    for _ in 0..3 {
        say_keys(&mut puppet, &queue, &secret);
    }
    assert_eq!(puppet.asked.iter().filter(|(_, name)| *name == "KEY").count(), 1);
    assert_eq!(puppet.count("QU"), 1);
    let key = BoxKey::from(&secret.diffie_hellman(&queue.dh_key()).unwrap());
    puppet.swap_secret(1, Some(key));
    let tested = [QueueReference::from(&queue.queue())];
    let message = puppet.next_message(Message::TestQueues(NonEmptyList::new(&tested).unwrap()));
    for _ in 0..2 {
        puppet.put(1, &message);
        puppet.settle();
    }
    say_keys(&mut puppet, &queue, &secret);
    puppet.wait(HOUR);
    use SwitchPhase::{Completed, Confirmed, Secured, Started};
    assert_eq!(phases(&puppet), [Started, Confirmed, Secured, Completed]);
    assert_eq!(puppet.summary().receiving.len(), 1);
    let message = puppet.next_message(Message::Application(b"one"));
    puppet.put(1, &message);
    puppet.settle();
    assert_eq!(puppet.texts(), ["one"]);
}

#[test]
fn other_keys_for_a_new_queue_end_its_move() {
    let (mut puppet, queue) = moving(16);
    for _ in 0..2 {
        let secret = X25519SecretKey::generate(&mut puppet.random);
        say_keys(&mut puppet, &queue, &secret);
    }
    puppet.wait(HOUR);
    assert_eq!(phases(&puppet).last(), Some(&SwitchPhase::Aborted));
    puppet.say(Message::Application(b"one"));
    assert_eq!((puppet.texts(), puppet.summary().receiving.len()), (vec!["one".to_owned()], 1));
    let connection = puppet.connection;
    puppet.command(Command::Switch { connection });
    assert_ne!(added(&puppet).sender_id(), queue.sender_id());
}

#[test]
fn keys_that_cannot_be_agreed_on_or_come_for_other_queues_change_nothing() {
    let (mut puppet, queue) = moving(17);
    // Of small order.
    let mut address = queue.queue();
    address.dh_key = X25519PublicKey([0; 32]);
    let sender_key = AuthorizationKey::Ed25519(Ed25519PublicKey([1; 32]));
    let keys = [QueueKey { queue: QueueInfo { version: ClientVersion::MAX, queue: address }, sender_key }];
    puppet.say(Message::QueueKeys(NonEmptyList::new(&keys).unwrap()));
    // Of a version that nobody knows, and for the queue in use.
    address.dh_key = X25519PublicKey([9; 32]);
    let keys = [QueueKey { queue: QueueInfo { version: ClientVersion(9), queue: address }, sender_key }];
    puppet.say(Message::QueueKeys(NonEmptyList::new(&keys).unwrap()));
    let first = puppet.request().queue().clone();
    let secret = X25519SecretKey::generate(&mut puppet.random);
    say_keys(&mut puppet, &first, &secret);
    assert_eq!(failures(&puppet), [ConnectionError::Crypto, ConnectionError::Version]);
    assert!(!puppet.asked.iter().any(|(_, name)| *name == "KEY"));
    say_keys(&mut puppet, &queue, &secret);
    assert_eq!(puppet.count("QU"), 1);
    puppet.say(Message::Application(b"one"));
    assert_eq!(puppet.texts(), ["one"]);
}
