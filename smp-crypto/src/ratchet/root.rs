//! The root key, from which every chain starts (wire reference of the ratchet, section 8).

use zeroize::Zeroizing;

use super::Error;
use super::chain::ChainKey;
use super::derive::{derive, secret_32};
use super::header::HeaderKey;
use crate::key::SharedSecret448;
use crate::sntrup761::SharedSecret;

secret_32!(
    /// The key that mixes every agreement of a conversation. Each step of the ratchet replaces it.
    pub(super) RootKey
);

/// What a step of the root key gives.
pub(super) struct RootStep {
    /// The next root key.
    pub(super) root: RootKey,
    /// The first key of the chain that starts.
    pub(super) chain: ChainKey,
    /// The key of the headers of the chain after it.
    pub(super) next_header_key: HeaderKey,
}

impl RootKey {
    /// Mixes in an agreement and, where there is one, an encapsulated secret.
    pub(super) fn step(
        &self,
        agreed: &SharedSecret448,
        encapsulated: Option<&SharedSecret>,
    ) -> Result<RootStep, Error> {
        let mut material = Zeroizing::new([0; 56 + 32]);
        let encapsulated = encapsulated.map_or(&[][..], |secret| secret.as_bytes());
        let parts = agreed.as_bytes().iter().chain(encapsulated);
        material.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
        let length = agreed.as_bytes().len().saturating_add(encapsulated.len());
        let material = material.get(..length).ok_or(Error::Internal)?;
        let [root, chain, next_header_key] = &*derive(&self.0, material, b"SimpleXRootRatchet")?;
        Ok(RootStep {
            root: Self(*root),
            chain: ChainKey::from_bytes(*chain),
            next_header_key: HeaderKey::from_bytes(*next_header_key),
        })
    }
}
