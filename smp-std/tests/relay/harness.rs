//! A relay in this process, and a client that says exactly what a test wants it to say.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use smp_crypto::authorization::{authorize, sign_service};
use smp_crypto::key::{AuthorizationSecretKey, Ed25519SecretKey, X25519SecretKey};
use smp_crypto::session::{ClientConfiguration, ClientHandshake, ClientStep, ServerLeaf, Session, SessionIdentifier};
use smp_proto::id::{CorrelationId, EntityId};
use smp_proto::key::X25519PublicKey;
use smp_proto::smp::recipient::{NewQueue, QueueMode, QueueRequest, SubscriptionMode};
use smp_proto::smp::sender::Send;
use smp_proto::smp::{BrokerMessage, Command};
use smp_proto::transport::BLOCK_LENGTH;
use smp_proto::transport::block::{Batch, BatchWriter};
use smp_proto::transport::transmission::{Authorization, AuthorizedBytes, Transmission};
use smp_proto::version::{SmpVersion, VersionRange};
use smp_proto::wire::Reader;
use smp_std::identity::{Identity, KeyAlgorithm};
use smp_std::net::{ClientAlpn, ClientTls, Listener, TlsStream, connect_tcp};
use smp_std::relay::config::Config;
use smp_std::relay::store::{FjallOptions, Store, StoreOptions};
use smp_std::relay::{Relay, RelayError, Wakeups};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longer than anything here takes, shorter than anybody's patience.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for something that is to come true, without letting much else happen behind its back.
pub async fn until(is_true: impl Fn() -> bool) {
    let waiting = async {
        while !is_true() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("in time");
}

pub struct TestRelay {
    pub relay: Arc<Relay>,
    pub address: SocketAddr,
    pub fingerprint: [u8; 32],
    identity: Identity,
    store: Store,
    task: JoinHandle<Result<(), RelayError>>,
    _directory: tempfile::TempDir,
}

impl TestRelay {
    pub async fn start(config: Config) -> Self {
        Self::start_as(config, KeyAlgorithm::Ed25519).await
    }

    pub async fn start_as(config: Config, algorithm: KeyAlgorithm) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let identity = Identity::create(directory.path(), algorithm, "localhost").unwrap();
        Self::start_with(config, identity, directory, |options| Store::memory(options).unwrap()).await
    }

    /// A relay with a store on disk.
    pub async fn start_in(folder: &std::path::Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let identity = Identity::create(directory.path(), KeyAlgorithm::Ed25519, "localhost").unwrap();
        let open = |options| Store::fjall(folder, &FjallOptions::default(), options).unwrap();
        Self::start_with(Config::default(), identity, directory, open).await
    }

    /// With an identity that exists, and a store that `open` opens.
    pub async fn start_with(
        config: Config,
        identity: Identity,
        directory: tempfile::TempDir,
        open: impl FnOnce(StoreOptions) -> Store,
    ) -> Self {
        Self::start_on("127.0.0.1:0".parse().unwrap(), config, identity, directory, open).await
    }

    /// At an address where another one was.
    pub async fn start_at(config: Config, address: SocketAddr, directory: tempfile::TempDir) -> Self {
        let identity = Identity::load(directory.path()).unwrap();
        Self::start_on(address, config, identity, directory, |options| Store::memory(options).unwrap()).await
    }

    async fn start_on(
        address: SocketAddr,
        config: Config,
        identity: Identity,
        directory: tempfile::TempDir,
        open: impl FnOnce(StoreOptions) -> Store,
    ) -> Self {
        let wakeups = Wakeups::default();
        let options = StoreOptions {
            budget: NonZeroU32::new(16 << 20).unwrap(),
            observer: Some(Arc::new(wakeups.clone())),
            ..StoreOptions::default()
        };
        let store = open(options);
        let relay = Relay::new(config, &identity, store.clone(), &wakeups).unwrap();
        let listener = Listener::bind(address).unwrap();
        let address = listener.local_address().unwrap();
        let serving = Arc::clone(&relay);
        let task = tokio::spawn(async move { serving.serve(vec![listener]).await });
        Self { relay, address, fingerprint: *identity.fingerprint(), identity, store, task, _directory: directory }
    }

    /// Replaces the configuration.
    pub fn reload(&self, config: Config) {
        self.relay.reload(config, &self.identity).unwrap();
    }

    /// What the relay keeps.
    pub fn store(&self) -> &Store {
        &self.store
    }

    pub async fn stop(self) {
        self.relay.stop();
        timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap();
    }

    /// Stops, and gives what the next one needs to take its place.
    pub async fn stop_keeping(self) -> (SocketAddr, [u8; 32], tempfile::TempDir) {
        let Self { relay, address, fingerprint, task, _directory, .. } = self;
        relay.stop();
        timeout(PATIENCE, task).await.unwrap().unwrap().unwrap();
        (address, fingerprint, _directory)
    }

    pub async fn tls(&self) -> TlsStream {
        self.tls_with(ClientAlpn::Smp).await
    }

    pub async fn tls_with(&self, alpn: ClientAlpn) -> TlsStream {
        let tcp = connect_tcp("127.0.0.1", self.address.port(), PATIENCE).await.unwrap();
        ClientTls::new(alpn).connect(tcp, &self.fingerprint, PATIENCE).await.unwrap()
    }

    pub async fn client(&self) -> RawClient {
        self.client_of(VersionRange::SMP, ClientAlpn::Smp).await
    }

    pub async fn client_at(&self, version: u16) -> RawClient {
        let versions = VersionRange::new(SmpVersion(version), SmpVersion(version)).unwrap();
        self.client_of(versions, ClientAlpn::Smp).await
    }

    pub async fn client_of(&self, versions: VersionRange<SmpVersion>, alpn: ClientAlpn) -> RawClient {
        RawClient::greet(self.tls_with(alpn).await, self.fingerprint, versions).await
    }
}

