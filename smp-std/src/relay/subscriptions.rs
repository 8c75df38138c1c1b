//! The queues one connection receives from, and what of each was delivered to it (wire reference, sections 7.5, 10.3).
//!
//! Only the connection's own task touches this, so it needs no locks: others speak to it through the hub.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::stats::Deliveries;
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
    /// When it was delivered, by the clock of [`Deliveries`].
    since: u32,
    /// Something may have arrived while a message was outstanding.
    look_again: bool,
    /// What was delivered is delivered once more.
    redeliver: bool,
    /// The queue waits in `due`.
    due: bool,
}

impl Receiving {
    const fn new(mode: Mode, outstanding: Outstanding) -> Self {
        Self { mode, outstanding, since: 0, look_again: false, redeliver: false, due: false }
    }

    const fn waits(&self) -> bool {
        matches!(self.outstanding, Outstanding::Delivered(_))
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
    /// How many messages wait for their acknowledgements.
    waiting: usize,
    deliveries: Arc<Deliveries>,
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        self.deliveries.settled(self.waiting, 0);
    }
}

/// A command does not go with how the connection receives from the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prohibited;

impl Subscriptions {
    /// No subscription yet; what is delivered is counted in `deliveries`.
    pub(crate) fn new(deliveries: &Arc<Deliveries>) -> Self {
        let mut subscriptions = Self::default();
        subscriptions.deliveries = Arc::clone(deliveries);
        subscriptions
    }

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
        let Self { queues, due, .. } = self;
        let mut settled = 0;
        queues.retain(|_, receiving| {
            let stays = receiving.mode != Mode::Service;
            settled += usize::from(!stays && receiving.waits());
            stays
        });
        due.retain(|queue| queues.contains_key(queue));
        queues.shrink_to_fit();
        due.shrink_to_fit();
        self.settle(settled);
    }

    /// NEW: as SUB, but there is nothing to deliver yet.
    pub(crate) fn subscribe_new(&mut self, queue: Id, token: u64) {
        self.remove(&queue);
        self.queues.insert(queue, Receiving::new(Mode::Subscribed(token), Outstanding::Nothing));
    }

    /// GET: the message that is handed out now.
    pub(crate) fn fetch(&mut self, queue: Id, message: Option<Id>) -> Result<(), Prohibited> {
        match self.queues.entry(queue) {
            Entry::Occupied(entry) if entry.get().mode != Mode::Fetching => return Err(Prohibited),
            Entry::Occupied(_) => {}
            Entry::Vacant(entry) => {
                entry.insert(Receiving::new(Mode::Fetching, Outstanding::Nothing));
                self.fetched += 1;
            }
        }
        self.set_outstanding(&queue, message.map_or(Outstanding::Nothing, Outstanding::Delivered));
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
        self.set_outstanding(queue, Outstanding::Delivered(message));
        if let Some(receiving) = self.queues.get_mut(queue) {
            receiving.redeliver = false;
        }
    }

    /// There is no message to push: what was delivered before has expired.
    pub(crate) fn nothing_waits(&mut self, queue: &Id) {
        self.set_outstanding(queue, Outstanding::Nothing);
        if let Some(receiving) = self.queues.get_mut(queue) {
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
                // A SUB that wanted it once more comes too late, but there may be another message.
                receiving.look_again |= std::mem::take(&mut receiving.redeliver);
                self.deliveries.acknowledged(receiving.since);
                self.set_outstanding(queue, Outstanding::Acknowledging);
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
            Some(message) => self.set_outstanding(queue, Outstanding::Delivered(message)),
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
        if let Some(removed) = self.queues.remove(queue) {
            self.fetched = self.fetched.saturating_sub(usize::from(removed.mode == Mode::Fetching));
            self.settle(usize::from(removed.waits()));
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

    /// Changes what of a queue is outstanding, and counts it.
    fn set_outstanding(&mut self, queue: &Id, outstanding: Outstanding) {
        let Some(receiving) = self.queues.get_mut(queue) else { return };
        let (before, waited) = (receiving.outstanding, receiving.waits());
        receiving.outstanding = outstanding;
        // What is delivered once more was delivered when it was first.
        if receiving.waits() && before != outstanding {
            receiving.since = self.deliveries.now();
        }
        match (waited, receiving.waits()) {
            (false, true) => {
                self.deliveries.delivered(self.waiting);
                self.waiting += 1;
            }
            (true, false) => self.settle(1),
            _ => {}
        }
    }

    /// Messages are not waited for any more.
    fn settle(&mut self, messages: usize) {
        self.waiting = self.waiting.saturating_sub(messages);
        self.deliveries.settled(messages, self.waiting);
    }

    fn make_due(due: &mut VecDeque<Id>, queue: Id, receiving: &mut Receiving) {
        if !receiving.due {
            receiving.due = true;
            due.push_back(queue);
        }
    }
}

#[cfg(test)]
mod tests;
