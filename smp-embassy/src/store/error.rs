use core::fmt;

/// Why something cannot be kept or read. `E` is the error of the flash.
///
/// After any error the store is usable: the next operation first looks at the flash again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error<E> {
    /// The flash failed.
    Flash(E),
    /// The part of the flash, its pages, its words or the buffer cannot be used: see the front page of [`store`](super).
    Unsuitable,
    /// There is something in this part of the flash, and no store. If nothing of it is needed,
    /// [`format`](super::FlashStore::format) makes one.
    NotFormatted,
    /// Later firmware made the store, in a way that this one does not know. Nothing was changed.
    StoreTooNew,
    /// Later firmware kept the record, in a way that this one does not know. It was not changed, and is not replaced.
    RecordTooNew,
    /// There is no room. Alarms leave enough for everything else.
    Full,
    /// The record is longer than the buffer allows.
    RecordTooLong,
    /// The flash does not hold what was written: it is worn out, or something else writes to it.
    Worn,
    /// The record, or the store as a whole when it is opened, is damaged. Other records can be read.
    Damaged,
    /// All numbers of the counter were used.
    Exhausted,
}

impl<E: fmt::Debug> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flash(_) => "the flash failed",
            Self::Unsuitable => "the flash or the buffer cannot be used for a store",
            Self::NotFormatted => "the flash holds something that is not a store",
            Self::StoreTooNew => "later firmware made the store",
            Self::RecordTooNew => "later firmware kept the record",
            Self::Full => "the store is full",
            Self::RecordTooLong => "the record is too long",
            Self::Worn => "the flash does not hold what was written",
            Self::Damaged => "the record or the store is damaged",
            Self::Exhausted => "all numbers were used",
        })
    }
}

impl<E: fmt::Debug> core::error::Error for Error<E> {}
