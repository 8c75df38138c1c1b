//! `smp bench`: throughput, latency and memory of a relay.

mod ciphers;
mod idle;
mod outlet;
mod process;
mod report;
mod traffic;

use std::time::Duration;

use clap::Args;
use smp_proto::address::ServerUri;
use smp_std::client::{Client, ClientError, Events, Options};
use tokio::task::JoinSet;

use crate::failure::{Failure, INTERRUPTED, OTHER, USAGE};
use crate::network::{Network, Via};
use crate::progress::{Interrupts, note};
use crate::receive::parse_server;

/// How many connections or queues are made at the same time: a relay may limit handshakes in flight.
const PARALLEL: usize = 32;

/// Measure a relay's throughput, latency and memory.
///
/// Creates queues, sends to them and receives from them, over as many connections for senders as for recipients, and
/// reports the distribution of three times: from sending to the relay's OK, from sending to the delivery to the
/// recipient, and from the delivery to the relay's OK to its acknowledgement. Everything a real client does is done:
/// queues are secured, commands authorized, blocks and messages encrypted and decrypted; this takes the CPU of the
/// machine the program runs on, too.
///
/// With --rate, messages are due at fixed times, and a time counts from when its message was due: a relay that cannot
/// keep up shows in the latencies. Without, each queue sends its next message when one of its window was acknowledged.
///
/// With one queue on each connection and a window of 1, a message takes the relay exactly five blocks. Then the time of
/// their ciphers alone is measured as well, in the same seconds, and with --server-pid compared with the relay's CPU time.
///
/// With --idle, connections are opened and left alone. Together with --server-pid this tells what one costs in memory.
///
/// Works with any SMP relay. Use it on relays of your own only: it makes load on purpose. Queues are deleted at the end.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The relay: smp://FINGERPRINT[:PASSWORD]@HOST[:PORT]
    #[arg(value_name = "ADDRESS", value_parser = parse_server)]
    server: ServerUri,
    /// Connections of senders, and as many of recipients; with --idle, connections in all.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    connections: u32,
    /// Queues, spread over the connections. One per connection if not given; with --idle, none, and with --queues each
    /// of the first N connections subscribes to one.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    queues: Option<u32>,
    /// Messages per second in all, or "unlimited".
    #[arg(long, value_name = "RATE", default_value = "unlimited", value_parser = parse_rate)]
    rate: Rate,
    /// Length of a message's body in bytes, 16 to 16048. On the wire every message takes one block, whatever its length.
    #[arg(long, value_name = "BYTES", default_value_t = 16_000, value_parser = clap::value_parser!(u32).range(16..=16_048))]
    size: u32,
    /// How many messages of a queue may be unacknowledged at a time.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    window: u32,
    /// For how many seconds to send, or to leave idle connections alone.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = crate::ping::parse_seconds)]
    duration: f64,
    /// Open connections and leave them alone instead of sending.
    #[arg(long, conflicts_with = "rate")]
    idle: bool,
    /// The process id of the relay, if it runs on this machine, to report its memory, CPU time and writing to disk.
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
    /// Print the results as a JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    via: Via,
    #[command(flatten)]
    network: Network,
}

/// How many messages per second.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rate {
    Unlimited,
    PerSecond(f64),
}

fn parse_rate(text: &str) -> Result<Rate, String> {
    match (text, text.parse::<f64>()) {
        ("unlimited", _) => Ok(Rate::Unlimited),
        (_, Ok(rate)) if rate.is_finite() && rate > 0.0 => Ok(Rate::PerSecond(rate)),
        _ => Err("a rate is a positive number of messages per second, or \"unlimited\"".into()),
    }
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut interrupts = Interrupts::listen();
    if let Some(pid) = arguments.server_pid
        && process::Usage::of(pid).is_none()
    {
        return Err(Failure::new(USAGE, format_args!("there is no process {pid} whose /proc files can be read")));
    }
    let needed = u64::from(arguments.connections).saturating_mul(2).saturating_add(64);
    match rlimit::increase_nofile_limit(needed) {
        Ok(limit) if limit >= needed => {}
        _ => note(format_args!("this machine may not allow {needed} open files; raise the limit with ulimit -n")),
    }
    let measuring = async { if arguments.idle { idle::run(&arguments).await } else { traffic::run(&arguments).await } };
    tokio::select! {
        result = measuring => result,
        () = interrupts.wait() => Err(Failure::new(INTERRUPTED, "stopped; queues that were created may stay on the relay")),
    }
}

