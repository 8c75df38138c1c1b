//! Public keys as they travel: DER SubjectPublicKeyInfo (wire reference, section 1.2; RFC 8410).
//!
//! Only one form of each is read: a key with unused bits, with other lengths or with trailing bytes is refused.

use crate::wire::{Decode, Encode, Error, Reader, Writer};

/// SPKI prefix of an Ed25519 key.
pub const ED25519_SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// SPKI prefix of an X25519 key.
pub const X25519_SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x03, 0x21, 0x00];
/// SPKI prefix of an Ed448 key.
pub const ED448_SPKI: [u8; 12] = [0x30, 0x43, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x71, 0x03, 0x3a, 0x00];
/// SPKI prefix of an X448 key.
pub const X448_SPKI: [u8; 12] = [0x30, 0x42, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6f, 0x03, 0x39, 0x00];

macro_rules! public_key {
    ($(#[$doc:meta])* $name:ident, $length:literal, $prefix:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name(pub [u8; $length]);

        impl $name {
            /// Length of the raw key in bytes.
            pub const LENGTH: usize = $length;
            /// Length of the SubjectPublicKeyInfo in bytes.
            pub const SPKI_LENGTH: usize = $length + 12;

            /// Reads a complete SubjectPublicKeyInfo.
            pub fn from_spki(der: &[u8]) -> Result<Self, Error> {
                let mut reader = Reader::new(der);
                reader.expect(&$prefix)?;
                let raw = *reader.array()?;
                reader.finish()?;
                Ok(Self(raw))
            }

            /// The SubjectPublicKeyInfo.
            #[must_use]
            pub fn to_spki(&self) -> [u8; $length + 12] {
                let mut der = [0; $length + 12];
                if let Some((head, tail)) = der.split_first_chunk_mut() {
                    *head = $prefix;
                    tail.copy_from_slice(&self.0);
                }
                der
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }

        impl Decode<'_> for $name {
            fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
                Self::from_spki(reader.short()?)
            }
        }

        impl Encode for $name {
            fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
                writer.short(&self.to_spki())
            }
        }
    };
}

public_key!(
    /// An Ed25519 signature key.
    Ed25519PublicKey,
    32,
    ED25519_SPKI
);
public_key!(
    /// An X25519 key, for key agreement.
    X25519PublicKey,
    32,
    X25519_SPKI
);
public_key!(
    /// An Ed448 signature key.
    Ed448PublicKey,
    57,
    ED448_SPKI
);
public_key!(
    /// An X448 key, for the ratchet's key agreement.
    X448PublicKey,
    56,
    X448_SPKI
);

/// A key that authorizes commands. X448 keys cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthorizationKey {
    /// Authorizes by signature.
    Ed25519(Ed25519PublicKey),
    /// Authorizes by signature.
    Ed448(Ed448PublicKey),
    /// Authorizes by an authenticator, deniably.
    X25519(X25519PublicKey),
}

impl AuthorizationKey {
    /// Reads a complete SubjectPublicKeyInfo of one of the three algorithms.
    pub fn from_spki(der: &[u8]) -> Result<Self, Error> {
        if der.starts_with(&ED25519_SPKI) {
            Ed25519PublicKey::from_spki(der).map(Self::Ed25519)
        } else if der.starts_with(&X25519_SPKI) {
            X25519PublicKey::from_spki(der).map(Self::X25519)
        } else if der.starts_with(&ED448_SPKI) {
            Ed448PublicKey::from_spki(der).map(Self::Ed448)
        } else {
            Err(Error::Invalid)
        }
    }
}

impl Decode<'_> for AuthorizationKey {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Self::from_spki(reader.short()?)
    }
}

impl Encode for AuthorizationKey {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        match self {
            Self::Ed25519(key) => key.encode(writer),
            Self::Ed448(key) => key.encode(writer),
            Self::X25519(key) => key.encode(writer),
        }
    }
}
