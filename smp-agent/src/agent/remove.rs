//! Connections are deleted, and what has become old is forgotten (wire reference, section 20).

use rand_core::CryptoRng;

use super::work::Work;
use super::{Agent, Result};
use crate::command::Reply;
use crate::error::Refusal;
use crate::id::{ConnectionId, MessageId};
use crate::record::Connection;
use crate::request::{Answer, Failure};
use crate::storage::Storage;

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    pub(super) fn delete(&mut self, _id: ConnectionId, _deliver_first: bool) -> Result<Reply, S> {
        Err(Refusal::Prohibited.into())
    }

    /// Whether nothing has to be waited for before queues are deleted.
    pub(super) fn may_delete(&self, _id: ConnectionId, _connection: &Connection) -> bool {
        true
    }

    pub(super) fn take_deleted(
        &mut self,
        _work: &Work,
        _id: ConnectionId,
        _number: u32,
        _result: core::result::Result<Answer, Failure>,
    ) -> Result<(), S> {
        Ok(())
    }

    /// A message that waits is not sent any more.
    pub(super) fn withdraw(&mut self, _id: ConnectionId, _message: MessageId, _queues: &[u32]) -> Result<Reply, S> {
        Err(Refusal::Prohibited.into())
    }

    pub(super) fn clean_up_if_due(&mut self) -> Result<(), S> {
        if self.now >= self.next_cleanup {
            self.next_cleanup = self.now.after(self.configuration.cleanup_interval);
        }
        Ok(())
    }
}
