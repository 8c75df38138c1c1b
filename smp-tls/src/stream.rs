//! The connection over a transport of `embedded-io-async`.

use core::fmt;

use embedded_io_async::{ErrorType, Read, Write};

use crate::config::{Config, Ephemeral};
use crate::connection::Connection;
use crate::error::{Error, StreamError};
use crate::handshake::{Handshake, Progress};
use crate::record::Records;
use crate::verify::{CertificateChain, Verifier};

/// A TLS connection over the transport `T`, in one buffer for both directions.
///
/// Every method may be cancelled (its future dropped) at any time, if the transport's methods may: what arrived is kept,
/// and what was not sent is sent by the next call.
pub struct TlsStream<'b, T> {
    transport: T,
    buffer: &'b mut [u8],
    connection: Connection,
    /// Whether the transport was given bytes since it was flushed.
    unflushed: bool,
}

impl<T> fmt::Debug for TlsStream<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsStream(..)")
    }
}

impl<'b, T: Read + Write> TlsStream<'b, T> {
    /// Opens a connection over a transport that has just been opened.
    ///
    /// The server's whole flight has to fit into `buffer`; [`BUFFER_LENGTH`](crate::BUFFER_LENGTH) is far more than that. A
    /// server that never answers is waited for as long as the transport lets: put a limit on the time.
    ///
    /// Fails with what the transport says, and with the protocol's errors; the server has then been told why.
    pub async fn connect(
        mut transport: T,
        buffer: &'b mut [u8],
        config: &Config<'_>,
        ephemeral: Ephemeral,
        verifier: &mut dyn Verifier,
    ) -> Result<Self, StreamError<T::Error>> {
        let mut handshake = Handshake::new(config, ephemeral, buffer)?;
        let mut unflushed = false;
        loop {
            send(&mut transport, handshake.records(), buffer, &mut unflushed).await?;
            let outcome = match handshake.space(buffer) {
                Err(error) => Err(error),
                Ok(space) => match transport.read(space).await.map_err(StreamError::Transport)? {
                    0 => Err(handshake.ended()),
                    length => handshake.received(buffer, length, verifier),
                },
            };
            match outcome {
                Ok(Progress::Continue) => {}
                Ok(Progress::Complete) => break,
                Err(error) => {
                    // If the alert does not arrive, its reason is still the better error.
                    let _ = send(&mut transport, handshake.records(), buffer, &mut unflushed).await;
                    return Err(error.into());
                }
            }
        }
        send(&mut transport, handshake.records(), buffer, &mut unflushed).await?;
        let connection = handshake.into_connection().ok_or(Error::Truncated)?;
        Ok(Self { transport, buffer, connection, unflushed })
    }

    /// The value of this side's Finished message. It is different for every connection and known to both sides only: SMP
    /// uses it as the identifier of the session.
    #[must_use]
    pub const fn finished(&self) -> &[u8; 32] {
        self.connection.finished()
    }

    /// The application protocol that the server chose, as an index into [`Config::alpn`].
    #[must_use]
    pub const fn alpn(&self) -> Option<usize> {
        self.connection.alpn()
    }

