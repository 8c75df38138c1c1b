use smp_agent::event::{Content, Links as LinkTexts};
use smp_agent::storage::MemoryStorage;
use smp_agent::{Command, ConnectionError, Event, EventId, Reply};
use tokio::sync::mpsc;

use super::super::backend::double::{self, Script};
use super::super::settings::tests::settings;
use super::*;

const OURS: ConnectionId = ConnectionId::from_bytes([1; 12]);
const OTHER: ConnectionId = ConnectionId::from_bytes([2; 12]);

/// How many of the events are taken until the connection is that far, the links that were shown, and the result.
async fn steps(until: Until, kinds: Vec<EventKind>) -> (usize, Vec<String>, Result<(), u8>) {
    let script: Script = vec![Ok(Reply::Connection(OURS))].into();
    let (commands, log) = double::commands(script);
    let book = Book::new(MemoryStorage::default());
    let mut talk = Talk::new(commands, book, settings(), Links::Elsewhere, |_: String| {});
    let connection = talk.invite(InviteOptions::default(), "").await.unwrap().unwrap();
    let (sender, _input) = mpsc::channel(1);
    let events = kinds.into_iter().zip(1..).map(|(kind, id)| Event { id: Some(EventId(id)), kind }).collect();
    let mut shown = Vec::new();
    let mut events = double::events(events, sender);
    let mut show = |link: &str| shown.push(link.to_owned());
    let result = follow(&mut talk, &mut events, connection, until, &mut show).await;
    let taken = log.take().iter().filter(|command| matches!(command, Command::Acknowledge { .. })).count();
    (taken, shown, result.map_err(|failure| failure.code()))
}

fn ready(connection: ConnectionId, short: Option<&str>) -> EventKind {
    let links = LinkTexts { full: "full".into(), short: short.map(str::to_owned) };
    EventKind::LinkReady { connection, links }
}

fn prepared(connection: ConnectionId) -> EventKind {
    let links = LinkTexts { full: "full".into(), short: None };
    EventKind::LinkPrepared { connection, links }
}

fn connected(connection: ConnectionId) -> EventKind {
    EventKind::Connected { connection, post_quantum: true, version: 7 }
}

#[tokio::test]
async fn the_link_is_shown_and_others_events_are_not_lost() {
    let info = EventKind::Info { connection: OTHER, info: Content(b"bob".to_vec()) };
    let story = vec![ready(OTHER, None), info, ready(OURS, Some("short")), connected(OTHER), connected(OURS)];
    let (taken, shown, result) = steps(Until::Link, story.clone()).await;
    assert_eq!((taken, shown, result), (3, vec!["short".to_owned()], Ok(())));
    let (taken, _, result) = steps(Until::Connected, story).await;
    assert_eq!((taken, result), (5, Ok(())));
}

#[tokio::test]
async fn what_fails_is_not_waited_for() {
    let failed = EventKind::Failed { connection: OURS, error: ConnectionError::NotAvailable };
    let (_, shown, result) = steps(Until::Joined, vec![ready(OURS, None), failed, connected(OURS)]).await;
    assert_eq!((shown, result), (vec!["full".to_owned()], Err(REFUSED)));
}

#[tokio::test]
async fn a_link_that_is_prepared_is_not_waited_for() {
    let story = vec![prepared(OTHER), prepared(OURS), ready(OURS, Some("short"))];
    let (taken, shown, result) = steps(Until::Prepared, story).await;
    assert_eq!((taken, shown, result), (2, vec!["full".to_owned()], Ok(())));
}
