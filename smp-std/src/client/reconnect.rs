//! A connection that comes back, with its subscriptions.

mod backoff;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use smp_crypto::key::AuthorizationKey;
use smp_proto::address::ServerBuf;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::commands::Side;
use super::{
    Client, ClientError, CommandKey, CreatedQueue, Credentials, Delivery, Event, Events, Id, Options, QueueOptions,
    QueueStatus,
};

pub use backoff::Backoff;

/// How many events may wait for the application.
const EVENT_CAPACITY: usize = 16;

/// A connection that is made again when it breaks, and then subscribes again to the queues it was subscribed to.
///
/// Commands wait for the connection as long as for a response ([`Options::response_time_out`]) and then fail with a
/// temporary error. A command that was under way when the connection broke fails, too: whether it was executed is not
/// known, and only the caller knows whether it may be repeated.
///
/// The events must be read, or [`Events`] dropped. An application that is behind, for instance because it waits for a
/// command, does not hold up the next connection: while 16 events wait, those that only tell of the connection are left
/// out, and messages of a connection that has ended come again with the next one. Only what is told once, such as the end
/// of a subscription, waits for the application.
///
/// Errors that time does not mend, such as another identity of the server, end the attempts; the last event tells.
/// Clones share the connection; when the last one is dropped, it is closed.
#[derive(Clone)]
pub struct ReconnectingClient {
    shared: Arc<Shared>,
    current: watch::Receiver<State>,
    response_time_out: Duration,
}

impl std::fmt::Debug for ReconnectingClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReconnectingClient").finish_non_exhaustive()
    }
}

struct Shared {
    registry: Mutex<Registry>,
    /// Tells the supervisor that nobody is left.
    _alive: mpsc::Sender<()>,
}

/// What is to be subscribed to, and on which connection that was done last: every queue once on each, because a second
/// SUB would bring the message that waits a second time.
#[derive(Default)]
struct Registry {
    queues: HashMap<Id, (CommandKey, Side)>,
    /// The number of the connection for which all queues of that time were taken over.
    connection: u64,
}

#[derive(Clone)]
enum State {
    Down,
    /// The connection and its number.
    Up(Client, u64),
    /// For good.
    Failed(ClientError),
}

impl State {
    fn connection(&self) -> Option<u64> {
        match self {
            Self::Up(client, number) if !client.is_closed() => Some(*number),
            _ => None,
        }
    }
}

impl ReconnectingClient {
    /// Starts to connect, in a task of its own on the current tokio runtime, and returns at once.
    #[must_use]
    pub fn start(server: ServerBuf, options: Options, backoff: Backoff) -> (Self, Events) {
        let (alive, all_gone) = mpsc::channel(1);
        let (state, current) = watch::channel(State::Down);
        let (events, receiver) = mpsc::channel(EVENT_CAPACITY);
        let shared = Arc::new(Shared { registry: Mutex::default(), _alive: alive });
        let supervisor =
            Supervisor { server, backoff, shared: Arc::downgrade(&shared), state, events, options: options.clone() };
        tokio::spawn(supervisor.run(all_gone));
        let client = Self { shared, current, response_time_out: options.response_time_out };
        (client, Events(receiver))
    }

    /// The connection, waiting for it as long as for a response.
    ///
    /// # Errors
    /// [`ClientError::Timeout`] when there is none in time; what ended the attempts for good.
    pub async fn client(&self) -> Result<Client, ClientError> {
        self.connection().await.map(|(client, _)| client)
    }

