//! The connection of a service: messages of all its queues (wire reference of version 19, sections 2.6 to 2.8).

use std::task::{Context, Poll};

use smp_proto::smp::error::SmpError;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Connection;
use crate::relay::authorize::store_error;
use crate::relay::commands::{Listening, listen};
use crate::relay::hub::Part;
use crate::relay::reply::{Body, Reply, ShortBytes};
use crate::relay::service_session::Progress;
use crate::relay::store::{Id, QueueSet, ServiceSide};
use crate::relay::subscriptions::Mode;

/// Where a queue came from whose message is to be delivered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Something happened to it.
    News,
    /// All queues of the service are being looked at.
    Pass,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Whether more queues of the service may have messages outstanding.
    fn has_room_for_deliveries(&self) -> bool {
        self.subscriptions.subscribed() < self.relay.config().limits.subscriptions_per_connection
    }

    /// Takes notifiers of the service with notifications, which are written from the next tick on.
    fn take_notifiers(&mut self) {
        let Some(service) = &mut self.service else { return };
        if service.side == Some(ServiceSide::Notifier) {
            while let Some((notifier, time)) = service.next_of_pass() {
                self.notifications.service_news(notifier, time);
                self.relay.hub.await_tick(&self.peer);
            }
        }
    }

    /// The tick came: takes the notifiers of the service that got notifications since the last.
    pub(super) fn take_service_notifications(&mut self) {
        if let Some(service) = &mut self.service
            && service.side == Some(ServiceSide::Notifier)
        {
            for (notifier, time) in service.take_all_news(&self.relay.hub) {
                self.notifications.service_news(notifier, time);
            }
        }
    }

    /// Whether queues of the service wait to be delivered from.
    pub(super) fn has_service_output(&self) -> bool {
        self.service.as_ref().is_some_and(|service| service.has_queues()) && self.has_room_for_deliveries()
    }

    /// Goes on looking at all queues of the service. Ready when there is something to say.
    pub(super) fn poll_service(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(service) = &mut self.service else { return Poll::Pending };
        let Poll::Ready(progress) = service.poll_pass(context, &self.relay.store) else { return Poll::Pending };
        let nobody = |body| Reply { correlation: ShortBytes::new(), entity: ShortBytes::new(), body };
        match progress {
            Progress::Found(unreadable) => {
                self.take_notifiers();
                let failed = unreadable.iter().map(|queue| Reply::event(queue, Body::Error(SmpError::Internal)));
                self.events.extend(failed);
            }
            // Notifiers are not told.
            Progress::Done if service.side == Some(ServiceSide::Notifier) => {}
            Progress::Done => self.events.push_back(nobody(Body::AllServiceMessages)),
            Progress::Failed(error) => self.events.push_back(nobody(Body::Error(store_error(&error)))),
        }
        Poll::Ready(())
    }

    /// The next queue to look at for a message to push. Those with news and those of the look at all take turns.
    pub(super) fn next_due(&mut self) -> Option<(Id, Mode, Origin)> {
        if self.service.is_none() {
            return self.subscriptions.next_due().map(|(queue, mode)| (queue, mode, Origin::News));
        }
        self.pass_has_turn = !self.pass_has_turn;
        if self.pass_has_turn
            && let Some(next) = self.next_of_pass()
        {
            return Some(next);
        }
        if !self.subscriptions.has_due()
            && self.has_room_for_deliveries()
            && let Some(service) = &mut self.service
        {
            for (queue, _) in service.take_news(&self.relay.hub) {
                self.subscriptions.service_news(queue);
            }
        }
        match self.subscriptions.next_due() {
            Some((queue, mode)) => Some((queue, mode, Origin::News)),
            None => self.next_of_pass(),
        }
    }

    fn next_of_pass(&mut self) -> Option<(Id, Mode, Origin)> {
        if !self.has_room_for_deliveries() {
            return None;
        }
        while let Some((queue, _)) = self.service.as_mut()?.next_of_pass() {
            // What is outstanding or due already comes once.
            if self.subscriptions.begin_delivery(queue) {
                return Some((queue, Mode::Service, Origin::Pass));
            }
        }
        None
    }

    /// There was no room for the message of a queue.
    pub(super) fn postpone(&mut self, queue: Id, origin: Origin) {
        match (origin, &mut self.service) {
            (Origin::Pass, Some(service)) => {
                self.subscriptions.remove(&queue);
                service.postpone(queue);
            }
            _ => self.subscriptions.postpone(queue),
        }
    }

    /// Another session receives for the service, which this one had these queues of.
    pub(super) fn service_ended(&mut self, token: u64, held: QueueSet) {
        if let Some(service) = &mut self.service
            && service.ended(token)
        {
            self.subscriptions.end_service();
            self.notifications.end_service();
            self.events.push_back(Reply::event(&service.id, Body::ServiceEnd(held)));
        }
    }

    /// A queue is not the service's any more.
    pub(super) fn service_queue_lost(&mut self, queue: &Id, token: u64, deleted: bool) {
        if self.service.as_ref().is_some_and(|service| service.is_current(token)) {
            self.subscriptions.lost_by_service(queue);
            self.notifications.lost_by_service(queue);
            self.events.push_back(Reply::event(queue, if deleted { Body::Deleted } else { Body::End }));
        }
    }

    /// SUB or NSUB of a queue that was not the service's is on disk: from now on this session receives for it. One that took
    /// over since the command was begun may have looked through the service's queues before this was among them.
    pub(super) fn receive_for_service(&mut self, joined: Option<&Id>) {
        if self.service.is_none() {
            return;
        }
        self.take_events();
        if let Some(service) = &mut self.service
            && service.receive(&self.relay.hub, &self.relay.store, &self.peer, joined)
            && let Some(side) = service.side
        {
            self.relay.service_counters(side).ended.one();
        }
    }

    /// The association of a queue was changed by SUB or NSUB and is on disk: receives from it from now on.
    pub(super) fn resubscribe(&mut self, part: Part, id: Id) {
        match (&self.service, part) {
            (Some(service), Part::Recipient) => {
                let own = service.id;
                self.subscriptions.subscribe_service(id);
                // Another may have got the queue since, and told who received then, which this session did not.
                if let Some(loss) = self.loss_of(&id, Some(own)) {
                    self.subscriptions.lost_by_service(&id);
                    self.events.push_back(Reply::event(&id, loss));
                }
            }
            (service, Part::Notifier) => {
                let service = service.as_ref().map(|service| service.id);
                let heard = listen(&self.relay, &self.peer, &mut self.notifications, service, id);
                match heard {
                    Ok(Listening::Begun) => {}
                    // Heard before: the hub tells of its end.
                    Ok(Listening::NotFound) if self.notifications.contains(&id) => {}
                    Ok(Listening::NotFound) => self.events.push_back(Reply::event(&id, Body::Deleted)),
                    Ok(Listening::OtherService) | Err(_) => self.events.push_back(Reply::event(&id, Body::End)),
                }
            }
            (None, Part::Recipient) => {
                let token = self.relay.hub.subscribe(part, id, &self.peer);
                self.subscriptions.subscribe(id, token);
                // A service may have got the queue again since, and told the hub before it had the subscription.
                if let Some(loss) = self.loss_of(&id, None) {
                    self.relay.hub.unsubscribe(part, &id, token);
                    self.subscriptions.remove(&id);
                    self.events.push_back(Reply::event(&id, loss));
                }
            }
        }
        self.count_subscriptions();
    }

    /// What is to be said of a queue that came to this service, or left for no service, unless it is there still.
    fn loss_of(&self, queue: &Id, service: Option<Id>) -> Option<Body> {
        match self.relay.store.queue_by_recipient(queue) {
            Ok(Some(record)) if record.recipient_service == service => None,
            Ok(None) => Some(Body::Deleted),
            _ => Some(Body::End),
        }
    }
}
