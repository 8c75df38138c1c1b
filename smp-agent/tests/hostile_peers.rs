//! Peers that say what no correct peer says, or say it again, or at the wrong time: the agent goes on, and nothing of
//! theirs is more than theirs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod support;

use smp_agent::event::EventKind;
use smp_agent::time::{DAY, HOUR};
use smp_crypto::hash::sha256;
use smp_proto::agent::{AddedQueue, AgentMessage, Message, QueueReference, QueueUse, Receipt};
use smp_proto::key::{AuthorizationKey, Ed448PublicKey, Ed25519PublicKey, X25519PublicKey};
use smp_proto::uri::{QueueInfo, QueueUri};
use smp_proto::version::{ClientVersion, VersionRange};
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
