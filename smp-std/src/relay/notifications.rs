//! The notifiers one connection listens to, and whose notifications are due (wire reference, section 10.6).
//!
//! As with messages, a connection keeps no notifications: it remembers which notifiers have some, and fetches them from
//! the store, oldest first over all its notifiers, when a block can be written.
//!
//! Only the connection's own task touches this, so it needs no locks: others speak to it through the hub.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::Arc;

use super::Relay;
use super::hub::Part;
use super::store::{Id, Notified};

impl Relay {
    /// Lets connections write the notifications that came since the last time, again and again.
    pub(super) async fn deliver_notifications(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = tokio::time::sleep(self.config().notifications.interval()) => self.hub.tick(),
            }
        }
    }

    /// Counts what became of the notification of a message.
    pub(super) fn count_notification(&self, notified: &Notified) {
        let stats = &self.stats.queues;
        stats.notifications_lost.add(notified.lost);
        let heard = match &notified.service {
            Some(service) => self.hub.services.has_receiver(service),
            None => self.hub.is_subscribed(Part::Notifier, &notified.notifier_id),
        };
        if notified.stored && !heard {
            stats.notifications_unsubscribed.one();
        }
    }
}

/// The token of no subscription.
const BY_SERVICE: u64 = 0;

#[derive(Clone, Copy, Debug)]
struct Listening {
    /// Of the subscription in the hub; [`BY_SERVICE`] when the notifier is one of the service's that the session receives
    /// for. Nothing is kept of such a notifier while it has no notifications.
    token: u64,
    /// The sequence number behind the notification delivered last.
    next: u64,
    /// The notifier waits in `due`.
    due: bool,
}

/// A notifier whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// The notifier.
    pub(crate) notifier: Id,
    /// The token of its subscription in the hub.
    pub(crate) token: u64,
    /// The time it was queued for: its oldest notification is not older.
    pub(crate) time: i64,
    /// Notifications before this sequence number were delivered.
    pub(crate) next: u64,
}

/// The notifiers of one connection.
#[derive(Debug, Default)]
pub(crate) struct Notifications {
    notifiers: HashMap<Id, Listening>,
    /// Notifiers with news, those with the oldest first.
    due: BinaryHeap<Reverse<(i64, Id)>>,
    /// The tick came: what is due may be written.
    released: bool,
    /// What is in the block that is written now: the sequence number behind the last of each notifier.
    delivered: HashMap<Id, u64>,
}

impl Notifications {
    /// How many notifiers are subscribed to.
    pub(crate) fn subscribed(&self) -> usize {
        self.notifiers.len()
    }

    /// Whether the notifier is subscribed to.
    pub(crate) fn contains(&self, notifier: &Id) -> bool {
        self.notifiers.contains_key(notifier)
    }

    /// Whether the notifier is subscribed to under this token, for all that was heard.
    pub(crate) fn holds(&self, notifier: &Id, token: u64) -> bool {
        self.notifiers.get(notifier).is_some_and(|listening| listening.token == token)
    }

    /// NSUB: notifications are pushed from now on; `oldest` is the time of the first that waits.
    pub(crate) fn subscribe(&mut self, notifier: Id, token: u64, oldest: Option<i64>) {
        let new = Listening { token, next: 0, due: false };
        self.notifiers.entry(notifier).or_insert(new).token = token;
        if let Some(time) = oldest {
            self.waiting(notifier, time);
        }
    }

    /// A notification of this time is there for one of the service's notifiers.
    pub(crate) fn service_news(&mut self, notifier: Id, time: i64) {
        self.notifiers.entry(notifier).or_insert(Listening { token: BY_SERVICE, next: 0, due: false });
        self.waiting(notifier, time);
    }

