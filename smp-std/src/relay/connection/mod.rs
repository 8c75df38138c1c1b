//! One client's connection from its first byte to its last: one task, which owns everything the connection has.
//!
//! While nothing happens the task holds no buffers. A client that does not read is not read either once enough responses
//! wait for it, so it slows down nobody but itself.

mod notify;
mod output;
mod pace;
mod responses;
mod service;
pub(super) mod turns;
mod unordered;

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt;
use smp_crypto::session::Session;
use smp_proto::smp::Command;
use smp_proto::smp::error::SmpError;
use smp_proto::transport::block::Batch;
use smp_proto::version::SmpVersion;
use tokio::io::{AsyncRead, AsyncWrite};

use self::pace::Pace;
use self::responses::{HELD_MESSAGES, Slot};
use self::turns::{Turn, Work};
use self::unordered::{Unordered, is_unordered};
use super::Relay;
use super::authorize::{Authorized, Kept, Terms};
use super::commands::{Answer, Executor, Waiting, reply};
use super::hub::{Event, Part, Peer};
use super::notifications::Notifications;
use super::reply::{Body, Reply};
use super::service_session::ServiceSession;
use super::stalled::Stalled;
use super::store::Id;
use super::subscriptions::{Mode, Subscriptions};
use crate::net::{NetError, TlsStream};

/// An established connection over a byte stream: a socket, or what [`Relay::serve_stream`] was given.
pub(super) struct Connection<S> {
    relay: Arc<Relay>,
    peer: Arc<Peer>,
    address: IpAddr,
    tls: TlsStream<S>,
    session: Session,
    /// With the client's keys.
    agreements: Kept,
    subscriptions: Subscriptions,
    notifications: Notifications,
    /// The service that the client is.
    service: Option<ServiceSession>,
    /// Of the service's queues, those found by looking at all come next.
    pass_has_turn: bool,
    /// Responses in the order of their requests.
    responses: VecDeque<Slot>,
    /// Responses that may overtake those.
    unordered: Unordered,
    /// Responses to SUB, NSUB and NEW among the ordered ones; messages must not overtake these.
    subscribing: usize,
    /// Those among them that hold messages.
    holding: usize,
    /// What the client is told without having asked, messages and notifications apart.
    events: VecDeque<Reply>,
    /// The last thing done was to write: when both can be done, reading has its turn.
    wrote: bool,
    stalled: Stalled,
    pace: Pace,
    turn: Turn,
}

/// What woke the task.
enum Wake {
    /// A block is here.
    Read,
    /// A block can be written.
    Write,
    /// Somebody posted an event, or a response is ready.
    Progress,
    /// The peer began a block and does not finish it, or does not take one.
    TimedOut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn new(
        relay: Arc<Relay>,
        peer: Arc<Peer>,
        address: IpAddr,
        tls: TlsStream<S>,
        session: Session,
    ) -> Self {
        Self {
            subscriptions: Subscriptions::new(&relay.stats.deliveries),
            relay,
            peer,
            address,
            tls,
            service: session.context.service().and_then(ServiceSession::new),
            pass_has_turn: false,
            session,
            agreements: Kept::default(),
            notifications: Notifications::default(),
            responses: VecDeque::new(),
            unordered: Unordered::default(),
            subscribing: 0,
            holding: 0,
            events: VecDeque::new(),
            wrote: false,
            stalled: Stalled::default(),
            pace: Pace::new(),
            turn: Turn::default(),
        }
    }

