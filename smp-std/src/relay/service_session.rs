//! What one session of a service receives: of which queues it knows that they have messages, and how far it has looked
//! through all of them (wire reference of version 19, sections 2.6 and 2.7).
//!
//! Only the connection's own task touches this, so it needs no locks: others speak to it through the hub.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use smp_crypto::session::SessionService;
use smp_proto::smp::service::ServiceRole;
use tokio::task::JoinHandle;

use super::hub::{Hub, Peer};
use super::store::{Id, QueueSet, ServiceSide, Side, Store, StoreError};

/// Queues looked at in one go; those of them that have messages are remembered until they are delivered.
const PAGE: usize = 500;

/// Queues with news taken from the hub in one go.
const NEWS: usize = 256;

/// The service that a session is.
pub(crate) struct ServiceSession {
    /// Its id.
    pub(crate) id: Id,
    /// Where it has queues; services that forward have none.
    pub(crate) side: Option<ServiceSide>,
    /// The token in the hub while this is the session that receives for the service.
    receiver: Option<u64>,
    /// It asked for all queues since it became the receiver.
    subscribed: bool,
    /// The hub has queues with news.
    news: bool,
    pass: Option<Pass>,
}

/// One look at all queues.
struct Pass {
    /// Queues with messages that are to be delivered, or notifiers with notifications and the time of the oldest.
    queues: VecDeque<(Id, i64)>,
    rest: Rest,
}

enum Rest {
    /// The page behind this queue is to be read.
    Behind(Option<Id>),
    /// It is being read.
    Reading(JoinHandle<Result<Page, StoreError>>),
    Nothing,
}

impl Drop for Rest {
    /// What nobody waits for any more need not be read: of sessions that take a service from each other there must not be
    /// more and more on the way.
    fn drop(&mut self) {
        if let Self::Reading(reading) = self {
            reading.abort();
        }
    }
}

#[derive(Default)]
struct Page {
    occupied: VecDeque<(Id, i64)>,
    unreadable: Vec<Id>,
    next: Option<Id>,
}

/// What came of looking.
pub(crate) enum Progress {
    /// There may be something to deliver, and these queues cannot be read.
    Found(Vec<Id>),
    /// All were looked at.
    Done,
    /// They cannot be looked at.
    Failed(StoreError),
}

impl ServiceSession {
    pub(crate) fn new(service: &SessionService) -> Option<Self> {
        Some(Self {
            id: service.id().to_array()?,
            side: match service.role() {
                ServiceRole::Messaging => Some(ServiceSide::Recipient),
                ServiceRole::Notifier => Some(ServiceSide::Notifier),
                ServiceRole::Proxy => None,
            },
            receiver: None,
            subscribed: false,
            news: false,
            pass: None,
        })
    }

    /// Makes this the session that receives for the service, instead of another, which did not have the queue that `joined`.
    /// Whether another was ended.
    pub(crate) fn receive(&mut self, hub: &Hub, store: &Store, peer: &Arc<Peer>, joined: Option<&Id>) -> bool {
        let (Some(side), None) = (self.side, self.receiver) else { return false };
        let held = match joined {
            Some(queue) => self.held_before(store, side, queue),
            None => store.service_queues(&self.id, side),
        };
        let (token, ended) = hub.services.receive(self.id, peer, held);
        self.receiver = Some(token);
        ended
    }

    /// What the service had before a queue came to it, which may have left it again.
    fn held_before(&self, store: &Store, side: ServiceSide, queue: &Id) -> QueueSet {
        let all = store.service_queues(&self.id, side);
        let service = match side {
            ServiceSide::Recipient => store.queue_by_recipient(queue).map(|it| it?.recipient_service),
            ServiceSide::Notifier => store.queue_by_side(Side::Notifier, queue).map(|it| it?.notifier_service),
        };
        // Read again: it may have left between the two.
        if service.is_ok_and(|it| it == Some(self.id)) {
            all.without(queue)
        } else {
            store.service_queues(&self.id, side)
        }
    }

    /// Whether this is the session that receives for the service.
    pub(crate) fn is_receiver(&self) -> bool {
        self.receiver.is_some()
    }

    /// All queues are received from. Whether they were not before; then the messages that wait are delivered.
    pub(crate) fn subscribe_all(&mut self) -> bool {
        if std::mem::replace(&mut self.subscribed, true) {
            return false;
        }
        self.pass = Some(Pass { queues: VecDeque::new(), rest: Rest::Behind(None) });
        true
    }

    /// Whether `token` is that of the session as it is now, and not of an earlier time.
    pub(crate) fn is_current(&self, token: u64) -> bool {
        self.receiver == Some(token)
    }

    /// Another session receives now. False when that is old news.
    pub(crate) fn ended(&mut self, token: u64) -> bool {
        let current = self.is_current(token);
        if current {
            (self.receiver, self.subscribed, self.news, self.pass) = (None, false, false, None);
        }
        current
    }

