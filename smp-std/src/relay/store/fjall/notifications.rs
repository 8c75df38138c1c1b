//! Notifications on disk: one keyspace with two kinds of rows.
//!
//! | Key | Value |
//! |---|---|
//! | notifier id | where its notifications are; stays while the notifier exists |
//! | notifier id, sequence number | notification that waits |

use std::ops::Bound;

use fjall::{Keyspace, OwnedWriteBatch};

use super::{error, message_key};
use crate::relay::store::StoreError;
use crate::relay::store::notification::{self, NotificationState, NotifierPage, PendingNotification};
use crate::relay::store::overlay::Changes;
use crate::relay::store::record::Id;

/// The rows of notifications.
pub(super) struct Notifications(Keyspace);

impl Notifications {
    /// Over the rows of a keyspace.
    pub(super) const fn over(rows: Keyspace) -> Self {
        Self(rows)
    }

    pub(super) fn state(&self, notifier_id: &Id) -> Result<NotificationState, StoreError> {
        match self.0.get(notifier_id).map_err(error)? {
            Some(bytes) => notification::decode_state(&bytes),
            None => Ok(NotificationState::default()),
        }
    }

    pub(super) fn notification(
        &self,
        notifier_id: &Id,
        sequence: u64,
    ) -> Result<Option<PendingNotification>, StoreError> {
        match self.0.get(message_key(notifier_id, sequence)).map_err(error)? {
            Some(bytes) => notification::decode(&bytes).map(Some),
            None => Ok(None),
        }
    }

    pub(super) fn notified(&self, after: Option<&Id>, limit: usize) -> Result<NotifierPage, StoreError> {
        // The rows of a notifier stand behind its state: the first of them is the oldest.
        let start = match after {
            Some(id) => Bound::Excluded(message_key(id, u64::MAX).to_vec()),
            None => Bound::Unbounded,
        };
        let mut page = NotifierPage::default();
        let mut visited = 0;
        let mut last = None;
        for row in self.0.range::<Vec<u8>, _>((start, Bound::Unbounded)) {
            let (key, value) = row.into_inner().map_err(error)?;
            if let Ok(id) = Id::try_from(key.as_ref()) {
                if visited == limit {
                    page.next = last;
                    break;
                }
                visited += 1;
                last = Some(id);
            } else if let Some(id) = key.first_chunk()
                && page.notifiers.last().is_none_or(|(known, _)| known != id)
            {
                page.notifiers.push((*id, notification::decode(&value)?.time));
            }
        }
        Ok(page)
    }

    /// Adds what a batch added: readers see it row by row, and what a state points to must be there first.
    pub(super) fn write_added(&self, batch: &mut OwnedWriteBatch, changes: &Changes) {
        for ((id, sequence), notification) in &changes.notifications {
            if let Some(notification) = notification {
                batch.insert(&self.0, message_key(id, *sequence), notification::encode(notification));
            }
        }
    }

    /// Adds what else a batch changed.
    pub(super) fn write_rest(&self, batch: &mut OwnedWriteBatch, changes: &Changes) {
        for (id, state) in &changes.notification_states {
            match state {
                Some(state) => batch.insert(&self.0, *id, notification::encode_state(*state)),
                None => batch.remove(&self.0, *id),
            }
        }
        for ((id, sequence), notification) in &changes.notifications {
            if notification.is_none() {
                batch.remove(&self.0, message_key(id, *sequence));
            }
        }
    }
}
