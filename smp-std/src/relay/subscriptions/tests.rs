use super::*;

const QUEUE: Id = [1; 24];
const FIRST: Id = [2; 24];
const SECOND: Id = [3; 24];

fn subscribed() -> Subscriptions {
    let mut subscriptions = Subscriptions::default();
    subscriptions.subscribe(QUEUE, 5);
    assert_eq!(subscriptions.next_due(), Some((QUEUE, Mode::Subscribed(5))));
    assert_eq!(subscriptions.next_due(), None);
    subscriptions
}

#[test]
fn one_message_is_outstanding_at_a_time() {
    let mut subscriptions = subscribed();
    subscriptions.pushed(&QUEUE, FIRST);
    subscriptions.message_waiting(&QUEUE);
    assert_eq!(subscriptions.next_due(), None);
    assert!(!subscriptions.acknowledging(&QUEUE, &SECOND));
    assert!(subscriptions.acknowledging(&QUEUE, &FIRST));
    assert!(!subscriptions.acknowledging(&QUEUE, &FIRST), "a second acknowledgement finds nothing delivered");
    assert!(subscriptions.acknowledged(&QUEUE, Some(SECOND)));
    assert_eq!(subscriptions.delivered(&QUEUE), Some(SECOND));
}

#[test]
fn what_arrives_during_an_acknowledgement_is_not_lost() {
    let mut subscriptions = subscribed();
    subscriptions.pushed(&QUEUE, FIRST);
    assert!(subscriptions.acknowledging(&QUEUE, &FIRST));
    subscriptions.message_waiting(&QUEUE);
    assert!(subscriptions.acknowledged(&QUEUE, None));
    assert_eq!(subscriptions.next_due(), Some((QUEUE, Mode::Subscribed(5))));
}

#[test]
fn a_new_sub_delivers_again() {
    let mut subscriptions = subscribed();
    subscriptions.pushed(&QUEUE, FIRST);
    subscriptions.subscribe(QUEUE, 5);
    assert_eq!(subscriptions.next_due(), Some((QUEUE, Mode::Subscribed(5))));
    subscriptions.pushed(&QUEUE, FIRST);
    assert!(subscriptions.acknowledging(&QUEUE, &FIRST));
    // While an acknowledgement is on its way a SUB must not deliver the same message once more.
    subscriptions.subscribe(QUEUE, 5);
    assert_eq!(subscriptions.next_due(), None);
    subscriptions.acknowledged(&QUEUE, None);
    assert_eq!(subscriptions.next_due(), Some((QUEUE, Mode::Subscribed(5))));
}

#[test]
fn a_delivered_message_can_be_acknowledged_behind_a_new_sub() {
    let mut subscriptions = subscribed();
    subscriptions.pushed(&QUEUE, FIRST);
    subscriptions.subscribe(QUEUE, 5);
    assert_eq!(subscriptions.delivered(&QUEUE), Some(FIRST));
    assert!(subscriptions.acknowledging(&QUEUE, &FIRST));
    assert_eq!(subscriptions.next_due(), None, "what is being acknowledged is not delivered again");
    subscriptions.acknowledged(&QUEUE, None);
    assert_eq!(subscriptions.next_due(), Some((QUEUE, Mode::Subscribed(5))));
    subscriptions.nothing_waits(&QUEUE);
    subscriptions.message_waiting(&QUEUE);
    assert_eq!(subscriptions.next_due(), Some((QUEUE, Mode::Subscribed(5))));
}

