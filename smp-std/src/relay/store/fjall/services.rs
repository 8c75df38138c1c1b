//! Services on disk: one keyspace with four kinds of rows.
//!
//! | Key | Value |
//! |---|---|
//! | `r`, service id | record |
//! | `f`, fingerprint of the identity certificate | service id |
//! | `t`, service id, side | how many queues it has, and which |
//! | `m`, service id, side, queue id | nothing |

use std::ops::Bound;
use std::sync::Arc;

use fjall::{Keyspace, OwnedWriteBatch};

use super::error;
use crate::relay::store::overlay::Changes;
use crate::relay::store::record::Id;
use crate::relay::store::service::{QueueSet, ServiceRecord, ServiceSide};
use crate::relay::store::tables::QueueSets;
use crate::relay::store::{StoreError, codec};

const RECORD: u8 = b'r';
const FINGERPRINT: u8 = b'f';
const QUEUE_SET: u8 = b't';
const MEMBER: u8 = b'm';

/// The rows of services.
pub(super) struct Services {
    rows: Keyspace,
    /// What the rows of kind `t` say.
    pub(super) sets: QueueSets,
}

impl Services {
    /// Over the rows of a keyspace. Reads how many queues services have.
    pub(super) fn open(rows: Keyspace) -> Result<Self, StoreError> {
        let sets = QueueSets::default();
        for row in rows.prefix([QUEUE_SET]) {
            let (key, value) = row.into_inner().map_err(error)?;
            let (service, side) = queue_set_of(&key).ok_or(StoreError::Corrupt("service key"))?;
            sets.put(&service, side, codec::decode_queue_set(&value)?);
        }
        Ok(Self { rows, sets })
    }

    pub(super) fn service(&self, id: &Id) -> Result<Option<Arc<ServiceRecord>>, StoreError> {
        match self.rows.get(record_key(id)).map_err(error)? {
            Some(bytes) => codec::decode_service(id, &bytes).map(|record| Some(Arc::new(record))),
            None => Ok(None),
        }
    }

    pub(super) fn by_fingerprint(&self, fingerprint: &[u8; 32]) -> Result<Option<Id>, StoreError> {
        match self.rows.get(fingerprint_key(fingerprint)).map_err(error)? {
            Some(bytes) => bytes.as_ref().try_into().map(Some).map_err(|_| StoreError::Corrupt("service id")),
            None => Ok(None),
        }
    }

    pub(super) fn services(&self, after: Option<&Id>, limit: usize) -> Result<Vec<Arc<ServiceRecord>>, StoreError> {
        let start = match after {
            Some(id) => Bound::Excluded(record_key(id)),
            None => Bound::Included(record_key(&Id::default())),
        };
        let end = Bound::Included(record_key(&[0xff; 24]));
        let mut page = Vec::new();
        for row in self.rows.range::<[u8; 25], _>((start, end)).take(limit) {
            let (key, value) = row.into_inner().map_err(error)?;
            let id = key.last_chunk().ok_or(StoreError::Corrupt("service key"))?;
            page.push(Arc::new(codec::decode_service(id, &value)?));
        }
        Ok(page)
    }

    pub(super) fn members(
        &self,
        service: &Id,
        side: ServiceSide,
        after: Option<&Id>,
        limit: usize,
    ) -> Result<Vec<Id>, StoreError> {
        let start = match after {
            Some(id) => Bound::Excluded(member_key(service, side, id)),
            None => Bound::Included(member_key(service, side, &Id::default())),
        };
        let end = Bound::Included(member_key(service, side, &[0xff; 24]));
        let mut page = Vec::new();
        for row in self.rows.range::<[u8; 50], _>((start, end)).take(limit) {
            let key = row.key().map_err(error)?;
            page.push(*key.last_chunk().ok_or(StoreError::Corrupt("service key"))?);
        }
        Ok(page)
    }

    /// Adds what a batch changed.
    pub(super) fn write(&self, batch: &mut OwnedWriteBatch, changes: &Changes) {
        for (id, record) in &changes.services {
            match record {
                Some(record) => batch.insert(&self.rows, record_key(id), codec::encode_service(record)),
                None => batch.remove(&self.rows, record_key(id)),
            }
        }
        for (fingerprint, id) in &changes.fingerprints {
            match id {
                Some(id) => batch.insert(&self.rows, fingerprint_key(fingerprint), *id),
                None => batch.remove(&self.rows, fingerprint_key(fingerprint)),
            }
        }
        for ((service, side), set) in &changes.queue_sets {
            if *set == QueueSet::default() {
                batch.remove(&self.rows, queue_set_key(service, *side));
            } else {
                batch.insert(&self.rows, queue_set_key(service, *side), codec::encode_queue_set(*set));
            }
        }
        for ((service, side, queue), present) in &changes.members {
            let key = member_key(service, *side, queue);
            if *present { batch.insert(&self.rows, key, []) } else { batch.remove(&self.rows, key) }
        }
    }

    /// Keeps ready what a batch that is on disk changed.
    pub(super) fn written(&self, changes: &Changes) {
        for ((service, side), set) in &changes.queue_sets {
            self.sets.put(service, *side, *set);
        }
    }
}

const fn side_byte(side: ServiceSide) -> u8 {
    match side {
        ServiceSide::Recipient => b'r',
        ServiceSide::Notifier => b'n',
    }
}

fn record_key(id: &Id) -> [u8; 25] {
    key(RECORD, &[id])
}

fn fingerprint_key(fingerprint: &[u8; 32]) -> [u8; 33] {
    key(FINGERPRINT, &[fingerprint])
}

fn queue_set_key(service: &Id, side: ServiceSide) -> [u8; 26] {
    key(QUEUE_SET, &[service, &[side_byte(side)]])
}

fn member_key(service: &Id, side: ServiceSide, queue: &Id) -> [u8; 50] {
    key(MEMBER, &[service, &[side_byte(side)], queue])
}

fn key<const N: usize>(kind: u8, parts: &[&[u8]]) -> [u8; N] {
    let mut key = [kind; N];
    for (to, from) in key.iter_mut().skip(1).zip(parts.iter().copied().flatten()) {
        *to = *from;
    }
    key
}

fn queue_set_of(key: &[u8]) -> Option<(Id, ServiceSide)> {
    let (side, rest) = key.split_last()?;
    let side = match side {
        b'r' => ServiceSide::Recipient,
        b'n' => ServiceSide::Notifier,
        _ => return None,
    };
    Some((rest.get(1..)?.try_into().ok()?, side))
}
