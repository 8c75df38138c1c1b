use std::vec;
use std::vec::Vec as List;

use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use smp_crypto::key::SharedSecret;
use smp_proto::id::{MessageId, SessionId};
use smp_proto::smp::message::NotificationMetadata;
use smp_proto::transport::{Batch, BatchWriter, Transmission};
use smp_proto::version::SmpVersion;
use smp_proto::wire::Time;

use super::*;
use crate::connection::{Block, TransmissionContext};
use crate::key::CommandKey;
use crate::test::{Broken, random};

const HOUR: Duration = Duration::from_secs(3_600);
const SECRET: [u8; 32] = [0x5e; 32];

fn at(seconds: u64) -> Instant {
    Instant::from_secs(seconds)
}

fn id_of(queue: u8) -> [u8; 24] {
    [0xa0 + queue; 24]
}

/// A command as a relay reads it.
#[derive(Clone, Debug, PartialEq)]
struct Sent {
    correlation_id: [u8; 24],
    entity: List<u8>,
    command: List<u8>,
}

impl Sent {
    fn answer(&self, body: &[u8]) -> List<u8> {
        transmission(&self.correlation_id, &self.entity, body)
    }
}

fn transmission(correlation_id: &[u8], entity: &[u8], body: &[u8]) -> List<u8> {
    let length = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap();
    [&[0, length(correlation_id)][..], correlation_id, &[length(entity)], entity, body].concat()
}

/// The subscriptions of four queues, the first with a metadata key, and the other end of their connection.
struct Line {
    version: SmpVersion,
    subscriptions: Subscriptions<4>,
    random: ChaCha20Rng,
}

impl Line {
    fn new(queues: u8) -> Self {
        let random = &mut random(1);
        let queues = (0..queues).map(|queue| {
            let built = NotifierQueue::new(id_of(queue), CommandKey::generate_ed25519(random).unwrap());
            if queue == 0 { built.with_metadata_secret(&SharedSecret::from_bytes(SECRET)) } else { built }
        });
        let subscriptions = Subscriptions::new(queues.collect(), NotifierOptions::DEFAULT);
        Self { version: SmpVersion(20), subscriptions, random: random.clone() }
    }

    /// The same, with a connection.
    fn connected(queues: u8) -> Self {
        let mut line = Self::new(queues);
        line.subscriptions.connected(at(0));
        line
    }

    /// The same, subscribed to everything.
    fn subscribed(queues: u8) -> Self {
        let mut line = Self::connected(queues);
        let answers: List<_> = line.send(at(0)).iter().map(|sent| sent.answer(b"SOK 0")).collect();
        assert_eq!(line.take(&answers, at(0)).len(), usize::from(queues));
        line
    }

    fn send(&mut self, now: Instant) -> List<Sent> {
        assert!(self.subscriptions.wants_to_send(now));
        let mut content = vec![0; 16_384];
        let context = TransmissionContext { version: self.version, session_id: SessionId::EMPTY, server_key: None };
        let mut composer = Composer::new(context, &mut content).unwrap();
        self.subscriptions.compose(&mut composer, now, &mut self.random).unwrap();
        let length = composer.finish();
        let batch = Batch::decode(&content[..length]).unwrap();
        let read = |bytes| {
            let read = Transmission::decode(bytes, self.version, SessionId::EMPTY).unwrap();
            let (entity, command) = (read.entity_id.as_bytes().to_vec(), read.command.to_vec());
            assert_eq!(read.authorization.is_some(), !entity.is_empty());
            Sent { correlation_id: read.correlation_id.to_array().unwrap(), entity, command }
        };
        batch.iter().map(read).collect()
    }

    fn take(&mut self, transmissions: &[List<u8>], now: Instant) -> List<NotifierEvent> {
        let mut content = vec![0; 16_384];
        let mut batch = BatchWriter::new(&mut content).unwrap();
        for transmission in transmissions {
            batch.push(|writer| writer.bytes(transmission)).unwrap();
        }
        let mut content = batch.finish().unwrap().to_vec();
        let mut malformed = 0;
        self.subscriptions.heard(now);
        let block = Block::new(&mut content, self.version, SessionId::EMPTY, &mut malformed).unwrap();
        block.filter_map(|incoming| self.subscriptions.receive(incoming, now)).collect()
    }

    fn unexpected(&self) -> u32 {
        self.subscriptions.anomalies().unexpected
    }
}

fn notification(queue: u8, key: &[u8; 32]) -> List<u8> {
    let id = [0x77; 24];
    let metadata = NotificationMetadata { message_id: MessageId::from_array(&id), time: Time(1_700_000_000) };
    let sealed = notification::seal(&BoxKey::new(key), &Nonce([3; 24]), &metadata).unwrap();
    transmission(&[], &id_of(queue), &[&b"NMSG "[..], &[3; 24], &[144], &sealed].concat())
}

