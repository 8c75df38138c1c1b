//! The direction to the server.

use core::ops::Range;

use super::{CONTENT_LENGTH, HEADER_LENGTH, Records, content};
use crate::alert::Alert;
use crate::error::Error;
use crate::keys::{Keys, TAG_LENGTH};

impl Records {
    /// The bytes to send next; nothing may be received before all are.
    pub(crate) fn output<'s>(&'s self, buffer: &'s [u8]) -> &'s [u8] {
        let (bytes, range) =
            if self.small_unsent.is_empty() { (buffer, &self.unsent) } else { (&self.small[..], &self.small_unsent) };
        bytes.get(range.clone()).unwrap_or_default()
    }

    /// Forgets the first bytes of the output, which were sent.
    pub(crate) fn sent(&mut self, length: usize) {
        let range = if self.small_unsent.is_empty() { &mut self.unsent } else { &mut self.small_unsent };
        range.start = range.start.saturating_add(length).min(range.end);
    }

    pub(crate) fn has_output(&self) -> bool {
        !self.small_unsent.is_empty() || !self.unsent.is_empty()
    }

    /// Sends a range of the buffer as it is: the record of a ClientHello.
    pub(crate) fn send_plain(&mut self, range: Range<usize>) {
        self.unsent = range;
    }

    /// Appends a small record.
    pub(crate) fn send_small(&mut self, kind: u8, content: &[u8]) -> Result<(), Error> {
        if self.small_unsent.is_empty() {
            self.small_unsent = 0..0;
        }
        let room = self.small.get_mut(self.small_unsent.end..).unwrap_or_default();
        let keys = if kind == content::CHANGE_CIPHER_SPEC { None } else { self.write.as_mut() };
        room.get_mut(HEADER_LENGTH..)
            .and_then(|room| room.get_mut(..content.len()))
            .ok_or(Error::TooLong)?
            .copy_from_slice(content);
        let length = seal(keys, kind, room, content.len())?;
        self.small_unsent.end = self.small_unsent.end.saturating_add(length);
        Ok(())
    }

    /// The record that tells old equipment between the sides what it expects to see (appendix D.4), once: before the second
    /// ClientHello, or before Finished.
    pub(crate) fn send_change_cipher_spec(&mut self) -> Result<(), Error> {
        if core::mem::replace(&mut self.compatibility_sent, true) {
            return Ok(());
        }
        self.send_small(content::CHANGE_CIPHER_SPEC, &[1])
    }

    /// Whether the buffer is free for what is to be sent. Small records are elsewhere, and go first.
    pub(crate) fn is_free(&self) -> bool {
        self.start == self.tail && self.body_received == 0 && self.unsent.is_empty()
    }

    /// Room for the content of the next record.
    pub(crate) fn content_mut<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b mut [u8], Error> {
        self.check_write()?;
        let room = buffer.len().saturating_sub(HEADER_LENGTH + 1 + TAG_LENGTH).min(CONTENT_LENGTH);
        buffer.get_mut(HEADER_LENGTH..).and_then(|buffer| buffer.get_mut(..room)).ok_or(Error::TooLong)
    }

    /// Protects the content that stands where [`Records::content_mut`] said, and sends it.
    pub(crate) fn seal(&mut self, buffer: &mut [u8], length: usize) -> Result<(), Error> {
        self.check_write()?;
        if length > CONTENT_LENGTH {
            return Err(Error::TooLong);
        }
        let length = seal(self.write.as_mut(), content::APPLICATION_DATA, buffer, length)?;
        (self.start, self.end, self.tail) = (0, 0, 0);
        self.unsent = 0..length;
        Ok(())
    }

    fn check_write(&self) -> Result<(), Error> {
        match self.failure {
            Some(failure) if failure != Error::Closed => Err(failure),
            _ if self.write_ended => Err(Error::Closed),
            _ if !self.is_free() => Err(Error::Busy),
            _ => Ok(()),
        }
    }

    /// Whether nothing may be sent any more.
    pub(crate) const fn write_ended(&self) -> bool {
        self.write_ended
    }

