//! Every command, message and error at every version: read back, cut short, with flipped bits, and from noise.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use smp_proto::address::ServerAddress;
use smp_proto::id::{LinkId, MessageId, QueueId, ServiceId, SessionId};
use smp_proto::key::{AuthorizationKey, Ed448PublicKey, Ed25519PublicKey, X25519PublicKey};
use smp_proto::smp::error::{
    Blocked, BlockingReason, BrokerError, ErrorText, HandshakeError, NameError, NestedError, NetworkError, Notice,
    ProxyError, TransportError,
};
use smp_proto::smp::json::JsonString;
use smp_proto::smp::link::{LinkContent, LinkData, SetLink};
use smp_proto::smp::names::{Domain, JsonStrings, NameRecord};
use smp_proto::smp::notifier::{EncryptedNotification, NotifierIds, NotifierKeys};
use smp_proto::smp::password::PasswordRef;
use smp_proto::smp::proxy::{ForwardedResponse, ForwardedTransmission, ProxyForward, ProxyKey, ProxySession};
use smp_proto::smp::queue_info::{HeadMessage, MessageKind, QueueInfo, SubscriptionInfo, SubscriptionState};
use smp_proto::smp::recipient::{
    ContactLink, EncryptedMessage, InvitationLink, NewQueue, QueueIds, QueueMode, QueueRequest, SubscriptionMode,
};
use smp_proto::smp::sender::Send;
use smp_proto::smp::service::{IdsHash, ServiceQueues};
use smp_proto::smp::{BrokerMessage, Command, CommandError, SmpError};
use smp_proto::transport::hello::{CertificateChain, ClientHello, ServerHello, ServiceReply};
use smp_proto::transport::{Batch, Transmission};
use smp_proto::version::{SmpVersion, VersionRange};
use smp_proto::wire::{Decode, Encode, LongString, NonEmptyList, Reader, ShortString, Writer};

const ED25519: AuthorizationKey = AuthorizationKey::Ed25519(Ed25519PublicKey([1; 32]));
const ED448: AuthorizationKey = AuthorizationKey::Ed448(Ed448PublicKey([2; 57]));
const X25519: AuthorizationKey = AuthorizationKey::X25519(X25519PublicKey([3; 32]));
const DH: X25519PublicKey = X25519PublicKey([4; 32]);
const KEYS: [AuthorizationKey; 3] = [ED25519, ED448, X25519];
const NOTIFIER: NotifierKeys = NotifierKeys { notifier_key: ED448, recipient_dh_key: DH };
const QUEUE: QueueId<'static> = QueueId::from_array(&[5; 24]);
const LINK: LinkId<'static> = LinkId::from_array(&[6; 24]);
const SERVICE: ServiceId<'static> = ServiceId::from_array(&[7; 24]);
const MESSAGE: MessageId<'static> = MessageId::from_array(&[8; 24]);
const QUEUES: ServiceQueues<'static> = ServiceQueues { count: 1 << 40, hash: IdsHash::new(&[9; 16]) };

fn versions() -> impl Iterator<Item = SmpVersion> {
    (6..=20).map(SmpVersion)
}

fn link_data() -> LinkData<'static> {
    LinkData { fixed: LongString::new(&[10; 40]).unwrap(), user: LongString::new(&[11; 300]).unwrap() }
}

