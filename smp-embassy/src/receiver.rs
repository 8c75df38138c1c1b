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
//! costs about 2.5 million instructions, most of them for the layers of encryption.

use core::fmt;
use core::pin::pin;

use embassy_futures::select::{Either, select};
use embassy_time::{Instant, Timer};
use embedded_io_async::{Read, Write};
use rand_core::TryCryptoRng;
use smp_proto::address::{ServerAddress, ServerUri};
use smp_proto::id::{EntityId, ID_LENGTH, MessageId};
use smp_proto::smp::password::PasswordRef;
use smp_proto::smp::{BrokerMessage, Command, SmpError};
use smp_proto::uri::QueueUri;
use smp_proto::version::{SmpVersion, VersionRange};

use crate::apart::apart;
use crate::clock::WallClock;
use crate::connection::{self, Connection, Expectation, Incoming, default_versions};
use crate::device::Device;
use crate::dial::Network;
use crate::error::{Error, Wait};
use crate::id::Id;
use crate::key::{AgreedKey, CommandKey};
use crate::random::{self, RandomError};
use crate::refusal::Refusal;
use crate::state::{MESSAGE_ID_LENGTH, ReceiverStore};

mod machine;
mod queue;

use machine::{Machine, Request, Step};
use queue::{NewKeys, Opened, ReceiveQueue};

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
    /// It cannot take it now. The connection is closed, and the message comes again after a pause.
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
        Self { queue: None, last: None }
    }

    /// The receiver of the queue that the store has, if it has one.
    ///
    /// # Errors
    /// [`ReceiverError::Store`] and [`ReceiverError::Corrupt`].
    pub async fn load<S: ReceiverStore>(store: &mut S) -> Result<Self, ReceiverError<S::Error>> {
        let Some(state) = store.load_receiver().await.map_err(ReceiverError::Store)? else { return Ok(Self::new()) };
        let last = store.load_last_message().await.map_err(ReceiverError::Store)?;
        let queue = ReceiveQueue::from_state(state).ok_or(ReceiverError::Corrupt)?;
        Ok(Self { queue: Some(queue), last })
    }

    /// The queue's address, for the sender: print it as text.
    #[must_use]
    pub fn address(&self) -> Option<QueueUri> {
        self.queue.as_ref()?.uri()
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
        let machine = Machine::new(options.timing, self.queue.is_some(), self.last);
        let mut work = Work { machine, receiver: self, store, options, handler };
        let Err(error) = work.run(device).await;
        error
    }
}

/// A receiver at work.
struct Work<'w, S, H> {
    machine: Machine,
    receiver: &'w mut Receiver,
    store: &'w mut S,
    options: &'w ReceiverOptions<'w>,
    handler: &'w mut H,
}

/// How a connection ended.
enum Ended {
    /// For good.
    Closed,
    Failed(Error),
    /// The application could not take a message.
    Later,
}

/// What belongs to one connection.
#[derive(Default)]
struct Online {
    key: Option<CommandKey>,
    /// The keys of the queue that is being created.
    new: Option<NewKeys>,
    asked: Option<([u8; ID_LENGTH], Id)>,
}

enum Never {}

