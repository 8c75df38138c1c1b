//! Links and the keys of recipients.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use smp_std::relay::store::{
    AppendMessage, AppendOutcome, Creation, KeyReplacement, LinkDeletion, LinkSetting, Operation, QueueMode, QueueName,
    QueueRecord, RecipientKeys, Securing, SecuringByLink, Side, StoreOptions,
};

use crate::gated::gated;
use crate::{Engine, Fixture, for_every_engine, id, key, link_data, message, notifier, queue};

for_every_engine!(
    link_data_is_kept_apart_and_survives,
    what_link_data_may_replace,
    securing_by_a_link_comes_before_its_change_or_after,
    a_queue_is_not_secured_by_the_link_of_another,
    a_queue_and_its_link_are_read_at_one_moment,
    a_link_belongs_to_one_queue,
    a_one_time_link_goes_with_the_first_message,
    ids_of_deleted_queues_stay_reserved,
    reserved_ids_are_listed_by_pages,
    recipient_keys_are_replaced,
);

impl Fixture {
    async fn set_link(&self, number: u64, link: u64, fixed: u64, user: u64) -> LinkSetting {
        self.store().set_link(id(number), id(link), link_data(fixed, user)).await.unwrap().await.unwrap()
    }

    async fn secure(&self, number: u64) {
        let secured = self.store().secure_queue(QueueName::Recipient(id(number)), key(1)).await.unwrap();
        assert_eq!(secured.await.unwrap(), Securing::Secured);
    }

    async fn create_in_mode(&self, number: u64, mode: QueueMode) {
        let mut record = queue(number);
        record.mode = mode;
        assert_eq!(self.create(record).await, Creation::Created);
    }
}

fn queue_of(fixture: &Fixture) -> Arc<QueueRecord> {
    fixture.store().queue_by_recipient(&id(1)).unwrap().unwrap()
}

async fn link_data_is_kept_apart_and_survives(engine: Engine) {
    let mut fixture = Fixture::new(engine);
    let mut record = queue(1);
    record.link_id = Some(id(50));
    let created = fixture.store().create_queue_with_link(record.clone().into(), Some(link_data(1, 3))).await.unwrap();
    assert_eq!(created.await.unwrap(), Creation::Created);
    for _ in 0..2 {
        assert_eq!(fixture.store().link(&id(1)).unwrap(), Some(link_data(1, 3)));
        assert_eq!(*fixture.store().queue_by_side(Side::Link, &id(50)).unwrap().unwrap(), record);
        assert_eq!(fixture.store().link(&id(50)).unwrap(), None, "found by the recipient id only");
        fixture.reopen();
    }
    let deleted =
        async |fixture: &Fixture, number| fixture.store().delete_link(id(number)).await.unwrap().await.unwrap();
    assert_eq!(deleted(&fixture, 1).await, LinkDeletion::Deleted);
    assert_eq!(deleted(&fixture, 1).await, LinkDeletion::Deleted, "also when there is none");
    assert_eq!(deleted(&fixture, 2).await, LinkDeletion::NotFound);
    for _ in 0..2 {
        assert_eq!(fixture.store().link(&id(1)).unwrap(), None);
        assert_eq!(fixture.store().queue_by_side(Side::Link, &id(50)).unwrap(), None);
        assert_eq!(fixture.store().queue_by_recipient(&id(1)).unwrap().unwrap().link_id, None);
        fixture.reopen();
    }
    assert_eq!(fixture.set_link(1, 50, 2, 2).await, LinkSetting::Set, "other fixed data, once the first is gone");
}

async fn securing_by_a_link_comes_before_its_change_or_after(engine: Engine) {
    let fixture = Fixture::new(engine);
    let store = fixture.store();
    for number in 1..=3 {
        fixture.create_in_mode(number, QueueMode::Messaging).await;
        assert_eq!(fixture.set_link(number, number + 50, 1, 1).await, LinkSetting::Set);
    }
    // All submitted before any of them is waited for.
    let changed = store.set_link(id(1), id(51), link_data(1, 2)).await.unwrap();
    let removed = store.delete_link(id(2)).await.unwrap();
    let mut secured = Vec::new();
    for (number, with) in [(1, 1), (1, 1), (1, 2), (2, 1), (3, 1)] {
        secured.push(store.secure_by_link(id(number), id(number + 50), key(with)).await.unwrap());
    }
    let late = store.set_link(id(3), id(53), link_data(1, 2)).await.unwrap();
    assert_eq!(changed.await.unwrap(), LinkSetting::Set);
    assert_eq!(removed.await.unwrap(), LinkDeletion::Deleted);
    let expected = [
        SecuringByLink::Secured { first: true, data: link_data(1, 2) },
        SecuringByLink::Secured { first: false, data: link_data(1, 2) },
        SecuringByLink::OtherKey,
        SecuringByLink::NotFound,
        SecuringByLink::Secured { first: true, data: link_data(1, 1) },
    ];
    for (secured, expected) in secured.into_iter().zip(expected) {
        assert_eq!(secured.await.unwrap(), expected);
    }
    assert_eq!(late.await.unwrap(), LinkSetting::Secured);
    let sender_key = |number| store.queue_by_recipient(&id(number)).unwrap().unwrap().sender_key;
    assert_eq!([sender_key(1), sender_key(2), sender_key(3)], [Some(key(1)), None, Some(key(1))]);
}

