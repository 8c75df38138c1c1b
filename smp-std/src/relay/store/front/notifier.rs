//! Notifiers and their notifications, as the relay uses them.

use std::sync::Arc;

use super::{Inner, MISMATCH, Store};
use crate::relay::store::commit::Request;
use crate::relay::store::notification::{NotificationLimits, NotifierPage, PendingNotification};
use crate::relay::store::operation::{NotifierRemoval, NotifierSetting, Operation, Reply};
use crate::relay::store::pending::Pending;
use crate::relay::store::record::{Id, Notifier};
use crate::relay::store::{Expiry, StoreError};

/// Notifiers and notifications that wait for them.
impl Store {
    /// Gives a queue a notifier in the place of the one it has, whose notifications go.
    pub async fn set_notifier(
        &self,
        recipient_id: Id,
        notifier: Box<Notifier>,
    ) -> Result<Pending<NotifierSetting>, StoreError> {
        let finish = |_: &Inner, reply| if let Reply::NotifierSetting(it) = reply { Ok(it) } else { Err(MISMATCH) };
        self.submit(Operation::SetNotifier { recipient_id, notifier }, finish).await
    }

    /// Takes a queue's notifier away, and its notifications.
    pub async fn remove_notifier(&self, recipient_id: Id) -> Result<Pending<NotifierRemoval>, StoreError> {
        let finish = |_: &Inner, reply| if let Reply::NotifierRemoval(it) = reply { Ok(it) } else { Err(MISMATCH) };
        self.submit(Operation::RemoveNotifier { recipient_id }, finish).await
    }

    /// Removes notifications of messages that came at times which are over, from the oldest to the first that did not;
    /// resolves to their number.
    pub async fn expire_notifications(
        &self,
        notifier_id: Id,
        over: impl Into<Expiry>,
    ) -> Result<Pending<u64>, StoreError> {
        let finish =
            |_: &Inner, reply| if let Reply::NotificationsExpired(it) = reply { Ok(it) } else { Err(MISMATCH) };
        self.submit(Operation::ExpireNotifications { notifier_id, over: over.into() }, finish).await
    }

    /// Adds notifications that were kept elsewhere, the oldest first, behind those that wait; resolves to how many were
    /// lost to the limits, or to the number of all when there is no such notifier.
    pub async fn insert_notifications(
        &self,
        notifier_id: Id,
        notifications: impl Into<Box<[PendingNotification]>>,
        limits: NotificationLimits,
    ) -> Result<Pending<u64>, StoreError> {
        let finish = |_: &Inner, reply| if let Reply::NotificationsLost(it) = reply { Ok(it) } else { Err(MISMATCH) };
        let notifications = notifications.into();
        self.submit(Operation::InsertNotifications { notifier_id, notifications, limits }, finish).await
    }

    /// Notes that the notifications before the sequence number `next` were delivered. [`Self::notifications`] passes them
    /// over from now on. Nobody learns when that is durable: it goes to disk with the next change, or within half a
    /// minute, so that a crash may bring back a few. Waits only for room among the waiting operations.
    pub async fn forget_notifications(&self, notifier_id: Id, next: u64) -> Result<(), StoreError> {
        let inner = &self.inner;
        let operation = Operation::ForgetNotifications { notifier_id, next };
        let budget = Arc::clone(&inner.shared.budget);
        let permit = budget.acquire_many_owned(inner.weight(&operation)).await.map_err(|_| inner.stopped())?;
        // From here on nobody can give up before the operation is submitted, which takes the note away again.
        inner.shared.delivered.note(notifier_id, next);
        inner.requests.send(Request::Operation { operation, reply: None, permit }).map_err(|_| inner.stopped())
    }

    /// Up to `limit` notifications that wait for a notifier, with their sequence numbers, the oldest first: those with
    /// numbers from `from` up that were not delivered.
    pub fn notifications(
        &self,
        notifier_id: &Id,
        from: u64,
        limit: usize,
    ) -> Result<Vec<(u64, PendingNotification)>, StoreError> {
        let backend = self.inner.readable()?;
        // Read before the state: what is no longer known as delivered has left the state.
        let delivered = self.inner.shared.delivered.next(notifier_id);
        let state = backend.notification_state(notifier_id)?;
        let mut found = Vec::new();
        for sequence in state.head.max(from).max(delivered)..state.tail {
            if found.len() >= limit {
                break;
            }
            // What is not there was removed between the two reads.
            if let Some(notification) = backend.notification(notifier_id, sequence)? {
                found.push((sequence, notification));
            }
        }
        Ok(found)
    }

    /// Looks at the next `limit` notifiers behind `after` and returns those with notifications that wait, for the sweep
    /// of expiry and for export. Reads from disk: call it where blocking is allowed.
    pub fn notified_notifiers(&self, after: Option<&Id>, limit: usize) -> Result<NotifierPage, StoreError> {
        self.inner.readable()?.notified(after, limit)
    }
}
