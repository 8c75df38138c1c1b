//! The direction from the server.

use super::{CONTENT_LENGTH, HEADER_LENGTH, PROTECTED_LENGTH, QUIET_RECORDS, Records, content};
use crate::alert::Alert;
use crate::error::Error;

impl Records {
    /// Makes room for the next bytes from the transport.
    pub(crate) fn prepare(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        if self.has_output() {
            return Err(Error::Busy);
        }
        if self.header_received == HEADER_LENGTH && self.body_received == 0 {
            self.make_room(buffer, self.body_length())?;
        }
        Ok(())
    }

    /// Where the next bytes from the transport go: never more than the record that is on its way, and never nothing after
    /// [`Records::prepare`].
    pub(crate) fn space<'s>(&'s mut self, buffer: &'s mut [u8]) -> &'s mut [u8] {
        let space = if self.header_received < HEADER_LENGTH {
            self.header.get_mut(self.header_received..)
        } else {
            let body = self.tail..self.tail.saturating_add(self.body_length());
            buffer.get_mut(body).and_then(|body| body.get_mut(self.body_received..))
        };
        space.unwrap_or_default()
    }

    fn body_length(&self) -> usize {
        let [_, _, _, high, low] = self.header;
        u16::from_be_bytes([high, low]).into()
    }

    /// Takes note of bytes that were put into [`Records::space`]. When they complete a record, its type is returned and
    /// how many bytes of content stand behind `tail`. Alerts and change_cipher_spec are dealt with here.
    pub(crate) fn received(&mut self, buffer: &mut [u8], length: usize) -> Result<Option<(u8, usize)>, Error> {
        if self.has_output() {
            return Err(Error::Busy);
        }
        if self.header_received < HEADER_LENGTH {
            self.header_received = self.header_received.saturating_add(length).min(HEADER_LENGTH);
            if self.header_received < HEADER_LENGTH {
                return Ok(None);
            }
            self.check_header()?;
            if self.body_length() > 0 {
                return Ok(None);
            }
        } else {
            self.body_received = self.body_received.saturating_add(length);
        }
        if self.body_received < self.body_length() {
            return Ok(None);
        }
        let (kind, length) = self.open(buffer)?;
        self.header_received = 0;
        self.body_received = 0;
        match kind {
            content::CHANGE_CIPHER_SPEC => {
                // One byte of value 1 (section 5), and not within a handshake message (section 5.1).
                if !self.compatibility || length != 1 || buffer.get(self.tail) != Some(&1) || self.end != self.tail {
                    return Err(Alert::UNEXPECTED_MESSAGE.into());
                }
                self.count_quiet()?;
                Ok(None)
            }
            content::ALERT => {
                let message = self.tail..self.tail.saturating_add(length);
                match Alert::decode(buffer.get(message).unwrap_or_default())? {
                    Alert::CLOSE_NOTIFY => Err(Error::Closed),
                    // Not between two parts of a message, where other alerts end the connection anyway.
                    Alert::USER_CANCELED if self.end != self.tail => Err(Alert::UNEXPECTED_MESSAGE.into()),
                    Alert::USER_CANCELED => self.count_quiet().map(|()| None),
                    alert => Err(Error::Alert(alert)),
                }
            }
            content::HANDSHAKE if length > 0 => {
                self.tail = self.tail.saturating_add(length);
                Ok(Some((kind, length)))
            }
            // Messages of the handshake must not be interrupted (section 5.1).
            content::APPLICATION_DATA if self.end == self.tail => Ok(Some((kind, length))),
            _ => Err(Alert::UNEXPECTED_MESSAGE.into()),
        }
    }

    /// Refuses a record by its header, before its body is waited for. The version in it means nothing.
    fn check_header(&self) -> Result<(), Error> {
        let length = self.body_length();
        let [kind, ..] = self.header;
        match (kind, &self.read) {
            (content::CHANGE_CIPHER_SPEC, _) if self.compatibility && length == 1 => Ok(()),
            (content::ALERT | content::HANDSHAKE, None) if length > CONTENT_LENGTH => {
                Err(Alert::RECORD_OVERFLOW.into())
            }
            (content::ALERT | content::HANDSHAKE, None) => Ok(()),
            (content::APPLICATION_DATA, Some(_)) if length > PROTECTED_LENGTH => Err(Alert::RECORD_OVERFLOW.into()),
            (content::APPLICATION_DATA, Some(_)) => Ok(()),
            _ => Err(Alert::UNEXPECTED_MESSAGE.into()),
        }
    }

