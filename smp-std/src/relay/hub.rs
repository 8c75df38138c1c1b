//! Who is subscribed to what: the one place where connections meet.
//!
//! The hub knows connections, never users. It holds no messages: a subscriber is told that a queue has something new
//! and fetches it from the store when it can write, so a slow reader costs a few bytes for each queue and not 16 KB.
//!
//! Recipients are told at once. Notifiers are told by the clock (wire reference, section 10.6): what is posted to them
//! waits for [`Hub::tick`], which looks at nobody but those with news.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use smp_proto::smp::error::Blocked;
use tokio::sync::Notify;

use super::receivers::Receivers;
use super::store::{Id, QueueSet};

const SHARDS: usize = 64;

/// In which part a connection subscribes: each has identifiers of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// To a queue's messages, by the recipient's id.
    Recipient,
    /// To a queue's notifications, by the notifier's id.
    Notifier,
}

/// What a connection is told by others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The queue has a message that the subscriber may not have seen.
    MessageWaiting(Id),
    /// The notifier has a notification, of a message of this second, that the subscriber may not have seen.
    NotificationWaiting(Id, i64),
    /// Another connection took over the subscription of this token.
    Ended(Part, Id, u64),
    /// What the subscription of this token was to was deleted by another connection.
    Deleted(Part, Id, u64),
    /// The operator blocked the queue of the subscription of this token. Boxed: it is rare, and large.
    Blocked(Box<(Id, u64, Blocked)>),
    /// Queues of the service that the session with this token receives for have news.
    ServiceNews(u64),
    /// Another session of the service receives for it instead of the one with this token, which held these queues.
    ServiceEnded(u64, QueueSet),
    /// A queue of the service that the session with this token receives for was deleted (true), or left the service.
    ServiceQueueLost(Id, u64, bool),
}

/// One connection, as the others see it.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    mailbox: Mutex<Vec<Event>>,
    wake: Notify,
    closing: AtomicBool,
    /// Stands in the hub's list of those who wait for the tick.
    awaits_tick: AtomicBool,
    ticked: AtomicBool,
    /// Seconds since the relay started at which the connection was established.
    pub(crate) connected: AtomicU64,
    /// Seconds since the relay started at which the last block was received.
    pub(crate) last_received: AtomicU64,
    /// Seconds since the relay started at which the last block was sent.
    pub(crate) last_sent: AtomicU64,
    /// Queues and notifiers this connection is subscribed to.
    pub(crate) subscriptions: AtomicU32,
}

impl Peer {
    pub(super) fn post(&self, event: Event) {
        self.mailbox.lock().push(event);
        self.wake.notify_one();
    }

    /// Waits until there is something to do for the connection. Cancellation-safe.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Takes what was posted.
    pub(crate) fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut *self.mailbox.lock())
    }

    /// Whether the tick it waited for has come since the last look.
    pub(crate) fn take_tick(&self) -> bool {
        self.ticked.swap(false, Ordering::AcqRel)
    }

    /// Asks the connection to end.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Whether it was asked to end.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }
}

#[derive(Debug)]
struct Subscription {
    peer: Arc<Peer>,
    token: u64,
    /// News are in the mailbox: one event is enough, so mailboxes stay as small as the set of subscriptions.
    posted: bool,
}

/// Who is subscribed, in one part.
#[derive(Debug)]
struct Subscribers {
    shards: [Mutex<HashMap<Id, Subscription>>; SHARDS],
    count: AtomicUsize,
}

impl Subscribers {
    fn new() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), count: AtomicUsize::new(0) }
    }

    fn shard(&self, id: &Id) -> &Mutex<HashMap<Id, Subscription>> {
        // Identifiers are random bytes of our own making, so any of them spreads evenly.
        let [first, ..] = id;
        &self.shards[usize::from(*first) % SHARDS]
    }

    /// Tells the subscriber, if there is one, of news, once until it notices.
    fn mark(&self, id: &Id, tell: impl FnOnce(&Arc<Peer>)) {
        let mut shard = self.shard(id).lock();
        if let Some(subscription) = shard.get_mut(id)
            && !subscription.posted
        {
            subscription.posted = true;
            tell(&subscription.peer);
        }
    }

    fn unmark(&self, id: &Id, token: u64) {
        let mut shard = self.shard(id).lock();
        if let Some(subscription) = shard.get_mut(id).filter(|subscription| subscription.token == token) {
            subscription.posted = false;
        }
    }
}

