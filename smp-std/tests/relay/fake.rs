//! A destination relay that misbehaves as a test wants.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use smp_crypto::certificate::CertificateSigner;
use smp_crypto::key::Ed25519SecretKey;
use smp_crypto::routing::FORWARDED_RESPONSE_LENGTH;
use smp_crypto::secret_box::{BoxKey, Nonce};
use smp_crypto::session::{
    ServerConfiguration, ServerHandshake, ServerSessionKey, ServerStep, Session, SessionIdentifier,
};
use smp_proto::transport::BLOCK_LENGTH;
use smp_proto::transport::block::{Batch, BatchWriter};
use smp_proto::transport::hello::CertificateChain;
use smp_proto::transport::transmission::Transmission;
use smp_proto::version::{SmpVersion, VersionRange};
use smp_proto::wire::{LongString, pad_in_place};
use smp_std::identity::{Identity, KeyAlgorithm};
use smp_std::net::{Listener, TlsStream};

use crate::harness::PATIENCE;

/// What it does in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    Honest,
    /// Says nothing.
    Silent,
    /// Closes after TLS.
    Hangup,
    /// Sends a hello that cannot be read.
    Garbage,
    /// Sends a hello with a length that no block holds.
    BadLength,
    /// Another session's identifier.
    OtherSession,
    /// No certificates and no session key.
    NoKey,
    /// A session key that something else signed.
    Forged,
}

/// What it does when something is forwarded.
#[derive(Clone, Debug)]
pub enum Answer {
    Silent,
    /// Takes so long for each, and reads no further meanwhile.
    Slow(Duration),
    Hangup,
    /// A block nobody can read.
    GarbageBlock,
    /// This message.
    Message(Vec<u8>),
    /// This message, about something.
    About(Vec<u8>, Vec<u8>),
    /// RRES with this content, sealed as it should be.
    Sealed(Vec<u8>),
}

pub struct FakeRelay {
    pub address: SocketAddr,
    pub fingerprint: [u8; 32],
    pub connections: Arc<AtomicUsize>,
    pub commands: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for FakeRelay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeRelay {
    pub fn start(greeting: Greeting, versions: (u16, u16), answer: Answer) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let identity = Arc::new(Identity::create(directory.path(), KeyAlgorithm::Ed25519, "localhost").unwrap());
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_address().unwrap();
        let (connections, commands) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counted = (Arc::clone(&connections), Arc::clone(&commands));
        let fingerprint = *identity.fingerprint();
        let task = tokio::spawn(async move {
            let mut tasks = tokio::task::JoinSet::new();
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                counted.0.fetch_add(1, Ordering::SeqCst);
                let (identity, answer, commands) = (Arc::clone(&identity), answer.clone(), Arc::clone(&counted.1));
                tasks.spawn(async move {
                    let tls = identity.tls().unwrap().accept(tcp, PATIENCE).await?;
                    serve(tls, &identity, greeting, versions, answer, &commands).await
                });
            }
        });
        Self { address, fingerprint, connections, commands, task }
    }
}

