//! Chain keys: one step for each message (wire reference of the ratchet, section 8).

use super::Error;
use super::derive::{derive, secret_32};
use super::header::{HeaderIv, HeaderKey};
use super::message_key::MessageKey;

secret_32!(
    /// The key the messages of one direction, between two steps of the ratchet, get theirs from.
    pub(super) ChainKey
);

impl ChainKey {
    /// The next key of the chain, and the keys of one message.
    pub(super) fn next(&self) -> Result<(Self, MessageKey, HeaderIv), Error> {
        let [chain, key, ivs] = &*derive(&[], &self.0, b"SimpleXChainRatchet")?;
        let (iv, header_iv) = ivs.split_first_chunk().ok_or(Error::Internal)?;
        let header_iv = header_iv.first_chunk().ok_or(Error::Internal)?;
        Ok((Self(*chain), MessageKey::new(*key, *iv), HeaderIv(*header_iv)))
    }
}

/// A chain and the key of its headers.
#[derive(Clone)]
pub(super) struct Chain {
    /// The key of the next message.
    pub(super) key: ChainKey,
    /// The key of the headers.
    pub(super) header_key: HeaderKey,
}
