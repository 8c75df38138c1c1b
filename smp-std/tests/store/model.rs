//! Random operations, several to a write, against the simplest thing that follows the same rules.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use smp_std::relay::store::{
    AppendMessage, AppendOutcome, Blocked, Blocking, BlockingReason, Counts, Creation, Expiry, HeaderKind,
    KeyReplacement, LinkDeletion, LinkSetting, MessageHeader, MessageKind, Notice, NotificationLimits, NotifierRemoval,
    NotifierSetting, Pending, PendingNotification, QueueMode, QueueName, QueueStatus, RecipientKeys, Securing, Side,
    StoreError, Suspension, Unblocking,
};

use crate::{Engine, Fixture, Random, body, for_every_engine, id, key, link_data, notifier, queue};

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
const NOTIFIERS: u64 = 8;
const LIMITS: NotificationLimits = NotificationLimits { per_notifier: 4, total: 10 };

#[derive(Default)]
struct Model {
    queues: BTreeMap<u64, ModelQueue>,
    /// Links and senders of deleted queues, by number.
    reserved: BTreeSet<(Side, u64)>,
}

#[derive(Default)]
struct ModelQueue {
    sender_key: Option<u8>,
    recipient_key: Option<u8>,
    contact: bool,
    suspended: bool,
    blocked: Option<Blocked>,
    /// Its link, with the numbers of the fixed and the user data.
    link: Option<(u64, u64, u64)>,
    full: bool,
    /// Number, time, whether it is a mark.
    messages: VecDeque<(u64, i64, bool)>,
    notifier: Option<ModelNotifier>,
}

struct ModelNotifier {
    number: u64,
    /// Of the next notification.
    sequence: u64,
    /// Sequence number, message number, time.
    waiting: VecDeque<(u64, u64, i64)>,
}

impl Model {
    fn notifications(&self) -> u64 {
        self.queues.values().filter_map(|queue| queue.notifier.as_ref()).map(|it| it.waiting.len() as u64).sum()
    }

    /// What of a notification is stored, and how many are lost for it.
    fn notify(&mut self, target: u64, number: u64, time: i64) -> Option<(bool, u64)> {
        let all = self.notifications();
        let notifier = self.queues.get_mut(&target)?.notifier.as_mut()?;
        let full = notifier.waiting.len() as u64 == u64::from(LIMITS.per_notifier);
        let lost = u64::from(full || all == LIMITS.total);
        let made_room = lost == 1 && notifier.waiting.pop_front().is_some();
        let stored = lost == 0 || made_room;
        if stored {
            notifier.waiting.push_back((notifier.sequence, number, time));
            notifier.sequence += 1;
        }
        Some((stored, lost))
    }

    fn with_notifier(&mut self, number: u64) -> Option<&mut ModelNotifier> {
        self.queues.values_mut().filter_map(|queue| queue.notifier.as_mut()).find(|notifier| notifier.number == number)
    }
}

impl ModelQueue {
    fn status(&self) -> QueueStatus {
        match (self.blocked, self.suspended) {
            (Some(blocked), suspended) => QueueStatus::Blocked { blocked, suspended },
            (None, true) => QueueStatus::Suspended,
            (None, false) => QueueStatus::Active,
        }
    }

    fn is_secured_for_one(&self) -> bool {
        self.sender_key.is_some() && !self.contact
    }

