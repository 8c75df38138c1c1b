//! What clients share of a connection to another relay: the way in.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use smp_crypto::routing::ProxyLayer;
use smp_crypto::secret_box::TAG_LENGTH;
use smp_crypto::session::Block;
use smp_proto::id::{CorrelationId, EntityId, ID_LENGTH};
use smp_proto::smp::error::TransportError;
use smp_proto::smp::proxy::ForwardedTransmission;
use smp_proto::transport::block::{BatchError, BatchWriter, PLAIN_CONTENT_START};
use smp_proto::wire::{Error, Writer, pad_in_place};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::budget::{Held, Share};
use super::{Client, Failure};
use crate::relay::Relay;
use crate::relay::blocks::Blocks;

/// What ties a response to a command.
pub(super) type Correlation = [u8; ID_LENGTH];

/// A relay's response, still sealed.
pub(super) struct Response {
    pub(super) block: Box<Block>,
    /// Where in the block the parameter of RRES stands.
    pub(super) parameter: Range<usize>,
    pub(super) held: Held,
}

/// A command to be forwarded.
pub(super) struct Request {
    pub(super) correlation: Correlation,
    /// When the client sent it.
    pub(super) since: Instant,
    /// The whole block, ready to be sent.
    pub(super) block: Box<Block>,
    /// For the block, until it is sent.
    pub(super) held: Held,
    pub(super) waiter: Waiter,
}

/// Who waits for the response.
pub(super) struct Waiter {
    /// For the request, until it is answered.
    pub(super) in_flight: Held,
    /// What the client may have of blocks.
    pub(super) client: Arc<Share>,
    pub(super) responder: oneshot::Sender<Result<Response, Failure>>,
}

/// A relay's response that waits to be written to the client, who alone can open it.
#[derive(Debug)]
pub(crate) struct ProxyAnswer {
    block: Box<Block>,
    sealed: Range<usize>,
    _held: Held,
}

impl ProxyAnswer {
    /// The parameter of PRES.
    pub(crate) fn sealed(&self) -> &[u8] {
        self.block.get(self.sealed.clone()).unwrap_or_default()
    }
}

/// A connection to a relay, as its clients know it.
pub(crate) struct Upstream {
    pub(super) session_id: Box<[u8]>,
    /// The parameters of PKEY.
    pub(super) key: Arc<[u8]>,
    pub(super) layer: Arc<ProxyLayer>,
    /// Whether the relay belongs to the same operator.
    pub(super) own: bool,
    /// Bounded by the budgets.
    pub(super) requests: mpsc::UnboundedSender<Request>,
    pub(super) blocks: Arc<Share>,
    pub(super) in_flight: Arc<Share>,
    /// The second of the relay's uptime at which a client last used it.
    pub(super) last_used: AtomicU64,
    /// Since when the command waits for the relay that has waited for longest, if any does.
    pub(super) waiting_since: Mutex<Option<Instant>>,
    pub(super) closing: CancellationToken,
}

impl Upstream {
    /// A connection to nobody.
    #[cfg(test)]
    pub(super) fn for_test(requests: mpsc::UnboundedSender<Request>) -> Arc<Self> {
        let secret = smp_crypto::key::X25519SecretKey::generate(&mut rand::rng());
        let other = smp_crypto::key::X25519SecretKey::generate(&mut rand::rng()).public_key();
        let budget = super::Budget::new(1);
        Arc::new(Self {
            session_id: Box::from([1; 32]),
            key: Arc::from([]),
            layer: Arc::new(ProxyLayer::new(&secret.diffie_hellman(&other).unwrap())),
            own: false,
            requests,
            blocks: budget.share(),
            in_flight: budget.share(),
            last_used: AtomicU64::new(0),
            waiting_since: Mutex::default(),
            closing: CancellationToken::new(),
        })
    }

    /// Notes that a client uses it now.
    pub(super) fn used(&self, uptime: u64) {
        self.last_used.store(uptime, Ordering::Relaxed);
    }

    /// The parameters of PKEY.
    pub(in crate::relay) const fn key(&self) -> &Arc<[u8]> {
        &self.key
    }

