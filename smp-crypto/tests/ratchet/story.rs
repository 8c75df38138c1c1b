//! Two parties that talk.

use rand_chacha::ChaCha20Rng;
use smp_crypto::ratchet::{DecryptError, EncapsulationRequest, Error, Initiator, Joiner, Ratchet, Sending};
use smp_proto::version::{RatchetVersion, VersionRange};

use crate::common::random;
use crate::state::Store;

/// One party.
pub struct Side {
    pub ratchet: Ratchet,
    pub late: Box<Store>,
    pub random: ChaCha20Rng,
}

/// The party that joined, which can send, and the one that invited.
pub fn pair(version: u16, encapsulation: bool) -> (Side, Side) {
    pair_of(1, version, encapsulation)
}

/// The same with other keys.
pub fn pair_of(seed: u64, version: u16, encapsulation: bool) -> (Side, Side) {
    let (mut one, mut other) = (random(seed), random(seed + 1));
    let versions = VersionRange::new(RatchetVersion(2), RatchetVersion(version)).unwrap();
    let initiator = Initiator::generate(&mut other, versions, encapsulation);
    let joiner = Joiner::answer(&mut one, versions, &initiator.parameters(), encapsulation).unwrap();
    let joined = joiner.ratchet(&mut one).unwrap();
    let accepted = initiator.accept(&joiner.parameters(), encapsulation).unwrap();
    (
        Side { ratchet: joined, late: Box::default(), random: one },
        Side { ratchet: accepted, late: Box::default(), random: other },
    )
}

impl Side {
    pub fn send(&mut self, text: &[u8]) -> Vec<u8> {
        self.send_with(EncapsulationRequest::Unset, text)
    }

    pub fn send_with(&mut self, encapsulation: EncapsulationRequest, text: &[u8]) -> Vec<u8> {
        let mut buffer = [0; 3000];
        let max_version = self.ratchet.version();
        self.ratchet.encrypt(Sending { encapsulation, max_version }, text, 60, &mut buffer).unwrap().to_vec()
    }

    pub fn receive(&mut self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let mut message = message.to_vec();
        match self.ratchet.decrypt(&mut *self.late, &mut self.random, &mut message) {
            Ok(decrypted) => Ok(decrypted.message.to_vec()),
            Err(DecryptError::Ratchet(error)) => Err(error),
            Err(DecryptError::Store(never)) => match never {},
        }
    }
}
