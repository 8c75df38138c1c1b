//! What the relay is about to say: responses and events that own what they carry until they are written to a block.

use std::sync::Arc;

use bytes::Bytes;
use rand::Rng;
use smallvec::SmallVec;
use smp_crypto::delivery::{SEALED_LENGTH, seal};
use smp_crypto::key::SharedSecret;
use smp_crypto::notification;
use smp_crypto::secret_box::{BoxKey, Nonce};
use smp_proto::id::{CorrelationId, EntityId, ID_LENGTH, LinkId, MessageId, QueueId, ServiceId, SessionId};
use smp_proto::key::X25519PublicKey;
use smp_proto::smp::broker::BrokerMessage;
use smp_proto::smp::error::{ErrorText, NameError, SmpError};
use smp_proto::smp::link;
use smp_proto::smp::message::{self, NotificationMetadata};
use smp_proto::smp::notifier::{EncryptedNotification, NotifierIds};
use smp_proto::smp::recipient::{QueueIds, QueueMode as WireMode};
use smp_proto::smp::service::{IdsHash, ServiceQueues};
use smp_proto::transport::transmission::encode_unauthorized;
use smp_proto::version::SmpVersion;
use smp_proto::wire::{Error, LongString, ShortString, Time, Writer};

use super::forward::ForwardedReply;
use super::names::ResolverFailure;
use super::proxy::{Failure, ProxyAnswer};
use super::store::{Id, LinkData, MessageKind, PendingNotification, QueueMode, QueueRecord, QueueSet, StoredMessage};

/// An identifier as a client sent it: usually 24 bytes, up to 255.
pub(crate) type ShortBytes = SmallVec<[u8; ID_LENGTH]>;

/// One transmission to be written.
#[derive(Debug)]
pub(crate) struct Reply {
    /// Of the request; empty for events.
    pub(crate) correlation: ShortBytes,
    /// What it is about.
    pub(crate) entity: ShortBytes,
    /// What is said.
    pub(crate) body: Body,
}

/// What is said.
#[derive(Debug)]
pub(crate) enum Body {
    Ok,
    Pong,
    /// With the service that the queue is associated with now.
    Subscribed(Option<Id>),
    ServiceSubscribed(QueueSet),
    ServiceEnd(QueueSet),
    AllServiceMessages,
    Ids(Box<CreatedQueue>),
    Info(Box<str>),
    Message(Box<Delivery>),
    Link(Box<LinkContent>),
    /// The response to a command that a proxy forwarded.
    Forwarded(Box<ForwardedReply>),
    NotifierId(Box<CreatedNotifier>),
    Notification(Box<Notification>),
    /// A session with another relay: the parameters of PKEY.
    ProxyKey(Arc<[u8]>),
    /// Another relay's response.
    ProxyResponse(Box<ProxyAnswer>),
    /// Another relay could not be reached or did not answer.
    NotForwarded(Failure),
    End,
    Deleted,
    /// The record of a name, as JSON.
    Name(Bytes),
    ResolverFailed(ResolverFailure),
    Error(SmpError<'static>),
}

/// A queue that was just created.
#[derive(Debug)]
pub(crate) struct CreatedQueue {
    pub(crate) record: Arc<QueueRecord>,
    pub(crate) relay_dh_key: X25519PublicKey,
    /// The relay's key for the notifier that the record has.
    pub(crate) notifier_dh_key: Option<X25519PublicKey>,
}

impl CreatedQueue {
    fn ids(&self) -> QueueIds<'_> {
        let record = &self.record;
        let notifier = record.notifier.as_ref().zip(self.notifier_dh_key);
        QueueIds {
            recipient_id: QueueId::from_array(&record.recipient_id),
            sender_id: QueueId::from_array(&record.sender_id),
            relay_dh_key: self.relay_dh_key,
            mode: match record.mode {
                QueueMode::Unknown => None,
                QueueMode::Messaging => Some(WireMode::Messaging),
                QueueMode::Contact => Some(WireMode::Contact),
            },
            link_id: record.link_id.as_ref().map(LinkId::from_array),
            service_id: record.recipient_service.as_ref().map(ServiceId::from_array),
            notifier: notifier.map(|(notifier, relay_dh_key)| NotifierIds {
                notifier_id: QueueId::from_array(&notifier.id),
                relay_dh_key,
            }),
        }
    }
}

/// A notifier that was just created.
#[derive(Debug)]
pub(crate) struct CreatedNotifier {
    pub(crate) notifier_id: Id,
    pub(crate) relay_dh_key: X25519PublicKey,
}

/// A notification on its way to its notifier; encrypted when it is written.
#[derive(Debug)]
pub(crate) struct Notification {
    pub(crate) pending: PendingNotification,
    pub(crate) secret: SharedSecret,
}

impl Notification {
    /// Writes `NMSG`, with a random nonce (wire reference, section 10.6).
    fn encode(&self, writer: &mut Writer<'_>, version: SmpVersion) -> Result<(), Error> {
        let mut nonce = [0; 24];
        rand::rng().fill_bytes(&mut nonce);
        let metadata = NotificationMetadata {
            message_id: MessageId::from_array(&self.pending.message_id),
            time: Time(self.pending.time),
        };
        let sealed =
            notification::seal(&BoxKey::from(&self.secret), &Nonce(nonce), &metadata).map_err(|_| Error::TooLong)?;
        let metadata = ShortString::new(&sealed)?;
        BrokerMessage::Notification(EncryptedNotification { nonce: &nonce, metadata }).encode(writer, version)
    }
}

/// Link data and the queue behind it.
#[derive(Debug)]
pub(crate) struct LinkContent {
    pub(crate) sender_id: Id,
    pub(crate) data: LinkData,
}

