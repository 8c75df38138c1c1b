//! What the programs lend to smp-embassy: a network, the buffer of blocks, and words for its errors.

use core::cell::Cell;

use critical_section::Mutex;
use embassy_net::Stack;
use embassy_net::tcp::TcpSocket;
use smp_embassy::dial::TcpNetwork;
use smp_embassy::{BUFFER_LENGTH, DialError, Error, Network};
use smp_proto::address::{Host, ServerAddress, ServerBuf};
use smp_proto::wire::base64_url_decode;
use static_cell::ConstStaticCell;

use crate::{console, network, time};

/// Bytes that may be received before the relay has to wait. One Ethernet segment takes 1,460. With half of it a block
/// takes twice as many round trips.
pub const RECEIVE_BUFFER: usize = 2_920;

/// Bytes that may be on their way to the relay.
pub const SEND_BUFFER: usize = 2_920;

/// When the last connection was made, in instructions since the start.
static CONNECTED: Mutex<Cell<u64>> = Mutex::new(Cell::new(0));

/// TCP connections to relays. On this board 127.0.0.1 and `localhost` are the computer that it runs on.
pub struct Relays(TcpNetwork<'static>);

impl Relays {
    /// Connections over this stack. Call it once.
    pub fn new(stack: Stack<'static>) -> Self {
        static RECEIVED: ConstStaticCell<[u8; RECEIVE_BUFFER]> = ConstStaticCell::new([0; RECEIVE_BUFFER]);
        static SENT: ConstStaticCell<[u8; SEND_BUFFER]> = ConstStaticCell::new([0; SEND_BUFFER]);
        Self(TcpNetwork::new(stack, RECEIVED.take(), SENT.take()))
    }
}

impl Network for Relays {
    type Stream<'a> = TcpSocket<'a>;

    async fn connect(&mut self, relay: &ServerAddress<'_>) -> Result<TcpSocket<'_>, DialError> {
        let local = |host: &Host<'_>| match host {
            Host::Ipv4(address) => address.is_loopback(),
            Host::Domain(name) => *name == "localhost",
            _ => false,
        };
        let translated;
        let mut target = *relay;
        if relay.hosts.iter().any(|host| local(&host)) {
            translated = ServerBuf::new(Host::Ipv4(network::HOST), relay.port, relay.key_hash.as_bytes())
                .map_err(|_| DialError::Address)?;
            target = translated.address();
        }
        let socket = self.0.connect(&target).await?;
        critical_section::with(|section| CONNECTED.borrow(section).set(time::instructions()));
        console::event("tcp-connected", "");
        Ok(socket)
    }
}

/// The one large buffer. Call it once.
pub fn buffer() -> &'static mut [u8; BUFFER_LENGTH] {
    static BUFFER: ConstStaticCell<[u8; BUFFER_LENGTH]> = ConstStaticCell::new([0; BUFFER_LENGTH]);
    BUFFER.take()
}

/// Instructions since the last TCP connection was made.
pub fn since_connected() -> u64 {
    critical_section::with(|section| time::instructions() - CONNECTED.borrow(section).get())
}

/// Bytes in base64url, exactly as many as the array has.
pub fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    (base64_url_decode(text.as_bytes(), &mut bytes).ok()?.len() == N).then_some(bytes)
}

/// One word for an error, for the console.
pub fn reason(error: &Error) -> &'static str {
    match error {
        Error::Random(_) => "random",
        Error::NoFingerprint => "no-fingerprint",
        Error::Dial(_) => "dial",
        Error::TimedOut(_) => "timed-out",
        Error::Transport(_) => "transport",
        Error::Closed => "closed",
        Error::Tls(_) => "tls",
        Error::Certificate(_) => "certificate",
        Error::Session(_) => "session",
        Error::Malformed => "malformed",
        Error::Busy => "busy",
        Error::BufferTooShort => "buffer",
        _ => "other",
    }
}
