use super::*;
use crate::identity::{Identity, KeyAlgorithm};
use crate::relay::commands::{Answer, Waiting};
use crate::relay::config::Config;
use crate::relay::reply::Body;
use crate::relay::store::{Store, StoreOptions};
use crate::relay::{Relay, Wakeups};
use futures_util::FutureExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const RECORD: &str = r#"{ "name": "alice.simplex", "nickname": "Alice", "website": "", "location": "", "extra": [1],
    "simplexContact": ["simplex:/a#abc"], "simplexChannel": [], "eth": null, "owner": "0x00", "resolver": "0x01" }"#;
const COMPACT: &str = r#"{"name":"alice.simplex","nickname":"Alice","website":"","location":"","simplexContact":["simplex:/a#abc"],"simplexChannel":[],"eth":null,"btc":null,"xmr":null,"dot":null,"owner":"0x00","resolver":"0x01"}"#;

/// A resolver that gives each request to `answer` and writes what it returns; empty closes the connection.
async fn serve(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/base", listener.local_addr().unwrap());
    let (answer, requests) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let (answer, counted) = (Arc::clone(&answer), Arc::clone(&counted));
            tokio::spawn(async move {
                let mut request = Vec::new();
                while tcp.read_buf(&mut request).await.unwrap_or(0) > 0 {
                    if request.ends_with(b"\r\n\r\n") {
                        counted.fetch_add(1, Ordering::Relaxed);
                        let response = answer(std::str::from_utf8(&request).unwrap());
                        request.clear();
                        if response.is_empty() || tcp.write_all(&response).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    (url, requests)
}

fn response(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn resolver(url: &str, change: impl FnOnce(&mut Names)) -> Arc<Resolver> {
    let mut names = Names { resolver: Some(url.to_owned()), ..Names::default() };
    change(&mut names);
    assert_eq!(names.check(), None);
    Resolver::new(&names).unwrap().unwrap()
}

#[tokio::test]
async fn records_are_fetched_and_made_compact() {
    let (url, requests) = serve(|request| {
        assert!(request.starts_with("GET /base/resolve/alice.simplex HTTP/1.1\r\n"), "{request}");
        let lower = request.to_ascii_lowercase();
        assert!(lower.contains("\r\naccept: application/json\r\n"), "{request}");
        assert!(request.contains(": Bearer token\r\n"), "{request}");
        response("200 OK", RECORD)
    })
    .await;
    let resolver = resolver(&url, |names| names.authorization = Some("bearer token".to_owned()));
    for _ in 0..3 {
        assert_eq!(resolver.resolve("alice.simplex").await.unwrap(), COMPACT.as_bytes());
    }
    assert_eq!(requests.load(Ordering::Relaxed), 1, "answers are remembered");
}

#[tokio::test]
async fn every_failure_has_its_text() {
    let (url, _) = serve(|request| {
        let answers = [
            ("missing", response("404 Not Found", "")),
            ("bad", response("400 Bad Request", RECORD)),
            ("broken", response("502 Bad Gateway", "")),
            ("moved", response("302 Found", "")),
            ("garbage", response("200 OK", "{\"name\":1}")),
            ("long", response("200 OK", &"x".repeat(2_000))),
            ("cut", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx".to_vec()),
            ("gone", Vec::new()),
        ];
        let (_, answer) = answers.iter().find(|(name, _)| request.contains(&format!("/{name}.simplex"))).unwrap();
        answer.clone()
    })
    .await;
    let resolver = resolver(&url, |names| {
        names.max_response_bytes = 1_500;
        names.timeout_milliseconds = 1_000;
    });
    for name in ["missing", "bad"] {
        assert_eq!(resolver.resolve(&format!("{name}.simplex")).await, Err(NameFailure::NotFound), "{name}");
    }
    for (name, text) in [
        ("broken", "HTTP 502"),
        ("moved", "invalid response"),
        ("garbage", "invalid response"),
        ("long", "response too large"),
        ("cut", "timeout"),
        ("gone", "transport failure"),
    ] {
        match resolver.resolve(&format!("{name}.simplex")).await {
            Err(NameFailure::Resolver(failure)) => assert_eq!(failure.to_string(), text, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    let nobody = self::resolver("http://127.0.0.1:1", |_| {});
    assert_eq!(nobody.resolve("a.b").await, Err(NameFailure::Resolver(ResolverFailure::Transport)));
    assert!(!nobody.is_healthy().await);
}

#[tokio::test]
async fn health_is_asked() {
    let (url, _) = serve(|request| {
        assert!(request.starts_with("GET /base/health "), "{request}");
        response("200 OK", "")
    })
    .await;
    assert!(resolver(&url, |_| {}).is_healthy().await);
}

#[test]
fn no_url_is_no_resolver() {
    assert!(Resolver::new(&Names::default()).unwrap().is_none());
}

/// A connection that waits for its client does not go on with what the client asked for before.
#[tokio::test]
async fn who_does_not_wait_for_an_answer_keeps_nobody_from_it() {
    let (url, _) = serve(|_| response("200 OK", RECORD)).await;
    let directory = tempfile::tempdir().unwrap();
    let identity = Identity::create(directory.path(), KeyAlgorithm::Ed25519, "localhost").unwrap();
    let mut config = Config::default();
    config.names.resolver = Some(url);
    let store = Store::memory(StoreOptions::default()).unwrap();
    let relay = Relay::new(config, &identity, store, &Wakeups::default()).unwrap();
    let ask = || -> Waiting {
        let Answer::Later(answer) = relay.answer_name("alice.simplex".to_owned()) else { panic!("at once") };
        answer
    };
    let mut left = ask();
    assert!((&mut left).now_or_never().is_none());
    let answer = timeout(Duration::from_secs(20), ask()).await.expect("an answer");
    assert!(matches!(answer.body, Body::Name(_)));
}