    /// Decrypts the record behind `tail`: its type, and the length of its content, which stays where the record was.
    fn open(&mut self, buffer: &mut [u8]) -> Result<(u8, usize), Error> {
        let length = self.body_length();
        let [kind, ..] = self.header;
        if kind != content::APPLICATION_DATA {
            return Ok((kind, length));
        }
        let keys = self.read.as_mut().ok_or(Alert::UNEXPECTED_MESSAGE)?;
        let body = buffer.get_mut(self.tail..).and_then(|buffer| buffer.get_mut(..length)).ok_or(Error::BufferFull)?;
        let (inner, tag) = body.split_last_chunk_mut().ok_or(Alert::BAD_RECORD_MAC)?;
        keys.open(&self.header, inner, tag)?;
        // Content, its type, zeros. Zeros only are no record (section 5.4).
        let length = inner.iter().rposition(|byte| *byte != 0).ok_or(Alert::UNEXPECTED_MESSAGE)?;
        match inner.get(length).copied() {
            Some(kind @ (content::ALERT | content::HANDSHAKE | content::APPLICATION_DATA)) => Ok((kind, length)),
            _ => Err(Alert::UNEXPECTED_MESSAGE.into()),
        }
    }

    /// Bounds what the server can make this side do without sending content.
    pub(crate) fn count_quiet(&mut self) -> Result<(), Error> {
        self.quiet = self.quiet.saturating_add(1);
        if self.quiet > QUIET_RECORDS { Err(Alert::UNEXPECTED_MESSAGE.into()) } else { Ok(()) }
    }

    /// The transport has ended.
    pub(crate) fn ended(&mut self) -> Error {
        self.failure.unwrap_or_else(|| self.fail(Error::Truncated))
    }

