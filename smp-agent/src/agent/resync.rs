//! A ratchet that is out of step is replaced (wire reference of the ratchet, section 14).
//!
//! Who starts sends new keys, and who receives them answers with its own; the hashes of both decide who sends first under
//! the new ratchet. Released peers compare these hashes in two different orders. Keys of an answer are made so that both
//! orders give the same roles. Where both sides started, and the orders disagree, the role of the peer is not known: this
//! side waits as the receiver, which reads whatever a sender sends directly after its keys, and takes the sender's role
//! when nothing came. Both ratchets are kept for a day then, as the peer may have been away, and whichever reads a message
//! is the right one.

use alloc::vec;
use alloc::vec::Vec;

use rand_core::CryptoRng;
use smp_crypto::ratchet::{
    DecryptError, ENCAPSULATION_AGENT_VERSION, Error as RatchetError, Ratchet, Resynchronization, Role, key_hash,
};
use smp_proto::agent::{AgreedParameters, Message};
use smp_proto::wire::{Decode, Encode};

use super::enqueue::Manner;
use super::ratchet::Opened;
use super::receive::{Arrival, Then};
use super::work::Work;
use super::{Agent, Result};
use crate::command::Reply;
use crate::error::{ConnectionError, Error, Refusal};
use crate::event::{EventKind, RatchetSync};
use crate::id::ConnectionId;
use crate::late::LateKeys;
use crate::record::{Connection, NewRatchet, OutgoingKind, Stage};
use crate::storage::Storage;
use crate::table::{Key, Table};
use crate::time::DAY;

