//! How fast a connection may send commands.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use crate::relay::rates::{Bucket, Rate};

/// The commands a connection may still send before it is read more slowly.
pub(super) struct Pace {
    bucket: Bucket,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { bucket: Bucket::full(Instant::now()), timer: None }
    }

    /// Counts commands that were read. Returns whether the next have to wait.
    pub(super) fn spend(&mut self, rate: Rate, commands: usize) -> bool {
        let wait = self.bucket.take(rate, u32::try_from(commands).unwrap_or(u32::MAX), Instant::now());
        self.timer = (wait > Duration::ZERO).then(|| Box::pin(sleep(wait)));
        self.timer.is_some()
    }

    /// Whether more may be read; if not, the task is woken when it may.
    pub(super) fn may_read(&mut self, context: &mut Context<'_>) -> bool {
        match &mut self.timer {
            None => true,
            Some(timer) => {
                let ready = timer.as_mut().poll(context).is_ready();
                if ready {
                    self.timer = None;
                }
                ready
            }
        }
    }
}
