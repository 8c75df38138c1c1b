//! A new ratchet over the queues of a connection whose old one is broken (wire reference of the ratchet, section 14).

use smp_proto::agent::{AgreedParameters, Encapsulation};
use smp_proto::version::{RatchetVersion, VersionRange};

use super::agreement_keys::{self, AgreementKeys, StoredKeys};
use super::encapsulation::OwnParts;
use super::new_keys::NewKeys;
use super::x3dh::PeerKeys;
use super::{Error, Ratchet, initiator, joiner, stored};
use crate::key::secret_debug;

const FORMAT: u8 = 1;

/// How many keys are made in search of a pair whose role is clear. Every second one is, so a random source that fails
/// here is none.
const ATTEMPTS: usize = 128;

/// Which side of the new ratchet a party takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Its own hash is the lower one, or equal: it receives first.
    Receiver,
    /// Its own hash is the higher one: it sends first.
    Sender,
    /// The two orders in the field do not agree, so the role of the peer is unknown.
    ///
    /// Take [`Resynchronization::receiver`] and keep the keys. When no message decrypts within a few seconds take
    /// [`Resynchronization::sender`] and send.
    Disagree,
}

impl Role {
    /// The role of the party whose keys have the hash `own`, by both orders in the field: of unsigned octets, and of
    /// signed ones, which a released peer compares by where `char` is signed.
    #[must_use]
    pub fn by_hashes(own: &[u8; 32], peer: &[u8; 32]) -> Self {
        // Signed octets are in the order of unsigned ones with their highest bit changed.
        let signed = own.iter().map(|octet| octet ^ 0x80).le(peer.iter().map(|octet| octet ^ 0x80));
        match (own <= peer, signed) {
            (true, true) => Self::Receiver,
            (false, false) => Self::Sender,
            _ => Self::Disagree,
        }
    }
}

/// The hash of the keys of a peer that re-synchronises. A connection handles each hash once.
#[must_use]
pub fn key_hash(peer: &AgreedParameters<'_>) -> [u8; 32] {
    agreement_keys::hash(&peer.first_key, &peer.second_key)
}

/// A party that re-synchronises: its new keys.
///
/// # Stored form
///
/// Postcard: the format, 1 (`u8`); the version it sent and the highest version (`u16` each); the keys as
/// [`Initiator`](super::Initiator) stores them. What follows is ignored.
pub struct Resynchronization {
    keys: AgreementKeys,
    version: RatchetVersion,
    max_version: RatchetVersion,
}

secret_debug!(Resynchronization);

impl zeroize::ZeroizeOnDrop for Resynchronization {}

impl Resynchronization {
    /// The longest stored form in bytes.
    pub const MAX_SERIALIZED_LENGTH: usize = 1 + 3 + 3 + StoredKeys::MAX_LENGTH;

    /// Makes keys to start with, before anything of the peer's is known. `encapsulation` tells whether the connection
    /// supports it; a key is proposed then.
    pub fn start(new_keys: &mut dyn NewKeys, max_version: RatchetVersion, encapsulation: bool) -> Self {
        let max_version = max_version.min(RatchetVersion::MAX);
        let encapsulation = encapsulation && max_version >= RatchetVersion::ENCAPSULATION;
        let mut start = Self { keys: AgreementKeys::NONE, version: max_version, max_version };
        start.keys.generate(new_keys, encapsulation);
        start
    }

    /// Makes keys to answer a peer that started. Its role against these keys is the same in both orders in the field.
    pub fn answer(
        new_keys: &mut dyn NewKeys,
        versions: VersionRange<RatchetVersion>,
        peer: &AgreedParameters<'_>,
        encapsulation: bool,
    ) -> Result<Self, Error> {
        let versions = versions.intersection(&VersionRange::RATCHET).ok_or(Error::Version)?;
        if !versions.contains(peer.version) {
            return Err(Error::Version);
        }
        let encapsulation = encapsulation && peer.version >= RatchetVersion::ENCAPSULATION;
        let mut answer = Self { keys: AgreementKeys::NONE, version: peer.version, max_version: versions.max() };
        answer.keys.generate(new_keys, encapsulation);
        for _ in 0..ATTEMPTS {
            if answer.role(peer) != Role::Disagree {
                return Ok(answer);
            }
            answer.keys.first = new_keys.key_pair();
        }
        Err(Error::Random)
    }

