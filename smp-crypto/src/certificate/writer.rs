//! Writes DER front to back; a length is put in when its contents are there.

use smp_proto::wire::Error;

pub(super) struct DerWriter<'b> {
    buffer: &'b mut [u8],
    length: usize,
}

impl<'b> DerWriter<'b> {
    pub(super) fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, length: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.length
    }

    pub(super) fn written_from(&self, start: usize) -> Result<&[u8], Error> {
        self.buffer.get(start..self.length).ok_or(Error::NoSpace)
    }

    pub(super) fn into_written(self) -> Result<&'b [u8], Error> {
        let buffer: &'b [u8] = self.buffer;
        buffer.get(..self.length).ok_or(Error::NoSpace)
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let end = self.length.checked_add(bytes.len()).ok_or(Error::NoSpace)?;
        self.buffer.get_mut(self.length..end).ok_or(Error::NoSpace)?.copy_from_slice(bytes);
        self.length = end;
        Ok(())
    }

    /// Writes an element whose contents are known.
    pub(super) fn element(&mut self, tag: u8, contents: &[u8]) -> Result<(), Error> {
        self.nested(tag, |writer| writer.bytes(contents))
    }

    /// Writes an element whose contents the closure writes.
    pub(super) fn nested(
        &mut self,
        tag: u8,
        contents: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.bytes(&[tag])?;
        let start = self.length;
        contents(self)?;
        let end = self.length;
        let length = u16::try_from(end.saturating_sub(start)).map_err(|_| Error::TooLong)?;
        let [high, low] = length.to_be_bytes();
        let header: &[u8] = match length {
            0..=0x7f => &[low],
            0x80..=0xff => &[0x81, low],
            _ => &[0x82, high, low],
        };
        // Makes room for the length in front of the contents.
        self.bytes(header)?;
        let moved = start.checked_add(header.len()).ok_or(Error::NoSpace)?;
        self.buffer.copy_within(start..end, moved);
        self.buffer.get_mut(start..moved).ok_or(Error::NoSpace)?.copy_from_slice(header);
        Ok(())
    }

    /// Writes a BIT STRING of whole bytes.
    pub(super) fn bit_string(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.nested(super::der::BIT_STRING, |writer| {
            writer.bytes(&[0])?;
            writer.bytes(bytes)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::der::{DerReader, OCTET_STRING, SEQUENCE};
    use super::*;

    #[test]
    fn every_length_reads_back() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff - 4] {
            let contents = std::vec![0x5a; length];
            let mut buffer = std::vec![0; length + 8];
            let mut writer = DerWriter::new(&mut buffer);
            writer.nested(SEQUENCE, |writer| writer.element(OCTET_STRING, &contents)).unwrap();
            let der = writer.into_written().unwrap();
            let mut reader = DerReader::new(der).enter(SEQUENCE).unwrap();
            assert_eq!(reader.expect(OCTET_STRING).unwrap().contents, contents);
        }
    }

    #[test]
    fn a_small_buffer_or_a_large_value_is_an_error() {
        let mut buffer = [0; 4];
        assert_eq!(DerWriter::new(&mut buffer).element(OCTET_STRING, &[1, 2, 3]), Err(Error::NoSpace));
        assert_eq!(DerWriter::new(&mut buffer).element(OCTET_STRING, &[1, 2]), Ok(()));
        let mut buffer = std::vec![0; 0x1_0010];
        assert_eq!(DerWriter::new(&mut buffer).element(OCTET_STRING, &[0; 0x1_0000]), Err(Error::TooLong));
    }
}