fn commands() -> Vec<Command<'static>> {
    let password = Some(PasswordRef::new(b"p4ss").unwrap());
    let requests = [
        None,
        Some(QueueRequest::Messaging(None)),
        Some(QueueRequest::Contact(None)),
        Some(QueueRequest::Messaging(Some(InvitationLink { sender_id: QUEUE, data: link_data() }))),
        Some(QueueRequest::Contact(Some(ContactLink { link_id: LINK, sender_id: QUEUE, data: link_data() }))),
    ];
    let mut commands = vec![
        Command::Subscribe,
        Command::SubscribeService(QUEUES),
        Command::Secure(ED25519),
        Command::SetRecipientKeys(NonEmptyList::new(&KEYS).unwrap()),
        Command::SetLink(SetLink { link_id: LINK, data: link_data() }),
        Command::DeleteLink,
        Command::EnableNotifications(NOTIFIER),
        Command::DisableNotifications,
        Command::Get,
        Command::Acknowledge(MESSAGE),
        Command::Suspend,
        Command::Delete,
        Command::QueueInfo,
        Command::SecureBySender(X25519),
        Command::Send(Send { notify: true, body: b"body with spaces" }),
        Command::Send(Send { notify: false, body: b"" }),
        Command::SecureByLink(ED448),
        Command::GetLink,
        Command::SubscribeNotifications,
        Command::SubscribeNotifierService(QUEUES),
        Command::Ping,
        Command::ProxyForward(ProxyForward { version: SmpVersion(9), key: DH, encrypted: &[12; 50] }),
        Command::RelayForward(&[13; 50]),
        Command::ResolveName(Domain::new("alice.simplex").unwrap()),
    ];
    for request in requests {
        for (password, notifier) in [(None, None), (password, Some(NOTIFIER))] {
            for subscription in [SubscriptionMode::Subscribe, SubscriptionMode::CreateOnly] {
                let recipient_key = ED25519;
                let new = NewQueue { recipient_key, recipient_dh_key: DH, password, subscription, request, notifier };
                commands.push(Command::New(new));
            }
        }
    }
    for password in [None, password] {
        let server = ServerAddress::from_bytes(b"\x02\x0fsmp.example.com\x071.2.3.4\x045223\x04hash").unwrap();
        commands.push(Command::ProxySession(ProxySession { server, password }));
    }
    commands
}

fn errors() -> Vec<SmpError<'static>> {
    let text = ErrorText("caf\u{e9} closed".as_bytes());
    let broker = |error| SmpError::Proxy(ProxyError::Broker(error));
    let transport = |error| broker(BrokerError::Transport(error));
    let handshake = |error| transport(TransportError::Handshake(error));
    let blocked = |reason, notice| SmpError::Blocked(Blocked { reason, notice });
    let mut errors = vec![
        SmpError::Block,
        SmpError::Session,
        SmpError::Command(CommandError::Unknown),
        SmpError::Command(CommandError::Syntax),
        SmpError::Command(CommandError::Prohibited),
        SmpError::Command(CommandError::NoAuthorization),
        SmpError::Command(CommandError::HasAuthorization),
        SmpError::Command(CommandError::NoEntity),
        SmpError::Auth,
        blocked(BlockingReason::Spam, None),
        blocked(BlockingReason::Content, Some(Notice { ttl: None })),
        blocked(BlockingReason::Spam, Some(Notice { ttl: Some(86_400) })),
        SmpError::Service,
        SmpError::Crypto,
        SmpError::Quota,
        SmpError::Store(text),
        SmpError::Expired,
        SmpError::NoMessage,
        SmpError::LargeMessage,
        SmpError::Internal,
        SmpError::Duplicate,
        SmpError::Name(NameError::NoResolver),
        SmpError::Name(NameError::NotFound),
        SmpError::Name(NameError::Resolver(text)),
        SmpError::Proxy(ProxyError::BasicAuth),
        SmpError::Proxy(ProxyError::NoSession),
        broker(BrokerError::Response(text)),
        broker(BrokerError::Unexpected(text)),
        broker(BrokerError::Network(NetworkError::Failed)),
        broker(BrokerError::Timeout),
        broker(BrokerError::Host),
        broker(BrokerError::NoService),
        transport(TransportError::Block),
        transport(TransportError::Version),
        transport(TransportError::LargeMessage),
        transport(TransportError::Session),
        transport(TransportError::NoServerKey),
        handshake(HandshakeError::Parse),
        handshake(HandshakeError::Identity),
        handshake(HandshakeError::BadAuthentication),
        handshake(HandshakeError::BadService),
    ];
    for inner in errors.clone() {
        let inner: &'static SmpError<'static> = Box::leak(Box::new(inner));
        errors.push(SmpError::Proxy(ProxyError::Protocol(NestedError::new(inner))));
    }
    errors
}

