//! Lines of the message log and of the journal's message files (wire reference, 14.4 and 14.5).

use bytes::Bytes;
use smp_proto::version::SmpVersion;

use super::Reason;
use super::text::{Cursor, decode, put_bytes, put_number};
use crate::relay::store::{HeaderKind, Id, MessageHeader, MessageKind, StoredMessage};

/// A line of `smp-server-messages.log`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoggedMessage {
    /// The queue it waits in.
    pub recipient_id: Id,
    /// The message.
    pub message: StoredMessage,
}

impl LoggedMessage {
    /// Reads a line without its end.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(line: &[u8]) -> Result<Self, Reason> {
        let mut cursor = Cursor::new(line);
        if !cursor.eat(b"v3 ") {
            return Err(Reason::UnknownKind);
        }
        let recipient_id = cursor.id_and_space("recipient id")?;
        Ok(Self { recipient_id, message: read(cursor)? })
    }

    /// The line, without its end.
    #[must_use]
    pub fn to_line(&self) -> String {
        let mut out = String::from("v3 ");
        put_bytes(&mut out, &self.recipient_id);
        out.push(' ');
        write(&mut out, &self.message);
        out
    }
}

/// Reads a line of a journal's message file, without its end.
///
/// # Errors
/// What is wrong with it.
pub fn parse_journal_line(line: &[u8]) -> Result<StoredMessage, Reason> {
    read(Cursor::new(line))
}

/// The line of a journal's message file, without its end.
#[must_use]
pub fn journal_line(message: &StoredMessage) -> String {
    let mut out = String::new();
    write(&mut out, message);
    out
}

fn read(mut cursor: Cursor<'_>) -> Result<StoredMessage, Reason> {
    let id = cursor.id_and_space("message id")?;
    let time = cursor.seconds("time")?;
    cursor.expect(b" ", "message")?;
    // Old logs have no flags before the body; no body of theirs reads as this word.
    if cursor.eat(b"quota") {
        cursor.finish()?;
        let header = MessageHeader { id, time, kind: HeaderKind::QuotaMark };
        return Ok(StoredMessage::from_parts(header, Bytes::new()));
    }
    let mut notification = false;
    if cursor.eat(b"flags=") {
        // Later flags may follow the first, as on the wire.
        notification = match cursor.word() {
            [b'T', ..] => true,
            [b'F', ..] => false,
            _ => return Err(Reason::Field("flags")),
        };
        cursor.expect(b" ", "body")?;
    }
    let body = decode(cursor.word(), "body")?;
    cursor.finish()?;
    // Nobody could send a longer one, nor could it be delivered: what comes after it would wait for ever.
    if body.len() > SmpVersion::MIN.max_message_length() {
        return Err(Reason::Field("body"));
    }
    let header = MessageHeader { id, time, kind: HeaderKind::Message { notification } };
    Ok(StoredMessage::from_parts(header, body.into()))
}

fn write(out: &mut String, message: &StoredMessage) {
    put_bytes(out, &message.id);
    out.push(' ');
    put_number(out, message.time);
    match &message.kind {
        MessageKind::QuotaMark => out.push_str(" quota"),
        MessageKind::Message { notification, body } => {
            out.push_str(if *notification { " flags=T " } else { " flags=F " });
            put_bytes(out, body);
        }
    }
}

/// A line of `smp-server-ntfs.log`: a notification nobody took yet.
#[derive(Clone, PartialEq, Eq)]
pub struct LoggedNotification {
    /// The notifier it is for.
    pub notifier_id: Id,
    /// The message it tells of.
    pub message_id: Id,
    /// When the message was received: seconds since 1970-01-01, UTC.
    pub time: i64,
    /// The nonce it was encrypted with.
    pub nonce: [u8; 24],
    /// Message id and time, encrypted for the recipient.
    pub metadata: Vec<u8>,
}

impl std::fmt::Debug for LoggedNotification {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LoggedNotification(..)")
    }
}

