//! Relays that do what they must not: each is refused, for the right reason.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::sync::OnceLock;
use std::time::Duration;

use common::{buffer, keep_time, random};
use embedded_io_adapters::tokio_1::FromTokio;
use smp_crypto::certificate::CertificateSigner;
use smp_crypto::key::Ed25519SecretKey;
use smp_crypto::session::{
    ServerConfiguration, ServerHandshake, ServerSessionKey, ServerStep, Session, SessionError, SessionIdentifier,
};
use smp_embassy::connection::{Anomalies, Connection, Expectation, Keys};
use smp_embassy::{Error, NoClock};
use smp_proto::transport::hello::CertificateChain;
use smp_proto::version::{SmpVersion, VersionRange};
use smp_proto::wire::LongString;
use smp_std::identity::{Identity, KeyAlgorithm};
use smp_std::net::{BLOCK_SIZE, ServerTls, TlsStream};
use tokio::io::{AsyncWriteExt, DuplexStream};

type Block = Box<[u8; BLOCK_SIZE]>;

fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(new_identity)
}

fn new_identity() -> Identity {
    let directory = tempfile::tempdir().unwrap();
    Identity::create(directory.path(), KeyAlgorithm::Ed25519, "localhost").unwrap()
}

fn chain(identity: &Identity) -> Vec<LongString<'_>> {
    identity.chain().iter().map(|der| LongString::new(der).unwrap()).collect()
}

fn block() -> Block {
    Box::new([0; BLOCK_SIZE])
}

/// What is wrong with a hello.
#[derive(Clone, Copy, PartialEq)]
enum Hello {
    Right,
    /// It names the TLS session of somebody else.
    OtherSession,
    /// Its key is signed by somebody else.
    OtherSigner,
    /// It shows the certificates of somebody else.
    OtherChain,
    /// It cannot be read.
    Garbage,
    /// It has no session key.
    WithoutKey,
}

/// The relay's side: TLS as it should be, then this hello. The session, if the device answers.
async fn greet(stream: &mut TlsStream<DuplexStream>, kind: Hello, max: u16) -> Option<Session> {
    let (identity, other) = (identity(), new_identity());
    let chain = chain(if kind == Hello::OtherChain { &other } else { identity });
    let versions = VersionRange::new(SmpVersion(6), SmpVersion(max)).unwrap();
    let configuration = ServerConfiguration::new(versions, CertificateChain::new(&chain).unwrap()).unwrap();
    let session_id = match kind {
        Hello::OtherSession => [7; 32],
        _ => *stream.session_identifier(),
    };
    let session_id = SessionIdentifier::new(&session_id).unwrap();
    let signer = if kind == Hello::OtherSigner { &other } else { identity };
    let signer = Ed25519SecretKey::from_pkcs8(signer.key()).unwrap();
    let key = ServerSessionKey::generate(&mut random(1), CertificateSigner::Ed25519(&signer));
    let handshake = match kind {
        Hello::WithoutKey => ServerHandshake::without_alpn(&configuration, session_id).unwrap(),
        _ => ServerHandshake::new(&configuration, session_id, key),
    };
    let mut block = block();
    handshake.hello(&mut block).unwrap();
    if kind == Hello::Garbage {
        block.fill(0xff);
    }
    if kind == Hello::WithoutKey {
        // Offers what cannot be had without a key.
        block[2..6].copy_from_slice(&[0, 6, 0, 20]);
    }
    stream.write_block(&block).await.unwrap();
    stream.read_block(&mut block).await.ok()?;
    match handshake.receive(&block, &[], 0).ok()? {
        ServerStep::Session(session) => Some(session),
        _ => None,
    }
}

async fn accept(io: DuplexStream) -> TlsStream<DuplexStream> {
    let tls = ServerTls::new(identity().chain(), identity().key()).unwrap();
    tls.accept(io, Duration::from_secs(60)).await.unwrap()
}

async fn connect(io: DuplexStream, buffer: &mut [u8]) -> Result<Connection<'_, FromTokio<DuplexStream>>, Error> {
    keep_time();
    let address: smp_proto::address::ServerUri = identity().address("localhost", 5223).parse().unwrap();
    let expectation = Expectation::new(&address.address(), &NoClock).unwrap();
    Connection::connect(FromTokio::new(io), buffer, Keys::generate(&mut random(2)).unwrap(), &expectation).await
}

/// What comes of a hello.
async fn verdict(kind: Hello, max: u16) -> Result<u16, Error> {
    let (near, far) = tokio::io::duplex(3 * BLOCK_SIZE);
    let mut buffer = buffer();
    let relay = async {
        let mut stream = accept(far).await;
        greet(&mut stream, kind, max).await;
    };
    let (connection, ()) = tokio::join!(
        async {
            // Who is refused is left alone.
            connect(near, &mut buffer).await.map(|connection| connection.version().0)
        },
        relay
    );
    connection
}

