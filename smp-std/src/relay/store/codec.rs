//! How records and messages are written to disk.
//!
//! Every value starts with the version of its format. A queue record is a list of fields, each a tag, a length (LEB128)
//! and a value: later versions add tags, and a version that does not know a tag says so instead of dropping the field.

mod service;

use smp_proto::key::{AuthorizationKey, Ed448PublicKey, Ed25519PublicKey, X25519PublicKey};
use smp_proto::wire::Reader;

use super::StoreError;
use super::record::{
    BlockingReason, Counts, HeaderKind, Id, MessageHeader, Notifier, QueueMode, QueueRecord, QueueState, QueueStatus,
    RecipientKeys, SharedSecret,
};

pub(super) use service::{decode_queue_set, decode_service, encode_queue_set, encode_service};

/// The version all formats have now.
const FORMAT: u8 = 1;

const RECORD: &str = "queue record";
const STATE: &str = "queue state";
const HEADER: &str = "message header";
const COUNTS: &str = "count";

mod tag {
    pub(super) const SENDER_ID: u8 = 1;
    pub(super) const RECIPIENT_KEY: u8 = 2;
    pub(super) const DELIVERY_SECRET: u8 = 3;
    pub(super) const SENDER_KEY: u8 = 4;
    pub(super) const MODE: u8 = 5;
    pub(super) const STATUS: u8 = 6;
    pub(super) const ACTIVITY_DAY: u8 = 7;
    pub(super) const LINK_ID: u8 = 8;
    pub(super) const NOTIFIER: u8 = 9;
    pub(super) const RECIPIENT_SERVICE: u8 = 10;
    pub(super) const NOTIFIER_SERVICE: u8 = 11;
}

const KEY_ED25519: u8 = 1;
const KEY_ED448: u8 = 2;
const KEY_X25519: u8 = 3;

const MODE_MESSAGING: u8 = 1;
const MODE_CONTACT: u8 = 2;

const STATUS_SUSPENDED: u8 = 1;
const STATUS_BLOCKED_SPAM: u8 = 2;
const STATUS_BLOCKED_CONTENT: u8 = 3;

const COUNT_SERVICES: u8 = 2;

const KIND_MESSAGE: u8 = 0;
const KIND_MESSAGE_NOTIFIED: u8 = 1;
const KIND_QUOTA_MARK: u8 = 2;

/// Writes a queue record; the recipient id is its key and not part of it. What has its default value is left out.
pub(super) fn encode_record(record: &QueueRecord) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.push(FORMAT);
    field(&mut out, tag::SENDER_ID, &[&record.sender_id]);
    for key in record.recipient_keys.iter() {
        with_key(key, |algorithm, raw| field(&mut out, tag::RECIPIENT_KEY, &[&[algorithm], raw]));
    }
    field(&mut out, tag::DELIVERY_SECRET, &[record.delivery_secret.as_bytes()]);
    if let Some(key) = &record.sender_key {
        with_key(key, |algorithm, raw| field(&mut out, tag::SENDER_KEY, &[&[algorithm], raw]));
    }
    match record.mode {
        QueueMode::Unknown => {}
        QueueMode::Messaging => field(&mut out, tag::MODE, &[&[MODE_MESSAGING]]),
        QueueMode::Contact => field(&mut out, tag::MODE, &[&[MODE_CONTACT]]),
    }
    match &record.status {
        QueueStatus::Active => {}
        QueueStatus::Suspended => field(&mut out, tag::STATUS, &[&[STATUS_SUSPENDED]]),
        QueueStatus::Blocked { reason, notice } => {
            let reason = match reason {
                BlockingReason::Spam => STATUS_BLOCKED_SPAM,
                BlockingReason::Content => STATUS_BLOCKED_CONTENT,
            };
            // An empty notice is none: a notice is JSON, which is never empty.
            field(&mut out, tag::STATUS, &[&[reason], notice.as_deref().unwrap_or_default().as_bytes()]);
        }
    }
    if record.activity_day != 0 {
        field(&mut out, tag::ACTIVITY_DAY, &[&record.activity_day.to_be_bytes()]);
    }
    if let Some(notifier) = &record.notifier {
        with_key(&notifier.key, |algorithm, raw| {
            field(&mut out, tag::NOTIFIER, &[&notifier.id, notifier.secret.as_bytes(), &[algorithm], raw]);
        });
    }
    let ids = [
        (tag::LINK_ID, record.link_id),
        (tag::RECIPIENT_SERVICE, record.recipient_service),
        (tag::NOTIFIER_SERVICE, record.notifier_service),
    ];
    for (tag, id) in ids {
        if let Some(id) = id {
            field(&mut out, tag, &[&id]);
        }
    }
    out
}

