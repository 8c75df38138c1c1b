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
