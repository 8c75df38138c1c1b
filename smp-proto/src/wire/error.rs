use core::fmt;

/// Why bytes could not be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// The input ends before the value does.
    Truncated,
    /// The value ends before the input does.
    Trailing,
    /// The bytes are not a value of this type.
    Invalid,
    /// A value is longer than its length field or its place on the wire allows.
    TooLong,
    /// The output buffer is too small.
    NoSpace,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the input ends before the value does",
            Self::Trailing => "there are bytes behind the end of the value",
            Self::Invalid => "the bytes are not a value of the expected type",
            Self::TooLong => "the value is longer than the wire allows",
            Self::NoSpace => "the output buffer is too small",
        })
    }
}

impl core::error::Error for Error {}
