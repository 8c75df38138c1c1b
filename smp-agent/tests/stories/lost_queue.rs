//! A relay loses a queue while it goes on, and its recipient learns of it with the next acknowledgement.

use crate::support::stories::{A, B, by_hand, two_parties};
use crate::support::{Fault, Manners, World};
use smp_agent::command::{Command, ConnectionOptions};
use smp_agent::error::ConnectionError;
use smp_agent::event::EventKind;
use smp_agent::id::ConnectionId;
use smp_agent::request::{Failure, Reason};
use smp_agent::time::{DAY, HOUR, MINUTE};

fn failures(world: &World, party: usize, connection: ConnectionId) -> Vec<ConnectionError> {
    let kinds = world.parties[party].app.of(connection);
    let failures = kinds.filter_map(|kind| match kind {
        EventKind::Failed { error, .. } => Some(*error),
        _ => None,
    });
    failures.collect()
}

fn commands(world: &World, party: usize, command: &str) -> usize {
    world.parties[party].transcript.sent().filter(|sent| sent.command == command).count()
}

fn world(seed: u64, relays: &[usize]) -> World {
    two_parties(seed, |party, setup| {
        if party == A {
            setup.relays = relays.to_vec();
        }
        setup.manners = Manners { allow: true, expects_failures: true, ..by_hand() };
    })
}

/// A acknowledges what came last.
fn acknowledge(world: &mut World, connection: ConnectionId) {
    let event = world.parties[A].app.messages(connection).last().unwrap().0;
    world.command(A, Command::Acknowledge { event, receipt: None });
}

#[test]
fn the_only_queue_is_lost_and_that_is_told_once() {
    let mut world = world(1, &[A]);
    let pair = world.connect(ConnectionOptions::default());
    let connection = pair.connections[A];
    world.tell(pair, B, "hello");
    world.run_for(MINUTE);
    world.at(world.now, Fault::LosesEverything(A));
    world.run_for(HOUR);
    assert_eq!(failures(&world, A, connection), [], "nothing was asked");
    acknowledge(&mut world, connection);
    world.run_until_within(MINUTE, |world| !failures(world, A, connection).is_empty());
    let subscriptions = commands(&world, A, "SUB");
    world.at(world.now, Fault::Disconnects(A));
    world.run_for(DAY);
    assert_eq!(failures(&world, A, connection), [ConnectionError::Relay(Failure::of_relay(Reason::NotAuthorized))]);
    assert_eq!((commands(&world, A, "SUB"), commands(&world, A, "ACK")), (subscriptions, 2));
    // The other direction goes on.
    world.tell(pair, A, "still here");
}

#[test]
fn another_queue_takes_the_place_of_a_lost_one_at_once() {
    let mut world = world(2, &[0, 2]);
    world.parties[A].app.manners.acknowledge_messages = true;
    let pair = world.connect(ConnectionOptions { receive_queues: 2, ..ConnectionOptions::default() });
    let connection = pair.connections[A];
    for number in 0..3 {
        world.tell(pair, B, &format!("{number}"));
    }
    world.run_until_quiet();
    world.parties[A].app.manners.acknowledge_messages = false;
    world.tell(pair, B, "held");
    world.run_for(MINUTE);
    world.at(world.now, Fault::LosesEverything(0));
    world.run_for(1);
    acknowledge(&mut world, connection);
    world.parties[A].app.manners.acknowledge_messages = true;
    world.run_for(5 * MINUTE);
    assert_eq!(failures(&world, A, connection), []);
    let both = world.relays[0].relay.queues().count() + world.relays[2].relay.queues().count();
    assert_eq!(both, 2, "there are two again");
    for number in 3..6 {
        world.tell(pair, B, &format!("{number}"));
    }
    assert_eq!(world.texts(pair, A), ["0", "1", "2", "held", "3", "4", "5"]);
}

#[test]
fn a_connection_that_is_deleted_meanwhile_is_deleted() {
    for moment in [0, 1, 50, 150, 300] {
        let mut world = world(3, &[A]);
        let pair = world.connect(ConnectionOptions::default());
        let connection = pair.connections[A];
        world.tell(pair, B, "hello");
        world.run_for(MINUTE);
        world.at(world.now, Fault::LosesEverything(A));
        world.run_for(1);
        acknowledge(&mut world, connection);
        world.run_for(moment);
        world.command(A, Command::Delete { connection, deliver_first: false });
        let deleted = |kind: &EventKind| matches!(kind, EventKind::Deleted { .. });
        world.run_until(|world| world.parties[A].app.of(connection).any(deleted));
        world.run_until_quiet();
        assert!(failures(&world, A, connection).len() <= 1);
    }
}
