//! A copy of a store in use is a store with everything that was acknowledged before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use smp_std::relay::store::{AppendOutcome, MessageKind, Store, StoreError, StoreOptions};

use crate::{Engine, Fixture, body, id, message, queue, small_options};

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_made_under_load_has_what_was_acknowledged_and_is_consistent() {
    const QUEUES: u64 = 8;
    let fixture = Fixture::small(Engine::Fjall);
    for number in 0..QUEUES {
        fixture.create(queue(number)).await;
    }
    let acknowledged: Arc<Vec<AtomicU64>> = Arc::new((0..QUEUES).map(|_| AtomicU64::new(0)).collect());
    let mut writers = Vec::new();
    for number in 0..QUEUES {
        let (store, acknowledged) = (fixture.store().clone(), Arc::clone(&acknowledged));
        writers.push(tokio::spawn(async move {
            for sequence in 0..100 {
                let append = message(number, number * 1_000 + sequence);
                let appended = store.append_message(append).await.unwrap().await.unwrap();
                assert!(matches!(appended.outcome, AppendOutcome::Stored { .. }));
                acknowledged[number as usize].store(sequence + 1, Ordering::SeqCst);
            }
        }));
    }
    let begun = Instant::now();
    while acknowledged[0].load(Ordering::SeqCst) < 20 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the writers do not get on");
        tokio::task::yield_now().await;
    }
    let before: Vec<u64> = acknowledged.iter().map(|count| count.load(Ordering::SeqCst)).collect();
    let target = tempfile::tempdir().unwrap();
    let folder = target.path().join("store");
    let (store, path) = (fixture.store().clone(), folder.clone());
    tokio::task::spawn_blocking(move || store.backup(&path, 0)).await.unwrap().unwrap();
    for writer in writers {
        writer.await.unwrap();
    }
    let copy = Store::fjall(&folder, &small_options(), StoreOptions::default()).unwrap();
    let mut messages = 0;
    for number in 0..QUEUES {
        let record = copy.queue_by_sender(&id(number + 1_000_000)).unwrap().expect("the queue");
        assert_eq!(record.recipient_id, id(number));
        let size = copy.queue_state(&id(number)).unwrap().size();
        assert!(size >= before[number as usize], "{size} of {}", before[number as usize]);
        messages += size;
        // Every message the state tells of is whole, in its order.
        for sequence in 0..size {
            let head = copy.head(&id(number)).unwrap().expect("a message");
            assert_eq!(head.id, id(number * 1_000 + sequence));
            let MessageKind::Message { body: stored, .. } = &head.kind else { panic!("a message") };
            assert!(*stored == body(number * 1_000 + sequence));
            copy.acknowledge(id(number), head.id).await.unwrap().await.unwrap();
        }
        assert!(copy.head(&id(number)).unwrap().is_none());
    }
    assert_eq!((copy.counts().queues, copy.counts().messages), (QUEUES, 0));
    assert!(messages <= QUEUES * 100);
}

#[tokio::test]
async fn a_store_in_memory_says_that_it_cannot() {
    let fixture = Fixture::new(Engine::Memory);
    let target = tempfile::tempdir().unwrap();
    assert!(matches!(fixture.store().backup(target.path(), 0), Err(StoreError::Engine(_))));
}
