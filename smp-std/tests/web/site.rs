//! A relay with a web site in this process, and clients of it.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use smp_std::identity::{Identity, KeyAlgorithm};
use smp_std::net::Listener;
use smp_std::relay::config::Config;
use smp_std::relay::store::{Store, StoreOptions};
use smp_std::relay::{Relay, RelayError, Wakeups};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::openssl::openssl;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The host name in web certificates.
pub(crate) const HOST: &str = "relay.example";

/// A relay that listens for SMP, for HTTP and, with a web certificate, for HTTPS.
pub(crate) struct Site {
    pub(crate) relay: Arc<Relay>,
    pub(crate) identity: Identity,
    pub(crate) smp: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    pub(crate) directory: tempfile::TempDir,
    task: JoinHandle<Result<(), RelayError>>,
}

impl Site {
    /// With `shared`, HTTPS is on the port of SMP. Web certificates are made by `certificate` beforehand.
    pub(crate) async fn start(directory: tempfile::TempDir, config: Config, shared: bool) -> Self {
        let identity = Identity::create(directory.path(), KeyAlgorithm::Ed25519, "localhost").unwrap();
        let wakeups = Wakeups::default();
        let options = StoreOptions {
            budget: NonZeroU32::new(16 << 20).unwrap(),
            observer: Some(Arc::new(wakeups.clone())),
            ..StoreOptions::default()
        };
        let relay = Relay::new(config, &identity, Store::memory(options).unwrap(), &wakeups).unwrap();
        let listener = || Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let (smp_listener, http_listener, https_listener) = (listener(), listener(), listener());
        let smp = smp_listener.local_address().unwrap();
        let http = http_listener.local_address().unwrap();
        let https = if shared { smp } else { https_listener.local_address().unwrap() };
        let shared_ports = if shared { vec![smp.port()] } else { vec![] };
        relay.serve_web(directory.path(), vec![http_listener], vec![https_listener], shared_ports).unwrap();
        let serving = Arc::clone(&relay);
        let task = tokio::spawn(async move { serving.serve(vec![smp_listener]).await });
        Self { relay, identity, smp, http, https, directory, task }
    }

    pub(crate) async fn stop(self) {
        self.relay.stop();
        timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap();
    }

    /// Sends a request over plain HTTP and returns the head and the body of the answer.
    pub(crate) async fn http(&self, method: &str, path: &str, headers: &str) -> (String, String) {
        let mut tcp = TcpStream::connect(self.http).await.unwrap();
        ask(&mut tcp, method, path, headers).await
    }

    /// Connects as a browser does that trusts the certificate in `web.crt`.
    pub(crate) async fn browse(&self) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        self.browse_at(self.https).await
    }

    /// The same at another address, which passes on.
    pub(crate) async fn browse_at(
        &self,
        address: SocketAddr,
    ) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(address).await.unwrap();
        let connecting = connector(self.directory.path()).connect(ServerName::try_from(HOST).unwrap(), tcp);
        timeout(PATIENCE, connecting).await.unwrap()
    }
}

/// A configuration with HTTPS.
pub(crate) fn secure(more: &str) -> Config {
    // The addresses mean nothing here: the listeners are made by the test.
    let text = format!(
        "{more}\n[web]\nhttp = ['127.0.0.1:0']\nhttps = ['127.0.0.1:1']\ncertificate = 'web.crt'\nkey = 'web.key'"
    );
    Config::parse(&text).unwrap()
}

/// Makes `web.crt` and `web.key` in `directory`, as OpenSSL makes them with such keys.
pub(crate) fn certificate(directory: &Path, algorithm: &str) {
    openssl(
        directory,
        &format!(
            "req -x509 -newkey {algorithm} -nodes -keyout web.key -out web.crt -days 9 -subj /CN={HOST} \
             -addext subjectAltName=DNS:{HOST} -addext basicConstraints=critical,CA:FALSE"
        ),
    );
}

fn connector(directory: &Path) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(directory.join("web.crt")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}

/// Sends a request that asks to close afterwards, and returns head and body of the answer.
pub(crate) async fn ask<S>(stream: &mut S, method: &str, path: &str, headers: &str) -> (String, String)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = format!("{method} {path} HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("no answer").unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    (head.to_owned(), body.to_owned())
}
