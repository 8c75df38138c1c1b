//! The receiver: creates a queue, gives its address, and hands each message to the application, decrypted in the buffer
//! it came in.
//!
//! The address ([`Receiver::address`], [`ReceiverHandler::queue`]) is for the sender: a QR code on a screen, a line on a
//! serial port. Whoever uses it first becomes the sender of the queue.
//!
//! # What is promised
//!
//! - The queue is kept before its address is given to anybody.
//! - A message is acknowledged after the application has taken it, and only then forgets the relay it. So none is lost.
//! - When an acknowledgement is lost, the relay delivers the message again; it is recognised by its id, acknowledged
//!   again, and not handed out twice, also after a reset. Only a reset in the moment between the application's taking of a
//!   message and the store's taking note of it lets the message come again: its id ([`ReceivedMessage::id`]) lets the
//!   application tell.
//!
//! # Memory and cost
//!
//! The one buffer of the connection, in which a message stands while the application looks at it. On a Cortex-M4 a message
//! costs about 2.5 million instructions, most of them for the layers of encryption. After the first connection the relay's
//! certificates are known, and their signatures are not verified again.

use core::fmt;

use rand_core::TryCryptoRng;
use smp_crypto::certificate::KnownChain;
use smp_proto::address::ServerUri;
use smp_proto::uri::QueueUri;
use smp_proto::version::{SmpVersion, VersionRange};

use crate::clock::WallClock;
use crate::connection::default_versions;
use crate::device::Device;
use crate::dial::Network;
use crate::error::Error;
use crate::refusal::Refusal;
use crate::state::{MESSAGE_ID_LENGTH, ReceiverStore};

mod conversation;
mod machine;
mod queue;
mod work;

use machine::Machine;
use queue::ReceiveQueue;
use work::Work;

pub use machine::{ReceiverTiming, Stopped};
pub use queue::Unreadable;

/// How a receiver reaches its relay.
#[derive(Clone, Copy, Debug)]
pub struct ReceiverOptions<'o> {
    /// Where the queue is created, if there is none yet. The password, if the relay wants one, is in its address.
    pub relay: &'o ServerUri,
    /// How long to wait for what.
    pub timing: ReceiverTiming,
    /// The versions to speak.
    pub versions: VersionRange<SmpVersion>,
}

impl<'o> ReceiverOptions<'o> {
    /// With the usual patience and all versions.
    #[must_use]
    pub fn new(relay: &'o ServerUri) -> Self {
        Self { relay, timing: ReceiverTiming::DEFAULT, versions: default_versions() }
    }
}

/// A message of the sender.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ReceivedMessage<'m> {
    /// Names the message. After a reset a message may come twice, with the same id.
    pub id: &'m [u8; MESSAGE_ID_LENGTH],
    /// When the relay received it, in seconds since the Unix epoch.
    pub time: i64,
    /// What the sender sent, up to 15,997 bytes.
    pub body: &'m [u8],
}

impl fmt::Debug for ReceivedMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReceivedMessage({} bytes)", self.body.len())
    }
}

/// Whether the application has taken a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It needs it no more.
    Yes,
    /// It cannot take it now. The connection is closed, and the message comes again after a pause, which is longer each
    /// time.
    Later,
}

/// What happens to a receiver. For lamps and logs: nothing has to be done about any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReceiverEvent {
    /// There is a session with the relay.
    Connected(SmpVersion),
    /// Messages come as they are sent.
    Subscribed,
    /// The first message of the sender was read: nobody else can be the sender any more.
    Introduced,
    /// The queue was full, and messages were refused after the last one, from this time on, in seconds since the Unix
    /// epoch. The sender knows.
    Full(i64),
    /// A message cannot be read, and never could be.
    Unreadable(Unreadable),
    /// The relay did not do what it was asked; it is asked again later, or the receiver stops.
    Refused(Refusal),
    /// There is no connection, or none any more; another attempt follows.
    Failed(Error),
}

