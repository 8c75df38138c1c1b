//! Links that are known before their queues are made (wire reference, section 9.4): the sender's id follows from the
//! correlation id of NEW, and all else in a link is chosen here.
//!
//! Such a queue is made as its link says, at that relay, or not at all. A relay that knows only one attempt, as deployed
//! ones do, answers AUTH to the next one when the answer to the first was lost: the id is taken, by a queue whose
//! recipient's id nobody knows any more.

use alloc::string::ToString;
use alloc::vec;

use rand_core::CryptoRng;

use super::{Agent, Result};
use crate::command::{ConnectionOptions, LinkRequest, PostQuantum, Reply};
use crate::error::{ConnectionError, Error, Refusal};
use crate::event::{EventKind, Links};
use crate::id::ConnectionId;
use crate::policy::server::UserId;
use crate::record::{Address, Connection, Mode, Stage};
use crate::request::{CreatedQueue, Failure};
use crate::storage::Storage;

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    pub(super) fn prepare_invitation(
        &mut self,
        user: UserId,
        options: ConnectionOptions,
        link: LinkRequest,
    ) -> Result<Reply, S> {
        let (id, connection) = self.new_connection(user, Stage::Inviting, true, options);
        self.make_initiator(id, options.post_quantum != PostQuantum::Off)?;
        self.prepare_link(id, connection, Mode::Messaging, link)
    }

    pub(super) fn prepare_address(&mut self, user: UserId, link: LinkRequest) -> Result<Reply, S> {
        let stage = Stage::Address(Address::default());
        let (id, connection) = self.new_connection(user, stage, true, ConnectionOptions::default());
        self.prepare_link(id, connection, Mode::Contact, link)
    }

    /// Chooses all that is in the links, and tells them.
    fn prepare_link(
        &mut self,
        id: ConnectionId,
        mut connection: Connection,
        mode: Mode,
        request: LinkRequest,
    ) -> Result<Reply, S> {
        self.check_link_request(Some(&request))?;
        let server = self.choose_servers(connection.user, 1, &[]).pop().ok_or(Refusal::NoServer)?;
        let number = self.new_receive_queue(&mut connection, server, mode);
        connection.link = Some(request);
        // The address of the relay may be too long for any link.
        let new = self.link_of_new_queue(id, &mut connection, number)?.ok_or(Refusal::TooLarge)?;
        connection.link = None;
        let queue = connection.receive_queue_mut(number).ok_or(Error::Record)?;
        if let Some(link) = &mut queue.link {
            link.prepared = true;
        }
        let queue = queue.clone();
        let uris = vec![self.uri_of_new_queue(&queue, &new.correlation_id)?];
        let encapsulation = connection.options.post_quantum == PostQuantum::InLink;
        let full = self.connection_request(id, &connection, uris, encapsulation)?.to_string();
        let short = self.short_link(&queue);
        self.notify(EventKind::LinkPrepared { connection: id, links: Links { full, short } })?;
        self.save(id, connection)?;
        Ok(Reply::Connection(id))
    }

    /// A link that was told leads nowhere. What the relay made instead of its queue is deleted.
    pub(super) fn prepared_in_vain(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        number: u32,
        created: Option<&CreatedQueue>,
        failure: Failure,
    ) -> Result<(), S> {
        match (connection.receive_queue_mut(number), created) {
            (Some(queue), Some(created)) => {
                queue.recipient_id.clone_from(&created.recipient_id);
                queue.link = None;
                queue.deleting = true;
            }
            _ => self.forget_receive_queue(id, connection, number)?,
        }
        if connection.deleting.is_some() {
            return Ok(());
        }
        connection.stage = Stage::Failed;
        self.fail(id, ConnectionError::PreparedLink(failure))
    }
}
