//! What deeds say on the wire.

use smp_crypto::hash;
use smp_crypto::key::AuthorizationSecretKey;
use smp_proto::id::{CorrelationId, LinkId, MessageId, QueueId};
use smp_proto::smp::Command;
use smp_proto::smp::link::{LinkData, SetLink};
use smp_proto::smp::notifier::NotifierKeys;
use smp_proto::smp::recipient::{ContactLink, InvitationLink, NewQueue, QueueRequest, SubscriptionMode};
use smp_proto::smp::sender::Send;
use smp_proto::smp::service::ServiceQueues;
use smp_proto::version::SmpVersion;
use smp_proto::wire::LongString;

use super::{Asked, Id, World};
use crate::history::{Deed, QueueNumber};
use crate::relay::client::Client;
use crate::relay::keys;

impl World {
    /// What a deed says on the wire; `None` when nobody knows the ids it needs, or the client's version does not know it.
    pub(super) fn encode(&mut self, client: usize, deed: &Deed) -> Option<(Asked, Vec<u8>)> {
        let correlation = match deed {
            Deed::Again { queue } => self.queues.get(queue)?.prepared?,
            _ => self.correlation(),
        };
        let version = self.version(client);
        // Its service has an id from then on.
        self.client(client);
        let (key, entity) = self.credentials(client, deed)?;
        let mut deed = deed.clone();
        if let Deed::Acknowledge { queue, wrong, item } = &mut deed {
            let last = self.delivered.get(&(client, *queue)).filter(|_| !*wrong);
            *item = last.and_then(|id| self.items.get(id)).map(|(_, item, _)| *item);
        }
        let needs = match deed {
            Deed::New { prepared: None, .. } | Deed::Secure { by_sender: true, .. } => SmpVersion::SENDER_SECURED,
            Deed::New { .. }
            | Deed::Again { .. }
            | Deed::SetLink { .. }
            | Deed::DeleteLink { .. }
            | Deed::GetLink { .. }
            | Deed::SecureByLink { .. } => SmpVersion::SHORT_LINKS,
            Deed::SubscribeAll { .. } => SmpVersion::SERVICES,
            _ => SmpVersion::MIN,
        };
        if version < needs {
            return None;
        }
        let last = self.delivered.get(&(client, deed.queue())).cloned();
        let link_id = self.link_id(deed.queue());
        let said = self.as_said(&deed);
        let sender_id = hash::sender_id(CorrelationId::from_array(&correlation));
        let command = with_command(&said, last.as_deref(), &link_id, &sender_id, |command| {
            crate::write(|writer| command.encode(writer, version))
        })?;
        let (connected, _) = self.client(client);
        let transmission = connected.encode(&correlation, key, &entity, &command)?;
        Some((Asked { client, correlation, deed, done: None }, transmission))
    }

    /// Who authorizes a deed, and which entity it is about.
    pub(in crate::relay) fn credentials(
        &self,
        client: usize,
        deed: &Deed,
    ) -> Option<(Option<&'static AuthorizationSecretKey>, Id)> {
        let number = deed.queue();
        let own = keys::of(number);
        let sender = |key: u8| &own.senders[usize::from(key) - 1];
        if matches!(deed, Deed::New { .. }) {
            return Some((Some(&own.recipient), Vec::new()));
        }
        if matches!(deed, Deed::SubscribeAll { .. }) {
            let id = self.clients[client].as_ref().and_then(Client::service_id);
            return Some((Some(&keys::SERVICE_KEY), id.unwrap_or(&[7; 24]).to_vec()));
        }
        let known = self.queues.get(&number)?;
        if matches!(deed, Deed::Again { .. }) {
            return known.prepared.map(|_| (Some(&keys::of(number + 1).recipient), Vec::new()));
        }
        Some(match deed {
            Deed::Send { key, .. } => (key.map(sender), known.sender_id.clone()),
            Deed::Secure { key, by_sender: true, .. } => (Some(sender(*key)), known.sender_id.clone()),
            Deed::GetLink { .. } => (None, known.link_id.clone()),
            Deed::SecureByLink { key, .. } => (Some(sender(*key)), known.link_id.clone()),
            Deed::Listen { notifier, .. } => {
                (Some(&keys::of(*notifier).notifier), self.notifiers.get(notifier)?.id.clone())
            }
            _ => (Some(&own.recipient), known.recipient_id.clone()),
        })
    }

    /// What a deed of this client says on the wire, to be spoilt: with its key and its entity.
    pub(in crate::relay) fn command(&self, client: usize, deed: &Deed) -> Vec<u8> {
        let (version, last) = (self.version(client), self.delivered.get(&(client, deed.queue())));
        let link_id = self.link_id(deed.queue());
        let command = with_command(&self.as_said(deed), last.map(Vec::as_slice), &link_id, &[0; 24], |command| {
            crate::write(|writer| command.encode(writer, version))
        });
        command.unwrap_or_default()
    }

