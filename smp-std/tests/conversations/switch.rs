//! Conversations whose receive queues move to another relay.

use std::time::Duration;

use smp_agent::command::Command;
use smp_agent::error::Refusal;
use smp_agent::event::SwitchPhase;
use smp_agent::policy::integrity::Integrity;
use smp_agent::policy::server::Server;
use smp_agent::{ConnectionId, EventKind};
use smp_std::agent::{AgentOptions, CommandError};
use tokio::time::{sleep, timeout};

use crate::person::{PATIENCE, Person, connect, servers};
use crate::relay::Relay;

impl Person {
    /// Waits until a move is complete and so many messages have come; gives them, and the relays of that direction.
    async fn moved_and_told(&mut self, ours: bool, count: usize) -> (Vec<Vec<u8>>, Vec<Server>) {
        let (mut messages, mut relays) = (Vec::new(), None);
        self.until(|kind| {
            match kind {
                EventKind::Switch { receiving, phase: SwitchPhase::Completed, servers, .. } => {
                    assert_eq!((*receiving, relays.replace(servers.clone())), (ours, None));
                }
                EventKind::Message { message, .. } => {
                    assert_eq!(message.integrity, Integrity::Ok);
                    messages.push(message.body.0.clone());
                }
                _ => {}
            }
            relays.clone().filter(|_| messages.len() == count)
        })
        .await;
        (messages, relays.unwrap_or_default())
    }

    /// Waits until a move is given up; gives the relays that receive.
    async fn stayed(&mut self) -> Vec<Server> {
        self.until(|kind| match kind {
            EventKind::Switch { receiving: true, phase: SwitchPhase::Aborted, servers, .. } => Some(servers.clone()),
            _ => None,
        })
        .await
    }
}

/// Both say something, which arrives in order.
async fn talk(people: [(&mut Person, ConnectionId); 2], number: u8) {
    let [(alice, at_alice), (bob, at_bob)] = people;
    for part in 0..3 {
        alice.send(at_alice, vec![number, part]).await;
        bob.send(at_bob, vec![number, part]).await;
    }
    for part in 0..3 {
        assert_eq!(bob.message().await, [number, part]);
        assert_eq!(alice.message().await, [number, part]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_leaves_a_relay_that_is_then_not_needed_any_more() {
    let (mut first, second, others) = (Relay::start(1), Relay::start(2), Relay::start(3));
    let mut alice = Person::start(AgentOptions::default(), servers(&[&first.server()], &[])).await;
    let mut bob = Person::start(AgentOptions::default(), servers(&[&others.server()], &[])).await;
    let (at_alice, at_bob) = connect(&mut alice, &mut bob).await;
    talk([(&mut alice, at_alice), (&mut bob, at_bob)], 1).await;

    alice.use_servers(servers(&[&second.server()], &[])).await;
    // Sent while the queue moves, in both directions.
    bob.send(at_bob, b"before".to_vec()).await;
    alice.agent.command(Command::Switch { connection: at_alice }).await.unwrap();
    let again = alice.agent.command(Command::Switch { connection: at_alice }).await;
    assert!(matches!(again, Err(CommandError::Refused(Refusal::Prohibited))), "{again:?}");
    bob.send(at_bob, b"meanwhile".to_vec()).await;
    alice.send(at_alice, b"moving".to_vec()).await;
    // Both listen: a message that nobody took keeps those behind it at the relay, and with them the move.
    let (at_alices, at_bobs) = tokio::join!(alice.moved_and_told(true, 2), bob.moved_and_told(false, 1));
    assert_eq!(at_alices.0, [&b"before"[..], b"meanwhile"]);
    assert!(at_alices.1.contains(&second.server()));
    assert_eq!(at_bobs, (vec![b"moving".to_vec()], vec![second.server()]));
    talk([(&mut alice, at_alice), (&mut bob, at_bob)], 2).await;
    // The old queue is given up when it is seen to be empty.
    let given_up = async {
        loop {
            let summary = alice.agent.connection(at_alice).await.unwrap().unwrap();
            if summary.receiving == [second.server()] {
                return summary.sending;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    assert_eq!(timeout(PATIENCE, given_up).await.expect("the old queue is given up"), [others.server()]);

    first.kill();
    talk([(&mut alice, at_alice), (&mut bob, at_bob)], 3).await;
    let summary = bob.agent.connection(at_bob).await.unwrap().unwrap();
    assert_eq!(summary.sending, [second.server()]);
}

/// The relay that the queue shall move to is not there: the move is given up, and nothing is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_to_a_relay_that_does_not_answer_is_given_up() {
    let (first, mut second, others) = (Relay::start(1), Relay::start(2), Relay::start(3));
    let mut alice = Person::start(AgentOptions::default(), servers(&[&first.server()], &[])).await;
    let mut bob = Person::start(AgentOptions::default(), servers(&[&others.server()], &[])).await;
    let (at_alice, at_bob) = connect(&mut alice, &mut bob).await;
    let abort = || Command::AbortSwitch { connection: at_alice };
    let early = alice.agent.command(abort()).await;
    assert!(matches!(early, Err(CommandError::Refused(Refusal::Prohibited))), "{early:?}");
    let gone = second.server();
    second.kill();
    alice.use_servers(servers(&[&gone], &[])).await;
    alice.agent.command(Command::Switch { connection: at_alice }).await.unwrap();
    alice.agent.command(abort()).await.unwrap();
    assert_eq!(alice.stayed().await, [first.server()]);
    // What is sent would go through it, too.
    alice.use_servers(servers(&[&first.server()], &[])).await;
    talk([(&mut alice, at_alice), (&mut bob, at_bob)], 1).await;
    assert_eq!(alice.agent.connection(at_alice).await.unwrap().unwrap().receiving, [first.server()]);
}
