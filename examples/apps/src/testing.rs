//! Boards made of variables, and a clock that stands still until a test moves it on.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

extern crate std;

use core::cell::{Cell, RefCell};
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use std::string::{String, ToString};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

use embassy_time::{Duration, Instant, MockDriver};
use smp_embassy::store::NumberStore;

use crate::button::MESSAGE_COUNTER;
use crate::{Input, Output, Sensor, Text, Texts};

/// The one clock of this process, for one test at a time.
static CLOCK: Mutex<()> = Mutex::new(());

/// Lets a test run a future in time of its own: `body` moves the clock with [`Run::pass`], and the future follows.
pub(crate) fn run<F: Future>(future: F, body: impl FnOnce(&mut Run<'_, F>)) {
    let clock = CLOCK.lock().unwrap_or_else(PoisonError::into_inner);
    MockDriver::get().reset();
    let mut run = Run { future: pin!(future), _clock: clock };
    run.poll();
    body(&mut run);
}

/// A future that runs while the test lets time pass.
pub(crate) struct Run<'a, F> {
    future: Pin<&'a mut F>,
    _clock: MutexGuard<'static, ()>,
}

impl<F: Future> Run<'_, F> {
    /// Lets so many milliseconds pass, one by one.
    pub(crate) fn pass(&mut self, milliseconds: u64) {
        for _ in 0..milliseconds {
            MockDriver::get().advance(Duration::from_millis(1));
            self.poll();
        }
    }

    fn poll(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        assert!(self.future.as_mut().poll(&mut context).is_pending(), "an application never ends");
    }
}

/// A pin that the test moves.
impl Input for &Cell<bool> {
    async fn wait_until(&mut self, active: bool) {
        poll_fn(|_| if self.get() == active { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

/// A lamp whose switching the test reads.
#[derive(Default)]
pub(crate) struct Switched(pub(crate) RefCell<Vec<(u64, bool)>>);

impl Output for &Switched {
    fn set(&mut self, on: bool) {
        let mut log = self.0.borrow_mut();
        if log.last().is_none_or(|last| last.1 != on) {
            log.push((Instant::now().as_millis(), on));
        }
    }
}

impl Sensor for &Cell<Option<i32>> {
    type Error = ();

    async fn read(&mut self) -> Result<i32, ()> {
        self.get().ok_or(())
    }
}

/// Numbers until the store breaks.
pub(crate) struct Counter(Cell<Option<u64>>);

impl Counter {
    pub(crate) fn from(number: u64) -> Self {
        Self(Cell::new(Some(number)))
    }

    pub(crate) fn broken() -> Self {
        Self(Cell::new(None))
    }
}

impl NumberStore for &Counter {
    type Error = ();

    async fn next_number(&mut self, counter: u8) -> Result<u64, ()> {
        assert_eq!(counter, MESSAGE_COUNTER);
        let number = self.0.get().ok_or(())?;
        self.0.set(Some(number + 1));
        Ok(number)
    }
}

/// What was handed over.
#[derive(Default)]
pub(crate) struct Sent(RefCell<Vec<String>>);

impl Sent {
    /// What was handed over since the last time.
    pub(crate) fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

impl Texts for &Sent {
    async fn put(&mut self, text: Text) {
        self.0.borrow_mut().push(text.to_string());
    }
}