/// The first version of the agent protocol with re-synchronisation.
const RESYNCHRONIZATION: u16 = 3;
/// What a key message says beside the keys.
const INFO: &[u8] = b"R";
/// How many times longer who probably receives waits before it takes the sender's role, so that not both do.
const PATIENCE: u64 = 3;

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    /// Whether messages may be sent.
    pub(super) fn is_synchronized(&self, connection: &Connection) -> bool {
        matches!(connection.sync, RatchetSync::Ok | RatchetSync::Allowed)
    }

    fn set_sync(&mut self, id: ConnectionId, connection: &mut Connection, state: RatchetSync) -> Result<(), S> {
        connection.sync = state;
        self.notify(EventKind::Ratchet { connection: id, state })
    }

    pub(super) fn resynchronize(&mut self, id: ConnectionId, force: bool) -> Result<Reply, S> {
        let mut connection = self.load(id).ok_or(Refusal::NoConnection)?;
        let wanted = force || matches!(connection.sync, RatchetSync::Allowed | RatchetSync::Required);
        let able = connection.stage == Stage::Connected
            && connection.deleting.is_none()
            && !connection.send_queues.is_empty()
            && connection.version >= RESYNCHRONIZATION;
        if !wanted || !able {
            return Err(Refusal::Prohibited.into());
        }
        let version = self.configuration.ratchet_versions.max();
        let keys = Resynchronization::start(&mut self.random, version, proposes(&connection));
        self.send_ratchet_key(id, &mut connection, &keys)?;
        self.keep_new_ratchet(id, &NewRatchet::new(stored_keys(&keys)?))?;
        connection.role_doubt = None;
        self.set_sync(id, &mut connection, RatchetSync::Started)?;
        self.save(id, connection)?;
        Ok(Reply::Done)
    }

    /// The own keys go to all queues. The message takes a number, which the peer does not count.
    fn send_ratchet_key(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        keys: &Resynchronization,
    ) -> Result<(), S> {
        let kind = OutgoingKind::RatchetKey { parameters: encoded(&keys.parameters())? };
        let queues = self.send_queues(connection);
        self.put_outgoing(id, connection, kind, INFO.to_vec(), (Vec::new(), 0), true, &queues)?;
        Ok(())
    }

    fn keep_new_ratchet(&mut self, id: ConnectionId, record: &NewRatchet) -> Result<(), S> {
        self.transaction.put(&Key::resynchronization(id), record)
    }

    fn forget_new_ratchet(&mut self, id: ConnectionId, connection: &mut Connection) {
        connection.role_doubt = None;
        self.transaction.delete(&Key::resynchronization(id));
    }

    /// The peer's keys for a new ratchet.
    pub(super) fn take_ratchet_key(
        &mut self,
        arrival: &Arrival<'_>,
        connection: &mut Connection,
        parameters: &AgreedParameters<'_>,
    ) -> Result<Then, S> {
        let id = arrival.id;
        if !matches!(connection.stage, Stage::Connected | Stage::Greeting) || connection.send_queues.is_empty() {
            return self.dropped(id, ConnectionError::Prohibited);
        }
        let hash = Key::salted(Table::KeyMessage, id, &self.state.salt.0, &key_hash(parameters));
        if self.transaction.bytes(&hash)?.is_some() {
            return Ok(Then::Acknowledge);
        }
        self.transaction.put(&hash, &self.now.day())?;
        let versions = self.configuration.ratchet_versions;
        if !versions.contains(parameters.version) {
            return self.dropped(id, ConnectionError::Version);
        }
        let (keys, answering) = match connection.sync {
            RatchetSync::Ok | RatchetSync::Allowed | RatchetSync::Required => {
                let keys = Resynchronization::answer(&mut self.random, versions, parameters, proposes(connection));
                (keys, true)
            }
            RatchetSync::Started => match self.transaction.get::<NewRatchet>(&Key::resynchronization(id))? {
                Some(record) => (Resynchronization::from_bytes(&record.keys), false),
                None => return Err(Error::Record),
            },
            RatchetSync::Agreed => {
                // The peer did not wait for what was agreed: only a new start brings both together.
                self.forget_new_ratchet(id, connection);
                self.set_sync(id, connection, RatchetSync::Required)?;
                return self.dropped(id, ConnectionError::RatchetSync);
            }
        };
        let Ok(keys) = keys else { return self.dropped(id, ConnectionError::Crypto) };
        let role = keys.role(parameters);
        let ratchet = match role {
            Role::Sender => keys.sender(parameters, &mut self.random),
            Role::Receiver | Role::Disagree => keys.receiver(parameters, connection.post_quantum),
        };
        let Ok(ratchet) = ratchet else { return self.dropped(id, ConnectionError::Crypto) };
        if answering {
            self.send_ratchet_key(id, connection, &keys)?;
        }
        self.replace_ratchet(id, &ratchet)?;
        self.set_sync(id, connection, RatchetSync::Agreed)?;
        self.forget_new_ratchet(id, connection);
        match role {
            Role::Sender => self.send_ready(id, connection)?,
            Role::Receiver => {}
            Role::Disagree => {
                let mut record = NewRatchet::new(stored_keys(&keys)?);
                record.peer = encoded(parameters)?;
                self.keep_new_ratchet(id, &record)?;
                let patience = if receives_by_unsigned_order(&keys, parameters) { PATIENCE } else { 1 };
                connection.role_doubt = Some(self.now.after(self.configuration.role_doubt.saturating_mul(patience)));
            }
        }
        Ok(Then::Acknowledge)
    }

    fn send_ready(&mut self, id: ConnectionId, connection: &mut Connection) -> Result<(), S> {
        let message = Message::Ready(connection.received_number);
        self.send_message(id, connection, OutgoingKind::Ready, message, Manner::URGENT).map(drop)
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

    /// EREADY. Who could not send before has not sent its own.
    pub(super) fn take_ready(&mut self, id: ConnectionId, connection: &mut Connection, first: bool) -> Result<(), S> {
        if !first || connection.send_queues.is_empty() || connection.deleting.is_some() {
            return Ok(());
        }
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
        let mut opened = Opened { plaintext, post_quantum, first };
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

    /// A message that was not seen before cannot be decrypted. What the error says of the two ratchets is for the
    /// application to know; the relay may forget the message.
    pub(super) fn cannot_decrypt(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        error: RatchetError,
    ) -> Result<Then, S> {
        let state = match error {
            RatchetError::Body | RatchetError::Earlier(_) => RatchetSync::Allowed,
            RatchetError::Header | RatchetError::TooManySkipped(_) => RatchetSync::Required,
            RatchetError::Duplicate => return self.dropped(id, ConnectionError::Duplicate),
            RatchetError::Malformed(_) | RatchetError::UnparsableHeader(_) => {
                return self.dropped(id, ConnectionError::Message);
            }
            _ => return self.dropped(id, ConnectionError::Crypto),
        };
        match connection.sync {
            RatchetSync::Ok | RatchetSync::Allowed | RatchetSync::Required => {
                self.set_sync(id, connection, state)?;
            }
            // New keys are on their way: messages under the old ones may still come, and are lost.
            RatchetSync::Started | RatchetSync::Agreed => {}
        }
        Ok(Then::Acknowledge)
    }

    /// A message was decrypted.
    pub(super) fn ratchet_works(&mut self, id: ConnectionId, connection: &mut Connection) -> Result<(), S> {
        if matches!(connection.sync, RatchetSync::Ok | RatchetSync::Started) {
            return Ok(());
        }
        if connection.role_doubt.is_some()
            && let Some(mut record) = self.transaction.get::<NewRatchet>(&Key::resynchronization(id))?
        {
            if record.other.is_empty() {
                // This side has used no other role, so the peer waits for none.
                self.forget_new_ratchet(id, connection);
            } else if !record.works {
                record.works = true;
                self.keep_new_ratchet(id, &record)?;
            }
        }
        self.set_sync(id, connection, RatchetSync::Ok)
    }
}

impl NewRatchet {
    fn new(keys: Vec<u8>) -> Self {
        Self { keys, peer: Vec::new(), sender: false, works: false, other: Vec::new() }
    }
}

/// Whether a key for encapsulation is proposed.
fn proposes(connection: &Connection) -> bool {
    connection.post_quantum && connection.agent_version() >= ENCAPSULATION_AGENT_VERSION
}

/// Whether this side receives first when hashes are compared as the protocol means it.
fn receives_by_unsigned_order(keys: &Resynchronization, peer: &AgreedParameters<'_>) -> bool {
    key_hash(&keys.parameters()) <= key_hash(peer)
}

fn encoded<E>(parameters: &AgreedParameters<'_>) -> core::result::Result<Vec<u8>, Error<E>> {
    let mut buffer = vec![0; AgreedParameters::MAX_LENGTH];
    parameters.to_slice(&mut buffer).map(|bytes| bytes.to_vec()).map_err(|_| Error::Record)
}

fn stored_keys<E>(keys: &Resynchronization) -> core::result::Result<Vec<u8>, Error<E>> {
    let mut buffer = vec![0; Resynchronization::MAX_SERIALIZED_LENGTH];
    keys.to_bytes(&mut buffer).map(|bytes| bytes.to_vec()).map_err(|_| Error::Record)
}

fn stored_ratchet<E>(ratchet: &Ratchet) -> core::result::Result<Vec<u8>, Error<E>> {
    let mut buffer = vec![0; Ratchet::MAX_SERIALIZED_LENGTH];
    ratchet.to_bytes(&mut buffer).map(|bytes| bytes.to_vec()).map_err(|_| Error::Record)
}
