//! `smp chat`: conversations, for people and for other programs.

mod backend;
mod book;
mod content;
mod folder;
mod init;
mod input;
mod json;
mod live;
mod once;
mod output;
mod passphrase;
mod qr;
mod screen;
mod settings;
mod talk;
mod terminal;
mod tuning;

use std::io::{BufReader, stdin, stdout};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use smp_agent::policy::server::UserId;

use crate::failure::{Failure, INTERRUPTED, OTHER, USAGE};
use crate::progress::{Interrupts, note};
use backend::Events as _;
use book::Book;
use folder::Folder;
use live::Live;
use output::Output;
use screen::Screen;
use talk::{Flow, Links, Talk};
use tuning::Tuning;

/// The one user that this program has.
pub(crate) const USER: UserId = UserId(0);

/// Talk with people: end-to-end encrypted, over relays that know neither you nor them.
///
/// Without a subcommand, an interactive session: what is typed goes to the contact in front of the line, /help lists the
/// commands. Messages that arrived while the program did not run come first. Everything is kept in one file in the data
/// folder, encrypted with your passphrase, and nowhere else.
///
/// With --json, for another program: one JSON object on each line of standard input and output; docs/chat-json.md of the
/// source describes them.
///
/// Nobody knows who is online: not your contacts, nor the relays, nor this program. A single tick means that the relay of
/// the other side has the message, two that the other side has received it.
#[derive(Debug, Args)]
#[command(after_long_help = "EXAMPLES
  Begin, with your relay and another one that hides your IP address from others' relays:
      smp chat init --name Alice --server 'smp://FINGERPRINT@relay.example.com' --proxy 'smp://…@other.example.net'
  Make a link for one person, hand it to them, and talk:
      smp chat invite --short
      smp chat
  Use a link that somebody gave you:
      smp chat connect 'https://…'
  Move to another computer; do not use the old folder any more then:
      smp chat export conversations.export
      smp chat import conversations.export")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    talk: TalkArguments,
}

#[derive(Debug, Subcommand)]
enum What {
    Init(init::Arguments),
    Invite(once::Invite),
    Connect(once::Connect),
    /// Write all conversations to FILE, encrypted with the same passphrase, to import them elsewhere.
    ///
    /// After an import the folder they came from must not be used any more: its encryption keys and those of the import
    /// would run apart, and messages could not be read. An old export is no backup either, for the same reason: import
    /// it only if everything since then is lost.
    Export {
        /// Must not exist yet.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Make a data folder of an exported FILE.
    ///
    /// The folder it was exported from must not be used any more; see `smp chat export --help`.
    Import {
        /// What `smp chat export` wrote.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
struct TalkArguments {
    /// Talk JSON with another program, on standard input and output.
    #[arg(long)]
    json: bool,
    /// Do nothing by itself: events are acknowledged, and peers let in, by the other program only. `configure` changes it.
    #[arg(long, requires = "json")]
    manual: bool,
    /// Do not receive before the other program says so with `subscribe_all` or `subscribe`.
    #[arg(long, requires = "json")]
    no_subscribe: bool,
    #[command(flatten)]
    tuning: Tuning,
}

impl Arguments {
    /// Options of a session have no meaning for a subcommand, which may have the same ones itself.
    fn check(&self) -> Result<(), Failure> {
        if self.what.is_some() && (self.talk.json || self.talk.tuning != Tuning::default()) {
            let what = "options stand after the subcommand they are for, and --json is for a session without one";
            return Err(Failure::new(USAGE, what));
        }
        Ok(())
    }
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    arguments.check()?;
    let Arguments { what, folder, talk } = arguments;
    match what {
        Some(What::Init(arguments)) => init::run(&folder, arguments),
        Some(What::Invite(arguments)) => once::invite(&folder, arguments).await,
        Some(What::Connect(arguments)) => once::connect(&folder, arguments).await,
        Some(What::Export { file }) => {
            folder.export(&file)?;
            note(
                "after importing this elsewhere, do not use the old folder any more: the keys of both would run apart",
            );
            Ok(())
        }
        Some(What::Import { file }) => {
            folder.import(&file)?;
            note(format_args!("imported into {}", folder.path().display()));
            note("do not use the folder it came from any more: the keys of both would run apart");
            Ok(())
        }
        None if talk.json => json(&folder, talk).await,
        None => interactive(&folder, talk).await,
    }
}

/// A session of a person.
async fn interactive(folder: &Folder, arguments: TalkArguments) -> Result<(), Failure> {
    let mut interrupts = Interrupts::listen();
    let (storage, settings) = folder.open()?;
    let (live, mut events) = Live::start(storage.clone(), &settings, &arguments.tuning)?;
    let (mut screen, printer) = Screen::open()?;
    let links = Links::Here { columns: terminal::columns() };
    let mut talk = Talk::new(live.clone(), Book::new(storage), settings, links, printer);
    talk.begin(true).await?;
    talk.greet()?;
    let result = async {
        screen.prompt(talk.prompt()?);
        loop {
            tokio::select! {
                line = screen.line() => {
                    let flow = match line {
                        Some(input::Input::Line(line)) => talk.line(&line).await?,
                        Some(input::Input::Unreadable) => Flow::Continue,
                        None => Flow::Quit,
                    };
                    if flow == Flow::Quit {
                        return Ok(());
                    }
                    screen.prompt(talk.prompt()?);
                }
                event = events.next() => match event {
                    Some(event) => {
                        talk.event(event).await?;
                        // Where nothing stands in front of lines, the next line is any that comes from now on.
                        if !screen.shows_prompts() {
                            talk.prompt()?;
                        }
                    }
                    None => return Err(Failure::new(OTHER, "the agent stopped")),
                },
                () = interrupts.wait() => return Ok(()),
            }
        }
    }
    .await;
    drop(screen);
    live.stop().await;
    result
}

/// A session of another program.
async fn json(folder: &Folder, arguments: TalkArguments) -> Result<(), Failure> {
    let mut interrupts = Interrupts::listen();
    let (storage, settings) = folder.open()?;
    let (live, mut events) = Live::start(storage.clone(), &settings, &arguments.tuning)?;
    let mut lines = input::lines(BufReader::new(stdin()));
    let automatic = if arguments.manual { json::Automatic::NOTHING } else { json::Automatic::of(&settings) };
    let servers = settings::server_list(&settings.servers)?;
    let output = Output::new(stdout());
    let write = async |line: &serde_json::Value| output.line(line.to_string()).await;
    let mut session = json::Session::new(live.clone(), Book::new(storage), settings, automatic, write);
    session.begin(servers, !arguments.no_subscribe).await?;
    let result = tokio::select! {
        result = session.run(&mut lines, &mut events) => result,
        () = interrupts.wait() => Err(Failure::new(INTERRUPTED, "stopped")),
    };
    live.stop().await;
    result
}

#[cfg(test)]
mod tests;
