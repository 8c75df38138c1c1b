//! What a receiver says on one connection, and what it makes of what comes.

use core::future::pending;

use embassy_time::{Duration, Instant};
use embedded_io_async::{Read, Write};
use rand_core::TryCryptoRng;
use smp_proto::id::{EntityId, ID_LENGTH, MessageId};
use smp_proto::smp::password::PasswordRef;
use smp_proto::smp::{BrokerMessage, Command, SmpError};
use smp_proto::version::SmpVersion;

use super::machine::{Request, Stopped};
use super::queue::{NewKeys, Opened, ReceiveQueue};
use super::work::Work;
use super::{ReceivedMessage, ReceiverError, ReceiverEvent, ReceiverHandler, Taken, Unkept};
use crate::connection::{self, Connection, Incoming};
use crate::error::Error;
use crate::id::Id;
use crate::key::{AgreedKey, CommandKey};
use crate::random;
use crate::refusal::Refusal;
use crate::serve::{Conversation, Ended, Next};
use crate::state::ReceiverStore;

/// A receiver with a connection, and what belongs to that.
pub(super) struct Online<'o, 'w, S, H> {
    work: &'o mut Work<'w, S, H>,
    key: Option<CommandKey>,
    /// The keys of the queue that is being created.
    new: Option<NewKeys>,
    asked: Option<([u8; ID_LENGTH], Id)>,
}

impl<S: ReceiverStore, H: ReceiverHandler> Conversation for Online<'_, '_, S, H> {
    type Request = Request;
    type Stop = ReceiverError<S::Error>;

    fn next(&mut self) -> impl Future<Output = Result<Next<Request>, Self::Stop>> {
        self.work.next()
    }

    async fn send<T: Read + Write, R: TryCryptoRng + ?Sized>(
        &mut self,
        connection: &mut Connection<'_, T>,
        request: Request,
        random: &mut R,
    ) -> Result<Result<(), Ended>, Self::Stop> {
        if let Err(error) = self.compose(connection, request, random) {
            return Ok(Err(error.into()));
        }
        if let Err(error) = connection.flush().await {
            return Ok(Err(error.into()));
        }
        self.work.machine.sent(Instant::now());
        Ok(Ok(()))
    }

    fn is_waiting(&self) -> bool {
        self.work.machine.outstanding().is_some()
    }

    fn patience(&self) -> Duration {
        self.work.options.timing.response
    }

    fn called(&self) -> impl Future<Output = ()> {
        pending()
    }

    fn heard(&mut self) {
        self.work.machine.heard(Instant::now());
    }

    async fn incoming<R: TryCryptoRng + ?Sized>(
        &mut self,
        incoming: Incoming<'_>,
        random: &mut R,
    ) -> Result<(), Ended> {
        let asked = self.asked.take_if(|(correlation_id, entity)| incoming.answers(correlation_id, entity));
        let is_event = incoming.correlation_id.is_none();
        let is_ours = self
            .work
            .receiver
            .queue
            .as_ref()
            .is_some_and(|queue| queue.entity().as_bytes() == incoming.entity.as_bytes());
        let message = incoming.message();
        match message {
            Ok(BrokerMessage::Message(_)) if is_ours && (is_event || asked.is_some()) => {
                if asked.is_some() {
                    self.done();
                }
                return match self.message(incoming).await {
                    Taken::Yes => Ok(()),
                    Taken::Later => Err(Ended::Later),
                };
            }
            Ok(BrokerMessage::Ids(ids))
                if asked.is_some() && self.work.machine.outstanding() == Some(Request::Create) =>
            {
                let created = match &self.new {
                    Some(keys) => ReceiveQueue::created(&self.work.options.relay.address(), keys, &ids, random)?,
                    None => None,
                };
                match created {
                    Some(queue) => {
                        self.work.receiver.queue = Some(queue);
                        self.work.receiver.last = None;
                        self.work.receiver.unkept = Unkept { queue: true, last: false };
                        self.new = None;
                        self.done();
                    }
                    None => self.refused(Refusal::Protocol, random),
                }
            }
            Ok(BrokerMessage::Ok | BrokerMessage::Subscribed(_) | BrokerMessage::Pong)
                if asked.is_some() && self.work.machine.outstanding() != Some(Request::Create) =>
            {
                self.done();
            }
            Ok(BrokerMessage::Error(_)) if asked.is_some() => {
                let error = incoming.parameters(b"ERR").unwrap_or_default();
                self.refused(Refusal::read(error, false), random);
            }
            _ if asked.is_some() => self.refused(Refusal::Protocol, random),
            Ok(BrokerMessage::End) if is_event && is_ours => self.work.machine.stop(Stopped::TakenOver),
            Ok(BrokerMessage::Deleted) if is_event && is_ours => self.work.machine.stop(Stopped::Deleted),
            Ok(BrokerMessage::Error(SmpError::Blocked(_))) if is_event && is_ours => {
                self.work.machine.stop(Stopped::Refused(Refusal::Blocked));
            }
            // It comes too late, or is about something else.
            _ => {}
        }
        Ok(())
    }
}

