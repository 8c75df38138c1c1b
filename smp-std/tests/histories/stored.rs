//! What a store holds, in the words of the model.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use smp_std::relay::store::{
    Backend, FjallBackend, Id, MessageKind, QueueMode, QueueRecord, QueueSet, ServiceSide, Side, StoreError,
};

use crate::history::QueueNumber;
use crate::host::FILLING_SENDER;
use crate::model::{Item, Notifier, Queue};
use crate::services::Service;
use crate::world::{World, body, fixed_data, user_data};

/// What must be known of a history to judge a disk.
pub(crate) struct Facts {
    queues: BTreeMap<QueueNumber, QueueFacts>,
    notifiers: BTreeMap<Vec<u8>, u32>,
    ids: BTreeMap<Vec<u8>, (QueueNumber, Item)>,
    services: BTreeMap<Vec<u8>, Service>,
}

struct QueueFacts {
    recipient_id: [u8; 24],
    sender_id: [u8; 24],
    link_id: [u8; 24],
    sender_keys: [smp_proto::key::AuthorizationKey; 2],
}

impl Facts {
    pub(crate) fn of(world: &World) -> Self {
        let queues = world.queues.iter().map(|(number, known)| {
            let recipient_id = known.queue.recipient_id.as_slice().try_into().unwrap();
            let sender_id = known.queue.sender_id.as_slice().try_into().unwrap();
            let sender_keys = [0, 1].map(|key: usize| known.sender_keys[key].public_key());
            (*number, QueueFacts { recipient_id, sender_id, link_id: known.link_id, sender_keys })
        });
        let services = world.people.iter().enumerate();
        let services = services.filter_map(|(client, service)| Some((world.service_id(client).to_vec(), (*service)?)));
        Self {
            services: services.collect(),
            queues: queues.collect(),
            notifiers: world.notifiers.iter().map(|(number, known)| (known.id.clone(), *number)).collect(),
            ids: world.items.iter().map(|(id, (queue, item, _))| (id.clone(), (*queue, *item))).collect(),
        }
    }
}

/// A notifier whose creation was never answered.
const UNKNOWN: u32 = u32::MAX;

/// What is not kept, or not to be told from outside, counts for nothing.
pub(crate) fn plain(mut queue: Queue, facts: &Facts) -> Queue {
    queue.marks = 0;
    for item in &mut queue.messages {
        if let Item::Mark(number) = item {
            *number = 0;
        }
    }
    queue.notifier = queue.notifier.map(|notifier| {
        let known = facts.notifiers.values().any(|number| *number == notifier.number);
        let number = if known { notifier.number } else { UNKNOWN };
        Notifier { number, service: notifier.service, ..Notifier::default() }
    });
    queue
}

/// What a store holds, in the words of the model.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) queues: BTreeMap<QueueNumber, Queue>,
    /// Queues nobody was told of.
    pub(crate) unknown: usize,
    /// Those who have an id.
    pub(crate) services: BTreeSet<Service>,
    /// Deleted queues whose ids nobody may get, and whether one of them is a link's.
    pub(crate) reserved: BTreeMap<QueueNumber, bool>,
}

fn words(error: StoreError) -> String {
    error.to_string()
}

pub(crate) fn read(store: &FjallBackend, facts: &Facts) -> Result<Found, String> {
    let mut found = Found::default();
    let (mut messages, mut notifiers, mut notifications) = (0, 0, 0);
    let records = store.queues(None, 10_000).map_err(words)?;
    let mut waited = Vec::new();
    for record in &records {
        messages += store.state(&record.recipient_id).map_err(words)?.size();
        if let Some(notifier) = &record.notifier {
            notifiers += 1;
            let state = store.notification_state(&notifier.id).map_err(words)?;
            notifications += state.size();
            waited.extend((!state.is_empty()).then_some(notifier.id));
        }
        match facts.queues.iter().find(|(_, known)| known.recipient_id == record.recipient_id) {
            Some((number, known)) => {
                found.queues.insert(*number, read_queue(store, facts, *number, known, record)?);
            }
            None => found.unknown += 1,
        }
    }
    // Nothing waits for a notifier that is gone.
    let mut notified: Vec<_> =
        store.notified(None, 10_000).map_err(words)?.notifiers.into_iter().map(|(id, _)| id).collect();
    notified.sort_unstable();
    waited.sort_unstable();
    if notified != waited {
        return Err(format!("notifications of {} notifiers, but {} have some", notified.len(), waited.len()));
    }
    found.services = read_services(store, facts, &records)?;
    let reserved = read_reserved(store, facts, &mut found)?;
    let counts = store.counts();
    let counted = [counts.queues, counts.messages, counts.notifiers, counts.notifications, counts.services];
    let there = [records.len() as u64, messages, notifiers, notifications, found.services.len() as u64];
    let (counted, there) = ((counted, counts.reserved), (there, reserved));
    if counted != there {
        return Err(format!("{counts:?} counted, {there:?} there"));
    }
    Ok(found)
}

