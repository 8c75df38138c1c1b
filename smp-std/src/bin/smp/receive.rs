//! `smp receive`: creates a queue, or takes one up again, and prints what arrives.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use smp_proto::address::{Scheme, ServerUri};
use smp_proto::smp::SmpError;
use smp_std::client::{
    Backoff, Client, ClientError, Delivery, Event, Events, Options, QueueError, QueueOptions, ReceiveQueue, Received,
    ReceivedMessage, ReconnectingClient,
};

use crate::failure::{Context, Failure, INTERRUPTED, OTHER, USAGE};
use crate::framing::Part;
use crate::network::Network;
use crate::progress::{Interrupts, duration, note};
use crate::state::{Printed, Receiver, StateFile};

/// How long to wait before a subscription the relay could not make is asked for again.
const SUBSCRIBE_PAUSE: Duration = Duration::from_secs(5);

/// Create a queue, or take up one again, and print what arrives.
///
/// The first line on standard output is the address of the queue, alone: hand it to the sender. Then come the messages,
/// each ending with a line end, added where the sender sent none; a text that took several messages comes as one. Use
/// --json where it matters where a message begins and ends, or whether it is text at all. A message is acknowledged, and
/// forgotten by the relay, only after it was written out.
///
/// With --save, the queue and its keys are kept in FILE, and the queue stays when the program ends. With --resume, it is
/// taken up again where it was left. Without either, the queue is deleted at the end.
///
/// The connection is made again when it breaks, until the program is stopped with Ctrl-C.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The relay to create the queue on: smp://FINGERPRINT[:PASSWORD]@HOST[:PORT]
    #[arg(long, value_name = "ADDRESS", value_parser = parse_server, required_unless_present = "resume")]
    server: Option<ServerUri>,
    /// Keep the new queue in FILE, which must not exist yet. It holds secrets; only you can read it.
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    save: Option<PathBuf>,
    /// Take up the queue that is kept in FILE, and keep it there.
    #[arg(long, value_name = "FILE", conflicts_with = "server")]
    resume: Option<PathBuf>,
    /// Stop after N messages. Without it, go on until Ctrl-C.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Print a JSON object for each message, on a line of its own: {"time": seconds since 1970, "id": text or null,
    /// "part": number, "last": whether the text ends here, "text": the message, or "base64" if it is not UTF-8}.
    /// Long texts come in several parts. The first line is still the bare address.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    network: Network,
}

/// Reads the address of a relay.
pub(crate) fn parse_server(text: &str) -> Result<ServerUri, String> {
    const FORM: &str = "an address looks like smp://FINGERPRINT@HOST:PORT, with a FINGERPRINT of 43 characters";
    let server: ServerUri = text.parse().map_err(|error| format!("{error}; {FORM}"))?;
    if server.scheme() != Scheme::Smp {
        return Err(format!("this is not an SMP relay; {FORM}"));
    }
    if server.address().fingerprint().is_none() {
        return Err(format!("the fingerprint does not have 32 bytes; {FORM}"));
    }
    Ok(server)
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    if arguments.count == Some(0) && arguments.save.is_none() && arguments.resume.is_none() {
        // Its queue would be of no use to anybody.
        return Err(Failure::new(USAGE, "--count 0 receives nothing; with --save it only creates a queue"));
    }
    let mut interrupts = Interrupts::listen();
    let mut receiver = match (&arguments.server, &arguments.resume) {
        (_, Some(path)) => {
            let file = StateFile::resume(path);
            let (queue, printed) = file.read(Receiver::restore)?;
            Session::new(queue, printed, Some(file), &arguments)
        }
        (Some(server), None) => tokio::select! {
            session = create(server, &arguments) => session?,
            () = interrupts.wait() => return Err(Failure::new(INTERRUPTED, "stopped")),
        },
        (None, None) => return Err(Failure::new(USAGE, "name a relay with --server")),
    };
    receiver.print_uri()?;
    if receiver.remaining == Some(0) {
        return Ok(());
    }
    let mut options = Options::default();
    arguments.network.apply(&mut options);
    let server = receiver.queue.to_parts().server;
    let (client, mut events) = ReconnectingClient::start(server, options, Backoff::default());
    let result = tokio::select! {
        result = receiver.receive(&client, &mut events) => result,
        () = interrupts.wait() => {
            if receiver.remaining.is_some() { Err(Failure::new(INTERRUPTED, "stopped")) } else { Ok(()) }
        }
    };
    if receiver.file.is_none() {
        // Nobody can use the queue any more.
        let deleted = tokio::time::timeout(Duration::from_secs(5), client.delete(receiver.queue.credentials()));
        if !matches!(deleted.await, Ok(Ok(()))) {
            note("the queue could not be deleted and stays on the relay");
        }
    }
    result
}

