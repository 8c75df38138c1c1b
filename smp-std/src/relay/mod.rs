//! The relay: keeps queues, takes messages from senders and hands them to recipients, and learns nothing else.
//!
//! One task serves each connection, one thread writes to disk for all of them ([`store`]), and the hub
//! tells connections of each other. Nothing is answered `OK` before it is on disk.

mod accept;
pub mod audit;
mod authorize;
mod blocks;
mod certificates;
mod clock;
mod commands;
pub mod config;
mod connection;
pub mod control;
mod disk;
mod forward;
mod gauges;
mod http;
mod hub;
mod limits;
mod metrics;
mod moderation;
pub mod moving;
mod names;
mod notifications;
mod operator;
mod proxy;
mod queue_info;
mod rates;
mod receivers;
mod reload;
mod reply;
mod saved;
mod service_session;
mod services;
mod session;
mod stalled;
pub mod stats;
pub mod store;
mod subscriptions;
mod sweep;
mod web;

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::{Mutex, RwLock};
use smp_crypto::authorization::Decoy;
use smp_proto::version::{SmpVersion, VersionRange};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::blocks::Blocks;
use self::clock::Clock;
use self::config::Config;
use self::disk::Disk;
use self::gauges::StoreDisk;
use self::hub::{Hub, Peer};
use self::limits::Admission;
use self::names::Resolver;
pub use self::operator::{Loader, LogSetter, Operator};
use self::proxy::Proxy;
use self::rates::AddressRates;
use self::session::Greeter;
use self::stats::Stats;
use self::store::{Expiry, Store};
use self::web::Site;
pub use self::web::WebError;
use crate::identity::Identity;
use crate::net::Listener;

/// The highest version this relay offers; the lowest is 6.
pub const MAX_VERSION: SmpVersion = SmpVersion::MAX;

/// The versions this relay offers to clients that name an application protocol; others are limited to version 6.
#[must_use]
pub fn offered_versions() -> VersionRange<SmpVersion> {
    VersionRange::new(SmpVersion::MIN, MAX_VERSION).unwrap_or(VersionRange::SMP_LEGACY)
}

/// A relay that runs. Shared by all its tasks.
pub struct Relay {
    config: RwLock<Arc<Config>>,
    store: Store,
    hub: Arc<Hub>,
    greeter: RwLock<Arc<Greeter>>,
    /// Of the identity certificate, which stays the same as long as the relay runs.
    fingerprint: [u8; 32],
    admission: Admission,
    blocks: Blocks,
    proxy: Proxy,
    disk: Disk,
    queue_rates: AddressRates,
    resolver: RwLock<Option<Arc<Resolver>>>,
    site: OnceLock<Site>,
    stats: Stats,
    decoy: Decoy,
    started: Instant,
    clock: Mutex<Clock>,
    peers: Mutex<HashMap<u64, Arc<Peer>>>,
    next_peer: AtomicU64,
    /// When services were looked through because there were too many; 0 at first.
    services_swept: AtomicU64,
    /// Read by who admits a service until it counts as connected, written by who forgets those that are not.
    services_gate: tokio::sync::RwLock<()>,
    stopping: CancellationToken,
    tasks: TaskTracker,
    operator: OnceLock<Operator>,
    /// Held while an operator changes a queue.
    moderating: tokio::sync::Mutex<()>,
    /// What the store took of its disk, and when that was.
    store_disk: Mutex<Option<(Instant, StoreDisk)>>,
}

/// Why a relay cannot start or go on.
#[derive(Debug)]
#[non_exhaustive]
pub enum RelayError {
    /// The certificates or keys cannot be used.
    Identity(String),
    /// The web site cannot be served.
    Web(WebError),
    /// The resolver of names cannot be used.
    Resolver(String),
    /// What operators see cannot be served: which and why.
    Operator(String),
    /// The store failed; nothing more can be acknowledged.
    Store(store::StoreError),
}

impl std::fmt::Display for RelayError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Identity(what) => write!(f, "the server identity cannot be used: {what}"),
            Self::Web(error) => error.fmt(f),
            Self::Resolver(what) => write!(f, "the name resolver cannot be used: {what}"),
            Self::Operator(what) => f.write_str(what),
            Self::Store(error) => write!(f, "the store failed: {error}"),
        }
    }
}

impl std::error::Error for RelayError {}

/// What the hub must hear from a store: pass it to the store when opening it, and to [`Relay::new`].
#[derive(Clone)]
pub struct Wakeups(Arc<Hub>);

impl Default for Wakeups {
    fn default() -> Self {
        Self(Arc::new(Hub::new()))
    }
}

