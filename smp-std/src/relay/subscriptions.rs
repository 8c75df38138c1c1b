//! The queues one connection receives from, and what of each was delivered to it (wire reference, sections 7.5, 10.3).
//!
//! Only the connection's own task touches this, so it needs no locks: others speak to it through the hub.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};

use super::store::Id;

/// How a connection receives from a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Messages are pushed; the token of the subscription in the hub.
    Subscribed(u64),
    /// Messages are pushed because the queue is one of the service's that the session receives for. Nothing is kept of such
    /// a queue while nothing of it is outstanding.
    Service,
    /// Messages are fetched one by one with GET.
    Fetching,
}

/// What was delivered last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outstanding {
    Nothing,
    /// This message waits for its acknowledgement.
    Delivered(Id),
    /// Its acknowledgement is on the way to the disk.
    Acknowledging,
}

#[derive(Clone, Copy, Debug)]
struct Receiving {
    mode: Mode,
    outstanding: Outstanding,
    /// Something may have arrived while a message was outstanding.
    look_again: bool,
    /// What was delivered is delivered once more.
    redeliver: bool,
    /// The queue waits in `due`.
    due: bool,
}

impl Receiving {
    const fn new(mode: Mode, outstanding: Outstanding) -> Self {
        Self { mode, outstanding, look_again: false, redeliver: false, due: false }
    }
}

/// The queues of one connection.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    queues: HashMap<Id, Receiving>,
    /// Queues whose first message should be delivered when there is room in a block.
    due: VecDeque<Id>,
    /// How many queues are fetched from.
    fetched: usize,
}

/// A command does not go with how the connection receives from the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prohibited;

impl Subscriptions {
    /// How many queues are subscribed to.
    pub(crate) fn subscribed(&self) -> usize {
        self.queues.len().saturating_sub(self.fetched)
    }

    /// How many queues are fetched from.
    pub(crate) fn fetched(&self) -> usize {
        self.fetched
    }

    /// How the connection receives from a queue.
    pub(crate) fn mode(&self, queue: &Id) -> Option<Mode> {
        self.queues.get(queue).map(|receiving| receiving.mode)
    }

    /// The message that waits for its acknowledgement.
    pub(crate) fn delivered(&self, queue: &Id) -> Option<Id> {
        match self.queues.get(queue)?.outstanding {
            Outstanding::Delivered(id) => Some(id),
            Outstanding::Nothing | Outstanding::Acknowledging => None,
        }
    }

    /// SUB: messages of the queue are pushed from now on, the first one again if it was delivered before.
    pub(crate) fn subscribe(&mut self, queue: Id, token: u64) {
        let new = Receiving::new(Mode::Subscribed(token), Outstanding::Nothing);
        let receiving = self.queues.entry(queue).or_insert(new);
        receiving.mode = Mode::Subscribed(token);
        if receiving.outstanding == Outstanding::Acknowledging {
            receiving.look_again = true;
            return;
        }
        // What was delivered can be acknowledged until it is delivered again.
        receiving.redeliver = true;
        Self::make_due(&mut self.due, queue, receiving);
    }

    /// SUB of one of the service's queues: as above.
    pub(crate) fn subscribe_service(&mut self, queue: Id) {
        let new = Receiving::new(Mode::Service, Outstanding::Nothing);
        let receiving = self.queues.entry(queue).or_insert(new);
        if receiving.outstanding == Outstanding::Acknowledging {
            receiving.look_again = true;
            return;
        }
        receiving.redeliver = true;
        Self::make_due(&mut self.due, queue, receiving);
    }

    /// Somebody sent to one of the service's queues.
    pub(crate) fn service_news(&mut self, queue: Id) {
        self.queues.entry(queue).or_insert(Receiving::new(Mode::Service, Outstanding::Nothing));
        self.message_waiting(&queue);
    }

    /// The first message of one of the service's queues is about to be delivered. False when something of the queue is
    /// outstanding or due already.
    pub(crate) fn begin_delivery(&mut self, queue: Id) -> bool {
        match self.queues.entry(queue) {
            Entry::Occupied(_) => false,
            Entry::Vacant(entry) => {
                entry.insert(Receiving::new(Mode::Service, Outstanding::Nothing));
                true
            }
        }
    }

    /// A queue left the service.
    pub(crate) fn lost_by_service(&mut self, queue: &Id) {
        if self.mode(queue) == Some(Mode::Service) {
            self.remove(queue);
        }
    }

    /// The session does not receive for the service any more.
    pub(crate) fn end_service(&mut self) {
        self.queues.retain(|_, receiving| receiving.mode != Mode::Service);
        let Self { queues, due, .. } = self;
        due.retain(|queue| queues.contains_key(queue));
        queues.shrink_to_fit();
        due.shrink_to_fit();
    }

    /// NEW: as SUB, but there is nothing to deliver yet.
    pub(crate) fn subscribe_new(&mut self, queue: Id, token: u64) {
        self.queues.insert(queue, Receiving::new(Mode::Subscribed(token), Outstanding::Nothing));
    }

    /// GET: the message that is handed out now.
    pub(crate) fn fetch(&mut self, queue: Id, message: Option<Id>) -> Result<(), Prohibited> {
        let outstanding = message.map_or(Outstanding::Nothing, Outstanding::Delivered);
        match self.queues.entry(queue) {
            Entry::Occupied(mut entry) => {
                let receiving = entry.get_mut();
                if receiving.mode != Mode::Fetching {
                    return Err(Prohibited);
                }
                receiving.outstanding = outstanding;
            }
            Entry::Vacant(entry) => {
                entry.insert(Receiving::new(Mode::Fetching, outstanding));
                self.fetched += 1;
            }
        }
        Ok(())
    }

