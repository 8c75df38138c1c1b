//! `smp-server start`: opens what the directory holds, listens, and serves until told to stop.

use std::fs::{self, File, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use smp_std::net::Listener;
use smp_std::relay::config::{Config, Engine};
use smp_std::relay::store::{FjallOptions, Store, StoreOptions};
use smp_std::relay::{LogSetter, Operator, Relay, Wakeups, offered_versions};
use tokio::signal::unix::{SignalKind, signal};

use super::{Loaded, Options, load, print_line};

/// Queues and messages, inside the relay's directory.
const STORE_FOLDER: &str = "store";

/// How long what is still under way may take when everything is on disk.
const SHUTDOWN_TIME: Duration = Duration::from_secs(1);

/// How long another relay in the same directory may take to end.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

pub(crate) fn start(options: &Options, set_log: LogSetter) -> Result<()> {
    let loaded = load(options)?;
    let _lock = lock(&loaded.directory)?;
    raise_file_limit(loaded.config.limits.connections);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    let served = runtime.block_on(serve(loaded, options.clone(), set_log));
    // The lookup of a name may take half a minute more, and nobody waits for it.
    runtime.shutdown_timeout(SHUTDOWN_TIME);
    served
}

async fn serve(loaded: Loaded, options: Options, set_log: LogSetter) -> Result<()> {
    let mut loaded = loaded;
    // One that comes before the relay is ready waits; it must not end it.
    let mut hangup = signal(SignalKind::hangup()).context("cannot wait for signals")?;
    let wakeups = Wakeups::default();
    let store = open_store(&loaded.directory, &loaded.config, &wakeups).context("cannot open the store")?;
    let counts = store.counts();
    let listeners: Vec<Listener> = loaded
        .config
        .server
        .listen
        .iter()
        .map(|address| {
            listen(*address)
                .with_context(|| format!("cannot listen on {address} (is another relay running? see --listen)"))
        })
        .collect::<Result<_>>()?;
    if loaded.config.address_port() == 0
        && let Some(listener) = listeners.first()
    {
        // The system chose a port.
        loaded.config.server.port = Some(listener.local_address().context("cannot tell the port")?.port());
    }
    let address = loaded.address();
    let Loaded { config, identity, directory } = loaded;
    let on_disk = config.store.engine == Engine::Fjall;
    tracing::info!(
        queues = counts.queues,
        messages = counts.messages,
        versions = format!("{}-{}", offered_versions().min(), offered_versions().max()),
        "the relay starts"
    );
    let relay = Relay::new(config, &identity, store, &wakeups)?;
    if on_disk {
        relay.watch_disk_of(directory.join(STORE_FOLDER));
    }
    serve_web(&relay, &directory, &listeners)?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for signals")?;
    let directory = options.dir.clone();
    let load = move || match load(&options) {
        Ok(Loaded { config, identity, .. }) => Ok((config, identity)),
        Err(error) => Err(format!("{error:#}")),
    };
    relay.attend(Operator { directory, load: Box::new(load), set_log: Some(set_log) }).await?;
    let reloaded = Arc::clone(&relay);
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            reloaded.hang_up().await;
            raise_file_limit(reloaded.config().limits.connections);
        }
    });
    let stopper = Arc::clone(&relay);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("the relay stops");
        stopper.stop();
    });
    print_line(&address)?;
    print_line("ready")?;
    relay.serve(listeners).await?;
    if on_disk {
        tracing::info!("everything is on disk");
    }
    Ok(())
}

/// The web site, if the configuration has one.
fn serve_web(relay: &Arc<Relay>, directory: &Path, listeners: &[Listener]) -> Result<()> {
    let config = relay.config();
    let web = &config.web;
    if !web.enabled() {
        return Ok(());
    }
    let open = |address: &SocketAddr| -> Result<Listener> {
        let listener = listen(*address).with_context(|| format!("cannot listen on {address} for the web site"))?;
        tracing::info!(address = %listener.local_address()?, "the web site");
        Ok(listener)
    };
    let own = |address: &&SocketAddr| !config.server.listen.iter().any(|listen| listen.port() == address.port());
    let http = web.http.iter().map(open).collect::<Result<_>>()?;
    let https = web.https.iter().filter(own).map(open).collect::<Result<_>>()?;
    // By what was configured, since the system may have chosen the port.
    let shared = config.server.listen.iter().zip(listeners).filter(|(address, _)| web.shares(address.port()));
    let shared = shared.map(|(_, listener)| Ok(listener.local_address()?.port())).collect::<io::Result<Vec<u16>>>()?;
    for port in &shared {
        tracing::info!(port, "the web site shares a port with SMP");
    }
    relay.serve_web(directory, http, https, shared)?;
    Ok(())
}

/// All addresses means those the machine has, IPv6 switched off or not.
fn listen(address: SocketAddr) -> io::Result<Listener> {
    match address {
        SocketAddr::V6(address) if address.ip().is_unspecified() => Listener::bind_all(address.port()),
        address => Listener::bind(address),
    }
}

pub(crate) fn open_store(directory: &Path, config: &Config, wakeups: &Wakeups) -> Result<Store> {
    let budget = config.store.in_flight_mib.saturating_mul(1 << 20);
    let options = StoreOptions {
        budget: NonZeroU32::new(budget).context("store.in_flight_mib must be at least 1")?,
        observer: Some(Arc::new(wakeups.clone())),
        ..StoreOptions::default()
    };
    Ok(match config.store.engine {
        Engine::Memory => Store::memory(options)?,
        Engine::Fjall => {
            let engine =
                FjallOptions { cache_bytes: config.store.cache_mib.saturating_mul(1 << 20), ..FjallOptions::default() };
            let folder = directory.join(STORE_FOLDER);
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            Store::fjall(&folder, &engine, options)?
        }
    })
}

/// Two relays in one directory would answer for each other's queues.
pub(crate) fn lock(directory: &Path) -> Result<File> {
    let path = directory.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    let patience = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            // One that was killed this moment may not have let go of it yet.
            Err(TryLockError::WouldBlock) if patience.elapsed() < LOCK_PATIENCE => thread::sleep(LOCK_PATIENCE / 20),
            Err(TryLockError::WouldBlock) => bail!("a relay is running in {} already", directory.display()),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
    }
}

/// Every connection is a file; the usual limit of 1,024 would be the smallest limit of all.
fn raise_file_limit(connections: usize) {
    let wanted = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(200);
    match rlimit::increase_nofile_limit(wanted.max(4096)) {
        Ok(limit) if limit < u64::try_from(connections).unwrap_or(u64::MAX) => {
            tracing::warn!(limit, wanted, "the system allows fewer open files than limits.connections needs");
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the limit of open files could not be raised"),
    }
}
