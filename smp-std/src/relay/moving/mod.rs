//! Moving from and to the reference server: its files are read and written as they are (wire reference, 14).
//!
//! | File | Here |
//! |---|---|
//! | `smp-server.ini` | [`ini`], and [`options`] for what its options are called in `smp-server.toml` |
//! | `smp-server-store.log` | [`store_log`] |
//! | `smp-server-messages.log`, `smp-server-ntfs.log` | [`messages`] |
//! | `messages/` | [`journal`] |
//! | `smp-server-stats.log` | the running day's sums, with the relay's statistics |
//!
//! Everything is read line by line: memory does not grow with the size of what is moved. A line that makes no sense is
//! kept aside with its file, number and [`Reason`], never shown, and the rest is taken.

mod error;
mod export;
mod files;
mod import;
pub mod ini;
pub mod journal;
mod lines;
mod load;
pub mod messages;
pub mod options;
mod rejected;
pub mod store_log;
mod text;

pub use error::MovingError;
pub use export::{ExportReport, MessageForm, export};
pub use import::{ImportReport, Sources, import, is_unfinished};
pub use lines::{LONGEST_LINE, Line, Lines};
pub use load::Taken;
pub use rejected::REJECTED_FILE;

/// Why a line, or what it says, was not taken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// The line is of no known kind.
    UnknownKind,
    /// A field is missing or damaged; names the field.
    Field(&'static str),
    /// There is more in the line than belongs there.
    Trailing,
    /// The line is longer than [`LONGEST_LINE`].
    TooLong,
    /// It is about a queue that does not exist (any more).
    UnknownQueue,
    /// It is about a notifier that does not exist (any more).
    UnknownNotifier,
    /// Another queue has one of the ids.
    IdTaken,
    /// The queue is secured with another key.
    OtherKey,
    /// The queue has other link data.
    OtherLink,
    /// The queue has no notifier.
    NoNotifier,
    /// A journal's state makes no sense.
    JournalState,
    /// A journal is shorter than its state says.
    JournalShort,
    /// A journal that the state names is not there.
    JournalMissing,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::UnknownKind => "not a line of a known kind",
            Self::Field(field) => return write!(f, "damaged or missing {field}"),
            Self::Trailing => "more in the line than belongs there",
            Self::TooLong => "line too long",
            Self::UnknownQueue => "unknown or deleted queue",
            Self::UnknownNotifier => "unknown or deleted notifier",
            Self::IdTaken => "an id of another queue",
            Self::OtherKey => "another sender key than the queue has",
            Self::OtherLink => "other link data than the queue has",
            Self::NoNotifier => "the queue has no notifier",
            Self::JournalState => "no valid journal state; all its messages are taken, received ones too",
            Self::JournalShort => "journal shorter than its state says",
            Self::JournalMissing => "journal file missing",
        })
    }
}
