//! Agent messages: what is inside the messages of the ratchet (wire reference of the agent, section 6).
//!
//! ```
//! use smp_proto::agent::{AgentMessage, Message};
//! use smp_proto::wire::{Decode, Encode};
//!
//! let message = AgentMessage::Sequenced { number: 3, previous_hash: &[7; 32], message: Message::Application(b"hi") };
//! let mut buffer = [0; 64];
//! let bytes = message.to_slice(&mut buffer)?;
//! assert_eq!(bytes.len(), smp_proto::agent::message::APPLICATION_START + 2);
//! assert_eq!(AgentMessage::from_bytes(bytes)?, message);
//! # Ok::<(), smp_proto::wire::Error>(())
//! ```

use core::fmt;

use super::MessageKind;
use super::queue::{AddedQueue, QueueKey, QueueReference, QueueUse};
use crate::uri::QueueInfo;
use crate::wire::{Decode, Encode, Error, Hidden, NonEmptyList, Reader, Writer};

/// Where the body of [`Message::Application`] begins in an encoded [`AgentMessage`] whose hash has 32 bytes.
///
/// With the two bytes of the length in the padding this is what limits a body: 15,795 bytes, or 13,573 on a connection
/// with post-quantum encapsulation.
pub const APPLICATION_START: usize = 1 + 8 + 1 + 32 + 1;

/// What one agent tells the other under the encryption of the ratchet.
///
/// Its SHA-256, over the bytes as they were sent, is the `previous_hash` of the next message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum AgentMessage<'a> {
    /// `I`, the inviting party's answer to a confirmation: information of the application.
    ConnectionInfo(&'a [u8]),
    /// `D`, in the joining party's confirmation.
    ConnectionInfoReply {
        /// The queues that lead to the joining party, of which the first is used.
        ///
        /// Give the mode wherever the version has a place for it. Where there is none, information that begins like a
        /// mode, with one of the letters `M`, `C`, `T` and `F`, would be read as one: writing fails with
        /// [`Error::Invalid`] then.
        queues: NonEmptyList<'a, QueueInfo<'a>>,
        /// Information of the application.
        info: &'a [u8],
    },
    /// `R`, with a key of a new ratchet; everybody sends it empty.
    RatchetInfo(&'a [u8]),
    /// `M`, a numbered message.
    Sequenced {
        /// The sender's number of the message; consecutive, and the confirmation had 1.
        number: i64,
        /// The hash of the message before it, 32 bytes; empty if there was none. Other lengths are read.
        previous_hash: &'a [u8],
        /// The message.
        message: Message<'a>,
    },
}

impl AgentMessage<'_> {
    /// What kind of message it is.
    #[must_use]
    pub const fn kind(&self) -> MessageKind {
        match self {
            Self::ConnectionInfo(_) => MessageKind::ConnectionInfo,
            Self::ConnectionInfoReply { .. } => MessageKind::ConnectionInfoReply,
            Self::RatchetInfo(_) => MessageKind::RatchetInfo,
            Self::Sequenced { message, .. } => message.kind(),
        }
    }
}

/// Shows the kind and lengths: contents stay out of logs.
impl fmt::Debug for AgentMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConnectionInfo(info) => f.debug_tuple("ConnectionInfo").field(&Hidden(info)).finish(),
            Self::ConnectionInfoReply { queues, info } => f
                .debug_struct("ConnectionInfoReply")
                .field("queues", &queues.len())
                .field("info", &Hidden(info))
                .finish(),
            Self::RatchetInfo(info) => f.debug_tuple("RatchetInfo").field(&Hidden(info)).finish(),
            Self::Sequenced { number, previous_hash, message } => f
                .debug_struct("Sequenced")
                .field("number", number)
                .field("previous_hash", &Hidden(previous_hash))
                .field("message", message)
                .finish(),
        }
    }
}

