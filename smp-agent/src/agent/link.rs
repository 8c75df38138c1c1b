//! Short links of own queues: made with a queue or later, their data replaced, deleted (wire reference, sections 9.1 to
//! 9.4).
//!
//! What a link says of its queue is signed and hashed into the link, so it is made before the queue: the sender's id
//! follows from the correlation id of NEW. Each attempt makes all of it anew, so that an id that was taken is never tried
//! twice, and no two queues share a key that an observer of links could compare.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use rand_core::CryptoRng;
use smp_crypto::hash;
use smp_crypto::key::Ed25519SecretKey;
use smp_crypto::secret_box::{BoxKey, Nonce};
use smp_crypto::short_link::{self, FIXED_LENGTH, LinkKey, USER_LENGTH};
use smp_proto::address::{ServerAddress, ServerBuf};
use smp_proto::agent::link_data::{ContactData, FixedLinkData, UserData, UserLinkData};
use smp_proto::id::{CorrelationId, LinkId, QueueId};
use smp_proto::short_link::{LinkForm, LinkKind, ShortLink};
use smp_proto::smp::recipient::QueueMode;
use smp_proto::uri::{QueueAddress, QueueUri};
use smp_proto::wire::{List, ShortString};

use super::work::{Attempt, Next, Work};
use super::{Agent, Result};
use crate::command::{LinkRequest, Reply};
use crate::error::{ConnectionError, Error, Refusal};
use crate::event::EventKind;
use crate::id::ConnectionId;
use crate::policy::server::Server;
use crate::record::{Connection, Mode, QueueLink, ReceiveQueue, Secret, Stage};
use crate::request::{Answer, Failure, LinkData, NewLink, Operation, Reason};
use crate::storage::Storage;

