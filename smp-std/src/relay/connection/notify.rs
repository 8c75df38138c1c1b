//! Notifications on their way to a notifier (wire reference, section 10.6).

use smp_crypto::key::SharedSecret;
use smp_proto::transport::block::BatchWriter;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Connection;
use super::output::Pushed;
use crate::relay::authorize::store_error;
use crate::relay::hub::Part;
use crate::relay::notifications::Due;
use crate::relay::reply::{Body, Notification, Reply};
use crate::relay::store::{Side, StoreError};

/// What a notifier gets next: its number, the notification, and the time of the one behind it.
type Next = (u64, Notification, Option<i64>);

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Packs notifications that are due, the oldest first, as long as they fit. False when the block is full.
    pub(super) fn notify(&mut self, batch: &mut BatchWriter<'_>) -> bool {
        while let Some(due) = self.notifications.next_due() {
            // From here on new ones are posted again, so none is missed between the look and the delivery.
            self.relay.hub.noticed(Part::Notifier, &due.notifier, due.token);
            let (sequence, notification, behind) = match self.next_notification(&due) {
                Ok(Some(next)) => next,
                Ok(None) => {
                    self.notifications.idle(&due.notifier);
                    continue;
                }
                Err(error) => {
                    // The notifier gets it at its next NSUB.
                    let _ = store_error(&error);
                    continue;
                }
            };
            let time = notification.pending.time;
            if time > due.time {
                // What it was queued for is gone; others may be older than what is left.
                self.notifications.waiting(due.notifier, time);
                continue;
            }
            match self.push(batch, &Reply::event(&due.notifier, Body::Notification(Box::new(notification)))) {
                Pushed::Full => {
                    self.notifications.waiting(due.notifier, time);
                    return false;
                }
                Pushed::Written => self.relay.stats.queues.notifications.one(),
                Pushed::Impossible => {}
            }
            self.notifications.pushed(&due.notifier, sequence.saturating_add(1));
            if let Some(behind) = behind {
                self.notifications.waiting(due.notifier, behind);
            }
        }
        true
    }

    fn next_notification(&self, due: &Due) -> Result<Option<Next>, StoreError> {
        let store = &self.relay.store;
        let waiting = store.notifications(&due.notifier, due.next, 2)?;
        let mut waiting = waiting.into_iter();
        let Some((sequence, pending)) = waiting.next() else { return Ok(None) };
        let Some(record) = store.queue_by_side(Side::Notifier, &due.notifier)? else { return Ok(None) };
        // A notifier that came to a service or left it in this moment is another's.
        if record.notifier_service != self.service.as_ref().map(|service| service.id) {
            return Ok(None);
        }
        Ok(record.notifier.as_ref().map(|notifier| {
            let secret = SharedSecret::from_bytes(*notifier.secret.as_bytes());
            (sequence, Notification { pending, secret }, waiting.next().map(|(_, behind)| behind.time))
        }))
    }

    /// What was written need not wait any longer. Waits only for room among the changes on their way to the disk.
    pub(super) async fn forget_delivered(&mut self) {
        let delivered = self.notifications.take_delivered();
        if delivered.is_empty() {
            return;
        }
        self.relay.stats.queues.notifications_batches.one();
        for (notifier, next) in delivered {
            if self.relay.store.forget_notifications(notifier, next).await.is_err() {
                // The store has stopped, and the relay with it.
                return;
            }
            self.notifications.idle(&notifier);
        }
    }
}
