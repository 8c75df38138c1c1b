//! Peers that add queues again and again, name queues that are not theirs, and give keys twice.

use crate::support::puppet::{Puppet, Said};
use smp_agent::command::Command;
use smp_agent::error::ConnectionError;
use smp_agent::event::{EventKind, SwitchPhase};
use smp_agent::time::{DAY, HOUR};
use smp_crypto::key::X25519SecretKey;
use smp_crypto::secret_box::BoxKey;
use smp_proto::agent::{AddedQueue, AgentMessage, Message, QueueKey, QueueReference, QueueUse};
use smp_proto::key::{AuthorizationKey, Ed25519PublicKey, X25519PublicKey};
use smp_proto::uri::{QueueInfo, QueueUri};
use smp_proto::version::{ClientVersion, VersionRange};
use smp_proto::wire::{Decode, NonEmptyList};

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
    assert_eq!(puppet.failures().last(), Some(&ConnectionError::Queue));
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
    assert_eq!(puppet.failures(), [ConnectionError::Crypto, ConnectionError::Version]);
    assert!(!puppet.asked.iter().any(|(_, name)| *name == "KEY"));
    say_keys(&mut puppet, &queue, &secret);
    assert_eq!(puppet.count("QU"), 1);
    puppet.say(Message::Application(b"one"));
    assert_eq!(puppet.texts(), ["one"]);
}

#[test]
fn additions_take_no_room_while_their_answers_cannot_be_sent() {
    let mut puppet = Puppet::connected(18, 1);
    puppet.theirs[0].full = true;
    let new = puppet.new_queue(5);
    add(&mut puppet, new, None);
    let before = puppet.storage.copy().len();
    for _ in 0..200 {
        let new = puppet.new_queue(5);
        add(&mut puppet, new, None);
    }
    let after = puppet.storage.copy().len();
    assert!(after < before + 150, "{before} {after}");
    puppet.theirs[0].full = false;
    puppet.wait(DAY);
    let said = puppet.count("QK");
    let new = puppet.new_queue(5);
    add(&mut puppet, new, None);
    assert_eq!((puppet.count("QK"), puppet.summary().sending.len()), (said + 1, 2));
}
