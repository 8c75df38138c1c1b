//! What comes to clients, in the words of the model: no message may come under another's id, or differ from what it was the
//! last time.

use std::mem;

use smp_crypto::notification;
use smp_crypto::secret_box::{BoxKey, Nonce};
use smp_proto::smp::BrokerMessage;
use smp_proto::smp::error::{CommandError, SmpError};
use smp_proto::version::SmpVersion;

use super::commands::{body, fixed_data, user_data};
use super::{Asked, Id, Known, KnownNotifier, Place, Refusal, World};
use crate::history::{Deed, NotifierNumber, QueueNumber};
use crate::judge::Seen;
use crate::model::{Event, Item, Response};
use crate::relay::client::Received;
use crate::relay::keys;

impl World {
    /// Looks at what came to a client.
    pub(super) fn take_in(&mut self, client: usize, asked: &[Asked], seen: &mut Seen) {
        let Some(connected) = &mut self.clients[client] else { return };
        connected.take_in();
        for received in mem::take(&mut connected.inbox) {
            let ask = asked.iter().position(|ask| ask.client == client && ask.correlation[..] == received.correlation);
            if let Some(index) = ask {
                let response = self.response(index, &asked[index], &received);
                if let (Response::Ok, Deed::Send { number, notify, .. }) = (&response, &asked[index].deed) {
                    self.sent.insert(*number, *notify);
                }
                let before = seen.responses[index].replace(response);
                assert_eq!(before, None, "a second response to {:?}", asked[index].deed);
            } else if !self.refused(client, &received) {
                assert!(received.correlation.is_empty(), "a response nobody asked for: {}", received.text());
                self.event(client, &received, seen);
            }
        }
    }

    /// Whether it is one of the errors that are waited for.
    fn refused(&mut self, client: usize, received: &Received) -> bool {
        let named = |refusal: &Refusal| {
            refusal.client == client && refusal.correlation.is_some_and(|id| id[..] == received.correlation)
        };
        let unnamed = |refusal: &Refusal| refusal.client == client && refusal.correlation.is_none();
        let is_error = received.message.starts_with(b"ERR ");
        let position = self.refusals.iter().position(named).or_else(|| {
            // PING needs nothing, so that any bytes may turn out to be one.
            (is_error || received.message == b"PONG").then(|| self.refusals.iter().position(unnamed)).flatten()
        });
        let Some(position) = position else { return false };
        let refusal = self.refusals.swap_remove(position);
        match refusal.expected {
            Some(expected) => {
                assert_eq!(received.text(), String::from_utf8_lossy(&expected), "refused in another way");
            }
            None => assert!(is_error || refusal.correlation.is_none(), "not refused: {}", received.text()),
        }
        true
    }

    fn response(&mut self, index: usize, ask: &Asked, received: &Received) -> Response {
        let version = self.version(ask.client);
        let number = ask.deed.queue();
        let subscribes = matches!(ask.deed, Deed::Subscribe { .. } | Deed::Listen { .. });
        match (received.decode(version), &ask.deed) {
            (BrokerMessage::Ids(ids), Deed::New { queue, contact, prepared, .. }) => {
                let chosen = self.link_id(*queue);
                let link_id = ids.link_id.map(|id| id.as_bytes().to_vec());
                assert_eq!(link_id.is_some(), prepared.is_some(), "a link that was not asked for, or none");
                assert!(!contact || link_id.as_ref().is_none_or(|id| *id == chosen), "a link of another id");
                let secret = keys::of(*queue).dh.diffie_hellman(&ids.relay_dh_key).expect("the relay's key is good");
                let (recipient_id, sender_id) = (ids.recipient_id.as_bytes(), ids.sender_id.as_bytes());
                assert!(recipient_id.len() == 24 && sender_id.len() == 24 && recipient_id != sender_id);
                let known = Known {
                    recipient_id: recipient_id.to_vec(),
                    sender_id: sender_id.to_vec(),
                    secret: BoxKey::from(&secret),
                    link_id: link_id.unwrap_or(chosen),
                    prepared: prepared.map(|_| ask.correlation),
                    contact: *contact,
                };
                self.queues.insert(*queue, known);
                Response::Created(self.own_service(ask.client, ids.service_id.as_ref().map(|id| id.as_bytes())))
            }
            (BrokerMessage::NotifierId(ids), Deed::EnableNotifications { queue, notifier }) => {
                let own = &keys::of(*notifier).notifier_dh;
                let secret = own.diffie_hellman(&ids.relay_dh_key).expect("the relay's key is good");
                let id = ids.notifier_id.as_bytes().to_vec();
                let known = KnownNotifier { id, queue: *queue, secret: BoxKey::from(&secret) };
                self.notifiers.insert(*notifier, known);
                Response::NotifierCreated
            }
            (BrokerMessage::Link(content), _) => {
                let user = content.data.user.as_bytes();
                let told = user.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
                let known = &self.queues[&number];
                assert_eq!(content.sender_id.as_bytes(), known.sender_id, "the link of another queue");
                assert_eq!(content.data.fixed.as_bytes(), fixed_data(number));
                assert_eq!(user, user_data(told), "link data that nobody set");
                Response::Link(told)
            }
            (BrokerMessage::Message(_), _) => Response::Message(self.message(ask.client, number, received)),
            (BrokerMessage::Ok, _) if subscribes && version < SmpVersion::SERVICES => Response::Subscribed(None),
            (BrokerMessage::Subscribed(service), _) => {
                Response::Subscribed(self.own_service(ask.client, service.as_ref().map(|id| id.as_bytes())))
            }
            (BrokerMessage::ServiceSubscribed(queues), _) => {
                assert_eq!(received.entity, self.service_id(ask.client), "the queues of another service");
                Response::All(self.held(ask.client, Place::Response(index), &queues))
            }
            (BrokerMessage::Ok, _) => Response::Ok,
            (BrokerMessage::Error(SmpError::Auth), _) => Response::Auth,
            (BrokerMessage::Error(SmpError::Service), _) => Response::NoService,
            (BrokerMessage::Error(SmpError::Quota), _) => Response::Quota,
            (BrokerMessage::Error(SmpError::NoMessage), _) => Response::NoMessage,
            (BrokerMessage::Error(SmpError::Command(CommandError::Prohibited)), _) => Response::Prohibited,
            _ => Response::Other(received.text()),
        }
    }

