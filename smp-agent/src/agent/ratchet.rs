//! The ratchet of a connection and what belongs to it, between the storage and the state machine.

use alloc::vec;
use alloc::vec::Vec;

use rand_core::CryptoRng;
use serde_bytes::{ByteBuf, Bytes};
use smp_crypto::hash::sha256;
use smp_crypto::ratchet::{DecryptError, Error as RatchetError, Initiator, Ratchet};

use super::{Agent, Result};
use crate::error::Error;
use crate::id::ConnectionId;
use crate::late::LateKeys;
use crate::record::ReceivedHashes;
use crate::storage::Storage;
use crate::table::Key;

/// A message that a ratchet opened.
pub(super) struct Opened {
    pub(super) plaintext: Vec<u8>,
    pub(super) post_quantum: bool,
    /// Whether the ratchet could not send before this message.
    pub(super) first: bool,
    /// Whether the peer answers with it to what it was sent.
    pub(super) answers: bool,
}

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    /// The ratchet of a connection.
    pub(super) fn ratchet(&mut self, id: ConnectionId) -> Result<Option<Ratchet>, S> {
        let stored = self.transaction.get::<ByteBuf>(&Key::ratchet(id))?;
        stored.map(|bytes| Ratchet::from_bytes(&bytes).map_err(|_| Error::Record)).transpose()
    }

    pub(super) fn save_ratchet(&mut self, id: ConnectionId, ratchet: &Ratchet) -> Result<(), S> {
        let mut buffer = vec![0; Ratchet::MAX_SERIALIZED_LENGTH];
        let bytes: &[u8] = ratchet.to_bytes(&mut buffer).map_err(|_| Error::Record)?;
        self.transaction.put(&Key::ratchet(id), &Bytes::new(bytes))
    }

    /// A ratchet takes the place of the one before, whose late messages cannot be read any more.
    pub(super) fn replace_ratchet(&mut self, id: ConnectionId, ratchet: &Ratchet) -> Result<(), S> {
        self.transaction.delete(&Key::skipped(id));
        self.save_ratchet(id, ratchet)
    }

    /// A ratchet was made from what turned out to be no answer.
    pub(super) fn forget_ratchet(&mut self, id: ConnectionId) {
        self.transaction.delete(&Key::ratchet(id));
        self.transaction.delete(&Key::skipped(id));
    }

    /// The keys of an invitation.
    pub(super) fn initiator(&mut self, id: ConnectionId) -> Result<Option<Initiator>, S> {
        let stored = self.transaction.get::<Vec<u8>>(&Key::agreement(id))?;
        stored.map(|bytes| Initiator::from_bytes(&bytes).map_err(|_| Error::Record)).transpose()
    }

    /// Makes the keys of an invitation.
    pub(super) fn make_initiator(&mut self, id: ConnectionId, encapsulation: bool) -> Result<(), S> {
        let versions = self.configuration.ratchet_versions;
        let initiator = Initiator::generate(&mut self.random, versions, encapsulation);
        let mut buffer = vec![0; Initiator::MAX_SERIALIZED_LENGTH];
        let bytes = initiator.to_bytes(&mut buffer).map_err(|_| Error::Record)?.to_vec();
        self.transaction.put(&Key::agreement(id), &bytes)
    }

    /// The keys of an invitation have done their work.
    pub(super) fn forget_initiator(&mut self, id: ConnectionId) {
        self.transaction.delete(&Key::agreement(id));
    }

    /// Decrypts a message and saves what that changed. The inner error says why it cannot be read; nothing changed then.
    pub(super) fn decrypt(
        &mut self,
        id: ConnectionId,
        ratchet: &mut Ratchet,
        message: &mut [u8],
    ) -> Result<core::result::Result<Opened, RatchetError>, S> {
        let key = Key::skipped(id);
        let mut late = self.transaction.get::<LateKeys>(&key)?.unwrap_or_default();
        let had_late = !late.is_empty();
        let first = !ratchet.can_send();
        let opened = match ratchet.decrypt(&mut late, &mut self.random, message) {
            Ok(opened) => Opened {
                plaintext: opened.message.to_vec(),
                post_quantum: opened.encapsulated,
                first,
                answers: opened.advanced,
            },
            Err(DecryptError::Ratchet(error)) => return Ok(Err(error)),
            Err(DecryptError::Store(never)) => match never {},
        };
        self.save_ratchet(id, ratchet)?;
        if !late.is_empty() {
            self.transaction.put(&key, &late)?;
        } else if had_late {
            self.transaction.delete(&key);
        }
        Ok(Ok(opened))
    }

    /// Whether an encrypted message was read before.
    pub(super) fn was_received(&mut self, id: ConnectionId, encrypted: &[u8]) -> Result<bool, S> {
        let hash = sha256(&[&self.state.salt.0, &sha256(&[encrypted])]);
        let key = Key::received(id, ReceivedHashes::bucket(&hash));
        Ok(self.transaction.get::<ReceivedHashes>(&key)?.is_some_and(|hashes| hashes.contains(&hash)))
    }

    /// Remembers that an encrypted message was read, by the hash it had when it arrived.
    pub(super) fn remember_received(&mut self, id: ConnectionId, hash: &[u8; 32]) -> Result<(), S> {
        let hash = sha256(&[&self.state.salt.0, hash]);
        let key = Key::received(id, ReceivedHashes::bucket(&hash));
        let mut hashes = self.transaction.get::<ReceivedHashes>(&key)?.unwrap_or_default();
        hashes.forget_before(self.oldest_day());
        hashes.insert(&hash, self.now.day(), self.configuration.remembered_messages);
        self.transaction.put(&key, &hashes)
    }
}
