//! Setting up a session: the hellos (wire reference, section 4), and what commands need to know about it afterwards.

use std::fmt;
use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use smp_crypto::block_chain::{BlockChain, chain_keys};
use smp_crypto::certificate::{Certificate, CertificateKey, validate_server_chain};
use smp_crypto::key::{X25519PublicKey, X25519SecretKey};
use smp_crypto::signed_key::SignedKey;
use smp_proto::id::{CorrelationId, Fingerprint, ID_LENGTH, SessionId};
use smp_proto::smp::Command;
use smp_proto::transport::block::{ENCRYPTED_CONTENT_START, PLAIN_CONTENT_START, TRANSMISSION_LIMIT};
use smp_proto::transport::transmission::{AuthorizedBytes, encode_unauthorized};
use smp_proto::transport::{ClientHello, ServerHello};
use smp_proto::version::{SmpVersion, VersionRange};
use smp_proto::wire::{Decode, Encode, Writer, pad_in_place, unpad_range};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};

use super::{ClientError, CommandKey, HandshakeFailure, Id, Options};
use crate::net::{Alpn, BLOCK_SIZE, SESSION_IDENTIFIER_SIZE, TlsStream};

/// The most an encoded transmission can need: session id and ids in front of the longest command.
const SCRATCH_LENGTH: usize = BLOCK_SIZE + 256;

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
        // Unpredictable and, with 192 bits, never the same twice: it is the nonce of authenticators, too.
        let correlation_id: [u8; ID_LENGTH] = rand::random();
        let session_id = SessionId::new(&self.session_id).map_err(|_| ClientError::Malformed)?;
        let too_large = |_| ClientError::TooLarge(self.version.max_message_length());
        let write = |writer: &mut Writer<'_>| command.encode(writer, self.version);
        let mut buffer = vec![0; SCRATCH_LENGTH];
        let mut writer = Writer::new(&mut buffer);
        match key {
            None => encode_unauthorized(
                &mut writer,
                self.version,
                session_id,
                CorrelationId::from_array(&correlation_id),
                entity.entity(),
                write,
            )
            .map_err(too_large)?,
            Some(key) => {
                let mut scratch = vec![0; SCRATCH_LENGTH];
                let authorized = AuthorizedBytes::write(
                    &mut scratch,
                    session_id,
                    CorrelationId::from_array(&correlation_id),
                    entity.entity(),
                    write,
                )
                .map_err(too_large)?;
                let made = key.authorize(
                    self.server_key.as_ref(),
                    CorrelationId::from_array(&correlation_id),
                    authorized.as_bytes(),
                )?;
                authorized.encode(&mut writer, self.version, &made.as_authorization(), None).map_err(too_large)?;
            }
        }
        let transmission = writer.written();
        if transmission.len() > TRANSMISSION_LIMIT {
            return Err(ClientError::TooLarge(self.version.max_message_length()));
        }
        Ok((correlation_id, Box::from(transmission)))
    }

    pub(super) fn encode_ping(&self) -> Result<([u8; ID_LENGTH], Box<[u8]>), ClientError> {
        self.encode(&Id::EMPTY, &Command::Ping, None)
    }
}

/// How blocks are protected inside TLS.
pub(super) enum Blocks {
    Plain,
    /// The chains of received and of sent blocks.
    Encrypted(BlockChain, BlockChain),
}

impl Blocks {
    /// Where in a block the content of [`Self::seal`] stands.
    pub(super) fn content_start(&self) -> usize {
        match self {
            Self::Plain => PLAIN_CONTENT_START,
            Self::Encrypted(..) => ENCRYPTED_CONTENT_START,
        }
    }

    pub(super) fn seal(&mut self, block: &mut [u8; BLOCK_SIZE], length: usize) -> Result<(), smp_crypto::Error> {
        match self {
            Self::Plain => Ok(pad_in_place(block, length)?),
            Self::Encrypted(_, send) => send.seal(block, length),
        }
    }

    pub(super) fn open(&mut self, block: &mut [u8; BLOCK_SIZE]) -> Result<Range<usize>, smp_crypto::Error> {
        match self {
            Self::Plain => Ok(unpad_range(block)?),
            Self::Encrypted(receive, _) => receive.open(block),
        }
    }
}