    /// Nothing is known to wait for a notifier: forgets it if it is one of the service's. What was pushed and is not known
    /// as delivered to the store yet must not be taken for new.
    pub(crate) fn idle(&mut self, notifier: &Id) {
        let forget = |listening: &Listening| listening.token == BY_SERVICE && !listening.due;
        if !self.delivered.contains_key(notifier) && self.notifiers.get(notifier).is_some_and(forget) {
            self.remove(notifier);
        }
    }

    /// A notifier left the service.
    pub(crate) fn lost_by_service(&mut self, notifier: &Id) {
        self.lost(notifier, BY_SERVICE);
    }

    /// The session does not receive for the service any more.
    pub(crate) fn end_service(&mut self) {
        self.notifiers.retain(|_, listening| listening.token != BY_SERVICE);
        let Self { notifiers, due, .. } = self;
        due.retain(|Reverse((_, notifier))| notifiers.contains_key(notifier));
        notifiers.shrink_to_fit();
    }

    /// A notification of this time is there.
    pub(crate) fn waiting(&mut self, notifier: Id, time: i64) {
        if let Some(listening) = self.notifiers.get_mut(&notifier)
            && !listening.due
        {
            listening.due = true;
            self.due.push(Reverse((time, notifier)));
        }
    }

    /// The tick came: what is due by now is written, and what comes due until all is written.
    pub(crate) fn release(&mut self) {
        self.released = !self.due.is_empty();
    }

    /// Whether any notifier waits to be looked at.
    pub(crate) fn has_due(&self) -> bool {
        self.released
    }

    /// The notifier with the oldest news. It is told again of those that are left by [`Self::waiting`].
    pub(crate) fn next_due(&mut self) -> Option<Due> {
        while self.released {
            let Some(Reverse((time, notifier))) = self.due.pop() else {
                self.released = false;
                break;
            };
            // Of a subscription that was lost, and maybe taken again, something may be left.
            let Some(listening) = self.notifiers.get_mut(&notifier).filter(|listening| listening.due) else { continue };
            listening.due = false;
            return Some(Due { notifier, token: listening.token, time, next: listening.next });
        }
        None
    }

    /// The notification with the sequence number before `next` is in a block to the client.
    pub(crate) fn pushed(&mut self, notifier: &Id, next: u64) {
        if let Some(listening) = self.notifiers.get_mut(notifier) {
            listening.next = next;
        }
        self.delivered.insert(*notifier, next);
    }

    /// What was pushed since the last call: notifiers, and the sequence number behind the last notification of each.
    pub(crate) fn take_delivered(&mut self) -> HashMap<Id, u64> {
        std::mem::take(&mut self.delivered)
    }

    /// Another connection took the subscription with this token, or the notifier was deleted. False when the
    /// subscription was renewed since, so that the news are old.
    pub(crate) fn lost(&mut self, notifier: &Id, token: u64) -> bool {
        let lost = self.holds(notifier, token);
        if lost {
            self.remove(notifier);
        }
        lost
    }

    /// Forgets a notifier that this connection deleted.
    pub(crate) fn remove(&mut self, notifier: &Id) {
        self.notifiers.remove(notifier);
        // What is lost and taken again and again must not pile up.
        if self.due.len() > 2 * self.notifiers.len() + 64 {
            let Self { notifiers, due, .. } = self;
            let mut seen = HashSet::new();
            due.retain(|Reverse((_, notifier))| {
                notifiers.get(notifier).is_some_and(|listening| listening.due) && seen.insert(*notifier)
            });
        }
    }