    /// The id of a queue's link, if it has one: other ids for each input of a relay, as those of deleted queues stay taken.
    pub(super) fn link_id(&self, queue: QueueNumber) -> Id {
        if let Some(known) = self.queues.get(&queue) {
            return known.link_id.clone();
        }
        let mut id = vec![(queue as u8).wrapping_add(1); 24];
        id[..4].copy_from_slice(&self.inputs.to_be_bytes());
        id
    }

    /// What a deed looks like: NEW again is NEW, with the keys of another queue.
    fn as_said(&self, deed: &Deed) -> Deed {
        match (deed, self.queues.get(&deed.queue())) {
            (Deed::Again { queue }, Some(known)) => {
                Deed::New { queue: queue + 1, contact: known.contact, subscribe: true, prepared: Some(*queue) }
            }
            _ => deed.clone(),
        }
    }
}

/// The command of a deed; `last` is the id that came last to who does it.
fn with_command<T>(
    deed: &Deed,
    last: Option<&[u8]>,
    link_id: &[u8],
    sender_id: &[u8; 24],
    run: impl FnOnce(&Command<'_>) -> T,
) -> T {
    let own = keys::of(deed.queue());
    let sender_key = |key: u8| own.senders[usize::from(key) - 1].public_key();
    let (sent, fixed, user_bytes) = match deed {
        Deed::Send { queue, number, .. } => (body(*queue, *number), Vec::new(), Vec::new()),
        Deed::SetLink { queue, user } | Deed::New { queue, prepared: Some(user), .. } => {
            (Vec::new(), fixed_data(*queue), user_data(*user))
        }
        _ => Default::default(),
    };
    let data = LinkData {
        fixed: LongString::new(&fixed).expect("it is short"),
        user: LongString::new(&user_bytes).expect("it is short"),
    };
    let (link_id, sender_id) = (LinkId::new(link_id).expect("an id is short"), QueueId::from_array(sender_id));
    run(&match deed {
        Deed::New { contact, subscribe, prepared, .. } => Command::New(NewQueue {
            recipient_key: own.recipient.public_key(),
            recipient_dh_key: own.dh.public_key(),
            password: None,
            subscription: if *subscribe { SubscriptionMode::Subscribe } else { SubscriptionMode::CreateOnly },
            request: Some(match contact {
                false => QueueRequest::Messaging(prepared.map(|_| InvitationLink { sender_id, data })),
                true => QueueRequest::Contact(prepared.map(|_| ContactLink { link_id, sender_id, data })),
            }),
            notifier: None,
        }),
        Deed::Again { .. } => unreachable!("it is said as NEW"),
        Deed::Expire { .. } => unreachable!("it is no command"),
        Deed::Send { notify, .. } => Command::Send(Send { notify: *notify, body: &sent }),
        Deed::Subscribe { .. } => Command::Subscribe,
        Deed::Get { .. } => Command::Get,
        Deed::Acknowledge { wrong, .. } => {
            let id = last.filter(|_| !*wrong).unwrap_or(&[7; 24]);
            Command::Acknowledge(MessageId::new(id).expect("an id is short"))
        }
        Deed::Secure { key, by_sender: false, .. } => Command::Secure(sender_key(*key)),
        Deed::Secure { key, by_sender: true, .. } => Command::SecureBySender(sender_key(*key)),
        Deed::Suspend { .. } => Command::Suspend,
        Deed::Delete { .. } => Command::Delete,
        Deed::SetLink { .. } => Command::SetLink(SetLink { link_id, data }),
        Deed::DeleteLink { .. } => Command::DeleteLink,
        Deed::GetLink { .. } => Command::GetLink,
        Deed::SecureByLink { key, .. } => Command::SecureByLink(sender_key(*key)),
        Deed::EnableNotifications { notifier, .. } => {
            let keys = keys::of(*notifier);
            let (notifier_key, recipient_dh_key) = (keys.notifier.public_key(), keys.notifier_dh.public_key());
            Command::EnableNotifications(NotifierKeys { notifier_key, recipient_dh_key })
        }
        Deed::DisableNotifications { .. } => Command::DisableNotifications,
        Deed::Listen { .. } => Command::SubscribeNotifications,
        Deed::SubscribeAll { notifiers: false } => Command::SubscribeService(ServiceQueues::UNKNOWN),
        Deed::SubscribeAll { notifiers: true } => Command::SubscribeNotifierService(ServiceQueues::UNKNOWN),
    })
}

/// A body that tells whose it is. A few are as long as bodies can be.
pub(super) fn body(queue: QueueNumber, number: u32) -> Vec<u8> {
    let length = [8, 300, 1_000, 8, 40, 8, 8, 16_048][number as usize % 8];
    let mut body: Vec<u8> = queue.to_le_bytes().into_iter().chain(number.to_le_bytes()).collect();
    body.extend((8..length).map(|at| (at as u32 ^ number) as u8));
    body
}

pub(super) fn fixed_data(queue: QueueNumber) -> Vec<u8> {
    queue.to_le_bytes().repeat(25)
}

pub(super) fn user_data(user: u32) -> Vec<u8> {
    user.to_le_bytes().into_iter().cycle().take([4, 40, 1_000][user as usize % 3]).collect()
}
