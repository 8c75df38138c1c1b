//! Attacks before there is a session: on TLS, and on the hellos behind it.

use std::net::SocketAddr;
use std::time::Duration;

use smp_crypto::key::X25519SecretKey;
use smp_crypto::session::{ClientConfiguration, ClientHandshake, ClientStep, ServerLeaf, SessionIdentifier};
use smp_proto::transport::BLOCK_LENGTH;
use smp_proto::version::{SmpVersion, VersionRange};
use smp_std::net::{ClientAlpn, ClientTls, NetError, TlsStream};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::client_hello::ClientHello;
use crate::harness::PATIENCE;
use crate::process::RelayProcess;

async fn connect(relay: &RelayProcess) -> TcpStream {
    TcpStream::connect(relay.address).await.unwrap()
}

/// Reads until the relay closes the connection, which it must, and gives what it said before.
async fn until_closed(tcp: &mut TcpStream, what: &str) -> Vec<u8> {
    let mut said = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match timeout(PATIENCE, tcp.read(&mut piece)).await {
            Ok(Ok(0)) => return said,
            // The relay had not read everything when it closed.
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionReset => return said,
            Ok(Ok(count)) => said.extend_from_slice(&piece[..count]),
            Ok(Err(error)) => panic!("{what}: {error}"),
            Err(_) => panic!("{what}: the relay keeps the connection"),
        }
    }
}

/// Sends bytes, and expects the connection to end with this fatal alert (RFC 8446 section 6.2).
async fn expect_alert(relay: &RelayProcess, bytes: &[u8], alert: u8, what: &str) {
    let mut tcp = connect(relay).await;
    tcp.write_all(bytes).await.unwrap();
    let said = until_closed(&mut tcp, what).await;
    assert_eq!(said, [21, 3, 3, 0, 2, 2, alert], "{what}");
}

const UNEXPECTED_MESSAGE: u8 = 10;
const DECODE_ERROR: u8 = 50;
const PROTOCOL_VERSION: u8 = 70;