/// All subscriptions of a relay.
#[derive(Debug)]
pub(crate) struct Hub {
    queues: Subscribers,
    notifiers: Subscribers,
    /// The sessions of services.
    pub(crate) services: Receivers,
    next_token: AtomicU64,
    /// Connections whose notifications are due at the next tick.
    awaiting_tick: Mutex<Vec<Arc<Peer>>>,
}

impl Hub {
    pub(crate) fn new() -> Self {
        Self {
            queues: Subscribers::new(),
            notifiers: Subscribers::new(),
            services: Receivers::default(),
            next_token: AtomicU64::new(1),
            awaiting_tick: Mutex::default(),
        }
    }

    fn subscribers(&self, part: Part) -> &Subscribers {
        match part {
            Part::Recipient => &self.queues,
            Part::Notifier => &self.notifiers,
        }
    }

    /// Makes `peer` the subscriber of a queue or notifier and ends another's subscription. Returns the token of the
    /// subscription, the same as before when `peer` already had it.
    pub(crate) fn subscribe(&self, part: Part, id: Id, peer: &Arc<Peer>) -> u64 {
        let subscribers = self.subscribers(part);
        let mut shard = subscribers.shard(&id).lock();
        match shard.entry(id) {
            Entry::Occupied(mut entry) => {
                let subscription = entry.get_mut();
                if Arc::ptr_eq(&subscription.peer, peer) {
                    return subscription.token;
                }
                let token = self.next_token.fetch_add(1, Ordering::Relaxed);
                let previous =
                    std::mem::replace(subscription, Subscription { peer: Arc::clone(peer), token, posted: false });
                previous.peer.post(Event::Ended(part, id, previous.token));
                token
            }
            Entry::Vacant(entry) => {
                let token = self.next_token.fetch_add(1, Ordering::Relaxed);
                entry.insert(Subscription { peer: Arc::clone(peer), token, posted: false });
                subscribers.count.fetch_add(1, Ordering::Relaxed);
                token
            }
        }
    }

    /// Removes a subscription, unless it has gone to somebody else since.
    pub(crate) fn unsubscribe(&self, part: Part, id: &Id, token: u64) {
        let subscribers = self.subscribers(part);
        let mut shard = subscribers.shard(id).lock();
        if shard.get(id).is_some_and(|subscription| subscription.token == token) {
            shard.remove(id);
            subscribers.count.fetch_sub(1, Ordering::Relaxed);
            if shard.is_empty() {
                shard.shrink_to_fit();
            }
        }
    }

    /// Tells the subscriber of a queue, if there is one, that a message is on disk.
    pub(crate) fn message_waiting(&self, queue: &Id) {
        self.queues.mark(queue, |peer| peer.post(Event::MessageWaiting(*queue)));
    }

    /// The subscriber is about to look at the queue or notifier: from now on it must be told again.
    pub(crate) fn noticed(&self, part: Part, id: &Id, token: u64) {
        self.subscribers(part).unmark(id, token);
    }

    /// Tells the subscriber of a notifier, if there is one, at the next tick that a notification is on disk; `time` is
    /// its message's.
    pub(crate) fn notification_waiting(&self, notifier: &Id, time: i64) {
        self.notifiers.mark(notifier, |peer| {
            peer.mailbox.lock().push(Event::NotificationWaiting(*notifier, time));
            self.await_tick(peer);
        });
    }

    /// Wakes `peer` at the next tick.
    pub(crate) fn await_tick(&self, peer: &Arc<Peer>) {
        if !peer.awaits_tick.swap(true, Ordering::AcqRel) {
            self.awaiting_tick.lock().push(Arc::clone(peer));
        }
    }

