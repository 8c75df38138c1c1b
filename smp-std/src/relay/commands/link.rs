//! Link data set, removed and read, and the keys of recipients (wire reference, section 7.3).

use std::sync::Arc;

use smp_proto::key::AuthorizationKey;
use smp_proto::smp::error::{CommandError, SmpError};
use smp_proto::smp::link::SetLink;
use smp_proto::wire::NonEmptyList;

use super::create::{chosen_link_id, owned};
use super::{Answer, Executor, later};
use crate::relay::authorize::store_error;
use crate::relay::reply::{Body, LinkContent};
use crate::relay::store::{
    Id, KeyReplacement, LinkDeletion, LinkSetting, QueueMode, QueueRecord, RecipientKeys, SecuringByLink,
};

/// Keys that RKEY may set. Each of them costs a verification whenever a recipient's command comes: 255, as many as the
/// list could have, would be a third of a second of a small processor for one command.
const RECIPIENT_KEYS: usize = 16;

impl Executor<'_> {
    /// LSET.
    pub(super) async fn set_link(&self, record: &QueueRecord, link: &SetLink<'_>) -> Result<Answer, SmpError<'static>> {
        let link_id = chosen_link_id(link.link_id)?;
        self.admit_growth()?;
        let pending = self.relay.store.set_link(record.recipient_id, link_id, owned(link.data)).await;
        later(pending.map_err(|error| store_error(&error))?, |outcome| match outcome {
            LinkSetting::Set => Body::Ok,
            LinkSetting::Secured
            | LinkSetting::OtherLink
            | LinkSetting::OtherFixedData
            | LinkSetting::IdTaken
            | LinkSetting::NotFound => Body::Error(SmpError::Auth),
        })
    }

    /// LDEL.
    pub(super) async fn delete_link(&self, queue: Id) -> Result<Answer, SmpError<'static>> {
        let pending = self.relay.store.delete_link(queue).await.map_err(|error| store_error(&error))?;
        later(pending, |outcome| match outcome {
            LinkDeletion::Deleted => Body::Ok,
            LinkDeletion::NotFound => Body::Error(SmpError::Auth),
        })
    }

    /// LGET. That the queue is open to all was checked; its link may have been replaced since, and the queue secured or
    /// blocked.
    pub(super) fn get_link(&self, record: &QueueRecord) -> Result<Answer, SmpError<'static>> {
        let found = self.relay.store.queue_with_link(&record.recipient_id).map_err(|error| store_error(&error))?;
        let (now, data) = found.ok_or(SmpError::Auth)?;
        let data = data.filter(|_| now.link_id == record.link_id && now.is_open_to_all()).ok_or(SmpError::Auth)?;
        match now.status.blocked() {
            Some(blocked) => Err(SmpError::Blocked(blocked)),
            None => Ok(Answer::Now(Body::Link(Box::new(LinkContent { sender_id: now.sender_id, data })))),
        }
    }

    /// LKEY. That the queue is for one sender, and that the key proved itself, was checked. The store reads the data and
    /// sets the key in one step: a recipient whose LSET was granted, or LDEL, knows what a sender can have read.
    pub(super) async fn secure_by_link(
        &self,
        record: &QueueRecord,
        key: &AuthorizationKey,
    ) -> Result<Answer, SmpError<'static>> {
        let link_id = record.link_id.ok_or(SmpError::Auth)?;
        let pending = self.relay.store.secure_by_link(record.recipient_id, link_id, *key).await;
        let pending = pending.map_err(|error| store_error(&error))?;
        let (relay, sender_id) = (Arc::clone(self.relay), record.sender_id);
        later(pending, move |outcome| match outcome {
            SecuringByLink::Secured { first, data } => {
                if first {
                    relay.stats.queues.queues_secured.one();
                }
                Body::Link(Box::new(LinkContent { sender_id, data }))
            }
            SecuringByLink::OtherKey | SecuringByLink::NotFound => Body::Error(SmpError::Auth),
        })
    }

    /// RKEY.
    pub(super) async fn set_recipient_keys(
        &self,
        record: &QueueRecord,
        keys: &NonEmptyList<'_, AuthorizationKey>,
    ) -> Result<Answer, SmpError<'static>> {
        if record.mode != QueueMode::Contact {
            return Err(SmpError::Auth);
        }
        if keys.len() > RECIPIENT_KEYS {
            return Err(SmpError::Command(CommandError::Prohibited));
        }
        let keys: Vec<_> = keys.iter().collect();
        let keys = RecipientKeys::from_slice(&keys).ok_or(SmpError::Command(CommandError::Syntax))?;
        self.admit_growth()?;
        let pending = self.relay.store.set_recipient_keys(record.recipient_id, keys).await;
        later(pending.map_err(|error| store_error(&error))?, |outcome| match outcome {
            KeyReplacement::Replaced => Body::Ok,
            KeyReplacement::NotFound => Body::Error(SmpError::Auth),
        })
    }
}
