//! The relay and the tasks of its connections, polled in turn by who plays the clients.
//!
//! Nothing happens by itself: a task runs when it was woken, on this thread, until none is left to run. The store commits
//! on a thread of its own, which tells the hub before it answers: once everything is answered and every task waits, there
//! is nothing left that anybody could be told.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use smp_std::identity::{Identity, KeyAlgorithm};
use smp_std::relay::config::Config;
use smp_std::relay::store::{Expiry, Store, StoreOptions};
use smp_std::relay::{Relay, RelayError, Wakeups};
use tokio::io::DuplexStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinHandle, yield_now};

use crate::model::QUOTA;

/// The time between two ticks, which passes only when the fuzzer says so.
const INTERVAL: Duration = Duration::from_millis(1_000);

static IDENTITY: LazyLock<Identity> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("there is room for a few files");
    Identity::create(folder.path(), KeyAlgorithm::Ed25519, "localhost").expect("an identity can be made")
});

/// The relay's certificates and keys, the same in one process.
pub(crate) fn identity() -> &'static Identity {
    &IDENTITY
}

/// Who serves a connection.
struct Task {
    flag: Arc<Flag>,
    future: Pin<Box<dyn Future<Output = ()>>>,
}

/// Whether a task was woken.
struct Flag {
    woken: AtomicBool,
    owner: Thread,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.owner.unpark();
    }
}

/// Of which queue or notifier everything is too old.
pub(crate) enum Expiring {
    Messages([u8; 24]),
    Notifications([u8; 24]),
}

pub(crate) struct Crew {
    runtime: Runtime,
    relay: Arc<Relay>,
    store: Store,
    tasks: Vec<Task>,
    /// What the relay does by the clock; not needed before the first tick.
    serving: Option<JoinHandle<Result<(), RelayError>>>,
}

impl Crew {
    pub(crate) fn new() -> Self {
        // One thread for what blocks: it is done in turn, see `is_idle`.
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).max_blocking_threads(1).build();
        let runtime = runtime.expect("a runtime without threads needs nothing");
        let entered = runtime.enter();
        let mut config = Config::default();
        config.messages.quota = QUOTA as u32;
        config.notifications.interval_milliseconds = INTERVAL.as_millis() as u64;
        (config.rates.commands_per_second, config.rates.commands_burst) = (1_000_000, 1_000_000);
        // The fuzzer must not reach other relays.
        config.proxy.enabled = false;
        let wakeups = Wakeups::default();
        let options = StoreOptions { observer: Some(Arc::new(wakeups.clone())), ..StoreOptions::default() };
        let store = Store::memory(options).expect("a store in memory opens");
        let relay = Relay::new(config, &IDENTITY, store.clone(), &wakeups).expect("the relay is configured well");
        drop(entered);
        Self { runtime, relay, store, tasks: Vec::new(), serving: None }
    }

    pub(crate) fn fingerprint() -> &'static [u8; 32] {
        IDENTITY.fingerprint()
    }

    pub(crate) const fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn connections(&self) -> usize {
        self.relay.connections()
    }

    /// A new connection to the relay.
    pub(crate) fn connect(&mut self) -> DuplexStream {
        let (near, far) = tokio::io::duplex(1 << 18);
        let address = IpAddr::from(Ipv4Addr::LOCALHOST);
        let future = Box::pin(Arc::clone(&self.relay).serve_stream(far, address));
        let flag = Arc::new(Flag { woken: AtomicBool::new(true), owner: thread::current() });
        self.tasks.push(Task { flag, future });
        near
    }

    /// What expires does so while others use the relay: after what they said if `late`.
    pub(crate) fn expire(&mut self, expiring: Expiring, late: bool) -> mpsc::Receiver<u64> {
        let (done, wait) = mpsc::channel();
        let (store, over) = (self.store.clone(), Expiry::before(i64::MAX));
        let future = Box::pin(async move {
            let pending = match expiring {
                Expiring::Messages(queue) => store.expire_messages(queue, over).await,
                Expiring::Notifications(notifier) => store.expire_notifications(notifier, over).await,
            };
            let count = pending.expect("the store is open").await.expect("a store in memory does not fail");
            let _ = done.send(count);
        });
        let flag = Arc::new(Flag { woken: AtomicBool::new(true), owner: thread::current() });
        self.tasks.insert(if late { self.tasks.len() } else { 0 }, Task { flag, future });
        wait
    }

    /// Polls a future of a client's side, together with the relay, until it is ready.
    pub(crate) fn poll<T>(&mut self, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
        for round in 0..1_000 {
            let entered = self.runtime.enter();
            let polled = poll(&mut Context::from_waker(Waker::noop()));
            drop(entered);
            match polled {
                Poll::Ready(ready) => return ready,
                Poll::Pending => self.run(),
            }
            // The relay may wait for the store.
            if round > 8 {
                thread::park_timeout(Duration::from_millis(1));
            }
        }
        panic!("a client waits for ever");
    }

    /// Lets every task run until none has anything to do.
    pub(crate) fn run(&mut self) {
        let _entered = self.runtime.enter();
        let mut progress = true;
        while progress {
            progress = false;
            self.tasks.retain_mut(|task| {
                if !task.flag.woken.swap(false, Ordering::AcqRel) {
                    return true;
                }
                progress = true;
                let waker = Waker::from(Arc::clone(&task.flag));
                task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending()
            });
        }
    }

    fn is_woken(&self) -> bool {
        self.tasks.iter().any(|task| task.flag.woken.load(Ordering::Acquire))
    }

    /// Waits until the store has something to say.
    pub(crate) fn wait(&self) {
        while !self.is_woken() {
            thread::park();
        }
    }

    /// Whether nothing is left to do once all that was being read from the store is read.
    pub(crate) fn is_idle(&self) -> bool {
        let (done, wait) = mpsc::channel();
        drop(self.runtime.spawn_blocking(move || done.send(())));
        wait.recv().is_ok() && !self.is_woken()
    }

    /// The time between two ticks passes.
    pub(crate) fn tick(&mut self) {
        let Self { runtime, relay, serving, .. } = self;
        runtime.block_on(async {
            serving.get_or_insert_with(|| {
                let relay = Arc::clone(relay);
                tokio::spawn(async move { relay.serve(Vec::new()).await })
            });
            for _ in 0..4 {
                yield_now().await;
            }
            tokio::time::advance(INTERVAL).await;
            for _ in 0..4 {
                yield_now().await;
            }
        });
        self.run();
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.relay.stop();
        if let Some(serving) = self.serving.take() {
            let _ = self.runtime.block_on(serving);
        }
    }
}
