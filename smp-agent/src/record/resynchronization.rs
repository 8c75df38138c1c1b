//! What is kept of a re-synchronisation until the new ratchet has shown that it works.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The own keys for a new ratchet, and what is known of the peer's.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub(crate) struct NewRatchet {
    /// The stored form of [`Resynchronization`](smp_crypto::ratchet::Resynchronization).
    pub(crate) keys: Vec<u8>,
    /// The peer's parameters, encoded: once they came and as long as the role they give is not certain; or those that were
    /// not answered, without own keys before a new start.
    pub(crate) peer: Vec<u8>,
    /// Whether the ratchet in use is the sender's.
    pub(crate) sender: bool,
    /// Whether the ratchet in use has opened a message.
    pub(crate) works: bool,
    /// The stored form of the ratchet of the other role, once this side has used both.
    pub(crate) other: Vec<u8>,
}