    fn event(&mut self, client: usize, received: &Received, seen: &mut Seen) {
        let version = self.version(client);
        let queue = self.queues.iter().find(|(_, known)| known.recipient_id == received.entity);
        let event = match (queue.map(|(number, _)| *number), received.decode(version)) {
            (Some(queue), BrokerMessage::Message(_)) => Event::Message(queue, self.message(client, queue, received)),
            (Some(queue), BrokerMessage::End) => Event::Ended(queue),
            (Some(queue), BrokerMessage::Deleted) => Event::Deleted(queue),
            (None, BrokerMessage::AllDelivered) => {
                assert!(received.entity.is_empty(), "what was delivered is said of one queue");
                Event::AllDelivered
            }
            (None, BrokerMessage::ServiceEnd(queues)) => {
                assert_eq!(received.entity, self.service_id(client), "the end of another service");
                self.delivered.retain(|(of, _), _| *of != client);
                Event::ServiceEnded(self.held(client, Place::Event(seen.events.len()), &queues))
            }
            (None, message) => {
                let notifier = self.notifiers.iter().find(|(_, known)| known.id == received.entity);
                let Some((number, known)) = notifier else { panic!("an event of nothing: {}", received.text()) };
                match message {
                    BrokerMessage::End => Event::NotifierEnded(*number),
                    BrokerMessage::Deleted => Event::NotifierDeleted(*number),
                    BrokerMessage::Notification(sealed) => {
                        let mut bytes = sealed.metadata.as_bytes().to_vec();
                        let metadata = notification::open(&known.secret, &Nonce(*sealed.nonce), &mut bytes);
                        let id = metadata.expect("a notification can be opened").message_id.as_bytes().to_vec();
                        let (number, queue) = (*number, known.queue);
                        return self.notification(client, number, queue, id, seen);
                    }
                    _ => panic!("an unexpected event: {}", received.text()),
                }
            }
            _ => panic!("an unexpected event: {}", received.text()),
        };
        if let Event::Ended(queue) | Event::Deleted(queue) = event {
            self.delivered.remove(&(client, queue));
        }
        if version < SmpVersion::DELETED_EVENT && received.message == b"END" {
            self.unclear.push(seen.events.len());
        }
        seen.events.push((client, event));
    }

    fn notification(&mut self, client: usize, notifier: NotifierNumber, queue: QueueNumber, id: Id, seen: &mut Seen) {
        let number = match self.items.get(&id) {
            Some((of, Item::Message(number), _)) if *of == queue => Some(*number),
            None => None,
            Some(other) => panic!("notified of {other:?} instead of a message of queue {queue}"),
        };
        assert!(self.notified.insert(id), "notified twice of a message");
        seen.notifications.push((client, notifier, number));
    }

    /// Which message came; it must be what it was the last time, and nobody else's.
    fn message(&mut self, client: usize, number: QueueNumber, received: &Received) -> Item {
        let version = self.version(client);
        let BrokerMessage::Message(message) = received.decode(version) else { panic!("{}", received.text()) };
        let id = message.message_id.as_bytes().to_vec();
        let mut sealed = message.body.to_vec();
        let nonce = Nonce::from_slice(&id);
        let plain = self.queues[&number].secret.open_padded(&nonce, &mut sealed).expect("a message can be opened");
        let plain = sealed[plain].to_vec();
        self.delivered.insert((client, number), id.clone());
        if let Some((queue, item, before)) = self.items.get(&id) {
            assert!(*queue == number && *before == plain, "another message under the id of {item:?}");
            return *item;
        }
        let item = if plain.starts_with(b"QUOTA") {
            let marks = self.marks.entry(number).or_default();
            *marks += 1;
            Item::Mark(*marks - 1)
        } else {
            let content = plain.get(10..).unwrap_or_default();
            let told = content.get(4..).and_then(|rest| rest.first_chunk()).map_or(0, |it| u32::from_le_bytes(*it));
            assert!(content == body(number, told), "a message that nobody sent to queue {number}");
            let flag = plain.get(8).copied();
            let other = self.sent.get(&told).is_some_and(|notify| flag != Some(if *notify { b'T' } else { b'F' }));
            assert!(!other, "message {told} with another flag");
            Item::Message(told)
        };
        let before = self.ids.insert((number, item), id.clone());
        assert_eq!(before, None, "{item:?} of queue {number} has a second id");
        self.items.insert(id, (number, item, plain));
        item
    }
}
