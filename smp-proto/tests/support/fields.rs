//! Builds commands, messages and errors from the fields that test values name.

use serde_json::Value;
use smp_proto::address::ServerAddress;
use smp_proto::id::{LinkId, MessageId, QueueId, ServiceId, SessionId};
use smp_proto::key::{AuthorizationKey, X25519PublicKey};
use smp_proto::smp::broker::BrokerMessage;
use smp_proto::smp::command::Command;
use smp_proto::smp::error::{
    Blocked, BlockingReason, BrokerError, CommandError, ErrorText, HandshakeError, NameError, NestedError,
    NetworkError, Notice, ProxyError, SmpError, TransportError,
};
use smp_proto::smp::link::{LinkContent, LinkData, SetLink};
use smp_proto::smp::notifier::{EncryptedNotification, NotifierIds, NotifierKeys};
use smp_proto::smp::password::PasswordRef;
use smp_proto::smp::proxy::{ProxyForward, ProxyKey, ProxySession};
use smp_proto::smp::queue_info::QueueInfo;
use smp_proto::smp::recipient::{
    ContactLink, EncryptedMessage, InvitationLink, NewQueue, QueueIds, QueueMode, QueueRequest, SubscriptionMode,
};
use smp_proto::smp::sender::Send;
use smp_proto::smp::service::{IdsHash, ServiceQueues};
use smp_proto::transport::hello::CertificateChain;
use smp_proto::version::{SmpVersion, VersionRange};
use smp_proto::wire::{Decode, LongString, NonEmptyList, Reader, ShortString};

use crate::support::{bytes, number, optional_bytes, truth};

fn key(value: &Value) -> AuthorizationKey {
    AuthorizationKey::from_spki(&bytes(value)).unwrap()
}

fn dh_key(value: &Value) -> X25519PublicKey {
    X25519PublicKey::from_spki(&bytes(value)).unwrap()
}

/// A byte string, or for values given by their hash, zeros of the same length behind the same beginning.
fn blob(value: &Value) -> Vec<u8> {
    if value.is_string() {
        return bytes(value);
    }
    let mut blob = bytes(&value["first64"]);
    blob.resize(usize::try_from(number(&value["len"])).unwrap(), 0);
    blob
}

fn notifier_keys(value: &Value) -> Option<NotifierKeys> {
    (!value.is_null()).then(|| NotifierKeys {
        notifier_key: key(&value["notifierKey"]),
        recipient_dh_key: dh_key(&value["rcvNtfDh"]),
    })
}