fn messages() -> Vec<BrokerMessage<'static>> {
    static LINKS: [&str; 2] = ["simplex:/a#\"quoted\"", "simplex:/c#x"];
    let links: &'static [JsonString<'static>] = Box::leak(Box::new(LINKS.map(JsonString::new)));
    let chain: &'static [LongString<'static>] =
        Box::leak(Box::new([LongString::new(b"leaf").unwrap(), LongString::new(b"identity").unwrap()]));
    let text = JsonString::new("text \u{1f600}\n");
    let ids = NotifierIds { notifier_id: QUEUE, relay_dh_key: DH };
    let mut messages = vec![
        BrokerMessage::Link(LinkContent { sender_id: QUEUE, data: link_data() }),
        BrokerMessage::Subscribed(None),
        BrokerMessage::Subscribed(Some(SERVICE)),
        BrokerMessage::ServiceSubscribed(QUEUES),
        BrokerMessage::Message(EncryptedMessage { message_id: MESSAGE, body: &[14; 60] }),
        BrokerMessage::NotifierId(ids),
        BrokerMessage::Notification(EncryptedNotification {
            nonce: &[15; 24],
            metadata: ShortString::new(&[16; 144]).unwrap(),
        }),
        BrokerMessage::ProxyKey(ProxyKey {
            session_id: SessionId::new(&[17; 32]).unwrap(),
            versions: VersionRange::new(SmpVersion(8), SmpVersion(20)).unwrap(),
            chain: CertificateChain::new(chain).unwrap(),
            signed_key: LongString::new(&[18; 122]).unwrap(),
        }),
        BrokerMessage::RelayResponse(&[19; 30]),
        BrokerMessage::ProxyResponse(&[20; 30]),
        BrokerMessage::End,
        BrokerMessage::ServiceEnd(QUEUES),
        BrokerMessage::AllDelivered,
        BrokerMessage::Deleted,
        BrokerMessage::Ok,
        BrokerMessage::Pong,
        BrokerMessage::Name(NameRecord {
            name: text,
            nickname: text,
            website: JsonString::new(""),
            location: text,
            contact_links: JsonStrings::new(links),
            channel_links: JsonStrings::new(&[]),
            eth: Some(text),
            btc: None,
            xmr: None,
            dot: Some(text),
            owner: text,
            resolver: text,
        }),
    ];
    for mode in [None, Some(QueueMode::Messaging), Some(QueueMode::Contact)] {
        for full in [false, true] {
            messages.push(BrokerMessage::Ids(QueueIds {
                recipient_id: QUEUE,
                sender_id: QUEUE,
                relay_dh_key: DH,
                mode,
                link_id: full.then_some(LINK),
                service_id: full.then_some(SERVICE),
                notifier: full.then_some(ids),
            }));
        }
    }
    for state in [
        SubscriptionState::Idle,
        SubscriptionState::Pending,
        SubscriptionState::Delivering,
        SubscriptionState::Prohibited,
    ] {
        for kind in [MessageKind::Message, MessageKind::Quota] {
            messages.push(BrokerMessage::Info(QueueInfo {
                secured: true,
                notifications: false,
                subscription: Some(SubscriptionInfo { state, delivered: Some(text) }),
                size: 129,
                head: Some(HeadMessage { message_id: text, time: text, kind }),
            }));
        }
    }
    messages.extend(errors().into_iter().map(BrokerMessage::Error));
    messages
}

fn written(write: impl Fn(&mut Writer<'_>) -> Result<(), smp_proto::wire::Error>) -> Vec<u8> {
    let mut buffer = [0; 1500];
    let mut writer = Writer::new(&mut buffer);
    write(&mut writer).unwrap();
    writer.written().to_vec()
}

/// The same, and sees that smaller buffers are refused.
fn written_in_little_space(write: impl Fn(&mut Writer<'_>) -> Result<(), smp_proto::wire::Error>) -> Vec<u8> {
    let written = written(&write);
    for space in [0, written.len() / 2, written.len() - 1] {
        assert!(write(&mut Writer::new(&mut vec![0; space])).is_err());
    }
    written
}

fn read_command(bytes: &[u8], version: SmpVersion) -> Result<Command<'_>, CommandError> {
    Command::decode(&mut Reader::new(bytes), version)
}

fn read_message(bytes: &[u8], version: SmpVersion) -> Result<BrokerMessage<'_>, CommandError> {
    BrokerMessage::decode(&mut Reader::new(bytes), version)
}

#[test]
fn commands_read_back_at_every_version() {
    for version in versions() {
        for command in commands() {
            let bytes = written_in_little_space(|writer| command.encode(writer, version));
            let read = read_command(&bytes, version).unwrap_or_else(|_| panic!("{command:?} at {version}"));
            assert_eq!(written(|writer| read.encode(writer, version)), bytes, "{command:?} at {version}");
            if version >= SmpVersion::SERVICE_SUBSCRIPTIONS {
                assert_eq!(read, command);
            }
            for end in 0..bytes.len() {
                if let Ok(shorter) = read_command(&bytes[..end], version) {
                    assert_ne!(shorter, read, "{command:?} at {version} cut to {end} bytes");
                }
            }
        }
    }
}

