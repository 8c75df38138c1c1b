//! The store on disk: fjall, a log-structured engine.
//!
//! Keyspaces, with ids as they are and sequence numbers in big-endian order:
//!
//! | Keyspace | Key | Value |
//! |---|---|---|
//! | `queues` | recipient id | record |
//! | `names` | side (1 byte), id | recipient id |
//! | `states` | recipient id | where its messages are; stays while the queue exists |
//! | `headers` | recipient id, sequence number | message without body |
//! | `bodies` | recipient id, sequence number | body; large ones go to files apart from the index |
//! | `services` | see there | services, and which queues they have |
//! | `links` | recipient id | link data; large ones go to files apart from the index |
//! | `reserved` | side (1 byte), id | the day on which the queue that had this id was deleted |
//! | `notifications` | see there | notifications that wait for their notifiers |
//! | `store` | `format`, `counts` | version of this layout; counts |
//!
//! Finding a queue's oldest message takes point reads only; nothing is ever scanned past what was deleted. A batch is
//! one write and one `fdatasync` of the engine's journal, whatever it contains. A message that is acknowledged before
//! its memory table is flushed (within thousands of messages) is never written a second time.

mod backup;
mod creation;
mod memory;
mod notifications;
mod rows;
mod services;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode, Readable, Slice};

use self::creation::{Creation, sync_names};
use self::memory::Memory;
use self::notifications::Notifications;
use self::rows::{message_key, name_key, read_name_key, walk};
use self::services::Services;
use super::backend::{Backend, OccupiedPage, QueueWithLink, ReservedPage};
use super::codec;
use super::counts::{Counts, SharedCounts};
use super::link_data::LinkData;
use super::notification::{NotificationState, NotifierPage, PendingNotification};
use super::operation::{Operation, Reply, Side};
use super::overlay::{Overlay, Source};
use super::record::{HeaderKind, Id, MessageHeader, QueueRecord, QueueState, StoredMessage};
use super::service::{QueueSet, ServiceRecord, ServiceSide};
use super::{StoreError, journal, rules};

/// The version of the layout described above. Version 1 had neither `links` nor `reserved`; opening such a store makes it
/// one of this version.
const LAYOUT: u8 = 2;

/// What the engine may use. The defaults suit a machine with 1 GB of memory.
#[derive(Clone, Copy, Debug)]
pub struct FjallOptions {
    /// Bytes of memory that hold parts of files read recently. 32 MiB by default.
    pub cache_bytes: u64,
    /// Bytes of message bodies gathered in memory before they are written to a file of their own; up to four times this
    /// while the disk is slow. 16 MiB by default.
    pub body_memory_bytes: u64,
    /// Bytes of each other kind of row gathered in memory. 4 MiB by default.
    pub row_memory_bytes: u64,
    /// Bytes of journal kept on disk, at least 64 MiB; opening reads it through. 128 MiB by default.
    pub journal_bytes: u64,
    /// Background threads that write and merge tables. 1 by default: with more, one of them waits for the others' merges
    /// in a busy loop (engine version 3.1), which costs more processor time than it gains here.
    pub threads: usize,
}

impl Default for FjallOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 32 << 20,
            body_memory_bytes: 16 << 20,
            row_memory_bytes: 4 << 20,
            journal_bytes: 128 << 20,
            threads: 1,
        }
    }
}

/// Queues and messages in a folder.
pub struct FjallBackend {
    queues: Keyspace,
    names: Keyspace,
    states: Keyspace,
    headers: Keyspace,
    bodies: Keyspace,
    links: Keyspace,
    reserved: Keyspace,
    services: Services,
    notifications: Notifications,
    store: Keyspace,
    counts: SharedCounts,
    memory: Memory,
    options: FjallOptions,
    // Last, so that it outlives the keyspaces.
    database: Database,
}

