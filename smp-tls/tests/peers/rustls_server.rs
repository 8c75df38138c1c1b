//! rustls as a server, which tells its secrets.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

use rustls::crypto::{CryptoProvider, KeyProvider};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{NoServerSessionStorage, ServerConnection};
use rustls::sign::{CertifiedKey, Signer, SigningKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{Error, KeyLog, ServerConfig, SignatureAlgorithm, SignatureScheme};
use smp_crypto::key::Ed448SecretKey;

use super::rustls_client::provider;
use crate::server::Identity;
use crate::server::keys::Keys;
use crate::server::wire::{APPLICATION_DATA, FINISHED, HANDSHAKE};

/// The traffic secrets of connections, by name.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<(String, Vec<u8>)>>);

impl KeyLog for Told {
    fn log(&self, label: &str, _client_random: &[u8], secret: &[u8]) {
        self.0.lock().unwrap().push((label.into(), secret.to_vec()));
    }
}

/// A private key for Ed448, which ring does not have.
#[derive(Clone)]
struct Ed448Signer(Arc<Ed448SecretKey>);

impl std::fmt::Debug for Ed448Signer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Secret(..)")
    }
}

impl SigningKey for Ed448Signer {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&SignatureScheme::ED448).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED448
    }
}

impl Signer for Ed448Signer {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.0.sign(message).to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED448
    }
}

#[derive(Debug)]
struct Keys448;

impl KeyProvider for Keys448 {
    fn load_private_key(&self, key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        let PrivateKeyDer::Pkcs8(key) = key else { panic!("keys here are PKCS#8") };
        match Ed448SecretKey::from_pkcs8(key.secret_pkcs8_der()) {
            Ok(key) => Ok(Arc::new(Ed448Signer(Arc::new(key)))),
            Err(_) => rustls::crypto::ring::sign::any_eddsa_type(&key),
        }
    }
}

/// What a server here is like.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    pub alpn: &'static [&'static [u8]],
    /// Asks for a certificate and takes none.
    pub ask: bool,
    pub tickets: usize,
    /// The longest record, with its header; 0 for the longest there may be.
    pub fragment: usize,
}

/// A server of rustls, one connection. Blocks nothing: bytes in, bytes out.
pub struct RustlsServer {
    pub tls: ServerConnection,
    told: Arc<Told>,
    /// All that came.
    wire: Vec<u8>,
    /// What of it was data.
    received: Vec<u8>,
}

impl RustlsServer {
    pub fn new(identity: &Identity, options: Options) -> Self {
        let provider = Arc::new(CryptoProvider { key_provider: &Keys448, ..provider() });
        let key = PrivatePkcs8KeyDer::from(identity.key.pkcs8());
        let key = provider.key_provider.load_private_key(key.into()).unwrap();
        let chain = identity.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[&TLS13]).unwrap();
        let builder = if options.ask {
            builder.with_client_cert_verifier(Arc::new(ask::Anybody))
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key))));
        config.alpn_protocols = options.alpn.iter().map(|name| name.to_vec()).collect();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        if options.tickets > 0 {
            config.ticketer = rustls::crypto::ring::Ticketer::new().unwrap();
        }
        config.send_tls13_tickets = options.tickets;
        config.max_fragment_size = (options.fragment > 0).then_some(options.fragment);
        let told = Arc::new(Told::default());
        config.key_log = told.clone();
        let tls = ServerConnection::new(Arc::new(config)).unwrap();
        Self { tls, told, wire: Vec::new(), received: Vec::new() }
    }

    pub fn input(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        self.wire.extend_from_slice(bytes);
        while !bytes.is_empty() {
            self.tls.read_tls(&mut bytes).unwrap();
            self.tls.process_new_packets()?;
            let _ = self.tls.reader().read_to_end(&mut self.received);
        }
        Ok(())
    }

    pub fn output(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut out).unwrap();
        }
        out
    }

    /// What came, decrypted.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.received)
    }

    pub fn write(&mut self, data: &[u8]) {
        self.tls.writer().write_all(data).unwrap();
    }

    /// The client's Finished value as rustls saw it: what came on the wire, opened with the secret that rustls tells.
    pub fn client_finished(&self) -> Option<Vec<u8>> {
        let told = self.told.0.lock().unwrap();
        let (_, secret) = told.iter().find(|(label, _)| label == "CLIENT_HANDSHAKE_TRAFFIC_SECRET")?;
        let mut keys = Keys::new(secret.as_slice().try_into().ok()?);
        let mut messages = Vec::new();
        let mut rest = self.wire.as_slice();
        while let Some([kind, _, _, high, low]) = rest.first_chunk() {
            let (record, after) = rest.split_at_checked(5 + usize::from(u16::from_be_bytes([*high, *low])))?;
            rest = after;
            match (*kind == APPLICATION_DATA).then(|| keys.open(record)).flatten() {
                Some((HANDSHAKE, content)) => messages.extend(content),
                _ if *kind != APPLICATION_DATA => {}
                _ => break,
            }
        }
        let start = messages.len().checked_sub(36)?;
        let finished = messages.split_off(start);
        (finished[..4] == [FINISHED, 0, 0, 32]).then(|| finished[4..].to_vec())
    }
}

mod ask {
    use super::{Error, SignatureScheme};
    use rustls::client::danger::HandshakeSignatureValid;
    use rustls::pki_types::{CertificateDer, UnixTime};
    use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
    use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName};

    /// Asks for certificates and wants none.
    #[derive(Debug)]
    pub(super) struct Anybody;

    impl ClientCertVerifier for Anybody {
        fn client_auth_mandatory(&self) -> bool {
            false
        }

        fn root_hint_subjects(&self) -> &[DistinguishedName] {
            &[]
        }

        fn verify_client_cert(
            &self,
            _leaf: &CertificateDer<'_>,
            _issuers: &[CertificateDer<'_>],
            _now: UnixTime,
        ) -> Result<ClientCertVerified, Error> {
            Err(CertificateError::UnknownIssuer.into())
        }

        fn verify_tls12_signature(
            &self,
            _message: &[u8],
            _leaf: &CertificateDer<'_>,
            _signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(CertificateError::BadSignature.into())
        }

        fn verify_tls13_signature(
            &self,
            _message: &[u8],
            _leaf: &CertificateDer<'_>,
            _signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(CertificateError::BadSignature.into())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ED25519, SignatureScheme::ED448]
        }
    }
}