async fn serve(
    mut tls: TlsStream,
    identity: &Identity,
    greeting: Greeting,
    versions: (u16, u16),
    answer: Answer,
    commands: &AtomicUsize,
) -> Result<(), smp_std::net::NetError> {
    match greeting {
        Greeting::Silent => std::future::pending().await,
        Greeting::Hangup => return tls.close().await,
        _ => {}
    }
    let certificates: Vec<_> = identity.chain().iter().map(|der| LongString::new(der).unwrap()).collect();
    let range = VersionRange::new(SmpVersion(versions.0), SmpVersion(versions.1)).unwrap();
    let configuration = ServerConfiguration::new(range, CertificateChain::new(&certificates).unwrap()).unwrap();
    let key = match greeting {
        Greeting::Forged => Ed25519SecretKey::generate(&mut rand::rng()),
        _ => Ed25519SecretKey::from_pkcs8(identity.key()).unwrap(),
    };
    let mut session_id = *tls.session_identifier();
    if greeting == Greeting::OtherSession {
        session_id[0] ^= 1;
    }
    let key = ServerSessionKey::generate(&mut rand::rng(), CertificateSigner::Ed25519(&key));
    let handshake = ServerHandshake::new(&configuration, SessionIdentifier::new(&session_id).unwrap(), key);
    let mut block = Box::new([0; BLOCK_LENGTH]);
    handshake.hello(&mut block).unwrap();
    if greeting == Greeting::Garbage {
        block[2..50].fill(0xff);
    }
    if greeting == Greeting::BadLength {
        block[..2].fill(0xff);
    }
    if greeting == Greeting::NoKey {
        // Versions and session identifier.
        let length = 4 + 33;
        block[2 + length..].fill(b'#');
        block[0] = 0;
        block[1] = u8::try_from(length).unwrap();
    }
    tls.write_block(&block).await?;
    tls.read_block(&mut block).await?;
    let ServerStep::Session(mut session) = handshake.receive(&block, &[], 0).unwrap() else { panic!("no service") };
    assert!(session.context.version() < SmpVersion::PROXY_FLAG || session.context.is_proxy());
    loop {
        tls.read_block(&mut block).await?;
        let content = session.opener.open(&mut block).unwrap();
        for entry in Batch::decode(&block.clone()[content]).unwrap().iter() {
            let command = Transmission::decode(entry, session.context.version(), session.context.session_id()).unwrap();
            let correlation = command.correlation_id.as_bytes();
            if command.command == b"PING" {
                say(&mut tls, &mut session, correlation, &[], b"PONG").await?;
                continue;
            }
            assert!(command.command.starts_with(b"RFWD "), "only what proxies say");
            commands.fetch_add(1, Ordering::SeqCst);
            match &answer {
                Answer::Silent => {}
                Answer::Slow(pause) => {
                    tokio::time::sleep(*pause).await;
                    say(&mut tls, &mut session, correlation, &[], b"ERR AUTH").await?;
                }
                Answer::Hangup => return tls.close().await,
                Answer::GarbageBlock => {
                    block.fill(0xff);
                    tls.write_block(&block).await?;
                    tls.flush().await?;
                }
                Answer::Message(message) => say(&mut tls, &mut session, correlation, &[], message).await?,
                Answer::About(entity, message) => say(&mut tls, &mut session, correlation, entity, message).await?,
                Answer::Sealed(content) => {
                    let mut sealed = vec![0; FORWARDED_RESPONSE_LENGTH];
                    sealed.truncate(16 + content.len());
                    sealed[16..].copy_from_slice(content);
                    let secret = session.context.session_secret().unwrap();
                    BoxKey::from(&secret).seal(&Nonce::from_slice(correlation).reversed(), &mut sealed).unwrap();
                    let message = [b"RRES ", &sealed[..]].concat();
                    say(&mut tls, &mut session, correlation, &[], &message).await?;
                }
            }
        }
    }
}

async fn say(
    tls: &mut TlsStream,
    session: &mut Session,
    correlation: &[u8],
    entity: &[u8],
    message: &[u8],
) -> Result<(), smp_std::net::NetError> {
    let mut block = Box::new([0; BLOCK_LENGTH]);
    let mut batch = BatchWriter::new(&mut block[2..]).unwrap();
    batch
        .push(|writer| {
            writer.short(&[])?;
            writer.short(correlation)?;
            writer.short(entity)?;
            writer.bytes(message)
        })
        .unwrap();
    let length = batch.finish().unwrap().len();
    assert!(!session.is_encrypted(), "blocks between relays are not encrypted");
    pad_in_place(block.as_mut_slice(), length).unwrap();
    tls.write_block(&block).await?;
    tls.flush().await
}

/// A TCP port where nobody listens.
pub fn nobody() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// A TCP port that accepts and never says anything.
pub async fn silence() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok(accepted) = listener.accept().await {
            held.push(accepted);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    address
}
