//! A ratchet that is out of step is replaced (wire reference of the ratchet, section 14).
//!
//! Who starts sends new keys, and who receives them answers with its own; the hashes of both decide who sends first under
//! the new ratchet. Released peers compare these hashes in two different orders. Keys of an answer are made so that both
//! orders give the same roles; what happens where both sides started is in [`super::role_doubt`].
//!
//! Keys that come when a new ratchet is agreed already are not answered: that could go on for ever. They show that the peer
//! has started again or disagrees, and the application has to start anew. The peer's keys are kept until then: if it waits
//! for an answer to them, the new start is that answer, and if it does not, it answers. The same goes for keys that came
//! when this side had started, too: who goes back to an old copy of its storage takes them for an answer to keys that the
//! peer has left long ago, and both would miss each other with every new start.
//!
//! Own keys, and what follows them, that have waited for their relay for too long are said again: both sides would wait for
//! ever.

use alloc::vec;
use alloc::vec::Vec;

use rand_core::CryptoRng;
use smp_crypto::ratchet::{
    ENCAPSULATION_AGENT_VERSION, Error as RatchetError, Ratchet, Resynchronization, Role, key_hash,
};
use smp_proto::agent::{AgreedParameters, Message};
use smp_proto::wire::{Decode, Encode};

use super::enqueue::Manner;
use super::receive::{Arrival, Then};
use super::{Agent, Result};
use crate::command::Reply;
use crate::error::{ConnectionError, Error, Refusal};
use crate::event::{EventKind, RatchetSync};
use crate::id::ConnectionId;
use crate::record::{Connection, NewRatchet, Outgoing, OutgoingKind, Stage};
use crate::storage::Storage;
use crate::table::{Key, Table};

