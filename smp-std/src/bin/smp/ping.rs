//! `smp ping`: how long a relay takes to answer.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use smp_proto::address::ServerUri;
use smp_std::client::{Client, Options};
use tokio::time::Instant;

use crate::failure::{Context, Failure, INTERRUPTED};
use crate::network::Network;
use crate::progress::{Interrupts, duration, note};
use crate::receive::parse_server;

/// Measure how long a relay takes to answer.
///
/// Connects, makes sure that the relay is the one its address names, and sends PING commands over the encrypted session.
/// Prints a line for each answer and a summary. Times are from handing the command to the connection until its answer
/// is back, encryption on both sides included.
///
/// With --json only the summary is printed, as one object: {"sent", "received", "minimum", "average", "maximum", "times"},
/// times in seconds.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The relay: smp://FINGERPRINT@HOST[:PORT]
    #[arg(value_name = "ADDRESS", value_parser = parse_server)]
    server: ServerUri,
    /// How many pings to send.
    #[arg(long, value_name = "N", default_value_t = 4)]
    count: u32,
    /// Seconds between two pings.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = parse_seconds)]
    interval: f64,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    network: Network,
}

/// Reads a number of seconds.
pub(crate) fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=1e9).contains(&seconds) => Ok(seconds),
        _ => Err("this is not a number of seconds".into()),
    }
}

#[derive(Serialize)]
struct Summary {
    sent: u32,
    received: usize,
    minimum: Option<f64>,
    average: Option<f64>,
    maximum: Option<f64>,
    times: Vec<f64>,
}

impl Summary {
    fn new(sent: u32, times: &[Duration]) -> Self {
        let times: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
        let count = times.len();
        #[expect(clippy::cast_precision_loss, reason = "nobody waits for that many pings")]
        let average = (count > 0).then(|| times.iter().sum::<f64>() / count as f64);
        Self {
            sent,
            received: count,
            minimum: times.iter().copied().reduce(f64::min),
            average,
            maximum: times.iter().copied().reduce(f64::max),
            times,
        }
    }
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut interrupts = Interrupts::listen();
    let mut options = Options::interactive();
    arguments.network.apply(&mut options);
    let (client, _events) = Client::connect(&arguments.server, &options).await.context("connecting")?;
    let mut times = Vec::new();
    let mut sent = 0;
    let mut failure = None;
    let pinging = async {
        for number in 1..=arguments.count {
            if number > 1 {
                tokio::time::sleep(Duration::from_secs_f64(arguments.interval)).await;
            }
            sent = number;
            let started = Instant::now();
            match client.ping().await {
                Ok(()) => {
                    let time = started.elapsed();
                    times.push(time);
                    if !arguments.json {
                        say!("answer {number}: {}", duration(time));
                    }
                }
                Err(error) => {
                    note(format_args!("ping {number}: {error}"));
                    let gone = error.is_disconnected();
                    failure = Some(Failure::from(error));
                    if gone {
                        break;
                    }
                }
            }
        }
    };
    let stopped = tokio::select! {
        () = pinging => false,
        () = interrupts.wait() => true,
    };
    let summary = Summary::new(sent, &times);
    if arguments.json {
        say!("{}", serde_json::to_string(&summary).map_err(std::io::Error::from)?);
    } else {
        let mut line = format!("{sent} sent, {} answered", summary.received);
        if let (Some(minimum), Some(average), Some(maximum)) = (summary.minimum, summary.average, summary.maximum) {
            let show = |seconds| duration(Duration::from_secs_f64(seconds));
            let _ = write!(line, "; minimum {}, average {}, maximum {}", show(minimum), show(average), show(maximum));
        }
        say!("{line}");
    }
    match failure {
        Some(failure) => Err(failure),
        None if stopped => Err(Failure::new(INTERRUPTED, "")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_count_only_answers() {
        let summary = Summary::new(3, &[Duration::from_millis(2), Duration::from_millis(4)]);
        assert_eq!((summary.sent, summary.received), (3, 2));
        assert_eq!((summary.minimum, summary.maximum), (Some(0.002), Some(0.004)));
        assert!((summary.average.unwrap() - 0.003).abs() < 1e-12);
        let none = Summary::new(1, &[]);
        assert_eq!((none.minimum, none.average, none.maximum), (None, None, None));
    }

    #[test]
    fn seconds_are_positive_numbers() {
        assert_eq!(parse_seconds("0.5"), Ok(0.5));
        for text in ["-1", "x", "inf", "NaN", ""] {
            assert!(parse_seconds(text).is_err(), "{text}");
        }
    }
}
