//! What comes to clients, in the words of the model: no message may come under another's id, or differ from what it was the
//! last time.

use smp_crypto::notification;
use smp_crypto::secret_box::{BoxKey, Nonce};
use smp_proto::smp::BrokerMessage;
use smp_proto::smp::error::{CommandError, SmpError};
use smp_proto::transport::BLOCK_LENGTH;
use smp_proto::transport::block::Batch;
use smp_proto::transport::transmission::Transmission;
use tokio::time::timeout;

use super::commands::generate;
use super::{Asked, Id, Known, KnownNotifier, Mark, World, body, fixed_data, user_data};
use crate::harness::{PATIENCE, RawClient, Received, TestQueue};
use crate::history::{Deed, NotifierNumber, QueueNumber};
use crate::judge::Seen;
use crate::model::{Event, Item, Response};

impl World {
    /// Looks at what came to a client.
    pub(super) fn take_in(&mut self, client: usize, asked: &[Asked], seen: &mut Seen) -> Result<(), String> {
        while let Some(received) = self.clients[client].inbox.pop_front() {
            if received.correlation.is_empty() {
                self.event(client, &received, seen)?;
                continue;
            }
            let index =
                asked.iter().position(|ask| ask.client == client && ask.correlation[..] == received.correlation);
            let index = index.ok_or_else(|| format!("a response nobody asked for: {}", received.text()))?;
            let response = self.response(index, &asked[index], &received)?;
            if let (Response::Ok, Deed::Send { queue, number, notify, .. }) = (&response, &asked[index].deed) {
                self.sent.insert(*number, (*queue, *notify));
            }
            self.mark(Mark::Answered(index, &response));
            if seen.responses[index].replace(response).is_some() {
                return Err(format!("a second response to {:?}", asked[index].deed));
            }
        }
        Ok(())
    }

    fn response(&mut self, index: usize, ask: &Asked, received: &Received) -> Result<Response, String> {
        let version = self.clients[ask.client].version();
        let number = ask.deed.queue();
        Ok(match (received.decode(version), &ask.deed, ask.keys.take()) {
            (BrokerMessage::Ids(ids), Deed::New { queue, contact, prepared, .. }, Some((key, dh))) => {
                let told = ids.link_id.map(|id| id.to_array().ok_or("a link id of another length")).transpose()?;
                if told.is_some() != prepared.is_some() || *contact && told.is_some_and(|told| told != ask.link_id) {
                    return Err(format!("another link than was asked for: {:?}", ask.deed));
                }
                let queue_keys = TestQueue {
                    key,
                    dh,
                    relay_key: ids.relay_dh_key,
                    recipient_id: ids.recipient_id.as_bytes().to_vec(),
                    sender_id: ids.sender_id.as_bytes().to_vec(),
                };
                let sender_keys = [generate(), generate()];
                let (contact, link_id) = (*contact, told.unwrap_or(ask.link_id));
                let prepared = prepared.map(|_| ask.correlation);
                let known = Known { queue: queue_keys, contact, link_id, sender_keys, prepared };
                self.queues.insert(*queue, known);
                Response::Created(self.own_service(ask.client, ids.service_id.as_ref().map(|id| id.as_bytes()))?)
            }
            (BrokerMessage::NotifierId(ids), Deed::EnableNotifications { queue, notifier }, Some((key, dh))) => {
                let known = KnownNotifier {
                    key,
                    dh,
                    relay_key: ids.relay_dh_key,
                    id: ids.notifier_id.as_bytes().to_vec(),
                    queue: *queue,
                };
                self.notifiers.insert(*notifier, known);
                Response::NotifierCreated
            }
            (BrokerMessage::Link(content), _, _) => {
                let known = self.queues.get(&number).ok_or("no queue")?;
                let user = content.data.user.as_bytes();
                let told = user.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
                if content.sender_id.as_bytes() != known.queue.sender_id
                    || content.data.fixed.as_bytes() != fixed_data(number)
                    || user != user_data(told)
                {
                    return Err(format!("link data of another: {:?}", ask.deed));
                }
                Response::Link(told)
            }
            (BrokerMessage::Message(_), _, _) => Response::Message(self.message(ask.client, number, received)?),
            (BrokerMessage::Ok, _, _) => Response::Ok,
            (BrokerMessage::Subscribed(service), _, _) => {
                Response::Subscribed(self.own_service(ask.client, service.as_ref().map(|id| id.as_bytes()))?)
            }
            (BrokerMessage::ServiceSubscribed(queues), _, _) => {
                Response::All(self.held(ask.client, &received.entity, Ok(index), &queues)?)
            }
            (BrokerMessage::Error(SmpError::Auth), _, _) => Response::Auth,
            (BrokerMessage::Error(SmpError::Service), _, _) => Response::NoService,
            (BrokerMessage::Error(SmpError::Quota), _, _) => Response::Quota,
            (BrokerMessage::Error(SmpError::NoMessage), _, _) => Response::NoMessage,
            (BrokerMessage::Error(SmpError::Command(CommandError::Prohibited)), _, _) => Response::Prohibited,
            _ => Response::Other(received.text()),
        })
    }

