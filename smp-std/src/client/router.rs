//! Which way commands go to a relay: directly or through a proxy, as a policy says.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use rand::seq::SliceRandom;
use smp_proto::address::{ServerAddress, ServerBuf, ServerUri};
use smp_proto::smp::Command;
use smp_proto::version::SmpVersion;
use smp_proto::wire::{Encode, Writer};
use tokio::time::Instant;

use super::carrier::{Answer, Sealed, SenderCommands};
use super::{Client, ClientError, CommandKey, Id, Options, ProxyFailure, ProxySession};

/// For how many relays a way is kept. Beyond that, ways that nobody uses at the moment are forgotten.
const RELAY_LIMIT: usize = 1024;
/// The longest encoded address of a relay: the capacities of [`ServerBuf`], and some.
const ADDRESS_LIMIT: usize = 512;

/// When to use a proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyMode {
    /// For every relay.
    #[default]
    Always,
    /// For relays that are neither known nor proxies themselves ([`RoutingPolicy::known`]).
    UnknownRelays,
    /// For none.
    Never,
}

/// Which relays to send to through which proxies.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RoutingPolicy {
    /// When to use a proxy.
    pub mode: ProxyMode,
    /// The proxies to choose from. One is chosen at random for each relay, never one that is the relay itself, and kept as
    /// long as it works.
    pub proxies: Vec<ServerUri>,
    /// Relays that may know the client's address: they share a host with one of these.
    pub known: Vec<ServerBuf>,
    /// Whether to connect directly where forwarding is impossible by nature ([`ProxyFailure::is_impossible`]) or no proxy
    /// is another server than the relay. Neither a network that fails nor a wrong certificate ever brings about a direct
    /// connection. A proxy that says untruly that it cannot reach a relay does.
    pub direct_fallback: bool,
}

/// Sends to many relays as a [`RoutingPolicy`] says. It keeps connections to proxies, and sessions with relays behind
/// them, and makes new ones when they are gone. Clones share everything.
#[derive(Clone)]
pub struct Router(Arc<Shared>);

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Router").finish_non_exhaustive()
    }
}

struct Shared {
    options: Options,
    mode: ProxyMode,
    direct_fallback: bool,
    known: Vec<ServerBuf>,
    proxies: Vec<Proxy>,
    /// By encoded address.
    relays: Mutex<HashMap<Box<[u8]>, SharedSlot>>,
}

struct Proxy {
    server: ServerUri,
    /// One connection for all relays. The lock is held while it is made.
    connection: tokio::sync::Mutex<Connection>,
}

#[derive(Default)]
struct Connection {
    client: Option<Client>,
    failure: LastFailure,
}

/// Why the last attempt failed: also for those who waited meanwhile. If each of them tried once more, one after the other, the
/// last of many would wait many times as long as an attempt may take.
#[derive(Default)]
struct LastFailure(Option<(Instant, ClientError)>);

impl LastFailure {
    /// The failure, if it came after this moment.
    fn since(&self, asked: Instant) -> Result<(), ClientError> {
        match &self.0 {
            Some((failed, error)) if *failed >= asked => Err(error.clone()),
            _ => Ok(()),
        }
    }

    fn keep<T>(&mut self, result: Result<T, ClientError>) -> Result<T, ClientError> {
        self.0 = result.as_ref().err().map(|error| (Instant::now(), error.clone()));
        result
    }
}

impl Proxy {
    /// The connection, for somebody who has waited since `asked`. It is made if there is none.
    async fn connect(&self, options: &Options, asked: Instant) -> Result<Client, ClientError> {
        let Connection { client, failure } = &mut *self.connection.lock().await;
        if let Some(client) = client.as_ref().filter(|client| !client.is_closed()) {
            return Ok(client.clone());
        }
        failure.since(asked)?;
        let (connected, _) = failure.keep(Client::connect(&self.server, options).await)?;
        Ok(client.insert(connected).clone())
    }
}

type SharedSlot = Arc<tokio::sync::Mutex<Slot>>;

/// What is known of the way to a relay. The lock is held while the way is made.
#[derive(Default)]
struct Slot {
    way: Option<Way>,
    /// The proxy used last, to be tried first.
    proxy: Option<usize>,
    failure: LastFailure,
}

