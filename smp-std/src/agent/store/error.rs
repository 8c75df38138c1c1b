//! What can go wrong in an agent's store.

use std::fmt;
use std::io;

use rusqlite::ErrorCode;

/// Why a store or an export was not made, read or changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum StorageError {
    /// The operating system refused.
    Io(io::Error),
    /// The disk is full. Nothing was changed.
    DiskFull,
    /// There is a file with that name, or what a lost one of that name left behind (`-wal`, `-journal`); none is replaced.
    Exists,
    /// There is no such file.
    NotFound,
    /// The file is something else.
    NotAStore,
    /// The file is no export of a store.
    NotAnExport,
    /// The file was made by a newer version of this program, in the format of this number.
    NewerFormat(u8),
    /// The passphrase is not the one that was set.
    WrongPassphrase,
    /// A passphrase of no characters, without [`Passphrase::empty`](super::Passphrase::empty).
    EmptyPassphrase,
    /// The work that makes a key from the passphrase is less or more than is accepted here
    /// ([`Cost::WEAKEST`](super::Cost::WEAKEST), [`Cost::STRONGEST`](super::Cost::STRONGEST)).
    Cost,
    /// There is not enough memory to make a key from the passphrase.
    Memory,
    /// The store is open already, in this process or another.
    InUse,
    /// This part of the file was damaged, or changed without the passphrase.
    Damaged(Part),
    /// A key of no bytes or of more than [`MAX_KEY_LENGTH`](smp_agent::storage::MAX_KEY_LENGTH), or a value of more than
    /// [`MAX_VALUE_LENGTH`](smp_agent::storage::MAX_VALUE_LENGTH). Nothing was changed.
    Length,
    /// An earlier commit failed, so that what is on disk is not known: open the store again.
    Failed,
    /// There are no random bytes.
    Random,
    /// SQLite refused, with this extended result code.
    Engine(i32),
}

/// A part of a store or of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// What stands before everything else: the wrapped key.
    Header,
    /// The database around the records.
    Database,
    /// A record.
    Record,
    /// The content of an export: changed, cut off or followed by something.
    Content,
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the file: {error}"),
            Self::DiskFull => f.write_str("the disk is full"),
            Self::Exists => f.write_str("there is a file of that name already"),
            Self::NotFound => f.write_str("there is no such file"),
            Self::NotAStore => f.write_str("the file is no store"),
            Self::NotAnExport => f.write_str("the file is no export of a store"),
            Self::NewerFormat(found) => {
                write!(f, "the file was made by a newer version of this program (format {found})")
            }
            Self::WrongPassphrase => f.write_str("the passphrase is wrong"),
            Self::EmptyPassphrase => f.write_str("the passphrase is empty"),
            Self::Cost => f.write_str("the work to make a key from the passphrase is out of bounds"),
            Self::Memory => f.write_str("there is not enough memory to make a key from the passphrase"),
            Self::InUse => f.write_str("the store is in use"),
            Self::Damaged(Part::Header) => f.write_str("the header is damaged"),
            Self::Damaged(Part::Database) => f.write_str("the database is damaged"),
            Self::Damaged(Part::Record) => f.write_str("a record is damaged"),
            Self::Damaged(Part::Content) => f.write_str("the export is damaged or incomplete"),
            Self::Length => f.write_str("a key or a value is too long, or a key is empty"),
            Self::Failed => f.write_str("an earlier commit failed; open the store again"),
            Self::Random => f.write_str("the system gives no random bytes"),
            Self::Engine(code) => write!(f, "SQLite refused with code {code}"),
        }
    }
}

impl std::error::Error for StorageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for StorageError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AlreadyExists => Self::Exists,
            io::ErrorKind::NotFound => Self::NotFound,
            io::ErrorKind::StorageFull => Self::DiskFull,
            _ => Self::Io(error),
        }
    }
}

impl From<rusqlite::Error> for StorageError {
    fn from(error: rusqlite::Error) -> Self {
        match &error {
            rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::InUse,
                ErrorCode::NotADatabase => Self::NotAStore,
                ErrorCode::DiskFull => Self::DiskFull,
                ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::CannotOpen => {
                    Self::Io(io::ErrorKind::PermissionDenied.into())
                }
                // A value longer than any record is: see the limit that is set on opening.
                ErrorCode::DatabaseCorrupt | ErrorCode::TooBig => Self::Damaged(Part::Database),
                _ => Self::Engine(failure.extended_code),
            },
            // What is stored is of another type than the table allows.
            rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::QueryReturnedNoRows => Self::Damaged(Part::Database),
            _ => Self::Engine(rusqlite::ffi::SQLITE_ERROR),
        }
    }
}
