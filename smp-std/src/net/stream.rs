//! An established TLS connection over an asynchronous byte stream.

use super::tls::{Connection, MAX_RECORD, Tls};
use super::{Alpn, BLOCK_SIZE, NetError, SESSION_IDENTIFIER_SIZE};
use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};
use std::{fmt, io};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A TLS connection after its handshake, read and written in transport blocks or, through [`AsyncRead`] and
/// [`AsyncWrite`], in bytes.
///
/// No buffer is held while nothing is in flight. At most one block of plaintext and one record more are buffered in
/// either direction: a peer that sends without being read, or does not read what it is sent, is held back by TCP.
///
/// Reading also sends what waits to be sent, so a task that goes back to wait for the next block needs no flush.
pub struct TlsStream<S = TcpStream> {
    io: S,
    connection: Connection,
    /// How much of `connection.outgoing` has been sent.
    sent: usize,
    /// The byte stream below has ended.
    ended: bool,
    session_identifier: [u8; SESSION_IDENTIFIER_SIZE],
    /// The task that waits for room to write, if one does.
    writer: Option<Waker>,
}

/// Wakes two tasks.
struct Both(Waker, Waker);

impl Wake for Both {
    fn wake(self: Arc<Self>) {
        self.0.wake_by_ref();
        self.1.wake_by_ref();
    }
}

