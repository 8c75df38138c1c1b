//! The rows of a batch that is being carried out: its changes in memory over what an engine holds.
//!
//! A row changed several times in a batch is written once, and a message that is appended and acknowledged in one batch
//! not at all.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use super::StoreError;
use super::backend::{Backend, Rows};
use super::counts::Counts;
use super::link_data::LinkData;
use super::notification::{NotificationState, PendingNotification};
use super::operation::Side;
use super::record::{Id, MessageHeader, QueueRecord, QueueState};
use super::service::{QueueSet, ServiceRecord, ServiceSide};

/// An engine that can be read below an overlay.
pub(super) trait Source: Backend {
    /// Reads a message without its body.
    fn header(&self, recipient_id: &Id, sequence: u64) -> Result<Option<MessageHeader>, StoreError>;
    /// Whether an id is reserved.
    fn is_reserved(&self, side: Side, id: &Id) -> Result<bool, StoreError>;
}

/// What a batch changed. `None` is a row that was removed.
pub(super) struct Changes {
    /// Records.
    pub(super) queues: HashMap<Id, Option<Arc<QueueRecord>>>,
    /// Other names.
    pub(super) names: HashMap<(Side, Id), Option<Id>>,
    /// Where messages are.
    pub(super) states: HashMap<Id, Option<QueueState>>,
    /// Link data.
    pub(super) links: HashMap<Id, Option<LinkData>>,
    /// Ids of deleted queues, with the day of their reservation.
    pub(super) reserved: HashMap<(Side, Id), Option<u32>>,
    /// Messages by queue and sequence number.
    pub(super) messages: HashMap<(Id, u64), Option<(MessageHeader, Bytes)>>,
    /// Records of services.
    pub(super) services: HashMap<Id, Option<Arc<ServiceRecord>>>,
    /// Services by their certificates.
    pub(super) fingerprints: HashMap<[u8; 32], Option<Id>>,
    /// How many queues services have.
    pub(super) queue_sets: HashMap<(Id, ServiceSide), QueueSet>,
    /// Queues of services: whether they have them.
    pub(super) members: HashMap<(Id, ServiceSide, Id), bool>,
    /// Where notifications are.
    pub(super) notification_states: HashMap<Id, Option<NotificationState>>,
    /// Notifications by notifier and sequence number.
    pub(super) notifications: HashMap<(Id, u64), Option<PendingNotification>>,
    /// How much there is then.
    pub(super) counts: Counts,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.queues.is_empty()
            && self.names.is_empty()
            && self.states.is_empty()
            && self.links.is_empty()
            && self.reserved.is_empty()
            && self.messages.is_empty()
            && self.services.is_empty()
            && self.notification_states.is_empty()
            && self.notifications.is_empty()
    }
}

/// Changes over a source.
pub(super) struct Overlay<'a, S> {
    source: &'a S,
    changes: Changes,
    /// Rows read from the source and not changed.
    read: Read,
    /// Messages that were not there before this batch: removing one leaves nothing to write.
    new: HashSet<(Id, u64)>,
    /// The same of notifications.
    new_notifications: HashSet<(Id, u64)>,
}

#[derive(Default)]
struct Read {
    queues: HashMap<Id, Option<Arc<QueueRecord>>>,
    states: HashMap<Id, QueueState>,
}

impl<'a, S: Source> Overlay<'a, S> {
    pub(super) fn new(source: &'a S, counts: Counts) -> Self {
        let changes = Changes {
            queues: HashMap::new(),
            names: HashMap::new(),
            states: HashMap::new(),
            links: HashMap::new(),
            reserved: HashMap::new(),
            messages: HashMap::new(),
            services: HashMap::new(),
            fingerprints: HashMap::new(),
            queue_sets: HashMap::new(),
            members: HashMap::new(),
            notification_states: HashMap::new(),
            notifications: HashMap::new(),
            counts,
        };
        Self { source, changes, read: Read::default(), new: HashSet::new(), new_notifications: HashSet::new() }
    }

    pub(super) fn into_changes(self) -> Changes {
        self.changes
    }
}