    /// Why nothing is received any more.
    pub(crate) const fn failure(&self) -> Option<Error> {
        self.failure
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::super::BUFFER_LENGTH;
    use super::super::test::{UNEXPECTED, pair, record};
    use super::*;
    use crate::keys::TAG_LENGTH;

    #[test]
    fn takes_a_record_in_any_pieces() {
        for piece in [1, 2, 5, 6, 100] {
            let mut pair = pair(100);
            let record = pair.protected(b"content\x17\0\0\0");
            assert_eq!(pair.receive(&record, piece), Ok(Some((23, 7))));
            pair.records.accept_content(7).unwrap();
            assert_eq!(pair.unread(), b"content");
        }
    }

    #[test]
    fn never_asks_for_bytes_beyond_the_record() {
        let mut pair = pair(100);
        let record = pair.protected(b"content\x17");
        pair.records.prepare(&mut pair.buffer).unwrap();
        assert_eq!(pair.records.space(&mut pair.buffer).len(), 5);
        assert_eq!(pair.receive(&record[..5], 5), Ok(None));
        assert!(pair.records.is_free(), "a header is not in the buffer");
        pair.records.prepare(&mut pair.buffer).unwrap();
        assert_eq!(pair.records.space(&mut pair.buffer).len(), record.len() - 5);
        assert_eq!(pair.receive(&record[5..6], 1), Ok(None));
        assert!(!pair.records.is_free());
        assert_eq!(pair.records.space(&mut pair.buffer).len(), record.len() - 6);
    }

    #[test]
    fn takes_the_longest_record_and_no_longer_one() {
        let mut pair = pair(BUFFER_LENGTH);
        pair.content(&[1; CONTENT_LENGTH]).unwrap();
        pair.records.consume(CONTENT_LENGTH);
        for padding in [0, 1, 238, 239] {
            let inner = [&[1; CONTENT_LENGTH][..], &[23], &vec![0; padding]].concat();
            let record = pair.protected(&inner);
            let expected =
                if padding == 0 { Ok(Some((23, CONTENT_LENGTH))) } else { Err(Alert::RECORD_OVERFLOW.into()) };
            assert_eq!(pair.receive(&record, usize::MAX), expected);
            pair.records.header_received = 0;
        }
        let mut pair = self::pair(BUFFER_LENGTH);
        pair.records.read = None;
        let plain = record(22, &[1; CONTENT_LENGTH + 1]);
        assert_eq!(pair.receive(&plain, usize::MAX), Err(Alert::RECORD_OVERFLOW.into()));
    }

    #[test]
    fn refuses_what_was_not_sealed_so() {
        for (inner, expected) in [
            (&b""[..], UNEXPECTED),
            (b"\0", UNEXPECTED),
            (b"\0\0\0\0", UNEXPECTED),
            (b"content\x14", UNEXPECTED), // change_cipher_spec is never protected
            (b"content\x18", UNEXPECTED),
            (b"\x16", UNEXPECTED), // a handshake message of no bytes
            (b"\x15", UNEXPECTED), // an alert of no bytes
        ] {
            let mut pair = pair(100);
            let record = pair.protected(inner);
            assert_eq!(pair.receive(&record, usize::MAX), Err(expected), "{inner:?}");
        }
        for length in 0..TAG_LENGTH {
            let short = record(23, &vec![0; length]);
            assert_eq!(pair(100).receive(&short, usize::MAX), Err(Alert::BAD_RECORD_MAC.into()));
        }
        for position in [0, 1, 2, 4, 5, 12, 20] {
            let mut pair = pair(100);
            let mut record = pair.protected(b"content\x17");
            record[position] ^= 1;
            let expected = match position {
                0 => Some(UNEXPECTED),
                4 => None, // the record seems longer
                _ => Some(Alert::BAD_RECORD_MAC.into()),
            };
            assert_eq!(pair.receive(&record, usize::MAX).err(), expected, "{position}");
        }
    }

    #[test]
    fn plain_records_end_with_the_first_key() {
        for kind in [21, 22] {
            assert_eq!(pair(100).receive(&record(kind, &[2, 40]), usize::MAX), Err(UNEXPECTED));
        }
        let mut pair = pair(100);
        pair.records.read = None;
        assert_eq!(pair.receive(&record(23, &[0; 20]), usize::MAX), Err(UNEXPECTED));
        for (kind, expected) in [(21, UNEXPECTED), (22, UNEXPECTED)] {
            let mut pair = self::pair(100);
            pair.records.read = None;
            assert_eq!(pair.receive(&record(kind, &[]), usize::MAX), Err(expected));
        }
    }

    #[test]
    fn ignores_change_cipher_spec_where_it_may_be() {
        let mut pair = pair(100);
        assert_eq!(pair.receive(&record(20, &[1]), usize::MAX), Ok(None));
        for body in [&[0][..], &[2], &[1, 1], &[]] {
            assert_eq!(self::pair(100).receive(&record(20, body), usize::MAX), Err(UNEXPECTED));
        }
        let part = pair.protected(b"\x08\0\x16");
        assert_eq!(pair.receive(&part, usize::MAX), Ok(Some((22, 2))));
        assert_eq!(pair.receive(&record(20, &[1]), usize::MAX), Err(UNEXPECTED), "within a message");
        let mut pair = self::pair(100);
        pair.records.end_handshake();
        assert_eq!(pair.receive(&record(20, &[1]), usize::MAX), Err(UNEXPECTED));
    }

    #[test]
    fn alerts_end_the_connection_with_their_number() {
        for (alert, expected) in [
            (&[1, 0][..], Error::Closed),
            (&[2, 40], Error::Alert(Alert::HANDSHAKE_FAILURE)),
            (&[1, 200], Error::Alert(Alert::new(200))),
            (&[2], Alert::DECODE_ERROR.into()),
            (&[2, 40, 0], Alert::DECODE_ERROR.into()),
        ] {
            let mut pair = pair(100);
            let record = pair.protected(&[alert, &[21]].concat());
            assert_eq!(pair.receive(&record, usize::MAX), Err(expected));
        }
        let mut pair = pair(100);
        let canceled = pair.protected(&[1, 90, 21]);
        assert_eq!(pair.receive(&canceled, usize::MAX), Ok(None), "close_notify follows");
    }

    #[test]
    fn messages_are_not_interrupted() {
        for inner in [&b"content\x17"[..], b"\x17", b"\x01\x5a\x15"] {
            let mut pair = pair(100);
            let part = pair.protected(b"\x04\0\0\x16");
            assert_eq!(pair.receive(&part, usize::MAX), Ok(Some((22, 3))));
            let record = pair.protected(inner);
            assert_eq!(pair.receive(&record, usize::MAX), Err(UNEXPECTED));
        }
    }

    #[test]
    fn records_without_content_are_counted() {
        let mut pair = pair(100);
        for _ in 0..2 {
            for _ in 0..QUIET_RECORDS {
                pair.content(b"").unwrap();
            }
            pair.content(b"content").unwrap();
            pair.records.consume(7);
        }
        for _ in 0..QUIET_RECORDS {
            pair.content(b"").unwrap();
        }
        assert_eq!(pair.content(b""), Err(UNEXPECTED));
    }

    #[test]
    fn an_end_without_close_notify_is_not_a_close() {
        let mut pair = pair(100);
        assert_eq!(pair.records.ended(), Error::Truncated);
        assert_eq!(pair.records.prepare(&mut pair.buffer), Err(Error::Truncated));
        assert!(pair.records.read.is_none() && !pair.records.has_output());
        let mut pair = self::pair(100);
        pair.records.fail(Error::Closed);
        assert_eq!(pair.records.ended(), Error::Closed);
    }
}
