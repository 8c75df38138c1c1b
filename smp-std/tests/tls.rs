//! TLS between our two sides, and between each of them and OpenSSL.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
mod common;

use common::Identity;
use common::openssl::{Running, messages};
use smp_std::net::{Alpn, BLOCK_SIZE, ClientAlpn, ClientTls, Listener, NetError, ServerTls, TlsStream, connect_tcp};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;

const TIME_OUT: Duration = Duration::from_secs(20);
const ALGORITHMS: [&str; 2] = ["ed25519", "ed448"];

type Pair = (TlsStream<DuplexStream>, TlsStream<DuplexStream>);

/// A client and a server with a handshake done between them over a pipe of `capacity` bytes.
async fn pair(identity: &Identity, client: &ClientTls, capacity: usize) -> Result<Pair, (NetError, NetError)> {
    let server = ServerTls::new(&identity.chain, &identity.key).unwrap();
    let (near, far) = tokio::io::duplex(capacity);
    let results = tokio::join!(client.connect(near, &identity.fingerprint, TIME_OUT), server.accept(far, TIME_OUT));
    match results {
        (Ok(client), Ok(server)) => Ok((client, server)),
        (client, server) => Err((client.err().unwrap_or(NetError::Closed), server.err().unwrap_or(NetError::Closed))),
    }
}

fn block(number: u8) -> [u8; BLOCK_SIZE] {
    core::array::from_fn(|index| (index as u8).wrapping_mul(31).wrapping_add(number))
}

#[tokio::test]
async fn both_sides_agree_on_the_session_and_exchange_blocks() {
    for algorithm in ALGORITHMS {
        let identity = Identity::new(algorithm);
        let (mut client, mut server) = pair(&identity, &ClientTls::new(ClientAlpn::Smp), 50_000).await.unwrap();
        assert_eq!(client.session_identifier(), server.session_identifier());
        assert_ne!(client.session_identifier(), &[0; 32]);
        assert_eq!((client.alpn(), server.alpn()), (Some(Alpn::Smp), Some(Alpn::Smp)));
        assert_eq!(client.peer_certificates(), identity.chain);
        assert!(server.peer_certificates().is_empty());
        for number in 0..5 {
            client.write_block(&block(number)).await.unwrap();
            client.flush().await.unwrap();
            let mut received = [0; BLOCK_SIZE];
            server.read_block(&mut received).await.unwrap();
            assert_eq!(received, block(number));
            server.write_block(&received).await.unwrap();
            server.flush().await.unwrap();
            client.read_block(&mut received).await.unwrap();
            assert_eq!(received, block(number));
        }
    }
}

#[tokio::test]
async fn two_sessions_have_two_identifiers() {
    let identity = Identity::new("ed25519");
    let client = ClientTls::new(ClientAlpn::Smp);
    let first = pair(&identity, &client, 50_000).await.unwrap();
    let second = pair(&identity, &client, 50_000).await.unwrap();
    assert_ne!(first.0.session_identifier(), second.0.session_identifier());
}

#[tokio::test]
async fn a_client_with_a_certificate_has_the_same_identifier_as_its_server() {
    let identity = Identity::new("ed25519");
    for algorithm in ALGORITHMS {
        let service = Identity::new(algorithm);
        let client = ClientTls::with_certificate(ClientAlpn::Smp, &service.chain, &service.key).unwrap();
        let (client, server) = pair(&identity, &client, 50_000).await.unwrap();
        assert_eq!(client.session_identifier(), server.session_identifier());
        assert_eq!(server.peer_certificates(), service.chain);
    }
}

#[tokio::test]
async fn the_protocol_name_follows_the_client() {
    let identity = Identity::new("ed25519");
    for (offered, agreed) in
        [(ClientAlpn::Smp, Some(Alpn::Smp)), (ClientAlpn::Http11, Some(Alpn::Http11)), (ClientAlpn::Absent, None)]
    {
        let (client, server) = pair(&identity, &ClientTls::new(offered), 50_000).await.unwrap();
        assert_eq!((client.alpn(), server.alpn()), (agreed, agreed));
    }
}

#[tokio::test]
async fn a_server_with_another_fingerprint_is_refused_by_name() {
    let (identity, mut other) = (Identity::new("ed25519"), Identity::new("ed25519"));
    other.chain.clone_from(&identity.chain);
    other.key.clone_from(&identity.key);
    let (client, server) = pair(&other, &ClientTls::new(ClientAlpn::Smp), 50_000).await.unwrap_err();
    assert!(matches!(client, NetError::ServerIdentity), "{client}");
    assert!(server.to_string().contains("UnknownCA"), "{server}");
}

