//! The scripted server proved by clients that have nothing to do with it: rustls and OpenSSL.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
mod peers;
mod server;

use std::net::TcpListener;

use peers::ALPN;
use peers::openssl::{OpenSsl, Scratch, client_finished, messages};
use peers::rustls_client::RustlsClient;
use peers::socket::SocketClient;
use server::wire::{FINISHED, alert, message};
use server::{Client, Identity, Layout, Protection, Server, State};

const LAYOUTS: [Layout; 5] = [
    Layout { fragment: 16_384, merge: false, padding: 0, compatibility: false, piece: usize::MAX },
    Layout { fragment: 16_384, merge: true, padding: 0, compatibility: true, piece: 1 },
    Layout { fragment: 1, merge: true, padding: 3, compatibility: true, piece: 100 },
    Layout { fragment: 7, merge: false, padding: 100, compatibility: false, piece: 4096 },
    Layout { fragment: 16_384, merge: true, padding: 16_000, compatibility: false, piece: 1000 },
];

fn rustls(identity: &Identity) -> RustlsClient {
    RustlsClient::new(identity.fingerprint, &[ALPN])
}

fn exchange(server: &mut Server<'_>) {
    for number in 0..3_u8 {
        let block = vec![number; 16_384];
        server.send(&block);
        assert!(server.client.take() == block, "{:?}", server.client.state());
        server.client.write(&block);
        assert!(server.data() == (block, None));
    }
}

#[test]
fn rustls_shakes_hands_and_exchanges_blocks() {
    for identity in Identity::both() {
        for layout in LAYOUTS {
            let mut client = rustls(&identity);
            let mut server = Server::new(&mut client, &identity).with_layout(layout);
            server.accept().unwrap();
            exchange(&mut server);
            server.close();
            assert_eq!(client.state(), State::Closed);
            assert_eq!(client.alpn(), Some(ALPN));
        }
    }
}

#[test]
fn rustls_begins_again_with_a_cookie_and_shows_no_certificate() {
    let identity = Identity::ed25519();
    for layout in LAYOUTS {
        for (retry, ask) in [(true, false), (false, true), (true, true)] {
            let mut client = rustls(&identity);
            let mut server = Server::new(&mut client, &identity).with_layout(layout);
            if retry {
                server.retry(&[7; 300]).unwrap();
                assert_eq!(server.hello.extension(44), Some(&[&[1, 44][..], &[7; 300]].concat()[..]));
            }
            server.hello();
            server.say(&server.encrypted_extensions());
            if ask {
                server.request_certificate();
            }
            server.authenticate();
            server.finish();
            server.deliver();
            server.client_finished().unwrap();
            exchange(&mut server);
        }
    }
}

#[test]
fn rustls_follows_changes_of_keys_and_passes_tickets_over() {
    let identity = Identity::ed25519();
    let mut client = rustls(&identity);
    let mut server = Server::new(&mut client, &identity);
    server.accept().unwrap();
    for request in [false, true, true, false] {
        server.update_keys(request);
        server.mutter(&server::messages::ticket(3600, &[1; 64], &[]));
        exchange(&mut server);
    }
    assert_eq!(server.client_updates, [0, 0]);
    drop(server);
    let mut client = rustls(&identity);
    let mut server = Server::new(&mut client, &identity);
    server.accept().unwrap();
    server.send_alert(2, alert::INTERNAL_ERROR);
    server.deliver();
    assert!(server.failure().unwrap().contains("InternalError"));
}

