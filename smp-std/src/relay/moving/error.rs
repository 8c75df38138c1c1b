//! What stops a move.

use std::path::{Path, PathBuf};
use std::{fmt, io};

use crate::identity::IdentityError;
use crate::relay::config::ConfigError;
use crate::relay::store::StoreError;

/// Why nothing was moved. What could be read of the source is as it was.
#[derive(Debug)]
#[non_exhaustive]
pub enum MovingError {
    /// The operating system refused a file or folder.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The store failed.
    Store(StoreError),
    /// The certificates or keys cannot be used.
    Identity(IdentityError),
    /// The options do not make a configuration.
    Options(ConfigError),
    /// There is no `smp-server.ini` where it should be.
    NoConfiguration(PathBuf),
    /// Queues or messages are in a database.
    InDatabase,
    /// There is something in the target already.
    NotEmpty(PathBuf),
    /// The relay keeps nothing on disk.
    NothingKept,
}

impl MovingError {
    /// The error that says where the operating system refused.
    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { path: path.to_owned(), error }
    }
}

impl fmt::Display for MovingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Store(error) => write!(f, "{error}"),
            Self::Identity(error) => write!(f, "{error}"),
            Self::Options(error) => write!(f, "the options of smp-server.ini make no configuration: {error}"),
            Self::NoConfiguration(path) => write!(
                f,
                "there is no smp-server.ini in {}; name the two folders with --config-dir (usually /etc/opt/simplex) \
                 and --data-dir (usually /var/opt/simplex)",
                path.display()
            ),
            Self::InDatabase => f.write_str(
                "smp-server.ini says that queues or messages are in a database; export them first with the old \
                 server's `database export`, see docs/moving.md",
            ),
            Self::NotEmpty(path) => write!(
                f,
                "there is something in {} already, and nothing is ever imported or exported over it; choose another \
                 directory",
                path.display()
            ),
            Self::NothingKept => f.write_str("this relay keeps nothing on disk (store.engine is \"memory\")"),
        }
    }
}

impl std::error::Error for MovingError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            Self::Store(error) => Some(error),
            Self::Identity(error) => Some(error),
            Self::Options(error) => Some(error),
            _ => None,
        }
    }
}

impl From<StoreError> for MovingError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<IdentityError> for MovingError {
    fn from(error: IdentityError) -> Self {
        Self::Identity(error)
    }
}

/// A source that cannot be read; which one is known from where the reading stopped.
impl From<io::Error> for MovingError {
    fn from(error: io::Error) -> Self {
        Self::Io { path: PathBuf::from("reading"), error }
    }
}
