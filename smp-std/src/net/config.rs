//! What the two sides of a TLS connection offer: protocols, certificates, no resumption.

use super::provider::provider;
use super::verify::{ClientVerifier, ServerVerifier};
use super::{NetError, TlsStream, tls::Tls};
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ResolvesClientCert, Resumption, UnbufferedClientConnection};
use rustls::pki_types::{CertificateDer, IpAddr, Ipv4Addr, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, UnbufferedServerConnection};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig, SignatureScheme};
use std::{sync::Arc, time::Duration};
use tokio::io::{AsyncRead, AsyncWrite};

/// An application protocol named in the TLS handshake (ALPN). Any of them allows the full range of SMP versions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Alpn {
    /// `smp/1`, what every SMP client offers.
    Smp,
    /// `h2`, confirmed by servers that share a port with a web site.
    Http2,
    /// `http/1.1`, what SMP clients offer to preset servers on port 443.
    Http11,
}

impl Alpn {
    /// The names a server knows, best first.
    const SERVER: [Self; 3] = [Self::Smp, Self::Http2, Self::Http11];

    /// The name on the wire.
    pub const fn name(self) -> &'static [u8] {
        match self {
            Self::Smp => b"smp/1",
            Self::Http2 => b"h2",
            Self::Http11 => b"http/1.1",
        }
    }

    pub(super) fn from_name(name: &[u8]) -> Option<Self> {
        Self::SERVER.into_iter().find(|alpn| alpn.name() == name)
    }
}

/// The server's side of TLS: its certificate chain and key. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ServerTls(Arc<ServerConfig>);

impl ServerTls {
    /// A server that presents `chain` (DER, leaf first) and signs with `key` (PKCS#8 DER, Ed25519 or Ed448).
    ///
    /// # Errors
    /// [`NetError::Tls`] if the key has another format or algorithm or is not the key of the leaf.
    pub fn new(chain: &[Vec<u8>], key: &[u8]) -> Result<Self, NetError> {
        let certified = certified_key(chain, key)?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::new(ClientVerifier))
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = Alpn::SERVER.map(|alpn| alpn.name().to_vec()).to_vec();
        // A resumed handshake would have other Finished values than section 3.1 counts on.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(Self(Arc::new(config)))
    }

    /// Does the server's side of the handshake over `io` within `time_out`.
    ///
    /// # Errors
    /// [`NetError::TimedOut`], [`NetError::NoCommonProtocol`], [`NetError::Tls`], [`NetError::Io`] and
    /// [`NetError::Truncated`]; the peer has been sent the alert that fits.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        io: S,
        time_out: Duration,
    ) -> Result<TlsStream<S>, NetError> {
        self.accept_after(io, Vec::new(), time_out).await
    }

    /// As [`Self::accept`], for a connection whose first bytes have been `received` already, to find out who is calling.
    ///
    /// # Errors
    /// As [`Self::accept`].
    pub async fn accept_after<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        io: S,
        received: Vec<u8>,
        time_out: Duration,
    ) -> Result<TlsStream<S>, NetError> {
        let handshake = TlsStream::handshake(io, self.start()?, received);
        tokio::time::timeout(time_out, handshake).await.map_err(|_| NetError::TimedOut)?
    }

    /// A connection before its first byte.
    pub(super) fn start(&self) -> Result<Tls, NetError> {
        Ok(Tls::Server(UnbufferedServerConnection::new(Arc::clone(&self.0))?))
    }
}

/// What a client offers as application protocol.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ClientAlpn {
    /// `smp/1`.
    #[default]
    Smp,
    /// Only `http/1.1`, for preset servers on port 443, where many networks let nothing else through.
    Http11,
    /// No name at all, as very old clients do: the server then speaks version 6 only.
    Absent,
}

/// The client's side of TLS: what is the same for all servers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ClientTls {
    alpn: ClientAlpn,
    resolver: Arc<dyn ResolvesClientCert>,
}

impl ClientTls {
    /// A client without a certificate, which is what all but services are.
    pub fn new(alpn: ClientAlpn) -> Self {
        Self { alpn, resolver: Arc::new(NoCertificate) }
    }

    /// A client that presents `chain` (DER, leaf first) when asked and signs with `key` (PKCS#8 DER, Ed25519 or Ed448).
    ///
    /// # Errors
    /// [`NetError::Tls`] if the key has another format or algorithm or is not the key of the leaf.
    pub fn with_certificate(alpn: ClientAlpn, chain: &[Vec<u8>], key: &[u8]) -> Result<Self, NetError> {
        let certified = certified_key(chain, key)?;
        Ok(Self { alpn, resolver: Arc::new(SingleCertAndKey::from(certified)) })
    }

    /// Does the client's side of the handshake over `io` within `time_out`, with the server whose identity certificate
    /// has the SHA-256 `fingerprint` (the key hash in its address). The server's name is never sent.
    ///
    /// # Errors
    /// [`NetError::ServerIdentity`] and [`NetError::ServerCertificate`] if the server is not the one addressed, else as
    /// [`ServerTls::accept`].
    pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        io: S,
        fingerprint: &[u8; 32],
        time_out: Duration,
    ) -> Result<TlsStream<S>, NetError> {
        let (tls, verifier) = self.start(fingerprint)?;
        match tokio::time::timeout(time_out, TlsStream::handshake(io, tls, Vec::new())).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(verifier.error().unwrap_or(error)),
            Err(_) => Err(NetError::TimedOut),
        }
    }

    /// A connection before its first byte, and the verifier that will know why the server was refused.
    pub(super) fn start(&self, fingerprint: &[u8; 32]) -> Result<(Tls, Arc<ServerVerifier>), NetError> {
        let verifier = Arc::new(ServerVerifier::new(*fingerprint));
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier) as Arc<dyn ServerCertVerifier>)
            .with_client_cert_resolver(Arc::clone(&self.resolver));
        config.alpn_protocols = match self.alpn {
            ClientAlpn::Smp => vec![Alpn::Smp.name().to_vec()],
            ClientAlpn::Http11 => vec![Alpn::Http11.name().to_vec()],
            ClientAlpn::Absent => Vec::new(),
        };
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        config.enable_sni = false;
        // rustls wants a name; it is neither sent nor checked.
        let name = ServerName::from(IpAddr::V4(Ipv4Addr::from([0; 4])));
        Ok((Tls::Client(UnbufferedClientConnection::new(Arc::new(config), name)?), verifier))
    }
}

/// A client that has no certificate to show.
#[derive(Debug)]
struct NoCertificate;

impl ResolvesClientCert for NoCertificate {
    fn resolve(&self, _issuers: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// A chain with the key of its leaf.
fn certified_key(chain: &[Vec<u8>], key: &[u8]) -> Result<CertifiedKey, NetError> {
    let chain = chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.to_vec()));
    Ok(CertifiedKey::from_der(chain, key, &provider())?)
}
