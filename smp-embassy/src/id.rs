//! Identifiers, kept.

use core::fmt;

use smp_proto::id::{EntityId, ID_LENGTH};

/// The longest identifier that is kept, in bytes: that of a session, which a proxy is told where to forward by. Those of
/// queues have 24.
const CAPACITY: usize = 32;

/// What a transmission is about, kept: up to 32 bytes.
///
/// Printing it shows only whether there is one: identifiers stay out of logs.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Id {
    /// Zeros behind the identifier.
    bytes: [u8; CAPACITY],
    length: u8,
}

impl Id {
    /// No identifier: commands about no queue have it.
    pub const EMPTY: Self = Self { bytes: [0; CAPACITY], length: 0 };

    /// The identifier of one side of a queue.
    #[must_use]
    pub fn new(bytes: [u8; ID_LENGTH]) -> Self {
        Self::from_slice(&bytes).unwrap_or(Self::EMPTY)
    }

    /// Takes an identifier of up to 32 bytes; nothing when it is longer.
    #[must_use]
    pub fn from_slice(from: &[u8]) -> Option<Self> {
        let mut bytes = [0; CAPACITY];
        bytes.get_mut(..from.len())?.copy_from_slice(from);
        Some(Self { bytes, length: u8::try_from(from.len()).ok()? })
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// The bytes, when there are as many as in identifiers of queues.
    #[must_use]
    pub fn to_array(&self) -> Option<[u8; ID_LENGTH]> {
        self.as_bytes().try_into().ok()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// As transmissions have it.
    #[must_use]
    pub fn as_entity(&self) -> EntityId<'_> {
        EntityId::new(self.as_bytes()).unwrap_or(EntityId::EMPTY)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "Id(none)" } else { "Id(..)" })
    }
}

impl From<[u8; ID_LENGTH]> for Id {
    fn from(bytes: [u8; ID_LENGTH]) -> Self {
        Self::new(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_kept_with_their_length() {
        assert_eq!(Id::from_slice(&[]), Some(Id::EMPTY));
        assert_eq!(Id::from_slice(&[7; 24]), Some(Id::new([7; 24])));
        assert_ne!(Id::from_slice(&[0; 23]), Some(Id::new([0; 24])));
        assert_eq!(Id::from_slice(&[7; 32]).unwrap().as_bytes(), [7; 32]);
        assert_eq!(Id::from_slice(&[7; 33]), None);
        assert_eq!(Id::new([7; 24]).as_entity().as_bytes(), [7; 24]);
        assert!(Id::EMPTY.as_entity().is_empty());
        assert_eq!(std::format!("{:?} {:?}", Id::new([7; 24]), Id::EMPTY), "Id(..) Id(none)");
    }
}
