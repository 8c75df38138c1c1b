//! The relay of the tested world does what relays do.

use crate::support::relay::{Caller, Push, Relay};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use smp_agent::policy::server::Server;
use smp_agent::request::{
    AccessKey, Answer, Blocked, BlockingReason, CreatedQueue, Failure, LinkData, NewLink, NewQueue, Operation,
    QueueAccess, Reason,
};
use smp_agent::time::{SECOND, Time};
use smp_crypto::delivery;
use smp_crypto::hash::sender_id;
use smp_crypto::key::{AuthorizationKey, Ed25519SecretKey, X25519SecretKey};
use smp_crypto::queue_envelope::MESSAGE_LENGTH;
use smp_crypto::secret_box::BoxKey;
use smp_proto::id::{CorrelationId, MessageId};
use smp_proto::smp::message::Delivery;
use smp_proto::smp::recipient::QueueMode;

const NOW: Time = Time(1_700_000_000 * SECOND);

struct Story {
    relay: Relay,
    random: ChaCha20Rng,
    version: u16,
}

/// A queue as its recipient knows it.
struct Own {
    access: QueueAccess,
    created: CreatedQueue,
    delivery: BoxKey,
}

fn caller(connection: u64, version: u16) -> Caller {
    Caller { party: connection as usize, connection, version, proxied: false }
}

/// An envelope of the right length, which nobody opens.
fn envelope(text: &str) -> Vec<u8> {
    let mut body = vec![0, 4, b'0'];
    body.extend(text.bytes());
    body.resize(MESSAGE_LENGTH, 7);
    body
}

impl Story {
    fn new() -> Self {
        let server = Server::parse("smp://-pd7JvjLnNPNfqES2AdWWndE8JoS9gdcvKu0Ba-P2DY=@relay.example.com").unwrap();
        Self { relay: Relay::new(server, 1), random: ChaCha20Rng::seed_from_u64(2), version: 18 }
    }

    fn key(&mut self) -> AccessKey {
        AccessKey::new(&Ed25519SecretKey::generate(&mut self.random))
    }

    fn ask(&mut self, connection: u64, operation: &Operation) -> Result<Answer, Failure> {
        self.relay.execute(caller(connection, self.version), NOW, operation)
    }

    fn done(&mut self, connection: u64, operation: &Operation) {
        let result = self.ask(connection, operation);
        assert!(matches!(result, Ok(Answer::Done)), "{operation:?}: {result:?}");
    }

    fn refused(&mut self, connection: u64, operation: &Operation) -> Reason {
        self.ask(connection, operation).expect_err("a refusal").reason
    }

    fn create(&mut self, mode: QueueMode, link: Option<NewLink>) -> Result<Own, Failure> {
        let key = self.key();
        let delivery_key = X25519SecretKey::generate(&mut self.random);
        let new = NewQueue {
            key: key.clone(),
            delivery_key: X25519SecretKey::from_bytes(delivery_key.as_bytes()),
            password: None,
            mode,
            subscribe: true,
            link,
        };
        let Answer::Created(created) = self.ask(1, &Operation::CreateQueue(Box::new(new)))? else { panic!("IDS") };
        let secret = delivery_key.diffie_hellman(&created.relay_key).unwrap();
        let access = QueueAccess { id: created.recipient_id.clone(), key };
        Ok(Own { access, created, delivery: BoxKey::from(&secret) })
    }

    fn queue(&mut self) -> Own {
        self.create(QueueMode::Messaging, None).unwrap()
    }

    fn send(&mut self, queue: &Own, key: Option<&AccessKey>, text: &str) -> Result<Answer, Failure> {
        let sender_id = queue.created.sender_id.clone();
        self.ask(2, &Operation::Send { sender_id, key: key.cloned(), notify: true, body: envelope(text) })
    }