/// Who has an id. What each is said to have are the queues that name it.
fn read_services(
    store: &FjallBackend,
    facts: &Facts,
    queues: &[Arc<QueueRecord>],
) -> Result<BTreeSet<Service>, String> {
    let mut found = BTreeSet::new();
    let mut members = 0;
    for record in store.services(None, 100).map_err(words)? {
        let service = *facts.services.get(record.id.as_slice()).ok_or("a service that nobody is")?;
        if store.service_by_fingerprint(&record.fingerprint).map_err(words)? != Some(record.id) {
            return Err(format!("{service:?} is not found by its certificate"));
        }
        for side in [ServiceSide::Recipient, ServiceSide::Notifier] {
            let theirs = |queue: &&Arc<QueueRecord>| associated(queue, side) == Some(record.id);
            let mut ids: Vec<_> = queues.iter().filter(theirs).filter_map(|queue| id_on(queue, side)).collect();
            ids.sort_unstable();
            members += ids.len();
            let set = ids.iter().fold(QueueSet::default(), QueueSet::with);
            let listed = store.members(&record.id, side, None, 10_000).map_err(words)?;
            if listed != ids || store.queue_set(&record.id, side) != set {
                return Err(format!("{service:?} has {} queues, and {} are listed", ids.len(), listed.len()));
            }
        }
        found.insert(service);
    }
    let sides = [ServiceSide::Recipient, ServiceSide::Notifier];
    let named = sides.iter().flat_map(|side| queues.iter().filter_map(|queue| associated(queue, *side))).count();
    if named != members {
        return Err(format!("{named} associations, {members} of them with services that are there"));
    }
    Ok(found)
}

fn associated(queue: &QueueRecord, side: ServiceSide) -> Option<Id> {
    match side {
        ServiceSide::Recipient => queue.recipient_service,
        ServiceSide::Notifier => queue.notifier_service,
    }
}

fn id_on(queue: &QueueRecord, side: ServiceSide) -> Option<Id> {
    match side {
        ServiceSide::Recipient => Some(queue.recipient_id),
        ServiceSide::Notifier => queue.notifier.as_ref().map(|notifier| notifier.id),
    }
}

/// Which queues have reserved ids; how many ids.
fn read_reserved(store: &FjallBackend, facts: &Facts, found: &mut Found) -> Result<u64, String> {
    let page = store.reserved(None, 10_000).map_err(words)?;
    let mut senders = 0;
    for (side, id, _) in &page.ids {
        // The queue with which a journal was filled.
        if *id == FILLING_SENDER {
            continue;
        }
        let known = facts.queues.iter().find(|(_, known)| match side {
            Side::Sender => known.sender_id == *id,
            Side::Link => known.link_id == *id,
            Side::Notifier => false,
        });
        let (number, _) = known.ok_or("a reserved id that nobody had")?;
        senders += usize::from(*side == Side::Sender);
        *found.reserved.entry(*number).or_default() |= *side == Side::Link;
    }
    if senders != found.reserved.len() {
        return Err("a link's id is reserved, its queue's is not".to_owned());
    }
    Ok(page.ids.len() as u64)
}

fn read_queue(
    store: &FjallBackend,
    facts: &Facts,
    number: QueueNumber,
    known: &QueueFacts,
    record: &QueueRecord,
) -> Result<Queue, String> {
    let recipient_id = &record.recipient_id;
    let state = store.state(recipient_id).map_err(words)?;
    let mut queue = Queue {
        contact: record.mode == QueueMode::Contact,
        suspended: record.status.is_suspended(),
        full: state.quota_exceeded,
        service: record.recipient_service.and_then(|id| facts.services.get(id.as_slice()).copied()),
        ..Queue::default()
    };
    if let Some(key) = &record.sender_key {
        let position = known.sender_keys.iter().position(|own| own == key).ok_or("a key nobody set")?;
        queue.sender_key = Some(position as u8 + 1);
    }
    let mut numbers: HashMap<[u8; 24], u32> = HashMap::new();
    for sequence in state.head..state.tail {
        let message = store.message(recipient_id, sequence).map_err(words)?.ok_or("a message is missing")?;
        let item = match &message.kind {
            MessageKind::Message { body: stored, .. } => {
                let told = stored.get(4..).and_then(|rest| rest.first_chunk()).ok_or("a short message")?;
                let told = u32::from_le_bytes(*told);
                if *stored != body(number, told) {
                    return Err(format!("message {told} of queue {number} is not what was sent"));
                }
                numbers.insert(message.id, told);
                Item::Message(told)
            }
            _ => Item::Mark(0),
        };
        match (facts.ids.get(message.id.as_slice()), item) {
            (None, _) => {}
            (Some((of, Item::Mark(_))), Item::Mark(_)) if *of == number => {}
            (Some((of, delivered)), _) if *of == number && *delivered == item => {}
            (Some(other), _) => return Err(format!("{item:?} has the id of {other:?}")),
        }
        queue.messages.push_back(item);
    }
    let link = store.link(recipient_id).map_err(words)?;
    if link.is_some() != record.link_id.is_some() {
        return Err("a link without its data".to_owned());
    }
    if let Some(data) = link {
        let user = data.user.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        if data.fixed != fixed_data(number) || data.user != user_data(user) {
            return Err("link data that nobody set".to_owned());
        }
        queue.link = Some(user);
    }
    if let Some(notifier) = &record.notifier {
        let own = facts.notifiers.get(notifier.id.as_slice()).copied().unwrap_or(UNKNOWN);
        let state = store.notification_state(&notifier.id).map_err(words)?;
        let mut waiting = VecDeque::new();
        for sequence in state.head..state.tail {
            let notification = store.notification(&notifier.id, sequence).map_err(words)?;
            let id = notification.ok_or("a notification is missing")?.message_id;
            let delivered = || match facts.ids.get(id.as_slice()) {
                Some((of, Item::Message(told))) if *of == number => Some(*told),
                _ => None,
            };
            let told = numbers.get(&id).copied().or_else(delivered);
            waiting.push_back(told.ok_or("a notification of a message that the queue never had")?);
        }
        let service = record.notifier_service.and_then(|id| facts.services.get(id.as_slice()).copied());
        queue.notifier = Some(Notifier { number: own, waiting, service, ..Notifier::default() });
    }
    Ok(queue)
}
