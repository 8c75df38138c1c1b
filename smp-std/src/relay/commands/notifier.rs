//! Notifiers: recipients set and remove them, and they subscribe (wire reference, sections 7.3 and 10.6).

use std::sync::Arc;

use smp_crypto::key::X25519SecretKey;
use smp_proto::smp::error::{CommandError, SmpError};
use smp_proto::smp::notifier::NotifierKeys;

use super::create::ID_ATTEMPTS;
use super::{Answer, Effect, Executor, Outcome, new_id};
use crate::relay::authorize::store_error;
use crate::relay::hub::Part;
use crate::relay::reply::{Body, CreatedNotifier};
use crate::relay::store::{Id, Notifier, NotifierRemoval, NotifierSetting, QueueRecord, SharedSecret, Side};

impl Executor<'_> {
    /// NKEY.
    pub(super) async fn set_notifier(
        &self,
        record: &QueueRecord,
        keys: &NotifierKeys,
    ) -> Result<Answer, SmpError<'static>> {
        let queue = record.recipient_id;
        let relay_key = X25519SecretKey::generate(&mut rand::rng());
        // A key of small order would make every notification of this queue readable to all.
        let secret =
            relay_key.diffie_hellman(&keys.recipient_dh_key).map_err(|_| SmpError::Command(CommandError::Syntax))?;
        let relay_dh_key = relay_key.public_key();
        let mut notifier =
            Notifier { id: new_id(), key: keys.notifier_key, secret: SharedSecret::new(*secret.as_bytes()) };
        let mut pending = self.relay.store.set_notifier(queue, Box::new(notifier.clone())).await;
        let (relay, peer) = (Arc::clone(self.relay), Arc::clone(self.peer));
        Ok(Answer::Later(Box::pin(async move {
            for _ in 0..ID_ATTEMPTS {
                let setting = match pending {
                    Ok(pending) => pending.await,
                    Err(error) => Err(error),
                };
                match setting {
                    Ok(NotifierSetting::Set { previous }) => {
                        relay.stats.queues.notifiers_created.one();
                        let created = CreatedNotifier { notifier_id: notifier.id, relay_dh_key };
                        let effect = match previous {
                            Some(previous) => {
                                relay.hub.deleted(Part::Notifier, &previous, &peer);
                                Effect::NotifierDeleted(previous)
                            }
                            None => Effect::None,
                        };
                        return Outcome { body: Body::NotifierId(Box::new(created)), effect };
                    }
                    Ok(NotifierSetting::IdTaken) => {
                        notifier.id = new_id();
                        pending = relay.store.set_notifier(queue, Box::new(notifier.clone())).await;
                    }
                    Ok(NotifierSetting::NotFound) => return Body::Error(SmpError::Auth).into(),
                    Err(error) => return Body::Error(store_error(&error)).into(),
                }
            }
            Body::Error(SmpError::Internal).into()
        })))
    }

    /// NDEL.
    pub(super) async fn remove_notifier(&self, queue: Id) -> Result<Answer, SmpError<'static>> {
        let pending = self.relay.store.remove_notifier(queue).await.map_err(|error| store_error(&error))?;
        let (relay, peer) = (Arc::clone(self.relay), Arc::clone(self.peer));
        Ok(Answer::Later(Box::pin(async move {
            match pending.await {
                Ok(NotifierRemoval::Removed { notifier_id }) => {
                    relay.stats.queues.notifiers_deleted.one();
                    relay.hub.deleted(Part::Notifier, &notifier_id, &peer);
                    Outcome { body: Body::Ok, effect: Effect::NotifierDeleted(notifier_id) }
                }
                Ok(NotifierRemoval::NotSet) => Body::Ok.into(),
                Ok(NotifierRemoval::NotFound) => Body::Error(SmpError::Auth).into(),
                Err(error) => Body::Error(store_error(&error)).into(),
            }
        })))
    }

    /// NSUB.
    pub(super) fn subscribe_notifications(&mut self, record: &QueueRecord) -> Result<Answer, SmpError<'static>> {
        let Some(notifier) = record.notifier.as_ref().map(|notifier| notifier.id) else {
            return Err(SmpError::Auth);
        };
        let again = self.notifications.contains(&notifier);
        if !again {
            self.check_subscription_limit()?;
        }
        let (hub, store) = (&self.relay.hub, &self.relay.store);
        let token = hub.subscribe(Part::Notifier, notifier, self.peer);
        // Read after the subscription: from there on the hub tells of what comes.
        let look = || match store.queue_by_side(Side::Notifier, &notifier)? {
            Some(_) => store.notifications(&notifier, 0, 1).map(Some),
            None => Ok(None),
        };
        let waiting = match look() {
            Ok(Some(waiting)) => waiting,
            failed => {
                hub.unsubscribe(Part::Notifier, &notifier, token);
                self.notifications.remove(&notifier);
                // Or removed since its authorization: that told the hub before it had the subscription.
                return Err(failed.map_or_else(|error| store_error(&error), |_| SmpError::Auth));
            }
        };
        let oldest = waiting.first().map(|(_, notification)| notification.time);
        self.notifications.subscribe(notifier, token, oldest);
        if oldest.is_some() {
            hub.await_tick(self.peer);
        }
        let stats = &self.relay.stats.queues;
        if again {
            stats.notifiers_subscribed_again.one()
        } else {
            stats.notifiers_subscribed.one()
        }
        Ok(Answer::Now(Body::Subscribed(None)))
    }
}