/// Reads the record of the queue `recipient_id`.
pub(super) fn decode_record(recipient_id: &Id, bytes: &[u8]) -> Result<QueueRecord, StoreError> {
    let mut reader = versioned(bytes, RECORD)?;
    let mut sender_id = None;
    let mut recipient_keys = Vec::new();
    let mut delivery_secret = None;
    let mut sender_key = None;
    let mut mode = QueueMode::Unknown;
    let mut status = QueueStatus::Active;
    let mut activity_day = 0;
    let mut link_id = None;
    let mut notifier = None;
    let mut recipient_service = None;
    let mut notifier_service = None;
    while !reader.is_empty() {
        let tag = reader.u8().map_err(unreadable(RECORD))?;
        let length = read_length(&mut reader)?;
        let mut value = Reader::new(reader.take(length).map_err(unreadable(RECORD))?);
        match tag {
            tag::SENDER_ID => sender_id = Some(read_id(&mut value)?),
            tag::RECIPIENT_KEY => recipient_keys.push(read_key(&mut value)?),
            tag::DELIVERY_SECRET => delivery_secret = Some(read_secret(&mut value)?),
            tag::SENDER_KEY => sender_key = Some(read_key(&mut value)?),
            tag::MODE => mode = read_mode(&mut value)?,
            tag::STATUS => status = read_status(&mut value)?,
            tag::ACTIVITY_DAY => activity_day = value.u32().map_err(unreadable(RECORD))?,
            tag::LINK_ID => link_id = Some(read_id(&mut value)?),
            tag::NOTIFIER => {
                let id = read_id(&mut value)?;
                let secret = read_secret(&mut value)?;
                notifier = Some(Box::new(Notifier { id, key: read_key(&mut value)?, secret }));
            }
            tag::RECIPIENT_SERVICE => recipient_service = Some(read_id(&mut value)?),
            tag::NOTIFIER_SERVICE => notifier_service = Some(read_id(&mut value)?),
            found => return Err(StoreError::NewerFormat { what: RECORD, found }),
        }
        value.finish().map_err(unreadable(RECORD))?;
    }
    let missing = StoreError::Corrupt(RECORD);
    Ok(QueueRecord {
        recipient_id: *recipient_id,
        sender_id: sender_id.ok_or_else(|| missing.clone())?,
        recipient_keys: RecipientKeys::from_slice(&recipient_keys).ok_or_else(|| missing.clone())?,
        delivery_secret: delivery_secret.ok_or(missing)?,
        sender_key,
        mode,
        status,
        activity_day,
        link_id,
        notifier,
        recipient_service,
        notifier_service,
    })
}

/// Writes where a queue's messages are: 18 bytes.
pub(super) fn encode_state(state: QueueState) -> [u8; 18] {
    concat(&[&[FORMAT], &state.head.to_be_bytes(), &state.tail.to_be_bytes(), &[u8::from(state.quota_exceeded)]])
}

