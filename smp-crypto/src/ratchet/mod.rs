//! The double ratchet: what two parties encrypt for each other, through queues and relays that see nothing of it.
//!
//! An agreement over X448 (X3DH), a ratchet with encrypted headers, and, from version 3 on, a post-quantum encapsulation
//! with sntrup761 in both of them. Byte for byte what the network speaks (wire reference of the ratchet).
//!
//! | Type | Whose it is | What it becomes |
//! |---|---|---|
//! | [`Initiator`] | published keys in an invitation | a [`Ratchet`] that receives first |
//! | [`Joiner`] | answers an invitation | a [`Ratchet`] that sends first |
//! | [`Resynchronization`] | replaces a broken ratchet | either |
//! | [`Ratchet`] | the conversation | |
//! | [`PreparedMessage`] | a message whose body is not encrypted yet | what is sent |
//! | [`SkippedStore`], or another [`SkippedKeys`] | keys of messages that are late | |
//! | a [`CryptoRng`](rand_core::CryptoRng), [`KeyStock`], or another [`NewKeys`] | new keys | |
//!
//! # Example
//!
//! ```
//! use smp_crypto::ratchet::{EncapsulationRequest, Initiator, Joiner, SkippedStore};
//! use smp_proto::version::VersionRange;
//! # use rand_core::SeedableRng;
//! # let mut random = rand_chacha::ChaCha20Rng::seed_from_u64(1); // outside examples, the system's source
//!
//! // Alice invites, Bob joins; both want encapsulation.
//! let alice = Initiator::generate(&mut random, VersionRange::RATCHET, true);
//! let invitation = alice.parameters();
//! let joiner = Joiner::answer(&mut random, VersionRange::RATCHET, &invitation, true)?;
//! let mut bob = joiner.ratchet(&mut random)?;
//! let mut alice = alice.accept(&joiner.parameters(), true)?;
//! assert_eq!(alice.verification_code(), bob.verification_code());
//!
//! // Bob sends first.
//! let mut buffer = [0; 4096];
//! let sending = EncapsulationRequest::On.into();
//! let message = bob.encrypt(sending, b"hello", 1000, &mut buffer)?;
//! let mut late = SkippedStore::<64>::new();
//! let received = alice.decrypt(&mut late, &mut random, message)?;
//! assert_eq!(received.message, b"hello");
//! assert!(received.encapsulated);
//!
//! let message = alice.encrypt(sending, b"hello yourself", 1000, &mut buffer)?;
//! let mut late = SkippedStore::<64>::new();
//! assert_eq!(bob.decrypt(&mut late, &mut random, message)?.message, b"hello yourself");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is refused changes nothing
//!
//! [`Ratchet::decrypt`] takes effect as a whole or not at all. A message that is damaged, replayed, made up, or cannot be
//! stored leaves the ratchet, the skipped keys and its own bytes as they were. The reference implementation moves its
//! chain when a body fails, and a changed version in the clear part of a header uses up the key of a message there: what
//! changes one message under the encryption of its queue makes it unreadable for good. Here the right copy can still come.
//! For the peer nothing differs.
//!
//! New keys, which cost a device most, are made after the body was authenticated only.
//!
//! # When encapsulation is switched off
//!
//! The peer finds the keys of a chain that begins with an encapsulated secret only with its ciphertext, which every header of
//! the chain repeats. In the reference implementation a message with encapsulation off is the last of its chain that has the
//! ciphertext. When that one is lost or late, and a later one of the chain arrives first, the receiver derives other keys
//! and refuses it; the reference moves on with the wrong keys and the conversation is broken until it is re-synchronised.
//!
//! - As sender, this implementation keeps the ciphertext in all headers of the chain. Every receiver can read any of them
//!   first; receivers look at encapsulation in the first header of a chain only, so for deployed peers nothing else
//!   differs. Encapsulation ends with the next step of the ratchet, as it does with the reference.
//! - As receiver, it refuses the later messages of a reference sender with [`Error::Body`] until one with the ciphertext
//!   arrives. As a refusal changes nothing, that one is decrypted whenever it comes, and the others after it, if they are
//!   still there. When it is lost for good the chain cannot be read: the peer has to be answered, by a message or by
//!   re-synchronising, before it sends something that can.
//!
//! # Saving
//!
//! All types have a stored form with a format number. Save the ratchet, and with it the skipped keys and the prepared
//! message where these changed, in one transaction before a message is sent or acknowledged.
//!
//! # Memory
//!
//! No heap. A [`Ratchet`] takes 3.3 KiB, of which 2.8 KiB are the encapsulation's; a [`PreparedMessage`] 2.5 KiB; a
//! [`SkippedStore`] 56 bytes for each message and 32 for each chain. On a Cortex-M4 the stack goes up to 9 KiB in
//! [`Ratchet::prepare`], of which the result is 2.5; to 9.5 KiB in [`Ratchet::decrypt`], and 23 KiB when a new chain begins
//! with encapsulation; to 27 KiB where parties agree, which they do once. The ratchet adds 47 KiB of flash to a firmware that
//! has the rest. The README has a table of what operations cost.

