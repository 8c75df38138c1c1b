//! Private routing by hand: what a client seals for a relay, and what a proxy makes of it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use smp_crypto::authorization::authorize;
use smp_crypto::key::{AuthorizationSecretKey, X25519PublicKey, X25519SecretKey};
use smp_crypto::routing::{CommandLayer, FORWARDED_LENGTH, ProxyLayer, SEALED_LENGTH};
use smp_crypto::secret_box::PADDED_MESSAGE_START;
use smp_crypto::session::ClientConfiguration;
use smp_proto::id::{CorrelationId, EntityId, SessionId};
use smp_proto::smp::proxy::{ForwardedTransmission, ProxyForward};
use smp_proto::smp::{BrokerMessage, Command};
use smp_proto::transport::block::{Batch, BatchWriter};
use smp_proto::transport::transmission::{Authorization, AuthorizedBytes, Transmission};
use smp_proto::version::{SmpVersion, VersionRange};
use smp_proto::wire::{Reader, Writer};
use smp_std::net::ClientAlpn;

use crate::harness::{RawClient, Received, TestRelay};

/// What a client knows of the session between a proxy and a relay.
#[derive(Clone)]
pub struct RelaySession {
    pub id: Vec<u8>,
    pub version: SmpVersion,
    pub key: X25519PublicKey,
}

/// A command sealed for a relay, and what opens its response.
pub struct Sealed {
    pub correlation: [u8; 24],
    pub key: X25519PublicKey,
    pub encrypted: Vec<u8>,
    pub version: SmpVersion,
    layer: CommandLayer,
}

impl RelaySession {
    /// Encodes a transmission as a client sends it inside.
    pub fn transmission(
        &self,
        correlation: &[u8; 24],
        key: Option<&AuthorizationSecretKey>,
        entity: &[u8],
        command: &[u8],
    ) -> Vec<u8> {
        let correlation = CorrelationId::from_array(correlation);
        let mut scratch = vec![0; 20_000];
        let bytes = AuthorizedBytes::write(
            &mut scratch,
            SessionId::new(&self.id).unwrap(),
            correlation,
            EntityId::new(entity).unwrap(),
            |writer| writer.bytes(command),
        )
        .unwrap();
        let made = key.map(|key| authorize(key, Some(&self.key), correlation, bytes.as_bytes()).unwrap());
        let authorization = made.as_ref().map_or(Authorization::None, |made| made.as_authorization());
        let mut out = vec![0; 20_000];
        let mut writer = Writer::new(&mut out);
        bytes.encode(&mut writer, self.version, &authorization, None).unwrap();
        writer.written().to_vec()
    }

    pub fn command(&self, command: &Command<'_>) -> Vec<u8> {
        let mut out = vec![0; 20_000];
        let mut writer = Writer::new(&mut out);
        command.encode(&mut writer, self.version).unwrap();
        writer.written().to_vec()
    }

    pub fn seal(&self, key: Option<&AuthorizationSecretKey>, entity: &[u8], command: &Command<'_>) -> Sealed {
        let correlation = rand::random();
        let transmission = self.transmission(&correlation, key, entity, &self.command(command));
        self.seal_batch(correlation, &[transmission])
    }

    pub fn seal_batch(&self, correlation: [u8; 24], transmissions: &[Vec<u8>]) -> Sealed {
        let mut content = vec![0; 16_224];
        let mut batch = BatchWriter::new(&mut content).unwrap();
        for transmission in transmissions {
            batch.push(|writer| writer.bytes(transmission)).unwrap();
        }
        let content = batch.finish().unwrap().to_vec();
        self.seal_content(correlation, &content)
    }

    pub fn seal_content(&self, correlation: [u8; 24], content: &[u8]) -> Sealed {
        let secret = X25519SecretKey::generate(&mut rand::rng());
        let layer =
            CommandLayer::new(&secret.diffie_hellman(&self.key).unwrap(), CorrelationId::from_array(&correlation));
        let mut encrypted = Box::new([0; SEALED_LENGTH]);
        encrypted[PADDED_MESSAGE_START..][..content.len()].copy_from_slice(content);
        layer.seal_command(&mut encrypted, content.len()).unwrap();
        Sealed { correlation, key: secret.public_key(), encrypted: encrypted.to_vec(), version: self.version, layer }
    }
}

