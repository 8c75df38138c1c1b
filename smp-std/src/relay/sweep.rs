//! What happens by the clock: messages and notifications expire, and connections that do nothing are closed (wire
//! reference, sections 10.5, 10.6 and 10.9).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Relay;
use super::store::rules::RESERVED_DAYS;
use super::store::{Expiry, NotifierPage, OccupiedPage, StoreError};

/// Queues looked at in one go.
const PAGE: usize = 1_000;

const DAY_SECONDS: i64 = 86_400;

/// Between two looks at the notifications of all queues (wire reference, section 10.6).
const NOTIFICATIONS_INTERVAL: Duration = Duration::from_secs(3_600);

impl Relay {
    /// Removes expired messages at the start and then again and again.
    pub(super) async fn sweep_messages(self: Arc<Self>) {
        loop {
            if let Some(over) = self.message_expiry() {
                match self.expire_all(&over).await {
                    Ok(0) => {}
                    Ok(count) => tracing::info!(count, "messages expired"),
                    Err(error) => tracing::error!(%error, "expired messages could not be removed"),
                }
            }
            match self.release_old_ids().await {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "ids of deleted queues may be used again"),
                Err(error) => tracing::error!(%error, "ids of deleted queues could not be released"),
            }
            let interval = Duration::from_secs(self.config().messages.sweep_interval_seconds);
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = tokio::time::sleep(interval) => {}
            }
        }
    }

    /// Releases the ids of queues that were deleted long enough ago.
    async fn release_old_ids(&self) -> Result<u64, StoreError> {
        let over = self.expiry(i64::from(RESERVED_DAYS) * DAY_SECONDS);
        let ended = |day: u32| i64::from(day).saturating_add(1).saturating_mul(DAY_SECONDS).saturating_sub(1);
        let mut released = 0u64;
        let mut after = None;
        while !self.stopping.is_cancelled() {
            let store = self.store.clone();
            let page = tokio::task::spawn_blocking(move || store.reserved_ids(after.as_ref(), PAGE)).await;
            let page = page.map_err(|_| StoreError::Failed)??;
            let old =
                page.ids.iter().filter(|(_, _, day)| over.includes(ended(*day))).map(|(side, id, _)| (*side, *id));
            let old: Box<[_]> = old.collect();
            if !old.is_empty() {
                released = released.saturating_add(self.store.release_ids(old).await?.await?);
            }
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        Ok(released)
    }

    async fn expire_all(&self, over: &Expiry) -> Result<u64, StoreError> {
        let mut expired = 0;
        let mut after = None;
        loop {
            let store = self.store.clone();
            let page = tokio::task::spawn_blocking(move || store.occupied_queues(after.as_ref(), PAGE)).await;
            let OccupiedPage { recipient_ids, next } = page.map_err(|_| StoreError::Failed)??;
            let mut pending = Vec::new();
            for queue in recipient_ids {
                if self.stopping.is_cancelled() {
                    return Ok(expired);
                }
                pending.push(self.store.expire_messages(queue, over.clone()).await?);
            }
            for answer in pending {
                match answer.await {
                    Ok(count) => {
                        self.stats.queues.messages_expired.add(count);
                        expired += count;
                    }
                    Err(error @ (StoreError::Failed | StoreError::Closed)) => return Err(error),
                    // One damaged queue must not keep the messages of all others.
                    Err(error) => tracing::error!(%error, "a queue could not be looked through"),
                }
            }
            match next {
                Some(next) => after = Some(next),
                None => return Ok(expired),
            }
        }
    }

    /// Removes expired notifications at the start and then every hour.
    pub(super) async fn sweep_notifications(self: Arc<Self>) {
        loop {
            let hours = i64::from(self.config().notifications.expire_hours);
            match self.expire_notifications(&self.expiry(hours * 3_600)).await {
                Ok(()) => {}
                Err(error) => tracing::error!(%error, "expired notifications could not be removed"),
            }
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = tokio::time::sleep(NOTIFICATIONS_INTERVAL) => {}
            }
        }
    }

    async fn expire_notifications(&self, over: &Expiry) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let store = self.store.clone();
            let page = tokio::task::spawn_blocking(move || store.notified_notifiers(after.as_ref(), PAGE)).await;
            let NotifierPage { notifiers, next } = page.map_err(|_| StoreError::Failed)??;
            let mut pending = Vec::new();
            for (notifier, _) in notifiers.into_iter().filter(|(_, oldest)| over.includes(*oldest)) {
                if self.stopping.is_cancelled() {
                    return Ok(());
                }
                pending.push(self.store.expire_notifications(notifier, over.clone()).await?);
            }
            for answer in pending {
                match answer.await {
                    Ok(count) => self.stats.queues.notifications_expired.add(count),
                    Err(error @ (StoreError::Failed | StoreError::Closed)) => return Err(error),
                    Err(error) => tracing::error!(%error, "a notifier could not be looked through"),
                }
            }
            match next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Closes connections without subscriptions that were silent for too long in both directions.
    pub(super) async fn sweep_connections(self: Arc<Self>) {
        loop {
            let interval = Duration::from_secs(self.config().inactive_clients.check_interval_seconds);
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = tokio::time::sleep(interval) => {}
            }
            let config = self.config();
            let options = &config.inactive_clients;
            if !options.disconnect {
                continue;
            }
            let Some(limit) = self.uptime().checked_sub(options.ttl_seconds) else { continue };
            let mut closed = 0;
            for peer in self.peers.lock().values() {
                let active = peer.subscriptions.load(Ordering::Relaxed) > 0
                    || peer.last_received.load(Ordering::Relaxed) > limit
                    || peer.last_sent.load(Ordering::Relaxed) > limit;
                if !active {
                    peer.close();
                    closed += 1;
                }
            }
            if closed > 0 {
                tracing::info!(closed, "inactive connections were closed");
            }
        }
    }
}