    fn event(&mut self, client: usize, received: &Received, seen: &mut Seen) -> Result<(), String> {
        let version = self.clients[client].version();
        let queue = self.queues.iter().find(|(_, known)| known.queue.recipient_id == received.entity);
        let event = match (queue.map(|(number, _)| *number), received.decode(version)) {
            (Some(queue), BrokerMessage::Message(_)) => Event::Message(queue, self.message(client, queue, received)?),
            (Some(queue), BrokerMessage::End) => Event::Ended(queue),
            (Some(queue), BrokerMessage::Deleted) => Event::Deleted(queue),
            (None, BrokerMessage::AllDelivered) if received.entity.is_empty() => Event::AllDelivered,
            (None, BrokerMessage::ServiceEnd(queues)) => {
                self.delivered.retain(|(of, _), _| *of != client);
                Event::ServiceEnded(self.held(client, &received.entity, Err(seen.events.len()), &queues)?)
            }
            (None, message) => {
                let notifier = self.notifiers.iter().find(|(_, known)| known.id == received.entity);
                let (number, known) = notifier.ok_or_else(|| format!("an event of nothing: {}", received.text()))?;
                match message {
                    BrokerMessage::End => Event::NotifierEnded(*number),
                    BrokerMessage::Deleted => Event::NotifierDeleted(*number),
                    BrokerMessage::Notification(sealed) => {
                        let secret = known.dh.diffie_hellman(&known.relay_key).map_err(|_| "key")?;
                        let mut bytes = sealed.metadata.as_bytes().to_vec();
                        let metadata = notification::open(&BoxKey::from(&secret), &Nonce(*sealed.nonce), &mut bytes)
                            .map_err(|_| "a notification that cannot be opened")?;
                        let id = metadata.message_id.as_bytes().to_vec();
                        let (number, queue) = (*number, known.queue);
                        return self.notification(client, number, queue, id, seen);
                    }
                    _ => return Err(format!("an unexpected event: {}", received.text())),
                }
            }
            _ => return Err(format!("an unexpected event: {}", received.text())),
        };
        if let Event::Ended(queue) | Event::Deleted(queue) = event {
            self.delivered.remove(&(client, queue));
        }
        seen.events.push((client, event));
        Ok(())
    }

    fn notification(
        &mut self,
        client: usize,
        notifier: NotifierNumber,
        queue: QueueNumber,
        id: Id,
        seen: &mut Seen,
    ) -> Result<(), String> {
        match self.notified.insert(id.clone(), (self.kills, queue)) {
            // It was forgotten on disk a little later than it was told: a kill may bring it again.
            Some((kills, _)) if kills < self.kills => return Ok(()),
            Some(_) => return Err("notified twice of a message".to_owned()),
            None => {}
        }
        let number = match self.items.get(&id) {
            Some((of, Item::Message(number), _)) if *of == queue => Some(*number),
            None => None,
            Some(_) => return Err("notified of another queue's message".to_owned()),
        };
        seen.notifications.push((client, notifier, number));
        Ok(())
    }

    /// Which message came; it must be what it was the last time, and nobody else's.
    fn message(&mut self, client: usize, number: QueueNumber, received: &Received) -> Result<Item, String> {
        let known = self.queues.get(&number).ok_or("no queue")?;
        let (id, plain) = known.queue.open(received, self.clients[client].version());
        self.delivered.insert((client, number), id.clone());
        if let Some((queue, item, before)) = self.items.get(&id) {
            let same = *queue == number && *before == plain;
            return if same { Ok(*item) } else { Err(format!("another message under the id of {item:?}")) };
        }
        let item = if plain.starts_with(b"QUOTA") {
            let marks = self.marks.entry(number).or_default();
            *marks += 1;
            Item::Mark(*marks - 1)
        } else {
            let flag = plain.get(8).copied();
            let content = plain.get(10..).unwrap_or_default();
            let told =
                content.get(4..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes));
            if content != body(number, told) {
                return Err(format!("a message that nobody sent to queue {number}"));
            }
            if self.sent.get(&told).is_some_and(|(_, notify)| flag != Some(if *notify { b'T' } else { b'F' })) {
                return Err(format!("message {told} with another flag"));
            }
            Item::Message(told)
        };
        if self.ids.insert((number, item), id.clone()).is_some() {
            return Err(format!("{item:?} of queue {number} has a second id"));
        }
        if self.notified.get(&id).is_some_and(|(_, queue)| *queue != number) {
            return Err("notified of another queue's message".to_owned());
        }
        self.items.insert(id, (number, item, plain));
        Ok(item)
    }
}

pub(super) async fn read(client: &mut RawClient) -> Result<(), String> {
    let mut block = Box::new([0; BLOCK_LENGTH]);
    let read = timeout(PATIENCE, client.tls.read_block(&mut block)).await.map_err(|_| "nothing came")?;
    read.map_err(|error| error.to_string())?;
    let content = client.session.opener.open(&mut block).unwrap();
    for entry in Batch::decode(&block[content]).unwrap().iter() {
        let context = &client.session.context;
        let transmission = Transmission::decode(entry, context.version(), context.session_id()).unwrap();
        client.inbox.push_back(Received {
            correlation: transmission.correlation_id.as_bytes().to_vec(),
            entity: transmission.entity_id.as_bytes().to_vec(),
            message: transmission.command.to_vec(),
        });
    }
    Ok(())
}