    /// Sends close_notify, once. Only when all other output was sent.
    pub(crate) fn close(&mut self) -> Result<(), Error> {
        if self.has_output() {
            return Err(Error::Busy);
        }
        if !core::mem::replace(&mut self.write_ended, true) {
            self.send_small(content::ALERT, &Alert::CLOSE_NOTIFY.encode())?;
        }
        Ok(())
    }
}

/// Makes a record of `length` bytes of content that stand behind the room for its header. Returns the record's length.
fn seal(keys: Option<&mut Keys>, kind: u8, buffer: &mut [u8], length: usize) -> Result<usize, Error> {
    let (header, rest) = buffer.split_first_chunk_mut::<HEADER_LENGTH>().ok_or(Error::TooLong)?;
    let Some(keys) = keys else {
        *header = record_header(kind, length);
        return Ok(HEADER_LENGTH.saturating_add(length));
    };
    let inner = length.saturating_add(1);
    let protected = inner.saturating_add(TAG_LENGTH);
    *header = record_header(content::APPLICATION_DATA, protected);
    let (inner, rest) = rest.split_at_mut_checked(inner).ok_or(Error::TooLong)?;
    let tag = rest.first_chunk_mut().ok_or(Error::TooLong)?;
    *inner.last_mut().ok_or(Error::TooLong)? = kind;
    *tag = keys.seal(header, inner)?;
    Ok(HEADER_LENGTH.saturating_add(protected))
}

