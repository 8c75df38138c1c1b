//! Responses that wait for the disk, and what they mean for the connection when they are ready.

use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

use super::Connection;
use crate::relay::commands::{Effect, Outcome, Waiting, reply};
use crate::relay::hub::Part;
use crate::relay::reply::{Body, Delivery, Reply, ShortBytes};

/// Responses with messages, or that may come to have one, that a connection keeps before it executes no more commands:
/// they are long, and whoever asks for them may not read them.
pub(super) const HELD_MESSAGES: usize = 16;

/// A response in the order of its request.
pub(super) enum Slot {
    Ready(Reply),
    Waiting { correlation: ShortBytes, entity: ShortBytes, answer: Waiting, acknowledges: bool, subscribes: bool },
}

impl Slot {
    /// Whether it counts among [`HELD_MESSAGES`].
    pub(super) fn holds_message(&self) -> bool {
        match self {
            Self::Ready(reply) => matches!(reply.body, Body::Message(_) | Body::Link(_)),
            Self::Waiting { acknowledges, .. } => *acknowledges,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Ready when a response that waited is ready now. All that are ready in order are taken together, so that they share
    /// a block.
    pub(super) fn poll_response(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut progress = Poll::Pending;
        let mut index = 0;
        while let Some(slot) = self.responses.get_mut(index) {
            if let Slot::Waiting { answer, .. } = slot {
                let Poll::Ready(outcome) = answer.as_mut().poll(context) else { break };
                self.settle_at(index, outcome);
                progress = Poll::Ready(());
            }
            index += 1;
        }
        progress
    }

    fn settle_at(&mut self, index: usize, outcome: Outcome) {
        let body = self.settle(outcome);
        let Some(slot) = self.responses.get_mut(index) else { return };
        if let Slot::Waiting { correlation, entity, acknowledges, subscribes, .. } = slot {
            if *subscribes && !body.is_subscription() {
                self.subscribing = self.subscribing.saturating_sub(1);
            }
            let ready = Slot::Ready(reply(std::mem::take(correlation), std::mem::take(entity), body));
            if *acknowledges && !ready.holds_message() {
                self.holding = self.holding.saturating_sub(1);
            }
            *slot = ready;
        }
    }

    /// Applies to the connection what a command that is on disk means for it.
    fn settle(&mut self, outcome: Outcome) -> Body {
        match outcome.effect {
            Effect::None => outcome.body,
            Effect::Subscribe(queue) => {
                let token = self.relay.hub.subscribe(Part::Recipient, queue, &self.peer);
                match &outcome.body {
                    // The client chose the sender's id, so somebody may have sent to the queue already.
                    Body::Ids(created) if created.record.link_id.is_some() => {
                        self.subscriptions.subscribe(queue, token);
                    }
                    _ => self.subscriptions.subscribe_new(queue, token),
                }
                self.count_subscriptions();
                outcome.body
            }
            Effect::Resubscribe { part, id, joined } => {
                self.receive_for_service(joined.then_some(&id));
                self.resubscribe(part, id);
                outcome.body
            }
            Effect::Acknowledged(record, next) => {
                let pushed = self.subscriptions.acknowledged(&record.recipient_id, next.as_ref().map(|next| next.id));
                match (outcome.body, next) {
                    (Body::Ok, Some(next)) if pushed => Body::Message(Box::new(Delivery::new(&record, next))),
                    (body, _) => body,
                }
            }
            Effect::Deleted(queue, notifier) => {
                self.subscriptions.remove(&queue);
                if let Some(notifier) = notifier {
                    self.notifications.remove(&notifier);
                }
                self.count_subscriptions();
                outcome.body
            }
            Effect::NotifierDeleted(notifier) => {
                self.notifications.remove(&notifier);
                self.count_subscriptions();
                outcome.body
            }
        }
    }
}
