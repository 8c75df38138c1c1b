//! Short links of others: read, verified, and what they lead to shown or joined (wire reference, section 9.5).
//!
//! Reading an invitation secures its queue with the reader's key, so that who reads it afterwards, or read it before,
//! shows. The key is therefore durable before LKEY goes out, and it is used again by whatever later attempt there is: a
//! repetition, another command for the same link, a command for the full link that was read.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use rand_core::CryptoRng;
use smp_crypto::key::Ed25519SecretKey;
use smp_crypto::short_link::{self, LinkError, LinkKey};
use smp_proto::agent::link_data::{FixedLinkData, UserLinkData};
use smp_proto::id::QueueId;
use smp_proto::short_link::{LinkKind, ShortLink};

use super::link::data_key;
use super::work::{Attempt, Next, Work};
use super::{Agent, Result, Undo};
use crate::command::{ConnectionOptions, Reply};
use crate::error::{ConnectionError, Error, LinkProblem, Refusal};
use crate::event::{Content, EventKind};
use crate::id::ConnectionId;
use crate::policy::server::{Server, UserId};
use crate::policy::session::SessionKey;
use crate::record::{Connection, OneTimeLink, SendQueue, Stage};
use crate::request::{AccessKey, Answer, Failure, LinkData, Operation, Reason, Reporter};
use crate::storage::Storage;
use crate::table::Key;

