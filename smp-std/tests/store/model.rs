//! Random operations, several to a write, against the simplest thing that follows the same rules.

use std::collections::{BTreeMap, VecDeque};

use smp_std::relay::store::{
    AppendMessage, AppendOutcome, Counts, Creation, HeaderKind, MessageHeader, MessageKind, Pending, QueueName,
    QueueStatus, Securing, StoreError, Suspension,
};

use crate::{Engine, Fixture, Random, body, for_every_engine, id, key, queue};

for_every_engine!(seed_1, seed_2, seed_3);

async fn seed_1(engine: Engine) {
    run(engine, 1).await;
}

async fn seed_2(engine: Engine) {
    run(engine, 2).await;
}

async fn seed_3(engine: Engine) {
    run(engine, 3).await;
}

const QUEUES: u64 = 6;

#[derive(Default)]
struct Model {
    queues: BTreeMap<u64, ModelQueue>,
}

#[derive(Default)]
struct ModelQueue {
    sender_key: Option<u8>,
    suspended: bool,
    full: bool,
    /// Number, time, whether it is a mark.
    messages: VecDeque<(u64, i64, bool)>,
}

impl ModelQueue {
    fn expire(&mut self, before: i64) -> u64 {
        let mut count = 0;
        while self.messages.front().is_some_and(|(_, time, mark)| !mark && *time < before) {
            self.messages.pop_front();
            count += 1;
        }
        if self.messages.is_empty() {
            self.full = false;
        }
        count
    }

    fn head(&self) -> Option<MessageHeader> {
        self.messages.front().map(|(number, time, mark)| MessageHeader {
            id: id(*number),
            time: *time,
            kind: if *mark { HeaderKind::QuotaMark } else { HeaderKind::Message { notification: *number % 2 == 0 } },
        })
    }
}

/// An answer that is awaited, and what it must be.
enum Expected {
    Creation(Pending<Creation>, Creation),
    Securing(Pending<Securing>, Securing),
    Suspension(Pending<Suspension>, Suspension),
    Deletion(Pending<Option<smp_std::relay::store::DeletedQueue>>, Option<u64>),
    Append(Pending<smp_std::relay::store::Appended>, ExpectedAppend, u64),
    /// With the header of the next message, if the answer came before any later operation.
    Acknowledge(Pending<Option<smp_std::relay::store::Acknowledged>>, Option<Option<MessageHeader>>),
    Expire(Pending<u64>, u64),
}

#[derive(PartialEq, Debug)]
enum ExpectedAppend {
    Stored(bool, u64),
    Marked(bool, u64),
    Exceeded,
    Suspended,
    NotFound,
}

impl Expected {
    async fn check(self) -> Result<(), StoreError> {
        match self {
            Self::Creation(pending, expected) => assert_eq!(pending.await?, expected),
            Self::Securing(pending, expected) => assert_eq!(pending.await?, expected),
            Self::Suspension(pending, expected) => assert_eq!(pending.await?, expected),
            Self::Deletion(pending, expected) => assert_eq!(pending.await?.map(|deleted| deleted.messages), expected),
            Self::Expire(pending, expected) => assert_eq!(pending.await?, expected),
            Self::Acknowledge(pending, expected) => {
                assert_eq!(pending.await?.map(|acknowledged| acknowledged.deleted), expected);
            }
            Self::Append(pending, expected, expired) => {
                let appended = pending.await?;
                assert_eq!(appended.expired, expired);
                let outcome = match appended.outcome {
                    AppendOutcome::Stored { was_empty, message } => {
                        let number = number_of(&message.id);
                        assert_eq!(
                            message.kind,
                            MessageKind::Message { notification: number.is_multiple_of(2), body: body(number) }
                        );
                        ExpectedAppend::Stored(was_empty, number)
                    }
                    AppendOutcome::QuotaMarked { was_empty, message } => {
                        assert_eq!(message.kind, MessageKind::QuotaMark);
                        ExpectedAppend::Marked(was_empty, number_of(&message.id))
                    }
                    AppendOutcome::QuotaExceeded => ExpectedAppend::Exceeded,
                    AppendOutcome::Suspended => ExpectedAppend::Suspended,
                    AppendOutcome::Blocked(_) => panic!("no queue is blocked here"),
                    AppendOutcome::NotFound => ExpectedAppend::NotFound,
                };
                assert_eq!(outcome, expected);
            }
        }
        Ok(())
    }
}

fn number_of(message_id: &[u8; 24]) -> u64 {
    // The inverse of the multiplier in `id`.
    u64::from_be_bytes(*message_id.first_chunk().unwrap()).wrapping_mul(0xf1de_83e1_9937_733d)
}

async fn run(engine: Engine, seed: u64) {
    let mut fixture = Fixture::small(engine);
    let mut random = Random(seed);
    let mut model = Model::default();
    for number in 0..3000 {
        // A few that share a write, or none.
        let mut expected = Vec::new();
        for part in 0..random.below(5) {
            expected.push(step(&fixture, &mut model, &mut random, number * 10 + part).await);
        }
        for expected in expected {
            expected.check().await.unwrap();
        }
        if number % 10 == 0 {
            compare(&fixture, &model);
        }
        if random.below(150) == 0 {
            fixture.reopen();
            compare(&fixture, &model);
        }
    }
}