impl FjallBackend {
    /// Opens the store in `folder`, or creates it. A write that a crash left incomplete is discarded.
    pub fn open(folder: &Path, options: &FjallOptions) -> Result<Self, StoreError> {
        let creation = Creation::begin(folder)?;
        sync_found(folder)?;
        let open = || {
            Database::builder(folder)
                .cache_size(options.cache_bytes)
                .max_journaling_size(options.journal_bytes.max(64 << 20))
                .worker_threads(options.threads.max(1))
                .max_cached_files(Some(256))
                .manual_journal_persist(true)
                .open()
        };
        let database = match open() {
            // The engine forgives a tail that ends early, not one with a hole in it.
            Err(fjall::Error::JournalRecovery(_)) if journal::discard_torn_tail(folder)? => open(),
            result => result,
        }
        .map_err(error)?;

        // Its own limit is out of reach: see there.
        let rows = || KeyspaceCreateOptions::default().max_memtable_size(u64::MAX).manual_journal_persist(true);
        let separated = || {
            let separation = KvSeparationOptions::default()
                .separation_threshold(512)
                .file_target_size(options.body_memory_bytes)
                // Bodies die soon: waiting until half of a file is dead spares the disk most rewriting.
                .staleness_threshold(0.5);
            rows().with_kv_separation(Some(separation))
        };
        let mut memory = Memory::new();
        let mut keyspace = |name: &str| -> Result<Keyspace, StoreError> {
            let (keyspace, bytes) = match name {
                "bodies" => (database.keyspace(name, separated), options.body_memory_bytes),
                "links" => (database.keyspace(name, separated), options.row_memory_bytes),
                _ => (database.keyspace(name, rows), options.row_memory_bytes),
            };
            Ok(memory.limit(keyspace.map_err(error)?, bytes))
        };
        let backend = Self {
            queues: keyspace("queues")?,
            names: keyspace("names")?,
            states: keyspace("states")?,
            headers: keyspace("headers")?,
            bodies: keyspace("bodies")?,
            services: Services::open(keyspace("services")?)?,
            links: keyspace("links")?,
            reserved: keyspace("reserved")?,
            notifications: Notifications::over(keyspace("notifications")?),
            store: keyspace("store")?,
            counts: SharedCounts::default(),
            memory,
            options: *options,
            database,
        };
        sync_folders(folder)?;
        // What was in the journal may be more than a keyspace may have in memory.
        backend.memory.wait_for_room(&backend.database).map_err(error)?;
        backend.check_layout()?;
        backend.load_counts()?;
        if let Some(creation) = creation {
            creation.finish()?;
        }
        Ok(backend)
    }

    fn check_layout(&self) -> Result<(), StoreError> {
        match self.store.get("format").map_err(error)?.as_deref() {
            Some([LAYOUT]) => return Ok(()),
            Some([1]) | None => {}
            Some([found, ..]) => return Err(StoreError::NewerFormat { what: "store", found: *found }),
            Some([]) => return Err(StoreError::Corrupt("store format")),
        }
        self.store.insert("format", [LAYOUT]).map_err(error)?;
        self.database.persist(PersistMode::SyncAll).map_err(error)
    }

    /// Reads what was counted. Of a store that does not know how many notifiers it has, counts them, once.
    fn load_counts(&self) -> Result<(), StoreError> {
        let Some(bytes) = self.store.get("counts").map_err(error)? else { return Ok(()) };
        let (mut counts, known) = codec::decode_counts(&bytes)?;
        if !known {
            let mut after = None;
            loop {
                let page = Backend::queues(self, after.as_ref(), 1_000)?;
                page.iter().for_each(|record| counts.follow(None, Some(record)));
                let Some(last) = page.last() else { break };
                after = Some(last.recipient_id);
            }
            self.store.insert("counts", codec::encode_counts(counts)).map_err(error)?;
            self.database.persist(PersistMode::SyncAll).map_err(error)?;
        }
        self.counts.set(counts);
        Ok(())
    }

