//! RSLV over real connections, with a resolver that says what a test wants (wire reference of version 20, section 3).

use std::time::Duration;

use smp_std::relay::config::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::ed25519;
use crate::harness::TestRelay;

const RECORD: &str = r#"{"name":"alice.simplex","nickname":"","website":"","location":"","simplexContact":["simplex:/a#x"],"simplexChannel":[],"eth":null,"btc":null,"xmr":null,"dot":null,"owner":"0x00","resolver":"0x01"}"#;

/// A resolver that knows `alice.simplex`, fails for `broken.simplex`, and takes its time for `slow.simplex`.
async fn resolver() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                while let Ok(length @ 1..) = tcp.read(&mut request).await {
                    let request = String::from_utf8_lossy(&request[..length]).into_owned();
                    let (status, body) = if request.starts_with("GET /resolve/alice.simplex ") {
                        ("200 OK", RECORD)
                    } else if request.starts_with("GET /resolve/slow.simplex ") {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        ("200 OK", RECORD)
                    } else if request.starts_with("GET /resolve/broken.simplex ") {
                        ("503 Service Unavailable", "")
                    } else {
                        ("404 Not Found", "")
                    };
                    let response = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                    if tcp.write_all(response.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

#[tokio::test]
async fn names_are_resolved() {
    let mut config = Config::default();
    config.names.resolver = Some(resolver().await);
    let relay = TestRelay::start(config).await;
    let mut client = relay.client().await;
    for name in ["alice.simplex", "ALICE.Simplex", "alice.simplex and more"] {
        let received = {
            let (id, bytes) = client.encode_raw(None, b"", format!("RSLV {name}").as_bytes());
            client.send_block(&[bytes]).await;
            client.response_to(&id).await
        };
        assert_eq!(received.text(), format!("RNAME {RECORD}"), "{name}");
        assert!(received.entity.is_empty());
    }
    for (command, answer) in [
        ("RSLV bob.simplex", "ERR NAME NOT_FOUND"),
        ("RSLV broken.simplex", "ERR NAME RESOLVER HTTP 503"),
        ("RSLV alice", "ERR CMD SYNTAX"),
        ("RSLV a--b.simplex", "ERR CMD SYNTAX"),
        ("RSLV ", "ERR CMD SYNTAX"),
    ] {
        assert_eq!(client.tell_raw(None, b"", command.as_bytes()).await, answer, "{command}");
    }
    let has_auth = "ERR CMD HAS_AUTH";
    assert_eq!(client.tell_raw(Some(&ed25519()), b"", b"RSLV alice.simplex").await, has_auth);
    assert_eq!(client.tell_raw(None, b"entity", b"RSLV alice.simplex").await, has_auth);
    // Others are not kept waiting.
    let (slow, bytes) = client.encode_raw(None, b"", b"RSLV slow.simplex");
    client.send_block(&[bytes]).await;
    assert_eq!(client.tell_raw(None, b"", b"PING").await, "PONG");
    assert!(client.inbox.is_empty());
    assert_eq!(client.response_to(&slow).await.text(), format!("RNAME {RECORD}"));
    // Known in sessions of any version.
    assert_eq!(relay.client_at(14).await.tell_raw(None, b"", b"RSLV bob.simplex").await, "ERR NAME NOT_FOUND");
    let names = &relay.relay.stats().names;
    assert_eq!((names.requests.get(), names.successes.get(), names.not_found.get()), (7, 4, 2));
    assert_eq!((names.resolver_errors.get(), names.disabled.get()), (1, 0));
    relay.stop().await;
}

#[tokio::test]
async fn without_a_resolver_clients_are_told_so() {
    let relay = TestRelay::start(Config::default()).await;
    let mut client = relay.client().await;
    assert_eq!(client.tell_raw(None, b"", b"RSLV alice.simplex").await, "ERR NAME NO_RESOLVER");
    assert_eq!(relay.relay.stats().names.disabled.get(), 1);
    // It can be configured while the relay runs.
    let mut config = Config::default();
    config.names.resolver = Some(resolver().await);
    relay.reload(config);
    assert_eq!(client.tell_raw(None, b"", b"RSLV alice.simplex").await, format!("RNAME {RECORD}"));
    relay.stop().await;
}
