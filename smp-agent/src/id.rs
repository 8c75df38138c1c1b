//! Names of things, local to one agent. Nothing of them goes over the wire.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

/// Characters of base64url (RFC 4648, section 5).
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The text is not the 16 characters of such a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidId;

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an identifier of 16 characters")
    }
}

impl core::error::Error for InvalidId {}

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name([u8; 12]);

        impl $name {
            /// A new one.
            pub fn generate<R: CryptoRng + ?Sized>(random: &mut R) -> Self {
                let mut bytes = [0; 12];
                random.fill_bytes(&mut bytes);
                Self(bytes)
            }

            /// The one with these bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 12]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 12] {
                &self.0
            }
        }

        /// 16 characters of base64url.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = String::with_capacity(16);
                for group in self.0.chunks(3) {
                    let group = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
                    for shift in [18, 12, 6, 0] {
                        let character = ALPHABET.get((group >> shift & 63) as usize).copied().unwrap_or_default();
                        text.push(char::from(character));
                    }
                }
                f.pad(&text)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let text: &[u8; 16] = text.as_bytes().try_into().map_err(|_| InvalidId)?;
                let mut bytes = [0; 12];
                for (group, out) in text.chunks(4).zip(bytes.chunks_mut(3)) {
                    let mut bits = 0_u32;
                    for character in group {
                        let value = ALPHABET.iter().position(|known| known == character).ok_or(InvalidId)?;
                        bits = bits << 6 | u32::try_from(value).map_err(|_| InvalidId)?;
                    }
                    let [_, octets @ ..] = bits.to_be_bytes();
                    out.copy_from_slice(&octets);
                }
                Ok(Self(bytes))
            }
        }
    };
}

random_id! {
    /// A connection: the conversation with one peer, or an address of one's own.
    ConnectionId
}

random_id! {
    /// A request of somebody who found an address, until it is accepted or rejected.
    InvitationId
}

/// An event that is kept until the application has dealt with it. Later events have higher numbers, also after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventId(pub u64);

/// A message of a connection, sent or received: one sequence for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessageId(pub u64);

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn identifiers_are_sixteen_characters() {
        let id = ConnectionId([0, 1, 2, 0xfb, 0xff, 0xfe, 60, 61, 62, 250, 251, 252]);
        let text = id.to_string();
        assert_eq!(text, "AAEC-__-PD0--vv8");
        assert_eq!(text.parse(), Ok(id));
        for wrong in ["", "AAEC-__-PD0--vv", "AAEC-__-PD0--vv88", "AAEC+__-PD0--vv8", "AAEC-__-PD0--vv="] {
            assert_eq!(wrong.parse::<ConnectionId>(), Err(InvalidId));
        }
    }
}
