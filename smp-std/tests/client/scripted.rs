//! A relay that does what a story tells it to, right or wrong.

use std::sync::OnceLock;
use std::time::Duration;

use smp_crypto::certificate::CertificateSigner;
use smp_crypto::key::Ed25519SecretKey;
use smp_crypto::session::{
    Opener, Sealer, ServerConfiguration, ServerHandshake, ServerSessionKey, ServerStep, SessionIdentifier,
};
use smp_proto::id::{CorrelationId, EntityId, SessionId};
use smp_proto::smp::BrokerMessage;
use smp_proto::transport::hello::CertificateChain;
use smp_proto::transport::transmission::encode_unauthorized;
use smp_proto::transport::{Batch, BatchWriter, Transmission};
use smp_proto::version::{SmpVersion, VersionRange};
use smp_proto::wire::LongString;
use smp_std::client::{Client, ClientError, Events, Options};
use smp_std::identity::{Identity, KeyAlgorithm};
use smp_std::net::{BLOCK_SIZE, ClientTls, ServerTls, TlsStream};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The identity of all scripted relays.
pub(crate) fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        Identity::create(directory.path(), KeyAlgorithm::Ed25519, "localhost").unwrap()
    })
}

pub(crate) fn versions(min: u16, max: u16) -> VersionRange<SmpVersion> {
    VersionRange::new(SmpVersion(min), SmpVersion(max)).unwrap()
}

/// The relay's end of a connection.
pub(crate) struct Peer<S = DuplexStream> {
    pub(crate) stream: TlsStream<S>,
    sealer: Sealer,
    opener: Opener,
    pub(crate) version: SmpVersion,
    session_id: [u8; 32],
}

/// A command as the relay got it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) correlation_id: Vec<u8>,
    pub(crate) entity: Vec<u8>,
    pub(crate) command: Vec<u8>,
}

/// A client and the relay it is connected to.
pub(crate) async fn connected(max: u16, options: &Options) -> (Client, Events, Peer) {
    let (client, peer) = try_connect(max, options).await;
    let (client, events) = client.unwrap();
    (client, events, peer.unwrap())
}

/// Both ends of an attempt to connect with a relay of versions 6 to `max`.
pub(crate) async fn try_connect(max: u16, options: &Options) -> (Result<(Client, Events), ClientError>, Option<Peer>) {
    let (near, far) = tokio::io::duplex(3 * BLOCK_SIZE);
    let client = connect(near, identity().fingerprint(), options);
    let relay = async { Some(Peer::greet(accept(far).await?, versions(6, max)).await) };
    tokio::join!(client, relay)
}

/// The client's side: TLS, then SMP.
pub(crate) async fn connect(
    io: DuplexStream,
    fingerprint: &[u8; 32],
    options: &Options,
) -> Result<(Client, Events), ClientError> {
    let stream = ClientTls::new(options.alpn).connect(io, fingerprint, PATIENCE).await?;
    Client::over_tls(stream, fingerprint, options).await
}

/// The relay's side of TLS.
pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(io: S) -> Option<TlsStream<S>> {
    ServerTls::new(identity().chain(), identity().key()).unwrap().accept(io, PATIENCE).await.ok()
}

/// The first block of a relay, and what is needed to go on.
pub(crate) fn hello<'c, S: AsyncRead + AsyncWrite + Unpin>(
    configuration: &'c ServerConfiguration<'c>,
    stream: &TlsStream<S>,
) -> (ServerHandshake<'c>, Box<[u8; BLOCK_SIZE]>) {
    let session_id = SessionIdentifier::new(stream.session_identifier()).unwrap();
    let handshake = if stream.alpn().is_some() {
        let key = Ed25519SecretKey::from_pkcs8(identity().key()).unwrap();
        let key = ServerSessionKey::generate(&mut rand::rng(), CertificateSigner::Ed25519(&key));
        ServerHandshake::new(configuration, session_id, key)
    } else {
        ServerHandshake::without_alpn(configuration, session_id).unwrap()
    };
    let mut block = Box::new([0; BLOCK_SIZE]);
    handshake.hello(&mut block).unwrap();
    (handshake, block)
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    /// Exchanges the hellos.
    pub(crate) async fn greet(mut stream: TlsStream<S>, versions: VersionRange<SmpVersion>) -> Self {
        let chain: Vec<_> = identity().chain().iter().map(|der| LongString::new(der).unwrap()).collect();
        let configuration = ServerConfiguration::new(versions, CertificateChain::new(&chain).unwrap()).unwrap();
        let (handshake, mut block) = hello(&configuration, &stream);
        stream.write_block(&block).await.unwrap();
        stream.read_block(&mut block).await.unwrap();
        let ServerStep::Session(session) = handshake.receive(&block, &[], 0).unwrap() else { panic!("a service") };
        let session_id = *stream.session_identifier();
        Self { stream, version: session.context.version(), sealer: session.sealer, opener: session.opener, session_id }
    }

    /// The commands of the next block; nothing when the client has closed the connection.
    pub(crate) async fn asked(&mut self) -> Vec<Asked> {
        let mut block = Box::new([0; BLOCK_SIZE]);
        if self.stream.read_block(&mut block).await.is_err() {
            return Vec::new();
        }
        let content = self.opener.open(&mut block).unwrap();
        let session_id = SessionId::new(&self.session_id).unwrap();
        Batch::decode(&block[content])
            .unwrap()
            .iter()
            .map(|bytes| {
                let transmission = Transmission::decode(bytes, self.version, session_id).unwrap();
                Asked {
                    correlation_id: transmission.correlation_id.as_bytes().to_vec(),
                    entity: transmission.entity_id.as_bytes().to_vec(),
                    command: transmission.command.to_vec(),
                }
            })
            .collect()
    }

    /// Sends messages in one block.
    pub(crate) async fn say(&mut self, messages: &[(&[u8], &[u8], BrokerMessage<'_>)]) {
        let mut block = Box::new([0; BLOCK_SIZE]);
        let mut writer = BatchWriter::new(self.sealer.content_mut(&mut block)).unwrap();
        for (correlation_id, entity, message) in messages {
            writer
                .push(|writer| {
                    encode_unauthorized(
                        writer,
                        self.version,
                        SessionId::new(&self.session_id)?,
                        CorrelationId::new(correlation_id)?,
                        EntityId::new(entity)?,
                        |writer| message.encode(writer, self.version),
                    )
                })
                .unwrap();
        }
        let length = writer.finish().unwrap().len();
        self.sealer.seal(&mut block, length).unwrap();
        self.write(&block).await;
    }

    /// Answers one command.
    pub(crate) async fn answer(&mut self, asked: &Asked, message: BrokerMessage<'_>) {
        self.say(&[(&asked.correlation_id, &asked.entity, message)]).await;
    }

    /// Sends a block whose content is as given.
    pub(crate) async fn say_content(&mut self, content: &[u8]) {
        let mut block = Box::new([0; BLOCK_SIZE]);
        self.sealer.content_mut(&mut block)[..content.len()].copy_from_slice(content);
        self.sealer.seal(&mut block, content.len()).unwrap();
        self.write(&block).await;
    }

    /// Sends a block as it is.
    pub(crate) async fn write(&mut self, block: &[u8; BLOCK_SIZE]) {
        self.stream.write_block(block).await.unwrap();
        self.stream.flush().await.unwrap();
    }
}
