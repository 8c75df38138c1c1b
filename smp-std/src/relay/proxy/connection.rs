//! One connection to another relay, used for all clients: one task that owns it.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use smp_crypto::session::Block;
use smp_proto::smp::BrokerMessage;
use smp_proto::transport::block::Batch;
use smp_proto::transport::transmission::Transmission;
use smp_proto::version::SmpVersion;
use smp_proto::wire::Reader;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::budget::Held;
use super::dial::Link;
use super::upstream::{Correlation, Request, Response, Upstream, Waiter, block_of};
use super::{Failure, Times};
use crate::net::NetError;
use crate::relay::Relay;

/// So many pings in a row may stay unanswered.
const PINGS: u32 = 3;

/// So many blocks that answer nobody are put up with.
const STRAYS: u32 = 1_000;

/// The task that owns the connection.
pub(super) struct Connection {
    relay: Arc<Relay>,
    upstream: Arc<Upstream>,
    link: Link,
    requests: mpsc::UnboundedReceiver<Request>,
    times: Times,
    version: SmpVersion,
    /// Ready to be written.
    next: Option<(Box<Block>, Option<Held>)>,
    pending: HashMap<Correlation, Waiter>,
    /// When the time of each is up, oldest first; some are answered already.
    deadlines: VecDeque<(Instant, Correlation)>,
    last_received: Instant,
    /// The ping in flight, and when it was sent.
    ping: Option<(Correlation, Instant)>,
    pings: u32,
    /// Blocks that answered nobody.
    strays: u32,
    /// Since when a block waits to be written.
    blocked: Option<Instant>,
}

enum Wake {
    Ready(Result<crate::net::Ready, NetError>),
    Request(Option<Request>),
    Time,
    Close,
}

impl Connection {
    pub(super) fn new(
        relay: Arc<Relay>,
        upstream: Arc<Upstream>,
        link: Link,
        requests: mpsc::UnboundedReceiver<Request>,
        times: Times,
    ) -> Self {
        let version = link.session.context.version();
        Self {
            relay,
            upstream,
            link,
            requests,
            times,
            version,
            next: None,
            pending: HashMap::new(),
            deadlines: VecDeque::new(),
            last_received: Instant::now(),
            ping: None,
            pings: 0,
            strays: 0,
            blocked: None,
        }
    }

    /// The handle of the connection.
    pub(super) const fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// Forwards until the connection ends, then tells all who wait; `ended` makes sure that no more come.
    pub(super) async fn run(mut self, ended: impl FnOnce()) {
        let failure = match self.serve().await {
            Ok(()) => {
                let _ = tokio::time::timeout(Duration::from_secs(1), self.link.stream.close()).await;
                Failure::Network
            }
            Err(failure) => failure,
        };
        ended();
        self.requests.close();
        while let Some(request) = self.requests.recv().await {
            let _ = request.waiter.responder.send(Err(failure.clone()));
        }
        for (_, waiter) in self.pending.drain() {
            let _ = waiter.responder.send(Err(failure.clone()));
        }
    }