#[tokio::test]
async fn hellos_that_prove_nothing_are_refused() {
    assert_eq!(verdict(Hello::Right, 20).await, Ok(20));
    assert_eq!(verdict(Hello::Right, 7).await, Ok(7));
    assert_eq!(verdict(Hello::Right, 6).await, Err(Error::Session(SessionError::Version)));
    assert_eq!(verdict(Hello::OtherSession, 20).await, Err(Error::Session(SessionError::Session)));
    assert_eq!(verdict(Hello::OtherSigner, 20).await, Err(Error::Session(SessionError::BadAuthentication)));
    assert_eq!(verdict(Hello::OtherChain, 20).await, Err(Error::Session(SessionError::BadAuthentication)));
    for unreadable in [Hello::WithoutKey, Hello::Garbage] {
        assert!(matches!(verdict(unreadable, 20).await, Err(Error::Session(SessionError::Parse(_)))));
    }
}

/// What a device makes of the blocks of a relay of versions up to `max`: how many transmissions each has, until one is
/// refused.
async fn blocks(
    max: u16,
    script: impl AsyncFnOnce(&mut TlsStream<DuplexStream>, Session),
) -> (Vec<usize>, Error, Anomalies) {
    let (near, far) = tokio::io::duplex(3 * BLOCK_SIZE);
    let mut buffer = buffer();
    let relay = async {
        let mut stream = accept(far).await;
        let session = greet(&mut stream, Hello::Right, max).await.unwrap();
        script(&mut stream, session).await;
        // The end of the connection is the last thing that the device sees.
        stream.shutdown().await.ok();
    };
    let device = async {
        let mut connection = connect(near, &mut buffer).await.unwrap();
        let mut read = Vec::new();
        let error = loop {
            match connection.receive().await {
                Ok(block) => read.push(block.count()),
                Err(error) => break error,
            }
        };
        let anomalies = *connection.anomalies();
        (read, error, anomalies)
    };
    tokio::join!(device, relay).0
}

/// A block with this content.
fn sealed(session: &mut Session, content: &[u8]) -> Block {
    let mut block = block();
    session.sealer.content_mut(&mut block)[..content.len()].copy_from_slice(content);
    session.sealer.seal(&mut block, content.len()).unwrap();
    block
}

/// A batch of one PONG that nobody waits for.
const PONG: &[u8] = b"\x01\x00\x07\x00\x00\x00PONG";

#[tokio::test]
async fn blocks_that_cannot_be_read_end_the_connection() {
    for version in [7, 10, 11, 20] {
        // Not decrypted or not padded as it should be.
        let garbage = blocks(version, async |stream, mut session| {
            stream.write_block(&sealed(&mut session, PONG)).await.unwrap();
            stream.write_block(&Box::new([0xff; BLOCK_SIZE])).await.unwrap();
        });
        assert_eq!(garbage.await, (vec![1], Error::Malformed, Anomalies::default()), "{version}");
        // No batch.
        for content in [
            &b""[..],
            b"\0",
            b"\x02\x00\x07\x00\x00\x00PONG",
            b"\x01\x00\x08\x00\x00\x00PONG",
            b"\x01\x00\x07\x00\x00\x00PONG!",
        ] {
            let malformed = blocks(version, async |stream, mut session| {
                stream.write_block(&sealed(&mut session, content)).await.unwrap();
            });
            assert_eq!(malformed.await, (vec![], Error::Malformed, Anomalies::default()), "{version}");
        }
        // Transmissions that cannot be read are counted only.
        let counted = blocks(version, async |stream, mut session| {
            stream
                .write_block(&sealed(&mut session, b"\x03\x00\x01\xff\x00\x00\x00\x07\x00\x00\x00PONG"))
                .await
                .unwrap();
            stream.write_block(&sealed(&mut session, PONG)).await.unwrap();
        });
        assert_eq!(counted.await, (vec![1, 1], Error::Closed, Anomalies { malformed: 2, unexpected: 0 }), "{version}");
    }
}

#[tokio::test]
async fn encrypted_blocks_cannot_be_repeated() {
    let repeated = blocks(20, async |stream, mut session| {
        let block = sealed(&mut session, PONG);
        stream.write_block(&block).await.unwrap();
        stream.write_block(&block).await.unwrap();
    });
    assert_eq!(repeated.await, (vec![1], Error::Malformed, Anomalies::default()));
}

#[tokio::test]
async fn half_a_block_is_no_block() {
    for length in [1, BLOCK_SIZE / 2, BLOCK_SIZE - 1] {
        let cut = blocks(20, async |stream, mut session| {
            let block = sealed(&mut session, PONG);
            stream.write_all(&block[..length]).await.unwrap();
            stream.flush().await.unwrap();
        });
        assert_eq!(cut.await, (vec![], Error::Closed, Anomalies::default()));
    }
}