#[test]
fn all_queues_are_asked_for_in_one_block() {
    for version in 7..=20 {
        let mut line = Line::connected(4);
        line.version = SmpVersion(version);
        let sent = line.send(at(0));
        assert!(sent.iter().all(|sent| sent.command == b"NSUB"));
        assert_eq!(
            sent.iter().map(|sent| sent.entity.clone()).collect::<List<_>>(),
            [0, 1, 2, 3].map(|q| id_of(q).to_vec())
        );
        assert!(!line.subscriptions.wants_to_send(at(0)));
        // In another order, and in both forms: old relays say OK.
        let bodies = [&b"OK"[..], b"SOK 0", b"OK", b"SOK 1\x18twenty-four bytes id ok."];
        let answers: List<_> = sent.iter().zip(bodies).rev().map(|(sent, body)| sent.answer(body)).collect();
        let events = line.take(&answers, at(1));
        assert_eq!(events, [3, 2, 1, 0].map(NotifierEvent::Subscribed));
        // Again: nobody waits for them any more.
        assert_eq!(line.take(&answers, at(1)), []);
        assert_eq!(line.unexpected(), 4);
    }
}

#[test]
fn a_lost_response_ends_the_connection_and_all_are_asked_for_again() {
    let mut line = Line::connected(3);
    let sent = line.send(at(0));
    assert_eq!(line.subscriptions.deadline(at(0)), at(30));
    assert_eq!(line.take(&[sent[1].answer(b"SOK 0")], at(20)), [NotifierEvent::Subscribed(1)]);
    // Something has come: the others have their time again.
    assert_eq!(line.subscriptions.deadline(at(20)), at(50));
    assert_eq!(line.take(&[sent[2].answer(b"SOK 0")], at(40)), [NotifierEvent::Subscribed(2)]);
    assert!(line.subscriptions.tick(at(69)));
    assert!(!line.subscriptions.tick(at(70)));
    line.subscriptions.disconnected(at(70), 0);
    line.subscriptions.connected(at(71));
    let again = line.send(at(71));
    assert_eq!(again.len(), 3);
    assert_ne!(again[0].correlation_id, sent[0].correlation_id);
    // An answer from before means nothing.
    assert_eq!(line.take(&[sent[0].answer(b"SOK 0")], at(72)), []);
    assert_eq!(line.unexpected(), 1);
}

#[test]
fn refused_queues_are_given_up_and_others_tried_later() {
    let mut line = Line::connected(4);
    let sent = line.send(at(0));
    let answers = [
        transmission(&sent[0].correlation_id, &[], b"ERR AUTH"),
        sent[1].answer(b"ERR INTERNAL"),
        sent[2].answer(b"PONG"),
        sent[3].answer(b"what?"),
    ];
    let events = line.take(&answers, at(1));
    let postponed = NotifierEvent::Postponed;
    assert_eq!(events, [NotifierEvent::Gone(0), postponed(1), postponed(2), postponed(3)]);
    let later = at(1) + HOUR;
    // Meanwhile the relay lives.
    let mut now = at(1);
    while line.subscriptions.deadline(now) < later {
        now = line.subscriptions.deadline(now);
        assert!(line.subscriptions.tick(now));
        let ping = line.send(now);
        assert_eq!(ping.len(), 1);
        line.take(&[ping[0].answer(b"PONG")], now);
    }
    assert!(line.subscriptions.tick(later));
    let asked = line.send(later).into_iter().filter(|sent| sent.command == b"NSUB");
    assert_eq!(asked.count(), 3);
    assert!(!line.subscriptions.is_finished());
}

#[test]
fn a_silent_relay_is_asked_for_a_sign_of_life() {
    let mut line = Line::subscribed(1);
    assert_eq!(line.subscriptions.deadline(at(0)), at(300));
    assert!(!line.subscriptions.wants_to_send(at(299)));
    let ping = line.send(at(300));
    assert_eq!((ping.len(), &ping[0].command[..], &ping[0].entity[..]), (1, &b"PING"[..], &b""[..]));
    assert!(!line.subscriptions.wants_to_send(at(301)), "one at a time");
    assert_eq!(line.take(&[ping[0].answer(b"PONG")], at(310)), []);
    assert_eq!(line.subscriptions.deadline(at(310)), at(610));
    assert_eq!(line.take(&[ping[0].answer(b"PONG")], at(311)), [], "a second answer");
    assert_eq!(line.unexpected(), 1);
    let ping = line.send(at(611));
    assert!(line.subscriptions.tick(at(640)));
    // Anything else that comes does not answer it.
    assert_eq!(line.take(&[transmission(&[], &id_of(0), b"END")], at(635)), [NotifierEvent::Displaced(0)]);
    assert!(!line.subscriptions.tick(at(641)));
    assert_eq!(ping.len(), 1);
}

