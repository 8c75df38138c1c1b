//! Operations on queues.

use smp_std::relay::store::{
    Creation, KeyReplacement, QueueMode, QueueName, RecipientKeys, Securing, Side, Suspension,
};

use super::expected::Expected;
use super::state::{Model, ModelQueue};
use super::{LINKS, link_id};
use crate::{Fixture, Random, id, key, link_data, queue};

/// A queue, with a link or without.
pub(super) async fn create(fixture: &Fixture, model: &mut Model, random: &mut Random, target: u64) -> Expected {
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

/// The queue is deleted; its ids stay reserved.
pub(super) async fn delete(fixture: &Fixture, model: &mut Model, target: u64, number: u64) -> Expected {
    let store = fixture.store();
    let deleted = model.queues.remove(&target);
    if let Some(queue) = &deleted {
        model.reserved.insert((Side::Sender, target));
        model.reserved.extend(queue.link.map(|(link, _, _)| (Side::Link, link)));
    }
    let expected = deleted.map(|queue| queue.messages.len() as u64);
    Expected::Deletion(store.delete_queue(id(target), number as u32).await.unwrap(), expected)
}

/// The queue takes no more messages.
pub(super) async fn suspend(fixture: &Fixture, model: &mut Model, target: u64) -> Expected {
    let store = fixture.store();
    let present = model.queues.get_mut(&target);
    let expected = match present {
        Some(queue) => {
            queue.suspended = true;
            Suspension::Suspended
        }
        None => Suspension::NotFound,
    };
    Expected::Suspension(store.suspend_queue(id(target)).await.unwrap(), expected)
}

/// The queue gets the key of its sender.
pub(super) async fn secure(fixture: &Fixture, model: &mut Model, random: &mut Random, target: u64) -> Expected {
    let store = fixture.store();
    let present = model.queues.get_mut(&target);
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

/// The queue gets other keys of its recipients.
pub(super) async fn replace_keys(fixture: &Fixture, model: &mut Model, random: &mut Random, target: u64) -> Expected {
    let store = fixture.store();
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
