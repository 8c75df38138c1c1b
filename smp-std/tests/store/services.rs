//! Services and the queues they have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smp_proto::smp::service::ServiceRole;
use smp_std::relay::store::{
    Association, Counts, Creation, Id, Notifier, NotifierRemoval, NotifierSetting, QueueRecord, QueueSet,
    ServiceAdmission, ServiceRecord, ServiceSide, SharedSecret, Side, Store,
};

use crate::{Engine, Fixture, Random, for_every_engine, id, key, queue};

for_every_engine!(
    a_certificate_is_one_service,
    services_are_limited_and_forgotten,
    associations_follow_their_queues,
    a_notifier_takes_its_association_with_it,
    pages_of_services_and_queues,
    random_associations,
);

/// The service `id(number)` with a certificate of its own.
fn service(number: u64, role: ServiceRole) -> ServiceRecord {
    let mut fingerprint = [0; 32];
    fingerprint[..24].copy_from_slice(&id(number));
    let chain = Box::new([Box::from([1, 2, 3]), Box::from([number as u8; 300])]);
    ServiceRecord { id: id(number), role, fingerprint, chain, created: 1_700_000_000, seen_day: 20_000 }
}

async fn admit(store: &Store, record: ServiceRecord, limit: u64) -> ServiceAdmission {
    store.admit_service(Arc::new(record), limit).await.unwrap().await.unwrap()
}

async fn associate(store: &Store, side: ServiceSide, queue: Id, service: Option<Id>) -> Option<Association> {
    store.associate_queue(side, queue, service).await.unwrap().await.unwrap()
}

fn with_notifier(number: u64, notifier: Id) -> QueueRecord {
    let notifier = Notifier { id: notifier, key: key(5), secret: SharedSecret::new([9; 32]) };
    QueueRecord { notifier: Some(Box::new(notifier)), ..queue(number) }
}

fn set(queues: impl IntoIterator<Item = u64>) -> QueueSet {
    queues.into_iter().fold(QueueSet::default(), |set, number| set.with(&id(number)))
}

async fn a_certificate_is_one_service(engine: Engine) {
    let mut fixture = Fixture::new(engine);
    let first = service(1, ServiceRole::Messaging);
    assert_eq!(admit(fixture.store(), first.clone(), 9).await, ServiceAdmission::Admitted(id(1)));
    for _ in 0..2 {
        let store = fixture.store();
        let again = ServiceRecord { id: id(2), seen_day: 19_000, ..first.clone() };
        assert_eq!(admit(store, again.clone(), 9).await, ServiceAdmission::Admitted(id(1)), "the id stays");
        assert_eq!(store.service(&id(2)).unwrap(), None);
        let other_role = ServiceRecord { role: ServiceRole::Notifier, ..again };
        assert_eq!(admit(store, other_role, 9).await, ServiceAdmission::OtherRole);
        assert_eq!(*store.service(&id(1)).unwrap().unwrap(), first);
        assert_eq!(*store.service_by_fingerprint(&first.fingerprint).unwrap().unwrap(), first);
        assert_eq!(store.service_by_fingerprint(&[1; 32]).unwrap(), None);
        assert_eq!(store.counts(), Counts { services: 1, ..Counts::default() });
        fixture.reopen();
    }
    let later = ServiceRecord { id: id(3), seen_day: 20_001, ..first };
    assert_eq!(admit(fixture.store(), later, 9).await, ServiceAdmission::Admitted(id(1)));
    assert_eq!(fixture.store().service(&id(1)).unwrap().unwrap().seen_day, 20_001);
}

async fn services_are_limited_and_forgotten(engine: Engine) {
    let mut fixture = Fixture::new(engine);
    for number in 1..=3 {
        admit(fixture.store(), service(number, ServiceRole::Messaging), 3).await;
    }
    assert_eq!(admit(fixture.store(), service(4, ServiceRole::Messaging), 3).await, ServiceAdmission::Full);
    let known = admit(fixture.store(), service(3, ServiceRole::Messaging), 3).await;
    assert_eq!(known, ServiceAdmission::Admitted(id(3)), "known ones are not concerned");
    fixture.create(queue(9)).await;
    associate(fixture.store(), ServiceSide::Recipient, id(9), Some(id(1))).await;
    fixture.reopen();
    let forget = async |fixture: &Fixture, number, before| {
        fixture.store().forget_service(id(number), before).await.unwrap().await.unwrap()
    };
    assert!(!forget(&fixture, 1, 30_000).await, "it has a queue");
    assert!(!forget(&fixture, 2, 20_000).await, "it was seen that day");
    assert!(forget(&fixture, 2, 20_001).await);
    assert!(!forget(&fixture, 2, 20_001).await);
    fixture.store().touch_service(id(3), 20_005);
    assert!(!forget(&fixture, 3, 20_001).await, "it was seen since");
    fixture.reopen();
    assert_eq!(fixture.store().counts().services, 2);
    assert_eq!(fixture.store().service_by_fingerprint(&service(2, ServiceRole::Messaging).fingerprint).unwrap(), None);
    assert_eq!(admit(fixture.store(), service(4, ServiceRole::Proxy), 3).await, ServiceAdmission::Admitted(id(4)));
    fixture.store().delete_queue(id(9), 7).await.unwrap().await.unwrap();
    assert!(forget(&fixture, 1, 30_000).await);
}