/// A link that was one queue's when it was looked for, and is another's when the key is set.
async fn a_queue_is_not_secured_by_the_link_of_another(engine: Engine) {
    let fixture = Fixture::new(engine);
    let store = fixture.store();
    for number in 1..=2 {
        fixture.create_in_mode(number, QueueMode::Messaging).await;
    }
    assert_eq!(fixture.set_link(1, 50, 1, 1).await, LinkSetting::Set);
    let removed = store.delete_link(id(1)).await.unwrap();
    let moved = store.set_link(id(2), id(50), link_data(1, 2)).await.unwrap();
    let other = store.set_link(id(1), id(51), link_data(1, 3)).await.unwrap();
    let secured = store.secure_by_link(id(1), id(50), key(1)).await.unwrap();
    assert_eq!((removed.await.unwrap(), moved.await.unwrap()), (LinkDeletion::Deleted, LinkSetting::Set));
    assert_eq!((other.await.unwrap(), secured.await.unwrap()), (LinkSetting::Set, SecuringByLink::NotFound));
    for number in 1..=2 {
        assert_eq!(store.queue_by_recipient(&id(number)).unwrap().unwrap().sender_key, None);
    }
    let nobody = store.secure_by_link(id(3), id(50), key(1)).await.unwrap();
    assert_eq!(nobody.await.unwrap(), SecuringByLink::NotFound);
}

/// A queue gets one link and then another, each with data of its own, while it is read again and again.
async fn a_queue_and_its_link_are_read_at_one_moment(engine: Engine) {
    let fixture = Fixture::new(engine);
    fixture.create_in_mode(1, QueueMode::Contact).await;
    assert_eq!(fixture.store().queue_with_link(&id(1)).unwrap(), Some((queue_of(&fixture), None)));
    assert_eq!(fixture.store().queue_with_link(&id(2)).unwrap(), None);
    let stopped = Arc::new(AtomicBool::new(false));
    let seen: Arc<[[AtomicBool; 2]; 2]> = Arc::default();
    let readers = [0, 1].map(|reader: usize| {
        let (store, stopped, seen) = (fixture.store().clone(), Arc::clone(&stopped), Arc::clone(&seen));
        std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let (record, data) = store.queue_with_link(&id(1)).unwrap().unwrap();
                // The engine in memory carries out one change after the other: for an instant there is a link without data.
                let Some(data) = data else { continue };
                let place = [50, 51].iter().position(|link| record.link_id == Some(id(*link))).unwrap();
                assert_eq!(data, link_data(place as u64, place as u64));
                seen[reader][place].store(true, Ordering::Relaxed);
            }
        })
    });
    let (begun, mut round) = (Instant::now(), 0);
    // Until both readers have seen both links, however seldom a busy machine lets them look.
    while round < 1_000 || !seen.iter().flatten().all(|seen| seen.load(Ordering::Relaxed)) {
        assert!(begun.elapsed() < Duration::from_secs(60), "the readers do not see both links");
        round += 1;
        let place = round % 2;
        let removed = fixture.store().delete_link(id(1)).await.unwrap();
        let set = fixture.store().set_link(id(1), id(50 + place), link_data(place, place)).await.unwrap();
        assert_eq!((removed.await.unwrap(), set.await.unwrap()), (LinkDeletion::Deleted, LinkSetting::Set));
    }
    stopped.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.join().unwrap();
    }
}

