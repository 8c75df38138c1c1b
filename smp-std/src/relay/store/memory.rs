//! The store that keeps nothing on disk, for operators who want that, and for tests.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use super::backend::{Backend, OccupiedPage, QueueWithLink, ReservedPage, Rows};
use super::counts::{Counts, SharedCounts};
use super::link_data::LinkData;
use super::notification::{NotificationState, NotifierPage, PendingNotification};
use super::operation::{Operation, Reply, Side};
use super::record::{Id, MessageHeader, QueueRecord, QueueState, StoredMessage};
use super::service::{QueueSet, ServiceRecord, ServiceSide};
use super::tables::ServiceTables;
use super::{StoreError, rules};

/// Locks by the upper bits of an id, so that readers rarely meet the writer. In the order of ids.
const SHARDS: usize = 64;

type Shards<K, V> = Box<[RwLock<BTreeMap<K, V>>]>;

/// Queues and messages in memory.
pub struct MemoryBackend {
    queues: Shards<Id, Entry>,
    names: Shards<(Side, Id), Id>,
    services: ServiceTables,
    reserved: Shards<(Side, Id), u32>,
    notifiers: Shards<Id, Notifications>,
    counts: SharedCounts,
}

struct Entry {
    record: Arc<QueueRecord>,
    state: QueueState,
    messages: VecDeque<StoredMessage>,
    link: Option<Box<LinkData>>,
}

#[derive(Default)]
struct Notifications {
    state: NotificationState,
    waiting: VecDeque<PendingNotification>,
}

impl MemoryBackend {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self {
            queues: (0..SHARDS).map(|_| RwLock::default()).collect(),
            names: (0..SHARDS).map(|_| RwLock::default()).collect(),
            services: ServiceTables::default(),
            reserved: (0..SHARDS).map(|_| RwLock::default()).collect(),
            notifiers: (0..SHARDS).map(|_| RwLock::default()).collect(),
            counts: SharedCounts::default(),
        }
    }

    fn with_entry<T>(&self, recipient_id: &Id, f: impl FnOnce(&Entry) -> T) -> Option<T> {
        read(shard(&self.queues, recipient_id)?).get(recipient_id).map(f)
    }
}

impl Default for MemoryBackend {
    fn default() -> Self {
        Self::new()
    }
}

fn shard_index(id: &Id) -> usize {
    usize::from(id[0] >> 2)
}

fn shard<'a, T>(shards: &'a [T], id: &Id) -> Option<&'a T> {
    shards.get(shard_index(id))
}

// A thread that panicked while it held a lock left a whole map behind: every change is one map call.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

impl Backend for MemoryBackend {
    fn apply(&self, operations: &[Operation]) -> Result<Vec<Result<Reply, StoreError>>, StoreError> {
        let mut rows = MemoryRows { backend: self, counts: self.counts() };
        let replies = operations.iter().map(|operation| rules::apply(&mut rows, operation)).collect();
        self.counts.set(rows.counts);
        Ok(replies)
    }

    fn queue(&self, recipient_id: &Id) -> Result<Option<Arc<QueueRecord>>, StoreError> {
        Ok(self.with_entry(recipient_id, |entry| Arc::clone(&entry.record)))
    }

    fn recipient_id(&self, side: Side, id: &Id) -> Result<Option<Id>, StoreError> {
        Ok(shard(&self.names, id).and_then(|shard| read(shard).get(&(side, *id)).copied()))
    }

    fn state(&self, recipient_id: &Id) -> Result<QueueState, StoreError> {
        Ok(self.with_entry(recipient_id, |entry| entry.state).unwrap_or_default())
    }

    fn message(&self, recipient_id: &Id, sequence: u64) -> Result<Option<StoredMessage>, StoreError> {
        Ok(self.with_entry(recipient_id, |entry| entry.at(sequence).cloned()).flatten())
    }

    fn link(&self, recipient_id: &Id) -> Result<Option<LinkData>, StoreError> {
        Ok(self.with_entry(recipient_id, |entry| entry.link.as_deref().cloned()).flatten())
    }

