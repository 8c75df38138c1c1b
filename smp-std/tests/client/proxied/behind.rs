//! A relay behind a scripted proxy: what the proxy says about it, and what it makes of forwarded commands.

use std::sync::OnceLock;

use smp_crypto::certificate::CertificateSigner;
use smp_crypto::key::{Ed25519SecretKey, X25519SecretKey};
use smp_crypto::routing::{CommandLayer, SEALED_LENGTH};
use smp_crypto::secret_box::PADDED_MESSAGE_START;
use smp_crypto::signed_key::{ED448_LENGTH, SignedKey};
use smp_proto::address::{Host, Port, ServerBuf};
use smp_proto::id::{CorrelationId, EntityId, SessionId};
use smp_proto::smp::proxy::ProxyKey;
use smp_proto::smp::{BrokerMessage, Command};
use smp_proto::transport::Transmission;
use smp_proto::transport::block::decode_single;
use smp_proto::transport::hello::CertificateChain;
use smp_proto::transport::transmission::encode_unauthorized;
use smp_proto::version::{SmpVersion, VersionRange};
use smp_proto::wire::{LongString, Reader, Writer};
use smp_std::identity::{Identity, KeyAlgorithm};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::scripted::{Asked, Peer, versions};

/// The identity of all relays behind proxies.
pub(crate) fn relay_identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(new_identity)
}

pub(crate) fn new_identity() -> Identity {
    let directory = tempfile::tempdir().unwrap();
    Identity::create(directory.path(), KeyAlgorithm::Ed25519, "localhost").unwrap()
}

/// The address of the relay behind the proxies; nobody can connect to it directly.
pub(crate) fn relay_address() -> ServerBuf {
    ServerBuf::new(Host::parse("relay.invalid").unwrap(), Port::DEFAULT, relay_identity().fingerprint()).unwrap()
}

/// The relay's end of its session with a proxy.
pub(crate) struct Behind {
    secret: X25519SecretKey,
    session_id: [u8; 32],
    pub(crate) versions: VersionRange<SmpVersion>,
}

/// A command as the relay finds it in its envelope.
pub(crate) struct Inner {
    layer: CommandLayer,
    version: SmpVersion,
    pub(crate) correlation_id: Vec<u8>,
    pub(crate) entity: Vec<u8>,
    pub(crate) command: Vec<u8>,
    pub(crate) authorized: bool,
}

impl Behind {
    pub(crate) fn new() -> Self {
        let secret = X25519SecretKey::generate(&mut rand::rng());
        Self { secret, session_id: rand::random(), versions: versions(8, 20) }
    }

    /// Answers PRXY with this session, under an identity.
    pub(crate) async fn introduce<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        proxy: &mut Peer<S>,
        asked: &Asked,
        identity: &Identity,
    ) {
        assert!(asked.command.starts_with(b"PRXY "), "{}", asked.command.escape_ascii());
        assert!(asked.entity.is_empty());
        let chain: Vec<_> = identity.chain().iter().map(|der| LongString::new(der).unwrap()).collect();
        let signer = Ed25519SecretKey::from_pkcs8(identity.key()).unwrap();
        let signed = SignedKey::sign(self.secret.public_key(), CertificateSigner::Ed25519(&signer));
        let mut der = [0; ED448_LENGTH];
        let key = ProxyKey {
            session_id: SessionId::new(&self.session_id).unwrap(),
            versions: self.versions,
            chain: CertificateChain::new(&chain).unwrap(),
            signed_key: LongString::new(signed.to_der(&mut der).unwrap()).unwrap(),
        };
        proxy.answer(asked, BrokerMessage::ProxyKey(key)).await;
    }

    /// Whether PFWD is for this session.
    pub(crate) fn is_meant(&self, asked: &Asked) -> bool {
        asked.command.starts_with(b"PFWD ") && asked.entity == self.session_id
    }

    /// Opens the envelope.
    pub(crate) fn open(&self, asked: &Asked) -> Inner {
        assert!(self.is_meant(asked), "{}", asked.command[..5].escape_ascii());
        let command = Command::decode(&mut Reader::new(&asked.command), SmpVersion::MAX).unwrap();
        let Command::ProxyForward(forward) = command else { panic!("{command:?}") };
        assert_eq!(forward.encrypted.len(), SEALED_LENGTH);
        let agreed = self.secret.diffie_hellman(&forward.key).unwrap();
        let layer = CommandLayer::new(&agreed, CorrelationId::new(&asked.correlation_id).unwrap());
        let mut encrypted = forward.encrypted.to_vec();
        let content = layer.open_command(&mut encrypted).unwrap();
        let session_id = SessionId::new(&self.session_id).unwrap();
        let inner = Transmission::decode(decode_single(content).unwrap(), forward.version, session_id).unwrap();
        assert_eq!(inner.correlation_id.as_bytes(), asked.correlation_id);
        Inner {
            version: forward.version,
            correlation_id: asked.correlation_id.clone(),
            entity: inner.entity_id.as_bytes().to_vec(),
            command: inner.command.to_vec(),
            authorized: inner.authorization.is_some(),
            layer,
        }
    }

    /// Answers a forwarded command.
    pub(crate) async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        proxy: &mut Peer<S>,
        asked: &Asked,
        message: BrokerMessage<'_>,
    ) {
        let sealed = self.open(asked).seal(message);
        proxy.answer(asked, BrokerMessage::ProxyResponse(&sealed)).await;
    }
}

impl Inner {
    /// The encrypted answer.
    pub(crate) fn seal(&self, message: BrokerMessage<'_>) -> Vec<u8> {
        let mut transmission = vec![0; SEALED_LENGTH];
        let mut inner = Writer::new(&mut transmission);
        encode_unauthorized(
            &mut inner,
            self.version,
            SessionId::EMPTY,
            CorrelationId::new(&self.correlation_id).unwrap(),
            EntityId::new(&self.entity).unwrap(),
            |writer| message.encode(writer, self.version),
        )
        .unwrap();
        let mut buffer = [0; SEALED_LENGTH];
        let mut writer = Writer::new(&mut buffer[PADDED_MESSAGE_START..]);
        writer.u8(1).unwrap();
        writer.long(inner.written()).unwrap();
        let length = writer.len();
        self.layer.seal_response(&mut buffer, length).unwrap();
        buffer.to_vec()
    }
}
