//! One party: the library's ratchet and the oracle, side by side.

use smp_crypto::ratchet::{Changed, DecryptError, EncapsulationRequest, Error, PreparedMessage, Ratchet, Sending};
use smp_proto::version::RatchetVersion;

use crate::counters::Counters;
use crate::keys::Keys;
use crate::oracle::{Oracle, Place, Received, Slot};
use crate::store::{Failed, Step, Store};

/// What was sent.
#[derive(Clone)]
pub struct Message {
    pub bytes: Vec<u8>,
    pub text: Vec<u8>,
    pub place: Place,
    pub received: bool,
}

pub struct Party {
    pub ratchet: Ratchet,
    pub store: Store,
    pub oracle: Oracle,
    pub keys: Keys,
}

/// What a program saves.
#[derive(Clone)]
pub struct Saved {
    ratchet: Vec<u8>,
    store: Store,
    oracle: Oracle,
}

/// The stored form of a ratchet.
pub fn stored(ratchet: &Ratchet) -> Vec<u8> {
    ratchet.to_bytes(&mut [0; Ratchet::MAX_SERIALIZED_LENGTH]).unwrap().to_vec()
}

impl Party {
    pub fn save(&self) -> Saved {
        Saved { ratchet: stored(&self.ratchet), store: self.store.clone(), oracle: self.oracle.clone() }
    }

    pub fn load(&mut self, saved: Saved) {
        self.ratchet = Ratchet::from_bytes(&saved.ratchet).unwrap();
        assert!(stored(&self.ratchet) == saved.ratchet, "a state is not stored as it was read");
        (self.store, self.oracle) = (saved.store, saved.oracle);
        self.check();
    }

    /// Compares what the ratchet shows with what the rules say.
    pub fn check(&self) {
        let (ratchet, oracle) = (&self.ratchet, &self.oracle);
        assert_eq!(ratchet.version().0, oracle.version);
        assert_eq!(ratchet.can_send(), oracle.chain.is_some());
        assert_eq!(ratchet.sends_encapsulated(), oracle.sends_encapsulated);
        assert_eq!(ratchet.receives_encapsulated(), oracle.receives_encapsulated);
        assert_eq!(self.store.len(), oracle.late.len());
        if let Some((keys, _)) = self.store.limits() {
            assert!(self.store.len() <= keys);
        }
    }

    fn sending(&self, request: EncapsulationRequest) -> Sending {
        Sending { encapsulation: request, max_version: RatchetVersion(self.oracle.program) }
    }

    /// Sends a message, or takes its number only.
    pub fn send(
        &mut self,
        request: EncapsulationRequest,
        text: &[u8],
        padded_length: usize,
        two_steps: bool,
        counters: &mut Counters,
    ) -> Option<Message> {
        let sending = self.sending(request);
        let mut out = vec![0; 2364 + padded_length];
        if self.oracle.chain.is_none() {
            let before = stored(&self.ratchet);
            assert_eq!(self.ratchet.encrypt(sending, text, padded_length, &mut out).err(), Some(Error::NotReady));
            assert!(stored(&self.ratchet) == before, "what cannot be sent changes the ratchet");
            counters.refused_before_ready += 1;
            return None;
        }
        let length = self.ratchet.encrypted_length(sending, padded_length);
        let place = self.oracle.send(request);
        let bytes = if two_steps {
            let prepared = self.ratchet.prepare(sending).unwrap();
            let mut buffer = [0; PreparedMessage::MAX_SERIALIZED_LENGTH];
            let stored = prepared.to_bytes(&mut buffer).unwrap();
            drop(prepared);
            let prepared = PreparedMessage::from_bytes(stored).unwrap();
            counters.sent_in_two_steps += 1;
            prepared.seal(text, padded_length, &mut out).unwrap().to_vec()
        } else {
            self.ratchet.encrypt(sending, text, padded_length, &mut out).unwrap().to_vec()
        };
        assert_eq!((bytes.len(), length), (place.overhead + padded_length, place.overhead + padded_length));
        self.check();
        counters.sent += 1;
        Some(Message { bytes, text: text.to_vec(), place, received: false })
    }

    /// Sends a message that is lost at once.
    pub fn lose(&mut self, request: EncapsulationRequest, counters: &mut Counters) {
        if self.oracle.chain.is_some() {
            self.oracle.send(request);
            drop(self.ratchet.prepare(self.sending(request)).unwrap());
            counters.lost += 1;
        }
    }

