//! What is kept under which key, and in which version.

use heapless::Vec;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::state::{MESSAGE_ID_LENGTH, ReceiverState, SERVER_ADDRESS_CAPACITY, SenderState};

/// What sort of thing a record is. Numbers are never given a second meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind(u8);

impl Kind {
    pub(super) const ALARM: Self = Self(1);
    pub(super) const COUNTER: Self = Self(2);
    /// [`SenderState`].
    pub const SENDER: Self = Self(3);
    /// [`ReceiverState`].
    pub const RECEIVER: Self = Self(4);
    /// [`LastMessage`].
    pub const LAST_MESSAGE: Self = Self(5);
    /// [`NotifierState`].
    pub const NOTIFIER: Self = Self(6);

    /// A kind of the application: 0 to 127.
    #[must_use]
    pub const fn application(number: u8) -> Self {
        Self(number | 0x80)
    }

    /// The key of a record of this kind.
    pub(super) const fn key(self, index: u8) -> u16 {
        u16::from_be_bytes([self.0, index])
    }
}

/// Something that is kept, replaced as a whole.
///
/// The postcard form of a record never changes within a version. When the form changes, the version grows by one, and
/// [`upgrade`](Self::upgrade) reads the forms that devices in the field have.
pub trait Record: Serialize + DeserializeOwned {
    /// What it is.
    const KIND: Kind;
    /// The version that is written.
    const VERSION: u8;

    /// Reads the form of an earlier version; `None` when it cannot be read.
    #[must_use]
    fn upgrade(version: u8, bytes: &[u8]) -> Option<Self> {
        let _ = (version, bytes);
        None
    }
}

impl Record for SenderState {
    const KIND: Kind = Kind::SENDER;
    const VERSION: u8 = 1;
}

impl Record for ReceiverState {
    const KIND: Kind = Kind::RECEIVER;
    const VERSION: u8 = 1;
}

/// Which message the application took last.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastMessage(pub [u8; MESSAGE_ID_LENGTH]);

impl core::fmt::Debug for LastMessage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("LastMessage(..)")
    }
}

impl Record for LastMessage {
    const KIND: Kind = Kind::LAST_MESSAGE;
    const VERSION: u8 = 1;
}

/// What a notifier has to know of a queue, brought onto the device when it is installed. At most 500 bytes in flash, and
/// about 160 as a rule.
///
/// Everything in it is secret: who has it can see when messages wait.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct NotifierState {
    /// The relay's address in its binary form (wire reference, section 3).
    pub server: Vec<u8, SERVER_ADDRESS_CAPACITY>,
    /// The queue's identifier for its notifier.
    pub notifier_id: [u8; MESSAGE_ID_LENGTH],
    /// The key that authorizes commands.
    pub authorization: NotifierKey,
    /// What was agreed for the metadata of notifications, when the device may read them.
    pub metadata: Option<[u8; 32]>,
}

impl core::fmt::Debug for NotifierState {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("NotifierState").field("reads_metadata", &self.metadata.is_some()).finish_non_exhaustive()
    }
}

/// The secret half of the key that authorizes a notifier's commands.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub enum NotifierKey {
    /// The seed of an Ed25519 key.
    Ed25519([u8; 32]),
    /// An X25519 key.
    X25519([u8; 32]),
}

impl core::fmt::Debug for NotifierKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("NotifierKey(..)")
    }
}

impl Record for NotifierState {
    const KIND: Kind = Kind::NOTIFIER;
    const VERSION: u8 = 1;
}
