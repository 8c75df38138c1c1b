//! What deeds say on the wire.

use std::cell::Cell;

use smp_crypto::hash;
use smp_crypto::key::{AuthorizationSecretKey, Ed25519SecretKey, X25519SecretKey};
use smp_proto::id::{CorrelationId, LinkId, QueueId};
use smp_proto::smp::Command;
use smp_proto::smp::link::{LinkData, SetLink};
use smp_proto::smp::notifier::NotifierKeys;
use smp_proto::smp::recipient::{ContactLink, InvitationLink, QueueMode, QueueRequest};
use smp_proto::smp::sender::Send;
use smp_proto::smp::service::ServiceQueues;
use smp_proto::transport::BLOCK_LENGTH;
use smp_proto::transport::block::BatchWriter;
use smp_proto::wire::LongString;

use super::{Asked, World};
use crate::harness::{RawClient, ack, new_command};
use crate::history::{Deed, QueueNumber};

impl World {
    /// What a deed says on the wire; `None` when nobody knows the ids it needs.
    pub(super) fn encode(&self, client: usize, deed: &Deed) -> Option<(Asked, Vec<u8>)> {
        let connection = self.clients.get(client)?;
        let made = || (generate(), X25519SecretKey::generate(&mut rand::rng()));
        let mut deed = deed.clone();
        let mut keys = None;
        let mut link_id = rand::random();
        let expired = Cell::new(None);
        if let Deed::New { .. } = deed {
            let (keys, correlation) = (made(), rand::random());
            let bytes = encode_new(connection, &deed, &keys, &correlation, &link_id);
            return Some((Asked { client, correlation, deed, link_id, keys: Cell::new(Some(keys)), expired }, bytes));
        }
        if let Deed::SubscribeAll { notifiers } = deed {
            let command = match notifiers {
                false => Command::SubscribeService(ServiceQueues::UNKNOWN),
                true => Command::SubscribeNotifierService(ServiceQueues::UNKNOWN),
            };
            let own = connection.service.as_ref()?.to_pkcs8();
            let key = AuthorizationSecretKey::Ed25519(Ed25519SecretKey::from_pkcs8(own.as_bytes()).unwrap());
            let (correlation, bytes) = connection.encode(Some(&key), self.service_id(client), &command);
            return Some((Asked { client, correlation, deed, link_id, keys: Cell::new(None), expired }, bytes));
        }
        let number = deed.queue();
        let known = self.queues.get(&number)?;
        if let Deed::Again { queue } = deed {
            let correlation = known.prepared?;
            link_id = known.link_id;
            let new = Deed::New { queue, contact: known.contact, subscribe: true, prepared: Some(queue) };
            let bytes = encode_new(connection, &new, &made(), &correlation, &link_id);
            return Some((Asked { client, correlation, deed, link_id, keys: Cell::new(None), expired }, bytes));
        }
        let (own, recipient, sender) = (Some(&known.queue.key), &known.queue.recipient_id, &known.queue.sender_id);
        let sender_key = |key: u8| &known.sender_keys[usize::from(key) - 1];
        let (correlation, bytes) = match &mut deed {
            Deed::New { .. } | Deed::Again { .. } | Deed::SubscribeAll { .. } | Deed::Expire { .. } => return None,
            Deed::Send { number: message, key, notify, .. } => {
                let body = body(number, *message);
                let command = Command::Send(Send { notify: *notify, body: &body });
                connection.encode(key.map(sender_key), sender, &command)
            }
            Deed::Subscribe { .. } => connection.encode(own, recipient, &Command::Subscribe),
            Deed::Get { .. } => connection.encode(own, recipient, &Command::Get),
            Deed::Acknowledge { wrong, item, .. } => {
                let last = self.delivered.get(&(client, number)).filter(|_| !*wrong);
                *item = last.and_then(|id| self.items.get(id)).map(|(_, item, _)| *item);
                let id = last.cloned().unwrap_or_else(|| vec![7; 24]);
                connection.encode(own, recipient, &ack(&id))
            }
            Deed::Secure { key, by_sender: false, .. } => {
                connection.encode(own, recipient, &Command::Secure(sender_key(*key).public_key()))
            }
            Deed::Secure { key, by_sender: true, .. } => {
                let key = sender_key(*key);
                connection.encode(Some(key), sender, &Command::SecureBySender(key.public_key()))
            }
            Deed::Suspend { .. } => connection.encode(own, recipient, &Command::Suspend),
            Deed::Delete { .. } => connection.encode(own, recipient, &Command::Delete),
            Deed::SetLink { user, .. } => {
                let (fixed, user) = (fixed_data(number), user_data(*user));
                let data = LinkData { fixed: LongString::new(&fixed).unwrap(), user: LongString::new(&user).unwrap() };
                let link_id = LinkId::new(&known.link_id).unwrap();
                connection.encode(own, recipient, &Command::SetLink(SetLink { link_id, data }))
            }
            Deed::DeleteLink { .. } => connection.encode(own, recipient, &Command::DeleteLink),
            Deed::GetLink { .. } => connection.encode(None, &known.link_id, &Command::GetLink),
            Deed::SecureByLink { key, .. } => {
                let key = sender_key(*key);
                connection.encode(Some(key), &known.link_id, &Command::SecureByLink(key.public_key()))
            }
            Deed::EnableNotifications { .. } => {
                let (key, dh) = made();
                let notifier_keys = NotifierKeys { notifier_key: key.public_key(), recipient_dh_key: dh.public_key() };
                keys = Some((key, dh));
                connection.encode(own, recipient, &Command::EnableNotifications(notifier_keys))
            }
            Deed::DisableNotifications { .. } => connection.encode(own, recipient, &Command::DisableNotifications),
            Deed::Listen { notifier, .. } => {
                let known = self.notifiers.get(notifier)?;
                connection.encode(Some(&known.key), &known.id, &Command::SubscribeNotifications)
            }
        };
        Some((Asked { client, correlation, deed, link_id, keys: Cell::new(keys), expired }, bytes))
    }
}

