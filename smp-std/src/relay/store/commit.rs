//! The commit thread: gathers the operations of all connections, makes each batch durable with one write, then answers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

use super::StoreError;
use super::backend::Backend;
use super::notification::Delivered;
use super::operation::{AppendOutcome, Operation, Reply};
use super::record::Id;

/// How long an operation that nobody waits for is kept for another operation's write.
const DEFER: Duration = Duration::from_secs(30);

/// Where an operation's answer goes.
pub(super) type ReplySender = oneshot::Sender<Result<Reply, StoreError>>;

/// What the commit thread is sent.
pub(super) enum Request {
    /// An operation to carry out.
    Operation {
        /// The operation.
        operation: Operation,
        /// Who waits for it.
        reply: Option<ReplySender>,
        /// Its share of the bytes that may wait; given back when it is answered.
        permit: OwnedSemaphorePermit,
    },
    /// Finish everything submitted before, then stop.
    Close,
}

/// What the commit thread shares with the front end.
pub(super) struct Shared {
    /// Set once a write failed; never cleared.
    pub(super) failed: AtomicBool,
    /// The bytes that may wait. Closed when the thread stops.
    pub(super) budget: Arc<Semaphore>,
    /// Notifications that were delivered and are on their way out.
    pub(super) delivered: Delivered,
    /// Wakes those who wait for `failed`.
    pub(super) failure: Notify,
}

impl Shared {
    fn fail(&self) {
        self.failed.store(true, Ordering::Release);
        // Before anyone's permit returns, so that nobody takes it.
        self.budget.close();
        self.failure.notify_waiters();
    }
}

/// Hears what became durable, on the commit thread: it must not wait for anything.
pub trait CommitObserver: Send + Sync + 'static {
    /// A message or a quota mark waits in this queue, which this service receives for, if any.
    fn message_appended(&self, recipient_id: &Id, service: Option<&Id>);

    /// A notification of a message of the second `time` waits for this notifier, whose notifications this service takes, if
    /// any.
    fn notification_waiting(&self, notifier_id: &Id, time: i64, service: Option<&Id>) {
        let _ = (notifier_id, time, service);
    }
}

/// Tells the observer what a durable operation means for others.
fn observe(observer: Option<&dyn CommitObserver>, operation: &Operation, result: &Result<Reply, StoreError>) {
    if let (Some(observer), Operation::AppendMessage(append), Ok(Reply::Appended(appended))) =
        (observer, operation, result)
        && matches!(appended.outcome, AppendOutcome::Stored { .. } | AppendOutcome::QuotaMarked { .. })
    {
        observer.message_appended(&append.recipient_id, appended.recipient_service.as_ref());
        if let Some(notified) = appended.notified.filter(|notified| notified.stored) {
            observer.notification_waiting(&notified.notifier_id, append.time, notified.service.as_ref());
        }
    }
}

/// How much one write takes at most.
#[derive(Clone, Copy)]
pub(super) struct BatchLimits {
    pub(super) operations: usize,
    pub(super) bytes: usize,
}

/// Operations that become durable together.
#[derive(Default)]
struct Batch {
    operations: Vec<Operation>,
    waiting: Vec<(Option<ReplySender>, OwnedSemaphorePermit)>,
    bytes: usize,
    /// Somebody waits for an answer.
    urgent: bool,
    closing: bool,
}

impl Batch {
    fn add(&mut self, request: Request) {
        match request {
            Request::Operation { operation, reply, permit } => {
                self.bytes = self.bytes.saturating_add(operation.weight());
                self.urgent |= !operation.is_deferrable();
                self.operations.push(operation);
                self.waiting.push((reply, permit));
            }
            Request::Close => self.closing = true,
        }
    }

    fn is_full(&self, limits: BatchLimits) -> bool {
        self.closing || self.operations.len() >= limits.operations || self.bytes >= limits.bytes
    }

    /// Waits until there is something to write and takes what has gathered, up to the limits.
    fn gather(requests: &Receiver<Request>, limits: BatchLimits) -> Self {
        let mut batch = Self::default();
        let mut deadline: Option<Instant> = None;
        while !batch.urgent && !batch.is_full(limits) {
            let request = match deadline {
                None => requests.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => requests.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match request {
                Ok(request) => batch.add(request),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => batch.closing = true,
            }
            deadline.get_or_insert_with(|| Instant::now() + DEFER);
        }
        while !batch.is_full(limits) {
            match requests.try_recv() {
                Ok(request) => batch.add(request),
                Err(_) => break,
            }
        }
        batch
    }
}

/// The thread's life.
pub(super) fn run(
    backend: &dyn Backend,
    requests: &Receiver<Request>,
    shared: &Shared,
    limits: BatchLimits,
    observer: Option<&dyn CommitObserver>,
) {
    // Whatever ends the thread, a panic of an observer included, nobody is left waiting: submitters find the budget
    // closed, and dropping the requests ends the waiting of those already submitted.
    let _guard = StopGuard(shared);
    loop {
        let batch = Batch::gather(requests, limits);
        if !batch.operations.is_empty() {
            // A panic of the engine is a failed write like any other.
            let applied = catch_unwind(AssertUnwindSafe(|| backend.apply(&batch.operations)));
            match applied.unwrap_or(Err(StoreError::Failed)) {
                Ok(replies) => {
                    let answers = replies.into_iter().zip(&batch.operations).zip(batch.waiting);
                    for ((result, operation), (reply, permit)) in answers {
                        if let Operation::ForgetNotifications { notifier_id, next } = operation {
                            shared.delivered.settle(notifier_id, *next);
                        }
                        observe(observer, operation, &result);
                        if let Some(reply) = reply {
                            // The one who asked may be gone.
                            let _ = reply.send(result);
                        }
                        drop(permit);
                    }
                }
                Err(error) => {
                    shared.fail();
                    tracing::error!(%error, "the store failed to write; it accepts nothing more");
                    for (reply, _permit) in batch.waiting {
                        if let Some(reply) = reply {
                            let _ = reply.send(Err(error.clone()));
                        }
                    }
                    return;
                }
            }
        }
        if batch.closing {
            return;
        }
    }
}

struct StopGuard<'a>(&'a Shared);

impl Drop for StopGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail();
        }
        self.0.budget.close();
    }
}
