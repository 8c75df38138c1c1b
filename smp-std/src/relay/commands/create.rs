//! NEW (wire reference, sections 7.2 and 8.1).

use std::sync::Arc;

use bytes::Bytes;
use smp_crypto::hash;
use smp_crypto::key::X25519SecretKey;
use smp_proto::id::{CorrelationId, LinkId, QueueId};
use smp_proto::key::X25519PublicKey;
use smp_proto::smp::error::{CommandError, SmpError};
use smp_proto::smp::link;
use smp_proto::smp::recipient::{NewQueue, QueueRequest, SubscriptionMode};
use subtle::ConstantTimeEq;

use super::limits::delayed;
use super::{Answer, Effect, Executor, Outcome, new_id};
use crate::relay::authorize::store_error;
use crate::relay::reply::{Body, CreatedQueue};
use crate::relay::store::{Creation, Id, LinkData, Notifier, QueueMode, QueueRecord, ServiceSide, SharedSecret};

/// How often ids are drawn anew when they are taken, which does not happen unless the random source is broken.
pub(super) const ID_ATTEMPTS: usize = 3;

/// What a client chose for a queue with link data.
struct ChosenLink {
    sender_id: Id,
    link_id: Id,
    data: LinkData,
}

impl Executor<'_> {
    pub(super) async fn create(&mut self, correlation: &[u8], new: &NewQueue<'_>) -> Result<Answer, SmpError<'static>> {
        let subscribe = new.subscription == SubscriptionMode::Subscribe;
        self.check_admission(new)?;
        let service = self.service_id();
        if service.is_some() && !subscribe {
            // Services have no queues that they do not receive from.
            return Err(SmpError::Command(CommandError::Prohibited));
        }
        let (mode, link) = requested(correlation, new)?;
        let subscribe = subscribe && service.is_none();
        if subscribe {
            self.check_subscription_limit()?;
        }
        let (delivery_secret, relay_dh_key) = agree(&new.recipient_dh_key)?;
        let mut record = QueueRecord::new(new_id(), new_id(), new.recipient_key, delivery_secret);
        record.mode = mode;
        record.activity_day = self.relay.today();
        record.recipient_service = service;
        let mut notifier_dh_key = None;
        if let Some(keys) = &new.notifier {
            let (secret, key) = agree(&keys.recipient_dh_key)?;
            record.notifier = Some(Box::new(Notifier { id: new_id(), key: keys.notifier_key, secret }));
            notifier_dh_key = Some(key);
        }
        // Last, so that only what could be created counts.
        let wait = self.admit_queue()?;
        self.receive_for_service();
        let chosen = link.is_some();
        let data = link.map(|ChosenLink { sender_id, link_id, data }| {
            record.sender_id = sender_id;
            record.link_id = Some(link_id);
            data
        });
        // Submitted here and not when the future is polled first, so that several NEW of a block share a write.
        let mut record = Arc::new(record);
        let mut pending = self.relay.store.create_queue_with_link(Arc::clone(&record), data).await;
        let relay = Arc::clone(self.relay);
        let answer = Answer::Later(Box::pin(async move {
            for _ in 0..ID_ATTEMPTS {
                let created = match pending {
                    Ok(pending) => pending.await,
                    Err(error) => Err(error),
                };
                match created {
                    Ok(Creation::Created) => {
                        let counters = &relay.stats.queues;
                        counters.queues_created.one();
                        if service.is_some() {
                            relay.service_counters(ServiceSide::Recipient).associated.one();
                        }
                        if record.notifier.is_some() {
                            counters.notifiers_created_with_queue.one();
                        }
                        let queue = record.recipient_id;
                        let body = Body::Ids(Box::new(CreatedQueue { record, relay_dh_key, notifier_dh_key }));
                        let effect = if subscribe { Effect::Subscribe(queue) } else { Effect::None };
                        return Outcome { body, effect };
                    }
                    // What a client chose is not tried again: only another choice could help.
                    Ok(Creation::IdTaken) if chosen => return Body::Error(SmpError::Auth).into(),
                    Ok(Creation::IdTaken) => {
                        let mut other = QueueRecord::clone(&record);
                        (other.recipient_id, other.sender_id) = (new_id(), new_id());
                        if let Some(notifier) = &mut other.notifier {
                            notifier.id = new_id();
                        }
                        record = Arc::new(other);
                        pending = relay.store.create_queue(Arc::clone(&record)).await;
                    }
                    Err(error) => return Body::Error(store_error(&error)).into(),
                }
            }
            Body::Error(SmpError::Internal).into()
        }));
        Ok(delayed(answer, wait))
    }

    /// Whether the operator lets this client create queues.
    fn check_admission(&self, new: &NewQueue<'_>) -> Result<(), SmpError<'static>> {
        let config = self.relay.config();
        let queues = &config.queues;
        if !queues.allow_new {
            return Err(SmpError::Auth);
        }
        if let Some(password) = &queues.password {
            let given = new.password.as_ref().map(|password| password.as_bytes()).unwrap_or_default();
            if !bool::from(password.as_bytes().ct_eq(given)) {
                return Err(SmpError::Auth);
            }
        }
        Ok(())
    }
}

/// The mode and the link that a client asks for.
fn requested(correlation: &[u8], new: &NewQueue<'_>) -> Result<(QueueMode, Option<ChosenLink>), SmpError<'static>> {
    let choose = |sender_id: QueueId<'_>, link_id: Id, data: link::LinkData<'_>| {
        let correlation = CorrelationId::new(correlation).map_err(|_| SmpError::Block)?;
        // Whoever could choose any sender id could find out by NEW which queues exist.
        let expected = hash::sender_id(correlation);
        if sender_id.to_array() != Some(expected) {
            return Err(SmpError::Command(CommandError::Prohibited));
        }
        Ok(Some(ChosenLink { sender_id: expected, link_id, data: owned(data) }))
    };
    Ok(match new.request {
        None => (QueueMode::Unknown, None),
        Some(QueueRequest::Messaging(None)) => (QueueMode::Messaging, None),
        Some(QueueRequest::Contact(None)) => (QueueMode::Contact, None),
        Some(QueueRequest::Messaging(Some(link))) => {
            (QueueMode::Messaging, choose(link.sender_id, new_id(), link.data)?)
        }
        Some(QueueRequest::Contact(Some(link))) => {
            (QueueMode::Contact, choose(link.sender_id, chosen_link_id(link.link_id)?, link.data)?)
        }
    })
}

/// A link id that a client chose; those that no client makes are refused.
pub(super) fn chosen_link_id(link_id: LinkId<'_>) -> Result<Id, SmpError<'static>> {
    link_id.to_array().ok_or(SmpError::Command(CommandError::Syntax))
}

/// A copy of link data that outlives its block.
pub(super) fn owned(data: link::LinkData<'_>) -> LinkData {
    LinkData {
        fixed: Bytes::copy_from_slice(data.fixed.as_bytes()),
        user: Bytes::copy_from_slice(data.user.as_bytes()),
    }
}

/// Agrees on a secret with a key of the client. A key of small order, which would make everything that is encrypted to
/// the client readable to all, is refused.
pub(super) fn agree(key: &X25519PublicKey) -> Result<(SharedSecret, X25519PublicKey), SmpError<'static>> {
    let own = X25519SecretKey::generate(&mut rand::rng());
    let secret = own.diffie_hellman(key).map_err(|_| SmpError::Command(CommandError::Syntax))?;
    Ok((SharedSecret::new(*secret.as_bytes()), own.public_key()))
}
