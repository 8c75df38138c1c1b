//! Commands whose responses may overtake others: those that are forwarded, to another relay or by one, and names that are
//! looked up elsewhere.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use smp_crypto::routing::ProxyLayer;
use smp_proto::smp::Command;
use smp_proto::smp::error::SmpError;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Connection;
use super::responses::HELD_MESSAGES;
use crate::net::NetError;
use crate::relay::authorize::{Authorized, Terms};
use crate::relay::commands::{Answer, Outcome, Waiting, reply};
use crate::relay::forward::{self, Opened};
use crate::relay::proxy::Client;
use crate::relay::reply::{Body, Reply, ShortBytes};

/// Responses that are given when they are ready, and those that are.
#[derive(Default)]
pub(super) struct Unordered {
    waiting: Vec<Pending>,
    ready: VecDeque<Reply>,
    /// Those of both that hold link data or names, or may come to hold link data.
    holding: usize,
    /// The secret shared with the proxy that the client is; made when it first forwards something.
    layer: Option<Arc<ProxyLayer>>,
    /// What the client has of that which all clients share, once it asks for something of other relays.
    proxied: Option<Client>,
}

struct Pending {
    correlation: ShortBytes,
    entity: ShortBytes,
    answer: Waiting,
    /// It counts in `holding`.
    holds: bool,
}

impl Unordered {
    /// How many commands are not answered yet.
    fn len(&self) -> usize {
        self.waiting.len().saturating_add(self.ready.len())
    }

    /// What is still being carried out and has to be. What other relays do, they do without being waited for.
    pub(super) fn into_waiting(self) -> impl Iterator<Item = Waiting> {
        let here = self.layer.is_some();
        self.waiting.into_iter().filter(move |_| here).map(|pending| pending.answer)
    }

    /// The next response to write.
    pub(super) fn first(&self) -> Option<&Reply> {
        self.ready.front()
    }

    /// The next response is written.
    pub(super) fn written(&mut self) {
        if let Some(reply) = self.ready.pop_front() {
            self.holding = self.holding.saturating_sub(usize::from(reply.body.is_long()));
        }
    }

    fn push_ready(&mut self, reply: Reply) {
        self.holding = self.holding.saturating_add(usize::from(reply.body.is_long()));
        self.ready.push_back(reply);
    }

    fn push_waiting(&mut self, correlation: ShortBytes, entity: ShortBytes, answer: Waiting, holds: bool) {
        self.holding = self.holding.saturating_add(usize::from(holds));
        self.waiting.push(Pending { correlation, entity, answer, holds });
    }

    /// Ready when a response has become ready; takes all that have.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut progress = Poll::Pending;
        let mut index = 0;
        while let Some(pending) = self.waiting.get_mut(index) {
            match pending.answer.as_mut().poll(context) {
                Poll::Ready(Outcome { body, .. }) => {
                    let Pending { correlation, entity, holds, .. } = self.waiting.swap_remove(index);
                    self.holding = self.holding.saturating_sub(usize::from(holds));
                    self.push_ready(reply(correlation, entity, body));
                    progress = Poll::Ready(());
                }
                Poll::Pending => index = index.saturating_add(1),
            }
        }
        progress
    }
}

