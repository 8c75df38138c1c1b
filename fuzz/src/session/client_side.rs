//! A relay against smp-std's client, which does everything that clients do at the same time.

use std::sync::LazyLock;
use std::task::Poll;
use std::time::Duration;

use smp_crypto::certificate::CertificateSigner;
use smp_crypto::key::{AuthorizationSecretKey, Ed25519SecretKey, X25519SecretKey};
use smp_crypto::session::{
    ServerConfiguration, ServerHandshake, ServerSessionKey, ServerStep, Session, SessionIdentifier,
};
use smp_proto::id::{CorrelationId, EntityId};
use smp_proto::transport::BLOCK_LENGTH;
use smp_proto::transport::block::{Batch, BatchWriter};
use smp_proto::transport::hello::CertificateChain;
use smp_proto::transport::transmission::{Transmission, encode_unauthorized};
use smp_proto::wire::LongString;
use smp_std::client::{Client, CommandKey, Credentials, Events, Id, Options, QueueOptions};
use smp_std::net::{ClientAlpn, ClientTls, ServerTls, TlsStream};
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};

use super::{STEPS, alter, noise, versions};
use crate::input::Input;
use crate::relay::crew::{Crew, identity};

const PATIENCE: Duration = Duration::from_secs(10);

/// Longer than everything a client may wait for.
const FOR_EVER: Duration = Duration::from_secs(1_000_000);

static TLS: LazyLock<ServerTls> = LazyLock::new(|| identity().tls().expect("the identity is good"));
static KEY: LazyLock<CommandKey> =
    LazyLock::new(|| CommandKey::new(AuthorizationSecretKey::Ed25519(Ed25519SecretKey::from_bytes(&[9; 32]))));

/// What relays say, the commonest first.
const MESSAGES: [&[u8]; 12] = [
    b"OK",
    b"SOK 0",
    b"PONG",
    b"ERR AUTH",
    b"END",
    b"DELD",
    b"ERR CMD SYNTAX",
    b"ERR BLOCK",
    b"SOK 1\x18777777777777777777777777",
    b"MSG \x18777777777777777777777777",
    b"NID \x18777777777777777777777777",
    b"INFO {\"qiSnd\":true,\"qiNtf\":false,\"qiSize\":3}",
];

pub(super) fn play(input: &mut Input<'_>) {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("it needs nothing");
    let (near, far) = duplex(1 << 18);
    runtime.block_on(async {
        let both = async { tokio::join!(serve(far, input), use_client(near)) };
        // The clock turns whenever both wait.
        timeout(FOR_EVER, both).await.expect("a client waits for ever");
    });
}

/// Everything that clients do, over one connection.
async fn use_client(stream: DuplexStream) {
    let tls = ClientTls::new(ClientAlpn::Smp).connect(stream, Crew::fingerprint(), PATIENCE).await;
    let tls = tls.expect("TLS succeeds");
    let Ok((client, events)) = Client::over_tls(tls, Crew::fingerprint(), &Options::default()).await else { return };
    let id = |byte: u8| Id::new(&[byte; 24]).expect("ids have this length");
    let own = |byte: u8| Credentials { id: id(byte), key: KEY.clone() };
    let (one, two, three) = (own(1), own(2), own(3));
    let (message, options) = (id(4), QueueOptions::default());
    let key = one.key.public();
    let _ = tokio::join!(
        client.ping(),
        client.subscribe(&one),
        client.subscribe_all([&one, &two, &three]),
        client.create_queue(&options),
        client.get(&two),
        client.send(&one.id, Some(&one.key), true, b"body"),
        client.send(&one.id, None, false, &[7; 15_000]),
        client.acknowledge(&one, &message),
        client.queue_status(&one),
        client.secure(&three, key),
        client.secure_by_sender(&two),
        client.subscribe_notifications(&two),
        client.delete_link_data(&three),
        client.suspend(&two),
        client.delete(&three),
    );
    let _ = client.ping().await;
    drop(client);
    drain(events).await;
}

/// The last event is that the connection ended.
async fn drain(mut events: Events) {
    while let Some(event) = events.next().await {
        let _ = format!("{event:?}");
    }
}

/// What was asked and not answered.
struct Asked {
    correlation: Vec<u8>,
    entity: Vec<u8>,
}

async fn serve(stream: DuplexStream, input: &mut Input<'_>) {
    let mut tls = TLS.accept(stream, PATIENCE).await.expect("TLS succeeds");
    let mut block = Box::new([0; BLOCK_LENGTH]);
    let certificates: Vec<_> =
        identity().chain().iter().map(|der| LongString::new(der).expect("certificates are short")).collect();
    let chain = CertificateChain::new(&certificates).expect("there are two");
    let configuration = ServerConfiguration::new(versions(input), chain).expect("two are enough");
    let session_id = SessionIdentifier::new(tls.session_identifier()).expect("a Finished value is one");
    let leaf = Ed25519SecretKey::from_pkcs8(identity().key()).expect("the key is one");
    let signer = CertificateSigner::Ed25519(&leaf);
    let key = ServerSessionKey::new(X25519SecretKey::from_bytes(&[3; 32]), signer);
    let handshake = ServerHandshake::new(&configuration, session_id, key);
    handshake.hello(&mut block).expect("the hello fits a block");
    alter(&mut block, input);
    if tls.write_block(&block).await.is_err() || tls.flush().await.is_err() {
        return;
    }
    if tls.read_block(&mut block).await.is_err() {
        return;
    }
    let session = match handshake.receive(&block, &[], crate::party::NOW) {
        Ok(ServerStep::Session(session)) => Some(session),
        _ => None,
    };
    let mut server = Server { tls, session, asked: Vec::new() };
    for _ in 0..STEPS {
        let Some(step) = input.next() else { break };
        if server.step(step, input).await.is_none() {
            break;
        }
    }
}

