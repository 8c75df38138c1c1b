//! What can go wrong in a store.

use std::fmt;
use std::io;
use std::sync::Arc;

/// Why a store did not do what it was asked. Outcomes that belong to a command (no such queue, quota exceeded) are no
/// errors: they are part of the operation's reply.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// The store was closed.
    Closed,
    /// An earlier write failed, so nothing more is accepted: what is on disk is no longer known. Everything that was
    /// acknowledged is there; opening the store again shows the rest.
    Failed,
    /// Another process has the store open.
    InUse,
    /// The operating system refused a read or a write.
    Io(Arc<io::Error>),
    /// The storage engine refused; its own words.
    Engine(Arc<str>),
    /// A stored value cannot be read; names the kind of value.
    Corrupt(&'static str),
    /// A stored value was written by a newer version of this program: names the kind of value and the unknown format
    /// version or field.
    NewerFormat {
        /// The kind of value.
        what: &'static str,
        /// The format version or the field that is not known here.
        found: u8,
    },
    /// A value is longer than its format allows; names the kind of value.
    TooLong(&'static str),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the store is closed"),
            Self::Failed => f.write_str("the store stopped after a failed write; open it again"),
            Self::InUse => f.write_str("the store is in use by another process"),
            Self::Io(error) => write!(f, "the store's files: {error}"),
            Self::Engine(words) => write!(f, "the storage engine: {words}"),
            Self::Corrupt(what) => write!(f, "the store holds an unreadable {what}"),
            Self::NewerFormat { what, found } => {
                write!(f, "the store holds a {what} of a newer program version (format or field {found})")
            }
            Self::TooLong(what) => write!(f, "a {what} is too long to be stored"),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error.as_ref()),
            _ => None,
        }
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}