/// Reads where a queue's messages are.
pub(super) fn decode_state(bytes: &[u8]) -> Result<QueueState, StoreError> {
    let mut reader = versioned(bytes, STATE)?;
    let head = u64::from_be_bytes(*reader.array().map_err(unreadable(STATE))?);
    let tail = u64::from_be_bytes(*reader.array().map_err(unreadable(STATE))?);
    let flag = reader.u8().map_err(unreadable(STATE))?;
    reader.finish().map_err(unreadable(STATE))?;
    if head > tail || flag > 1 {
        return Err(StoreError::Corrupt(STATE));
    }
    Ok(QueueState { head, tail, quota_exceeded: flag == 1 })
}

/// Writes a message's header: 34 bytes.
pub(super) fn encode_header(header: &MessageHeader) -> [u8; 34] {
    let kind = match header.kind {
        HeaderKind::Message { notification: false } => KIND_MESSAGE,
        HeaderKind::Message { notification: true } => KIND_MESSAGE_NOTIFIED,
        HeaderKind::QuotaMark => KIND_QUOTA_MARK,
    };
    concat(&[&[FORMAT], &[kind], &header.time.to_be_bytes(), &header.id])
}

/// Reads a message's header.
pub(super) fn decode_header(bytes: &[u8]) -> Result<MessageHeader, StoreError> {
    let mut reader = versioned(bytes, HEADER)?;
    let kind = match reader.u8().map_err(unreadable(HEADER))? {
        KIND_MESSAGE => HeaderKind::Message { notification: false },
        KIND_MESSAGE_NOTIFIED => HeaderKind::Message { notification: true },
        KIND_QUOTA_MARK => HeaderKind::QuotaMark,
        found => return Err(StoreError::NewerFormat { what: HEADER, found }),
    };
    let time = reader.i64().map_err(unreadable(HEADER))?;
    let id = *reader.array().map_err(unreadable(HEADER))?;
    reader.finish().map_err(unreadable(HEADER))?;
    Ok(MessageHeader { id, time, kind })
}

/// Writes the counts.
pub(super) fn encode_counts(counts: Counts) -> Vec<u8> {
    let Counts { queues, messages, services } = counts;
    let mut out = vec![FORMAT];
    out.extend_from_slice(&queues.to_be_bytes());
    out.extend_from_slice(&messages.to_be_bytes());
    if services != 0 {
        field(&mut out, COUNT_SERVICES, &[&services.to_be_bytes()]);
    }
    out
}

/// Reads the counts.
pub(super) fn decode_counts(bytes: &[u8]) -> Result<Counts, StoreError> {
    let mut reader = versioned(bytes, COUNTS)?;
    let queues = u64::from_be_bytes(*reader.array().map_err(unreadable(COUNTS))?);
    let messages = u64::from_be_bytes(*reader.array().map_err(unreadable(COUNTS))?);
    let mut services = 0;
    while !reader.is_empty() {
        let tag = reader.u8().map_err(unreadable(COUNTS))?;
        let length = read_length(&mut reader)?;
        let mut value = Reader::new(reader.take(length).map_err(unreadable(COUNTS))?);
        match tag {
            COUNT_SERVICES => services = u64::from_be_bytes(*value.array().map_err(unreadable(COUNTS))?),
            found => return Err(StoreError::NewerFormat { what: COUNTS, found }),
        }
        value.finish().map_err(unreadable(COUNTS))?;
    }
    Ok(Counts { queues, messages, services })
}

/// Turns the wire's reading errors into this module's.
fn unreadable(what: &'static str) -> impl Fn(smp_proto::wire::Error) -> StoreError {
    move |_| StoreError::Corrupt(what)
}

fn versioned<'a>(bytes: &'a [u8], what: &'static str) -> Result<Reader<'a>, StoreError> {
    let mut reader = Reader::new(bytes);
    match reader.u8().map_err(unreadable(what))? {
        FORMAT => Ok(reader),
        found => Err(StoreError::NewerFormat { what, found }),
    }
}