impl<'a> Decode<'a> for AgentMessage<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(match reader.u8()? {
            b'I' => Self::ConnectionInfo(reader.rest()),
            b'D' => Self::ConnectionInfoReply { queues: reader.value()?, info: reader.rest() },
            b'R' => Self::RatchetInfo(reader.rest()),
            b'M' => Self::Sequenced { number: reader.i64()?, previous_hash: reader.short()?, message: reader.value()? },
            _ => return Err(Error::Invalid),
        })
    }
}

impl Encode for AgentMessage<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        match self {
            Self::ConnectionInfo(info) => {
                writer.u8(b'I')?;
                writer.bytes(info)
            }
            Self::ConnectionInfoReply { queues, info } => {
                writer.u8(b'D')?;
                let start = writer.len();
                writer.value(queues)?;
                writer.bytes(info)?;
                // The mode of a queue has no sign of its absence.
                let mut reader = Reader::new(writer.written().get(start..).unwrap_or_default());
                reader.value::<NonEmptyList<'_, QueueInfo<'_>>>()?;
                if reader.len() == info.len() { Ok(()) } else { Err(Error::Invalid) }
            }
            Self::RatchetInfo(info) => {
                writer.u8(b'R')?;
                writer.bytes(info)
            }
            Self::Sequenced { number, previous_hash, message } => {
                writer.u8(b'M')?;
                writer.i64(*number)?;
                writer.short(previous_hash)?;
                writer.value(message)
            }
        }
    }
}

/// A numbered message.
///
/// Of the lists of queues everybody sends one item and heeds the first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// HELLO: the sender can send.
    Hello,
    /// A_MSG: a message of the application.
    Application(&'a [u8]),
    /// A_RCVD: messages that have been received.
    Receipts(NonEmptyList<'a, Receipt<'a>>),
    /// A_QCONT: this queue, which was full, has room again.
    QuotaContinue(QueueReference<'a>),
    /// QADD: queues the sender of this message receives from as well.
    AddQueues(NonEmptyList<'a, AddedQueue<'a>>),
    /// QKEY: keys for queues that were added.
    QueueKeys(NonEmptyList<'a, QueueKey<'a>>),
    /// QUSE: queues that are ready.
    UseQueues(NonEmptyList<'a, QueueUse<'a>>),
    /// QTEST: queues that this message was sent through, to try them.
    TestQueues(NonEmptyList<'a, QueueReference<'a>>),
    /// EREADY: the new ratchet is ready. The number of the last message that was decrypted with the old one; nobody
    /// uses it.
    Ready(i64),
}

impl Message<'_> {
    /// What kind of message it is.
    #[must_use]
    pub const fn kind(&self) -> MessageKind {
        match self {
            Self::Hello => MessageKind::Hello,
            Self::Application(_) => MessageKind::Application,
            Self::Receipts(_) => MessageKind::Receipts,
            Self::QuotaContinue(_) => MessageKind::QuotaContinue,
            Self::AddQueues(_) => MessageKind::AddQueues,
            Self::QueueKeys(_) => MessageKind::QueueKeys,
            Self::UseQueues(_) => MessageKind::UseQueues,
            Self::TestQueues(_) => MessageKind::TestQueues,
            Self::Ready(_) => MessageKind::Ready,
        }
    }
}

/// Shows the kind, and lengths: contents stay out of logs.
impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items = match self {
            Self::Application(body) => return f.debug_tuple("Application").field(&Hidden(body)).finish(),
            Self::Hello | Self::Ready(_) | Self::QuotaContinue(_) => return fmt::Debug::fmt(&self.kind(), f),
            Self::Receipts(items) => items.len(),
            Self::AddQueues(items) => items.len(),
            Self::QueueKeys(items) => items.len(),
            Self::UseQueues(items) => items.len(),
            Self::TestQueues(items) => items.len(),
        };
        write!(f, "{:?}({items} items)", self.kind())
    }
}

