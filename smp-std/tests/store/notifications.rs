//! What notifiers get, and when it goes.

use smp_std::relay::store::{
    AppendMessage, AppendOutcome, Counts, NotificationLimits, NotifierRemoval, NotifierSetting, PendingNotification,
    QueueStatus, Side,
};

use crate::{Engine, Fixture, LIMITS, for_every_engine, id, message, notifier, queue};

for_every_engine!(
    setting_and_removing_a_notifier,
    only_stored_messages_that_ask_for_it_notify,
    too_many_notifications_push_out_the_oldest,
    what_was_delivered_is_not_seen_again,
    notifications_expire,
    a_deleted_queue_takes_its_notifications_along,
    notifications_are_listed_and_inserted,
);

async fn set(fixture: &Fixture, queue: u64, number: u64) -> NotifierSetting {
    fixture.store().set_notifier(id(queue), Box::new(notifier(number))).await.unwrap().await.unwrap()
}

/// Times of the messages that a notifier would hear of.
fn waiting(fixture: &Fixture, number: u64) -> Vec<i64> {
    let waiting = fixture.store().notifications(&notifier(number).id, 0, 1000).unwrap();
    waiting.into_iter().map(|(_, notification)| notification.time).collect()
}

async fn send(fixture: &Fixture, queue: u64, number: u64) -> AppendOutcome {
    fixture.append(AppendMessage { notification: true, ..message(queue, number) }).await.outcome
}

async fn setting_and_removing_a_notifier(engine: Engine) {
    let mut fixture = Fixture::new(engine);
    let mut record = queue(1);
    record.notifier_service = Some(id(9));
    fixture.create(record).await;
    fixture.create(queue(2)).await;
    assert_eq!(set(&fixture, 3, 1).await, NotifierSetting::NotFound);
    assert_eq!(set(&fixture, 1, 1).await, NotifierSetting::Set { previous: None, service: None });
    assert_eq!(set(&fixture, 2, 1).await, NotifierSetting::IdTaken);
    assert_eq!(set(&fixture, 1, 1).await, NotifierSetting::IdTaken, "each has an id of its own");
    send(&fixture, 1, 5).await;
    fixture.reopen();
    let record = fixture.store().queue_by_side(Side::Notifier, &notifier(1).id).unwrap().unwrap();
    assert_eq!((record.recipient_id, record.notifier.as_deref()), (id(1), Some(&notifier(1))));
    assert_eq!(record.notifier_service, None);

    assert_eq!(set(&fixture, 1, 2).await, NotifierSetting::Set { previous: Some(notifier(1).id), service: None });
    fixture.reopen();
    assert_eq!(fixture.store().queue_by_side(Side::Notifier, &notifier(1).id).unwrap(), None);
    assert!(waiting(&fixture, 1).is_empty() && waiting(&fixture, 2).is_empty());
    assert_eq!(fixture.store().counts().notifications, 0);

    send(&fixture, 1, 6).await;
    let remove =
        async |fixture: &Fixture, queue| fixture.store().remove_notifier(id(queue)).await.unwrap().await.unwrap();
    assert_eq!(remove(&fixture, 1).await, NotifierRemoval::Removed { notifier_id: notifier(2).id, service: None });
    assert_eq!(remove(&fixture, 1).await, NotifierRemoval::NotSet);
    assert_eq!(remove(&fixture, 3).await, NotifierRemoval::NotFound);
    fixture.reopen();
    assert!(waiting(&fixture, 2).is_empty());
    assert_eq!(fixture.store().counts(), Counts { queues: 2, messages: 2, ..Counts::default() });
    assert_eq!(fixture.store().queue_by_recipient(&id(1)).unwrap().unwrap().notifier, None);
}