    /// Takes an authentic message, for the first time or again, in this form. Tells whether it decrypted.
    pub fn receive(&mut self, message: &mut Message, bytes: &[u8], counters: &mut Counters) -> bool {
        let mut oracle = self.oracle.clone();
        match oracle.receive(&message.place) {
            Err(error) => {
                self.refuse(bytes, Some(error), counters);
                false
            }
            Ok(received) => {
                assert!(!message.received, "the rules take a message twice");
                self.accept(message, bytes, received, oracle, counters);
                message.received = true;
                true
            }
        }
    }

    fn accept(&mut self, message: &Message, bytes: &[u8], expected: Received, oracle: Oracle, counters: &mut Counters) {
        let mut bytes = bytes.to_vec();
        let result = self.ratchet.decrypt(&mut self.store, &mut self.keys, &mut bytes);
        let decrypted = result.unwrap_or_else(|error| panic!("{error:?} at {:?}", message.place));
        assert_eq!(decrypted.message, message.text);
        assert_eq!(decrypted.number, message.place.number);
        assert_eq!(decrypted.advanced, expected.advanced);
        assert_eq!(decrypted.encapsulated, oracle.receives_encapsulated);
        let skipped: u32 = expected.skipped.iter().sum();
        let changed = match (expected.late, skipped) {
            (true, _) => Changed::SkippedKeys,
            (false, 0) => Changed::Ratchet,
            (false, _) => Changed::RatchetAndSkippedKeys,
        };
        assert_eq!(decrypted.changed, changed);
        self.count(&oracle, expected, counters);
        self.oracle = oracle;
        self.check();
    }

    fn count(&self, after: &Oracle, received: Received, counters: &mut Counters) {
        let (before, skipped) = (&self.oracle, received.skipped.iter().sum::<u32>());
        counters.received_late += u64::from(received.late);
        counters.received_in_order += u64::from(!received.late && skipped == 0);
        counters.received_behind_a_gap += u64::from(skipped > 0);
        counters.skipped_keys += u64::from(skipped);
        counters.skipped_in_two_chains += u64::from(received.skipped.iter().all(|count| *count > 0));
        counters.gaps_at_the_limit += u64::from(received.skipped.contains(&512));
        counters.upgrades += u64::from(after.version > before.version);
        counters.forgotten_keys += after.forgotten - before.forgotten;
        if received.advanced {
            counters.steps_of_the_ratchet += 1;
            counters.received_encapsulated += u64::from(after.receives_encapsulated);
            match (before.slot, after.slot) {
                (_, Slot::Proposes) => counters.proposals += 1,
                (Slot::Accepts, Slot::Accepts) => counters.accepted_again += 1,
                (_, Slot::Accepts) => counters.accepted_for_the_first_time += 1,
                (Slot::Empty, Slot::Empty) => {}
                (_, Slot::Empty) => counters.encapsulation_ended += 1,
            }
        }
    }

    /// Takes a message that has to be refused, and that must change nothing.
    pub fn refuse(&mut self, bytes: &[u8], expected: Option<Error>, counters: &mut Counters) {
        let before = (stored(&self.ratchet), self.store.content());
        let mut copy = bytes.to_vec();
        match self.ratchet.decrypt(&mut self.store, &mut self.keys, &mut copy).err() {
            Some(DecryptError::Ratchet(error)) => {
                if let Some(expected) = expected {
                    assert_eq!(error, expected);
                }
                counters.refused(error);
            }
            other => panic!("{other:?} where a message has to be refused"),
        }
        self.assert_unchanged(&before, bytes, &copy);
    }

    /// Takes an authentic message while the disk fails.
    pub fn fail(&mut self, bytes: &[u8], step: Step, counters: &mut Counters) {
        let before = (stored(&self.ratchet), self.store.content());
        let saved = self.save();
        self.store.fails = Some(step);
        let mut copy = bytes.to_vec();
        let error = self.ratchet.decrypt(&mut self.store, &mut self.keys, &mut copy).err();
        // Not every message comes to every step.
        if self.store.repair() {
            assert_eq!(error, Some(DecryptError::Store(Failed)));
            self.assert_unchanged(&before, bytes, &copy);
            counters.failures_of_the_store += 1;
        } else {
            self.load(saved);
        }
    }

    fn assert_unchanged(&self, before: &(Vec<u8>, Vec<u8>), bytes: &[u8], copy: &[u8]) {
        assert!(stored(&self.ratchet) == before.0, "a refused message changed the ratchet");
        assert!(self.store.content() == before.1, "a refused message changed the skipped keys");
        assert!(copy == bytes, "a refused message was changed itself");
    }
}
