//! What hostile relays answer, and what they say unasked.

use smp_agent::request::{Delivery, Operation, RelayEvent};
use smp_proto::smp::message::Delivery as Content;
use smp_proto::wire;

use super::deeds::{Deed, Play};
use super::outside;
use super::starts::Scene;
use crate::input::Input;

impl Play {
    pub(super) fn session(&self, input: &mut Input<'_>) -> smp_agent::policy::session::SessionKey {
        let server = input.one_of(&self.scene.relays.queues).map(|queue| queue.server.clone());
        self.scene.host.session(&server.unwrap_or_else(|| super::starts::STRANGE.clone()))
    }

    pub(super) fn answer(&mut self, deed: Deed, input: &mut Input<'_>) {
        let Scene { host, relays, .. } = &mut self.scene;
        if matches!(deed, Deed::Stray) {
            let id = match input.one_of(&host.answered) {
                Some(id) if input.byte() < 200 => *id,
                _ => smp_agent::RequestId(u64::from(input.byte())),
            };
            if host.requests.iter().any(|request| request.id == id) {
                return;
            }
            let result = outside::answer(input, relays);
            return host.answer(id, result);
        }
        if host.requests.is_empty() {
            return;
        }
        let request = host.requests.remove(input.below(host.requests.len()));
        let mut result = match deed {
            Deed::Invent => outside::answer(input, relays),
            _ => relays.execute(request.session.server(), &request.operation),
        };
        if matches!(deed, Deed::Bend) {
            outside::bend(input, relays, &request.operation, &mut result);
        }
        if let (Operation::CreateQueue(_), Ok(smp_agent::Answer::Created(created)), Some(last)) =
            (&request.operation, &result, relays.queues.last_mut())
        {
            // Messages can come where the agent believes its queue to be.
            last.recipient_id.clone_from(&created.recipient_id);
            last.sender_id.clone_from(&created.sender_id);
        }
        host.answered(request.id);
        host.answer(request.id, result);
    }

    pub(super) fn event(&mut self, input: &mut Input<'_>) {
        let queue = input.one_of(&self.scene.relays.queues).map(|queue| queue.recipient_id.clone()).unwrap_or_default();
        let session = self.session(input);
        let event = match input.below(5) {
            4 => RelayEvent::QueueBlocked { session, queue, blocked: outside::BLOCKED },
            0 => RelayEvent::SubscriptionEnded { session, queue },
            1 => RelayEvent::QueueDeleted { session, queue },
            2 => RelayEvent::Disconnected(session),
            _ => {
                let server = session.server().clone();
                let (message_id, body) = (input.bytes().to_vec(), input.long());
                RelayEvent::Message(Box::new(Delivery { server, session, queue, message_id, body }))
            }
        };
        self.scene.host.relay_event(event);
    }

    /// A message with the right encryption of the relay: any, one of the peer's, or the mark of a full queue.
    pub(super) fn forge(&mut self, input: &mut Input<'_>) {
        let message_id = match input.byte() {
            0..=127 => self.scene.relays.id(),
            128..=199 => self
                .scene
                .relays
                .queues
                .iter()
                .find_map(|queue| Some(queue.messages.front()?.0.clone()))
                .unwrap_or_default(),
            _ => input.bytes().to_vec(),
        };
        let Some(queue) = input.one_of(&self.scene.relays.queues).cloned() else { return };
        let time = wire::Time(input.number(1_790_000_000));
        let said = self.said.last().map(|(_, body)| body.clone()).unwrap_or_default();
        let waiting = queue.messages.front().map(|(_, body)| body.clone()).unwrap_or_default();
        let mut body = match input.below(4) {
            0 => queue.seal(&message_id, &Content::Quota { time }),
            1 => queue.seal(&message_id, &Content::Message { time, notification: false, body: &waiting }),
            2 => queue.seal(&message_id, &Content::Message { time, notification: false, body: &said }),
            _ => queue.seal(&message_id, &Content::Message { time, notification: true, body: &input.long() }),
        };
        if input.byte() >= 240 {
            input.change(&mut body);
        }
        let (session, server) = (self.scene.host.session(&queue.server), queue.server.clone());
        let queue = queue.recipient_id;
        self.scene.host.relay_event(RelayEvent::Message(Box::new(Delivery {
            server,
            session,
            queue,
            message_id,
            body,
        })));
    }
}