impl LoggedNotification {
    /// Reads a line without its end.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(line: &[u8]) -> Result<Self, Reason> {
        let mut cursor = Cursor::new(line);
        if !cursor.eat(b"v1 ") {
            return Err(Reason::UnknownKind);
        }
        let notifier_id = cursor.id_and_space("notifier id")?;
        let message_id = cursor.id_and_space("message id")?;
        let time = cursor.seconds("time")?;
        cursor.expect(b" ", "time")?;
        let nonce = cursor.id_and_space("nonce")?;
        let metadata = cursor.bytes("metadata")?;
        cursor.finish()?;
        if metadata.is_empty() {
            return Err(Reason::Field("metadata"));
        }
        Ok(Self { notifier_id, message_id, time, nonce, metadata })
    }

    /// The line, without its end.
    #[must_use]
    pub fn to_line(&self) -> String {
        let mut out = String::from("v1 ");
        for id in [&self.notifier_id, &self.message_id] {
            put_bytes(&mut out, id);
            out.push(' ');
        }
        put_number(&mut out, self.time);
        for bytes in [self.nonce.as_slice(), &self.metadata] {
            out.push(' ');
            put_bytes(&mut out, bytes);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: &str = "v3 M7UjOivWE6VSmbTFbCPlqSRt68lpfyrx -55FQ71DS8pDXPQWcvX1IfDHdZ2n6Smk 1795293598";

    #[test]
    fn every_form_of_a_message_is_read() {
        for (rest, body, notification) in [
            ("flags=F aGVsbG8gMQ==", "hello 1", false),
            ("flags=T aGVsbG8gMg==", "hello 2", true),
            ("flags=Tlater aGVsbG8gMg==", "hello 2", true),
            // Before flags were written, and an empty body.
            ("aGVsbG8gMQ==", "hello 1", false),
            ("flags=F ", "", false),
        ] {
            let line = format!("{QUEUE} {rest}");
            let read = LoggedMessage::parse(line.as_bytes()).unwrap();
            let expected = MessageKind::Message { notification, body: body.as_bytes().to_vec().into() };
            assert_eq!((&read.message.kind, read.message.time), (&expected, 1_795_293_598), "{line}");
            assert_eq!(LoggedMessage::parse(read.to_line().as_bytes()).unwrap(), read);
            let journal = line.split_at("v3 M7UjOivWE6VSmbTFbCPlqSRt68lpfyrx ".len()).1;
            assert_eq!(parse_journal_line(journal.as_bytes()).unwrap(), read.message);
        }
        let line = format!("{QUEUE} quota");
        let read = LoggedMessage::parse(line.as_bytes()).unwrap();
        assert_eq!(read.message.kind, MessageKind::QuotaMark);
        assert_eq!(read.to_line(), line);
    }

    #[test]
    fn a_message_that_nobody_could_send_is_not_taken() {
        for (length, taken) in [(16_088, true), (16_089, false)] {
            let mut line = format!("{QUEUE} flags=F ");
            put_bytes(&mut line, &vec![7; length]);
            assert_eq!(LoggedMessage::parse(line.as_bytes()).is_ok(), taken, "{length}");
        }
    }

    #[test]
    fn damaged_messages_are_told_by_their_field() {
        for (line, reason) in [
            ("", Reason::UnknownKind),
            ("v2 x", Reason::UnknownKind),
            ("v3 ", Reason::Field("recipient id")),
            (&QUEUE[..QUEUE.len() - 11], Reason::Field("message id")),
            (QUEUE, Reason::Field("message")),
            (&format!("{QUEUE} flags=X aa=="), Reason::Field("flags")),
            (&format!("{QUEUE} flags=F"), Reason::Field("body")),
            (&format!("{QUEUE} flags=F a"), Reason::Field("body")),
            (&format!("{QUEUE} flags=F aGVsbG8gMQ== x"), Reason::Trailing),
            (&format!("{QUEUE} quota "), Reason::Trailing),
            (&QUEUE.replace("1795", "+795"), Reason::Field("time")),
            (&QUEUE.replace("1795293598", "99999999999999999999 quota"), Reason::Field("time")),
        ] {
            assert_eq!(LoggedMessage::parse(line.as_bytes()), Err(reason), "{line}");
        }
    }
}