#[test]
fn an_old_acknowledgement_does_not_disturb_what_was_delivered_since() {
    let mut subscriptions = Subscriptions::default();
    subscriptions.fetch(QUEUE, Some(FIRST)).unwrap();
    assert!(subscriptions.acknowledging(&QUEUE, &FIRST));
    subscriptions.fetch(QUEUE, Some(SECOND)).unwrap();
    assert!(!subscriptions.acknowledged(&QUEUE, None));
    assert_eq!(subscriptions.delivered(&QUEUE), Some(SECOND));

    let mut subscriptions = subscribed();
    subscriptions.pushed(&QUEUE, FIRST);
    assert!(subscriptions.acknowledging(&QUEUE, &FIRST));
    assert!(subscriptions.lost(&QUEUE, 5));
    subscriptions.subscribe(QUEUE, 6);
    assert_eq!(subscriptions.next_due(), Some((QUEUE, Mode::Subscribed(6))));
    subscriptions.pushed(&QUEUE, SECOND);
    assert!(!subscriptions.acknowledged(&QUEUE, Some(SECOND)), "it is on its way already");
    assert_eq!(subscriptions.delivered(&QUEUE), Some(SECOND));
}

#[test]
fn fetched_queues_do_not_count_as_subscribed() {
    let mut subscriptions = subscribed();
    subscriptions.fetch([9; 24], None).unwrap();
    assert_eq!((subscriptions.subscribed(), subscriptions.fetched()), (1, 1));
    subscriptions.remove(&[9; 24]);
    assert_eq!((subscriptions.subscribed(), subscriptions.fetched()), (1, 0));
}

#[test]
fn get_and_sub_exclude_each_other() {
    let mut subscriptions = subscribed();
    assert_eq!(subscriptions.fetch(QUEUE, None), Err(Prohibited));
    let other = [9; 24];
    subscriptions.fetch(other, Some(FIRST)).unwrap();
    assert_eq!(subscriptions.mode(&other), Some(Mode::Fetching));
    subscriptions.message_waiting(&other);
    assert!(subscriptions.acknowledging(&other, &FIRST));
    assert!(!subscriptions.acknowledged(&other, Some(SECOND)));
    assert_eq!(subscriptions.delivered(&other), None, "after GET the next message is fetched, not delivered");
}

#[test]
fn subscriptions_that_come_and_go_do_not_pile_up() {
    let mut subscriptions = Subscriptions::default();
    subscriptions.subscribe(FIRST, 1);
    for token in 2..1_000 {
        subscriptions.subscribe(QUEUE, token);
        assert!(subscriptions.lost(&QUEUE, token));
        assert!(subscriptions.due.len() <= 70, "{}", subscriptions.due.len());
    }
    assert_eq!(subscriptions.next_due(), Some((FIRST, Mode::Subscribed(1))));
    assert_eq!(subscriptions.next_due(), None);
}

#[test]
fn old_news_do_not_end_a_renewed_subscription() {
    let mut subscriptions = subscribed();
    subscriptions.subscribe(QUEUE, 8);
    assert!(!subscriptions.lost(&QUEUE, 5));
    assert_eq!(subscriptions.mode(&QUEUE), Some(Mode::Subscribed(8)));
    assert!(subscriptions.lost(&QUEUE, 8));
    assert_eq!(subscriptions.mode(&QUEUE), None);
    assert_eq!(subscriptions.next_due(), None);
}

#[test]
fn nothing_is_kept_of_a_services_queue_that_is_idle() {
    let mut subscriptions = Subscriptions::default();
    for (news, sub) in [(true, false), (false, true)] {
        if news {
            subscriptions.service_news(QUEUE);
            subscriptions.service_news(QUEUE);
        }
        if sub {
            subscriptions.subscribe_service(QUEUE);
        }
        assert_eq!(subscriptions.next_due(), Some((QUEUE, Mode::Service)));
        assert_eq!(subscriptions.next_due(), None);
        subscriptions.pushed(&QUEUE, FIRST);
        assert!(!subscriptions.begin_delivery(QUEUE));
        assert_eq!(subscriptions.subscribed(), 1);
        assert!(subscriptions.acknowledging(&QUEUE, &FIRST));
        assert!(subscriptions.acknowledged(&QUEUE, Some(SECOND)));
        assert!(subscriptions.acknowledging(&QUEUE, &SECOND));
        assert!(subscriptions.acknowledged(&QUEUE, None));
        assert_eq!((subscriptions.subscribed(), subscriptions.mode(&QUEUE)), (0, None));
    }
    subscriptions.service_news(QUEUE);
    assert!(subscriptions.next_due().is_some());
    subscriptions.nothing_waits(&QUEUE);
    assert_eq!(subscriptions.subscribed(), 0);
    assert!(subscriptions.begin_delivery(QUEUE));
    subscriptions.nothing_waits(&QUEUE);
    assert_eq!(subscriptions.subscribed(), 0);
}

