//! Where the application puts alarms, from any task or interrupt, and the sender takes them.

use core::cell::RefCell;
use core::fmt;
use core::future::poll_fn;
use core::task::Poll;

use embassy_sync::blocking_mutex::Mutex;
use embassy_sync::blocking_mutex::raw::RawMutex;
use embassy_sync::waitqueue::{MultiWakerRegistration, WakerRegistration};
use heapless::{Deque, Vec};

/// How many tasks can wait for what becomes of their alarms at the same time.
const WAITING_TASKS: usize = 4;

/// Up to `ALARMS` alarms of up to `LENGTH` bytes that the sender has not taken over yet.
///
/// The sender takes an alarm when its store has it: from then on it survives what the store survives. It takes them also
/// without a connection, so that the outbox fills only when the store is full.
///
/// The longest alarm that a sender can send has [`MAX_ALARM_LENGTH`](crate::sender::MAX_ALARM_LENGTH) bytes.
pub struct Outbox<M: RawMutex, const ALARMS: usize, const LENGTH: usize> {
    shared: Mutex<M, RefCell<Shared<ALARMS, LENGTH>>>,
}

struct Shared<const ALARMS: usize, const LENGTH: usize> {
    waiting: Deque<Vec<u8, LENGTH>, ALARMS>,
    /// How many alarms were put in since the start.
    pushed: u32,
    /// How many of them the store has.
    kept: u32,
    /// How many of these the relay has accepted.
    accepted: u32,
    sender: WakerRegistration,
    application: MultiWakerRegistration<WAITING_TASKS>,
}

/// Which alarm of an outbox: for questions about what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ticket(u32);

/// Why an alarm was not put into an outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum OutboxError {
    /// There is no room until the sender gets rid of others. No alarm is given up for another: the application knows
    /// which it can do without.
    Full,
    /// It is longer than the alarms of this outbox can be.
    TooLong,
}

impl fmt::Display for OutboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the outbox is full",
            Self::TooLong => "the alarm is too long for the outbox",
        })
    }
}

impl core::error::Error for OutboxError {}

impl<M: RawMutex, const ALARMS: usize, const LENGTH: usize> Outbox<M, ALARMS, LENGTH> {
    /// An empty outbox, fit for a `static`. A `LENGTH` above [`MAX_ALARM_LENGTH`](crate::sender::MAX_ALARM_LENGTH) does not
    /// compile.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(LENGTH <= crate::sender::MAX_ALARM_LENGTH, "no message has room for alarms of this length") };
        let shared = Shared {
            waiting: Deque::new(),
            pushed: 0,
            kept: 0,
            accepted: 0,
            sender: WakerRegistration::new(),
            application: MultiWakerRegistration::new(),
        };
        Self { shared: Mutex::new(RefCell::new(shared)) }
    }

    /// Puts in an alarm, to be sent after those before it.
    ///
    /// # Errors
    /// [`OutboxError`], and then nothing has changed.
    pub fn push(&self, body: &[u8]) -> Result<Ticket, OutboxError> {
        let body = Vec::from_slice(body).map_err(|_| OutboxError::TooLong)?;
        self.with(Err(OutboxError::Full), |shared| {
            shared.waiting.push_back(body).map_err(|_| OutboxError::Full)?;
            let ticket = Ticket(shared.pushed);
            shared.pushed = shared.pushed.wrapping_add(1);
            shared.sender.wake();
            Ok(ticket)
        })
    }

    /// How many alarms the sender's store does not have yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.with(0, |shared| shared.waiting.len())
    }

    /// Whether the sender's store has all alarms.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the sender's store has the alarm, or had it.
    #[must_use]
    pub fn is_kept(&self, ticket: Ticket) -> bool {
        self.with(false, |shared| is_before(ticket.0, shared.kept))
    }

    /// Whether the relay has accepted the alarm.
    #[must_use]
    pub fn is_accepted(&self, ticket: Ticket) -> bool {
        self.with(false, |shared| is_before(ticket.0, shared.accepted))
    }

    /// Waits until the sender's store has the alarm.
    pub async fn kept(&self, ticket: Ticket) {
        self.wait(|shared| is_before(ticket.0, shared.kept)).await;
    }

    /// Waits until the relay has accepted the alarm. One that was damaged in the store is lost, and counts as accepted when
    /// the store has sent all others.
    pub async fn accepted(&self, ticket: Ticket) {
        self.wait(|shared| is_before(ticket.0, shared.accepted)).await;
    }

    async fn wait(&self, done: impl Fn(&Shared<ALARMS, LENGTH>) -> bool) {
        poll_fn(|context| {
            self.with(Poll::Pending, |shared| {
                if done(shared) {
                    return Poll::Ready(());
                }
                shared.application.register(context.waker());
                Poll::Pending
            })
        })
        .await;
    }

    /// Waits until there is an alarm.
    pub(crate) async fn filled(&self) {
        poll_fn(|context| {
            self.with(Poll::Pending, |shared| {
                if !shared.waiting.is_empty() {
                    return Poll::Ready(());
                }
                shared.sender.register(context.waker());
                Poll::Pending
            })
        })
        .await;
    }

    /// Copies the oldest alarm to the front of the buffer.
    pub(crate) fn first(&self, buffer: &mut [u8; LENGTH]) -> Option<usize> {
        self.with(None, |shared| {
            let alarm = shared.waiting.front()?;
            buffer.get_mut(..alarm.len())?.copy_from_slice(alarm);
            Some(alarm.len())
        })
    }

    /// The store has the oldest alarm.
    pub(crate) fn taken(&self) {
        self.with((), |shared| {
            if shared.waiting.pop_front().is_some() {
                shared.kept = shared.kept.wrapping_add(1);
                shared.application.wake();
            }
        });
    }

    /// The relay has accepted another alarm of this outbox.
    pub(crate) fn one_accepted(&self) {
        self.with((), |shared| {
            shared.accepted = shared.accepted.wrapping_add(1);
            shared.application.wake();
        });
    }

    /// The relay has accepted all that the store could give.
    pub(crate) fn all_accepted(&self) {
        self.with((), |shared| {
            shared.accepted = shared.kept;
            shared.application.wake();
        });
    }

    /// Works on what is shared. Nobody else has it then: the lock is held, and no work calls back. So `otherwise` is never
    /// used; it stands for a panic.
    fn with<T>(&self, otherwise: T, work: impl FnOnce(&mut Shared<ALARMS, LENGTH>) -> T) -> T {
        self.shared.lock(|shared| match shared.try_borrow_mut() {
            Ok(mut shared) => work(&mut shared),
            Err(_) => otherwise,
        })
    }
}

