//! The roles in a new ratchet when both sides started and the two orders of hashes disagree (wire reference of the ratchet,
//! section 14.2).
//!
//! The role of the peer is not known then: this side waits as the receiver, which reads whatever a sender sends directly
//! after its keys, and takes the sender's role when nothing came. Both ratchets are kept for a day then, as the peer may
//! have been away, and whichever reads a message is the right one. Of two sides that both do so one waits longer.

use alloc::vec;
use alloc::vec::Vec;

use rand_core::CryptoRng;
use smp_crypto::ratchet::{DecryptError, Ratchet, Resynchronization, key_hash};
use smp_proto::agent::AgreedParameters;
use smp_proto::wire::Decode;

use super::ratchet::Opened;
use super::receive::Arrival;
use super::work::Work;
use super::{Agent, Result};
use crate::error::Error;
use crate::event::RatchetSync;
use crate::id::ConnectionId;
use crate::late::LateKeys;
use crate::record::{Connection, NewRatchet};
use crate::storage::Storage;
use crate::table::Key;
use crate::time::{DAY, Time};

/// How many times longer who probably receives waits before it takes the sender's role, so that not both do.
const PATIENCE: u64 = 3;

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    /// When the sender's role is taken if nothing comes.
    pub(super) fn end_of_doubt(&self, keys: &Resynchronization, peer: &AgreedParameters<'_>) -> Time {
        let patience = if receives_by_unsigned_order(keys, peer) { PATIENCE } else { 1 };
        self.now.after(self.configuration.role_doubt.saturating_mul(patience))
    }

    /// Whether the other role in a new ratchet may have to be taken, or can be forgotten when its time has come.
    pub(super) fn doubts_role(&self, connection: &Connection) -> bool {
        connection.role_doubt.is_some() && connection.deleting.is_none()
    }

    /// Takes the sender's role when nothing came for the receiver's; a day later nothing will change the role any more.
    pub(super) fn begin_doubt(&mut self, id: ConnectionId) -> Result<(), S> {
        let work = Work::DoubtRole(id);
        let Some(mut connection) = self.load(id) else { return Ok(()) };
        let Some(due) = connection.role_doubt else { return Ok(()) };
        if self.now < due {
            self.retry_after(&work, due.since(self.now));
            return Ok(());
        }
        self.finish(&work);
        match self.transaction.get::<NewRatchet>(&Key::resynchronization(id))? {
            Some(record) if !record.works && !record.sender && connection.sync == RatchetSync::Agreed => {
                self.take_sender_role(id, &mut connection, record)?;
            }
            _ => self.forget_new_ratchet(id, &mut connection),
        }
        self.save(id, connection)
    }

    fn take_sender_role(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        mut record: NewRatchet,
    ) -> Result<(), S> {
        let keys = Resynchronization::from_bytes(&record.keys).map_err(|_| Error::Record)?;
        let parameters = AgreedParameters::from_bytes(&record.peer).map_err(|_| Error::Record)?;
        let receiver = self.ratchet(id)?.ok_or(Error::Record)?;
        let ratchet = keys.sender(&parameters, &mut self.random).map_err(|_| Error::Record)?;
        record.other = stored_ratchet(&receiver)?;
        record.sender = true;
        self.replace_ratchet(id, &ratchet)?;
        self.keep_new_ratchet(id, &record)?;
        connection.role_doubt = Some(self.now.after(DAY));
        self.send_ready(id, connection)
    }

    /// A message that may be for the other role of a new ratchet.
    pub(super) fn decrypt_with_other_role(
        &mut self,
        arrival: &Arrival<'_>,
        connection: &mut Connection,
        message: &mut [u8],
    ) -> Result<Option<Opened>, S> {
        if connection.role_doubt.is_none() {
            return Ok(None);
        }
        let id = arrival.id;
        let Some(mut record) = self.transaction.get::<NewRatchet>(&Key::resynchronization(id))? else {
            return Ok(None);
        };
        if record.other.is_empty() {
            return Ok(None);
        }
        let mut other = Ratchet::from_bytes(&record.other).map_err(|_| Error::Record)?;
        let first = !other.can_send();
        // Few messages ever come for it.
        let mut late = LateKeys::default();
        let (plaintext, post_quantum) = match other.decrypt(&mut late, &mut self.random, message) {
            Ok(opened) => (opened.message.to_vec(), opened.encapsulated),
            Err(DecryptError::Ratchet(_)) => return Ok(None),
            Err(DecryptError::Store(never)) => match never {},
        };
        let mut opened = Opened { plaintext, post_quantum, first, answers: false };
        let keys = Resynchronization::from_bytes(&record.keys).map_err(|_| Error::Record)?;
        let parameters = AgreedParameters::from_bytes(&record.peer).map_err(|_| Error::Record)?;
        // When both sides took the sender's role at the same moment, both can read both: the hashes tell which one stays.
        let preferred = receives_by_unsigned_order(&keys, &parameters) == record.sender;
        if preferred || !record.works {
            let current = self.ratchet(id)?.ok_or(Error::Record)?;
            record.other = stored_ratchet(&current)?;
            record.sender = !record.sender;
            record.works = true;
            self.replace_ratchet(id, &other)?;
            if !late.is_empty() {
                self.transaction.put(&Key::skipped(id), &late)?;
            }
        } else {
            record.other = stored_ratchet(&other)?;
            opened.first = false;
        }
        self.keep_new_ratchet(id, &record)?;
        Ok(Some(opened))
    }
}

/// Whether this side receives first when hashes are compared as the protocol means it.
fn receives_by_unsigned_order(keys: &Resynchronization, peer: &AgreedParameters<'_>) -> bool {
    key_hash(&keys.parameters()) <= key_hash(peer)
}

fn stored_ratchet<E>(ratchet: &Ratchet) -> core::result::Result<Vec<u8>, Error<E>> {
    let mut buffer = vec![0; Ratchet::MAX_SERIALIZED_LENGTH];
    ratchet.to_bytes(&mut buffer).map(|bytes| bytes.to_vec()).map_err(|_| Error::Record)
}
