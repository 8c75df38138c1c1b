//! Connecting to a relay for clients: TCP or SOCKS5, TLS, the hellos, and what clients must know of the session.

use std::sync::Arc;
use std::time::Duration;

use smp_crypto::key::X25519SecretKey;
use smp_crypto::routing::ProxyLayer;
use smp_crypto::session::{
    Block, ClientConfiguration, ClientHandshake, ClientStep, ServerLeaf, Session, SessionError, SessionIdentifier,
};
use smp_proto::address::ServerAddress;
use smp_proto::id::SessionId;
use smp_proto::smp::error::TransportError;
use smp_proto::smp::proxy::ProxyKey;
use smp_proto::transport::BLOCK_LENGTH;
use smp_proto::transport::hello::ServerHello;
use smp_proto::version::{SmpVersion, VersionRange};
use smp_proto::wire::{Decode, Encode, Reader, unpad};
use tokio::time::{Instant, timeout_at};

use super::Failure;
use crate::net::{ClientAlpn, ClientTls, NetworkPolicy, TlsStream, share};
use crate::relay::config::DEFAULT_PORT;

/// So many hosts of an address are tried at most.
const MAX_ROUTES: usize = 4;

/// A connection to a relay, ready to forward.
pub(super) struct Link {
    pub(super) stream: TlsStream,
    pub(super) session: Session,
    pub(super) layer: Arc<ProxyLayer>,
    /// The parameters of PKEY.
    pub(super) key: Arc<[u8]>,
}

/// Connects within `time_out`.
pub(super) async fn connect(
    address: &ServerAddress<'_>,
    policy: &NetworkPolicy,
    time_out: Duration,
) -> Result<Link, Failure> {
    let begun = Instant::now();
    let deadline = begun.checked_add(time_out).unwrap_or(begun);
    let routes = policy.routes(address, DEFAULT_PORT)?;
    // Who cannot prove an identity is not connected to.
    let identity = address.fingerprint().ok_or(Failure::Network)?;
    let tls = ClientTls::new(ClientAlpn::Smp);
    let mut failure = Failure::Network;
    for (route, left) in routes.iter().take(MAX_ROUTES).zip((1..=routes.len().min(MAX_ROUTES)).rev()) {
        let attempt = async {
            let time = share(deadline, left);
            let tcp = policy.connect(route, time).await?;
            Ok::<_, Failure>(tls.connect(tcp, &identity, time).await?)
        };
        match timeout_at(deadline, attempt).await {
            Ok(Ok(stream)) => {
                let greeting = timeout_at(deadline, greet(stream, identity)).await;
                return greeting.map_err(|_| Failure::Network)?;
            }
            Ok(Err(error)) => failure = error,
            Err(_) => return Err(Failure::Network),
        }
    }
    Err(failure)
}

/// Exchanges the hellos.
async fn greet(mut stream: TlsStream, identity: [u8; 32]) -> Result<Link, Failure> {
    let mut block = Box::new([0; BLOCK_LENGTH]);
    stream.read_block(&mut block).await?;
    // The handshake writes its own hello over the relay's.
    let hello = block.clone();
    let (session, layer, key) = agree(&stream, &mut block, &hello, identity)?;
    stream.write_block(&block).await?;
    stream.flush().await?;
    Ok(Link { stream, session, layer: Arc::new(layer), key })
}

fn agree(
    stream: &TlsStream,
    block: &mut Block,
    hello: &Block,
    identity: [u8; 32],
) -> Result<(Session, ProxyLayer, Arc<[u8]>), Failure> {
    let known = VersionRange::new(SmpVersion::MIN, SmpVersion::MAX).unwrap_or(VersionRange::SMP_LEGACY);
    let versions = if stream.alpn().is_some() { known } else { VersionRange::SMP_LEGACY };
    let configuration = ClientConfiguration { versions, identity, is_proxy: true, service: None };
    let session_id = SessionIdentifier::new(stream.session_identifier()).map_err(SessionError::Parse)?;
    let certificates = stream.peer_certificates();
    let leaf = ServerLeaf::from_der(certificates.first().ok_or(SessionError::BadAuthentication)?)?;
    let key = X25519SecretKey::generate(&mut rand::rng());
    let session = match ClientHandshake::new(configuration, session_id, leaf, key).receive(block) {
        Ok(ClientStep::Session(session)) => session,
        Ok(ClientStep::Service(_)) => return Err(Failure::Internal),
        Err(SessionError::Parse(_)) if has_no_key(hello, session_id.as_id()) => {
            return Err(Failure::Transport(TransportError::NoServerKey));
        }
        // The network's relays tell a block with a wrong length from one whose content cannot be read.
        Err(SessionError::Parse(_)) if unpad(hello).is_err() => {
            return Err(Failure::Transport(TransportError::LargeMessage));
        }
        Err(error) => return Err(error.into()),
    };
    let forwarding = VersionRange::new(SmpVersion::PRIVATE_ROUTING, SmpVersion::MAX).ok();
    let version = Failure::Transport(TransportError::Version);
    let versions = forwarding.and_then(|forwarding| forwarding.intersection(&session.context.versions()));
    let versions = versions.ok_or(version)?;
    let no_key = Failure::Transport(TransportError::NoServerKey);
    let secret = session.context.session_secret().ok_or(no_key.clone())?;
    let hello: ServerHello<'_> =
        unpad(hello).and_then(|hello| Reader::new(hello).value()).map_err(SessionError::Parse)?;
    let authentication = hello.authentication.ok_or(no_key)?;
    let key = ProxyKey {
        session_id: session.context.session_id(),
        versions,
        chain: authentication.chain,
        signed_key: authentication.signed_key,
    };
    let mut buffer = vec![0; 2 * BLOCK_LENGTH];
    let key = Arc::from(key.to_slice(&mut buffer).map_err(SessionError::Encode)? as &[u8]);
    let layer = ProxyLayer::new(&secret);
    Ok((session, layer, key))
}

/// Whether a hello that cannot be read is one of a relay with this session that has no session key, or none that can be
/// read: so long as there is no key, such a relay counts as one that cannot forward.
fn has_no_key(hello: &Block, session: SessionId<'_>) -> bool {
    let read = |message| {
        let mut reader = Reader::new(message);
        let versions = VersionRange::<SmpVersion>::decode(&mut reader)?;
        Ok((versions, SessionId::decode(&mut reader)?))
    };
    unpad(hello)
        .and_then(read)
        .is_ok_and(|(versions, id)| versions.max() >= SmpVersion::PRIVATE_ROUTING && id == session)
}
