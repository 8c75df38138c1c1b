//! How records and messages are written to disk.
//!
//! Every value starts with the version of its format. What may grow is a list of fields, each a tag, a length (LEB128)
//! and a value: later versions add tags, and a version that does not know a tag says so instead of dropping the field.

mod link;
mod record;
mod service;

use smp_proto::wire::Reader;

use super::StoreError;
use super::counts::Counts;
use super::record::{HeaderKind, MessageHeader, QueueState};

pub(super) use link::{decode_link, encode_link};
pub(super) use record::{decode_record, encode_record};
pub(super) use service::{decode_queue_set, decode_service, encode_queue_set, encode_service};

/// The version all formats have now.
const FORMAT: u8 = 1;

const STATE: &str = "queue state";
const HEADER: &str = "message header";
const COUNTS: &str = "count";
const RESERVATION: &str = "reservation";

const COUNT_RESERVED: u8 = 1;
const COUNT_SERVICES: u8 = 2;
const COUNT_NOTIFICATIONS: u8 = 3;
const COUNT_NOTIFIERS: u8 = 4;

const KIND_MESSAGE: u8 = 0;
const KIND_MESSAGE_NOTIFIED: u8 = 1;
const KIND_QUOTA_MARK: u8 = 2;

/// Writes where a queue's messages are: 18 bytes.
pub(super) fn encode_state(state: QueueState) -> [u8; 18] {
    concat(&[&[FORMAT], &state.head.to_be_bytes(), &state.tail.to_be_bytes(), &[u8::from(state.quota_exceeded)]])
}

/// Reads where a queue's messages are.
pub(super) fn decode_state(bytes: &[u8]) -> Result<QueueState, StoreError> {
    let mut reader = versioned(bytes, STATE)?;
    let head = read_u64(&mut reader, STATE)?;
    let tail = read_u64(&mut reader, STATE)?;
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
    let Counts { queues, messages, services, reserved, notifications, notifiers } = counts;
    let mut out = vec![FORMAT];
    out.extend_from_slice(&queues.to_be_bytes());
    out.extend_from_slice(&messages.to_be_bytes());
    for (tag, count) in [(COUNT_RESERVED, reserved), (COUNT_SERVICES, services), (COUNT_NOTIFICATIONS, notifications)] {
        if count != 0 {
            field(&mut out, tag, &[&count.to_be_bytes()]);
        }
    }
    // Also when there are none: stores of older versions do not know.
    field(&mut out, COUNT_NOTIFIERS, &[&notifiers.to_be_bytes()]);
    out
}

/// Reads the counts: two numbers, then fields. False when the notifiers were not counted yet.
pub(super) fn decode_counts(bytes: &[u8]) -> Result<(Counts, bool), StoreError> {
    let mut reader = versioned(bytes, COUNTS)?;
    let queues = read_u64(&mut reader, COUNTS)?;
    let messages = read_u64(&mut reader, COUNTS)?;
    let mut reserved = 0;
    let mut services = 0;
    let mut notifications = 0;
    let mut notifiers = None;
    more_fields(&mut reader, COUNTS, |tag, value| {
        match tag {
            COUNT_RESERVED => reserved = read_u64(value, COUNTS)?,
            COUNT_SERVICES => services = read_u64(value, COUNTS)?,
            COUNT_NOTIFICATIONS => notifications = read_u64(value, COUNTS)?,
            COUNT_NOTIFIERS => notifiers = Some(read_u64(value, COUNTS)?),
            found => return Err(StoreError::NewerFormat { what: COUNTS, found }),
        }
        Ok(())
    })?;
    let known = notifiers.is_some();
    let notifiers = notifiers.unwrap_or_default();
    Ok((Counts { queues, messages, services, reserved, notifications, notifiers }, known))
}

/// Writes the day on which an id was reserved: 5 bytes.
pub(super) fn encode_reservation(day: u32) -> [u8; 5] {
    concat(&[&[FORMAT], &day.to_be_bytes()])
}

/// Reads the day on which an id was reserved.
pub(super) fn decode_reservation(bytes: &[u8]) -> Result<u32, StoreError> {
    let mut reader = versioned(bytes, RESERVATION)?;
    let day = reader.u32().map_err(unreadable(RESERVATION))?;
    reader.finish().map_err(unreadable(RESERVATION))?;
    Ok(day)
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

/// Gives every field of a value to `read`, which must read it to its end.
fn fields<'a>(
    bytes: &'a [u8],
    what: &'static str,
    read: impl FnMut(u8, &mut Reader<'a>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    more_fields(&mut versioned(bytes, what)?, what, read)
}

/// The fields that the reader has left.
fn more_fields<'a>(
    reader: &mut Reader<'a>,
    what: &'static str,
    mut read: impl FnMut(u8, &mut Reader<'a>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    while !reader.is_empty() {
        let tag = reader.u8().map_err(unreadable(what))?;
        let length = read_length(reader, what)?;
        let mut value = Reader::new(reader.take(length).map_err(unreadable(what))?);
        read(tag, &mut value)?;
        value.finish().map_err(unreadable(what))?;
    }
    Ok(())
}

fn read_u64(reader: &mut Reader<'_>, what: &'static str) -> Result<u64, StoreError> {
    reader.array().copied().map(u64::from_be_bytes).map_err(unreadable(what))
}

fn read_length(reader: &mut Reader<'_>, what: &'static str) -> Result<usize, StoreError> {
    let mut length = 0;
    // Four groups of seven bits: 256 MiB, more than any field.
    for shift in [0, 7, 14, 21] {
        let byte = reader.u8().map_err(unreadable(what))?;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(length);
        }
    }
    Err(StoreError::Corrupt(what))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(matches!(decode_state(&[2; 18]), Err(StoreError::NewerFormat { what: STATE, found: 2 })));
        assert!(matches!(decode_header(&[2; 34]), Err(StoreError::NewerFormat { what: HEADER, found: 2 })));
    }

    #[test]
    fn counts_and_reservations_come_back() {
        for (reserved, services) in [(0, 0), (300, 0), (0, 5), (300, 5)] {
            let notifiers = reserved / 3;
            let counts = Counts { queues: 7, messages: 9, services, reserved, notifications: services * 3, notifiers };
            let bytes = encode_counts(counts);
            assert_eq!(decode_counts(&bytes).unwrap(), (counts, true));
            let older = decode_counts(&bytes[..bytes.len() - 10]).unwrap();
            assert_eq!(older, (Counts { notifiers: 0, ..counts }, false));
            for length in 0..bytes.len() {
                // Without its last fields it is a count of an older version.
                let truncated = decode_counts(&bytes[..length]);
                assert!(truncated.is_err() || length == 17 || length == 27 || length == 37 || length == 47, "{length}");
            }
            let newer = decode_counts(&[&bytes[..], &[9, 0]].concat()).unwrap_err();
            assert!(matches!(newer, StoreError::NewerFormat { what: COUNTS, found: 9 }));
        }
        assert_eq!(decode_reservation(&encode_reservation(20_000)).unwrap(), 20_000);
        for length in 0..5 {
            assert!(decode_reservation(&encode_reservation(20_000)[..length]).is_err());
        }
        assert!(decode_reservation(&[1, 0, 0, 0, 0, 0]).is_err());
    }
}
