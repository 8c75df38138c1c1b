//! A connection to a relay: TLS, the check of the relay's identity, the handshake of SMP, and blocks of transmissions
//! that are composed, encrypted, decrypted and read in one buffer.
//!
//! The buffer serves both directions, one at a time. A received block stands in it until the next one is received or
//! composed; a block is composed in it when no part of another one has come in:
//!
//! ```text
//! receive().await -> Block    transmissions, read and decrypted in place
//! compose(|composer| ..)      transmissions, written, authorized and encrypted in place
//! flush().await               the composed block goes out; receive() begins with that, too
//! ```
//!
//! Every future here may be dropped at any time: what has arrived stays, what was not sent yet is sent first later.

use core::fmt;
use core::pin::pin;

use embassy_time::{Duration, with_timeout};
use embedded_io_async::{Read, Write};
use rand_core::TryCryptoRng;
use smp_crypto::certificate::KnownChain;
use smp_crypto::key::X25519SecretKey;
use smp_crypto::session::{
    ClientConfiguration, ClientHandshake, ClientSessionKey, ClientStep, Session, SessionError, SessionIdentifier,
};
use smp_proto::address::ServerAddress;
use smp_proto::id::ID_LENGTH;
use smp_proto::transport::BLOCK_LENGTH;
use smp_proto::version::{SmpVersion, VersionRange};
use smp_proto::wire::{pad_in_place, unpad_range};
use smp_tls::{Config, Ephemeral, TlsStream};
use zeroize::Zeroizing;

use crate::apart::apart;
use crate::clock::WallClock;
use crate::dial::Network;
use crate::error::{Error, Wait};
use crate::identity::RelayVerifier;
use crate::random::{self, RandomError};

mod block;
mod compose;
mod encode;

pub use block::{Anomalies, Block, Incoming};
pub use compose::{ComposeError, Composer};
pub use encode::TransmissionContext;

/// Length of the buffer a connection works in, in bytes: a block, and room for what TLS puts around it.
///
/// Records of relays end where blocks end; a relay that cut blocks across records would need a larger buffer, up to twice
/// as long ([`smp_tls::BUFFER_LENGTH`]).
pub const BUFFER_LENGTH: usize = smp_tls::BUFFER_LENGTH;

/// The application protocol (ALPN) of SMP. A relay that does not confirm it speaks version 6 at most.
pub const ALPN: &[u8] = b"smp/1";

/// For the handshakes of TLS and SMP together. Ed448 relays take a slow processor seconds.
pub const HANDSHAKE_TIME_OUT: Duration = Duration::from_secs(45);

/// For a block to be taken by the transport.
pub const SEND_TIME_OUT: Duration = Duration::from_secs(30);

/// For the response to a command, and for the rest of a block of which a part has come in.
pub const RESPONSE_TIME_OUT: Duration = Duration::from_secs(30);

/// For saying goodbye.
pub const CLOSE_TIME_OUT: Duration = Duration::from_secs(2);

/// Room for the client's hello, in bytes: without a service it has 128 bytes.
const HELLO_LENGTH: usize = 192;

/// The versions that are offered unless told otherwise: 7 to 20. Version 6 has no session keys.
#[must_use]
pub const fn default_versions() -> VersionRange<SmpVersion> {
    VersionRange::SMP_WITH_SESSION_KEYS
}

/// The secrets of one connection, made before the stream: what they cost must not lie between the opening of the stream
/// and the first answer. About 1 million instructions on a Cortex-M4.
#[derive(Debug)]
pub struct Keys {
    ephemeral: Ephemeral,
    session: ClientSessionKey,
}

impl Keys {
    /// New secrets.
    pub fn generate<R: TryCryptoRng + ?Sized>(random: &mut R) -> Result<Self, RandomError> {
        let session = Zeroizing::new(random::array(random)?);
        Ok(Self {
            ephemeral: Ephemeral::generate(&mut random::Checked(random))?,
            session: X25519SecretKey::from_bytes(&session).into(),
        })
    }
}

/// Which relay is meant, and how far it is to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// SHA-256 of the relay's identity certificate, from its address.
    pub identity: [u8; 32],
    /// The versions to offer.
    pub versions: VersionRange<SmpVersion>,
    /// The time, in seconds since the Unix epoch. Without it the dates of certificates are not looked at.
    pub now: Option<i64>,
    /// The relay's certificates of the last connection ([`Connection::known_chain`]): when they are the same, their
    /// signatures are not verified again, which saves a tenth of what a connection costs.
    pub known_chain: Option<KnownChain>,
}

impl Expectation {
    /// The relay of an address, with any version from 7 to 20, at the time of a clock. Fails with
    /// [`Error::NoFingerprint`].
    pub fn new(relay: &ServerAddress<'_>, clock: &(impl WallClock + ?Sized)) -> Result<Self, Error> {
        let identity = relay.fingerprint().ok_or(Error::NoFingerprint)?;
        Ok(Self { identity, versions: default_versions(), now: clock.unix_seconds(), known_chain: None })
    }
}