/// The first version of the agent protocol with re-synchronisation.
const RESYNCHRONIZATION: u16 = 3;
/// What a key message says beside the keys.
const INFO: &[u8] = b"R";

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
        let pending = match connection.sync {
            RatchetSync::Required => self.transaction.get::<NewRatchet>(&Key::resynchronization(id))?,
            RatchetSync::Agreed => {
                // Nothing has come under what was agreed. Perhaps the peer did not take the own keys with its last ones.
                let record = self.transaction.get::<NewRatchet>(&Key::resynchronization(id))?;
                record.map(|record| NewRatchet::of_peer(record.peer.clone()))
            }
            _ => None,
        };
        connection.role_doubt = None;
        self.set_sync(id, &mut connection, RatchetSync::Started)?;
        if !self.start_with(id, &mut connection, pending)? {
            let version = self.configuration.ratchet_versions.max();
            let keys = Resynchronization::start(&mut self.random, version, proposes(&connection));
            self.send_ratchet_key(id, &mut connection, &keys)?;
            self.keep_new_ratchet(id, &NewRatchet::new(stored_keys(&keys)?))?;
        }
        self.save(id, connection)?;
        Ok(Reply::Done)
    }

    /// Starts with keys of the peer's that were not answered, as their answer; whether there are any.
    fn start_with(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        pending: Option<NewRatchet>,
    ) -> Result<bool, S> {
        let Some(pending) = pending.filter(NewRatchet::is_unanswered) else { return Ok(false) };
        let Ok(parameters) = AgreedParameters::from_bytes(&pending.peer) else { return Ok(false) };
        let versions = self.configuration.ratchet_versions;
        let keys = Resynchronization::answer(&mut self.random, versions, &parameters, proposes(connection));
        let Ok(keys) = keys else { return Ok(false) };
        let role = keys.role(&parameters);
        let Ok(ratchet) = self.new_ratchet(&keys, role, &parameters, connection.post_quantum) else {
            return Ok(false);
        };
        self.send_ratchet_key(id, connection, &keys)?;
        self.replace_ratchet(id, &ratchet)?;
        forget_told(connection);
        let mut record = NewRatchet::new(stored_keys(&keys)?);
        record.peer.clone_from(&pending.peer);
        self.keep_new_ratchet(id, &record)?;
        if role == Role::Sender {
            self.send_ready(id, connection)?;
        }
        Ok(true)
    }

    fn new_ratchet(
        &mut self,
        keys: &Resynchronization,
        role: Role,
        peer: &AgreedParameters<'_>,
        post_quantum: bool,
    ) -> core::result::Result<Ratchet, RatchetError> {
        match role {
            Role::Sender => keys.sender(peer, &mut self.random),
            Role::Receiver | Role::Disagree => keys.receiver(peer, post_quantum),
        }
    }

    /// The own keys go to all queues. The message takes a number, which the peer does not count.
    fn send_ratchet_key(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        keys: &Resynchronization,
    ) -> Result<(), S> {
        let kind = OutgoingKind::RatchetKey { parameters: encoded(&keys.parameters())? };
        let queues = self.send_queues(id, connection);
        self.put_outgoing(id, connection, kind, INFO.to_vec(), (Vec::new(), 0), true, &queues)?;
        Ok(())
    }

    /// The own keys have waited for too long: the peer gets them as long as the new ratchet has not shown that it works. Those
    /// behind them in a queue are later ones.
    pub(super) fn say_ratchet_key_again(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        kind: &OutgoingKind,
    ) -> Result<(), S> {
        if !matches!(connection.sync, RatchetSync::Started | RatchetSync::Agreed) || self.says_ratchet_key(id)? {
            return Ok(());
        }
        let queues = self.send_queues(id, connection);
        self.put_outgoing(id, connection, kind.clone(), INFO.to_vec(), (Vec::new(), 0), true, &queues)?;
        // What came after them came to nothing.
        if connection.sync == RatchetSync::Agreed { self.say_ready_again(id, connection) } else { Ok(()) }
    }

    /// Whether keys for a new ratchet wait to be sent.
    fn says_ratchet_key(&mut self, id: ConnectionId) -> Result<bool, S> {
        let of_connection = self.waiting.range((id, 0)..=(id, u32::MAX)).flat_map(|(_, messages)| messages);
        for message in of_connection.copied().collect::<Vec<_>>() {
            let outgoing = self.transaction.get::<Outgoing>(&Key::outgoing(id, message))?;
            if outgoing.is_some_and(|outgoing| matches!(outgoing.kind, OutgoingKind::RatchetKey { .. })) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// EREADY has waited for too long, and the peer may be waiting for it to send anything.
    pub(super) fn say_ready_again(&mut self, id: ConnectionId, connection: &mut Connection) -> Result<(), S> {
        let agreed = matches!(connection.sync, RatchetSync::Agreed | RatchetSync::Ok);
        let able = self.ratchet(id)?.is_some_and(|ratchet| ratchet.can_send());
        if agreed && able { self.send_ready(id, connection) } else { Ok(()) }
    }

    pub(super) fn keep_new_ratchet(&mut self, id: ConnectionId, record: &NewRatchet) -> Result<(), S> {
        self.transaction.put(&Key::resynchronization(id), record)
    }

    pub(super) fn forget_new_ratchet(&mut self, id: ConnectionId, connection: &mut Connection) {
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
                self.keep_new_ratchet(id, &NewRatchet::of_peer(encoded(parameters)?))?;
                self.set_sync(id, connection, RatchetSync::Required)?;
                return self.dropped(id, ConnectionError::RatchetSync);
            }
        };
        let Ok(keys) = keys else { return self.dropped(id, ConnectionError::Crypto) };
        match self.agree(id, connection, parameters, &keys, answering)? {
            true => Ok(Then::Acknowledge),
            false => self.dropped(id, ConnectionError::Crypto),
        }
    }

    /// Takes the ratchet that follows from both sides' keys; not when there is none.
    fn agree(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        parameters: &AgreedParameters<'_>,
        keys: &Resynchronization,
        answering: bool,
    ) -> Result<bool, S> {
        let role = keys.role(parameters);
        let Ok(ratchet) = self.new_ratchet(keys, role, parameters, connection.post_quantum) else { return Ok(false) };
        if answering {
            self.send_ratchet_key(id, connection, keys)?;
        }
        self.replace_ratchet(id, &ratchet)?;
        forget_told(connection);
        self.set_sync(id, connection, RatchetSync::Agreed)?;
        self.forget_new_ratchet(id, connection);
        match role {
            Role::Sender | Role::Receiver => {
                if !answering {
                    self.keep_new_ratchet(id, &NewRatchet::of_peer(encoded(parameters)?))?;
                }
                if role == Role::Sender {
                    self.send_ready(id, connection)?;
                }
            }
            Role::Disagree => {
                let mut record = NewRatchet::new(stored_keys(keys)?);
                record.peer = encoded(parameters)?;
                self.keep_new_ratchet(id, &record)?;
                connection.role_doubt = Some(self.end_of_doubt(keys, parameters));
            }
        }
        Ok(true)
    }

    pub(super) fn send_ready(&mut self, id: ConnectionId, connection: &mut Connection) -> Result<(), S> {
        let message = Message::Ready(connection.received_number);
        self.send_message(id, connection, OutgoingKind::Ready, message, Manner::URGENT).map(drop)
    }

    /// EREADY. Who could not send before has not sent its own.
    pub(super) fn take_ready(&mut self, id: ConnectionId, connection: &mut Connection, first: bool) -> Result<(), S> {
        // Nothing is sent under a ratchet that is not known to work.
        let agreed = connection.sync == RatchetSync::Agreed;
        if !first || agreed || connection.send_queues.is_empty() || connection.deleting.is_some() {
            return Ok(());
        }
        self.send_ready(id, connection)
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
        match connection.sync {
            RatchetSync::Ok => return Ok(()),
            RatchetSync::Started => {
                // The old ratchet works as long as it is there.
                let record = self.transaction.get::<NewRatchet>(&Key::resynchronization(id))?;
                if record.is_none_or(|record| record.peer.is_empty()) {
                    return Ok(());
                }
                self.forget_new_ratchet(id, connection);
            }
            RatchetSync::Allowed | RatchetSync::Required => {
                let record = self.transaction.get::<NewRatchet>(&Key::resynchronization(id))?;
                if let Some(record) = record.filter(NewRatchet::is_unanswered) {
                    // The peer uses what was agreed, and has started again all the same: it waits for an answer.
                    return self.answer_late(id, connection, &record);
                }
            }
            RatchetSync::Agreed if connection.role_doubt.is_none() => self.forget_new_ratchet(id, connection),
            RatchetSync::Agreed => {}
        }
        // What was said of queues last may be among what could not be read.
        super::rotate::say_again(connection);
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

    fn answer_late(&mut self, id: ConnectionId, connection: &mut Connection, record: &NewRatchet) -> Result<(), S> {
        self.forget_new_ratchet(id, connection);
        self.set_sync(id, connection, RatchetSync::Ok)?;
        let parameters = AgreedParameters::from_bytes(&record.peer).map_err(|_| Error::Record)?;
        let versions = self.configuration.ratchet_versions;
        let keys = Resynchronization::answer(&mut self.random, versions, &parameters, proposes(connection));
        if let Ok(keys) = keys {
            self.agree(id, connection, &parameters, &keys, true)?;
        }
        Ok(())
    }
}

