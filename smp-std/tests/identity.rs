//! The identity of a server from its making on, with every way its files can be damaged.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
mod common;

use common::openssl::{Running, Scratch, messages, openssl};
use smp_std::identity::{Identity, KeyAlgorithm, Problem};
use smp_std::net::{ClientAlpn, ClientTls, Listener};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

const TIME_OUT: Duration = Duration::from_secs(20);
const FILES: [&str; 5] = ["ca.key", "ca.crt", "server.key", "server.crt", "fingerprint"];

fn problem(directory: &Path) -> Problem {
    let error = Identity::load(directory).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(directory.to_str().unwrap()), "the message names no file: {text}");
    match error.problem() {
        Problem::Missing => Problem::Missing,
        Problem::NoCertificate => Problem::NoCertificate,
        Problem::NoKey => Problem::NoKey,
        Problem::OtherKey => Problem::OtherKey,
        Problem::Fingerprint => Problem::Fingerprint,
        Problem::Chain(error) => Problem::Chain(*error),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_identity_is_made_once_and_read_back() {
    for algorithm in [KeyAlgorithm::Ed25519, KeyAlgorithm::Ed448] {
        let scratch = Scratch::new();
        let directory = scratch.path().join("new");
        assert!(!Identity::exists(&directory));
        let made = Identity::create(&directory, algorithm, "relay.example").unwrap();
        assert!(Identity::exists(&directory));
        let read = Identity::load(&directory).unwrap();
        assert_eq!((made.chain(), made.key(), made.fingerprint()), (read.chain(), read.key(), read.fingerprint()));
        assert_eq!(read.algorithm(), Some(algorithm));
        assert_eq!(read.chain().len(), 2);

        let mut names: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["ca.crt", "ca.key", "fingerprint", "server.crt", "server.key"]);
        for name in FILES {
            let mode = fs::metadata(directory.join(name)).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, if name.ends_with(".key") { 0o600 } else { 0o644 }, "{name}");
        }
        let text = fs::read_to_string(directory.join("fingerprint")).unwrap();
        assert_eq!((text.len(), text.ends_with("=\n")), (45, true));

        let error = Identity::create(&directory, algorithm, "relay.example").unwrap_err();
        assert!(matches!(error.problem(), Problem::Exists));
        assert_eq!(Identity::load(&directory).unwrap().fingerprint(), made.fingerprint());
        // The identity's key may be kept elsewhere.
        fs::remove_file(directory.join("ca.key")).unwrap();
        assert_eq!(Identity::load(&directory).unwrap().fingerprint(), made.fingerprint());
    }
}

#[test]
fn openssl_reads_and_approves_what_was_made() {
    for (algorithm, name) in [(KeyAlgorithm::Ed25519, "ED25519"), (KeyAlgorithm::Ed448, "ED448")] {
        let scratch = Scratch::new();
        let directory = scratch.path();
        Identity::create(directory, algorithm, "relay.example").unwrap();
        openssl(directory, "verify -CAfile ca.crt server.crt");
        openssl(directory, "pkey -in ca.key -noout -check");
        let ca = String::from_utf8(openssl(directory, "x509 -in ca.crt -noout -text").stdout).unwrap();
        let leaf = String::from_utf8(openssl(directory, "x509 -in server.crt -noout -text").stdout).unwrap();
        for text in ["Issuer: CN = SMP server CA, O = SimpleX", "CA:TRUE", name, "Subject Key Identifier"] {
            assert!(ca.contains(text), "{text} is missing in {ca}");
        }
        for text in [
            "Subject: CN = relay.example",
            "CA:FALSE",
            "Digital Signature, Non Repudiation, Key Agreement",
            "TLS Web Server Authentication",
            name,
        ] {
            assert!(leaf.contains(text), "{text} is missing in {leaf}");
        }
        let print =
            String::from_utf8(openssl(directory, "x509 -in ca.crt -noout -fingerprint -sha256").stdout).unwrap();
        let hex: String = print.trim().rsplit('=').next().unwrap().split(':').collect();
        let ours = Identity::load(directory).unwrap().fingerprint().map(|byte| format!("{byte:02X}")).concat();
        assert_eq!(hex, ours);
    }
}

