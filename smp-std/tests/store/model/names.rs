//! Operations on links, and those of an operator.

use smp_std::relay::store::{Blocked, Blocking, BlockingReason, LinkDeletion, LinkSetting, Notice, Side, Unblocking};

use super::expected::Expected;
use super::state::{Model, ModelQueue};
use super::{LINKS, link_id, reserved_id};
use crate::{Fixture, Random, id, link_data};

/// The queue gets a link, or its link other data.
pub(super) async fn set_link(fixture: &Fixture, model: &mut Model, random: &mut Random, target: u64) -> Expected {
    let store = fixture.store();
    let (link, fixed, user) = (random.below(LINKS), random.below(2), random.below(1000));
    let is_taken = model.link_owner(link).is_some() || model.is_reserved(link);
    let expected = match model.queues.get_mut(&target) {
        None => LinkSetting::NotFound,
        Some(queue) if queue.is_secured_for_one() => LinkSetting::Secured,
        Some(ModelQueue { link: Some((present, _, _)), .. }) if *present != link => LinkSetting::OtherLink,
        Some(ModelQueue { link: Some((_, present, _)), .. }) if *present != fixed => LinkSetting::OtherFixedData,
        Some(ModelQueue { link: None, .. }) if is_taken => LinkSetting::IdTaken,
        Some(queue) => {
            queue.link = Some((link, fixed, user));
            LinkSetting::Set
        }
    };
    let pending = store.set_link(id(target), link_id(link), link_data(fixed, user)).await.unwrap();
    Expected::LinkSetting(pending, expected)
}

/// The queue has no link any more.
pub(super) async fn delete_link(fixture: &Fixture, model: &mut Model, target: u64) -> Expected {
    let store = fixture.store();
    let expected = match model.queues.get_mut(&target) {
        None => LinkDeletion::NotFound,
        Some(queue) => {
            queue.link = None;
            LinkDeletion::Deleted
        }
    };
    Expected::LinkDeletion(store.delete_link(id(target)).await.unwrap(), expected)
}

/// The operator blocks a queue.
pub(super) async fn block(fixture: &Fixture, model: &mut Model, random: &mut Random) -> Expected {
    let store = fixture.store();
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

/// The operator lets it go on.
pub(super) async fn unblock(fixture: &Fixture, model: &mut Model, random: &mut Random) -> Expected {
    let store = fixture.store();
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

/// Ids of deleted queues may be used again.
pub(super) async fn release(fixture: &Fixture, model: &mut Model, random: &mut Random, target: u64) -> Expected {
    let store = fixture.store();
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