    async fn serve(&mut self) -> Result<(), Failure> {
        let stopping = self.relay.stopping.clone();
        let closing = self.upstream.closing.clone();
        let timer = sleep_until(self.deadline());
        tokio::pin!(timer);
        loop {
            let write = self.next.is_some();
            self.blocked = write.then(|| self.blocked.unwrap_or_else(Instant::now));
            timer.as_mut().reset(self.deadline());
            // The oldest deadline is that of a command which waits.
            let oldest = self.deadlines.front().and_then(|(deadline, _)| deadline.checked_sub(self.times.command));
            *self.upstream.waiting_since.lock() = oldest;
            let wake = tokio::select! {
                ready = self.link.stream.ready(write) => Wake::Ready(ready),
                request = self.requests.recv(), if !write => Wake::Request(request),
                () = &mut timer => Wake::Time,
                () = stopping.cancelled() => Wake::Close,
                () = closing.cancelled() => Wake::Close,
            };
            match wake {
                Wake::Ready(ready) => {
                    let ready = ready?;
                    if ready.read {
                        self.read().await?;
                    }
                    if ready.write {
                        self.write().await?;
                    }
                }
                Wake::Request(Some(request)) => self.take(request),
                Wake::Request(None) | Wake::Close => return Ok(()),
                Wake::Time => {
                    if !self.tick()? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Takes a command to be sent next, unless its time was up while those before it were sent: to a relay that reads
    /// slowly, that can take any time.
    fn take(&mut self, request: Request) {
        let Request { correlation, since, block, held, waiter } = request;
        let deadline = since + self.times.command;
        if deadline <= Instant::now() || waiter.responder.is_closed() {
            self.relay.blocks.give(block);
            let _ = waiter.responder.send(Err(Failure::Timeout));
            return;
        }
        self.pending.insert(correlation, waiter);
        self.deadlines.push_back((deadline, correlation));
        self.next = Some((block, Some(held)));
    }

    /// When there is something to do although nothing comes.
    fn deadline(&self) -> Instant {
        let ping = match self.ping {
            Some((_, sent)) => sent + self.times.command,
            None => self.last_received + self.times.ping,
        };
        let command = self.deadlines.front().map(|(deadline, _)| *deadline);
        let blocked = self.blocked.map(|since| since + self.times.command);
        // Not at once again while somebody waits.
        let idle = Instant::now() + self.idle_time_left().max(Duration::from_secs(1));
        [command, blocked, Some(idle)].into_iter().flatten().fold(ping, Instant::min)
    }

    /// How long the connection stays if nobody uses it.
    fn idle_time_left(&self) -> Duration {
        let unused = self.relay.uptime().saturating_sub(self.upstream.last_used.load(Ordering::Relaxed));
        self.times.idle.saturating_sub(Duration::from_secs(unused))
    }

    /// Does what is due; `false` when nobody needs the connection any more.
    fn tick(&mut self) -> Result<bool, Failure> {
        let now = Instant::now();
        if self.blocked.is_some_and(|since| now >= since + self.times.command) {
            return Err(Failure::Timeout);
        }
        while let Some((deadline, correlation)) =
            self.deadlines.front().copied().filter(|(deadline, _)| *deadline <= now)
        {
            self.deadlines.pop_front();
            if let Some(waiter) = self.pending.remove(&correlation) {
                let _ = waiter.responder.send(Err(Failure::Timeout));
                if self.last_received + self.times.command <= deadline {
                    // Not a word since it was sent: the connection is dead, and a new one may do better.
                    return Err(Failure::Timeout);
                }
            }
        }
        if self.upstream.is_idle() && self.idle_time_left().is_zero() {
            return Ok(false);
        }
        match self.ping {
            Some((_, sent)) if now >= sent + self.times.command => {
                if self.pings >= PINGS {
                    return Err(Failure::Timeout);
                }
                self.send_ping(now)?;
            }
            None if now >= self.last_received + self.times.ping => self.send_ping(now)?,
            _ => {}
        }
        Ok(true)
    }

    fn send_ping(&mut self, now: Instant) -> Result<(), Failure> {
        self.pings = self.pings.saturating_add(1);
        let correlation = rand::random();
        self.ping = Some((correlation, now));
        if self.next.is_none() {
            self.next = Some((block_of(&self.relay.blocks, &correlation, |writer| writer.bytes(b"PING"))?, None));
        }
        Ok(())
    }

    async fn write(&mut self) -> Result<(), NetError> {
        let Some((block, held)) = self.next.take() else { return Ok(()) };
        self.blocked = None;
        self.link.stream.write_block(&block).await?;
        self.relay.blocks.give(block);
        drop(held);
        Ok(())
    }

    async fn read(&mut self) -> Result<(), NetError> {
        let mut block = self.relay.blocks.take();
        self.link.stream.read_block(&mut block).await?;
        self.last_received = Instant::now();
        (self.ping, self.pings) = (None, 0);
        if self.strays > STRAYS {
            return Err(NetError::Closed);
        }
        // What cannot be read answers nobody; who waits for it will hear that it did not come in time.
        if let Ok(content) = self.link.session.opener.open(&mut block)
            && let Some(block) = self.receive(block, content)
        {
            self.relay.blocks.give(block);
        }
        Ok(())
    }

    /// Hands out the responses in a block. Returns the block unless somebody got it.
    fn receive(&mut self, block: Box<Block>, content: Range<usize>) -> Option<Box<Block>> {
        let Ok(batch) = Batch::decode(block.get(content.clone()).unwrap_or_default()) else { return Some(block) };
        let alone = batch.len() == 1;
        let mut whole = None;
        let waiting = self.pending.len();
        for entry in batch.iter() {
            let Ok(transmission) = Transmission::decode(entry, self.version, self.link.session.context.session_id())
            else {
                continue;
            };
            let Some(waiter) =
                transmission.correlation_id.to_array().and_then(|correlation| self.pending.remove(&correlation))
            else {
                continue;
            };
            let parameter = match read_response(&transmission, self.version) {
                Ok(parameter) => parameter,
                Err(failure) => {
                    let _ = waiter.responder.send(Err(failure));
                    continue;
                }
            };
            let Waiter { in_flight, client, responder } = waiter;
            drop(in_flight);
            let Some(held) = client.take() else {
                // The client does not take its responses.
                let _ = responder.send(Err(Failure::Timeout));
                continue;
            };
            if alone {
                // It is the last thing in the content.
                whole = Some((responder, held, content.end.saturating_sub(parameter.len())..content.end));
            } else {
                let mut copy = self.relay.blocks.take();
                let range = 0..parameter.len();
                if let Some(room) = copy.get_mut(range.clone()) {
                    room.copy_from_slice(parameter);
                    let _ = responder.send(Ok(Response { block: copy, parameter: range, held }));
                }
            }
        }
        if self.pending.len() == waiting {
            self.strays = self.strays.saturating_add(1);
        }
        while self.deadlines.front().is_some_and(|(_, correlation)| !self.pending.contains_key(correlation)) {
            self.deadlines.pop_front();
        }
        match whole {
            Some((responder, held, parameter)) => {
                let _ = responder.send(Ok(Response { block, parameter, held }));
                None
            }
            None => Some(block),
        }
    }
}

/// The parameter of RRES, or what was answered instead.
fn read_response<'a>(transmission: &Transmission<'a>, version: SmpVersion) -> Result<&'a [u8], Failure> {
    if !transmission.entity_id.is_empty() {
        return Err(Failure::unexpected(transmission.command));
    }
    match BrokerMessage::decode(&mut Reader::new(transmission.command), version) {
        Ok(BrokerMessage::RelayResponse(parameter)) => Ok(parameter),
        Ok(BrokerMessage::Error(error)) => Err(Failure::protocol(&error)),
        Ok(_) => Err(Failure::unexpected(transmission.command)),
        Err(error) => Err(Failure::response(error)),
    }
}
