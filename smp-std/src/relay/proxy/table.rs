//! Which relays there are connections to, and which could not be reached lately.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{Failure, Outcome, Upstream};

/// Failures that are remembered; when there are more, the oldest is forgotten.
const FAILURES: usize = 1_000;

/// A relay that has left a command unanswered for so long makes room for another when all connections are in use. An
/// honest one needs moments; with silent ones a few clients could keep all the connections there may be.
const LONG: Duration = Duration::from_secs(2);

/// SHA-256 of a relay's address, with all its hosts, its port and its fingerprint.
type Name = [u8; 32];

/// Which relays there are connections to. Addresses themselves are not kept.
#[derive(Default)]
pub(super) struct Table {
    relays: HashMap<Name, Entry>,
    sessions: HashMap<Box<[u8]>, Arc<Upstream>>,
    /// Entries of relays that could not be reached.
    failed: usize,
}

enum Entry {
    Connecting(watch::Receiver<Outcome>),
    Connected(Arc<Upstream>),
    Failed(Failure, Instant),
}

/// What there is of a relay.
pub(super) enum Found {
    Connected(Arc<Upstream>),
    Connecting(watch::Receiver<Outcome>),
    Failed(Failure),
    /// Nothing, and no more connections can be made now.
    Busy,
    /// Nothing; whoever asked makes the connection and tells here.
    New(watch::Sender<Outcome>),
}

impl Table {
    /// What there is of a relay. With a limit, a new connection may be made if there are fewer.
    pub(super) fn get(&mut self, name: &Name, limit: Option<usize>, now: Instant) -> Found {
        match self.relays.get(name) {
            Some(Entry::Connected(upstream)) if !upstream.is_closed() => {
                return Found::Connected(Arc::clone(upstream));
            }
            // Whoever connects is there as long as it can tell, also when it has told already.
            Some(Entry::Connecting(outcome)) if outcome.has_changed().is_ok() => {
                return Found::Connecting(outcome.clone());
            }
            Some(Entry::Failed(failure, until)) if now < *until => return Found::Failed(failure.clone()),
            // What is left of a task that panicked must not stand for the relay for ever.
            Some(Entry::Connected(upstream)) => {
                let upstream = Arc::clone(upstream);
                self.ended(name, &upstream.session_id);
            }
            Some(_) => self.remove(name),
            None => {}
        }
        let Some(limit) = limit else { return Found::Busy };
        while self.connections() >= limit {
            if !self.evict(now) {
                // All of them are in use, by relays that answer.
                return Found::Busy;
            }
        }
        let (sender, receiver) = watch::channel(None);
        self.relays.insert(*name, Entry::Connecting(receiver));
        Found::New(sender)
    }

    /// A connection that was being made is there.
    pub(super) fn connected(&mut self, name: Name, upstream: &Arc<Upstream>) {
        self.remove(&name);
        self.relays.insert(name, Entry::Connected(Arc::clone(upstream)));
        self.sessions.insert(upstream.session_id.clone(), Arc::clone(upstream));
    }

    /// A connection could not be made.
    pub(super) fn failed(&mut self, name: Name, failure: Failure, until: Instant) {
        self.remove(&name);
        if self.failed >= FAILURES {
            let oldest = self.relays.iter().filter_map(|(name, entry)| match entry {
                Entry::Failed(_, until) => Some((*until, *name)),
                _ => None,
            });
            if let Some((_, oldest)) = oldest.min() {
                self.remove(&oldest);
            }
        }
        self.relays.insert(name, Entry::Failed(failure, until));
        self.failed = self.failed.saturating_add(1);
    }

    /// A connection that was being made is not made any more.
    pub(super) fn given_up(&mut self, name: &Name) {
        self.remove(name);
    }

    /// A connection has ended.
    pub(super) fn ended(&mut self, name: &Name, session_id: &[u8]) {
        let Some(upstream) = self.sessions.remove(session_id) else { return };
        // Another may have taken its place.
        if let Some(Entry::Connected(current)) = self.relays.get(name)
            && Arc::ptr_eq(current, &upstream)
        {
            self.remove(name);
        }
    }

    /// The connection with this session identifier.
    pub(super) fn find(&self, session_id: &[u8]) -> Option<Arc<Upstream>> {
        self.sessions.get(session_id).filter(|upstream| !upstream.is_closed()).cloned()
    }

    /// Connections, also those being made.
    pub(super) fn connections(&self) -> usize {
        self.relays.len().saturating_sub(self.failed)
    }

    fn remove(&mut self, name: &Name) {
        if let Some(Entry::Failed(..)) = self.relays.remove(name) {
            self.failed = self.failed.saturating_sub(1);
        }
    }

