//! Commands of recipients: queues received from, changed and deleted (wire reference, sections 7.3 and 7.5).

use std::sync::Arc;

use smp_proto::id::MessageId;
use smp_proto::key::AuthorizationKey;
use smp_proto::smp::error::{CommandError, SmpError};

use super::{Answer, Effect, Executor, Outcome, later};
use crate::relay::authorize::store_error;
use crate::relay::hub::Part;
use crate::relay::reply::{Body, Delivery};
use crate::relay::store::{Id, QueueName, QueueRecord, Securing, ServiceSide};
use crate::relay::subscriptions::Mode;

/// Queues that one connection may GET from: what it fetched is remembered until it ends.
const FETCHED_QUEUES: usize = 10_000;

impl Executor<'_> {
    pub(super) async fn subscribe(&mut self, queue: Id) -> Result<Answer, SmpError<'static>> {
        let counters = &self.relay.stats.queues;
        match self.subscriptions.mode(&queue) {
            Some(Mode::Fetching) => {
                counters.subscribed_prohibited.one();
                return Err(SmpError::Command(CommandError::Prohibited));
            }
            Some(Mode::Subscribed(_) | Mode::Service) => counters.subscribed_again.one(),
            None => {
                self.check_subscription_limit()?;
                counters.subscribed.one();
            }
        }
        let record = self.relay.store.queue_by_recipient(&queue).map_err(|error| store_error(&error))?;
        let Some(record) = record else { return Err(SmpError::Auth) };
        let service = self.service_id();
        if record.recipient_service != service {
            return self.associate(ServiceSide::Recipient, queue).await;
        }
        if service.is_some() {
            self.receive_for_service();
            self.subscriptions.subscribe_service(queue);
            self.relay.service_counters(ServiceSide::Recipient).associated_before.one();
            return Ok(Answer::Now(Body::Subscribed(service)));
        }
        let token = self.relay.hub.subscribe(Part::Recipient, queue, self.peer);
        // A queue that was deleted, or came to a service, since its authorization: that told the hub before it had the
        // subscription.
        let service = match self.relay.store.queue_by_recipient(&queue) {
            Ok(Some(record)) if record.recipient_service.is_none() => {
                self.subscriptions.subscribe(queue, token);
                // So was one that was blocked since: that told nobody.
                if let Some(blocked) = record.status.blocked() {
                    self.relay.hub.blocked(&queue, blocked);
                }
                return Ok(Answer::Now(Body::Subscribed(None)));
            }
            Ok(found) => Ok(found.is_some()),
            Err(error) => Err(store_error(&error)),
        };
        // Who received from it before hears of its end from the hub, which has not come to it yet.
        let held = self.subscriptions.mode(&queue) == Some(Mode::Subscribed(token));
        if !(held && matches!(service, Ok(false))) {
            self.relay.hub.unsubscribe(Part::Recipient, &queue, token);
        }
        match service? {
            true => self.associate(ServiceSide::Recipient, queue).await,
            false => Err(SmpError::Auth),
        }
    }

    pub(super) fn check_subscription_limit(&self) -> Result<(), SmpError<'static>> {
        let config = self.relay.config();
        let limits = &config.limits;
        let full = self.subscriptions.subscribed() + self.notifications.subscribed()
            >= limits.subscriptions_per_connection
            || self.relay.hub.subscriptions() >= limits.subscriptions;
        if full {
            self.relay.stats.limits.subscriptions.one();
            return Err(SmpError::Internal);
        }
        Ok(())
    }

    pub(super) async fn secure(
        &self,
        record: &QueueRecord,
        key: &AuthorizationKey,
    ) -> Result<Answer, SmpError<'static>> {
        match record.sender_key {
            Some(known) if known == *key => return Ok(Answer::Now(Body::Ok)),
            Some(_) => return Err(SmpError::Auth),
            None => {}
        }
        let name = QueueName::Recipient(record.recipient_id);
        let pending = self.relay.store.secure_queue(name, *key).await.map_err(|error| store_error(&error))?;
        let relay = Arc::clone(self.relay);
        later(pending, move |outcome| match outcome {
            Securing::Secured => {
                relay.stats.queues.queues_secured.one();
                Body::Ok
            }
            Securing::SameKey => Body::Ok,
            Securing::OtherKey | Securing::NotFound => Body::Error(SmpError::Auth),
        })
    }

    pub(super) fn get(&mut self, record: &QueueRecord) -> Result<Answer, SmpError<'static>> {
        let queue = record.recipient_id;
        let counters = &self.relay.stats.queues;
        if matches!(self.subscriptions.mode(&queue), Some(Mode::Subscribed(_) | Mode::Service)) {
            counters.messages_got_prohibited.one();
            return Err(SmpError::Command(CommandError::Prohibited));
        }
        if self.subscriptions.mode(&queue).is_none() && self.subscriptions.fetched() >= FETCHED_QUEUES {
            self.relay.stats.limits.subscriptions.one();
            return Err(SmpError::Internal);
        }
        let store = &self.relay.store;
        let message = store.head(&queue).map_err(|error| store_error(&error))?;
        // Deleted since its authorization: then that there was no message is not the truth.
        if message.is_none() && store.queue_by_recipient(&queue).map_err(|error| store_error(&error))?.is_none() {
            return Err(SmpError::Auth);
        }
        let got = match &message {
            None => &counters.messages_got_none,
            // Whatever was handed out before: its acknowledgement did not come.
            Some(_) if self.subscriptions.delivered(&queue).is_some() => &counters.messages_got_again,
            Some(_) => &counters.messages_got,
        };
        self.subscriptions
            .fetch(queue, message.as_ref().map(|message| message.id))
            .map_err(|_| SmpError::Command(CommandError::Prohibited))?;
        got.one();
        Ok(Answer::Now(match message {
            Some(message) => Body::Message(Box::new(Delivery::new(record, message))),
            None => Body::Ok,
        }))
    }

    pub(super) async fn acknowledge(
        &mut self,
        record: &Arc<QueueRecord>,
        message: &MessageId<'_>,
    ) -> Result<Answer, SmpError<'static>> {
        let queue = record.recipient_id;
        let delivered = self.subscriptions.delivered(&queue).ok_or(SmpError::NoMessage)?;
        if message.is_empty() {
            return self.deliver_again(record);
        }
        if message.as_bytes() != delivered || !self.subscriptions.acknowledging(&queue, &delivered) {
            return Err(SmpError::NoMessage);
        }
        let submitted = self.relay.store.acknowledge(queue, delivered).await;
        let fetched = self.subscriptions.mode(&queue) == Some(Mode::Fetching);
        let (record, relay) = (Arc::clone(record), Arc::clone(self.relay));
        Ok(Answer::Later(Box::pin(async move {
            let acknowledged = match submitted {
                Ok(pending) => pending.await,
                Err(error) => Err(error),
            };
            match acknowledged {
                Ok(Some(acknowledged)) => {
                    if let Some(message) = &acknowledged.deleted {
                        relay.stats.message_received(&queue, message, fetched);
                    }
                    Outcome { body: Body::Ok, effect: Effect::Acknowledged(record, acknowledged.next) }
                }
                // Deleted by another connection, which the subscriber is told of.
                Ok(None) => Body::Error(SmpError::Auth).into(),
                Err(error) => {
                    Outcome { body: Body::Error(store_error(&error)), effect: Effect::Acknowledged(record, None) }
                }
            }
        })))
    }

    /// An empty message id acknowledges nothing and brings the same message once more.
    pub(super) fn deliver_again(&self, record: &QueueRecord) -> Result<Answer, SmpError<'static>> {
        let queue = record.recipient_id;
        let head = match self.subscriptions.mode(&queue) {
            Some(Mode::Subscribed(_) | Mode::Service) => {
                self.relay.store.head(&queue).map_err(|error| store_error(&error))?
            }
            Some(Mode::Fetching) | None => None,
        };
        Ok(Answer::Now(match head {
            Some(message) => Body::Message(Box::new(Delivery::new(record, message))),
            None => Body::Ok,
        }))
    }

    pub(super) async fn delete(&self, queue: Id) -> Result<Answer, SmpError<'static>> {
        let pending =
            self.relay.store.delete_queue(queue, self.relay.today()).await.map_err(|error| store_error(&error))?;
        let (relay, peer) = (Arc::clone(self.relay), Arc::clone(self.peer));
        Ok(Answer::Later(Box::pin(async move {
            match pending.await {
                Ok(Some(deleted)) => {
                    relay.stats.queue_deleted(&deleted.record);
                    relay.tell_of_deletion(&deleted.record, &peer);
                    let notifier = deleted.record.notifier.as_ref().map(|notifier| notifier.id);
                    Outcome { body: Body::Ok, effect: Effect::Deleted(queue, notifier) }
                }
                Ok(None) => Body::Error(SmpError::Auth).into(),
                Err(error) => Body::Error(store_error(&error)).into(),
            }
        })))
    }
}
