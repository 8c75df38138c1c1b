//! Records (RFC 8446, section 5): the layout of the one buffer, what is received into it, and what is sent from it.
//!
//! ```text
//! receiving  | consumed | content, not consumed | part of a handshake message | record on its way |
//!            0          start                   end                           tail
//! sending    | header (5) | content | type (1) | tag (16) |
//! ```
//!
//! Five bytes of a header are kept outside of the buffer, so that between two records the buffer is the sender's.

use core::ops::Range;

use crate::alert::Alert;
use crate::codec::u24;
use crate::error::Error;
use crate::keys::{Keys, TAG_LENGTH};

/// The most content that one record carries, in bytes.
pub const CONTENT_LENGTH: usize = 16_384;

/// Length in bytes of a buffer that carries blocks of 16,384 bytes: a record with such a block, and 512 bytes for its
/// header, type and tag, and for messages of the protocol between two parts of a block.
///
/// It suffices for servers whose records end where blocks end, in however many records a block comes. A record with the
/// end of one block and the beginning of the next needs room for all of it: a buffer of twice [`CONTENT_LENGTH`] and 512
/// bytes takes every legal sequence of records.
pub const BUFFER_LENGTH: usize = CONTENT_LENGTH + 512;

const HEADER_LENGTH: usize = 5;

/// The longest protected record: content, its type, tag. The protocol's limit is 239 bytes higher, for ciphers that need
/// more; with this one such a record would hold more content than allowed.
const PROTECTED_LENGTH: usize = CONTENT_LENGTH + 1 + TAG_LENGTH;

/// How many records without content are taken in a row.
const QUIET_RECORDS: u8 = 32;

/// Room for small records: change_cipher_spec (6), then an empty Certificate and Finished (66).
const SMALL_LENGTH: usize = 72;

/// Types of content.
pub(crate) mod content {
    pub(crate) const CHANGE_CIPHER_SPEC: u8 = 20;
    pub(crate) const ALERT: u8 = 21;
    pub(crate) const HANDSHAKE: u8 = 22;
    pub(crate) const APPLICATION_DATA: u8 = 23;
}

/// Both directions of a connection.
pub(crate) struct Records {
    read: Option<Keys>,
    write: Option<Keys>,
    /// Whether the server may still send change_cipher_spec.
    compatibility: bool,
    /// Why nothing is received any more.
    failure: Option<Error>,
    /// Whether close_notify or another alert ended this side.
    write_ended: bool,
    /// Records without content since the last with some.
    quiet: u8,
    header: [u8; HEADER_LENGTH],
    header_received: usize,
    body_received: usize,
    start: usize,
    end: usize,
    tail: usize,
    small: [u8; SMALL_LENGTH],
    small_unsent: Range<usize>,
    unsent: Range<usize>,
}

impl Records {
    pub(crate) const fn new() -> Self {
        Self {
            read: None,
            write: None,
            compatibility: true,
            failure: None,
            write_ended: false,
            quiet: 0,
            header: [0; HEADER_LENGTH],
            header_received: 0,
            body_received: 0,
            start: 0,
            end: 0,
            tail: 0,
            small: [0; SMALL_LENGTH],
            small_unsent: 0..0,
            unsent: 0..0,
        }
    }

    // What is sent.

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

    /// The record that tells old equipment between the sides what it expects to see (section 5, appendix D.4).
    pub(crate) fn send_change_cipher_spec(&mut self) -> Result<(), Error> {
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

    /// Whether nothing may be sent any more.
    pub(crate) const fn write_ended(&self) -> bool {
        self.write_ended
    }

    /// Ends the connection if `error` is one of those that do, and sends the alert that says why.
    pub(crate) fn fail(&mut self, error: Error) -> Error {
        if error.is_final() && self.failure.is_none() {
            self.failure = Some(error);
            if let Some(alert) = error.alert().filter(|_| !self.write_ended) {
                // Without keys left there is no way to say it; the transport's end has to.
                let _ = self.send_small(content::ALERT, &alert.encode());
            }
            // A server that has closed its direction may still be written to.
            if error != Error::Closed {
                self.write_ended = true;
                self.read = None;
                self.write = None;
            }
        }
        error
    }

    // What is received.

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

    /// Takes what was kept of the handshake out of the buffer.
    pub(crate) const fn forget(&mut self) {
        (self.start, self.end, self.tail) = (0, 0, 0);
    }

    // Keys.

    /// From here on the server's records are protected with these keys.
    pub(crate) fn set_read(&mut self, keys: Keys) {
        self.read = Some(keys);
    }

    /// From here on this side's records are protected with these keys.
    pub(crate) fn set_write(&mut self, keys: Keys) {
        self.write = Some(keys);
    }

    pub(crate) const fn read(&mut self) -> Option<&mut Keys> {
        self.read.as_mut()
    }

    pub(crate) const fn write(&mut self) -> Option<&mut Keys> {
        self.write.as_mut()
    }

    /// The server's Finished was received: change_cipher_spec may not come any more.
    pub(crate) const fn end_handshake(&mut self) {
        self.compatibility = false;
        self.quiet = 0;
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
