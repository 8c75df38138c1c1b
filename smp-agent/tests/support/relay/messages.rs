use smp_agent::request::{AccessKey, Answer, Failure, QueueAccess, Reason};
use smp_agent::time::Time;
use smp_crypto::key::AuthorizationKey;
use smp_crypto::queue_envelope::{CONFIRMATION_LENGTH, MESSAGE_LENGTH};
use smp_proto::smp::message::ClientEnvelope;
use smp_proto::smp::recipient::QueueMode;
use smp_proto::wire::Decode;

use super::queue::Message;
use super::{Caller, NOT_AUTHORIZED, Push, Relay};

impl Relay {
    pub(super) fn subscribe(&mut self, caller: Caller, access: &QueueAccess) -> Result<(), Failure> {
        let queue = self.own_open(caller, access)?;
        let earlier = queue.subscriber.replace(caller.connection).filter(|earlier| *earlier != caller.connection);
        let message = queue.deliver();
        if let Some(earlier) = earlier {
            self.pushes.push((earlier, Push::Ended(access.id.clone())));
        }
        if let Some((message_id, body)) = message {
            self.pushes.push((caller.connection, Push::Message { queue: access.id.clone(), message_id, body }));
        }
        Ok(())
    }

    pub(super) fn send(
        &mut self,
        caller: Caller,
        now: Time,
        sender_id: &[u8],
        key: Option<&AccessKey>,
        notification: bool,
        body: &[u8],
    ) -> Result<Answer, Failure> {
        self.check_envelope(caller, body);
        let id = self.id();
        let Some(recipient_id) = self.senders.get(sender_id).cloned() else { return Err(NOT_AUTHORIZED) };
        let Some(queue) = self.queues.get_mut(&recipient_id) else { return Err(NOT_AUTHORIZED) };
        match (queue.sender_key, key) {
            (None, None) => {}
            (Some(known), Some(key)) if known == AuthorizationKey::Ed25519(key.public()) => queue.signed = true,
            (known, given) => {
                // A confirmation that only seemed lost may be repeated after the recipient has secured the queue.
                let sender_knows = queue.signed || queue.secured_by == Some(caller.party);
                match (known, given) {
                    (Some(_), None) if sender_knows => {
                        self.violation(
                            caller,
                            "a message without authorization to a queue that its sender has secured",
                        );
                    }
                    (None, Some(_)) => {
                        self.violation(caller, "an authorized message to a queue that nobody has secured")
                    }
                    _ => {}
                }
                return Err(NOT_AUTHORIZED);
            }
        }
        if queue.suspended {
            return Err(NOT_AUTHORIZED);
        }
        if let Some(blocked) = queue.blocked {
            return Err(Failure::of_relay(Reason::Blocked(blocked)));
        }
        if queue.mode == Some(QueueMode::Messaging)
            && queue.sender_key.is_some()
            && let Some((link, _)) = queue.link.take()
        {
            self.links.remove(&link);
            self.deleted.insert(link);
        }
        let Some(queue) = self.queues.get_mut(&recipient_id) else { return Err(NOT_AUTHORIZED) };
        if queue.full {
            return Err(Failure::of_relay(Reason::Quota));
        }
        if self.swallows > 0 {
            self.swallows -= 1;
            return Ok(Answer::Done);
        }
        let was_empty = queue.messages.is_empty();
        queue.full = queue.messages.len() >= self.quota;
        let content = (!queue.full).then(|| (notification, body.to_vec()));
        queue.messages.push_back(Message { id, time: now, content });
        let (full, subscriber) = (queue.full, queue.subscriber);
        if was_empty
            && queue.outstanding.is_none()
            && let Some(subscriber) = subscriber
        {
            let (message_id, body) = queue.deliver().expect("there is a message now");
            self.pushes.push((subscriber, Push::Message { queue: recipient_id, message_id, body }));
        }
        if full { Err(Failure::of_relay(Reason::Quota)) } else { Ok(Answer::Done) }
    }

    fn check_envelope(&mut self, caller: Caller, body: &[u8]) {
        let right = ClientEnvelope::from_bytes(body).map(|envelope| match envelope.dh_key {
            Some(_) => CONFIRMATION_LENGTH,
            None => MESSAGE_LENGTH,
        });
        if right != Ok(body.len()) {
            self.violation(caller, format!("an envelope of {} bytes", body.len()));
        }
    }

    pub(super) fn acknowledge(
        &mut self,
        caller: Caller,
        access: &QueueAccess,
        message_id: &[u8],
    ) -> Result<Answer, Failure> {
        let queue = self.own_open(caller, access)?;
        if queue.outstanding.as_deref() != Some(message_id) || queue.subscriber != Some(caller.connection) {
            if !queue.delivered.contains(message_id) {
                self.violation(caller, "ACK of a message that was never delivered");
            }
            return Err(Failure::of_relay(Reason::NoMessage));
        }
        queue.outstanding = None;
        if queue.messages.front().is_some_and(|message| message.id == message_id) {
            queue.messages.pop_front();
        }
        if queue.messages.is_empty() {
            queue.full = false;
        }
        if let Some((message_id, body)) = queue.deliver() {
            self.pushes.push((caller.connection, Push::Message { queue: access.id.clone(), message_id, body }));
        }
        Ok(Answer::Done)
    }
}