mod aead;
mod agreement_keys;
mod chain;
mod decrypt;
mod derive;
mod encapsulation;
mod encrypt;
mod error;
mod header;
mod initiator;
mod joiner;
mod key_pair;
mod message_key;
mod new_keys;
mod padding;
mod prepared;
mod resynchronization;
mod root;
mod skipped;
mod skipped_store;
mod state;
mod state_stored;
mod stored;
mod x3dh;

pub use decrypt::{Changed, Decrypted};
pub use encrypt::{EncapsulationRequest, Sending};
pub use error::{DecryptError, Error};
pub use header::{HEADER_LENGTH, HeaderKey, LARGE_HEADER_LENGTH};
pub use initiator::Initiator;
pub use joiner::Joiner;
pub use key_pair::KeyPair;
pub use message_key::MessageKey;
pub use new_keys::{KeyStock, NewKeys};
pub use padding::{BodyKind, ENCAPSULATION_AGENT_VERSION, MAX_MESSAGE_LENGTH};
pub use prepared::PreparedMessage;
pub use resynchronization::{Resynchronization, Role, key_hash};
pub use skipped::{MAX_SKIPPED, SkippedBatch, SkippedKey, SkippedKeys};
pub use skipped_store::SkippedStore;
pub use state::Ratchet;

/// Length in bytes of what every message of a conversation is bound to: the first keys of both parties.
const ASSOCIATED_DATA_LENGTH: usize = 112;

#[cfg(test)]
mod tests {
    use zeroize::ZeroizeOnDrop;

    use super::*;
    use crate::sntrup761::{SecretKey, SharedSecret};

    /// Every type that holds a secret promises to wipe it: those the others are made of do it themselves, and the others
    /// hold no secret in any other type.
    #[test]
    fn secrets_are_wiped() {
        fn wiped<T: ZeroizeOnDrop>() {}
        wiped::<root::RootKey>();
        wiped::<chain::ChainKey>();
        wiped::<HeaderKey>();
        wiped::<MessageKey>();
        wiped::<crate::key::X448SecretKey>();
        wiped::<crate::key::SharedSecret448>();
        wiped::<SecretKey>();
        wiped::<SharedSecret>();
        wiped::<derive::Derived>();
        wiped::<SkippedStore<1>>();

        wiped::<Ratchet>();
        wiped::<PreparedMessage>();
        wiped::<KeyPair>();
        wiped::<KeyStock<(), 1>>();
        wiped::<Initiator>();
        wiped::<Joiner>();
        wiped::<Resynchronization>();
    }

    /// What is declared to be wiped has something to drop, in every part that is secret.
    #[test]
    fn wiping_is_not_forgotten() {
        use core::mem::needs_drop;
        assert!(needs_drop::<root::RootKey>() && needs_drop::<chain::ChainKey>() && needs_drop::<HeaderKey>());
        assert!(needs_drop::<MessageKey>() && needs_drop::<SecretKey>() && needs_drop::<SharedSecret>());
        assert!(needs_drop::<KeyPair>() && needs_drop::<SkippedStore<1>>() && needs_drop::<SkippedBatch>());
    }

    /// The figures of the front page.
    #[test]
    fn sizes_are_as_documented() {
        assert!(size_of::<Ratchet>() <= 3400, "{}", size_of::<Ratchet>());
        assert!(size_of::<PreparedMessage>() <= 2560, "{}", size_of::<PreparedMessage>());
        assert!(size_of::<SkippedStore<100>>() <= 5600 + 4 * 32 + 16);
    }
}