/// What came in one transmission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub correlation: Vec<u8>,
    pub entity: Vec<u8>,
    pub message: Vec<u8>,
}

impl Received {
    pub fn decode(&self, version: SmpVersion) -> BrokerMessage<'_> {
        BrokerMessage::decode(&mut Reader::new(&self.message), version)
            .unwrap_or_else(|error| panic!("{error:?}: {}", String::from_utf8_lossy(&self.message)))
    }

    /// The text before the first space and after, for errors and tags.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.message).into_owned()
    }
}

pub struct RawClient {
    pub tls: TlsStream,
    pub session: Session,
    pub inbox: std::collections::VecDeque<Received>,
    /// How many blocks came.
    pub blocks: usize,
    /// The key of the session's service.
    pub service: Option<Ed25519SecretKey>,
}

/// How a service has part in a command.
#[derive(Clone, Copy)]
pub struct Signing {
    pub with_fingerprint: bool,
    pub service_signature: bool,
}

/// A queue as its recipient knows it.
pub struct TestQueue {
    pub key: AuthorizationSecretKey,
    pub dh: X25519SecretKey,
    pub relay_key: X25519PublicKey,
    pub recipient_id: Vec<u8>,
    pub sender_id: Vec<u8>,
}

impl RawClient {
    pub async fn greet(tls: TlsStream, identity: [u8; 32], versions: VersionRange<SmpVersion>) -> Self {
        Self::greet_as(tls, ClientConfiguration { versions, identity, is_proxy: false, service: None }).await
    }

    pub async fn greet_as(mut tls: TlsStream, configuration: ClientConfiguration<'_>) -> Self {
        let session_id = SessionIdentifier::new(tls.session_identifier()).unwrap();
        let leaf = ServerLeaf::from_der(tls.peer_certificates()[0]).unwrap();
        let handshake =
            ClientHandshake::new(configuration, session_id, leaf, X25519SecretKey::generate(&mut rand::rng()));
        let mut block = Box::new([0; BLOCK_LENGTH]);
        timeout(PATIENCE, tls.read_block(&mut block)).await.unwrap().unwrap();
        let ClientStep::Session(session) = handshake.receive(&mut block).unwrap() else { panic!("no service") };
        tls.write_block(&block).await.unwrap();
        tls.flush().await.unwrap();
        Self::new(tls, session, None)
    }

