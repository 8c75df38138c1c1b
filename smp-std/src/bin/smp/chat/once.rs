//! `smp chat invite` and `smp chat connect`: one step of a conversation each, without a session.

use std::time::Duration;

use clap::Args;
use smp_agent::storage::Storage;
use smp_agent::{ConnectionId, EventKind, PostQuantum};

use super::backend::{Commands, Events};
use super::book::Book;
use super::folder::Folder;
use super::live::Live;
use super::talk::{InviteOptions, Links, Talk};
use super::tuning::Tuning;
use super::{qr, terminal};
use crate::failure::{Failure, INTERRUPTED, OTHER, REFUSED};
use crate::progress::{Interrupts, note};

/// How long to wait silently.
const SILENCE: Duration = Duration::from_secs(10);

/// Make a link for one person. It is printed on standard output, and on a terminal as a QR code, too.
///
/// The link can be used once. Whoever uses it first is the other side, so hand it over where nobody else can read it, and
/// compare the code of /verify in a session if you are not sure.
#[derive(Debug, Args)]
pub(crate) struct Invite {
    /// What you will call them; otherwise they are called what they say.
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Put the key against quantum computers into the link: the first message is safe already, and the link is 1.6 KB
    /// longer. With --short it does not get longer. Without, the key follows with the answer.
    #[arg(long)]
    pq: bool,
    /// Make a short link: its content is at your relay, encrypted, and read from there. Needs a relay of version 15.
    #[arg(long)]
    short: bool,
    /// Make the link without a network. It leads nowhere until a later smp chat has reached your relay, which needs
    /// version 15: do not hand it over to somebody who is quicker than you.
    #[arg(long, conflicts_with_all = ["short", "wait"])]
    offline: bool,
    /// Wait until somebody used it and both sides are connected.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    tuning: Tuning,
}

/// Use a link that somebody gave you.
///
/// Ends when the other side's relay has your answer; smp chat goes on from there. The link is the last thing that is
/// needed: the other side need not be there.
#[derive(Debug, Args)]
pub(crate) struct Connect {
    /// The link, full or short, in quotes.
    #[arg(value_name = "LINK")]
    link: String,
    /// What you will call them; otherwise they are called what they say.
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Wait until both sides are connected.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    tuning: Tuning,
}

/// How far to wait.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    Prepared,
    Link,
    Joined,
    Connected,
}

pub(crate) async fn invite(folder: &Folder, arguments: Invite) -> Result<(), Failure> {
    let until = match (arguments.offline, arguments.wait) {
        (true, _) => Until::Prepared,
        (false, true) => Until::Connected,
        (false, false) => Until::Link,
    };
    let post_quantum = if arguments.pq { PostQuantum::InLink } else { PostQuantum::default() };
    let options = InviteOptions { post_quantum, short: arguments.short, prepared: arguments.offline };
    let name = arguments.name.unwrap_or_default();
    step(folder, &arguments.tuning, until, async |talk| talk.invite(options, &name).await).await
}

pub(crate) async fn connect(folder: &Folder, arguments: Connect) -> Result<(), Failure> {
    let until = if arguments.wait { Until::Connected } else { Until::Joined };
    let name = arguments.name.unwrap_or_default();
    step(folder, &arguments.tuning, until, async |talk| talk.connect(&arguments.link, &name).await).await
}

type LiveTalk = Talk<Live, smp_std::agent::store::SqliteStorage, fn(String)>;

async fn step(
    folder: &Folder,
    tuning: &Tuning,
    until: Until,
    begin: impl AsyncFnOnce(&mut LiveTalk) -> Result<Option<ConnectionId>, Failure>,
) -> Result<(), Failure> {
    let mut interrupts = Interrupts::listen();
    let (storage, settings) = folder.open()?;
    let (live, mut events) = Live::start(storage.clone(), &settings, tuning)?;
    let print: fn(String) = |text| note(text);
    let mut talk = Talk::new(live.clone(), Book::new(storage), settings, Links::Elsewhere, print);
    let result = async {
        talk.begin(false).await?;
        let connection = begin(&mut talk).await?;
        // What is refused was told already.
        let connection = connection.ok_or_else(|| Failure::new(REFUSED, ""))?;
        let mut link = |link: &str| {
            say!("{link}");
            if let Some(code) = terminal::columns().and_then(|columns| qr::qr_code(link, columns)) {
                say!("{code}");
            }
        };
        tokio::select! {
            result = follow(&mut talk, &mut events, connection, until, &mut link) => result,
            () = interrupts.wait() => Err(Failure::new(INTERRUPTED, "stopped")),
        }
    }
    .await;
    live.stop().await;
    result
}

/// Takes events until the connection is that far.
async fn follow<C: Commands, S: Storage, P: FnMut(String)>(
    talk: &mut Talk<C, S, P>,
    events: &mut impl Events,
    connection: ConnectionId,
    until: Until,
    link: &mut impl FnMut(&str),
) -> Result<(), Failure> {
    let mut told = false;
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = tokio::time::sleep(SILENCE), if !told && until != Until::Connected => {
                told = true;
                note("the relay does not answer yet; Ctrl-C stops, and smp chat goes on with it later");
                continue;
            }
        };
        let event = event.ok_or_else(|| Failure::new(OTHER, "the agent stopped"))?;
        let ours = event.kind.connection() == Some(connection);
        let reached = match &event.kind {
            EventKind::LinkPrepared { links, .. } if ours => {
                link(&links.full);
                until == Until::Prepared
            }
            EventKind::LinkReady { links, .. } if ours => {
                link(links.short.as_ref().unwrap_or(&links.full));
                Until::Link == until
            }
            EventKind::Joined { .. } if ours => until == Until::Joined,
            EventKind::Connected { .. } if ours => true,
            _ => false,
        };
        let failed = match &event.kind {
            // Why was told already.
            EventKind::Failed { .. } if ours => Some(Failure::new(REFUSED, "")),
            _ => None,
        };
        talk.event(event).await?;
        if let Some(failure) = failed {
            return Err(failure);
        }
        if reached {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
