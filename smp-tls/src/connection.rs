//! An established connection (RFC 8446, sections 4.6, 5 and 6): bytes in, bytes out.

use core::fmt;
use core::ops::Range;

use crate::alert::Alert;
use crate::error::Error;
use crate::message::{Kind, certificate, key_update, ticket};
use crate::record::{Records, content};
use crate::schedule::HASH_LENGTH;
use crate::verify::CertificateChain;

/// A connection after its handshake, without input and output of its own.
///
/// All methods take the same buffer as the handshake did. It serves one direction at a time: received content stays in it
/// until it is consumed, and only then may content to be sent be written there.
pub struct Connection {
    records: Records,
    finished: [u8; HASH_LENGTH],
    alpn: Option<usize>,
    /// Where the server's Certificate message still is.
    chain: Option<Range<usize>>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection(..)")
    }
}

impl Connection {
    pub(crate) fn new(
        mut records: Records,
        finished: [u8; HASH_LENGTH],
        alpn: Option<usize>,
        chain: Range<usize>,
    ) -> Self {
        records.forget();
        Self { records, finished, alpn, chain: Some(chain) }
    }

    /// The value of this side's Finished message. It is different for every connection and known to both sides only: SMP
    /// uses it as the identifier of the session.
    #[must_use]
    pub const fn finished(&self) -> &[u8; 32] {
        &self.finished
    }

    /// The application protocol that the server chose, as an index into [`Config::alpn`](crate::Config::alpn).
    #[must_use]
    pub const fn alpn(&self) -> Option<usize> {
        self.alpn
    }

    /// The server's certificates, as long as the buffer was not used after the handshake.
    #[must_use]
    pub fn chain<'b>(&self, buffer: &'b [u8]) -> Option<CertificateChain<'b>> {
        let message = buffer.get(self.chain.clone()?)?;
        certificate::decode(message.get(4..)?).ok()
    }

    /// The bytes to send next. Empty when there are none.
    #[must_use]
    pub fn output<'s>(&'s self, buffer: &'s [u8]) -> &'s [u8] {
        self.records.output(buffer)
    }

    /// Takes the first `length` bytes off the output: they were sent.
    pub fn sent(&mut self, length: usize) {
        self.records.sent(length);
    }

    /// Where the next received bytes go; never empty. May be filled in part. Content that was not consumed may be moved to
    /// the beginning of the buffer.
    ///
    /// Fails with [`Error::Busy`] while there is output, with [`Error::BufferFull`] when content has to be consumed first,
    /// and with the error that ended the connection.
    pub fn space<'s>(&'s mut self, buffer: &'s mut [u8]) -> Result<&'s mut [u8], Error> {
        self.chain = None;
        self.records.prepare(buffer).map_err(|error| self.records.fail(error))?;
        Ok(self.records.space(buffer))
    }

    /// Goes on with `length` bytes that were put into [`Connection::space`]. There may be output then.
    pub fn received(&mut self, buffer: &mut [u8], length: usize) -> Result<(), Error> {
        if let Some(failure) = self.records.failure() {
            return Err(failure);
        }
        self.advance(buffer, length).map_err(|error| self.records.fail(error))
    }

    /// The transport has ended: nothing more can be received.
    pub fn ended(&mut self) -> Error {
        self.records.ended()
    }

    /// Where in the buffer content stands that was received and not consumed.
    #[must_use]
    pub const fn content(&self) -> Range<usize> {
        self.records.content()
    }

    /// Consumes the first `length` bytes of the content.
    pub fn consume(&mut self, length: usize) {
        self.records.consume(length);
    }

    /// Whether nothing is in the buffer: no content, no part of a record, no output. Content to send may be written then.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.records.is_free()
    }

    /// Room for content to send: up to 16,384 bytes of the buffer.
    ///
    /// Fails with [`Error::Busy`] when the buffer is not free.
    pub fn content_mut<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b mut [u8], Error> {
        let room = self.records.content_mut(buffer)?;
        self.chain = None;
        Ok(room)
    }

    /// Makes a record of the first `length` bytes in [`Connection::content_mut`]: it becomes the output.
    ///
    /// Fails with [`Error::Busy`] when the buffer is not free, and with [`Error::TooLong`].
    pub fn seal(&mut self, buffer: &mut [u8], length: usize) -> Result<(), Error> {
        self.chain = None;
        self.records.seal(buffer, length).map_err(|error| self.records.fail(error))
    }

    /// Says that nothing more will be sent: close_notify becomes the output. Receiving is still possible.
    ///
    /// Fails with [`Error::Busy`] while there is other output.
    pub fn close(&mut self) -> Result<(), Error> {
        self.records.close()
    }

    pub(crate) const fn records(&mut self) -> &mut Records {
        &mut self.records
    }

    fn advance(&mut self, buffer: &mut [u8], length: usize) -> Result<(), Error> {
        match self.records.received(buffer, length)? {
            None => return Ok(()),
            Some((content::APPLICATION_DATA, length)) => return self.records.accept_content(length),
            Some(_) => {}
        }
        while let Some((kind, range)) = self
            .records
            .message(buffer, |kind| kind == Kind::NewSessionTicket as u8 || kind == Kind::KeyUpdate as u8)?
        {
            let message = buffer.get(range.clone()).and_then(|message| message.get(4..)).unwrap_or_default();
            self.records.count_quiet()?;
            if kind == Kind::KeyUpdate as u8 {
                // Nothing follows close_notify, so there are no keys to change any more.
                let requested = key_update::decode(message)? && !self.records.write_ended();
                self.records.check_boundary(&range)?;
                if requested {
                    self.records.send_small(content::HANDSHAKE, &key_update::ANSWER)?;
                }
                let keys = |keys: Option<&mut _>| keys.map(crate::keys::Keys::update).ok_or(Alert::INTERNAL_ERROR);
                keys(self.records.read())?;
                if requested {
                    keys(self.records.write())?;
                }
            } else {
                ticket::decode(message)?;
            }
            self.records.drop_message(buffer, &range);
        }
        Ok(())
    }
}