    /// What was pushed since the last time: the connection, and the message's id and text.
    fn pushed(&mut self, queue: &Own) -> Vec<(u64, Vec<u8>, String)> {
        let pushes = std::mem::take(&mut self.relay.pushes).into_iter();
        let read = pushes.map(|(connection, push)| match push {
            Push::Message { queue: of, message_id, mut body } => {
                assert_eq!(of, queue.access.id);
                let id = MessageId::new(&message_id).unwrap();
                let text = match delivery::open(&queue.delivery, id, &mut body).unwrap() {
                    Delivery::Message { time, notification, body } => {
                        assert!(notification && time.0 == 1_700_000_000 && body.len() == MESSAGE_LENGTH);
                        String::from_utf8(body[3..].iter().copied().take_while(|byte| *byte != 7).collect()).unwrap()
                    }
                    Delivery::Quota { .. } => "QUOTA".into(),
                };
                (connection, message_id, text)
            }
            Push::Ended(_) => (connection, Vec::new(), "END".into()),
            Push::Deleted(_) => (connection, Vec::new(), "DELD".into()),
            Push::Blocked(..) => (connection, Vec::new(), "BLOCKED".into()),
        });
        read.collect()
    }

    fn texts(&mut self, queue: &Own) -> Vec<(u64, String)> {
        self.pushed(queue).into_iter().map(|(connection, _, text)| (connection, text)).collect()
    }

    fn acknowledge(&self, queue: &Own, message_id: &[u8]) -> Operation {
        Operation::Acknowledge { queue: queue.access.clone(), message_id: message_id.to_vec() }
    }
}

const SPAM: Blocked = Blocked { reason: BlockingReason::Spam, notice: None };

#[test]
fn messages_come_one_after_the_other_and_again_until_they_are_acknowledged() {
    let mut story = Story::new();
    let queue = story.queue();
    for text in ["one", "two", "three"] {
        story.send(&queue, None, text).unwrap();
    }
    let [(1, one, text)] = &story.pushed(&queue)[..] else { panic!("one message") };
    assert_eq!(text, "one");
    let (one, subscribe) = (one.clone(), Operation::Subscribe(vec![queue.access.clone()]));
    assert!(matches!(story.ask(1, &subscribe), Ok(Answer::Each(results)) if results == [Ok(())]));
    let again = story.pushed(&queue);
    assert_eq!((again.len(), &again[0].1), (1, &one));
    assert!(story.ask(3, &subscribe).is_ok());
    assert_eq!(story.texts(&queue), [(1, "END".into()), (3, "one".into())]);
    assert_eq!(story.refused(1, &story.acknowledge(&queue, &one)), Reason::NoMessage, "not its message any more");
    story.done(3, &story.acknowledge(&queue, &one));
    assert_eq!(story.texts(&queue), [(3, "two".into())]);
    assert_eq!(story.refused(3, &story.acknowledge(&queue, &one)), Reason::NoMessage);
    story.relay.disconnect(3);
    story.send(&queue, None, "four").unwrap();
    assert!(story.texts(&queue).is_empty());
    assert!(story.ask(4, &subscribe).is_ok());
    for text in ["two", "three", "four"] {
        let pushed = story.pushed(&queue);
        assert_eq!((pushed.len(), &*pushed[0].2), (1, text));
        story.done(4, &story.acknowledge(&queue, &pushed[0].1));
    }
    assert!(story.texts(&queue).is_empty() && story.relay.violations.is_empty());
    story.send(&queue, None, "five").unwrap();
    assert_eq!(story.texts(&queue), [(4, "five".into())]);
}

