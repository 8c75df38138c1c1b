//! Contact addresses: several people ask at one, with the full link.

use smp_agent::command::{Command, ConnectionOptions};
use smp_agent::error::Refusal;
use smp_agent::{ConnectionId, EventKind, InvitationId};
use smp_std::agent::{AgentOptions, CommandError};

use crate::person::{Person, USER, servers};
use crate::relay::Relay;

/// Asks at an address under a name.
async fn ask(person: &Person, link: &str, name: &str) -> ConnectionId {
    let options = ConnectionOptions::default();
    person.connection(Command::Join { user: USER, link: link.into(), info: name.into(), options }).await
}

/// The next request at an address, and who it is from.
async fn request(person: &mut Person, address: ConnectionId) -> (InvitationId, Vec<u8>) {
    person
        .until(|kind| match kind {
            EventKind::Request { connection, invitation, info, .. } => {
                assert_eq!(*connection, address);
                Some((*invitation, info.0.clone()))
            }
            _ => None,
        })
        .await
}

async fn connected(person: &mut Person, connection: ConnectionId) {
    person
        .until(|kind| matches!(kind, EventKind::Connected { connection: id, .. } if *id == connection).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_ask_at_an_address_are_accepted_or_not_each_for_themselves() {
    let (one, other) = (Relay::start(1), Relay::start(2));
    let mut alice = Person::start(AgentOptions::default(), servers(&[&one.server()], &[])).await;
    let mut bob = Person::start(AgentOptions::default(), servers(&[&other.server()], &[])).await;
    let mut carol = Person::start(AgentOptions::default(), servers(&[&other.server()], &[])).await;
    let address = alice.connection(Command::CreateAddress { user: USER, link: None }).await;
    let link = alice
        .until(|kind| match kind {
            EventKind::LinkReady { links, .. } => Some(links.full.clone()),
            _ => None,
        })
        .await;

    // Mallory is told nothing.
    ask(&carol, &link, "Mallory").await;
    let (unwanted, name) = request(&mut alice, address).await;
    assert_eq!(name, b"Mallory");
    alice.agent.command(Command::Reject { invitation: unwanted }).await.unwrap();
    let options = ConnectionOptions::default();
    let accept = |invitation| Command::Accept { invitation, info: b"Alice".to_vec(), options };
    let late = alice.agent.command(accept(unwanted)).await;
    assert!(matches!(late, Err(CommandError::Refused(Refusal::NoInvitation))), "{late:?}");

    let mut conversations = Vec::new();
    for (person, name) in [(&mut bob, "Bob"), (&mut carol, "Carol")] {
        let asking = ask(person, &link, name).await;
        let (invitation, who) = request(&mut alice, address).await;
        assert_eq!(who, name.as_bytes());
        let accepted = alice.connection(accept(invitation)).await;
        let let_in = person
            .until(|kind| match kind {
                EventKind::Confirmation { connection, info, .. } => {
                    assert_eq!(info.0, b"Alice");
                    Some(*connection)
                }
                _ => None,
            })
            .await;
        assert_eq!(let_in, asking);
        person.agent.command(Command::Allow { connection: asking, info: name.into() }).await.unwrap();
        connected(person, asking).await;
        connected(&mut alice, accepted).await;
        conversations.push((accepted, asking));
    }
    // Once it is gone, nobody can ask any more, and who was accepted stays.
    alice.agent.command(Command::Delete { connection: address, deliver_first: false }).await.unwrap();
    alice.until(|kind| matches!(kind, EventKind::Deleted { .. }).then_some(())).await;
    for (person, (accepted, asking)) in [&mut bob, &mut carol].into_iter().zip(conversations) {
        alice.send(accepted, b"hello".to_vec()).await;
        assert_eq!(person.message().await, b"hello");
        person.send(asking, b"hello to you".to_vec()).await;
        assert_eq!(alice.message().await, b"hello to you");
    }
    let late = ask(&bob, &link, "Bob again").await;
    loop {
        let event = bob.next().await;
        if let EventKind::Failed { connection, .. } = event.kind {
            assert_eq!(connection, late);
            return;
        }
    }
}