    fn queue_with_link(&self, recipient_id: &Id) -> Result<Option<QueueWithLink>, StoreError> {
        // Both under one lock.
        Ok(self.with_entry(recipient_id, |entry| (Arc::clone(&entry.record), entry.link.as_deref().cloned())))
    }

    fn reserved(&self, after: Option<&(Side, Id)>, limit: usize) -> Result<ReservedPage, StoreError> {
        let mut page = ReservedPage::default();
        let first = after.map_or(0, |(_, id)| shard_index(id));
        for (number, shard) in self.reserved.iter().enumerate().skip(first) {
            let start = match after {
                Some(after) if number == first => Bound::Excluded(*after),
                _ => Bound::Unbounded,
            };
            for ((side, id), day) in read(shard).range((start, Bound::Unbounded)) {
                page.ids.push((*side, *id, *day));
                if page.ids.len() == limit {
                    page.next = Some((*side, *id));
                    return Ok(page);
                }
            }
        }
        Ok(page)
    }

    fn counts(&self) -> Counts {
        self.counts.get()
    }

    fn queues(&self, after: Option<&Id>, limit: usize) -> Result<Vec<Arc<QueueRecord>>, StoreError> {
        let mut page = Vec::new();
        self.walk(after, limit, |_, entry| page.push(Arc::clone(&entry.record)));
        Ok(page)
    }

    fn occupied(&self, after: Option<&Id>, limit: usize) -> Result<OccupiedPage, StoreError> {
        let mut page = OccupiedPage::default();
        let recipient_ids = &mut page.recipient_ids;
        page.next = self.walk(after, limit, |id, entry| {
            if !entry.messages.is_empty() {
                recipient_ids.push(*id);
            }
        });
        Ok(page)
    }

    fn service(&self, id: &Id) -> Result<Option<Arc<ServiceRecord>>, StoreError> {
        Ok(self.services.service(id))
    }

    fn service_by_fingerprint(&self, fingerprint: &[u8; 32]) -> Result<Option<Id>, StoreError> {
        Ok(self.services.by_fingerprint(fingerprint))
    }

    fn services(&self, after: Option<&Id>, limit: usize) -> Result<Vec<Arc<ServiceRecord>>, StoreError> {
        Ok(self.services.services(after, limit))
    }

    fn queue_set(&self, service: &Id, side: ServiceSide) -> QueueSet {
        self.services.sets.get(service, side)
    }

    fn members(
        &self,
        service: &Id,
        side: ServiceSide,
        after: Option<&Id>,
        limit: usize,
    ) -> Result<Vec<Id>, StoreError> {
        Ok(self.services.members(service, side, after, limit))
    }

    fn notification_state(&self, notifier_id: &Id) -> Result<NotificationState, StoreError> {
        Ok(self.with_notifications(notifier_id, |notifications| notifications.state).unwrap_or_default())
    }

    fn notification(&self, notifier_id: &Id, sequence: u64) -> Result<Option<PendingNotification>, StoreError> {
        Ok(self.with_notifications(notifier_id, |notifications| notifications.at(sequence)).flatten())
    }

    fn notified(&self, after: Option<&Id>, limit: usize) -> Result<NotifierPage, StoreError> {
        let mut notifiers = Vec::new();
        let next = walk(&self.notifiers, after, limit, |id, notifications| {
            if let Some(oldest) = notifications.waiting.front() {
                notifiers.push((*id, oldest.time));
            }
        });
        Ok(NotifierPage { notifiers, next })
    }
}

impl MemoryBackend {
    fn with_notifications<T>(&self, notifier_id: &Id, f: impl FnOnce(&Notifications) -> T) -> Option<T> {
        read(shard(&self.notifiers, notifier_id)?).get(notifier_id).map(f)
    }

    /// Visits up to `limit` queues behind `after`; the last one visited if the limit ended the walk.
    fn walk(&self, after: Option<&Id>, limit: usize, visit: impl FnMut(&Id, &Entry)) -> Option<Id> {
        walk(&self.queues, after, limit, visit)
    }
}

