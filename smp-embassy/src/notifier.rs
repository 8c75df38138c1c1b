//! The notifier: is told when a message waits in one of its queues, without being able to read it.
//!
//! The recipient of a queue gives it a notifier id and a key, by which the relay lets it subscribe (NSUB); then the relay
//! tells it of each message that the sender marked (NMSG). If the recipient gives the metadata key, too, the notifier
//! learns the id and the time of the message.
//!
//! [`Notifier::run`] keeps the subscriptions alive for years: it connects, subscribes to all queues in as few blocks as
//! possible, asks for signs of life, notices dead connections, and comes back with growing pauses. What it decides is in
//! [`Subscriptions`], without input or output.

use core::fmt;
use core::future::Future;
use core::pin::{Pin, pin};

use embassy_futures::select::{Either, Either3, select, select3};
use embassy_time::{Duration, Instant, Timer};
use embedded_io_async::{Read, Write};
use heapless::Vec;
use rand_core::TryCryptoRng;
use smp_crypto::certificate::KnownChain;
use smp_crypto::key::{SharedSecret, X25519PublicKey, X25519SecretKey};
use smp_crypto::secret_box::BoxKey;
use smp_proto::address::ServerAddress;
use smp_proto::id::ID_LENGTH;
use smp_proto::version::{SmpVersion, VersionRange};

use crate::apart::apart;
use crate::backoff::Backoff;
use crate::clock::WallClock;
use crate::connection::{Anomalies, Connection, Expectation, open};
use crate::device::Device;
use crate::dial::Network;
use crate::error::{Error, Wait};
use crate::fmt::{info, warning};
use crate::id::Id;
use crate::key::CommandKey;
use crate::random;

mod subscriptions;

pub use subscriptions::Subscriptions;

/// A queue of which the notifier wants to be told.
pub struct NotifierQueue {
    notifier_id: [u8; ID_LENGTH],
    key: CommandKey,
    metadata_key: Option<BoxKey>,
}

impl NotifierQueue {
    /// A queue by the notifier id that the relay gave it, and the key that the recipient registered.
    #[must_use]
    pub const fn new(notifier_id: [u8; ID_LENGTH], key: CommandKey) -> Self {
        Self { notifier_id, key, metadata_key: None }
    }

    /// The same with another key.
    #[must_use]
    pub fn with_key(self, key: CommandKey) -> Self {
        Self { key, ..self }
    }

    /// The same, able to read which message a notification is about: with the secret half of the key that the recipient
    /// gave in NKEY or NEW, and the relay's key from NID or IDS. Fails when the relay's key has small order.
    pub fn with_metadata_keys(
        self,
        recipient_key: &X25519SecretKey,
        relay_key: &X25519PublicKey,
    ) -> Result<Self, smp_crypto::Error> {
        Ok(self.with_metadata_secret(&recipient_key.diffie_hellman(relay_key)?))
    }

    /// The same with what these keys agree on.
    #[must_use]
    pub fn with_metadata_secret(mut self, secret: &SharedSecret) -> Self {
        self.metadata_key = Some(BoxKey::from(secret));
        self
    }
}

impl fmt::Debug for NotifierQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotifierQueue").field("metadata", &self.metadata_key.is_some()).finish_non_exhaustive()
    }
}

/// How patient a notifier is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotifierOptions {
    /// The versions to offer. Keys of X25519 need version 7 at least.
    pub versions: VersionRange<SmpVersion>,
    /// Pauses between attempts to connect.
    pub backoff: Backoff,
    /// Silence after which the relay is asked for a sign of life.
    pub ping_interval: Duration,
    /// After how long a queue is subscribed to again that another client took over (END), or that the relay would not
    /// subscribe to for reasons of its own. Two clients with the same key take turns at this pace.
    pub retry: Duration,
}

impl NotifierOptions {
    /// Versions 7 to 20, pauses from 1 second to 5 minutes, a sign of life each 5 minutes, another attempt after an hour.
    pub const DEFAULT: Self = Self {
        versions: VersionRange::SMP_WITH_SESSION_KEYS,
        backoff: Backoff::DEFAULT,
        ping_interval: Duration::from_secs(300),
        retry: Duration::from_secs(3_600),
    };
}

impl Default for NotifierOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Which message a notification is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotifiedMessage {
    /// The message. A relay may tell of the same message more than once.
    pub id: Id,
    /// When the relay received it, in seconds since the Unix epoch.
    pub time: i64,
}

/// What the application is told. Queues are named by their place in the list given to [`Notifier::new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotifierEvent {
    /// There is a connection of this version; the subscriptions follow.
    Connected(SmpVersion),
    /// From now on the relay tells of messages in this queue. Of those that came before it may tell late, or not at all.
    Subscribed(usize),
    /// A message waits in this queue. Which one is known only with the metadata key.
    Message(usize, Option<NotifiedMessage>),
    /// Another client subscribed to this queue. It is subscribed to again after [`NotifierOptions::retry`].
    Displaced(usize),
    /// The relay would not subscribe to this queue now. It is asked again after [`NotifierOptions::retry`].
    Postponed(usize),
    /// The queue or its notifier was deleted, or the key is not the right one. It is not asked for any more.
    Gone(usize),
    /// The connection ended, or could not be made. After a pause the next attempt begins.
    Disconnected(Error),
}

/// Takes events, in the middle of the notifier's work: it should only take note. Closures do.
pub trait NotifierHandler {
    /// Takes an event.
    fn handle(&mut self, event: NotifierEvent);
}

