//! Notification credentials and notifications (wire reference, sections 7.3, 8 and 10.6).

use crate::id::QueueId;
use crate::key::{AuthorizationKey, X25519PublicKey};
use crate::wire::{Decode, Encode, Error, Reader, ShortString, Writer};

/// Parameters of `NKEY`, and part of `NEW` from version 17 on: what the recipient gives to have a notifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotifierKeys {
    /// Authorizes the notifier's commands.
    pub notifier_key: AuthorizationKey,
    /// The recipient's side of the agreement that encrypts notification metadata.
    pub recipient_dh_key: X25519PublicKey,
}

impl Decode<'_> for NotifierKeys {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self { notifier_key: reader.value()?, recipient_dh_key: reader.value()? })
    }
}

impl Encode for NotifierKeys {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.notifier_key)?;
        writer.value(&self.recipient_dh_key)
    }
}

/// Parameters of `NID`, and part of `IDS` from version 17 on: what the relay answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotifierIds<'a> {
    /// Names the queue for the notifier.
    pub notifier_id: QueueId<'a>,
    /// The relay's side of the agreement that encrypts notification metadata.
    pub relay_dh_key: X25519PublicKey,
}

impl<'a> Decode<'a> for NotifierIds<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { notifier_id: reader.value()?, relay_dh_key: reader.value()? })
    }
}

impl Encode for NotifierIds<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.notifier_id)?;
        writer.value(&self.relay_dh_key)
    }
}

/// Parameters of `NMSG`: tells the notifier that a message waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncryptedNotification<'a> {
    /// Nonce of the metadata's encryption.
    pub nonce: &'a [u8; 24],
    /// Message id and time, for the recipient; 144 bytes.
    pub metadata: ShortString<'a>,
}

impl<'a> Decode<'a> for EncryptedNotification<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { nonce: reader.array()?, metadata: reader.value()? })
    }
}

impl Encode for EncryptedNotification<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.bytes(self.nonce)?;
        writer.value(&self.metadata)
    }
}
