//! The proxy of private routing: it passes sealed commands of its clients on to other relays, over one connection to each
//! relay for all clients (wire reference, sections 4.4 and 12).
//!
//! It knows which relay a client talks to and never writes that anywhere.

mod budget;
mod connection;
mod dial;
mod failure;
mod table;
mod turns;
mod upstream;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use parking_lot::Mutex;
use smp_crypto::hash::sha256;
use smp_proto::address::ServerAddress;
use smp_proto::wire::{Decode, Encode};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::budget::Share;
pub(crate) use self::failure::Failure;
pub(crate) use self::upstream::ProxyAnswer;
pub(super) use self::upstream::Upstream;

use self::budget::Budget;
use self::connection::Connection;
use self::table::{Found, Table};
use self::turns::{Turn, TurnTaker, Turns};
use super::Relay;
use super::config;

/// Connections to relays that are being made at one time: each takes a socket and memory for two handshakes.
const CONNECTING: usize = 256;

/// What becomes of a connection that is being made.
type Outcome = Option<Result<Arc<Upstream>, Failure>>;

/// Times of a connection to a relay.
#[derive(Clone, Copy, Debug)]
struct Times {
    command: Duration,
    ping: Duration,
    idle: Duration,
}

/// All that a relay has as a proxy.
pub(super) struct Proxy {
    table: Mutex<Table>,
    blocks: Arc<Budget>,
    in_flight: Arc<Budget>,
    connecting: Arc<Turns>,
}

/// What one client has of that which is shared.
pub(super) struct Client {
    /// Blocks of responses that wait to be written.
    blocks: Arc<Share>,
    /// Connections that are made for it.
    connecting: TurnTaker,
}

/// A connection to a relay, now or later.
pub(super) enum Session {
    Now(Result<Arc<Upstream>, Failure>),
    Later(watch::Receiver<Outcome>),
}

impl Session {
    /// Waits for the connection.
    pub(super) async fn get(self) -> Result<Arc<Upstream>, Failure> {
        match self {
            Self::Now(result) => result,
            Self::Later(mut outcome) => match outcome.wait_for(Option::is_some).await {
                Ok(outcome) => outcome.clone().unwrap_or(Err(Failure::Internal)),
                // The relay stops.
                Err(_) => Err(Failure::Network),
            },
        }
    }
}

/// The budget of blocks.
const fn blocks(config: &config::Proxy) -> usize {
    config.memory_mib.saturating_mul((1 << 20) / smp_proto::transport::BLOCK_LENGTH)
}

impl Proxy {
    pub(super) fn new(config: &config::Proxy) -> Self {
        Self {
            table: Mutex::default(),
            blocks: Budget::new(blocks(config)),
            in_flight: Budget::new(config.in_flight),
            connecting: Turns::new(CONNECTING),
        }
    }

    /// Applies what of the configuration is not read whenever it is used.
    pub(super) fn set_limits(&self, config: &config::Proxy) {
        self.blocks.set_total(blocks(config));
        self.in_flight.set_total(config.in_flight);
    }

    /// A new client.
    pub(super) fn client(&self) -> Client {
        Client { blocks: self.blocks.share(), connecting: self.connecting.client() }
    }

    /// The connection with this session identifier.
    pub(super) fn find(&self, session_id: &[u8]) -> Option<Arc<Upstream>> {
        self.table.lock().find(session_id)
    }
}

impl Relay {
    /// How many connections to other relays there are, or are being made, for clients that have commands forwarded.
    #[must_use]
    pub fn upstream_connections(&self) -> usize {
        self.proxy.table.lock().connections()
    }

    /// How many forwarded commands clients wait for.
    #[must_use]
    pub fn forwards_in_flight(&self) -> usize {
        self.proxy.in_flight.used()
    }

    /// How many forwarded commands and responses are held in memory, of 16 KiB each.
    #[must_use]
    pub fn forwarded_blocks(&self) -> usize {
        self.proxy.blocks.used()
    }