/// The application.
#[expect(async_fn_in_trait, reason = "firmware runs its futures on one core, Send is not needed")]
pub trait ReceiverHandler {
    /// There is a queue, and this is its address, for the sender. Told once in each run, and when the queue is created.
    fn queue(&mut self, address: &QueueUri);

    /// A message. Nothing else happens on the connection until this returns. Then the message is acknowledged, and gone
    /// from the relay; when the future is dropped, it comes again.
    async fn message(&mut self, message: ReceivedMessage<'_>) -> Taken;

    /// Something happened.
    fn event(&mut self, event: ReceiverEvent) {
        let _ = event;
    }
}

/// Why a receiver stops. Nothing gets better by trying again at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ReceiverError<E> {
    /// The store failed.
    Store(E),
    /// What the store has is no queue.
    Corrupt,
    /// The queue is gone, blocked, or in other hands.
    Stopped(Stopped),
    /// The relay's address does not say which identity the relay must prove.
    NoFingerprint,
    /// The buffer is shorter than [`BUFFER_LENGTH`](crate::BUFFER_LENGTH).
    BufferTooShort,
}

impl<E: fmt::Display> fmt::Display for ReceiverError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Corrupt => f.write_str("what was kept is no queue"),
            Self::Stopped(stopped) => stopped.fmt(f),
            Self::NoFingerprint => f.write_str("the address does not say which identity the relay must prove"),
            Self::BufferTooShort => f.write_str("the buffer is too short for a block"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for ReceiverError<E> {}

/// A receiver and its queue. About 900 bytes.
#[derive(Default)]
pub struct Receiver {
    queue: Option<ReceiveQueue>,
    last: Option<[u8; MESSAGE_ID_LENGTH]>,
    /// What the store does not have yet, also when a run was given up or the store failed.
    unkept: Unkept,
    /// The certificates of the relay of the last connection.
    known_chain: Option<KnownChain>,
}

/// What has changed since it was kept.
#[derive(Clone, Copy, Debug, Default)]
struct Unkept {
    queue: bool,
    last: bool,
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("queue", &self.queue.is_some()).finish_non_exhaustive()
    }
}

impl Receiver {
    /// A receiver without a queue: it creates one, which takes the place of the one the store has.
    #[must_use]
    pub const fn new() -> Self {
        Self { queue: None, last: None, unkept: Unkept { queue: false, last: false }, known_chain: None }
    }

    /// The receiver of the queue that the store has, if it has one.
    ///
    /// # Errors
    /// [`ReceiverError::Store`] and [`ReceiverError::Corrupt`].
    pub async fn load<S: ReceiverStore>(store: &mut S) -> Result<Self, ReceiverError<S::Error>> {
        let Some(state) = store.load_receiver().await.map_err(ReceiverError::Store)? else { return Ok(Self::new()) };
        let last = store.load_last_message().await.map_err(ReceiverError::Store)?;
        let queue = ReceiveQueue::from_state(state).ok_or(ReceiverError::Corrupt)?;
        Ok(Self { queue: Some(queue), last, ..Self::new() })
    }

    /// The queue's address, for the sender: print it as text. There is none before the queue is kept.
    #[must_use]
    pub fn address(&self) -> Option<QueueUri> {
        self.queue.as_ref().filter(|queue| !self.unkept.queue || queue.is_introduced())?.uri()
    }

    /// Receives until that becomes impossible, and tells why. It may be called again; dropping it loses nothing.
    pub async fn run<N, R, C, S>(
        &mut self,
        device: Device<'_, N, R, C>,
        store: &mut S,
        options: &ReceiverOptions<'_>,
        handler: &mut impl ReceiverHandler,
    ) -> ReceiverError<S::Error>
    where
        N: Network,
        R: TryCryptoRng + ?Sized,
        C: WallClock + ?Sized,
        S: ReceiverStore,
    {
        let machine = Machine::new(options.timing, self.queue.is_some(), self.last, self.unkept);
        let mut work = Work { machine, receiver: self, store, options, handler };
        let Err(error) = work.run(device).await;
        error
    }
}
