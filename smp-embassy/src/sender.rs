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

use core::fmt;
use core::future::{Future, pending};
use core::pin::{Pin, pin};

use embassy_futures::select::{Either, Either3, select, select3};
use embassy_sync::blocking_mutex::raw::RawMutex;
use embassy_time::{Instant, Timer};
use embedded_io_async::{Read, Write};
use rand_core::TryCryptoRng;
use smp_crypto::key::X25519PublicKey;
use smp_proto::address::{ServerAddress, ServerUri};
use smp_proto::id::{EntityId, ID_LENGTH};
use smp_proto::smp::password::PasswordRef;
use smp_proto::smp::proxy::{ProxyKey, ProxySession};
use smp_proto::version::{SmpVersion, VersionRange};
use smp_proto::wire::{self, Decode, Writer};

use crate::apart::apart;
use crate::clock::WallClock;
use crate::connection::{self, ComposeError, Connection, Expectation, Incoming, default_versions};
use crate::device::Device;
use crate::dial::Network;
use crate::error::{Error, Wait};
use crate::id::Id;
use crate::key::{AgreedKey, CommandKey};
use crate::outbox::Outbox;
use crate::proxy::{Forward, RelaySession};
use crate::random::{self, RandomError};
use crate::refusal::{ProxyFailure, Refusal};
use crate::state::{SendStage, SenderStore};

mod machine;
pub(crate) mod queue;

use machine::{Machine, Reply, Request, Step};
use queue::SendQueue;

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
                Some(Self { queue, stage: state.stage, secures: state.secures, new: false })
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
        Ok(Self { queue, stage: SendStage::New, secures: false, new: true })
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
        let Self { queue, stage, secures, new } = self;
        let machine = Machine::new(
            options.timing,
            options.proxy.is_some(),
            queue.uri.sender_can_secure(),
            *stage,
            *secures,
            *new,
        );
        let mut work = Work {
            machine,
            queue,
            store,
            outbox,
            options,
            report,
            body: [0; LENGTH],
            length: 0,
            pending: false,
            full: false,
            earlier: false,
        };
        let Err(error) = work.run(device).await;
        let kept = !work.machine.is_dirty();
        (*stage, *secures) = work.machine.stage();
        *new = *new && !kept;
        error
    }
}

/// A sender at work.
struct Work<'w, S, M: RawMutex, F, const ALARMS: usize, const LENGTH: usize> {
    machine: Machine,
    queue: &'w SendQueue,
    store: &'w mut S,
    outbox: &'w Outbox<M, ALARMS, LENGTH>,
    options: &'w SenderOptions<'w>,
    report: F,
    /// One alarm on its way from the outbox to the store, or from the store to the relay.
    body: [u8; LENGTH],
    /// How long it is.
    length: usize,
    /// The store has an alarm.
    pending: bool,
    /// The store has no room.
    full: bool,
    /// The store has alarms of an earlier life, which the outbox knows nothing of.
    earlier: bool,
}

/// A command on its way.
struct Asked {
    request: Request,
    correlation_id: [u8; ID_LENGTH],
    /// The entity of the transmission, that of the proxy's session when it is forwarded.
    entity: Id,
    forward: Option<Forward>,
}

/// How a connection ended.
enum Ended {
    /// Because nothing is to be done, or nothing can be.
    Closed,
    Failed(Error),
}

/// What belongs to one connection.
#[derive(Default)]
struct Online {
    session: Option<RelaySession>,
    key: Option<CommandKey>,
    asked: Option<Asked>,
}

enum Never {}

