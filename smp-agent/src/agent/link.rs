//! Short links: made with a queue, read, replaced, deleted (wire reference, section 9).

use alloc::string::String;
use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::work::{Attempt, Work};
use super::{Agent, Result};
use crate::command::{LinkRequest, Reply};
use crate::error::Refusal;
use crate::id::ConnectionId;
use crate::policy::server::UserId;
use crate::record::{Connection, ReceiveQueue};
use crate::request::{Answer, Failure, NewLink};
use crate::storage::Storage;

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    /// Refuses what no link has room for.
    pub(super) fn check_link_request(&self, link: Option<&LinkRequest>) -> Result<(), S> {
        if link.is_some() { Err(Refusal::Prohibited.into()) } else { Ok(()) }
    }

    /// The link a queue is created with, made anew for each attempt.
    pub(super) fn link_of_new_queue(
        &mut self,
        _id: ConnectionId,
        _connection: &mut Connection,
        _number: u32,
    ) -> Result<Option<NewLink>, S> {
        Ok(None)
    }

    /// The text of a queue's short link.
    pub(super) fn short_link(&self, _queue: &ReceiveQueue) -> Option<String> {
        None
    }

    pub(super) fn set_link(&mut self, _id: ConnectionId, _user_data: Vec<u8>) -> Result<Reply, S> {
        Err(Refusal::Prohibited.into())
    }

    pub(super) fn delete_link(&mut self, _id: ConnectionId) -> Result<Reply, S> {
        Err(Refusal::Prohibited.into())
    }

    pub(super) fn read_link(&mut self, _user: UserId, _link: &str) -> Result<Reply, S> {
        Err(Refusal::Prohibited.into())
    }

    pub(super) fn prepare_link_storing(&mut self, _id: ConnectionId, _number: u32) -> Result<Option<Attempt>, S> {
        Ok(None)
    }

    pub(super) fn prepare_link_reading(&mut self, _work: &Work, _id: ConnectionId) -> Result<Option<Attempt>, S> {
        Ok(None)
    }

    pub(super) fn take_link_stored(
        &mut self,
        _work: &Work,
        _id: ConnectionId,
        _number: u32,
        _result: core::result::Result<Answer, Failure>,
    ) -> Result<(), S> {
        Ok(())
    }

    pub(super) fn take_link_read(
        &mut self,
        _work: &Work,
        _id: ConnectionId,
        _result: core::result::Result<Answer, Failure>,
    ) -> Result<(), S> {
        Ok(())
    }
}
