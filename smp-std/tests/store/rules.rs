//! What each operation does.

use smp_std::relay::store::{
    AppendMessage, AppendOutcome, Appended, Blocked, BlockingReason, Creation, Expiry, HeaderKind, MessageKind, Notice,
    Notifier, QueueMode, QueueName, QueueStatus, RecipientKeys, Securing, SharedSecret, Side, Suspension,
};

use crate::{Engine, Fixture, body, for_every_engine, id, key, message, queue};

for_every_engine!(
    a_queue_is_found_by_all_its_names,
    every_field_of_a_queue_survives,
    taken_ids_are_refused,
    securing_a_queue,
    suspending_a_queue,
    a_blocked_queue_takes_nothing,
    deleting_a_queue,
    touching_a_queue,
    messages_come_in_order,
    an_acknowledgement_of_another_message_removes_nothing,
    the_quota_state_machine,
    expiry_stops_at_the_first_that_stays,
    expiry_when_appending,
    pages_of_queues,
);

async fn a_queue_is_found_by_all_its_names(engine: Engine) {
    let mut fixture = Fixture::new(engine);
    let mut record = queue(1);
    record.link_id = Some(id(77));
    record.notifier = Some(Box::new(Notifier { id: id(88), key: key(5), secret: SharedSecret::new([9; 32]) }));
    assert_eq!(fixture.create(record.clone()).await, Creation::Created);
    for _ in 0..2 {
        let store = fixture.store();
        assert_eq!(*store.queue_by_recipient(&id(1)).unwrap().unwrap(), record);
        assert_eq!(*store.queue_by_sender(&record.sender_id).unwrap().unwrap(), record);
        assert_eq!(*store.queue_by_side(Side::Link, &id(77)).unwrap().unwrap(), record);
        assert_eq!(*store.queue_by_side(Side::Notifier, &id(88)).unwrap().unwrap(), record);
        assert_eq!(store.queue_by_recipient(&record.sender_id).unwrap(), None, "names of one side are none of another");
        assert_eq!(store.queue_by_sender(&id(1)).unwrap(), None);
        assert_eq!(store.queue_by_side(Side::Link, &id(88)).unwrap(), None);
        assert_eq!(store.counts().queues, 1);
        fixture.reopen();
    }
}

async fn every_field_of_a_queue_survives(engine: Engine) {
    let mut fixture = Fixture::new(engine);
    let mut record = queue(1);
    record.recipient_keys =
        RecipientKeys::from_slice(&(0..RecipientKeys::MAX).map(|n| key(n as u8)).collect::<Vec<_>>()).unwrap();
    record.sender_key = Some(key(4));
    record.mode = QueueMode::Contact;
    record.activity_day = 20_414;
    record.status = QueueStatus::Blocked {
        blocked: Blocked { reason: BlockingReason::Content, notice: Some(Notice { ttl: Some(60) }) },
        suspended: false,
    };
    record.link_id = Some(id(2));
    record.notifier = Some(Box::new(Notifier { id: id(3), key: key(7), secret: SharedSecret::new([3; 32]) }));
    record.recipient_service = Some(id(4));
    record.notifier_service = Some(id(5));
    fixture.create(record.clone()).await;
    fixture.reopen();
    assert_eq!(*fixture.store().queue_by_recipient(&id(1)).unwrap().unwrap(), record);
}

async fn taken_ids_are_refused(engine: Engine) {
    let fixture = Fixture::new(engine);
    let mut first = queue(1);
    first.link_id = Some(id(50));
    first.notifier = Some(Box::new(Notifier { id: id(60), key: key(5), secret: SharedSecret::new([9; 32]) }));
    assert_eq!(fixture.create(first.clone()).await, Creation::Created);

    let mut same_recipient = queue(2);
    same_recipient.recipient_id = first.recipient_id;
    let mut same_sender = queue(3);
    same_sender.sender_id = first.sender_id;
    let mut same_link = queue(4);
    same_link.link_id = first.link_id;
    let mut same_notifier = queue(5);
    same_notifier.notifier = first.notifier.clone();
    for refused in [same_recipient, same_sender, same_link, same_notifier] {
        assert_eq!(fixture.create(refused).await, Creation::IdTaken);
    }
    assert_eq!(fixture.store().counts().queues, 1);
    assert_eq!(fixture.store().queue_by_sender(&queue(4).sender_id).unwrap(), None, "nothing of a refused queue stays");

    // Two with the same sender id in one write.
    let mut clash = queue(7);
    clash.sender_id = queue(6).sender_id;
    let one = fixture.store().create_queue(queue(6).into()).await.unwrap();
    let other = fixture.store().create_queue(clash.into()).await.unwrap();
    assert_eq!((one.await.unwrap(), other.await.unwrap()), (Creation::Created, Creation::IdTaken));
}

