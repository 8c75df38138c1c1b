//! What a sender says on one connection, and how it understands the answers.

use core::pin::pin;

use embassy_sync::blocking_mutex::raw::RawMutex;
use embassy_time::{Duration, Instant};
use embedded_io_async::{Read, Write};
use rand_core::TryCryptoRng;
use smp_crypto::key::X25519PublicKey;
use smp_proto::address::{Password, ServerUri};
use smp_proto::id::ID_LENGTH;
use smp_proto::smp::password::PasswordRef;
use smp_proto::smp::proxy::{ProxyKey, ProxySession};
use smp_proto::wire::{self, Decode, Writer};

use super::machine::{Reply, Request};
use super::queue::SendQueue;
use super::work::Work;
use super::{SenderError, SenderEvent};
use crate::connection::{self, ComposeError, Connection, Incoming};
use crate::error::Error;
use crate::id::Id;
use crate::key::{AgreedKey, CommandKey};
use crate::proxy::{Forward, RelaySession};
use crate::random::{self, RandomError};
use crate::refusal::{ProxyFailure, Refusal};
use crate::serve::{Conversation, Ended, Next};
use crate::state::{SendStage, SenderStore};

/// A sender with a connection, and what belongs to that.
pub(super) struct Online<'o, 'w, S, M: RawMutex, F, const ALARMS: usize, const LENGTH: usize> {
    work: &'o mut Work<'w, S, M, F, ALARMS, LENGTH>,
    /// The time, if it is known, in seconds since the Unix epoch.
    time: Option<i64>,
    /// The session that the proxy has with the relay.
    session: Option<RelaySession>,
    key: Option<CommandKey>,
    asked: Option<Asked>,
}

