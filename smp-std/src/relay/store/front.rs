//! The store as the relay uses it.

mod services;

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use smp_proto::key::AuthorizationKey;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

use super::StoreError;
use super::backend::{Backend, OccupiedPage};
use super::commit::{self, BatchLimits, CommitObserver, Request, Shared};
use super::fjall::{FjallBackend, FjallOptions};
use super::memory::MemoryBackend;
use super::operation::{
    Acknowledged, AppendMessage, Appended, Creation, DeletedQueue, Operation, QueueName, Removal, Reply, Securing,
    Side, Suspension,
};
use super::pending::Pending;
use super::record::{Counts, Id, QueueRecord, QueueState, StoredMessage};

/// How much may wait, and how much is written at once.
#[derive(Clone)]
pub struct StoreOptions {
    /// Bytes of operations that may wait for their write, over all connections; submitting more waits. 32 MiB by
    /// default. An operation counts its message body and 512 bytes.
    pub budget: NonZeroU32,
    /// Bytes of operations in one write, at most and about. 8 MiB by default.
    pub batch_bytes: usize,
    /// Operations in one write, at most. 4,096 by default.
    pub batch_operations: usize,
    /// Who hears of messages that became durable. Nobody by default.
    pub observer: Option<Arc<dyn CommitObserver>>,
}

impl std::fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { budget, batch_bytes, batch_operations, observer: _ } = self;
        f.debug_struct("StoreOptions")
            .field("budget", budget)
            .field("batch_bytes", batch_bytes)
            .field("batch_operations", batch_operations)
            .finish_non_exhaustive()
    }
}

impl Default for StoreOptions {
    fn default() -> Self {
        const BUDGET: NonZeroU32 = NonZeroU32::MIN.saturating_add((32 << 20) - 1);
        Self { budget: BUDGET, batch_bytes: 8 << 20, batch_operations: 4096, observer: None }
    }
}

/// Queues and messages. Clones share one store; it ends when the last one is dropped, or by [`Store::close`].
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    backend: Arc<dyn Backend>,
    pub(super) shared: Arc<Shared>,
    requests: mpsc::Sender<Request>,
    thread: Mutex<Option<JoinHandle<()>>>,
    budget: u32,
}

impl Store {
    /// Opens a store that keeps nothing on disk.
    pub fn memory(options: StoreOptions) -> Result<Self, StoreError> {
        Self::with_backend(Arc::new(MemoryBackend::new()), options)
    }

    /// Opens the store on disk in `folder`, or creates it. Reads at most the journal (128 MiB by default): call it where
    /// blocking is allowed.
    pub fn fjall(folder: &Path, fjall: &FjallOptions, options: StoreOptions) -> Result<Self, StoreError> {
        Self::with_backend(Arc::new(FjallBackend::open(folder, fjall)?), options)
    }

    /// Opens a store over a storage engine. Fails only when no thread can be started.
    pub fn with_backend(backend: Arc<dyn Backend>, options: StoreOptions) -> Result<Self, StoreError> {
        let budget = Arc::new(Semaphore::new(options.budget.get() as usize));
        let shared = Arc::new(Shared { failed: AtomicBool::new(false), budget, failure: Notify::new() });
        let (sender, receiver) = mpsc::channel();
        let limits = BatchLimits { operations: options.batch_operations.max(1), bytes: options.batch_bytes.max(1) };
        let thread = std::thread::Builder::new().name("store commit".into()).spawn({
            let backend = Arc::clone(&backend);
            let shared = Arc::clone(&shared);
            let observer = options.observer;
            move || commit::run(backend.as_ref(), &receiver, &shared, limits, observer.as_deref())
        })?;
        let thread = Mutex::new(Some(thread));
        let inner = Inner { backend, shared, requests: sender, thread, budget: options.budget.get() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Waits until a write fails. Nothing can be changed any more then, and nobody was told that something was.
    pub async fn failed(&self) {
        let mut failure = std::pin::pin!(self.inner.shared.failure.notified());
        // Enabled before the flag is read, so that a failure in between is not missed.
        failure.as_mut().enable();
        if !self.inner.shared.failed.load(Ordering::Acquire) {
            failure.await;
        }
    }

    /// Finishes everything submitted before, stops the commit thread and waits for it. Operations after that fail with
    /// [`StoreError::Closed`]; reads still work. [`StoreError::Failed`] if a write failed.
    pub async fn close(&self) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.inner);
        let joined = tokio::task::spawn_blocking(move || inner.stop()).await;
        if joined.is_err() || self.inner.shared.failed.load(Ordering::Acquire) {
            return Err(StoreError::Failed);
        }
        Ok(())
    }
}