    /// Whether the relay belongs to the same operator.
    pub(in crate::relay) const fn is_own(&self) -> bool {
        self.own
    }

    /// Whether the connection has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.requests.is_closed()
    }

    /// Whether no client waits for anything.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.used() == 0
    }

    /// Since when the relay has left a command unanswered, if it has for so long.
    pub(super) fn silent_since(&self, now: Instant, long: Duration) -> Option<Instant> {
        self.waiting_since.lock().filter(|since| now.saturating_duration_since(*since) >= long)
    }

    /// Sends a forwarded command on its way; gives the response for the client, or why there is none.
    pub(in crate::relay) fn forward(
        self: Arc<Self>,
        relay: &Relay,
        client: &Client,
        forward: &ForwardedTransmission<'_>,
    ) -> Result<impl Future<Output = Result<ProxyAnswer, Failure>> + Send + 'static, Failure> {
        self.used(relay.uptime());
        let (Some(in_flight), Some(held)) = (self.in_flight.take(), self.blocks.take()) else {
            relay.stats.limits.forwarding.one();
            return Err(Failure::Timeout);
        };
        let correlation = rand::random();
        let block = self.seal(&relay.blocks, &correlation, forward)?;
        let (responder, response) = oneshot::channel();
        let waiter = Waiter { in_flight, client: Arc::clone(&client.blocks), responder };
        // When the connection has just ended, the waiter is dropped with the request.
        let _ = self.requests.send(Request { correlation, since: Instant::now(), block, held, waiter });
        Ok(async move {
            let Response { mut block, parameter, held } = response.await.unwrap_or(Err(Failure::Network))?;
            let end = parameter.end;
            let sealed = block.get_mut(parameter).ok_or(Failure::Internal)?;
            let id = CorrelationId::from_array(&correlation);
            let length = match self.layer.open_response(id, sealed) {
                Ok(response) => response.encrypted.len(),
                Err(smp_crypto::Error::Format(_)) => return Err(Failure::Response("BLOCK")),
                Err(_) => return Err(Failure::Crypto),
            };
            Ok(ProxyAnswer { block, sealed: end.saturating_sub(length)..end, _held: held })
        })
    }

    /// Makes the block of a forwarded command.
    fn seal(
        &self,
        blocks: &Blocks,
        correlation: &Correlation,
        forward: &ForwardedTransmission<'_>,
    ) -> Result<Box<Block>, Failure> {
        let id = CorrelationId::from_array(correlation);
        let overhead = TAG_LENGTH + 1 + 2 + 45;
        let length = forward.correlation_id.as_bytes().len() + overhead + forward.forward.encrypted.len();
        block_of(blocks, correlation, |writer| {
            writer.bytes(b"RFWD ")?;
            let room = writer.reserve(length)?;
            self.layer.seal_forward(id, forward, room).map(|_| ()).map_err(|_| Error::NoSpace)
        })
    }
}

/// A block with one transmission about nothing in particular, not encrypted, as proxies send them.
pub(super) fn block_of(
    blocks: &Blocks,
    correlation: &Correlation,
    command: impl FnOnce(&mut Writer<'_>) -> Result<(), Error>,
) -> Result<Box<Block>, Failure> {
    let mut block = blocks.take();
    let content = block.get_mut(PLAIN_CONTENT_START..).unwrap_or_default();
    let written = BatchWriter::new(content).map_err(|_| BatchError::TooLarge).and_then(|mut batch| {
        batch.push(|writer| {
            writer.short(&[])?;
            writer.value(&CorrelationId::from_array(correlation))?;
            writer.value(&EntityId::EMPTY)?;
            command(writer)
        })?;
        batch.finish().map(<[u8]>::len).ok_or(BatchError::TooLarge)
    });
    let padded =
        written.and_then(|length| pad_in_place(block.as_mut_slice(), length).map_err(|_| BatchError::TooLarge));
    match padded {
        Ok(()) => Ok(block),
        Err(_) => {
            blocks.give(block);
            Err(Failure::Transport(TransportError::LargeMessage))
        }
    }
}
