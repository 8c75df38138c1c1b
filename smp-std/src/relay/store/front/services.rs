//! Services and their queues.

use std::sync::Arc;

use super::{Inner, MISMATCH, Store};
use crate::relay::store::StoreError;
use crate::relay::store::operation::{Operation, Reply};
use crate::relay::store::pending::Pending;
use crate::relay::store::record::Id;
use crate::relay::store::service::{Association, QueueSet, ServiceAdmission, ServiceRecord, ServiceSide};

/// Changes of services.
impl Store {
    /// Finds the service with the certificate of `record`, or adds the record unless there are `limit` services. Of a known
    /// service only the day on which it was seen is taken.
    pub async fn admit_service(
        &self,
        record: Arc<ServiceRecord>,
        limit: u64,
    ) -> Result<Pending<ServiceAdmission>, StoreError> {
        let finish = |_: &Inner, reply| if let Reply::Admission(it) = reply { Ok(it) } else { Err(MISMATCH) };
        self.submit(Operation::AdmitService { record, limit }, finish).await
    }

    /// Records that a service was seen on `day` (whole days since 1970-01-01, UTC); as late as
    /// [`Self::touch_queue`] is.
    pub fn touch_service(&self, service: Id, day: u32) {
        self.submit_quietly(Operation::TouchService { service, day });
    }

    /// Removes a service that has no queues and was not seen on `before_day` (whole days since 1970-01-01, UTC) or later;
    /// resolves to whether it did.
    pub async fn forget_service(&self, service: Id, before_day: u32) -> Result<Pending<bool>, StoreError> {
        let finish = |_: &Inner, reply| if let Reply::Forgotten(it) = reply { Ok(it) } else { Err(MISMATCH) };
        self.submit(Operation::ForgetService { service, before_day }, finish).await
    }

    /// Associates a queue, named by its id on `side`, with a service that exists, or with none. Resolves to what was
    /// before, `None` if there is no such queue.
    pub async fn associate_queue(
        &self,
        side: ServiceSide,
        id: Id,
        service: Option<Id>,
    ) -> Result<Pending<Option<Association>>, StoreError> {
        let finish = |_: &Inner, reply| if let Reply::Association(it) = reply { Ok(it) } else { Err(MISMATCH) };
        self.submit(Operation::AssociateQueue { side, id, service }, finish).await
    }
}

/// Reads of services.
impl Store {
    /// The service with this id.
    pub fn service(&self, id: &Id) -> Result<Option<Arc<ServiceRecord>>, StoreError> {
        self.inner.readable()?.service(id)
    }

    /// The service with the identity certificate of this SHA-256.
    pub fn service_by_fingerprint(&self, fingerprint: &[u8; 32]) -> Result<Option<Arc<ServiceRecord>>, StoreError> {
        let backend = self.inner.readable()?;
        match backend.service_by_fingerprint(fingerprint)? {
            Some(id) => backend.service(&id),
            None => Ok(None),
        }
    }

    /// Services in the order of their ids, from the first behind `after`, at most `limit`. Reads from disk: call it where
    /// blocking is allowed.
    pub fn services(&self, after: Option<&Id>, limit: usize) -> Result<Vec<Arc<ServiceRecord>>, StoreError> {
        self.inner.readable()?.services(after, limit)
    }

    /// How many queues a service has on one side, and which. Costs nothing.
    #[must_use]
    pub fn service_queues(&self, service: &Id, side: ServiceSide) -> QueueSet {
        self.inner.backend.queue_set(service, side)
    }

    /// Ids, on their side, of the queues of a service in their order, from the first behind `after`, at most `limit`.
    /// Reads from disk: call it where blocking is allowed.
    pub fn service_queue_ids(
        &self,
        service: &Id,
        side: ServiceSide,
        after: Option<&Id>,
        limit: usize,
    ) -> Result<Vec<Id>, StoreError> {
        self.inner.readable()?.members(service, side, after, limit)
    }
}
