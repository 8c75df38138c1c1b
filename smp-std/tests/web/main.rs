//! The relay's web site over real sockets: what it shows, TLS, and the port it shares with SMP.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "tests"
)]

mod browser;
#[path = "../relay/harness.rs"]
mod harness;
#[path = "../common/openssl.rs"]
mod openssl;
mod site;

use std::time::Duration;

use harness::RawClient;
use smp_proto::smp::Command;
use smp_proto::version::VersionRange;
use smp_std::net::{ClientAlpn, ClientTls, connect_tcp};
use smp_std::relay::config::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use openssl::openssl;
use site::{PATIENCE, Site, ask, certificate, secure};

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn plain(more: &str) -> Config {
    Config::parse(&format!("[web]\nhttp = ['127.0.0.1:0']\n{more}")).unwrap()
}

#[tokio::test]
async fn the_site_answers_http() {
    let site = Site::start(directory(), plain("[information]\noperator = 'Ada & Sons'"), false).await;
    let (head, page) = site.http("GET", "/", "").await;
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains("content-type: text/html"), "{head}");
    assert!(page.contains("Ada &amp; Sons") && page.contains("class=\"qr\""));
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();

    let (head, body) = site.http("HEAD", "/", "").await;
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains(&format!("content-length: {}", page.len())), "{head}");
    assert_eq!(body, "");
    let (head, body) = site.http("GET", "/", &format!("if-none-match: {tag}\r\n")).await;
    assert!(head.starts_with("HTTP/1.1 304"), "{head}");
    assert_eq!(body, "");

    let (_, json) = site.http("GET", "/information.json?query=ignored", "").await;
    assert!(json.starts_with("{\"config\":{"), "{json}");
    for (method, path, status) in [
        ("GET", "/nothing", "404"),
        ("POST", "/", "405"),
        ("DELETE", "/a", "405"),
        ("GET", "/a", "200"),
        ("GET", "/../../etc/passwd", "404"),
        ("GET", "/.well-known/security.txt", "404"),
        ("GET", "http://other.example/a", "200"),
        ("OPTIONS", "*", "405"),
    ] {
        let (head, _) = site.http(method, path, "").await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{method} {path}: {head}");
    }
    site.stop().await;
}

#[tokio::test]
async fn a_browser_gets_in_with_every_usual_kind_of_certificate() {
    for algorithm in ["rsa:2048", "ec -pkeyopt ec_paramgen_curve:prime256v1", "ed25519"] {
        let directory = directory();
        certificate(directory.path(), algorithm);
        let site = Site::start(directory, secure(""), false).await;
        let mut tls = site.browse().await.unwrap();
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        let (head, page) = ask(&mut tls, "GET", "/", "").await;
        assert!(head.starts_with("HTTP/1.1 200 OK") && page.ends_with("</html>\n"), "{algorithm}");
        site.stop().await;
    }
}

/// A client of SMP in every way it may come: what it offers as application protocol does not matter.
async fn smp_client_is_served(site: &Site, alpn: ClientAlpn) {
    let tcp = connect_tcp("127.0.0.1", site.smp.port(), PATIENCE).await.unwrap();
    let tls = ClientTls::new(alpn).connect(tcp, site.identity.fingerprint(), PATIENCE).await.unwrap();
    let mut client = RawClient::greet(tls, *site.identity.fingerprint(), VersionRange::SMP).await;
    assert_eq!(client.tell(None, &[], &Command::Ping).await, "PONG");
}

#[tokio::test]
async fn one_port_serves_browsers_and_clients() {
    let directory = directory();
    certificate(directory.path(), "ec -pkeyopt ec_paramgen_curve:prime256v1");
    let site = Site::start(directory, secure(""), true).await;
    for _ in 0..3 {
        let mut tls = site.browse().await.unwrap();
        let (head, _) = ask(&mut tls, "GET", "/", "").await;
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        for alpn in [ClientAlpn::Smp, ClientAlpn::Http11, ClientAlpn::Absent] {
            smp_client_is_served(&site, alpn).await;
        }
    }
    // Another implementation of TLS sees the same: the name decides, not the protocol it asks for.
    let path = site.directory.path().to_owned();
    let port = site.smp.port();
    let certificates = tokio::task::spawn_blocking(move || {
        ["-servername relay.example -alpn smp/1,http/1.1", "-noservername -alpn h2,http/1.1", "-noservername"].map(
            |options| {
                // Everything on one line; openssl ends with its input.
                let shown = openssl(&path, &format!("s_client -connect 127.0.0.1:{port} -tls1_3 {options}"));
                String::from_utf8_lossy(&shown.stdout).into_owned()
            },
        )
    })
    .await
    .unwrap();
    assert!(certificates[0].contains("CN = relay.example"), "{}", certificates[0]);
    assert!(certificates[0].contains("ALPN protocol: http/1.1"), "{}", certificates[0]);
    assert!(certificates[1].contains("SMP server CA") && certificates[1].contains("ALPN protocol: h2"));
    assert!(certificates[2].contains("SMP server CA") && certificates[2].contains("No ALPN"));
    site.stop().await;
}

