//! The party that answers an invitation.

use serde::{Deserialize, Serialize};
use smp_proto::agent::{AgreedParameters, Encapsulation, RatchetParameters};
use smp_proto::key::X448PublicKey;
use smp_proto::version::{RatchetVersion, VersionRange};

use super::agreement_keys::{AgreementKeys, StoredKeys};
use super::encapsulation::OwnParts;
use super::new_keys::NewKeys;
use super::x3dh::{self, PeerKeys};
use super::{Error, Ratchet, stored};
use crate::key::secret_debug;
use crate::sntrup761::{CIPHERTEXT_LENGTH, SharedSecret};

const FORMAT: u8 = 1;

/// A party that answers an invitation: its keys, and what it answers.
///
/// [`Joiner::ratchet`] makes the ratchet. To be able to send the same [`Joiner::parameters`] again keep their encoding,
/// or the joiner until the connection is confirmed; a ratchet made once is kept, not made anew.
///
/// # Stored form
///
/// Postcard: the format, 1 (`u8`); the version and the highest version (`u16` each); for both key pairs the secret and the
/// public key (56 bytes each, length first); the encapsulation key (option; 1763 bytes, length first); the peer's first and
/// second key (56 bytes each, length first); what was encapsulated to the peer (option of the ciphertext of 1039 and the
/// secret of 32 bytes, length first). What follows is ignored.
pub struct Joiner {
    version: RatchetVersion,
    max_version: RatchetVersion,
    keys: AgreementKeys,
    peer: PeerKeys,
    accepted: Option<Accepted>,
}

/// What was encapsulated to the key of the invitation.
struct Accepted {
    ciphertext: [u8; CIPHERTEXT_LENGTH],
    secret: SharedSecret,
}

#[derive(Serialize, Deserialize)]
struct StoredPeer<'a> {
    first: &'a [u8],
    second: &'a [u8],
    accepted: Option<(&'a [u8], &'a [u8])>,
}

secret_debug!(Joiner);

impl zeroize::ZeroizeOnDrop for Joiner {}

impl Joiner {
    /// The longest stored form in bytes.
    pub const MAX_SERIALIZED_LENGTH: usize =
        1 + 3 + 3 + StoredKeys::MAX_LENGTH + 57 + 57 + 1 + 2 + CIPHERTEXT_LENGTH + 33;

    /// Chooses the highest common version and makes keys to answer an invitation with.
    ///
    /// With `encapsulation`, from version 3 on, a secret is encapsulated to the key of the invitation; when that has none,
    /// a key is proposed. Fails with [`Error::Version`] when the versions do not overlap.
    pub fn answer(
        new_keys: &mut dyn NewKeys,
        versions: VersionRange<RatchetVersion>,
        invitation: &RatchetParameters,
        encapsulation: bool,
    ) -> Result<Self, Error> {
        let versions = versions.intersection(&VersionRange::RATCHET).ok_or(Error::Version)?;
        let version = versions.intersection(&invitation.versions).ok_or(Error::Version)?.max();
        let encapsulation = encapsulation && version >= RatchetVersion::ENCAPSULATION;
        let mut joiner = Self {
            version,
            max_version: versions.max(),
            keys: AgreementKeys::NONE,
            peer: PeerKeys { first: invitation.first_key, second: invitation.second_key },
            accepted: None,
        };
        joiner.keys.generate(new_keys, encapsulation);
        if encapsulation && let Some(key) = &invitation.encapsulation_key {
            let empty = Accepted { ciphertext: [0; CIPHERTEXT_LENGTH], secret: SharedSecret::from_bytes([0; 32]) };
            let accepted = joiner.accepted.insert(empty);
            accepted.secret = new_keys.encapsulate(&key.0, &mut accepted.ciphertext);
        }
        Ok(joiner)
    }

    /// The version that was chosen.
    #[must_use]
    pub const fn version(&self) -> RatchetVersion {
        self.version
    }

    /// What the confirmation says.
    #[must_use]
    pub fn parameters(&self) -> AgreedParameters<'_> {
        AgreedParameters {
            version: self.version,
            first_key: self.keys.first.public,
            second_key: self.keys.second.public,
            encapsulation: match (&self.accepted, self.keys.encapsulation()) {
                (Some(accepted), Some(secret)) => {
                    Some(Encapsulation::Accepted { ciphertext: &accepted.ciphertext, key: secret.public_key() })
                }
                _ => self.keys.proposal(),
            },
        }
    }

    /// Makes the ratchet. It can send at once.
    pub fn ratchet(&self, new_keys: &mut dyn NewKeys) -> Result<Ratchet, Error> {
        let accepted = self.accepted.as_ref();
        let secret = accepted.map(|accepted| &accepted.secret);
        let ciphertext = accepted.map(|accepted| &accepted.ciphertext);
        let own = self.keys.encapsulation().map(|secret| OwnParts { secret, ciphertext });
        send(&self.keys, (self.version, self.max_version), &self.peer, own, secret, new_keys)
    }

    /// Writes the stored form and gives it. It is as secret as the keys.
    ///
    /// Fails with [`Error::TooLong`] when `out` is too small; [`Self::MAX_SERIALIZED_LENGTH`] is always enough.
    pub fn to_bytes<'b>(&self, out: &'b mut [u8]) -> Result<&'b mut [u8], Error> {
        let mut writer = stored::Writer::new(out);
        writer.write(&(FORMAT, self.version.0, self.max_version.0))?;
        writer.write(&self.keys.stored())?;
        let accepted = self.accepted.as_ref();
        writer.write(&StoredPeer {
            first: &self.peer.first.0,
            second: &self.peer.second.0,
            accepted: accepted.map(|accepted| (&accepted.ciphertext[..], &accepted.secret.as_bytes()[..])),
        })?;
        writer.finish()
    }

    /// Reads the stored form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = stored::Reader::new(bytes, FORMAT)?;
        let (version, max_version): (u16, u16) = reader.read()?;
        let keys = reader.read::<StoredKeys<'_>>()?.read()?;
        let peer: StoredPeer<'_> = reader.read()?;
        let range = VersionRange::new(RatchetVersion(version), RatchetVersion(max_version));
        if !range.is_ok_and(|range| VersionRange::RATCHET.intersection(&range) == Some(range)) {
            return Err(Error::Stored);
        }
        let accepted = match peer.accepted {
            None => None,
            // A secret goes with an own key; without one it could not be announced.
            Some(_) if keys.encapsulation().is_none() => return Err(Error::Stored),
            Some((ciphertext, secret)) => Some(Accepted {
                ciphertext: *stored::exact(ciphertext)?,
                secret: SharedSecret::from_bytes(*stored::exact(secret)?),
            }),
        };
        Ok(Self {
            version: RatchetVersion(version),
            max_version: RatchetVersion(max_version),
            keys,
            peer: PeerKeys {
                first: X448PublicKey(*stored::exact(peer.first)?),
                second: X448PublicKey(*stored::exact(peer.second)?),
            },
            accepted,
        })
    }
}

/// The ratchet of the party that sends first. `versions` are the current one and the highest.
pub(super) fn send(
    own: &AgreementKeys,
    versions: (RatchetVersion, RatchetVersion),
    peer: &PeerKeys,
    kept: Option<OwnParts<'_>>,
    secret: Option<&SharedSecret>,
    new_keys: &mut dyn NewKeys,
) -> Result<Ratchet, Error> {
    let agreed = x3dh::join(own, peer, secret)?;
    Ratchet::sending(versions, agreed, &peer.second, new_keys.key_pair(), kept, secret)
}