fn concat<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(parts.iter().copied().flatten()) {
        *to = *from;
    }
    out
}

fn field(out: &mut Vec<u8>, tag: u8, parts: &[&[u8]]) {
    out.push(tag);
    let mut length: usize = parts.iter().map(|part| part.len()).sum();
    while length > 0x7f {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    for part in parts {
        out.extend_from_slice(part);
    }
}

fn read_length(reader: &mut Reader<'_>) -> Result<usize, StoreError> {
    let mut length = 0;
    // Four groups of seven bits: 256 MiB, more than any field.
    for shift in [0, 7, 14, 21] {
        let byte = reader.u8().map_err(unreadable(RECORD))?;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(length);
        }
    }
    Err(StoreError::Corrupt(RECORD))
}

fn with_key(key: &AuthorizationKey, mut write: impl FnMut(u8, &[u8])) {
    match key {
        AuthorizationKey::Ed25519(key) => write(KEY_ED25519, &key.0),
        AuthorizationKey::Ed448(key) => write(KEY_ED448, &key.0),
        AuthorizationKey::X25519(key) => write(KEY_X25519, &key.0),
    }
}

fn read_key(reader: &mut Reader<'_>) -> Result<AuthorizationKey, StoreError> {
    let corrupt = unreadable(RECORD);
    Ok(match reader.u8().map_err(&corrupt)? {
        KEY_ED25519 => AuthorizationKey::Ed25519(Ed25519PublicKey(*reader.array().map_err(&corrupt)?)),
        KEY_ED448 => AuthorizationKey::Ed448(Ed448PublicKey(*reader.array().map_err(&corrupt)?)),
        KEY_X25519 => AuthorizationKey::X25519(X25519PublicKey(*reader.array().map_err(&corrupt)?)),
        found => return Err(StoreError::NewerFormat { what: "key", found }),
    })
}

fn read_id(reader: &mut Reader<'_>) -> Result<Id, StoreError> {
    reader.array().copied().map_err(unreadable(RECORD))
}

fn read_secret(reader: &mut Reader<'_>) -> Result<SharedSecret, StoreError> {
    reader.array().copied().map(SharedSecret::new).map_err(unreadable(RECORD))
}

fn read_mode(reader: &mut Reader<'_>) -> Result<QueueMode, StoreError> {
    match reader.u8().map_err(unreadable(RECORD))? {
        MODE_MESSAGING => Ok(QueueMode::Messaging),
        MODE_CONTACT => Ok(QueueMode::Contact),
        found => Err(StoreError::NewerFormat { what: "queue mode", found }),
    }
}