/// Calls `then` with the command of this tag and these fields.
pub(crate) fn with_command(tag: &str, fields: &Value, then: impl Fn(&Command<'_>)) {
    match tag {
        "NEW" => new_queue(fields, |new| then(&Command::New(new))),
        "SUB" => then(&Command::Subscribe),
        "SUBS" => with_queues(fields, |queues| then(&Command::SubscribeService(queues))),
        "NSUBS" => with_queues(fields, |queues| then(&Command::SubscribeNotifierService(queues))),
        "KEY" => then(&Command::Secure(key(&fields["key"]))),
        "SKEY" => then(&Command::SecureBySender(key(&fields["key"]))),
        "LKEY" => then(&Command::SecureByLink(key(&fields["key"]))),
        "RKEY" => {
            let keys: Vec<_> = fields["keys"].as_array().unwrap().iter().map(key).collect();
            then(&Command::SetRecipientKeys(NonEmptyList::new(&keys).unwrap()));
        }
        "LSET" => {
            let (link_id, fixed, user) = (bytes(&fields["linkId"]), blob(&fields["fixed"]), blob(&fields["user"]));
            then(&Command::SetLink(SetLink {
                link_id: LinkId::new(&link_id).unwrap(),
                data: link_data(&fixed, &user),
            }));
        }
        "LDEL" => then(&Command::DeleteLink),
        "NKEY" => then(&Command::EnableNotifications(notifier_keys(fields).unwrap())),
        "NDEL" => then(&Command::DisableNotifications),
        "GET" => then(&Command::Get),
        "ACK" => then(&Command::Acknowledge(MessageId::new(&bytes(&fields["msgId"])).unwrap())),
        "OFF" => then(&Command::Suspend),
        "DEL" => then(&Command::Delete),
        "QUE" => then(&Command::QueueInfo),
        "SEND" => {
            let body = bytes(&fields["body"]);
            then(&Command::Send(Send { notify: truth(&fields["notification"]), body: &body }));
        }
        "LGET" => then(&Command::GetLink),
        "NSUB" => then(&Command::SubscribeNotifications),
        "PING" => then(&Command::Ping),
        "PRXY" => {
            let server = server(&fields["server"]);
            let password = fields["password"].as_str().map(|text| PasswordRef::new(text.as_bytes()).unwrap());
            then(&Command::ProxySession(ProxySession {
                server: ServerAddress::from_bytes(&server).unwrap(),
                password,
            }));
        }
        "PFWD" => {
            let encrypted = bytes(&fields["encTransmission"]);
            then(&Command::ProxyForward(ProxyForward {
                version: SmpVersion(u16::try_from(number(&fields["version"])).unwrap()),
                key: dh_key(&fields["key"]),
                encrypted: &encrypted,
            }));
        }
        "RFWD" => then(&Command::RelayForward(&bytes(&fields["encFwdTransmission"]))),
        "RSLV" => {
            let domain = fields["domain"].as_str().unwrap();
            then(&Command::ResolveName(smp_proto::smp::names::Domain::new(domain).unwrap()));
        }
        other => panic!("unknown tag {other}"),
    }
}

fn link_data<'a>(fixed: &'a [u8], user: &'a [u8]) -> LinkData<'a> {
    LinkData { fixed: LongString::new(fixed).unwrap(), user: LongString::new(user).unwrap() }
}

fn server(value: &Value) -> Vec<u8> {
    let string = |bytes: &[u8]| [&[u8::try_from(bytes.len()).unwrap()], bytes].concat();
    let hosts = value["hosts"].as_array().unwrap();
    let mut encoded = vec![u8::try_from(hosts.len()).unwrap()];
    hosts.iter().for_each(|host| encoded.extend(string(host.as_str().unwrap().as_bytes())));
    encoded.extend(string(value["port"].as_str().unwrap().as_bytes()));
    encoded.extend(string(&bytes(&value["keyHash"])));
    encoded
}

fn new_queue(fields: &Value, then: impl Fn(NewQueue<'_>)) {
    let request = &fields["queueReq"];
    let data = &request["data"];
    let contact = match request["mode"].as_str() {
        None => None,
        Some("M") => Some(false),
        Some("C") => Some(true),
        Some(other) => panic!("unknown mode {other}"),
    };
    let blobs = (!data.is_null()).then(|| {
        (optional_bytes(&data["linkId"]), bytes(&data["senderId"]), blob(&data["fixed"]), blob(&data["user"]))
    });
    let request = contact.map(|contact| {
        if contact {
            QueueRequest::Contact(blobs.as_ref().map(|(link_id, sender_id, fixed, user)| ContactLink {
                link_id: LinkId::new(link_id.as_ref().unwrap()).unwrap(),
                sender_id: QueueId::new(sender_id).unwrap(),
                data: link_data(fixed, user),
            }))
        } else {
            QueueRequest::Messaging(blobs.as_ref().map(|(_, sender_id, fixed, user)| InvitationLink {
                sender_id: QueueId::new(sender_id).unwrap(),
                data: link_data(fixed, user),
            }))
        }
    });
    then(NewQueue {
        recipient_key: key(&fields["rcvAuth"]),
        recipient_dh_key: dh_key(&fields["rcvDh"]),
        password: fields["password"].as_str().map(|text| PasswordRef::new(text.as_bytes()).unwrap()),
        subscription: match fields["subMode"].as_str().unwrap() {
            "S" => SubscriptionMode::Subscribe,
            "C" => SubscriptionMode::CreateOnly,
            other => panic!("unknown mode {other}"),
        },
        request,
        notifier: notifier_keys(&fields["ntfCreds"]),
    });
}

fn with_queues(fields: &Value, then: impl Fn(ServiceQueues<'_>)) {
    let hash: Option<[u8; 16]> = optional_bytes(&fields["idsHash"]).map(|hash| hash.try_into().unwrap());
    then(match (&fields["count"], &hash) {
        (Value::Null, None) => ServiceQueues::UNKNOWN,
        (count, hash) => {
            ServiceQueues { count: number(count), hash: hash.as_ref().map_or(IdsHash::ZERO, IdsHash::new) }
        }
    });
}

/// Calls `then` with the message of this tag and these fields.
pub(crate) fn with_message(tag: &str, fields: &Value, then: impl Fn(&BrokerMessage<'_>)) {
    match tag {
        "IDS" => queue_ids(fields, |ids| then(&BrokerMessage::Ids(ids))),
        "LNK" => {
            let (sender_id, fixed, user) = (bytes(&fields["senderId"]), blob(&fields["fixed"]), blob(&fields["user"]));
            let content = LinkContent { sender_id: QueueId::new(&sender_id).unwrap(), data: link_data(&fixed, &user) };
            then(&BrokerMessage::Link(content));
        }
        "SOK" => {
            let service_id = optional_bytes(&fields["serviceId"]);
            then(&BrokerMessage::Subscribed(service_id.as_ref().map(|id| ServiceId::new(id).unwrap())));
        }
        "SOKS" => with_queues(fields, |queues| then(&BrokerMessage::ServiceSubscribed(queues))),
        "MSG" => {
            let (message_id, body) = (bytes(&fields["msgId"]), bytes(&fields["body"]));
            let message_id = MessageId::new(&message_id).unwrap();
            then(&BrokerMessage::Message(EncryptedMessage { message_id, body: &body }));
        }
        "NID" => {
            let notifier_id = bytes(&fields["notifierId"]);
            then(&BrokerMessage::NotifierId(NotifierIds {
                notifier_id: QueueId::new(&notifier_id).unwrap(),
                relay_dh_key: dh_key(&fields["srvNtfDh"]),
            }));
        }
        "NMSG" => {
            let (nonce, metadata) = (bytes(&fields["nonce"]), bytes(&fields["encMeta"]));
            then(&BrokerMessage::Notification(EncryptedNotification {
                nonce: nonce[..].try_into().unwrap(),
                metadata: ShortString::new(&metadata).unwrap(),
            }));
        }
        "PKEY" => {
            let (session_id, signed_key) = (bytes(&fields["sessionId"]), bytes(&fields["skey"]));
            let range: Vec<_> = fields["range"]
                .as_array()
                .unwrap()
                .iter()
                .map(|v| SmpVersion(u16::try_from(number(v)).unwrap()))
                .collect();
            let chain: Vec<_> = fields["chain"].as_array().unwrap().iter().map(bytes).collect();
            let chain: Vec<_> = chain.iter().map(|certificate| LongString::new(certificate).unwrap()).collect();
            then(&BrokerMessage::ProxyKey(ProxyKey {
                session_id: SessionId::new(&session_id).unwrap(),
                versions: VersionRange::new(range[0], range[1]).unwrap(),
                chain: CertificateChain::new(&chain).unwrap(),
                signed_key: LongString::new(&signed_key).unwrap(),
            }));
        }
        "RRES" => then(&BrokerMessage::RelayResponse(&bytes(&fields["encFwdResponse"]))),
        "PRES" => then(&BrokerMessage::ProxyResponse(&bytes(&fields["encResponse"]))),
        "END" => then(&BrokerMessage::End),
        "ENDS" => with_queues(fields, |queues| then(&BrokerMessage::ServiceEnd(queues))),
        "ALLS" => then(&BrokerMessage::AllDelivered),
        "DELD" => then(&BrokerMessage::Deleted),
        "INFO" => {
            let json = fields["json"].as_str().unwrap();
            let info = QueueInfo::decode(&mut Reader::new(json.as_bytes())).unwrap();
            same_info(&info, &serde_json::from_str(json).unwrap());
            then(&BrokerMessage::Info(info));
        }
        "OK" => then(&BrokerMessage::Ok),
        "PONG" => then(&BrokerMessage::Pong),
        other => panic!("unknown tag {other}"),
    }
}

/// Compares queue information with what another JSON reader makes of the same text.
fn same_info(info: &QueueInfo<'_>, json: &Value) {
    assert_eq!(info.secured, json["qiSnd"]);
    assert_eq!(info.notifications, json["qiNtf"]);
    assert_eq!(info.size, json["qiSize"]);
    assert_eq!(info.subscription.is_some(), json["qiSub"].is_object());
    if let Some(subscription) = info.subscription {
        let delivered = subscription.delivered.map(|id| id.to_string());
        assert_eq!(delivered.as_deref(), json["qiSub"]["qDelivered"].as_str());
    }
    assert_eq!(info.head.is_some(), json["qiMsg"].is_object());
    if let Some(head) = info.head {
        assert_eq!(head.message_id.to_string(), json["qiMsg"]["msgId"]);
        assert_eq!(head.time.to_string(), json["qiMsg"]["msgTs"]);
    }
}

fn queue_ids(fields: &Value, then: impl Fn(QueueIds<'_>)) {
    let (recipient_id, sender_id) = (bytes(&fields["rcvId"]), bytes(&fields["sndId"]));
    let (link_id, service_id) = (optional_bytes(&fields["linkId"]), optional_bytes(&fields["serviceId"]));
    let credentials = &fields["ntfCreds"];
    let notifier_id = optional_bytes(&credentials["notifierId"]);
    then(QueueIds {
        recipient_id: QueueId::new(&recipient_id).unwrap(),
        sender_id: QueueId::new(&sender_id).unwrap(),
        relay_dh_key: dh_key(&fields["srvDh"]),
        mode: match fields["mode"].as_str() {
            None => None,
            Some("M") => Some(QueueMode::Messaging),
            Some("C") => Some(QueueMode::Contact),
            Some(other) => panic!("unknown mode {other}"),
        },
        link_id: link_id.as_ref().map(|id| LinkId::new(id).unwrap()),
        service_id: service_id.as_ref().map(|id| ServiceId::new(id).unwrap()),
        notifier: notifier_id.as_ref().map(|id| NotifierIds {
            notifier_id: QueueId::new(id).unwrap(),
            relay_dh_key: dh_key(&credentials["srvNtfDh"]),
        }),
    });
}

/// An error and those nested in it, which it borrows when asked for.
pub(crate) enum ShownError {
    Plain(SmpError<'static>),
    Nested(Box<SmpError<'static>>),
}

impl ShownError {
    pub(crate) fn error(&self) -> SmpError<'_> {
        match self {
            Self::Plain(error) => *error,
            Self::Nested(inner) => SmpError::Proxy(ProxyError::Protocol(NestedError::new(inner))),
        }
    }
}

/// The error that is shown like this, such as `CMD {cmdErr = SYNTAX}`.
pub(crate) fn error_from_shown(shown: &str) -> ShownError {
    if let Some(inner) = inside(shown, "PROXY {proxyErr = PROTOCOL {protocolErr = ", "}}") {
        let ShownError::Plain(error) = error_from_shown(inner) else { panic!("two levels") };
        return ShownError::Nested(Box::new(error));
    }
    // The text and the number an error may have, for all errors that can have one.
    let text = shown.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"')).map_or("", |(text, _)| text);
    let text = ErrorText(Box::leak(text.to_owned().into_boxed_str()).as_bytes());
    let ttl = shown.rsplit_once("Just ").and_then(|(_, rest)| rest.trim_end_matches(['}', ')']).parse().ok());
    let known = [
        SmpError::Block,
        SmpError::Session,
        SmpError::Auth,
        SmpError::Service,
        SmpError::Crypto,
        SmpError::Quota,
        SmpError::NoMessage,
        SmpError::LargeMessage,
        SmpError::Expired,
        SmpError::Internal,
        SmpError::Duplicate,
        SmpError::Command(CommandError::Unknown),
        SmpError::Command(CommandError::Syntax),
        SmpError::Command(CommandError::Prohibited),
        SmpError::Command(CommandError::NoAuthorization),
        SmpError::Command(CommandError::HasAuthorization),
        SmpError::Command(CommandError::NoEntity),
        SmpError::Store(text),
        SmpError::Name(NameError::NoResolver),
        SmpError::Name(NameError::NotFound),
        SmpError::Name(NameError::Resolver(text)),
        blocked(BlockingReason::Spam, None),
        blocked(BlockingReason::Content, None),
        blocked(BlockingReason::Spam, Some(Notice { ttl })),
        blocked(BlockingReason::Content, Some(Notice { ttl })),
        SmpError::Proxy(ProxyError::BasicAuth),
        SmpError::Proxy(ProxyError::NoSession),
        broker(BrokerError::Response(text)),
        broker(BrokerError::Unexpected(text)),
        broker(BrokerError::Network(NetworkError::Connect(text))),
        broker(BrokerError::Network(NetworkError::Tls(text))),
        broker(BrokerError::Network(NetworkError::UnknownAuthority)),
        broker(BrokerError::Network(NetworkError::Failed)),
        broker(BrokerError::Network(NetworkError::Timeout)),
        broker(BrokerError::Network(NetworkError::Subscribe(text))),
        broker(BrokerError::Host),
        broker(BrokerError::NoService),
        broker(BrokerError::Timeout),
        transport(TransportError::Block),
        transport(TransportError::Version),
        transport(TransportError::LargeMessage),
        transport(TransportError::Session),
        transport(TransportError::NoServerKey),
        transport(TransportError::Handshake(HandshakeError::Parse)),
        transport(TransportError::Handshake(HandshakeError::Identity)),
        transport(TransportError::Handshake(HandshakeError::BadAuthentication)),
        transport(TransportError::Handshake(HandshakeError::BadService)),
    ];
    let found = known.into_iter().find(|error| shown_error(error) == shown);
    ShownError::Plain(found.unwrap_or_else(|| panic!("unknown error {shown}")))
}

fn inside<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.strip_prefix(before)?.strip_suffix(after)
}

fn blocked(reason: BlockingReason, notice: Option<Notice>) -> SmpError<'static> {
    SmpError::Blocked(Blocked { reason, notice })
}

fn broker(error: BrokerError<'static>) -> SmpError<'static> {
    SmpError::Proxy(ProxyError::Broker(error))
}

fn transport(error: TransportError) -> SmpError<'static> {
    broker(BrokerError::Transport(error))
}

/// How the test values show an error.
pub(crate) fn shown_error(error: &SmpError<'_>) -> String {
    match error {
        SmpError::Block => "BLOCK".into(),
        SmpError::Session => "SESSION".into(),
        SmpError::Command(error) => {
            let word = match error {
                CommandError::Unknown => "UNKNOWN",
                CommandError::Syntax => "SYNTAX",
                CommandError::Prohibited => "PROHIBITED",
                CommandError::NoAuthorization => "NO_AUTH",
                CommandError::HasAuthorization => "HAS_AUTH",
                CommandError::NoEntity => "NO_ENTITY",
            };
            format!("CMD {{cmdErr = {word}}}")
        }
        SmpError::Proxy(error) => format!("PROXY {{proxyErr = {}}}", shown_proxy(error)),
        SmpError::Auth => "AUTH".into(),
        SmpError::Blocked(Blocked { reason, notice }) => {
            let reason = match reason {
                BlockingReason::Spam => "BRSpam",
                BlockingReason::Content => "BRContent",
            };
            let notice = match notice {
                None => "Nothing".into(),
                Some(Notice { ttl: None }) => "Just (ClientNotice {ttl = Nothing})".into(),
                Some(Notice { ttl: Some(ttl) }) => format!("Just (ClientNotice {{ttl = Just {ttl}}})"),
            };
            format!("BLOCKED {{blockInfo = BlockingInfo {{reason = {reason}, notice = {notice}}}}}")
        }
        SmpError::Service => "SERVICE".into(),
        SmpError::Crypto => "CRYPTO".into(),
        SmpError::Quota => "QUOTA".into(),
        SmpError::Store(text) => format!("STORE {{storeErr = \"{text}\"}}"),
        SmpError::Expired => "EXPIRED".into(),
        SmpError::NoMessage => "NO_MSG".into(),
        SmpError::LargeMessage => "LARGE_MSG".into(),
        SmpError::Internal => "INTERNAL".into(),
        SmpError::Duplicate => "DUPLICATE_".into(),
        SmpError::Name(NameError::NoResolver) => "NAME {nameErr = NO_RESOLVER}".into(),
        SmpError::Name(NameError::NotFound) => "NAME {nameErr = NOT_FOUND}".into(),
        SmpError::Name(NameError::Resolver(text)) => format!("NAME {{nameErr = RESOLVER \"{text}\"}}"),
        other => panic!("unknown error {other:?}"),
    }
}

fn shown_proxy(error: &ProxyError<'_>) -> String {
    match error {
        ProxyError::Protocol(nested) => format!("PROTOCOL {{protocolErr = {}}}", shown_error(&nested.get())),
        ProxyError::Broker(error) => format!("BROKER {{brokerErr = {}}}", shown_broker(error)),
        ProxyError::BasicAuth => "BASIC_AUTH".into(),
        ProxyError::NoSession => "NO_SESSION".into(),
    }
}

fn shown_broker(error: &BrokerError<'_>) -> String {
    match error {
        BrokerError::Response(text) => format!("RESPONSE {{respErr = \"{text}\"}}"),
        BrokerError::Unexpected(text) => format!("UNEXPECTED {{respErr = \"{text}\"}}"),
        BrokerError::Transport(error) => {
            let shown = match error {
                TransportError::Block => "TEBadBlock".into(),
                TransportError::Version => "TEVersion".into(),
                TransportError::LargeMessage => "TELargeMsg".into(),
                TransportError::Session => "TEBadSession".into(),
                TransportError::NoServerKey => "TENoServerAuth".into(),
                TransportError::Handshake(error) => {
                    let word = match error {
                        HandshakeError::Parse => "PARSE",
                        HandshakeError::Identity => "IDENTITY",
                        HandshakeError::BadAuthentication => "BAD_AUTH",
                        HandshakeError::BadService => "BAD_SERVICE",
                    };
                    format!("TEHandshake {{handshakeErr = {word}}}")
                }
            };
            format!("TRANSPORT {{transportErr = {shown}}}")
        }
        BrokerError::Network(error) => {
            let shown = match error {
                NetworkError::Connect(text) => format!("NEConnectError {{connectError = \"{text}\"}}"),
                NetworkError::Tls(text) => format!("NETLSError {{tlsError = \"{text}\"}}"),
                NetworkError::UnknownAuthority => "NEUnknownCAError".into(),
                NetworkError::Failed => "NEFailedError".into(),
                NetworkError::Timeout => "NETimeoutError".into(),
                NetworkError::Subscribe(text) => format!("NESubscribeError {{subscribeError = \"{text}\"}}"),
            };
            format!("NETWORK {{networkError = {shown}}}")
        }
        BrokerError::Timeout => "TIMEOUT".into(),
        BrokerError::Host => "HOST".into(),
        BrokerError::NoService => "NO_SERVICE".into(),
    }
}
