//! A refusal costs the same look-ups whatever there is. Counted, where [`timing`](super::timing) measures.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use smp_proto::smp::error::SmpError;
use smp_proto::smp::service::ServiceRole;

use super::timing::population::{Ids, Kind, OTHER_SERVICE, OWN_SERVICE, Population};
use super::timing::session::TestSession;
use super::timing::{Signed, Stranger, Wanted};
use crate::relay::reply::Body;
use crate::relay::store::{
    Backend, Counts, Id, LinkData, LookedUp, MemoryBackend, NotificationState, NotifierPage, OccupiedPage, Operation,
    PendingNotification, QueueRecord, QueueSet, QueueState, QueueWithLink, Reply, ReservedPage, ServiceRecord,
    ServiceSide, Side, StoreError, StoredMessage,
};

thread_local! {
    static VERIFICATIONS: Cell<usize> = const { Cell::new(0) };
}

/// A signature or an authenticator is being verified.
pub(super) fn note_verification() {
    VERIFICATIONS.set(VERIFICATIONS.get() + 1);
}

/// How many were verified since the last time.
pub(super) fn take_verifications() -> usize {
    VERIFICATIONS.take()
}

/// Counts what is looked up. Everything else does not belong to a refusal.
#[derive(Default)]
struct Counting {
    engine: MemoryBackend,
    names: [AtomicUsize; 2],
    queues: [AtomicUsize; 2],
    pages: AtomicUsize,
    sides: Mutex<Vec<Side>>,
}

/// How many names and queues were asked for that there are, and that there are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reads {
    names: [usize; 2],
    queues: [usize; 2],
}

impl Counting {
    fn take(&self) -> Reads {
        let take = |counts: &[AtomicUsize; 2]| counts.each_ref().map(|count| count.swap(0, Ordering::Relaxed));
        Reads { names: take(&self.names), queues: take(&self.queues) }
    }

    /// The sides of the names that were asked for since the last time.
    fn take_sides(&self) -> Vec<Side> {
        std::mem::take(&mut *self.sides.lock())
    }
}

fn count<T>(counts: &[AtomicUsize; 2], found: &Option<T>) {
    counts[usize::from(found.is_none())].fetch_add(1, Ordering::Relaxed);
}

const NOT_ASKED: &str = "a refusal does not ask for that";

impl Backend for Counting {
    fn apply(&self, operations: &[Operation]) -> Result<Vec<Result<Reply, StoreError>>, StoreError> {
        self.engine.apply(operations)
    }

    fn queue(&self, recipient_id: &Id) -> Result<Option<Arc<QueueRecord>>, StoreError> {
        self.engine.queue(recipient_id).inspect(|found| count(&self.queues, found))
    }

    fn recipient_id(&self, side: Side, id: &Id) -> Result<Option<Id>, StoreError> {
        self.sides.lock().push(side);
        self.engine.recipient_id(side, id).inspect(|found| count(&self.names, found))
    }

    fn queues(&self, after: Option<&Id>, limit: usize) -> Result<Vec<Arc<QueueRecord>>, StoreError> {
        self.pages.fetch_add(1, Ordering::Relaxed);
        self.engine.queues(after, limit)
    }

    fn counts(&self) -> Counts {
        self.engine.counts()
    }

    fn state(&self, _: &Id) -> Result<QueueState, StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    fn message(&self, _: &Id, _: u64) -> Result<Option<StoredMessage>, StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    fn link(&self, _: &Id) -> Result<Option<LinkData>, StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    fn queue_with_link(&self, _: &Id) -> Result<Option<QueueWithLink>, StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    fn reserved(&self, _: Option<&(Side, Id)>, _: usize) -> Result<ReservedPage, StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    fn backup(&self, _: &Path, _: u64) -> Result<(), StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    fn occupied(&self, _: Option<&Id>, _: usize) -> Result<OccupiedPage, StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    fn service(&self, _: &Id) -> Result<Option<Arc<ServiceRecord>>, StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    fn service_by_fingerprint(&self, _: &[u8; 32]) -> Result<Option<Id>, StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    fn services(&self, _: Option<&Id>, _: usize) -> Result<Vec<Arc<ServiceRecord>>, StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    fn queue_set(&self, _: &Id, _: ServiceSide) -> QueueSet {
        unreachable!("{NOT_ASKED}")
    }

