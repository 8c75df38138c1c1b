//! Operations on messages.

use smp_std::relay::store::AppendMessage;

use super::expected::{Expected, ExpectedAppend};
use super::state::{Model, ModelQueue};
use super::{LIMITS, over};
use crate::{Fixture, Random, body, id};

/// Old messages go.
pub(super) async fn expire(fixture: &Fixture, model: &mut Model, random: &mut Random, target: u64) -> Expected {
    let store = fixture.store();
    let present = model.queues.get_mut(&target);
    let over = over(random);
    let expected = present.map_or(0, |queue| queue.expire(&over));
    Expected::Expire(store.expire_messages(id(target), over).await.unwrap(), expected)
}

/// The next message goes, if it is the one named.
pub(super) async fn acknowledge(
    fixture: &Fixture,
    model: &mut Model,
    random: &mut Random,
    target: u64,
    number: u64,
) -> Expected {
    let store = fixture.store();
    let present = model.queues.get_mut(&target);
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

/// A message, for which old ones may go, and which may be notified of.
pub(super) async fn append(
    fixture: &Fixture,
    model: &mut Model,
    random: &mut Random,
    target: u64,
    number: u64,
) -> Expected {
    let store = fixture.store();
    let present = model.queues.get_mut(&target);
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
