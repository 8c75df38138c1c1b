use core::fmt;

use smp_proto::wire;

/// Why an operation with a key failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not a key of the expected algorithm and form.
    InvalidKey,
    /// The peer's public key has small order: everybody knows what would be agreed.
    WeakKey,
    /// The tag does not belong to this key, nonce and ciphertext.
    Decrypt,
    /// The signature is not one of this key over these bytes.
    Signature,
    /// An X25519 key can authorize only where the relay gave a session key, and it gave none.
    NoServerKey,
    /// A buffer or a message does not have a length that this operation works with.
    Length,
    /// The algorithm was left out of this build.
    Unsupported,
    /// What was decrypted is not what belongs there.
    Format(wire::Error),
}

impl From<wire::Error> for Error {
    fn from(error: wire::Error) -> Self {
        Self::Format(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidKey => "the bytes are not a key of the expected algorithm",
            Self::WeakKey => "the peer's public key has small order",
            Self::Decrypt => "the ciphertext was not made with this key and nonce",
            Self::Signature => "the signature does not verify",
            Self::NoServerKey => "the relay gave no session key for the authenticator",
            Self::Length => "the buffer or the message has a length that cannot be used here",
            Self::Unsupported => "the algorithm is not part of this build",
            Self::Format(error) => return write!(f, "the decrypted content is malformed: {error}"),
        })
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Format(error) => Some(error),
            _ => None,
        }
    }
}
