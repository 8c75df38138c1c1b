//! What `QUE` tells the recipient about a queue (wire reference, section 7.6).

use smp_proto::id::MessageId;
use smp_proto::smp::error::SmpError;
use smp_proto::smp::json::JsonString;
use smp_proto::smp::queue_info::{
    HeadMessage, MessageIdText, MessageKind as WireKind, QueueInfo, SubscriptionInfo, SubscriptionState, TimeText,
};
use smp_proto::wire::{Time, Writer};

use super::authorize::store_error;
use super::store::{MessageKind, QueueRecord, Store};
use super::subscriptions::{Mode, Subscriptions};

/// Longer than any description: the fields are numbers, two ids and a time.
const MAX_JSON: usize = 512;

/// The description of a queue as JSON.
pub(super) fn describe(
    store: &Store,
    record: &QueueRecord,
    subscriptions: &Subscriptions,
) -> Result<Box<str>, SmpError<'static>> {
    let queue = record.recipient_id;
    let state = store.queue_state(&queue).map_err(|error| store_error(&error))?;
    let head = store.head(&queue).map_err(|error| store_error(&error))?;
    let delivered = subscriptions.delivered(&queue).map(|id| MessageIdText::new(MessageId::from_array(&id)));
    let head = head.map(|message| {
        let kind = match message.kind {
            MessageKind::Message { .. } => WireKind::Message,
            MessageKind::QuotaMark => WireKind::Quota,
        };
        (MessageIdText::new(MessageId::from_array(&message.id)), TimeText::new(Time(message.time)), kind)
    });
    let info = QueueInfo {
        secured: record.sender_key.is_some(),
        notifications: record.notifier.is_some(),
        subscription: subscriptions.mode(&queue).map(|mode| SubscriptionInfo {
            state: match mode {
                Mode::Subscribed(_) | Mode::Service => SubscriptionState::Idle,
                Mode::Fetching => SubscriptionState::Prohibited,
            },
            delivered: delivered.as_ref().map(|id| JsonString::new(id.as_str())),
        }),
        size: i64::try_from(state.size()).unwrap_or(i64::MAX),
        head: head.as_ref().map(|(id, time, kind)| HeadMessage {
            message_id: JsonString::new(id.as_str()),
            time: JsonString::new(time.as_str()),
            kind: *kind,
        }),
    };
    let mut buffer = [0; MAX_JSON];
    let mut writer = Writer::new(&mut buffer);
    info.encode(&mut writer).map_err(|_| SmpError::Internal)?;
    String::from_utf8(writer.written().to_vec()).map(String::into_boxed_str).map_err(|_| SmpError::Internal)
}