    /// The connection and its number.
    async fn connection(&self) -> Result<(Client, u64), ClientError> {
        let now = Instant::now();
        let deadline = now.checked_add(self.response_time_out).unwrap_or(now);
        let mut current = self.current.clone();
        loop {
            let state = current.borrow_and_update().clone();
            match state {
                State::Up(client, number) if !client.is_closed() => return Ok((client, number)),
                State::Failed(error) => return Err(error),
                _ => {}
            }
            match timeout_at(deadline, current.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(ClientError::Closed),
                Err(_) => return Err(ClientError::Timeout),
            }
        }
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.shared.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// [`Client::create_queue`]; if it subscribes, the subscription is kept up.
    ///
    /// # Errors
    /// As the command, and [`ClientError::Timeout`] without a connection.
    pub async fn create_queue(&self, options: &QueueOptions<'_>) -> Result<CreatedQueue, ClientError> {
        let (client, connection) = self.connection().await?;
        let created = client.create_queue(options).await?;
        if options.subscribe {
            let Credentials { id, key } = &created.recipient;
            let newer = {
                let mut registry = self.registry();
                registry.queues.insert(id.clone(), (key.clone(), Side::Recipient));
                registry.connection != connection
            };
            // The next connection had been made before it could know of this queue.
            if newer {
                self.subscribe(&created.recipient).await.or_else(unless_temporary)?;
            }
        }
        Ok(created)
    }

    /// [`Client::subscribe`], kept up from now on, also when this attempt fails with a temporary error.
    ///
    /// # Errors
    /// As the command, and [`ClientError::Timeout`] without a connection.
    pub async fn subscribe(&self, queue: &Credentials) -> Result<(), ClientError> {
        self.keep_subscribed(queue, Side::Recipient).await
    }

    /// [`Client::subscribe_notifications`], kept up from now on, also when this attempt fails with a temporary error.
    ///
    /// # Errors
    /// As the command, and [`ClientError::Timeout`] without a connection.
    pub async fn subscribe_notifications(&self, notifier: &Credentials) -> Result<(), ClientError> {
        self.keep_subscribed(notifier, Side::Notifier).await
    }

    async fn keep_subscribed(&self, queue: &Credentials, side: Side) -> Result<(), ClientError> {
        loop {
            let connection = self.connection().await;
            {
                // The supervisor takes over what is registered at the moment it makes a connection known: what is
                // registered later is subscribed to here.
                let mut registry = self.registry();
                registry.queues.insert(queue.id.clone(), (queue.key.clone(), side));
                let current = match &connection {
                    Ok((_, number)) => Some(*number),
                    Err(_) => None,
                };
                let missed = match current {
                    Some(number) => registry.connection != number,
                    None => self.current.borrow().connection().is_some(),
                };
                if missed {
                    continue;
                }
            }
            let result = match (connection, side) {
                (Ok((client, _)), Side::Recipient) => client.subscribe(queue).await,
                (Ok((client, _)), Side::Notifier) => client.subscribe_notifications(queue).await,
                (Err(error), _) => Err(error),
            };
            if let Err(error) = &result
                && !error.is_temporary()
            {
                self.forget(&queue.id);
            }
            return result;
        }
    }

    /// Does not subscribe to the queue again after the next reconnection, nor to its notifications if it is a notifier's id.
    pub fn forget(&self, queue: &Id) {
        self.registry().queues.remove(queue);
    }

    /// [`Client::acknowledge`].
    ///
    /// # Errors
    /// As the command, and [`ClientError::Timeout`] without a connection.
    pub async fn acknowledge(&self, queue: &Credentials, message_id: &Id) -> Result<(), ClientError> {
        self.client().await?.acknowledge(queue, message_id).await
    }

    /// [`Client::get`].
    ///
    /// # Errors
    /// As the command, and [`ClientError::Timeout`] without a connection.
    pub async fn get(&self, queue: &Credentials) -> Result<Option<Delivery>, ClientError> {
        self.client().await?.get(queue).await
    }

    /// [`Client::secure`].
    ///
    /// # Errors
    /// As the command, and [`ClientError::Timeout`] without a connection.
    pub async fn secure(&self, queue: &Credentials, sender_key: AuthorizationKey) -> Result<(), ClientError> {
        self.client().await?.secure(queue, sender_key).await
    }

    /// [`Client::suspend`].
    ///
    /// # Errors
    /// As the command, and [`ClientError::Timeout`] without a connection.
    pub async fn suspend(&self, queue: &Credentials) -> Result<(), ClientError> {
        self.client().await?.suspend(queue).await
    }

    /// [`Client::delete`]; the subscription is not kept up any more.
    ///
    /// # Errors
    /// As the command, and [`ClientError::Timeout`] without a connection.
    pub async fn delete(&self, queue: &Credentials) -> Result<(), ClientError> {
        self.client().await?.delete(queue).await?;
        self.forget(&queue.id);
        Ok(())
    }

    /// [`Client::queue_status`].
    ///
    /// # Errors
    /// As the command, and [`ClientError::Timeout`] without a connection.
    pub async fn queue_status(&self, queue: &Credentials) -> Result<QueueStatus, ClientError> {
        self.client().await?.queue_status(queue).await
    }
}

struct Supervisor {
    server: ServerBuf,
    options: Options,
    backoff: Backoff,
    shared: std::sync::Weak<Shared>,
    state: watch::Sender<State>,
    events: mpsc::Sender<Event>,
}

impl Supervisor {
    async fn run(self, mut all_gone: mpsc::Receiver<()>) {
        // Nothing is ever sent: the channel ends with the last client.
        tokio::select! {
            _ = all_gone.recv() => {}
            () = self.supervise() => {}
        }
    }

