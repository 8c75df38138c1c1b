//! Executes the requests of the agent: one connection to a relay for each session, opened when it is needed, and one way
//! through each proxy.
//!
//! Every session and every way is a task. They are told what to do through channels that hold no more than the requests
//! under way, which the agent's thread limits, and tell it what came of it through one bounded channel: when the thread
//! is busy, less is read from relays. The thread itself never waits for a task.

mod failure;
mod operation;
mod session;
mod turns;
mod way;

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use smp_agent::policy::server::{Server, ServerPassword};
use smp_agent::policy::session::{SessionKey, SessionMode};
use smp_agent::request::{Answer, Failure, Operation, Reason, RelayEvent, Reporter, Request, RequestId, ServerAccess};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::AgentOptions;
use crate::client::{Client, Options};
use crate::net::SocksLogin;

/// How long a connection that failed for a reason of the host fails again without being tried (wire reference, section
/// 24).
const FAILURE_KEPT: Duration = Duration::from_secs(3);
/// How long a task without a connection waits for something to do before it ends. Longer than [`FAILURE_KEPT`].
const LINGER: Duration = Duration::from_secs(5);

/// What comes of requests, and what happens unasked.
pub(super) enum Report {
    /// The result of a request.
    Answer(RequestId, Result<Answer, Failure>),
    /// Something else.
    Event(RelayEvent),
    /// Orders that came too late for a task.
    Again(Vec<Order>),
    /// A task has ended.
    Ended(Whose),
    /// The task of this number panicked.
    Panicked(Whose, u64),
    /// The connection of a session is wanted for a way through it.
    Borrow(SessionKey, oneshot::Sender<Result<Loan, Failure>>),
}

/// Whose task it is.
#[derive(Clone)]
pub(super) enum Whose {
    Session(SessionKey),
    Way(WayKey),
}

/// A way to the relay of a session through a proxy.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct WayKey {
    session: SessionKey,
    proxy: Server,
}

impl WayKey {
    /// The session with the proxy: of the same user, and for the same entity.
    fn proxy_session(&self) -> SessionKey {
        let entity = self.session.entity();
        let mode = if entity.is_some() { SessionMode::Entity } else { SessionMode::Session };
        SessionKey::new(mode, self.session.user(), &self.proxy, entity.unwrap_or_default())
    }
}

/// What a task has to do.
pub(super) enum Order {
    /// A request, for a session.
    Direct(SessionKey, Job),
    /// A request, for a way, with what the proxy asks of its users.
    Proxied(WayKey, Option<ServerPassword>, Job),
    /// Lends the connection.
    Lend(SessionKey, oneshot::Sender<Result<Loan, Failure>>),
}

impl Order {
    fn request(&self) -> Option<RequestId> {
        match self {
            Self::Direct(_, job) | Self::Proxied(_, _, job) => Some(job.id),
            Self::Lend(..) => None,
        }
    }
}

/// A request without where it goes.
pub(super) struct Job {
    id: RequestId,
    operation: Operation,
}

/// A session's connection, in use by somebody else. It is not closed for being idle as long as this exists.
pub(super) struct Loan {
    client: Client,
    /// Counts the loans.
    _held: Arc<()>,
}

/// What all tasks use.
struct Shared {
    options: Options,
    /// How SOCKS5 proxies are told what to keep apart.
    isolation: Option<(SessionMode, u64)>,
    idle_time_out: Duration,
    connects: turns::Turns,
    reports: mpsc::Sender<Report>,
}

impl Shared {
    /// The options for connections of a session.
    fn options(&self, key: &SessionKey) -> Options {
        let mut options = self.options.clone();
        if let Some((mode, started)) = self.isolation {
            // Only the name counts. The password must not be empty by RFC 1929.
            options.network.socks_login = SocksLogin::password(key.isolation(mode, started).as_bytes(), b"-");
        }
        options
    }

    /// Tells the agent's thread something; when it is gone, nobody wants to know.
    async fn report(&self, report: Report) {
        let _ = self.reports.send(report).await;
    }
}

/// A failure that is given again for a while.
#[derive(Default)]
struct Kept(Option<(Instant, Failure)>);

impl Kept {
    /// Keeps a failure if it is one of the host.
    fn keep(&mut self, failure: Failure) {
        self.0 = failure.is_of_host().then(|| (Instant::now(), failure));
    }

    fn get(&self) -> Option<Failure> {
        self.0.filter(|(since, _)| since.elapsed() < FAILURE_KEPT).map(|(_, failure)| failure)
    }
}

/// The tasks there are. It belongs to the agent's thread; dropping it ends them.
pub(super) struct Network {
    shared: Arc<Shared>,
    runtime: Handle,
    tasks: Tasks,
    /// Requests that were not answered yet, and the numbers of the tasks that have them.
    under_way: BTreeMap<RequestId, u64>,
    ended: CancellationToken,
}

#[derive(Default)]
struct Tasks {
    sessions: HashMap<SessionKey, Task>,
    ways: HashMap<WayKey, Task>,
    /// How many were started.
    started: u64,
}

