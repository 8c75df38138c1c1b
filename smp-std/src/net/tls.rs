//! One TLS connection between two byte queues, without a socket: rustls' unbuffered interface behind one small face.
//!
//! rustls' buffered interface keeps a read buffer of 4 KiB per connection for good; here every queue is freed when it
//! runs empty.

use super::{NetError, SESSION_IDENTIFIER_SIZE, finished::FinishedValues};
use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus};
use rustls::{CommonState, Error, NamedGroup};

/// The longest TLS 1.3 record: header, 2^14 bytes, content type, up to 255 bytes more (RFC 8446 section 5.2).
pub(super) const MAX_RECORD: usize = 5 + 16_384 + 256;

/// rustls' state for either side.
pub(super) enum Tls {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

impl Tls {
    fn common(&self) -> &CommonState {
        match self {
            Self::Server(tls) => tls,
            Self::Client(tls) => tls,
        }
    }
}

/// A TLS connection and what waits on either side of it.
pub(super) struct Connection {
    // Boxed: about a kilobyte that would otherwise be moved with every future that holds the connection.
    tls: Box<Tls>,
    finished: FinishedValues,
    /// Ciphertext received that does not make a whole record yet.
    incoming: Vec<u8>,
    /// Plaintext received, in order.
    pub(super) received: Vec<u8>,
    /// Ciphertext to be sent, in order.
    pub(super) outgoing: Vec<u8>,
    /// The peer's closing message has come: nothing more can be received.
    pub(super) peer_closed: bool,
    /// Our closing message is queued or sent: nothing more can be sent.
    pub(super) closed: bool,
    /// The TLS layer failed; the alert for the peer is in `outgoing`.
    failed: Option<Error>,
}

/// What is left to do after one state of rustls has been handled.
enum Step {
    /// Ask for the next state.
    Again,
    /// Nothing happens before more ciphertext arrives.
    Wait,
    PeerClosed,
}

impl Connection {
    /// A connection before its first byte, or after the bytes that somebody has read from it already. [`Self::process`] goes
    /// on with those, and makes a client's first flight.
    pub(super) fn new(tls: Tls, incoming: Vec<u8>) -> Self {
        Self {
            tls: Box::new(tls),
            finished: FinishedValues::NONE,
            incoming,
            received: Vec::new(),
            outgoing: Vec::new(),
            peer_closed: false,
            closed: false,
            failed: None,
        }
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.tls.common().is_handshaking()
    }

    /// The protocol name chosen in the handshake.
    pub(super) fn alpn(&self) -> Option<&[u8]> {
        self.tls.common().alpn_protocol()
    }

    /// The name of the group both keys were agreed in.
    pub(super) fn key_exchange_group(&self) -> Option<&'static str> {
        match self.tls.common().negotiated_key_exchange_group()?.name() {
            NamedGroup::X448 => Some("X448"),
            NamedGroup::X25519 => Some("X25519"),
            _ => None,
        }
    }

