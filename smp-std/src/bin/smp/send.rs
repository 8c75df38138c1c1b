//! `smp send`: sends a text to a queue.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use smp_crypto::hash::sha256;
use smp_proto::uri::QueueUri;
use smp_proto::wire::Base64;
use smp_std::client::{ClientError, Options, ProxyFailure, Route, SendQueue, SendStage};
use tokio::time::{Instant, sleep};

use crate::failure::{Context, FULL, Failure, INTERRUPTED, OTHER, USAGE};
use crate::framing;
use crate::network::{Network, Via};
use crate::progress::{Interrupts, duration, note};
use crate::state::{Sender, StateFile};

/// The longest text, in bytes. Its parts fit a queue that holds 128 messages.
const MAX_LENGTH: usize = 1 << 20;
/// The pauses between two attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Send a message to a queue.
///
/// URI is the address that smp receive prints, TEXT the message; without TEXT, or with -, it is read from standard input.
/// A text longer than one message is sent in several, up to 1 MiB in all; smp receive puts them together again.
///
/// The first message makes the queue yours: nobody else can send to it from then on. Your keys for it are kept in
/// ~/.local/state/smp (or below XDG_STATE_HOME), so that the same command sends again. To keep them elsewhere use --save,
/// and from then on --resume with the same FILE instead of URI; with --once they are not kept at all.
///
/// With --via the message goes through another relay as a proxy, which cannot read it. The queue's relay then sees the
/// address of the proxy instead of yours; if its certificate is not the one of the queue's address, nothing is sent.
///
/// While the relay cannot be reached or the queue is full, it is tried again for as long as --wait says. Nothing is
/// printed on standard output; success is exit code 0.
#[derive(Debug, Args)]
#[command(after_long_help = "EXAMPLES
  smp send URI 'first'
  smp send URI 'second'
  smp send --save sender.json URI2 'first'
  smp send --resume sender.json - < letter.txt
  smp send --via 'smp://FINGERPRINT@proxy.example.com' URI 'from nowhere'")]
pub(crate) struct Arguments {
    /// The queue's address, then the text; with --resume only the text.
    #[arg(value_names = ["URI", "TEXT"], num_args = 0..=2)]
    arguments: Vec<String>,
    /// Keep the keys for this queue in FILE, which must not exist yet. It holds secrets; only you can read it.
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    save: Option<PathBuf>,
    /// Send to the queue whose keys are kept in FILE.
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Keep no keys: this is the only time that something is sent to the queue.
    #[arg(long, conflicts_with_all = ["save", "resume"])]
    once: bool,
    /// How many seconds to try again.
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, value_parser = crate::ping::parse_seconds)]
    wait: f64,
    #[command(flatten)]
    via: Via,
    #[command(flatten)]
    network: Network,
}

/// What the positional arguments say.
#[derive(Debug, PartialEq, Eq)]
struct Positional<'a> {
    uri: Option<&'a str>,
    text: Option<&'a str>,
}

