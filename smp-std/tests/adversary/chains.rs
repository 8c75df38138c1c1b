//! Certificates that are made to be slow to check: many, long, all with the same name, or with huge keys of another kind.

use std::sync::Arc;
use std::time::{Duration, Instant};

use smp_proto::address::ServerAddress;
use smp_proto::smp::Command;
use smp_proto::smp::proxy::ProxySession;
use smp_proto::wire::Decode;
use smp_std::net::{ClientAlpn, ClientTls, connect_tcp};
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto::ring, version::TLS13};

use crate::certificates::{TestService, der};
use crate::harness::PATIENCE;
use crate::process::RelayProcess;

/// Each kind of chain, with a leaf whose key is known.
fn chains() -> Vec<(&'static str, TestService)> {
    let own = || TestService::self_signed();
    let with = |others: Vec<Vec<u8>>| {
        let mut service = own();
        service.chain.extend(others);
        service
    };
    // An RSA key of 65,536 bits, as far as its form goes.
    let algorithm = der(0x30, &[&der(0x06, &[&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1]]), &[5, 0]]);
    let number = der(0x02, &[&vec![0x7f; 8_192]]);
    let key = der(0x03, &[&[0], &der(0x30, &[&number, &number])]);
    let rsa = der(0x30, &[&der(0x30, &[&der(0x30, &[&algorithm, &key])]), &algorithm, &der(0x03, &[&[0; 8_193]])]);
    vec![
        ("a chain of 5 that signed nothing", with((0..4).flat_map(|_| own().chain).collect())),
        // As many as fit into what TLS takes.
        ("100 of the same name", with((0..99).flat_map(|_| own().chain).collect())),
        ("5,000 empty ones", with(vec![vec![0x30, 0]; 5_000])),
        ("an RSA key of 65,536 bits", with(vec![rsa])),
        // Subject and issuer both.
        ("a name of 20,000 bytes", TestService::named(&[b'x'; 20_000])),
        ("a lie about a length", with(vec![vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff]])),
    ]
}

/// How often each chain is shown.
const TIMES: u32 = 40;

/// Clients that show such chains, one after the other: each is greeted or sent away.
pub(crate) async fn of_clients(relay: &RelayProcess) {
    let honest = TestService::self_signed();
    let (_, quiet) = shown(relay, &honest).await;
    for (what, service) in chains() {
        let (greeted, processor) = shown(relay, &service).await;
        eprintln!("{what}: {greeted} of {TIMES} greeted, {processor:?} each, {quiet:?} for an honest service");
    }
}

/// Shows the relay certificates; how often it went on, and its processor time for each.
async fn shown(relay: &RelayProcess, service: &TestService) -> (u32, Duration) {
    let before = relay.processor();
    let mut greeted = 0;
    for _ in 0..TIMES {
        let tcp = connect_tcp("127.0.0.1", relay.address.port(), PATIENCE).await.unwrap();
        let tls = ClientTls::with_certificate(ClientAlpn::Smp, &service.chain, &service.key).unwrap();
        // The client's part is over before the relay has looked at the certificates.
        let Ok(mut tls) = tls.connect(tcp, &relay.fingerprint, PATIENCE).await else { continue };
        let mut block = Box::new([0; smp_proto::transport::BLOCK_LENGTH]);
        let hello = timeout(PATIENCE, tls.read_block(&mut block)).await.expect("the relay says nothing and stays");
        greeted += u32::from(hello.is_ok());
    }
    (greeted, relay.processor().saturating_sub(before) / TIMES)
}

/// Relays that show such chains to a relay that shall forward: it gives up.
pub(crate) async fn of_relays(relay: &RelayProcess) {
    for (what, service) in chains() {
        let port = serve(&service).await;
        let (before, start) = (relay.processor(), Instant::now());
        // As it travels: one host, the port, the fingerprint, each behind its length.
        let port = port.to_string();
        let address = [&[1, 9][..], b"127.0.0.1", &[port.len() as u8], port.as_bytes(), &[32], &[7; 32]].concat();
        let server = ServerAddress::from_bytes(&address).unwrap();
        let ask = Command::ProxySession(ProxySession { server, password: None });
        let mut client = relay.client().await;
        let answer = client.tell(None, &[], &ask).await;
        assert!(answer.starts_with("ERR PROXY BROKER "), "{what}: {answer}");
        let processor = relay.processor().saturating_sub(before);
        eprintln!("a relay with {what}: {answer}, {processor:?} of the processor, after {:?}", start.elapsed());
    }
}

/// A TLS server with these certificates; its port.
async fn serve(service: &TestService) -> u16 {
    let chain = service.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
    let key = PrivateKeyDer::Pkcs8(service.key.clone().into());
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let mut config =
        builder.with_protocol_versions(&[&TLS13]).unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"smp/1".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            // It has shown what it has to show.
            let _ = acceptor.accept(tcp).await;
        }
    });
    port
}