/// Passes on what a client sends, `chunk` bytes at a time.
async fn slow_line(to: std::net::SocketAddr, chunk: usize) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (near, _) = listener.accept().await.unwrap();
        let far = TcpStream::connect(to).await.unwrap();
        far.set_nodelay(true).unwrap();
        let ((mut near_in, mut near_out), (mut far_in, mut far_out)) = (near.into_split(), far.into_split());
        tokio::spawn(async move { tokio::io::copy(&mut far_in, &mut near_out).await });
        let mut buffer = vec![0; chunk];
        while let Ok(length @ 1..) = near_in.read(&mut buffer).await {
            if far_out.write_all(&buffer[..length]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    });
    address
}

#[tokio::test]
async fn a_hello_may_come_in_pieces() {
    let directory = directory();
    certificate(directory.path(), "ec -pkeyopt ec_paramgen_curve:prime256v1");
    let site = Site::start(directory, secure(""), true).await;
    for chunk in [1, 7, 100] {
        let line = slow_line(site.smp, chunk).await;
        let tcp = connect_tcp("127.0.0.1", line.port(), PATIENCE).await.unwrap();
        let tls = ClientTls::new(ClientAlpn::Smp).connect(tcp, site.identity.fingerprint(), PATIENCE).await.unwrap();
        assert!(tls.alpn().is_some());
        let mut browser = site.browse_at(slow_line(site.smp, chunk).await).await.unwrap();
        assert!(ask(&mut browser, "GET", "/", "").await.0.starts_with("HTTP/1.1 200"));
    }
    site.stop().await;
}

#[tokio::test]
async fn who_says_nothing_or_nonsense_on_a_shared_port_is_let_go() {
    let directory = directory();
    certificate(directory.path(), "ec -pkeyopt ec_paramgen_curve:prime256v1");
    let site = Site::start(directory, secure("[limits]\ntls_timeout_seconds = 1"), true).await;
    // A plain request is told in TLS's way that it is none: an alert.
    let mut tcp = TcpStream::connect(site.smp).await.unwrap();
    tcp.write_all(b"GET / HTTP/1.1\r\nhost: relay\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, tcp.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer.first(), Some(&21), "{answer:?}");
    // A hello that announces more than any has, and one that stops in the middle.
    for beginning in [&[22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff][..], &[22, 3, 1, 2, 0, 1, 0], &[]] {
        let mut tcp = TcpStream::connect(site.smp).await.unwrap();
        tcp.write_all(beginning).await.unwrap();
        if beginning.len() == 9 {
            let _ = tcp.write_all(&[0; 40_000]).await;
        }
        let mut answer = Vec::new();
        let _ = timeout(Duration::from_secs(5), tcp.read_to_end(&mut answer)).await.expect("the relay waits for ever");
    }
    smp_client_is_served(&site, ClientAlpn::Smp).await;
    assert!(site.relay.stats().limits.handshakes_failed.get() >= 3);
    site.stop().await;
}

#[tokio::test]
async fn a_new_certificate_is_shown_after_reload_and_a_bad_one_changes_nothing() {
    let directory = directory();
    certificate(directory.path(), "ec -pkeyopt ec_paramgen_curve:prime256v1");
    let site = Site::start(directory, secure(""), true).await;
    site.browse().await.unwrap();
    let path = site.directory.path();
    let old = std::fs::read(path.join("web.crt")).unwrap();
    certificate(path, "rsa:2048");
    assert!(site.browse().await.is_err(), "the new one is trusted, the old one still shown");
    let mut config = secure("");
    config.information.operator = Some("Another operator".to_owned());
    site.relay.reload(config.clone(), &site.identity).unwrap();
    let mut tls = site.browse().await.unwrap();
    assert!(ask(&mut tls, "GET", "/", "").await.1.contains("Another operator"));

    let new = std::fs::read(path.join("web.crt")).unwrap();
    std::fs::write(path.join("web.crt"), old).unwrap();
    config.information.operator = Some("A third operator".to_owned());
    config.names.resolver = Some("http://127.0.0.1:9".to_owned());
    let error = site.relay.reload(config, &site.identity).unwrap_err().to_string();
    assert!(error.contains("web.key"), "{error}");
    std::fs::write(path.join("web.crt"), new).unwrap();
    let mut tls = site.browse().await.unwrap();
    assert!(ask(&mut tls, "GET", "/", "").await.1.contains("Another operator"));
    smp_client_is_served(&site, ClientAlpn::Smp).await;
    // Nor does any other part of that configuration apply.
    let tcp = connect_tcp("127.0.0.1", site.smp.port(), PATIENCE).await.unwrap();
    let tls = ClientTls::new(ClientAlpn::Smp).connect(tcp, site.identity.fingerprint(), PATIENCE).await.unwrap();
    let mut client = RawClient::greet(tls, *site.identity.fingerprint(), VersionRange::SMP).await;
    assert_eq!(client.tell_raw(None, &[], b"RSLV alice.simplex").await, "ERR NAME NO_RESOLVER");
    site.stop().await;
}

#[tokio::test]
async fn idle_visitors_do_not_keep_others_out() {
    let site = Site::start(directory(), plain("connections = 4"), false).await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(TcpStream::connect(site.http).await.unwrap());
    }
    let (head, _) = site.http("GET", "/", "").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    // The oldest have made room.
    let mut byte = [0];
    let ended = timeout(PATIENCE, idle[0].read(&mut byte)).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    site.stop().await;
}
