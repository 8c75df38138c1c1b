//! People who talk: agents over real relays, which are killed and come back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod faults;
mod lifecycle;
mod person;
#[path = "../common/program.rs"]
mod program;
mod relay;
mod requests;
mod short_links;
mod socks;
mod switch;

use smp_std::agent::AgentOptions;

use person::{Person, connect, servers};
use relay::Relay;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_talk_over_two_relays() {
    let (one, other) = (Relay::start(1), Relay::start(2));
    let mut alice = Person::start(AgentOptions::default(), servers(&[&one.server()], &[])).await;
    let mut bob = Person::start(AgentOptions::default(), servers(&[&other.server()], &[])).await;
    let (at_alice, at_bob) = connect(&mut alice, &mut bob).await;
    for number in 0..20_u32 {
        alice.send(at_alice, format!("from Alice {number}").into_bytes()).await;
        bob.send(at_bob, format!("from Bob {number}").into_bytes()).await;
    }
    for number in 0..20 {
        assert_eq!(bob.message().await, format!("from Alice {number}").into_bytes());
        assert_eq!(alice.message().await, format!("from Bob {number}").into_bytes());
    }
    alice.agent.stop().await.unwrap();
    bob.agent.stop().await.unwrap();
}
