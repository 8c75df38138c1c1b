//! One client: TLS and SMP over a stream in memory.

use std::collections::VecDeque;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use smp_crypto::authorization::authorize;
use smp_crypto::key::{AuthorizationSecretKey, X25519SecretKey};
use smp_crypto::session::{ClientConfiguration, ClientHandshake, ClientStep, ServerLeaf, Session, SessionIdentifier};
use smp_proto::id::{CorrelationId, EntityId};
use smp_proto::smp::BrokerMessage;
use smp_proto::transport::BLOCK_LENGTH;
use smp_proto::transport::block::{Batch, BatchWriter};
use smp_proto::transport::transmission::{Authorization, AuthorizedBytes, Transmission};
use smp_proto::version::{SmpVersion, VersionRange};
use smp_proto::wire::{Error, Reader, Writer};
use smp_std::net::{ClientAlpn, ClientTls, TlsStream};
use tokio::io::DuplexStream;

use super::crew::Crew;

type Block = Box<[u8; BLOCK_LENGTH]>;

pub(super) struct Client {
    tls: TlsStream<DuplexStream>,
    session: Session,
    pub(super) inbox: VecDeque<Received>,
}

/// What came in one transmission.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) correlation: Vec<u8>,
    pub(super) entity: Vec<u8>,
    pub(super) message: Vec<u8>,
}

impl Received {
    pub(super) fn decode(&self, version: SmpVersion) -> BrokerMessage<'_> {
        BrokerMessage::decode(&mut Reader::new(&self.message), version)
            .unwrap_or_else(|error| panic!("{error:?}: {}", self.text()))
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.message).into_owned()
    }
}

impl Client {
    pub(super) fn connect(crew: &mut Crew, version: SmpVersion) -> Self {
        let patience = Duration::from_secs(10);
        let (stream, tls) = (crew.connect(), ClientTls::new(ClientAlpn::Smp));
        let mut connecting = pin!(tls.connect(stream, Crew::fingerprint(), patience));
        let mut tls = crew.poll(|context| connecting.as_mut().poll(context)).expect("TLS succeeds");
        let session_id = SessionIdentifier::new(tls.session_identifier()).expect("a Finished value is one");
        let leaf = ServerLeaf::from_der(tls.peer_certificates()[0]).expect("the relay has a certificate");
        let versions = VersionRange::new(version, version).expect("one version is a range");
        let identity = *Crew::fingerprint();
        let configuration = ClientConfiguration { versions, identity, is_proxy: false, service: None };
        let own = X25519SecretKey::from_bytes(&[5; 32]);
        let handshake = ClientHandshake::new(configuration, session_id, leaf, own);
        let mut block = Box::new([0; BLOCK_LENGTH]);
        crew.poll(|context| tls.poll_read_block(context, &mut block)).expect("the relay says hello");
        let Ok(ClientStep::Session(session)) = handshake.receive(&mut block) else { panic!("there is no session") };
        let mut client = Self { tls, session, inbox: VecDeque::new() };
        client.send(crew, &block);
        crew.run();
        client
    }

    pub(super) const fn version(&self) -> SmpVersion {
        self.session.context.version()
    }

    pub(super) const fn is_encrypted(&self) -> bool {
        self.session.is_encrypted()
    }

    /// A transmission; nothing when the key is of a kind that the version does not know, or there is no room.
    pub(super) fn encode(
        &self,
        correlation: &[u8; 24],
        key: Option<&AuthorizationSecretKey>,
        entity: &[u8],
        command: impl FnOnce(&mut Writer<'_>) -> Result<(), Error>,
    ) -> Option<Vec<u8>> {
        let (context, id) = (&self.session.context, CorrelationId::from_array(correlation));
        let mut buffer = vec![0; BLOCK_LENGTH];
        let entity = EntityId::new(entity).ok()?;
        let bytes = AuthorizedBytes::write(&mut buffer, context.session_id(), id, entity, command).ok()?;
        let made = match key {
            Some(key) => Some(authorize(key, context.peer_key(), id, bytes.as_bytes()).ok()?),
            None => None,
        };
        let authorization = made.as_ref().map_or(Authorization::None, |made| made.as_authorization());
        let mut out = vec![0; BLOCK_LENGTH];
        let mut writer = Writer::new(&mut out);
        bytes.encode(&mut writer, self.version(), &authorization, None).ok()?;
        Some(writer.written().to_vec())
    }

    /// Sends transmissions, each in a block of its own or as many together as fit.
    pub(super) fn send_all(&mut self, crew: &mut Crew, transmissions: &[Vec<u8>], together: bool) {
        let mut rest = transmissions;
        while !rest.is_empty() {
            let mut block = Box::new([0; BLOCK_LENGTH]);
            let mut batch = BatchWriter::new(self.session.sealer.content_mut(&mut block)).expect("there is room");
            let mut count = 0;
            for transmission in rest {
                if count > 0 && !together || batch.push(|writer| writer.bytes(transmission)).is_err() {
                    break;
                }
                count += 1;
            }
            assert!(count > 0, "a transmission fits a block");
            rest = &rest[count..];
            let length = batch.finish().expect("there is one in it").len();
            self.seal_and_send(crew, block, length);
        }
    }

    /// Sends a block with this content, as much as fits. Says what the relay makes of it: so many entries, or nothing.
    pub(super) fn send_content(&mut self, crew: &mut Crew, content: &[u8]) -> Option<usize> {
        let mut block = Box::new([0; BLOCK_LENGTH]);
        let room = self.session.sealer.content_mut(&mut block);
        let length = content.len().min(room.len());
        room[..length].copy_from_slice(&content[..length]);
        let entries = Batch::decode(&room[..length]).ok().map(|batch| batch.len());
        self.seal_and_send(crew, block, length);
        entries
    }

    /// Sends a block that cannot be opened.
    pub(super) fn send_damaged(&mut self, crew: &mut Crew, position: usize, bits: u8) {
        let mut block = Box::new([0; BLOCK_LENGTH]);
        self.session.sealer.seal(&mut block, 0).expect("nothing fits");
        block[position % BLOCK_LENGTH] ^= bits;
        self.send(crew, &block);
    }

    fn seal_and_send(&mut self, crew: &mut Crew, mut block: Block, length: usize) {
        self.session.sealer.seal(&mut block, length).expect("the content fits");
        self.send(crew, &block);
    }

    fn send(&mut self, crew: &mut Crew, block: &[u8; BLOCK_LENGTH]) {
        crew.poll(|context| self.tls.poll_write_block(context, block)).expect("the relay is there");
        // It went to the stream, or goes with the next read.
        let _ = self.tls.poll_writable(&mut Context::from_waker(Waker::noop()));
    }

    /// Takes in what has come.
    pub(super) fn take_in(&mut self) {
        let mut block = Box::new([0; BLOCK_LENGTH]);
        while let Poll::Ready(read) = self.tls.poll_read_block(&mut Context::from_waker(Waker::noop()), &mut block) {
            read.expect("the relay goes on");
            let content = self.session.opener.open(&mut block).expect("a block of the relay can be opened");
            let context = &self.session.context;
            for entry in Batch::decode(&block[content]).expect("the relay makes batches").iter() {
                let transmission = Transmission::decode(entry, context.version(), context.session_id())
                    .expect("the relay makes transmissions");
                assert_eq!(transmission.authorization, Authorization::None);
                self.inbox.push_back(Received {
                    correlation: transmission.correlation_id.as_bytes().to_vec(),
                    entity: transmission.entity_id.as_bytes().to_vec(),
                    message: transmission.command.to_vec(),
                });
            }
        }
    }
}
