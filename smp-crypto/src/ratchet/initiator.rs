//! The party that invites.

use smp_proto::agent::ratchet_parameters::EncapsulationKey;
use smp_proto::agent::{AgreedParameters, Encapsulation, RatchetParameters};
use smp_proto::version::{RatchetVersion, VersionRange};

use super::agreement_keys::{AgreementKeys, StoredKeys};
use super::encapsulation::OwnParts;
use super::new_keys::NewKeys;
use super::x3dh::{self, PeerKeys};
use super::{Error, Ratchet, stored};
use crate::key::secret_debug;
use crate::sntrup761;

const FORMAT: u8 = 1;

/// A party that published its keys in an invitation and waits for the other's.
///
/// [`Initiator::accept`] makes the ratchet. Keep the keys until the connection is confirmed and drop them then: an answer
/// that does not work leaves them usable for the right one.
///
/// # Stored form
///
/// Postcard: the format, 1 (`u8`); the range of versions (two `u16`); for both key pairs the secret and the public key
/// (56 bytes each, length first); the encapsulation key (option; 1763 bytes, length first). What follows is ignored.
pub struct Initiator {
    keys: AgreementKeys,
    versions: VersionRange<RatchetVersion>,
}

secret_debug!(Initiator);

impl zeroize::ZeroizeOnDrop for Initiator {}

impl Initiator {
    /// The longest stored form in bytes.
    pub const MAX_SERIALIZED_LENGTH: usize = 1 + 3 + 3 + StoredKeys::MAX_LENGTH;

    /// Makes keys for an invitation. `propose` makes one for encapsulation, too.
    pub fn generate(new_keys: &mut dyn NewKeys, versions: VersionRange<RatchetVersion>, propose: bool) -> Self {
        let mut initiator = Self { keys: AgreementKeys::NONE, versions };
        initiator.keys.generate(new_keys, propose);
        initiator
    }

    /// What the invitation says.
    #[must_use]
    pub fn parameters(&self) -> RatchetParameters {
        let encapsulation = self.keys.encapsulation();
        RatchetParameters {
            versions: self.versions,
            first_key: self.keys.first.public,
            second_key: self.keys.second.public,
            encapsulation_key: encapsulation.map(|secret| EncapsulationKey(*secret.public_key())),
        }
    }

    /// Makes the ratchet from the answer of the party that joined. It receives first and cannot send before.
    ///
    /// `encapsulation` tells whether the connection supports encapsulation (section 12.1).
    pub fn accept(&self, answer: &AgreedParameters<'_>, encapsulation: bool) -> Result<Ratchet, Error> {
        let versions = self.versions.intersection(&VersionRange::RATCHET).ok_or(Error::Version)?;
        if !versions.contains(answer.version) {
            return Err(Error::Version);
        }
        receive(&self.keys, (answer.version, versions.max()), answer, encapsulation)
    }

    /// Writes the stored form and gives it. It is as secret as the keys.
    ///
    /// Fails with [`Error::TooLong`] when `out` is too small; [`Self::MAX_SERIALIZED_LENGTH`] is always enough.
    pub fn to_bytes<'b>(&self, out: &'b mut [u8]) -> Result<&'b mut [u8], Error> {
        let mut writer = stored::Writer::new(out);
        writer.write(&(FORMAT, self.versions.min().0, self.versions.max().0))?;
        writer.write(&self.keys.stored())?;
        writer.finish()
    }

    /// Reads the stored form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = stored::Reader::new(bytes, FORMAT)?;
        let (min, max) = reader.read()?;
        let versions = VersionRange::new(RatchetVersion(min), RatchetVersion(max)).map_err(|_| Error::Stored)?;
        Ok(Self { keys: reader.read::<StoredKeys<'_>>()?.read()?, versions })
    }
}

/// The ratchet of the party that receives first. `versions` are the current one and the highest.
pub(super) fn receive(
    own: &AgreementKeys,
    versions: (RatchetVersion, RatchetVersion),
    peer: &AgreedParameters<'_>,
    encapsulation: bool,
) -> Result<Ratchet, Error> {
    let encapsulates = versions.0 >= RatchetVersion::ENCAPSULATION;
    let (secret, kept) = match (peer.encapsulation, own.encapsulation()) {
        (Some(Encapsulation::Accepted { .. }), None) => return Err(Error::Encapsulation),
        (Some(Encapsulation::Accepted { ciphertext, .. }), Some(secret)) if encapsulates => {
            let shared = sntrup761::decapsulate(secret, ciphertext);
            (Some(shared), Some(OwnParts { secret, ciphertext: Some(ciphertext) }))
        }
        _ => (None, None),
    };
    let peer = PeerKeys { first: peer.first_key, second: peer.second_key };
    let agreed = x3dh::initiate(own, &peer, secret.as_ref())?;
    Ok(Ratchet::receiving(versions, agreed, own.second.duplicate(), kept, encapsulation && encapsulates))
}
