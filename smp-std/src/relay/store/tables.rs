//! Services in memory: what the store without a disk keeps of them, and what every store keeps ready.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use super::record::Id;
use super::service::{QueueSet, ServiceRecord, ServiceSide};

/// How many queues services have, of those that have any. About 100 bytes each.
#[derive(Default)]
pub(super) struct QueueSets(RwLock<HashMap<(Id, ServiceSide), QueueSet>>);

impl QueueSets {
    pub(super) fn get(&self, service: &Id, side: ServiceSide) -> QueueSet {
        let sets = self.0.read().unwrap_or_else(PoisonError::into_inner);
        sets.get(&(*service, side)).copied().unwrap_or_default()
    }

    pub(super) fn put(&self, service: &Id, side: ServiceSide, set: QueueSet) {
        let mut sets = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if set == QueueSet::default() {
            sets.remove(&(*service, side));
        } else {
            sets.insert((*service, side), set);
        }
    }
}

/// Services and their queues, all in memory.
#[derive(Default)]
pub(super) struct ServiceTables {
    pub(super) sets: QueueSets,
    tables: RwLock<Tables>,
}

#[derive(Default)]
struct Tables {
    records: BTreeMap<Id, Arc<ServiceRecord>>,
    fingerprints: HashMap<[u8; 32], Id>,
    members: BTreeSet<(Id, ServiceSide, Id)>,
}

impl ServiceTables {
    fn read<T>(&self, f: impl FnOnce(&Tables) -> T) -> T {
        f(&self.tables.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, f: impl FnOnce(&mut Tables) -> T) -> T {
        f(&mut self.tables.write().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn service(&self, id: &Id) -> Option<Arc<ServiceRecord>> {
        self.read(|tables| tables.records.get(id).cloned())
    }

    pub(super) fn by_fingerprint(&self, fingerprint: &[u8; 32]) -> Option<Id> {
        self.read(|tables| tables.fingerprints.get(fingerprint).copied())
    }

    pub(super) fn services(&self, after: Option<&Id>, limit: usize) -> Vec<Arc<ServiceRecord>> {
        let start = after.map_or(Bound::Unbounded, |id| Bound::Excluded(*id));
        self.read(|tables| {
            tables.records.range((start, Bound::Unbounded)).take(limit).map(|(_, it)| it.clone()).collect()
        })
    }

    pub(super) fn members(&self, service: &Id, side: ServiceSide, after: Option<&Id>, limit: usize) -> Vec<Id> {
        let start = match after {
            Some(id) => Bound::Excluded((*service, side, *id)),
            None => Bound::Included((*service, side, Id::default())),
        };
        self.read(|tables| {
            let rest = tables.members.range((start, Bound::Unbounded));
            let own = rest.take_while(|(owner, of, _)| owner == service && *of == side);
            own.take(limit).map(|(_, _, queue)| *queue).collect()
        })
    }

    pub(super) fn put(&self, record: Arc<ServiceRecord>) {
        self.write(|tables| {
            tables.fingerprints.insert(record.fingerprint, record.id);
            tables.records.insert(record.id, record);
        });
    }

    pub(super) fn remove(&self, record: &ServiceRecord) {
        self.write(|tables| {
            tables.fingerprints.remove(&record.fingerprint);
            tables.records.remove(&record.id);
        });
    }

    pub(super) fn put_member(&self, service: &Id, side: ServiceSide, queue: &Id) {
        self.write(|tables| tables.members.insert((*service, side, *queue)));
    }

    pub(super) fn remove_member(&self, service: &Id, side: ServiceSide, queue: &Id) {
        self.write(|tables| tables.members.remove(&(*service, side, *queue)));
    }
}