/// Where the data of a link is.
pub(super) struct Place {
    pub(super) server: Server,
    /// Tells relays apart that use the same ids.
    fingerprint: [u8; 32],
    link_id: Vec<u8>,
    invitation: bool,
}

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    pub(super) fn read_link(&mut self, user: UserId, link: &str) -> Result<Reply, S> {
        let (link, place) = self.complete_link(&ShortLink::parse(link).map_err(|_| Refusal::Link)?)?;
        if !self.has_way_to(user, &place.server) {
            return Err(Refusal::NoServer.into());
        }
        let stage = Stage::Reading { link, join: None };
        let (id, connection) = self.new_connection(user, stage, false, ConnectionOptions::default());
        self.save(id, connection)?;
        Ok(Reply::Connection(id))
    }

    /// The text of a link with all that is needed to read it.
    pub(super) fn complete_link(&self, link: &ShortLink) -> Result<(String, Place), S> {
        let link = link.restore(&self.preset_servers()).map_err(|_| Refusal::Link)?;
        let place = place(&link).ok_or(Refusal::Link)?;
        Ok((link.to_string(), place))
    }

    pub(super) fn prepare_link_reading(&mut self, work: &Work, id: ConnectionId) -> Result<Option<Attempt>, S> {
        let Some((user, _, place)) = self.reading(id)? else { return Ok(None) };
        let session = self.link_session(user, &place.server, &place.link_id);
        let operation = if place.invitation {
            let key = self.one_time_key_for(&place)?;
            Operation::ReadInvitation { link_id: place.link_id, key }
        } else {
            Operation::ReadAddress { link_id: place.link_id }
        };
        let attempt = self.sending(work, session, operation);
        let Some(connection) = self.load(id) else { return Ok(None) };
        let expired = self.now.since(connection.created) > self.configuration.message_expiry;
        let only_shown = matches!(connection.stage, Stage::Reading { join: None, .. });
        if attempt.is_none() && (expired || only_shown) {
            // The user's relays have changed, and none is left to send through.
            self.finish(work);
            self.reading_failed(id, connection, ConnectionError::NoServer)?;
        }
        Ok(attempt)
    }

    /// What is being read, and for whom.
    fn reading(&self, id: ConnectionId) -> Result<Option<(UserId, ShortLink, Place)>, S> {
        let Some(connection) = self.connections.get(&id) else { return Ok(None) };
        let Stage::Reading { link, .. } = &connection.stage else { return Ok(None) };
        let link = ShortLink::parse(link).map_err(|_| Error::Record)?;
        let place = place(&link).ok_or(Error::Record)?;
        Ok(Some((connection.user, link, place)))
    }

    /// The key for a one-time link: the one it was tried with, or a new one, which is durable before it is used.
    fn one_time_key_for(&mut self, place: &Place) -> Result<AccessKey, S> {
        let record = Key::one_time_link(&self.state.salt.0, &place.fingerprint, &place.link_id);
        if let Some(known) = self.transaction.get::<OneTimeLink>(&record)? {
            return Ok(known.key);
        }
        let key = AccessKey::new(&Ed25519SecretKey::generate(&mut self.random));
        let link_id = place.link_id.clone();
        self.transaction.put(&record, &OneTimeLink { link_id, key: key.clone(), day: self.now.day() })?;
        Ok(key)
    }

    /// Remembers which queue a one-time link has turned out to lead to.
    fn remember_one_time_queue(&mut self, place: &Place, sender_id: &[u8]) -> Result<Option<AccessKey>, S> {
        let record = Key::one_time_link(&self.state.salt.0, &place.fingerprint, &place.link_id);
        let Some(known) = self.transaction.get::<OneTimeLink>(&record)? else { return Ok(None) };
        let queue = Key::one_time_queue(&self.state.salt.0, &place.fingerprint, sender_id);
        self.transaction.put(&queue, &known)?;
        Ok(Some(known.key))
    }

    /// The key that a queue was secured with when its link was read.
    pub(super) fn one_time_key(&mut self, server: &Server, sender_id: &[u8]) -> Result<Option<AccessKey>, S> {
        let Some(fingerprint) = server.address().fingerprint() else { return Ok(None) };
        let queue = Key::one_time_queue(&self.state.salt.0, &fingerprint, sender_id);
        Ok(self.transaction.get::<OneTimeLink>(&queue)?.map(|known| known.key))
    }

    /// The confirmation is at the relay: the link has done its work.
    pub(super) fn forget_one_time_link(&mut self, queue: &SendQueue) -> Result<(), S> {
        let Some(fingerprint) = queue.server.address().fingerprint() else { return Ok(()) };
        let record = Key::one_time_queue(&self.state.salt.0, &fingerprint, &queue.sender_id);
        if let Some(known) = self.transaction.get::<OneTimeLink>(&record)? {
            self.transaction.delete(&Key::one_time_link(&self.state.salt.0, &fingerprint, &known.link_id));
            self.transaction.delete(&record);
        }
        Ok(())
    }

    pub(super) fn take_link_read(
        &mut self,
        work: &Work,
        id: ConnectionId,
        session: &SessionKey,
        result: core::result::Result<Answer, Failure>,
    ) -> Result<(), S> {
        let Some((_, link, place)) = self.reading(id)? else { return Ok(()) };
        let Some(connection) = self.load(id) else { return Ok(()) };
        let failure = match result {
            Ok(Answer::Link { sender_id, data }) => {
                self.finish(work);
                return self.take_link_data(id, connection, &link, &place, &sender_id, data);
            }
            Ok(_) => Failure::of_relay(Reason::Unexpected),
            Err(failure) => failure,
        };
        if self.goes_directly(work, session, &failure) {
            return Ok(());
        }
        let only_shown = matches!(connection.stage, Stage::Reading { join: None, .. });
        // Who looks at a link wants to know that its relay cannot be reached; who joins can wait.
        let out_of_reach = failure.is_of_host() && failure.by != Reporter::Proxy && only_shown;
        // Nor will it pass by itself that a relay or a proxy refuses it, or is another one.
        let refused = only_shown && !failure.is_temporary() && !failure.is_of_host();
        let old_relay = failure.reason == Reason::Version && failure.by == Reporter::Relay;
        let expired = self.now.since(connection.created) > self.configuration.message_expiry;
        let given_up = out_of_reach || refused || old_relay || expired;
        if !given_up && matches!(self.next(work, &failure), Next::Later) {
            return Ok(());
        }
        self.finish(work);
        let error = match failure.reason {
            Reason::NotAuthorized if place.invitation => ConnectionError::NotAvailable,
            _ => ConnectionError::Relay(failure),
        };
        self.reading_failed(id, connection, error)
    }

    /// The data is there: it is shown, or what it leads to is joined.
    fn take_link_data(
        &mut self,
        id: ConnectionId,
        mut connection: Connection,
        link: &ShortLink,
        place: &Place,
        sender_id: &[u8],
        mut data: LinkData,
    ) -> Result<(), S> {
        let read = QueueId::new(sender_id)
            .map_err(LinkError::from)
            .and_then(|sender_id| short_link::read(link, sender_id, &mut data.fixed, &mut data.user));
        let (fixed, user) = match read {
            Ok(read) => read,
            Err(error) => {
                let problem = ConnectionError::Link(problem(error));
                return self.reading_failed(id, connection, problem);
            }
        };
        let secured = if place.invitation { self.remember_one_time_queue(place, sender_id)? } else { None };
        let Stage::Reading { join, .. } = &connection.stage else { return Ok(()) };
        let Some(joining) = join else {
            let event = self.link_read(id, &fixed, &user);
            self.notify(event)?;
            return self.end_reading(id);
        };
        if let UserLinkData::Contact { contact, .. } = &user
            && !contact.direct
        {
            return self.reading_failed(id, connection, ConnectionError::Link(LinkProblem::Indirect));
        }
        let info = joining.info.clone();
        let (mark, undo) = (self.transaction.mark(), self.undo.len());
        connection.stage = Stage::Failed;
        match self.join_request(id, connection, &fixed.connection_request, info, secured) {
            Err(Error::Refused(refusal)) => {
                self.take_back(mark, undo);
                let Some(connection) = self.load(id) else { return Ok(()) };
                let error = match refusal {
                    Refusal::Version => ConnectionError::Version,
                    Refusal::NoServer => ConnectionError::NoServer,
                    _ => ConnectionError::Link(LinkProblem::Format),
                };
                self.reading_failed(id, connection, error)
            }
            result => result,
        }
    }

    fn link_read(&self, id: ConnectionId, fixed: &FixedLinkData<'_>, user: &UserLinkData<'_>) -> EventKind {
        let (invitation, direct, relays) = match user {
            UserLinkData::Invitation { .. } => (true, true, Vec::new()),
            UserLinkData::Contact { contact, .. } => {
                let relays = contact.relays.iter().map(|relay| self.shorten_link(relay.link()));
                (false, contact.direct, relays.collect())
            }
        };
        EventKind::LinkRead {
            connection: id,
            full: fixed.connection_request.to_string(),
            invitation,
            user_data: Content(user.user_data().0.to_vec()),
            entity_id: fixed.entity_id.map(|id| Content(id.as_bytes().to_vec())),
            relays,
            direct,
        }
    }

    /// A link cannot be read, or leads nowhere.
    fn reading_failed(
        &mut self,
        id: ConnectionId,
        mut connection: Connection,
        error: ConnectionError,
    ) -> Result<(), S> {
        if matches!(connection.stage, Stage::Reading { join: None, .. }) {
            self.end_reading(id)?;
        } else {
            connection.stage = Stage::Failed;
            self.save(id, connection)?;
        }
        self.fail(id, error)
    }

    /// A link was shown: nothing is left of the attempt.
    fn end_reading(&mut self, id: ConnectionId) -> Result<(), S> {
        self.transaction.delete(&Key::connection(id));
        let before = self.connections.remove(&id);
        self.undo.push(Undo::Connection(id, before.map(alloc::boxed::Box::new)));
        self.touched.insert(id);
        Ok(())
    }
}

/// Where the data of a link is; `None` when the link leads nowhere, or to a relay that nobody could recognise.
fn place(link: &ShortLink) -> Option<Place> {
    let invitation = link.kind() == LinkKind::Invitation;
    let key = LinkKey(link.key()?);
    let link_id = match link.id() {
        Some(id) if invitation => id.as_bytes().to_vec(),
        _ => data_key(&key, true)?.0,
    };
    let server = Server::try_from(&link.server()).ok()?;
    let fingerprint = server.address().fingerprint()?;
    Some(Place { server, fingerprint, link_id, invitation })
}

fn problem(error: LinkError) -> LinkProblem {
    match error {
        LinkError::Hash => LinkProblem::Hash,
        LinkError::FixedSignature => LinkProblem::FixedSignature,
        LinkError::RootOwner | LinkError::DuplicateOwner | LinkError::OwnerSignature | LinkError::NoOwner => {
            LinkProblem::Owner
        }
        LinkError::UserSignature => LinkProblem::UserSignature,
        LinkError::Address => LinkProblem::Address,
        LinkError::Decrypt | LinkError::Format(_) => LinkProblem::Format,
        _ => LinkProblem::Format,
    }
}
