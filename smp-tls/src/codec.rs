//! Reading and writing the presentation language of RFC 8446, section 3.

use crate::alert::Alert;
use crate::error::Error;

/// Reads a message from its beginning to its end. What is not there is a decode_error.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next `length` bytes.
    pub(crate) fn bytes(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Alert::DECODE_ERROR)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], Error> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Alert::DECODE_ERROR)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        self.array::<1>().map(|[byte]| *byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(|bytes| u16::from_be_bytes(*bytes))
    }

    /// A vector whose length is one byte.
    pub(crate) fn vector8(&mut self) -> Result<&'a [u8], Error> {
        let length = self.u8()?;
        self.bytes(length.into())
    }

    /// A vector whose length is two bytes.
    pub(crate) fn vector16(&mut self) -> Result<&'a [u8], Error> {
        let length = self.u16()?;
        self.bytes(length.into())
    }

    /// A vector whose length is three bytes.
    pub(crate) fn vector24(&mut self) -> Result<&'a [u8], Error> {
        let length = self.array().map(u24)?;
        self.bytes(length)
    }

    /// Ends the message: nothing may follow.
    pub(crate) fn end(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Alert::DECODE_ERROR.into()) }
    }
}

/// A vector of more than zero bytes, as most vectors have to be.
pub(crate) fn not_empty(bytes: &[u8]) -> Result<&[u8], Error> {
    if bytes.is_empty() { Err(Alert::DECODE_ERROR.into()) } else { Ok(bytes) }
}

/// A number of three bytes.
pub(crate) const fn u24(bytes: &[u8; 3]) -> usize {
    let [a, b, c] = *bytes;
    u32::from_be_bytes([0, a, b, c]) as usize
}

/// Writes into the caller's buffer. What does not fit is [`Error::Limit`].
pub(crate) struct Writer<'b> {
    buffer: &'b mut [u8],
    length: usize,
}

impl<'b> Writer<'b> {
    pub(crate) const fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, length: 0 }
    }

    pub(crate) const fn length(&self) -> usize {
        self.length
    }

    pub(crate) fn written(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let rest = self.buffer.get_mut(self.length..).unwrap_or_default();
        rest.get_mut(..bytes.len()).ok_or(Error::Limit)?.copy_from_slice(bytes);
        self.length = self.length.saturating_add(bytes.len());
        Ok(())
    }

    pub(crate) fn u8(&mut self, number: u8) -> Result<(), Error> {
        self.bytes(&[number])
    }

    pub(crate) fn u16(&mut self, number: u16) -> Result<(), Error> {
        self.bytes(&number.to_be_bytes())
    }

    /// Leaves two bytes for a length; [`Writer::close`] fills them.
    pub(crate) fn open(&mut self) -> Result<usize, Error> {
        self.u16(0)?;
        Ok(self.length)
    }

    /// Fills the length before `start` with the number of bytes written since.
    pub(crate) fn close(&mut self, start: usize) -> Result<(), Error> {
        let length =
            self.length.checked_sub(start).and_then(|length| u16::try_from(length).ok()).ok_or(Error::Limit)?;
        let place = start.checked_sub(2).and_then(|begin| self.buffer.get_mut(begin..start)).ok_or(Error::Limit)?;
        place.copy_from_slice(&length.to_be_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Error = Error::Refused(Alert::DECODE_ERROR);

    #[test]
    fn reads_numbers_and_vectors() {
        let mut reader = Reader::new(&[7, 1, 2, 1, 9, 0, 1, 8, 0, 0, 2, 5, 6]);
        assert_eq!((reader.u8(), reader.u16()), (Ok(7), Ok(0x0102)));
        assert_eq!(reader.vector8(), Ok(&[9][..]));
        assert_eq!(reader.vector16(), Ok(&[8][..]));
        assert_eq!(reader.vector24(), Ok(&[5, 6][..]));
        assert_eq!(reader.u8(), Err(SHORT));
        assert!(reader.is_empty());
        assert_eq!(reader.end(), Ok(()));
        assert_eq!(Reader::new(&[0]).end(), Err(SHORT));
    }

    #[test]
    fn refuses_vectors_longer_than_what_is_there() {
        assert_eq!(Reader::new(&[2, 1]).vector8(), Err(SHORT));
        assert_eq!(Reader::new(&[0xff, 0xff, 1]).vector16(), Err(SHORT));
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 1]).vector24(), Err(SHORT));
        assert_eq!(Reader::new(&[0, 0]).vector24(), Err(SHORT));
        assert_eq!(not_empty(&[]), Err(SHORT));
    }

    #[test]
    fn writes_lengths_afterwards_and_never_beyond_the_buffer() {
        let mut buffer = [0xee; 6];
        let mut writer = Writer::new(&mut buffer);
        let start = writer.open().unwrap();
        writer.bytes(&[1, 2, 3]).unwrap();
        assert_eq!(writer.u16(4), Err(Error::Limit));
        writer.close(start).unwrap();
        assert_eq!(writer.written(), [0, 3, 1, 2, 3]);
        writer.u8(4).unwrap();
        assert_eq!(writer.u8(5), Err(Error::Limit));
        assert_eq!(writer.length(), 6);
    }

    #[test]
    fn refuses_lengths_of_more_than_two_bytes() {
        let mut buffer = [0; 0x1_0003];
        let mut writer = Writer::new(&mut buffer);
        let start = writer.open().unwrap();
        writer.bytes(&[0; 0x1_0000]).unwrap();
        assert_eq!(writer.close(start), Err(Error::Limit));
    }
}
