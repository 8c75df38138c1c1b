//! Transports for the stream: in memory with every whim a network has, and a socket.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::TcpStream;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::rustls_server::RustlsServer;

/// The other end of a transport in memory. It answers at once.
pub trait Peer {
    fn input(&mut self, bytes: &[u8]);
    fn output(&mut self) -> Vec<u8>;
}

impl Peer for RustlsServer {
    fn input(&mut self, bytes: &[u8]) {
        let _ = Self::input(self, bytes);
    }

    fn output(&mut self) -> Vec<u8> {
        Self::output(self)
    }
}

/// Says what was recorded, and records what it is told.
#[derive(Default)]
pub struct Replay {
    pub says: Vec<u8>,
    pub hears: Vec<u8>,
}

impl Peer for Replay {
    fn input(&mut self, bytes: &[u8]) {
        self.hears.extend_from_slice(bytes);
    }

    fn output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.says)
    }
}

/// How a transport behaves.
#[derive(Clone, Copy, Debug)]
pub enum Pieces {
    All,
    /// So many bytes at a time.
    Of(usize),
    /// 1 to 1000 bytes, most often few.
    Random(u64),
}

/// A transport to a peer in memory.
pub struct Wire<P> {
    pub peer: P,
    pieces: Pieces,
    random: ChaCha20Rng,
    /// Whether it waits once before everything it does.
    pub hesitates: bool,
    ready: bool,
    /// On its way to the client.
    inbound: Vec<u8>,
    /// Given to the transport and not flushed: it must not be relied on to arrive.
    unflushed: Vec<u8>,
}

impl<P: Peer> Wire<P> {
    pub fn new(peer: P, pieces: Pieces) -> Self {
        let seed = if let Pieces::Random(seed) = pieces { seed } else { 0 };
        let random = ChaCha20Rng::seed_from_u64(seed);
        Self { peer, pieces, random, hesitates: false, ready: false, inbound: vec![], unflushed: vec![] }
    }

    fn piece(&mut self) -> usize {
        match self.pieces {
            Pieces::All => usize::MAX,
            Pieces::Of(length) => length,
            Pieces::Random(_) => {
                let bound = [2, 20, 200, 1000][self.random.next_u32() as usize % 4];
                1 + self.random.next_u32() as usize % bound
            }
        }
    }

    async fn hesitate(&mut self) {
        poll_fn(|_| {
            if !self.hesitates || std::mem::take(&mut self.ready) {
                return Poll::Ready(());
            }
            self.ready = true;
            Poll::Pending
        })
        .await;
    }
}

impl<P> ErrorType for Wire<P> {
    type Error = Infallible;
}

impl<P: Peer> Read for Wire<P> {
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        assert!(!bytes.is_empty(), "a read of nothing");
        assert!(self.unflushed.is_empty(), "it waits for an answer to what it has not flushed");
        self.hesitate().await;
        if self.inbound.is_empty() {
            self.inbound = self.peer.output();
        }
        let length = self.piece().min(bytes.len()).min(self.inbound.len());
        bytes[..length].copy_from_slice(&self.inbound[..length]);
        self.inbound.drain(..length);
        Ok(length)
    }
}

impl<P: Peer> Write for Wire<P> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        assert!(!bytes.is_empty(), "a write of nothing");
        self.hesitate().await;
        let length = self.piece().min(bytes.len());
        self.unflushed.extend_from_slice(&bytes[..length]);
        Ok(length)
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        self.hesitate().await;
        let bytes = std::mem::take(&mut self.unflushed);
        self.peer.input(&bytes);
        Ok(())
    }
}

/// A socket that blocks.
pub struct Socket {
    pub socket: TcpStream,
    /// The most bytes that are read or written at once.
    pub piece: usize,
    /// Whether records for compatibility are dropped on the way.
    pub incompatible: bool,
}

impl ErrorType for Socket {
    type Error = ErrorKind;
}

impl Read for Socket {
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, ErrorKind> {
        let length = bytes.len().min(self.piece);
        std::io::Read::read(&mut self.socket, &mut bytes[..length]).map_err(|_| ErrorKind::Other)
    }
}

impl Write for Socket {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        if self.incompatible && bytes == [20, 3, 3, 0, 1, 1] {
            return Ok(bytes.len());
        }
        std::io::Write::write(&mut self.socket, &bytes[..bytes.len().min(self.piece)]).map_err(|_| ErrorKind::Other)
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

/// Polls a future once.
pub fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Runs a future to its end.
pub fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    for _ in 0..10_000_000 {
        if let Poll::Ready(output) = poll(future.as_mut()) {
            return output;
        }
    }
    panic!("it waits for ever");
}

/// Drops one future: the one that waits when others, and itself, have waited so often.
pub struct Cancel {
    left: usize,
    /// Whether it has happened.
    pub happened: bool,
}

impl Cancel {
    pub fn at(point: usize) -> Self {
        Self { left: point, happened: false }
    }

    /// Runs a future until it is done or has to be dropped; `None` if that happens here.
    pub fn run<F: Future>(&mut self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        loop {
            match poll(future.as_mut()) {
                Poll::Ready(output) => return Some(output),
                Poll::Pending if self.happened => {}
                Poll::Pending if self.left == 0 => {
                    self.happened = true;
                    return None;
                }
                Poll::Pending => self.left -= 1,
            }
        }
    }
}