/// How far a composed block has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unsent {
    Nothing,
    /// Sealed for the relay, not yet a record.
    Block,
    /// A record, some of which may have been sent.
    Record,
}

/// A connection to a relay, over any stream, in a buffer of [`BUFFER_LENGTH`] bytes.
pub struct Connection<'b, T> {
    stream: TlsStream<'b, T>,
    session: Session,
    known_chain: Option<KnownChain>,
    /// Whether a received block stands at the front of the buffer.
    occupied: bool,
    unsent: Unsent,
    anomalies: Anomalies,
}

impl<T> fmt::Debug for Connection<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("version", &self.session.context.version()).finish_non_exhaustive()
    }
}

/// Makes the secrets, opens a stream to a relay, and sets up a session over it.
pub async fn open<'a, N: Network, R: TryCryptoRng + ?Sized>(
    network: &'a mut N,
    buffer: &'a mut [u8],
    relay: &ServerAddress<'_>,
    expectation: &Expectation,
    random: &mut R,
) -> Result<Connection<'a, N::Stream<'a>>, Error> {
    let keys = Keys::generate(random)?;
    let stream = {
        let connecting = pin!(network.connect(relay));
        apart(connecting).await?
    };
    Connection::connect(stream, buffer, keys, expectation).await
}

impl<'b, T: Read + Write> Connection<'b, T> {
    /// Sets up a session over a stream that has just been opened.
    ///
    /// The relay has to prove in TLS that it is the expected one, and its hello has to belong to the same TLS session and
    /// to be signed by the same key. Takes at most [`HANDSHAKE_TIME_OUT`].
    pub async fn connect(
        transport: T,
        buffer: &'b mut [u8],
        keys: Keys,
        expectation: &Expectation,
    ) -> Result<Self, Error> {
        if buffer.len() < BUFFER_LENGTH {
            return Err(Error::BufferTooShort);
        }
        let handshake = Self::handshake(transport, buffer, keys, expectation);
        with_timeout(HANDSHAKE_TIME_OUT, handshake).await.map_err(|_| Error::TimedOut(Wait::Handshake))?
    }

    async fn handshake(
        transport: T,
        buffer: &'b mut [u8],
        keys: Keys,
        expectation: &Expectation,
    ) -> Result<Self, Error> {
        let mut verifier = RelayVerifier::new(&expectation.identity, expectation.now, expectation.known_chain);
        let config = Config { alpn: &[ALPN] };
        let stream = {
            let connecting = pin!(TlsStream::connect(transport, buffer, &config, keys.ephemeral, &mut verifier));
            apart(connecting).await
        };
        let mut stream = match (stream, verifier.failure) {
            (Ok(stream), _) => stream,
            (Err(_), Some(failure)) => return Err(Error::Certificate(failure)),
            (Err(error), None) => return Err(error.into()),
        };
        // Without the application protocol a relay speaks version 6 only.
        let versions = match stream.alpn() {
            Some(_) => Some(expectation.versions),
            None => expectation.versions.intersection(&VersionRange::SMP_LEGACY),
        };
        let configuration = ClientConfiguration {
            versions: versions.ok_or(Error::Session(SessionError::Version))?,
            identity: expectation.identity,
            is_proxy: false,
            service: None,
        };
        let session_id = SessionIdentifier::new(stream.finished()).map_err(|_| Error::Malformed)?;
        let leaf = verifier.leaf.ok_or(Error::Session(SessionError::BadAuthentication))?;
        let handshake = ClientHandshake::new(configuration, session_id, leaf, keys.session);

        let received = stream.read_in_place(BLOCK_LENGTH).await?;
        let block = received.first_chunk_mut().ok_or(Error::Malformed)?;
        let session = match handshake.receive(block).map_err(Error::Session)? {
            ClientStep::Session(session) => session,
            // Only services wait for a reply.
            ClientStep::Service(_) => return Err(Error::Malformed),
        };
        // The client's hello stands where the relay's did. Where blocks to be sent have their place is not for us to
        // know, so it is carried over.
        let mut hello = [0; HELLO_LENGTH];
        let written = unpad_range(block).ok().and_then(|range| block.get(range)).ok_or(Error::Malformed)?;
        let length = written.len();
        hello.get_mut(..length).ok_or(Error::Malformed)?.copy_from_slice(written);
        stream.consume(BLOCK_LENGTH);
        let block = stream.content_mut()?.first_chunk_mut::<BLOCK_LENGTH>().ok_or(Error::BufferTooShort)?;
        let written = hello.get(..length).ok_or(Error::Malformed)?;
        block.get_mut(2..).and_then(|to| to.get_mut(..length)).ok_or(Error::Malformed)?.copy_from_slice(written);
        pad_in_place(block, length).map_err(|_| Error::Malformed)?;
        stream.write_in_place(BLOCK_LENGTH).await?;
        Ok(Self {
            stream,
            session,
            known_chain: verifier.known,
            occupied: false,
            unsent: Unsent::Nothing,
            anomalies: Anomalies::default(),
        })
    }