impl<'o, 'w, S: ReceiverStore, H: ReceiverHandler> Online<'o, 'w, S, H> {
    /// Begins with a new connection.
    pub(super) fn new(work: &'o mut Work<'w, S, H>, version: SmpVersion) -> Self {
        work.machine.connected(Instant::now());
        work.handler.event(ReceiverEvent::Connected(version));
        Self { work, key: None, new: None, asked: None }
    }

    /// Composes a command.
    fn compose<T: Read + Write, R: TryCryptoRng + ?Sized>(
        &mut self,
        connection: &mut Connection<'_, T>,
        request: Request,
        random: &mut R,
    ) -> Result<(), Error> {
        let Self { work, key, new, asked } = self;
        let correlation_id = connection::new_correlation_id(random)?;
        if request == Request::Create {
            *new = Some(NewKeys::generate(random)?);
            *key = None;
        }
        if key.is_none() {
            let secret = match (&work.receiver.queue, new.as_ref()) {
                (_, Some(new)) => new.authorization(),
                (Some(queue), None) => queue.authorization(),
                (None, None) => return Err(Error::Malformed),
            };
            let server_key = connection.context().server_key.copied().ok_or(Error::Malformed)?;
            *key = Some(CommandKey::Agreed(AgreedKey::new(secret, &server_key).map_err(|_| Error::Malformed)?));
        }
        let queue = work.receiver.queue.as_ref().map_or(EntityId::EMPTY, ReceiveQueue::entity);
        let (entity, key, command) = match &request {
            Request::Create => {
                let password = work.options.relay.password();
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

    fn done(&mut self) {
        let request = self.work.machine.outstanding();
        self.work.machine.done();
        if let Some(Request::Subscribe | Request::Create) = request {
            self.work.handler.event(ReceiverEvent::Subscribed);
        }
    }

    fn refused<R: TryCryptoRng + ?Sized>(&mut self, refusal: Refusal, random: &mut R) {
        self.work.machine.refused(Instant::now(), refusal, random::spread(random));
        self.work.handler.event(ReceiverEvent::Refused(refusal));
    }

    /// Hands a message to the application.
    async fn message(&mut self, incoming: Incoming<'_>) -> Taken {
        let Some(queue) = &mut self.work.receiver.queue else { return Taken::Yes };
        // An id of another length than all relays' cannot be acknowledged; the next attempt may bring another.
        let Some((id, body)) = incoming.into_encrypted_message() else { return Taken::Later };
        let repeated = self.work.machine.is_repeated(&id);
        match queue.open(&id, body) {
            Ok(Opened::Message { time, secure, introduced, body }) => {
                if introduced {
                    // Before the application is asked, which may be given up: the same message does not tell again.
                    self.work.receiver.unkept.queue = true;
                    self.work.handler.event(ReceiverEvent::Introduced);
                }
                if !repeated {
                    let message = ReceivedMessage { id: &id, time, body };
                    if self.work.handler.message(message).await == Taken::Later {
                        self.work.machine.introduced(introduced);
                        return Taken::Later;
                    }
                }
                self.work.machine.taken(id, secure, introduced);
                self.work.receiver.unkept.last |= self.work.receiver.last != Some(id);
            }
            Ok(Opened::Full { time }) => {
                if !repeated {
                    self.work.handler.event(ReceiverEvent::Full(time));
                }
                self.work.machine.passed_over(id);
            }
            Err(reason) => {
                if !repeated {
                    self.work.handler.event(ReceiverEvent::Unreadable(reason));
                }
                self.work.machine.passed_over(id);
            }
        }
        self.work.receiver.last = Some(id);
        Taken::Yes
    }
}