/// Changes. Each method waits only for room among the waiting operations; what it returns resolves when the change is
/// durable. Operations of one caller keep their order.
impl Store {
    /// Adds a queue; resolves to [`Creation::IdTaken`] when any of its ids is in use.
    pub async fn create_queue(&self, record: Arc<QueueRecord>) -> Result<Pending<Creation>, StoreError> {
        let finish = |_: &Inner, reply| if let Reply::Creation(it) = reply { Ok(it) } else { Err(MISMATCH) };
        self.submit(Operation::CreateQueue(record), finish).await
    }

    /// Sets the sender's key of a queue that has none. Whether the queue's mode allows it is the caller's to check.
    pub async fn secure_queue(&self, queue: QueueName, key: AuthorizationKey) -> Result<Pending<Securing>, StoreError> {
        let finish = |_: &Inner, reply| if let Reply::Securing(it) = reply { Ok(it) } else { Err(MISMATCH) };
        self.submit(Operation::SecureQueue { queue, key }, finish).await
    }

    /// Suspends a queue for good.
    pub async fn suspend_queue(&self, recipient_id: Id) -> Result<Pending<Suspension>, StoreError> {
        let finish = |_: &Inner, reply| if let Reply::Suspension(it) = reply { Ok(it) } else { Err(MISMATCH) };
        self.submit(Operation::SuspendQueue { recipient_id }, finish).await
    }

    /// Removes a queue with its messages; resolves to `None` if there was none.
    pub async fn delete_queue(&self, recipient_id: Id) -> Result<Pending<Option<DeletedQueue>>, StoreError> {
        let finish = |_: &Inner, reply| if let Reply::Deletion(it) = reply { Ok(it) } else { Err(MISMATCH) };
        self.submit(Operation::DeleteQueue { recipient_id }, finish).await
    }

    /// Appends a message.
    pub async fn append_message(&self, append: AppendMessage) -> Result<Pending<Appended>, StoreError> {
        let finish = |_: &Inner, reply| if let Reply::Appended(it) = reply { Ok(it) } else { Err(MISMATCH) };
        self.submit(Operation::AppendMessage(append), finish).await
    }

    /// Removes the oldest message if it is `message_id` and resolves to what is the oldest then; to `None` if there is
    /// no such queue.
    pub async fn acknowledge(
        &self,
        recipient_id: Id,
        message_id: Id,
    ) -> Result<Pending<Option<Acknowledged>>, StoreError> {
        let finish = |inner: &Inner, reply| match reply {
            Reply::Acknowledged(Some(removal)) => inner.acknowledged(removal).map(Some),
            Reply::Acknowledged(None) => Ok(None),
            _ => Err(MISMATCH),
        };
        self.submit(Operation::Acknowledge { recipient_id, message_id }, finish).await
    }

    /// Removes messages received before the second `before`, from the oldest to the first that is not, or is a quota
    /// mark; resolves to their number.
    pub async fn expire_messages(&self, recipient_id: Id, before: i64) -> Result<Pending<u64>, StoreError> {
        let finish = |_: &Inner, reply| if let Reply::Expired(it) = reply { Ok(it) } else { Err(MISMATCH) };
        self.submit(Operation::ExpireMessages { recipient_id, before }, finish).await
    }

    /// Records that a queue was used on `day` (whole days since 1970-01-01, UTC). Nobody learns when that is durable: it
    /// goes to disk with the next change, or within half a minute, and is left out when too much is waiting already.
    pub fn touch_queue(&self, recipient_id: Id, day: u32) {
        self.submit_quietly(Operation::TouchQueue { recipient_id, day });
    }

    /// Submits what nobody waits for, if there is room among what waits.
    fn submit_quietly(&self, operation: Operation) {
        let weight = self.inner.weight(&operation);
        if let Ok(permit) = Arc::clone(&self.inner.shared.budget).try_acquire_many_owned(weight) {
            // A stopped store shows itself to those who wait for something.
            let _ = self.inner.requests.send(Request::Operation { operation, reply: None, permit });
        }
    }