/// Everything wrong with TLS that a client can say at once.
pub(crate) async fn broken_tls(relay: &RelayProcess) {
    let hello = ClientHello::of_a_client(&relay.fingerprint).await;
    let whole = hello.to_bytes();
    let mut long_record = vec![22, 3, 1, 0xff, 0xff];
    long_record.resize(70_000, 0);
    let garbage: Vec<u8> = (0..5000u32).map(|number| (number * 7 + 128) as u8).collect();
    // No answer is required, at most an alert, but an end is.
    let nonsense = [
        (&b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n"[..], "a web browser"),
        (&garbage, "garbage"),
        (&long_record, "a record that is too long"),
        (&[0; 100], "zeros"),
        (&[22, 3, 1, 0, 0], "an empty record"),
        (&[0xff; 4], "less than a header"),
    ]
    .map(|(bytes, what)| async move {
        let mut tcp = connect(relay).await;
        // The relay may be gone before all is written.
        let _ = tcp.write_all(bytes).await;
        let said = until_closed(&mut tcp, what).await;
        assert!(said.len() <= 7, "{what}: {said:?}");
    });
    futures_util::future::join_all(nonsense).await;
    expect_alert(relay, &[23, 3, 3, 0, 1, 0], UNEXPECTED_MESSAGE, "data before the handshake").await;
    expect_alert(relay, &[22, 3, 1, 0, 5, 1, 0, 0, 1, 0], DECODE_ERROR, "a hello of one byte").await;
    let old = hello.without_extension(43).to_bytes();
    expect_alert(relay, &old, PROTOCOL_VERSION, "a client of TLS 1.2").await;
    let web = hello.with_extension(16, &[0, 6, 5, b'i', b'm', b'a', b'p', b'4']).to_bytes();
    let mut tcp = connect(relay).await;
    tcp.write_all(&web).await.unwrap();
    let said = until_closed(&mut tcp, "a client of another protocol").await;
    // The server's hello, its compatibility message, and an alert, encrypted already: two bytes, their type, a tag.
    let alert = &said[said.len() - 24..];
    assert_eq!((said[0], &alert[..5]), (22, &[23, 3, 3, 0, 19][..]), "a client of another protocol");
    let twice = [&whole[..], &whole].concat();
    let mut tcp = connect(relay).await;
    tcp.write_all(&twice).await.unwrap();
    let said = until_closed(&mut tcp, "two hellos").await;
    assert_eq!(said[0], 22, "the first one was good");

    // Closing at odd places.
    let close_notify = [21, 3, 3, 0, 2, 1, 0];
    for place in [0, 1, 5, 100, whole.len()] {
        let mut tcp = connect(relay).await;
        tcp.write_all(&whole[..place]).await.unwrap();
        tcp.write_all(&close_notify).await.unwrap();
        until_closed(&mut tcp, "a goodbye in the handshake").await;
        // And the same with the end of the stream, and with a reset.
        let mut tcp = connect(relay).await;
        tcp.write_all(&whole[..place]).await.unwrap();
        tcp.shutdown().await.unwrap();
        until_closed(&mut tcp, "an end in the handshake").await;
        let mut tcp = connect(relay).await;
        tcp.write_all(&whole[..place]).await.unwrap();
        SockRef::from(&tcp).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// Silence at every stage of TLS: the relay ends each connection by itself.
pub(crate) async fn silent_tls(relay: &RelayProcess) {
    let whole = ClientHello::of_a_client(&relay.fingerprint).await.to_bytes();
    let cuts = [0, 1, 4, 5, 6, 9, 50, whole.len() / 2, whole.len() - 1, whole.len()];
    let cut = cuts.map(|place| {
        let whole = &whole;
        async move {
            let mut tcp = connect(relay).await;
            tcp.write_all(&whole[..place]).await.unwrap();
            let said = until_closed(&mut tcp, "silence").await;
            assert_eq!(!said.is_empty(), place == whole.len(), "an answer to {place} bytes");
        }
    });
    let dribbled = async {
        let mut tcp = connect(relay).await;
        let (mut read, mut write) = tcp.split();
        let dribble = async {
            for byte in &whole {
                if write.write_all(&[*byte]).await.is_err() {
                    return;
                }
                sleep(Duration::from_millis(100)).await;
            }
        };
        let mut nothing = [0; 1];
        tokio::select! {
            () = dribble => panic!("a hello may take as long as it likes"),
            read = timeout(PATIENCE, read.read(&mut nothing)) => assert!(matches!(read.unwrap(), Ok(0) | Err(_))),
        }
    };
    futures_util::future::join(futures_util::future::join_all(cut), dribbled).await;
}

/// The block of an honest client's hello, and the connection it goes to.
async fn hello(relay: &RelayProcess, version: u16) -> (TlsStream, Box<[u8; BLOCK_LENGTH]>) {
    let mut tls = relay.tls().await;
    let versions = VersionRange::new(SmpVersion(version), SmpVersion(version)).unwrap();
    let configuration = ClientConfiguration { versions, identity: relay.fingerprint, is_proxy: false, service: None };
    let session_id = SessionIdentifier::new(tls.session_identifier()).unwrap();
    let leaf = ServerLeaf::from_der(tls.peer_certificates()[0]).unwrap();
    let handshake = ClientHandshake::new(configuration, session_id, leaf, X25519SecretKey::generate(&mut rand::rng()));
    let mut block = Box::new([0; BLOCK_LENGTH]);
    timeout(PATIENCE, tls.read_block(&mut block)).await.unwrap().unwrap();
    let ClientStep::Session(_) = handshake.receive(&mut block).unwrap() else { panic!("no service") };
    (tls, block)
}

/// The relay ends the connection in order and says nothing more.
async fn expect_end(mut tls: TlsStream, what: &str) {
    let mut block = Box::new([0; BLOCK_LENGTH]);
    let end = timeout(PATIENCE, tls.read_block(&mut block)).await.unwrap_or_else(|_| panic!("{what}: no end"));
    assert!(matches!(end, Err(NetError::Closed | NetError::Truncated | NetError::Io(_))), "{what}: {end:?}");
}

/// Where the fields of a client's hello stand in its block: behind the length of the content.
const VERSION: usize = 2;
const KEY_HASH: usize = 4;
const KEY: usize = KEY_HASH + 33;

/// Hellos that no honest client sends.
pub(crate) async fn broken_hellos(relay: &RelayProcess) {
    type Damage = fn(&mut [u8; BLOCK_LENGTH]);
    let damages: [(&str, Damage); 14] = [
        ("another identity", |block| block[KEY_HASH + 1] ^= 1),
        ("an identity of another length", |block| block[KEY_HASH] = 31),
        ("version 0", |block| block[VERSION..VERSION + 2].copy_from_slice(&[0, 0])),
        ("version 5", |block| block[VERSION..VERSION + 2].copy_from_slice(&[0, 5])),
        ("a version from the future", |block| block[VERSION..VERSION + 2].copy_from_slice(&[0, 99])),
        ("version 65535", |block| block[VERSION..VERSION + 2].copy_from_slice(&[0xff, 0xff])),
        ("a content longer than the block", |block| block[..2].copy_from_slice(&[0xff, 0xff])),
        ("a content longer by one", |block| block[..2].copy_from_slice(&[0x3f, 0xff])),
        ("no content", |block| block[..2].copy_from_slice(&[0, 0])),
        ("a content that ends in the key hash", |block| block[..2].copy_from_slice(&[0, 20])),
        ("a key that is none", |block| block[KEY + 1..KEY + 12].fill(0xaa)),
        // Its shared secrets would be known to all.
        ("a key of small order", |block| block[KEY + 13..KEY + 45].fill(0)),
        ("a key cut short", |block| block[KEY] = 43),
        ("zeros", |block| block.fill(0)),
    ];
    let attacks = damages.map(|(what, damage)| async move {
        let (mut tls, mut block) = hello(relay, 14).await;
        damage(&mut block);
        tls.write_block(&block).await.unwrap();
        tls.flush().await.unwrap();
        expect_end(tls, what).await;
    });
    futures_util::future::join_all(attacks).await;

    // The bytes of another session's hello are good, so there is a session, but whoever repeats them lacks the key: what
    // the relay answers to whatever block comes next cannot be read.
    let (_, replayed) = hello(relay, 14).await;
    let (mut tls, _) = hello(relay, 14).await;
    tls.write_block(&replayed).await.unwrap();
    tls.write_block(&[b'#'; BLOCK_LENGTH]).await.unwrap();
    let mut answer = Box::new([0; BLOCK_LENGTH]);
    timeout(PATIENCE, tls.read_block(&mut answer)).await.unwrap().unwrap();
    assert!(!contains(&answer[..], b"ERR"), "only who has the key can read the answer");

    // Version 14 without a key: allowed (forwarding proxies of old did it), then nothing but TLS protects the blocks.
    let (mut tls, mut block) = hello(relay, 14).await;
    block[..2].copy_from_slice(&(2u16 + 33 + 1).to_be_bytes());
    block[KEY] = b'F';
    tls.write_block(&block).await.unwrap();
    tls.write_block(&[b'#'; BLOCK_LENGTH]).await.unwrap();
    timeout(PATIENCE, tls.read_block(&mut answer)).await.unwrap().unwrap();
    assert!(contains(&answer[..], b"ERR BLOCK"), "a keyless session in the clear");
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// Silence behind TLS, and half a hello: the relay ends each connection by itself.
pub(crate) async fn silent_hellos(relay: &RelayProcess) {
    let silent = async { expect_greeting_then_end(relay.tls().await, "silence behind TLS").await };
    let without_alpn = async {
        let tls = relay.try_tls(ClientAlpn::Absent).await.unwrap();
        expect_greeting_then_end(tls, "an old client's silence").await;
    };
    let truncated = [1, 2, 40, 8_000, BLOCK_LENGTH - 1].map(|length| async move {
        let (mut tls, block) = hello(relay, 14).await;
        tls.write_all(&block[..length]).await.unwrap();
        tls.flush().await.unwrap();
        expect_end(tls, "half a hello").await;
    });
    let dribbled = async {
        let (mut tls, block) = hello(relay, 14).await;
        for byte in &block[..] {
            if tls.write_all(&[*byte]).await.is_err() || tls.flush().await.is_err() {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("a hello may take as long as it likes");
    };
    let closed = async {
        for length in [0, 1, 8_000] {
            let (mut tls, block) = hello(relay, 14).await;
            tls.write_all(&block[..length]).await.unwrap();
            tls.close().await.unwrap();
            expect_end(tls, "a goodbye in the hello").await;
            let (mut tls, block) = hello(relay, 14).await;
            tls.write_all(&block[..length]).await.unwrap();
            tls.flush().await.unwrap();
            SockRef::from(tls.get_ref()).set_linger(Some(Duration::ZERO)).unwrap();
        }
    };
    tokio::join!(silent, without_alpn, futures_util::future::join_all(truncated), dribbled, closed);
}

async fn expect_greeting_then_end(mut tls: TlsStream, what: &str) {
    let mut block = Box::new([0; BLOCK_LENGTH]);
    timeout(PATIENCE, tls.read_block(&mut block)).await.unwrap().unwrap();
    expect_end(tls, what).await;
}

/// A client that looks for another relay at this address does not talk to this one.
pub(crate) async fn wrong_identity(address: SocketAddr) {
    let tcp = TcpStream::connect(address).await.unwrap();
    let refused = ClientTls::new(ClientAlpn::Smp).connect(tcp, &[7; 32], PATIENCE).await;
    assert!(matches!(refused, Err(NetError::ServerIdentity)), "{refused:?}");
}