/// Visits up to `limit` entries behind `after`; the last one visited if the limit ended the walk.
fn walk<T>(shards: &Shards<Id, T>, after: Option<&Id>, limit: usize, mut visit: impl FnMut(&Id, &T)) -> Option<Id> {
    let mut visited = 0;
    for shard in shards.iter().skip(after.map_or(0, shard_index)) {
        let start = after.map_or(Bound::Unbounded, |id| Bound::Excluded(*id));
        for (id, entry) in read(shard).range((start, Bound::Unbounded)) {
            visit(id, entry);
            visited += 1;
            if visited == limit {
                return Some(*id);
            }
        }
    }
    None
}

impl Notifications {
    fn at(&self, sequence: u64) -> Option<PendingNotification> {
        self.waiting.get(usize::try_from(sequence.checked_sub(self.state.head)?).ok()?).copied()
    }
}

impl Entry {
    fn at(&self, sequence: u64) -> Option<&StoredMessage> {
        // Messages are appended before the state counts them, so their place is counted from the front's number.
        self.messages.get(usize::try_from(sequence.checked_sub(self.state.head)?).ok()?)
    }
}

/// The maps as the rules see them. Writes take effect at once, a lock each.
struct MemoryRows<'a> {
    backend: &'a MemoryBackend,
    counts: Counts,
}

impl MemoryRows<'_> {
    fn change(&self, recipient_id: &Id, change: impl FnOnce(&mut Entry)) {
        if let Some(shard) = shard(&self.backend.queues, recipient_id)
            && let Some(entry) = write(shard).get_mut(recipient_id)
        {
            change(entry);
        }
    }
}

