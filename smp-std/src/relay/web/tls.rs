//! TLS of the web site: a certificate that browsers trust, and the ClientHello that tells them from SMP clients.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{Accepted, Acceptor, NoServerSessionStorage};
use rustls::version::TLS13;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::StartHandshake;
use tokio_rustls::server::TlsStream;

use super::WebError;
use crate::relay::certificates::expiry;

/// Longest file with certificates or a key.
const MAX_FILE: u64 = 1 << 20;

/// Bytes within which a ClientHello has to end. Those of browsers have about 2 KiB, with keys for post-quantum agreement.
const MAX_HELLO: usize = 16 << 10;

/// A web certificate that is in use.
pub(in crate::relay) struct WebCertificate {
    pub(super) config: Arc<ServerConfig>,
    /// Seconds since 1970-01-01, UTC; none if that cannot be read.
    pub(super) expires: Option<i64>,
}

/// The web site's side of TLS 1.3.
///
/// The certificate may have an RSA, ECDSA or Ed25519 key. The reference wants RSA with 4096 bits or more on a shared port,
/// because its TLS library chooses among all certificates by their algorithm; here the name in the ClientHello alone
/// decides, before any certificate is looked at.
pub(super) fn load(certificate: &Path, key: &Path) -> Result<WebCertificate, WebError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&read(certificate)?)
        .collect::<Result<_, _>>()
        .map_err(|error| WebError::new(certificate, error))?;
    if chain.is_empty() {
        return Err(WebError::new(certificate, "there is no certificate in it"));
    }
    let expires = expiry(&chain);
    let key_der = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| WebError::new(key, error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| WebError::new(certificate, error))?
        .with_no_client_auth()
        .with_single_cert(chain, key_der)
        .map_err(|error| WebError::new(key, error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Resumed sessions would tell visits of one browser from those of others.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(WebCertificate { config: Arc::new(config), expires })
}

fn read(path: &Path) -> Result<Vec<u8>, WebError> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE).read_to_end(&mut bytes))
        .map_err(|error| WebError::new(path, error))?;
    Ok(bytes)
}

/// Who a connection to a shared port is for.
pub(in crate::relay) enum Caller {
    /// A browser: it named a server.
    Browser(Box<StartHandshake<TcpStream>>),
    /// An SMP client, or one whose ClientHello cannot be read and who is told so by SMP's TLS. What it has sent.
    SmpClient(TcpStream, Vec<u8>),
}

/// Reads a ClientHello and tells by its server name (SNI) alone who is calling (wire reference, section 3).
pub(super) async fn tell_apart(mut tcp: TcpStream, time_out: Duration) -> io::Result<Caller> {
    let reading = async {
        let mut acceptor = Acceptor::default();
        let mut received = Vec::new();
        let mut buffer = [0; 2_048];
        loop {
            let length = tcp.read(&mut buffer).await?;
            let bytes = buffer.get(..length).unwrap_or_default();
            if bytes.is_empty() {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            received.extend_from_slice(bytes);
            match feed(&mut acceptor, bytes) {
                Ok(None) if received.len() < MAX_HELLO => {}
                Ok(None) => return Err(io::ErrorKind::InvalidData.into()),
                Ok(Some(accepted)) if accepted.client_hello().server_name().is_some() => {
                    return Ok((Some(accepted), Vec::new()));
                }
                Ok(Some(_)) | Err(()) => return Ok((None, received)),
            }
        }
    };
    let (browser, received) = timeout(time_out, reading).await.map_err(|_| io::ErrorKind::TimedOut)??;
    Ok(match browser {
        Some(accepted) => Caller::Browser(Box::new(StartHandshake::from_parts(accepted, tcp))),
        None => Caller::SmpClient(tcp, received),
    })
}

/// Gives bytes to the acceptor until it knows the ClientHello, wants more, or fails.
fn feed(acceptor: &mut Acceptor, mut bytes: &[u8]) -> Result<Option<Accepted>, ()> {
    while !bytes.is_empty() {
        if acceptor.read_tls(&mut bytes).map_err(drop)? == 0 {
            return Err(());
        }
        if let Some(accepted) = acceptor.accept().map_err(drop)? {
            return Ok(Some(accepted));
        }
    }
    Ok(None)
}

/// Finishes a browser's handshake.
pub(super) async fn finish(
    handshake: StartHandshake<TcpStream>,
    config: Arc<ServerConfig>,
    time_out: Duration,
) -> io::Result<TlsStream<TcpStream>> {
    timeout(time_out, handshake.into_stream(config)).await.map_err(|_| io::ErrorKind::TimedOut)?
}