async fn associations_follow_their_queues(engine: Engine) {
    let mut fixture = Fixture::new(engine);
    for number in 1..=2 {
        admit(fixture.store(), service(number, ServiceRole::Messaging), 9).await;
    }
    let side = ServiceSide::Recipient;
    let created = QueueRecord { recipient_service: Some(id(1)), ..queue(10) };
    assert_eq!(fixture.create(created).await, Creation::Created);
    fixture.create(queue(11)).await;
    let change = async |fixture: &Fixture, number, service: Option<u64>| {
        associate(fixture.store(), side, id(number), service.map(id)).await.map(|association| association.previous)
    };
    assert_eq!(change(&fixture, 11, Some(1)).await, Some(None));
    assert_eq!(change(&fixture, 11, Some(1)).await, Some(Some(id(1))), "as before");
    assert_eq!(change(&fixture, 12, Some(1)).await, None);
    for _ in 0..2 {
        assert_eq!(fixture.store().service_queues(&id(1), side), set([10, 11]));
        assert_eq!(fixture.store().service_queues(&id(1), ServiceSide::Notifier), QueueSet::default());
        fixture.reopen();
    }
    assert_eq!(change(&fixture, 11, Some(2)).await, Some(Some(id(1))));
    assert_eq!(fixture.store().service_queues(&id(1), side), set([10]));
    assert_eq!(fixture.store().service_queues(&id(2), side), set([11]));
    assert_eq!(fixture.store().service_queue_ids(&id(2), side, None, 9).unwrap(), [id(11)]);
    // Whatever else happens to a queue changes nothing.
    fixture.store().suspend_queue(id(10)).await.unwrap().await.unwrap();
    assert_eq!(fixture.store().service_queues(&id(1), side), set([10]));
    fixture.store().delete_queue(id(10), 7).await.unwrap().await.unwrap();
    assert_eq!(change(&fixture, 11, None).await, Some(Some(id(2))));
    for _ in 0..2 {
        for number in 1..=2 {
            assert_eq!(fixture.store().service_queues(&id(number), side), QueueSet::default());
            assert!(fixture.store().service_queue_ids(&id(number), side, None, 9).unwrap().is_empty());
        }
        fixture.reopen();
    }
}

async fn a_notifier_takes_its_association_with_it(engine: Engine) {
    let mut fixture = Fixture::new(engine);
    admit(fixture.store(), service(1, ServiceRole::Notifier), 9).await;
    let side = ServiceSide::Notifier;
    fixture.create(with_notifier(10, id(100))).await;
    assert_eq!(associate(fixture.store(), side, id(10), Some(id(1))).await, None, "it is named by its notifier's id");
    assert_eq!(associate(fixture.store(), side, id(100), Some(id(1))).await, Some(Association { previous: None }));
    fixture.create(QueueRecord { notifier_service: Some(id(1)), ..with_notifier(11, id(110)) }).await;
    fixture.create(QueueRecord { notifier_service: Some(id(1)), ..queue(12) }).await;
    fixture.reopen();
    assert_eq!(fixture.store().queue_by_recipient(&id(12)).unwrap().unwrap().notifier_service, None, "no notifier");
    assert_eq!(fixture.store().service_queues(&id(1), side), set([100, 110]));
    assert_eq!(fixture.store().service_queues(&id(1), ServiceSide::Recipient), QueueSet::default());
    // Another notifier is not the service's, though it is the same queue's.
    fixture.create(QueueRecord { notifier_service: Some(id(1)), ..with_notifier(13, id(130)) }).await;
    let another = Notifier { id: id(131), key: key(5), secret: SharedSecret::new([9; 32]) };
    let replaced = fixture.store().set_notifier(id(13), Box::new(another)).await.unwrap().await.unwrap();
    assert_eq!(replaced, NotifierSetting::Set { previous: Some(id(130)), service: Some(id(1)) });
    assert_eq!(fixture.store().service_queues(&id(1), side), set([100, 110]));
    assert_eq!(associate(fixture.store(), side, id(131), Some(id(1))).await, Some(Association { previous: None }));
    assert_eq!(fixture.store().service_queues(&id(1), side), set([100, 110, 131]));
    let removed = fixture.store().remove_notifier(id(13)).await.unwrap().await.unwrap();
    assert_eq!(removed, NotifierRemoval::Removed { notifier_id: id(131), service: Some(id(1)) });
    fixture.reopen();
    fixture.store().delete_queue(id(11), 7).await.unwrap().await.unwrap();
    assert_eq!(fixture.store().service_queues(&id(1), side), set([100]));
    assert_eq!(fixture.store().service_queue_ids(&id(1), side, None, 9).unwrap(), [id(100)]);
}