    async fn supervise(&self) {
        let mut failures: u32 = 0;
        loop {
            match Client::connect_to(&self.server.address(), &self.options).await {
                Ok((client, mut events)) => {
                    let connected = Instant::now();
                    let queues = self.announce(&client);
                    let reason = tokio::join!(self.resubscribe(&client, queues), self.forward(&client, &mut events)).1;
                    drop(client);
                    self.state.send_replace(State::Down);
                    self.tell(Event::Disconnected(reason));
                    // A relay that accepts connections and drops them at once is not to be stormed.
                    if connected.elapsed() > self.backoff.first.saturating_mul(10) {
                        failures = 0;
                    }
                    failures = failures.saturating_add(1);
                    sleep(self.backoff.spread(failures)).await;
                }
                Err(error) if error.is_temporary() => {
                    failures = failures.saturating_add(1);
                    let pause = self.backoff.spread(failures);
                    self.tell(Event::Waiting(error, pause));
                    sleep(pause).await;
                }
                Err(error) => {
                    self.state.send_replace(State::Failed(error.clone()));
                    self.emit(Event::Disconnected(error)).await;
                    return;
                }
            }
        }
    }

    async fn emit(&self, event: Event) {
        // The application may not care for events.
        let _ = self.events.send(event).await;
    }

    /// Hands on an event that the application can do without if it is behind.
    fn tell(&self, event: Event) {
        let _ = self.events.try_send(event);
    }

    /// Hands on an event that the next connection brings again: when the application is behind, it waits only as long as
    /// this connection lasts.
    async fn emit_while_connected(&self, client: &Client, event: Event) {
        tokio::select! {
            biased;
            () = self.emit(event) => {}
            () = client.requests.closed() => {}
        }
    }

    /// Hands events on until the connection ends, and tells why it did.
    async fn forward(&self, client: &Client, events: &mut Events) -> ClientError {
        self.tell(Event::Connected);
        while let Some(event) = events.next().await {
            match event {
                Event::Disconnected(reason) => return reason,
                event @ Event::Message(_) => self.emit_while_connected(client, event).await,
                event => {
                    if let Event::SubscriptionEnded(queue) | Event::QueueDeleted(queue) = &event {
                        self.forget(queue);
                    }
                    self.emit(event).await;
                }
            }
        }
        ClientError::Closed
    }

    fn with_registry<T>(&self, act: impl FnOnce(&mut Registry) -> T) -> Option<T> {
        let shared = self.shared.upgrade()?;
        let mut registry = shared.registry.lock().unwrap_or_else(PoisonError::into_inner);
        Some(act(&mut registry))
    }

    fn forget(&self, queue: &Id) {
        self.with_registry(|registry| registry.queues.remove(queue));
    }

    /// Makes a new connection known, and gives the queues that have to be subscribed to on it.
    fn announce(&self, client: &Client) -> Vec<(Credentials, Side)> {
        self.with_registry(|registry| {
            registry.connection = registry.connection.wrapping_add(1);
            self.state.send_replace(State::Up(client.clone(), registry.connection));
            let queues = registry.queues.iter();
            let credentials = |(id, (key, side)): (&Id, &(CommandKey, Side))| {
                (Credentials { id: id.clone(), key: key.clone() }, *side)
            };
            queues.map(credentials).collect()
        })
        .unwrap_or_default()
    }

    async fn resubscribe(&self, client: &Client, queues: Vec<(Credentials, Side)>) {
        let results = client.subscribe_each(&queues).await;
        for ((queue, _), result) in queues.into_iter().zip(results) {
            // Temporary failures go with the connection, and the next one tries again.
            if let Err(error) = result
                && !error.is_disconnected()
            {
                if error.is_temporary() {
                    self.emit_while_connected(client, Event::SubscriptionFailed(queue.id, error)).await;
                } else {
                    self.forget(&queue.id);
                    self.emit(Event::SubscriptionFailed(queue.id, error)).await;
                }
            }
        }
    }
}

fn unless_temporary(error: ClientError) -> Result<(), ClientError> {
    if error.is_temporary() { Ok(()) } else { Err(error) }
}
