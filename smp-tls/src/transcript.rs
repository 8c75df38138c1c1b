//! The hash of all handshake messages so far (RFC 8446, section 4.4.1).

use sha2::{Digest, Sha256};

use crate::message::Kind;
use crate::schedule::HASH_LENGTH;

/// Every message is hashed once, when it has been dealt with.
#[derive(Clone)]
pub(crate) struct Transcript(Sha256);

impl Transcript {
    pub(crate) fn new() -> Self {
        Self(Sha256::new())
    }

    /// Adds messages with their headers.
    pub(crate) fn add(&mut self, messages: &[u8]) {
        self.0.update(messages);
    }

    /// The hash so far.
    pub(crate) fn hash(&self) -> [u8; HASH_LENGTH] {
        self.0.clone().finalize().into()
    }

    /// Puts a message with the hash of the first ClientHello in its place, as HelloRetryRequest demands.
    pub(crate) fn retry(&mut self) {
        let hash = self.hash();
        self.0 = Sha256::new();
        self.add(&[Kind::MessageHash as u8, 0, 0, HASH_LENGTH as u8]);
        self.add(&hash);
    }
}