    /// The peer's chain, leaf first; empty if it showed none.
    pub(super) fn peer_certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.tls.common().peer_certificates().unwrap_or_default().iter().map(AsRef::as_ref)
    }

    /// The session identifier, once the handshake is complete.
    pub(super) fn session_identifier(&self) -> Option<[u8; SESSION_IDENTIFIER_SIZE]> {
        if self.is_handshaking() { None } else { self.finished.session_identifier() }
    }

    /// Takes in ciphertext from the peer: whole records become plaintext, the rest waits. `data` is decrypted in place.
    pub(super) fn receive(&mut self, data: &mut [u8]) -> Result<(), NetError> {
        if self.incoming.is_empty() {
            let used = self.process_in(data)?;
            self.keep(data.get(used..).unwrap_or_default());
            return Ok(());
        }
        self.keep(data);
        self.process()
    }

    /// Lets rustls go on with the ciphertext received so far.
    pub(super) fn process(&mut self) -> Result<(), NetError> {
        let mut incoming = std::mem::take(&mut self.incoming);
        let used = self.process_in(&mut incoming)?;
        if used < incoming.len() {
            incoming.drain(..used);
            self.incoming = incoming;
        }
        Ok(())
    }

    /// Keeps ciphertext for later. What is held grows with what the peer has really sent: announcing a long record and
    /// sending none of it must not cost the memory of one.
    fn keep(&mut self, data: &[u8]) {
        let needed = self.incoming.len().saturating_add(data.len());
        if needed > self.incoming.capacity() && !self.incoming.is_empty() {
            let room = needed.saturating_mul(2).min(MAX_RECORD).max(needed);
            self.incoming.reserve_exact(room.saturating_sub(self.incoming.len()));
        }
        self.incoming.extend_from_slice(data);
    }

    /// Processes `data` up to the first incomplete record and returns how much of it is done with.
    fn process_in(&mut self, data: &mut [u8]) -> Result<usize, NetError> {
        if let Some(error) = &self.failed {
            return Err(error.clone().into());
        }
        let mut used = 0;
        loop {
            let rest = data.get_mut(used..).unwrap_or_default();
            let (discard, step) = self.step(rest);
            used = used.saturating_add(discard);
            match step {
                Ok(Step::Again) => {}
                Ok(Step::Wait) => return Ok(used),
                Ok(Step::PeerClosed) => {
                    self.peer_closed = true;
                    // What follows the closing message is ignored (RFC 8446 section 6.1).
                    return Ok(data.len());
                }
                Err(error) => {
                    self.failed = Some(error.clone());
                    // rustls has queued the alert that tells the peer why. While it has something queued it hands that
                    // out and does not look at the input, which it must not see again after an error.
                    while self.tls.common().wants_write() {
                        if !matches!(self.step(&mut []), (_, Ok(Step::Again))) {
                            break;
                        }
                    }
                    return Err(error.into());
                }
            }
        }
    }

    fn step(&mut self, data: &mut [u8]) -> (usize, Result<Step, Error>) {
        let Self { tls, finished, received, outgoing, .. } = self;
        finished.note_while(|| match &mut **tls {
            Tls::Server(tls) => handle(tls.process_tls_records(data), received, outgoing),
            Tls::Client(tls) => handle(tls.process_tls_records(data), received, outgoing),
        })
    }

    /// Whether anything was received and not taken.
    pub(super) fn is_receiving(&self) -> bool {
        !self.incoming.is_empty() || !self.received.is_empty()
    }

    /// Encrypts `plaintext` to the end of `outgoing`. Only after the handshake.
    pub(super) fn send(&mut self, plaintext: &[u8]) -> Result<(), NetError> {
        self.write(Output::Data(plaintext))
    }

    /// Puts our closing message to the end of `outgoing`, once. Only after the handshake.
    pub(super) fn close(&mut self) -> Result<(), NetError> {
        if self.closed {
            return Ok(());
        }
        self.closed = true;
        self.write(Output::Close)
    }

    fn write(&mut self, output: Output<'_>) -> Result<(), NetError> {
        // Whatever rustls still has to say comes first.
        self.process()?;
        let Self { tls, incoming, outgoing, .. } = self;
        Ok(match &mut **tls {
            Tls::Server(tls) => write(tls.process_tls_records(incoming), output, outgoing),
            Tls::Client(tls) => write(tls.process_tls_records(incoming), output, outgoing),
        }?)
    }
}

/// What is to be encrypted.
#[derive(Clone, Copy)]
enum Output<'a> {
    Data(&'a [u8]),
    Close,
}

/// What a record adds to its plaintext: header, content type and tag.
const RECORD_OVERHEAD: usize = 5 + 1 + 16;

/// Handles one state of rustls; also tells how many bytes of the input are done with.
fn handle<Side>(
    status: UnbufferedStatus<'_, '_, Side>,
    received: &mut Vec<u8>,
    outgoing: &mut Vec<u8>,
) -> (usize, Result<Step, Error>) {
    let mut discard = status.discard;
    let step = match status.state {
        Ok(ConnectionState::ReadTraffic(mut traffic)) => {
            let mut step = Ok(Step::Again);
            while let Some(record) = traffic.next_record() {
                match record {
                    Ok(record) => {
                        received.extend_from_slice(record.payload);
                        discard = discard.saturating_add(record.discard);
                    }
                    Err(error) => {
                        step = Err(error);
                        break;
                    }
                }
            }
            step
        }
        Ok(ConnectionState::EncodeTlsData(mut data)) => append(outgoing, 0, |room| match data.encode(room) {
            Ok(written) => Ok(written),
            Err(EncodeError::InsufficientSize(size)) => Err(Refused::Size(size)),
            Err(EncodeError::AlreadyEncoded) => Ok(0),
        })
        .map(|()| Step::Again),
        Ok(ConnectionState::TransmitTlsData(data)) => {
            // `outgoing` is sent in order and once, which is what this state asks for.
            data.done();
            Ok(Step::Again)
        }
        Ok(ConnectionState::PeerClosed) => Ok(Step::PeerClosed),
        Ok(_) => Ok(Step::Wait),
        Err(error) => Err(error),
    };
    (discard, step)
}