    /// The session ends.
    pub(crate) fn leave(&self, hub: &Hub) {
        if let Some(token) = self.receiver {
            hub.services.leave(&self.id, token);
        }
    }

    /// The hub has queues with news.
    pub(crate) fn has_news(&mut self, token: u64) {
        self.news |= self.is_current(token);
    }

    /// Whether there are queues to deliver from.
    pub(crate) fn has_queues(&self) -> bool {
        self.news || self.pass.as_ref().is_some_and(|pass| !pass.queues.is_empty())
    }

    /// Takes some of the queues with news.
    pub(crate) fn take_news(&mut self, hub: &Hub) -> Vec<(Id, i64)> {
        let (Some(token), true) = (self.receiver, self.news) else { return Vec::new() };
        let (queues, more) = hub.services.take_news(&self.id, token, NEWS);
        self.news = more;
        queues
    }

    /// Takes all queues with news.
    pub(crate) fn take_all_news(&mut self, hub: &Hub) -> Vec<(Id, i64)> {
        let Some(token) = self.receiver else { return Vec::new() };
        self.news = false;
        hub.services.take_news(&self.id, token, usize::MAX).0
    }

    /// The next queue that had messages when it was looked at.
    pub(crate) fn next_of_pass(&mut self) -> Option<(Id, i64)> {
        self.pass.as_mut()?.queues.pop_front()
    }

    /// There was no room for the message of a queue.
    pub(crate) fn postpone(&mut self, queue: Id) {
        if let Some(pass) = &mut self.pass {
            pass.queues.push_front((queue, 0));
        }
    }

    /// Whether all queues are being looked at.
    pub(crate) fn is_passing(&self) -> bool {
        self.pass.is_some()
    }

    /// Goes on looking at all queues once those found are delivered. Ready when there is something to do.
    pub(crate) fn poll_pass(&mut self, context: &mut Context<'_>, store: &Store) -> Poll<Progress> {
        let (Some(pass), Some(side)) = (&mut self.pass, self.side) else { return Poll::Pending };
        if !pass.queues.is_empty() {
            return Poll::Pending;
        }
        if let Rest::Behind(after) = pass.rest {
            let (store, id) = (store.clone(), self.id);
            pass.rest =
                Rest::Reading(tokio::task::spawn_blocking(move || Page::read(&store, &id, side, after.as_ref())));
        }
        let read = match &mut pass.rest {
            Rest::Reading(reading) => match Pin::new(reading).poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(read) => read.map_err(|_| StoreError::Failed).and_then(|page| page),
            },
            Rest::Behind(_) | Rest::Nothing => {
                self.pass = None;
                return Poll::Ready(Progress::Done);
            }
        };
        Poll::Ready(match read {
            Ok(page) => {
                pass.queues = page.occupied;
                pass.rest = page.next.map_or(Rest::Nothing, |next| Rest::Behind(Some(next)));
                Progress::Found(page.unreadable)
            }
            Err(error) => {
                self.pass = None;
                Progress::Failed(error)
            }
        })
    }
}

impl Page {
    fn read(store: &Store, service: &Id, side: ServiceSide, after: Option<&Id>) -> Result<Self, StoreError> {
        let queues = store.service_queue_ids(service, side, after, PAGE)?;
        let mut page = Self { next: queues.last().filter(|_| queues.len() == PAGE).copied(), ..Self::default() };
        for queue in queues {
            let oldest = match side {
                ServiceSide::Recipient => store.queue_state(&queue).map(|state| (!state.is_empty()).then_some(0)),
                ServiceSide::Notifier => {
                    store.notifications(&queue, 0, 1).map(|first| first.first().map(|(_, oldest)| oldest.time))
                }
            };
            match oldest {
                Ok(None) => {}
                Ok(Some(time)) => page.occupied.push_back((queue, time)),
                Err(error @ (StoreError::Failed | StoreError::Closed)) => return Err(error),
                Err(_) => page.unreadable.push(queue),
            }
        }
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::hub::Event;
    use crate::relay::store::StoreOptions;

    /// Found by fuzzing.
    #[tokio::test]
    async fn a_queue_that_came_and_left_is_not_taken_from_what_a_service_has() {
        let (hub, store) = (Hub::new(), Store::memory(StoreOptions::default()).unwrap());
        let session = || ServiceSession {
            id: [1; 24],
            side: Some(ServiceSide::Recipient),
            receiver: None,
            subscribed: false,
            news: false,
            pass: None,
        };
        let [older, newer] = [(); 2].map(|()| Arc::new(Peer::default()));
        assert!(!session().receive(&hub, &store, &older, None));
        assert!(session().receive(&hub, &store, &newer, Some(&[2; 24])));
        let told = older.take_events();
        assert!(matches!(told[..], [Event::ServiceEnded(_, held)] if held == QueueSet::default()), "{told:?}");
    }
}
