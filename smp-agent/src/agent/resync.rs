//! A ratchet that is out of step is replaced (wire reference of the ratchet, section 14).

use rand_core::CryptoRng;
use smp_crypto::ratchet::Error as RatchetError;
use smp_proto::agent::AgreedParameters;

use super::ratchet::Opened;
use super::receive::{Arrival, Then};
use super::{Agent, Result};
use crate::command::Reply;
use crate::error::{ConnectionError, Refusal};
use crate::event::RatchetSync;
use crate::id::ConnectionId;
use crate::record::Connection;
use crate::storage::Storage;

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    /// Whether messages may be sent.
    pub(super) fn is_synchronized(&self, connection: &Connection) -> bool {
        matches!(connection.sync, RatchetSync::Ok | RatchetSync::Allowed)
    }

    pub(super) fn resynchronize(&mut self, _id: ConnectionId, _force: bool) -> Result<Reply, S> {
        Err(Refusal::Prohibited.into())
    }

    /// Whether the other role in a new ratchet is to be taken when nothing comes.
    pub(super) fn doubts_role(&self, _connection: &Connection) -> bool {
        false
    }

    pub(super) fn begin_doubt(&mut self, _id: ConnectionId) -> Result<(), S> {
        Ok(())
    }

    /// The peer's keys for a new ratchet.
    pub(super) fn take_ratchet_key(
        &mut self,
        arrival: &Arrival<'_>,
        _connection: &mut Connection,
        _parameters: &AgreedParameters<'_>,
    ) -> Result<Then, S> {
        self.dropped(arrival.id, ConnectionError::Prohibited)
    }

    /// EREADY.
    pub(super) fn take_ready(
        &mut self,
        _id: ConnectionId,
        _connection: &mut Connection,
        _first: bool,
    ) -> Result<(), S> {
        Ok(())
    }

    /// A message that may be for the other role of a new ratchet.
    pub(super) fn decrypt_with_other_role(
        &mut self,
        _arrival: &Arrival<'_>,
        _connection: &mut Connection,
        _message: &mut [u8],
    ) -> Result<Option<Opened>, S> {
        Ok(None)
    }

    /// A message that was not seen before cannot be decrypted.
    pub(super) fn cannot_decrypt(
        &mut self,
        id: ConnectionId,
        _connection: &mut Connection,
        _error: RatchetError,
    ) -> Result<Then, S> {
        self.dropped(id, ConnectionError::Crypto)
    }

    /// A message was decrypted.
    pub(super) fn ratchet_works(&mut self, _id: ConnectionId, _connection: &mut Connection) -> Result<(), S> {
        Ok(())
    }
}