impl Sealed {
    pub fn forward(&self) -> ProxyForward<'_> {
        ProxyForward { version: self.version, key: self.key, encrypted: &self.encrypted }
    }

    /// Opens a response: exactly one transmission.
    pub fn open(&self, encrypted: &[u8]) -> Received {
        assert_eq!(encrypted.len(), SEALED_LENGTH);
        let mut encrypted = encrypted.to_vec();
        let content = self.layer.open_response(&mut encrypted).unwrap();
        let batch = Batch::decode(content).unwrap();
        assert_eq!(batch.len(), 1);
        let entry = batch.iter().next().unwrap();
        let version = self.version.max(SmpVersion::AUTHENTICATORS);
        let transmission = Transmission::decode(entry, version, SessionId::EMPTY).unwrap();
        Received {
            correlation: transmission.correlation_id.as_bytes().to_vec(),
            entity: transmission.entity_id.as_bytes().to_vec(),
            message: transmission.command.to_vec(),
        }
    }
}

/// A proxy's connection to a relay.
pub struct RawProxy {
    pub client: RawClient,
    pub layer: ProxyLayer,
    pub session: RelaySession,
}

impl RawProxy {
    pub async fn connect(relay: &TestRelay, version: u16) -> Self {
        let versions = VersionRange::new(SmpVersion(version), SmpVersion(version)).unwrap();
        let configuration =
            ClientConfiguration { versions, identity: relay.fingerprint, is_proxy: true, service: None };
        let client = RawClient::greet_as(relay.tls_with(ClientAlpn::Smp).await, configuration).await;
        let context = &client.session.context;
        let layer = ProxyLayer::new(&context.session_secret().expect("blocks of proxies are not encrypted"));
        let session = RelaySession {
            id: context.session_id().as_bytes().to_vec(),
            version: SmpVersion(version),
            key: *context.peer_key().unwrap(),
        };
        Self { client, layer, session }
    }

    /// A client's session that speaks another version than the proxy.
    pub fn session_at(&self, version: u16) -> RelaySession {
        RelaySession { version: SmpVersion(version), ..self.session.clone() }
    }

    pub fn wrap(&self, sealed: &Sealed) -> ([u8; 24], Vec<u8>) {
        let correlation: [u8; 24] = rand::random();
        (correlation, Self::wrap_in(&self.layer, &correlation, sealed))
    }

    pub fn wrap_in(layer: &ProxyLayer, correlation: &[u8; 24], sealed: &Sealed) -> Vec<u8> {
        let forward = ForwardedTransmission {
            correlation_id: CorrelationId::from_array(&sealed.correlation),
            forward: sealed.forward(),
        };
        let mut buffer = vec![0; FORWARDED_LENGTH];
        layer.seal_forward(CorrelationId::from_array(correlation), &forward, &mut buffer).unwrap().to_vec()
    }

    /// Sends the parameter of RFWD.
    pub async fn send(&mut self, correlation: [u8; 24], parameter: &[u8]) {
        let transmission = [&[0, 24][..], &correlation, &[0], b"RFWD ", parameter].concat();
        self.client.send_block(&[transmission]).await;
    }

    pub fn unwrap(&self, sealed: &Sealed, correlation: &[u8; 24], received: &Received) -> Received {
        assert_eq!(received.entity, b"");
        let BrokerMessage::RelayResponse(parameter) =
            BrokerMessage::decode(&mut Reader::new(&received.message), SmpVersion::MAX).unwrap()
        else {
            panic!("{}", received.text())
        };
        let mut parameter = parameter.to_vec();
        let response = self.layer.open_response(CorrelationId::from_array(correlation), &mut parameter).unwrap();
        assert_eq!(response.correlation_id.as_bytes(), sealed.correlation);
        sealed.open(response.encrypted)
    }

    /// Forwards, and gives the response inside.
    pub async fn ask(&mut self, sealed: &Sealed) -> Received {
        let (correlation, parameter) = self.wrap(sealed);
        self.send(correlation, &parameter).await;
        let received = self.client.response_to(&correlation).await;
        self.unwrap(sealed, &correlation, &received)
    }

    /// Forwards, and gives the text of the response that is not inside.
    pub async fn refused(&mut self, correlation: [u8; 24], parameter: &[u8]) -> String {
        self.send(correlation, parameter).await;
        let received = self.client.response_to(&correlation).await;
        assert_eq!(received.entity, b"");
        received.text()
    }
}
