//! The post-quantum part: whose encapsulation key is proposed, accepted and answered (wire reference of the ratchet,
//! section 12).

use smp_proto::agent::Encapsulation;

use super::Error;
use super::new_keys::NewKeys;
use crate::sntrup761::{self, CIPHERTEXT_LENGTH, SECRET_KEY_LENGTH, SecretKey, SharedSecret};

/// Own encapsulation key, and what was encapsulated to the peer's.
///
/// Neither the peer's key nor the encapsulated secret is kept: both have done their work.
pub(super) struct OwnEncapsulation {
    pub(super) secret: SecretKey,
    pub(super) ciphertext: Option<[u8; CIPHERTEXT_LENGTH]>,
}

/// The parts of an [`OwnEncapsulation`], where they are.
#[derive(Clone, Copy)]
pub(super) struct OwnParts<'a> {
    pub(super) secret: &'a SecretKey,
    pub(super) ciphertext: Option<&'a [u8; CIPHERTEXT_LENGTH]>,
}

impl OwnEncapsulation {
    /// Puts copies in place.
    pub(super) fn put(
        own: &mut Option<Self>,
        secret: &[u8; SECRET_KEY_LENGTH],
        ciphertext: Option<&[u8; CIPHERTEXT_LENGTH]>,
    ) {
        make_room(own, ciphertext);
        if let Some(own) = own {
            own.secret.set_bytes(secret);
        }
    }

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

/// What is announced from the next step of the ratchet on.
#[expect(clippy::large_enum_variant, reason = "it lives in place: there is no allocator")]
pub(super) enum Answer {
    /// Nothing: encapsulation is not, or no more, in use.
    Nothing,
    /// A new key.
    Propose,
    /// A new key, and what was encapsulated to the peer's.
    Accept([u8; CIPHERTEXT_LENGTH]),
}

impl Answer {
    /// Becomes the answer to what the peer announced, and gives the secret for the sending chain.
    #[inline(never)]
    pub(super) fn become_answer(
        &mut self,
        enabled: bool,
        has_own: bool,
        announced: Option<Encapsulation<'_>>,
        new_keys: &mut dyn NewKeys,
    ) -> Option<SharedSecret> {
        *self = match announced {
            _ if !enabled => Self::Nothing,
            None if has_own => Self::Nothing,
            None => Self::Propose,
            Some(_) => Self::Accept([0; CIPHERTEXT_LENGTH]),
        };
        match (self, announced) {
            (Self::Accept(ciphertext), Some(announced)) => Some(new_keys.encapsulate(announced.key(), ciphertext)),
            _ => None,
        }
    }

    /// Takes the place of what was announced before. The key stays the old one, or none, until a new one is made in it.
    pub(super) fn take_place(&self, own: &mut Option<OwnEncapsulation>) {
        match self {
            Self::Nothing => *own = None,
            Self::Propose => make_room(own, None),
            Self::Accept(ciphertext) => make_room(own, Some(ciphertext)),
        }
    }
}

fn make_room(own: &mut Option<OwnEncapsulation>, ciphertext: Option<&[u8; CIPHERTEXT_LENGTH]>) {
    let own = own.get_or_insert_with(|| OwnEncapsulation { secret: SecretKey::zeroed(), ciphertext: None });
    own.ciphertext = ciphertext.copied();
}
