//! A block that was received, in the buffer it was received into.

use core::fmt;
use core::mem;

use smp_proto::id::{ID_LENGTH, SessionId};
use smp_proto::smp::BrokerMessage;
use smp_proto::smp::error::CommandError;
use smp_proto::smp::notifier::EncryptedNotification;
use smp_proto::smp::recipient::EncryptedMessage;
use smp_proto::transport::{Batch, Transmission};
use smp_proto::version::SmpVersion;
use smp_proto::wire::{self, Decode, Reader};

use crate::id::Id;

/// What a peer did that it should not. Nothing of it ends a connection by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Anomalies {
    /// Transmissions and messages that could not be read.
    pub malformed: u32,
    /// Responses and events that nobody waits for.
    pub unexpected: u32,
}

impl Anomalies {
    /// Counts what could not be read.
    pub const fn count_malformed(&mut self) {
        self.malformed = self.malformed.saturating_add(1);
    }

    /// Counts what nobody waits for.
    pub const fn count_unexpected(&mut self) {
        self.unexpected = self.unexpected.saturating_add(1);
    }
}

/// The transmissions of a block, in order. Those that cannot be read are counted and left out.
///
/// What is inside may be changed, for it is decrypted there.
#[derive(Debug)]
pub struct Block<'a> {
    /// The transmissions that were not taken yet, each with its length.
    rest: Hidden<'a>,
    version: SmpVersion,
    session_id: SessionId<'a>,
    malformed: &'a mut u32,
}

struct Hidden<'a>(&'a mut [u8]);

impl fmt::Debug for Hidden<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} bytes)", self.0.len())
    }
}

impl<'a> Block<'a> {
    /// Takes the content of a block. Fails as a whole when it is no batch.
    pub(crate) fn new(
        content: &'a mut [u8],
        version: SmpVersion,
        session_id: SessionId<'a>,
        malformed: &'a mut u32,
    ) -> Result<Self, wire::Error> {
        Batch::decode(content)?;
        let (_, rest) = content.split_first_mut().ok_or(wire::Error::Truncated)?;
        Ok(Self { rest: Hidden(rest), version, session_id, malformed })
    }

    fn take_entry(&mut self) -> Option<&'a mut [u8]> {
        let rest = mem::take(&mut self.rest.0);
        let (length, rest) = rest.split_first_chunk_mut()?;
        let (entry, rest) = rest.split_at_mut_checked(usize::from(u16::from_be_bytes(*length)))?;
        self.rest.0 = rest;
        Some(entry)
    }
}

impl<'a> Iterator for Block<'a> {
    type Item = Incoming<'a>;

    fn next(&mut self) -> Option<Incoming<'a>> {
        loop {
            let entry = self.take_entry()?;
            match Incoming::new(entry, self.version, self.session_id) {
                Some(incoming) => return Some(incoming),
                None => *self.malformed = self.malformed.saturating_add(1),
            }
        }
    }
}

/// A transmission from a relay.
pub struct Incoming<'a> {
    /// Ties a response to its request; nothing in events.
    pub correlation_id: Option<[u8; ID_LENGTH]>,
    /// What it is about.
    pub entity: Id,
    body: &'a mut [u8],
    version: SmpVersion,
}

impl fmt::Debug for Incoming<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("entity", &self.entity).finish_non_exhaustive()
    }
}

impl<'a> Incoming<'a> {
    fn new(entry: &'a mut [u8], version: SmpVersion, session_id: SessionId<'_>) -> Option<Self> {
        let transmission = Transmission::decode(entry, version, session_id).ok()?;
        let entity = Id::from_slice(transmission.entity_id.as_bytes())?;
        let correlation_id = match transmission.correlation_id {
            id if id.is_empty() => None,
            id => Some(id.to_array()?),
        };
        let start = entry.len().checked_sub(transmission.command.len())?;
        Some(Self { correlation_id, entity, body: entry.get_mut(start..)?, version })
    }

