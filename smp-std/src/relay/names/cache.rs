//! Answers that are remembered, and questions that are on their way.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::NameFailure;

/// An answer is for everybody who asked meanwhile.
pub(super) type Answered = Result<Bytes, NameFailure>;

/// Bytes that an entry takes besides its name and its answer.
const ENTRY_BYTES: usize = 200;

type Slot = OnceCell<(Instant, Answered)>;

#[derive(Debug)]
struct Entry {
    slot: Arc<Slot>,
    /// Who waits for the answer.
    askers: usize,
    /// It stands in `kept`.
    kept: bool,
}

/// Answers by name. Those on their way are as many as who waits for them, the remembered ones are bounded in bytes.
#[derive(Debug)]
pub(super) struct Cache {
    age: Duration,
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<Box<str>, Entry>,
    /// What is remembered, the oldest first, each with its size.
    kept: VecDeque<(Box<str>, Arc<Slot>, usize)>,
    bytes: usize,
}

/// One who waits for an answer.
struct Asker<'c> {
    cache: &'c Cache,
    name: &'c str,
    slot: Arc<Slot>,
}

impl Cache {
    /// Remembers answers for `age`, and at most about `limit` bytes of them.
    pub(super) fn new(age: Duration, limit: usize) -> Self {
        Self { age, limit, state: Mutex::default() }
    }

    /// The answer for a name: a remembered one, one that somebody else waits for already, or what `ask` brings. When
    /// the one who asks gives up, another who waits goes on.
    pub(super) async fn answer<F: Future<Output = Answered>>(&self, name: &str, ask: impl FnOnce() -> F) -> Answered {
        let asker = self.join(name);
        let answer = asker.slot.get_or_init(|| async {
            let answer = ask().await;
            (Instant::now(), answer)
        });
        answer.await.1.clone()
    }

    fn join<'c>(&'c self, name: &'c str) -> Asker<'c> {
        let mut state = self.state.lock();
        let entry = match state.entries.get_mut(name) {
            Some(entry) if is_good(&entry.slot, self.age) => entry,
            _ => {
                let entry = Entry { slot: Arc::default(), askers: 0, kept: false };
                state.entries.insert(name.into(), entry);
                match state.entries.get_mut(name) {
                    Some(entry) => entry,
                    // It was inserted above.
                    None => return Asker { cache: self, name, slot: Arc::default() },
                }
            }
        };
        entry.askers += 1;
        Asker { cache: self, name, slot: Arc::clone(&entry.slot) }
    }

    /// Remembers the answer if it is certain, and forgets what is too much or too old.
    fn leave(&self, name: &str, slot: &Arc<Slot>) {
        let mut state = self.state.lock();
        let State { entries, kept, bytes } = &mut *state;
        if let Some(entry) = entries.get_mut(name).filter(|entry| Arc::ptr_eq(&entry.slot, slot)) {
            entry.askers = entry.askers.saturating_sub(1);
            match slot.get() {
                Some((_, answer)) if !self.age.is_zero() && is_good(slot, self.age) => {
                    if !entry.kept {
                        entry.kept = true;
                        let record = answer.as_ref().map_or(0, Bytes::len);
                        let size = record + 2 * name.len() + ENTRY_BYTES;
                        *bytes += size;
                        kept.push_back((name.into(), Arc::clone(slot), size));
                    }
                }
                None if entry.askers > 0 => {}
                _ => {
                    entries.remove(name);
                }
            }
        }
        while let Some((name, slot, size)) = kept.front() {
            if *bytes <= self.limit && is_good(slot, self.age) {
                break;
            }
            if entries.get(name).is_some_and(|entry| Arc::ptr_eq(&entry.slot, slot)) {
                entries.remove(name);
            }
            *bytes = bytes.saturating_sub(*size);
            kept.pop_front();
        }
    }

    /// Names that are remembered or on their way, and the bytes of the remembered ones.
    #[cfg(test)]
    fn size(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.entries.len(), state.bytes)
    }
}

impl Drop for Asker<'_> {
    fn drop(&mut self) {
        self.cache.leave(self.name, &self.slot);
    }
}

/// Whether an answer may be given to others: it is on its way, or certain and not older than `age`.
fn is_good(slot: &Slot, age: Duration) -> bool {
    match slot.get() {
        None => true,
        Some((at, Ok(_) | Err(NameFailure::NotFound))) => at.elapsed() < age,
        Some((_, Err(NameFailure::Resolver(_)))) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::ResolverFailure;
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::time::{advance, sleep, timeout};

    const SECOND: Duration = Duration::from_secs(1);

    async fn ask(cache: &Cache, name: &str, asked: &AtomicUsize, answer: Answered) -> Answered {
        cache
            .answer(name, || async {
                asked.fetch_add(1, Ordering::Relaxed);
                sleep(SECOND).await;
                answer
            })
            .await
    }

    #[tokio::test(start_paused = true)]
    async fn one_question_serves_all_who_ask() {
        let cache = Cache::new(10 * SECOND, 10_000);
        let asked = AtomicUsize::new(0);
        let record = || Ok(Bytes::from_static(b"record"));
        let all = futures_util::future::join_all((0..100).map(|_| ask(&cache, "a.b", &asked, record()))).await;
        assert!(all.iter().all(|answer| answer.as_deref() == Ok(&b"record"[..])));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        assert_eq!(cache.size().0, 1);
        advance(8 * SECOND).await;
        ask(&cache, "a.b", &asked, Err(NameFailure::NotFound)).await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        advance(3 * SECOND).await;
        assert_eq!(ask(&cache, "a.b", &asked, Err(NameFailure::NotFound)).await, Err(NameFailure::NotFound));
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        // That there is none is remembered too.
        assert_eq!(ask(&cache, "a.b", &asked, record()).await, Err(NameFailure::NotFound));
        assert_eq!(cache.size().0, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_not_remembered() {
        let cache = Cache::new(10 * SECOND, 10_000);
        let asked = AtomicUsize::new(0);
        let failure = || Err(NameFailure::Resolver(ResolverFailure::Transport));
        for number in 1..4 {
            ask(&cache, "a.b", &asked, failure()).await.unwrap_err();
            assert_eq!(asked.load(Ordering::Relaxed), number);
            assert_eq!(cache.size(), (0, 0));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_leaves_nothing_and_stops_nobody() {
        let cache = Cache::new(10 * SECOND, 10_000);
        let asked = AtomicUsize::new(0);
        let half = SECOND / 2;
        timeout(half, ask(&cache, "a.b", &asked, Err(NameFailure::NotFound))).await.unwrap_err();
        assert_eq!(cache.size(), (0, 0));
        let first = timeout(half, ask(&cache, "a.b", &asked, Err(NameFailure::NotFound)));
        let second = ask(&cache, "a.b", &asked, Ok(Bytes::new()));
        let (first, second) = tokio::join!(first, second);
        first.unwrap_err();
        second.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let cache = Cache::new(1000 * SECOND, 10_000);
        let asked = AtomicUsize::new(0);
        for number in 0..100 {
            ask(&cache, &format!("{number}.b"), &asked, Ok(Bytes::from(vec![0; 1_000]))).await.unwrap();
            let (names, bytes) = cache.size();
            assert!(bytes <= 10_000 && names <= 10, "{names} names, {bytes} bytes");
        }
        assert_eq!(cache.size().0, 8);
        let cache = Cache::new(Duration::ZERO, 10_000);
        ask(&cache, "a.b", &asked, Ok(Bytes::new())).await.unwrap();
        assert_eq!(cache.size(), (0, 0));
    }
}