async fn only_stored_messages_that_ask_for_it_notify(engine: Engine) {
    let mut fixture = Fixture::new(engine);
    fixture.create(queue(1)).await;
    assert_eq!(fixture.append(message(1, 1)).await.notified, None, "no notifier");
    set(&fixture, 1, 1).await;
    for (number, append) in [
        AppendMessage { notification: false, ..message(1, 2) },
        AppendMessage { notification: true, notify: None, ..message(1, 3) },
        AppendMessage { notification: true, quota: 3, ..message(1, 4) },
        AppendMessage { notification: true, quota: 3, ..message(1, 5) },
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(fixture.append(append).await.notified, None, "{number}");
    }
    // Acknowledged or not, the message was sent.
    for number in 1..=4 {
        fixture.acknowledge(id(1), id(number)).await.unwrap();
    }
    assert!(matches!(send(&fixture, 1, 6).await, AppendOutcome::Stored { .. }));
    fixture.acknowledge(id(1), id(6)).await.unwrap();
    fixture.store().suspend_queue(id(1)).await.unwrap().await.unwrap();
    assert_eq!(send(&fixture, 1, 7).await, AppendOutcome::Suspended);
    fixture.reopen();
    assert_eq!(waiting(&fixture, 1), [6]);
    assert_eq!(fixture.store().queue_by_recipient(&id(1)).unwrap().unwrap().status, QueueStatus::Suspended);
}

async fn too_many_notifications_push_out_the_oldest(engine: Engine) {
    let mut fixture = Fixture::new(engine);
    for number in 1..=3 {
        fixture.create(queue(number)).await;
        set(&fixture, number, number).await;
    }
    let limits = NotificationLimits { per_notifier: 3, total: 5 };
    let notify = async |fixture: &Fixture, queue, number, limits| {
        let append = AppendMessage { notification: true, notify: Some(limits), ..message(queue, number) };
        let notified = fixture.append(append).await.notified.unwrap();
        assert_eq!(notified.notifier_id, notifier(queue).id);
        (notified.stored, notified.lost)
    };
    for number in 1..=3 {
        assert_eq!(notify(&fixture, 1, number, limits).await, (true, 0));
    }
    assert_eq!(notify(&fixture, 1, 4, limits).await, (true, 1));
    assert_eq!(waiting(&fixture, 1), [2, 3, 4]);
    assert_eq!(notify(&fixture, 2, 5, limits).await, (true, 0));
    assert_eq!(notify(&fixture, 2, 6, limits).await, (true, 0));
    // Five wait: who has some loses its oldest, who has none gets nothing.
    assert_eq!(notify(&fixture, 2, 7, limits).await, (true, 1));
    assert_eq!(notify(&fixture, 3, 8, limits).await, (false, 1));
    fixture.reopen();
    assert_eq!((waiting(&fixture, 1), waiting(&fixture, 2), waiting(&fixture, 3)), (vec![2, 3, 4], vec![6, 7], vec![]));
    assert_eq!(fixture.store().counts().notifications, 5);
    // The operator lowered the limit.
    let lower = NotificationLimits { per_notifier: 1, total: 100 };
    assert_eq!(notify(&fixture, 1, 9, lower).await, (true, 3));
    assert_eq!(waiting(&fixture, 1), [9]);
}

async fn what_was_delivered_is_not_seen_again(engine: Engine) {
    let mut fixture = Fixture::new(engine);
    fixture.create(queue(1)).await;
    set(&fixture, 1, 1).await;
    for number in 1..=5 {
        send(&fixture, 1, number).await;
    }
    let first = fixture.store().notifications(&notifier(1).id, 0, 2).unwrap();
    assert_eq!(first.iter().map(|(_, notification)| notification.message_id).collect::<Vec<_>>(), [id(1), id(2)]);
    let behind = first[1].0 + 1;
    assert_eq!(fixture.store().notifications(&notifier(1).id, behind, 1).unwrap()[0].1.time, 3);
    fixture.store().forget_notifications(notifier(1).id, behind).await.unwrap();
    // It may not be on disk yet, but nobody gets it again.
    assert_eq!(waiting(&fixture, 1), [3, 4, 5]);
    fixture.store().forget_notifications(notifier(1).id, behind - 1).await.unwrap();
    assert_eq!(waiting(&fixture, 1), [3, 4, 5], "what comes late brings nothing back");
    // Closing takes it along.
    fixture.store().close().await.unwrap();
    fixture.reopen();
    assert_eq!(waiting(&fixture, 1), [3, 4, 5]);
    assert_eq!(fixture.store().counts().notifications, 3);
    if engine == Engine::Fjall {
        send(&fixture, 1, 6).await;
        fixture.store().forget_notifications(notifier(1).id, u64::MAX).await.unwrap();
        send(&fixture, 1, 7).await;
        assert_eq!(waiting(&fixture, 1), [7], "numbers go on");
    }
}