    /// Every subscription with its token, for the hub to forget.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = (&Id, u64)> {
        let by_itself = self.notifiers.iter().filter(|(_, listening)| listening.token != BY_SERVICE);
        by_itself.map(|(notifier, listening)| (notifier, listening.token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Id = [1; 24];
    const SECOND: Id = [2; 24];

    #[test]
    fn the_oldest_go_first_and_only_after_the_tick() {
        let mut notifications = Notifications::default();
        notifications.subscribe(FIRST, 5, Some(30));
        notifications.subscribe(SECOND, 6, None);
        notifications.waiting(SECOND, 20);
        notifications.waiting(SECOND, 10);
        notifications.waiting([9; 24], 1);
        assert!(!notifications.has_due());
        assert_eq!(notifications.next_due(), None);
        notifications.release();
        assert!(notifications.has_due());
        assert_eq!(notifications.next_due(), Some(Due { notifier: SECOND, token: 6, time: 20, next: 0 }));
        notifications.pushed(&SECOND, 2);
        notifications.pushed(&SECOND, 3);
        assert_eq!(notifications.take_delivered(), HashMap::from([(SECOND, 3)]));
        assert!(notifications.take_delivered().is_empty());
        notifications.waiting(SECOND, 40);
        assert_eq!(notifications.next_due(), Some(Due { notifier: FIRST, token: 5, time: 30, next: 0 }));
        assert_eq!(notifications.next_due(), Some(Due { notifier: SECOND, token: 6, time: 40, next: 3 }));
        assert_eq!(notifications.next_due(), None);
        assert!(!notifications.has_due());
        notifications.waiting(FIRST, 50);
        assert!(!notifications.has_due(), "it waits for the next tick");
        notifications.release();
        assert!(notifications.next_due().is_some());
    }

    #[test]
    fn a_tick_without_news_releases_nothing() {
        let mut notifications = Notifications::default();
        notifications.subscribe(FIRST, 5, None);
        notifications.release();
        notifications.waiting(FIRST, 1);
        assert!(!notifications.has_due());
    }

    #[test]
    fn a_lost_subscription_is_not_due() {
        let mut notifications = Notifications::default();
        notifications.subscribe(FIRST, 5, Some(1));
        assert!(!notifications.lost(&FIRST, 4));
        assert!(notifications.lost(&FIRST, 5));
        notifications.release();
        assert_eq!(notifications.next_due(), None);
        // Taken again, it is due once.
        notifications.subscribe(FIRST, 6, Some(1));
        assert!(notifications.lost(&FIRST, 6));
        notifications.subscribe(FIRST, 7, Some(1));
        notifications.release();
        assert_eq!(notifications.next_due().map(|due| due.token), Some(7));
        assert_eq!(notifications.next_due(), None);
    }

    #[test]
    fn subscriptions_that_come_and_go_do_not_pile_up() {
        let mut notifications = Notifications::default();
        notifications.subscribe(SECOND, 1, Some(5));
        for token in 2..1_000 {
            notifications.subscribe(FIRST, token, Some(4));
            assert!(notifications.lost(&FIRST, token));
            assert!(notifications.due.len() <= 70, "{}", notifications.due.len());
        }
        notifications.release();
        assert_eq!(notifications.next_due().map(|due| due.notifier), Some(SECOND));
        assert!(size_of::<(Id, Listening)>() <= 48);
    }

    #[test]
    fn nothing_is_kept_of_a_services_notifier_that_is_idle() {
        let mut notifications = Notifications::default();
        notifications.subscribe(SECOND, 6, None);
        notifications.service_news(FIRST, 5);
        notifications.service_news(FIRST, 9);
        notifications.release();
        assert_eq!(notifications.next_due(), Some(Due { notifier: FIRST, token: BY_SERVICE, time: 5, next: 0 }));
        notifications.pushed(&FIRST, 1);
        notifications.idle(&FIRST);
        assert!(notifications.contains(&FIRST), "the store does not know yet that it was delivered");
        assert_eq!(notifications.take_delivered().len(), 1);
        notifications.idle(&FIRST);
        notifications.idle(&SECOND);
        assert!(!notifications.contains(&FIRST) && notifications.contains(&SECOND));
        notifications.service_news(FIRST, 10);
        assert_eq!(notifications.tokens().count(), 1, "the hub has the others");
        notifications.end_service();
        assert_eq!(notifications.subscribed(), 1);
        notifications.release();
        assert_eq!(notifications.next_due(), None);
    }
}