async fn create(server: &ServerUri, arguments: &Arguments) -> Result<Session, Failure> {
    let file = arguments.save.as_deref().map(StateFile::create).transpose()?;
    let host = server.address().hosts.iter().next().map(|host| host.to_string()).unwrap_or_default();
    note(format_args!("creating a queue on {host}"));
    let mut options = Options::interactive();
    arguments.network.apply(&mut options);
    let (client, _events) = Client::connect(server, &options).await.context(format_args!("connecting to {host}"))?;
    let mut wanted = QueueOptions::default();
    wanted.subscribe = false;
    wanted.password = server.password().map(|password| password.as_bytes());
    let created = client.create_queue(&wanted).await.context("creating the queue")?;
    let queue = ReceiveQueue::new(server.server(), created)?;
    let session = Session::new(queue, Printed::default(), file, arguments);
    if let Err(failure) = session.save_first() {
        // Without its keys the queue would be of no use to anybody.
        let _ = client.delete(session.queue.credentials()).await;
        return Err(failure);
    }
    Ok(session)
}

/// A queue that is being received.
struct Session {
    queue: ReceiveQueue,
    printed: Printed,
    file: Option<StateFile>,
    json: bool,
    /// How many messages are still to come.
    remaining: Option<u64>,
    /// Whether the end of the text that was printed last is still to come.
    unfinished: bool,
}