#[derive(Clone)]
enum Way {
    Direct(Client),
    Proxied(ProxySession),
}

impl Way {
    fn is_closed(&self) -> bool {
        match self {
            Self::Direct(client) => client.is_closed(),
            Self::Proxied(session) => session.is_closed(),
        }
    }

    fn version(&self) -> SmpVersion {
        match self {
            Self::Direct(client) => client.session().version,
            Self::Proxied(session) => session.version(),
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Proxied(one), Self::Proxied(other)) => one.is_same(other),
            _ => false,
        }
    }
}

impl Router {
    /// A router; nothing is connected yet. The options are for connections to proxies and relays alike.
    #[must_use]
    pub fn new(policy: RoutingPolicy, options: Options) -> Self {
        let RoutingPolicy { mode, proxies, known, direct_fallback } = policy;
        let proxies =
            proxies.into_iter().map(|server| Proxy { server, connection: tokio::sync::Mutex::default() }).collect();
        Self(Arc::new(Shared { options, mode, direct_fallback, known, proxies, relays: Mutex::default() }))
    }

    /// The way to a relay. Nothing is connected before the first command.
    ///
    /// # Errors
    /// [`ClientError::NoUsableHost`] for an address with more hosts than can be kept.
    pub fn route(&self, relay: &ServerAddress<'_>) -> Result<Route, ClientError> {
        let unusable = |_| ClientError::NoUsableHost;
        let owned = ServerBuf::try_from(relay).map_err(unusable)?;
        let mut buffer = [0; ADDRESS_LIMIT];
        let mut writer = Writer::new(&mut buffer);
        relay.encode(&mut writer).map_err(unusable)?;
        let key = Box::from(writer.written());
        let mut relays = self.0.relays.lock().unwrap_or_else(PoisonError::into_inner);
        if relays.len() >= RELAY_LIMIT {
            relays.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        let slot = Arc::clone(relays.entry(key).or_default());
        Ok(Route { router: self.clone(), relay: owned, slot })
    }
}

impl Shared {
    /// Whether the policy wants a proxy for a relay.
    fn wants_proxy(&self, relay: &ServerAddress<'_>) -> bool {
        match self.mode {
            ProxyMode::Always => true,
            ProxyMode::Never => false,
            ProxyMode::UnknownRelays => {
                let mut known =
                    self.known.iter().map(ServerBuf::address).chain(self.proxies.iter().map(|p| p.server.address()));
                !known.any(|known| share_host(&known, relay))
            }
        }
    }

    async fn direct(&self, relay: &ServerAddress<'_>) -> Result<Way, ClientError> {
        // Senders are told nothing unasked.
        Ok(Way::Direct(Client::connect_to(relay, &self.options).await?.0))
    }

    /// A session with the relay through one of the proxies, and which.
    async fn proxied(
        &self,
        relay: &ServerAddress<'_>,
        last: Option<usize>,
        asked: Instant,
    ) -> Result<(Way, usize), ClientError> {
        let is_other = |server: &ServerAddress<'_>| server.key_hash != relay.key_hash && !server.same_server(relay);
        let mut order: Vec<usize> = (0..self.proxies.len()).collect();
        order.shuffle(&mut rand::rng());
        order.sort_by_key(|index| Some(*index) != last);
        let mut result = Err(ClientError::NoProxy);
        for index in order {
            let Some(proxy) = self.proxies.get(index).filter(|proxy| is_other(&proxy.server.address())) else {
                continue;
            };
            result = match self.session(proxy, relay, asked).await {
                Ok(session) => return Ok((Way::Proxied(session), index)),
                // The connection was gone and nobody had noticed: that says nothing about the relay.
                Err(error) if error.is_disconnected() => {
                    Err(ClientError::Proxy(ProxyFailure::Connection(Box::new(error))))
                }
                Err(error) => Err(error),
            };
            if !matches!(&result, Err(ClientError::Proxy(failure)) if failure.is_of_the_proxy()) {
                break;
            }
        }
        result
    }