    /// Closes the connection that nobody has used for longest, or if all are in use that to the relay that has been silent
    /// for longest; `false` when all relays answer.
    fn evict(&mut self, now: Instant) -> bool {
        let connected = || {
            self.relays.iter().filter_map(|(name, entry)| match entry {
                Entry::Connected(upstream) => Some((name, upstream)),
                _ => None,
            })
        };
        let idle = connected().filter(|(_, upstream)| upstream.is_idle());
        let idle = idle.map(|(name, upstream)| (upstream.last_used.load(Ordering::Relaxed), *name)).min();
        let silent =
            || connected().filter_map(|(name, upstream)| Some((upstream.silent_since(now, LONG)?, *name))).min();
        let Some(name) = idle.map(|(_, name)| name).or_else(|| silent().map(|(_, name)| name)) else { return false };
        if let MapEntry::Occupied(entry) = self.relays.entry(name)
            && let Entry::Connected(upstream) = entry.remove()
        {
            self.sessions.remove(&upstream.session_id);
            upstream.closing.cancel();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn name(number: u16) -> Name {
        let mut name = [0; 32];
        name[..2].copy_from_slice(&number.to_be_bytes());
        name
    }

    #[tokio::test]
    async fn failures_are_remembered_for_their_time_and_not_without_bound() {
        let mut table = Table::default();
        let now = Instant::now();
        for number in 0..3_000 {
            let Found::New(_sender) = table.get(&name(number), Some(10), now) else { panic!("not new") };
            assert!(matches!(table.get(&name(number), Some(10), now), Found::Connecting(_)));
            let until = now + Duration::from_millis(30_000 + u64::from(number));
            table.failed(name(number), Failure::Network, until);
        }
        assert_eq!((table.relays.len(), table.connections()), (FAILURES, 0));
        assert!(matches!(table.get(&name(2_999), Some(10), now), Found::Failed(Failure::Network)));
        assert!(matches!(table.get(&name(2_999), Some(10), now + Duration::from_secs(40)), Found::New(_)));
        assert_eq!(table.connections(), 1);
        assert!(matches!(table.get(&name(0), Some(10), now), Found::New(_)));
    }

    #[tokio::test]
    async fn nothing_waits_for_a_task_that_panicked() {
        let mut table = Table::default();
        let now = Instant::now();
        let Found::New(sender) = table.get(&name(1), Some(1), now) else { panic!("not new") };
        drop(sender);
        let Found::New(_sender) = table.get(&name(1), Some(1), now) else { panic!("there is nobody") };
        let (requests, receiver) = tokio::sync::mpsc::unbounded_channel();
        let upstream = Upstream::for_test(requests);
        table.connected(name(1), &upstream);
        assert!(matches!(table.get(&name(1), Some(1), now), Found::Connected(_)));
        assert!(table.find(&upstream.session_id).is_some());
        drop(receiver);
        assert!(table.find(&upstream.session_id).is_none());
        let Found::New(_sender) = table.get(&name(1), Some(1), now) else { panic!("there is nobody") };
        assert_eq!((table.connections(), table.sessions.len()), (1, 0));
    }

    /// Each with a command in flight: only who has left it unanswered for long makes room, the longest first.
    #[tokio::test]
    async fn silent_relays_make_room_when_all_connections_are_in_use() {
        let mut table = Table::default();
        let now = Instant::now();
        let later = |milliseconds| now + Duration::from_millis(milliseconds);
        let mut held = Vec::new();
        for (number, since) in [(0, Some(later(500))), (1, Some(later(0))), (2, None), (3, Some(later(1_500)))] {
            let (requests, receiver) = tokio::sync::mpsc::unbounded_channel();
            let upstream = Upstream::for_test(requests);
            *upstream.waiting_since.lock() = since;
            table.connected(name(number), &upstream);
            held.push((upstream.in_flight.take().unwrap(), receiver, upstream));
        }
        assert!(matches!(table.get(&name(9), Some(4), later(1_999)), Found::Busy));
        let mut new = Vec::new();
        for (number, at, gone) in [(9, 2_500, 1), (10, 2_500, 0), (11, 3_500, 3)] {
            assert!(!held[gone].2.closing.is_cancelled());
            new.push(table.get(&name(number), Some(4), later(at)));
            assert!(matches!(new.last(), Some(Found::New(_))), "{number}");
            assert!(held[gone].2.closing.is_cancelled(), "{number}");
        }
        assert!(matches!(table.get(&name(12), Some(4), later(90_000)), Found::Busy));
        assert!(!held[2].2.closing.is_cancelled(), "nobody waits for it");
    }

    #[tokio::test]
    async fn there_are_only_so_many_connections() {
        let mut table = Table::default();
        let now = Instant::now();
        let _first: Vec<_> = (0..5).map(|number| table.get(&name(number), Some(5), now)).collect();
        assert!(matches!(table.get(&name(9), Some(5), now), Found::Busy));
        assert_eq!(table.connections(), 5);
    }
}
