//! A refusal costs the same look-ups whatever there is. Counted, where [`timing`](super::timing) measures.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use smp_crypto::authorization::Decoy;
use smp_crypto::key::X25519SecretKey;
use smp_proto::id::SessionId;
use smp_proto::version::SmpVersion;

use super::timing::population::{Ids, Kind, Population};
use super::timing::{SESSION, Stranger, Wanted};
use super::{Kept, Terms};
use crate::relay::stats::Stats;
use crate::relay::store::{
    Backend, Counts, Id, LinkData, MemoryBackend, NotificationState, NotifierPage, OccupiedPage, Operation,
    PendingNotification, QueueRecord, QueueSet, QueueState, Reply, ReservedPage, ServiceRecord, ServiceSide, Side,
    StoreError, StoredMessage,
};

/// Counts what is looked up. Everything else does not belong to a refusal.
#[derive(Default)]
struct Counting {
    engine: MemoryBackend,
    names: [AtomicUsize; 2],
    queues: [AtomicUsize; 2],
    pages: AtomicUsize,
}

/// How many names and queues were asked for that there are, and that there are not.
#[derive(Debug, PartialEq, Eq)]
struct Reads {
    names: [usize; 2],
    queues: [usize; 2],
}

impl Counting {
    fn take(&self) -> Reads {
        let take = |counts: &[AtomicUsize; 2]| counts.each_ref().map(|count| count.swap(0, Ordering::Relaxed));
        Reads { names: take(&self.names), queues: take(&self.queues) }
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

    fn reserved(&self, _: Option<&(Side, Id)>, _: usize) -> Result<ReservedPage, StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    fn backup(&self, _: &Path) -> Result<(), StoreError> {
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
    let relay = X25519SecretKey::generate(&mut stranger.random);
    let decoy = Decoy::generate(&mut stranger.random);
    let (stats, kept) = (Stats::default(), Kept::default());
    let terms = Terms {
        version: SmpVersion::MAX,
        session_id: SessionId::new(&SESSION).unwrap(),
        session_key: Some(&relay),
        decoy: &decoy,
        agreements: Some(&kept),
        is_forwarded: false,
        stats: &stats,
        service: None,
    };
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
                let transmission = stranger.transmission(&relay, *kind, &id, wanted);
                engine.take();
                let refused = terms.authorize(&population.store, &transmission).is_err();
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
            let (refused, reads) = ask(unknown);
            assert_eq!((refused, &reads), (true, expected), "{wanted:?}, {kind:?}");
        }
    }
    assert!(engine.pages.load(Ordering::Relaxed) <= 2, "queues that stand in are kept");
}

/// A queue that stands in for others may be deleted.
#[test]
fn another_queue_stands_in_for_one_that_was_deleted() {
    let engine = Arc::new(Counting::default());
    let population = Population::over(Arc::<Counting>::clone(&engine), 8);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let unknown = crate::relay::store::LookedUp { side: Some(Side::Link), id: [7; 24], found: false };
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