#[test]
fn messages_read_back_at_every_version() {
    for version in versions() {
        for message in messages() {
            let bytes = written_in_little_space(|writer| message.encode(writer, version));
            let read = read_message(&bytes, version).unwrap_or_else(|_| panic!("{message:?} at {version}"));
            assert_eq!(written(|writer| read.encode(writer, version)), bytes, "{message:?} at {version}");
            if version >= SmpVersion::SERVICE_SUBSCRIPTIONS {
                assert_eq!(read, message);
            }
            for end in 0..bytes.len() {
                if let Ok(shorter) = read_message(&bytes[..end], version) {
                    assert_ne!(shorter, read, "{message:?} at {version} cut to {end} bytes");
                }
            }
        }
    }
}

/// Whatever is read is written and read as the same.
fn is_stable(bytes: &[u8], version: SmpVersion) {
    if let Ok(command) = read_command(bytes, version) {
        let again = written(|writer| command.encode(writer, version));
        assert_eq!(read_command(&again, version), Ok(command));
    }
    if let Ok(message) = read_message(bytes, version) {
        let again = written(|writer| message.encode(writer, version));
        let read = read_message(&again, version).unwrap();
        assert_eq!(written(|writer| read.encode(writer, version)), again);
    }
}

#[test]
fn flipped_bits_are_refused_or_mean_something_else() {
    for version in [SmpVersion(6), SmpVersion(9), SmpVersion(16), SmpVersion(20)] {
        let commands = commands().into_iter().map(|command| written(|writer| command.encode(writer, version)));
        let messages = messages().into_iter().map(|message| written(|writer| message.encode(writer, version)));
        for mut bytes in commands.chain(messages) {
            for bit in 0..bytes.len() * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                is_stable(&bytes, version);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }
}

/// A generator of noise; the same on every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.to_be_bytes()[3]
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = self.next();
        (0..length).map(|_| self.next()).collect()
    }
}

#[test]
fn noise_is_never_fatal() {
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    let tags: Vec<_> = commands()
        .iter()
        .map(|command| command.tag().to_vec())
        .chain(messages().iter().map(|message| {
            let bytes = written(|writer| message.encode(writer, SmpVersion::MAX));
            bytes.split(|byte| *byte == b' ').next().unwrap().to_vec()
        }))
        .collect();
    for round in 0..20_000usize {
        let version = SmpVersion(u16::from(noise.next() % 16) + 5);
        let bytes = noise.bytes();
        is_stable(&bytes, version);
        let tagged = [&tags[round % tags.len()][..], b" ", &bytes].concat();
        is_stable(&tagged, version);
        let session_id = SessionId::new(&[1; 32]).unwrap();
        if let Ok(batch) = Batch::decode(&bytes) {
            assert_eq!(batch.iter().count(), batch.len());
        }
        let _ = Transmission::decode(&bytes, version, session_id);
        let _ = ServiceReply::from_bytes(&bytes);
        let _ = ForwardedTransmission::from_bytes(&bytes);
        let _ = ForwardedResponse::from_bytes(&bytes);
        if let Ok(hello) = ServerHello::from_bytes(&bytes) {
            assert_eq!(hello.to_slice(&mut [0; 300]).unwrap(), bytes);
        }
        if let Ok(hello) = ClientHello::from_bytes(&bytes) {
            assert_eq!(hello.to_slice(&mut [0; 300]).unwrap(), bytes);
        }
    }
}

#[test]
fn forwarded_layers_read_back() {
    let correlation_id = smp_proto::id::CorrelationId::from_array(&[21; 24]);
    let forward = ProxyForward { version: SmpVersion(17), key: DH, encrypted: b"encrypted" };
    let transmission = ForwardedTransmission { correlation_id, forward };
    let bytes = written(|writer| transmission.encode(writer));
    assert_eq!(bytes[..27], [&[24][..], &[21; 24], &[0, 17]].concat());
    assert_eq!(ForwardedTransmission::from_bytes(&bytes), Ok(transmission));
    let response = ForwardedResponse { correlation_id, encrypted: b"encrypted" };
    let bytes = written(|writer| response.encode(writer));
    assert_eq!(ForwardedResponse::from_bytes(&bytes), Ok(response));
}