    async fn session(
        &self,
        proxy: &Proxy,
        relay: &ServerAddress<'_>,
        asked: Instant,
    ) -> Result<ProxySession, ClientError> {
        let connected = proxy.connect(&self.options, asked).await;
        let client = connected.map_err(|error| ClientError::Proxy(ProxyFailure::Connection(Box::new(error))))?;
        let password = proxy.server.password().map(smp_proto::address::Password::as_bytes);
        client.proxy_session(relay, password).await
    }

    /// The way that the policy wants. `last` is the proxy used last.
    async fn way(
        &self,
        relay: &ServerAddress<'_>,
        last: &mut Option<usize>,
        asked: Instant,
    ) -> Result<Way, ClientError> {
        if !self.wants_proxy(relay) {
            return self.direct(relay).await;
        }
        match self.proxied(relay, *last, asked).await {
            Ok((way, proxy)) => {
                *last = Some(proxy);
                Ok(way)
            }
            Err(error) if self.permits_direct(&error) => self.direct(relay).await,
            Err(error) => Err(error),
        }
    }

    /// Whether a failure permits a direct connection.
    fn permits_direct(&self, error: &ClientError) -> bool {
        let impossible = match error {
            ClientError::NoProxy => true,
            ClientError::Proxy(failure) => failure.is_impossible(),
            _ => false,
        };
        self.direct_fallback && impossible
    }
}

fn share_host(one: &ServerAddress<'_>, other: &ServerAddress<'_>) -> bool {
    one.hosts.iter().any(|host| other.hosts.iter().any(|known| known == host))
}

/// The way to one relay, chosen by a [`Router`] when it is needed. See [`SenderCommands`] for what can be sent. Clones
/// share the way.
///
/// When the proxy has lost its session with the relay, another one is asked for and the command sent once more: it was
/// not forwarded then. All other failures are left to the caller, who knows whether a command may be repeated.
#[derive(Clone)]
pub struct Route {
    router: Router,
    relay: ServerBuf,
    slot: SharedSlot,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Route").finish_non_exhaustive()
    }
}

impl Route {
    /// The version the relay is spoken to in; connects if there is no connection.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn version(&self) -> Result<SmpVersion, ClientError> {
        Ok(self.way().await?.version())
    }

    /// Whether commands go through a proxy; connects if there is no connection.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn is_proxied(&self) -> Result<bool, ClientError> {
        Ok(matches!(self.way().await?, Way::Proxied(_)))
    }

    async fn way(&self) -> Result<Way, ClientError> {
        let shared = &self.router.0;
        let (relay, asked) = (self.relay.address(), Instant::now());
        let mut slot = self.slot.lock().await;
        if let Some(way) = slot.way.as_ref().filter(|way| !way.is_closed()) {
            return Ok(way.clone());
        }
        slot.way = None;
        slot.failure.since(asked)?;
        let made = shared.way(&relay, &mut slot.proxy, asked).await;
        let way = slot.failure.keep(made)?;
        slot.way = Some(way.clone());
        Ok(way)
    }

    /// Forgets a session that is of no more use, unless somebody has replaced it already.
    async fn forget(&self, way: &Way) {
        let mut slot = self.slot.lock().await;
        if slot.way.as_ref().is_some_and(|current| current.is_same(way)) {
            slot.way = None;
        }
    }

    async fn run(&self, entity: &Id, command: &Command<'_>, key: Option<&CommandKey>) -> Result<Answer, ClientError> {
        let mut repeated = false;
        loop {
            let way = self.way().await?;
            let result = match &way {
                Way::Direct(client) => client.exchange(entity, command, key).await,
                Way::Proxied(session) => session.exchange(entity, command, key).await,
            };
            let Err(ClientError::Proxy(failure)) = &result else { return result };
            if failure.ends_session() {
                self.forget(&way).await;
            }
            if repeated || !matches!(failure, ProxyFailure::NoSession) {
                return result;
            }
            repeated = true;
        }
    }
}

impl Sealed for Route {}

impl SenderCommands for Route {
    fn exchange<'a>(
        &'a self,
        entity: &'a Id,
        command: &'a Command<'a>,
        key: Option<&'a CommandKey>,
    ) -> impl Future<Output = Result<Answer, ClientError>> + Send + 'a {
        self.run(entity, command, key)
    }
}