impl Arguments {
    fn positional(&self) -> Result<Positional<'_>, Failure> {
        let usage = |what: &str| Err(Failure::new(USAGE, what));
        match (self.resume.is_some(), self.arguments.as_slice()) {
            (true, []) => Ok(Positional { uri: None, text: None }),
            (true, [text]) => Ok(Positional { uri: None, text: Some(text) }),
            (true, _) => usage("with --resume only the text is given: the file knows the queue"),
            (false, []) => usage("name the queue: smp send URI [TEXT|-]"),
            (false, [uri]) => Ok(Positional { uri: Some(uri), text: None }),
            (false, [uri, text, ..]) => Ok(Positional { uri: Some(uri), text: Some(text) }),
        }
    }
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut interrupts = Interrupts::listen();
    let Positional { uri, text } = arguments.positional()?;
    let uri = uri.map(parse_uri).transpose()?;
    let (file, known) = match (&arguments.save, &arguments.resume, &uri) {
        (Some(path), _, _) => (Some(StateFile::create(path)?), false),
        (None, Some(path), _) => (Some(StateFile::resume(path)), true),
        (None, None, Some(uri)) if !arguments.once => match usual_file(uri) {
            Some(path) => {
                let known = path.try_exists().unwrap_or(false);
                (Some(StateFile::resume(&path)), known)
            }
            None => (None, false),
        },
        (None, None, _) => (None, false),
    };
    let queue = match &file {
        Some(file) if known => Some(file.read(Sender::restore)?),
        _ => None,
    };
    let text = match text {
        None | Some("-") => read_input()?,
        Some(text) => text.as_bytes().to_vec(),
    };
    if text.len() > MAX_LENGTH {
        return Err(Failure::new(
            USAGE,
            format_args!("the text has {} bytes; at most {MAX_LENGTH} can be sent at once: divide it", text.len()),
        ));
    }
    let parts = framing::split(&text, rand::random());
    let mut options = Options::interactive();
    arguments.network.apply(&mut options);
    let mut sending = Sending { uri, queue, file, parts, next: 0, options, via: arguments.via, route: None };
    let limit = Duration::from_secs_f64(arguments.wait);
    tokio::select! {
        result = sending.send(limit) => result?,
        () = interrupts.wait() => {
            let sent = format!("stopped after {} of {} messages", sending.next, sending.parts.len());
            return Err(Failure::new(INTERRUPTED, sent));
        }
    }
    if sending.file.is_none() {
        note("sent. The queue accepts no other sender now, and the keys of this one were not kept");
    }
    Ok(())
}

/// Where the keys for a queue are kept unless the person says otherwise, in a folder of the owner's only. `None` when there
/// is no place for it.
fn usual_file(uri: &QueueUri) -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    let folder = base.join("smp");
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&folder).ok()?;
    // The name of the file tells neither the relay nor the queue.
    let server = uri.server();
    let name = sha256(&[server.key_hash.as_bytes(), uri.sender_id().as_bytes()]);
    Some(folder.join(format!("send-{}.json", Base64(&name))))
}

fn is_same_queue(one: &QueueUri, other: &QueueUri) -> bool {
    one.server().key_hash == other.server().key_hash && one.sender_id() == other.sender_id()
}

fn parse_uri(text: &str) -> Result<QueueUri, Failure> {
    text.parse().map_err(|error| {
        let hint = if text.starts_with("simplex:") || text.starts_with("https:") {
            "this is a link of the chat application; smp send takes the address of a queue"
        } else {
            "the address of a queue is the first line that smp receive prints; put it in quotes, it holds # and &"
        };
        Failure::new(USAGE, format_args!("{error}; {hint}"))
    })
}

fn read_input() -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    // One byte more than is allowed tells that there is more.
    let most = u64::try_from(MAX_LENGTH).unwrap_or(u64::MAX).saturating_add(1);
    std::io::stdin().lock().take(most).read_to_end(&mut text).context("reading standard input")?;
    Ok(text)
}

/// A text on its way.
struct Sending {
    uri: Option<QueueUri>,
    /// Absent until the version of the relay is known, which decides on the kind of key.
    queue: Option<SendQueue>,
    file: Option<StateFile>,
    parts: Vec<Vec<u8>>,
    /// The part to be sent next.
    next: usize,
    options: Options,
    via: Via,
    /// The way to the relay.
    route: Option<Route>,
}

