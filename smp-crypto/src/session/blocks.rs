use core::ops::Range;

use smp_proto::{
    transport::block::{ENCRYPTED_CONTENT_START, PLAIN_CONTENT_START},
    version::SmpVersion,
    wire::{pad_in_place, unpad_range},
};

use super::{Block, SessionContext, SessionError};
use crate::{
    Error,
    block_chain::{BlockChain, chain_keys},
};

/// A session of two peers, ready for blocks.
///
/// Its parts work alone: take them apart to read and write at the same time.
#[derive(Debug)]
pub struct Session {
    /// What was agreed.
    pub context: SessionContext,
    /// Makes blocks to send.
    pub sealer: Sealer,
    /// Reads blocks that were received.
    pub opener: Opener,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Server,
    Client,
}

impl Session {
    /// Starts the block encryption, if there is any: from version 11 on, with both keys, not for proxies.
    pub(super) fn start(mut context: SessionContext, side: Side) -> Result<Self, SessionError> {
        let (mut sealer, mut opener) = (Sealer { chain: None }, Opener { chain: None });
        if let (Some(own), Some(peer)) = (&context.own_secret, &context.peer_key) {
            // Also when it is not needed now: a weak key must not come up in private routing.
            let secret = own.diffie_hellman(peer)?;
            if context.version >= SmpVersion::BLOCK_ENCRYPTION && !context.is_proxy {
                let (server, client) = chain_keys(&secret, context.session_id.as_bytes())?;
                let (sending, receiving) = if side == Side::Server { (server, client) } else { (client, server) };
                sealer.chain = Some(sending);
                opener.chain = Some(receiving);
                if side == Side::Client {
                    context.own_secret = None;
                }
            }
        }
        Ok(Self { context, sealer, opener })
    }

    /// Whether blocks are encrypted, once more than TLS does it.
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        self.sealer.chain.is_some()
    }
}

/// The sending half of a session.
#[derive(Debug)]
pub struct Sealer {
    chain: Option<BlockChain>,
}

impl Sealer {
    /// Where in a block content has its place: bytes 18 to 16,384 when blocks are encrypted, else 2 to 16,384.
    #[must_use]
    pub const fn content_range(&self) -> Range<usize> {
        let start = if self.chain.is_some() { ENCRYPTED_CONTENT_START } else { PLAIN_CONTENT_START };
        start..smp_proto::transport::BLOCK_LENGTH
    }

    /// The part of a block that content can be written to, from its first byte on.
    #[must_use]
    pub fn content_mut<'b>(&self, block: &'b mut Block) -> &'b mut [u8] {
        block.get_mut(self.content_range()).unwrap_or_default()
    }

    /// Makes the block ready to send. `content_length` bytes of content stand in it from the start of
    /// [`content_range`](Self::content_range) on.
    ///
    /// Fails with [`Error::Length`] when the content is longer than that range; nothing has changed then. Sealed blocks
    /// must be sent in the order in which they were sealed, all of them.
    pub fn seal(&mut self, block: &mut Block, content_length: usize) -> Result<(), Error> {
        match &mut self.chain {
            Some(chain) => chain.seal(block, content_length),
            None => pad_in_place(block, content_length).map_err(|_| Error::Length),
        }
    }
}

/// The receiving half of a session.
#[derive(Debug)]
pub struct Opener {
    chain: Option<BlockChain>,
}

impl Opener {
    /// Reads a received block, in place, and tells where in it the content stands.
    ///
    /// Blocks must be given in the order in which they arrive. A block that fails counts: the session goes on, and the
    /// next block can be opened. What a failed block holds is then of no meaning.
    pub fn open(&mut self, block: &mut Block) -> Result<Range<usize>, Error> {
        match &mut self.chain {
            Some(chain) => chain.open(block),
            None => Ok(unpad_range(block)?),
        }
    }
}
