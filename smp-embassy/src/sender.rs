//! The sender: takes alarms from an [`Outbox`] and sends them to a queue, encrypted for its recipient.
//!
//! All it is told is the queue's address, a text that fits a QR code. It makes its keys, sets its key at the relay (SKEY)
//! so that nobody else can send, and sends each alarm (SEND) until the relay has accepted it: directly, or through a proxy
//! ([`SenderOptions::proxy`]), so that the relay does not learn the device's address.
//!
//! It connects when there is an alarm and closes the connection a minute after the last one. When the network, the proxy
//! or the relay fails, it tries again, less and less often, for ever.
//!
//! ```
//! use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
//! use smp_embassy::sender::{SenderError, SenderOptions};
//! use smp_embassy::state::SenderStore;
//! use smp_embassy::{Device, Network, NoClock, Outbox, Sender};
//!
//! /// Where a button, from any task or interrupt, leaves its alarms: `OUTBOX.push(b"door open")`.
//! static OUTBOX: Outbox<CriticalSectionRawMutex, 4, 64> = Outbox::new();
//!
//! /// Sends alarms to the queue that the store has or, the first time, to the one of the address.
//! async fn send<S: SenderStore>(
//!     network: &mut impl Network,
//!     random: &mut impl rand_core::TryCryptoRng,
//!     store: &mut S,
//!     address: Option<&str>,
//! ) -> SenderError<S::Error> {
//!     let mut sender = match Sender::load(store, address, random).await {
//!         Ok(sender) => sender,
//!         Err(error) => return error,
//!     };
//!     // On a device: a static.
//!     let mut buffer = [0; smp_embassy::BUFFER_LENGTH];
//!     let device = Device { network, random, clock: &NoClock, buffer: &mut buffer };
//!     sender.run(device, store, &OUTBOX, &SenderOptions::default(), |_event| {}).await
//! }
//! ```
//!
//! # What is promised
//!
//! - An alarm that the store has is not forgotten before a relay has accepted it.
//! - Alarms are accepted in the order in which they were put in.
//! - When the answer to a command is lost, nobody knows whether the relay has accepted the alarm, and it is sent again: the
//!   recipient may get it twice, one right after the other. A number in the alarm that never repeats lets it tell.
//!
//! # Memory and cost
//!
//! The one buffer of the connection, in which messages are composed and encrypted, through a proxy twice; and one alarm.
//! A message of any length takes 16 KiB on the wire. On a Cortex-M4 a SEND costs about 3.1 million instructions; through
//! a proxy 2.4 million more: a key pair, an agreement and another encryption for each command.
//! After the first connection the certificates of relay or proxy are known, and their signatures are not verified again.

use core::fmt;

use embassy_sync::blocking_mutex::raw::RawMutex;
use rand_core::TryCryptoRng;
use smp_crypto::certificate::KnownChain;
use smp_proto::address::ServerUri;
use smp_proto::version::{SmpVersion, VersionRange};

use crate::clock::WallClock;
use crate::connection::default_versions;
use crate::device::Device;
use crate::dial::Network;
use crate::error::Error;
use crate::outbox::Outbox;
use crate::random::RandomError;
use crate::refusal::Refusal;
use crate::state::{SendStage, SenderStore};

mod conversation;
mod machine;
pub(crate) mod queue;
mod work;

use machine::Machine;
use queue::SendQueue;
use work::Work;

pub use machine::SenderTiming;
pub use queue::{AddressError, MAX_ALARM_LENGTH};

/// How a sender reaches its relay.
#[derive(Clone, Copy, Debug)]
pub struct SenderOptions<'o> {
    /// Sends through this relay, so that the queue's relay does not learn the device's address. The password, if it wants
    /// one, is in its address.
    pub proxy: Option<&'o ServerUri>,
    /// How long to wait for what.
    pub timing: SenderTiming,
    /// The versions to speak.
    pub versions: VersionRange<SmpVersion>,
}

impl Default for SenderOptions<'_> {
    fn default() -> Self {
        Self { proxy: None, timing: SenderTiming::DEFAULT, versions: default_versions() }
    }
}