#[test]
fn an_identity_made_by_openssl_is_read() {
    for algorithm in ["ed25519", "ed448"] {
        let made = common::Identity::new(algorithm);
        let directory = made.directory.path();
        assert!(matches!(problem(directory), Problem::Missing));
        let mut text = [0; 48];
        let text = smp_proto::wire::base64_url_encode(&made.fingerprint, true, &mut text).unwrap();
        fs::write(directory.join("fingerprint"), text).unwrap();
        let read = Identity::load(directory).unwrap();
        assert_eq!((read.chain(), read.key(), *read.fingerprint()), (&*made.chain, &*made.key, made.fingerprint));
        // An operator's certificate after the identity makes a chain of three; the identity stays the first.
        let mut both = fs::read(directory.join("ca.crt")).unwrap();
        both.extend_from_slice(&both.clone());
        fs::write(directory.join("ca.crt"), both).unwrap();
        let read = Identity::load(directory).unwrap();
        assert_eq!((read.chain().len(), *read.fingerprint()), (3, made.fingerprint));
    }
}

#[test]
fn every_missing_or_damaged_file_has_its_own_error() {
    let (scratch, other) = (Scratch::new(), Scratch::new());
    let directory = scratch.path();
    Identity::create(directory, KeyAlgorithm::Ed25519, "relay.example").unwrap();
    Identity::create(other.path(), KeyAlgorithm::Ed25519, "relay.example").unwrap();
    let with = |name: &str, content: Option<&[u8]>| {
        let path = directory.join(name);
        let original = fs::read(&path).unwrap();
        match content {
            Some(content) => fs::write(&path, content).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let found = problem(directory);
        fs::write(&path, original).unwrap();
        Identity::load(directory).unwrap();
        found
    };
    let foreign = |name: &str| fs::read(other.path().join(name)).unwrap();
    for name in ["ca.crt", "server.key", "server.crt", "fingerprint"] {
        assert!(matches!(with(name, None), Problem::Missing), "{name}");
    }
    for content in [b"".as_slice(), b"nonsense", b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"] {
        assert!(matches!(with("ca.crt", Some(content)), Problem::NoCertificate));
        assert!(matches!(with("server.crt", Some(content)), Problem::NoCertificate));
        assert!(matches!(with("server.key", Some(content)), Problem::NoKey));
        assert!(matches!(with("fingerprint", Some(content)), Problem::Fingerprint));
    }
    assert!(matches!(with("ca.crt", Some(&foreign("ca.crt"))), Problem::Fingerprint));
    assert!(matches!(with("fingerprint", Some(&foreign("fingerprint"))), Problem::Fingerprint));
    assert!(matches!(with("server.key", Some(&foreign("server.key"))), Problem::OtherKey));
    assert!(matches!(with("server.crt", Some(&foreign("server.crt"))), Problem::Chain(_)));
}

#[tokio::test]
async fn a_new_identity_serves_our_client_and_openssl() {
    for algorithm in [KeyAlgorithm::Ed25519, KeyAlgorithm::Ed448] {
        let scratch = Scratch::new();
        let identity = Identity::create(scratch.path(), algorithm, "localhost").unwrap();
        let server = identity.tls().unwrap();
        let (near, far) = tokio::io::duplex(50_000);
        let client = ClientTls::new(ClientAlpn::Smp);
        let (client, accepted) =
            tokio::join!(client.connect(near, identity.fingerprint(), TIME_OUT), server.accept(far, TIME_OUT));
        assert_eq!(client.unwrap().session_identifier(), accepted.unwrap().session_identifier());

        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = listener.local_address().unwrap().port();
        let arguments = format!(
            "s_client -connect 127.0.0.1:{port} -noservername -msg -CAfile ca.crt -verify_return_error -alpn smp/1"
        );
        let client = Running::start(scratch.path(), &arguments);
        let (socket, _) = listener.accept().await.unwrap();
        let mut stream = server.accept(socket, TIME_OUT).await.unwrap();
        stream.shutdown().await.unwrap();
        let log = tokio::task::spawn_blocking(|| client.finish()).await.unwrap();
        assert_eq!(messages(&log, "Finished")[1][4..], *stream.session_identifier());
        assert!(log.contains("Verify return code: 0 (ok)") || log.contains("Verification: OK"), "{log}");
    }
}
