//! What several stories need: this project's relay over TCP, a network of the host's sockets, and a clock.
#![allow(dead_code, reason = "each story uses its own part")]

pub(crate) mod flash;

use std::path::Path;
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use embassy_time::MockDriver;
use embedded_io_adapters::tokio_1::FromTokio;
use rand_chacha::ChaCha20Rng;
use rand_core::{SeedableRng, TryCryptoRng, TryRng};
use smp_embassy::dial::{DialError, Network, targets};
use smp_embassy::{BUFFER_LENGTH, WallClock};
use smp_proto::address::{ServerAddress, ServerUri};
use smp_std::client::{Client, Events, Options};
use smp_std::identity::{Identity, KeyAlgorithm};
use smp_std::net::Listener;
use smp_std::relay::config::Config;
use smp_std::relay::store::{FjallOptions, Store, StoreOptions};
use smp_std::relay::{Relay, Wakeups};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Lets the clock of embassy-time go with the host's, for stories with a real relay.
pub(crate) fn keep_time() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        std::thread::spawn(|| {
            let mut last = Instant::now();
            loop {
                std::thread::sleep(Duration::from_millis(2));
                let elapsed = last.elapsed();
                last += elapsed;
                let micros = u64::try_from(elapsed.as_micros()).unwrap();
                MockDriver::get().advance(embassy_time::Duration::from_micros(micros));
            }
        });
    });
}

/// A random source with the same values in each run.
pub(crate) fn random(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// A random source that always fails.
pub(crate) struct BrokenRandom;

impl TryRng for BrokenRandom {
    type Error = std::io::Error;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Err(std::io::ErrorKind::Other.into())
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Err(std::io::ErrorKind::Other.into())
    }

    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Self::Error> {
        Err(std::io::ErrorKind::Other.into())
    }
}

impl TryCryptoRng for BrokenRandom {}

/// A clock that shows the host's time, so many seconds later.
pub(crate) struct HostClock(pub(crate) i64);

impl WallClock for HostClock {
    fn unix_seconds(&self) -> Option<i64> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Some(i64::try_from(now.as_secs()).unwrap() + self.0)
    }
}

/// The buffer of a device.
pub(crate) fn buffer() -> Vec<u8> {
    vec![0; BUFFER_LENGTH]
}

/// Streams over the host's sockets.
pub(crate) struct HostNetwork;

impl Network for HostNetwork {
    type Stream<'a> = FromTokio<TcpStream>;

    async fn connect(&mut self, relay: &ServerAddress<'_>) -> Result<FromTokio<TcpStream>, DialError> {
        let (hosts, port) = targets(relay)?;
        for host in hosts {
            if let Ok(stream) = TcpStream::connect((host.to_string(), port)).await {
                return Ok(FromTokio::new(stream));
            }
        }
        Err(DialError::Refused)
    }
}

/// This project's relay, on a port of the loopback, with its queues on disk so that they outlive it.
pub(crate) struct TestRelay {
    directory: TempDir,
    port: u16,
    running: Option<(Arc<Relay>, JoinHandle<()>)>,
    /// How many messages a queue holds.
    pub(crate) quota: u32,
    /// What strangers need to create queues or to have commands forwarded.
    pub(crate) password: Option<String>,
}

impl TestRelay {
    pub(crate) async fn start() -> Self {
        Self::with_algorithm(KeyAlgorithm::Ed25519).await
    }

    pub(crate) async fn with_algorithm(algorithm: KeyAlgorithm) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Identity::create(&directory.path().join("identity"), algorithm, "localhost").unwrap();
        let mut relay = Self { directory, port: 0, running: None, quota: 128, password: None };
        relay.run().await;
        relay
    }

    fn identity(&self) -> Identity {
        Identity::load(&self.directory.path().join("identity")).unwrap()
    }

    /// Starts it, on the port it had before.
    pub(crate) async fn run(&mut self) {
        let folder: &Path = &self.directory.path().join("queues");
        let wakeups = Wakeups::default();
        let options = StoreOptions { observer: Some(Arc::new(wakeups.clone())), ..StoreOptions::default() };
        let store = Store::fjall(folder, &FjallOptions::default(), options).unwrap();
        let mut config = Config::default();
        config.notifications.interval_milliseconds = 20;
        config.messages.quota = self.quota;
        config.queues.password.clone_from(&self.password);
        config.proxy.allow_private_addresses = true;
        config.proxy.failure_memory_seconds = 0;
        let relay = Relay::new(config, &self.identity(), store, &wakeups).unwrap();
        let listener = Listener::bind(([127, 0, 0, 1], self.port).into()).unwrap();
        self.port = listener.local_address().unwrap().port();
        let serving = tokio::spawn({
            let relay = Arc::clone(&relay);
            async move { relay.serve(vec![listener]).await.unwrap() }
        });
        self.running = Some((relay, serving));
    }

    /// How many connections it has.
    pub(crate) fn connections(&self) -> usize {
        self.running.as_ref().map_or(0, |(relay, _)| relay.connections())
    }

    /// Ends it.
    pub(crate) async fn stop(&mut self) {
        if let Some((relay, serving)) = self.running.take() {
            relay.stop();
            serving.await.unwrap();
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its address, with another port when there is somebody in between.
    pub(crate) fn address_by(&self, port: u16) -> ServerUri {
        self.identity().address("127.0.0.1", port).parse().unwrap()
    }

    pub(crate) fn address(&self) -> ServerUri {
        self.address_by(self.port)
    }

    /// A client of the host.
    pub(crate) async fn client(&self) -> (Client, Events) {
        Client::connect(&self.address(), &Options::interactive()).await.unwrap()
    }
}
