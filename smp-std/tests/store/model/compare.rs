//! What the store holds, against the model.

use std::collections::BTreeSet;

use smp_std::relay::store::{Counts, MessageKind, Side};

use super::state::Model;
use super::{LINKS, NOTIFIERS, QUEUES, link_id, number_of, reserved_id};
use crate::{Fixture, body, id, key, link_data, notifier, queue};

pub(super) fn compare(fixture: &Fixture, model: &Model) {
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