impl<F: FnMut(NotifierEvent)> NotifierHandler for F {
    fn handle(&mut self, event: NotifierEvent) {
        self(event);
    }
}

/// Why a notifier came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum NotifierEnd {
    /// It was told to stop.
    Stopped,
    /// None of its queues exists any more.
    NothingLeft,
}

/// Keeps up to `N` subscriptions on one relay. About 400 bytes for each, and nothing else of note.
#[derive(Debug)]
pub struct Notifier<const N: usize> {
    subscriptions: Subscriptions<N>,
    known_chain: Option<KnownChain>,
}

impl<const N: usize> Notifier<N> {
    /// A notifier for these queues, all on one relay.
    #[must_use]
    pub fn new(queues: Vec<NotifierQueue, N>, options: NotifierOptions) -> Self {
        Self { subscriptions: Subscriptions::new(queues, options), known_chain: None }
    }

    /// The same, for a device that kept the [`known_chain`](Self::known_chain) of its relay.
    #[must_use]
    pub const fn with_known_chain(mut self, known: KnownChain) -> Self {
        self.known_chain = Some(known);
        self
    }

    /// The certificates of the relay, once it proved to be the right one. Their signatures are not verified again, now and
    /// after a restart that gives them back.
    #[must_use]
    pub const fn known_chain(&self) -> Option<KnownChain> {
        self.known_chain
    }

    /// What relays did that they should not, since the beginning.
    #[must_use]
    pub const fn anomalies(&self) -> Anomalies {
        self.subscriptions.anomalies()
    }

    /// Runs until `stop` is ready or no queue is left; it may run again then. Dropping the future stops, too, without a
    /// goodbye to the relay.
    ///
    /// Everything that may get better is reported as [`NotifierEvent::Disconnected`] and tried again, a random source that
    /// fails included: nothing is done without randomness. Fails with what never gets better: [`Error::NoFingerprint`] and
    /// [`Error::BufferTooShort`].
    pub async fn run<W, R, C>(
        &mut self,
        device: Device<'_, W, R, C>,
        relay: &ServerAddress<'_>,
        handler: &mut impl NotifierHandler,
        stop: impl Future<Output = ()>,
    ) -> Result<NotifierEnd, Error>
    where
        W: Network,
        R: TryCryptoRng + ?Sized,
        C: WallClock + ?Sized,
    {
        let Device { network, random, clock, buffer } = device;
        let mut stop = pin!(stop);
        while !self.subscriptions.is_finished() {
            let versions = self.subscriptions.options().versions;
            let known_chain = self.known_chain;
            let expectation = Expectation { versions, known_chain, ..Expectation::new(relay, clock)? };
            let opened = {
                let opening = pin!(open(&mut *network, &mut *buffer, relay, &expectation, &mut *random));
                select(apart(opening), stop.as_mut()).await
            };
            let result = match opened {
                Either::First(Ok(connection)) => {
                    let serving = pin!(self.serve(connection, &mut *random, &mut *handler, stop.as_mut()));
                    apart(serving).await
                }
                Either::First(Err(error)) => Err(error),
                Either::Second(()) => Ok(NotifierEnd::Stopped),
            };
            let error = match result {
                Ok(end) => return Ok(end),
                Err(error @ (Error::NoFingerprint | Error::BufferTooShort)) => return Err(error),
                Err(error) => error,
            };
            handler.handle(NotifierEvent::Disconnected(error));
            let pause = self.subscriptions.disconnected(Instant::now(), random::spread(random));
            warning!("notifier: no connection, next attempt in {} s", pause.as_secs());
            if let Either::Second(()) = select(Timer::after(pause), stop.as_mut()).await {
                return Ok(NotifierEnd::Stopped);
            }
        }
        Ok(NotifierEnd::NothingLeft)
    }

    /// Serves the subscriptions over a connection. Every wait ends at the deadline that the subscriptions give.
    async fn serve<T, R>(
        &mut self,
        mut connection: Connection<'_, T>,
        random: &mut R,
        handler: &mut impl NotifierHandler,
        mut stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<NotifierEnd, Error>
    where
        T: Read + Write,
        R: TryCryptoRng + ?Sized,
    {
        info!("notifier: connected, version {}", connection.version().0);
        self.known_chain = connection.known_chain();
        handler.handle(NotifierEvent::Connected(connection.version()));
        self.subscriptions.connected(Instant::now());
        while !self.subscriptions.is_finished() {
            let now = Instant::now();
            if !self.subscriptions.tick(now) {
                return Err(Error::TimedOut(Wait::Response));
            }
            if self.subscriptions.wants_to_send(now) && connection.can_compose() {
                connection.compose(|composer| self.subscriptions.compose(composer, now, random))??;
            }
            let deadline = Timer::at(self.subscriptions.deadline(now));
            match select3(connection.receive(), deadline, stop.as_mut()).await {
                Either3::First(block) => {
                    let now = Instant::now();
                    self.subscriptions.heard(now);
                    for incoming in block? {
                        if let Some(event) = self.subscriptions.receive(incoming, now) {
                            handler.handle(event);
                        }
                    }
                }
                Either3::Second(()) => {}
                Either3::Third(()) => {
                    connection.close().await;
                    return Ok(NotifierEnd::Stopped);
                }
            }
        }
        connection.close().await;
        Ok(NotifierEnd::NothingLeft)
    }
}