/// The longest data of the application behind a link, in bytes: what section 9.3 leaves of 13,717 behind a contact link.
const MAX_USER_DATA: usize = 13_706;
/// The longest id of what a link is about, in bytes.
const MAX_ENTITY_ID: usize = 255;

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    /// Refuses what no link has room for.
    pub(super) fn check_link_request(&self, link: Option<&LinkRequest>) -> Result<(), S> {
        let Some(link) = link else { return Ok(()) };
        let entity = link.entity_id.as_ref().map_or(0, Vec::len);
        if link.user_data.len() > MAX_USER_DATA || entity > MAX_ENTITY_ID {
            return Err(Refusal::TooLarge.into());
        }
        Ok(())
    }

    /// The link a queue is created with, made anew for each attempt.
    pub(super) fn link_of_new_queue(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        number: u32,
    ) -> Result<Option<NewLink>, S> {
        let Some(queue) = connection.receive_queue(number).filter(|queue| queue.primary) else { return Ok(None) };
        if let Some(link) = queue.link.as_ref().filter(|link| link.prepared) {
            return Ok(link.as_new());
        }
        let Some(request) = connection.link.clone() else { return Ok(None) };
        let mut correlation_id = [0; 24];
        self.random.fill_bytes(&mut correlation_id);
        let mut uris = vec![self.uri_of_new_queue(queue, &correlation_id)?];
        uris.extend(self.queue_uris(connection));
        let Some(link) = self.make_link(id, connection, uris, &request)? else {
            // The address of the relay is too long for any link: the full one has to do.
            connection.link = None;
            return Ok(None);
        };
        let link = QueueLink { correlation_id: Some(correlation_id), ..link };
        let new = link.as_new();
        if let Some(queue) = connection.receive_queue_mut(number) {
            queue.link = Some(link);
        }
        Ok(new)
    }

    /// The address of a queue that is going to be created with this correlation id.
    pub(super) fn uri_of_new_queue(&self, queue: &ReceiveQueue, correlation_id: &[u8; 24]) -> Result<QueueUri, S> {
        let sender_id = hash::sender_id(CorrelationId::from_array(correlation_id));
        let address = QueueAddress {
            server: queue.server.address(),
            sender_id: QueueId::from_array(&sender_id),
            dh_key: queue.envelope_key().public_key(),
            mode: queue.mode.map(QueueMode::from),
        };
        QueueUri::new(self.configuration.client_versions, &address).map_err(|_| Error::Record)
    }

    /// A new link that leads to these queues, or to as many of them as it has room for; `None` when it has none for one.
    fn make_link(
        &mut self,
        id: ConnectionId,
        connection: &Connection,
        mut uris: Vec<QueueUri>,
        request: &LinkRequest,
    ) -> Result<Option<QueueLink>, S> {
        let contact = matches!(connection.stage, Stage::Address(_));
        let root = Ed25519SecretKey::generate(&mut self.random);
        let entity_id = request.entity_id.as_deref().map(ShortString::new).transpose().map_err(|_| Error::Record)?;
        let mut fixed = vec![0; FIXED_LENGTH];
        let (link_key, length) = loop {
            let data = FixedLinkData {
                agent_versions: self.configuration.agent_versions,
                root_key: root.public_key(),
                connection_request: self.connection_request(id, connection, uris.clone(), true)?,
                entity_id,
            };
            match short_link::place(&data, &mut fixed) {
                Ok(placed) => break (LinkKey::of(placed), placed.len()),
                Err(_) if uris.len() > 1 => drop(uris.pop()),
                Err(_) => return Ok(None),
            }
        };
        let (link_id, key) = data_key(&link_key, contact).ok_or(Error::Record)?;
        short_link::seal(&key, &Nonce::generate(&mut self.random), &root, &mut fixed, length)
            .map_err(|_| Error::Record)?;
        let user = self.seal_user_data(contact, &key, &root, &request.user_data)?;
        Ok(Some(QueueLink {
            id: link_id,
            key: Secret(link_key.0),
            root_key: Secret(*root.as_bytes()),
            data: LinkData { fixed, user },
            stored: false,
            replaces: false,
            deleting: false,
            correlation_id: None,
            prepared: false,
        }))
    }

    /// The part of a link's data that can be replaced.
    fn seal_user_data(
        &mut self,
        contact: bool,
        key: &BoxKey,
        root: &Ed25519SecretKey,
        user_data: &[u8],
    ) -> Result<Vec<u8>, S> {
        let agent_versions = self.configuration.agent_versions;
        let user_data = UserData(user_data);
        let data = if contact {
            let owners = List::new(&[]).map_err(|_| Error::Record)?;
            let relays = List::new(&[]).map_err(|_| Error::Record)?;
            UserLinkData::Contact { agent_versions, contact: ContactData { direct: true, owners, relays, user_data } }
        } else {
            UserLinkData::Invitation { agent_versions, user_data }
        };
        let mut sealed = vec![0; USER_LENGTH];
        let length = short_link::place(&data, &mut sealed).map_err(|_| Refusal::TooLarge)?.len();
        short_link::seal(key, &Nonce::generate(&mut self.random), root, &mut sealed, length)
            .map_err(|_| Error::Record)?;
        Ok(sealed)
    }

    /// The text of a queue's short link.
    pub(super) fn short_link(&self, queue: &ReceiveQueue) -> Option<String> {
        let link = queue.link.as_ref().filter(|link| (link.stored || link.prepared) && !link.deleting)?;
        let server = ServerBuf::try_from(&queue.server.address()).ok()?;
        let link = if queue.mode == Some(Mode::Contact) {
            ShortLink::contact(LinkForm::Https, LinkKind::Contact, server, &link.key.0)
        } else {
            ShortLink::invitation(LinkForm::Https, server, LinkId::new(&link.id).ok()?, &link.key.0)
        };
        Some(self.shorten_link(&link.ok()?))
    }

    /// The text of a link, short if every application knows its relay.
    pub(super) fn shorten_link(&self, link: &ShortLink) -> String {
        link.shorten(&self.preset_servers()).as_ref().unwrap_or(link).to_string()
    }

    /// The relays that every application knows.
    pub(super) fn preset_servers(&self) -> Vec<ServerAddress<'_>> {
        self.configuration.preset_servers.iter().map(Server::address).collect()
    }

    pub(super) fn set_link(&mut self, id: ConnectionId, user_data: Vec<u8>) -> Result<Reply, S> {
        let connection = self.load(id).ok_or(Refusal::NoConnection)?;
        let request = LinkRequest { user_data, entity_id: None };
        self.check_link_request(Some(&request))?;
        let (published, contact) = match &connection.stage {
            Stage::Address(address) => (address.published, true),
            Stage::Invited => (true, false),
            _ => (false, false),
        };
        let queue = connection.receiving().find(|queue| queue.primary).ok_or(Refusal::Prohibited)?;
        if !published || connection.deleting.is_some() {
            return Err(Refusal::Prohibited.into());
        }
        let (number, link) = (queue.number, queue.link.clone());
        let link = match link {
            Some(link) => {
                let (_, key) = data_key(&LinkKey(link.key.0), contact).ok_or(Error::Record)?;
                let root = Ed25519SecretKey::from_bytes(&link.root_key.0);
                let user = self.seal_user_data(contact, &key, &root, &request.user_data)?;
                let data = LinkData { fixed: link.data.fixed.clone(), user };
                QueueLink { data, stored: false, deleting: false, replaces: link.stored || link.replaces, ..link }
            }
            None if contact => {
                let uris = self.queue_uris(&connection);
                self.make_link(id, &connection, uris, &request)?.ok_or(Refusal::TooLarge)?
            }
            // What an invitation leads to is said when its queue is created, or never.
            None => return Err(Refusal::Prohibited.into()),
        };
        self.change_link(id, connection, number, link)
    }

    pub(super) fn delete_link(&mut self, id: ConnectionId) -> Result<Reply, S> {
        let connection = self.load(id).ok_or(Refusal::NoConnection)?;
        let address = matches!(connection.stage, Stage::Address(_)) && connection.deleting.is_none();
        let queue = connection.receiving().find(|queue| queue.primary && address).ok_or(Refusal::Prohibited)?;
        let (number, link) = (queue.number, queue.link.clone().ok_or(Refusal::Prohibited)?);
        self.change_link(id, connection, number, QueueLink { deleting: true, ..link })
    }

    /// The relay is told of a change. What it answers to an earlier one does not matter any more; the later command
    /// follows it on the same connection.
    fn change_link(
        &mut self,
        id: ConnectionId,
        mut connection: Connection,
        number: u32,
        link: QueueLink,
    ) -> Result<Reply, S> {
        if let Some(queue) = connection.receive_queue_mut(number) {
            queue.link = Some(link);
        }
        self.save(id, connection)?;
        self.finish(&Work::StoreLink(id, number));
        Ok(Reply::Done)
    }

    pub(super) fn prepare_link_storing(&mut self, id: ConnectionId, number: u32) -> Result<Option<Attempt>, S> {
        let Some(connection) = self.connections.get(&id) else { return Ok(None) };
        let Some(queue) = connection.receive_queue(number) else { return Ok(None) };
        let Some(link) = &queue.link else { return Ok(None) };
        let operation = if link.deleting {
            Operation::DeleteLink(queue.access())
        } else {
            Operation::SetLink { queue: queue.access(), link_id: link.id.clone(), data: link.data.clone() }
        };
        Ok(Some(Attempt::direct(self.session(connection.user, &queue.server, id), operation)))
    }

    pub(super) fn take_link_stored(
        &mut self,
        work: &Work,
        id: ConnectionId,
        number: u32,
        result: core::result::Result<Answer, Failure>,
    ) -> Result<(), S> {
        let Some(mut connection) = self.load(id) else { return Ok(()) };
        let Some(queue) = connection.receive_queue_mut(number) else { return Ok(()) };
        let Some(link) = &mut queue.link else { return Ok(()) };
        let failure = match result {
            Ok(_) if link.deleting => {
                queue.link = None;
                self.finish(work);
                self.save(id, connection)?;
                return self.notify(EventKind::LinkDeleted { connection: id });
            }
            Ok(_) => {
                link.keep_stored();
                self.finish(work);
                self.publish(id, &connection)?;
                return self.save(id, connection);
            }
            Err(failure) => failure,
        };
        // A relay whose versions do not have links will not have them soon.
        if failure.reason != Reason::Version && matches!(self.next(work, &failure), Next::Later) {
            return Ok(());
        }
        self.finish(work);
        // The relay has what it had before.
        if link.stored || link.replaces {
            link.keep_stored();
            link.deleting = false;
        } else {
            queue.link = None;
        }
        self.receive_queue_blocked(id, &mut connection, number, &failure)?;
        self.save(id, connection)?;
        self.fail(id, ConnectionError::Relay(failure))
    }
}

impl QueueLink {
    /// The link of a queue that is to be created.
    fn as_new(&self) -> Option<NewLink> {
        let link_id = if self.id.is_empty() { None } else { self.id.as_slice().try_into().ok() };
        Some(NewLink { correlation_id: self.correlation_id?, link_id, data: self.data.clone() })
    }
}

/// The id of a contact link's data, and the key of the encryption of either kind's.
pub(super) fn data_key(link_key: &LinkKey, contact: bool) -> Option<(Vec<u8>, BoxKey)> {
    if contact {
        let (id, key) = link_key.contact_keys().ok()?;
        Some((id.to_vec(), key))
    } else {
        Some((Vec::new(), link_key.invitation_key().ok()?))
    }
}
