//! Identifiers, kept.

use core::fmt;

use smp_proto::id::{EntityId, ID_LENGTH};

/// What a transmission is about, kept: 24 bytes, as every relay makes them, or nothing.
///
/// Printing it shows only whether there is one: identifiers stay out of logs.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Id(Option<[u8; ID_LENGTH]>);

impl Id {
    /// No identifier: commands about no queue have it.
    pub const EMPTY: Self = Self(None);

    /// An identifier.
    #[must_use]
    pub const fn new(bytes: [u8; ID_LENGTH]) -> Self {
        Self(Some(bytes))
    }

    /// Takes an identifier of 24 bytes or none; nothing when it has another length.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() { Some(Self::EMPTY) } else { bytes.try_into().ok().map(Self::new) }
    }

    /// The bytes, 24 or none.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |bytes| bytes)
    }

    /// The bytes, when there are any.
    #[must_use]
    pub const fn to_array(&self) -> Option<[u8; ID_LENGTH]> {
        self.0
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// As transmissions have it.
    #[must_use]
    pub fn as_entity(&self) -> EntityId<'_> {
        self.0.as_ref().map_or(EntityId::EMPTY, EntityId::from_array)
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
    fn identifiers_have_the_usual_length_or_none() {
        assert_eq!(Id::from_slice(&[]), Some(Id::EMPTY));
        assert_eq!(Id::from_slice(&[7; 24]), Some(Id::new([7; 24])));
        assert_eq!(Id::from_slice(&[7; 23]), None);
        assert_eq!(Id::from_slice(&[7; 25]), None);
        assert_eq!(Id::new([7; 24]).as_entity().as_bytes(), [7; 24]);
        assert!(Id::EMPTY.as_entity().is_empty());
        assert_eq!(std::format!("{:?} {:?}", Id::new([7; 24]), Id::EMPTY), "Id(..) Id(none)");
    }
}