    /// The version that both sides speak.
    #[must_use]
    pub const fn version(&self) -> SmpVersion {
        self.session.context.version()
    }

    /// The relay's certificates, for the [`Expectation`] of the next connection.
    #[must_use]
    pub const fn known_chain(&self) -> Option<KnownChain> {
        self.known_chain
    }

    /// What is known of the session: version, session identifier, the relay's session key.
    #[must_use]
    pub fn context(&self) -> TransmissionContext<'_> {
        context(&self.session)
    }

    /// What the relay did that it should not.
    pub const fn anomalies(&mut self) -> &mut Anomalies {
        &mut self.anomalies
    }

    /// Waits for the next block and decrypts it. What was composed is sent first; the block before goes.
    ///
    /// Has no time-out: a relay may have nothing to say for hours. A block that cannot be decrypted or read ends the
    /// connection.
    pub async fn receive(&mut self) -> Result<Block<'_>, Error> {
        self.flush().await?;
        self.release();
        let received = self.stream.read_in_place(BLOCK_LENGTH).await?;
        // From here on nothing waits: the block is opened as soon as it is whole, once.
        self.occupied = true;
        let block = received.first_chunk_mut().ok_or(Error::Malformed)?;
        let content = self.session.opener.open(block).map_err(|_| Error::Malformed)?;
        let content = block.get_mut(content).ok_or(Error::Malformed)?;
        let context = &self.session.context;
        Block::new(content, context.version(), context.session_id(), &mut self.anomalies.malformed)
            .map_err(|_| Error::Malformed)
    }

    /// Whether a block can be composed now: no part of another one has come in, and nothing waits to be sent. If not,
    /// [`receive`](Self::receive) leads there. The received block in the buffer goes.
    pub fn can_compose(&mut self) -> bool {
        self.release();
        self.unsent == Unsent::Nothing && self.stream.is_free()
    }

    /// Composes a block, which the next [`flush`](Self::flush) or [`receive`](Self::receive) sends. The received block in
    /// the buffer goes.
    ///
    /// Fails with [`Error::Busy`] when [`can_compose`](Self::can_compose) is false. When nothing was added, there is no
    /// block to send. The result is that of `write`.
    pub fn compose<O>(&mut self, write: impl FnOnce(&mut Composer<'_>) -> O) -> Result<O, Error> {
        if !self.can_compose() {
            return Err(Error::Busy);
        }
        let block = self.stream.content_mut()?.first_chunk_mut().ok_or(Error::BufferTooShort)?;
        let context = context(&self.session);
        let content = self.session.sealer.content_mut(block);
        let mut composer = Composer::new(context, content).map_err(|_| Error::BufferTooShort)?;
        let result = write(&mut composer);
        let length = composer.finish();
        if length > 0 {
            self.session.sealer.seal(block, length).map_err(|_| Error::Malformed)?;
            self.unsent = Unsent::Block;
        }
        Ok(result)
    }

    /// Sends what was composed, if there is anything. Takes at most [`SEND_TIME_OUT`].
    pub async fn flush(&mut self) -> Result<(), Error> {
        let send = async {
            if self.unsent == Unsent::Block {
                // In the same step the block becomes a record: it must not become one twice.
                self.unsent = Unsent::Record;
                self.stream.write_in_place(BLOCK_LENGTH).await
            } else {
                self.stream.send().await
            }
        };
        with_timeout(SEND_TIME_OUT, send).await.map_err(|_| Error::TimedOut(Wait::Send))??;
        self.unsent = Unsent::Nothing;
        Ok(())
    }

    /// Tells the relay that nothing more is sent. Takes at most [`CLOSE_TIME_OUT`], and does not wait for an answer.
    pub async fn close(mut self) {
        // Nobody is left who could do anything about an error.
        let _ = with_timeout(CLOSE_TIME_OUT, self.stream.close()).await;
    }

    /// Makes room: the received block goes.
    fn release(&mut self) {
        if self.occupied {
            self.stream.consume(BLOCK_LENGTH);
            self.occupied = false;
        }
    }
}

fn context(session: &Session) -> TransmissionContext<'_> {
    let context = &session.context;
    TransmissionContext { version: context.version(), session_id: context.session_id(), server_key: context.peer_key() }
}

/// A correlation id: unpredictable and, with 192 bits, never the same twice. It is the nonce of authenticators and of
/// private routing, too.
pub fn new_correlation_id<R: TryCryptoRng + ?Sized>(random: &mut R) -> Result<[u8; ID_LENGTH], RandomError> {
    random::array(random)
}