async fn securing_a_queue(engine: Engine) {
    let mut fixture = Fixture::new(engine);
    fixture.create(queue(1)).await;
    fixture.create(queue(2)).await;
    let secure =
        async |fixture: &Fixture, name, with| fixture.store().secure_queue(name, with).await.unwrap().await.unwrap();
    let by_recipient = QueueName::Recipient(id(1));
    let by_sender = QueueName::Side(Side::Sender, queue(1).sender_id);
    assert_eq!(secure(&fixture, by_sender, key(10)).await, Securing::Secured);
    fixture.reopen();
    assert_eq!(secure(&fixture, by_recipient, key(10)).await, Securing::SameKey);
    assert_eq!(secure(&fixture, by_recipient, key(11)).await, Securing::OtherKey);
    assert_eq!(secure(&fixture, by_sender, key(11)).await, Securing::OtherKey);
    assert_eq!(fixture.store().queue_by_recipient(&id(1)).unwrap().unwrap().sender_key, Some(key(10)));
    assert_eq!(fixture.store().queue_by_recipient(&id(2)).unwrap().unwrap().sender_key, None);
    assert_eq!(secure(&fixture, QueueName::Recipient(id(9)), key(1)).await, Securing::NotFound);
    assert_eq!(secure(&fixture, QueueName::Side(Side::Sender, id(1)), key(1)).await, Securing::NotFound);
}

async fn suspending_a_queue(engine: Engine) {
    let mut fixture = Fixture::new(engine);
    fixture.create(queue(1)).await;
    fixture.append(message(1, 3)).await;
    let suspend =
        async |fixture: &Fixture, number| fixture.store().suspend_queue(id(number)).await.unwrap().await.unwrap();
    assert_eq!(suspend(&fixture, 1).await, Suspension::Suspended);
    assert_eq!(suspend(&fixture, 1).await, Suspension::Suspended);
    assert_eq!(suspend(&fixture, 2).await, Suspension::NotFound);
    fixture.reopen();
    assert_eq!(fixture.append(message(1, 4)).await.outcome, AppendOutcome::Suspended);
    let acknowledged = fixture.acknowledge(id(1), id(3)).await.unwrap();
    assert!(acknowledged.deleted.is_some(), "what waited is still delivered");
    assert_eq!(acknowledged.next, None);
}

async fn a_blocked_queue_takes_nothing(engine: Engine) {
    let fixture = Fixture::new(engine);
    let mut record = queue(1);
    let blocked = Blocked { reason: BlockingReason::Spam, notice: None };
    record.status = QueueStatus::Blocked { blocked, suspended: false };
    fixture.create(record.clone()).await;
    assert_eq!(fixture.append(message(1, 1)).await.outcome, AppendOutcome::Blocked(blocked));
    assert_eq!(fixture.store().counts().messages, 0);
}

async fn deleting_a_queue(engine: Engine) {
    let mut fixture = Fixture::new(engine);
    fixture.create(queue(1)).await;
    fixture.create(queue(2)).await;
    for number in 0..5 {
        fixture.append(message(1, number)).await;
        fixture.append(message(2, number)).await;
    }
    let deleted = fixture.store().delete_queue(id(1), 7).await.unwrap().await.unwrap().unwrap();
    assert_eq!((*deleted.record).clone(), queue(1));
    assert_eq!(deleted.messages, 5);
    for _ in 0..2 {
        let store = fixture.store();
        assert_eq!(store.queue_by_recipient(&id(1)).unwrap(), None);
        assert_eq!(store.queue_by_sender(&queue(1).sender_id).unwrap(), None);
        assert_eq!(store.head(&id(1)).unwrap(), None);
        assert_eq!((store.counts().queues, store.counts().messages), (1, 5));
        assert_eq!(fixture.append(message(1, 9)).await.outcome, AppendOutcome::NotFound);
        assert_eq!(fixture.acknowledge(id(1), id(0)).await, None);
        assert_eq!(fixture.store().delete_queue(id(1), 7).await.unwrap().await.unwrap(), None);
        fixture.reopen();
    }
    assert_eq!(fixture.create(queue(1)).await, Creation::IdTaken, "its sender id is reserved");
    let released = fixture.store().release_ids([(Side::Sender, queue(1).sender_id)].into()).await.unwrap();
    assert_eq!(released.await.unwrap(), 1);
    assert_eq!(fixture.create(queue(1)).await, Creation::Created, "its names are free again");
    let stored = fixture.append(message(1, 7)).await;
    assert!(matches!(stored.outcome, AppendOutcome::Stored { was_empty: true, .. }));
    assert_eq!(fixture.store().head(&id(1)).unwrap().unwrap().id, id(7));
}

