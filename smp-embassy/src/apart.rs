//! Large futures with stack frames of their own.

use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};

/// The same future, polled in a function of its own.
///
/// The compiler puts a future that is awaited in one place into the function that awaits it, down all levels, and the
/// frame of that function has room for what any of them ever needs, all the time. Apart, the room for a handshake is
/// taken during the handshake only.
pub(crate) fn apart<F: Future>(mut future: Pin<&mut F>) -> impl Future<Output = F::Output> {
    poll_fn(move |context| poll(future.as_mut(), context))
}

#[inline(never)]
fn poll<F: Future>(future: Pin<&mut F>, context: &mut Context<'_>) -> Poll<F::Output> {
    future.poll(context)
}
