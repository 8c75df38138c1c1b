//! The future of an answer.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use tokio::sync::oneshot;

use super::StoreError;
use super::front::Inner;
use super::operation::Reply;

/// An operation that was submitted; resolves when it is durable. Dropping it does not undo the operation.
#[must_use = "the operation is durable only when this resolves"]
pub struct Pending<T> {
    receiver: oneshot::Receiver<Result<Reply, StoreError>>,
    store: Arc<Inner>,
    finish: fn(&Inner, Reply) -> Result<T, StoreError>,
}

impl<T> Pending<T> {
    pub(super) fn new(
        receiver: oneshot::Receiver<Result<Reply, StoreError>>,
        store: Arc<Inner>,
        finish: fn(&Inner, Reply) -> Result<T, StoreError>,
    ) -> Self {
        Self { receiver, store, finish }
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T, StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.receiver).poll(context));
        Poll::Ready(match answer {
            Ok(result) => result.and_then(|reply| (self.finish)(&self.store, reply)),
            // The commit thread ended without an answer.
            Err(_) if self.store.shared.failed.load(Ordering::Acquire) => Err(StoreError::Failed),
            Err(_) => Err(StoreError::Closed),
        })
    }
}