    /// Wakes the connections that have notifications to write.
    pub(crate) fn tick(&self) {
        for peer in std::mem::take(&mut *self.awaiting_tick.lock()) {
            // What is posted from now on waits for the next tick.
            peer.awaits_tick.store(false, Ordering::Release);
            peer.ticked.store(true, Ordering::Release);
            peer.wake.notify_one();
        }
    }

    /// Forgets the subscription to what was deleted and tells the subscriber, unless that is the one who deleted it.
    pub(crate) fn deleted(&self, part: Part, id: &Id, deleted_by: &Arc<Peer>) {
        let subscribers = self.subscribers(part);
        let Some(subscription) = subscribers.shard(id).lock().remove(id) else { return };
        subscribers.count.fetch_sub(1, Ordering::Relaxed);
        if !Arc::ptr_eq(&subscription.peer, deleted_by) {
            subscription.peer.post(Event::Deleted(part, *id, subscription.token));
        }
    }

    /// Tells the subscriber of a queue, if there is one, that the operator blocked it.
    pub(crate) fn blocked(&self, queue: &Id, blocked: Blocked) {
        let shard = self.queues.shard(queue).lock();
        if let Some(subscription) = shard.get(queue) {
            subscription.peer.post(Event::Blocked(Box::new((*queue, subscription.token, blocked))));
        }
    }

    /// How many queues, and how many notifiers, have a subscriber.
    pub(crate) fn subscriptions_by_part(&self) -> (usize, usize) {
        (self.queues.count.load(Ordering::Relaxed), self.notifiers.count.load(Ordering::Relaxed))
    }

    /// Subscriptions that are made from now on have this token or a later one.
    pub(crate) fn next_token(&self) -> u64 {
        self.next_token.load(Ordering::Relaxed)
    }

    /// Ends the subscription to what came to a service, unless it is the session's own, or was made since `next_token` was
    /// that of the next.
    pub(crate) fn ended(&self, part: Part, id: &Id, by: &Arc<Peer>, next_token: u64) {
        let subscribers = self.subscribers(part);
        let mut shard = subscribers.shard(id).lock();
        let is_older = |it: &Subscription| !Arc::ptr_eq(&it.peer, by) && it.token < next_token;
        if shard.get(id).is_some_and(is_older)
            && let Some(subscription) = shard.remove(id)
        {
            subscribers.count.fetch_sub(1, Ordering::Relaxed);
            subscription.peer.post(Event::Ended(part, *id, subscription.token));
        }
    }

    /// How many queues and notifiers have a subscriber.
    pub(crate) fn subscriptions(&self) -> usize {
        self.queues.count.load(Ordering::Relaxed) + self.notifiers.count.load(Ordering::Relaxed)
    }