/// Names are read before the queues that have them.
#[tokio::test]
async fn a_queue_is_not_found_by_a_name_that_it_loses_meanwhile() {
    let (gate, store) = gated(StoreOptions::default());
    let mut record = queue(1);
    (record.link_id, record.notifier) = (Some(id(50)), Some(Box::new(notifier(1))));
    let created = store.create_queue_with_link(Arc::new(record), Some(link_data(1, 1))).await.unwrap();
    assert_eq!(created.await.unwrap(), Creation::Created);
    let recipient_id = id(1);
    let replaced = [
        (Side::Notifier, notifier(1).id, vec![Operation::SetNotifier { recipient_id, notifier: notifier(2).into() }]),
        (
            Side::Link,
            id(50),
            vec![
                Operation::DeleteLink { recipient_id },
                Operation::SetLink { recipient_id, link_id: id(51), data: link_data(2, 2) },
            ],
        ),
    ];
    for (side, name, operations) in replaced {
        assert!(store.queue_by_side(side, &name).unwrap().is_some());
        *gate.after_name.lock().unwrap() = operations;
        assert_eq!(store.queue_by_side(side, &name).unwrap(), None);
    }
    for (side, name) in [(Side::Notifier, notifier(2).id), (Side::Link, id(51)), (Side::Sender, id(1_000_001))] {
        assert!(store.queue_by_side(side, &name).unwrap().is_some());
    }
}

async fn what_link_data_may_replace(engine: Engine) {
    let mut fixture = Fixture::new(engine);
    for (number, mode) in [(1, QueueMode::Messaging), (2, QueueMode::Contact), (3, QueueMode::Unknown)] {
        fixture.create_in_mode(number, mode).await;
        let link = number + 50;
        assert_eq!(fixture.set_link(number, link, 1, 1).await, LinkSetting::Set);
        assert_eq!(fixture.set_link(number, link, 1, 1).await, LinkSetting::Set);
        assert_eq!(fixture.set_link(number, link, 1, 3).await, LinkSetting::Set);
        assert_eq!(fixture.set_link(number, link, 2, 1).await, LinkSetting::OtherFixedData);
        assert_eq!(fixture.set_link(number, link + 10, 1, 1).await, LinkSetting::OtherLink);
        fixture.reopen();
        assert_eq!(fixture.store().link(&id(number)).unwrap(), Some(link_data(1, 3)));
        fixture.secure(number).await;
        let expected = if mode == QueueMode::Contact { LinkSetting::Set } else { LinkSetting::Secured };
        assert_eq!(fixture.set_link(number, link, 1, 2).await, expected);
    }
    assert_eq!(fixture.set_link(9, 59, 1, 1).await, LinkSetting::NotFound);
}

async fn a_link_belongs_to_one_queue(engine: Engine) {
    let fixture = Fixture::new(engine);
    fixture.create_in_mode(1, QueueMode::Contact).await;
    fixture.create_in_mode(2, QueueMode::Contact).await;
    // Both in one write.
    let first = fixture.store().set_link(id(1), id(50), link_data(1, 1)).await.unwrap();
    let second = fixture.store().set_link(id(2), id(50), link_data(2, 2)).await.unwrap();
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (LinkSetting::Set, LinkSetting::IdTaken));
    let found = fixture.store().queue_by_side(Side::Link, &id(50)).unwrap().unwrap();
    assert_eq!(found.recipient_id, id(1));
    assert_eq!(fixture.store().link(&id(2)).unwrap(), None);
    assert_eq!(fixture.store().queue_by_recipient(&id(2)).unwrap().unwrap().link_id, None);
    // A new queue cannot take it either.
    let mut third = queue(3);
    third.link_id = Some(id(50));
    let created = fixture.store().create_queue_with_link(third.into(), Some(link_data(3, 3))).await.unwrap();
    assert_eq!(created.await.unwrap(), Creation::IdTaken);
    assert_eq!(fixture.store().link(&id(3)).unwrap(), None);
}