impl<S: Source> Rows for Overlay<'_, S> {
    fn queue(&mut self, recipient_id: &Id) -> Result<Option<Arc<QueueRecord>>, StoreError> {
        if let Some(record) = self.changes.queues.get(recipient_id).or_else(|| self.read.queues.get(recipient_id)) {
            return Ok(record.clone());
        }
        let record = self.source.queue(recipient_id)?;
        self.read.queues.insert(*recipient_id, record.clone());
        Ok(record)
    }

    fn write_queue(&mut self, record: Arc<QueueRecord>) {
        self.changes.queues.insert(record.recipient_id, Some(record));
    }

    fn erase_queue(&mut self, recipient_id: &Id) {
        self.changes.queues.insert(*recipient_id, None);
        self.changes.states.insert(*recipient_id, None);
    }

    fn recipient_id(&mut self, side: Side, id: &Id) -> Result<Option<Id>, StoreError> {
        match self.changes.names.get(&(side, *id)) {
            Some(recipient_id) => Ok(*recipient_id),
            None => self.source.recipient_id(side, id),
        }
    }

    fn put_name(&mut self, side: Side, id: Id, recipient_id: Id) {
        self.changes.names.insert((side, id), Some(recipient_id));
    }

    fn remove_name(&mut self, side: Side, id: &Id) {
        self.changes.names.insert((side, *id), None);
    }

    fn link(&mut self, recipient_id: &Id) -> Result<Option<LinkData>, StoreError> {
        match self.changes.links.get(recipient_id) {
            Some(data) => Ok(data.clone()),
            None => self.source.link(recipient_id),
        }
    }

    fn put_link(&mut self, recipient_id: &Id, data: LinkData) {
        self.changes.links.insert(*recipient_id, Some(data));
    }

    fn remove_link(&mut self, recipient_id: &Id) {
        self.changes.links.insert(*recipient_id, None);
    }

    fn is_reserved(&mut self, side: Side, id: &Id) -> Result<bool, StoreError> {
        match self.changes.reserved.get(&(side, *id)) {
            Some(day) => Ok(day.is_some()),
            None => self.source.is_reserved(side, id),
        }
    }

    fn reserve(&mut self, side: Side, id: Id, day: u32) {
        self.changes.reserved.insert((side, id), Some(day));
    }

    fn release(&mut self, side: Side, id: &Id) {
        self.changes.reserved.insert((side, *id), None);
    }

    fn state(&mut self, recipient_id: &Id) -> Result<QueueState, StoreError> {
        if let Some(state) = self.changes.states.get(recipient_id) {
            return Ok(state.unwrap_or_default());
        }
        if let Some(state) = self.read.states.get(recipient_id) {
            return Ok(*state);
        }
        let state = self.source.state(recipient_id)?;
        self.read.states.insert(*recipient_id, state);
        Ok(state)
    }

    fn put_state(&mut self, recipient_id: &Id, state: QueueState) {
        self.changes.states.insert(*recipient_id, Some(state));
    }

    fn header(&mut self, recipient_id: &Id, sequence: u64) -> Result<Option<MessageHeader>, StoreError> {
        match self.changes.messages.get(&(*recipient_id, sequence)) {
            Some(message) => Ok(message.as_ref().map(|(header, _)| *header)),
            None if self.new.contains(&(*recipient_id, sequence)) => Ok(None),
            None => self.source.header(recipient_id, sequence),
        }
    }

    fn put_message(&mut self, recipient_id: &Id, sequence: u64, header: MessageHeader, body: Bytes) {
        // What this batch removed and puts again (a queue deleted and created anew) is not new.
        if self.changes.messages.insert((*recipient_id, sequence), Some((header, body))).is_none() {
            self.new.insert((*recipient_id, sequence));
        }
    }

    fn remove_message(&mut self, recipient_id: &Id, sequence: u64) {
        let key = (*recipient_id, sequence);
        if self.new.contains(&key) {
            self.changes.messages.remove(&key);
        } else {
            self.changes.messages.insert(key, None);
        }
    }

    fn service(&mut self, id: &Id) -> Result<Option<Arc<ServiceRecord>>, StoreError> {
        match self.changes.services.get(id) {
            Some(record) => Ok(record.clone()),
            None => self.source.service(id),
        }
    }

    fn service_by_fingerprint(&mut self, fingerprint: &[u8; 32]) -> Result<Option<Id>, StoreError> {
        match self.changes.fingerprints.get(fingerprint) {
            Some(id) => Ok(*id),
            None => self.source.service_by_fingerprint(fingerprint),
        }
    }

    fn put_service(&mut self, record: Arc<ServiceRecord>) {
        self.changes.fingerprints.insert(record.fingerprint, Some(record.id));
        self.changes.services.insert(record.id, Some(record));
    }

    fn remove_service(&mut self, record: &ServiceRecord) {
        self.changes.fingerprints.insert(record.fingerprint, None);
        self.changes.services.insert(record.id, None);
    }

    fn queue_set(&mut self, service: &Id, side: ServiceSide) -> QueueSet {
        let changed = self.changes.queue_sets.get(&(*service, side)).copied();
        changed.unwrap_or_else(|| self.source.queue_set(service, side))
    }

    fn put_queue_set(&mut self, service: &Id, side: ServiceSide, set: QueueSet) {
        self.changes.queue_sets.insert((*service, side), set);
    }

    fn put_member(&mut self, service: &Id, side: ServiceSide, queue: &Id) {
        self.changes.members.insert((*service, side, *queue), true);
    }

    fn remove_member(&mut self, service: &Id, side: ServiceSide, queue: &Id) {
        self.changes.members.insert((*service, side, *queue), false);
    }

    fn notification_state(&mut self, notifier_id: &Id) -> Result<NotificationState, StoreError> {
        match self.changes.notification_states.get(notifier_id) {
            Some(state) => Ok(state.unwrap_or_default()),
            None => self.source.notification_state(notifier_id),
        }
    }

    fn put_notification_state(&mut self, notifier_id: &Id, state: NotificationState) {
        self.changes.notification_states.insert(*notifier_id, Some(state));
    }

    fn remove_notification_state(&mut self, notifier_id: &Id) {
        self.changes.notification_states.insert(*notifier_id, None);
    }

    fn notification(&mut self, notifier_id: &Id, sequence: u64) -> Result<Option<PendingNotification>, StoreError> {
        let key = (*notifier_id, sequence);
        match self.changes.notifications.get(&key) {
            Some(notification) => Ok(*notification),
            None if self.new_notifications.contains(&key) => Ok(None),
            None => self.source.notification(notifier_id, sequence),
        }
    }

    fn put_notification(&mut self, notifier_id: &Id, sequence: u64, notification: PendingNotification) {
        let key = (*notifier_id, sequence);
        // As with messages, what this batch removed and puts again is not new.
        if self.changes.notifications.insert(key, Some(notification)).is_none() {
            self.new_notifications.insert(key);
        }
    }

    fn remove_notification(&mut self, notifier_id: &Id, sequence: u64) {
        let key = (*notifier_id, sequence);
        if self.new_notifications.contains(&key) {
            self.changes.notifications.remove(&key);
        } else {
            self.changes.notifications.insert(key, None);
        }
    }

    fn counts(&mut self) -> &mut Counts {
        &mut self.changes.counts
    }
}