    /// The message as it came: a tag, and its parameters behind a space.
    #[must_use]
    pub const fn body(&self) -> &[u8] {
        self.body
    }

    /// What stands behind a tag and a space, when the message has this tag and parameters. For roles that expect few
    /// kinds of messages: the decoders of all others then do not get into the firmware.
    #[must_use]
    pub fn parameters(&self, tag: &[u8]) -> Option<&[u8]> {
        self.body.strip_prefix(tag)?.strip_prefix(b" ")
    }

    /// Reads the message, of any kind.
    pub fn message(&self) -> Result<BrokerMessage<'_>, CommandError> {
        let message = BrokerMessage::decode(&mut Reader::new(self.body), self.version)?;
        message.check_entity(self.entity.as_entity())?;
        Ok(message)
    }

    /// Whether it answers the command that was sent with a correlation id about an entity: errors may leave the entity
    /// out. A response with the right correlation id that this is false for is to be counted as unexpected.
    #[must_use]
    pub fn answers(&self, correlation_id: &[u8; ID_LENGTH], entity: &Id) -> bool {
        let is_error = self.body.starts_with(b"ERR ");
        self.correlation_id.as_ref() == Some(correlation_id)
            && (self.entity == *entity || (is_error && self.entity.is_empty()))
    }

    /// The encrypted message in a `MSG`, with its id, to be decrypted where it stands; nothing for others.
    #[must_use]
    pub fn into_encrypted_message(self) -> Option<([u8; ID_LENGTH], &'a mut [u8])> {
        let message =
            EncryptedMessage::from_bytes(self.parameters(b"MSG").filter(|_| !self.entity.is_empty())?).ok()?;
        let (message_id, length) = (message.message_id.to_array()?, message.body.len());
        self.into_tail(length).map(|body| (message_id, body))
    }

    /// What a relay encrypted for the client in a `PRES`, to be decrypted where it stands; nothing for others.
    #[must_use]
    pub fn into_proxy_response(self) -> Option<&'a mut [u8]> {
        let length = self.parameters(b"PRES").filter(|_| !self.entity.is_empty())?.len();
        self.into_tail(length)
    }

    /// The nonce and the encrypted metadata in an `NMSG`, to be decrypted where they stand; nothing for others.
    #[must_use]
    pub fn into_encrypted_notification(self) -> Option<([u8; 24], &'a mut [u8])> {
        let parameters = self.parameters(b"NMSG").filter(|_| !self.entity.is_empty())?;
        let notification = EncryptedNotification::from_bytes(parameters).ok()?;
        let (nonce, length) = (*notification.nonce, notification.metadata.as_bytes().len());
        self.into_tail(length).map(|metadata| (nonce, metadata))
    }

    /// The last bytes of the message.
    fn into_tail(self, length: usize) -> Option<&'a mut [u8]> {
        let start = self.body.len().checked_sub(length)?;
        self.body.get_mut(start..)
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use smp_proto::transport::BatchWriter;
    use smp_proto::wire::Writer;

    use super::*;

    fn block(entries: &[&[u8]]) -> Vec<u8> {
        let mut buffer = std::vec![0; 16_000];
        let mut batch = BatchWriter::new(&mut buffer).unwrap();
        for entry in entries {
            batch.push(|writer: &mut Writer<'_>| writer.bytes(entry)).unwrap();
        }
        batch.finish().unwrap().to_vec()
    }

    fn entry(correlation: &[u8], entity: &[u8], body: &[u8]) -> Vec<u8> {
        let short = |bytes: &[u8]| [&[u8::try_from(bytes.len()).unwrap()], bytes].concat();
        [&[0][..], &short(correlation), &short(entity), body].concat()
    }

    fn read(content: &mut [u8], malformed: &mut u32) -> Result<usize, wire::Error> {
        Ok(Block::new(content, SmpVersion(20), SessionId::EMPTY, malformed)?.count())
    }

    #[test]
    fn unreadable_transmissions_are_counted_and_left_out() {
        let good = entry(&[1; 24], &[2; 24], b"OK");
        let event = entry(&[], &[2; 24], b"END");
        let odd_correlation = entry(&[1; 23], &[2; 24], b"OK");
        let odd_entity = entry(&[1; 24], &[2; 33], b"OK");
        let odd_authorization = [&[3, 1, 1, 1][..], &good[1..]].concat();
        let mut content = block(&[&odd_correlation, &good, &[], &odd_entity, &event, &[9], &odd_authorization]);
        let mut malformed = 0;
        let mut block = Block::new(&mut content, SmpVersion(20), SessionId::EMPTY, &mut malformed).unwrap();
        let first = block.next().unwrap();
        assert_eq!((first.correlation_id, first.entity), (Some([1; 24]), Id::new([2; 24])));
        assert_eq!(first.message(), Ok(BrokerMessage::Ok));
        let second = block.next().unwrap();
        assert_eq!((second.correlation_id, second.message()), (None, Ok(BrokerMessage::End)));
        assert!(block.next().is_none());
        assert_eq!(malformed, 5);
    }

    #[test]
    fn content_that_is_no_batch_fails_as_a_whole() {
        let whole = block(&[&entry(&[1; 24], &[2; 24], b"OK")]);
        for length in 0..whole.len() {
            assert!(read(&mut whole.clone()[..length], &mut 0).is_err());
        }
        assert!(read(&mut [&whole[..], &[0]].concat(), &mut 0).is_err());
        assert_eq!(read(&mut whole.clone(), &mut 0), Ok(1));
    }

    #[test]
    fn answers_are_about_the_entity_of_the_command() {
        let (id, entity) = ([1; 24], Id::new([2; 24]));
        let answers = |correlation: &[u8], about: &[u8], body: &[u8]| {
            let mut bytes = entry(correlation, about, body);
            Incoming::new(&mut bytes, SmpVersion(20), SessionId::EMPTY).unwrap().answers(&id, &entity)
        };
        assert!(answers(&[1; 24], &[2; 24], b"OK"));
        assert!(answers(&[1; 24], &[2; 24], b"ERR AUTH"));
        assert!(answers(&[1; 24], &[], b"ERR AUTH"));
        assert!(!answers(&[1; 24], &[], b"OK"));
        assert!(!answers(&[1; 24], &[3; 24], b"OK"));
        assert!(!answers(&[4; 24], &[2; 24], b"OK"));
        assert!(!answers(&[], &[2; 24], b"OK"));
    }

    #[test]
    fn encrypted_parts_are_found() {
        let take = |body: &[u8]| entry(&[], &[2; 24], body);
        let message = [b"MSG \x18", &[5; 24][..], b"secret"].concat();
        let mut bytes = take(&message);
        let incoming = Incoming::new(&mut bytes, SmpVersion(20), SessionId::EMPTY).unwrap();
        let (id, body) = incoming.into_encrypted_message().unwrap();
        assert_eq!((id, &*body), ([5; 24], &b"secret"[..]));

        let notification = [b"NMSG ", &[6; 24][..], b"\x04meta"].concat();
        let mut bytes = take(&notification);
        let incoming = Incoming::new(&mut bytes, SmpVersion(20), SessionId::EMPTY).unwrap();
        let (nonce, metadata) = incoming.into_encrypted_notification().unwrap();
        assert_eq!((nonce, &*metadata), ([6; 24], &b"meta"[..]));

        let mut bytes = take(b"PRES x");
        assert!(
            Incoming::new(&mut bytes, SmpVersion(20), SessionId::EMPTY).unwrap().into_encrypted_message().is_none()
        );
        let mut bytes = take(b"PRES xyz");
        let incoming = Incoming::new(&mut bytes, SmpVersion(20), SessionId::EMPTY).unwrap();
        assert_eq!(incoming.into_proxy_response().unwrap(), b"xyz");
        let mut bytes = take(b"OK");
        let incoming = Incoming::new(&mut bytes, SmpVersion(20), SessionId::EMPTY).unwrap();
        assert!(incoming.into_encrypted_notification().is_none());
    }
}
