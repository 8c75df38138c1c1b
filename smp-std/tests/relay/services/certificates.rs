//! Services with the certificates that clients make, and their sessions.

use smp_crypto::certificate::CertificateSigner;
use smp_crypto::key::{Ed25519SecretKey, X25519SecretKey};
use smp_crypto::session::{
    ClientConfiguration, ClientHandshake, ClientStep, ServerLeaf, ServiceCredentials, SessionError, SessionIdentifier,
};
use smp_proto::smp::service::ServiceRole;
use smp_proto::transport::BLOCK_LENGTH;
use smp_proto::transport::hello::CertificateChain;
use smp_proto::version::{SmpVersion, VersionRange};
use smp_proto::wire::LongString;
use smp_std::identity::{Identity, KeyAlgorithm};
use smp_std::net::{ClientAlpn, ClientTls, TlsStream, connect_tcp};
use tokio::time::timeout;

use crate::harness::{PATIENCE, RawClient, TestRelay};

/// A service: its certificates and the key of the first.
pub(crate) struct TestService {
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) key: Vec<u8>,
}

/// What a client shows in TLS and says in its hello.
pub(crate) struct Claim<'a> {
    pub(crate) in_tls: Option<&'a TestService>,
    pub(crate) in_hello: Option<(&'a TestService, ServiceRole)>,
    pub(crate) version: u16,
}

/// A DER value of up to 65,535 bytes.
pub(crate) fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    match content.len() {
        length @ 0..=0x7f => out.push(length as u8),
        length @ ..=0xff => out.extend_from_slice(&[0x81, length as u8]),
        length => out.extend_from_slice(&[0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend(content);
    out
}

impl TestService {
    /// One certificate signed by itself, as clients make them: version 3, named `simplex`, number 1, no extensions.
    pub(crate) fn self_signed() -> Self {
        Self::named(b"simplex")
    }

    /// The same with another name.
    pub(crate) fn named(name: &[u8]) -> Self {
        let key = Ed25519SecretKey::generate(&mut rand::rng());
        let algorithm = der(0x30, &[&der(0x06, &[&[0x2b, 0x65, 0x70]])]);
        let name = der(0x30, &[&der(0x06, &[&[0x55, 0x04, 0x03]]), &der(0x0c, &[name])]);
        let name = der(0x30, &[&der(0x31, &[&name])]);
        let validity = der(0x30, &[&der(0x17, &[b"250101000000Z"]), &der(0x18, &[b"47631231235959Z"])]);
        let public = der(0x30, &[&algorithm, &der(0x03, &[&[0], &key.public_key().0])]);
        let version = der(0xa0, &[&[0x02, 1, 2]]);
        let body = der(0x30, &[&version, &[0x02, 1, 1], &algorithm, &name, &validity, &name, &public]);
        let signature = key.sign(&body);
        let certificate = der(0x30, &[&body, &algorithm, &der(0x03, &[&[0], &signature])]);
        Self { chain: vec![certificate], key: key.to_pkcs8().as_bytes().to_vec() }
    }

    /// A leaf and the identity that issued it.
    pub(crate) fn with_authority() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let identity = Identity::create(directory.path(), KeyAlgorithm::Ed25519, "service").unwrap();
        Self { chain: identity.chain().to_vec(), key: identity.key().to_vec() }
    }

    /// A session at a version, which must be accepted.
    pub(crate) async fn connect_at(&self, relay: &TestRelay, role: ServiceRole, version: u16) -> RawClient {
        let claim = Claim { in_tls: Some(self), in_hello: Some((self, role)), version };
        claim.connect(relay).await.unwrap_or_else(|(error, _)| panic!("{error:?}"))
    }

    /// A session at the highest version, which must be accepted.
    pub(crate) async fn connect(&self, relay: &TestRelay, role: ServiceRole) -> RawClient {
        self.connect_at(relay, role, SmpVersion::MAX.0).await
    }
}

impl Claim<'_> {
    /// Connects, and does the handshake; if that fails, returns why and the connection.
    pub(crate) async fn connect(&self, relay: &TestRelay) -> Result<RawClient, (SessionError, TlsStream)> {
        self.connect_to(relay.address.port(), relay.fingerprint).await
    }

    /// As [`Self::connect`], to the relay on this port of this machine.
    pub(crate) async fn connect_to(
        &self,
        port: u16,
        identity: [u8; 32],
    ) -> Result<RawClient, (SessionError, TlsStream)> {
        let tcp = connect_tcp("127.0.0.1", port, PATIENCE).await.unwrap();
        let tls = match self.in_tls {
            Some(service) => ClientTls::with_certificate(ClientAlpn::Smp, &service.chain, &service.key).unwrap(),
            None => ClientTls::new(ClientAlpn::Smp),
        };
        let mut tls = tls.connect(tcp, &identity, PATIENCE).await.unwrap();

        let session_key = Ed25519SecretKey::generate(&mut rand::rng());
        let certificates: Vec<LongString<'_>> = match &self.in_hello {
            Some((service, _)) => service.chain.iter().map(|der| LongString::new(der).unwrap()).collect(),
            None => Vec::new(),
        };
        let leaf_key = self.in_hello.map(|(service, _)| Ed25519SecretKey::from_pkcs8(&service.key).unwrap());
        let service = self.in_hello.zip(leaf_key.as_ref()).map(|((_, role), key)| {
            let chain = CertificateChain::new(&certificates).unwrap();
            ServiceCredentials::new(role, chain, session_key.public_key(), CertificateSigner::Ed25519(key))
        });
        let versions = VersionRange::new(SmpVersion(self.version), SmpVersion(self.version)).unwrap();
        let configuration = ClientConfiguration { versions, identity, is_proxy: false, service };
        let session_id = SessionIdentifier::new(tls.session_identifier()).unwrap();
        let leaf = ServerLeaf::from_der(tls.peer_certificates()[0]).unwrap();
        let handshake =
            ClientHandshake::new(configuration, session_id, leaf, X25519SecretKey::generate(&mut rand::rng()));
        let mut block = Box::new([0; BLOCK_LENGTH]);
        timeout(PATIENCE, tls.read_block(&mut block)).await.unwrap().unwrap();
        let step = handshake.receive(&mut block).unwrap();
        tls.write_block(&block).await.unwrap();
        tls.flush().await.unwrap();
        match step {
            ClientStep::Session(session) => Ok(RawClient::new(tls, session, None)),
            ClientStep::Service(awaiting) => {
                timeout(PATIENCE, tls.read_block(&mut block)).await.unwrap().unwrap();
                match awaiting.receive(&block) {
                    Ok(session) => Ok(RawClient::new(tls, session, Some(session_key))),
                    Err(error) => Err((error, tls)),
                }
            }
        }
    }
}
