//! The post-quantum part: whose encapsulation key is proposed, accepted and answered (wire reference of the ratchet,
//! section 12).

use smp_proto::agent::Encapsulation;

use super::Error;
use super::new_keys::NewKeys;
use crate::sntrup761::{self, CIPHERTEXT_LENGTH, SecretKey, SharedSecret};

/// Own encapsulation key, and what was encapsulated to the peer's.
///
/// Neither the peer's key nor the encapsulated secret is kept: both have done their work.
pub(super) struct OwnEncapsulation {
    pub(super) secret: SecretKey,
    pub(super) ciphertext: Option<[u8; CIPHERTEXT_LENGTH]>,
}

impl OwnEncapsulation {
    /// What headers say.
    pub(super) fn announce(&self) -> Encapsulation<'_> {
        let key = self.secret.public_key();
        match &self.ciphertext {
            None => Encapsulation::Proposed { key },
            Some(ciphertext) => Encapsulation::Accepted { ciphertext, key },
        }
    }
}

/// Refuses an answer to a proposal that was not made.
pub(super) fn check(own: Option<&OwnEncapsulation>, announced: Option<Encapsulation<'_>>) -> Result<(), Error> {
    match (announced, own) {
        (Some(Encapsulation::Accepted { .. }), None) => Err(Error::Encapsulation),
        _ => Ok(()),
    }
}

/// The secret the peer encapsulated, when it has accepted.
#[inline(never)]
pub(super) fn receive(
    own: Option<&OwnEncapsulation>,
    announced: Option<Encapsulation<'_>>,
) -> Result<Option<SharedSecret>, Error> {
    match (announced, own) {
        (Some(Encapsulation::Accepted { ciphertext, .. }), Some(own)) => {
            Ok(Some(sntrup761::decapsulate(&own.secret, ciphertext)))
        }
        (Some(Encapsulation::Accepted { .. }), None) => Err(Error::Encapsulation),
        _ => Ok(None),
    }
}

/// Answers what the peer announced: gives the secret for the sending chain and leaves in `answer` what is announced from
/// now on.
#[inline(never)]
pub(super) fn send(
    enabled: bool,
    has_own: bool,
    announced: Option<Encapsulation<'_>>,
    new_keys: &mut dyn NewKeys,
    answer: &mut Option<OwnEncapsulation>,
) -> Option<SharedSecret> {
    *answer = None;
    if !enabled || (announced.is_none() && has_own) {
        return None;
    }
    let own = answer.insert(OwnEncapsulation { secret: SecretKey::zeroed(), ciphertext: None });
    new_keys.encapsulation_key(&mut own.secret);
    let key = announced?.key();
    Some(new_keys.encapsulate(key, own.ciphertext.insert([0; CIPHERTEXT_LENGTH])))
}
