//! A receiver of records and its sender.

use std::vec;
use std::vec::Vec;

use super::Records;
use crate::alert::Alert;
use crate::error::Error;
use crate::keys::{Keys, TAG_LENGTH};
use crate::schedule::Secret;

pub(super) const UNEXPECTED: Error = Error::Refused(Alert::UNEXPECTED_MESSAGE);

/// A receiver and the keys of its sender.
pub(super) struct Pair {
    pub(super) records: Records,
    pub(super) buffer: Vec<u8>,
    pub(super) sender: Keys,
}

pub(super) fn keys() -> Keys {
    Keys::new(Secret::handshake(&[1; 32]))
}

pub(super) fn pair(buffer: usize) -> Pair {
    let mut records = Records::new();
    records.set_read(keys());
    Pair { records, buffer: vec![0; buffer], sender: keys() }
}

pub(super) fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 3, 3][..], &u16::try_from(body.len()).unwrap().to_be_bytes(), body].concat()
}

impl Pair {
    /// A protected record with this content, type and padding.
    pub(super) fn protected(&mut self, inner: &[u8]) -> Vec<u8> {
        let length = u16::try_from(inner.len() + TAG_LENGTH).unwrap().to_be_bytes();
        let header = [23, 3, 3, length[0], length[1]];
        let mut inner = inner.to_vec();
        let tag = self.sender.seal(&header, &mut inner).unwrap();
        [&header[..], &inner, &tag].concat()
    }

    /// Receives bytes in pieces, as far as a result: a record, or an error.
    pub(super) fn receive(&mut self, mut bytes: &[u8], piece: usize) -> Result<Option<(u8, usize)>, Error> {
        while !bytes.is_empty() {
            self.records.prepare(&mut self.buffer)?;
            let space = self.records.space(&mut self.buffer);
            let length = space.len().min(piece).min(bytes.len());
            assert!(length > 0);
            space[..length].copy_from_slice(&bytes[..length]);
            bytes = &bytes[length..];
            if let Some(record) = self.records.received(&mut self.buffer, length)? {
                assert!(bytes.is_empty());
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    pub(super) fn content(&mut self, content: &[u8]) -> Result<(), Error> {
        let record = self.protected(&[content, &[23]].concat());
        let (kind, length) = self.receive(&record, usize::MAX)?.unwrap();
        assert_eq!((kind, length), (23, content.len()));
        self.records.accept_content(length)
    }

    pub(super) fn unread(&self) -> &[u8] {
        &self.buffer[self.records.content()]
    }
}