/// Encrypts in the state of rustls that allows it.
fn write<Side>(
    status: UnbufferedStatus<'_, '_, Side>,
    output: Output<'_>,
    outgoing: &mut Vec<u8>,
) -> Result<(), Error> {
    let Ok(ConnectionState::WriteTraffic(mut traffic)) = status.state else {
        return Err(Error::HandshakeNotComplete);
    };
    let guess = match output {
        Output::Data(plaintext) => plaintext.len().saturating_add(RECORD_OVERHEAD),
        Output::Close => RECORD_OVERHEAD.saturating_add(2),
    };
    append(outgoing, guess, |room| {
        let written = match output {
            Output::Data(plaintext) => traffic.encrypt(plaintext, room),
            Output::Close => traffic.queue_close_notify(room),
        };
        written.map_err(|error| match error {
            EncryptError::InsufficientSize(size) => Refused::Size(size),
            EncryptError::EncryptExhausted => Refused::Exhausted,
        })
    })
}

/// Why rustls did not write into the room given.
enum Refused {
    Size(InsufficientSizeError),
    Exhausted,
}

/// Lets `fill` write to the end of `queue`, with `guess` bytes of room at first and then with as many as it asks for.
fn append(
    queue: &mut Vec<u8>,
    guess: usize,
    mut fill: impl FnMut(&mut [u8]) -> Result<usize, Refused>,
) -> Result<(), Error> {
    let start = queue.len();
    let mut room = guess;
    loop {
        let end = start.saturating_add(room);
        queue.reserve_exact(room);
        queue.resize(end, 0);
        match fill(queue.get_mut(start..).unwrap_or_default()) {
            Ok(written) => {
                queue.truncate(start.saturating_add(written));
                return Ok(());
            }
            Err(Refused::Size(InsufficientSizeError { required_size })) if required_size > room => room = required_size,
            Err(_) => {
                queue.truncate(start);
                return Err(Error::EncryptError);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Identity, KeyAlgorithm};
    use crate::net::{ClientAlpn, ClientTls, ServerTls};

    struct Sides {
        server: ServerTls,
        fingerprint: [u8; 32],
    }

    impl Sides {
        fn new() -> Self {
            let directory =
                std::env::temp_dir().join(format!("smp-tls-{}-{:?}", std::process::id(), std::thread::current().id()));
            let identity = Identity::create(&directory, KeyAlgorithm::Ed25519, "localhost").unwrap();
            std::fs::remove_dir_all(directory).unwrap();
            Self { server: identity.tls().unwrap(), fingerprint: *identity.fingerprint() }
        }

        fn pair(&self) -> (Connection, Connection) {
            let (client, _) = ClientTls::new(ClientAlpn::Smp).start(&self.fingerprint).unwrap();
            (Connection::new(client, Vec::new()), Connection::new(self.server.start().unwrap(), Vec::new()))
        }
    }

    /// Passes everything between the sides until neither has more to say. `wire` sees each flight on its way; its first
    /// argument is the flight's number. Stops at the first error.
    fn talk(
        client: &mut Connection,
        server: &mut Connection,
        chunk: usize,
        mut wire: impl FnMut(usize, &mut Vec<u8>),
    ) -> Result<usize, NetError> {
        client.process()?;
        let mut flights = 0;
        loop {
            let to_server = flights % 2 == 0;
            let (from, to) = if to_server { (&mut *client, &mut *server) } else { (&mut *server, &mut *client) };
            let mut flight = std::mem::take(&mut from.outgoing);
            if flight.is_empty() {
                return Ok(flights);
            }
            wire(flights, &mut flight);
            flight.chunks_mut(chunk).try_for_each(|chunk| to.receive(chunk))?;
            flights += 1;
        }
    }

    #[test]
    fn the_handshake_may_come_in_pieces_of_any_size() {
        let sides = Sides::new();
        for chunk in [1, 2, 5, 6, 100, 1000, 100_000] {
            let (mut client, mut server) = sides.pair();
            assert_eq!(talk(&mut client, &mut server, chunk, |_, _| {}).unwrap(), 3);
            let identifier = client.session_identifier().unwrap();
            assert_eq!(server.session_identifier(), Some(identifier));
            client.send(&[5; 40_000]).unwrap();
            client.close().unwrap();
            let mut flight = std::mem::take(&mut client.outgoing);
            flight.chunks_mut(chunk).try_for_each(|chunk| server.receive(chunk)).unwrap();
            assert_eq!(server.received, [5; 40_000]);
            assert!(server.peer_closed && server.incoming.is_empty());
            server.close().unwrap();
            client.receive(&mut std::mem::take(&mut server.outgoing)).unwrap();
            assert!(client.peer_closed);
        }
    }

    /// Which bytes of a flight TLS 1.3 protects: all but its compatibility message and the version in
    /// the header of records, which is ignored.
    fn protected(flight: &[u8]) -> Vec<bool> {
        let mut protected = Vec::new();
        while let Some(header) = flight.get(protected.len()..protected.len() + 5) {
            let length = 5 + usize::from(u16::from_be_bytes([header[3], header[4]]));
            let kind = header[0];
            protected.extend((0..length).map(|place| kind != 20 && !(1..3).contains(&place)));
        }
        assert_eq!(protected.len(), flight.len());
        protected
    }

    #[test]
    fn no_damage_to_the_handshake_goes_unnoticed_or_panics() {
        let sides = Sides::new();
        let mut flights = Vec::new();
        let (mut client, mut server) = sides.pair();
        talk(&mut client, &mut server, 100_000, |_, flight| flights.push(protected(flight))).unwrap();
        for (number, protected) in flights.into_iter().enumerate() {
            // Every byte of the last flight and a sample of the long ones.
            let step = [5, 13, 1][number];
            for place in (1..protected.len()).step_by(step) {
                for damage in ["flip", "cut the end", "cut the beginning"] {
                    let (mut client, mut server) = sides.pair();
                    let chunk = if place % 3 == 0 { 64 } else { 100_000 };
                    let result = talk(&mut client, &mut server, chunk, |flight, bytes| {
                        if flight == number {
                            match damage {
                                "flip" => bytes[place] ^= 1 << (place % 8),
                                "cut the end" => bytes.truncate(place),
                                _ => drop(bytes.drain(..place)),
                            }
                        }
                    });
                    let (client, server) = (client.session_identifier(), server.session_identifier());
                    let agreed = result.is_ok() && client.is_some() && client == server;
                    let harmless = match damage {
                        "flip" => !protected[place],
                        "cut the end" => !protected[place..].contains(&true),
                        _ => !protected[..place].contains(&true),
                    };
                    assert!(!agreed || harmless, "flight {number}, {damage} at {place}");
                }
            }
        }
    }

    #[test]
    fn a_failed_connection_tells_why_once_and_stays_failed() {
        let (_, mut server) = Sides::new().pair();
        let mut nonsense = *b"GET / HTTP/1.1\r\n\r\n";
        assert!(matches!(server.receive(&mut nonsense), Err(NetError::Tls(_))));
        let alert = std::mem::take(&mut server.outgoing);
        assert_eq!(alert[..5], [21, 3, 3, 0, 2], "not one alert record: {alert:?}");
        for _ in 0..3 {
            assert!(matches!(server.receive(&mut nonsense), Err(NetError::Tls(_))));
            assert!(matches!(server.process(), Err(NetError::Tls(_))));
            assert!(server.send(b"data").is_err());
            assert!(server.outgoing.is_empty());
        }
    }

    #[test]
    fn an_announced_record_costs_only_what_has_arrived() {
        let (mut client, mut server) = Sides::new().pair();
        talk(&mut client, &mut server, 100_000, |_, _| {}).unwrap();
        assert_eq!((server.incoming.capacity(), server.received.capacity(), server.outgoing.capacity()), (0, 0, 0));
        client.send(&[1; 16_384]).unwrap();
        let mut flight = std::mem::take(&mut client.outgoing);
        let (head, tail) = flight.split_at_mut(100);
        server.receive(head).unwrap();
        assert!(server.incoming.capacity() <= 200, "{}", server.incoming.capacity());
        server.receive(tail).unwrap();
        assert_eq!(server.received.len(), 16_384);
        assert_eq!(server.incoming.capacity(), 0);
    }
}
