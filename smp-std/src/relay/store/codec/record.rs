//! How queue records are written to disk.

use smp_proto::key::{AuthorizationKey, Ed448PublicKey, Ed25519PublicKey, X25519PublicKey};
use smp_proto::wire::Reader;

use super::{FORMAT, field, fields, unreadable};
use crate::relay::store::StoreError;
use crate::relay::store::record::{
    Blocked, BlockingReason, Id, Notice, Notifier, QueueMode, QueueRecord, QueueStatus, RecipientKeys, SharedSecret,
};

const RECORD: &str = "queue record";

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
const STATUS_SUSPENDED_BLOCKED_SPAM: u8 = 4;
const STATUS_SUSPENDED_BLOCKED_CONTENT: u8 = 5;

const NOTICE: u8 = 1;
const NOTICE_TTL: u8 = 2;

/// Writes a queue record; the recipient id is its key and not part of it. What has its default value is left out.
pub(in crate::relay::store) fn encode_record(record: &QueueRecord) -> Vec<u8> {
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
        QueueStatus::Blocked { blocked: Blocked { reason, notice }, suspended } => {
            let status = match (reason, suspended) {
                (BlockingReason::Spam, false) => STATUS_BLOCKED_SPAM,
                (BlockingReason::Content, false) => STATUS_BLOCKED_CONTENT,
                (BlockingReason::Spam, true) => STATUS_SUSPENDED_BLOCKED_SPAM,
                (BlockingReason::Content, true) => STATUS_SUSPENDED_BLOCKED_CONTENT,
            };
            match notice {
                None => field(&mut out, tag::STATUS, &[&[status]]),
                Some(Notice { ttl: None }) => field(&mut out, tag::STATUS, &[&[status, NOTICE]]),
                Some(Notice { ttl: Some(ttl) }) => {
                    field(&mut out, tag::STATUS, &[&[status, NOTICE_TTL], &ttl.to_be_bytes()]);
                }
            }
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
pub(in crate::relay::store) fn decode_record(recipient_id: &Id, bytes: &[u8]) -> Result<QueueRecord, StoreError> {
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
    fields(bytes, RECORD, |tag, value| {
        match tag {
            tag::SENDER_ID => sender_id = Some(read_id(value)?),
            tag::RECIPIENT_KEY => recipient_keys.push(read_key(value)?),
            tag::DELIVERY_SECRET => delivery_secret = Some(read_secret(value)?),
            tag::SENDER_KEY => sender_key = Some(read_key(value)?),
            tag::MODE => mode = read_mode(value)?,
            tag::STATUS => status = read_status(value)?,
            tag::ACTIVITY_DAY => activity_day = value.u32().map_err(unreadable(RECORD))?,
            tag::LINK_ID => link_id = Some(read_id(value)?),
            tag::NOTIFIER => {
                let id = read_id(value)?;
                let secret = read_secret(value)?;
                notifier = Some(Box::new(Notifier { id, key: read_key(value)?, secret }));
            }
            tag::RECIPIENT_SERVICE => recipient_service = Some(read_id(value)?),
            tag::NOTIFIER_SERVICE => notifier_service = Some(read_id(value)?),
            found => return Err(StoreError::NewerFormat { what: RECORD, found }),
        }
        Ok(())
    })?;
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
    let (reason, suspended) = match reader.u8().map_err(unreadable(RECORD))? {
        STATUS_SUSPENDED => return Ok(QueueStatus::Suspended),
        STATUS_BLOCKED_SPAM => (BlockingReason::Spam, false),
        STATUS_BLOCKED_CONTENT => (BlockingReason::Content, false),
        STATUS_SUSPENDED_BLOCKED_SPAM => (BlockingReason::Spam, true),
        STATUS_SUSPENDED_BLOCKED_CONTENT => (BlockingReason::Content, true),
        found => return Err(StoreError::NewerFormat { what: "queue status", found }),
    };
    let notice = if reader.is_empty() {
        None
    } else {
        match reader.u8().map_err(unreadable(RECORD))? {
            NOTICE => Some(Notice { ttl: None }),
            NOTICE_TTL => Some(Notice { ttl: Some(reader.i64().map_err(unreadable(RECORD))?) }),
            found => return Err(StoreError::NewerFormat { what: "blocking notice", found }),
        }
    };
    Ok(QueueStatus::Blocked { blocked: Blocked { reason, notice }, suspended })
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
            status: QueueStatus::Blocked {
                blocked: Blocked { reason: BlockingReason::Spam, notice: Some(Notice { ttl: Some(-5) }) },
                suspended: true,
            },
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
        for record in [small.clone(), full()] {
            assert_eq!(decode_record(&[9; 24], &encode_record(&record)).unwrap(), record);
        }
        let mut statuses = vec![QueueStatus::Suspended];
        for reason in [BlockingReason::Spam, BlockingReason::Content] {
            for notice in [None, Some(Notice { ttl: None }), Some(Notice { ttl: Some(i64::MIN) })] {
                for suspended in [false, true] {
                    statuses.push(QueueStatus::Blocked { blocked: Blocked { reason, notice }, suspended });
                }
            }
        }
        for status in statuses {
            let record = QueueRecord { status, ..small.clone() };
            assert_eq!(decode_record(&[9; 24], &encode_record(&record)).unwrap(), record);
        }
    }

    #[test]
    fn truncated_records_are_refused() {
        let bytes = encode_record(&full());
        let mut complete = 0;
        for length in 0..bytes.len() {
            // Cut between two fields the rest is a record again; that is the engine's checksums' business.
            complete += usize::from(decode_record(&[9; 24], &bytes[..length]).is_ok());
        }
        assert!(complete <= 9, "{complete}");
        assert!(decode_record(&[9; 24], &[&bytes[..], &[1]].concat()).is_err());
    }

    #[test]
    fn a_flipped_bit_never_goes_unnoticed() {
        let record = full();
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
    }
}