impl Arguments {
    fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.duration)
    }

    fn options(&self) -> Options {
        let mut options = Options::default();
        options.events = 1024;
        self.network.apply(&mut options);
        options
    }

    /// Opens connections, many at a time.
    async fn connect(&self, count: u32, what: &str) -> Result<Vec<(Client, Events)>, Failure> {
        let server = self.server.clone();
        let options = self.options();
        in_parallel(count, what, move |_| {
            let (server, options) = (server.clone(), options.clone());
            async move { connect_patiently(&server, &options).await }
        })
        .await
    }
}

/// Connects, again after a while when the relay has too much to do.
async fn connect_patiently(server: &ServerUri, options: &Options) -> Result<(Client, Events), ClientError> {
    let mut attempt = 0;
    loop {
        match Client::connect(server, options).await {
            Err(error) if error.is_temporary() && attempt < 5 => {
                attempt += 1;
                tokio::time::sleep(Duration::from_millis(200 * attempt)).await;
            }
            result => return result,
        }
    }
}

/// Does something `count` times, [`PARALLEL`] times at once, and gives the results in order.
async fn in_parallel<T, F>(count: u32, what: &str, work: impl Fn(u32) -> F) -> Result<Vec<T>, Failure>
where
    T: Send + 'static,
    F: Future<Output = Result<T, ClientError>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    let mut collected = Vec::new();
    let mut next = 0;
    while collected.len() < usize::try_from(count).unwrap_or(usize::MAX) {
        while next < count && tasks.len() < PARALLEL {
            let (number, work) = (next, work(next));
            tasks.spawn(async move { (number, work.await) });
            next += 1;
        }
        match tasks.join_next().await {
            Some(Ok((number, Ok(result)))) => collected.push((number, result)),
            Some(Ok((_, Err(error)))) => {
                return Err(Failure::from(error).context(format_args!("{what} {} of {count}", collected.len() + 1)));
            }
            // One that panicked, too.
            Some(Err(_)) | None => return Err(Failure::new(OTHER, "a task ended early")),
        }
        if collected.len() % 1000 == 0 {
            note(format_args!("{what}: {} of {count}", collected.len()));
        }
    }
    collected.sort_by_key(|(number, _)| *number);
    Ok(collected.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_numbers_or_unlimited() {
        assert_eq!(parse_rate("unlimited"), Ok(Rate::Unlimited));
        assert_eq!(parse_rate("0.5"), Ok(Rate::PerSecond(0.5)));
        for text in ["0", "-1", "fast", "inf", "NaN"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn parallel_work_comes_back_in_order() {
        let results = in_parallel(200, "work", |number| async move {
            tokio::time::sleep(Duration::from_micros(u64::from(200 - number))).await;
            Ok(number)
        });
        assert_eq!(results.await.unwrap(), (0..200).collect::<Vec<_>>());
        let failing =
            in_parallel(
                200,
                "work",
                |number| async move { if number == 100 { Err(ClientError::Timeout) } else { Ok(()) } },
            );
        assert_eq!(failing.await.unwrap_err().code(), crate::failure::UNREACHABLE);
        let broken = in_parallel(3, "work", |number| async move {
            assert!(number != 1, "a task that panics");
            Ok(())
        });
        assert_eq!(broken.await.unwrap_err().code(), OTHER);
    }
}
