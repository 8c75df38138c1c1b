//! What a store keeps about notifications that wait for their notifier (wire reference, 10.6).
//!
//! They are sealed when they are delivered, so all that waits is which message each is about: 32 bytes. As messages in a
//! queue they have sequence numbers, so that finding the oldest never passes over what was removed.

use std::collections::HashMap;
use std::fmt;

use parking_lot::Mutex;
use smp_proto::wire::Reader;

use super::StoreError;
use super::record::Id;

/// A notification that waits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PendingNotification {
    /// The message it is about.
    pub message_id: Id,
    /// When the relay received that message: seconds since 1970-01-01, UTC.
    pub time: i64,
}

impl fmt::Debug for PendingNotification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PendingNotification(..)")
    }
}

/// How many notifications may wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotificationLimits {
    /// Of one notifier; beyond it the oldest goes.
    pub per_notifier: u32,
    /// Of all notifiers; beyond it the oldest of the same notifier goes, or, when it has none, the new one.
    pub total: u64,
}

/// Where the notifications of a notifier are: those with sequence numbers from `head` up to, not including, `tail`.
/// Sequence numbers of a notifier are never used again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NotificationState {
    /// The oldest.
    pub head: u64,
    /// The number the next one gets.
    pub tail: u64,
}

impl NotificationState {
    /// How many wait.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.tail.saturating_sub(self.head)
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.size() == 0
    }
}

/// A page of notifiers with notifications that wait.
#[derive(Clone, Default)]
pub struct NotifierPage {
    /// Notifier ids, each with the time of its oldest notification.
    pub notifiers: Vec<(Id, i64)>,
    /// Where the next page starts (pass it as `after`); `None` when this was the last.
    pub next: Option<Id>,
}

impl fmt::Debug for NotifierPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NotifierPage({} notifiers)", self.notifiers.len())
    }
}

/// What was delivered and is still on its way out of the store: readers must not see it again.
#[derive(Default)]
pub(super) struct Delivered(Mutex<HashMap<Id, u64>>);

impl Delivered {
    /// Everything before the sequence number `next` was delivered.
    pub(super) fn note(&self, notifier_id: Id, next: u64) {
        let mut delivered = self.0.lock();
        let known = delivered.entry(notifier_id).or_default();
        *known = next.max(*known);
    }

    /// What was noted with `next` is removed from the store.
    pub(super) fn settle(&self, notifier_id: &Id, next: u64) {
        let mut delivered = self.0.lock();
        if delivered.get(notifier_id).is_some_and(|known| *known <= next) {
            delivered.remove(notifier_id);
        }
        if delivered.is_empty() {
            delivered.shrink_to(64);
        }
    }

    /// The first sequence number that was not delivered, as far as it is known here.
    pub(super) fn next(&self, notifier_id: &Id) -> u64 {
        self.0.lock().get(notifier_id).copied().unwrap_or_default()
    }
}

/// The version both formats have now.
const FORMAT: u8 = 1;

const STATE: &str = "notification state";
const NOTIFICATION: &str = "notification";

/// Writes where a notifier's notifications are: 17 bytes.
pub(super) fn encode_state(state: NotificationState) -> Vec<u8> {
    [&[FORMAT][..], &state.head.to_be_bytes(), &state.tail.to_be_bytes()].concat()
}

/// Reads where a notifier's notifications are.
pub(super) fn decode_state(bytes: &[u8]) -> Result<NotificationState, StoreError> {
    let mut reader = versioned(bytes, STATE)?;
    let mut number = || reader.array().map(|bytes| u64::from_be_bytes(*bytes)).map_err(|_| StoreError::Corrupt(STATE));
    let state = NotificationState { head: number()?, tail: number()? };
    if state.head > state.tail || reader.finish().is_err() {
        return Err(StoreError::Corrupt(STATE));
    }
    Ok(state)
}

/// Writes a notification: 33 bytes.
pub(super) fn encode(notification: &PendingNotification) -> Vec<u8> {
    [&[FORMAT][..], &notification.time.to_be_bytes(), &notification.message_id].concat()
}

/// Reads a notification.
pub(super) fn decode(bytes: &[u8]) -> Result<PendingNotification, StoreError> {
    let corrupt = |_| StoreError::Corrupt(NOTIFICATION);
    let mut reader = versioned(bytes, NOTIFICATION)?;
    let time = reader.i64().map_err(corrupt)?;
    let message_id = *reader.array().map_err(corrupt)?;
    reader.finish().map_err(corrupt)?;
    Ok(PendingNotification { message_id, time })
}

fn versioned<'a>(bytes: &'a [u8], what: &'static str) -> Result<Reader<'a>, StoreError> {
    let mut reader = Reader::new(bytes);
    match reader.u8().map_err(|_| StoreError::Corrupt(what))? {
        FORMAT => Ok(reader),
        found => Err(StoreError::NewerFormat { what, found }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_comes_back() {
        let state = NotificationState { head: 5, tail: u64::MAX };
        let bytes = encode_state(state);
        assert_eq!(bytes.len(), 17);
        assert_eq!(decode_state(&bytes).unwrap(), state);
        assert!(decode_state(&bytes[..16]).is_err());
        assert!(decode_state(&encode_state(NotificationState { head: 6, tail: 5 })).is_err());
        let notification = PendingNotification { message_id: [7; 24], time: -5 };
        let bytes = encode(&notification);
        assert_eq!(bytes.len(), 33);
        assert_eq!(decode(&bytes).unwrap(), notification);
        assert!(decode(&bytes[..32]).is_err());
        assert!(decode(&[&bytes[..], &[0]].concat()).is_err());
        let newer = [&[2], &bytes[1..]].concat();
        assert!(matches!(decode(&newer), Err(StoreError::NewerFormat { what: NOTIFICATION, found: 2 })));
    }

    #[test]
    fn what_was_delivered_is_known_until_it_is_gone() {
        let delivered = Delivered::default();
        delivered.note([1; 24], 5);
        delivered.note([1; 24], 3);
        assert_eq!((delivered.next(&[1; 24]), delivered.next(&[2; 24])), (5, 0));
        delivered.settle(&[1; 24], 3);
        assert_eq!(delivered.next(&[1; 24]), 5);
        delivered.settle(&[1; 24], 5);
        assert_eq!(delivered.next(&[1; 24]), 0);
    }
}
