//! A connection to a rustls server in memory.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::convert::Infallible;
use std::io::{Read as _, Write as _};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use embedded_io_async::{ErrorType, Read, Write};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection};
use smp_crypto::certificate::{
    Certificate, CertificateKey, CertificateParameters, CertificateSigner, MAX_CERTIFICATE_LENGTH, VALIDITY_DAYS,
    Validity, fingerprint, validate_server_chain, write_authority, write_leaf,
};
use smp_crypto::key::Ed25519SecretKey;
use smp_tls::{Alert, BUFFER_LENGTH, CertificateChain, Config, Ephemeral, Error, ServerKey, StreamError, TlsStream};

const NOW: i64 = 1_800_000_000;

/// The chain of a relay and its leaf's key.
struct Identity {
    chain: Vec<Vec<u8>>,
    key: Vec<u8>,
}

impl Identity {
    fn new() -> Self {
        let authority_key = Ed25519SecretKey::from_bytes(&[1; 32]);
        let key = Ed25519SecretKey::from_bytes(&[2; 32]);
        let parameters =
            CertificateParameters { serial: [7; 20], validity: Validity::from_days(1_700_000_000, VALIDITY_DAYS) };
        let signer = CertificateSigner::Ed25519(&authority_key);
        let mut buffer = [0; MAX_CERTIFICATE_LENGTH];
        let authority = write_authority(&mut buffer, &parameters, signer).unwrap().to_vec();
        let leaf_key = CertificateKey::Ed25519(key.public_key());
        let mut buffer = [0; MAX_CERTIFICATE_LENGTH];
        let view = Certificate::from_der(&authority).unwrap();
        let leaf = write_leaf(&mut buffer, &parameters, "localhost", &leaf_key, &view, signer).unwrap().to_vec();
        Self { chain: vec![leaf, authority], key: key.to_pkcs8().as_bytes().to_vec() }
    }

    fn config(&self) -> ServerConfig {
        let chain = self.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        config.alpn_protocols = vec![b"smp/1".to_vec()];
        config
    }

    /// Judges chains as an SMP client does.
    fn verifier(&self) -> impl FnMut(&CertificateChain<'_>) -> Result<ServerKey, Alert> {
        let identity = fingerprint(&self.chain[1]);
        move |chain| {
            let mut slices = [&[][..]; CertificateChain::MAX_LENGTH];
            let chain = chain.collect(&mut slices).ok_or(Alert::UNKNOWN_CA)?;
            let valid = validate_server_chain(chain, &identity, NOW).map_err(|error| Alert::new(error.tls_alert()))?;
            match valid.leaf_key {
                CertificateKey::Ed25519(key) => Ok(ServerKey::Ed25519(key.0)),
                _ => Err(Alert::UNSUPPORTED_CERTIFICATE),
            }
        }
    }
}

/// The transport to a server that answers at once, in pieces of at most `piece` bytes.
struct Server {
    connection: ServerConnection,
    /// What it has sent and the client did not read.
    sent: Vec<u8>,
    piece: usize,
    error: Option<rustls::Error>,
}

impl Server {
    fn new(config: ServerConfig, piece: usize) -> Self {
        Self { connection: ServerConnection::new(Arc::new(config)).unwrap(), sent: Vec::new(), piece, error: None }
    }
}

impl ErrorType for Server {
    type Error = Infallible;
}

impl Read for Server {
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        while self.connection.wants_write() {
            self.connection.write_tls(&mut self.sent).unwrap();
        }
        let length = self.sent.len().min(bytes.len()).min(self.piece);
        bytes[..length].copy_from_slice(&self.sent[..length]);
        self.sent.drain(..length);
        Ok(length)
    }
}

impl Write for Server {
    async fn write(&mut self, mut bytes: &[u8]) -> Result<usize, Infallible> {
        let length = bytes.len();
        while !bytes.is_empty() {
            self.connection.read_tls(&mut bytes).unwrap();
            if let Err(error) = self.connection.process_new_packets() {
                self.error = Some(error);
            }
        }
        Ok(length)
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Nothing here ever waits.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the server in memory does not make anybody wait"),
    }
}

#[test]
fn a_client_and_a_rustls_server_exchange_blocks() {
    let identity = Identity::new();
    for piece in [1, 7, 100_000] {
        let ephemeral = Ephemeral::generate(&mut ChaCha20Rng::seed_from_u64(1)).unwrap();
        let mut buffer = vec![0; BUFFER_LENGTH];
        let server = Server::new(identity.config(), piece);
        let config = Config { alpn: &[b"h2", b"smp/1"] };
        let mut stream =
            now(TlsStream::connect(server, &mut buffer, &config, ephemeral, &mut identity.verifier())).unwrap();
        assert_eq!(stream.alpn(), Some(1));
        assert_eq!(stream.chain().unwrap().iter().collect::<Vec<_>>(), identity.chain);

        for round in 0..3_u8 {
            let block = [round; 16_384];
            stream.transport().connection.writer().write_all(&block).unwrap();
            assert_eq!(now(stream.read_in_place(16_384)).unwrap(), block);
            assert!(stream.content_mut().is_err(), "the block was not consumed");
            stream.consume(16_384);
            assert_eq!(stream.content_mut().unwrap().len(), 16_384);
            stream.content_mut().unwrap().fill(round + 100);
            now(stream.write_in_place(16_384)).unwrap();
            let mut received = [0; 16_384];
            stream.transport().connection.reader().read_exact(&mut received).unwrap();
            assert_eq!(received, [round + 100; 16_384]);
        }
        now(stream.close()).unwrap();
        assert_eq!(stream.transport().connection.reader().read(&mut [0]).unwrap(), 0);
        stream.transport().connection.send_close_notify();
        assert_eq!(now(stream.read_in_place(1)), Err(StreamError::Tls(Error::Closed)));
        assert_eq!(stream.transport().error, None);
    }
}

#[test]
fn a_server_with_another_certificate_is_told_so() {
    let identity = Identity::new();
    let ephemeral = Ephemeral::generate(&mut ChaCha20Rng::seed_from_u64(1)).unwrap();
    let mut buffer = vec![0; BUFFER_LENGTH];
    let mut server = Server::new(identity.config(), 100_000);
    let mut refuse = |_: &CertificateChain<'_>| Err(Alert::UNKNOWN_CA);
    let outcome = now(TlsStream::connect(&mut server, &mut buffer, &Config::default(), ephemeral, &mut refuse));
    assert_eq!(outcome.err(), Some(StreamError::Tls(Error::Refused(Alert::UNKNOWN_CA))));
    assert_eq!(server.error, Some(rustls::Error::AlertReceived(rustls::AlertDescription::UnknownCA)));
}