impl Rows for MemoryRows<'_> {
    fn queue(&mut self, recipient_id: &Id) -> Result<Option<Arc<QueueRecord>>, StoreError> {
        self.backend.queue(recipient_id)
    }

    fn write_queue(&mut self, record: Arc<QueueRecord>) {
        let Some(shard) = shard(&self.backend.queues, &record.recipient_id) else { return };
        match write(shard).entry(record.recipient_id) {
            std::collections::btree_map::Entry::Occupied(mut entry) => entry.get_mut().record = record,
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(Entry { record, state: QueueState::default(), messages: VecDeque::new(), link: None });
            }
        }
    }

    fn erase_queue(&mut self, recipient_id: &Id) {
        if let Some(shard) = shard(&self.backend.queues, recipient_id) {
            write(shard).remove(recipient_id);
        }
    }

    fn recipient_id(&mut self, side: Side, id: &Id) -> Result<Option<Id>, StoreError> {
        self.backend.recipient_id(side, id)
    }

    fn put_name(&mut self, side: Side, id: Id, recipient_id: Id) {
        if let Some(shard) = shard(&self.backend.names, &id) {
            write(shard).insert((side, id), recipient_id);
        }
    }

    fn remove_name(&mut self, side: Side, id: &Id) {
        if let Some(shard) = shard(&self.backend.names, id) {
            write(shard).remove(&(side, *id));
        }
    }

    fn link(&mut self, recipient_id: &Id) -> Result<Option<LinkData>, StoreError> {
        self.backend.link(recipient_id)
    }

    fn put_link(&mut self, recipient_id: &Id, data: LinkData) {
        self.change(recipient_id, |entry| entry.link = Some(Box::new(data)));
    }

    fn remove_link(&mut self, recipient_id: &Id) {
        self.change(recipient_id, |entry| entry.link = None);
    }

    fn is_reserved(&mut self, side: Side, id: &Id) -> Result<bool, StoreError> {
        Ok(shard(&self.backend.reserved, id).is_some_and(|shard| read(shard).contains_key(&(side, *id))))
    }

    fn reserve(&mut self, side: Side, id: Id, day: u32) {
        if let Some(shard) = shard(&self.backend.reserved, &id) {
            write(shard).insert((side, id), day);
        }
    }

    fn release(&mut self, side: Side, id: &Id) {
        if let Some(shard) = shard(&self.backend.reserved, id) {
            write(shard).remove(&(side, *id));
        }
    }

    fn state(&mut self, recipient_id: &Id) -> Result<QueueState, StoreError> {
        self.backend.state(recipient_id)
    }

    fn put_state(&mut self, recipient_id: &Id, state: QueueState) {
        self.change(recipient_id, |entry| {
            // The messages removed before are dropped here, together with the move of the head.
            while entry.state.head < state.head {
                entry.messages.pop_front();
                entry.state.head = entry.state.head.saturating_add(1);
            }
            entry.state = state;
            // A queue that had a burst gives its memory back once it is drained.
            if entry.messages.is_empty() && entry.messages.capacity() > 8 {
                entry.messages = VecDeque::new();
            }
        });
    }

    fn header(&mut self, recipient_id: &Id, sequence: u64) -> Result<Option<MessageHeader>, StoreError> {
        let header = |entry: &Entry| entry.at(sequence).map(StoredMessage::header);
        Ok(self.backend.with_entry(recipient_id, header).flatten())
    }

    fn put_message(&mut self, recipient_id: &Id, _sequence: u64, header: MessageHeader, body: Bytes) {
        self.change(recipient_id, |entry| entry.messages.push_back(StoredMessage::from_parts(header, body)));
    }

    fn remove_message(&mut self, _recipient_id: &Id, _sequence: u64) {
        // Done by `put_state`, so that a reader never sees a state without its messages.
    }

    fn service(&mut self, id: &Id) -> Result<Option<Arc<ServiceRecord>>, StoreError> {
        Ok(self.backend.services.service(id))
    }

    fn service_by_fingerprint(&mut self, fingerprint: &[u8; 32]) -> Result<Option<Id>, StoreError> {
        Ok(self.backend.services.by_fingerprint(fingerprint))
    }

    fn put_service(&mut self, record: Arc<ServiceRecord>) {
        self.backend.services.put(record);
    }

    fn remove_service(&mut self, record: &ServiceRecord) {
        self.backend.services.remove(record);
    }

    fn queue_set(&mut self, service: &Id, side: ServiceSide) -> QueueSet {
        self.backend.services.sets.get(service, side)
    }

    fn put_queue_set(&mut self, service: &Id, side: ServiceSide, set: QueueSet) {
        self.backend.services.sets.put(service, side, set);
    }

    fn put_member(&mut self, service: &Id, side: ServiceSide, queue: &Id) {
        self.backend.services.put_member(service, side, queue);
    }

    fn remove_member(&mut self, service: &Id, side: ServiceSide, queue: &Id) {
        self.backend.services.remove_member(service, side, queue);
    }

    fn notification_state(&mut self, notifier_id: &Id) -> Result<NotificationState, StoreError> {
        self.backend.notification_state(notifier_id)
    }

    fn put_notification_state(&mut self, notifier_id: &Id, state: NotificationState) {
        if let Some(shard) = shard(&self.backend.notifiers, notifier_id) {
            let mut notifiers = write(shard);
            let notifications = notifiers.entry(*notifier_id).or_default();
            // As with messages, what was removed goes together with the move of the head.
            while notifications.state.head < state.head {
                notifications.waiting.pop_front();
                notifications.state.head = notifications.state.head.saturating_add(1);
            }
            notifications.state = state;
            if notifications.waiting.is_empty() {
                notifications.waiting = VecDeque::new();
            }
        }
    }

    fn remove_notification_state(&mut self, notifier_id: &Id) {
        if let Some(shard) = shard(&self.backend.notifiers, notifier_id) {
            write(shard).remove(notifier_id);
        }
    }

    fn notification(&mut self, notifier_id: &Id, sequence: u64) -> Result<Option<PendingNotification>, StoreError> {
        self.backend.notification(notifier_id, sequence)
    }

    fn put_notification(&mut self, notifier_id: &Id, _sequence: u64, notification: PendingNotification) {
        if let Some(shard) = shard(&self.backend.notifiers, notifier_id) {
            write(shard).entry(*notifier_id).or_default().waiting.push_back(notification);
        }
    }

    fn remove_notification(&mut self, _notifier_id: &Id, _sequence: u64) {
        // Done by `put_notification_state`, or with the whole notifier.
    }

    fn counts(&mut self) -> &mut Counts {
        &mut self.counts
    }
}