#[test]
fn a_queue_is_secured_once() {
    let mut story = Story::new();
    let queue = story.queue();
    let (key, other) = (story.key(), story.key());
    let id = queue.created.sender_id.clone();
    let by_sender =
        |key: &AccessKey| Operation::SecureBySender { queue: QueueAccess { id: id.clone(), key: key.clone() } };
    let by_recipient = |key: &AccessKey| Operation::Secure {
        queue: queue.access.clone(),
        sender_key: AuthorizationKey::Ed25519(key.public()),
    };
    story.done(2, &by_sender(&key));
    story.done(2, &by_sender(&key));
    story.done(1, &by_recipient(&key));
    assert_eq!(story.refused(2, &by_sender(&other)), Reason::NotAuthorized);
    assert_eq!(story.refused(1, &by_recipient(&other)), Reason::NotAuthorized);
    assert!(story.send(&queue, Some(&key), "signed").is_ok());
    assert!(story.send(&queue, Some(&other), "signed by another").is_err());
    assert!(story.relay.violations.is_empty());
    assert!(story.send(&queue, None, "unsigned").is_err());
    assert_eq!(story.relay.violations.len(), 1, "its sender knows better");
    assert_eq!(story.texts(&queue), [(1, "signed".into())]);

    let address = story.create(QueueMode::Contact, None).unwrap();
    let id = address.created.sender_id.clone();
    let operation = Operation::SecureBySender { queue: QueueAccess { id, key } };
    assert_eq!(story.refused(2, &operation), Reason::NotAuthorized);
    assert_eq!(story.relay.violations.len(), 2);
}

#[test]
fn a_full_queue_takes_a_mark_and_nothing_more_before_it_is_empty() {
    let mut story = Story::new();
    story.relay.quota = 2;
    let queue = story.queue();
    for text in ["one", "two"] {
        story.send(&queue, None, text).unwrap();
    }
    for _ in 0..3 {
        assert_eq!(story.send(&queue, None, "three").expect_err("full").reason, Reason::Quota);
    }
    for text in ["one", "two", "QUOTA"] {
        let pushed = story.pushed(&queue);
        assert_eq!((pushed.len(), &*pushed[0].2), (1, text));
        assert_eq!(story.send(&queue, None, "three").expect_err("full").reason, Reason::Quota);
        story.done(1, &story.acknowledge(&queue, &pushed[0].1));
    }
    assert!(story.send(&queue, None, "four").is_ok());
    assert_eq!(story.texts(&queue), [(1, "four".into())]);
}

#[test]
fn suspended_and_deleted_queues_take_nothing() {
    let mut story = Story::new();
    let queue = story.queue();
    story.send(&queue, None, "one").unwrap();
    story.done(1, &Operation::Suspend(queue.access.clone()));
    story.done(1, &Operation::Suspend(queue.access.clone()));
    assert_eq!(story.send(&queue, None, "two").expect_err("suspended").reason, Reason::NotAuthorized);
    assert_eq!(story.texts(&queue), [(1, "one".into())], "what was there is delivered");
    let delete = Operation::Delete(queue.access.clone());
    story.done(5, &delete);
    assert_eq!(story.texts(&queue), [(1, "DELD".into())]);
    assert_eq!(story.refused(5, &delete), Reason::NotAuthorized);
    assert_eq!(story.send(&queue, None, "three").expect_err("deleted").reason, Reason::NotAuthorized);
    assert!(story.relay.violations.is_empty());
    let other = story.queue();
    let wrong = QueueAccess { id: other.access.id.clone(), key: queue.access.key.clone() };
    assert_eq!(story.refused(1, &Operation::Delete(wrong)), Reason::NotAuthorized);
    assert_eq!(story.relay.violations.len(), 1, "agents do not mix up their keys");
}

