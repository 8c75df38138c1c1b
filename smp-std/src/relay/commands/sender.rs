//! SEND (wire reference, section 7.4).

use bytes::Bytes;
use smp_proto::smp::error::SmpError;
use smp_proto::smp::sender::Send as SendCommand;

use super::{Answer, Executor, later, new_id};
use crate::relay::authorize::store_error;
use crate::relay::reply::Body;
use crate::relay::store::{AppendMessage, AppendOutcome, QueueRecord};

impl Executor<'_> {
    pub(super) async fn send(&self, record: &QueueRecord, send: &SendCommand<'_>) -> Result<Answer, SmpError<'static>> {
        if send.body.len() > self.version.max_message_length() {
            return Err(SmpError::LargeMessage);
        }
        if record.status.is_suspended() {
            return Err(SmpError::Auth);
        }
        if let Some(blocked) = record.status.blocked() {
            return Err(SmpError::Blocked(blocked));
        }
        let config = self.relay.config();
        if self.relay.store.counts().messages >= config.max_messages() {
            self.relay.stats.limits.messages_total.one();
            return Err(SmpError::Quota);
        }
        if !self.relay.has_room_for_messages() {
            self.relay.stats.limits.messages_disk.one();
            return Err(SmpError::Quota);
        }
        let messages = &config.messages;
        let now = self.relay.now();
        let append = AppendMessage {
            recipient_id: record.recipient_id,
            message_id: new_id(),
            time: now,
            notification: send.notify,
            body: Bytes::copy_from_slice(send.body),
            quota: u64::from(messages.quota),
            expire_before: if messages.expire_on_send { self.relay.expire_before(now) } else { None },
        };
        let pending = self.relay.store.append_message(append).await.map_err(|error| store_error(&error))?;
        // The recipient's connection hears of the message from the store, whatever becomes of this one.
        later(pending, |appended| match appended.outcome {
            AppendOutcome::Stored { .. } => Body::Ok,
            AppendOutcome::QuotaMarked { .. } | AppendOutcome::QuotaExceeded => Body::Error(SmpError::Quota),
            AppendOutcome::Suspended | AppendOutcome::NotFound => Body::Error(SmpError::Auth),
            AppendOutcome::Blocked(blocked) => Body::Error(SmpError::Blocked(blocked)),
        })
    }
}
