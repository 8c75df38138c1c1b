//! A strict reader of DER: definite lengths in their shortest form, one-byte tags, nothing behind the end.

use smp_proto::wire::{Error, Reader};

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// The tag of a constructed, context-specific element.
pub(crate) const fn explicit(number: u8) -> u8 {
    0xa0 | number
}

/// One element: its tag, its contents, and all its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) contents: &'a [u8],
    pub(crate) encoding: &'a [u8],
}

/// Reads elements from the front of a byte slice.
#[derive(Clone, Debug)]
pub(crate) struct DerReader<'a> {
    reader: Reader<'a>,
}

impl<'a> DerReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { reader: Reader::new(bytes) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.reader.is_empty()
    }

    pub(crate) fn finish(&self) -> Result<(), Error> {
        self.reader.finish()
    }

    /// Reads any element.
    pub(crate) fn element(&mut self) -> Result<Element<'a>, Error> {
        let start = self.reader.remaining();
        let tag = self.reader.u8()?;
        if tag & 0x1f == 0x1f {
            return Err(Error::Invalid);
        }
        let length = self.length()?;
        let contents = self.reader.take(length)?;
        let used = start.len().saturating_sub(self.reader.len());
        let encoding = start.get(..used).ok_or(Error::Truncated)?;
        Ok(Element { tag, contents, encoding })
    }

    /// Reads an element of this tag.
    pub(crate) fn expect(&mut self, tag: u8) -> Result<Element<'a>, Error> {
        let element = self.element()?;
        if element.tag == tag { Ok(element) } else { Err(Error::Invalid) }
    }

    /// Reads an element of this tag and returns a reader of its contents.
    pub(crate) fn enter(&mut self, tag: u8) -> Result<Self, Error> {
        self.expect(tag).map(|element| Self::new(element.contents))
    }

    /// Reads an element of this tag when it is the next one.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, Error> {
        if self.reader.peek() == Some(tag) { self.element().map(Some) } else { Ok(None) }
    }

    /// Reads an INTEGER and returns its contents, which are never empty and have no needless first byte.
    pub(crate) fn integer(&mut self) -> Result<&'a [u8], Error> {
        let contents = self.expect(INTEGER)?.contents;
        match contents {
            [] | [0x00, 0x00..=0x7f, ..] | [0xff, 0x80..=0xff, ..] => Err(Error::Invalid),
            _ => Ok(contents),
        }
    }

    /// Reads an INTEGER from 0 to 127.
    pub(crate) fn small_integer(&mut self) -> Result<u8, Error> {
        match self.integer()? {
            [value @ 0..=0x7f] => Ok(*value),
            _ => Err(Error::Invalid),
        }
    }

    /// Reads a BOOLEAN when it is the next element. `FALSE` is read also where DER would have it left out: several
    /// programs that make certificates write it.
    pub(crate) fn optional_boolean(&mut self) -> Result<bool, Error> {
        match self.optional(BOOLEAN)?.map(|element| element.contents) {
            None | Some([0x00]) => Ok(false),
            Some([0xff]) => Ok(true),
            Some(_) => Err(Error::Invalid),
        }
    }

    /// Reads a BIT STRING of whole bytes.
    pub(crate) fn whole_bytes(&mut self) -> Result<&'a [u8], Error> {
        match self.expect(BIT_STRING)?.contents {
            [0, bytes @ ..] => Ok(bytes),
            _ => Err(Error::Invalid),
        }
    }

    /// Lengths up to 65,535 bytes, the longest certificate the wire can carry.
    fn length(&mut self) -> Result<usize, Error> {
        match self.reader.u8()? {
            short @ 0..=0x7f => Ok(usize::from(short)),
            0x81 => match self.reader.u8()? {
                0..=0x7f => Err(Error::Invalid),
                length => Ok(usize::from(length)),
            },
            0x82 => match self.reader.u16()? {
                0..=0xff => Err(Error::Invalid),
                length => Ok(usize::from(length)),
            },
            _ => Err(Error::Invalid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_only_the_shortest_length() {
        let mut long = std::vec![0x04, 0x81, 0x80];
        long.resize(3 + 0x80, 7);
        assert_eq!(DerReader::new(&long).element().unwrap().contents.len(), 0x80);
        for bytes in [
            &[0x04, 0x81, 0x01, 7][..],
            &[0x04, 0x82, 0x00, 0x01, 7],
            &[0x04, 0x80, 7, 0, 0],
            &[0x04, 0x83, 0, 0, 1, 7],
            &[0x1f, 0x01, 7],
            &[0x04, 0x02, 7],
            &[0x04],
            &[],
        ] {
            assert!(DerReader::new(bytes).element().is_err(), "{bytes:02x?}");
        }
    }

    #[test]
    fn reads_only_the_shortest_integer() {
        assert_eq!(DerReader::new(&[2, 2, 0, 0x80]).integer(), Ok(&[0, 0x80][..]));
        assert_eq!(DerReader::new(&[2, 1, 0xff]).integer(), Ok(&[0xff][..]));
        for bytes in [&[2, 0][..], &[2, 2, 0, 0x7f], &[2, 2, 0xff, 0x80], &[2, 2, 0xff, 0xff]] {
            assert!(DerReader::new(bytes).integer().is_err(), "{bytes:02x?}");
        }
    }

    #[test]
    fn a_boolean_has_one_of_two_bytes() {
        assert_eq!(DerReader::new(&[1, 1, 0xff]).optional_boolean(), Ok(true));
        assert_eq!(DerReader::new(&[1, 1, 0]).optional_boolean(), Ok(false));
        assert_eq!(DerReader::new(&[4, 0]).optional_boolean(), Ok(false));
        assert!(DerReader::new(&[1, 1, 1]).optional_boolean().is_err());
        assert!(DerReader::new(&[1, 2, 0xff, 0xff]).optional_boolean().is_err());
    }
}
