//! Messages from senders to recipients, timed.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use smp_crypto::delivery;
use smp_crypto::secret_box::BoxKey;
use smp_proto::id::MessageId;
use smp_proto::smp::message::Delivery as Content;
use smp_proto::version::SmpVersion;
use smp_std::client::{Client, ClientError, CommandKey, Credentials, Delivery, Event, Events, Id, QueueOptions};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::ciphers::Sampling;
use super::outlet::{self, Outlet};
use super::process::Usage;
use super::report::{Summary, Times, bytes, print_json};
use super::{Arguments, Rate, in_parallel};
use crate::failure::{Failure, OTHER};
use crate::progress::note;

/// How long to wait for messages that are under way when the time is up.
const DRAIN: Duration = Duration::from_secs(10);
/// In how many parts the results are kept, so that tasks seldom wait for each other.
const SHARDS: usize = 16;

/// The results so far.
#[derive(Clone)]
struct Measured {
    /// From sending to OK.
    accepted: Times,
    /// From sending to the delivery.
    delivered: Times,
    /// From the delivery to the OK of its acknowledgement.
    acknowledged: Times,
    errors: BTreeMap<String, u64>,
}

impl Measured {
    fn new() -> Self {
        Self { accepted: Times::new(), delivered: Times::new(), acknowledged: Times::new(), errors: BTreeMap::new() }
    }

    fn add(&mut self, other: &Self) {
        self.accepted.add(&other.accepted);
        self.delivered.add(&other.delivered);
        self.acknowledged.add(&other.acknowledged);
        for (error, count) in &other.errors {
            *self.errors.entry(error.clone()).or_default() += count;
        }
    }
}

/// A queue under load.
struct Queue {
    number: usize,
    recipient: Credentials,
    sender: Credentials,
    delivery_key: BoxKey,
    /// Room for unacknowledged messages.
    window: Semaphore,
}

/// What all tasks share.
struct Shared {
    started: Instant,
    measured: Vec<Mutex<Measured>>,
    size: usize,
}

