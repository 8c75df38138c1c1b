//! Lines of the queue store log (wire reference, 14.3).

use smp_proto::smp::service::ServiceRole;
use smp_proto::wire::{Reader, Writer};

use super::Reason;
use super::text::{Cursor, SECONDS_PER_DAY, decode, put_bytes, put_key, put_number};
use crate::relay::store::{
    Blocked, Id, LinkData, Notifier, QueueChange, QueueMode, QueueRecord, QueueStatus, RecipientKeys, ServiceRecord,
    ServiceSide,
};

/// One line: what changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoreLogLine {
    /// `CREATE`: a queue with all there was to say about it.
    Create(Box<LoggedQueue>),
    /// A change of a queue.
    Change {
        /// The queue's recipient id.
        recipient_id: Id,
        /// What changed.
        change: QueueChange,
    },
    /// `NEW_SERVICE`: a service whose certificate was seen for the first time.
    Service(ServiceRecord),
}

/// A queue as it is logged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoggedQueue {
    /// Everything but the link data.
    pub record: QueueRecord,
    /// The data behind the record's `link_id`; there if and only if that is.
    pub link: Option<LinkData>,
}

impl StoreLogLine {
    /// Reads a line without its end.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(line: &[u8]) -> Result<Self, Reason> {
        let mut cursor = Cursor::new(line);
        let kind = cursor.word();
        let known = [
            "CREATE",
            "LINK",
            "LDELETE",
            "SECURE",
            "KEYS",
            "NOTIFIER",
            "SUSPEND",
            "UNBLOCK",
            "BLOCK",
            "DELETE",
            "NDELETE",
            "TIME",
            "NEW_SERVICE",
            "QUEUE_SERVICE",
        ];
        if !known.iter().any(|name| name.as_bytes() == kind) {
            return Err(Reason::UnknownKind);
        }
        cursor.expect(b" ", "recipient id")?;
        let parsed = match kind {
            b"CREATE" => Self::Create(Box::new(parse_queue(&mut cursor)?)),
            b"NEW_SERVICE" => Self::Service(parse_service(&mut cursor)?),
            _ => Self::Change { recipient_id: cursor.id("recipient id")?, change: parse_change(kind, &mut cursor)? },
        };
        cursor.finish()?;
        Ok(parsed)
    }

    /// The line, without its end.
    #[must_use]
    pub fn to_line(&self) -> String {
        match self {
            Self::Create(queue) => queue_line(queue),
            Self::Service(service) => service_line(service),
            Self::Change { recipient_id, change } => change_line(recipient_id, change),
        }
    }
}

fn parse_queue(cursor: &mut Cursor<'_>) -> Result<LoggedQueue, Reason> {
    cursor.expect(b"rid=", "recipient id")?;
    let recipient_id = cursor.id_and_space("recipient id")?;
    cursor.expect(b"rk=", "recipient keys")?;
    let keys = recipient_keys(cursor)?;
    cursor.expect(b" rdh=", "delivery secret")?;
    let secret = cursor.secret("delivery secret")?;
    cursor.expect(b" sid=", "sender id")?;
    let sender_id = cursor.id("sender id")?;
    let first = *keys.iter().next().ok_or(Reason::Field("recipient keys"))?;
    let mut record = QueueRecord { recipient_keys: keys, ..QueueRecord::new(recipient_id, sender_id, first, secret) };
    cursor.expect(b" sk=", "sender key")?;
    let sender_key = cursor.word();
    if !sender_key.is_empty() {
        record.sender_key = Some(Cursor::new(sender_key).key("sender key")?);
    }
    // Before the mode there was only whether the sender may secure the queue.
    let mode = if cursor.eat(b" sndSecure=") {
        match cursor.word() {
            b"T" => QueueMode::Messaging,
            b"F" => QueueMode::Contact,
            _ => return Err(Reason::Field("queue mode")),
        }
    } else if cursor.eat(b" queue_mode=") {
        match cursor.word() {
            b"M" => QueueMode::Messaging,
            b"C" => QueueMode::Contact,
            _ => return Err(Reason::Field("queue mode")),
        }
    } else {
        QueueMode::Unknown
    };
    record.mode = mode;
    let mut link = None;
    if cursor.eat(b" link_id=") {
        record.link_id = Some(cursor.id("link id")?);
        cursor.expect(b" queue_data=", "link data")?;
        link = Some(parse_link(cursor)?);
    }
    if cursor.eat(b" notifier=") {
        let (notifier, service) = parse_notifier(cursor)?;
        record.notifier = Some(Box::new(notifier));
        record.notifier_service = service;
    }
    if cursor.eat(b" updated_at=") {
        record.activity_day = cursor.day("time")?;
    }
    if cursor.eat(b" status=") {
        record.status = parse_status(cursor)?;
    }
    if cursor.eat(b" rsrv=") {
        record.recipient_service = Some(cursor.id("service id")?);
    }
    Ok(LoggedQueue { record, link })
}