    fn members(&self, _: &Id, _: ServiceSide, _: Option<&Id>, _: usize) -> Result<Vec<Id>, StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    fn notification_state(&self, _: &Id) -> Result<NotificationState, StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    fn notification(&self, _: &Id, _: u64) -> Result<Option<PendingNotification>, StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    fn notified(&self, _: Option<&Id>, _: usize) -> Result<NotifierPage, StoreError> {
        unreachable!("{NOT_ASKED}")
    }
}

/// For every command that finds a queue, each kind of authorization, and queues with keys of each kind and without one.
#[test]
fn refusals_read_the_same_whether_or_not_there_is_a_queue() {
    let engine = Arc::new(Counting::default());
    let population = Population::over(Arc::<Counting>::clone(&engine), 80);
    let mut stranger = Stranger::new();
    let session = TestSession::of_client();
    let terms = session.terms();
    let one = Reads { names: [0, 0], queues: [1, 1] };
    let both = Reads { names: [1, 1], queues: [1, 1] };
    let kinds = Kind::ALL.map(Some);
    for (wanted, supplied, expected) in [
        (Wanted::Get, &kinds[..], &one),
        (Wanted::Acknowledge, &kinds, &one),
        (Wanted::Send, &[None, kinds[0], kinds[1], kinds[2]], &both),
        (Wanted::Secure, &kinds, &both),
        (Wanted::Notifications, &kinds, &both),
        (Wanted::SecureByLink, &kinds, &both),
        (Wanted::Link, &[None], &both),
    ] {
        for kind in supplied {
            let mut ask = |id: Id| {
                let transmission = stranger.transmission(&session, *kind, &id, wanted, Signed::No);
                engine.take();
                let refused = terms.authorize_at_once(&population.store, &transmission).is_err();
                (refused, engine.take())
            };
            // The first one chooses the queue that stands in for this id.
            let unknown = [7; 24];
            assert!(ask(unknown).0);
            let keyed = Kind::ALL.map(|kind| &population.of(kind)[0]);
            let without: &Ids = &population.without_key()[0];
            for ids in keyed.into_iter().chain([without]) {
                let (refused, reads) = ask(wanted.id(ids));
                // Queues for many take messages from anybody, and show their links.
                let open = kind.is_none() && std::ptr::eq(ids, without);
                assert_eq!(refused, !open, "{wanted:?}, {kind:?}");
                if refused {
                    assert_eq!(&reads, expected, "{wanted:?}, {kind:?}");
                } else {
                    assert_eq!((reads.names, reads.queues), ([1, 0], [1, 0]), "what is granted costs nothing more");
                }
            }
            engine.take_sides();
            let (refused, reads) = ask(unknown);
            assert_eq!((refused, &reads), (true, expected), "{wanted:?}, {kind:?}");
            // Also what stands in has a name on the side that was asked about.
            let sides = engine.take_sides();
            assert!(sides.iter().all(|side| *side == sides[0]), "{wanted:?}: {sides:?}");
        }
    }
    // Four ids of four queues, and one that nothing has; the search may begin anew behind the last queue.
    assert!(engine.pages.load(Ordering::Relaxed) <= 2 * (4 * 4 + 1), "queues that stand in are kept");
}

