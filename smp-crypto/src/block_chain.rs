//! Encryption of transport blocks from version 11 on: a key and a nonce of its own for every block (wire reference,
//! section 5).
//!
//! Each direction has a chain. It moves one step with every block, whether the block can be opened or not, and cannot be
//! moved back: whoever learns a chain key cannot read earlier blocks.

use core::ops::Range;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    Error,
    kdf::hkdf,
    key::{SharedSecret, secret_debug},
    secret_box::{BoxKey, NONCE_LENGTH, Nonce},
};

pub use smp_proto::transport::block::{BLOCK_LENGTH, ENCRYPTED_CONTENT_LIMIT, ENCRYPTED_CONTENT_START};

/// The keys of one direction. 32 bytes, wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct BlockChain([u8; 32]);

/// The key and the nonce of one block.
pub struct BlockKey {
    /// The derived key, before the first step of the box.
    key: Zeroizing<[u8; 32]>,
    nonce: Nonce,
}

secret_debug!(BlockChain, BlockKey);

impl ZeroizeOnDrop for BlockKey {}

impl BlockKey {
    /// The derived key as it is, to be used with [`BoxKey::new`].
    #[must_use]
    pub fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// The nonce.
    #[must_use]
    pub const fn nonce(&self) -> &Nonce {
        &self.nonce
    }
}

/// The chains of a connection: blocks the server sends, then blocks the client sends.
///
/// `secret` is agreed between the two session keys of the hellos.
pub fn chain_keys(secret: &SharedSecret, session_id: &[u8]) -> Result<(BlockChain, BlockChain), Error> {
    let mut output = Zeroizing::new([0; 64]);
    hkdf(session_id, secret.as_bytes(), b"SimpleXSbChainInit", output.as_mut())?;
    let (server, client) = output.split_first_chunk().ok_or(Error::Length)?;
    let client = client.first_chunk().ok_or(Error::Length)?;
    Ok((BlockChain(*server), BlockChain(*client)))
}

impl BlockChain {
    /// Continues from a known chain key.
    #[must_use]
    pub const fn from_bytes(chain_key: [u8; 32]) -> Self {
        Self(chain_key)
    }

    /// The key of the next block. The chain has moved when this returns.
    pub fn advance(&mut self) -> Result<BlockKey, Error> {
        let mut output = Zeroizing::new([0; 32 + 32 + NONCE_LENGTH]);
        hkdf(&[], &self.0, b"SimpleXSbChain", output.as_mut())?;
        let (chain_key, rest) = output.split_first_chunk().ok_or(Error::Length)?;
        let (key, nonce) = rest.split_first_chunk().ok_or(Error::Length)?;
        self.0 = *chain_key;
        Ok(BlockKey { key: Zeroizing::new(*key), nonce: Nonce::from_slice(nonce) })
    }

    /// Encrypts the next block, which holds `content_length` bytes of content (at most [`ENCRYPTED_CONTENT_LIMIT`])
    /// from [`ENCRYPTED_CONTENT_START`] on.
    ///
    /// Fails with [`Error::Length`], before the chain moves, when there is more content.
    pub fn seal(&mut self, block: &mut [u8; BLOCK_LENGTH], content_length: usize) -> Result<(), Error> {
        if content_length > ENCRYPTED_CONTENT_LIMIT {
            return Err(Error::Length);
        }
        let next = self.advance()?;
        BoxKey::new(&next.key).seal_padded(&next.nonce, block, content_length)
    }