/// What happens to a sender. For lamps and logs: nothing has to be done about any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SenderEvent {
    /// There is a session with the relay or the proxy.
    Connected(SmpVersion),
    /// The queue belongs to this sender: nobody else can send.
    Secured,
    /// An alarm is being encrypted and sent.
    Sending,
    /// The network has taken all of it; the answer is waited for.
    Sent,
    /// A relay has accepted an alarm.
    Accepted,
    /// The relay or the proxy did not do what it was asked; it is asked again later, or the sender stops.
    Refused(Refusal),
    /// The connection was closed: there was nothing to send.
    Disconnected,
    /// There is no connection, or none any more; another attempt follows.
    Failed(Error),
}

/// Why a sender stops. Nothing gets better by trying again at once; alarms stay in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SenderError<E> {
    /// There is no sending to this address.
    Address(AddressError),
    /// The store has no queue, and no address was given.
    NoQueue,
    /// The store failed.
    Store(E),
    /// The random source failed when keys were to be made. Later failures are reported, and another attempt follows.
    Random(RandomError),
    /// The queue is gone or blocked, belongs to another sender, or the proxy will never forward.
    Refused(Refusal),
    /// The buffer is shorter than [`BUFFER_LENGTH`](crate::BUFFER_LENGTH).
    BufferTooShort,
}

impl<E: fmt::Display> fmt::Display for SenderError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(error) => error.fmt(f),
            Self::NoQueue => f.write_str("there is no queue to send to"),
            Self::Store(error) => error.fmt(f),
            Self::Random(error) => error.fmt(f),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::BufferTooShort => f.write_str("the buffer is too short for a block"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for SenderError<E> {}

/// A sender and its queue. About 900 bytes.
#[derive(Debug)]
pub struct Sender {
    queue: SendQueue,
    stage: SendStage,
    secures: bool,
    /// Nothing of it is in the store.
    new: bool,
    /// The certificates of the relay or the proxy of the last connection.
    known_chain: Option<KnownChain>,
}

impl Sender {
    /// The sender of the queue that the store has or, when another address is given, of that queue, with new keys. The
    /// store gets the queue before anything is sent, and forgets the one before.
    ///
    /// # Errors
    /// [`SenderError::Address`], [`SenderError::NoQueue`], [`SenderError::Random`] and [`SenderError::Store`].
    pub async fn load<S: SenderStore, R: TryCryptoRng + ?Sized>(
        store: &mut S,
        address: Option<&str>,
        random: &mut R,
    ) -> Result<Self, SenderError<S::Error>> {
        let kept = match store.load_sender().await.map_err(SenderError::Store)? {
            None => None,
            Some(state) => {
                let queue = SendQueue::from_state(&state).map_err(SenderError::Address)?;
                Some(Self { queue, stage: state.stage, secures: state.secures, new: false, known_chain: None })
            }
        };
        let Some(address) = address else { return kept.ok_or(SenderError::NoQueue) };
        if let Some(kept) = kept
            && kept.queue.is_at(address)
        {
            return Ok(kept);
        }
        let queue = SendQueue::new(address, random).map_err(|error| match error {
            AddressError::Random(error) => SenderError::Random(error),
            error => SenderError::Address(error),
        })?;
        Ok(Self { queue, stage: SendStage::New, secures: false, new: true, known_chain: None })
    }

    /// How far things have come.
    #[must_use]
    pub const fn stage(&self) -> SendStage {
        self.stage
    }

    /// Sends alarms until that becomes impossible, and tells why. It may be called again; dropping it loses nothing.
    pub async fn run<N, R, C, S, M, const ALARMS: usize, const LENGTH: usize>(
        &mut self,
        device: Device<'_, N, R, C>,
        store: &mut S,
        outbox: &Outbox<M, ALARMS, LENGTH>,
        options: &SenderOptions<'_>,
        report: impl FnMut(SenderEvent),
    ) -> SenderError<S::Error>
    where
        N: Network,
        R: TryCryptoRng + ?Sized,
        C: WallClock + ?Sized,
        S: SenderStore,
        M: RawMutex,
    {
        let Self { queue, stage, secures, new, known_chain } = self;
        let machine = Machine::new(
            options.timing,
            options.proxy.is_some(),
            queue.uri.sender_can_secure(),
            *stage,
            *secures,
            *new,
        );
        let mut work = Work::new(machine, queue, store, outbox, options, report, known_chain);
        let Err(error) = work.run(device).await;
        let kept = !work.machine.is_dirty();
        (*stage, *secures) = work.machine.stage();
        *new = *new && !kept;
        error
    }
}