    /// Writes what a batch changed, once for each row.
    fn commit(&self, overlay: Overlay<'_, Self>) -> Result<(), StoreError> {
        let mut changes = overlay.into_changes();
        if changes.is_empty() {
            return Ok(());
        }
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        // A batch becomes visible to readers row by row: what a state points to must be there before the state is, and be
        // gone only after it.
        let (added, removed): (Vec<_>, Vec<_>) =
            std::mem::take(&mut changes.messages).into_iter().partition(|(_, message)| message.is_some());
        for ((id, sequence), message) in added {
            let Some((header, body)) = message else { continue };
            let key = Slice::from(message_key(&id, sequence));
            if header.kind != HeaderKind::QuotaMark {
                batch.insert(&self.bodies, key.clone(), body);
            }
            batch.insert(&self.headers, key, codec::encode_header(&header));
        }
        for (id, data) in &changes.links {
            if let Some(data) = data {
                batch.insert(&self.links, *id, codec::encode_link(data));
            }
        }
        for ((side, id), day) in &changes.reserved {
            match day {
                Some(day) => batch.insert(&self.reserved, name_key(*side, id), codec::encode_reservation(*day)),
                None => batch.remove(&self.reserved, name_key(*side, id)),
            }
        }
        self.notifications.write_added(&mut batch, &changes);
        for (id, record) in &changes.queues {
            match record {
                Some(record) => batch.insert(&self.queues, *id, codec::encode_record(record)),
                None => batch.remove(&self.queues, *id),
            }
        }
        for ((side, id), recipient_id) in &changes.names {
            match recipient_id {
                Some(recipient_id) => batch.insert(&self.names, name_key(*side, id), *recipient_id),
                None => batch.remove(&self.names, name_key(*side, id)),
            }
        }
        for (id, state) in &changes.states {
            match state {
                Some(state) => batch.insert(&self.states, *id, codec::encode_state(*state)),
                None => batch.remove(&self.states, *id),
            }
        }
        self.notifications.write_rest(&mut batch, &changes);
        for ((id, sequence), _) in removed {
            let key = Slice::from(message_key(&id, sequence));
            batch.remove(&self.headers, key.clone());
            batch.remove(&self.bodies, key);
        }
        self.services.write(&mut batch, &changes);
        for (id, data) in &changes.links {
            if data.is_none() {
                batch.remove(&self.links, *id);
            }
        }
        if changes.counts != self.counts() {
            batch.insert(&self.store, "counts", codec::encode_counts(changes.counts));
        }
        self.memory.commit(&self.database, batch).map_err(error)?;
        self.counts.set(changes.counts);
        self.services.written(&changes);
        Ok(())
    }
}

impl Backend for FjallBackend {
    fn apply(&self, operations: &[Operation]) -> Result<Vec<Result<Reply, StoreError>>, StoreError> {
        let mut overlay = Overlay::new(self, self.counts());
        let replies = operations.iter().map(|operation| rules::apply(&mut overlay, operation)).collect();
        self.commit(overlay)?;
        Ok(replies)
    }

    fn queue(&self, recipient_id: &Id) -> Result<Option<Arc<QueueRecord>>, StoreError> {
        match self.queues.get(recipient_id).map_err(error)? {
            Some(bytes) => codec::decode_record(recipient_id, &bytes).map(|record| Some(Arc::new(record))),
            None => Ok(None),
        }
    }

    fn recipient_id(&self, side: Side, id: &Id) -> Result<Option<Id>, StoreError> {
        match self.names.get(name_key(side, id)).map_err(error)? {
            Some(bytes) => bytes.as_ref().try_into().map(Some).map_err(|_| StoreError::Corrupt("queue name")),
            None => Ok(None),
        }
    }

    fn state(&self, recipient_id: &Id) -> Result<QueueState, StoreError> {
        match self.states.get(recipient_id).map_err(error)? {
            Some(bytes) => codec::decode_state(&bytes),
            None => Ok(QueueState::default()),
        }
    }

    fn message(&self, recipient_id: &Id, sequence: u64) -> Result<Option<StoredMessage>, StoreError> {
        let Some(header) = self.header(recipient_id, sequence)? else { return Ok(None) };
        if header.kind == HeaderKind::QuotaMark {
            return Ok(Some(StoredMessage::from_parts(header, Bytes::new())));
        }
        // A message removed between the two reads is not there.
        let body = self.bodies.get(message_key(recipient_id, sequence)).map_err(error)?;
        Ok(body.map(|body| StoredMessage::from_parts(header, body.into())))
    }

    fn link(&self, recipient_id: &Id) -> Result<Option<LinkData>, StoreError> {
        match self.links.get(recipient_id).map_err(error)? {
            Some(bytes) => codec::decode_link(&bytes).map(Some),
            None => Ok(None),
        }
    }

    fn queue_with_link(&self, recipient_id: &Id) -> Result<Option<QueueWithLink>, StoreError> {
        // Of a batch, a snapshot has all rows or none.
        let snapshot = self.database.snapshot();
        let Some(record) = snapshot.get(&self.queues, recipient_id).map_err(error)? else { return Ok(None) };
        let record = Arc::new(codec::decode_record(recipient_id, &record)?);
        let data = snapshot.get(&self.links, recipient_id).map_err(error)?;
        Ok(Some((record, data.map(|bytes| codec::decode_link(&bytes)).transpose()?)))
    }

