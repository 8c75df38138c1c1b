//! `smp info`: what a relay offers.

use clap::Args;
use serde::Serialize;
use smp_crypto::certificate::{Certificate, CertificateKey};
use smp_proto::address::ServerUri;
use smp_proto::smp::queue_info::TimeText;
use smp_proto::wire::{Base64, Time};
use smp_std::client::{Client, ClientError, Options, open};

use crate::failure::{Context, Failure};
use crate::network::Network;
use crate::progress::duration;
use crate::receive::parse_server;

/// Show what a relay offers: versions, certificates, encryption, and how long connecting takes.
///
/// Connects as any client does and makes sure that the relay is the one its address names: that the SHA-256 of its
/// identity certificate is the fingerprint of the address, that the chain of certificates holds, and that its session key
/// is signed by it. A relay of which this cannot be said is not talked to (exit code 4).
///
/// With --json everything is one object; times are in seconds.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The relay: smp://FINGERPRINT@HOST[:PORT]
    #[arg(value_name = "ADDRESS", value_parser = parse_server)]
    server: ServerUri,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    network: Network,
}

#[derive(Serialize)]
struct Info {
    versions_offered: [u16; 2],
    version_agreed: u16,
    alpn: Option<String>,
    tls_version: &'static str,
    cipher_suite: &'static str,
    key_exchange: Option<&'static str>,
    blocks_encrypted: bool,
    chain: Vec<Link>,
    tcp_seconds: f64,
    tls_seconds: f64,
    handshake_seconds: f64,
}

/// A certificate of the chain.
#[derive(Serialize)]
struct Link {
    role: &'static str,
    algorithm: &'static str,
    length: usize,
    not_before: String,
    not_after: String,
    /// SHA-256 of the certificate.
    fingerprint: String,
    is_identity: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let info = look(&arguments.server, &arguments.network).await.context("connecting")?;
    if arguments.json {
        say!("{}", serde_json::to_string_pretty(&info).map_err(std::io::Error::from)?);
    } else {
        info.print();
    }
    Ok(())
}

async fn look(server: &ServerUri, network: &Network) -> Result<Info, ClientError> {
    let mut options = Options::interactive();
    network.apply(&mut options);
    let address = server.address();
    let fingerprint = address.fingerprint().ok_or(ClientError::NoFingerprint)?;
    let opened = open(&address, &fingerprint, &options).await?;
    let certificates = opened.stream.peer_certificates();
    let count = certificates.len();
    let chain = certificates
        .iter()
        .enumerate()
        .filter_map(|(index, der)| Some(Link::new(index, count, &Certificate::from_der(der).ok()?, &fingerprint)))
        .collect();
    let key_exchange = opened.stream.key_exchange_group();
    let (client, _events) = Client::over_tls(opened.stream, &fingerprint, &options).await?;
    let session = client.session();
    Ok(Info {
        versions_offered: [session.offered.min().0, session.offered.max().0],
        version_agreed: session.version.0,
        alpn: session.alpn.map(|alpn| String::from_utf8_lossy(alpn.name()).into_owned()),
        // Nothing else is spoken here.
        tls_version: "1.3",
        cipher_suite: "TLS_CHACHA20_POLY1305_SHA256",
        key_exchange,
        blocks_encrypted: session.blocks_encrypted,
        chain,
        tcp_seconds: opened.tcp_time.as_secs_f64(),
        tls_seconds: opened.tls_time.as_secs_f64(),
        handshake_seconds: session.handshake_time.as_secs_f64(),
    })
}

impl Link {
    fn new(index: usize, count: usize, certificate: &Certificate<'_>, fingerprint: &[u8; 32]) -> Self {
        let found = certificate.fingerprint();
        let validity = certificate.validity();
        let time = |seconds| TimeText::new(Time(seconds)).as_str().to_owned();
        Self {
            // Leaf first; the identity is always the second one.
            role: match (index, count) {
                (0, _) => "server",
                (1, _) => "identity",
                (2, 4) => "network",
                _ => "operator",
            },
            algorithm: match certificate.public_key() {
                CertificateKey::Ed25519(_) => "Ed25519",
                CertificateKey::Ed448(_) => "Ed448",
                _ => "other",
            },
            length: certificate.as_der().len(),
            not_before: time(validity.not_before),
            not_after: time(validity.not_after),
            fingerprint: Base64(&found).to_string(),
            is_identity: index == 1 && found == *fingerprint,
        }
    }
}

impl Info {
    fn print(&self) {
        let [min, max] = self.versions_offered;
        say!("protocol      version {} agreed; the relay offers {min} to {max}", self.version_agreed);
        let alpn = self.alpn.as_deref().unwrap_or("none");
        let group = self.key_exchange.unwrap_or("unknown group");
        say!("TLS           {} with {}, {group}, ALPN {alpn}", self.tls_version, self.cipher_suite);
        say!("blocks        {}", if self.blocks_encrypted { "encrypted inside TLS" } else { "protected by TLS only" });
        for link in &self.chain {
            say!(
                "{:<13} {}, {} bytes, valid from {} to {}",
                link.role,
                link.algorithm,
                link.length,
                link.not_before,
                link.not_after
            );
            let what = if link.is_identity { " (that of the address)" } else { "" };
            say!("              SHA-256 {}{what}", link.fingerprint);
        }
        let seconds = |seconds| duration(std::time::Duration::from_secs_f64(seconds));
        say!(
            "connecting    TCP {}, TLS {}, hellos {}",
            seconds(self.tcp_seconds),
            seconds(self.tls_seconds),
            seconds(self.handshake_seconds)
        );
    }
}
