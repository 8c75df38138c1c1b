//! Time-outs of a peer that stops in the middle of a block.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// How long the peer has kept the relay waiting in the middle of a block.
#[derive(Default)]
pub(super) struct Stalled {
    pub(super) reading: Option<Instant>,
    pub(super) writing: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Stalled {
    /// Notes which directions are stuck now; the time runs from when they got stuck.
    pub(super) fn note(&mut self, reading: bool, writing: bool, block_timeout: Duration, write_timeout: Duration) {
        let now = || Instant::now();
        self.reading = reading.then(|| self.reading.unwrap_or_else(|| now() + block_timeout));
        self.writing = writing.then(|| self.writing.unwrap_or_else(|| now() + write_timeout));
        match self.reading.into_iter().chain(self.writing).min() {
            None => self.timer = None,
            Some(deadline) => match &mut self.timer {
                Some(timer) => {
                    if timer.deadline() != deadline {
                        timer.as_mut().reset(deadline);
                    }
                }
                None => self.timer = Some(Box::pin(tokio::time::sleep_until(deadline))),
            },
        }
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.timer {
            Some(timer) => timer.as_mut().poll(context),
            None => Poll::Pending,
        }
    }
}