    async fn submit<T>(
        &self,
        operation: Operation,
        finish: fn(&Inner, Reply) -> Result<T, StoreError>,
    ) -> Result<Pending<T>, StoreError> {
        let inner = &self.inner;
        let budget = Arc::clone(&inner.shared.budget);
        let permit: OwnedSemaphorePermit =
            budget.acquire_many_owned(inner.weight(&operation)).await.map_err(|_| inner.stopped())?;
        let (reply, receiver) = oneshot::channel();
        let request = Request::Operation { operation, reply: Some(reply), permit };
        inner.requests.send(request).map_err(|_| inner.stopped())?;
        Ok(Pending::new(receiver, Arc::clone(inner), finish))
    }
}

/// Reads. They see every change that was carried out, also those still on their way to the disk.
impl Store {
    /// The queue with this recipient id.
    pub fn queue_by_recipient(&self, recipient_id: &Id) -> Result<Option<Arc<QueueRecord>>, StoreError> {
        self.inner.readable()?.queue(recipient_id)
    }

    /// The queue with this sender id.
    pub fn queue_by_sender(&self, sender_id: &Id) -> Result<Option<Arc<QueueRecord>>, StoreError> {
        self.queue_by_side(Side::Sender, sender_id)
    }

    /// The queue with this id on this side.
    pub fn queue_by_side(&self, side: Side, id: &Id) -> Result<Option<Arc<QueueRecord>>, StoreError> {
        let backend = self.inner.readable()?;
        match backend.recipient_id(side, id)? {
            Some(recipient_id) => backend.queue(&recipient_id),
            None => Ok(None),
        }
    }

    /// The oldest message of a queue.
    pub fn head(&self, recipient_id: &Id) -> Result<Option<StoredMessage>, StoreError> {
        self.inner.head(recipient_id)
    }

    /// Where the messages of a queue are, and how many.
    pub fn queue_state(&self, recipient_id: &Id) -> Result<QueueState, StoreError> {
        self.inner.readable()?.state(recipient_id)
    }

    /// How many queues and messages there are.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.inner.backend.counts()
    }

    /// Records of queues in the order of their recipient ids, from the first behind `after`, at most `limit`. Reads from
    /// disk: call it where blocking is allowed.
    pub fn queues(&self, after: Option<&Id>, limit: usize) -> Result<Vec<Arc<QueueRecord>>, StoreError> {
        self.inner.readable()?.queues(after, limit)
    }

    /// Looks at the next `limit` queues behind `after` and returns those that have messages, for the sweep of expiry.
    /// Reads from disk: call it where blocking is allowed.
    pub fn occupied_queues(&self, after: Option<&Id>, limit: usize) -> Result<OccupiedPage, StoreError> {
        self.inner.readable()?.occupied(after, limit)
    }
}

/// What a reply of another operation means: the engine's answers are out of step and cannot be believed.
const MISMATCH: StoreError = StoreError::Failed;

/// How often a reader looks again when the head it was told of is gone.
const HEAD_ATTEMPTS: usize = 100;

impl Inner {
    fn weight(&self, operation: &Operation) -> u32 {
        // What is heavier than everything that may wait goes alone.
        u32::try_from(operation.weight()).unwrap_or(u32::MAX).min(self.budget)
    }

    fn stopped(&self) -> StoreError {
        if self.shared.failed.load(Ordering::Acquire) { StoreError::Failed } else { StoreError::Closed }
    }

    fn readable(&self) -> Result<&dyn Backend, StoreError> {
        if self.shared.failed.load(Ordering::Acquire) { Err(StoreError::Failed) } else { Ok(self.backend.as_ref()) }
    }

    fn head(&self, recipient_id: &Id) -> Result<Option<StoredMessage>, StoreError> {
        let backend = self.readable()?;
        for _ in 0..HEAD_ATTEMPTS {
            let state = backend.state(recipient_id)?;
            if state.is_empty() {
                return Ok(None);
            }
            // Between the two reads the message may be acknowledged; then the state tells of another.
            if let Some(message) = backend.message(recipient_id, state.head)? {
                return Ok(Some(message));
            }
        }
        Err(StoreError::Corrupt("queue: a message is missing"))
    }

    fn acknowledged(&self, removal: Removal) -> Result<Acknowledged, StoreError> {
        let Removal { recipient_id, deleted, next } = removal;
        let next = match next {
            None => None,
            Some(sequence) => match self.readable()?.message(&recipient_id, sequence)? {
                Some(message) => Some(message),
                // It expired since, or was acknowledged on another connection.
                None => self.head(&recipient_id)?,
            },
        };
        Ok(Acknowledged { deleted, next })
    }

    /// Ends the commit thread after everything submitted before.
    fn stop(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let _ = self.requests.send(Request::Close);
        if let Some(thread) = thread {
            // A panic shows as `failed`.
            let _ = thread.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}
