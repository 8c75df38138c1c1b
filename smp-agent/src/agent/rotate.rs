//! Receive queues move to other relays, and are added (wire reference, section 18).

use rand_core::CryptoRng;
use smp_proto::agent::{AddedQueue, QueueKey, QueueReference, QueueUse};
use smp_proto::wire::NonEmptyList;

use super::{Agent, Result};
use crate::command::Reply;
use crate::error::{ConnectionError, Refusal};
use crate::id::ConnectionId;
use crate::record::Connection;
use crate::storage::Storage;

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    pub(super) fn switch(&mut self, _id: ConnectionId) -> Result<Reply, S> {
        Err(Refusal::Prohibited.into())
    }

    pub(super) fn abort_switch(&mut self, _id: ConnectionId) -> Result<Reply, S> {
        Err(Refusal::Prohibited.into())
    }

    pub(super) fn add_receive_queue(&mut self, _id: ConnectionId) -> Result<Reply, S> {
        Err(Refusal::Prohibited.into())
    }

    /// A receive queue of an existing connection was created.
    pub(super) fn new_queue_created(&mut self, _id: ConnectionId, _connection: &mut Connection) -> Result<(), S> {
        Ok(())
    }

    /// KEY of a new queue is done.
    pub(super) fn new_queue_secured(
        &mut self,
        _id: ConnectionId,
        _connection: &mut Connection,
        _number: u32,
    ) -> Result<(), S> {
        Ok(())
    }

    /// The first message came through a queue.
    pub(super) fn new_queue_active(
        &mut self,
        _id: ConnectionId,
        _connection: &mut Connection,
        _number: u32,
    ) -> Result<(), S> {
        Ok(())
    }

    /// QKEY is at the peer's relay.
    pub(super) fn queue_key_delivered(
        &mut self,
        _id: ConnectionId,
        _connection: &mut Connection,
        _number: u32,
        _first: bool,
    ) -> Result<(), S> {
        Ok(())
    }

    /// QTEST is in the new queue.
    pub(super) fn queue_test_delivered(
        &mut self,
        _id: ConnectionId,
        _connection: &mut Connection,
        _number: u32,
    ) -> Result<(), S> {
        Ok(())
    }

    pub(super) fn take_added_queues(
        &mut self,
        id: ConnectionId,
        _connection: &mut Connection,
        _queues: &NonEmptyList<'_, AddedQueue<'_>>,
    ) -> Result<(), S> {
        self.fail(id, ConnectionError::Prohibited)
    }

    pub(super) fn take_queue_keys(
        &mut self,
        id: ConnectionId,
        _connection: &mut Connection,
        _keys: &NonEmptyList<'_, QueueKey<'_>>,
    ) -> Result<(), S> {
        self.fail(id, ConnectionError::Prohibited)
    }

    pub(super) fn take_used_queues(
        &mut self,
        id: ConnectionId,
        _connection: &mut Connection,
        _queues: &NonEmptyList<'_, QueueUse<'_>>,
    ) -> Result<(), S> {
        self.fail(id, ConnectionError::Prohibited)
    }

    pub(super) fn take_tested_queues(
        &mut self,
        _id: ConnectionId,
        _connection: &mut Connection,
        _queues: &NonEmptyList<'_, QueueReference<'_>>,
    ) -> Result<(), S> {
        Ok(())
    }
}
