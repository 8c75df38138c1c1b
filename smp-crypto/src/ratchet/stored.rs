//! Stored forms: postcard values, one after the other, behind the number of the format.

use serde::{Deserialize, Serialize};

use super::Error;

/// Appends values to a buffer of the caller's.
pub(super) struct Writer<'b> {
    buffer: &'b mut [u8],
    length: usize,
}

impl<'b> Writer<'b> {
    pub(super) fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, length: 0 }
    }

    pub(super) fn write<T: Serialize>(&mut self, value: &T) -> Result<(), Error> {
        let rest = self.buffer.get_mut(self.length..).unwrap_or_default();
        let written = postcard::to_slice(value, rest).map_err(|_| Error::TooLong)?.len();
        self.length = self.length.saturating_add(written);
        Ok(())
    }

    pub(super) fn finish(self) -> Result<&'b mut [u8], Error> {
        self.buffer.get_mut(..self.length).ok_or(Error::TooLong)
    }
}

/// Reads values that lie one behind the other.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader behind the number of the format.
    pub(super) fn new(bytes: &'a [u8], format: u8) -> Result<Self, Error> {
        match bytes.split_first() {
            Some((number, bytes)) if *number == format => Ok(Self { bytes }),
            Some((number, _)) if *number > format => Err(Error::NewerFormat),
            _ => Err(Error::Stored),
        }
    }

    pub(super) fn read<T: Deserialize<'a>>(&mut self) -> Result<T, Error> {
        let (value, rest) = postcard::take_from_bytes(self.bytes).map_err(|_| Error::Stored)?;
        self.bytes = rest;
        Ok(value)
    }
}

/// The bytes of a field that has one length.
pub(super) fn exact<const N: usize>(bytes: &[u8]) -> Result<&[u8; N], Error> {
    bytes.try_into().map_err(|_| Error::Stored)
}
