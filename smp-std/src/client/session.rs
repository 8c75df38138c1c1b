//! Setting up a session: the hellos (wire reference, section 4), and what commands need to know about it afterwards.

use std::fmt;
use std::time::Duration;

use smp_crypto::key::{X25519PublicKey, X25519SecretKey};
use smp_crypto::session::{
    ClientConfiguration, ClientHandshake, ClientStep, Opener, Sealer, ServerLeaf, Session, SessionError,
    SessionIdentifier,
};
use smp_proto::id::{ID_LENGTH, SessionId};
use smp_proto::smp::Command;
use smp_proto::transport::block::TRANSMISSION_LIMIT;
use smp_proto::version::{SmpVersion, VersionRange};
use smp_proto::wire::{Decode, Reader, unpad};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};

use super::encode::{Context, new_correlation_id};
use super::{ClientError, CommandKey, HandshakeFailure, Id, Options};
use crate::net::{Alpn, BLOCK_SIZE, SESSION_IDENTIFIER_SIZE, TlsStream};

/// What is known of a session.
#[derive(Clone)]
#[non_exhaustive]
pub struct SessionInfo {
    /// The version the two sides speak.
    pub version: SmpVersion,
    /// The versions the relay offered.
    pub offered: VersionRange<SmpVersion>,
    /// The application protocol confirmed in the TLS handshake.
    pub alpn: Option<Alpn>,
    /// Whether blocks are encrypted inside TLS once more.
    pub blocks_encrypted: bool,
    /// How long the hellos took.
    pub handshake_time: Duration,
    /// The session identifier.
    pub(super) session_id: [u8; SESSION_IDENTIFIER_SIZE],
    /// The relay's session key, which X25519 authenticators need.
    pub(super) server_key: Option<X25519PublicKey>,
}

impl fmt::Debug for SessionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionInfo")
            .field("version", &self.version)
            .field("offered", &self.offered)
            .field("blocks_encrypted", &self.blocks_encrypted)
            .finish_non_exhaustive()
    }
}

impl SessionInfo {
    /// Encodes and authorizes a command, under a new correlation id.
    pub(super) fn encode(
        &self,
        entity: &Id,
        command: &Command<'_>,
        key: Option<&CommandKey>,
    ) -> Result<([u8; ID_LENGTH], Box<[u8]>), ClientError> {
        let correlation_id = new_correlation_id();
        Ok((correlation_id, self.encode_as(&correlation_id, entity, command, key)?))
    }

    /// Encodes and authorizes a command, under a correlation id that was not used before.
    pub(super) fn encode_as(
        &self,
        correlation_id: &[u8; ID_LENGTH],
        entity: &Id,
        command: &Command<'_>,
        key: Option<&CommandKey>,
    ) -> Result<Box<[u8]>, ClientError> {
        let context = Context {
            version: self.version,
            session_id: SessionId::new(&self.session_id).map_err(|_| ClientError::Malformed)?,
            server_key: self.server_key.as_ref(),
        };
        let transmission = context.encode(correlation_id, entity, command, key)?;
        if transmission.len() > TRANSMISSION_LIMIT {
            return Err(context.too_large());
        }
        Ok(transmission.into())
    }

    pub(super) fn encode_ping(&self) -> Result<([u8; ID_LENGTH], Box<[u8]>), ClientError> {
        self.encode(&Id::EMPTY, &Command::Ping, None)
    }
}

/// A connection whose hellos have been exchanged.
pub(super) struct Established<S> {
    pub(super) stream: TlsStream<S>,
    pub(super) sealer: Sealer,
    pub(super) opener: Opener,
}

/// Exchanges the hellos.
pub(super) async fn establish<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: TlsStream<S>,
    fingerprint: &[u8; 32],
    options: &Options,
) -> Result<(Established<S>, SessionInfo), ClientError> {
    let started = Instant::now();
    let exchange = async {
        let mut block = Box::new([0; BLOCK_SIZE]);
        stream.read_block(&mut block).await?;
        let (session, mut info) = answer(&mut block, &stream, fingerprint, options)?;
        stream.write_block(&block).await?;
        stream.flush().await?;
        info.handshake_time = started.elapsed();
        let Session { sealer, opener, .. } = session;
        Ok::<_, ClientError>((Established { stream, sealer, opener }, info))
    };
    timeout(options.handshake_time_out, exchange).await.map_err(|_| ClientError::Timeout)?
}

/// Reads the relay's hello in the block and puts ours in its place.
fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    block: &mut [u8; BLOCK_SIZE],
    stream: &TlsStream<S>,
    fingerprint: &[u8; 32],
    options: &Options,
) -> Result<(Session, SessionInfo), ClientError> {
    let malformed = || ClientError::Handshake(HandshakeFailure::Malformed);
    let session_id = *stream.session_identifier();
    // The handshake keeps what both sides know; what the relay offers is of interest to people.
    let offered =
        unpad(block).and_then(|hello| VersionRange::decode(&mut Reader::new(hello))).map_err(|_| malformed())?;
    let no_version = ClientError::Handshake(HandshakeFailure::Version(offered));
    // Without ALPN only version 6 is spoken.
    let known = match stream.alpn() {
        Some(_) => Some(options.versions),
        None => options.versions.intersection(&VersionRange::SMP_LEGACY),
    };
    let configuration = ClientConfiguration {
        versions: known.ok_or_else(|| no_version.clone())?,
        identity: *fingerprint,
        is_proxy: false,
        service: None,
    };
    let certificates = stream.peer_certificates();
    let leaf = certificates.first().ok_or(ClientError::Identity)?;
    let leaf = ServerLeaf::from_der(leaf).map_err(|_| ClientError::Identity)?;
    let identifier = SessionIdentifier::new(&session_id).map_err(|_| malformed())?;
    let handshake = ClientHandshake::new(configuration, identifier, leaf, X25519SecretKey::generate(&mut rand::rng()));
    let session = match handshake.receive(block) {
        Ok(ClientStep::Session(session)) => session,
        // Only services wait for a reply.
        Ok(ClientStep::Service(_)) => return Err(malformed()),
        Err(SessionError::Version) => return Err(no_version),
        Err(SessionError::Session) => return Err(ClientError::Handshake(HandshakeFailure::Session)),
        Err(SessionError::Identity | SessionError::BadAuthentication) => return Err(ClientError::Identity),
        Err(_) => return Err(malformed()),
    };
    let info = SessionInfo {
        version: session.context.version(),
        offered,
        alpn: stream.alpn(),
        blocks_encrypted: session.is_encrypted(),
        handshake_time: Duration::ZERO,
        session_id,
        server_key: session.context.peer_key().copied(),
    };
    Ok((session, info))
}
