//! From a TCP connection to a session: TLS, then the two hellos (wire reference, sections 3 and 4), each within its time.

use std::sync::Arc;
use std::time::Duration;

use smp_crypto::certificate::CertificateSigner;
use smp_crypto::key::{Ed448SecretKey, Ed25519SecretKey};
use smp_crypto::session::{
    ServerConfiguration, ServerHandshake, ServerSessionKey, ServerStep, Session, SessionError, SessionIdentifier,
};
use smp_proto::smp::error::TransportError;
use smp_proto::transport::BLOCK_LENGTH;
use smp_proto::transport::hello::CertificateChain;
use smp_proto::version::{SmpVersion, VersionRange};
use smp_proto::wire::LongString;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::certificates::expiry;
use super::config::Config;
use super::receivers::Connected;
use super::services::ServiceRefused;
use super::store::StoreError;
use super::{Relay, RelayError, offered_versions};
use crate::identity::{Identity, KeyAlgorithm};
use crate::net::{NetError, ServerTls, TlsStream};

/// Greets clients in the name of the relay.
pub(super) struct Greeter {
    tls: ServerTls,
    chain: Vec<Vec<u8>>,
    versions: VersionRange<SmpVersion>,
    key: LeafKey,
    tls_timeout: Duration,
    handshake_timeout: Duration,
}

/// The key of the server's leaf certificate, which certifies session keys.
enum LeafKey {
    Ed25519(Box<Ed25519SecretKey>),
    Ed448(Box<Ed448SecretKey>),
}

impl LeafKey {
    fn of(identity: &Identity) -> Option<Self> {
        match identity.algorithm()? {
            KeyAlgorithm::Ed25519 => Ed25519SecretKey::from_pkcs8(identity.key()).ok().map(Box::new).map(Self::Ed25519),
            KeyAlgorithm::Ed448 => Ed448SecretKey::from_pkcs8(identity.key()).ok().map(Box::new).map(Self::Ed448),
        }
    }
}

/// Why a client was not served.
#[derive(Debug)]
pub(super) enum GreetError {
    Net(NetError),
    Session(SessionError),
    /// The service it says it is was refused.
    Service(TransportError),
    Store(StoreError),
    TimedOut,
}

impl std::fmt::Display for GreetError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Net(error) => error.fmt(f),
            Self::Session(error) => error.fmt(f),
            Self::Service(error) => write!(f, "the service was refused: {error:?}"),
            Self::Store(error) => error.fmt(f),
            Self::TimedOut => f.write_str("the hello did not come in time"),
        }
    }
}

impl From<NetError> for GreetError {
    fn from(error: NetError) -> Self {
        Self::Net(error)
    }
}

impl From<SessionError> for GreetError {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl Greeter {
    pub(super) fn new(identity: &Identity, config: &Config) -> Result<Self, RelayError> {
        let chain = identity.chain().to_vec();
        let tls = identity.tls().map_err(|error| RelayError::Identity(error.to_string()))?;
        let key = LeafKey::of(identity).ok_or_else(|| RelayError::Identity("the key of server.crt".to_owned()))?;
        let versions = config.server.versions.unwrap_or_else(offered_versions);
        // Fails now rather than at every connection.
        configure(&certificates(&chain)?, versions)
            .map_err(|()| RelayError::Identity("the certificate chain".to_owned()))?;
        Ok(Self {
            tls,
            chain,
            versions,
            key,
            tls_timeout: config.limits.tls_timeout(),
            handshake_timeout: config.limits.handshake_timeout(),
        })
    }

    /// Seconds since 1970-01-01, UTC, at which the leaf certificate expires.
    pub(super) fn expires(&self) -> Option<i64> {
        expiry(&self.chain)
    }

    /// Does both handshakes, on a connection of which `received` has been read already. A service is connected until the last
    /// value is dropped.
    pub(super) async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        received: Vec<u8>,
        relay: &Arc<Relay>,
    ) -> Result<(TlsStream<S>, Session, Option<Connected>), GreetError> {
        let mut tls = self.tls.accept_after(stream, received, self.tls_timeout).await?;
        let (session, service) =
            timeout(self.handshake_timeout, self.hello(&mut tls, relay)).await.map_err(|_| GreetError::TimedOut)??;
        Ok((tls, session, service))
    }

    async fn hello<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        tls: &mut TlsStream<S>,
        relay: &Arc<Relay>,
    ) -> Result<(Session, Option<Connected>), GreetError> {
        let certificates = certificates(&self.chain).map_err(|_| unusable())?;
        let configuration = configure(&certificates, self.versions).map_err(|()| unusable())?;
        let session_id = SessionIdentifier::new(tls.session_identifier()).map_err(SessionError::Parse)?;
        let handshake = match tls.alpn() {
            Some(_) => {
                let signer = match &self.key {
                    LeafKey::Ed25519(key) => CertificateSigner::Ed25519(key),
                    LeafKey::Ed448(key) => CertificateSigner::Ed448(key),
                };
                let key = ServerSessionKey::generate(&mut rand::rng(), signer);
                ServerHandshake::new(&configuration, session_id, key)
            }
            None => ServerHandshake::without_alpn(&configuration, session_id)?,
        };
        let mut block = Box::new([0; BLOCK_LENGTH]);
        handshake.hello(&mut block)?;
        tls.write_block(&block).await?;
        tls.read_block(&mut block).await?;
        let chain = tls.peer_certificates();
        let refusal = match handshake.receive(&block, &chain, relay.now())? {
            ServerStep::Session(session) => return Ok((session, None)),
            ServerStep::Service(request) => match relay.admit_service(&request, &chain).await {
                Ok((id, connected)) => {
                    let session = request.accept(id, &mut block)?;
                    tls.write_block(&block).await?;
                    return Ok((session, Some(connected)));
                }
                Err(ServiceRefused::Told(error)) => request.refuse(error),
                Err(ServiceRefused::Store(error)) => return Err(GreetError::Store(error)),
            },
            ServerStep::Refused(refusal) => refusal,
        };
        refusal.write(&mut block)?;
        tls.write_block(&block).await?;
        tls.close().await?;
        Err(GreetError::Service(refusal.error()))
    }
}

fn unusable() -> GreetError {
    GreetError::Session(SessionError::BadAuthentication)
}

fn certificates(chain: &[Vec<u8>]) -> Result<Vec<LongString<'_>>, RelayError> {
    chain
        .iter()
        .map(|certificate| LongString::new(certificate))
        .collect::<Result<_, _>>()
        .map_err(|_| RelayError::Identity("a certificate is too long".to_owned()))
}

fn configure<'a>(
    certificates: &'a [LongString<'a>],
    versions: VersionRange<SmpVersion>,
) -> Result<ServerConfiguration<'a>, ()> {
    let chain = CertificateChain::new(certificates).map_err(|_| ())?;
    ServerConfiguration::new(versions, chain).map_err(|_| ())
}
