//! Agents that stop, fail and start again.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use smp_agent::command::Command;
use smp_agent::error::Refusal;
use smp_agent::storage::{Change, MemoryStorage, Record, Storage};
use smp_agent::{ConnectionState, EventKind};
use smp_std::agent::{AgentFailure, AgentOptions, CommandError};

use crate::person::{Person, USER, connect, in_time, servers};
use crate::relay::Relay;

/// Survives its agent, and fails when it is told to.
#[derive(Clone, Default)]
pub(crate) struct Kept {
    records: Arc<Mutex<MemoryStorage>>,
    broken: Arc<AtomicBool>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the disk is full")
    }
}

impl std::error::Error for Broken {}

impl Storage for Kept {
    type Error = Broken;

    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Broken> {
        self.records.lock().get(key).map_err(|never| match never {})
    }

    fn scan(&mut self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Record>, Broken> {
        self.records.lock().scan(prefix, after, limit).map_err(|never| match never {})
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), Broken> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(Broken);
        }
        self.records.lock().commit(changes).map_err(|never| match never {})
    }
}

fn failed(error: &CommandError) -> bool {
    matches!(error, CommandError::Failed(AgentFailure::Storage(_))) && error.to_string().contains("the disk is full")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conversations_go_on_when_agents_start_again() {
    let (one, other) = (Relay::start(1), Relay::start(2));
    let storages = [Kept::default(), Kept::default()];
    let [mut alice, mut bob] = storages.clone().map(|storage| Person::begin(storage, AgentOptions::default()));
    alice.use_servers(servers(&[&one.server()], &[])).await;
    bob.use_servers(servers(&[&other.server()], &[])).await;
    let (at_alice, at_bob) = connect(&mut alice, &mut bob).await;
    for round in 0..3_u8 {
        // Written while nobody is there, and while this agent stops.
        bob.agent.stop().await.unwrap();
        alice.send(at_alice, vec![round, 1]).await;
        alice.send(at_alice, vec![round, 2]).await;
        alice.agent.stop().await.unwrap();
        [alice, bob] = storages.clone().map(|storage| Person::begin(storage, AgentOptions::default()));
        for person in [&alice, &bob] {
            person.agent.command(Command::SubscribeAll).await.unwrap();
        }
        assert_eq!(bob.message().await, [round, 1]);
        assert_eq!(bob.message().await, [round, 2]);
        bob.send(at_bob, vec![round]).await;
        assert_eq!(alice.message().await, [round]);
        assert_eq!(bob.agent.connections().await.unwrap(), [(at_bob, USER)]);
        let summary = bob.agent.connection(at_bob).await.unwrap().unwrap();
        assert_eq!(summary.state, ConnectionState::Connected);
        assert_eq!(summary.receiving, [other.server()]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storage_that_fails_ends_the_agent_with_a_clear_word() {
    let storage = Kept::default();
    let mut alice = Person::begin(storage.clone(), AgentOptions::default());
    let relay = Relay::start(1);
    alice.use_servers(servers(&[&relay.server()], &[])).await;
    let invite = || Command::Invite { user: USER, options: Default::default(), link: None };
    let connection = alice.connection(invite()).await;
    let refused = alice.agent.command(Command::Switch { connection }).await.unwrap_err();
    assert!(matches!(refused, CommandError::Refused(Refusal::Prohibited)), "{refused:?}");

    storage.broken.store(true, Ordering::SeqCst);
    let mut ended = alice.agent.command(invite()).await.unwrap_err();
    assert!(failed(&ended), "{ended:?}");
    ended = alice.agent.command(invite()).await.unwrap_err();
    assert!(failed(&ended), "{ended:?}");
    ended = alice.agent.connections().await.unwrap_err();
    assert!(failed(&ended), "{ended:?}");
    while in_time(alice.events.next()).await.is_some() {}
    assert!(matches!(alice.agent.stop().await, Err(AgentFailure::Storage(_))));

    // What was said before is still true.
    storage.broken.store(false, Ordering::SeqCst);
    let alice = Person::begin(storage, AgentOptions::default());
    assert_eq!(alice.agent.connections().await.unwrap(), [(connection, USER)]);
    let other = alice.agent.clone();
    alice.agent.stop().await.unwrap();
    assert!(matches!(other.connections().await, Err(CommandError::Stopped)));
    other.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_that_does_not_listen_stops_nobody() {
    let (one, other) = (Relay::start(1), Relay::start(2));
    let deaf = AgentOptions { events: 1, ..AgentOptions::default() };
    let mut alice = Person::start(deaf, servers(&[&one.server()], &[])).await;
    let mut bob = Person::start(AgentOptions::default(), servers(&[&other.server()], &[])).await;
    let (at_alice, _) = connect(&mut alice, &mut bob).await;
    for number in 0..40 {
        alice.send(at_alice, vec![number]).await;
    }
    for number in 0..40 {
        assert_eq!(bob.message().await, [number]);
    }
    let mut sent = 0;
    while sent < 40 {
        alice.until(|kind| matches!(kind, EventKind::Sent { .. }).then_some(())).await;
        sent += 1;
    }
    // Nobody listens any more.
    let Person { agent, events } = alice;
    drop(events);
    agent.command(Command::Send { connection: at_alice, body: vec![99], notify: true }).await.unwrap();
    assert_eq!(bob.message().await, [99]);
    agent.stop().await.unwrap();
}