    fn reserved(&self, after: Option<&(Side, Id)>, limit: usize) -> Result<ReservedPage, StoreError> {
        let mut ids = Vec::new();
        let after = after.map(|(side, id)| name_key(*side, id));
        let next = walk(&self.reserved, after.as_ref(), limit, |key, value| {
            let (side, id) = read_name_key(key)?;
            ids.push((side, id, codec::decode_reservation(value)?));
            Ok(())
        })?;
        Ok(ReservedPage { ids, next: next.as_ref().map(read_name_key).transpose()? })
    }

    fn backup(&self, folder: &Path, leave_free: u64) -> Result<(), StoreError> {
        backup::copy(&self.database, folder, &self.options, leave_free).map(drop)
    }

    fn counts(&self) -> Counts {
        self.counts.get()
    }

    fn queues(&self, after: Option<&Id>, limit: usize) -> Result<Vec<Arc<QueueRecord>>, StoreError> {
        let mut page = Vec::new();
        walk(&self.queues, after, limit, |id, value| {
            page.push(Arc::new(codec::decode_record(id, value)?));
            Ok(())
        })?;
        Ok(page)
    }

    fn occupied(&self, after: Option<&Id>, limit: usize) -> Result<OccupiedPage, StoreError> {
        let mut recipient_ids = Vec::new();
        let next = walk(&self.states, after, limit, |id, value| {
            if !codec::decode_state(value)?.is_empty() {
                recipient_ids.push(*id);
            }
            Ok(())
        })?;
        Ok(OccupiedPage { recipient_ids, next })
    }

    fn service(&self, id: &Id) -> Result<Option<Arc<ServiceRecord>>, StoreError> {
        self.services.service(id)
    }

    fn service_by_fingerprint(&self, fingerprint: &[u8; 32]) -> Result<Option<Id>, StoreError> {
        self.services.by_fingerprint(fingerprint)
    }

    fn services(&self, after: Option<&Id>, limit: usize) -> Result<Vec<Arc<ServiceRecord>>, StoreError> {
        self.services.services(after, limit)
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
        self.services.members(service, side, after, limit)
    }

    fn notification_state(&self, notifier_id: &Id) -> Result<NotificationState, StoreError> {
        self.notifications.state(notifier_id)
    }

    fn notification(&self, notifier_id: &Id, sequence: u64) -> Result<Option<PendingNotification>, StoreError> {
        self.notifications.notification(notifier_id, sequence)
    }

    fn notified(&self, after: Option<&Id>, limit: usize) -> Result<NotifierPage, StoreError> {
        self.notifications.notified(after, limit)
    }
}

impl Source for FjallBackend {
    fn header(&self, recipient_id: &Id, sequence: u64) -> Result<Option<MessageHeader>, StoreError> {
        match self.headers.get(message_key(recipient_id, sequence)).map_err(error)? {
            Some(bytes) => codec::decode_header(&bytes).map(Some),
            None => Ok(None),
        }
    }

    fn is_reserved(&self, side: Side, id: &Id) -> Result<bool, StoreError> {
        self.reserved.contains_key(name_key(side, id)).map_err(error)
    }
}

/// Makes last what is found before the engine builds on it: a process that was killed may have renamed and not synced, and
/// the engine removes at once what the new name replaces.
fn sync_found(folder: &Path) -> std::io::Result<()> {
    let keyspaces = match std::fs::read_dir(folder.join("keyspaces")) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    for keyspace in keyspaces {
        let keyspace = keyspace?.path();
        for folder in [keyspace.join("tables"), keyspace.join("blobs"), keyspace] {
            if folder.is_dir() {
                sync_names(&folder)?;
            }
        }
    }
    sync_names(folder)
}

/// Makes the names of folders last. The engine (version 3.1) syncs what is in the folder of a new keyspace, but not the
/// folder that its name is in: had the disk lost the name, the keyspace would be made anew, without its rows.
fn sync_folders(folder: &Path) -> std::io::Result<()> {
    sync_names(&folder.join("keyspaces"))?;
    sync_names(folder)?;
    // Whose it is, and whether it may be read, is not known here; a store that is opened for the second time has its name.
    if let Some(parent) = folder.parent() {
        let _ = sync_names(if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
    }
    Ok(())
}

fn error(error: fjall::Error) -> StoreError {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => error.into(),
        fjall::Error::Locked => StoreError::InUse,
        fjall::Error::JournalRecovery(_) => StoreError::Corrupt("journal"),
        other => StoreError::Engine(other.to_string().into()),
    }
}