async fn a_one_time_link_goes_with_the_first_message(engine: Engine) {
    let mut fixture = Fixture::new(engine);
    for (number, mode) in [(1, QueueMode::Messaging), (2, QueueMode::Contact), (3, QueueMode::Unknown)] {
        fixture.create_in_mode(number, mode).await;
        assert_eq!(fixture.set_link(number, number + 50, 1, 1).await, LinkSetting::Set);
        fixture.append(message(number, 1)).await;
        assert!(fixture.store().link(&id(number)).unwrap().is_some(), "the queue is not secured");
        fixture.secure(number).await;
        fixture.append(AppendMessage { secured: false, ..message(number, 3) }).await;
        assert!(fixture.store().link(&id(number)).unwrap().is_some(), "this sender was let in before");
        // Full: the message is dropped, and the link goes all the same.
        let refused = fixture.append(AppendMessage { quota: 1, ..message(number, 2) }).await;
        assert!(matches!(refused.outcome, AppendOutcome::QuotaMarked { .. }));
        for _ in 0..2 {
            let stays = mode == QueueMode::Contact;
            assert_eq!(fixture.store().link(&id(number)).unwrap().is_some(), stays);
            assert_eq!(fixture.store().queue_by_side(Side::Link, &id(number + 50)).unwrap().is_some(), stays);
            assert_eq!(fixture.store().queue_by_recipient(&id(number)).unwrap().unwrap().link_id.is_some(), stays);
            assert_eq!(fixture.store().queue_state(&id(number)).unwrap().size(), 3);
            fixture.reopen();
        }
    }
}

async fn ids_of_deleted_queues_stay_reserved(engine: Engine) {
    let mut fixture = Fixture::new(engine);
    fixture.create_in_mode(1, QueueMode::Contact).await;
    fixture.create_in_mode(2, QueueMode::Contact).await;
    assert_eq!(fixture.set_link(1, 50, 1, 1).await, LinkSetting::Set);
    fixture.store().delete_queue(id(1), 20_000).await.unwrap().await.unwrap().unwrap();
    assert_eq!(fixture.store().counts().reserved, 2);
    fixture.reopen();
    assert_eq!(fixture.store().link(&id(1)).unwrap(), None);
    assert_eq!(fixture.set_link(2, 50, 1, 1).await, LinkSetting::IdTaken);
    let mut same_sender = queue(3);
    same_sender.sender_id = queue(1).sender_id;
    assert_eq!(fixture.create(same_sender.clone()).await, Creation::IdTaken);
    let mut same_link = queue(4);
    same_link.link_id = Some(id(50));
    assert_eq!(fixture.create(same_link.clone()).await, Creation::IdTaken);

    let reserved = fixture.store().reserved_ids(None, 10).unwrap();
    assert!(reserved.ids.iter().all(|(_, _, day)| *day == 20_000));
    let release = async |fixture: &Fixture, side, id| {
        fixture.store().release_ids([(side, id), (side, id)].into()).await.unwrap().await.unwrap()
    };
    assert_eq!(release(&fixture, Side::Link, id(50)).await, 1);
    assert_eq!(release(&fixture, Side::Link, id(50)).await, 0);
    assert_eq!(release(&fixture, Side::Sender, queue(1).sender_id).await, 1);
    fixture.reopen();
    assert_eq!(fixture.store().counts().reserved, 0);
    assert_eq!(fixture.create(same_sender).await, Creation::Created);
    assert_eq!(fixture.create(same_link).await, Creation::Created);
}

async fn reserved_ids_are_listed_by_pages(engine: Engine) {
    let mut fixture = Fixture::new(engine);
    let mut expected = Vec::new();
    for number in 0..100 {
        let mut record = queue(number);
        record.link_id = Some(id(number + 1000));
        fixture.create(record.clone()).await;
        fixture.store().delete_queue(id(number), number as u32).await.unwrap().await.unwrap();
        expected.push((Side::Sender, record.sender_id, number as u32));
        expected.push((Side::Link, id(number + 1000), number as u32));
    }
    fixture.reopen();
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = fixture.store().reserved_ids(after.as_ref(), 7).unwrap();
        assert!(page.ids.len() <= 7);
        seen.extend(page.ids);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    seen.sort_unstable();
    expected.sort_unstable();
    assert_eq!(seen, expected);
}

async fn recipient_keys_are_replaced(engine: Engine) {
    let mut fixture = Fixture::new(engine);
    fixture.create_in_mode(1, QueueMode::Contact).await;
    let keys = RecipientKeys::from_slice(&[key(3), key(4), key(5)]).unwrap();
    let set = async |fixture: &Fixture, number, keys| {
        fixture.store().set_recipient_keys(id(number), keys).await.unwrap().await.unwrap()
    };
    assert_eq!(set(&fixture, 1, keys.clone()).await, KeyReplacement::Replaced);
    assert_eq!(set(&fixture, 1, keys.clone()).await, KeyReplacement::Replaced);
    assert_eq!(set(&fixture, 2, keys.clone()).await, KeyReplacement::NotFound);
    fixture.reopen();
    assert_eq!(fixture.store().queue_by_recipient(&id(1)).unwrap().unwrap().recipient_keys, keys);
}
