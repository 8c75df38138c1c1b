//! Relays that are killed at random while people talk.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::RngExt;
use smp_agent::command::Command;
use smp_agent::policy::back_off::{RetryInterval, RetryIntervals};
use smp_agent::policy::integrity::Integrity;
use smp_agent::policy::routing::{Fallback, ProxyMode};
use smp_agent::{ConnectionId, EventKind};
use smp_std::agent::{AgentOptions, Events};
use tokio::task::block_in_place;
use tokio::time::{sleep, timeout};

use crate::person::{Agent, Person, connect, servers};
use crate::relay::Relay;

/// What has to arrive after everything works again.
const PATIENCE: Duration = Duration::from_secs(120);

/// Tries again soon, so that a short story sees many attempts.
fn options() -> AgentOptions {
    let mut options = AgentOptions::default();
    let interval = RetryInterval { initial: 100, after: 1_000, max: 1_000 };
    options.configuration.delivery = RetryIntervals { fast: interval, slow: interval };
    options.configuration.reconnect = interval;
    options.configuration.routing.mode = ProxyMode::Always;
    options.configuration.routing.fallback = Fallback::No;
    options.client.connect_time_out = Duration::from_secs(5);
    options.client.handshake_time_out = Duration::from_secs(5);
    options.client.response_time_out = Duration::from_secs(3);
    options
}

/// Sends numbers until time is up, and tells how many.
async fn talk(agent: Agent, connection: ConnectionId, until: Instant) -> u32 {
    let mut number = 0_u32;
    while Instant::now() < until {
        let body = number.to_be_bytes().to_vec();
        agent.command(Command::Send { connection, body, notify: false }).await.unwrap();
        number += 1;
        let pause = rand::rng().random_range(0..150);
        sleep(Duration::from_millis(pause)).await;
    }
    number
}

/// Takes `count` numbers, which must come in order, once, with every message continuing the last one.
async fn listen(agent: Agent, mut events: Events, count: tokio::sync::watch::Receiver<Option<u32>>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut count = count;
    loop {
        if *count.borrow_and_update() == Some(outcome.received) {
            return outcome;
        }
        let patience = if count.borrow().is_some() { PATIENCE } else { Duration::from_secs(3600) };
        let event = tokio::select! {
            event = timeout(patience, events.next()) => event.unwrap_or_else(|_| panic!("{outcome:?}")).unwrap(),
            _ = count.changed() => continue,
        };
        let mut receipt = None;
        match event.kind {
            EventKind::Message { message, .. } => {
                assert_eq!(message.integrity, Integrity::Ok, "after {}", outcome.received);
                assert_eq!(message.body.0, outcome.received.to_be_bytes());
                outcome.received += 1;
                receipt = (outcome.received % 10 == 0).then(Vec::new);
            }
            EventKind::Receipt { intact, .. } => {
                assert!(intact);
                outcome.receipts += 1;
            }
            EventKind::Sent { .. } => outcome.sent += 1,
            kind => {
                let text = format!("{kind:?}");
                let name = text.split([' ', '(']).next().unwrap_or_default().to_owned();
                assert!(!["NotSent", "Failed", "Ratchet", "QueueDeleted"].contains(&name.as_str()), "{text}");
                *outcome.others.entry(name).or_default() += 1;
            }
        }
        if let Some(event) = event.id {
            agent.command(Command::Acknowledge { event, receipt }).await.unwrap();
        }
    }
}

#[derive(Debug, Default)]
struct Outcome {
    received: u32,
    sent: u32,
    receipts: u32,
    others: BTreeMap<String, u32>,
}

/// Kills one of the relays after another, and starts it again after a while.
async fn break_things(relays: &mut [Relay], until: Instant) -> u32 {
    let mut times = 0;
    while Instant::now() < until {
        let (pause, outage) = (rand::rng().random_range(200..2_500), rand::rng().random_range(0..1_500));
        sleep(Duration::from_millis(pause)).await;
        let unlucky = rand::rng().random_range(0..relays.len());
        block_in_place(|| relays[unlucky].kill());
        sleep(Duration::from_millis(outage)).await;
        block_in_place(|| relays[unlucky].start_again());
        times += 1;
    }
    times
}

async fn relays_are_killed_while_people_talk(duration: Duration) {
    let mut relays = [1, 2, 3].map(Relay::start);
    let [one, other, proxy] = [0, 1, 2].map(|index: usize| relays[index].server());
    let mut alice = Person::start(options(), servers(&[&one], &[&proxy])).await;
    let mut bob = Person::start(options(), servers(&[&other], &[&proxy])).await;
    let (at_alice, at_bob) = connect(&mut alice, &mut bob).await;
    let until = Instant::now() + duration;
    let (from_alice, to_bob) = tokio::sync::watch::channel(None);
    let (from_bob, to_alice) = tokio::sync::watch::channel(None);
    let talks = [(&alice, at_alice, from_alice), (&bob, at_bob, from_bob)].map(|(person, connection, count)| {
        let agent = person.agent.clone();
        tokio::spawn(async move {
            let said = talk(agent, connection, until).await;
            count.send(Some(said)).unwrap();
            said
        })
    });
    let agents = [alice.agent.clone(), bob.agent.clone()];
    let listening = [
        tokio::spawn(listen(alice.agent, alice.events, to_alice)),
        tokio::spawn(listen(bob.agent, bob.events, to_bob)),
    ];
    let times = break_things(&mut relays, until).await;
    let mut said = Vec::new();
    for talk in talks {
        said.push(talk.await.unwrap());
    }
    for (listening, said) in listening.into_iter().zip(said.into_iter().rev()) {
        let outcome = listening.await.unwrap();
        println!("{times} times a relay was killed: of {said} messages {outcome:?}");
        assert_eq!(outcome.received, said);
    }
    for agent in agents {
        agent.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_relays_are_killed() {
    relays_are_killed_while_people_talk(Duration::from_secs(12)).await;
}

/// `cargo test --release -p smp-std --test conversations -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes ten minutes"]
async fn nothing_is_lost_when_relays_are_killed_for_ten_minutes() {
    relays_are_killed_while_people_talk(Duration::from_secs(600)).await;
}