/// NEW, with the link that the deed says.
fn encode_new(
    connection: &RawClient,
    deed: &Deed,
    (key, dh): &(AuthorizationSecretKey, X25519SecretKey),
    correlation: &[u8; 24],
    link_id: &[u8; 24],
) -> Vec<u8> {
    let Deed::New { queue, contact, subscribe, prepared } = *deed else { panic!("{deed:?} makes nothing") };
    let mode = if contact { QueueMode::Contact } else { QueueMode::Messaging };
    let mut command = new_command(key, dh, mode, subscribe);
    let (fixed, user) = (fixed_data(queue), user_data(prepared.unwrap_or_default()));
    let sender_id = hash::sender_id(CorrelationId::from_array(correlation));
    if let (Command::New(new), Some(_)) = (&mut command, prepared) {
        let data = LinkData { fixed: LongString::new(&fixed).unwrap(), user: LongString::new(&user).unwrap() };
        let (sender_id, link_id) = (QueueId::from_array(&sender_id), LinkId::from_array(link_id));
        new.request = Some(match mode {
            QueueMode::Contact => QueueRequest::Contact(Some(ContactLink { link_id, sender_id, data })),
            QueueMode::Messaging => QueueRequest::Messaging(Some(InvitationLink { sender_id, data })),
        });
    }
    connection.encode_as(correlation, Some(key), &[], &command)
}

/// A body that tells whose it is; lengths from a few bytes to the largest.
pub(crate) fn body(queue: QueueNumber, number: u32) -> Vec<u8> {
    let length = [8, 300, 700, 2_000, 16_048][if number % 16 == 7 { 4 } else { number as usize % 4 }];
    let mut body: Vec<u8> = queue.to_le_bytes().into_iter().chain(number.to_le_bytes()).collect();
    body.extend((8..length).map(|at| (at as u32 ^ number) as u8));
    body
}

pub(crate) fn fixed_data(queue: QueueNumber) -> Vec<u8> {
    queue.to_le_bytes().repeat(25)
}

pub(crate) fn user_data(user: u32) -> Vec<u8> {
    user.to_le_bytes().into_iter().cycle().take([4, 40, 1_000][user as usize % 3]).collect()
}

pub(super) fn generate() -> AuthorizationSecretKey {
    AuthorizationSecretKey::generate_ed25519(&mut rand::rng())
}

pub(super) async fn write(client: &mut RawClient, transmission: &[u8]) -> Result<(), String> {
    let mut block = Box::new([0; BLOCK_LENGTH]);
    let mut batch = BatchWriter::new(client.session.sealer.content_mut(&mut block)).unwrap();
    batch.push(|writer| writer.bytes(transmission)).unwrap();
    let length = batch.finish().unwrap().len();
    client.session.sealer.seal(&mut block, length).unwrap();
    client.tls.write_block(&block).await.map_err(|error| error.to_string())?;
    client.tls.flush().await.map_err(|error| error.to_string())
}
