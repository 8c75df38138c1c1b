use super::{Encode, Error};

/// Appends values to a byte slice of the caller's.
#[derive(Debug)]
pub struct Writer<'b> {
    buffer: &'b mut [u8],
    length: usize,
}

impl<'b> Writer<'b> {
    /// A writer that starts at the front of `buffer`.
    #[must_use]
    pub const fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, length: 0 }
    }

    /// How many bytes were written.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing was written yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// How many bytes still fit.
    #[must_use]
    pub const fn space(&self) -> usize {
        self.buffer.len().saturating_sub(self.length)
    }

    /// What was written.
    #[must_use]
    pub fn written(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or(&[])
    }

    /// What was written, for as long as the buffer lives.
    #[must_use]
    pub fn into_written(self) -> &'b mut [u8] {
        let length = self.length;
        self.buffer.get_mut(..length).unwrap_or_default()
    }

    /// Forgets everything behind `length`; does nothing when less was written.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// The next `count` bytes of the buffer, counted as written; the caller fills them.
    pub fn reserve(&mut self, count: usize) -> Result<&mut [u8], Error> {
        let end = self.length.checked_add(count).ok_or(Error::NoSpace)?;
        let part = self.buffer.get_mut(self.length..end).ok_or(Error::NoSpace)?;
        self.length = end;
        Ok(part)
    }

    /// Appends bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.reserve(bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    /// Appends one byte.
    pub fn u8(&mut self, value: u8) -> Result<(), Error> {
        self.bytes(&[value])
    }

    /// Appends two bytes.
    pub fn u16(&mut self, value: u16) -> Result<(), Error> {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends four bytes.
    pub fn u32(&mut self, value: u32) -> Result<(), Error> {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends eight bytes.
    pub fn i64(&mut self, value: i64) -> Result<(), Error> {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends a `str`: one length byte and up to 255 bytes.
    pub fn short(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.u8(u8::try_from(bytes.len()).map_err(|_| Error::TooLong)?)?;
        self.bytes(bytes)
    }

    /// Appends an `lstr`: two length bytes and up to 65,535 bytes.
    pub fn long(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.u16(u16::try_from(bytes.len()).map_err(|_| Error::TooLong)?)?;
        self.bytes(bytes)
    }

    /// Appends whatever `content` writes, preceded by its length in one byte.
    pub fn short_with(&mut self, content: impl FnOnce(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        let start = self.length;
        self.u8(0)?;
        content(self)?;
        let length = self.length.saturating_sub(start).saturating_sub(1);
        let length = u8::try_from(length).map_err(|_| Error::TooLong)?;
        self.patch(start, &[length])
    }

    /// Appends whatever `content` writes, preceded by its length in two bytes.
    pub fn long_with(&mut self, content: impl FnOnce(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        let start = self.length;
        self.u16(0)?;
        content(self)?;
        let length = self.length.saturating_sub(start).saturating_sub(2);
        let length = u16::try_from(length).map_err(|_| Error::TooLong)?;
        self.patch(start, &length.to_be_bytes())
    }

    /// Appends any value.
    pub fn value<T: Encode + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.encode(self)
    }

    fn patch(&mut self, at: usize, bytes: &[u8]) -> Result<(), Error> {
        let end = at.checked_add(bytes.len()).ok_or(Error::NoSpace)?;
        self.buffer.get_mut(at..end).ok_or(Error::NoSpace)?.copy_from_slice(bytes);
        Ok(())
    }
}