impl<'a> Decode<'a> for Message<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(match reader.u8()? {
            b'H' => Self::Hello,
            b'M' => Self::Application(reader.rest()),
            b'V' => Self::Receipts(reader.value()?),
            b'E' => Self::Ready(reader.i64()?),
            b'Q' => match reader.u8()? {
                b'C' => Self::QuotaContinue(reader.value()?),
                b'A' => Self::AddQueues(reader.value()?),
                b'K' => Self::QueueKeys(reader.value()?),
                b'U' => Self::UseQueues(reader.value()?),
                b'T' => Self::TestQueues(reader.value()?),
                _ => return Err(Error::Invalid),
            },
            _ => return Err(Error::Invalid),
        })
    }
}

impl Encode for Message<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        // The letters a message begins with are the code of its kind.
        writer.bytes(self.kind().code().as_bytes())?;
        match self {
            Self::Hello => Ok(()),
            Self::Application(body) => writer.bytes(body),
            Self::Receipts(receipts) => writer.value(receipts),
            Self::QuotaContinue(queue) => writer.value(queue),
            Self::AddQueues(queues) => writer.value(queues),
            Self::QueueKeys(queues) => writer.value(queues),
            Self::UseQueues(queues) => writer.value(queues),
            Self::TestQueues(queues) => writer.value(queues),
            Self::Ready(number) => writer.i64(*number),
        }
    }
}

/// Tells that a message was received: an item of A_RCVD.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Receipt<'a> {
    /// The number its sender gave the message.
    pub number: i64,
    /// The hash of the message as it was received, 32 bytes; other lengths are read.
    pub hash: &'a [u8],
    /// For the application, up to 65,535 bytes. Everybody sends none.
    pub info: &'a [u8],
}

impl fmt::Debug for Receipt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt").field("number", &self.number).finish_non_exhaustive()
    }
}

impl<'a> Decode<'a> for Receipt<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { number: reader.i64()?, hash: reader.short()?, info: reader.long()? })
    }
}