#[tokio::test]
async fn blocks_pass_a_pipe_of_a_few_bytes_in_both_directions_at_once() {
    let identity = Identity::new("ed25519");
    let (mut client, mut server) = pair(&identity, &ClientTls::new(ClientAlpn::Smp), 7).await.unwrap();
    const COUNT: u8 = 4;
    async fn talk(stream: &mut TlsStream<DuplexStream>) {
        let (mut sent, mut received) = (0, 0);
        while received < COUNT || sent < COUNT {
            let ready = stream.ready(sent < COUNT).await.unwrap();
            if ready.write {
                stream.write_block(&block(sent)).await.unwrap();
                sent += 1;
            }
            if ready.read {
                let mut got = [0; BLOCK_SIZE];
                stream.read_block(&mut got).await.unwrap();
                assert_eq!(got, block(received));
                received += 1;
            }
        }
        stream.flush().await.unwrap();
    }
    tokio::join!(talk(&mut client), talk(&mut server));
}

#[tokio::test]
async fn two_tasks_can_share_a_stream_that_is_full_in_both_directions() {
    let identity = Identity::new("ed25519");
    let (client, server) = pair(&identity, &ClientTls::new(ClientAlpn::Smp), 900).await.unwrap();
    let mut tasks = Vec::new();
    for stream in [client, server] {
        let (mut reader, mut writer) = tokio::io::split(stream);
        tasks.push(tokio::spawn(async move {
            for number in 0..20 {
                writer.write_all(&block(number)).await.unwrap();
            }
            writer.shutdown().await.unwrap();
        }));
        tasks.push(tokio::spawn(async move {
            let mut got = [0; BLOCK_SIZE];
            for number in 0..20 {
                reader.read_exact(&mut got).await.unwrap();
                assert_eq!(got, block(number));
            }
            assert_eq!(reader.read(&mut got).await.unwrap(), 0);
        }));
    }
    for task in tasks {
        tokio::time::timeout(TIME_OUT, task).await.expect("the tasks wait for each other").unwrap();
    }
}

#[tokio::test]
async fn dropping_a_read_loses_nothing() {
    let identity = Identity::new("ed25519");
    let (mut client, mut server) = pair(&identity, &ClientTls::new(ClientAlpn::Smp), 1000).await.unwrap();
    let sending = tokio::spawn(async move {
        for number in 0..3 {
            client.write_block(&block(number)).await.unwrap();
        }
        client.close().await.unwrap();
        client
    });
    let mut received = 0;
    let mut attempts = 0;
    while received < 3 {
        attempts += 1;
        let mut got = [0; BLOCK_SIZE];
        tokio::select! {
            biased;
            result = server.read_block(&mut got) => {
                result.unwrap();
                assert_eq!(got, block(received));
                received += 1;
            }
            () = tokio::task::yield_now() => {}
        }
    }
    assert!(attempts > 10, "the read was never interrupted");
    assert!(matches!(server.block_ready().await, Err(NetError::Closed)));
    // Half closed: the other direction still works.
    server.write_block(&block(9)).await.unwrap();
    let flushing = tokio::spawn(async move { server.flush().await.unwrap() });
    let mut client = sending.await.unwrap();
    let mut got = [0; BLOCK_SIZE];
    client.read_block(&mut got).await.unwrap();
    assert_eq!(got, block(9));
    flushing.await.unwrap();
    assert!(matches!(client.write_block(&got).await, Err(NetError::Closed)));
}

#[tokio::test]
async fn a_connection_that_breaks_off_is_not_taken_for_closed() {
    let identity = Identity::new("ed25519");
    // No closing message at all.
    let (client, mut server) = pair(&identity, &ClientTls::new(ClientAlpn::Smp), 50_000).await.unwrap();
    drop(client);
    assert!(matches!(server.block_ready().await, Err(NetError::Truncated)));
    let mut bytes = Vec::new();
    assert_eq!(server.read_to_end(&mut bytes).await.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
    // A closing message inside a block.
    let (mut client, mut server) = pair(&identity, &ClientTls::new(ClientAlpn::Smp), 50_000).await.unwrap();
    client.write_all(&[1; 100]).await.unwrap();
    client.shutdown().await.unwrap();
    assert!(matches!(server.block_ready().await, Err(NetError::Truncated)));
    server.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes, [1; 100]);
}

#[tokio::test]
async fn a_peer_that_says_nothing_runs_out_of_time() {
    let identity = Identity::new("ed25519");
    let server = ServerTls::new(&identity.chain, &identity.key).unwrap();
    let (_near, far) = tokio::io::duplex(1000);
    assert!(matches!(server.accept(far, Duration::from_millis(50)).await, Err(NetError::TimedOut)));
    let (near, _far) = tokio::io::duplex(1000);
    let client = ClientTls::new(ClientAlpn::Smp);
    let result = client.connect(near, &identity.fingerprint, Duration::from_millis(50)).await;
    assert!(matches!(result, Err(NetError::TimedOut)));
}

