//! SUBS and NSUBS, and what SUB and NEW mean in the session of a service and for queues that services have (wire
//! reference of version 19, sections 2.5 and 2.6).
//!
//! The reference changes the associations of all SUBs of a block before it executes any of its commands. Here each SUB
//! changes its own when it is executed; all of a block still share one write. The difference shows in SUBs that fail: they
//! change nothing.

use std::sync::Arc;

use smp_proto::smp::error::SmpError;
use smp_proto::smp::service::ServiceQueues;

use super::{Answer, Effect, Executor, Outcome};
use crate::relay::Relay;
use crate::relay::authorize::store_error;
use crate::relay::hub::{Part, Peer};
use crate::relay::reply::Body;
use crate::relay::stats::ServiceCounters;
use crate::relay::store::{Association, Id, Pending, QueueRecord, QueueSet, ServiceSide, Side, StoreError};

impl Relay {
    /// What is counted of services with queues on one side.
    pub(in crate::relay) fn service_counters(&self, side: ServiceSide) -> &ServiceCounters {
        match side {
            ServiceSide::Recipient => &self.stats.recipient_services,
            ServiceSide::Notifier => &self.stats.notifier_services,
        }
    }

    /// The service that a queue, or notifier, has now; nothing if there is none, or it cannot be read.
    fn service_of(&self, side: ServiceSide, id: &Id) -> Option<Option<Id>> {
        match side {
            ServiceSide::Recipient => Some(self.store.queue_by_recipient(id).ok()??.recipient_service),
            ServiceSide::Notifier => Some(self.store.queue_by_side(Side::Notifier, id).ok()??.notifier_service),
        }
    }

    /// A queue is gone, and its notifier if it had one: tells who received from them, and the sessions of services that did.
    pub(in crate::relay) fn tell_of_deletion(&self, record: &QueueRecord, by: &Arc<Peer>) {
        let queue = &record.recipient_id;
        self.deleted_for_service(record.recipient_service.as_ref(), queue, by);
        self.hub.deleted(Part::Recipient, queue, by);
        if let Some(notifier) = &record.notifier {
            self.deleted_for_service(record.notifier_service.as_ref(), &notifier.id, by);
            self.hub.deleted(Part::Notifier, &notifier.id, by);
        }
    }

    /// A queue is gone, or its notifier: tells the session of the service that had it.
    pub(in crate::relay) fn deleted_for_service(&self, service: Option<&Id>, id: &Id, by: &Arc<Peer>) {
        if let Some(service) = service {
            self.hub.services.queue_lost(service, id, true, by);
        }
    }
}

impl Executor<'_> {
    /// The service that the session is.
    pub(super) fn service_id(&self) -> Option<Id> {
        self.service.as_ref().map(|service| service.id)
    }

    /// Makes this the session that receives for its service, if it is one.
    pub(super) fn receive_for_service(&mut self) {
        let Some(service) = self.service.as_mut() else { return };
        let Some(side) = service.side else { return };
        if service.receive(&self.relay.hub, &self.relay.store, self.peer, None) {
            self.relay.service_counters(side).ended.one();
        }
    }

    /// SUBS and NSUBS. `expected` is what the client believes to have.
    pub(super) fn subscribe_service(&mut self, expected: &ServiceQueues<'_>) -> Result<Answer, SmpError<'static>> {
        self.receive_for_service();
        let Some(service) = self.service.as_mut() else { return Err(SmpError::Service) };
        let Some(side) = service.side else { return Err(SmpError::Service) };
        let set = self.relay.store.service_queues(&service.id, side);
        let counters = self.relay.service_counters(side);
        if service.subscribe_all() {
            counters.subscriptions.one();
            counters.subscribed_queues.add(set.count);
            count_drift(counters, expected, set);
        } else {
            counters.repeated_subscriptions.one();
        }
        Ok(Answer::Now(Body::ServiceSubscribed(set)))
    }

    /// SUB or NSUB of a queue, named by its id on `side`, whose service is another than this session's, or that has one
    /// while this session is none.
    pub(super) async fn associate(&mut self, side: ServiceSide, id: Id) -> Result<Answer, SmpError<'static>> {
        let own = self.service_id();
        let submitted = self.relay.store.associate_queue(side, id, own).await;
        let pending = submitted.map_err(|error| store_error(&error))?;
        let (relay, peer) = (Arc::clone(self.relay), Arc::clone(self.peer));
        Ok(Answer::Later(Box::pin(associated(relay, peer, side, id, own, pending))))
    }
}

/// Tells others what an association on disk means for them, whether the client waits for the answer or not.
async fn associated(
    relay: Arc<Relay>,
    peer: Arc<Peer>,
    side: ServiceSide,
    id: Id,
    own: Option<Id>,
    pending: Pending<Option<Association>>,
) -> Outcome {
    let previous = match pending.await {
        Ok(Some(association)) => association.previous,
        Ok(None) => return Body::Error(SmpError::Auth).into(),
        Err(error @ (StoreError::Failed | StoreError::Closed)) => return Body::Error(store_error(&error)).into(),
        // A queue that cannot be read is none to its clients.
        Err(error) => {
            let _ = store_error(&error);
            return Body::Error(SmpError::Auth).into();
        }
    };
    let counters = relay.service_counters(side);
    match (previous, own) {
        (None, Some(_)) => counters.associated.one(),
        (Some(previous), Some(own)) if previous == own => counters.associated_before.one(),
        (Some(_), Some(_)) => counters.moved.one(),
        (Some(_), None) => counters.left.one(),
        (None, None) => {}
    }
    if let Some(previous) = previous.filter(|previous| Some(*previous) != own) {
        relay.hub.services.queue_lost(&previous, &id, false, &peer);
    }
    let part = match side {
        ServiceSide::Recipient => Part::Recipient,
        ServiceSide::Notifier => Part::Notifier,
    };
    // Somebody may have taken it since, and subscribed: that is not to be ended. Read after the token, so that who subscribes
    // after the look has a later one.
    let next_token = relay.hub.next_token();
    if own.is_some() && relay.service_of(side, &id).is_none_or(|now| now == own) {
        relay.hub.ended(part, &id, &peer, next_token);
    }
    let joined = own.is_some() && previous != own;
    Outcome { body: Body::Subscribed(own), effect: Effect::Resubscribe { part, id, joined } }
}

fn count_drift(counters: &ServiceCounters, expected: &ServiceQueues<'_>, set: QueueSet) {
    let count = i64::try_from(set.count).unwrap_or(i64::MAX);
    let counter = match count.cmp(&expected.count) {
        // Those of earlier versions do not say.
        _ if expected.count == ServiceQueues::UNKNOWN.count => &counters.count_same,
        std::cmp::Ordering::Equal if expected.hash.to_array() == Some(set.hash) => &counters.count_same,
        std::cmp::Ordering::Equal => &counters.hash_different,
        std::cmp::Ordering::Greater => &counters.count_more,
        std::cmp::Ordering::Less => &counters.count_fewer,
    };
    counter.one();
}
