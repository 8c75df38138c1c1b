use smp_proto::wire;

use crate::Error;

/// Why link data was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LinkError {
    /// The data was not encrypted with the key of the link.
    Decrypt,
    /// The data belongs to another link, or the link's key is none.
    Hash,
    /// The root key did not sign the fixed data.
    FixedSignature,
    /// An owner has the root key.
    RootOwner,
    /// Two owners have the same id or the same key.
    DuplicateOwner,
    /// Neither the root key nor an earlier owner signed an owner.
    OwnerSignature,
    /// Neither the root key nor an owner signed the user data.
    UserSignature,
    /// The data leads to another queue than the one it is kept with, or to another relay.
    Address,
    /// Who signs user data is not listed in it, and does not have the root key.
    NoOwner,
    /// The data is not what belongs there.
    Format(wire::Error),
}

impl From<wire::Error> for LinkError {
    fn from(error: wire::Error) -> Self {
        Self::Format(error)
    }
}

impl From<Error> for LinkError {
    fn from(error: Error) -> Self {
        match error {
            Error::Format(error) => Self::Format(error),
            _ => Self::Decrypt,
        }
    }
}

impl core::fmt::Display for LinkError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Decrypt => "the data was not encrypted with the key of the link",
            Self::Hash => "the data belongs to another link",
            Self::FixedSignature => "the fixed data is not signed by its root key",
            Self::RootOwner => "an owner of the link has its root key",
            Self::DuplicateOwner => "two owners of the link have the same id or key",
            Self::OwnerSignature => "an owner of the link is not signed by the root key or an earlier owner",
            Self::UserSignature => "the user data is not signed by the root key or an owner",
            Self::Address => "the link data is that of another queue",
            Self::NoOwner => "the signer is not an owner of the link",
            Self::Format(error) => return write!(f, "the link data is malformed: {error}"),
        })
    }
}

impl core::error::Error for LinkError {}