#[test]
fn links_belong_to_the_queue_they_were_made_for() {
    let mut story = Story::new();
    let data = |user| LinkData { fixed: vec![1; 2048], user: vec![user; 13_824] };
    let mut correlation_id = [0; 24];
    story.random.fill_bytes(&mut correlation_id);
    let link = NewLink { correlation_id, link_id: Some([9; 24]), data: data(1) };
    let address = story.create(QueueMode::Contact, Some(link.clone())).unwrap();
    assert_eq!(address.created.sender_id, sender_id(CorrelationId::from_array(&correlation_id)));
    assert_eq!(address.created.link_id.as_deref(), Some(&[9; 24][..]));
    assert!(story.create(QueueMode::Contact, Some(link)).is_err(), "both ids are taken");
    let read = Operation::ReadAddress { link_id: vec![9; 24] };
    let set = |data| Operation::SetLink { queue: address.access.clone(), link_id: vec![9; 24], data };
    assert!(matches!(story.ask(3, &read), Ok(Answer::Link { data: read, .. }) if read == data(1)));
    story.done(1, &set(data(2)));
    assert!(matches!(story.ask(3, &read), Ok(Answer::Link { data: read, .. }) if read == data(2)));
    for _ in 0..2 {
        story.done(1, &Operation::DeleteLink(address.access.clone()));
    }
    assert_eq!(story.refused(3, &read), Reason::NotAuthorized);
    story.done(1, &set(data(3)));
    assert!(matches!(story.ask(3, &read), Ok(Answer::Link { .. })));
    assert!(story.relay.violations.is_empty());

    let link = NewLink { correlation_id: [1; 24], link_id: None, data: data(4) };
    let invitation = story.create(QueueMode::Messaging, Some(link.clone())).unwrap();
    let link_id = invitation.created.link_id.clone().unwrap();
    let (key, other) = (story.key(), story.key());
    let read = |key: &AccessKey| Operation::ReadInvitation { link_id: link_id.clone(), key: key.clone() };
    assert!(matches!(story.ask(2, &read(&key)), Ok(Answer::Link { .. })));
    assert!(matches!(story.ask(2, &read(&key)), Ok(Answer::Link { .. })));
    assert_eq!(story.refused(3, &read(&other)), Reason::NotAuthorized);
    assert!(story.send(&invitation, Some(&key), "one").is_ok());
    assert_eq!(story.refused(2, &read(&key)), Reason::NotAuthorized, "the first message deletes the data");

    story.version = 14;
    let old = story.create(QueueMode::Messaging, Some(link)).unwrap();
    assert_eq!((old.created.link_id, old.created.mode), (None, Some(QueueMode::Messaging)));
    story.version = 8;
    assert_eq!(story.create(QueueMode::Messaging, None).unwrap().created.mode, None);
}

#[test]
fn what_correct_agents_do_not_send_is_noticed() {
    let mut story = Story::new();
    let queue = story.queue();
    let sender_id = queue.created.sender_id.clone();
    let send = |body| Operation::Send { sender_id: sender_id.clone(), key: None, notify: false, body };
    let _ = story.ask(2, &send(vec![0, 4, b'0', 1, 2]));
    let _ = story.ask(2, &Operation::Acknowledge { queue: queue.access.clone(), message_id: vec![3; 24] });
    let _ = story.ask(2, &Operation::Subscribe(Vec::new()));
    assert_eq!(story.relay.violations.len(), 3, "{:?}", story.relay.violations);
}

#[test]
fn old_messages_expire_and_operators_block_queues() {
    let mut story = Story::new();
    let queue = story.queue();
    story.send(&queue, None, "old").unwrap();
    let old = story.pushed(&queue).remove(0).1;
    story.relay.expire(NOW.after(1));
    story.send(&queue, None, "new").unwrap();
    assert!(story.texts(&queue).is_empty(), "the old one is still to be acknowledged");
    story.done(1, &story.acknowledge(&queue, &old));
    assert_eq!(story.texts(&queue), [(1, "new".into())]);
    story.relay.block(&queue.created.sender_id, Some(SPAM));
    assert_eq!(story.send(&queue, None, "more").expect_err("blocked").reason, Reason::Blocked(SPAM));
    assert_eq!(
        story.refused(
            1,
            &Operation::Secure {
                queue: queue.access.clone(),
                sender_key: AuthorizationKey::Ed25519(queue.access.key.public()),
            }
        ),
        Reason::Blocked(SPAM)
    );
    story.done(1, &Operation::Delete(queue.access.clone()));
}