    /// Whether a queue or notifier has a subscriber.
    pub(crate) fn is_subscribed(&self, part: Part, id: &Id) -> bool {
        self.subscribers(part).shard(id).lock().contains_key(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: Id = [7; 24];

    #[test]
    fn a_takeover_ends_the_older_subscription() {
        let hub = Hub::new();
        for part in [Part::Recipient, Part::Notifier] {
            let (first, second) = (Arc::new(Peer::default()), Arc::new(Peer::default()));
            let token = hub.subscribe(part, QUEUE, &first);
            assert_eq!(hub.subscribe(part, QUEUE, &first), token);
            assert!(first.take_events().is_empty());
            let taken = hub.subscribe(part, QUEUE, &second);
            assert_eq!(first.take_events(), [Event::Ended(part, QUEUE, token)]);
            // The first connection's late clean-up must not end the second's subscription.
            hub.unsubscribe(part, &QUEUE, token);
            assert!(hub.is_subscribed(part, &QUEUE));
            hub.unsubscribe(part, &QUEUE, taken);
            assert!(!hub.is_subscribed(part, &QUEUE));
            assert_eq!(hub.subscriptions(), 0);
        }
    }

    #[test]
    fn news_are_posted_once_until_noticed() {
        let hub = Hub::new();
        let peer = Arc::new(Peer::default());
        let token = hub.subscribe(Part::Recipient, QUEUE, &peer);
        for _ in 0..1000 {
            hub.message_waiting(&QUEUE);
        }
        assert_eq!(peer.take_events(), [Event::MessageWaiting(QUEUE)]);
        hub.message_waiting(&QUEUE);
        assert!(peer.take_events().is_empty());
        hub.noticed(Part::Recipient, &QUEUE, token);
        hub.message_waiting(&QUEUE);
        assert_eq!(peer.take_events(), [Event::MessageWaiting(QUEUE)]);
    }

    #[test]
    fn what_is_posted_is_small() {
        assert!(size_of::<Event>() <= 40);
        assert!(size_of::<Subscription>() <= 24);
    }

    #[test]
    fn queues_and_notifiers_are_told_apart() {
        let hub = Hub::new();
        let (recipient, notifier) = (Arc::new(Peer::default()), Arc::new(Peer::default()));
        hub.subscribe(Part::Recipient, QUEUE, &recipient);
        hub.subscribe(Part::Notifier, QUEUE, &notifier);
        assert_eq!(hub.subscriptions(), 2);
        hub.message_waiting(&QUEUE);
        assert!(notifier.take_events().is_empty());
        hub.deleted(Part::Notifier, &QUEUE, &recipient);
        assert!(matches!(notifier.take_events()[..], [Event::Deleted(Part::Notifier, QUEUE, _)]));
        assert!(hub.is_subscribed(Part::Recipient, &QUEUE));
    }

    #[test]
    fn notifications_wait_for_the_tick() {
        let hub = Hub::new();
        let (peer, idle) = (Arc::new(Peer::default()), Arc::new(Peer::default()));
        let token = hub.subscribe(Part::Notifier, QUEUE, &peer);
        hub.subscribe(Part::Notifier, [8; 24], &idle);
        hub.notification_waiting(&[9; 24], 1);
        assert!(hub.awaiting_tick.lock().is_empty(), "nobody is subscribed");
        hub.notification_waiting(&QUEUE, 5);
        hub.notification_waiting(&QUEUE, 6);
        assert!(!peer.take_tick());
        hub.tick();
        assert!(peer.take_tick() && !peer.take_tick() && !idle.take_tick());
        assert_eq!(peer.take_events(), [Event::NotificationWaiting(QUEUE, 5)]);
        hub.tick();
        assert!(!peer.take_tick(), "no news since");
        hub.noticed(Part::Notifier, &QUEUE, token);
        hub.notification_waiting(&QUEUE, 7);
        hub.tick();
        assert!(peer.take_tick());
        assert_eq!(peer.take_events(), [Event::NotificationWaiting(QUEUE, 7)]);
    }

    #[test]
    fn a_service_ends_only_subscriptions_that_are_older() {
        let hub = Hub::new();
        let (subscriber, service) = (Arc::new(Peer::default()), Arc::new(Peer::default()));
        let before = hub.next_token();
        let token = hub.subscribe(Part::Notifier, QUEUE, &subscriber);
        hub.ended(Part::Notifier, &QUEUE, &service, before);
        assert!(subscriber.take_events().is_empty() && hub.is_subscribed(Part::Notifier, &QUEUE));
        hub.ended(Part::Notifier, &QUEUE, &subscriber, hub.next_token());
        assert!(hub.is_subscribed(Part::Notifier, &QUEUE), "its own");
        hub.ended(Part::Notifier, &QUEUE, &service, hub.next_token());
        assert_eq!(subscriber.take_events(), [Event::Ended(Part::Notifier, QUEUE, token)]);
        assert!(!hub.is_subscribed(Part::Notifier, &QUEUE));
    }

    #[test]
    fn deletion_is_told_to_others_only() {
        let hub = Hub::new();
        for part in [Part::Recipient, Part::Notifier] {
            let (first, second) = (Arc::new(Peer::default()), Arc::new(Peer::default()));
            let token = hub.subscribe(part, QUEUE, &first);
            hub.deleted(part, &QUEUE, &second);
            assert_eq!(first.take_events(), [Event::Deleted(part, QUEUE, token)]);
            hub.subscribe(part, QUEUE, &first);
            hub.deleted(part, &QUEUE, &first);
            assert!(first.take_events().is_empty());
            assert!(!hub.is_subscribed(part, &QUEUE));
        }
    }
}