    fn expire(&mut self, over: &Expiry) -> u64 {
        let mut count = 0;
        while self.messages.front().is_some_and(|(_, time, mark)| !mark && over.includes(*time)) {
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
    Keys(Pending<KeyReplacement>, KeyReplacement),
    LinkSetting(Pending<LinkSetting>, LinkSetting),
    LinkDeletion(Pending<LinkDeletion>, LinkDeletion),
    Blocking(Pending<Blocking>, Blocking),
    Unblocking(Pending<Unblocking>, Unblocking),
    Release(Pending<u64>, u64),
    Append(Pending<smp_std::relay::store::Appended>, ExpectedAppend, u64, Option<(bool, u64)>),
    SetNotifier(Pending<NotifierSetting>, NotifierSetting),
    RemoveNotifier(Pending<NotifierRemoval>, NotifierRemoval),
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
    Blocked(Blocked),
    NotFound,
}

impl Expected {
    async fn check(self) -> Result<(), StoreError> {
        match self {
            Self::Creation(pending, expected) => assert_eq!(pending.await?, expected),
            Self::Securing(pending, expected) => assert_eq!(pending.await?, expected),
            Self::Keys(pending, expected) => assert_eq!(pending.await?, expected),
            Self::LinkSetting(pending, expected) => assert_eq!(pending.await?, expected),
            Self::LinkDeletion(pending, expected) => assert_eq!(pending.await?, expected),
            Self::Blocking(pending, expected) => assert_eq!(pending.await?, expected),
            Self::Unblocking(pending, expected) => assert_eq!(pending.await?, expected),
            Self::Release(pending, expected) => assert_eq!(pending.await?, expected),
            Self::Suspension(pending, expected) => assert_eq!(pending.await?, expected),
            Self::Deletion(pending, expected) => assert_eq!(pending.await?.map(|deleted| deleted.messages), expected),
            Self::Expire(pending, expected) => assert_eq!(pending.await?, expected),
            Self::Acknowledge(pending, expected) => {
                assert_eq!(pending.await?.map(|acknowledged| acknowledged.deleted), expected);
            }
            Self::SetNotifier(pending, expected) => assert_eq!(pending.await?, expected),
            Self::RemoveNotifier(pending, expected) => assert_eq!(pending.await?, expected),
            Self::Append(pending, expected, expired, notified) => {
                let appended = pending.await?;
                assert_eq!(appended.notified.map(|notified| (notified.stored, notified.lost)), notified);
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
                    AppendOutcome::Blocked(blocked) => ExpectedAppend::Blocked(blocked),
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
            // Behind whatever nobody waits for.
            fixture.store().expire_messages(id(QUEUES), 0).await.unwrap().await.unwrap();
            compare(&fixture, &model);
        }
        if random.below(150) == 0 {
            fixture.reopen();
            compare(&fixture, &model);
        }
    }
}

/// Some of the times of messages, which are below 100.
fn over(random: &mut Random) -> Expiry {
    let mut over = Expiry::before(random.below(100) as i64);
    if random.below(2) == 0 {
        let from = random.below(100) as i64;
        over.spare(from..=from + random.below(40) as i64);
    }
    over
}

async fn step(fixture: &Fixture, model: &mut Model, random: &mut Random, number: u64) -> Expected {
    let store = fixture.store();
    let target = random.below(QUEUES);
    if random.below(6) == 0 {
        return step_around(fixture, model, random).await;
    }
    let present = model.queues.get_mut(&target);
    match random.below(50) {
        0..=2 => create(fixture, model, random, target).await,
        3 => {
            let deleted = model.queues.remove(&target);
            if let Some(queue) = &deleted {
                model.reserved.insert((Side::Sender, target));
                model.reserved.extend(queue.link.map(|(link, _, _)| (Side::Link, link)));
            }
            let expected = deleted.map(|queue| queue.messages.len() as u64);
            Expected::Deletion(store.delete_queue(id(target), number as u32).await.unwrap(), expected)
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
            let over = over(random);
            let expected = present.map_or(0, |queue| queue.expire(&over));
            Expected::Expire(store.expire_messages(id(target), over).await.unwrap(), expected)
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
        23..=25 => {
            let number = random.below(NOTIFIERS);
            let taken = model.with_notifier(number).is_some();
            let new = ModelNotifier { number, sequence: 0, waiting: VecDeque::new() };
            let expected = match model.queues.get_mut(&target) {
                None => NotifierSetting::NotFound,
                Some(_) if taken => NotifierSetting::IdTaken,
                Some(queue) => {
                    let previous = queue.notifier.replace(new).map(|previous| notifier(previous.number).id);
                    NotifierSetting::Set { previous, service: None }
                }
            };
            let pending = store.set_notifier(id(target), Box::new(notifier(number))).await.unwrap();
            Expected::SetNotifier(pending, expected)
        }
        26 => {
            let expected = match present.map(|queue| queue.notifier.take()) {
                None => NotifierRemoval::NotFound,
                Some(None) => NotifierRemoval::NotSet,
                Some(Some(previous)) => {
                    NotifierRemoval::Removed { notifier_id: notifier(previous.number).id, service: None }
                }
            };
            Expected::RemoveNotifier(store.remove_notifier(id(target)).await.unwrap(), expected)
        }
        27..=28 => {
            let number = random.below(NOTIFIERS);
            let over = over(random);
            let mut expected = 0;
            if let Some(notifier) = model.with_notifier(number) {
                while notifier.waiting.pop_front_if(|(_, _, time)| over.includes(*time)).is_some() {
                    expected += 1;
                }
            }
            Expected::Expire(store.expire_notifications(notifier(number).id, over).await.unwrap(), expected)
        }
        29..=30 => {
            let number = random.below(NOTIFIERS);
            let mut expected = 2;
            let total = model.notifications();
            if let Some(notifier) = model.with_notifier(number)
                && notifier.waiting.len() + 2 <= LIMITS.per_notifier as usize
                && total + 2 <= LIMITS.total
            {
                let first = notifier.sequence;
                notifier.waiting.extend([(first, 1, 50), (first + 1, 2, 60)]);
                notifier.sequence += 2;
                expected = 0;
            } else if model.with_notifier(number).is_some() {
                // Not told apart here which go.
                return Expected::Expire(store.expire_notifications(id(0), 0).await.unwrap(), 0);
            }
            let new = [(1, 50), (2, 60)].map(|(number, time)| PendingNotification { message_id: id(number), time });
            Expected::Expire(store.insert_notifications(notifier(number).id, new, LIMITS).await.unwrap(), expected)
        }
        _ if random.below(5) == 0 => {
            // Nobody waits for what was delivered to be gone, but nobody sees it again either.
            let number = random.below(NOTIFIERS);
            let notifier_id = notifier(number).id;
            let mut from = 0;
            if let Some(notifier) = model.with_notifier(number) {
                let delivered = random.below(4);
                for _ in 0..delivered {
                    from = notifier.waiting.pop_front().map_or(from, |(sequence, _, _)| sequence + 1);
                }
                if from > 0 {
                    store.forget_notifications(notifier_id, from).await.unwrap();
                }
            }
            Expected::Expire(store.expire_messages(id(QUEUES), 0).await.unwrap(), 0)
        }
        _ => {
            let quota = random.below(5);
            let time = random.below(100) as i64;
            let expire = (random.below(4) == 0).then(|| over(random));
            let append = AppendMessage {
                recipient_id: id(target),
                message_id: id(number),
                time,
                notification: number.is_multiple_of(2),
                // Of messages that are moved from elsewhere nobody is notified.
                notify: number.is_multiple_of(4).then_some(LIMITS),
                secured: true,
                body: body(number),
                quota,
                expire: expire.clone(),
            };
            let mut expired = 0;
            let expected = match present {
                None => ExpectedAppend::NotFound,
                Some(queue) if queue.suspended => ExpectedAppend::Suspended,
                Some(ModelQueue { blocked: Some(blocked), .. }) => ExpectedAppend::Blocked(*blocked),
                Some(queue) => {
                    if queue.is_secured_for_one() {
                        queue.link = None;
                    }
                    expired = expire.map_or(0, |over| queue.expire(&over));
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
            let notified = match expected {
                ExpectedAppend::Stored(..) if number.is_multiple_of(4) => model.notify(target, number, time),
                _ => None,
            };
            Expected::Append(store.append_message(append).await.unwrap(), expected, expired, notified)
        }
    }
}

/// Links with numbers below this are set, for all queues together.
const LINKS: u64 = 4;

fn link_id(number: u64) -> smp_std::relay::store::Id {
    id(number + 2_000_000)
}

async fn create(fixture: &Fixture, model: &mut Model, random: &mut Random, target: u64) -> Expected {
    let link = (random.below(2) == 0).then(|| (random.below(LINKS), random.below(2), random.below(1000)));
    let contact = random.below(2) == 0;
    let is_taken = model.queues.contains_key(&target)
        || model.reserved.contains(&(Side::Sender, target))
        || link.is_some_and(|(link, _, _)| model.link_owner(link).is_some() || model.is_reserved(link));
    let mut record = queue(target);
    record.mode = if contact { QueueMode::Contact } else { QueueMode::Messaging };
    record.link_id = link.map(|(link, _, _)| link_id(link));
    let data = link.map(|(_, fixed, user)| link_data(fixed, user));
    let pending = fixture.store().create_queue_with_link(record.into(), data).await.unwrap();
    if is_taken {
        return Expected::Creation(pending, Creation::IdTaken);
    }
    model.queues.insert(target, ModelQueue { contact, link, ..ModelQueue::default() });
    Expected::Creation(pending, Creation::Created)
}

impl Model {
    fn link_owner(&self, link: u64) -> Option<u64> {
        let owns = |queue: &ModelQueue| queue.link.is_some_and(|(owned, _, _)| owned == link);
        self.queues.iter().find(|(_, queue)| owns(queue)).map(|(number, _)| *number)
    }

    fn is_reserved(&self, link: u64) -> bool {
        self.reserved.contains(&(Side::Link, link))
    }

    /// A queue's name to its operator, and its number if there is such a queue.
    fn named(&self, random: &mut Random) -> (QueueName, Option<u64>) {
        let target = random.below(QUEUES);
        let present = self.queues.contains_key(&target).then_some(target);
        match random.below(3) {
            0 => (QueueName::Recipient(id(target)), present),
            1 => (QueueName::Side(Side::Sender, queue(target).sender_id), present),
            _ => {
                let link = random.below(LINKS);
                (QueueName::Side(Side::Link, link_id(link)), self.link_owner(link))
            }
        }
    }
}

/// Links, keys, blocking and reservations.
async fn step_around(fixture: &Fixture, model: &mut Model, random: &mut Random) -> Expected {
    let store = fixture.store();
    let target = random.below(QUEUES);
    match random.below(12) {
        0..=4 => {
            let (link, fixed, user) = (random.below(LINKS), random.below(2), random.below(1000));
            let is_taken = model.link_owner(link).is_some() || model.is_reserved(link);
            let expected = match model.queues.get_mut(&target) {
                None => LinkSetting::NotFound,
                Some(queue) if queue.is_secured_for_one() => LinkSetting::Secured,
                Some(ModelQueue { link: Some((present, _, _)), .. }) if *present != link => LinkSetting::OtherLink,
                Some(ModelQueue { link: Some((_, present, _)), .. }) if *present != fixed => {
                    LinkSetting::OtherFixedData
                }
                Some(ModelQueue { link: None, .. }) if is_taken => LinkSetting::IdTaken,
                Some(queue) => {
                    queue.link = Some((link, fixed, user));
                    LinkSetting::Set
                }
            };
            let pending = store.set_link(id(target), link_id(link), link_data(fixed, user)).await.unwrap();
            Expected::LinkSetting(pending, expected)
        }
        5 => {
            let expected = match model.queues.get_mut(&target) {
                None => LinkDeletion::NotFound,
                Some(queue) => {
                    queue.link = None;
                    LinkDeletion::Deleted
                }
            };
            Expected::LinkDeletion(store.delete_link(id(target)).await.unwrap(), expected)
        }
        6 => {
            let with = random.below(250) as u8;
            let expected = match model.queues.get_mut(&target) {
                None => KeyReplacement::NotFound,
                Some(queue) => {
                    queue.recipient_key = Some(with);
                    KeyReplacement::Replaced
                }
            };
            let keys = RecipientKeys::from_slice(&[key(with), key(with + 1)]).unwrap();
            Expected::Keys(store.set_recipient_keys(id(target), keys).await.unwrap(), expected)
        }
        7 => {
            let (name, found) = model.named(random);
            let reason = if random.below(2) == 0 { BlockingReason::Spam } else { BlockingReason::Content };
            let notice = (random.below(2) == 0).then(|| Notice { ttl: Some(random.below(1000) as i64) });
            let blocked = Blocked { reason, notice };
            let expected = match found.and_then(|number| Some((number, model.queues.get_mut(&number)?))) {
                None => Blocking::NotFound,
                Some((number, queue)) => {
                    let before = queue.status();
                    queue.blocked = Some(blocked);
                    Blocking::Blocked { recipient_id: id(number), before }
                }
            };
            Expected::Blocking(store.block_queue(name, blocked).await.unwrap(), expected)
        }
        8 | 9 => {
            let (name, found) = model.named(random);
            let expected = match found.and_then(|number| model.queues.get_mut(&number)) {
                None => Unblocking::NotFound,
                Some(queue) => match queue.blocked.take() {
                    Some(blocked) => Unblocking::Unblocked { blocked, now: queue.status() },
                    None => Unblocking::NotBlocked(queue.status()),
                },
            };
            Expected::Unblocking(store.unblock_queue(name).await.unwrap(), expected)
        }
        _ => {
            let mut released = 0;
            let ids = [(Side::Sender, target), (Side::Link, random.below(LINKS)), (Side::Sender, target)];
            for id in ids {
                released += u64::from(model.reserved.remove(&id));
            }
            Expected::Release(
                store.release_ids(ids.map(|(side, number)| (side, reserved_id(side, number))).into()).await.unwrap(),
                released,
            )
        }
    }
}

fn reserved_id(side: Side, number: u64) -> smp_std::relay::store::Id {
    if side == Side::Link { link_id(number) } else { queue(number).sender_id }
}

fn compare(fixture: &Fixture, model: &Model) {
    let store = fixture.store();
    let counts = Counts {
        queues: model.queues.len() as u64,
        messages: model.queues.values().map(|queue| queue.messages.len() as u64).sum(),
        reserved: model.reserved.len() as u64,
        notifications: model.notifications(),
        notifiers: model.queues.values().filter(|queue| queue.notifier.is_some()).count() as u64,
        ..Counts::default()
    };
    assert_eq!(store.counts(), counts);
    compare_notifiers(fixture, model);
    let mut reserved = BTreeSet::new();
    let mut after = None;
    loop {
        let page = store.reserved_ids(after.as_ref(), 3).unwrap();
        reserved.extend(page.ids.iter().map(|(side, id, _)| (*side, *id)));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(reserved, model.reserved.iter().map(|(side, number)| (*side, reserved_id(*side, *number))).collect());
    for link in 0..LINKS {
        let found = store.queue_by_side(Side::Link, &link_id(link)).unwrap();
        assert_eq!(found.map(|record| record.recipient_id), model.link_owner(link).map(id));
    }
    for number in 0..QUEUES {
        let record = store.queue_by_recipient(&id(number)).unwrap();
        assert_eq!(store.queue_by_sender(&queue(number).sender_id).unwrap(), record);
        let Some(expected) = model.queues.get(&number) else {
            assert_eq!(record, None);
            assert_eq!(store.head(&id(number)).unwrap(), None);
            assert_eq!(store.link(&id(number)).unwrap(), None);
            continue;
        };
        let record = record.unwrap();
        assert_eq!(record.sender_key, expected.sender_key.map(key));
        assert_eq!(record.status, expected.status());
        assert_eq!(record.link_id, expected.link.map(|(link, _, _)| link_id(link)));
        let data = expected.link.map(|(_, fixed, user)| link_data(fixed, user));
        assert_eq!(store.link(&id(number)).unwrap(), data);
        if let Some(with) = expected.recipient_key {
            assert_eq!(record.recipient_keys.iter().copied().collect::<Vec<_>>(), [key(with), key(with + 1)]);
        }
        let state = store.queue_state(&id(number)).unwrap();
        assert_eq!((state.size(), state.quota_exceeded), (expected.messages.len() as u64, expected.full));
        let head = store.head(&id(number)).unwrap();
        assert_eq!(head.as_ref().map(|message| message.header()), expected.head());
        if let Some(MessageKind::Message { body: stored, .. }) = head.map(|message| message.kind) {
            assert_eq!(stored, body(expected.messages[0].0));
        }
    }
}

fn compare_notifiers(fixture: &Fixture, model: &Model) {
    let store = fixture.store();
    let mut with_some = Vec::new();
    for number in 0..NOTIFIERS {
        let notifier_id = notifier(number).id;
        let holder = model
            .queues
            .iter()
            .find(|(_, queue)| queue.notifier.as_ref().is_some_and(|notifier| notifier.number == number));
        let record = store.queue_by_side(Side::Notifier, &notifier_id).unwrap();
        assert_eq!(record.map(|record| record.recipient_id), holder.map(|(queue, _)| id(*queue)));
        let waiting = store.notifications(&notifier_id, 0, 100).unwrap();
        let waiting: Vec<_> = waiting.into_iter().map(|(at, it)| (at, number_of(&it.message_id), it.time)).collect();
        let expected = holder.and_then(|(_, queue)| queue.notifier.as_ref()).map(|notifier| notifier.waiting.clone());
        assert_eq!(waiting, Vec::from(expected.unwrap_or_default()));
        if let Some((_, _, time)) = waiting.first() {
            with_some.push((notifier_id, *time));
        }
    }
    with_some.sort_unstable();
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = store.notified_notifiers(after.as_ref(), 2).unwrap();
        found.extend(page.notifiers);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, with_some);
}