    /// What the key message says.
    #[must_use]
    pub fn parameters(&self) -> AgreedParameters<'_> {
        AgreedParameters {
            version: self.version,
            first_key: self.keys.first.public,
            second_key: self.keys.second.public,
            encapsulation: self.keys.proposal(),
        }
    }

    /// The role these keys have against the peer's.
    #[must_use]
    pub fn role(&self, peer: &AgreedParameters<'_>) -> Role {
        Role::by_hashes(&self.keys.hash(), &key_hash(peer))
    }

    /// The new ratchet of the side that receives first. `encapsulation` tells whether the connection supports it.
    pub fn receiver(&self, peer: &AgreedParameters<'_>, encapsulation: bool) -> Result<Ratchet, Error> {
        let versions = self.versions(peer)?;
        initiator::receive(&self.keys, versions, peer, encapsulation)
    }

    /// The new ratchet of the side that sends first.
    pub fn sender(&self, peer: &AgreedParameters<'_>, new_keys: &mut dyn NewKeys) -> Result<Ratchet, Error> {
        let versions = self.versions(peer)?;
        let secret = self.keys.encapsulation().filter(|_| versions.0 >= RatchetVersion::ENCAPSULATION);
        let own = secret.map(|secret| OwnParts { secret, ciphertext: None });
        let peer = PeerKeys { first: peer.first_key, second: peer.second_key };
        joiner::send(&self.keys, versions, &peer, own, None, new_keys)
    }

    /// Writes the stored form and gives it. It is as secret as the keys.
    ///
    /// Fails with [`Error::TooLong`] when `out` is too small; [`Self::MAX_SERIALIZED_LENGTH`] is always enough.
    pub fn to_bytes<'b>(&self, out: &'b mut [u8]) -> Result<&'b mut [u8], Error> {
        let mut writer = stored::Writer::new(out);
        writer.write(&(FORMAT, self.version.0, self.max_version.0))?;
        writer.write(&self.keys.stored())?;
        writer.finish()
    }

    /// Reads the stored form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = stored::Reader::new(bytes, FORMAT)?;
        let (version, max_version): (u16, u16) = reader.read()?;
        let keys = reader.read::<StoredKeys<'_>>()?.read()?;
        let range = VersionRange::new(RatchetVersion(version), RatchetVersion(max_version));
        if !range.is_ok_and(|range| VersionRange::RATCHET.intersection(&range) == Some(range)) {
            return Err(Error::Stored);
        }
        Ok(Self { keys, version: RatchetVersion(version), max_version: RatchetVersion(max_version) })
    }

    /// The version both use, which is the peer's, and the highest one. The peer cannot have accepted anything.
    fn versions(&self, peer: &AgreedParameters<'_>) -> Result<(RatchetVersion, RatchetVersion), Error> {
        if let Some(Encapsulation::Accepted { .. }) = peer.encapsulation {
            return Err(Error::Encapsulation);
        }
        if peer.version < RatchetVersion::MIN || peer.version > self.max_version {
            return Err(Error::Version);
        }
        Ok((peer.version, self.max_version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_follow_both_orders() {
        let hash = |first: u8, second: u8| {
            let mut hash = [7; 32];
            (hash[0], hash[1]) = (first, second);
            hash
        };
        for (own, peer, role) in [
            (hash(1, 1), hash(1, 1), Role::Receiver),
            (hash(1, 1), hash(1, 2), Role::Receiver),
            (hash(1, 2), hash(1, 1), Role::Sender),
            (hash(0x80, 1), hash(0x81, 0), Role::Receiver),
            (hash(0xff, 1), hash(0x80, 0xff), Role::Sender),
            (hash(0x7f, 0), hash(0x80, 0), Role::Disagree),
            (hash(0x80, 0), hash(0x7f, 0), Role::Disagree),
            (hash(0x7f, 0x80), hash(0x7f, 0x7f), Role::Disagree),
        ] {
            assert_eq!(Role::by_hashes(&own, &peer), role);
        }
    }
}