    /// Somebody sent to the queue.
    pub(crate) fn message_waiting(&mut self, queue: &Id) {
        let Some(receiving) = self.queues.get_mut(queue) else { return };
        match receiving.outstanding {
            Outstanding::Nothing => Self::make_due(&mut self.due, *queue, receiving),
            // What arrived is delivered after the acknowledgement, which may not have seen it.
            Outstanding::Delivered(_) | Outstanding::Acknowledging => receiving.look_again = true,
        }
    }

    /// The next queue to look at for a message to push, and how it is received from.
    pub(crate) fn next_due(&mut self) -> Option<(Id, Mode)> {
        while let Some(queue) = self.due.pop_front() {
            let Some(receiving) = self.queues.get_mut(&queue) else { continue };
            receiving.due = false;
            let wanted = match receiving.outstanding {
                Outstanding::Nothing => true,
                Outstanding::Delivered(_) => receiving.redeliver,
                Outstanding::Acknowledging => false,
            };
            if wanted && receiving.mode != Mode::Fetching {
                return Some((queue, receiving.mode));
            }
        }
        None
    }

    /// Whether any queue waits to be looked at.
    pub(crate) fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Puts a queue back to the front: there was no room for its message.
    pub(crate) fn postpone(&mut self, queue: Id) {
        if let Some(receiving) = self.queues.get_mut(&queue)
            && !receiving.due
        {
            receiving.due = true;
            self.due.push_front(queue);
        }
    }

    /// A message is in a block to the client.
    pub(crate) fn pushed(&mut self, queue: &Id, message: Id) {
        if let Some(receiving) = self.queues.get_mut(queue) {
            receiving.outstanding = Outstanding::Delivered(message);
            receiving.redeliver = false;
        }
    }

    /// There is no message to push: what was delivered before has expired.
    pub(crate) fn nothing_waits(&mut self, queue: &Id) {
        if let Some(receiving) = self.queues.get_mut(queue) {
            receiving.outstanding = Outstanding::Nothing;
            receiving.redeliver = false;
            if receiving.mode == Mode::Service && !receiving.due {
                self.remove(queue);
            }
        }
    }

    /// ACK begins: true when `message` is the one delivered last, or empty and anything was.
    pub(crate) fn acknowledging(&mut self, queue: &Id, message: &Id) -> bool {
        match self.queues.get_mut(queue) {
            Some(receiving) if receiving.outstanding == Outstanding::Delivered(*message) => {
                receiving.outstanding = Outstanding::Acknowledging;
                // A SUB that wanted it once more comes too late, but there may be another message.
                receiving.look_again |= std::mem::take(&mut receiving.redeliver);
                true
            }
            _ => false,
        }
    }

    /// ACK is on disk; `next` is what the response delivers. Returns whether the queue is still received from by pushes.
    pub(crate) fn acknowledged(&mut self, queue: &Id, next: Option<Id>) -> bool {
        let Some(receiving) = self.queues.get_mut(queue) else { return false };
        if receiving.outstanding != Outstanding::Acknowledging {
            // Something else was delivered since, by a GET or to a subscription that was lost and taken again.
            if receiving.outstanding == Outstanding::Nothing && receiving.mode != Mode::Fetching {
                Self::make_due(&mut self.due, *queue, receiving);
            }
            return false;
        }
        if receiving.mode == Mode::Fetching {
            receiving.outstanding = Outstanding::Nothing;
            return false;
        }
        match next {
            Some(message) => receiving.outstanding = Outstanding::Delivered(message),
            None => {
                receiving.outstanding = Outstanding::Nothing;
                if std::mem::take(&mut receiving.look_again) {
                    Self::make_due(&mut self.due, *queue, receiving);
                } else if receiving.mode == Mode::Service {
                    self.remove(queue);
                }
            }
        }
        true
    }

    /// Another connection took the subscription with this token, or deleted the queue. False when the subscription was
    /// renewed since, so that the news are old.
    pub(crate) fn lost(&mut self, queue: &Id, token: u64) -> bool {
        match self.queues.get(queue) {
            Some(receiving) if receiving.mode == Mode::Subscribed(token) => {
                self.remove(queue);
                true
            }
            _ => false,
        }
    }

    /// Forgets a queue that this connection deleted.
    pub(crate) fn remove(&mut self, queue: &Id) {
        if self.queues.remove(queue).is_some_and(|receiving| receiving.mode == Mode::Fetching) {
            self.fetched = self.fetched.saturating_sub(1);
        }
        // What is lost and taken again and again must not pile up.
        if self.due.len() > 2 * self.queues.len() + 64 {
            let Self { queues, due, .. } = self;
            let mut seen = HashSet::new();
            due.retain(|queue| queues.get(queue).is_some_and(|receiving| receiving.due) && seen.insert(*queue));
        }
    }

    /// Every subscription with its token, for the hub to forget.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = (&Id, u64)> {
        self.queues.iter().filter_map(|(queue, receiving)| match receiving.mode {
            Mode::Subscribed(token) => Some((queue, token)),
            Mode::Service | Mode::Fetching => None,
        })
    }

    fn make_due(due: &mut VecDeque<Id>, queue: Id, receiving: &mut Receiving) {
        if !receiving.due {
            receiving.due = true;
            due.push_back(queue);
        }
    }
}

#[cfg(test)]
mod tests {
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
}