#[test]
fn rustls_says_why_it_refuses() {
    type Script = fn(&mut Server<'_>);
    let rows: [(&str, Protection, u8, Script); 5] = [
        ("wrong Finished", Protection::Handshake, alert::DECRYPT_ERROR, |server| {
            server.hello();
            server.say(&server.encrypted_extensions());
            server.authenticate();
            server.say(&message(FINISHED, &[0; 32]));
            server.deliver();
        }),
        ("another server's signature", Protection::Handshake, alert::DECRYPT_ERROR, |server| {
            server.hello();
            server.say(&server.encrypted_extensions());
            server.say(&server.certificate());
            let signature = Identity::stranger().key.sign(&server::messages::signed_content(&server.transcript));
            server.say(&server::messages::certificate_verify(server::wire::ED25519, &signature));
            server.finish();
            server.deliver();
        }),
        ("wrong suite", Protection::None, alert::HANDSHAKE_FAILURE, |server| {
            let mut hello = server.server_hello();
            hello.suite = 0x1301;
            server.hello_with(&hello.to_message());
            server.deliver();
        }),
        ("wrong keys", Protection::Handshake, alert::BAD_RECORD_MAC, |server| {
            server.hello();
            server.keys().unwrap().sequence += 1;
            server.rest();
            server.deliver();
        }),
        ("data out of nothing", Protection::Application, alert::BAD_RECORD_MAC, |server| {
            server.flight();
            server.client_finished().unwrap();
            server.next_keys();
            server.send(b"data");
        }),
    ];
    for (name, protection, description, script) in rows {
        let identity = Identity::ed25519();
        let mut client = rustls(&identity);
        let mut server = Server::new(&mut client, &identity);
        script(&mut server);
        let why = server.failure();
        assert!(why.is_some(), "{name}");
        assert_eq!(server.alert(), Some((protection, 2, description)), "{name}: {why:?}");
    }
}

/// What `openssl s_client` makes of `script`, which follows the handshake: its log and the Finished value.
fn openssl(identity: &Identity, arguments: &str, layout: Layout, retry: bool, ask: bool) {
    let directory = Scratch::new(identity);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let arguments = format!(
        "s_client -connect 127.0.0.1:{port} -noservername -msg -tls1_3 -ciphersuites TLS_CHACHA20_POLY1305_SHA256 \
         -groups X25519 -sigalgs ed448:ed25519 -alpn smp/1 -CAfile ca.pem {arguments}"
    );
    let mut program = OpenSsl::start(directory.path(), &arguments);
    let (socket, _) = listener.accept().unwrap();
    let mut client = SocketClient::new(socket);
    let mut server = Server::new(&mut client, identity).with_layout(layout);
    if retry {
        server.retry(b"a cookie").unwrap();
    }
    server.hello();
    server.say(&server.encrypted_extensions());
    if ask {
        server.request_certificate();
    }
    server.authenticate();
    server.finish();
    server.deliver();
    let finished = server.client_finished().unwrap();
    program.say("hello from the client\n");
    while !server.received.is_empty() {
        let received = server.receive().unwrap();
        if received.content == b"hello from the client\n" {
            break;
        }
    }
    server.update_keys(true);
    server.mutter(&server::messages::ticket(3600, &[1; 64], &[]));
    server.send(b"hello from the server\n");
    server.update_keys(false);
    server.send(b"and again under new keys\n");
    server.close();
    let log = program.finish();
    assert_eq!(client_finished(&log), finished, "{log}");
    assert!(log.contains("hello from the server\n") && log.contains("and again under new keys\n"), "{log}");
    assert!(log.contains("Verification: OK"), "{log}");
    assert!(log.contains("ALPN protocol: smp/1"), "{log}");
    assert_eq!(messages(&log, "KeyUpdate").len(), 3, "two of the server, one of the client: {log}");
    assert_eq!(messages(&log, "NewSessionTicket").len(), 1);
}

#[test]
fn openssl_shakes_hands_whatever_the_records_are_like() {
    for identity in Identity::both() {
        // OpenSSL waits for ever when a message header is divided.
        for layout in LAYOUTS.into_iter().filter(|layout| layout.fragment > 4) {
            openssl(&identity, "", layout, false, false);
        }
    }
}

#[test]
fn openssl_begins_again_with_a_cookie_and_shows_no_certificate() {
    let identity = Identity::ed25519();
    for (retry, ask) in [(true, false), (false, true), (true, true)] {
        openssl(&identity, "", Layout::default(), retry, ask);
    }
}