/// Whether a command is one whose response may overtake others.
pub(super) const fn is_unordered(command: &Command<'_>) -> bool {
    matches!(
        command,
        Command::ProxySession(_) | Command::ProxyForward(_) | Command::RelayForward(_) | Command::ResolveName(_)
    )
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Whether so many forwarded commands wait for their responses that no more may be taken.
    pub(super) fn forwards_enough(&self) -> bool {
        let proxy = &self.relay.config().proxy;
        let Unordered { layer, proxied, holding, .. } = &self.unordered;
        // A relay that forwards here has nothing forwarded itself: who does both is a client.
        let is_relay = layer.is_some() && proxied.is_none();
        let limit = if is_relay { proxy.received_in_flight } else { proxy.client_in_flight };
        self.unordered.len() >= limit || *holding >= HELD_MESSAGES
    }

    /// Waits until one more forwarded command may be taken. What can be written is written meanwhile.
    pub(super) async fn await_room(&mut self) -> Result<(), NetError> {
        let patience: Duration = self.relay.config().limits.write_timeout();
        if self.forwards_enough() {
            self.relay.stats.limits.forwarding.one();
        }
        while self.forwards_enough() {
            let write = self.has_output();
            let writable = poll_fn(|context| {
                if self.unordered.poll(context).is_ready() {
                    return Poll::Ready(Ok(false));
                }
                // Also the rest of the last block, which nothing else pushes on.
                let writable = self.tls.poll_writable(context).map_ok(|()| true);
                if write || matches!(writable, Poll::Ready(Err(_))) { writable } else { Poll::Pending }
            });
            // Commands in flight have time-outs of their own, which may be longer: this one is for a client that does not
            // read.
            let taken = match write {
                true => tokio::time::timeout(patience, writable).await.map_err(|_| NetError::TimedOut)?,
                false => writable.await,
            };
            if taken? {
                self.write().await?;
            }
        }
        Ok(())
    }

    /// Carries out a command whose response may overtake others.
    pub(super) async fn execute_unordered(&mut self, authorized: Authorized<'_>) -> Result<(), NetError> {
        self.await_room().await?;
        let mut holds = false;
        let answer = match &authorized.command {
            Command::RelayForward(parameter) => {
                let mut block = self.relay.blocks.take();
                let answer = self.execute_forwarded(&authorized.correlation, parameter, block.as_mut_slice()).await;
                self.relay.blocks.give(block);
                answer.map(|(answer, may_hold)| {
                    holds = may_hold;
                    answer
                })
            }
            Command::ProxySession(request) => {
                let client = self.unordered.proxied.get_or_insert_with(|| self.relay.proxy.client());
                Ok(self.relay.proxy_session(client, request))
            }
            Command::ProxyForward(forward) => {
                let client = self.unordered.proxied.get_or_insert_with(|| self.relay.proxy.client());
                self.relay.proxy_forward(client, &authorized.correlation, &authorized.entity, forward)
            }
            _ => Ok(self.carry_out(&authorized, self.session.context.version()).await),
        };
        let Authorized { correlation, entity, .. } = authorized;
        match answer {
            Ok(Answer::Now(body)) => self.unordered.push_ready(reply(correlation, entity, body)),
            Ok(Answer::Later(answer)) => self.unordered.push_waiting(correlation, entity, answer, holds),
            Err(error) => self.unordered.push_ready(reply(correlation, entity, Body::Error(error))),
        }
        Ok(())
    }

    /// Carries out what another relay forwards; tells, too, whether the answer holds link data while it waits. Errors are
    /// for that relay.
    async fn execute_forwarded(
        &mut self,
        correlation: &ShortBytes,
        parameter: &[u8],
        block: &mut [u8],
    ) -> Result<(Answer, bool), SmpError<'static>> {
        let layer = match &self.unordered.layer {
            Some(layer) => Arc::clone(layer),
            None => Arc::clone(self.unordered.layer.insert(forward::proxy_layer(&self.session.context)?)),
        };
        let parameter = match block.get_mut(..parameter.len()) {
            Some(room) => {
                room.copy_from_slice(parameter);
                room
            }
            None => return Err(SmpError::Crypto),
        };
        let opened = forward::open(&layer, &self.session.context, correlation, parameter)?;
        self.relay.stats.forwards_received.one();
        let (envelope, transmission) = match opened {
            Opened::Transmission(envelope, transmission) => (envelope, transmission),
            Opened::Malformed(envelope) => {
                let refusal = Reply::response(&[], &[], Body::Error(SmpError::Block));
                return Ok((Answer::Now(envelope.answer(refusal)), false));
            }
        };
        let terms = Terms::of(&self.session.context, &self.relay.decoy, &self.agreements, &self.relay.stats);
        let terms = Terms { version: envelope.version, is_forwarded: true, service: None, agreements: None, ..terms };
        let authorized = match terms.authorize(&self.relay.store, &mut self.turn, transmission).await {
            Ok(authorized) => authorized,
            Err(refusal) => return Ok((Answer::Now(envelope.answer(refusal)), false)),
        };
        let holds = matches!(authorized.command, Command::SecureByLink(_));
        let answer = self.carry_out(&authorized, envelope.version).await;
        let Authorized { correlation, entity, .. } = authorized;
        let answer = match answer {
            Answer::Now(body) => Answer::Now(envelope.answer(reply(correlation, entity, body))),
            Answer::Later(answer) => Answer::Later(Box::pin(async move {
                let Outcome { body, effect } = answer.await;
                Outcome { body: envelope.answer(reply(correlation, entity, body)), effect }
            })),
        };
        Ok((answer, holds))
    }
}