    /// The connection to a relay: the one there is, or the one that is made now.
    pub(super) fn connect_upstream(self: &Arc<Self>, client: &Client, address: &ServerAddress<'_>) -> Session {
        let mut encoded = vec![0; smp_proto::transport::BLOCK_LENGTH];
        let Ok(encoded) = address.to_slice(&mut encoded).map(|encoded| encoded.to_vec()) else {
            return Session::Now(Err(Failure::Host));
        };
        let name = sha256(&[&encoded]);
        let limit = self.config().proxy.connections;
        let (found, turn) = {
            let mut table = self.proxy.table.lock();
            match table.get(&name, None, Instant::now()) {
                Found::Busy => match self.proxy.connecting.take(client.connecting) {
                    Some(turn) => (table.get(&name, Some(limit), Instant::now()), Some(turn)),
                    None => (Found::Busy, None),
                },
                found => (found, None),
            }
        };
        let (sender, turn) = match (found, turn) {
            (Found::New(sender), Some(turn)) => (sender, turn),
            (Found::Connected(upstream), _) => {
                upstream.used(self.uptime());
                return Session::Now(Ok(upstream));
            }
            (Found::Connecting(outcome), _) => return Session::Later(outcome),
            (Found::Failed(failure), _) => return Session::Now(Err(failure)),
            (Found::Busy | Found::New(_), _) => {
                self.stats.limits.forwarding.one();
                return Session::Now(Err(Failure::Timeout));
            }
        };
        let outcome = sender.subscribe();
        self.tasks.spawn(Arc::clone(self).run_upstream(name, encoded, turn, sender));
        Session::Later(outcome)
    }

    /// Makes a connection and serves it until it ends.
    async fn run_upstream(
        self: Arc<Self>,
        name: [u8; 32],
        address: Vec<u8>,
        mut turn: Turn,
        sender: watch::Sender<Outcome>,
    ) {
        let result = tokio::select! {
            result = self.dial_upstream(&address) => result,
            () = self.stopping.cancelled() => Err(Failure::Network),
            () = turn.taken_away() => {
                // That says nothing about the relay.
                self.proxy.table.lock().given_up(&name);
                self.stats.limits.forwarding.one();
                sender.send_replace(Some(Err(Failure::Timeout)));
                return;
            }
        };
        drop((address, turn));
        let config = self.config();
        let connection = match result {
            Ok((upstream, connection)) => {
                self.proxy.table.lock().connected(name, &upstream);
                sender.send_replace(Some(Ok(upstream)));
                connection
            }
            Err(failure) => {
                let until = Instant::now() + Duration::from_secs(config.proxy.failure_memory_seconds);
                self.proxy.table.lock().failed(name, failure.clone(), until);
                sender.send_replace(Some(Err(failure)));
                return;
            }
        };
        drop((config, sender));
        let upstream = connection.upstream();
        let session_id = upstream.session_id.clone();
        // Whoever finds it from now on finds a new one.
        connection.run(|| self.proxy.table.lock().ended(&name, &session_id)).await;
    }

    async fn dial_upstream(self: &Arc<Self>, address: &[u8]) -> Result<(Arc<Upstream>, Connection), Failure> {
        let config = self.config();
        let config = &config.proxy;
        let address = ServerAddress::from_bytes(address).map_err(|_| Failure::Internal)?;
        // Boxed: what a handshake needs is much more than what a connection needs afterwards.
        let link = Box::pin(dial::connect(&address, &config.policy(), config.connect_timeout())).await?;
        let (requests, receiver) = mpsc::unbounded_channel();
        let upstream = Arc::new(Upstream {
            session_id: Box::from(link.session.context.session_id().as_bytes()),
            key: Arc::clone(&link.key),
            layer: Arc::clone(&link.layer),
            own: config.is_own(&address),
            requests,
            blocks: self.proxy.blocks.share(),
            in_flight: self.proxy.in_flight.share(),
            last_used: AtomicU64::new(self.uptime()),
            waiting_since: Mutex::default(),
            closing: CancellationToken::new(),
        });
        let times = Times {
            command: config.command_timeout(),
            ping: Duration::from_secs(config.ping_interval_seconds),
            idle: Duration::from_secs(config.idle_timeout_seconds),
        };
        let connection = Connection::new(Arc::clone(self), Arc::clone(&upstream), link, receiver, times);
        Ok((upstream, connection))
    }
}