impl std::fmt::Debug for Wakeups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wakeups(..)")
    }
}

impl store::CommitObserver for Wakeups {
    fn message_appended(&self, recipient_id: &store::Id, service: Option<&store::Id>) {
        match service {
            Some(service) => self.0.services.message_waiting(service, recipient_id),
            None => self.0.message_waiting(recipient_id),
        }
    }

    fn notification_waiting(&self, notifier_id: &store::Id, time: i64, service: Option<&store::Id>) {
        match service {
            Some(service) => {
                if let Some(peer) = self.0.services.notification_waiting(service, notifier_id, time) {
                    self.0.await_tick(&peer);
                }
            }
            None => self.0.notification_waiting(notifier_id, time),
        }
    }
}

impl Relay {
    /// A relay over a store that was opened with `wakeups` as its observer. Nothing is served until [`Self::serve`].
    pub fn new(config: Config, identity: &Identity, store: Store, wakeups: &Wakeups) -> Result<Arc<Self>, RelayError> {
        let greeter = Greeter::new(identity, &config)?;
        let resolver = Resolver::new(&config.names).map_err(|error| RelayError::Resolver(error.to_string()))?;
        let admission = Admission::new(&config.limits);
        let proxy = Proxy::new(&config.proxy);
        Ok(Arc::new(Self {
            config: RwLock::new(Arc::new(config)),
            store,
            hub: Arc::clone(&wakeups.0),
            greeter: RwLock::new(Arc::new(greeter)),
            fingerprint: *identity.fingerprint(),
            admission,
            blocks: Blocks::new(),
            proxy,
            disk: Disk::default(),
            queue_rates: AddressRates::default(),
            resolver: RwLock::new(resolver),
            site: OnceLock::new(),
            stats: Stats::default(),
            decoy: Decoy::generate(&mut rand::rng()),
            started: Instant::now(),
            clock: Mutex::new(Clock::new(seconds_now())),
            peers: Mutex::default(),
            next_peer: AtomicU64::new(0),
            services_swept: AtomicU64::new(0),
            services_gate: tokio::sync::RwLock::default(),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
            operator: OnceLock::new(),
            moderating: tokio::sync::Mutex::default(),
            store_disk: Mutex::default(),
        }))
    }

    /// Accepts connections until [`Self::stop`] is called or the store fails, then ends all connections and closes the
    /// store.
    pub async fn serve(self: &Arc<Self>, listeners: Vec<Listener>) -> Result<(), RelayError> {
        for listener in listeners {
            self.tasks.spawn(Arc::clone(self).accept(listener));
        }
        self.tasks.spawn(Arc::clone(self).keep_clock());
        self.tasks.spawn(Arc::clone(self).sweep_messages());
        self.tasks.spawn(Arc::clone(self).sweep_connections());
        self.tasks.spawn(Arc::clone(self).sweep_services());
        self.tasks.spawn(Arc::clone(self).watch_disk());
        self.tasks.spawn(Arc::clone(self).watch_certificates());
        self.tasks.spawn(Arc::clone(self).greet_resolver());
        self.tasks.spawn(Arc::clone(self).sweep_notifications());
        self.tasks.spawn(Arc::clone(self).deliver_notifications());
        tokio::select! {
            () = self.stopping.cancelled() => {}
            () = self.store.failed() => self.stopping.cancel(),
        }
        for peer in self.peers.lock().values() {
            peer.close();
        }
        self.tasks.close();
        // Whoever does not take its last block in time is cut off; what it sent and was told is on disk.
        let _ = tokio::time::timeout(Duration::from_secs(5), self.tasks.wait()).await;
        self.store.close().await.map_err(RelayError::Store)
    }

    /// Makes [`Self::serve`] return.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// The configuration as it is now. It can be replaced at any time ([`Self::reload`]): ask again rather than keep it.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read())
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.admission.connections()
    }

    /// What the relay counted since it started.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Seconds since 1970-01-01, UTC.
    fn now(&self) -> i64 {
        seconds_now()
    }

    /// Days since 1970-01-01, UTC.
    fn today(&self) -> u32 {
        u32::try_from(self.now() / 86_400).unwrap_or_default()
    }

    /// Seconds since the relay started.
    fn uptime(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    /// The times at which came messages that are expired, if messages expire.
    fn message_expiry(&self) -> Option<Expiry> {
        match self.config().messages.expire_days {
            0 => None,
            days => Some(self.expiry(i64::from(days) * 86_400)),
        }
    }
}

fn seconds_now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
}
