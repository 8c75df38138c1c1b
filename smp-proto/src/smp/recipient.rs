//! Creating queues (wire reference, sections 7.2 and 8.1) and receiving from them.

use core::fmt;

use super::link::LinkData;
use super::notifier::{NotifierIds, NotifierKeys};
use super::password::PasswordRef;
use crate::id::{LinkId, MessageId, QueueId, ServiceId};
use crate::key::{AuthorizationKey, X25519PublicKey};
use crate::version::SmpVersion;
use crate::wire::{Decode, Encode, Error, Hidden, Reader, Writer};

/// What a queue is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QueueMode {
    /// `M`: one sender, who may secure it.
    Messaging,
    /// `C`: an address anybody may write to.
    Contact,
}

impl Decode<'_> for QueueMode {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        match reader.u8()? {
            b'M' => Ok(Self::Messaging),
            b'C' => Ok(Self::Contact),
            _ => Err(Error::Invalid),
        }
    }
}

impl Encode for QueueMode {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.u8(match self {
            Self::Messaging => b'M',
            Self::Contact => b'C',
        })
    }
}

impl QueueMode {
    /// The `sndSecure` flag of versions 9 to 14, which knows no unknown mode.
    fn decode_flag(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(if reader.value()? { Self::Messaging } else { Self::Contact })
    }
}

/// Whether the creating connection receives from the new queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SubscriptionMode {
    /// `S`: create and subscribe.
    Subscribe,
    /// `C`: create only.
    CreateOnly,
}

impl Decode<'_> for SubscriptionMode {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        match reader.u8()? {
            b'S' => Ok(Self::Subscribe),
            b'C' => Ok(Self::CreateOnly),
            _ => Err(Error::Invalid),
        }
    }
}

impl Encode for SubscriptionMode {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.u8(match self {
            Self::Subscribe => b'S',
            Self::CreateOnly => b'C',
        })
    }
}

/// The mode of a new queue and the link data to create it with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueRequest<'a> {
    /// For one sender; the relay chooses the link id.
    Messaging(Option<InvitationLink<'a>>),
    /// For anybody; the client chooses the link id.
    Contact(Option<ContactLink<'a>>),
}

/// Link data of a new messaging queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvitationLink<'a> {
    /// The first 24 bytes of SHA3-384 of the correlation id of `NEW`.
    pub sender_id: QueueId<'a>,
    /// The data.
    pub data: LinkData<'a>,
}

/// Link data of a new contact queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContactLink<'a> {
    /// The link's id.
    pub link_id: LinkId<'a>,
    /// The first 24 bytes of SHA3-384 of the correlation id of `NEW`.
    pub sender_id: QueueId<'a>,
    /// The data.
    pub data: LinkData<'a>,
}

impl QueueRequest<'_> {
    /// The mode.
    #[must_use]
    pub const fn mode(&self) -> QueueMode {
        match self {
            Self::Messaging(_) => QueueMode::Messaging,
            Self::Contact(_) => QueueMode::Contact,
        }
    }
}

impl<'a> Decode<'a> for InvitationLink<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { sender_id: reader.value()?, data: reader.value()? })
    }
}

impl Encode for InvitationLink<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.sender_id)?;
        writer.value(&self.data)
    }
}

impl<'a> Decode<'a> for ContactLink<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { link_id: reader.value()?, sender_id: reader.value()?, data: reader.value()? })
    }
}

impl Encode for ContactLink<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.link_id)?;
        writer.value(&self.sender_id)?;
        writer.value(&self.data)
    }
}

impl<'a> Decode<'a> for QueueRequest<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        match reader.value()? {
            QueueMode::Messaging => reader.value().map(Self::Messaging),
            QueueMode::Contact => reader.value().map(Self::Contact),
        }
    }
}

impl Encode for QueueRequest<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.mode())?;
        match self {
            Self::Messaging(link) => writer.value(link),
            Self::Contact(link) => writer.value(link),
        }
    }
}

/// Parameters of `NEW`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewQueue<'a> {
    /// Authorizes this command and the recipient's later ones.
    pub recipient_key: AuthorizationKey,
    /// The recipient's side of the agreement that encrypts messages on their last hop.
    pub recipient_dh_key: X25519PublicKey,
    /// The relay's password.
    pub password: Option<PasswordRef<'a>>,
    /// Whether to subscribe at once.
    pub subscription: SubscriptionMode,
    /// Mode and link data. Versions below 15 carry no link data, those below 9 no mode, and 9 to 14 cannot leave it open.
    pub request: Option<QueueRequest<'a>>,
    /// Notification credentials, from version 17 on.
    pub notifier: Option<NotifierKeys>,
}