impl LinkContent {
    fn encode(&self, writer: &mut Writer<'_>, version: SmpVersion) -> Result<(), Error> {
        let data =
            link::LinkData { fixed: LongString::new(&self.data.fixed)?, user: LongString::new(&self.data.user)? };
        BrokerMessage::Link(link::LinkContent { sender_id: QueueId::from_array(&self.sender_id), data })
            .encode(writer, version)
    }
}

/// A message on its way to its recipient; encrypted when it is written.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) message: StoredMessage,
    pub(crate) secret: SharedSecret,
}

impl Delivery {
    pub(crate) fn new(record: &QueueRecord, message: StoredMessage) -> Self {
        Self { message, secret: SharedSecret::from_bytes(*record.delivery_secret.as_bytes()) }
    }

    /// Writes `MSG`, with the body encrypted in the block it travels in (wire reference, section 10.1).
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        let id = MessageId::from_array(&self.message.id);
        let time = Time(self.message.time);
        let plain = match &self.message.kind {
            MessageKind::Message { notification, body } => {
                message::Delivery::Message { time, notification: *notification, body }
            }
            MessageKind::QuotaMark => message::Delivery::Quota { time },
        };
        writer.bytes(b"MSG ")?;
        writer.value(&id)?;
        let sealed = writer.reserve(SEALED_LENGTH)?.try_into().map_err(|_| Error::NoSpace)?;
        seal(&BoxKey::from(&self.secret), id, &plain, sealed).map_err(|_| Error::TooLong)
    }
}

impl Reply {
    /// A response to a request.
    pub(crate) fn response(correlation: &[u8], entity: &[u8], body: Body) -> Self {
        Self { correlation: SmallVec::from_slice(correlation), entity: SmallVec::from_slice(entity), body }
    }

    /// Something nobody asked for.
    pub(crate) fn event(queue: &Id, body: Body) -> Self {
        Self { correlation: SmallVec::new(), entity: SmallVec::from_slice(queue), body }
    }

    /// Writes the transmission (wire reference, section 6.2); relays never authorize.
    pub(crate) fn encode(
        &self,
        writer: &mut Writer<'_>,
        version: SmpVersion,
        session_id: SessionId<'_>,
    ) -> Result<(), Error> {
        let correlation_id = CorrelationId::new(&self.correlation)?;
        let entity_id = EntityId::new(&self.entity)?;
        encode_unauthorized(writer, version, session_id, correlation_id, entity_id, |writer| {
            self.body.encode(writer, version)
        })
    }
}

fn service_queues(set: &QueueSet) -> ServiceQueues<'_> {
    ServiceQueues { count: i64::try_from(set.count).unwrap_or(i64::MAX), hash: IdsHash::new(&set.hash) }
}

impl Body {
    /// Whether messages must not overtake it.
    pub(crate) const fn is_subscription(&self) -> bool {
        matches!(self, Self::Subscribed(_) | Self::ServiceSubscribed(_))
    }

    /// Whether it holds so much that only few of its kind may wait to be written.
    pub(crate) fn is_long(&self) -> bool {
        match self {
            Self::Message(_) | Self::Link(_) | Self::Name(_) => true,
            Self::Forwarded(forwarded) => forwarded.reply.body.is_long(),
            _ => false,
        }
    }

    fn encode(&self, writer: &mut Writer<'_>, version: SmpVersion) -> Result<(), Error> {
        match self {
            Self::Ok => BrokerMessage::Ok.encode(writer, version),
            Self::Pong => BrokerMessage::Pong.encode(writer, version),
            Self::Subscribed(service) => {
                BrokerMessage::Subscribed(service.as_ref().map(ServiceId::from_array)).encode(writer, version)
            }
            Self::ServiceSubscribed(set) => {
                BrokerMessage::ServiceSubscribed(service_queues(set)).encode(writer, version)
            }
            Self::ServiceEnd(set) => BrokerMessage::ServiceEnd(service_queues(set)).encode(writer, version),
            Self::AllServiceMessages => BrokerMessage::AllDelivered.encode(writer, version),
            Self::End => BrokerMessage::End.encode(writer, version),
            Self::Deleted => BrokerMessage::Deleted.encode(writer, version),
            Self::Info(json) => {
                writer.bytes(b"INFO ")?;
                writer.bytes(json.as_bytes())
            }
            Self::Name(json) => {
                writer.bytes(b"RNAME ")?;
                writer.bytes(json)
            }
            Self::ResolverFailed(failure) => {
                let text = failure.to_string();
                let error = NameError::Resolver(ErrorText(text.as_bytes()));
                BrokerMessage::Error(SmpError::Name(error)).encode(writer, version)
            }
            Self::Error(error) => BrokerMessage::Error(*error).encode(writer, version),
            Self::Ids(created) => BrokerMessage::Ids(created.ids()).encode(writer, version),
            Self::Message(delivery) => delivery.encode(writer),
            Self::Link(content) => content.encode(writer, version),
            Self::Forwarded(reply) => reply.encode(writer),
            Self::NotifierId(created) => BrokerMessage::NotifierId(NotifierIds {
                notifier_id: QueueId::from_array(&created.notifier_id),
                relay_dh_key: created.relay_dh_key,
            })
            .encode(writer, version),
            Self::Notification(notification) => notification.encode(writer, version),
            Self::ProxyKey(key) => {
                writer.bytes(b"PKEY ")?;
                writer.bytes(key)
            }
            Self::ProxyResponse(answer) => BrokerMessage::ProxyResponse(answer.sealed()).encode(writer, version),
            Self::NotForwarded(failure) => failure.encode(writer, version),
        }
    }
}
