//! What was received and stands in the buffer: content, and messages of the handshake.

use core::ops::Range;

use super::Records;
use crate::alert::Alert;
use crate::codec::u24;
use crate::error::Error;

impl Records {
    /// Moves what is not consumed to the front of the buffer if the record does not fit behind it.
    pub(super) fn make_room(&mut self, buffer: &mut [u8], length: usize) -> Result<(), Error> {
        if self.start == self.tail {
            (self.start, self.end, self.tail) = (0, 0, 0);
        }
        if self.tail.saturating_add(length) > buffer.len() {
            let kept = self.tail.saturating_sub(self.start);
            if kept.saturating_add(length) > buffer.len() {
                // Content makes room when it is consumed. A handshake message does not.
                return Err(if self.start == self.end { Error::Limit } else { Error::BufferFull });
            }
            cut(buffer.get_mut(..self.tail), self.start);
            self.end = self.end.saturating_sub(self.start);
            self.tail = kept;
            self.start = 0;
        }
        Ok(())
    }

    /// Adds the content that was received last to what the application may consume.
    pub(crate) fn accept_content(&mut self, length: usize) -> Result<(), Error> {
        if length == 0 {
            return self.count_quiet();
        }
        self.quiet = 0;
        self.tail = self.tail.saturating_add(length);
        self.end = self.tail;
        Ok(())
    }

    /// Content that was not consumed.
    pub(crate) const fn content(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Consumes content.
    pub(crate) fn consume(&mut self, length: usize) {
        self.start = self.start.saturating_add(length).min(self.end);
    }

    /// The type of the next handshake message and where it is with its header, when it is complete. `expected` tells
    /// from the type whether the message is waited for at all.
    pub(crate) fn message(
        &self,
        buffer: &[u8],
        expected: impl FnOnce(u8) -> bool,
    ) -> Result<Option<(u8, Range<usize>)>, Error> {
        let received = buffer.get(self.end..self.tail).unwrap_or_default();
        let Some((kind, rest)) = received.split_first() else { return Ok(None) };
        if !expected(*kind) {
            return Err(Alert::UNEXPECTED_MESSAGE.into());
        }
        let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
        let length = u24(length);
        if length > buffer.len() {
            return Err(Error::Limit);
        }
        let end = self.end.saturating_add(4).saturating_add(length);
        Ok((rest.len() >= length).then_some((*kind, self.end..end)))
    }

    /// Keeps a handshake message in the buffer that was dealt with.
    pub(crate) fn keep_message(&mut self, message: &Range<usize>) {
        self.end = message.end;
    }

    /// Takes a handshake message out of the buffer that was dealt with.
    pub(crate) fn drop_message(&mut self, buffer: &mut [u8], message: &Range<usize>) {
        cut(buffer.get_mut(message.start..self.tail), message.len());
        self.tail = self.tail.saturating_sub(message.len());
    }

    /// Whether the last message ended with its record, as it must where keys change (section 5.1).
    pub(crate) fn check_boundary(&self, message: &Range<usize>) -> Result<(), Error> {
        if message.end == self.tail { Ok(()) } else { Err(Alert::UNEXPECTED_MESSAGE.into()) }
    }
}

/// Takes the first `length` bytes out: the others move to the front. Without a way to panic, unlike `copy_within` alone.
fn cut(bytes: Option<&mut [u8]>, length: usize) {
    if let Some(bytes) = bytes.filter(|bytes| length <= bytes.len()) {
        bytes.copy_within(length.., 0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::test::{UNEXPECTED, pair};
    use super::*;

    #[test]
    fn content_makes_room_when_it_is_consumed() {
        let mut pair = pair(64);
        pair.content(&[1; 20]).unwrap();
        pair.content(&[2; 20]).unwrap();
        assert_eq!(pair.unread(), [[1; 20], [2; 20]].concat());
        let third = pair.protected(&[&[3; 20][..], &[23]].concat());
        assert_eq!(pair.receive(&third, usize::MAX), Err(Error::BufferFull));
        pair.records.consume(12);
        assert_eq!(pair.receive(&third[5..10], usize::MAX), Err(Error::BufferFull), "the header was taken");
        pair.records.consume(1);
        assert_eq!(pair.receive(&third[5..], 3), Ok(Some((23, 20))));
        pair.records.accept_content(20).unwrap();
        assert_eq!(pair.unread(), [&[1; 7][..], &[2; 20], &[3; 20]].concat());
        pair.records.consume(1000);
        assert!(pair.unread().is_empty());
    }

    #[test]
    fn a_record_longer_than_the_buffer_is_too_much() {
        let mut pair = pair(64);
        let record = pair.protected(&[1; 49]);
        assert_eq!(pair.receive(&record, usize::MAX), Err(Error::Limit));
    }

    #[test]
    fn messages_are_put_together_and_taken_apart() {
        let mut pair = pair(100);
        pair.content(b"content").unwrap();
        let record = pair.protected(b"\x04\0\0\x01a\x18\0\0\x16");
        pair.receive(&record, usize::MAX).unwrap();
        let expected = |kind| kind == 4 || kind == 24;
        let (kind, range) = pair.records.message(&pair.buffer, expected).unwrap().unwrap();
        assert_eq!((kind, &pair.buffer[range.clone()]), (4, &b"\x04\0\0\x01a"[..]));
        assert_eq!(pair.records.check_boundary(&range), Err(UNEXPECTED));
        pair.records.drop_message(&mut pair.buffer, &range);
        assert_eq!(pair.records.message(&pair.buffer, expected), Ok(None));
        assert_eq!(pair.records.message(&pair.buffer, |kind| kind == 4), Err(UNEXPECTED), "before it is complete");
        let record = pair.protected(b"\x01\x01\x16");
        pair.receive(&record, usize::MAX).unwrap();
        let (kind, range) = pair.records.message(&pair.buffer, expected).unwrap().unwrap();
        assert_eq!((kind, &pair.buffer[range.clone()]), (24, &b"\x18\0\0\x01\x01"[..]));
        assert_eq!(pair.records.check_boundary(&range), Ok(()));
        pair.records.drop_message(&mut pair.buffer, &range);
        assert_eq!(pair.unread(), b"content");
        pair.content(b" goes on").unwrap();
        assert_eq!(pair.unread(), b"content goes on");
    }

    #[test]
    fn a_message_longer_than_the_buffer_is_too_much() {
        let mut pair = pair(100);
        let part = pair.protected(b"\x04\0\0\x65\x16");
        pair.receive(&part, usize::MAX).unwrap();
        assert_eq!(pair.records.message(&pair.buffer, |_| true), Err(Error::Limit));
    }
}
