//! SEND (wire reference, section 7.4).

use std::sync::Arc;

use bytes::Bytes;
use smp_proto::smp::error::SmpError;
use smp_proto::smp::sender::Send as SendCommand;

use super::{Answer, Executor, later, new_id};
use crate::relay::authorize::store_error;
use crate::relay::reply::Body;
use crate::relay::store::{AppendMessage, AppendOutcome, QueueRecord};

impl Executor<'_> {
    pub(super) async fn send(&self, record: &QueueRecord, send: &SendCommand<'_>) -> Result<Answer, SmpError<'static>> {
        let stats = &self.relay.stats;
        if send.body.len() > self.version.max_message_length() {
            stats.queues.messages_sent_large.one();
            return Err(SmpError::LargeMessage);
        }
        if record.status.is_suspended() {
            stats.queues.messages_sent_auth.one();
            return Err(SmpError::Auth);
        }
        if let Some(blocked) = record.status.blocked() {
            stats.queues.messages_sent_blocked.one();
            return Err(SmpError::Blocked(blocked));
        }
        let config = self.relay.config();
        if self.relay.store.counts().messages >= config.max_messages() {
            stats.limits.messages_total.one();
            stats.queues.messages_sent_quota.one();
            return Err(SmpError::Quota);
        }
        if !self.relay.has_room_for_messages() {
            stats.limits.messages_disk.one();
            stats.queues.messages_sent_quota.one();
            return Err(SmpError::Quota);
        }
        let messages = &config.messages;
        let now = self.relay.now();
        let append = AppendMessage {
            recipient_id: record.recipient_id,
            message_id: new_id(),
            time: now,
            notification: send.notify,
            notify: send.notify.then(|| config.notification_limits()),
            secured: record.sender_key.is_some(),
            body: Bytes::copy_from_slice(send.body),
            quota: u64::from(messages.quota),
            expire: if messages.expire_on_send { self.relay.message_expiry() } else { None },
        };
        let pending = self.relay.store.append_message(append).await.map_err(|error| store_error(&error))?;
        // The recipient's and the notifier's connections hear of it from the store, whatever becomes of this one.
        let (relay, queue, notify) = (Arc::clone(self.relay), record.recipient_id, send.notify);
        later(pending, move |appended| {
            let counters = &relay.stats.queues;
            counters.messages_expired.add(appended.expired);
            if let Some(notified) = &appended.notified {
                relay.count_notification(notified);
            }
            match appended.outcome {
                AppendOutcome::Stored { .. } => {
                    relay.stats.message_sent(&queue, notify);
                    Body::Ok
                }
                AppendOutcome::QuotaMarked { .. } | AppendOutcome::QuotaExceeded => {
                    counters.messages_sent_quota.one();
                    Body::Error(SmpError::Quota)
                }
                AppendOutcome::Suspended | AppendOutcome::NotFound => {
                    counters.messages_sent_auth.one();
                    Body::Error(SmpError::Auth)
                }
                AppendOutcome::Blocked(blocked) => {
                    counters.messages_sent_blocked.one();
                    Body::Error(SmpError::Blocked(blocked))
                }
            }
        })
    }
}