impl<M: RawMutex, const ALARMS: usize, const LENGTH: usize> Default for Outbox<M, ALARMS, LENGTH> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: RawMutex, const ALARMS: usize, const LENGTH: usize> fmt::Debug for Outbox<M, ALARMS, LENGTH> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("waiting", &self.len()).finish_non_exhaustive()
    }
}

/// Whether a number is one of the first `count`, also when both have wrapped.
const fn is_before(number: u32, count: u32) -> bool {
    let distance = count.wrapping_sub(number);
    distance != 0 && distance <= u32::MAX / 2
}

#[cfg(test)]
mod tests {
    use embassy_sync::blocking_mutex::raw::NoopRawMutex;

    use super::*;

    #[test]
    fn alarms_wait_in_order_and_tell_what_became_of_them() {
        let outbox = Outbox::<NoopRawMutex, 2, 4>::new();
        assert_eq!(outbox.push(b"longer"), Err(OutboxError::TooLong));
        let (first, second) = (outbox.push(b"1").unwrap(), outbox.push(b"2").unwrap());
        assert_eq!(outbox.push(b"3"), Err(OutboxError::Full));
        let buffer = &mut [0; 4];
        assert_eq!(outbox.first(buffer), Some(1));
        assert_eq!(buffer[0], b'1');
        assert!(!outbox.is_kept(first));
        outbox.taken();
        assert!(outbox.is_kept(first) && !outbox.is_kept(second) && !outbox.is_accepted(first));
        outbox.one_accepted();
        assert!(outbox.is_accepted(first) && !outbox.is_accepted(second));
        assert_eq!(outbox.len(), 1);
        embassy_futures::block_on(outbox.filled());
        embassy_futures::block_on(outbox.accepted(first));
    }

    #[test]
    fn numbers_may_wrap() {
        assert!(!is_before(0, 0));
        assert!(is_before(0, 1));
        assert!(!is_before(1, 1));
        assert!(is_before(u32::MAX, 0));
        assert!(is_before(u32::MAX, 7));
        assert!(!is_before(7, u32::MAX));
    }
}