fn parse_change(kind: &[u8], cursor: &mut Cursor<'_>) -> Result<QueueChange, Reason> {
    let mut space = |what| cursor.expect(b" ", what);
    Ok(match kind {
        b"LINK" => {
            space("link id")?;
            let id = cursor.id_and_space("link id")?;
            QueueChange::Link(id, parse_link(cursor)?)
        }
        b"LDELETE" => QueueChange::DeleteLink,
        b"SECURE" => {
            space("sender key")?;
            QueueChange::Secure(cursor.key("sender key")?)
        }
        b"KEYS" => {
            space("recipient keys")?;
            QueueChange::RecipientKeys(recipient_keys(cursor)?)
        }
        b"NOTIFIER" => {
            space("notifier")?;
            let (notifier, service) = parse_notifier(cursor)?;
            QueueChange::Notifier(Box::new(notifier), service)
        }
        b"NDELETE" => QueueChange::DeleteNotifier,
        b"SUSPEND" => QueueChange::Suspend,
        b"UNBLOCK" => QueueChange::Unblock,
        b"BLOCK" => {
            space("blocking")?;
            QueueChange::Block(parse_blocking(cursor)?)
        }
        b"DELETE" => QueueChange::Delete,
        b"TIME" => {
            space("time")?;
            QueueChange::Used(cursor.day("time")?)
        }
        b"QUEUE_SERVICE" => {
            space("party")?;
            let party = match cursor.word() {
                b"R" => ServiceSide::Recipient,
                b"N" => ServiceSide::Notifier,
                _ => return Err(Reason::Field("party")),
            };
            cursor.expect(b" ", "service id")?;
            let service = if cursor.is_empty() { None } else { Some(cursor.id("service id")?) };
            QueueChange::Service(party, service)
        }
        _ => return Err(Reason::UnknownKind),
    })
}

fn recipient_keys(cursor: &mut Cursor<'_>) -> Result<RecipientKeys, Reason> {
    RecipientKeys::from_slice(&cursor.keys("recipient keys")?).ok_or(Reason::Field("recipient keys"))
}

fn parse_link(cursor: &mut Cursor<'_>) -> Result<LinkData, Reason> {
    let fixed = cursor.bytes("link data")?.into();
    cursor.expect(b" ", "link data")?;
    Ok(LinkData { fixed, user: cursor.bytes("link data")?.into() })
}

fn parse_notifier(cursor: &mut Cursor<'_>) -> Result<(Notifier, Option<Id>), Reason> {
    let id = cursor.id_and_space("notifier id")?;
    let key = cursor.key("notifier key")?;
    cursor.expect(b" ", "notifier secret")?;
    let secret = cursor.secret("notifier secret")?;
    let service = if cursor.eat(b" nsrv=") { Some(cursor.id("service id")?) } else { None };
    Ok((Notifier { id, key, secret }, service))
}

