//! Records (RFC 8446, section 5): the layout of the one buffer, what is received into it, and what is sent from it.
//!
//! ```text
//! receiving  | consumed | content, not consumed | part of a handshake message | record on its way |
//!            0          start                   end                           tail
//! sending    | header (5) | content | type (1) | tag (16) |
//! ```
//!
//! Five bytes of a header are kept outside of the buffer, so that between two records the buffer is the sender's.

mod layout;
mod receive;
mod send;
#[cfg(test)]
mod test;

use core::ops::Range;

use crate::error::Error;
use crate::keys::{Keys, TAG_LENGTH};

/// The most content that one record carries, in bytes.
pub const CONTENT_LENGTH: usize = 16_384;

/// Length in bytes of a buffer that carries blocks of 16,384 bytes: a record with such a block, and 512 bytes for its
/// header, type and tag, and for messages of the protocol between two parts of a block.
///
/// It suffices for servers whose records end where blocks end, in however many records a block comes, when they do not pad
/// them to be longer than blocks. A record with the end of one block and the beginning of the next needs room for all of
/// it: a buffer of twice [`CONTENT_LENGTH`] and 512 bytes takes every legal sequence of records.
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
    /// Whether this side has sent change_cipher_spec.
    compatibility_sent: bool,
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
            compatibility_sent: false,
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
