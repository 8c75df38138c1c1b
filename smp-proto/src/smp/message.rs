//! What is inside the bodies that relays pass on: the layer between relay and recipient, and the one between sender and
//! recipient (wire reference, sections 10.1, 10.2 and 10.6). Nothing here encrypts; these are the bytes before padding
//! and after.

use crate::id::MessageId;
use crate::key::{AuthorizationKey, X25519PublicKey};
use crate::version::ClientVersion;
use crate::wire::{Decode, Encode, Error, Reader, Time, Writer};

/// The padded length of what a relay encrypts to the recipient, in bytes.
pub const DELIVERY_PADDED_LENGTH: usize = 16_106;
/// The padded length of what a relay encrypts for a notification, in bytes.
pub const NOTIFICATION_PADDED_LENGTH: usize = 128;
/// The padded length of a message in a [`ClientEnvelope`] with a key, in bytes.
pub const CONFIRMATION_PADDED_LENGTH: usize = 15_904;
/// The padded length of a message in a [`ClientEnvelope`] without a key, in bytes.
pub const MESSAGE_PADDED_LENGTH: usize = 16_000;

/// What a relay hands to the recipient: the plaintext of MSG.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Delivery<'a> {
    /// A message.
    Message {
        /// When the relay received it, in whole seconds.
        time: Time,
        /// Whether the sender wanted a notification.
        notification: bool,
        /// What the sender sent, normally a [`ClientEnvelope`].
        body: &'a [u8],
    },
    /// The queue was full, and messages were refused from then on.
    Quota {
        /// When the relay refused the first.
        time: Time,
    },
}

/// Shows how long the body is: what is inside stays out of logs.
impl core::fmt::Debug for Delivery<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Message { body, .. } => write!(f, "Message({} bytes)", body.len()),
            Self::Quota { .. } => f.write_str("Quota"),
        }
    }
}

impl<'a> Decode<'a> for Delivery<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        // The time of a message could begin with these letters, in some billions of years.
        if reader.remaining().starts_with(b"QUOTA") {
            reader.expect(b"QUOTA ")?;
            return Ok(Self::Quota { time: reader.value()? });
        }
        let time = reader.value()?;
        let notification = reader.value()?;
        // Flags of later versions may follow, up to the space.
        reader.until(b' ');
        reader.expect(b" ")?;
        Ok(Self::Message { time, notification, body: reader.rest() })
    }
}

impl Encode for Delivery<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        match self {
            Self::Message { time, notification, body } => {
                writer.value(time)?;
                writer.value(notification)?;
                writer.u8(b' ')?;
                writer.bytes(body)
            }
            Self::Quota { time } => {
                writer.bytes(b"QUOTA ")?;
                writer.value(time)
            }
        }
    }
}

/// Which message a notification is about: the plaintext of NMSG. Later versions may add to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotificationMetadata<'a> {
    /// The message.
    pub message_id: MessageId<'a>,
    /// When the relay received it, in whole seconds.
    pub time: Time,
}

impl<'a> Decode<'a> for NotificationMetadata<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let metadata = Self { message_id: reader.value()?, time: reader.value()? };
        reader.rest();
        Ok(metadata)
    }
}

impl Encode for NotificationMetadata<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.message_id)?;
        writer.value(&self.time)
    }
}

/// What a sender puts around a [`ClientMessage`]: the body of SEND.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClientEnvelope<'a> {
    /// The version of the sender's choice.
    pub version: ClientVersion,
    /// The sender's key, until the recipient is known to have it.
    pub dh_key: Option<X25519PublicKey>,
    /// The nonce of the encryption.
    pub nonce: &'a [u8; 24],
    /// The encrypted and padded [`ClientMessage`], 16 bytes longer than [`ClientEnvelope::padded_length`].
    pub ciphertext: &'a [u8],
}

impl ClientEnvelope<'_> {
    /// The length the message inside was padded to before it was encrypted, in bytes.
    #[must_use]
    pub const fn padded_length(&self) -> usize {
        if self.dh_key.is_some() { CONFIRMATION_PADDED_LENGTH } else { MESSAGE_PADDED_LENGTH }
    }
}

impl core::fmt::Debug for ClientEnvelope<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "ClientEnvelope(version {}, {} bytes)", self.version, self.ciphertext.len())
    }
}

impl<'a> Decode<'a> for ClientEnvelope<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self {
            version: reader.value()?,
            dh_key: reader.value()?,
            nonce: reader.array()?,
            ciphertext: reader.rest(),
        })
    }
}

impl Encode for ClientEnvelope<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.version)?;
        writer.value(&self.dh_key)?;
        writer.bytes(self.nonce)?;
        writer.bytes(self.ciphertext)
    }
}

/// What the sender says to the recipient, below the encryption between them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClientMessage<'a> {
    /// The key the recipient is asked to secure the queue with.
    pub sender_key: Option<AuthorizationKey>,
    /// An [`AgentEnvelope`](crate::agent::AgentEnvelope) between agents; programs without one put in what they like.
    pub body: &'a [u8],
}

impl core::fmt::Debug for ClientMessage<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "ClientMessage({} bytes)", self.body.len())
    }
}

impl<'a> Decode<'a> for ClientMessage<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let sender_key = match reader.u8()? {
            b'K' => Some(reader.value()?),
            b'_' => None,
            _ => return Err(Error::Invalid),
        };
        Ok(Self { sender_key, body: reader.rest() })
    }
}

impl Encode for ClientMessage<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        match &self.sender_key {
            Some(key) => {
                writer.u8(b'K')?;
                writer.value(key)?;
            }
            None => writer.u8(b'_')?,
        }
        writer.bytes(self.body)
    }
}