fn parse_status(cursor: &mut Cursor<'_>) -> Result<QueueStatus, Reason> {
    if cursor.eat(b"active") {
        Ok(QueueStatus::Active)
    } else if cursor.eat(b"off") {
        Ok(QueueStatus::Suspended)
    } else {
        cursor.expect(b"blocked,", "status")?;
        Ok(QueueStatus::Blocked { blocked: parse_blocking(cursor)?, suspended: false })
    }
}

/// A notice reaches to the end of the line; without one other fields may follow.
fn parse_blocking(cursor: &mut Cursor<'_>) -> Result<Blocked, Reason> {
    let text = if cursor.has(b",notice=") { cursor.rest() } else { cursor.word() };
    let mut reader = Reader::new(text);
    let blocked = Blocked::decode_info(&mut reader).map_err(|_| Reason::Field("blocking"))?;
    reader.finish().map_err(|_| Reason::Field("blocking"))?;
    Ok(blocked)
}

fn parse_service(cursor: &mut Cursor<'_>) -> Result<ServiceRecord, Reason> {
    cursor.expect(b"service_id=", "service id")?;
    let id = cursor.id("service id")?;
    cursor.expect(b" role=", "role")?;
    let role = match cursor.word() {
        b"M" => ServiceRole::Messaging,
        b"N" => ServiceRole::Notifier,
        b"P" => ServiceRole::Proxy,
        _ => return Err(Reason::Field("role")),
    };
    cursor.expect(b" cert=", "certificates")?;
    let mut certificates = Vec::new();
    loop {
        certificates.push(decode(cursor.item(), "certificates")?.into_boxed_slice());
        if !cursor.eat(b",") {
            break;
        }
    }
    cursor.expect(b" cert_hash=", "certificate hash")?;
    let fingerprint = cursor.bytes("certificate hash")?;
    let fingerprint = fingerprint.as_slice().try_into().map_err(|_| Reason::Field("certificate hash"))?;
    cursor.expect(b" created_at=", "time")?;
    let created = cursor.seconds("time")?;
    Ok(ServiceRecord { id, role, fingerprint, chain: certificates.into(), created, seen_day: days(created) })
}

fn queue_line(queue: &LoggedQueue) -> String {
    let record = &queue.record;
    let mut out = String::from("CREATE rid=");
    put_bytes(&mut out, &record.recipient_id);
    out.push_str(" rk=");
    put_keys(&mut out, &record.recipient_keys);
    out.push_str(" rdh=");
    put_bytes(&mut out, record.delivery_secret.as_bytes());
    out.push_str(" sid=");
    put_bytes(&mut out, &record.sender_id);
    out.push_str(" sk=");
    if let Some(key) = &record.sender_key {
        put_key(&mut out, key);
    }
    match record.mode {
        QueueMode::Unknown => {}
        QueueMode::Messaging => out.push_str(" queue_mode=M"),
        QueueMode::Contact => out.push_str(" queue_mode=C"),
    }
    if let (Some(id), Some(link)) = (&record.link_id, &queue.link) {
        out.push_str(" link_id=");
        put_bytes(&mut out, id);
        out.push_str(" queue_data=");
        put_link(&mut out, link);
    }
    if let Some(notifier) = &record.notifier {
        out.push_str(" notifier=");
        put_notifier(&mut out, notifier, record.notifier_service.as_ref());
    }
    if record.activity_day != 0 {
        out.push_str(" updated_at=");
        put_day(&mut out, record.activity_day);
    }
    match &record.status {
        QueueStatus::Active => {}
        QueueStatus::Suspended => out.push_str(" status=off"),
        QueueStatus::Blocked { blocked, .. } => {
            out.push_str(" status=blocked,");
            // A notice reaches to the end of the line, so nothing can follow one. Whoever writes a whole log says the
            // service on a line of its own.
            put_blocking(&mut out, *blocked);
            if blocked.notice.is_some() {
                return out;
            }
        }
    }
    if let Some(id) = &record.recipient_service {
        out.push_str(" rsrv=");
        put_bytes(&mut out, id);
    }
    out
}