impl Sending {
    /// Sends all parts, trying again for as long as the limit says.
    async fn send(&mut self, limit: Duration) -> Result<(), Failure> {
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let before = self.next;
            let error = match self.attempt().await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if self.next > before {
                pause = FIRST_PAUSE;
            }
            let temporary = matches!(&error, Problem::Client(error) if error.is_temporary());
            if !temporary || started.elapsed() + pause > limit {
                return Err(self.explain(error));
            }
            if let Problem::Client(error) = error {
                // After a lost answer the same part goes out again; the recipient drops what it has already.
                if !error.is_quota() {
                    self.route = None;
                }
                let left = limit.saturating_sub(started.elapsed());
                note(format_args!("{error}; trying again for {}", duration(left)));
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn attempt(&mut self) -> Result<(), Problem> {
        let route = match &self.route {
            Some(route) => route.clone(),
            None => {
                let route = self.route()?;
                self.route.insert(route).clone()
            }
        };
        if self.queue.is_none() {
            let uri = self.uri.as_ref().ok_or_else(|| Failure::new(OTHER, "no queue"))?;
            let queue = SendQueue::new(uri, route.version().await?).map_err(Failure::from)?;
            // The keys are kept before the relay hears of them. Of two programs that start at once both use the keys that
            // were kept first: with others the second would be refused, and nobody would have those of the first.
            let queue = match &self.file {
                Some(file) if !file.write_first(&Sender::new(&queue))? => {
                    let kept = file.read(Sender::restore)?;
                    if !is_same_queue(&kept.to_parts().uri, uri) {
                        return Err(file.exists().into());
                    }
                    kept
                }
                _ => queue,
            };
            self.queue = Some(queue);
        }
        let Some(queue) = &mut self.queue else { return Ok(()) };
        while let Some(part) = self.parts.get(self.next) {
            let stage = queue.stage();
            let result = queue.send(&route, part).await;
            if queue.stage() != stage
                && let Some(file) = &self.file
            {
                file.write(&Sender::new(queue))?;
            }
            result?;
            self.next += 1;
            if self.parts.len() > 1 {
                note(format_args!("sent {} of {} messages", self.next, self.parts.len()));
            }
        }
        Ok(())
    }

    /// The way to the queue's relay.
    fn route(&self) -> Result<Route, ClientError> {
        let uri = self.queue.as_ref().map(|queue| queue.to_parts().uri).or_else(|| self.uri.clone());
        let uri = uri.ok_or(ClientError::NoUsableHost)?;
        self.via.route(&uri.server(), self.options.clone())
    }

    fn explain(&self, problem: Problem) -> Failure {
        match problem {
            Problem::Other(failure) => failure,
            Problem::Client(error) if error.is_quota() => Failure::new(
                FULL,
                format_args!(
                    "the queue is full: its recipient has to fetch the messages first ({} of {} messages were sent)",
                    self.next,
                    self.parts.len()
                ),
            ),
            Problem::Client(
                error @ (ClientError::Identity | ClientError::Proxy(ProxyFailure::WrongRelay | ProxyFailure::Forged)),
            ) if self.via.is_used() => {
                Failure::from(error).context("nothing more is sent, neither through a proxy nor directly")
            }
            Problem::Client(error) => {
                let first = self.queue.as_ref().is_none_or(|queue| queue.stage() < SendStage::Confirmed);
                let refused = error.is_not_authorized();
                let failure = Failure::from(error);
                if refused && first {
                    failure.context("the queue has another sender already, or is gone; ask its recipient for a new one")
                } else {
                    failure
                }
            }
        }
    }
}

/// Why an attempt failed: something that may pass, or not.
enum Problem {
    Client(ClientError),
    Other(Failure),
}

impl From<ClientError> for Problem {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positional(arguments: &[&str], resume: bool) -> Option<(Option<String>, Option<String>)> {
        let arguments = Arguments {
            arguments: arguments.iter().map(ToString::to_string).collect(),
            save: None,
            resume: resume.then(|| "file".into()),
            once: false,
            wait: 0.0,
            via: Via::default(),
            network: Network::default(),
        };
        let owned = |text: Option<&str>| text.map(str::to_owned);
        arguments.positional().ok().map(|found| (owned(found.uri), owned(found.text)))
    }

    #[test]
    fn a_resumed_sender_needs_no_uri() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(positional(&["uri", "text"], false), Some((text("uri"), text("text"))));
        assert_eq!(positional(&["uri"], false), Some((text("uri"), None)));
        assert_eq!(positional(&["text"], true), Some((None, text("text"))));
        assert_eq!(positional(&[], true), Some((None, None)));
        assert_eq!(positional(&[], false), None);
        assert_eq!(positional(&["uri", "text"], true), None);
    }

    #[test]
    fn wrong_addresses_are_explained() {
        for (text, hint) in [("simplex:/invitation#/?v=2", "link of the chat"), ("smp://x", "first line")] {
            let failure = parse_uri(text).unwrap_err();
            assert_eq!(failure.code(), USAGE);
            assert!(format!("{failure:?}").contains(hint), "{failure:?}");
        }
    }
}
