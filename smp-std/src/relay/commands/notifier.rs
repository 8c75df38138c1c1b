//! Notifiers: recipients set and remove them, and they subscribe (wire reference, sections 7.3 and 10.6).

use std::sync::Arc;

use smp_crypto::key::X25519SecretKey;
use smp_proto::smp::error::{CommandError, SmpError};
use smp_proto::smp::notifier::NotifierKeys;

use super::create::ID_ATTEMPTS;
use super::{Answer, Effect, Executor, Outcome, new_id};
use crate::relay::Relay;
use crate::relay::authorize::store_error;
use crate::relay::hub::{Part, Peer};
use crate::relay::notifications::Notifications;
use crate::relay::reply::{Body, CreatedNotifier};
use crate::relay::store::{
    Id, Notifier, NotifierRemoval, NotifierSetting, QueueRecord, ServiceSide, SharedSecret, Side,
};

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
        self.admit_growth()?;
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
                    Ok(NotifierSetting::Set { previous, service }) => {
                        relay.stats.queues.notifiers_created.one();
                        let created = CreatedNotifier { notifier_id: notifier.id, relay_dh_key };
                        let effect = match previous {
                            Some(previous) => {
                                relay.deleted_for_service(service.as_ref(), &previous, &peer);
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
                Ok(NotifierRemoval::Removed { notifier_id, service }) => {
                    relay.stats.queues.notifiers_deleted.one();
                    relay.deleted_for_service(service.as_ref(), &notifier_id, &peer);
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
    pub(super) async fn subscribe_notifications(&mut self, record: &QueueRecord) -> Result<Answer, SmpError<'static>> {
        let Some(notifier) = record.notifier.as_ref().map(|notifier| notifier.id) else {
            return Err(SmpError::Auth);
        };
        let again = self.notifications.contains(&notifier);
        if !again {
            self.check_subscription_limit()?;
        }
        let service = self.service_id();
        if record.notifier_service != service {
            return self.associate(ServiceSide::Notifier, notifier).await;
        }
        if service.is_some() {
            self.receive_for_service();
            self.relay.service_counters(ServiceSide::Notifier).associated_before.one();
        }
        match listen(self.relay, self.peer, self.notifications, service, notifier)? {
            Listening::Begun => {}
            // Its service changed since its authorization.
            Listening::OtherService => return self.associate(ServiceSide::Notifier, notifier).await,
            Listening::NotFound => return Err(SmpError::Auth),
        }
        let stats = &self.relay.stats.queues;
        match (service, again) {
            (Some(_), _) => {}
            (None, true) => stats.notifiers_subscribed_again.one(),
            (None, false) => stats.notifiers_subscribed.one(),
        }
        Ok(Answer::Now(Body::Subscribed(service)))
    }
}

/// What came of listening to a notifier.
pub(in crate::relay) enum Listening {
    /// Its notifications are delivered from now on.
    Begun,
    /// It is another service's, or one's while the session is none.
    OtherService,
    /// There is no such notifier.
    NotFound,
}

/// Lets a session hear a notifier: by itself, or, in the session that receives for `service`, as one of the service's.
pub(in crate::relay) fn listen(
    relay: &Relay,
    peer: &Arc<Peer>,
    notifications: &mut Notifications,
    service: Option<Id>,
    notifier: Id,
) -> Result<Listening, SmpError<'static>> {
    let (hub, store) = (&relay.hub, &relay.store);
    let token = service.is_none().then(|| hub.subscribe(Part::Notifier, notifier, peer));
    // Read after the subscription: from there on the hub tells of what comes.
    let look = || match store.queue_by_side(Side::Notifier, &notifier)? {
        Some(record) if record.notifier_service != service => Ok(Err(Listening::OtherService)),
        Some(_) => store.notifications(&notifier, 0, 1).map(Ok),
        None => Ok(Err(Listening::NotFound)),
    };
    let waiting = match look() {
        Ok(Ok(waiting)) => waiting,
        failed => {
            // Removed since its authorization. Who heard it before is told so as well: by the one who removed it, if that has
            // not come to the hub yet, or by what the hub has posted already.
            let gone = matches!(failed, Ok(Err(Listening::NotFound)));
            let told_later = |token| gone && notifications.holds(&notifier, token);
            if let Some(token) = token.filter(|token| !told_later(*token)) {
                hub.unsubscribe(Part::Notifier, &notifier, token);
            }
            if !gone || token.is_none() {
                notifications.remove(&notifier);
            }
            return match failed {
                Ok(Ok(_)) => Ok(Listening::Begun),
                Ok(Err(other)) => Ok(other),
                Err(error) => Err(store_error(&error)),
            };
        }
    };
    let oldest = waiting.first().map(|(_, notification)| notification.time);
    match (token, oldest) {
        (Some(token), oldest) => notifications.subscribe(notifier, token, oldest),
        (None, Some(time)) => notifications.service_news(notifier, time),
        (None, None) => {}
    }
    if oldest.is_some() {
        hub.await_tick(peer);
    }
    Ok(Listening::Begun)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Identity, KeyAlgorithm};
    use crate::relay::Wakeups;
    use crate::relay::config::Config;
    use crate::relay::hub::Event;
    use crate::relay::store::{Store, StoreOptions};

    const GONE: Id = [7; 24];

    /// Found by fuzzing: who asked again for a notifier that was being removed was answered with AUTH, and then not told of
    /// the removal.
    #[tokio::test]
    async fn who_listens_again_to_a_notifier_that_goes_is_told_that_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let identity = Identity::create(folder.path(), KeyAlgorithm::Ed25519, "localhost").unwrap();
        let store = Store::memory(StoreOptions::default()).unwrap();
        let relay = Relay::new(Config::default(), &identity, store, &Wakeups::default()).unwrap();
        let (peer, remover) = (Arc::new(Peer::default()), Arc::new(Peer::default()));
        // The hub hears of the removal after the store, or has just heard of it.
        for early in [false, true] {
            let mut notifications = Notifications::default();
            let token = relay.hub.subscribe(Part::Notifier, GONE, &peer);
            notifications.subscribe(GONE, token, None);
            if early {
                relay.hub.deleted(Part::Notifier, &GONE, &remover);
            }
            let heard = listen(&relay, &peer, &mut notifications, None, GONE);
            assert!(matches!(heard, Ok(Listening::NotFound)));
            if !early {
                relay.hub.deleted(Part::Notifier, &GONE, &remover);
            }
            let told = peer.take_events();
            assert!(
                matches!(told[..], [Event::Deleted(Part::Notifier, GONE, of)] if notifications.lost(&GONE, of)),
                "{early}: {told:?}"
            );
            assert!(!relay.hub.is_subscribed(Part::Notifier, &GONE));
            assert_eq!(notifications.subscribed(), 0);
        }
        // Who did not hear it before leaves nothing behind.
        let mut notifications = Notifications::default();
        assert!(matches!(listen(&relay, &peer, &mut notifications, None, GONE), Ok(Listening::NotFound)));
        assert!(!relay.hub.is_subscribed(Part::Notifier, &GONE));
        assert_eq!(notifications.subscribed(), 0);
    }
}