async fn step(fixture: &Fixture, model: &mut Model, random: &mut Random, number: u64) -> Expected {
    let store = fixture.store();
    let target = random.below(QUEUES);
    let present = model.queues.get_mut(&target);
    match random.below(40) {
        0..=2 => {
            let expected = if present.is_some() { Creation::IdTaken } else { Creation::Created };
            model.queues.entry(target).or_default();
            Expected::Creation(store.create_queue(queue(target).into()).await.unwrap(), expected)
        }
        3 => {
            let expected = model.queues.remove(&target).map(|queue| queue.messages.len() as u64);
            Expected::Deletion(store.delete_queue(id(target)).await.unwrap(), expected)
        }
        4 if random.below(8) == 0 => {
            let expected = match present {
                Some(queue) => {
                    queue.suspended = true;
                    Suspension::Suspended
                }
                None => Suspension::NotFound,
            };
            Expected::Suspension(store.suspend_queue(id(target)).await.unwrap(), expected)
        }
        4..=6 => {
            let with = random.below(3) as u8;
            let expected = match present.map(|queue| &mut queue.sender_key) {
                None => Securing::NotFound,
                Some(Some(present)) if *present == with => Securing::SameKey,
                Some(Some(_)) => Securing::OtherKey,
                Some(key) => {
                    *key = Some(with);
                    Securing::Secured
                }
            };
            let name = QueueName::Recipient(id(target));
            Expected::Securing(store.secure_queue(name, key(with)).await.unwrap(), expected)
        }
        7..=8 => {
            let before = random.below(100) as i64;
            let expected = present.map_or(0, |queue| queue.expire(before));
            Expected::Expire(store.expire_messages(id(target), before).await.unwrap(), expected)
        }
        9..=22 => {
            let head = present.as_ref().and_then(|queue| queue.messages.front().map(|(number, _, _)| *number));
            let message = if random.below(5) == 0 { number } else { head.unwrap_or(number) };
            let expected = present.map(|queue| {
                let deleted = queue.head().filter(|head| head.id == id(message));
                if deleted.is_some() {
                    queue.messages.pop_front();
                    if queue.messages.is_empty() {
                        queue.full = false;
                    }
                }
                deleted
            });
            Expected::Acknowledge(store.acknowledge(id(target), id(message)).await.unwrap(), expected)
        }
        _ => {
            let quota = random.below(5);
            let time = random.below(100) as i64;
            let expire_before = (random.below(4) == 0).then(|| random.below(100) as i64);
            let append = AppendMessage {
                recipient_id: id(target),
                message_id: id(number),
                time,
                notification: number.is_multiple_of(2),
                body: body(number),
                quota,
                expire_before,
            };
            let mut expired = 0;
            let expected = match present {
                None => ExpectedAppend::NotFound,
                Some(queue) if queue.suspended => ExpectedAppend::Suspended,
                Some(queue) => {
                    expired = expire_before.map_or(0, |before| queue.expire(before));
                    let was_empty = queue.messages.is_empty();
                    if queue.full {
                        ExpectedAppend::Exceeded
                    } else if queue.messages.len() as u64 >= quota {
                        queue.full = true;
                        queue.messages.push_back((number, time, true));
                        ExpectedAppend::Marked(was_empty, number)
                    } else {
                        queue.messages.push_back((number, time, false));
                        ExpectedAppend::Stored(was_empty, number)
                    }
                }
            };
            Expected::Append(store.append_message(append).await.unwrap(), expected, expired)
        }
    }
}

fn compare(fixture: &Fixture, model: &Model) {
    let store = fixture.store();
    let counts = Counts {
        queues: model.queues.len() as u64,
        messages: model.queues.values().map(|queue| queue.messages.len() as u64).sum(),
        ..Counts::default()
    };
    assert_eq!(store.counts(), counts);
    for number in 0..QUEUES {
        let record = store.queue_by_recipient(&id(number)).unwrap();
        assert_eq!(store.queue_by_sender(&queue(number).sender_id).unwrap(), record);
        let Some(expected) = model.queues.get(&number) else {
            assert_eq!(record, None);
            assert_eq!(store.head(&id(number)).unwrap(), None);
            continue;
        };
        let record = record.unwrap();
        assert_eq!(record.sender_key, expected.sender_key.map(key));
        assert_eq!(record.status == QueueStatus::Suspended, expected.suspended);
        let state = store.queue_state(&id(number)).unwrap();
        assert_eq!((state.size(), state.quota_exceeded), (expected.messages.len() as u64, expected.full));
        let head = store.head(&id(number)).unwrap();
        assert_eq!(head.as_ref().map(|message| message.header()), expected.head());
        if let Some(MessageKind::Message { body: stored, .. }) = head.map(|message| message.kind) {
            assert_eq!(stored, body(expected.messages[0].0));
        }
    }
}
