//! The store as the relay uses it: one file for each family of changes, one for reads.

mod backup;
mod blocking;
mod decoys;
mod links;
mod messages;
mod notifier;
mod queues;
mod reads;
mod services;

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

pub(crate) use self::decoys::LookedUp;

use self::decoys::Decoys;
use super::StoreError;
use super::backend::Backend;
use super::commit::{self, BatchLimits, CommitObserver, Request, Shared};
use super::fjall::{FjallBackend, FjallOptions};
use super::memory::MemoryBackend;
use super::notification::Delivered;
use super::operation::{Acknowledged, Operation, Removal, Reply};
use super::pending::Pending;
use super::record::{Id, StoredMessage};

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
    decoys: Decoys,
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
        let shared = Arc::new(Shared {
            failed: AtomicBool::new(false),
            budget,
            delivered: Delivered::default(),
            failure: Notify::new(),
        });
        let (sender, receiver) = mpsc::channel();
        let limits = BatchLimits { operations: options.batch_operations.max(1), bytes: options.batch_bytes.max(1) };
        let thread = std::thread::Builder::new().name("store commit".into()).spawn({
            let backend = Arc::clone(&backend);
            let shared = Arc::clone(&shared);
            let observer = options.observer;
            move || commit::run(backend.as_ref(), &receiver, &shared, limits, observer.as_deref())
        })?;
        let thread = Mutex::new(Some(thread));
        let inner =
            Inner { backend, shared, requests: sender, thread, budget: options.budget.get(), decoys: Decoys::new() };
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

    /// Submits what nobody waits for, if there is room among what waits.
    fn submit_quietly(&self, operation: Operation) {
        let weight = self.inner.weight(&operation);
        if let Ok(permit) = Arc::clone(&self.inner.shared.budget).try_acquire_many_owned(weight) {
            // A stopped store shows itself to those who wait for something.
            let _ = self.inner.requests.send(Request::Operation { operation, reply: None, permit });
        }
    }

    pub(super) async fn submit<T>(
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

    /// Ends the commit thread after everything submitted before. Whoever wants that meanwhile waits, too.
    fn stop(&self) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self.requests.send(Request::Close);
        if let Some(thread) = thread.take() {
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