fn change_line(recipient_id: &Id, change: &QueueChange) -> String {
    let kind = match change {
        QueueChange::Link(..) => "LINK ",
        QueueChange::DeleteLink => "LDELETE ",
        QueueChange::Secure(_) => "SECURE ",
        QueueChange::RecipientKeys(_) => "KEYS ",
        QueueChange::Notifier(..) => "NOTIFIER ",
        QueueChange::DeleteNotifier => "NDELETE ",
        QueueChange::Suspend => "SUSPEND ",
        QueueChange::Unblock => "UNBLOCK ",
        QueueChange::Block(..) => "BLOCK ",
        QueueChange::Delete => "DELETE ",
        QueueChange::Used(_) => "TIME ",
        QueueChange::Service(..) => "QUEUE_SERVICE ",
    };
    let mut out = String::from(kind);
    put_bytes(&mut out, recipient_id);
    match change {
        QueueChange::DeleteLink
        | QueueChange::DeleteNotifier
        | QueueChange::Suspend
        | QueueChange::Unblock
        | QueueChange::Delete => return out,
        _ => out.push(' '),
    }
    match change {
        QueueChange::Link(id, link) => {
            put_bytes(&mut out, id);
            out.push(' ');
            put_link(&mut out, link);
        }
        QueueChange::Secure(key) => put_key(&mut out, key),
        QueueChange::RecipientKeys(keys) => put_keys(&mut out, keys),
        QueueChange::Notifier(notifier, service) => put_notifier(&mut out, notifier, service.as_ref()),
        QueueChange::Block(blocked) => put_blocking(&mut out, *blocked),
        QueueChange::Used(day) => put_day(&mut out, *day),
        QueueChange::Service(party, service) => {
            out.push_str(match party {
                ServiceSide::Recipient => "R ",
                ServiceSide::Notifier => "N ",
            });
            put_bytes(&mut out, service.as_ref().map_or(&[], Id::as_slice));
        }
        _ => {}
    }
    out
}

fn service_line(service: &ServiceRecord) -> String {
    let mut out = String::from("NEW_SERVICE service_id=");
    put_bytes(&mut out, &service.id);
    out.push_str(match service.role {
        ServiceRole::Messaging => " role=M cert=",
        ServiceRole::Notifier => " role=N cert=",
        ServiceRole::Proxy => " role=P cert=",
    });
    for (index, certificate) in service.chain.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        put_bytes(&mut out, certificate);
    }
    out.push_str(" cert_hash=");
    put_bytes(&mut out, &service.fingerprint);
    out.push_str(" created_at=");
    // The reference keeps days.
    put_day(&mut out, days(service.created));
    out
}

fn put_keys(out: &mut String, keys: &RecipientKeys) {
    for (index, key) in keys.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        put_key(out, key);
    }
}

fn put_link(out: &mut String, link: &LinkData) {
    put_bytes(out, &link.fixed);
    out.push(' ');
    put_bytes(out, &link.user);
}

fn put_notifier(out: &mut String, notifier: &Notifier, service: Option<&Id>) {
    put_bytes(out, &notifier.id);
    out.push(' ');
    put_key(out, &notifier.key);
    out.push(' ');
    put_bytes(out, notifier.secret.as_bytes());
    if let Some(service) = service {
        out.push_str(" nsrv=");
        put_bytes(out, service);
    }
}

fn put_blocking(out: &mut String, blocked: Blocked) {
    // 50 bytes at most.
    let mut buffer = [0; 64];
    let mut writer = Writer::new(&mut buffer);
    if blocked.encode_info(&mut writer).is_ok() {
        out.push_str(&String::from_utf8_lossy(writer.written()));
    }
}

fn days(seconds: i64) -> u32 {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    u32::try_from(seconds.checked_div(SECONDS_PER_DAY).unwrap_or(0)).unwrap_or(u32::MAX)
}

fn put_day(out: &mut String, day: u32) {
    put_number(out, u64::from(day).saturating_mul(SECONDS_PER_DAY));
}

#[cfg(test)]
#[path = "store_log/tests.rs"]
mod tests;