impl<'a> NewQueue<'a> {
    /// Reads the parameters; fields the version does not have are absent.
    pub fn decode(reader: &mut Reader<'a>, version: SmpVersion) -> Result<Self, Error> {
        let recipient_key = reader.value()?;
        let recipient_dh_key = reader.value()?;
        let password = if version >= SmpVersion::SENDER_SECURED {
            reader.value()?
        } else if reader.peek() == Some(b'A') {
            reader.u8()?;
            Some(reader.value()?)
        } else {
            None
        };
        let subscription = reader.value()?;
        let request = if version >= SmpVersion::SHORT_LINKS {
            reader.value()?
        } else if version >= SmpVersion::SENDER_SECURED {
            Some(match QueueMode::decode_flag(reader)? {
                QueueMode::Messaging => QueueRequest::Messaging(None),
                QueueMode::Contact => QueueRequest::Contact(None),
            })
        } else {
            None
        };
        let notifier = if version >= SmpVersion::NEW_NOTIFIER { reader.value()? } else { None };
        Ok(Self { recipient_key, recipient_dh_key, password, subscription, request, notifier })
    }

    /// Writes what the version has room for.
    pub fn encode(&self, writer: &mut Writer<'_>, version: SmpVersion) -> Result<(), Error> {
        writer.value(&self.recipient_key)?;
        writer.value(&self.recipient_dh_key)?;
        if version >= SmpVersion::SENDER_SECURED {
            writer.value(&self.password)?;
        } else if let Some(password) = &self.password {
            writer.u8(b'A')?;
            writer.value(password)?;
        }
        writer.value(&self.subscription)?;
        if version >= SmpVersion::SHORT_LINKS {
            writer.value(&self.request)?;
        } else if version >= SmpVersion::SENDER_SECURED {
            writer.value(&matches!(self.request, Some(QueueRequest::Messaging(_))))?;
        }
        if version >= SmpVersion::NEW_NOTIFIER { writer.value(&self.notifier) } else { Ok(()) }
    }
}

/// Parameters of `IDS`: the new queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueIds<'a> {
    /// Names the queue for its recipient.
    pub recipient_id: QueueId<'a>,
    /// Names the queue for its sender.
    pub sender_id: QueueId<'a>,
    /// The relay's side of the agreement that encrypts messages on their last hop.
    pub relay_dh_key: X25519PublicKey,
    /// The requested mode, repeated; absent below version 9.
    pub mode: Option<QueueMode>,
    /// The link, when link data was supplied; from version 15 on.
    pub link_id: Option<LinkId<'a>>,
    /// The service the queue belongs to, in service sessions; from version 16 on.
    pub service_id: Option<ServiceId<'a>>,
    /// The notifier's side, when asked for; from version 17 on.
    pub notifier: Option<NotifierIds<'a>>,
}

impl<'a> QueueIds<'a> {
    /// Reads the parameters; fields the version does not have are absent.
    pub fn decode(reader: &mut Reader<'a>, version: SmpVersion) -> Result<Self, Error> {
        let recipient_id = reader.value()?;
        let sender_id = reader.value()?;
        let relay_dh_key = reader.value()?;
        let mode = if version >= SmpVersion::SHORT_LINKS {
            reader.value()?
        } else if version >= SmpVersion::SENDER_SECURED {
            Some(QueueMode::decode_flag(reader)?)
        } else {
            None
        };
        let link_id = if version >= SmpVersion::SHORT_LINKS { reader.value()? } else { None };
        let service_id = if version >= SmpVersion::SERVICES { reader.value()? } else { None };
        let notifier = if version >= SmpVersion::NEW_NOTIFIER { reader.value()? } else { None };
        Ok(Self { recipient_id, sender_id, relay_dh_key, mode, link_id, service_id, notifier })
    }

    /// Writes what the version has room for.
    pub fn encode(&self, writer: &mut Writer<'_>, version: SmpVersion) -> Result<(), Error> {
        writer.value(&self.recipient_id)?;
        writer.value(&self.sender_id)?;
        writer.value(&self.relay_dh_key)?;
        if version >= SmpVersion::SHORT_LINKS {
            writer.value(&self.mode)?;
            writer.value(&self.link_id)?;
        } else if version >= SmpVersion::SENDER_SECURED {
            writer.value(&(self.mode == Some(QueueMode::Messaging)))?;
        }
        if version >= SmpVersion::SERVICES {
            writer.value(&self.service_id)?;
        }
        if version >= SmpVersion::NEW_NOTIFIER { writer.value(&self.notifier) } else { Ok(()) }
    }
}

/// Parameters of `MSG`: a message as the relay encrypted it to the recipient (wire reference, section 10.1).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EncryptedMessage<'a> {
    /// Names the message; also the nonce of its encryption.
    pub message_id: MessageId<'a>,
    /// The encrypted body, 16,122 bytes.
    pub body: &'a [u8],
}

impl fmt::Debug for EncryptedMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptedMessage")
            .field("message_id", &self.message_id)
            .field("body", &Hidden(self.body))
            .finish()
    }
}

impl<'a> Decode<'a> for EncryptedMessage<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { message_id: reader.value()?, body: reader.rest() })
    }
}

impl Encode for EncryptedMessage<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.message_id)?;
        writer.bytes(self.body)
    }
}
