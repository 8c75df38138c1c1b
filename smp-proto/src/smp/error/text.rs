use core::fmt::{self, Write as _};

use super::space;
use crate::wire::{Error, Reader, Writer};

/// A description inside an error: bytes meant to be UTF-8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ErrorText<'a>(pub &'a [u8]);

impl<'a> ErrorText<'a> {
    pub(super) fn decode_short(reader: &mut Reader<'a>) -> Result<Self, Error> {
        space(reader)?;
        reader.short().map(Self)
    }

    /// Writes a space and a `str`, cut to 255 bytes at the end of a character.
    pub(super) fn encode_short(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        let mut end = self.0.len().min(255);
        if self.0.len() > 255 {
            while end > 252 && self.0.get(end).is_some_and(|byte| byte & 0xC0 == 0x80) {
                end = end.saturating_sub(1);
            }
        }
        writer.u8(b' ')?;
        writer.short(self.0.get(..end).unwrap_or_default())
    }

    pub(super) fn encode_rest(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        for chunk in self.0.utf8_chunks() {
            writer.bytes(chunk.valid().as_bytes())?;
            if !chunk.invalid().is_empty() {
                writer.u8(b'?')?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for ErrorText<'_> {
    /// Shows the text with `?` for what is not UTF-8 and for control characters, which a terminal might obey.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            chunk.valid().chars().try_for_each(|c| f.write_char(if c.is_control() { '?' } else { c }))?;
            if !chunk.invalid().is_empty() {
                f.write_char('?')?;
            }
        }
        Ok(())
    }
}