/// What a connection is ready for, see [`TlsStream::ready`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ready {
    /// A whole block is here, or the connection has ended: [`TlsStream::read_block`] will not wait.
    pub read: bool,
    /// All that was written has been sent: [`TlsStream::write_block`] will not wait.
    pub write: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream<S> {
    /// Does the handshake over `io`, from which `received` has been read already.
    pub(super) async fn handshake(io: S, tls: Tls, received: Vec<u8>) -> Result<Self, NetError> {
        let connection = Connection::new(tls, received);
        let session_identifier = [0; SESSION_IDENTIFIER_SIZE];
        let mut stream = Self { io, connection, sent: 0, ended: false, session_identifier, writer: None };
        let result = poll_fn(|context| stream.poll_handshake(context)).await;
        if let Err(error) = result {
            // The peer has got its alert, or one attempt at it; the caller drops the connection in any case.
            poll_fn(|context| {
                let _ = stream.poll_send(context);
                let _ = Pin::new(&mut stream.io).poll_shutdown(context);
                Poll::Ready(())
            })
            .await;
            return Err(error);
        }
        stream.session_identifier = stream.connection.session_identifier().ok_or(NetError::SessionIdentifier)?;
        Ok(stream)
    }

    fn poll_handshake(&mut self, context: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        self.connection.process()?;
        loop {
            let sent = self.poll_send(context)?;
            if !self.connection.is_handshaking() {
                // The client's last flight must be out: nobody may ever write again on this side.
                return sent.map(Ok);
            }
            ready!(self.poll_receive(context))?;
            if self.ended {
                return Poll::Ready(Err(NetError::Truncated));
            }
        }
    }

    /// The identifier both sides of this connection derive from its handshake; the server's hello repeats it.
    pub fn session_identifier(&self) -> &[u8; SESSION_IDENTIFIER_SIZE] {
        &self.session_identifier
    }

    /// The application protocol agreed on. `None` if the client offered none: only version 6 may be spoken then.
    pub fn alpn(&self) -> Option<Alpn> {
        self.connection.alpn().and_then(Alpn::from_name)
    }

    /// The group in which the keys of the connection were agreed: `X448` or `X25519`.
    pub fn key_exchange_group(&self) -> Option<&'static str> {
        self.connection.key_exchange_group()
    }

    /// The peer's certificate chain in DER, leaf first. For a server's stream empty unless the client is a service; the
    /// peer has proved that it holds the leaf's key.
    pub fn peer_certificates(&self) -> Vec<&[u8]> {
        self.connection.peer_certificates().collect()
    }

    /// The byte stream below, for its socket options.
    pub fn get_ref(&self) -> &S {
        &self.io
    }

    /// Waits until a whole block has arrived, without needing a place for it.
    ///
    /// Can be dropped and called again at any time; nothing is lost.
    ///
    /// # Errors
    /// [`NetError::Closed`] if the peer ended the connection in order between blocks, [`NetError::Truncated`] if it broke
    /// off, [`NetError::Tls`] and [`NetError::Io`].
    pub async fn block_ready(&mut self) -> Result<(), NetError> {
        poll_fn(|context| self.poll_block_ready(context)).await
    }

    /// The poll form of [`Self::block_ready`].
    pub fn poll_block_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        self.poll_fill(context, BLOCK_SIZE)
    }

    /// Waits until the first byte of plaintext has arrived, or the connection has ended in order.
    ///
    /// # Errors
    /// As [`Self::block_ready`], without [`NetError::Closed`].
    pub fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        match ready!(self.poll_fill(context, 1)) {
            Ok(()) | Err(NetError::Closed) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Reads the next block. Can be dropped and called again at any time; nothing is lost.
    ///
    /// # Errors
    /// As [`Self::block_ready`].
    pub async fn read_block(&mut self, block: &mut [u8; BLOCK_SIZE]) -> Result<(), NetError> {
        poll_fn(|context| self.poll_read_block(context, block)).await
    }

    /// The poll form of [`Self::read_block`]; `block` is written only when it is ready.
    pub fn poll_read_block(
        &mut self,
        context: &mut Context<'_>,
        block: &mut [u8; BLOCK_SIZE],
    ) -> Poll<Result<(), NetError>> {
        ready!(self.poll_block_ready(context))?;
        self.take(block);
        Poll::Ready(Ok(()))
    }

    /// Writes a block: waits until everything written before has been sent, then takes the whole block and sends as much
    /// of it as the socket accepts at once. The rest goes out with [`Self::flush`], or while waiting for the next block.
    ///
    /// If the future is dropped before it is ready, nothing of the block has been taken.
    ///
    /// # Errors
    /// [`NetError::Closed`] after [`Self::close`], [`NetError::Tls`] and [`NetError::Io`].
    pub async fn write_block(&mut self, block: &[u8; BLOCK_SIZE]) -> Result<(), NetError> {
        poll_fn(|context| self.poll_write_block(context, block)).await
    }

    /// The poll form of [`Self::write_block`].
    pub fn poll_write_block(
        &mut self,
        context: &mut Context<'_>,
        block: &[u8; BLOCK_SIZE],
    ) -> Poll<Result<(), NetError>> {
        self.poll_write_bytes(context, block)
    }

    /// Waits until everything written has been handed to the socket.
    ///
    /// # Errors
    /// [`NetError::Io`].
    pub async fn flush(&mut self) -> Result<(), NetError> {
        poll_fn(|context| self.poll_sent(context)).await
    }

    /// Waits until a block can be read or, if `write` is set, written, whichever comes first: the way to keep both
    /// directions going in one task.
    ///
    /// # Errors
    /// As [`Self::block_ready`]. A connection that has ended counts as ready to be read.
    pub async fn ready(&mut self, write: bool) -> Result<Ready, NetError> {
        poll_fn(|context| self.poll_ready(context, write)).await
    }

    /// The poll form of [`Self::ready`].
    pub fn poll_ready(&mut self, context: &mut Context<'_>, write: bool) -> Poll<Result<Ready, NetError>> {
        let write = write && self.poll_sent(context)?.is_ready();
        let read = match self.poll_block_ready(context) {
            Poll::Ready(Ok(()) | Err(NetError::Closed | NetError::Truncated)) => true,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => false,
        };
        if read || write { Poll::Ready(Ok(Ready { read, write })) } else { Poll::Pending }
    }

    /// Waits until a block can be written, without reading: for a peer that has to be slowed down.
    ///
    /// # Errors
    /// [`NetError::Io`].
    pub fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        self.poll_sent(context)
    }

    /// Whether a part of a block has arrived and the rest has not. A peer that leaves it at that occupies memory.
    #[must_use]
    pub fn is_receiving_block(&self) -> bool {
        self.connection.is_receiving()
    }

    /// Whether a part of what was written has not been sent. A peer that does not take it occupies memory.
    #[must_use]
    pub fn is_sending(&self) -> bool {
        !self.connection.outgoing.is_empty()
    }

    /// Says goodbye: sends what is left and the closing message, then closes the sending side. The peer can still send,
    /// and what it sends can still be read.
    ///
    /// # Errors
    /// [`NetError::Io`] and [`NetError::Tls`].
    pub async fn close(&mut self) -> Result<(), NetError> {
        poll_fn(|context| self.poll_close(context)).await
    }

    fn poll_close(&mut self, context: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        self.connection.close()?;
        ready!(self.poll_sent(context))?;
        Pin::new(&mut self.io).poll_shutdown(context).map_err(NetError::from)
    }

    /// Encrypts all of `bytes` once nothing older waits.
    fn poll_write_bytes(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<(), NetError>> {
        if self.connection.closed {
            return Poll::Ready(Err(NetError::Closed));
        }
        ready!(self.poll_sent(context))?;
        self.connection.send(bytes)?;
        // A first attempt; if the socket is full, the next call goes on.
        let _ = self.poll_sent(context)?;
        Poll::Ready(Ok(()))
    }

    /// Sends what waits and remembers who waits for that.
    fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        let result = self.poll_send(context);
        self.writer = result.is_pending().then(|| context.waker().clone());
        result
    }

    /// Hands ciphertext to the socket until none is left.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        while let Some(rest) = self.connection.outgoing.get(self.sent..).filter(|rest| !rest.is_empty()) {
            let written = ready!(Pin::new(&mut self.io).poll_write(context, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into()));
            }
            self.sent = self.sent.saturating_add(written);
        }
        self.connection.outgoing = Vec::new();
        self.sent = 0;
        Pin::new(&mut self.io).poll_flush(context).map_err(NetError::from)
    }

    /// Receives until `wanted` bytes of plaintext are here.
    fn poll_fill(&mut self, context: &mut Context<'_>, wanted: usize) -> Poll<Result<(), NetError>> {
        loop {
            self.send_aside(context)?;
            if self.connection.received.len() >= wanted {
                return Poll::Ready(Ok(()));
            }
            if self.connection.peer_closed && self.connection.received.is_empty() {
                return Poll::Ready(Err(NetError::Closed));
            }
            if self.connection.peer_closed || self.ended {
                return Poll::Ready(Err(NetError::Truncated));
            }
            ready!(self.poll_receive(context))?;
        }
    }

    /// Sends what waits, on the way to something else.
    fn send_aside(&mut self, context: &mut Context<'_>) -> Result<(), NetError> {
        if self.connection.outgoing.is_empty() {
            return Ok(());
        }
        // A socket wakes one task per direction. Another task may wait to write, or may have waited and be gone, so this
        // one must neither push it out nor rely on it.
        let result = match self.writer.as_ref().filter(|writer| !writer.will_wake(context.waker())) {
            Some(writer) => {
                let both = Waker::from(Arc::new(Both(writer.clone(), context.waker().clone())));
                self.poll_send(&mut Context::from_waker(&both))
            }
            None => self.poll_send(context),
        };
        let Poll::Ready(result) = result else { return Ok(()) };
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
        result
    }

    /// Reads from the socket once and decrypts what that completes.
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        // On the stack: a connection that waits for data owns no buffer for it.
        let mut scratch = [MaybeUninit::uninit(); MAX_RECORD];
        let mut buffer = ReadBuf::uninit(&mut scratch);
        ready!(Pin::new(&mut self.io).poll_read(context, &mut buffer))?;
        if buffer.filled().is_empty() {
            self.ended = true;
            return Poll::Ready(Ok(()));
        }
        let result = self.connection.receive(buffer.filled_mut());
        if result.is_err() {
            // The alert that tells the peer why gets one attempt.
            let _ = self.poll_send(context);
        }
        Poll::Ready(result)
    }

    /// Moves the first received bytes to `target`, which must not be longer than what is there.
    fn take(&mut self, target: &mut [u8]) {
        let received = &mut self.connection.received;
        let Some(bytes) = received.get(..target.len()) else { return };
        target.copy_from_slice(bytes);
        if received.len() == target.len() {
            *received = Vec::new();
        } else {
            received.drain(..target.len());
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        match ready!(stream.poll_fill(context, 1)) {
            Ok(()) => {
                let length = stream.connection.received.len().min(buffer.remaining());
                stream.take(buffer.initialize_unfilled_to(length));
                buffer.advance(length);
                Poll::Ready(Ok(()))
            }
            Err(NetError::Closed) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let bytes = bytes.get(..BLOCK_SIZE).unwrap_or(bytes);
        ready!(self.get_mut().poll_write_bytes(context, bytes))?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_sent(context).map_err(io::Error::from)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_close(context).map_err(io::Error::from)
    }
}

impl<S> fmt::Debug for TlsStream<S> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("TlsStream(..)")
    }
}