async fn pages_of_services_and_queues(engine: Engine) {
    let fixture = Fixture::new(engine);
    for number in 0..20 {
        admit(fixture.store(), service(number, ServiceRole::Messaging), 99).await;
    }
    for number in 100..130 {
        fixture.create(QueueRecord { recipient_service: Some(id(number % 2)), ..queue(number) }).await;
    }
    let store = fixture.store();
    let mut services = Vec::new();
    while let page = store.services(services.last(), 7).unwrap()
        && !page.is_empty()
    {
        assert!(page.len() <= 7);
        services.extend(page.iter().map(|record| record.id));
    }
    let mut expected: Vec<_> = (0..20).map(id).collect();
    expected.sort();
    assert_eq!(services, expected);

    let mut queues = Vec::new();
    while let page = store.service_queue_ids(&id(1), ServiceSide::Recipient, queues.last(), 4).unwrap()
        && !page.is_empty()
    {
        assert!(page.len() <= 4);
        queues.extend(page);
    }
    let mut expected: Vec<_> = (100..130).filter(|number| number % 2 == 1).map(id).collect();
    expected.sort();
    assert_eq!(queues, expected);
}

const SERVICES: u64 = 3;
const QUEUES: u64 = 8;

/// Queues with their services, and what each service must have then.
#[derive(Default)]
struct Model(BTreeMap<u64, (Option<u64>, Option<u64>)>);

impl Model {
    fn members(&self, service: u64, side: ServiceSide) -> BTreeSet<u64> {
        let own = self.0.iter().filter_map(|(number, (recipient, notifier))| match side {
            ServiceSide::Recipient => (*recipient == Some(service)).then_some(*number),
            ServiceSide::Notifier => (*notifier == Some(service)).then_some(number + 500),
        });
        own.collect()
    }

    fn compare(&self, store: &Store) {
        for service in 0..SERVICES {
            for side in [ServiceSide::Recipient, ServiceSide::Notifier] {
                let members = self.members(service, side);
                assert_eq!(store.service_queues(&id(service), side), set(members.iter().copied()));
                let mut expected: Vec<_> = members.into_iter().map(id).collect();
                expected.sort();
                assert_eq!(store.service_queue_ids(&id(service), side, None, 99).unwrap(), expected);
            }
        }
    }
}

async fn random_associations(engine: Engine) {
    let mut fixture = Fixture::small(engine);
    let mut random = Random(7);
    let mut model = Model::default();
    for number in 0..SERVICES {
        admit(fixture.store(), service(number, ServiceRole::Messaging), 9).await;
    }
    for round in 0..1500 {
        let store = fixture.store();
        let (mut created, mut deleted, mut associated) = (Vec::new(), Vec::new(), Vec::new());
        let mut released = Vec::new();
        // Several to a write.
        for _ in 0..1 + random.below(4) {
            let number = random.below(QUEUES);
            let service = random.below(SERVICES + 1);
            let service = (service < SERVICES).then_some(service);
            match random.below(8) {
                0 | 1 => {
                    let record = QueueRecord {
                        recipient_service: service.map(id),
                        notifier_service: service.map(id),
                        ..with_notifier(number, id(number + 500))
                    };
                    model.0.entry(number).or_insert((service, service));
                    created.push(store.create_queue(Arc::new(record)).await.unwrap());
                }
                2 => {
                    model.0.remove(&number);
                    deleted.push(store.delete_queue(id(number), 7).await.unwrap());
                    // It may come again at once.
                    let reserved = [(Side::Sender, queue(number).sender_id)];
                    released.push(store.release_ids(reserved.into()).await.unwrap());
                }
                part => {
                    let mut before = model.0.get_mut(&number);
                    let (side, name, place) = match part % 2 {
                        0 => (ServiceSide::Recipient, number, before.as_mut().map(|queue| &mut queue.0)),
                        _ => (ServiceSide::Notifier, number + 500, before.as_mut().map(|queue| &mut queue.1)),
                    };
                    let expected =
                        place.map(|place| Association { previous: std::mem::replace(place, service).map(id) });
                    let pending = store.associate_queue(side, id(name), service.map(id)).await.unwrap();
                    associated.push((pending, expected));
                }
            }
        }
        for pending in created {
            pending.await.unwrap();
        }
        for pending in deleted {
            pending.await.unwrap();
        }
        for pending in released {
            pending.await.unwrap();
        }
        for (pending, expected) in associated {
            assert_eq!(pending.await.unwrap(), expected);
        }
        model.compare(store);
        if round % 100 == 0 {
            fixture.reopen();
            model.compare(fixture.store());
        }
    }
}
