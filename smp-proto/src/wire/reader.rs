use super::{Decode, Error};

/// Reads values from the front of a byte slice. Cheap to clone: a clone is a bookmark.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader over all of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// How many bytes are left.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether everything was read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What is left, without reading it.
    #[must_use]
    pub const fn remaining(&self) -> &'a [u8] {
        self.bytes
    }

    /// The next byte, without reading it.
    #[must_use]
    pub fn peek(&self) -> Option<u8> {
        self.bytes.first().copied()
    }

    /// Reads exactly `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (head, tail) = self.bytes.split_at_checked(count).ok_or(Error::Truncated)?;
        self.bytes = tail;
        Ok(head)
    }

    /// Reads exactly `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], Error> {
        let (head, tail) = self.bytes.split_first_chunk().ok_or(Error::Truncated)?;
        self.bytes = tail;
        Ok(head)
    }

    /// Reads everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.bytes)
    }

    /// Reads up to, and not including, the first `byte`; everything when there is none.
    pub fn until(&mut self, byte: u8) -> &'a [u8] {
        let end = self.bytes.iter().position(|b| *b == byte).unwrap_or(self.bytes.len());
        let (head, tail) = self.bytes.split_at_checked(end).unwrap_or((self.bytes, &[]));
        self.bytes = tail;
        head
    }

    /// Reads one byte.
    pub fn u8(&mut self) -> Result<u8, Error> {
        let [byte] = self.array()?;
        Ok(*byte)
    }

    /// Reads two bytes.
    pub fn u16(&mut self) -> Result<u16, Error> {
        Ok(u16::from_be_bytes(*self.array()?))
    }

    /// Reads four bytes.
    pub fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_be_bytes(*self.array()?))
    }

    /// Reads eight bytes.
    pub fn i64(&mut self) -> Result<i64, Error> {
        Ok(i64::from_be_bytes(*self.array()?))
    }

    /// Reads a `str`: one length byte and as many bytes.
    pub fn short(&mut self) -> Result<&'a [u8], Error> {
        let length = self.u8()?;
        self.take(usize::from(length))
    }

    /// Reads an `lstr`: two length bytes and as many bytes.
    pub fn long(&mut self) -> Result<&'a [u8], Error> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    /// Reads a fixed sequence of bytes and nothing else.
    pub fn expect(&mut self, literal: &[u8]) -> Result<(), Error> {
        let tail = self.bytes.strip_prefix(literal).ok_or(if literal.starts_with(self.bytes) {
            Error::Truncated
        } else {
            Error::Invalid
        })?;
        self.bytes = tail;
        Ok(())
    }

    /// Reads any value.
    pub fn value<T: Decode<'a>>(&mut self) -> Result<T, Error> {
        T::decode(self)
    }

    /// Succeeds when nothing is left.
    pub fn finish(&self) -> Result<(), Error> {
        if self.bytes.is_empty() { Ok(()) } else { Err(Error::Trailing) }
    }
}
