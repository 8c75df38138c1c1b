//! Services at the relay's door: who they are, and when they are forgotten (wire reference, section 4.3).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use smp_crypto::session::ServiceRequest;
use smp_proto::smp::error::{HandshakeError, TransportError};

use super::Relay;
use super::commands::new_id;
use super::receivers::Connected;
use super::store::{Id, ServiceAdmission, ServiceRecord, StoreError};

/// The longest chain of certificates that is kept, in bytes. Those of clients are a tenth of it.
const CHAIN_BYTES: usize = 4_096;

/// Services looked at in one go.
const PAGE: usize = 500;

/// How often services are looked through.
const SWEEP: Duration = Duration::from_secs(6 * 3600);

/// How long after services were looked through because there were too many it may happen again, in seconds.
const PRESSURE_PAUSE: u64 = 600;

/// Why a service is not served.
#[derive(Debug)]
pub(super) enum ServiceRefused {
    /// It is told this.
    Told(TransportError),
    /// The store failed.
    Store(StoreError),
}

impl From<StoreError> for ServiceRefused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Relay {
    /// The id of a service that has proved who it is, the same each time; a new one is on disk when this returns. `chain`
    /// are its certificates, leaf first. It counts as connected from then on: what is left of the handshake may take long.
    pub(super) async fn admit_service(
        self: &Arc<Self>,
        request: &ServiceRequest,
        chain: &[&[u8]],
    ) -> Result<(Id, Connected), ServiceRefused> {
        const REFUSED: ServiceRefused = ServiceRefused::Told(TransportError::Handshake(HandshakeError::BadService));
        let connected = |id| Ok((id, Connected::new(&self.hub, id)));
        let _gate = self.services_gate.read().await;
        let today = self.today();
        let known = self.store.service_by_fingerprint(request.fingerprint())?;
        if known.is_none() && !self.has_room_for_queues() {
            return Err(REFUSED);
        }
        if let Some(known) = known {
            if known.role != request.role() {
                return Err(REFUSED);
            }
            if known.seen_day == today {
                return connected(known.id);
            }
        }
        if chain.iter().map(|certificate| certificate.len()).sum::<usize>() > CHAIN_BYTES {
            return Err(REFUSED);
        }
        let record = ServiceRecord {
            id: new_id(),
            role: request.role(),
            fingerprint: *request.fingerprint(),
            chain: chain.iter().map(|certificate| Box::from(*certificate)).collect(),
            created: self.now(),
            seen_day: today,
        };
        match self.store.admit_service(Arc::new(record), self.config().services.max).await?.await? {
            ServiceAdmission::Admitted(id) => connected(id),
            ServiceAdmission::OtherRole => Err(REFUSED),
            ServiceAdmission::Full => {
                self.make_room_for_services();
                Err(REFUSED)
            }
        }
    }

    /// Forgets services in the background, however lately they were seen.
    fn make_room_for_services(self: &Arc<Self>) {
        let (now, last) = (self.uptime(), self.services_swept.load(Ordering::Relaxed));
        let pause = last != 0 && now < last.saturating_add(PRESSURE_PAUSE);
        let swap =
            || self.services_swept.compare_exchange(last, now.max(1), Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if !pause && swap() {
            tracing::warn!("there are as many services as configured; those without queues are forgotten");
            let relay = Arc::clone(self);
            self.tasks.spawn(async move { relay.forget_services(u32::MAX).await });
        }
    }

    /// Forgets services that have no queues and did not come for long, again and again.
    pub(super) async fn sweep_services(self: Arc<Self>) {
        loop {
            let before_day = self.today().saturating_sub(self.config().services.forget_days);
            self.forget_services(before_day).await;
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = tokio::time::sleep(SWEEP) => {}
            }
        }
    }

    /// Forgets services that have no queues, are not connected, and were not seen on this day or later.
    pub(super) async fn forget_services(&self, before_day: u32) {
        match self.try_forget_services(before_day).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "services without queues were forgotten"),
            Err(error) => tracing::error!(%error, "services could not be looked through"),
        }
    }

    async fn try_forget_services(&self, before_day: u32) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        let mut after: Option<Id> = None;
        loop {
            let store = self.store.clone();
            let page = tokio::task::spawn_blocking(move || store.services(after.as_ref(), PAGE)).await;
            let page = page.map_err(|_| StoreError::Failed)??;
            let Some(last) = page.last() else { return Ok(forgotten) };
            after = Some(last.id);
            let _gate = self.services_gate.write().await;
            let mut pending = Vec::new();
            for record in page.iter().filter(|record| record.seen_day < before_day) {
                if self.stopping.is_cancelled() {
                    return Ok(forgotten);
                }
                if !self.hub.services.is_connected(&record.id) {
                    pending.push(self.store.forget_service(record.id, before_day).await?);
                }
            }
            for answer in pending {
                forgotten += u64::from(answer.await?);
            }
        }
    }
}