    /// The server's certificates, until the first read or write.
    #[must_use]
    pub fn chain(&self) -> Option<CertificateChain<'_>> {
        self.connection.chain(self.buffer)
    }

    /// Waits until `length` bytes of content are there, and returns them where they stand. They stay until they are
    /// [consumed](TlsStream::consume).
    ///
    /// Fails with [`Error::BufferFull`] when they do not fit: see [`BUFFER_LENGTH`](crate::BUFFER_LENGTH). Fails with
    /// [`Error::Closed`] when the server closed the connection before, and with [`Error::Truncated`] when the transport
    /// ended without that.
    pub async fn read_in_place(&mut self, length: usize) -> Result<&mut [u8], StreamError<T::Error>> {
        while self.connection.content().len() < length {
            if length > self.buffer.len() {
                return Err(Error::BufferFull.into());
            }
            self.receive().await?;
        }
        let content = self.buffer.get_mut(self.connection.content()).unwrap_or_default();
        Ok(content.get_mut(..length).unwrap_or_default())
    }

    /// Consumes the first `length` bytes of what was received.
    pub fn consume(&mut self, length: usize) {
        self.connection.consume(length);
    }

    /// Whether the buffer may be written: nothing in it is still to be consumed, to be received or to be sent.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.connection.is_free()
    }

    /// Room for content to send: up to 16,384 bytes, 22 less than the buffer has.
    ///
    /// Fails with [`Error::Busy`] when the buffer is not free.
    pub fn content_mut(&mut self) -> Result<&mut [u8], Error> {
        self.connection.content_mut(self.buffer)
    }

    /// Sends the first `length` bytes of [`TlsStream::content_mut`] in one record.
    ///
    /// Once this was awaited it will be sent: when it is cancelled, the next call of any method that waits sends the rest
    /// first.
    ///
    /// Fails with [`Error::Busy`] when the buffer is not free, and with [`Error::TooLong`].
    pub async fn write_in_place(&mut self, length: usize) -> Result<(), StreamError<T::Error>> {
        self.connection.seal(self.buffer, length)?;
        self.send().await
    }

    /// Sends what is still to be sent of a cancelled call, if anything is.
    pub async fn send(&mut self) -> Result<(), StreamError<T::Error>> {
        send(&mut self.transport, self.connection.records(), self.buffer, &mut self.unflushed).await
    }

    /// Tells the server that nothing more will be sent. The transport stays open.
    pub async fn close(&mut self) -> Result<(), StreamError<T::Error>> {
        self.send().await?;
        self.connection.close()?;
        self.send().await
    }

    /// The transport and the buffer.
    #[must_use]
    pub fn into_parts(self) -> (T, &'b mut [u8]) {
        (self.transport, self.buffer)
    }

    /// The transport, to look at or to set options of. Reading from it or writing to it breaks the connection.
    pub const fn transport(&mut self) -> &mut T {
        &mut self.transport
    }

    /// Receives some bytes.
    async fn receive(&mut self) -> Result<(), StreamError<T::Error>> {
        self.send().await?;
        let outcome = match self.connection.space(self.buffer) {
            Err(error) => Err(error),
            Ok(space) => match self.transport.read(space).await.map_err(StreamError::Transport)? {
                0 => Err(self.connection.ended()),
                length => self.connection.received(self.buffer, length),
            },
        };
        if let Err(error) = outcome {
            // If the alert does not arrive, its reason is still the better error.
            let _ = self.send().await;
            return Err(error.into());
        }
        Ok(())
    }
}

/// Sends all output.
async fn send<T: Write>(
    transport: &mut T,
    records: &mut Records,
    buffer: &[u8],
    unflushed: &mut bool,
) -> Result<(), StreamError<T::Error>> {
    loop {
        let output = records.output(buffer);
        if output.is_empty() {
            break;
        }
        *unflushed = true;
        match transport.write(output).await.map_err(StreamError::Transport)? {
            0 => return Err(records.ended().into()),
            length => records.sent(length),
        }
    }
    if *unflushed {
        transport.flush().await.map_err(StreamError::Transport)?;
        *unflushed = false;
    }
    Ok(())
}

impl<T: ErrorType> ErrorType for TlsStream<'_, T> {
    type Error = StreamError<T::Error>;
}

/// Reading by copying, for those who do not read in place. The end is [`Error::Closed`] as 0 bytes;
/// [`Error::Truncated`] stays an error.
impl<T: Read + Write> Read for TlsStream<'_, T> {
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Self::Error> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let length = loop {
            match self.connection.content().len() {
                0 => match self.receive().await {
                    Err(StreamError::Tls(Error::Closed)) => return Ok(0),
                    outcome => outcome?,
                },
                available => break available.min(bytes.len()),
            }
        };
        let content = self.buffer.get(self.connection.content()).unwrap_or_default();
        bytes.iter_mut().zip(content).for_each(|(byte, content)| *byte = *content);
        self.connection.consume(length);
        Ok(length)
    }
}

/// Writing by copying, one record for each call, which is sent by the next call of any method that waits: a write that
/// was dropped has taken nothing. What was received has to be read before.
impl<T: Read + Write> Write for TlsStream<'_, T> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        self.send().await?;
        if bytes.is_empty() {
            return Ok(0);
        }
        let room = self.connection.content_mut(self.buffer)?;
        let length = room.len().min(bytes.len());
        room.iter_mut().zip(bytes).for_each(|(room, byte)| *room = *byte);
        self.connection.seal(self.buffer, length)?;
        Ok(length)
    }

    async fn flush(&mut self) -> Result<(), Self::Error> {
        self.send().await
    }
}
