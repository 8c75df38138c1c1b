//! What a connection says: responses, then events, then notifications and messages, packed into blocks (wire reference, sections 6.1, 10.3).

use std::sync::atomic::Ordering;

use smp_proto::smp::error::SmpError;
use smp_proto::transport::block::{BatchError, BatchWriter};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Connection, Slot};
use crate::net::NetError;
use crate::relay::authorize::store_error;
use crate::relay::hub::Part;
use crate::relay::reply::{Body, Delivery, Reply};
use crate::relay::service_session::ServiceSession;
use crate::relay::store::Id;
use crate::relay::subscriptions::Mode;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Fills a block with what is ready and writes it.
    pub(super) async fn write(&mut self) -> Result<(), NetError> {
        let mut block = self.relay.blocks.take();
        let length = self.fill(block.get_mut(self.session.sealer.content_range()).unwrap_or_default());
        if length > 0 {
            self.session.sealer.seal(&mut block, length).map_err(|_| NetError::Closed)?;
            self.tls.write_block(&block).await?;
            self.forget_delivered().await;
            self.peer.last_sent.store(self.relay.uptime(), Ordering::Relaxed);
        }
        self.relay.blocks.give(block);
        Ok(())
    }

    /// Packs responses, then events, notifications and messages, as long as they fit. Returns the length of the content, 0 when it
    /// turned out that there is nothing to say.
    fn fill(&mut self, content: &mut [u8]) -> usize {
        let Ok(mut batch) = BatchWriter::new(content) else { return 0 };
        while let Some(response) = self.unordered.first() {
            if !self.push_response(&mut batch, response) {
                return finish(batch);
            }
            self.unordered.written();
        }
        while let Some(Slot::Ready(response)) = self.responses.front() {
            if !self.push_response(&mut batch, response) {
                return finish(batch);
            }
            match self.responses.pop_front() {
                Some(Slot::Ready(Reply { body, .. })) if body.is_subscription() => {
                    self.subscribing = self.subscribing.saturating_sub(1);
                }
                Some(slot) => self.holding = self.holding.saturating_sub(usize::from(slot.holds_message())),
                None => {}
            }
        }
        if self.subscribing > 0 {
            return finish(batch);
        }
        let mut ended = 0;
        while let Some(event) = self.events.front() {
            if let Pushed::Full = self.push(&mut batch, event) {
                break;
            }
            self.events.pop_front();
            ended += 1;
        }
        self.relay.stats.queues.subscriptions_ended.add(ended);
        self.relay.stats.queues.subscriptions_ended_batches.add(ended.min(1));
        if !self.events.is_empty() {
            return finish(batch);
        }
        if !self.notify(&mut batch) {
            return finish(batch);
        }
        while let Some((queue, mode, origin)) = self.next_due() {
            // From here on new messages are posted again, so none is missed between the look and the delivery.
            if let Mode::Subscribed(token) = mode {
                self.relay.hub.noticed(Part::Recipient, &queue, token);
            }
            let Some((message, delivery)) = self.next_message(&queue, mode) else {
                self.subscriptions.nothing_waits(&queue);
                continue;
            };
            match self.push(&mut batch, &delivery) {
                Pushed::Written => self.subscriptions.pushed(&queue, message),
                Pushed::Full => {
                    self.postpone(queue, origin);
                    break;
                }
                Pushed::Impossible => {}
            }
        }
        finish(batch)
    }

    /// The first message of a queue, as an event.
    fn next_message(&mut self, queue: &Id, mode: Mode) -> Option<(Id, Reply)> {
        let read = || {
            let Some(message) = self.relay.store.head(queue)? else { return Ok(None) };
            let record = self.relay.store.queue_by_recipient(queue)?;
            let own = self.service.as_ref().map(|service| service.id);
            // A queue that left the service in this moment is another's.
            let record = record.filter(|record| mode != Mode::Service || record.recipient_service == own);
            Ok(record.map(|record| (record, message)))
        };
        match read() {
            Ok(Some((record, message))) => {
                let id = message.id;
                Some((id, Reply::event(queue, Body::Message(Box::new(Delivery::new(&record, message))))))
            }
            Ok(None) => None,
            Err(error) => {
                // The client gets it at its next SUB.
                let error = store_error(&error);
                if self.service.as_ref().is_some_and(ServiceSession::is_passing) {
                    self.events.push_back(Reply::event(queue, Body::Error(error)));
                }
                None
            }
        }
    }

    /// Whether there was room for the response, or for the error that takes its place when it cannot be written.
    fn push_response(&self, batch: &mut BatchWriter<'_>, response: &Reply) -> bool {
        match self.push(batch, response) {
            Pushed::Full => false,
            Pushed::Written => true,
            Pushed::Impossible => {
                let failure = Reply::response(&response.correlation, &response.entity, Body::Error(SmpError::Internal));
                // It is short, but the block may be full; then it is made again for the next one.
                !matches!(self.push(batch, &failure), Pushed::Full)
            }
        }
    }

    pub(super) fn push(&self, batch: &mut BatchWriter<'_>, reply: &Reply) -> Pushed {
        let (version, session_id) = (self.session.context.version(), self.session.context.session_id());
        match batch.push(|writer| reply.encode(writer, version, session_id)) {
            Ok(()) => Pushed::Written,
            Err(BatchError::Full) => Pushed::Full,
            Err(error) => {
                tracing::error!(%error, "a response could not be written");
                Pushed::Impossible
            }
        }
    }
}

pub(super) enum Pushed {
    Written,
    Full,
    Impossible,
}

fn finish(batch: BatchWriter<'_>) -> usize {
    batch.finish().map_or(0, <[u8]>::len)
}
