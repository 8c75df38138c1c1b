//! `smp`: send and receive through SMP relays, look at them, measure them.
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "the comments of arguments are help for people, where brackets mean optional"
)]

#[macro_use]
mod progress;

mod bench;
mod chat;
mod failure;
mod framing;
mod info;
mod network;
mod notifier;
mod ping;
mod receive;
mod send;
mod state;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;

/// Send and receive messages through SMP relays, look at relays, and measure them.
#[derive(Debug, Parser)]
#[command(
    name = "smp",
    version,
    about,
    long_about = "Send and receive messages through SMP relays (the servers of the SimpleX network), look at relays, and \
                  measure them.\n\nMessages are encrypted between sender and recipient; relays see neither. Results go \
                  to standard output, progress and errors to standard error.",
    after_long_help = "EXAMPLES
  In one terminal, create a queue on your relay and wait for messages; the first line is the queue's address:
      smp receive --server 'smp://FINGERPRINT@relay.example.com' --save queue.json
  In another terminal, send to that address:
      smp send 'smp://FINGERPRINT@relay.example.com/SENDER#/?v=1-4&dh=KEY&q=m' 'hello'
  Later, receive what has arrived since:
      smp receive --resume queue.json

EXIT CODES
  0  done
  1  something else went wrong; the message says what
  2  the command line is wrong
  3  the relay cannot be reached or does not answer; try again later
  4  the relay is not the one its address names, or speaks no version in common: check the address
  5  the relay refused
  6  the queue is full and did not empty in the time given
  7  a state file cannot be read or written
  130  stopped by Ctrl-C before everything was done"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

// The help of each is that of its arguments.
#[derive(Debug, Subcommand)]
enum Command {
    Receive(receive::Arguments),
    Send(send::Arguments),
    Notifier(notifier::Arguments),
    Ping(ping::Arguments),
    Info(info::Arguments),
    Bench(bench::Arguments),
    Chat(chat::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(command: Command) -> Result<(), Failure> {
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = threads.block_on(async {
        match command {
            Command::Receive(arguments) => receive::run(arguments).await,
            Command::Send(arguments) => send::run(arguments).await,
            Command::Notifier(arguments) => notifier::run(arguments).await,
            Command::Ping(arguments) => ping::run(arguments).await,
            Command::Info(arguments) => info::run(arguments).await,
            Command::Bench(arguments) => bench::run(arguments).await,
            Command::Chat(arguments) => chat::run(arguments).await,
        }
    });
    // The lookup of a name may take half a minute more, and nobody waits for it.
    threads.shutdown_background();
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Arguments::try_parse_from(line.split(' ')).map(|arguments| arguments.command)
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_help_says_what_the_command_prints() {
        for command in Arguments::command().get_subcommands_mut() {
            let help = command.render_long_help().to_string();
            assert!(help.len() > 400, "{} has a short help", command.get_name());
        }
    }

    #[test]
    fn receive_creates_or_resumes_but_not_both() {
        const SERVER: &str = "smp://LcJUMfVhwD8yxjAiSaDzzGF3-kLG4Uh0Fl_ZIjrRwjI=@localhost:5223";
        assert!(parse(&format!("smp receive --server {SERVER}")).is_ok());
        assert!(parse(&format!("smp receive --server {SERVER} --save f --count 3 --json")).is_ok());
        assert!(parse("smp receive --resume f").is_ok());
        assert!(parse("smp receive").is_err());
        assert!(parse(&format!("smp receive --server {SERVER} --resume f")).is_err());
        assert!(parse("smp receive --resume f --save g").is_err());
        assert!(parse("smp receive --resume f --count x").is_err());
        assert!(parse("smp receive --server smp://nothing").is_err());
        assert!(parse("smp receive --server xftp://LcJUMfVhwD8yxjAiSaDzzGF3-kLG4Uh0Fl_ZIjrRwjI=@localhost").is_err());
    }

    #[test]
    fn others_take_what_their_help_says() {
        const SERVER: &str = "smp://LcJUMfVhwD8yxjAiSaDzzGF3-kLG4Uh0Fl_ZIjrRwjI=@localhost:5223";
        for line in [
            format!("smp ping {SERVER}"),
            format!("smp ping {SERVER} --count 10 --json"),
            format!("smp info {SERVER} --json"),
            format!("smp bench {SERVER} --connections 10 --queues 20 --rate 100 --size 500 --duration 5 --json"),
            format!("smp bench {SERVER} --rate unlimited"),
            format!("smp bench {SERVER} --idle --connections 1000 --server-pid 1"),
            "smp send --resume f text".into(),
            "smp send --resume f".into(),
            "smp notifier --resume f MCowBQYDK2VuAyEAPczoNHJA2y1_oVECI0rKexDkpp6dLAjWC_Jz2grsoig=".into(),
            "smp notifier --resume f --remove".into(),
        ] {
            assert!(parse(&line).is_ok(), "{line}");
        }
        assert!(parse("smp notifier --resume f").is_err());
        assert!(parse("smp notifier --resume f MCowBQYDK2VuAyEA").is_err());
        for line in ["smp ping", "smp info nothing", "smp send a b c", "smp bench --rate -1", "smp"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