async fn touching_a_queue(engine: Engine) {
    let mut fixture = Fixture::new(engine);
    fixture.create(queue(1)).await;
    fixture.store().touch_queue(id(1), 100);
    fixture.store().touch_queue(id(1), 99);
    fixture.store().touch_queue(id(2), 100);
    // The next change takes it along.
    fixture.append(message(1, 1)).await;
    assert_eq!(fixture.store().queue_by_recipient(&id(1)).unwrap().unwrap().activity_day, 100);
    fixture.store().touch_queue(id(1), 101);
    if engine == Engine::Memory {
        fixture.store().close().await.unwrap();
    }
    fixture.reopen();
    assert_eq!(
        fixture.store().queue_by_recipient(&id(1)).unwrap().unwrap().activity_day,
        101,
        "closing takes it along"
    );
}

async fn messages_come_in_order(engine: Engine) {
    let mut fixture = Fixture::new(engine);
    fixture.create(queue(1)).await;
    let mut pending = Vec::new();
    for number in 0..40 {
        pending.push(fixture.store().append_message(message(1, number)).await.unwrap());
    }
    for (number, pending) in pending.into_iter().enumerate() {
        let Appended { outcome: AppendOutcome::Stored { was_empty, message }, expired: 0, .. } = pending.await.unwrap()
        else {
            panic!("stored");
        };
        assert_eq!(was_empty, number == 0);
        assert_eq!(message.id, id(number as u64));
    }
    let mut head = fixture.store().head(&id(1)).unwrap();
    for number in 0..40 {
        if number % 10 == 5 {
            fixture.reopen();
        }
        let oldest = head.unwrap();
        assert_eq!((oldest.id, oldest.time), (id(number), number as i64));
        assert_eq!(oldest.kind, MessageKind::Message { notification: number % 2 == 1, body: body(number) });
        assert_eq!(fixture.store().queue_state(&id(1)).unwrap().size(), 40 - number);
        let acknowledged = fixture.acknowledge(id(1), oldest.id).await.unwrap();
        assert_eq!(acknowledged.deleted, Some(oldest.header()));
        head = acknowledged.next;
    }
    assert_eq!(head, None);
    assert_eq!(fixture.store().counts().messages, 0);
}

async fn an_acknowledgement_of_another_message_removes_nothing(engine: Engine) {
    let fixture = Fixture::new(engine);
    fixture.create(queue(1)).await;
    let nothing = fixture.acknowledge(id(1), id(1)).await.unwrap();
    assert_eq!((nothing.deleted, nothing.next), (None, None));
    fixture.append(message(1, 1)).await;
    fixture.append(message(1, 2)).await;
    for wrong in [id(2), id(3)] {
        let acknowledged = fixture.acknowledge(id(1), wrong).await.unwrap();
        assert_eq!(acknowledged.deleted, None);
        assert_eq!(acknowledged.next.unwrap().id, id(1));
    }
    assert_eq!(fixture.store().counts().messages, 2);
}

async fn the_quota_state_machine(engine: Engine) {
    let mut fixture = Fixture::new(engine);
    fixture.create(queue(1)).await;
    let send = |number| AppendMessage { quota: 3, ..message(1, number) };
    for number in 1..=3 {
        assert!(matches!(fixture.append(send(number)).await.outcome, AppendOutcome::Stored { .. }));
    }
    let AppendOutcome::QuotaMarked { was_empty: false, message } = fixture.append(send(4)).await.outcome else {
        panic!("a mark");
    };
    assert_eq!((message.id, message.time, &message.kind), (id(4), 4, &MessageKind::QuotaMark));
    assert_eq!(fixture.append(send(5)).await.outcome, AppendOutcome::QuotaExceeded);
    for number in 1..=3 {
        fixture.reopen();
        let acknowledged = fixture.acknowledge(id(1), id(number)).await.unwrap();
        assert_eq!(acknowledged.next.unwrap().id, id(number + 1));
        // There is room, but the mark was not acknowledged.
        assert_eq!(fixture.append(send(6)).await.outcome, AppendOutcome::QuotaExceeded);
    }
    let last = fixture.acknowledge(id(1), id(4)).await.unwrap();
    assert_eq!(last.deleted.unwrap().kind, HeaderKind::QuotaMark);
    assert_eq!(last.next, None);
    fixture.reopen();
    assert!(matches!(fixture.append(send(7)).await.outcome, AppendOutcome::Stored { was_empty: true, .. }));

    // Without any room the mark itself is the first message.
    fixture.create(queue(2)).await;
    let outcome = fixture.append(AppendMessage { quota: 0, ..crate::message(2, 8) }).await.outcome;
    assert!(matches!(outcome, AppendOutcome::QuotaMarked { was_empty: true, .. }));
}