fn read_status(reader: &mut Reader<'_>) -> Result<QueueStatus, StoreError> {
    let reason = match reader.u8().map_err(unreadable(RECORD))? {
        STATUS_SUSPENDED => return Ok(QueueStatus::Suspended),
        STATUS_BLOCKED_SPAM => BlockingReason::Spam,
        STATUS_BLOCKED_CONTENT => BlockingReason::Content,
        found => return Err(StoreError::NewerFormat { what: "queue status", found }),
    };
    let notice = std::str::from_utf8(reader.rest()).map_err(|_| StoreError::Corrupt(RECORD))?;
    Ok(QueueStatus::Blocked { reason, notice: (!notice.is_empty()).then(|| notice.into()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> QueueRecord {
        let ed25519 = AuthorizationKey::Ed25519(Ed25519PublicKey([1; 32]));
        let ed448 = AuthorizationKey::Ed448(Ed448PublicKey([2; 57]));
        let x25519 = AuthorizationKey::X25519(X25519PublicKey([3; 32]));
        QueueRecord {
            recipient_keys: RecipientKeys::from_slice(&[ed25519, ed448, x25519]).unwrap(),
            sender_key: Some(x25519),
            mode: QueueMode::Contact,
            status: QueueStatus::Blocked { reason: BlockingReason::Spam, notice: Some("{}".repeat(5000).into()) },
            activity_day: 20_000,
            link_id: Some([4; 24]),
            notifier: Some(Box::new(Notifier { id: [5; 24], key: ed448, secret: SharedSecret::new([6; 32]) })),
            recipient_service: Some([7; 24]),
            notifier_service: Some([8; 24]),
            ..QueueRecord::new([9; 24], [10; 24], ed25519, SharedSecret::new([11; 32]))
        }
    }

    #[test]
    fn records_come_back() {
        let small = QueueRecord {
            mode: QueueMode::Messaging,
            ..QueueRecord::new(
                [9; 24],
                [10; 24],
                AuthorizationKey::Ed25519(Ed25519PublicKey([1; 32])),
                SharedSecret::new([11; 32]),
            )
        };
        assert_eq!(encode_record(&small).len(), 1 + 26 + 35 + 34 + 3);
        let suspended = QueueRecord { status: QueueStatus::Suspended, ..small.clone() };
        for record in [small, suspended, full()] {
            assert_eq!(decode_record(&[9; 24], &encode_record(&record)).unwrap(), record);
        }
    }

    #[test]
    fn truncated_records_are_refused() {
        let mut record = full();
        record.status = QueueStatus::Active;
        let bytes = encode_record(&record);
        let mut complete = 0;
        for length in 0..bytes.len() {
            // Cut between two fields the rest is a record again; that is the engine's checksums' business.
            complete += usize::from(decode_record(&[9; 24], &bytes[..length]).is_ok());
        }
        assert!(complete <= 8, "{complete}");
        assert!(decode_record(&[9; 24], &[&bytes[..], &[1]].concat()).is_err());
    }

    #[test]
    fn a_flipped_bit_never_goes_unnoticed() {
        let mut record = full();
        record.status = QueueStatus::Active;
        let bytes = encode_record(&record);
        for place in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[place / 8] ^= 1 << (place % 8);
            if let Ok(read) = decode_record(&[9; 24], &damaged) {
                assert_ne!(read, record);
            }
        }
    }

    #[test]
    fn unknown_fields_and_versions_are_named() {
        let bytes = encode_record(&full());
        let newer = [&bytes[..], &[200, 1, 0]].concat();
        let error = decode_record(&[9; 24], &newer).unwrap_err();
        assert!(matches!(error, StoreError::NewerFormat { what: RECORD, found: 200 }), "{error:?}");
        let error = decode_record(&[9; 24], &[&[2], &bytes[1..]].concat()).unwrap_err();
        assert!(matches!(error, StoreError::NewerFormat { what: RECORD, found: 2 }), "{error:?}");
        assert!(matches!(decode_state(&[2; 18]), Err(StoreError::NewerFormat { what: STATE, found: 2 })));
        assert!(matches!(decode_header(&[2; 34]), Err(StoreError::NewerFormat { what: HEADER, found: 2 })));
    }

    #[test]
    fn states_and_headers_come_back() {
        for quota_exceeded in [false, true] {
            let state = QueueState { head: 5, tail: u64::MAX, quota_exceeded };
            assert_eq!(decode_state(&encode_state(state)).unwrap(), state);
        }
        assert!(decode_state(&encode_state(QueueState { head: 6, tail: 5, quota_exceeded: false })).is_err());
        for kind in [
            HeaderKind::Message { notification: false },
            HeaderKind::Message { notification: true },
            HeaderKind::QuotaMark,
        ] {
            let header = MessageHeader { id: [1; 24], time: -5, kind };
            assert_eq!(decode_header(&encode_header(&header)).unwrap(), header);
            assert!(decode_header(&encode_header(&header)[..33]).is_err());
        }
        for services in [0, 5] {
            let counts = Counts { queues: 7, messages: 9, services };
            assert_eq!(decode_counts(&encode_counts(counts)).unwrap(), counts);
        }
    }
}