/// A command on its way.
struct Asked {
    request: Request,
    correlation_id: [u8; ID_LENGTH],
    /// The entity of the transmission, that of the proxy's session when it is forwarded.
    entity: Id,
    forward: Option<Forward>,
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

impl<S, M, F, const ALARMS: usize, const LENGTH: usize> Conversation for Online<'_, '_, S, M, F, ALARMS, LENGTH>
where
    S: SenderStore,
    M: RawMutex,
    F: FnMut(SenderEvent),
{
    type Request = Request;
    type Stop = SenderError<S::Error>;

    fn next(&mut self) -> impl Future<Output = Result<Next<Request>, Self::Stop>> {
        self.work.next()
    }

    async fn send<T: Read + Write, R: TryCryptoRng + ?Sized>(
        &mut self,
        connection: &mut Connection<'_, T>,
        request: Request,
        random: &mut R,
    ) -> Result<Result<(), Ended>, Self::Stop> {
        let is_alarm = matches!(request, Request::Send { .. });
        if is_alarm {
            if !self.work.look().await? {
                // The store had one, and found it damaged.
                self.work.machine.withdraw();
                self.work.none_left();
                return Ok(Ok(()));
            }
            (self.work.report)(SenderEvent::Sending);
        }
        match self.compose(connection, request, random) {
            Ok(()) => {}
            Err(Failure::Connection(error)) => return Ok(Err(error.into())),
            Err(Failure::Compose(refusal)) => {
                self.reply(Reply::Refused(refusal), random);
                return Ok(Ok(()));
            }
        }
        if let Err(error) = self.work.meanwhile(pin!(connection.flush())).await? {
            return Ok(Err(error.into()));
        }
        self.work.machine.sent(Instant::now());
        if is_alarm {
            (self.work.report)(SenderEvent::Sent);
        }
        Ok(Ok(()))
    }

    fn is_waiting(&self) -> bool {
        self.work.machine.is_waiting()
    }

    fn patience(&self) -> Duration {
        self.work.options.timing.response
    }

    fn called(&self) -> impl Future<Output = ()> {
        self.work.called()
    }

    fn heard(&mut self) {}

    async fn incoming<R: TryCryptoRng + ?Sized>(
        &mut self,
        incoming: Incoming<'_>,
        random: &mut R,
    ) -> Result<(), Ended> {
        if let Some(reply) = self.read(incoming) {
            self.reply(reply, random);
        }
        Ok(())
    }
}

impl<'o, 'w, S, M, F, const ALARMS: usize, const LENGTH: usize> Online<'o, 'w, S, M, F, ALARMS, LENGTH>
where
    S: SenderStore,
    M: RawMutex,
    F: FnMut(SenderEvent),
{
    /// Begins with a new connection.
    pub(super) fn new<T: Read + Write>(
        work: &'o mut Work<'w, S, M, F, ALARMS, LENGTH>,
        connection: &Connection<'_, T>,
        time: Option<i64>,
    ) -> Self {
        work.machine.connected(Instant::now(), connection.version());
        (work.report)(SenderEvent::Connected(connection.version()));
        let mut online = Self { work, time, session: None, key: None, asked: None };
        if online.work.options.proxy.is_none() {
            online.key = online.agree(connection.context().server_key);
        }
        online
    }

    /// Composes a command, and keeps what is needed to understand the answer.
    fn compose<T: Read + Write, R: TryCryptoRng + ?Sized>(
        &mut self,
        connection: &mut Connection<'_, T>,
        request: Request,
        random: &mut R,
    ) -> Result<(), Failure> {
        let queue = self.work.queue;
        let correlation_id = connection::new_correlation_id(random)?;
        let mut asked = Asked { request, correlation_id, entity: Id::EMPTY, forward: None };
        let authorized = match request {
            Request::Proxy => false,
            Request::Secure => true,
            Request::Send { authorized, .. } => authorized,
        };
        let key = if authorized { self.key.as_ref() } else { None };
        // The proxy's session with the relay, when the command is forwarded.
        let session = self.session.as_ref().filter(|_| request != Request::Proxy);
        let entity = match (request, session) {
            (Request::Proxy, _) => Id::from_slice(&[]),
            (_, None) => Id::from_slice(queue.entity().as_bytes()),
            (_, Some(session)) => {
                let forward = session.prepare(random)?;
                asked.correlation_id = forward.correlation_id;
                asked.forward = Some(forward);
                Id::from_slice(session.entity().as_bytes())
            }
        };
        asked.entity = entity.ok_or(Failure::Compose(Refusal::Protocol))?;
        let password = self.work.options.proxy.and_then(ServerUri::password);
        let nonce = random::array(random)?;
        let command =
            Command { queue, password: password.map(Password::as_bytes), body: self.work.alarm(), request, nonce };
        let composed = connection.compose(|composer| {
            let forward = asked.forward.as_ref().zip(session);
            let outer = if forward.is_some() { None } else { key };
            composer.push_with(&asked.correlation_id, asked.entity.as_entity(), outer, |writer| match forward {
                Some((forward, session)) => {
                    forward.write(writer, session, queue.entity(), key, |writer| command.write(writer))
                }
                None => command.write(writer),
            })
        });
        composed?.map_err(|error| {
            Failure::Compose(match error {
                ComposeError::Full | ComposeError::TooLarge => Refusal::TooLarge,
                _ => Refusal::Protocol,
            })
        })?;
        self.asked = Some(asked);
        Ok(())
    }

    /// What a transmission says about the command on its way, if anything.
    fn read(&mut self, incoming: Incoming<'_>) -> Option<Reply> {
        // Anything else comes too late, or unasked: a sender has no events.
        let asked = self.asked.take_if(|asked| incoming.answers(&asked.correlation_id, &asked.entity))?;
        let queue = self.work.queue;
        if let (Some(forward), Some(session)) = (&asked.forward, &self.session) {
            if let Some(error) = incoming.parameters(b"ERR") {
                return Some(Reply::Refused(Refusal::read(error, true)));
            }
            let Some(encrypted) = incoming.into_proxy_response() else {
                return Some(Reply::Refused(Refusal::Proxy(ProxyFailure::Transport)));
            };
            return Some(match forward.open(session, queue.entity(), encrypted) {
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
                let fingerprint = queue.server().fingerprint().unwrap_or_default();
                match RelaySession::accept(&key, &fingerprint, self.work.options.versions, self.time) {
                    Ok(session) => {
                        let version = session.version();
                        self.key = self.agree(Some(session.key()));
                        self.session = Some(session);
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
        AgreedKey::new(&self.work.queue.authorization, server_key?).ok().map(CommandKey::Agreed)
    }

    /// Takes note of the answer.
    fn reply<R: TryCryptoRng + ?Sized>(&mut self, reply: Reply, random: &mut R) {
        let Work { machine, report, .. } = &mut *self.work;
        let secured = machine.stage().0 >= SendStage::Secured;
        machine.reply(Instant::now(), reply, random::spread(random));
        if let Reply::Refused(refusal) = reply {
            report(SenderEvent::Refused(refusal));
        } else if !secured && machine.stage().0 == SendStage::Secured {
            report(SenderEvent::Secured);
        }
    }
}

/// A command of the sender, written where it is sent from.
struct Command<'c> {
    queue: &'c SendQueue,
    /// What the proxy asks from strangers.
    password: Option<&'c [u8]>,
    /// The alarm.
    body: &'c [u8],
    request: Request,
    nonce: [u8; 24],
}

impl Command<'_> {
    fn write(&self, writer: &mut Writer<'_>) -> Result<(), wire::Error> {
        match self.request {
            Request::Proxy => {
                let password = self.password.and_then(|password| PasswordRef::new(password).ok());
                writer.bytes(b"PRXY ")?;
                writer.value(&ProxySession { server: self.queue.server(), password })
            }
            Request::Secure => {
                writer.bytes(b"SKEY ")?;
                writer.value(&self.queue.public_key())
            }
            Request::Send { confirmation, secures, .. } => {
                self.queue.write_message(writer, confirmation, secures, self.nonce, self.body)
            }
        }
    }
}
