//! Links and the keys of recipients.

use smp_std::relay::store::{
    AppendMessage, AppendOutcome, Creation, KeyReplacement, LinkDeletion, LinkSetting, QueueMode, QueueName,
    RecipientKeys, Securing, SecuringByLink, Side,
};

use crate::{Engine, Fixture, for_every_engine, id, key, link_data, message, queue};

for_every_engine!(
    link_data_is_kept_apart_and_survives,
    what_link_data_may_replace,
    securing_by_a_link_comes_before_its_change_or_after,
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
    for (link, with) in [(51, 1), (51, 1), (51, 2), (52, 1), (53, 1)] {
        secured.push(store.secure_by_link(id(link), key(with)).await.unwrap());
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
