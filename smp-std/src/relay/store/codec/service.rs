//! How services are written to disk.

use smp_proto::smp::service::ServiceRole;
use smp_proto::wire::Reader;

use super::{FORMAT, concat, field, fields, unreadable, versioned};
use crate::relay::store::StoreError;
use crate::relay::store::record::Id;
use crate::relay::store::service::{QueueSet, ServiceRecord};

const SERVICE: &str = "service";
const QUEUE_SET: &str = "service queues";

mod tag {
    pub(super) const ROLE: u8 = 1;
    pub(super) const FINGERPRINT: u8 = 2;
    pub(super) const CERTIFICATE: u8 = 3;
    pub(super) const CREATED: u8 = 4;
    pub(super) const SEEN_DAY: u8 = 5;
}

/// Writes a service; its id is the key and not part of it.
pub(in crate::relay::store) fn encode_service(record: &ServiceRecord) -> Vec<u8> {
    let mut out = vec![FORMAT];
    let role = match record.role {
        ServiceRole::Messaging => b'M',
        ServiceRole::Notifier => b'N',
        ServiceRole::Proxy => b'P',
    };
    field(&mut out, tag::ROLE, &[&[role]]);
    field(&mut out, tag::FINGERPRINT, &[&record.fingerprint]);
    for certificate in &record.chain {
        field(&mut out, tag::CERTIFICATE, &[certificate]);
    }
    field(&mut out, tag::CREATED, &[&record.created.to_be_bytes()]);
    field(&mut out, tag::SEEN_DAY, &[&record.seen_day.to_be_bytes()]);
    out
}

/// Reads the service `id`.
pub(in crate::relay::store) fn decode_service(id: &Id, bytes: &[u8]) -> Result<ServiceRecord, StoreError> {
    let corrupt = unreadable(SERVICE);
    let mut role = None;
    let mut fingerprint = None;
    let mut chain = Vec::new();
    let mut created = 0;
    let mut seen_day = 0;
    fields(bytes, SERVICE, |tag, value| {
        match tag {
            tag::ROLE => role = Some(read_role(value)?),
            tag::FINGERPRINT => fingerprint = Some(*value.array().map_err(&corrupt)?),
            tag::CERTIFICATE => chain.push(value.rest().into()),
            tag::CREATED => created = value.i64().map_err(&corrupt)?,
            tag::SEEN_DAY => seen_day = value.u32().map_err(&corrupt)?,
            found => return Err(StoreError::NewerFormat { what: SERVICE, found }),
        }
        Ok(())
    })?;
    match (role, fingerprint) {
        (Some(role), Some(fingerprint)) => {
            Ok(ServiceRecord { id: *id, role, fingerprint, chain: chain.into(), created, seen_day })
        }
        _ => Err(StoreError::Corrupt(SERVICE)),
    }
}

fn read_role(reader: &mut Reader<'_>) -> Result<ServiceRole, StoreError> {
    Ok(match reader.u8().map_err(unreadable(SERVICE))? {
        b'M' => ServiceRole::Messaging,
        b'N' => ServiceRole::Notifier,
        b'P' => ServiceRole::Proxy,
        found => return Err(StoreError::NewerFormat { what: "service role", found }),
    })
}

/// Writes how many queues a service has, and which: 25 bytes.
pub(in crate::relay::store) fn encode_queue_set(set: QueueSet) -> [u8; 25] {
    concat(&[&[FORMAT], &set.count.to_be_bytes(), &set.hash])
}

/// Reads how many queues a service has, and which.
pub(in crate::relay::store) fn decode_queue_set(bytes: &[u8]) -> Result<QueueSet, StoreError> {
    let corrupt = unreadable(QUEUE_SET);
    let mut reader = versioned(bytes, QUEUE_SET)?;
    let count = u64::from_be_bytes(*reader.array().map_err(&corrupt)?);
    let hash = *reader.array().map_err(&corrupt)?;
    reader.finish().map_err(&corrupt)?;
    Ok(QueueSet { count, hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Id = [7; 24];

    fn record(role: ServiceRole, certificates: &[usize]) -> ServiceRecord {
        let chain = certificates.iter().map(|length| vec![*length as u8; *length].into()).collect();
        ServiceRecord { id: ID, role, fingerprint: [8; 32], chain, created: 1_700_000_000, seen_day: 20_000 }
    }

    #[test]
    fn services_come_back() {
        for role in [ServiceRole::Messaging, ServiceRole::Notifier, ServiceRole::Proxy] {
            for certificates in [&[][..], &[300], &[127, 128, 16_000]] {
                let record = record(role, certificates);
                assert_eq!(decode_service(&ID, &encode_service(&record)).unwrap(), record);
            }
        }
        let set = QueueSet { count: 9, hash: [3; 16] };
        assert_eq!(decode_queue_set(&encode_queue_set(set)).unwrap(), set);
        assert!(decode_queue_set(&encode_queue_set(set)[..24]).is_err());
    }

    #[test]
    fn what_is_cut_or_newer_is_refused() {
        let bytes = encode_service(&record(ServiceRole::Messaging, &[300]));
        for length in 0..36 {
            assert!(decode_service(&ID, &bytes[..length]).is_err(), "{length}");
        }
        let newer = [&bytes[..], &[200, 1, 0]].concat();
        let error = decode_service(&ID, &newer).unwrap_err();
        assert!(matches!(error, StoreError::NewerFormat { what: SERVICE, found: 200 }), "{error:?}");
    }
}