impl<S, M, F, const ALARMS: usize, const LENGTH: usize> Work<'_, S, M, F, ALARMS, LENGTH>
where
    S: SenderStore,
    M: RawMutex,
    F: FnMut(SenderEvent),
{
    async fn run<N, R, C>(&mut self, device: Device<'_, N, R, C>) -> Result<Never, SenderError<S::Error>>
    where
        N: Network,
        R: TryCryptoRng + ?Sized,
        C: WallClock + ?Sized,
    {
        let Device { network, random, clock, buffer } = device;
        self.look().await?;
        self.earlier = self.pending;
        loop {
            match self.next().await? {
                Step::Stop(refusal) => return Err(SenderError::Refused(refusal)),
                Step::Connect => {}
                Step::Await(until) => {
                    self.sleep(Some(until)).await?;
                    continue;
                }
                Step::Sleep { until, .. } => {
                    self.sleep(until).await?;
                    continue;
                }
                // Without a connection there is nothing else to do.
                _ => {
                    self.machine.closed();
                    continue;
                }
            }
            let server = match self.options.proxy {
                Some(proxy) => proxy.address(),
                None => self.queue.server(),
            };
            let ended = match Expectation::new(&server, clock) {
                Err(error) => Ended::Failed(error),
                Ok(expectation) => {
                    let expectation = Expectation { versions: self.options.versions, ..expectation };
                    self.connect(network, buffer, &server, &expectation, random).await?
                }
            };
            let now = Instant::now();
            match ended {
                Ended::Closed => {
                    self.machine.closed();
                    (self.report)(SenderEvent::Disconnected);
                }
                Ended::Failed(error) => {
                    let spread = spread(random);
                    self.machine.lost(now, spread);
                    (self.report)(SenderEvent::Failed(error));
                    match error {
                        Error::BufferTooShort => return Err(SenderError::BufferTooShort),
                        Error::NoFingerprint => return Err(SenderError::Address(AddressError::NoFingerprint)),
                        _ => {}
                    }
                }
            }
        }
    }

    /// Connects, sends what there is to send, and waits for more.
    async fn connect<N: Network, R: TryCryptoRng + ?Sized>(
        &mut self,
        network: &mut N,
        buffer: &mut [u8],
        server: &ServerAddress<'_>,
        expectation: &Expectation,
        random: &mut R,
    ) -> Result<Ended, SenderError<S::Error>> {
        let opened = {
            let opening = pin!(connection::open(network, buffer, server, expectation, &mut *random));
            self.meanwhile(pin!(apart(opening))).await?
        };
        let mut connection = match opened {
            Ok(connection) => connection,
            Err(error) => return Ok(Ended::Failed(error)),
        };
        let ended = {
            let serving = pin!(self.serve(&mut connection, expectation.now, random));
            apart(serving).await?
        };
        match ended {
            Ended::Closed => {
                self.meanwhile(pin!(connection.close())).await?;
                Ok(Ended::Closed)
            }
            failed => Ok(failed),
        }
    }

    async fn serve<T: Read + Write, R: TryCryptoRng + ?Sized>(
        &mut self,
        connection: &mut Connection<'_, T>,
        time: Option<i64>,
        random: &mut R,
    ) -> Result<Ended, SenderError<S::Error>> {
        self.machine.connected(Instant::now(), connection.version());
        (self.report)(SenderEvent::Connected(connection.version()));
        let mut online = Online::default();
        if self.options.proxy.is_none() {
            online.key = self.agree(connection.context().server_key);
        }
        // Until when the rest of a block is waited for that is in the way of a command.
        let mut rest = None;
        loop {
            let until = match self.next().await? {
                Step::Request(request) if connection.can_compose() => {
                    let is_alarm = matches!(request, Request::Send { .. });
                    if is_alarm {
                        self.look().await?;
                        if !self.pending {
                            // The store had one, and found it damaged.
                            self.machine.withdraw();
                            continue;
                        }
                        (self.report)(SenderEvent::Sending);
                    }
                    match self.compose(connection, &mut online, request, random) {
                        Ok(()) => {}
                        Err(Failure::Connection(error)) => return Ok(Ended::Failed(error)),
                        Err(Failure::Compose(refusal)) => {
                            self.reply(Reply::Refused(refusal), random);
                            continue;
                        }
                    }
                    if let Err(error) = self.meanwhile(pin!(connection.flush())).await? {
                        return Ok(Ended::Failed(error));
                    }
                    self.machine.sent(Instant::now());
                    if is_alarm {
                        (self.report)(SenderEvent::Sent);
                    }
                    continue;
                }
                // A part of a block has come in: the rest first.
                Step::Request(_) => {
                    let now = Instant::now();
                    let until = *rest.get_or_insert(now.saturating_add(self.options.timing.response));
                    if now >= until {
                        return Ok(Ended::Failed(Error::TimedOut(Wait::Response)));
                    }
                    Some(until)
                }
                Step::Await(until) => Some(until),
                Step::Sleep { until, .. } => until,
                Step::Disconnect if self.machine.is_waiting() => {
                    return Ok(Ended::Failed(Error::TimedOut(Wait::Response)));
                }
                _ => return Ok(Ended::Closed),
            };
            let filled = filled(self.outbox, self.full);
            match select3(connection.receive(), sleep_until(until), filled).await {
                Either3::First(Ok(block)) => {
                    rest = None;
                    for incoming in block {
                        if let Some(reply) = self.incoming(&mut online, incoming, time) {
                            self.reply(reply, random);
                        }
                    }
                }
                Either3::First(Err(error)) => return Ok(Ended::Failed(error)),
                // Further alarms are taken over by the next step.
                Either3::Second(()) | Either3::Third(()) => {}
            }
        }
    }

    /// Composes a command, and keeps what is needed to understand the answer.
    fn compose<T: Read + Write, R: TryCryptoRng + ?Sized>(
        &self,
        connection: &mut Connection<'_, T>,
        online: &mut Online,
        request: Request,
        random: &mut R,
    ) -> Result<(), Failure> {
        let Online { session, key, asked } = online;
        let correlation_id = connection::new_correlation_id(random)?;
        let entity = self.queue.entity();
        let composed = match (request, session.as_ref()) {
            (Request::Proxy, _) => {
                let password = self.options.proxy.and_then(ServerUri::password);
                let password = password.and_then(|password| PasswordRef::new(password.as_bytes()).ok());
                let wanted = ProxySession { server: self.queue.server(), password };
                *asked = Some(Asked { request, correlation_id, entity: Id::EMPTY, forward: None });
                connection.compose(|composer| {
                    composer.push_with(&correlation_id, EntityId::EMPTY, None, |writer| {
                        writer.bytes(b"PRXY ")?;
                        writer.value(&wanted)
                    })
                })
            }
            (_, None) => {
                let entity_id = Id::from_slice(entity.as_bytes()).ok_or(Failure::Compose(Refusal::Protocol))?;
                let write = self.command(request, random)?;
                let key = if write.authorized { key.as_ref() } else { None };
                *asked = Some(Asked { request, correlation_id, entity: entity_id, forward: None });
                connection
                    .compose(|composer| composer.push_with(&correlation_id, entity, key, |writer| write.to(writer)))
            }
            (_, Some(session)) => {
                let session_id =
                    Id::from_slice(session.entity().as_bytes()).ok_or(Failure::Compose(Refusal::Protocol))?;
                let write = self.command(request, random)?;
                let key = if write.authorized { key.as_ref() } else { None };
                let forward = session.prepare(random)?;
                let composed = connection.compose(|composer| {
                    composer.push_with(&forward.correlation_id, session.entity(), None, |writer| {
                        forward.write(writer, session, entity, key, |writer| write.to(writer))
                    })
                });
                let correlation_id = forward.correlation_id;
                *asked = Some(Asked { request, correlation_id, entity: session_id, forward: Some(forward) });
                composed
            }
        };
        composed?.map_err(|error| {
            *asked = None;
            Failure::Compose(match error {
                ComposeError::Full | ComposeError::TooLarge => Refusal::TooLarge,
                _ => Refusal::Protocol,
            })
        })
    }

    /// SKEY, or SEND with the alarm.
    fn command<R: TryCryptoRng + ?Sized>(
        &self,
        request: Request,
        random: &mut R,
    ) -> Result<CommandWriter<'_>, RandomError> {
        let authorized = !matches!(request, Request::Send { authorized: false, .. });
        let body = self.body.get(..self.length).unwrap_or_default();
        Ok(CommandWriter { queue: self.queue, body, request, authorized, nonce: random::array(random)? })
    }

    /// What a transmission says about the command on its way, if anything.
    fn incoming(&self, online: &mut Online, incoming: Incoming<'_>, time: Option<i64>) -> Option<Reply> {
        // Anything else comes too late, or unasked: a sender has no events.
        let asked = online.asked.take_if(|asked| incoming.answers(&asked.correlation_id, &asked.entity))?;
        if let (Some(forward), Some(session)) = (&asked.forward, &online.session) {
            if let Some(error) = incoming.parameters(b"ERR") {
                return Some(Reply::Refused(Refusal::read(error, true)));
            }
            let Some(encrypted) = incoming.into_proxy_response() else {
                return Some(Reply::Refused(Refusal::Proxy(ProxyFailure::Transport)));
            };
            return Some(match forward.open(session, self.queue.entity(), encrypted) {
                Ok(()) => Reply::Done,
                Err(refusal) => Reply::Refused(refusal),
            });
        }
        let of_proxy = asked.request == Request::Proxy;
        if let Some(error) = incoming.parameters(b"ERR") {
            return Some(Reply::Refused(Refusal::read(error, of_proxy)));
        }
        // Read here and not with all messages there are, whose decoders are large.
        let key = incoming.parameters(b"PKEY").and_then(|key| ProxyKey::from_bytes(key).ok()).filter(|_| of_proxy);
        Some(match key {
            None if !of_proxy && incoming.body() == b"OK" => Reply::Done,
            Some(key) => {
                let fingerprint = self.queue.server().fingerprint().unwrap_or_default();
                match RelaySession::accept(&key, &fingerprint, self.options.versions, time) {
                    Ok(session) => {
                        let version = session.version();
                        online.key = self.agree(Some(session.key()));
                        online.session = Some(session);
                        Reply::Session(version)
                    }
                    Err(failure) => Reply::Refused(Refusal::Proxy(failure)),
                }
            }
            None if of_proxy => Reply::Refused(Refusal::Proxy(ProxyFailure::Transport)),
            None => Reply::Refused(Refusal::Protocol),
        })
    }

    /// Agrees with the relay's session key on what authorizes commands.
    fn agree(&self, server_key: Option<&X25519PublicKey>) -> Option<CommandKey> {
        AgreedKey::new(&self.queue.authorization, server_key?).ok().map(CommandKey::Agreed)
    }

    /// Takes note of the answer.
    fn reply<R: TryCryptoRng + ?Sized>(&mut self, reply: Reply, random: &mut R) {
        let secured = self.machine.stage().0 >= SendStage::Secured;
        self.machine.reply(Instant::now(), reply, spread(random));
        if let Reply::Refused(refusal) = reply {
            (self.report)(SenderEvent::Refused(refusal));
        } else if !secured && self.machine.stage().0 == SendStage::Secured {
            (self.report)(SenderEvent::Secured);
        }
    }

    /// The next thing that is not a matter of the store alone.
    async fn next(&mut self) -> Result<Step, SenderError<S::Error>> {
        loop {
            self.take_over().await?;
            match self.machine.step(Instant::now(), self.pending) {
                Step::Save => {
                    let (stage, secures) = self.machine.stage();
                    let state = self.queue.to_state(stage, secures);
                    self.store.save_sender(&state).await.map_err(SenderError::Store)?;
                    self.machine.saved();
                }
                Step::Remove => {
                    self.store.pop_alarm().await.map_err(SenderError::Store)?;
                    self.machine.removed();
                    self.full = false;
                    self.look().await?;
                    match (self.earlier, self.pending) {
                        (false, _) => self.outbox.one_accepted(),
                        (true, false) => {
                            self.earlier = false;
                            self.outbox.all_accepted();
                        }
                        (true, true) => {}
                    }
                    (self.report)(SenderEvent::Accepted);
                }
                step => return Ok(step),
            }
        }
    }

    /// Copies the oldest alarm of the store.
    async fn look(&mut self) -> Result<(), SenderError<S::Error>> {
        let length = self.store.first_alarm(&mut self.body).await.map_err(SenderError::Store)?;
        self.pending = length.is_some();
        self.length = length.unwrap_or_default();
        Ok(())
    }

    /// Moves alarms from the outbox to the store, as long as there is room.
    async fn take_over(&mut self) -> Result<(), SenderError<S::Error>> {
        while !self.full
            && let Some(length) = self.outbox.first(&mut self.body)
        {
            let body = self.body.get(..length).unwrap_or_default();
            if self.store.push_alarm(body).await.map_err(SenderError::Store)? {
                self.outbox.taken();
                self.pending = true;
            } else {
                self.full = true;
            }
        }
        Ok(())
    }

    /// Does something that takes long, and takes over alarms meanwhile.
    async fn meanwhile<T>(&mut self, mut work: Pin<&mut impl Future<Output = T>>) -> Result<T, SenderError<S::Error>> {
        loop {
            match select(work.as_mut(), filled(self.outbox, self.full)).await {
                Either::First(output) => return Ok(output),
                Either::Second(()) => self.take_over().await?,
            }
        }
    }

    /// Waits for a time or for alarms.
    async fn sleep(&mut self, until: Option<Instant>) -> Result<(), SenderError<S::Error>> {
        select(sleep_until(until), filled(self.outbox, self.full)).await;
        Ok(())
    }
}

