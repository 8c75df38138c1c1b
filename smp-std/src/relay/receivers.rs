//! Which session receives for a service: the hub's part for clients with so many queues that none is subscribed to by
//! itself.
//!
//! A queue that is associated with a service costs nothing here until it has news, and then its id in a set. The session
//! takes ids out of the set as fast as it can deliver, so one that does not read costs no more than that.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::hub::{Event, Peer};
use super::store::{Id, QueueSet};

#[derive(Debug)]
struct Receiver {
    peer: Arc<Peer>,
    token: u64,
    /// Queues with news, with the time of the oldest where it counts.
    news: HashMap<Id, i64>,
    /// The session was told that there are some.
    posted: bool,
}

/// The sessions of services.
#[derive(Debug, Default)]
pub(crate) struct Receivers {
    /// Those that receive, by the ids of their services.
    receivers: Mutex<HashMap<Id, Receiver>>,
    next_token: AtomicU64,
    /// How many sessions each service has.
    connected: Mutex<HashMap<Id, usize>>,
}

/// A service is connected until this is dropped.
#[derive(Debug)]
pub(crate) struct Connected {
    hub: Arc<super::hub::Hub>,
    service: Id,
}

impl Connected {
    pub(crate) fn new(hub: &Arc<super::hub::Hub>, service: Id) -> Self {
        *hub.services.connected.lock().entry(service).or_default() += 1;
        Self { hub: Arc::clone(hub), service }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        let mut connected = self.hub.services.connected.lock();
        if let Entry::Occupied(mut entry) = connected.entry(self.service) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

impl Receivers {
    /// How many services are received for.
    pub(crate) fn receiving(&self) -> usize {
        self.receivers.lock().len()
    }

    /// Whether the service has a session.
    pub(crate) fn is_connected(&self, service: &Id) -> bool {
        self.connected.lock().contains_key(service)
    }

    /// Makes `peer` the one that receives for the service, and ends it for another, which is told what it `held`. Returns
    /// the token, the same as before when `peer` already was the one, and whether another was ended.
    pub(crate) fn receive(&self, service: Id, peer: &Arc<Peer>, held: QueueSet) -> (u64, bool) {
        let mut receivers = self.receivers.lock();
        let token = || self.next_token.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let new = |token| Receiver { peer: Arc::clone(peer), token, news: HashMap::new(), posted: false };
        match receivers.entry(service) {
            Entry::Occupied(entry) if Arc::ptr_eq(&entry.get().peer, peer) => (entry.get().token, false),
            Entry::Occupied(mut entry) => {
                let token = token();
                let previous = entry.insert(new(token));
                previous.peer.post(Event::ServiceEnded(previous.token, held));
                (token, true)
            }
            Entry::Vacant(entry) => (entry.insert(new(token())).token, false),
        }
    }

    /// The session does not receive any more, unless another took over before.
    pub(crate) fn leave(&self, service: &Id, token: u64) {
        let mut receivers = self.receivers.lock();
        if receivers.get(service).is_some_and(|receiver| receiver.token == token) {
            receivers.remove(service);
        }
    }

    /// Tells the session that receives for the service, if there is one, that a message for the queue is on disk.
    pub(crate) fn message_waiting(&self, service: &Id, queue: &Id) {
        if let Some(receiver) = self.receivers.lock().get_mut(service) {
            receiver.news.entry(*queue).or_insert(0);
            receiver.post_news();
        }
    }

    /// Remembers that a notification of this time is on disk. Returns the session that receives for the service, which is to
    /// be woken at the next tick.
    pub(crate) fn notification_waiting(&self, service: &Id, notifier: &Id, time: i64) -> Option<Arc<Peer>> {
        let mut receivers = self.receivers.lock();
        let receiver = receivers.get_mut(service)?;
        let oldest = receiver.news.entry(*notifier).or_insert(time);
        *oldest = time.min(*oldest);
        Some(Arc::clone(&receiver.peer))
    }

    /// Whether a session receives for the service.
    pub(crate) fn has_receiver(&self, service: &Id) -> bool {
        self.receivers.lock().contains_key(service)
    }

    /// Takes up to `limit` queues with news, and tells whether there are more, of which the session is not told again.
    pub(crate) fn take_news(&self, service: &Id, token: u64, limit: usize) -> (Vec<(Id, i64)>, bool) {
        let mut receivers = self.receivers.lock();
        let Some(receiver) = receivers.get_mut(service).filter(|receiver| receiver.token == token) else {
            return (Vec::new(), false);
        };
        if receiver.news.len() <= limit {
            receiver.posted = false;
            return (std::mem::take(&mut receiver.news).into_iter().collect(), false);
        }
        let taken: Vec<(Id, i64)> = receiver.news.iter().take(limit).map(|(id, time)| (*id, *time)).collect();
        for (id, _) in &taken {
            receiver.news.remove(id);
        }
        (taken, true)
    }

    /// A queue does not belong to the service any more: tells the session that receives for it, unless that is the one who
    /// did it.
    pub(crate) fn queue_lost(&self, service: &Id, queue: &Id, deleted: bool, by: &Arc<Peer>) {
        if let Some(receiver) = self.receivers.lock().get_mut(service) {
            receiver.news.remove(queue);
            if !Arc::ptr_eq(&receiver.peer, by) {
                let token = receiver.token;
                receiver.peer.post(Event::ServiceQueueLost(*queue, token, deleted));
            }
        }
    }
}

impl Receiver {
    fn post_news(&mut self) {
        if !self.posted {
            self.posted = true;
            self.peer.post(Event::ServiceNews(self.token));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::hub::Hub;

    const SERVICE: Id = [1; 24];

    fn peers() -> (Arc<Peer>, Arc<Peer>) {
        Default::default()
    }

    #[test]
    fn one_session_receives_and_the_older_one_hears_what_it_held() {
        let receivers = Receivers::default();
        let (first, second) = peers();
        let held = QueueSet::default().with(&[9; 24]);
        let (token, ended) = receivers.receive(SERVICE, &first, QueueSet::default());
        assert!(!ended);
        assert_eq!(receivers.receive(SERVICE, &first, held), (token, false));
        assert!(first.take_events().is_empty());
        let (taken, ended) = receivers.receive(SERVICE, &second, held);
        assert!(ended && taken != token);
        assert_eq!(first.take_events(), [Event::ServiceEnded(token, held)]);
        // The first session's late clean-up must not end the second.
        receivers.leave(&SERVICE, token);
        receivers.message_waiting(&SERVICE, &[9; 24]);
        assert_eq!(second.take_events(), [Event::ServiceNews(taken)]);
        receivers.leave(&SERVICE, taken);
        assert!(receivers.receivers.lock().is_empty());
    }

    #[test]
    fn news_are_posted_once_and_taken_in_parts() {
        let receivers = Receivers::default();
        let (peer, other) = peers();
        let (token, _) = receivers.receive(SERVICE, &peer, QueueSet::default());
        for number in 0..1000u64 {
            let mut queue = [0; 24];
            queue[..8].copy_from_slice(&(number / 2).to_be_bytes());
            receivers.message_waiting(&SERVICE, &queue);
            receivers.message_waiting(&[2; 24], &queue);
        }
        assert_eq!(peer.take_events(), [Event::ServiceNews(token)]);
        receivers.queue_lost(&SERVICE, &[0; 24], true, &peer);
        assert!(peer.take_events().is_empty(), "it did that itself");
        let (taken, more) = receivers.take_news(&SERVICE, token, 300);
        assert_eq!((taken.len(), more), (300, true));
        receivers.message_waiting(&SERVICE, &[7; 24]);
        assert!(peer.take_events().is_empty(), "it knows that there is more");
        let (taken, more) = receivers.take_news(&SERVICE, token, 300);
        assert_eq!((taken.len(), more), (200, false));
        assert!(receivers.take_news(&SERVICE, token + 1, 300).0.is_empty());
        receivers.message_waiting(&SERVICE, &[7; 24]);
        assert_eq!(peer.take_events(), [Event::ServiceNews(token)]);
        receivers.queue_lost(&SERVICE, &[7; 24], false, &other);
        assert_eq!(peer.take_events(), [Event::ServiceQueueLost([7; 24], token, false)]);
        assert!(receivers.take_news(&SERVICE, token, 300).0.is_empty());
    }

    #[test]
    fn a_service_is_connected_as_long_as_any_of_its_sessions() {
        let hub = Arc::new(Hub::new());
        let first = Connected::new(&hub, SERVICE);
        let second = Connected::new(&hub, SERVICE);
        drop(first);
        assert!(hub.services.is_connected(&SERVICE));
        drop(second);
        assert!(!hub.services.is_connected(&SERVICE));
        assert!(hub.services.connected.lock().is_empty());
    }
}