const fn record_header(kind: u8, length: usize) -> [u8; HEADER_LENGTH] {
    let [high, low] = (length as u16).to_be_bytes();
    [kind, 3, 3, high, low]
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::super::BUFFER_LENGTH;
    use super::*;
    use crate::schedule::Secret;

    const OVERHEAD: usize = HEADER_LENGTH + 1 + TAG_LENGTH;

    fn keys() -> Keys {
        Keys::new(Secret::handshake(&[1; 32]))
    }

    fn records() -> Records {
        let mut records = Records::new();
        records.set_write(keys());
        records
    }

    /// Takes all output, in pieces.
    fn take(records: &mut Records, buffer: &[u8], piece: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        while records.has_output() {
            let output = records.output(buffer);
            let length = output.len().min(piece);
            taken.extend_from_slice(&output[..length]);
            records.sent(length);
        }
        assert!(records.output(buffer).is_empty());
        taken
    }

    /// The type and content of a protected record at the beginning of `bytes`, and what follows it.
    fn open<'a>(keys: &mut Keys, bytes: &'a [u8]) -> (u8, Vec<u8>, &'a [u8]) {
        let (header, rest) = bytes.split_at(HEADER_LENGTH);
        assert_eq!(header[..3], [23, 3, 3]);
        let (body, rest) = rest.split_at(u16::from_be_bytes([header[3], header[4]]).into());
        let (inner, tag) = body.split_last_chunk().unwrap();
        let mut inner = inner.to_vec();
        keys.open(header, &mut inner, tag).unwrap();
        (inner.pop().unwrap(), inner, rest)
    }

    #[test]
    fn content_is_sealed_where_it_stands() {
        for length in [0, 1, 100, CONTENT_LENGTH] {
            let mut records = records();
            let mut buffer = vec![0; BUFFER_LENGTH];
            let room = records.content_mut(&mut buffer).unwrap();
            assert_eq!(room.len(), CONTENT_LENGTH);
            room[..length].fill(7);
            records.seal(&mut buffer, length).unwrap();
            assert!(!records.is_free());
            assert_eq!(records.content_mut(&mut buffer), Err(Error::Busy));
            assert_eq!(records.seal(&mut buffer, length), Err(Error::Busy));
            assert_eq!(records.prepare(&mut buffer), Err(Error::Busy), "what is received would overwrite it");
            let sent = take(&mut records, &buffer, 1000);
            assert_eq!(sent.len(), length + OVERHEAD);
            assert_eq!(open(&mut keys(), &sent), (23, vec![7; length], &[][..]));
            assert!(records.is_free());
        }
    }

    #[test]
    fn content_fits_the_record_and_the_buffer() {
        let mut records = records();
        let mut buffer = vec![0; 100];
        assert_eq!(records.content_mut(&mut buffer).unwrap().len(), 100 - OVERHEAD);
        assert_eq!(records.seal(&mut buffer, 100 - OVERHEAD + 1), Err(Error::TooLong));
        assert_eq!(records.seal(&mut buffer, usize::MAX), Err(Error::TooLong));
        assert_eq!(records.seal(&mut [], 0), Err(Error::TooLong));
        records.seal(&mut buffer, 100 - OVERHEAD).unwrap();
        assert_eq!(open(&mut keys(), &buffer).0, 23, "the first record, not a later one");
        let mut buffer = vec![0; 20_000];
        take(&mut records, &buffer, 100);
        assert_eq!(records.seal(&mut buffer, CONTENT_LENGTH + 1), Err(Error::TooLong));
    }

    #[test]
    fn small_records_go_first_and_in_order() {
        let mut records = records();
        let mut buffer = vec![0; 100];
        records.send_change_cipher_spec().unwrap();
        records.send_small(22, b"message").unwrap();
        assert!(records.is_free());
        records.content_mut(&mut buffer).unwrap()[..7].copy_from_slice(b"content");
        records.seal(&mut buffer, 7).unwrap();
        assert_eq!(records.close(), Err(Error::Busy));
        let sent = take(&mut records, &buffer, 3);
        let sent = sent.strip_prefix(&[20, 3, 3, 0, 1, 1]).unwrap();
        let mut keys = keys();
        let (kind, message, rest) = open(&mut keys, sent);
        assert_eq!((kind, &message[..]), (22, &b"message"[..]));
        assert_eq!(open(&mut keys, rest), (23, b"content".to_vec(), &[][..]));

        records.send_change_cipher_spec().unwrap();
        assert!(!records.has_output(), "once is enough");
        assert_eq!(records.send_small(22, &[0; 80]), Err(Error::TooLong));
        assert!(!records.has_output());
    }

    #[test]
    fn says_once_that_it_closes_and_nothing_afterwards() {
        let mut records = records();
        let mut buffer = vec![0; 100];
        records.close().unwrap();
        assert_eq!(open(&mut keys(), &take(&mut records, &buffer, 100)), (21, vec![1, 0], &[][..]));
        records.close().unwrap();
        assert!(!records.has_output());
        assert_eq!(records.content_mut(&mut buffer), Err(Error::Closed));
        assert_eq!(records.seal(&mut buffer, 1), Err(Error::Closed));
    }

    #[test]
    fn says_why_it_ends_and_forgets_the_keys() {
        let mut records = records();
        records.set_read(keys());
        let mut buffer = vec![0; 100];
        let error = Error::Refused(Alert::DECODE_ERROR);
        assert_eq!(records.fail(error), error);
        assert_eq!(records.fail(Error::Limit), Error::Limit, "the first reason stays");
        assert_eq!(open(&mut keys(), &take(&mut records, &buffer, 100)), (21, vec![2, 50], &[][..]));
        assert_eq!(records.content_mut(&mut buffer), Err(error));
        assert!(records.read.is_none() && records.write.is_none());
        records.close().unwrap();
        assert!(!records.has_output());
    }

    #[test]
    fn may_still_send_when_the_server_does_not() {
        let mut records = records();
        let mut buffer = vec![0; 100];
        records.fail(Error::Closed);
        records.seal(&mut buffer, 1).unwrap();
        assert_eq!(open(&mut keys(), &take(&mut records, &buffer, 100)).0, 23);
    }

    #[test]
    fn alerts_before_the_first_key_are_plain() {
        let mut records = Records::new();
        records.fail(Error::Limit);
        assert_eq!(take(&mut records, &[], 100), [21, 3, 3, 0, 2, 2, 80]);
    }

    #[test]
    fn the_longest_flight_fits() {
        let mut records = records();
        records.send_change_cipher_spec().unwrap();
        records.send_small(22, &[0; 8 + 36]).unwrap();
        assert_eq!(take(&mut records, &[], 100).len(), super::super::SMALL_LENGTH);
    }
}