async fn notifications_expire(engine: Engine) {
    let mut fixture = Fixture::new(engine);
    fixture.create(queue(1)).await;
    set(&fixture, 1, 1).await;
    for (number, time) in [(1, 10), (2, 20), (3, 15), (4, 30)] {
        fixture.append(AppendMessage { notification: true, time, ..message(1, number) }).await;
    }
    let expire = async |fixture: &Fixture, before| {
        fixture.store().expire_notifications(notifier(1).id, before).await.unwrap().await.unwrap()
    };
    assert_eq!(expire(&fixture, 10).await, 0, "of that very second: not before it");
    assert_eq!(expire(&fixture, 16).await, 1);
    fixture.reopen();
    assert_eq!(waiting(&fixture, 1), [20, 15, 30]);
    assert_eq!(expire(&fixture, 30).await, 2);
    assert_eq!(expire(&fixture, i64::MAX).await, 1);
    assert_eq!(fixture.store().counts(), Counts { queues: 1, messages: 4, notifiers: 1, ..Counts::default() });
    assert!(fixture.store().notified_notifiers(None, 10).unwrap().notifiers.is_empty());
}

async fn a_deleted_queue_takes_its_notifications_along(engine: Engine) {
    let mut fixture = Fixture::new(engine);
    for round in 1..=2 {
        // Without a reopening in between everything shares a few writes.
        fixture.create(queue(round)).await;
        set(&fixture, round, 1).await;
        send(&fixture, round, 1).await;
        if round == 2 {
            fixture.reopen();
        }
        let deleted = fixture.store().delete_queue(id(round), 0).await.unwrap().await.unwrap().unwrap();
        assert_eq!(deleted.record.notifier.as_deref(), Some(&notifier(1)));
        assert!(waiting(&fixture, 1).is_empty());
        assert_eq!(fixture.store().counts(), Counts { reserved: round, ..Counts::default() });
    }
}

async fn notifications_are_listed_and_inserted(engine: Engine) {
    let mut fixture = Fixture::new(engine);
    for number in 0..40 {
        fixture.create(queue(number)).await;
        set(&fixture, number, number).await;
    }
    let new = |number: u64| PendingNotification { message_id: id(number), time: number as i64 };
    for number in (0..40).filter(|number| number % 4 != 0) {
        let inserted: Vec<_> = (number..number + 3).map(new).collect();
        let pending = fixture.store().insert_notifications(notifier(number).id, inserted, LIMITS).await.unwrap();
        assert_eq!(pending.await.unwrap(), 0);
        if number % 4 == 1 {
            let pending = fixture.store().expire_notifications(notifier(number).id, i64::MAX).await.unwrap();
            assert_eq!(pending.await.unwrap(), 3);
        }
    }
    let unknown = fixture.store().insert_notifications(notifier(99).id, [new(1)], LIMITS).await.unwrap();
    assert_eq!(unknown.await.unwrap(), 1);
    let limits = NotificationLimits { per_notifier: 2, total: 100 };
    let many: Vec<_> = (1..=5).map(new).collect();
    let pending = fixture.store().insert_notifications(notifier(0).id, many, limits).await.unwrap();
    assert_eq!(pending.await.unwrap(), 3, "the oldest go");
    assert_eq!(waiting(&fixture, 0), [4, 5]);
    fixture.reopen();
    let mut expected: Vec<_> =
        (0..40).filter(|number| number % 4 > 1).map(|number| (notifier(number).id, number as i64)).collect();
    expected.push((notifier(0).id, 4));
    expected.sort_unstable();
    for page_size in [1, 7, 1000] {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = fixture.store().notified_notifiers(after.as_ref(), page_size).unwrap();
            assert!(page.notifiers.len() <= page_size);
            found.extend(page.notifiers);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, expected);
    }
}