    /// Serves the client until it leaves, is asked to leave, or fails.
    pub(super) async fn serve(mut self: Box<Self>) {
        match AssertUnwindSafe(self.run()).catch_unwind().await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a connection ended"),
            // What it has of the relay is given back all the same.
            Err(_) => tracing::error!("a connection panicked"),
        }
        for (queue, token) in self.subscriptions.tokens() {
            self.relay.hub.unsubscribe(Part::Recipient, queue, token);
        }
        for (notifier, token) in self.notifications.tokens() {
            self.relay.hub.unsubscribe(Part::Notifier, notifier, token);
        }
        if let Some(service) = &self.service {
            service.leave(&self.relay.hub);
        }
        // What was submitted is carried out whether its sender waits or not, and others may have to hear of it.
        let waiting: Vec<Waiting> = self
            .responses
            .drain(..)
            .filter_map(|slot| match slot {
                Slot::Ready(_) => None,
                Slot::Waiting { answer, .. } => Some(answer),
            })
            .collect();
        for answer in waiting.into_iter().chain(self.unordered.into_waiting()) {
            answer.await;
        }
    }

    async fn run(&mut self) -> Result<(), NetError> {
        loop {
            if self.peer.is_closing() {
                let _ = tokio::time::timeout(Duration::from_secs(1), self.tls.close()).await;
                return Ok(());
            }
            self.take_events();
            match self.wait().await? {
                // Boxed: what commands need while they are carried out is three times what a connection needs.
                Wake::Read => Box::pin(self.read()).await?,
                Wake::Write => self.write().await?,
                Wake::Progress => {}
                Wake::TimedOut => return Err(NetError::TimedOut),
            }
        }
    }

    /// Waits until there is something to do. Nothing is lost when it is dropped.
    async fn wait(&mut self) -> Result<Wake, NetError> {
        let peer = Arc::clone(&self.peer);
        let mut woken = pin!(peer.woken());
        let (pending_limit, block_timeout, write_timeout) = {
            let limits = &self.relay.config().limits;
            (limits.pending_responses, limits.block_timeout(), limits.write_timeout())
        };
        poll_fn(|context| {
            // Each of them has to know whom to wake.
            let (events, ordered) = (woken.as_mut().poll(context).is_ready(), self.poll_response(context).is_ready());
            let (unordered, service) = (self.unordered.poll(context).is_ready(), self.poll_service(context).is_ready());
            if events || ordered || unordered || service {
                return Poll::Ready(Ok(Wake::Progress));
            }
            let write = self.has_output();
            let reading = self.responses.len() + self.events.len() < pending_limit
                && !self.forwards_enough()
                && self.pace.may_read(context);
            let polled = if reading {
                self.tls.poll_ready(context, write)?.map(|ready| match ready.read && (self.wrote || !ready.write) {
                    true => Wake::Read,
                    false => Wake::Write,
                })
            } else if write {
                self.tls.poll_writable(context)?.map(|()| Wake::Write)
            } else {
                // The rest of the last block: nothing else pushes it on.
                let _ = self.tls.poll_writable(context)?;
                Poll::Pending
            };
            if let Poll::Ready(wake) = polled {
                self.wrote = matches!(wake, Wake::Write);
                match wake {
                    Wake::Read => self.stalled.reading = None,
                    _ => self.stalled.writing = None,
                }
                return Poll::Ready(Ok(wake));
            }
            let writing = write || self.tls.is_sending();
            self.stalled.note(reading && self.tls.is_receiving_block(), writing, block_timeout, write_timeout);
            let polled = self.stalled.poll(context).map(|()| Ok(Wake::TimedOut));
            if polled.is_pending() {
                self.turn.renew();
            }
            polled
        })
        .await
    }

    /// Whether a block to write can be filled.
    fn has_output(&self) -> bool {
        self.unordered.first().is_some()
            || matches!(self.responses.front(), Some(Slot::Ready(_)))
            || self.subscribing == 0
                && (!self.events.is_empty()
                    || self.subscriptions.has_due()
                    || self.notifications.has_due()
                    || self.has_service_output())
    }

    fn count_subscriptions(&self) {
        let receiver = self.service.as_ref().is_some_and(ServiceSession::is_receiver);
        let count = self.subscriptions.subscribed() + self.notifications.subscribed() + usize::from(receiver);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.peer.subscriptions.store(count, Ordering::Relaxed);
    }

    /// Takes in what other connections posted.
    fn take_events(&mut self) {
        for event in self.peer.take_events() {
            match event {
                Event::ServiceNews(token) => {
                    if let Some(service) = &mut self.service {
                        service.has_news(token);
                    }
                }
                Event::ServiceEnded(token, held) => self.service_ended(token, held),
                Event::ServiceQueueLost(queue, token, deleted) => self.service_queue_lost(&queue, token, deleted),
                Event::MessageWaiting(queue) => self.subscriptions.message_waiting(&queue),
                Event::NotificationWaiting(notifier, time) => self.notifications.waiting(notifier, time),
                Event::Ended(part, id, token) => {
                    if self.lost(part, &id, token) {
                        self.events.push_back(Reply::event(&id, Body::End));
                    }
                }
                Event::Blocked(told) => {
                    let (queue, token, blocked) = *told;
                    if self.subscriptions.mode(&queue) == Some(Mode::Subscribed(token)) {
                        self.events.push_back(Reply::event(&queue, Body::Error(SmpError::Blocked(blocked))));
                    }
                }
                Event::Deleted(part, id, token) => {
                    if self.lost(part, &id, token) {
                        self.events.push_back(Reply::event(&id, Body::Deleted));
                    }
                }
            }
        }
        if self.peer.take_tick() {
            self.take_service_notifications();
            self.notifications.release();
        }
        self.count_subscriptions();
    }

    fn lost(&mut self, part: Part, id: &Id, token: u64) -> bool {
        match part {
            Part::Recipient => self.subscriptions.lost(id, token),
            Part::Notifier => self.notifications.lost(id, token),
        }
    }

    /// Reads a block, and carries out what it asks for.
    async fn read(&mut self) -> Result<(), NetError> {
        let mut block = self.relay.blocks.take();
        self.tls.read_block(&mut block).await?;
        self.peer.last_received.store(self.relay.uptime(), Ordering::Relaxed);
        match self.session.opener.open(&mut block) {
            Ok(content) => {
                let content = block.get(content).unwrap_or_default();
                self.process(content).await?;
            }
            Err(_) => self.refuse_block(),
        }
        self.relay.blocks.give(block);
        Ok(())
    }

    /// Answers a block that cannot be read.
    fn refuse_block(&mut self) {
        self.responses.push_back(Slot::Ready(Reply::response(&[], &[], Body::Error(SmpError::Block))));
    }

    async fn process(&mut self, content: &[u8]) -> Result<(), NetError> {
        let Ok(batch) = Batch::decode(content) else {
            self.refuse_block();
            return Ok(());
        };
        if self.pace.spend(self.relay.config().rates.commands(), batch.len()) {
            self.relay.stats.limits.commands_delayed.one();
        }
        let mut entries: Vec<Result<Authorized<'_>, Reply>> = Vec::with_capacity(batch.len());
        for entry in batch.iter() {
            let terms = Terms::of(&self.session.context, &self.relay.decoy, &self.agreements, &self.relay.stats);
            entries.push(terms.authorize(&self.relay.store, &mut self.turn, entry).await);
        }
        self.relay.stats.block_received(entries.iter().flatten().map(|authorized| &authorized.command));
        for entry in entries {
            self.turn.spend(Work::Command).await;
            while self.holding >= HELD_MESSAGES {
                self.relieve().await?;
            }
            let slot = match entry {
                Err(refusal) => Slot::Ready(refusal),
                Ok(authorized) if is_unordered(&authorized.command) => {
                    self.execute_unordered(authorized).await?;
                    continue;
                }
                Ok(authorized) => self.execute(authorized).await,
            };
            self.holding += usize::from(slot.holds_message());
            self.responses.push_back(slot);
        }
        self.count_subscriptions();
        Ok(())
    }

    /// Writes a block of responses before more commands are executed.
    async fn relieve(&mut self) -> Result<(), NetError> {
        if matches!(self.responses.front(), Some(Slot::Waiting { .. })) {
            poll_fn(|context| self.poll_response(context)).await;
        }
        let patience = self.relay.config().limits.write_timeout();
        tokio::time::timeout(patience, self.write()).await.map_err(|_| NetError::TimedOut)?
    }

    /// Carries out a command, under the version of the connection or that of a forwarded command.
    async fn carry_out(&mut self, authorized: &Authorized<'_>, version: SmpVersion) -> Answer {
        let mut executor = Executor {
            relay: &self.relay,
            peer: &self.peer,
            subscriptions: &mut self.subscriptions,
            notifications: &mut self.notifications,
            service: &mut self.service,
            version,
            address: self.address,
        };
        executor.execute(authorized).await
    }

    async fn execute(&mut self, authorized: Authorized<'_>) -> Slot {
        let answer = self.carry_out(&authorized, self.session.context.version()).await;
        let acknowledges = matches!(authorized.command, Command::Acknowledge(_) | Command::SecureByLink(_));
        let subscribes = matches!(authorized.command, Command::Subscribe | Command::SubscribeNotifications);
        let Authorized { correlation, entity, .. } = authorized;
        match answer {
            Answer::Now(body) => {
                self.subscribing += usize::from(body.is_subscription());
                Slot::Ready(reply(correlation, entity, body))
            }
            Answer::Later(answer) => {
                self.subscribing += usize::from(subscribes);
                Slot::Waiting { correlation, entity, answer, acknowledges, subscribes }
            }
        }
    }
}