struct Server {
    tls: TlsStream<DuplexStream>,
    session: Option<Session>,
    asked: Vec<Asked>,
}

impl Server {
    /// Nothing when the client is gone.
    async fn step(&mut self, step: u8, input: &mut Input<'_>) -> Option<()> {
        self.take_in().await;
        match step % 16 {
            0..=6 => self.respond(input).await,
            7..=9 => {
                let content = input.long();
                self.sealed(&content).await
            }
            10 | 11 => self.write(&noise(input)).await,
            12 => {
                let bytes = input.long();
                self.tls.write_all(&bytes).await.ok()?;
                self.tls.flush().await.ok()
            }
            13 => {
                sleep(Duration::from_secs(u64::from(input.byte()) * 10)).await;
                Some(())
            }
            14 => {
                // Everything that waits, the last first.
                self.asked.reverse();
                Some(())
            }
            _ => self.tls.close().await.ok(),
        }
    }

    /// Reads what the client asks, as far as it has come.
    async fn take_in(&mut self) {
        let Self { tls, session, asked } = self;
        let mut block = Box::new([0; BLOCK_LENGTH]);
        tokio::task::yield_now().await;
        std::future::poll_fn(|context| {
            while let Poll::Ready(Ok(())) = tls.poll_read_block(context, &mut block) {
                let Some(session) = session.as_mut() else { continue };
                let Ok(content) = session.opener.open(&mut block) else { continue };
                let context = &session.context;
                for entry in Batch::decode(&block[content]).iter().flat_map(Batch::iter) {
                    if let Ok(it) = Transmission::decode(entry, context.version(), context.session_id()) {
                        asked.push(Asked {
                            correlation: it.correlation_id.as_bytes().to_vec(),
                            entity: it.entity_id.as_bytes().to_vec(),
                        });
                    }
                }
            }
            Poll::Ready(())
        })
        .await;
    }

    /// A block of responses and events, as they should be or not.
    async fn respond(&mut self, input: &mut Input<'_>) -> Option<()> {
        let mut said = Vec::new();
        for _ in 0..=input.below(16) {
            let (how, position) = (input.byte(), input.below(self.asked.len().max(1)));
            let message = match how & 3 {
                0..=2 => [input.one_of(&MESSAGES).copied().unwrap_or_default(), input.bytes()].concat(),
                _ => input.bytes().to_vec(),
            };
            let (mut correlation, mut entity) = (Vec::new(), vec![1 + how % 3; 24]);
            if let Some(asked) = self.asked.get(position).filter(|_| how & 4 == 0) {
                (correlation, entity) = (asked.correlation.clone(), asked.entity.clone());
            }
            match how >> 4 {
                // Of something else, of nothing, or of what was never asked.
                0 => entity = vec![2; 24],
                1 => entity.clear(),
                2 => correlation = vec![how; 24],
                3 => correlation.truncate(usize::from(how & 15)),
                _ => {}
            }
            if how & 8 == 0 && position < self.asked.len() {
                self.asked.remove(position);
            }
            said.push((correlation, entity, message));
        }
        let session = self.session.as_mut()?;
        let mut block = Box::new([0; BLOCK_LENGTH]);
        let mut batch = BatchWriter::new(session.sealer.content_mut(&mut block)).ok()?;
        for (correlation, entity, message) in said {
            let (correlation, entity) = (CorrelationId::new(&correlation).ok()?, EntityId::new(&entity).ok()?);
            let context = &session.context;
            let _ = batch.push(|writer| {
                let (version, id) = (context.version(), context.session_id());
                encode_unauthorized(writer, version, id, correlation, entity, |writer| writer.bytes(&message))
            });
        }
        let length = batch.finish().map_or(0, <[u8]>::len);
        session.sealer.seal(&mut block, length).ok()?;
        self.write(&block).await
    }

    async fn sealed(&mut self, content: &[u8]) -> Option<()> {
        let Some(session) = &mut self.session else { return Some(()) };
        let mut block = Box::new([0; BLOCK_LENGTH]);
        let room = session.sealer.content_mut(&mut block);
        let length = content.len().min(room.len());
        room[..length].copy_from_slice(&content[..length]);
        session.sealer.seal(&mut block, length).ok()?;
        self.write(&block).await
    }

    async fn write(&mut self, block: &[u8; BLOCK_LENGTH]) -> Option<()> {
        self.tls.write_block(block).await.ok()?;
        self.tls.flush().await.ok()
    }
}