impl<S: ReceiverStore, H: ReceiverHandler> Work<'_, S, H> {
    async fn run<N, R, C>(&mut self, device: Device<'_, N, R, C>) -> Result<Never, ReceiverError<S::Error>>
    where
        N: Network,
        R: TryCryptoRng + ?Sized,
        C: WallClock + ?Sized,
    {
        let Device { network, random, clock, buffer } = device;
        self.tell_address();
        loop {
            match self.next().await? {
                Step::Stop(stopped) => return Err(ReceiverError::Stopped(stopped)),
                Step::Connect => {}
                Step::Wait(until) => {
                    Timer::at(until).await;
                    continue;
                }
                // Without a connection there is nothing else to do.
                _ => {
                    self.machine.closed();
                    continue;
                }
            }
            let opened = {
                let opening = pin!(self.connect(&mut *network, &mut *buffer, &mut *random, clock));
                apart(opening).await?
            };
            let ended = match opened {
                Ok(mut connection) => {
                    let ended = {
                        let serving = pin!(self.serve(&mut connection, &mut *random));
                        apart(serving).await?
                    };
                    if !matches!(ended, Ended::Failed(_)) {
                        connection.close().await;
                    }
                    ended
                }
                Err(error) => Ended::Failed(error),
            };
            if let Ended::Closed = ended {
                self.machine.closed();
                continue;
            }
            self.machine.lost(Instant::now(), spread(random));
            if let Ended::Failed(error) = ended {
                self.handler.event(ReceiverEvent::Failed(error));
                match error {
                    Error::BufferTooShort => return Err(ReceiverError::BufferTooShort),
                    Error::NoFingerprint => return Err(ReceiverError::NoFingerprint),
                    _ => {}
                }
            }
        }
    }

    async fn connect<'d, N, R, C>(
        &self,
        network: &'d mut N,
        buffer: &'d mut [u8],
        random: &mut R,
        clock: &C,
    ) -> Result<Result<Connection<'d, N::Stream<'d>>, Error>, ReceiverError<S::Error>>
    where
        N: Network,
        R: TryCryptoRng + ?Sized,
        C: WallClock + ?Sized,
    {
        let server = self.server()?;
        let expectation = match Expectation::new(&server, clock) {
            Ok(expectation) => Expectation { versions: self.options.versions, ..expectation },
            Err(error) => return Ok(Err(error)),
        };
        Ok(connection::open(network, buffer, &server, &expectation, random).await)
    }

    /// The relay of the queue or, without one, the relay where it is to be created.
    fn server(&self) -> Result<ServerAddress<'_>, ReceiverError<S::Error>> {
        match &self.receiver.queue {
            Some(queue) => queue.server().ok_or(ReceiverError::Corrupt),
            None => Ok(self.options.relay.address()),
        }
    }

    /// Receives over a connection.
    async fn serve<T: Read + Write, R: TryCryptoRng + ?Sized>(
        &mut self,
        connection: &mut Connection<'_, T>,
        random: &mut R,
    ) -> Result<Ended, ReceiverError<S::Error>> {
        self.machine.connected(Instant::now());
        self.handler.event(ReceiverEvent::Connected(connection.version()));
        let mut online = Online::default();
        // Until when the rest of a block is waited for that is in the way of a command.
        let mut rest = None;
        loop {
            let until = match self.next().await? {
                Step::Request(request) if connection.can_compose() => {
                    if let Err(error) = self.compose(connection, &mut online, request, random) {
                        return Ok(Ended::Failed(error));
                    }
                    if let Err(error) = connection.flush().await {
                        return Ok(Ended::Failed(error));
                    }
                    self.machine.sent(Instant::now());
                    continue;
                }
                // A part of a block has come in: the rest first.
                Step::Request(_) => {
                    let now = Instant::now();
                    let until = *rest.get_or_insert(now.saturating_add(self.options.timing.response));
                    if now >= until {
                        return Ok(Ended::Failed(Error::TimedOut(Wait::Response)));
                    }
                    until
                }
                Step::Wait(until) => until,
                Step::Disconnect if self.machine.outstanding().is_some() => {
                    return Ok(Ended::Failed(Error::TimedOut(Wait::Response)));
                }
                _ => return Ok(Ended::Closed),
            };
            match select(connection.receive(), Timer::at(until)).await {
                Either::First(Ok(block)) => {
                    rest = None;
                    self.machine.heard(Instant::now());
                    for incoming in block {
                        match self.incoming(&mut online, incoming, random).await {
                            Ok(Taken::Yes) => {}
                            Ok(Taken::Later) => return Ok(Ended::Later),
                            Err(error) => return Ok(Ended::Failed(error.into())),
                        }
                    }
                }
                Either::First(Err(error)) => return Ok(Ended::Failed(error)),
                Either::Second(()) => {}
            }
        }
    }

    /// Composes a command.
    fn compose<T: Read + Write, R: TryCryptoRng + ?Sized>(
        &self,
        connection: &mut Connection<'_, T>,
        online: &mut Online,
        request: Request,
        random: &mut R,
    ) -> Result<(), Error> {
        let Online { key, new, asked } = online;
        let correlation_id = connection::new_correlation_id(random)?;
        if request == Request::Create {
            *new = Some(NewKeys::generate(random)?);
            *key = None;
        }
        if key.is_none() {
            let secret = match (&self.receiver.queue, new.as_ref()) {
                (_, Some(new)) => new.authorization(),
                (Some(queue), None) => queue.authorization(),
                (None, None) => return Err(Error::Malformed),
            };
            let server_key = connection.context().server_key.copied().ok_or(Error::Malformed)?;
            *key = Some(CommandKey::Agreed(AgreedKey::new(secret, &server_key).map_err(|_| Error::Malformed)?));
        }
        let queue = self.receiver.queue.as_ref().map_or(EntityId::EMPTY, ReceiveQueue::entity);
        let (entity, key, command) = match &request {
            Request::Create => {
                let password = self.options.relay.password();
                let password = password.and_then(|password| PasswordRef::new(password.as_bytes()).ok());
                let request = new.as_ref().ok_or(Error::Malformed)?.request(password);
                (EntityId::EMPTY, key.as_ref(), Command::New(request))
            }
            Request::Subscribe => (queue, key.as_ref(), Command::Subscribe),
            Request::Secure(sender) => (queue, key.as_ref(), Command::Secure(*sender)),
            Request::Acknowledge(id) => (queue, key.as_ref(), Command::Acknowledge(MessageId::from_array(id))),
            Request::Ping => (EntityId::EMPTY, None, Command::Ping),
        };
        *asked = Some((correlation_id, Id::from_slice(entity.as_bytes()).ok_or(Error::Malformed)?));
        connection
            .compose(|composer| composer.push(&correlation_id, entity, key, &command))?
            .map_err(|_| Error::Malformed)
    }

    /// Takes note of a transmission.
    async fn incoming<R: TryCryptoRng + ?Sized>(
        &mut self,
        online: &mut Online,
        incoming: Incoming<'_>,
        random: &mut R,
    ) -> Result<Taken, RandomError> {
        let asked = online.asked.take_if(|(correlation_id, entity)| incoming.answers(correlation_id, entity));
        let is_event = incoming.correlation_id.is_none();
        let is_ours =
            self.receiver.queue.as_ref().is_some_and(|queue| queue.entity().as_bytes() == incoming.entity.as_bytes());
        let message = incoming.message();
        match message {
            Ok(BrokerMessage::Message(_)) if is_ours && (is_event || asked.is_some()) => {
                if asked.is_some() {
                    self.done();
                }
                return Ok(self.message(incoming).await);
            }
            Ok(BrokerMessage::Ids(ids)) if asked.is_some() && self.machine.outstanding() == Some(Request::Create) => {
                let created = match &online.new {
                    Some(keys) => ReceiveQueue::created(&self.options.relay.address(), keys, &ids, random)?,
                    None => None,
                };
                match created {
                    Some(queue) => {
                        self.receiver.queue = Some(queue);
                        self.receiver.last = None;
                        online.new = None;
                        self.done();
                    }
                    None => self.refused(Refusal::Protocol, random),
                }
            }
            Ok(BrokerMessage::Ok | BrokerMessage::Subscribed(_) | BrokerMessage::Pong)
                if asked.is_some() && self.machine.outstanding() != Some(Request::Create) =>
            {
                self.done();
            }
            Ok(BrokerMessage::Error(_)) if asked.is_some() => {
                let error = incoming.parameters(b"ERR").unwrap_or_default();
                self.refused(Refusal::read(error, false), random);
            }
            _ if asked.is_some() => self.refused(Refusal::Protocol, random),
            Ok(BrokerMessage::End) if is_event && is_ours => self.machine.stop(Stopped::TakenOver),
            Ok(BrokerMessage::Deleted) if is_event && is_ours => self.machine.stop(Stopped::Deleted),
            Ok(BrokerMessage::Error(SmpError::Blocked(_))) if is_event && is_ours => {
                self.machine.stop(Stopped::Refused(Refusal::Blocked));
            }
            // It comes too late, or is about something else.
            _ => {}
        }
        Ok(Taken::Yes)
    }

    fn done(&mut self) {
        let request = self.machine.outstanding();
        self.machine.done();
        if let Some(Request::Subscribe | Request::Create) = request {
            self.handler.event(ReceiverEvent::Subscribed);
        }
    }

    fn refused<R: TryCryptoRng + ?Sized>(&mut self, refusal: Refusal, random: &mut R) {
        self.machine.refused(Instant::now(), refusal, spread(random));
        self.handler.event(ReceiverEvent::Refused(refusal));
    }

    /// Hands a message to the application.
    async fn message(&mut self, incoming: Incoming<'_>) -> Taken {
        let Some(queue) = &mut self.receiver.queue else { return Taken::Yes };
        // An id of another length than all relays' cannot be acknowledged; the next attempt may bring another.
        let Some((id, body)) = incoming.into_encrypted_message() else { return Taken::Later };
        let repeated = self.machine.is_repeated(&id);
        match queue.open(&id, body) {
            Ok(Opened::Message { time, secure, introduced, body }) => {
                if introduced {
                    self.handler.event(ReceiverEvent::Introduced);
                }
                if !repeated {
                    let message = ReceivedMessage { id: &id, time, body };
                    if self.handler.message(message).await == Taken::Later {
                        // Who the sender is is not forgotten: the same message tells again.
                        self.machine.introduced(introduced);
                        return Taken::Later;
                    }
                }
                self.machine.taken(id, secure, introduced);
            }
            Ok(Opened::Full { time }) => {
                if !repeated {
                    self.handler.event(ReceiverEvent::Full(time));
                }
                self.machine.taken(id, None, false);
            }
            Err(reason) => {
                if !repeated {
                    self.handler.event(ReceiverEvent::Unreadable(reason));
                }
                self.machine.taken(id, None, false);
            }
        }
        self.receiver.last = Some(id);
        Taken::Yes
    }

    /// The next thing that is not a matter of the store alone.
    async fn next(&mut self) -> Result<Step, ReceiverError<S::Error>> {
        loop {
            match self.machine.step(Instant::now()) {
                Step::SaveQueue => {
                    let Some(queue) = &self.receiver.queue else { return Err(ReceiverError::Corrupt) };
                    self.store.save_receiver(queue.state()).await.map_err(ReceiverError::Store)?;
                    self.machine.saved_queue();
                    if !queue.is_introduced() {
                        self.tell_address();
                    }
                }
                Step::SaveLast(id) => {
                    self.store.save_last_message(&id).await.map_err(ReceiverError::Store)?;
                    self.machine.saved_last();
                }
                step => return Ok(step),
            }
        }
    }

    fn tell_address(&mut self) {
        if let Some(address) = self.receiver.address() {
            self.handler.queue(&address);
        }
    }
}

/// Chance for the length of a pause. A source without randomness must not stop the attempts: it may recover.
fn spread<R: TryCryptoRng + ?Sized>(random: &mut R) -> u16 {
    random::array(random).map_or(0x8000, u16::from_le_bytes)
}