/// A task, until it is known to have ended.
struct Task {
    number: u64,
    orders: mpsc::UnboundedSender<Order>,
}

impl Network {
    /// No connection yet. Tasks run on `runtime` and report to `reports`; `started` is when the agent started, in
    /// milliseconds since the epoch.
    pub(super) fn new(options: &AgentOptions, runtime: Handle, reports: mpsc::Sender<Report>, started: u64) -> Self {
        // Without subscriptions nobody waits for what a connection might bring (wire reference, section 19).
        let client = Options { ping_unsubscribed: false, ..options.client.clone() };
        let shared = Shared {
            options: client,
            isolation: options.isolate_sessions.then_some((options.configuration.session_mode, started)),
            idle_time_out: options.idle_time_out,
            connects: turns::Turns::new(options.concurrent_connects),
            reports,
        };
        Self {
            shared: Arc::new(shared),
            runtime,
            tasks: Tasks::default(),
            under_way: BTreeMap::new(),
            ended: CancellationToken::new(),
        }
    }

    /// Begins to execute a request.
    pub(super) fn execute(&mut self, request: Request) {
        let Request { id, session, proxy, operation } = request;
        let job = Job { id, operation };
        self.order(match proxy {
            None => Order::Direct(session, job),
            Some(ServerAccess { server, password }) => Order::Proxied(WayKey { session, proxy: server }, password, job),
        });
    }

    /// Gives an order to its task, which is started when there is none.
    pub(super) fn order(&mut self, order: Order) {
        let Self { shared, runtime, tasks, under_way, ended } = self;
        let Tasks { sessions, ways, started } = tasks;
        let request = order.request();
        let number = match &order {
            Order::Direct(key, _) | Order::Lend(key, _) => {
                let key = key.clone();
                give(sessions, key.clone(), order, started, |number, orders| {
                    let task = session::run(key.clone(), Arc::clone(shared), orders);
                    let task = watch(task, Arc::clone(shared), Whose::Session(key), number);
                    runtime.spawn(ended.clone().run_until_cancelled_owned(task));
                })
            }
            Order::Proxied(key, ..) => {
                let key = key.clone();
                give(ways, key.clone(), order, started, |number, orders| {
                    let task = way::run(key.clone(), Arc::clone(shared), orders);
                    let task = watch(task, Arc::clone(shared), Whose::Way(key), number);
                    runtime.spawn(ended.clone().run_until_cancelled_owned(task));
                })
            }
        };
        if let Some(request) = request {
            under_way.insert(request, number);
        }
    }

    /// How many requests were not answered yet.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// A request was answered.
    pub(super) fn answered(&mut self, request: RequestId) {
        self.under_way.remove(&request);
    }

    /// Forgets a task that has ended, unless it has a successor.
    pub(super) fn forget(&mut self, whose: &Whose) {
        match whose {
            Whose::Session(key) => forget(&mut self.tasks.sessions, key),
            Whose::Way(key) => forget(&mut self.tasks.ways, key),
        }
    }

    /// Forgets a task that panicked; gives what it would have reported had its connection broken.
    pub(super) fn panicked(&mut self, whose: Whose, number: u64) -> Vec<Report> {
        self.forget(&whose);
        let by = if let Whose::Session(_) = whose { Reporter::Relay } else { Reporter::Proxy };
        let lost = self.under_way.iter().filter(|(_, task)| **task == number);
        let failure = Failure { by, reason: Reason::Network };
        let mut reports: Vec<Report> = lost.map(|(request, _)| Report::Answer(*request, Err(failure))).collect();
        if let Whose::Session(key) = whose {
            reports.push(Report::Event(RelayEvent::Disconnected(key)));
        }
        reports
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

/// Runs a task. When it panics, the agent's thread has to know: its requests would stay under way for ever.
async fn watch(task: impl Future<Output = ()>, shared: Arc<Shared>, whose: Whose, number: u64) {
    if AssertUnwindSafe(task).catch_unwind().await.is_err() {
        shared.report(Report::Panicked(whose, number)).await;
    }
}

/// Gives an order to the task of a key, and tells its number. If it is gone, `start` starts another one.
fn give<K: Eq + Hash>(
    tasks: &mut HashMap<K, Task>,
    key: K,
    mut order: Order,
    started: &mut u64,
    start: impl FnOnce(u64, mpsc::UnboundedReceiver<Order>),
) -> u64 {
    if let Some(task) = tasks.get(&key) {
        match task.orders.send(order) {
            Ok(()) => return task.number,
            Err(returned) => order = returned.0,
        }
    }
    let (orders, receiver) = mpsc::unbounded_channel();
    // The receiver is here.
    let _ = orders.send(order);
    *started = started.wrapping_add(1);
    let number = *started;
    tasks.insert(key, Task { number, orders });
    start(number, receiver);
    number
}

fn forget<K: Eq + Hash>(tasks: &mut HashMap<K, Task>, key: &K) {
    if tasks.get(key).is_some_and(|task| task.orders.is_closed()) {
        tasks.remove(key);
    }
}

#[cfg(test)]
mod tests;
