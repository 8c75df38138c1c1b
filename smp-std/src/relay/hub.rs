//! Who is subscribed to what: the one place where connections meet.
//!
//! The hub knows connections, never users. It holds no messages: a subscriber is told that a queue has something new
//! and fetches it from the store when it can write, so a slow reader costs a few bytes for each queue and not 16 KB.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::store::Id;

const SHARDS: usize = 64;

/// What a connection is told by others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The queue has a message that the subscriber may not have seen.
    MessageWaiting(Id),
    /// Another connection took over the subscription of this token.
    Ended(Id, u64),
    /// The queue of the subscription of this token was deleted by another connection.
    Deleted(Id, u64),
}

/// One connection, as the others see it.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    mailbox: Mutex<Vec<Event>>,
    wake: Notify,
    closing: AtomicBool,
    /// Seconds since the relay started at which the last block was received.
    pub(crate) last_received: AtomicU64,
    /// Seconds since the relay started at which the last block was sent.
    pub(crate) last_sent: AtomicU64,
    /// Queues this connection is subscribed to.
    pub(crate) subscriptions: AtomicU32,
}

impl Peer {
    fn post(&self, event: Event) {
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
    /// A `MessageWaiting` is in the mailbox: one is enough, so mailboxes stay as small as the set of subscriptions.
    posted: bool,
}

/// All subscriptions of a relay.
#[derive(Debug)]
pub(crate) struct Hub {
    shards: [Mutex<HashMap<Id, Subscription>>; SHARDS],
    next_token: AtomicU64,
    count: AtomicUsize,
}

impl Hub {
    pub(crate) fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            next_token: AtomicU64::new(1),
            count: AtomicUsize::new(0),
        }
    }

    fn shard(&self, queue: &Id) -> &Mutex<HashMap<Id, Subscription>> {
        // Recipient ids are random bytes of our own making, so any of them spreads evenly.
        let [first, ..] = queue;
        &self.shards[usize::from(*first) % SHARDS]
    }

    /// Makes `peer` the subscriber of a queue and ends another's subscription. Returns the token of the subscription,
    /// the same as before when `peer` already had it.
    pub(crate) fn subscribe(&self, queue: Id, peer: &Arc<Peer>) -> u64 {
        let mut shard = self.shard(&queue).lock();
        match shard.entry(queue) {
            Entry::Occupied(mut entry) => {
                let subscription = entry.get_mut();
                if Arc::ptr_eq(&subscription.peer, peer) {
                    return subscription.token;
                }
                let token = self.next_token.fetch_add(1, Ordering::Relaxed);
                let previous =
                    std::mem::replace(subscription, Subscription { peer: Arc::clone(peer), token, posted: false });
                previous.peer.post(Event::Ended(queue, previous.token));
                token
            }
            Entry::Vacant(entry) => {
                let token = self.next_token.fetch_add(1, Ordering::Relaxed);
                entry.insert(Subscription { peer: Arc::clone(peer), token, posted: false });
                self.count.fetch_add(1, Ordering::Relaxed);
                token
            }
        }
    }

    /// Removes a subscription, unless it has gone to somebody else since.
    pub(crate) fn unsubscribe(&self, queue: &Id, token: u64) {
        let mut shard = self.shard(queue).lock();
        if shard.get(queue).is_some_and(|subscription| subscription.token == token) {
            shard.remove(queue);
            self.count.fetch_sub(1, Ordering::Relaxed);
            if shard.is_empty() {
                shard.shrink_to_fit();
            }
        }
    }

    /// Tells the subscriber of a queue, if there is one, that a message is on disk.
    pub(crate) fn message_waiting(&self, queue: &Id) {
        let mut shard = self.shard(queue).lock();
        if let Some(subscription) = shard.get_mut(queue)
            && !subscription.posted
        {
            subscription.posted = true;
            subscription.peer.post(Event::MessageWaiting(*queue));
        }
    }

    /// The subscriber is about to look at the queue: from now on it must be told again.
    pub(crate) fn message_noticed(&self, queue: &Id, token: u64) {
        let mut shard = self.shard(queue).lock();
        if let Some(subscription) = shard.get_mut(queue).filter(|subscription| subscription.token == token) {
            subscription.posted = false;
        }
    }

    /// Forgets the subscription of a deleted queue and tells its subscriber, unless that is the one who deleted it.
    pub(crate) fn queue_deleted(&self, queue: &Id, deleted_by: &Arc<Peer>) {
        let Some(subscription) = self.shard(queue).lock().remove(queue) else { return };
        self.count.fetch_sub(1, Ordering::Relaxed);
        if !Arc::ptr_eq(&subscription.peer, deleted_by) {
            subscription.peer.post(Event::Deleted(*queue, subscription.token));
        }
    }

    /// How many queues have a subscriber.
    pub(crate) fn subscriptions(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether a queue has a subscriber.
    #[cfg(test)]
    fn is_subscribed(&self, queue: &Id) -> bool {
        self.shard(queue).lock().contains_key(queue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: Id = [7; 24];

    #[test]
    fn a_takeover_ends_the_older_subscription() {
        let hub = Hub::new();
        let (first, second) = (Arc::new(Peer::default()), Arc::new(Peer::default()));
        let token = hub.subscribe(QUEUE, &first);
        assert_eq!(hub.subscribe(QUEUE, &first), token);
        assert!(first.take_events().is_empty());
        let taken = hub.subscribe(QUEUE, &second);
        assert_eq!(first.take_events(), [Event::Ended(QUEUE, token)]);
        // The first connection's late clean-up must not end the second's subscription.
        hub.unsubscribe(&QUEUE, token);
        assert!(hub.is_subscribed(&QUEUE));
        hub.unsubscribe(&QUEUE, taken);
        assert!(!hub.is_subscribed(&QUEUE));
        assert_eq!(hub.subscriptions(), 0);
    }

    #[test]
    fn news_are_posted_once_until_noticed() {
        let hub = Hub::new();
        let peer = Arc::new(Peer::default());
        let token = hub.subscribe(QUEUE, &peer);
        for _ in 0..1000 {
            hub.message_waiting(&QUEUE);
        }
        assert_eq!(peer.take_events(), [Event::MessageWaiting(QUEUE)]);
        hub.message_waiting(&QUEUE);
        assert!(peer.take_events().is_empty());
        hub.message_noticed(&QUEUE, token);
        hub.message_waiting(&QUEUE);
        assert_eq!(peer.take_events(), [Event::MessageWaiting(QUEUE)]);
    }

    #[test]
    fn deletion_is_told_to_others_only() {
        let hub = Hub::new();
        let (first, second) = (Arc::new(Peer::default()), Arc::new(Peer::default()));
        let token = hub.subscribe(QUEUE, &first);
        hub.queue_deleted(&QUEUE, &second);
        assert_eq!(first.take_events(), [Event::Deleted(QUEUE, token)]);
        hub.subscribe(QUEUE, &first);
        hub.queue_deleted(&QUEUE, &first);
        assert!(first.take_events().is_empty());
        assert!(!hub.is_subscribed(&QUEUE));
    }
}
