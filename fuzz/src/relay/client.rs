//! One client: TLS and SMP over a stream in memory.

use std::collections::VecDeque;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use smp_crypto::authorization::{authorize, sign_service};
use smp_crypto::certificate::CertificateSigner;
use smp_crypto::key::{AuthorizationSecretKey, Ed25519SecretKey, X25519SecretKey};
use smp_crypto::session::{
    ClientConfiguration, ClientHandshake, ClientStep, ServerLeaf, ServiceCredentials, Session, SessionIdentifier,
};
use smp_proto::id::{CorrelationId, EntityId};
use smp_proto::smp::BrokerMessage;
use smp_proto::smp::service::ServiceRole;
use smp_proto::transport::BLOCK_LENGTH;
use smp_proto::transport::block::{Batch, BatchWriter};
use smp_proto::transport::hello::CertificateChain;
use smp_proto::transport::transmission::{Authorization, AuthorizedBytes, Transmission};
use smp_proto::version::{SmpVersion, VersionRange};
use smp_proto::wire::{LongString, Reader, Writer};
use smp_std::net::{ClientAlpn, ClientTls, TlsStream};
use tokio::io::DuplexStream;

use super::crew::Crew;
use super::keys;
use crate::services::Service;

type Block = Box<[u8; BLOCK_LENGTH]>;

pub(super) struct Client {
    tls: TlsStream<DuplexStream>,
    session: Session,
    pub(super) service: Option<Service>,
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
    pub(super) fn connect(crew: &mut Crew, version: SmpVersion, service: Option<Service>) -> Self {
        let patience = Duration::from_secs(10);
        let shown = service.map(keys::certificate);
        let tls = match shown {
            Some(shown) => {
                ClientTls::with_certificate(ClientAlpn::Smp, shown.chain(), shown.key()).expect("it is good")
            }
            None => ClientTls::new(ClientAlpn::Smp),
        };
        let stream = crew.connect();
        let mut connecting = pin!(tls.connect(stream, Crew::fingerprint(), patience));
        let mut tls = crew.poll(|context| connecting.as_mut().poll(context)).expect("TLS succeeds");
        let session_id = SessionIdentifier::new(tls.session_identifier()).expect("a Finished value is one");
        let leaf = ServerLeaf::from_der(tls.peer_certificates()[0]).expect("the relay has a certificate");
        let versions = VersionRange::new(version, version).expect("one version is a range");
        let identity = *Crew::fingerprint();
        let leaf_key = shown.map(|shown| Ed25519SecretKey::from_pkcs8(shown.key()).expect("the key is good"));
        let chain = shown.map_or(&[][..], |shown| shown.chain());
        let chain: Vec<_> = chain.iter().map(|der| LongString::new(der).expect("it is short")).collect();
        let credentials = service.zip(leaf_key.as_ref()).map(|(service, key)| {
            let chain = CertificateChain::new(&chain).expect("a chain");
            let role = match service {
                Service::Messages(_) => ServiceRole::Messaging,
                Service::Notifications(_) => ServiceRole::Notifier,
            };
            ServiceCredentials::new(role, chain, keys::SESSION_KEY.public_key(), CertificateSigner::Ed25519(key))
        });
        let configuration = ClientConfiguration { versions, identity, is_proxy: false, service: credentials };
        let own = X25519SecretKey::from_bytes(&[5; 32]);
        let handshake = ClientHandshake::new(configuration, session_id, leaf, own);
        let mut block = Box::new([0; BLOCK_LENGTH]);
        crew.poll(|context| tls.poll_read_block(context, &mut block)).expect("the relay says hello");
        let step = handshake.receive(&mut block).expect("the hello is good");
        send(&mut tls, crew, &block);
        crew.run();
        let session = match step {
            ClientStep::Session(session) => session,
            ClientStep::Service(awaiting) => {
                crew.poll(|context| tls.poll_read_block(context, &mut block)).expect("the relay answers");
                awaiting.receive(&block).expect("the service is accepted")
            }
        };
        Self { tls, session, service, inbox: VecDeque::new() }
    }

    /// The id of the service that it is.
    pub(super) fn service_id(&self) -> Option<&[u8]> {
        self.session.context.service().map(|service| service.id().as_bytes())
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
        command: &[u8],
    ) -> Option<Vec<u8>> {
        self.encode_signed(correlation, key, entity, command, self.is_signed(command))
    }

    /// Whether a command is signed by the service too, if the client is one.
    pub(super) fn is_signed(&self, command: &[u8]) -> bool {
        let associates = command.starts_with(b"NEW ") || command == b"SUB" || command == b"NSUB";
        associates && self.service_id().is_some()
    }

    /// The same with the service's signature, or without.
    pub(super) fn encode_signed(
        &self,
        correlation: &[u8; 24],
        key: Option<&AuthorizationSecretKey>,
        entity: &[u8],
        command: &[u8],
        signed: bool,
    ) -> Option<Vec<u8>> {
        let (context, id) = (&self.session.context, CorrelationId::from_array(correlation));
        let mut buffer = vec![0; BLOCK_LENGTH];
        let entity = EntityId::new(entity).ok()?;
        let session_id = context.session_id();
        let bytes = AuthorizedBytes::write(&mut buffer, session_id, id, entity, |writer| writer.bytes(command)).ok()?;
        let fingerprint = context.service().filter(|_| signed).map_or(&[][..], |service| service.fingerprint());
        let authorized = [fingerprint, bytes.as_bytes()].concat();
        let made = match key {
            Some(key) => Some(authorize(key, context.peer_key(), id, &authorized).ok()?),
            None => None,
        };
        let signature = signed.then(|| sign_service(&keys::SESSION_KEY, bytes.as_bytes()));
        let authorization = made.as_ref().map_or(Authorization::None, |made| made.as_authorization());
        let mut out = vec![0; BLOCK_LENGTH];
        let mut writer = Writer::new(&mut out);
        bytes.encode(&mut writer, self.version(), &authorization, signature.as_ref()).ok()?;
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
        send(&mut self.tls, crew, &block);
    }

    fn seal_and_send(&mut self, crew: &mut Crew, mut block: Block, length: usize) {
        self.session.sealer.seal(&mut block, length).expect("the content fits");
        send(&mut self.tls, crew, &block);
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

fn send(tls: &mut TlsStream<DuplexStream>, crew: &mut Crew, block: &[u8; BLOCK_LENGTH]) {
    crew.poll(|context| tls.poll_write_block(context, block)).expect("the relay is there");
    // It went to the stream, or goes with the next read.
    let _ = tls.poll_writable(&mut Context::from_waker(Waker::noop()));
}