    pub fn new(tls: TlsStream, session: Session, service: Option<Ed25519SecretKey>) -> Self {
        Self { tls, session, inbox: std::collections::VecDeque::new(), blocks: 0, service }
    }

    pub fn version(&self) -> SmpVersion {
        self.session.context.version()
    }

    /// An encoded transmission and its correlation id.
    pub fn encode(
        &self,
        key: Option<&AuthorizationSecretKey>,
        entity: &[u8],
        command: &Command<'_>,
    ) -> ([u8; 24], Vec<u8>) {
        let version = self.version();
        let mut buffer = vec![0; BLOCK_LENGTH];
        self.encode_with(key, entity, |writer| command.encode(writer, version), &mut buffer)
    }

    /// As [`Self::encode`], for commands no honest client makes.
    pub fn encode_raw(
        &self,
        key: Option<&AuthorizationSecretKey>,
        entity: &[u8],
        command: &[u8],
    ) -> ([u8; 24], Vec<u8>) {
        let mut buffer = vec![0; BLOCK_LENGTH * 2];
        self.encode_with(key, entity, |writer| writer.bytes(command), &mut buffer)
    }

    fn encode_with(
        &self,
        key: Option<&AuthorizationSecretKey>,
        entity: &[u8],
        command: impl FnOnce(&mut smp_proto::wire::Writer<'_>) -> Result<(), smp_proto::wire::Error>,
        buffer: &mut [u8],
    ) -> ([u8; 24], Vec<u8>) {
        let correlation: [u8; 24] = rand::random();
        let transmission = self.encode_correlated(&correlation, key, entity, command, buffer);
        (correlation, transmission)
    }

    fn encode_correlated(
        &self,
        correlation: &[u8; 24],
        key: Option<&AuthorizationSecretKey>,
        entity: &[u8],
        command: impl FnOnce(&mut smp_proto::wire::Writer<'_>) -> Result<(), smp_proto::wire::Error>,
        buffer: &mut [u8],
    ) -> Vec<u8> {
        let signs = |bytes: &[u8]| {
            let words: [&[u8]; 3] = [b"NEW ", b"SUB", b"NSUB"];
            words.iter().any(|word| bytes == *word || word.ends_with(b" ") && bytes.starts_with(word))
        };
        self.encode_signed(correlation, key, entity, command, buffer, |command| {
            let sign = self.service.is_some() && signs(command);
            Signing { with_fingerprint: sign, service_signature: sign }
        })
    }

    /// As [`Self::encode_raw`], with the service's part in it as wanted.
    pub fn encode_signing(
        &self,
        key: Option<&AuthorizationSecretKey>,
        entity: &[u8],
        command: &[u8],
        signing: Signing,
    ) -> ([u8; 24], Vec<u8>) {
        let correlation: [u8; 24] = rand::random();
        let mut buffer = vec![0; BLOCK_LENGTH * 2];
        let command = |writer: &mut smp_proto::wire::Writer<'_>| writer.bytes(command);
        let transmission = self.encode_signed(&correlation, key, entity, command, &mut buffer, |_| signing);
        (correlation, transmission)
    }

    fn encode_signed(
        &self,
        correlation: &[u8; 24],
        key: Option<&AuthorizationSecretKey>,
        entity: &[u8],
        command: impl FnOnce(&mut smp_proto::wire::Writer<'_>) -> Result<(), smp_proto::wire::Error>,
        buffer: &mut [u8],
        signing: impl FnOnce(&[u8]) -> Signing,
    ) -> Vec<u8> {
        let context = &self.session.context;
        let correlation_id = CorrelationId::from_array(correlation);
        let entity_id = EntityId::new(entity).unwrap();
        let bytes = AuthorizedBytes::write(buffer, context.session_id(), correlation_id, entity_id, command).unwrap();
        let head = 1 + context.session_id().as_bytes().len() + 1 + correlation.len() + 1 + entity.len();
        let signing = signing(&bytes.as_bytes()[head..]);
        let fingerprint = match context.service() {
            Some(service) if signing.with_fingerprint => &service.fingerprint()[..],
            _ => &[],
        };
        let authorized = [fingerprint, bytes.as_bytes()].concat();
        let made = key.map(|key| authorize(key, context.peer_key(), correlation_id, &authorized).unwrap());
        let signature = signing.service_signature.then(|| match &self.service {
            Some(key) => sign_service(key, bytes.as_bytes()),
            None => [7; 64],
        });
        let authorization = made.as_ref().map_or(Authorization::None, |made| made.as_authorization());
        let mut out = vec![0; BLOCK_LENGTH * 2];
        let mut writer = smp_proto::wire::Writer::new(&mut out);
        bytes.encode(&mut writer, self.version(), &authorization, signature.as_ref()).unwrap();
        writer.written().to_vec()
    }

    /// As [`Self::encode`], with a correlation id that was chosen before.
    pub fn encode_as(
        &self,
        correlation: &[u8; 24],
        key: Option<&AuthorizationSecretKey>,
        entity: &[u8],
        command: &Command<'_>,
    ) -> Vec<u8> {
        let version = self.version();
        let mut buffer = vec![0; BLOCK_LENGTH];
        self.encode_correlated(correlation, key, entity, |writer| command.encode(writer, version), &mut buffer)
    }

    /// Sends transmissions in one block.
    pub async fn send_block(&mut self, transmissions: &[Vec<u8>]) {
        let mut block = Box::new([0; BLOCK_LENGTH]);
        let mut batch = BatchWriter::new(self.session.sealer.content_mut(&mut block)).unwrap();
        for transmission in transmissions {
            batch.push(|writer| writer.bytes(transmission)).unwrap();
        }
        let length = batch.finish().unwrap().len();
        self.send_content(block, length).await;
    }

    /// Seals and sends a block whose content stands in it already.
    pub async fn send_content(&mut self, mut block: Box<[u8; BLOCK_LENGTH]>, length: usize) {
        self.session.sealer.seal(&mut block, length).unwrap();
        self.tls.write_block(&block).await.unwrap();
        self.tls.flush().await.unwrap();
    }

    /// Sends one command.
    pub async fn send(
        &mut self,
        key: Option<&AuthorizationSecretKey>,
        entity: &[u8],
        command: &Command<'_>,
    ) -> [u8; 24] {
        let (correlation, transmission) = self.encode(key, entity, command);
        self.send_block(&[transmission]).await;
        correlation
    }

    /// The next transmission.
    pub async fn receive(&mut self) -> Received {
        loop {
            if let Some(received) = self.inbox.pop_front() {
                return received;
            }
            timeout(PATIENCE, self.read_block()).await.expect("nothing came");
        }
    }

    async fn read_block(&mut self) {
        let mut block = Box::new([0; BLOCK_LENGTH]);
        self.tls.read_block(&mut block).await.unwrap();
        self.blocks += 1;
        let content = self.session.opener.open(&mut block).unwrap();
        for entry in Batch::decode(&block[content]).unwrap().iter() {
            let transmission = Transmission::decode(entry, self.version(), self.session.context.session_id()).unwrap();
            assert_eq!(transmission.authorization, Authorization::None);
            self.inbox.push_back(Received {
                correlation: transmission.correlation_id.as_bytes().to_vec(),
                entity: transmission.entity_id.as_bytes().to_vec(),
                message: transmission.command.to_vec(),
            });
        }
    }

    /// Nothing comes for a while.
    pub async fn assert_silent(&mut self) {
        assert_eq!(self.inbox.front(), None);
        let quiet = timeout(Duration::from_millis(150), self.read_block()).await;
        assert!(quiet.is_err(), "unexpected: {:?}", self.inbox);
    }

    /// Sends one command and gives the text of its response, which must name the request and the entity.
    pub async fn ask(
        &mut self,
        key: Option<&AuthorizationSecretKey>,
        entity: &[u8],
        command: &Command<'_>,
    ) -> Received {
        let correlation = self.send(key, entity, command).await;
        let response = self.response_to(&correlation).await;
        let expected: &[u8] = match response.decode(self.version()) {
            BrokerMessage::Ids(_) | BrokerMessage::Pong => &[],
            _ => entity,
        };
        assert_eq!(response.entity, expected);
        response
    }

    /// The response to a request; what else comes stays in the inbox.
    pub async fn response_to(&mut self, correlation: &[u8]) -> Received {
        let mut others = Vec::new();
        loop {
            let received = self.receive().await;
            if received.correlation == correlation {
                for other in others.into_iter().rev() {
                    self.inbox.push_front(other);
                }
                return received;
            }
            assert!(received.correlation.is_empty(), "a response nobody asked for: {}", received.text());
            others.push(received);
        }
    }

    /// Asks, and gives the text of the response.
    pub async fn tell(&mut self, key: Option<&AuthorizationSecretKey>, entity: &[u8], command: &Command<'_>) -> String {
        self.ask(key, entity, command).await.text()
    }

    pub async fn tell_raw(&mut self, key: Option<&AuthorizationSecretKey>, entity: &[u8], command: &[u8]) -> String {
        let (correlation, transmission) = self.encode_raw(key, entity, command);
        self.send_block(&[transmission]).await;
        self.response_to(&correlation).await.text()
    }

    pub async fn new_queue(&mut self, mode: QueueMode, subscribe: bool) -> TestQueue {
        self.new_queue_with(AuthorizationSecretKey::generate_ed25519(&mut rand::rng()), mode, subscribe).await
    }

    pub async fn new_queue_with(&mut self, key: AuthorizationSecretKey, mode: QueueMode, subscribe: bool) -> TestQueue {
        let dh = X25519SecretKey::generate(&mut rand::rng());
        let command = new_command(&key, &dh, mode, subscribe);
        let response = self.ask(Some(&key), &[], &command).await;
        let BrokerMessage::Ids(ids) = response.decode(self.version()) else { panic!("{}", response.text()) };
        assert_eq!(ids.recipient_id.as_bytes().len(), 24);
        assert_ne!(ids.recipient_id.as_bytes(), ids.sender_id.as_bytes());
        TestQueue {
            key,
            dh,
            relay_key: ids.relay_dh_key,
            recipient_id: ids.recipient_id.as_bytes().to_vec(),
            sender_id: ids.sender_id.as_bytes().to_vec(),
        }
    }

    /// Receives a message of the queue and gives its id and its plaintext.
    pub async fn message(&mut self, queue: &TestQueue) -> (Vec<u8>, Vec<u8>) {
        let received = self.receive().await;
        assert_eq!(received.entity, queue.recipient_id);
        assert_eq!(received.correlation, b"", "{}", received.text());
        queue.open(&received, self.version())
    }
}

impl TestQueue {
    pub fn open(&self, received: &Received, version: SmpVersion) -> (Vec<u8>, Vec<u8>) {
        let BrokerMessage::Message(message) = received.decode(version) else { panic!("{}", received.text()) };
        assert_eq!(message.body.len(), 16_122);
        let secret = self.dh.diffie_hellman(&self.relay_key).unwrap();
        let mut body = message.body.to_vec();
        let plain = smp_crypto::secret_box::BoxKey::from(&secret)
            .open_padded(&smp_crypto::secret_box::Nonce::from_slice(message.message_id.as_bytes()), &mut body)
            .unwrap();
        (message.message_id.as_bytes().to_vec(), body[plain].to_vec())
    }
}

pub fn new_command<'a>(
    key: &AuthorizationSecretKey,
    dh: &X25519SecretKey,
    mode: QueueMode,
    subscribe: bool,
) -> Command<'a> {
    Command::New(NewQueue {
        recipient_key: key.public_key(),
        recipient_dh_key: dh.public_key(),
        password: None,
        subscription: if subscribe { SubscriptionMode::Subscribe } else { SubscriptionMode::CreateOnly },
        request: Some(match mode {
            QueueMode::Messaging => QueueRequest::Messaging(None),
            QueueMode::Contact => QueueRequest::Contact(None),
        }),
        notifier: None,
    })
}

pub fn send_command(body: &[u8]) -> Command<'_> {
    Command::Send(Send { notify: false, body })
}

pub fn ack(id: &[u8]) -> Command<'_> {
    Command::Acknowledge(smp_proto::id::MessageId::new(id).unwrap())
}