/// Why a command was not sent.
enum Failure {
    Connection(Error),
    Compose(Refusal),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Connection(error)
    }
}

impl From<RandomError> for Failure {
    fn from(error: RandomError) -> Self {
        Self::Connection(error.into())
    }
}

/// A command of the sender, written where it is sent from.
struct CommandWriter<'c> {
    queue: &'c SendQueue,
    body: &'c [u8],
    request: Request,
    authorized: bool,
    nonce: [u8; 24],
}

impl CommandWriter<'_> {
    fn to(&self, writer: &mut Writer<'_>) -> Result<(), wire::Error> {
        match self.request {
            Request::Send { confirmation, secures, .. } => {
                self.queue.write_message(writer, confirmation, secures, self.nonce, self.body)
            }
            _ => {
                writer.bytes(b"SKEY ")?;
                writer.value(&self.queue.public_key())
            }
        }
    }
}

/// Waits until there are alarms that the store may have room for.
async fn filled<M: RawMutex, const ALARMS: usize, const LENGTH: usize>(outbox: &Outbox<M, ALARMS, LENGTH>, full: bool) {
    if full { pending().await } else { outbox.filled().await }
}

async fn sleep_until(until: Option<Instant>) {
    match until {
        Some(until) => Timer::at(until).await,
        None => pending().await,
    }
}

/// Chance for the length of a pause. A source without randomness must not stop the attempts: it may recover.
fn spread<R: TryCryptoRng + ?Sized>(random: &mut R) -> u16 {
    random::array(random).map_or(0x8000, u16::from_le_bytes)
}