#[test]
fn a_block_that_never_ends_is_not_waited_for() {
    // While a part of a block is in the buffer nothing can be sent, so nobody calls compose.
    let mut line = Line::subscribed(1);
    let deadline = line.subscriptions.deadline(at(300));
    assert_eq!(deadline, at(330));
    assert!(line.subscriptions.tick(at(329)));
    assert!(!line.subscriptions.tick(deadline));
}

#[test]
fn notifications_tell_which_message_waits() {
    let mut line = Line::subscribed(2);
    let known = NotifiedMessage { id: Id::new([0x77; 24]), time: 1_700_000_000 };
    let events = line.take(&[notification(0, &SECRET), notification(1, &SECRET)], at(1));
    assert_eq!(events, [NotifierEvent::Message(0, Some(known)), NotifierEvent::Message(1, None)]);
    assert_eq!(line.subscriptions.anomalies(), Anomalies::default());
    // Something waits in any case.
    assert_eq!(line.take(&[notification(0, &[1; 32])], at(1)), [NotifierEvent::Message(0, None)]);
    assert_eq!(line.subscriptions.anomalies(), Anomalies { malformed: 1, unexpected: 0 });
    // Not ours.
    assert_eq!(line.take(&[notification(3, &SECRET)], at(1)), []);
    assert_eq!(line.unexpected(), 1);
}

#[test]
fn a_notification_may_come_before_the_response() {
    let mut line = Line::connected(1);
    let sent = line.send(at(0));
    let events = line.take(&[notification(0, &SECRET), sent[0].answer(b"SOK 0")], at(1));
    assert!(matches!(events[..], [NotifierEvent::Message(0, Some(_)), NotifierEvent::Subscribed(0)]));
}

#[test]
fn a_queue_that_another_client_took_is_taken_back_later() {
    let mut line = Line::subscribed(2);
    let end = transmission(&[], &id_of(1), b"END");
    assert_eq!(line.take(&[end.clone(), end], at(5)), [NotifierEvent::Displaced(1)]);
    assert_eq!(line.unexpected(), 1);
    assert!(!line.subscriptions.wants_to_send(at(6)));
    // A new connection is no reason to be quicker.
    line.subscriptions.disconnected(at(100), 0);
    line.subscriptions.connected(at(101));
    assert_eq!(line.send(at(101)).len(), 1);
    let due = at(5) + HOUR;
    line.subscriptions.heard(due - Duration::from_secs(1));
    assert!(!line.subscriptions.wants_to_send(due - Duration::from_secs(1)));
    line.subscriptions.tick(due);
    assert_eq!(line.send(due)[0].entity, id_of(1));
}

#[test]
fn deleted_queues_are_forgotten() {
    let mut line = Line::subscribed(2);
    let events = line.take(&[transmission(&[], &id_of(0), b"DELD"), transmission(&[], &id_of(1), b"DELD")], at(1));
    assert_eq!(events, [NotifierEvent::Gone(0), NotifierEvent::Gone(1)]);
    assert!(line.subscriptions.is_finished());
    line.subscriptions.connected(at(2));
    assert!(!line.subscriptions.wants_to_send(at(2)));
    assert!(Line::new(0).subscriptions.is_finished());
}

#[test]
fn events_that_mean_nothing_to_a_notifier_are_counted() {
    let mut line = Line::subscribed(1);
    let entity = id_of(0);
    let strange = [
        transmission(&[], &entity, b"OK"),
        transmission(&[], &[], b"PONG"),
        transmission(&[], &id_of(2), b"END"),
        transmission(&[9; 24], &entity, b"SOK 0"),
    ];
    assert_eq!(line.take(&strange, at(1)), []);
    assert_eq!(line.unexpected(), 4);
    // About nothing.
    assert_eq!(line.take(&[transmission(&[], &[], b"END")], at(1)), []);
    assert_eq!(line.unexpected(), 5);
    let unreadable =
        [transmission(&[], &entity, b"NMSG x"), transmission(&[], &entity, b"NMSG"), transmission(&[], &entity, b"")];
    assert_eq!(line.take(&unreadable, at(1)), []);
    assert_eq!(line.subscriptions.anomalies().malformed, 3);
    assert_eq!(line.take(&[transmission(&[], &entity, b"ERR BLOCKED reason=spam")], at(1)), []);
    assert_eq!(line.subscriptions.anomalies(), Anomalies { malformed: 3, unexpected: 5 });
}