impl NewRatchet {
    fn new(keys: Vec<u8>) -> Self {
        Self { keys, peer: Vec::new(), sender: false, works: false, other: Vec::new() }
    }

    /// Keys of the peer's without own ones.
    fn of_peer(peer: Vec<u8>) -> Self {
        Self { keys: Vec::new(), peer, sender: false, works: false, other: Vec::new() }
    }

    /// Whether it is only keys of the peer's, for a new start.
    fn is_unanswered(&self) -> bool {
        self.keys.is_empty()
    }
}

/// What was said under another ratchet and still waits will not be read.
fn forget_told(connection: &mut Connection) {
    for queue in &mut connection.send_queues {
        queue.key_message = None;
    }
    for queue in &mut connection.receive_queues {
        queue.continue_message = None;
    }
}

/// Whether a key for encapsulation is proposed.
fn proposes(connection: &Connection) -> bool {
    connection.post_quantum && connection.agent_version() >= ENCAPSULATION_AGENT_VERSION
}

fn encoded<E>(parameters: &AgreedParameters<'_>) -> core::result::Result<Vec<u8>, Error<E>> {
    let mut buffer = vec![0; AgreedParameters::MAX_LENGTH];
    parameters.to_slice(&mut buffer).map(|bytes| bytes.to_vec()).map_err(|_| Error::Record)
}

fn stored_keys<E>(keys: &Resynchronization) -> core::result::Result<Vec<u8>, Error<E>> {
    let mut buffer = vec![0; Resynchronization::MAX_SERIALIZED_LENGTH];
    keys.to_bytes(&mut buffer).map(|bytes| bytes.to_vec()).map_err(|_| Error::Record)
}