#[tokio::test]
async fn what_is_not_tls_is_refused() {
    let identity = Identity::new("ed25519");
    let server = ServerTls::new(&identity.chain, &identity.key).unwrap();
    let (mut near, far) = tokio::io::duplex(10_000);
    near.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert!(matches!(server.accept(far, TIME_OUT).await, Err(NetError::Tls(_))));
    let (near, far) = tokio::io::duplex(10_000);
    drop(near);
    assert!(matches!(server.accept(far, TIME_OUT).await, Err(NetError::Truncated | NetError::Io(_))));
}

/// What `openssl s_client` makes of our server: the server's stream or error, and the client's log.
async fn openssl_client(identity: &Identity, arguments: &str) -> (Result<TlsStream<TcpStream>, NetError>, String) {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = listener.local_address().unwrap().port();
    let arguments = format!("s_client -connect 127.0.0.1:{port} -noservername -msg {arguments}");
    let client = Running::start(identity.directory.path(), &arguments);
    let (socket, _) = tokio::time::timeout(TIME_OUT, listener.accept()).await.expect("no connection").unwrap();
    let server = ServerTls::new(&identity.chain, &identity.key).unwrap();
    let mut result = server.accept(socket, TIME_OUT).await;
    if let Ok(stream) = &mut result {
        stream.write_all(b"hello from the server\n").await.unwrap();
        stream.close().await.unwrap();
    }
    let log = tokio::task::spawn_blocking(|| client.finish()).await.unwrap();
    (result, log)
}

/// The `verify_data` of the client's Finished in a log of OpenSSL: the second, after the server's.
fn client_finished(log: &str) -> Vec<u8> {
    let finished = messages(log, "Finished");
    assert_eq!(finished.len(), 2, "{log}");
    assert_eq!(finished[1][..4], [20, 0, 0, 32]);
    finished[1][4..].to_vec()
}

/// What the reference's clients offer.
const LIKE_REFERENCE: &str = "-tls1_3 -ciphersuites TLS_CHACHA20_POLY1305_SHA256 -sigalgs ed448:ed25519 -alpn smp/1";

#[tokio::test]
async fn openssl_as_client_has_the_same_session_identifier() {
    for algorithm in ALGORITHMS {
        let identity = Identity::new(algorithm);
        for groups in ["X448:X25519", "X25519:X448", "X25519", "X448"] {
            let (result, log) = openssl_client(&identity, &format!("{LIKE_REFERENCE} -groups {groups}")).await;
            let stream = result.unwrap_or_else(|error| panic!("{error}: {log}"));
            assert_eq!(stream.session_identifier().as_slice(), client_finished(&log));
            assert_eq!(stream.alpn(), Some(Alpn::Smp));
            assert_eq!(messages(&log, "ServerHello").len(), 1, "a HelloRetryRequest cost a round trip: {log}");
            assert!(messages(&log, "NewSessionTicket").is_empty());
            assert!(log.contains("hello from the server"), "{log}");
            assert!(log.to_lowercase().contains(&format!("peer signature type: {algorithm}")), "{log}");
        }
    }
}

#[tokio::test]
async fn openssl_as_client_that_is_asked_to_try_again_has_the_same_session_identifier() {
    let identity = Identity::new("ed25519");
    let (result, log) = openssl_client(&identity, &format!("{LIKE_REFERENCE} -groups P-256:X25519")).await;
    let stream = result.unwrap_or_else(|error| panic!("{error}: {log}"));
    assert_eq!(messages(&log, "ServerHello").len(), 2, "{log}");
    assert_eq!(stream.session_identifier().as_slice(), client_finished(&log));
}

#[tokio::test]
async fn openssl_as_client_with_a_certificate_has_the_same_session_identifier() {
    let identity = Identity::new("ed448");
    for algorithm in ALGORITHMS {
        let service = Identity::new(algorithm);
        let path = service.directory.path().display();
        let certificate = format!("-cert {path}/server.crt -key {path}/server.key -cert_chain {path}/ca.crt");
        let (result, log) = openssl_client(&identity, &format!("{LIKE_REFERENCE} {certificate}")).await;
        let stream = result.unwrap_or_else(|error| panic!("{error}: {log}"));
        assert_eq!(stream.session_identifier().as_slice(), client_finished(&log));
        assert_eq!(stream.peer_certificates(), service.chain);
    }
}