impl Shared {
    fn with(&self, queue: usize, record: impl FnOnce(&mut Measured)) {
        if let Some(shard) = self.measured.get(queue % SHARDS) {
            record(&mut shard.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn error(&self, queue: usize, error: &ClientError) {
        self.with(queue, |measured| *measured.errors.entry(error.to_string()).or_default() += 1);
    }

    fn total(&self) -> Measured {
        let mut total = Measured::new();
        for shard in &self.measured {
            total.add(&shard.lock().unwrap_or_else(PoisonError::into_inner));
        }
        total
    }
}

#[derive(Serialize)]
struct Results {
    version: u16,
    connections: u32,
    queues: u32,
    size: u32,
    window: u32,
    rate: Option<f64>,
    seconds: f64,
    messages_per_second: f64,
    send_to_ok: Summary,
    send_to_delivery: Summary,
    delivery_to_acknowledged: Summary,
    errors: BTreeMap<String, u64>,
    server_cpu_seconds_per_message: Option<f64>,
    server_memory_before: Option<u64>,
    server_memory_after: Option<u64>,
    server_memory_peak: Option<u64>,
    server_bytes_written_per_message: Option<f64>,
    client_cpu_seconds_per_message: Option<f64>,
    cipher_seconds_per_message: Option<f64>,
}

pub(super) async fn run(arguments: &Arguments) -> Result<(), Failure> {
    note(format_args!("opening {} connections for recipients and as many for senders", arguments.connections));
    let recipients = arguments.connect(arguments.connections, "connecting").await?;
    let senders = outlet::connect(arguments).await?;
    let version = recipients.first().map_or(SmpVersion::MIN, |(client, _)| client.session().version);
    let size = arguments.size.try_into().unwrap_or(usize::MAX).min(version.max_message_length());
    let count = arguments.queues.unwrap_or(arguments.connections);
    note(format_args!("creating {count} queues"));
    let recipient_clients: Vec<Client> = recipients.iter().map(|(client, _)| client.clone()).collect();
    let queues = create(arguments, count, &recipient_clients, &senders).await?;
    let shared = Arc::new(Shared {
        started: Instant::now(),
        measured: (0..SHARDS).map(|_| Mutex::new(Measured::new())).collect(),
        size,
    });
    let usage = || arguments.server_pid.and_then(Usage::of);
    // Otherwise messages share blocks, and nobody knows how many there were.
    let direct = !arguments.via.is_used() && version >= SmpVersion::BLOCK_ENCRYPTION;
    let alone = arguments.window == 1 && count == arguments.connections && direct;
    let sampling = if alone { Some(Sampling::start()?) } else { None };
    let (before, own_before) = (usage(), Usage::own());
    note(format_args!("sending for {} s", arguments.duration));

    let mut receiving = JoinSet::new();
    for (index, (client, events)) in recipients.into_iter().enumerate() {
        let of_connection = queues.iter().filter(|queue| queue.number % recipient_clients.len() == index);
        let by_id = of_connection.map(|queue| (queue.recipient.id.clone(), Arc::clone(queue))).collect();
        receiving.spawn(receive(client, events, by_id, Arc::clone(&shared)));
    }
    let (stop, stopped) = watch::channel(false);
    let mut sending = JoinSet::new();
    for queue in &queues {
        let Some(outlet) = senders.get(queue.number % senders.len()) else { continue };
        let pace = match arguments.rate {
            Rate::Unlimited => None,
            Rate::PerSecond(rate) => Some(Duration::from_secs_f64(f64::from(count) / rate)),
        };
        sending.spawn(send(outlet.clone(), Arc::clone(queue), Arc::clone(&shared), pace, stopped.clone()));
    }
    tokio::time::sleep(arguments.duration()).await;
    let seconds = shared.started.elapsed().as_secs_f64();
    let in_time = shared.total().acknowledged.len();
    stop.send_replace(true);
    let drained = async {
        while sending.join_next().await.is_some() {}
        for queue in &queues {
            let _ = queue.window.acquire_many(arguments.window).await;
        }
    };
    if timeout(DRAIN, drained).await.is_err() {
        note("some messages are still under way");
    }
    let (after, own_after) = (usage(), Usage::own());
    let ciphers = sampling.and_then(Sampling::finish);
    sending.abort_all();
    let total = shared.total();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let (messages, in_time) = (total.acknowledged.len().max(1) as f64, in_time as f64);
    let cpu = |before: Option<Usage>, after: Option<Usage>| {
        Some(after?.cpu.saturating_sub(before?.cpu).as_secs_f64() / messages)
    };
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let written = |before: Option<Usage>, after: Option<Usage>| {
        Some(after?.written?.saturating_sub(before?.written?) as f64 / messages)
    };
    let results = Results {
        version: version.0,
        connections: arguments.connections,
        queues: count,
        size: u32::try_from(size).unwrap_or(u32::MAX),
        window: arguments.window,
        rate: match arguments.rate {
            Rate::Unlimited => None,
            Rate::PerSecond(rate) => Some(rate),
        },
        seconds,
        messages_per_second: in_time / seconds,
        send_to_ok: total.accepted.summary(),
        send_to_delivery: total.delivered.summary(),
        delivery_to_acknowledged: total.acknowledged.summary(),
        errors: total.errors,
        server_cpu_seconds_per_message: cpu(before, after),
        server_memory_before: before.map(|usage| usage.memory),
        server_memory_after: after.map(|usage| usage.memory),
        server_memory_peak: after.map(|usage| usage.peak),
        server_bytes_written_per_message: written(before, after),
        client_cpu_seconds_per_message: cpu(own_before, own_after),
        cipher_seconds_per_message: ciphers,
    };
    if arguments.json {
        print_json(&results)?
    } else {
        results.print()
    }
    delete(&queues, &recipient_clients).await;
    receiving.abort_all();
    if results.errors.is_empty() { Ok(()) } else { Err(Failure::new(OTHER, "there were errors")) }
}

/// Creates queues, subscribes the recipients and secures the queues for the senders.
async fn create(
    arguments: &Arguments,
    count: u32,
    recipients: &[Client],
    senders: &[Outlet],
) -> Result<Vec<Arc<Queue>>, Failure> {
    let password = arguments.server.password().map(|password| password.as_bytes().to_vec());
    let window = arguments.window.try_into().unwrap_or(1);
    let (recipients, senders) = (recipients.to_vec(), senders.to_vec());
    in_parallel(count, "creating queue", move |number| {
        let number = usize::try_from(number).unwrap_or(0);
        let recipient = recipients.get(number % recipients.len()).cloned();
        let sender = senders.get(number % senders.len()).cloned();
        let password = password.clone();
        async move {
            let (recipient, sender) = recipient.zip(sender).ok_or(ClientError::Closed)?;
            let mut options = QueueOptions::default();
            options.password = password.as_deref();
            let created = recipient.create_queue(&options).await?;
            let version = sender.version;
            let credentials = Credentials { id: created.sender_id, key: CommandKey::generate(version) };
            if version >= SmpVersion::SENDER_SECURED {
                sender.secure_by_sender(&credentials).await?;
            } else {
                recipient.secure(&created.recipient, credentials.key.public()).await?;
            }
            Ok(Arc::new(Queue {
                number,
                recipient: created.recipient,
                sender: credentials,
                delivery_key: BoxKey::from(&created.delivery_secret),
                window: Semaphore::new(window),
            }))
        }
    })
    .await
}

/// Sends to one queue until it is told to stop.
async fn send(
    outlet: Outlet,
    queue: Arc<Queue>,
    shared: Arc<Shared>,
    pace: Option<Duration>,
    mut stopped: watch::Receiver<bool>,
) {
    // Queues that all sent at the same moment would measure the queue in front of the relay.
    let mut due = Instant::now() + pace.unwrap_or_default().mul_f64(rand::random());
    let mut body = vec![0; shared.size];
    loop {
        let room = async {
            if pace.is_some() {
                sleep_until(due).await;
            }
            queue.window.acquire().await
        };
        let permit = tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            permit = room => permit,
        };
        let Ok(permit) = permit else { return };
        // Given back by the recipient.
        permit.forget();
        let sent = match pace {
            Some(pace) => {
                let sent = due;
                due += pace;
                sent
            }
            None => Instant::now(),
        };
        let micros = u64::try_from(sent.saturating_duration_since(shared.started).as_micros()).unwrap_or(u64::MAX);
        if let Some(stamp) = body.first_chunk_mut() {
            *stamp = micros.to_be_bytes();
        }
        match outlet.send(&queue.sender, &body).await {
            Ok(()) => shared.with(queue.number, |measured| measured.accepted.record(sent.elapsed())),
            Err(error) => {
                shared.error(queue.number, &error);
                if error.is_disconnected() {
                    return;
                }
                queue.window.add_permits(1);
            }
        }
    }
}

/// Receives on one connection, for all its queues.
async fn receive(client: Client, mut events: Events, queues: HashMap<Id, Arc<Queue>>, shared: Arc<Shared>) {
    let mut acknowledging = JoinSet::new();
    loop {
        while acknowledging.try_join_next().is_some() {}
        match events.next().await {
            Some(Event::Message(delivery)) => {
                let Some(queue) = queues.get(&delivery.queue) else { continue };
                let task = take(client.clone(), Arc::clone(queue), *delivery, Arc::clone(&shared));
                acknowledging.spawn(task);
            }
            Some(Event::Disconnected(error)) => {
                shared.error(0, &error);
                return;
            }
            Some(_) => {}
            None => return,
        }
    }
}

async fn take(client: Client, queue: Arc<Queue>, delivery: Delivery, shared: Arc<Shared>) {
    let mut body = delivery.body.into_vec();
    let message_id = MessageId::new(delivery.message_id.as_bytes()).unwrap_or(MessageId::EMPTY);
    let sent = match delivery::open(&queue.delivery_key, message_id, &mut body) {
        Ok(Content::Message { body, .. }) => body.first_chunk().map(|stamp| u64::from_be_bytes(*stamp)),
        _ => None,
    };
    let now = Instant::now();
    match sent {
        Some(sent) => {
            let time = now.saturating_duration_since(shared.started).saturating_sub(Duration::from_micros(sent));
            shared.with(queue.number, |measured| measured.delivered.record(time));
        }
        None => shared.error(queue.number, &ClientError::Malformed),
    }
    match client.acknowledge(&queue.recipient, &delivery.message_id).await {
        Ok(()) => shared.with(queue.number, |measured| measured.acknowledged.record(now.elapsed())),
        Err(error) => shared.error(queue.number, &error),
    }
    queue.window.add_permits(1);
}

async fn delete(queues: &[Arc<Queue>], recipients: &[Client]) {
    note("deleting the queues");
    let count = queues.len().try_into().unwrap_or(u32::MAX);
    let work: Vec<(Client, Credentials)> = queues
        .iter()
        .filter_map(|queue| {
            let client = recipients.get(queue.number % recipients.len())?;
            Some((client.clone(), queue.recipient.clone()))
        })
        .collect();
    let deleted = in_parallel(count, "deleting queue", move |number| {
        let work = usize::try_from(number).ok().and_then(|number| work.get(number).cloned());
        async move {
            match work {
                Some((client, queue)) => client.delete(&queue).await,
                None => Ok(()),
            }
        }
    });
    if let Err(failure) = deleted.await {
        note(format_args!("some queues stay on the relay: {failure:?}"));
    }
}

impl Results {
    fn print(&self) {
        say!(
            "version {}, {} + {} connections, {} queues, {} bytes, window {}, {:.1} s",
            self.version,
            self.connections,
            self.connections,
            self.queues,
            self.size,
            self.window,
            self.seconds
        );
        say!("{:.0} messages per second sent, delivered and acknowledged", self.messages_per_second);
        Summary::print_header();
        self.send_to_ok.print("send to OK");
        self.send_to_delivery.print("send to delivery");
        self.delivery_to_acknowledged.print("delivery to acknowledged");
        let micros = |seconds: f64| seconds * 1e6;
        if let Some(cpu) = self.server_cpu_seconds_per_message {
            say!("relay, CPU per message         {:.0} µs", micros(cpu));
        }
        if let (Some(after), Some(peak)) = (self.server_memory_after, self.server_memory_peak) {
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
            let (after, peak) = (after as f64, peak as f64);
            say!("relay, resident               {}, {} at most", bytes(after), bytes(peak));
        }
        if let Some(written) = self.server_bytes_written_per_message {
            say!("relay, written per message    {written:.0} bytes");
        }
        if let Some(cpu) = self.client_cpu_seconds_per_message {
            say!("this program, CPU per message  {:.0} µs", micros(cpu));
        }
        if let Some(ciphers) = self.cipher_seconds_per_message {
            say!("ciphers of a message           {:.0} µs", micros(ciphers));
            if let Some(cpu) = self.server_cpu_seconds_per_message {
                say!("relay, times its ciphers       {:.2}", cpu / ciphers);
            }
        }
        for (error, count) in &self.errors {
            say!("{count} times: {error}");
        }
    }
}
