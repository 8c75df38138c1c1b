//! rustls as a client with exactly the offers of smp-tls, behind the interface of the scripted server.

use std::io::Read;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConnection, Resumption};
use rustls::crypto::ring::{cipher_suite::TLS13_CHACHA20_POLY1305_SHA256, default_provider, kx_group};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, IpAddr, Ipv4Addr, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, PeerIncompatible, SignatureScheme};
use smp_crypto::certificate::{Certificate, CertificateKey, validate_server_chain};
use smp_crypto::key::Verify;

use crate::server::identity::NOW;
use crate::server::{Client, State};

/// One suite, one group.
pub fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![TLS13_CHACHA20_POLY1305_SHA256],
        kx_groups: vec![kx_group::X25519],
        signature_verification_algorithms: WebPkiSupportedAlgorithms { all: &[], mapping: &[] },
        ..default_provider()
    }
}

#[derive(Debug)]
struct Verifier([u8; 32]);

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain: Vec<&[u8]> = std::iter::once(leaf).chain(issuers).map(AsRef::as_ref).collect();
        match validate_server_chain(&chain, &self.0, NOW) {
            Ok(_) => Ok(ServerCertVerified::assertion()),
            Err(_) => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _leaf: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let refused = || Error::from(CertificateError::BadSignature);
        let leaf = Certificate::from_der(leaf).map_err(|_| refused())?;
        match (leaf.public_key(), signature.scheme) {
            (CertificateKey::Ed25519(_), SignatureScheme::ED25519)
            | (CertificateKey::Ed448(_), SignatureScheme::ED448) => {
                leaf.public_key().verify(message, signature.signature()).map_err(|_| refused())?;
                Ok(HandshakeSignatureValid::assertion())
            }
            _ => Err(refused()),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519, SignatureScheme::ED448]
    }
}

/// A connection of rustls.
pub struct RustlsClient {
    tls: ClientConnection,
    received: Vec<u8>,
    failed: Option<String>,
    closed: bool,
}

impl RustlsClient {
    pub fn new(fingerprint: [u8; 32], alpn: &[&[u8]]) -> Self {
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier(fingerprint)))
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        config.enable_sni = false;
        config.resumption = Resumption::disabled();
        let name = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::from([127, 0, 0, 1])));
        let tls = ClientConnection::new(Arc::new(config), name).unwrap();
        Self { tls, received: Vec::new(), failed: None, closed: false }
    }

    pub fn alpn(&self) -> Option<&[u8]> {
        self.tls.alpn_protocol()
    }

    pub fn close(&mut self) {
        self.tls.send_close_notify();
    }

    /// Changes its keys and asks the server to.
    pub fn update_keys(&mut self) {
        self.tls.refresh_traffic_keys().unwrap();
    }
}

impl Client for RustlsClient {
    fn output(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut out).unwrap();
        }
        out
    }

    fn input(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.failed.is_none() && !self.closed {
            if self.tls.read_tls(&mut bytes).is_err() {
                self.failed = Some("its buffer is full".into());
                return;
            }
            match self.tls.process_new_packets() {
                Ok(state) => self.closed = state.peer_has_closed(),
                Err(error) => self.failed = Some(error.to_string()),
            }
            // Fails where no more can come; what has come is taken all the same.
            let _ = self.tls.reader().read_to_end(&mut self.received);
        }
    }

    fn end(&mut self) {
        if !self.closed && self.failed.is_none() {
            self.failed = Some("the transport ended".into());
        }
    }

    fn can_write(&self) -> bool {
        self.failed.is_none() && !self.tls.is_handshaking()
    }

    fn write(&mut self, data: &[u8]) {
        use std::io::Write;
        self.tls.writer().write_all(data).unwrap();
    }

    fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.received)
    }

    fn state(&self) -> State {
        match &self.failed {
            Some(why) => State::Failed(why.clone()),
            None if self.closed => State::Closed,
            None if self.tls.is_handshaking() => State::Handshaking,
            None => State::Connected,
        }
    }
}
