//! Names of things, local to one agent. Nothing of them goes over the wire.

use core::fmt;
use core::str::FromStr;

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use smp_proto::wire::{base64_url_decode, base64_url_encode};

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
                let mut buffer = [0; 16];
                let text = base64_url_encode(&self.0, false, &mut buffer).map_err(|_| fmt::Error)?;
                f.pad(text)
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
                let mut buffer = [0; 12];
                let bytes = base64_url_decode(text.as_bytes(), &mut buffer).map_err(|_| InvalidId)?;
                bytes.try_into().map(Self).map_err(|_| InvalidId)
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
