//! A store that does what a test tells it to.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use smp_std::relay::store::{
    Backend, Counts, Id, LinkData, MemoryBackend, NotificationState, NotifierPage, OccupiedPage, Operation,
    PendingNotification, QueueRecord, QueueSet, QueueState, QueueWithLink, Reply, ReservedPage, ServiceRecord,
    ServiceSide, Side, Store, StoreError, StoreOptions, StoredMessage,
};

/// A memory store whose writes wait for a gate, and fail or panic when told to; what it does in the midst of a look-up can
/// be told as well.
#[derive(Default)]
pub(crate) struct Gated {
    inner: MemoryBackend,
    closed: Mutex<bool>,
    changed: Condvar,
    pub(crate) fail: AtomicBool,
    pub(crate) panic: AtomicBool,
    pub(crate) writes: AtomicUsize,
    pub(crate) entered: AtomicUsize,
    pub(crate) operations: AtomicUsize,
    /// Done once, when the name of a queue was read and the queue was not.
    pub(crate) after_name: Mutex<Vec<Operation>>,
}

impl Gated {
    pub(crate) fn gate(&self, closed: bool) {
        *self.closed.lock().unwrap() = closed;
        self.changed.notify_all();
    }
}

/// The store owns its backend; the test keeps another handle.
struct Shared(Arc<Gated>);

impl Backend for Shared {
    fn apply(&self, operations: &[Operation]) -> Result<Vec<Result<Reply, StoreError>>, StoreError> {
        self.0.entered.fetch_add(1, Ordering::SeqCst);
        let closed = self.0.changed.wait_while(self.0.closed.lock().unwrap(), |closed| *closed).unwrap();
        drop(closed);
        if self.0.fail.load(Ordering::SeqCst) {
            return Err(std::io::Error::from(std::io::ErrorKind::StorageFull).into());
        }
        assert!(!self.0.panic.load(Ordering::SeqCst), "as told");
        self.0.writes.fetch_add(1, Ordering::SeqCst);
        self.0.operations.fetch_add(operations.len(), Ordering::SeqCst);
        self.0.inner.apply(operations)
    }

    fn queue(&self, recipient_id: &Id) -> Result<Option<Arc<QueueRecord>>, StoreError> {
        self.0.inner.queue(recipient_id)
    }

    fn recipient_id(&self, side: Side, id: &Id) -> Result<Option<Id>, StoreError> {
        let found = self.0.inner.recipient_id(side, id);
        let operations = std::mem::take(&mut *self.0.after_name.lock().unwrap());
        self.0.inner.apply(&operations)?;
        found
    }

    fn state(&self, recipient_id: &Id) -> Result<QueueState, StoreError> {
        self.0.inner.state(recipient_id)
    }

    fn message(&self, recipient_id: &Id, sequence: u64) -> Result<Option<StoredMessage>, StoreError> {
        self.0.inner.message(recipient_id, sequence)
    }

    fn link(&self, recipient_id: &Id) -> Result<Option<LinkData>, StoreError> {
        self.0.inner.link(recipient_id)
    }

    fn queue_with_link(&self, recipient_id: &Id) -> Result<Option<QueueWithLink>, StoreError> {
        self.0.inner.queue_with_link(recipient_id)
    }

    fn reserved(&self, after: Option<&(Side, Id)>, limit: usize) -> Result<ReservedPage, StoreError> {
        self.0.inner.reserved(after, limit)
    }

    fn counts(&self) -> Counts {
        self.0.inner.counts()
    }

    fn queues(&self, after: Option<&Id>, limit: usize) -> Result<Vec<Arc<QueueRecord>>, StoreError> {
        self.0.inner.queues(after, limit)
    }

    fn occupied(&self, after: Option<&Id>, limit: usize) -> Result<OccupiedPage, StoreError> {
        self.0.inner.occupied(after, limit)
    }

    fn service(&self, id: &Id) -> Result<Option<Arc<ServiceRecord>>, StoreError> {
        self.0.inner.service(id)
    }

    fn service_by_fingerprint(&self, fingerprint: &[u8; 32]) -> Result<Option<Id>, StoreError> {
        self.0.inner.service_by_fingerprint(fingerprint)
    }

    fn services(&self, after: Option<&Id>, limit: usize) -> Result<Vec<Arc<ServiceRecord>>, StoreError> {
        self.0.inner.services(after, limit)
    }

    fn queue_set(&self, service: &Id, side: ServiceSide) -> QueueSet {
        self.0.inner.queue_set(service, side)
    }

    fn members(
        &self,
        service: &Id,
        side: ServiceSide,
        after: Option<&Id>,
        limit: usize,
    ) -> Result<Vec<Id>, StoreError> {
        self.0.inner.members(service, side, after, limit)
    }

    fn notification_state(&self, notifier_id: &Id) -> Result<NotificationState, StoreError> {
        self.0.inner.notification_state(notifier_id)
    }

    fn notification(&self, notifier_id: &Id, sequence: u64) -> Result<Option<PendingNotification>, StoreError> {
        self.0.inner.notification(notifier_id, sequence)
    }

    fn notified(&self, after: Option<&Id>, limit: usize) -> Result<NotifierPage, StoreError> {
        self.0.inner.notified(after, limit)
    }
}

pub(crate) fn gated(options: StoreOptions) -> (Arc<Gated>, Store) {
    let gated = Arc::new(Gated::default());
    let store = Store::with_backend(Arc::new(Shared(Arc::clone(&gated))), options).unwrap();
    (gated, store)
}
