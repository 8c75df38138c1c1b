//! Messages under the ratchet: what they say, once it is their turn.

use rand_core::CryptoRng;
use smp_crypto::hash::sha256;
use smp_proto::agent::{AgentMessage, Message};
use smp_proto::wire::Decode;

use super::{Arrival, Then};
use crate::agent::ratchet::Opened;
use crate::agent::{Agent, Result};
use crate::error::ConnectionError;
use crate::event::{Content as Text, EventKind, ReceivedMessage};
use crate::id::ConnectionId;
use crate::policy::integrity::{Integrity, Link};
use crate::record::{Connection, QueueStatus, ReceivedFrom, Stage};
use crate::storage::Storage;

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    pub(super) fn take_ratchet_message(
        &mut self,
        arrival: &Arrival<'_>,
        connection: &mut Connection,
        message: &mut [u8],
    ) -> Result<Then, S> {
        let id = arrival.id;
        let hash = sha256(&[message]);
        // With several queues most messages come several times: no need to ask the ratchet.
        if connection.receive_queues.len() > 1 && self.was_received(id, message)? {
            self.queue_active(id, connection, arrival.queue)?;
            return Ok(Then::Acknowledge);
        }
        let Some(mut ratchet) = self.ratchet(id)? else { return self.dropped(id, ConnectionError::Prohibited) };
        let opened = match self.decrypt(id, &mut ratchet, message)? {
            Ok(opened) => opened,
            Err(_) if self.was_received(id, message)? => return Ok(Then::Acknowledge),
            Err(error) => match self.decrypt_with_other_role(arrival, connection, message)? {
                Some(opened) => opened,
                None => return self.cannot_decrypt(id, connection, error),
            },
        };
        self.remember_received(id, &hash)?;
        self.queue_active(id, connection, arrival.queue)?;
        self.ratchet_works(id, connection)?;
        if opened.answers && connection.stage == Stage::Allowed {
            self.confirmation_arrived(id, connection)?;
        }
        let Ok(AgentMessage::Sequenced { number, message, .. }) = AgentMessage::from_bytes(&opened.plaintext) else {
            return self.dropped(id, ConnectionError::Message);
        };
        // Nothing that was sent before the first message under a new ratchet can be read any more, and the peer waits.
        let begins = matches!(message, Message::Ready(_));
        if begins {
            self.release_before(id, connection, number)?;
        } else if self.comes_early(id, connection, arrival.queue, number) {
            return self.hold_back(arrival, connection, number, opened);
        }
        self.take_opened(arrival, connection, &opened)
    }

    /// What a message says, when it is its turn.
    pub(in crate::agent) fn take_opened(
        &mut self,
        arrival: &Arrival<'_>,
        connection: &mut Connection,
        opened: &Opened,
    ) -> Result<Then, S> {
        let id = arrival.id;
        let plaintext_hash = sha256(&[&opened.plaintext]);
        let Ok(AgentMessage::Sequenced { number, previous_hash, message }) =
            AgentMessage::from_bytes(&opened.plaintext)
        else {
            return self.dropped(id, ConnectionError::Message);
        };
        let last = Link { number: connection.received_number, hash: &connection.received_hash };
        let integrity = Integrity::check(last, Link { number, hash: previous_hash });
        let late = connection.missing.is_some_and(|(first, last)| (first..=last).contains(&number));
        // What was missed and comes after all is no step back.
        if !(late && number < connection.received_number) {
            connection.received_number = number;
            connection.received_hash = plaintext_hash.to_vec();
        }
        if let Integrity::Skipped { first, last } = integrity {
            connection.missing = Some((first, last));
        }
        match message {
            Message::Application(body) => {
                let received = ReceivedMessage {
                    id: connection.next_message(),
                    sender_number: number,
                    relay_time: arrival.time,
                    integrity,
                    post_quantum: opened.post_quantum,
                    body: Text(body.to_vec()),
                };
                let from = ReceivedFrom {
                    connection: id,
                    queue: arrival.queue,
                    message_id: arrival.message_id.to_vec(),
                    number,
                    hash: plaintext_hash,
                    receipt: true,
                };
                let event = self.notify_from(EventKind::Message { connection: id, message: received }, Some(from))?;
                Ok(event.map_or(Then::Acknowledge, Then::Wait))
            }
            message => {
                let _ = connection.next_message();
                self.take_service_message(arrival, connection, &message, opened.first)?;
                Ok(Then::Acknowledge)
            }
        }
    }

    /// What agents say to each other.
    fn take_service_message(
        &mut self,
        arrival: &Arrival<'_>,
        connection: &mut Connection,
        message: &Message<'_>,
        first: bool,
    ) -> Result<(), S> {
        let id = arrival.id;
        let about_queues = matches!(
            message,
            Message::QuotaContinue(_)
                | Message::AddQueues(_)
                | Message::QueueKeys(_)
                | Message::UseQueues(_)
                | Message::TestQueues(_)
        );
        // Who was not let in has no say about where to send, and is not answered.
        if about_queues && !matches!(connection.stage, Stage::Allowed | Stage::Greeting | Stage::Connected) {
            return self.fail(id, ConnectionError::Prohibited);
        }
        match message {
            Message::Application(_) => Ok(()),
            Message::Hello => self.hello_received(id, connection),
            Message::Receipts(receipts) => {
                for receipt in receipts {
                    self.take_receipt(id, connection, receipt.number, receipt.hash)?;
                }
                Ok(())
            }
            Message::QuotaContinue(queue) => self.take_continue(id, connection, queue),
            Message::AddQueues(queues) => self.take_added_queues(id, connection, queues),
            Message::QueueKeys(keys) => self.take_queue_keys(id, connection, keys),
            Message::UseQueues(queues) => self.take_used_queues(id, connection, queues),
            Message::TestQueues(queues) => self.take_tested_queues(id, connection, queues),
            Message::Ready(_) => self.take_ready(id, connection, first),
        }
    }

    fn take_continue(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        reference: &smp_proto::agent::QueueReference<'_>,
    ) -> Result<(), S> {
        let queue = connection.send_queues.iter_mut().find(|queue| {
            queue.server.address().same_server(&reference.server) && queue.sender_id == reference.sender_id.as_bytes()
        });
        // It was left meanwhile, and what waited for it with it.
        let Some(queue) = queue else { return Ok(()) };
        queue.full_since = None;
        let number = queue.number;
        self.continue_delivery(id, number);
        self.notify(EventKind::Continued { connection: id })
    }

    /// A message came through a queue.
    pub(super) fn queue_active(&mut self, id: ConnectionId, connection: &mut Connection, number: u32) -> Result<(), S> {
        let Some(queue) = connection.receive_queue_mut(number) else { return Ok(()) };
        if queue.status == QueueStatus::Active && !queue.is_coming() {
            return Ok(());
        }
        queue.status = QueueStatus::Active;
        self.new_queue_active(id, connection, number)
    }
}