/// In the session of a service: whether queues belong to it, to another service or to none, and whatever it signed.
#[test]
fn refusals_of_services_cost_the_same_whatever_belongs_to_whom() {
    let engine = Arc::new(Counting::default());
    let population = Population::over(Arc::<Counting>::clone(&engine), 80);
    let mut stranger = Stranger::new();
    let nothing = Reads { names: [0, 0], queues: [0, 0] };
    let one = Reads { names: [0, 0], queues: [1, 1] };
    let both = Reads { names: [1, 1], queues: [1, 1] };
    let roles = [
        (ServiceRole::Messaging, Wanted::Subscribe, &one, Wanted::Service),
        (ServiceRole::Notifier, Wanted::Notifications, &both, Wanted::NotifierService),
    ];
    for (role, wanted, read, all_queues) in roles {
        let session = TestSession::of_service(role);
        let terms = session.terms();
        let mut ask = |wanted, kind, id: Id, service| {
            let transmission = stranger.transmission(&session, Some(kind), &id, wanted, service);
            engine.take();
            take_verifications();
            let refusal = terms.authorize_at_once(&population.store, &transmission).err().unwrap();
            let told = match refusal.body {
                Body::Error(error) => error,
                _ => panic!("no refusal"),
            };
            (told, engine.take(), take_verifications())
        };
        ask(wanted, Kind::Ed25519, [7; 24], Signed::Rightly);
        for kind in Kind::ALL {
            let known = Kind::ALL.iter().flat_map(|of| {
                let services = [None, Some(OWN_SERVICE), Some(OTHER_SERVICE)];
                services.map(|service| wanted.id(&population.associated(*of, service)[0]))
            });
            for id in known.chain([[7; 24]]) {
                // The service's signature comes first: a wrong one says nothing about anything else.
                assert_eq!(ask(wanted, kind, id, Signed::No), (SmpError::Service, nothing, 0));
                assert_eq!(ask(wanted, kind, id, Signed::Wrongly), (SmpError::Service, nothing, 1));
                assert_eq!(&ask(wanted, kind, id, Signed::Rightly), &(SmpError::Auth, *read, 2), "{kind:?}");
            }
            // All queues at once: the service is the entity, and signs with the only kind of key it has.
            for id in [OWN_SERVICE, OTHER_SERVICE, [7; 24]] {
                let verified = usize::from(kind == Kind::Ed25519);
                assert_eq!(ask(all_queues, kind, id, Signed::No), (SmpError::Service, nothing, verified), "{id:?}");
            }
        }
    }
}

/// The queue that stands in for others is looked for by the first who is refused, whatever the reason: else the first
/// question about an id that nothing has would take longer than one about a queue.
#[test]
fn who_is_refused_first_finds_the_stand_in_whether_or_not_there_is_a_queue() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for first_found in [true, false] {
        let engine = Arc::new(Counting::default());
        let population = Population::over(Arc::<Counting>::clone(&engine), 8);
        let refuse = |found| {
            population.store.look_up_opposite(&LookedUp { side: Some(Side::Sender), id: [7; 24], found });
            engine.pages.swap(0, Ordering::Relaxed)
        };
        let stand_in = |engine: &MemoryBackend| {
            let next = engine.queues(Some(&[7; 24]), 1).unwrap().pop();
            next.or_else(|| engine.queues(None, 1).unwrap().pop()).unwrap().recipient_id
        };
        assert!(refuse(first_found) > 0, "{first_found}");
        assert_eq!((refuse(false), refuse(true)), (0, 0));
        // So it is after it was deleted.
        runtime.block_on(async {
            let deleted = population.store.delete_queue(stand_in(&engine.engine), 1).await.unwrap();
            assert!(deleted.await.unwrap().is_some());
        });
        assert!(refuse(first_found) > 0, "{first_found}");
        assert_eq!((refuse(false), refuse(true)), (0, 0));
        runtime.block_on(population.store.close()).unwrap();
    }
}

/// A queue that stands in for others may be deleted.
#[test]
fn another_queue_stands_in_for_one_that_was_deleted() {
    let engine = Arc::new(Counting::default());
    let population = Population::over(Arc::<Counting>::clone(&engine), 8);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let unknown = LookedUp { side: Some(Side::Link), id: [7; 24], found: false };
    let expected = Reads { names: [1, 0], queues: [1, 0] };
    for left in (0..8).rev() {
        population.store.look_up_opposite(&unknown);
        engine.take();
        population.store.look_up_opposite(&unknown);
        assert_eq!(engine.take(), expected, "{left}");
        // The last of a relay's queues, too.
        let next = engine.engine.queues(Some(&unknown.id), 1).unwrap().pop();
        let next = next.or_else(|| engine.engine.queues(None, 1).unwrap().pop()).unwrap();
        engine.engine.apply(&[Operation::DeleteQueue { recipient_id: next.recipient_id, today: 1 }]).unwrap();
    }
    // Nothing there to read: nothing there to hide either.
    population.store.look_up_opposite(&unknown);
    runtime.block_on(population.store.close()).unwrap();
}
