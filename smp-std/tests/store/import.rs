//! Taking over another program's store: every engine does the same.

use std::sync::Arc;

use smp_proto::smp::service::ServiceRole;
use smp_std::relay::store::{
    Backend, Blocked, BlockingReason, FjallBackend, HeaderKind, Id, ImportStep, Imported, MemoryBackend, MessageHeader,
    Notifier, Operation, PendingNotification, QueueChange, RecipientKeys, Reply, ServiceRecord, ServiceSide,
    SharedSecret, Side, StoredMessage,
};

use crate::{Random, body, id, key, link_data, queue, small_options};

/// Few of everything, so that steps meet.
const QUEUES: u64 = 6;
const SERVICES: u64 = 3;

fn service_id(random: &mut Random) -> Option<Id> {
    Some(id(9_000 + random.below(SERVICES)))
}

fn step(random: &mut Random, number: u64) -> ImportStep {
    let recipient_id = id(random.below(QUEUES));
    let change = |change| ImportStep::Change { recipient_id, change, today: 20_000 };
    match random.below(18) {
        0..3 => {
            let mut record = queue(random.below(QUEUES));
            // The one of a deleted queue is reserved.
            record.sender_id = id(100_000 + number);
            let link = random.below(2) == 1;
            record.link_id = link.then(|| id(5_000 + random.below(40)));
            ImportStep::Queue(Arc::new(record), link.then(|| link_data(random.below(2), number)))
        }
        3 => change(QueueChange::Link(id(5_000 + random.below(40)), link_data(random.below(2), number))),
        4 => change(QueueChange::DeleteLink),
        5 => change(QueueChange::Secure(key(random.below(2) as u8))),
        6 => change(QueueChange::RecipientKeys(RecipientKeys::from_slice(&[key(1), key(number as u8)]).unwrap())),
        7 => {
            let notifier =
                Notifier { id: id(7_000 + random.below(5)), key: key(3), secret: SharedSecret::new([1; 32]) };
            let service = if random.below(2) == 0 { None } else { service_id(random) };
            change(QueueChange::Notifier(Box::new(notifier), service))
        }
        8 => change(QueueChange::DeleteNotifier),
        9 => change(if random.below(2) == 0 { QueueChange::Suspend } else { QueueChange::Unblock }),
        10 => change(QueueChange::Block(Blocked { reason: BlockingReason::Spam, notice: None })),
        11 => change(QueueChange::Delete),
        12 => change(QueueChange::Used(number as u32)),
        13 => {
            let side = if random.below(2) == 0 { ServiceSide::Recipient } else { ServiceSide::Notifier };
            change(QueueChange::Service(side, if random.below(3) == 0 { None } else { service_id(random) }))
        }
        14 => {
            let (id, mark) = (service_id(random).unwrap(), random.below(2) as u8);
            let fingerprint = [id[7].wrapping_add(mark); 32];
            let role = ServiceRole::Messaging;
            let record = ServiceRecord { id, role, fingerprint, chain: [].into(), created: 5, seen_day: 6 };
            ImportStep::Service(Arc::new(record))
        }
        15 => {
            let notification = PendingNotification { message_id: id(number), time: 7 };
            ImportStep::Notification { notifier_id: id(7_000 + random.below(5)), notification }
        }
        16 => ImportStep::Full { recipient_id },
        _ => {
            let kind = match random.below(3) {
                0 => HeaderKind::QuotaMark,
                _ => HeaderKind::Message { notification: number.is_multiple_of(2) },
            };
            let header = MessageHeader { id: id(number), time: number as i64, kind };
            ImportStep::Message { recipient_id, message: StoredMessage::from_parts(header, body(number)) }
        }
    }
}

/// What two engines have to have in common, as text.
fn contents(backend: &dyn Backend) -> Vec<String> {
    let mut all = vec![format!("{:?}", backend.counts())];
    for record in backend.queues(None, 1000).unwrap() {
        let state = backend.state(&record.recipient_id).unwrap();
        let messages: Vec<_> = (state.head..state.tail)
            .map(|at| backend.message(&record.recipient_id, at).unwrap().unwrap())
            .map(|message| (message.id, message.time, message.body().len(), message.header().kind))
            .collect();
        let link = backend.link(&record.recipient_id).unwrap().map(|link| (link.fixed, link.user));
        let ids = (record.link_id, record.notifier.as_ref().map(|it| it.id), record.notifier_service);
        let rest = (record.status, record.activity_day, record.recipient_service, record.sender_key);
        let size = (state.size(), state.quota_exceeded);
        all.push(format!("{:?} {ids:?} {rest:?} {size:?} {link:?} {messages:?}", record.recipient_id));
        if let (Some(link), Some(notifier)) = (record.link_id, ids.1) {
            assert_eq!(backend.recipient_id(Side::Link, &link).unwrap(), Some(record.recipient_id));
            assert_eq!(backend.recipient_id(Side::Notifier, &notifier).unwrap(), Some(record.recipient_id));
        }
    }
    for service in backend.services(None, 1000).unwrap() {
        let members = [ServiceSide::Recipient, ServiceSide::Notifier].map(|side| {
            (backend.members(&service.id, side, None, 1000).unwrap(), backend.queue_set(&service.id, side))
        });
        all.push(format!("{:?} {:?} {members:?}", service.id, service.fingerprint));
    }
    for number in 7_000..7_005 {
        let state = backend.notification_state(&id(number)).unwrap();
        let waiting = (state.head..state.tail).map(|at| backend.notification(&id(number), at).unwrap().unwrap());
        let waiting: Vec<_> = waiting.map(|it| (it.message_id, it.time)).collect();
        all.push(format!("{number} {waiting:?}"));
    }
    all
}

#[test]
fn engines_take_over_alike() {
    for seed in 0..6 {
        let folder = tempfile::tempdir().unwrap();
        let disk = FjallBackend::open(folder.path(), &small_options()).unwrap();
        let memory = MemoryBackend::new();
        let mut random = Random(seed);
        let mut done = 0;
        for batch in 0..25u64 {
            let size = 1 + random.below(30);
            let operations: Vec<_> =
                (0..size).map(|n| Operation::Import(Box::new(step(&mut random, batch * 100 + n)))).collect();
            let outcomes = |backend: &dyn Backend| -> Vec<Imported> {
                let replies = backend.apply(&operations).unwrap();
                replies
                    .into_iter()
                    .map(|reply| match reply.unwrap() {
                        Reply::Imported(outcome) => outcome,
                        other => panic!("{other:?}"),
                    })
                    .collect()
            };
            let (first, second) = (outcomes(&memory), outcomes(&disk));
            assert_eq!(first, second, "seed {seed}, batch {batch}");
            done += first.iter().filter(|outcome| **outcome == Imported::Done).count();
            assert_eq!(contents(&memory), contents(&disk), "seed {seed}, batch {batch}");
            let reserved = memory.reserved(None, 10_000).unwrap().ids.len() as u64;
            assert_eq!(memory.counts().reserved, reserved, "seed {seed}, batch {batch}");
        }
        assert!(done > 60, "{done}");
        // What was taken over is on disk.
        let before = contents(&disk);
        drop(disk);
        let disk = FjallBackend::open(folder.path(), &small_options()).unwrap();
        assert_eq!(contents(&disk), before);
    }
}
