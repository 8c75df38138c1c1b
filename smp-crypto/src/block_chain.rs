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

/// Length of every transport block in bytes.
pub const BLOCK_LENGTH: usize = 16_384;

/// The longest content of an encrypted block in bytes.
pub const MAX_CONTENT_LENGTH: usize = BLOCK_LENGTH - crate::secret_box::PADDED_MESSAGE_START;

/// The keys of one direction. 32 bytes, wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct BlockChain([u8; 32]);

/// The key and the nonce of one block.
#[derive(Debug)]
pub struct BlockKey {
    /// The derived key, before the first step of the box.
    key: Zeroizing<[u8; 32]>,
    nonce: Nonce,
}

secret_debug!(BlockChain);

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

    /// Encrypts the next block, which holds `content_length` bytes of content (at most [`MAX_CONTENT_LENGTH`]) from
    /// [`PADDED_MESSAGE_START`](crate::secret_box::PADDED_MESSAGE_START) on.
    ///
    /// Fails with [`Error::Length`], before the chain moves, when there is more content.
    pub fn seal(&mut self, block: &mut [u8; BLOCK_LENGTH], content_length: usize) -> Result<(), Error> {
        if content_length > MAX_CONTENT_LENGTH {
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
