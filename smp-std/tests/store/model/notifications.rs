//! Operations on notifiers and what waits for them.

use std::collections::VecDeque;

use smp_std::relay::store::{NotifierRemoval, NotifierSetting, PendingNotification};

use super::expected::Expected;
use super::state::{Model, ModelNotifier};
use super::{LIMITS, NOTIFIERS, QUEUES, over};
use crate::{Fixture, Random, id, notifier};

/// A notifier of the queue, in the place of another it may have.
pub(super) async fn set(fixture: &Fixture, model: &mut Model, random: &mut Random, target: u64) -> Expected {
    let store = fixture.store();
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

/// The queue has no notifier any more.
pub(super) async fn remove(fixture: &Fixture, model: &mut Model, target: u64) -> Expected {
    let store = fixture.store();
    let present = model.queues.get_mut(&target);
    let expected = match present.map(|queue| queue.notifier.take()) {
        None => NotifierRemoval::NotFound,
        Some(None) => NotifierRemoval::NotSet,
        Some(Some(previous)) => NotifierRemoval::Removed { notifier_id: notifier(previous.number).id, service: None },
    };
    Expected::RemoveNotifier(store.remove_notifier(id(target)).await.unwrap(), expected)
}

/// Old notifications go.
pub(super) async fn expire(fixture: &Fixture, model: &mut Model, random: &mut Random) -> Expected {
    let store = fixture.store();
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

/// Two notifications that come from elsewhere.
pub(super) async fn insert(fixture: &Fixture, model: &mut Model, random: &mut Random) -> Expected {
    let store = fixture.store();
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

/// Nobody waits for what was delivered to be gone, but nobody sees it again either.
pub(super) async fn forget(fixture: &Fixture, model: &mut Model, random: &mut Random) -> Expected {
    let store = fixture.store();
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