/// A connection whose hellos have been exchanged.
pub(super) struct Established<S> {
    pub(super) stream: TlsStream<S>,
    pub(super) blocks: Blocks,
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
        let agreed = answer(&mut block, &stream, fingerprint, options)?;
        stream.write_block(&block).await?;
        stream.flush().await?;
        Ok::<_, ClientError>((agreed, stream))
    };
    let ((blocks, mut info), stream) =
        timeout(options.handshake_time_out, exchange).await.map_err(|_| ClientError::Timeout)??;
    info.handshake_time = started.elapsed();
    Ok((Established { stream, blocks }, info))
}

fn server_key(
    hello: &ServerHello<'_>,
    chain: &[&[u8]],
    fingerprint: &[u8; 32],
) -> Result<X25519PublicKey, ClientError> {
    let authentication = hello.authentication.ok_or(ClientError::Handshake(HandshakeFailure::NoServerKey))?;
    let same = authentication.chain.iter().eq(chain.iter().copied());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    if !same || validate_server_chain(chain, fingerprint, now).is_err() {
        return Err(ClientError::Identity);
    }
    let leaf = chain.first().ok_or(ClientError::Identity)?;
    let leaf = Certificate::from_der(leaf).map_err(|_| ClientError::Identity)?;
    let key = SignedKey::from_der(authentication.signed_key.as_bytes()).map_err(|_| ClientError::Identity)?;
    match leaf.public_key() {
        CertificateKey::Ed25519(signer) => key.verify_ed25519(signer),
        CertificateKey::Ed448(signer) => key.verify_ed448(signer),
        _ => Err(smp_crypto::Error::InvalidKey),
    }
    .map_err(|_| ClientError::Identity)
}

/// Reads the relay's hello in the block and puts ours in its place.
fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    block: &mut [u8; BLOCK_SIZE],
    stream: &TlsStream<S>,
    fingerprint: &[u8; 32],
    options: &Options,
) -> Result<(Blocks, SessionInfo), ClientError> {
    let malformed = || ClientError::Handshake(HandshakeFailure::Malformed);
    let session_id = *stream.session_identifier();
    let alpn = stream.alpn();
    let range = unpad_range(block).map_err(|_| malformed())?;
    let content = block.get(range).ok_or_else(malformed)?;
    // What follows the known fields belongs to later versions.
    let hello = ServerHello::decode(&mut smp_proto::wire::Reader::new(content)).map_err(|_| malformed())?;
    if hello.session_id.as_bytes() != session_id {
        return Err(ClientError::Handshake(HandshakeFailure::Session));
    }
    let offered = hello.versions;
    let ours =
        if alpn.is_some() { Some(options.versions) } else { options.versions.intersection(&VersionRange::SMP_LEGACY) };
    let version = ours
        .and_then(|ours| ours.intersection(&offered))
        .ok_or(ClientError::Handshake(HandshakeFailure::Version(offered)))?
        .max();
    let (mut blocks, mut keys, mut client_key) = (Blocks::Plain, None, None);
    if version >= SmpVersion::AUTHENTICATORS {
        let key = server_key(&hello, &stream.peer_certificates(), fingerprint)?;
        let secret = X25519SecretKey::generate(&mut rand::rng());
        client_key = Some(secret.public_key());
        if version >= SmpVersion::BLOCK_ENCRYPTION {
            let agreed = secret.diffie_hellman(&key).map_err(|_| ClientError::UnusableKey)?;
            let (receive, send) = chain_keys(&agreed, &session_id).map_err(|_| ClientError::UnusableKey)?;
            blocks = Blocks::Encrypted(receive, send);
        }
        keys = Some(key);
    }
    let hello = ClientHello {
        version,
        key_hash: Fingerprint::new(fingerprint).map_err(|_| malformed())?,
        client_key,
        proxy: false,
        service: None,
    };
    let content = block.get_mut(PLAIN_CONTENT_START..).ok_or_else(malformed)?;
    let mut writer = Writer::new(content);
    hello.encode(&mut writer).map_err(|_| malformed())?;
    let length = writer.len();
    pad_in_place(block, length).map_err(|_| malformed())?;
    let info = SessionInfo {
        version,
        offered,
        alpn,
        blocks_encrypted: matches!(blocks, Blocks::Encrypted(..)),
        handshake_time: Duration::ZERO,
        session_id,
        server_key: keys,
    };
    Ok((blocks, info))
}