    /// Decrypts the next block and tells where in it the content stands.
    ///
    /// The chain moves also when this fails: the next block can still be read.
    pub fn open(&mut self, block: &mut [u8; BLOCK_LENGTH]) -> Result<Range<usize>, Error> {
        let next = self.advance()?;
        BoxKey::new(&next.key).open_padded(&next.nonce, block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{hash::sha256, test::bytes};

    /// The values of the wire reference, Appendix A.
    #[test]
    fn appendix_a_vectors() {
        let secret =
            SharedSecret::from_bytes(bytes("a84dc7c3c8f058b1b2dc4cd1e9b5dc0a7987f88b6a9564cde3391fc421159e77"));
        let session_id: [u8; 32] = core::array::from_fn(|index| index as u8);
        let (mut server, mut client) = chain_keys(&secret, &session_id).unwrap();
        assert_eq!(server.0, bytes("e326474e7be62774a04ee9afa86b92367d42c3af03b81590dccf350260741005"));
        assert_eq!(client.0, bytes("15964caf571ac1a04bc1324b37479a46e68773351d0e71ac9a75255d2f48d6f2"));

        let first = server.advance().unwrap();
        assert_eq!(server.0, bytes("afc281b11b3ea7205417e8ee283d36bffb3f3c5f2f4ce6e67692b2ba00984ec4"));
        assert_eq!(*first.key, bytes("bc6cc4ce6d6113c02f16918761564286901088537015ee6578e9c2900c6ebe45"));
        assert_eq!(first.nonce.0, bytes("e1c3360d9ac0e3980d6c8d3dd1c9b2d49f504722f513627b"));
        let second = server.advance().unwrap();
        assert_eq!(*second.key, bytes("3d03092b55bb8248277af491e517256df541060b8eaa35665bacbe7799010b26"));
        assert_eq!(second.nonce.0, bytes("a143920dc48c06f53c2227bed714bd76d7679cc53cb9b2d7"));
        let first = client.advance().unwrap();
        assert_eq!(*first.key, bytes("8026c4bcabc1a2e458ded3e0e310ed30277e85e96f16d09cb04981bdb61d506f"));
        assert_eq!(first.nonce.0, bytes("d8841a9942e0df4e23f325579d80ee4625ac7212dd701c93"));

        let content = [&[1, 0, 0x1f, 0, 24][..], &(0x80..=0x97).collect::<std::vec::Vec<u8>>(), b"\0PONG"].concat();
        let mut block = [0; BLOCK_LENGTH];
        block[ENCRYPTED_CONTENT_START..][..content.len()].copy_from_slice(&content);
        let (mut server, _) = chain_keys(&secret, &session_id).unwrap();
        server.seal(&mut block, content.len()).unwrap();
        assert_eq!(block[..32], bytes::<32>("5fb800dd97eba716f5e628430c55e4ec39c38e0ede5d0ca87dc53649c7ffe6e9"));
        assert_eq!(sha256(&[&block]), bytes("c886be99cb6ba624e7c175fe06a5b03e53149429261dbb693a3109a22cfde151"));
    }

    fn pair() -> (BlockChain, BlockChain) {
        (BlockChain::from_bytes([7; 32]), BlockChain::from_bytes([7; 32]))
    }

    #[test]
    fn contents_of_every_length_arrive_in_order() {
        let (mut sender, mut receiver) = pair();
        for length in [0, 1, 2, 100, ENCRYPTED_CONTENT_LIMIT - 1, ENCRYPTED_CONTENT_LIMIT] {
            let mut block = [length as u8; BLOCK_LENGTH];
            sender.seal(&mut block, length).unwrap();
            let range = receiver.open(&mut block).unwrap();
            assert_eq!(block[range], std::vec![length as u8; length]);
        }
        let before = sender.0;
        assert_eq!(sender.seal(&mut [0; BLOCK_LENGTH], ENCRYPTED_CONTENT_LIMIT + 1), Err(Error::Length));
        assert_eq!(sender.0, before);
    }

    #[test]
    fn a_block_that_cannot_be_opened_does_not_end_the_conversation() {
        let (mut sender, mut receiver) = pair();
        let mut blocks = [[1; BLOCK_LENGTH]; 3];
        for block in &mut blocks {
            sender.seal(block, 10).unwrap();
        }
        let [first, second, third] = &mut blocks;
        let mut replayed = *first;
        assert!(receiver.open(first).is_ok());
        assert_eq!(receiver.open(&mut replayed), Err(Error::Decrypt));
        // The replayed block took the place of the second, whose key is gone.
        assert_eq!(receiver.0, {
            let mut chain = BlockChain::from_bytes([7; 32]);
            chain.advance().unwrap();
            chain.advance().unwrap();
            chain.0
        });
        assert!(receiver.open(third).is_ok());
        assert_eq!(receiver.open(second), Err(Error::Decrypt));
    }

    #[test]
    fn directions_and_sessions_have_keys_of_their_own() {
        let secret = SharedSecret::from_bytes([3; 32]);
        let (server, client) = chain_keys(&secret, b"one").unwrap();
        let (other_server, other_client) = chain_keys(&secret, b"two").unwrap();
        let all = [server.0, client.0, other_server.0, other_client.0];
        for (index, key) in all.iter().enumerate() {
            assert!(!all[..index].contains(key));
        }
    }
}
