//! An answer means that the change is on disk; whatever fails, nobody is left waiting.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use smp_std::relay::store::{FjallBackend, FjallOptions, StoreError, StoreOptions};
use tokio::time::timeout;

use crate::gated::gated;
use crate::{Engine, Fixture, id, message, queue};

const SOON: Duration = Duration::from_millis(50);
const LATE: Duration = Duration::from_secs(20);

async fn until(condition: impl Fn() -> bool) {
    timeout(LATE, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn what_gathers_during_a_write_shares_the_next() {
    let (gate, store) = gated(StoreOptions::default());
    gate.gate(true);
    let mut first = store.create_queue(queue(1).into()).await.unwrap();
    until(|| gate.entered.load(Ordering::SeqCst) == 1).await;
    let mut others = Vec::new();
    for number in 2..100 {
        others.push(store.create_queue(queue(number).into()).await.unwrap());
    }
    assert!(timeout(SOON, &mut first).await.is_err(), "no answer before the write");
    gate.gate(false);
    first.await.unwrap();
    for other in others {
        other.await.unwrap();
    }
    assert_eq!(gate.writes.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_touch_waits_for_another_write() {
    let (gate, store) = gated(StoreOptions::default());
    store.create_queue(queue(1).into()).await.unwrap().await.unwrap();
    store.touch_queue(id(1), 5);
    tokio::time::sleep(SOON).await;
    assert_eq!(gate.writes.load(Ordering::SeqCst), 1);
    store.append_message(message(1, 1)).await.unwrap().await.unwrap();
    assert_eq!((gate.writes.load(Ordering::SeqCst), gate.operations.load(Ordering::SeqCst)), (2, 3));
    assert_eq!(store.queue_by_recipient(&id(1)).unwrap().unwrap().activity_day, 5);
}

#[tokio::test]
async fn submitting_waits_when_too_much_waits() {
    let budget = 40_000.try_into().unwrap();
    let (gate, store) = gated(StoreOptions { budget, ..StoreOptions::default() });
    store.create_queue(queue(1).into()).await.unwrap().await.unwrap();
    gate.gate(true);
    // Two bodies of 16,048 bytes fit, a third does not.
    let first = store.append_message(message(1, 4)).await.unwrap();
    let second = store.append_message(message(1, 9)).await.unwrap();
    let third = store.append_message(message(1, 14));
    tokio::pin!(third);
    assert!(timeout(SOON, &mut third).await.is_err());
    store.touch_queue(id(1), 9);
    gate.gate(false);
    timeout(LATE, third).await.unwrap().unwrap().await.unwrap();
    first.await.unwrap();
    second.await.unwrap();
    // What is larger than everything that may wait still passes.
    let mut large = message(1, 15);
    large.body = vec![7; 100_000].into();
    timeout(LATE, store.append_message(large)).await.unwrap().unwrap().await.unwrap();
    assert_eq!(store.queue_state(&id(1)).unwrap().size(), 4);
}

#[tokio::test]
async fn a_failed_write_stops_the_store() {
    for panic in [false, true] {
        let (gate, store) = gated(StoreOptions { budget: 20_000.try_into().unwrap(), ..StoreOptions::default() });
        store.create_queue(queue(1).into()).await.unwrap().await.unwrap();
        gate.gate(true);
        gate.fail.store(!panic, Ordering::SeqCst);
        gate.panic.store(panic, Ordering::SeqCst);
        let entered = gate.entered.load(Ordering::SeqCst);
        let written = store.append_message(message(1, 4)).await.unwrap();
        until(|| gate.entered.load(Ordering::SeqCst) > entered).await;
        let queued = store.create_queue(queue(2).into()).await.unwrap();
        let waiting = tokio::spawn({
            let store = store.clone();
            async move { store.append_message(message(1, 9)).await.map(|_| ()) }
        });
        tokio::time::sleep(SOON).await;
        gate.gate(false);
        match timeout(LATE, written).await.unwrap() {
            Err(StoreError::Io(error)) if !panic => assert_eq!(error.kind(), std::io::ErrorKind::StorageFull),
            Err(StoreError::Failed) if panic => {}
            other => panic!("{other:?}"),
        }
        assert!(matches!(timeout(LATE, queued).await.unwrap(), Err(StoreError::Failed)));
        assert!(matches!(timeout(LATE, waiting).await.unwrap().unwrap(), Err(StoreError::Failed)));
        assert!(matches!(store.create_queue(queue(3).into()).await, Err(StoreError::Failed)));
        assert!(matches!(store.queue_by_recipient(&id(1)), Err(StoreError::Failed)));
        store.touch_queue(id(1), 1);
        assert!(matches!(timeout(LATE, store.close()).await.unwrap(), Err(StoreError::Failed)));
    }
}

#[tokio::test]
async fn closing_finishes_what_was_submitted() {
    let fixture = Fixture::new(Engine::Fjall);
    let store = fixture.store();
    let mut pending = Vec::new();
    for number in 0..50 {
        pending.push(store.create_queue(queue(number).into()).await.unwrap());
    }
    store.close().await.unwrap();
    for pending in pending {
        pending.await.unwrap();
    }
    assert!(matches!(store.create_queue(queue(99).into()).await, Err(StoreError::Closed)));
    assert!(store.queue_by_recipient(&id(1)).unwrap().is_some(), "reads still work");
    store.close().await.unwrap();
}

#[tokio::test]
async fn whoever_closes_a_store_waits_for_its_end() {
    let (gate, store) = gated(StoreOptions::default());
    gate.gate(true);
    let written = store.create_queue(queue(1).into()).await.unwrap();
    until(|| gate.entered.load(Ordering::SeqCst) > 0).await;
    let closing = [(); 2].map(|()| {
        let store = store.clone();
        tokio::spawn(async move { store.close().await })
    });
    tokio::time::sleep(SOON).await;
    let ended = closing.iter().filter(|closing| closing.is_finished()).count();
    gate.gate(false);
    assert_eq!(ended, 0);
    for closing in closing {
        timeout(LATE, closing).await.unwrap().unwrap().unwrap();
    }
    timeout(LATE, written).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_store_is_opened_once() {
    let fixture = Fixture::new(Engine::Fjall);
    let again = FjallBackend::open(fixture.folder.path(), &FjallOptions::default());
    assert!(matches!(again, Err(StoreError::InUse)));
}

/// A store with messages 0 to 4, of which the last was one write alone, and the journal before and after that write.
struct Torn {
    fixture: Fixture,
    journal: PathBuf,
    before: usize,
    after: Vec<u8>,
}

async fn torn() -> Torn {
    let mut fixture = Fixture::new(Engine::Fjall);
    fixture.create(queue(1)).await;
    for number in 0..4 {
        fixture.append(message(1, number)).await;
    }
    let journal = fixture.folder.path().join("0.jnl");
    let before = content(&journal).len();
    fixture.append(message(1, 4)).await;
    let after = content(&journal);
    assert!(after.len() > before + 16_048);
    fixture.store = None;
    Torn { fixture, journal, before, after }
}

/// The journal without the zeros it was preallocated with.
fn content(journal: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::fs::File::open(journal).unwrap().take(1 << 20).read_to_end(&mut bytes).unwrap();
    let length = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    bytes.truncate(length);
    bytes
}

impl Torn {
    /// Puts a journal in place, with the zeros behind it.
    fn write(&self, content: &[u8]) {
        std::fs::write(&self.journal, content).unwrap();
        std::fs::File::options().write(true).open(&self.journal).unwrap().set_len(64 << 20).unwrap();
    }

    async fn expect_messages(&mut self, count: u64) {
        self.fixture.open();
        assert_eq!(self.fixture.store().queue_state(&id(1)).unwrap().size(), count);
        assert_eq!(self.fixture.store().counts().messages, count);
        // And it goes on from there.
        self.fixture.append(message(1, 9)).await;
        self.fixture.reopen();
        assert_eq!(self.fixture.store().queue_state(&id(1)).unwrap().size(), count + 1);
        self.fixture.store = None;
    }
}

#[tokio::test]
async fn a_write_that_was_cut_off_is_discarded() {
    let mut torn = torn().await;
    let mut random = crate::Random(3);
    for _ in 0..12 {
        let cut = torn.before + random.below((torn.after.len() - torn.before) as u64) as usize;
        torn.write(&torn.after[..cut]);
        torn.expect_messages(4).await;
    }
    torn.write(&torn.after);
    torn.expect_messages(5).await;
}

#[tokio::test]
async fn a_write_with_a_hole_is_discarded() {
    let mut torn = torn().await;
    let mut random = crate::Random(4);
    for _ in 0..12 {
        // Pages the disk did not get to, anywhere in the last write.
        let mut journal = torn.after.clone();
        let last = torn.before as u64..torn.after.len() as u64;
        let page = last.start / 4096 + random.below((last.end - last.start).div_ceil(4096) + 1);
        let hole = (page * 4096).clamp(last.start, last.end)..(page * 4096 + 4096).clamp(last.start, last.end);
        journal[hole.start as usize..hole.end as usize].fill(0);
        let expected = if journal == torn.after { 5 } else { 4 };
        torn.write(&journal);
        torn.expect_messages(expected).await;
    }
}

#[tokio::test]
async fn damage_before_the_last_write_is_not_papered_over() {
    let torn = torn().await;
    let mut journal = torn.after.clone();
    // In the body of message 3, which was acknowledged; message 4 follows.
    let place = torn.before - 2000;
    journal[place] ^= 1;
    torn.write(&journal);
    let opened = FjallBackend::open(torn.fixture.folder.path(), &FjallOptions::default());
    assert!(matches!(opened, Err(StoreError::Corrupt("journal"))));
    assert_eq!(content(&torn.journal), journal, "nothing was cut off");
}
