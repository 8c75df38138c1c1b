//! The direction from the server.

use core::ops::Range;

use super::{CONTENT_LENGTH, HEADER_LENGTH, PROTECTED_LENGTH, QUIET_RECORDS, Records, content};
use crate::alert::Alert;
use crate::codec::u24;
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

    /// Moves what is not consumed to the front of the buffer if the record does not fit behind it.
    fn make_room(&mut self, buffer: &mut [u8], length: usize) -> Result<(), Error> {
        if self.start == self.tail {
            (self.start, self.end, self.tail) = (0, 0, 0);
        }
        if self.tail.saturating_add(length) > buffer.len() {
            let kept = self.tail.saturating_sub(self.start);
            if kept.saturating_add(length) > buffer.len() {
                // Content makes room when it is consumed. A handshake message does not.
                return Err(if self.start == self.end { Error::Limit } else { Error::BufferFull });
            }
            buffer.copy_within(self.start..self.tail, 0);
            self.end = self.end.saturating_sub(self.start);
            self.tail = kept;
            self.start = 0;
        }
        Ok(())
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

    // What was received.

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
        if message.end < self.tail {
            buffer.copy_within(message.end..self.tail, message.start);
        }
        self.tail = self.tail.saturating_sub(message.len());
    }

    /// Whether the last message ended with its record, as it must where keys change (section 5.1).
    pub(crate) fn check_boundary(&self, message: &Range<usize>) -> Result<(), Error> {
        if message.end == self.tail { Ok(()) } else { Err(Alert::UNEXPECTED_MESSAGE.into()) }
    }
}