#[test]
fn pauses_grow_until_a_connection_lasts() {
    let mut line = Line::new(1);
    let pause = |line: &mut Line, now| line.subscriptions.disconnected(now, 0x8000).as_secs();
    assert_eq!([0, 1, 2, 3].map(|_| pause(&mut line, at(0))), [1, 2, 4, 8]);
    // One that breaks soon is no better than none.
    line.subscriptions.connected(at(100));
    assert_eq!(pause(&mut line, at(159)), 16);
    line.subscriptions.connected(at(200));
    assert_eq!(pause(&mut line, at(260)), 1);
    assert_eq!(pause(&mut line, at(261)), 2);
}

#[test]
fn without_randomness_nothing_is_asked_for() {
    let mut line = Line::connected(2);
    let mut content = [0; 1_000];
    let context = TransmissionContext { version: line.version, session_id: SessionId::EMPTY, server_key: None };
    let mut composer = Composer::new(context, &mut content).unwrap();
    let failed = line.subscriptions.compose(&mut composer, at(0), &mut Broken);
    assert_eq!(failed, Err(RandomError::Source));
    assert_eq!(composer.finish(), 0);
}

#[test]
fn keys_that_do_not_fit_the_session_are_tried_later() {
    // Version 6 has no session keys: an authenticator cannot be made.
    let key = CommandKey::generate_x25519(&mut random(1)).unwrap();
    let queues = [NotifierQueue::new(id_of(0), key)].into_iter().collect();
    let mut subscriptions = Subscriptions::<1>::new(queues, NotifierOptions::DEFAULT);
    subscriptions.connected(at(0));
    let mut content = [0; 1_000];
    let context = TransmissionContext { version: SmpVersion(6), session_id: SessionId::EMPTY, server_key: None };
    let mut composer = Composer::new(context, &mut content).unwrap();
    subscriptions.compose(&mut composer, at(0), &mut random(1)).unwrap();
    assert_eq!(composer.finish(), 0);
    assert!(!subscriptions.wants_to_send(at(1)));
}

/// Relays that lose, repeat, mix up and damage what they say, and break off, for a virtual year; then one that behaves.
#[test]
fn in_the_end_everything_is_subscribed() {
    for seed in 0..8 {
        let chance = &mut random(1_000 + seed);
        let mut below = |limit: u32| chance.next_u32() % limit;
        let mut line = Line::new(4);
        let mut now = at(0);
        let year = Duration::from_secs(365 * 24 * 3_600);
        let mut connected = false;
        let mut outbox: List<List<u8>> = List::new();
        let mut rounds = 0;
        while now < at(0) + year && rounds < 1_500 {
            rounds += 1;
            if !connected {
                let random = u16::try_from(below(0x10000)).unwrap();
                let pause = line.subscriptions.disconnected(now, random);
                assert!(pause >= Duration::from_millis(500) && pause <= Duration::from_secs(450));
                now += pause;
                line.subscriptions.connected(now);
                outbox.clear();
            }
            connected = line.subscriptions.tick(now) && below(40) > 0;
            if !connected {
                continue;
            }
            if line.subscriptions.wants_to_send(now) && below(10) > 0 {
                for sent in line.send(now) {
                    let good: &[u8] = if sent.entity.is_empty() { b"PONG" } else { b"SOK 0" };
                    let body = [good, good, good, good, b"ERR INTERNAL", b"ERR QUOTA", b"\xff"][below(7) as usize];
                    (0..below(3)).for_each(|_| outbox.push(sent.answer(body)));
                }
            }
            outbox.push(notification(u8::try_from(below(5)).unwrap(), &SECRET));
            if below(5) == 0 {
                outbox.push(transmission(&[], &id_of(u8::try_from(below(5)).unwrap()), b"END"));
            }
            let deadline = line.subscriptions.deadline(now);
            assert!(deadline > now || line.subscriptions.wants_to_send(now) || !line.subscriptions.tick(deadline));
            let count = (below(4) as usize).min(outbox.len());
            for _ in 0..count {
                let next = outbox.swap_remove(below(u32::try_from(outbox.len()).unwrap()) as usize);
                line.take(&[next], now);
            }
            now = if count == 0 { deadline.max(now) } else { now + Duration::from_secs(u64::from(below(60))) };
        }
        // Nothing that a relay says but AUTH and DELD ends a subscription for good.
        now += HOUR;
        line.subscriptions.connected(now);
        assert!(line.subscriptions.tick(now));
        if line.subscriptions.wants_to_send(now) {
            let answers: List<_> = line.send(now).iter().map(|sent| sent.answer(b"SOK 0")).collect();
            line.take(&answers, now);
        }
        assert!(line.subscriptions.entries.iter().all(|entry| entry.status == Status::Subscribed));
    }
}
