//! The first agreement of two parties (wire reference of the ratchet, section 5).

use smp_proto::key::X448PublicKey;
use zeroize::Zeroizing;

use super::agreement_keys::AgreementKeys;
use super::derive::derive;
use super::header::HeaderKey;
use super::root::RootKey;
use super::{ASSOCIATED_DATA_LENGTH, Error};
use crate::key::SharedSecret448;
use crate::sntrup761::SharedSecret;

/// What both parties know after the agreement.
pub(super) struct Agreed {
    /// The key of the first headers the joiner sends.
    pub(super) header_key: HeaderKey,
    /// The key of the first headers the initiator sends.
    pub(super) next_header_key: HeaderKey,
    pub(super) root: RootKey,
    /// The first public keys of both, the joiner's first.
    pub(super) associated_data: [u8; ASSOCIATED_DATA_LENGTH],
}

/// The public keys of the other party.
#[derive(Clone, Copy)]
pub(super) struct PeerKeys {
    pub(super) first: X448PublicKey,
    pub(super) second: X448PublicKey,
}

/// Agrees as the party that joins.
pub(super) fn join(own: &AgreementKeys, peer: &PeerKeys, encapsulated: Option<&SharedSecret>) -> Result<Agreed, Error> {
    let first = own.second.secret.diffie_hellman(&peer.first)?;
    let second = own.first.secret.diffie_hellman(&peer.second)?;
    let third = own.second.secret.diffie_hellman(&peer.second)?;
    agree([first, second, third], encapsulated, &own.first.public, &peer.first)
}

/// Agrees as the party that published its keys.
pub(super) fn initiate(
    own: &AgreementKeys,
    peer: &PeerKeys,
    encapsulated: Option<&SharedSecret>,
) -> Result<Agreed, Error> {
    let first = own.first.secret.diffie_hellman(&peer.second)?;
    let second = own.second.secret.diffie_hellman(&peer.first)?;
    let third = own.second.secret.diffie_hellman(&peer.second)?;
    agree([first, second, third], encapsulated, &peer.first, &own.first.public)
}

fn agree(
    agreements: [SharedSecret448; 3],
    encapsulated: Option<&SharedSecret>,
    joiner: &X448PublicKey,
    initiator: &X448PublicKey,
) -> Result<Agreed, Error> {
    let mut material = Zeroizing::new([0; 3 * 56 + 32]);
    let encapsulated = encapsulated.map_or(&[][..], |secret| secret.as_bytes());
    let parts = agreements.iter().flat_map(|agreed| agreed.as_bytes()).chain(encapsulated);
    material.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
    let material = material.get(..encapsulated.len().saturating_add(3 * 56)).ok_or(Error::Internal)?;
    let [header_key, next_header_key, root] = &*derive(&[0; 64], material, b"SimpleXX3DH")?;
    let mut associated_data = [0; ASSOCIATED_DATA_LENGTH];
    let keys = joiner.0.iter().chain(&initiator.0);
    associated_data.iter_mut().zip(keys).for_each(|(to, from)| *to = *from);
    Ok(Agreed {
        header_key: HeaderKey::from_bytes(*header_key),
        next_header_key: HeaderKey::from_bytes(*next_header_key),
        root: RootKey::from_bytes(*root),
        associated_data,
    })
}
