//! The alphabet every message is spelled in: a bounded reader and writer, and the primitive encodings of the
//! wire reference, section 1.
//!
//! Integers are unsigned, in network byte order. Nothing here allocates and nothing panics: every bound is checked and
//! every failure is an [`Error`].

mod error;
mod list;
mod pad;
mod primitives;
mod reader;
mod text;
mod writer;

pub use error::Error;
pub use list::{List, ListIter, NonEmptyList};
pub use pad::{FILLER, pad, pad_in_place, unpad, unpad_range};
pub(crate) use primitives::Hidden;
pub use primitives::{LongString, Rest, ShortString, Time};
pub use reader::Reader;
pub use text::{Base64, Base64Unpadded, base64_url_decode, base64_url_decoded_len, base64_url_encode};
pub use writer::Writer;

/// A value that can be read from the wire. The value borrows from the bytes it was read from.
pub trait Decode<'a>: Sized {
    /// Reads one value and leaves the reader behind it.
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error>;

    /// Reads one value that must fill `bytes` completely.
    fn from_bytes(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let value = Self::decode(&mut reader)?;
        reader.finish()?;
        Ok(value)
    }
}

/// A value that can be written to the wire.
pub trait Encode {
    /// Appends the value. After an error the writer holds a part of it and should be dropped or truncated.
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error>;

    /// Writes the value into `buffer` and returns the part that was written.
    fn to_slice<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], Error> {
        let mut writer = Writer::new(buffer);
        self.encode(&mut writer)?;
        Ok(writer.into_written())
    }
}