async fn expiry_stops_at_the_first_that_stays(engine: Engine) {
    let mut fixture = Fixture::new(engine);
    fixture.create(queue(1)).await;
    // Receipt times 1, 2, 9, 3, then a quota mark of 4.
    for (number, time) in [(1, 1), (2, 2), (3, 9), (4, 3), (5, 4)] {
        fixture.append(AppendMessage { time, quota: 4, ..message(1, number) }).await;
    }
    let expire =
        async |fixture: &Fixture, before| fixture.store().expire_messages(id(1), before).await.unwrap().await.unwrap();
    assert_eq!(expire(&fixture, 1).await, 0, "received in that very second: not before it");
    assert_eq!(expire(&fixture, 5).await, 2, "the one of 9 stays, and what is behind it");
    fixture.reopen();
    assert_eq!(fixture.store().head(&id(1)).unwrap().unwrap().id, id(3));
    // The acknowledged message expired meanwhile: nothing is removed, the oldest comes.
    let acknowledged = fixture.acknowledge(id(1), id(1)).await.unwrap();
    assert_eq!((acknowledged.deleted, acknowledged.next.unwrap().id), (None, id(3)));
    assert_eq!(expire(&fixture, i64::MAX).await, 2, "the mark stays");
    assert_eq!(fixture.store().head(&id(1)).unwrap().unwrap().kind, MessageKind::QuotaMark);
    assert_eq!(fixture.append(message(1, 6)).await.outcome, AppendOutcome::QuotaExceeded);
    assert_eq!(fixture.store().counts().messages, 1);
    assert_eq!(fixture.store().expire_messages(id(2), 5).await.unwrap().await.unwrap(), 0, "no such queue");
}

async fn expiry_when_appending(engine: Engine) {
    let mut fixture = Fixture::new(engine);
    fixture.create(queue(1)).await;
    for number in 1..=3 {
        fixture.append(message(1, number)).await;
    }
    let appended = fixture.append(AppendMessage { expire: Some(Expiry::before(3)), quota: 2, ..message(1, 10) }).await;
    assert_eq!(appended.expired, 2);
    assert!(matches!(appended.outcome, AppendOutcome::Stored { was_empty: false, .. }), "expiry made room");
    let appended = fixture.append(AppendMessage { expire: Some(Expiry::before(11)), ..message(1, 11) }).await;
    assert_eq!(appended.expired, 2);
    assert!(matches!(appended.outcome, AppendOutcome::Stored { was_empty: true, .. }), "expiry emptied it");
    fixture.reopen();
    assert_eq!(fixture.store().head(&id(1)).unwrap().unwrap().id, id(11));
    assert_eq!(fixture.store().counts().messages, 1);

    // Removals count also when the new message is refused.
    let full = AppendMessage { quota: 1, ..message(1, 12) };
    assert!(matches!(fixture.append(full).await.outcome, AppendOutcome::QuotaMarked { .. }));
    let appended = fixture.append(AppendMessage { expire: Some(Expiry::before(12)), ..message(1, 13) }).await;
    assert_eq!((appended.outcome, appended.expired), (AppendOutcome::QuotaExceeded, 1));
    fixture.reopen();
    assert_eq!(fixture.store().head(&id(1)).unwrap().unwrap().id, id(12));
}

async fn pages_of_queues(engine: Engine) {
    let mut fixture = Fixture::new(engine);
    for number in 0..300 {
        fixture.create(queue(number)).await;
        if number % 3 == 0 {
            fixture.append(message(number, number)).await;
        }
        if number % 6 == 0 {
            fixture.acknowledge(id(number), id(number)).await.unwrap();
        }
    }
    fixture.reopen();
    let mut expected: Vec<_> = (0..300).map(id).collect();
    expected.sort_unstable();
    let mut after = None;
    let mut seen = Vec::new();
    loop {
        let page = fixture.store().queues(after.as_ref(), 7).unwrap();
        assert!(page.len() <= 7);
        let Some(last) = page.last() else { break };
        after = Some(last.recipient_id);
        seen.extend(page.iter().map(|record| record.recipient_id));
    }
    assert_eq!(seen, expected);

    let mut expected: Vec<_> = (0..300).filter(|number| number % 6 == 3).map(id).collect();
    expected.sort_unstable();
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = fixture.store().occupied_queues(after.as_ref(), 9).unwrap();
        seen.extend(page.recipient_ids);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, expected);
}
