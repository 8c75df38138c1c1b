//! Invitations and addresses are made, joined and accepted (wire reference, sections 12.1 to 12.4).

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use rand_core::CryptoRng;
use smp_crypto::ratchet::{Error as RatchetError, Joiner};
use smp_proto::agent::{AgreedParameters, ConnectionLink, ConnectionRequest};
use smp_proto::short_link::{LinkKind, ShortLink};
use smp_proto::uri::QueueUri;
use smp_proto::version::{AgentVersion, RatchetVersion};
use smp_proto::wire::Encode;

use super::{Agent, Result};
use crate::MAX_RECEIVE_QUEUES;
use crate::command::{ConnectionOptions, LinkRequest, PostQuantum, Reply};
use crate::error::{Error, Refusal};
use crate::id::{ConnectionId, InvitationId};
use crate::policy::server::{Server, UserId};
use crate::record::{Address, Connection, Invitation, Joining, Mode, QueueStatus, ReplyQueue, Stage, Target};
use crate::request::AccessKey;
use crate::storage::Storage;
use crate::table::Key;

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    /// A connection with a new id.
    pub(super) fn new_connection(
        &mut self,
        user: UserId,
        stage: Stage,
        initiator: bool,
        options: ConnectionOptions,
    ) -> (ConnectionId, Connection) {
        let mut connection = Connection::new(user, stage, initiator, options, self.now);
        connection.version = self.configuration.agent_versions.max().0;
        (ConnectionId::generate(&mut self.random), connection)
    }

    /// Adds receive queues, as many as are wanted and can be had, at other relays than those that are used.
    pub(super) fn add_receive_queues(
        &mut self,
        connection: &mut Connection,
        mode: Mode,
        used: &[Server],
    ) -> Result<(), S> {
        let count = match mode {
            Mode::Messaging if !self.configuration.redundancy_known => 1,
            Mode::Messaging => usize::from(connection.options.receive_queues.clamp(1, MAX_RECEIVE_QUEUES)),
            Mode::Contact => 1,
        };
        let servers = self.choose_servers(connection.user, count, used);
        if servers.is_empty() {
            return Err(Refusal::NoServer.into());
        }
        for server in servers {
            self.new_receive_queue(connection, server, mode);
        }
        Ok(())
    }

    pub(super) fn invite(
        &mut self,
        user: UserId,
        options: ConnectionOptions,
        link: Option<LinkRequest>,
    ) -> Result<Reply, S> {
        let (id, mut connection) = self.new_connection(user, Stage::Inviting, true, options);
        self.add_receive_queues(&mut connection, Mode::Messaging, &[])?;
        self.check_link_request(link.as_ref())?;
        let encapsulation = match options.post_quantum {
            PostQuantum::InLink => true,
            // A short link hides how long the full one is.
            PostQuantum::On => link.is_some(),
            PostQuantum::Off => false,
        };
        connection.link = link;
        self.make_initiator(id, encapsulation)?;
        self.save(id, connection)?;
        Ok(Reply::Connection(id))
    }

    pub(super) fn create_address(&mut self, user: UserId, link: Option<LinkRequest>) -> Result<Reply, S> {
        let stage = Stage::Address(Address::default());
        let (id, mut connection) = self.new_connection(user, stage, true, ConnectionOptions::default());
        self.add_receive_queues(&mut connection, Mode::Contact, &[])?;
        self.check_link_request(link.as_ref())?;
        connection.link = link;
        self.save(id, connection)?;
        Ok(Reply::Connection(id))
    }

    pub(super) fn join(
        &mut self,
        user: UserId,
        link: &str,
        info: Vec<u8>,
        options: ConnectionOptions,
    ) -> Result<Reply, S> {
        match ConnectionLink::parse(link).map_err(|_| Refusal::Link)? {
            ConnectionLink::Full(request) => {
                let (id, connection) = self.new_connection(user, Stage::Failed, false, options);
                let server = Server::try_from(&request.queue().server()).map_err(|_| Refusal::Link)?;
                let secured = self.one_time_key(&server, request.queue().sender_id().as_bytes())?;
                self.join_request(id, connection, &request, info, secured)?;
                Ok(Reply::Connection(id))
            }
            ConnectionLink::Short(link) => self.join_short_link(user, &link, info, options),
        }
    }

    /// Reads a short link first. Whatever can be refused is refused at once, as if the peer spoke the latest versions.
    fn join_short_link(
        &mut self,
        user: UserId,
        link: &ShortLink,
        info: Vec<u8>,
        options: ConnectionOptions,
    ) -> Result<Reply, S> {
        let (id, mut connection) = self.new_connection(user, Stage::Failed, false, options);
        let invitation = link.kind() == LinkKind::Invitation;
        let target = if invitation { Target::Invitation { parameters: Vec::new() } } else { Target::Address };
        self.check_info(&connection, &target, &info)?;
        if self.choose_servers(user, 1, &[]).is_empty() {
            return Err(Refusal::NoServer.into());
        }
        let (link, place) = self.complete_link(link)?;
        if !self.has_way_to(user, &place.server) {
            return Err(Refusal::NoServer.into());
        }
        connection.stage = Stage::Reading { link, join: Some(Joining { info, target: Target::Unknown }) };
        self.save(id, connection)?;
        Ok(Reply::Connection(id))
    }

    pub(super) fn accept(
        &mut self,
        invitation: InvitationId,
        info: Vec<u8>,
        options: ConnectionOptions,
    ) -> Result<Reply, S> {
        let key = Key::invitation(invitation);
        let record = self.transaction.get::<Invitation>(&key)?.ok_or(Refusal::NoInvitation)?;
        let request = ConnectionRequest::parse(&record.request).map_err(|_| Refusal::Link)?;
        let (id, connection) = self.new_connection(record.user, Stage::Failed, false, options);
        self.join_request(id, connection, &request, info, None)?;
        self.transaction.delete(&key);
        Ok(Reply::Connection(id))
    }

    pub(super) fn reject(&mut self, invitation: InvitationId) -> Result<Reply, S> {
        let key = Key::invitation(invitation);
        self.transaction.get::<Invitation>(&key)?.ok_or(Refusal::NoInvitation)?;
        self.transaction.delete(&key);
        Ok(Reply::Done)
    }

    /// Joins what a full link says. `secured` is the key that reading a one-time link has secured its queue with.
    pub(super) fn join_request(
        &mut self,
        id: ConnectionId,
        mut connection: Connection,
        request: &ConnectionRequest,
        info: Vec<u8>,
        secured: Option<AccessKey>,
    ) -> Result<(), S> {
        let versions = self.configuration.agent_versions.intersection(&request.agent_versions());
        let version = versions.ok_or(Refusal::Version)?.max();
        connection.version = version.0;
        let wanted = connection.options.post_quantum != PostQuantum::Off;
        let queues = self.reply_queues(request.queues(), request.is_invitation())?;
        for queue in &queues {
            self.new_send_queue(&mut connection, queue).ok_or(Refusal::Link)?;
        }
        if let (Some(key), Some(queue)) = (secured, connection.send_queues.first_mut()) {
            queue.key = key;
            queue.status = QueueStatus::Secured;
        }
        connection.redundant_peer = queues.len() > 1;
        let used: Vec<Server> = queues.iter().map(|queue| queue.server.clone()).collect();
        if !used.first().is_some_and(|server| self.has_way_to(connection.user, server)) {
            return Err(Refusal::NoServer.into());
        }
        let target = match request.ratchet() {
            Some(parameters) => {
                let wanted = wanted && version >= smp_crypto::ratchet::ENCAPSULATION_AGENT_VERSION;
                let own = self.configuration.ratchet_versions;
                let joiner =
                    Joiner::answer(&mut self.random, own, parameters, wanted).map_err(|error| match error {
                        RatchetError::Version => Refusal::Version,
                        _ => Refusal::Link,
                    })?;
                connection.post_quantum = wanted && joiner.version() >= RatchetVersion::ENCAPSULATION;
                let ratchet = joiner.ratchet(&mut self.random).map_err(|_| Refusal::Link)?;
                self.save_ratchet(id, &ratchet)?;
                let mut buffer = vec![0; AgreedParameters::MAX_LENGTH];
                let parameters = joiner.parameters().to_slice(&mut buffer).map_err(|_| Error::Record)?.to_vec();
                Target::Invitation { parameters }
            }
            None => {
                connection.initiator = true;
                connection.post_quantum = wanted;
                let propose = wanted && version >= smp_crypto::ratchet::ENCAPSULATION_AGENT_VERSION;
                self.make_initiator(id, propose)?;
                Target::Address
            }
        };
        self.check_info(&connection, &target, &info)?;
        connection.stage = Stage::Joining(Joining { info, target });
        self.add_receive_queues(&mut connection, Mode::Messaging, &used)?;
        self.save(id, connection)
    }

    /// Refuses information that cannot fit, before anything is done for it.
    fn check_info(&self, connection: &Connection, target: &Target, info: &[u8]) -> Result<(), S> {
        use smp_crypto::ratchet::BodyKind;
        let room = match target {
            Target::Invitation { .. } => {
                BodyKind::Confirmation.padded_length(connection.agent_version(), connection.post_quantum)
            }
            _ => smp_proto::smp::message::CONFIRMATION_PADDED_LENGTH,
        };
        // What stands beside it: the queues, or the own invitation with its keys.
        let beside = match target {
            Target::Invitation { .. } => {
                let queues = usize::from(connection.options.receive_queues.clamp(1, MAX_RECEIVE_QUEUES));
                queues.saturating_mul(512).saturating_add(3)
            }
            _ => 4_096,
        };
        if info.len().saturating_add(beside) > room { Err(Refusal::TooLarge.into()) } else { Ok(()) }
    }

    /// The queues of a link that can be used: the first, and with it those that are made for one sender.
    fn reply_queues<'a>(
        &self,
        uris: impl Iterator<Item = &'a QueueUri>,
        invitation: bool,
    ) -> Result<Vec<ReplyQueue>, S> {
        let own = self.configuration.client_versions;
        let mut queues = Vec::new();
        for (place, uri) in uris.enumerate() {
            if place > 0 && !self.configuration.redundancy_known {
                break;
            }
            let versions = uri.versions().intersection(&own);
            let Some(versions) = versions else {
                if place == 0 {
                    return Err(Refusal::Version.into());
                }
                continue;
            };
            if place > 0 && (!invitation || !uri.sender_can_secure() || queues.len() >= usize::from(MAX_RECEIVE_QUEUES))
            {
                continue;
            }
            queues.push(ReplyQueue {
                version: versions.max().0,
                server: Server::try_from(&uri.server()).map_err(|_| Refusal::Link)?,
                sender_id: uri.sender_id().as_bytes().to_vec(),
                recipient_key: uri.dh_key().0,
                // An address whose mode is not said is one that everybody may send to.
                mode: if invitation { Self::mode(&uri.queue()) } else { Some(Mode::Contact) },
            });
        }
        Ok(queues)
    }

    /// A request that came to an address, kept until it is accepted or rejected, or too many have come after it.
    pub(super) fn keep_invitation(
        &mut self,
        user: UserId,
        address: ConnectionId,
        request: String,
    ) -> Result<InvitationId, S> {
        let id = InvitationId::generate(&mut self.random);
        let record = Invitation { user, address, request, created: self.now };
        self.transaction.put(&Key::invitation(id), &record)?;
        let count = self.transaction.get::<u32>(&Key::request_count(address))?.unwrap_or(0);
        let place = Key::last_request(address, count.checked_rem(self.configuration.requests_kept).unwrap_or(0));
        if let Some(earlier) = self.transaction.get::<InvitationId>(&place)? {
            self.transaction.delete(&Key::invitation(earlier));
        }
        self.transaction.put(&place, &id)?;
        self.transaction.put(&Key::request_count(address), &count.wrapping_add(1))?;
        Ok(id)
    }

    /// The highest version that both this side and a request speak.
    pub(super) fn common_version(&self, request: &ConnectionRequest) -> Option<AgentVersion> {
        self.configuration.agent_versions.intersection(&request.agent_versions()).map(|versions| versions.max())
    }
}