impl Encode for Receipt<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.i64(self.number)?;
        writer.short(self.hash)?;
        writer.long(self.info)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::RATCHET_KEY_INFO;
    use crate::id::QueueId;
    use crate::key::{AuthorizationKey, Ed25519PublicKey, X25519PublicKey};
    use crate::uri::{QueueAddress, QueueMode, QueueUri};
    use crate::version::{ClientVersion, VersionRange};
    use std::format;
    use std::vec::Vec;

    fn reference(id: &[u8; 24]) -> QueueReference<'_> {
        let server = Decode::from_bytes(b"\x01\x09a.example\x03443\x04hash").unwrap();
        QueueReference { server, sender_id: QueueId::from_array(id) }
    }

    fn info(version: u16, mode: Option<QueueMode>) -> QueueInfo<'static> {
        let QueueReference { server, sender_id } = reference(&[9; 24]);
        let queue = QueueAddress { server, sender_id, dh_key: X25519PublicKey([5; 32]), mode };
        QueueInfo { version: ClientVersion(version), queue }
    }

    /// Calls `check` with a message of each kind.
    fn for_each_message(check: impl Fn(Message<'_>)) {
        let (reference, info) = (reference(&[9; 24]), info(4, Some(QueueMode::Messaging)));
        let versions = VersionRange::new(ClientVersion::MIN, ClientVersion::MAX).unwrap();
        let added = AddedQueue { queue: QueueUri::new(versions, &info.queue).unwrap(), replaced: Some(reference) };
        let sender_key = AuthorizationKey::Ed25519(Ed25519PublicKey([6; 32]));
        check(Message::Hello);
        check(Message::Application(b""));
        let receipts = [4, 5].map(|number| Receipt { number, hash: &[7; 32], info: b"" });
        check(Message::Receipts(NonEmptyList::new(&receipts).unwrap()));
        check(Message::QuotaContinue(reference));
        check(Message::AddQueues(NonEmptyList::new(&[added]).unwrap()));
        check(Message::QueueKeys(NonEmptyList::new(&[QueueKey { queue: info, sender_key }]).unwrap()));
        let uses = [true, false].map(|primary| QueueUse { queue: reference, primary });
        check(Message::UseQueues(NonEmptyList::new(&uses).unwrap()));
        check(Message::TestQueues(NonEmptyList::new(&[reference]).unwrap()));
        check(Message::Ready(-1));
    }

    #[test]
    fn every_message_round_trips_and_no_truncation_is_read() {
        for_each_message(|message| {
            let mut buffer = [0; 512];
            let whole = AgentMessage::Sequenced { number: 7, previous_hash: &[8; 32], message };
            let bytes = whole.to_slice(&mut buffer).unwrap();
            assert_eq!(AgentMessage::from_bytes(bytes), Ok(whole));
            assert!(bytes[APPLICATION_START - 1..].starts_with(message.kind().code().as_bytes()));
            for end in 0..bytes.len() {
                assert!(AgentMessage::from_bytes(&bytes[..end]).is_err(), "{message:?} up to {end}");
            }
            let longer = [bytes, b"x"].concat();
            let open = matches!(message, Message::Application(_));
            assert_eq!(AgentMessage::from_bytes(&longer).err(), Some(Error::Trailing).filter(|_| !open));
        });
    }

    #[test]
    fn information_is_not_taken_for_the_mode_of_a_queue() {
        let mut buffer = [0; 512];
        let mut write = |version, mode, info: &[u8]| -> Result<Vec<u8>, Error> {
            let queues = [super::tests::info(version, mode)];
            let queues = NonEmptyList::new(&queues).unwrap();
            let message = AgentMessage::ConnectionInfoReply { queues, info };
            let bytes = message.to_slice(&mut buffer)?.to_vec();
            let read = AgentMessage::from_bytes(&bytes).unwrap();
            assert!(matches!(read, AgentMessage::ConnectionInfoReply { info: read, .. } if read == info));
            Ok(bytes)
        };
        for letter in *b"MCTF" {
            // Version 4 has a place for the mode, the ones before have none or one for a single mode.
            for mode in [QueueMode::Messaging, QueueMode::Contact] {
                write(4, Some(mode), &[letter]).unwrap();
            }
            write(3, Some(QueueMode::Messaging), &[letter]).unwrap();
            for (version, mode) in
                [(4, None), (3, Some(QueueMode::Contact)), (2, Some(QueueMode::Messaging)), (1, None)]
            {
                assert_eq!(write(version, mode, &[letter]), Err(Error::Invalid));
                write(version, mode, b"{").unwrap();
                write(version, mode, b"").unwrap();
            }
        }
        // What was read with a mode that the version does not write is written as it was read.
        let mut bytes = write(2, None, b"").unwrap();
        bytes.extend(b"TM");
        let read = AgentMessage::from_bytes(&bytes).unwrap();
        assert_eq!(read.to_slice(&mut [0; 512]).unwrap(), bytes);
    }

    #[test]
    fn the_ratchet_key_comes_with_an_empty_message() {
        assert_eq!(AgentMessage::from_bytes(RATCHET_KEY_INFO), Ok(AgentMessage::RatchetInfo(b"")));
    }

    #[test]
    fn contents_are_not_printed() {
        for_each_message(|message| {
            let shown = format!("{:?}", AgentMessage::Sequenced { number: 7, previous_hash: &[8; 32], message });
            let front = "Sequenced { number: 7, previous_hash: 32 bytes, message: ";
            let end = match message {
                Message::Hello | Message::QuotaContinue(_) | Message::Ready(_) => "",
                Message::Application(_) => "(0 bytes)",
                Message::Receipts(_) | Message::UseQueues(_) => "(2 items)",
                _ => "(1 items)",
            };
            assert_eq!(shown, format!("{front}{:?}{end} }}", message.kind()));
        });
        let queues = [info(4, None)];
        let queues = NonEmptyList::new(&queues).unwrap();
        let message = AgentMessage::ConnectionInfoReply { queues, info: b"secret" };
        assert_eq!(format!("{message:?}"), "ConnectionInfoReply { queues: 1, info: 6 bytes }");
        let receipt = Receipt { number: 1, hash: &[7; 32], info: b"secret" };
        assert_eq!(format!("{receipt:?}"), "Receipt { number: 1, .. }");
    }
}