#[tokio::test]
async fn openssl_as_client_gets_the_protocol_name_the_server_prefers() {
    let identity = Identity::new("ed25519");
    for (offered, agreed) in [
        ("-alpn http/1.1,h2,smp/1", Some(Alpn::Smp)),
        ("-alpn http/1.1,h2", Some(Alpn::Http2)),
        ("-alpn other,http/1.1", Some(Alpn::Http11)),
        ("-tls1_3", None),
    ] {
        let (result, log) = openssl_client(&identity, offered).await;
        assert_eq!(result.unwrap_or_else(|error| panic!("{error}: {log}")).alpn(), agreed);
    }
    let (result, log) = openssl_client(&identity, "-alpn xftp/1").await;
    assert!(matches!(result, Err(NetError::NoCommonProtocol)), "{result:?}");
    assert!(log.contains("no application protocol"), "{log}");
}

#[tokio::test]
async fn openssl_as_client_is_refused_outside_the_profile() {
    let identity = Identity::new("ed25519");
    for arguments in ["-tls1_2", "-ciphersuites TLS_AES_128_GCM_SHA256", "-groups P-256", "-sigalgs ECDSA+SHA256"] {
        let (result, log) = openssl_client(&identity, arguments).await;
        assert!(matches!(result, Err(NetError::Tls(_))), "{arguments}: {result:?}");
        assert!(log.contains("alert"), "{log}");
    }
}

#[tokio::test]
async fn openssl_may_change_its_keys_and_ask_for_new_ones() {
    let identity = Identity::new("ed25519");
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = listener.local_address().unwrap().port();
    let arguments = format!("s_client -connect 127.0.0.1:{port} -noservername -msg -alpn smp/1");
    let mut client = Running::start(identity.directory.path(), &arguments);
    let (socket, _) = listener.accept().await.unwrap();
    let server = ServerTls::new(&identity.chain, &identity.key).unwrap();
    let mut stream = server.accept(socket, TIME_OUT).await.unwrap();
    let identifier = *stream.session_identifier();
    // `K` alone on a line is a command: change keys and ask the other side to do the same.
    let mut line = [0; 6];
    for _ in 0..3 {
        client.say("K\n");
        tokio::time::timeout(TIME_OUT, async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            client.say("hello\n");
            stream.read_exact(&mut line).await.unwrap();
        })
        .await
        .unwrap();
        assert_eq!(&line, b"hello\n");
        stream.write_all(b"answer\n").await.unwrap();
        stream.flush().await.unwrap();
    }
    assert_eq!(stream.session_identifier(), &identifier);
    stream.close().await.unwrap();
    let log = tokio::task::spawn_blocking(|| client.finish()).await.unwrap();
    assert_eq!(log.matches("answer").count(), 3, "{log}");
    assert_eq!(messages(&log, "KeyUpdate").len(), 6, "three of each side: {log}");
}

#[tokio::test]
async fn openssl_as_server_has_the_same_session_identifier() {
    for algorithm in ALGORITHMS {
        let identity = Identity::new(algorithm);
        let service = Identity::new(algorithm);
        let plain = ClientTls::new(ClientAlpn::Smp);
        let with_certificate = ClientTls::with_certificate(ClientAlpn::Smp, &service.chain, &service.key).unwrap();
        for (client, groups, verify) in [
            (&plain, "X448:X25519", ""),
            (&plain, "X25519", ""),
            (&plain, "X448", " -verify 3"),
            (&with_certificate, "X448", " -verify 3"),
        ] {
            let port = free_port();
            let arguments = format!(
                "s_server -accept 127.0.0.1:{port} -naccept 1 -cert server.crt -key server.key -cert_chain ca.crt -tls1_3 -msg \
                 -alpn smp/1 -no_ticket -groups {groups}{verify}"
            );
            let server = Running::start(identity.directory.path(), &arguments);
            let socket = connect_when_up(port).await;
            let mut stream = client.connect(socket, &identity.fingerprint, TIME_OUT).await.unwrap();
            stream.write_all(b"hello from the client\n").await.unwrap();
            stream.close().await.unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            let log = tokio::task::spawn_blocking(|| server.finish()).await.unwrap();
            assert_eq!(stream.session_identifier().as_slice(), client_finished(&log));
            assert_eq!(stream.alpn(), Some(Alpn::Smp));
            assert!(log.contains("hello from the client"), "{log}");
        }
    }
}

/// A port nobody listens on at the moment.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn connect_when_up(port: u16) -> TcpStream {
    for _ in 0..200 {
        if let Ok(socket) = connect_tcp("127.0.0.1", port, TIME_OUT).await {
            return socket;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("openssl s_server did not start on port {port}");
}