/// A message as `--json` prints it.
#[derive(Serialize)]
struct Line<'a> {
    time: i64,
    id: Option<String>,
    part: u32,
    last: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl Session {
    fn new(queue: ReceiveQueue, printed: Printed, file: Option<StateFile>, arguments: &Arguments) -> Self {
        Self { queue, printed, file, json: arguments.json, remaining: arguments.count, unfinished: false }
    }

    /// Keeps a new queue, unless another program has taken the file meanwhile.
    fn save_first(&self) -> Result<(), Failure> {
        match &self.file {
            Some(file) if !file.write_first(&Receiver::new(&self.queue, &self.printed))? => Err(file.exists()),
            _ => Ok(()),
        }
    }

    fn save(&self) -> Result<(), Failure> {
        match &self.file {
            Some(file) => file.write(&Receiver::new(&self.queue, &self.printed)),
            None => Ok(()),
        }
    }

    fn print_uri(&self) -> Result<(), Failure> {
        let uri = self.queue.uri()?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{uri}").and_then(|()| out.flush()).context("writing to standard output")
    }

    /// Receives until the wanted number of messages is there.
    async fn receive(&mut self, client: &ReconnectingClient, events: &mut Events) -> Result<(), Failure> {
        let credentials = self.queue.credentials().clone();
        let subscribe = |pause: Duration| {
            let queue = &credentials;
            Box::pin(async move {
                tokio::time::sleep(pause).await;
                client.subscribe(queue).await
            })
        };
        let mut subscribing = Some(subscribe(Duration::ZERO));
        loop {
            let event = tokio::select! {
                result = done(&mut subscribing) => {
                    subscribing = match result {
                        Ok(()) => {
                            note("receiving; Ctrl-C to stop");
                            None
                        }
                        Err(error) if error.is_temporary() => {
                            note(format_args!("cannot subscribe yet: {error}"));
                            // The next connection subscribes by itself; on this one it has to be asked for again.
                            (!error.is_disconnected()).then(|| subscribe(SUBSCRIBE_PAUSE))
                        }
                        Err(error) => return Err(Failure::from(error).context("subscribing")),
                    };
                    continue;
                }
                event = events.next() => event,
            };
            match event {
                Some(Event::Message(delivery)) => {
                    if self.take(client, &delivery).await? {
                        return Ok(());
                    }
                }
                Some(Event::Connected) => note("connected"),
                Some(Event::Disconnected(error)) if error.is_temporary() => {
                    note(format_args!("the connection is gone ({error}); connecting again"));
                }
                Some(Event::Disconnected(error)) => return Err(error.into()),
                Some(Event::Waiting(error, pause)) => {
                    note(format_args!("{error}; trying again in {}", duration(pause)));
                }
                Some(Event::SubscriptionFailed(_, error)) if error.is_temporary() => {
                    note(format_args!("cannot subscribe yet: {error}"));
                    subscribing.get_or_insert_with(|| subscribe(SUBSCRIBE_PAUSE));
                }
                Some(Event::SubscriptionFailed(_, error)) => return Err(Failure::from(error).context("subscribing")),
                Some(Event::SubscriptionEnded(_)) => {
                    return Err(Failure::new(OTHER, "another program receives from this queue now"));
                }
                Some(Event::QueueDeleted(_)) => return Err(Failure::new(OTHER, "the queue was deleted")),
                Some(Event::Error(_, error)) => {
                    return Err(Failure::from(ClientError::Relay(error)).context("the relay reports"));
                }
                Some(_) => {}
                None => return Err(Failure::new(OTHER, "the connection has ended")),
            }
        }
    }

    /// Takes over what another program kept in the file that received from the queue until now, and wrote the sender's
    /// confirmation there after this one had read it. Tells whether it did.
    fn catch_up(&mut self) -> Result<bool, Failure> {
        let Some(file) = &self.file else { return Ok(false) };
        let (queue, printed) = file.read(Receiver::restore)?;
        if !queue.is_confirmed() {
            return Ok(false);
        }
        (self.queue, self.printed) = (queue, printed);
        Ok(true)
    }

    /// Prints a message, keeps what has changed, and acknowledges, in this order. Tells whether it was the last one.
    async fn take(&mut self, client: &ReconnectingClient, delivery: &Delivery) -> Result<bool, Failure> {
        let mut complete = false;
        if self.printed.last_message.as_ref() != Some(&delivery.message_id) {
            let mut opened = self.queue.open(delivery);
            if matches!(opened, Err(QueueError::NotConfirmed)) && self.catch_up()? {
                opened = self.queue.open(delivery);
            }
            match opened {
                Ok(Received::Message(message)) => {
                    // May be repeated, should the program end before the message is printed.
                    if let Some(key) = message.secure_with {
                        self.secure(client, key).await?;
                    }
                    // Nothing waits between here and the acknowledgement: Ctrl-C does not come in between.
                    complete = self.print(&message)?;
                }
                Ok(Received::Quota { .. }) => {
                    note("the queue was full: the sender was told to wait with further messages");
                }
                Ok(_) => note("a message of an unknown kind was dropped"),
                Err(error) => note(format_args!("a message was dropped: {error}")),
            }
            self.printed.last_message = Some(delivery.message_id.clone());
            self.save()?;
        }
        if let Err(error) = client.acknowledge(self.queue.credentials(), &delivery.message_id).await {
            // If it is still there, it is delivered again, and then only acknowledged.
            if !is_no_message(&error) {
                note(format_args!("the acknowledgement may be lost ({error})"));
            }
        }
        if complete && let Some(remaining) = &mut self.remaining {
            *remaining = remaining.saturating_sub(1);
            return Ok(*remaining == 0);
        }
        Ok(false)
    }

    /// Sets the sender's key, so that nobody else can send.
    async fn secure(&self, client: &ReconnectingClient, key: smp_proto::key::AuthorizationKey) -> Result<(), Failure> {
        loop {
            match client.secure(self.queue.credentials(), key).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_temporary() => {
                    note(format_args!("cannot secure the queue yet: {error}"));
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                Err(error) => {
                    note(format_args!("the queue could not be secured for its sender: {error}"));
                    return Ok(());
                }
            }
        }
    }

    /// Writes a message out. Tells whether a text is complete with it.
    fn print(&mut self, message: &ReceivedMessage) -> Result<bool, Failure> {
        let part = Part::decode(&message.body);
        if part.as_ref().is_some_and(|part| self.printed.has_seen(part.key())) {
            return Ok(false);
        }
        let last = part.as_ref().is_none_or(|part| part.last);
        let content = part.as_ref().map_or(&message.body[..], |part| part.content);
        let out = &mut std::io::stdout().lock();
        let written = if self.json {
            let text = std::str::from_utf8(content).ok();
            let line = Line {
                time: message.time,
                id: part.as_ref().map(|part| smp_proto::wire::Base64(&part.id).to_string()),
                part: part.as_ref().map_or(0, |part| part.number),
                last,
                text,
                base64: text.is_none().then(|| smp_proto::wire::Base64(content).to_string()),
            };
            serde_json::to_writer(&mut *out, &line).map_err(Into::into).and_then(|()| out.write_all(b"\n"))
        } else {
            // A text whose sender stopped in the middle does not swallow the next one.
            let starts = part.as_ref().is_none_or(|part| part.number == 0);
            let before: &[u8] = if self.unfinished && starts { b"\n" } else { b"" };
            let after: &[u8] = if last && !content.ends_with(b"\n") { b"\n" } else { b"" };
            out.write_all(before).and_then(|()| out.write_all(content)).and_then(|()| out.write_all(after))
        };
        written
            .and_then(|()| out.flush())
            .map_err(|error| Failure::new(OTHER, format_args!("standard output: {error}")))?;
        self.unfinished = !last;
        Ok(last)
    }
}

/// Waits for a task, or for ever if there is none.
async fn done<F: Future + Unpin>(task: &mut Option<F>) -> F::Output {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}

/// Whether the relay says that there is nothing to acknowledge any more.
fn is_no_message(error: &ClientError) -> bool {
    matches!(error, ClientError::Relay(error) if error.get() == SmpError::NoMessage)
}