#[test]
fn news_of_a_services_queue_during_an_acknowledgement_are_not_lost() {
    let mut subscriptions = Subscriptions::default();
    subscriptions.service_news(QUEUE);
    assert!(subscriptions.next_due().is_some());
    subscriptions.pushed(&QUEUE, FIRST);
    assert!(subscriptions.acknowledging(&QUEUE, &FIRST));
    subscriptions.service_news(QUEUE);
    assert!(subscriptions.acknowledged(&QUEUE, None));
    assert_eq!(subscriptions.next_due(), Some((QUEUE, Mode::Service)));
}

#[test]
fn the_end_of_a_service_leaves_what_is_fetched() {
    let mut subscriptions = Subscriptions::default();
    subscriptions.fetch(FIRST, Some(SECOND)).unwrap();
    for queue in [QUEUE, SECOND] {
        subscriptions.service_news(queue);
    }
    assert!(subscriptions.next_due().is_some());
    subscriptions.pushed(&QUEUE, FIRST);
    subscriptions.end_service();
    assert_eq!((subscriptions.subscribed(), subscriptions.fetched()), (0, 1));
    assert_eq!(subscriptions.delivered(&QUEUE), None);
    assert!(!subscriptions.has_due());
    subscriptions.service_news(QUEUE);
    subscriptions.lost_by_service(&QUEUE);
    subscriptions.lost_by_service(&FIRST);
    assert_eq!((subscriptions.subscribed(), subscriptions.fetched()), (0, 1));
}

#[test]
fn what_waits_for_its_acknowledgement_is_counted() {
    let deliveries = Arc::new(Deliveries::default());
    let waiting = || (deliveries.facts().outstanding, deliveries.facts().connections);
    let mut subscriptions = Subscriptions::new(&deliveries);
    let mut other = Subscriptions::new(&deliveries);
    subscriptions.subscribe(QUEUE, 5);
    subscriptions.pushed(&QUEUE, FIRST);
    subscriptions.pushed(&QUEUE, FIRST);
    assert_eq!(waiting(), (1, 1), "delivered once more");
    subscriptions.fetch([9; 24], Some(SECOND)).unwrap();
    other.fetch(QUEUE, Some(FIRST)).unwrap();
    assert_eq!(waiting(), (3, 2));
    other.fetch(QUEUE, None).unwrap();
    assert_eq!(waiting(), (2, 1), "it expired");
    other.service_news([8; 24]);
    other.pushed(&[8; 24], FIRST);
    assert_eq!(waiting(), (3, 2));
    other.end_service();
    assert_eq!(waiting(), (2, 1));
    assert!(subscriptions.acknowledging(&QUEUE, &FIRST));
    assert_eq!(waiting(), (1, 1));
    assert!(subscriptions.acknowledged(&QUEUE, Some(SECOND)));
    assert_eq!(waiting(), (2, 1));
    assert!(subscriptions.lost(&QUEUE, 5));
    assert_eq!(waiting(), (1, 1));
    subscriptions.pushed(&QUEUE, FIRST);
    assert_eq!(waiting(), (1, 1), "of a queue that is not received from");
    drop(subscriptions);
    assert_eq!(waiting(), (0, 0));
    drop(other);
    assert_eq!(waiting(), (0, 0));
    assert_eq!(deliveries.facts().within.last(), Some(&1));
}

#[test]
fn a_subscription_is_small() {
    assert!(size_of::<Receiving>() <= 48, "{}", size_of::<Receiving>());
}
