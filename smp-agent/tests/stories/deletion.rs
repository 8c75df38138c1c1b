//! Connections are deleted: their queues are gone from their relays, and nothing of them stays here.

use crate::support::party::Setup;
use crate::support::stories::{A, B, by_hand, two_parties};
use crate::support::{Cut, Fault, Manners, World};
use smp_agent::command::{Command, ConnectionOptions};
use smp_agent::error::Refusal;
use smp_agent::event::{DeliveryProblem, EventKind};
use smp_agent::id::ConnectionId;
use smp_agent::request::Reason;
use smp_agent::storage::Storage;
use smp_agent::time::{DAY, HOUR, MINUTE, SECOND};

fn world(seed: u64) -> World {
    two_parties(seed, |_, setup| setup.manners.expects_failures = true)
}

fn delete(world: &mut World, party: usize, connection: ConnectionId, deliver_first: bool) {
    world.command(party, Command::Delete { connection, deliver_first });
}

/// What was told of a deletion.
fn deleted(world: &World, party: usize, connection: ConnectionId) -> Option<usize> {
    let mut told = world.parties[party].app.of(connection).filter_map(|kind| match kind {
        EventKind::Deleted { failures, .. } => Some(failures.len()),
        _ => None,
    });
    let first = told.next();
    assert_eq!(told.next(), None, "told once");
    first
}

fn until_deleted(world: &mut World, party: usize, connection: ConnectionId) -> usize {
    world.run_until(|world| deleted(world, party, connection).is_some());
    deleted(world, party, connection).unwrap()
}

/// How many records there are whose key or value names a connection.
fn traces(world: &World, party: usize, connection: ConnectionId) -> Vec<u8> {
    let mut storage = world.parties[party].storage.copy();
    let records = storage.scan(&[], None, usize::MAX).unwrap();
    let name = connection.as_bytes();
    let names = |bytes: &[u8]| bytes.windows(name.len()).any(|window| window == name);
    records.iter().filter(|(key, value)| names(key) || names(value)).map(|(key, _)| key[0]).collect()
}

fn queues(world: &World, relay: usize) -> usize {
    world.relays[relay].relay.queues().count()
}

#[test]
fn nothing_is_left_of_a_connection() {
    for side in [A, B] {
        let mut world = world(1);
        let pair = world.connect(ConnectionOptions::default());
        for number in 0..20 {
            for side in [A, B] {
                world.tell(pair, side, &format!("{number}"));
            }
        }
        let connection = pair.connections[side];
        world.command(side, Command::Resynchronize { connection, force: true });
        world.run_for(30 * SECOND);
        assert!(traces(&world, side, connection).len() > 5);
        delete(&mut world, side, connection, false);
        assert_eq!(until_deleted(&mut world, side, connection), 0);
        world.run_until_quiet();
        assert_eq!(queues(&world, side), 0);
        assert_eq!(traces(&world, side, connection), [0_u8; 0]);
        assert!(world.parties[side].agent.as_ref().unwrap().connection(connection).is_none());
        let again = Command::Delete { connection, deliver_first: false };
        assert_eq!(world.try_command(side, again), Err(Refusal::NoConnection));
        // The other side learns of it when it sends.
        world.send(pair, 1 - side, "nobody");
        world.run_until(|world| {
            let mut kinds = world.parties[1 - side].app.of(pair.connections[1 - side]);
            kinds.any(|kind| matches!(kind, EventKind::NotSent { .. }))
        });
        delete(&mut world, 1 - side, pair.connections[1 - side], false);
        until_deleted(&mut world, 1 - side, pair.connections[1 - side]);
        world.run_until_quiet();
        assert_eq!(traces(&world, 1 - side, pair.connections[1 - side]), [0_u8; 0]);
        // What there is once, and the user's relays.
        for party in [A, B] {
            assert_eq!(world.parties[party].storage.copy().len(), 2);
        }
    }
}

#[test]
fn unfinished_connections_leave_no_queue() {
    // At each moment of joining an invitation, and a request to an address.
    for address in [false, true] {
        for moment in 0..25 {
            let mut world = two_parties(2, |party, setup| {
                setup.manners.expects_failures = true;
                // Whom B would let in may be gone when it thinks of it.
                setup.manners.allow = party == A;
            });
            let (inviting, links) = match address {
                false => world.invite(A, ConnectionOptions::default(), None),
                true => world.address(A, None),
            };
            let joining = world.join(B, &links.full, ConnectionOptions::default());
            world.run_for(moment * 40);
            delete(&mut world, B, joining, false);
            assert_eq!(until_deleted(&mut world, B, joining), 0);
            world.run_until_quiet();
            assert_eq!(queues(&world, B), 0, "after {moment}");
            assert_eq!(traces(&world, B, joining), [0_u8; 0]);
            delete(&mut world, A, inviting, false);
            until_deleted(&mut world, A, inviting);
            for accepted in world.parties[A].app.accepted.clone() {
                delete(&mut world, A, accepted, false);
                until_deleted(&mut world, A, accepted);
            }
            world.run_until_quiet();
            assert_eq!(queues(&world, A), 0, "after {moment}");
            assert_eq!(traces(&world, A, inviting), [0_u8; 0]);
        }
    }
}

#[test]
fn connections_of_an_address_stay_when_it_goes() {
    let mut world = two_parties(3, |party, setup| {
        if party == A {
            setup.manners = by_hand();
        }
        setup.manners.expects_failures = true;
    });
    let (address, links) = world.address(A, None);
    let joining = world.join(B, &links.full, ConnectionOptions::default());
    world.settle();
    let late = world.join(B, &links.full, ConnectionOptions::default());
    let requests = |world: &World| -> Vec<_> {
        let requests = world.parties[A].app.kinds().filter_map(|kind| match kind {
            EventKind::Request { invitation, .. } => Some(*invitation),
            _ => None,
        });
        requests.collect()
    };
    world.run_until(|world| requests(world).len() == 2);
    let info = b"accepted".to_vec();
    let accept = |invitation| Command::Accept { invitation, info: info.clone(), options: ConnectionOptions::default() };
    let request = requests(&world);
    let mut accepted = vec![crate::support::stories::connection(world.command(A, accept(request[0])))];
    let joined = [joining, late];
    world.run_until(|world| joined.iter().any(|id| world.parties[B].app.is_connected(*id)));
    delete(&mut world, A, address, false);
    until_deleted(&mut world, A, address);
    // A request that came before can still be accepted.
    accepted.push(crate::support::stories::connection(world.command(A, accept(request[1]))));
    world.run_until(|world| {
        accepted.iter().all(|id| world.parties[A].app.is_connected(*id))
            && joined.iter().all(|id| world.parties[B].app.is_connected(*id))
    });
}

#[test]
fn messages_that_wait_are_delivered_first() {
    let mut world = world(4);
    let pair = world.connect(ConnectionOptions::default());
    world.settle();
    let connection = pair.connections[A];
    world.at(world.now, Fault::Down(B));
    world.run_for(SECOND);
    world.send(pair, A, "last words");
    delete(&mut world, A, connection, true);
    let send = Command::Send { connection, body: b"no".to_vec(), notify: false };
    assert_eq!(world.try_command(A, send), Err(Refusal::Prohibited));
    world.run_for(HOUR);
    assert_eq!((deleted(&world, A, connection), queues(&world, A)), (None, 1));
    world.crash(A);
    world.at(world.now.after(HOUR), Fault::Up(B));
    world.run_until(|world| world.texts(pair, B) == ["last words"]);
    until_deleted(&mut world, A, connection);
    assert_eq!(queues(&world, A), 0);
}

#[test]
fn a_deletion_waits_two_days_for_messages_at_most() {
    for patient in [true, false] {
        let mut world = world(5);
        let pair = world.connect(ConnectionOptions::default());
        world.settle();
        let connection = pair.connections[A];
        world.at(world.now, Fault::Down(B));
        world.run_for(SECOND);
        world.send(pair, A, "lost");
        delete(&mut world, A, connection, true);
        world.run_for(DAY);
        assert_eq!(deleted(&world, A, connection), None);
        if patient {
            world.run_for(DAY + MINUTE);
        } else {
            // A second command takes the wish back.
            delete(&mut world, A, connection, false);
            world.run_for(MINUTE);
        }
        assert_eq!(deleted(&world, A, connection), Some(0));
        world.run_for(MINUTE);
        assert_eq!((traces(&world, A, connection), queues(&world, A)), (vec![], 0));
    }
}

#[test]
fn a_relay_that_is_away_for_hours_deletes_its_queue_later() {
    let mut world = world(6);
    let pair = world.connect(ConnectionOptions::default());
    world.settle();
    world.at(world.now, Fault::Down(A));
    world.run_for(SECOND);
    delete(&mut world, A, pair.connections[A], false);
    world.run_for(HOUR);
    world.crash(A);
    world.run_for(2 * HOUR);
    assert_eq!(deleted(&world, A, pair.connections[A]), None);
    world.at(world.now, Fault::Up(A));
    assert_eq!(until_deleted(&mut world, A, pair.connections[A]), 0);
    assert_eq!(queues(&world, A), 0);
}

#[test]
fn a_relay_that_never_comes_back_is_given_up() {
    let mut world = world(7);
    let pair = world.connect(ConnectionOptions::default());
    world.settle();
    let connection = pair.connections[A];
    world.at(world.now, Fault::Down(A));
    world.run_for(SECOND);
    delete(&mut world, A, connection, false);
    world.run_for(3 * HOUR);
    world.crash(A);
    assert_eq!(until_deleted(&mut world, A, connection), 1);
    let failed = world.parties[A].app.of(connection).any(|kind| match kind {
        EventKind::Deleted { failures, .. } => failures.iter().any(|(_, failure)| failure.reason == Reason::Network),
        _ => false,
    });
    assert!(failed, "{}", world.describe());
    world.run_until_quiet();
    assert_eq!(traces(&world, A, connection), [0_u8; 0]);
}

#[test]
fn a_queue_that_the_relay_lost_is_deleted() {
    let mut world = world(8);
    let pair = world.connect(ConnectionOptions::default());
    world.settle();
    world.at(world.now, Fault::LosesEverything(A));
    world.run_for(SECOND);
    delete(&mut world, A, pair.connections[A], false);
    assert_eq!(until_deleted(&mut world, A, pair.connections[A]), 0);
}

#[test]
fn a_withdrawn_message_is_not_sent() {
    let mut world = world(9);
    let pair = world.connect(ConnectionOptions::default());
    world.settle();
    world.at(world.now, Fault::Down(B));
    world.run_for(SECOND);
    let sent: Vec<_> = ["first", "second", "third"].map(|text| world.send(pair, A, text)).into();
    let forget = |message| Command::ForgetMessage { connection: pair.connections[A], message };
    world.command(A, forget(sent[1]));
    assert_eq!(world.try_command(A, forget(sent[1])), Err(Refusal::NoMessage));
    world.at(world.now.after(MINUTE), Fault::Up(B));
    world.run_until(|world| world.texts(pair, B).len() == 2);
    world.run_until_quiet();
    assert_eq!(world.texts(pair, B), ["first", "third"]);
    // One that was sent: its receipt is not waited for.
    let before = world.parties[A].storage.copy().len();
    world.command(A, forget(sent[2]));
    assert_eq!(world.parties[A].storage.copy().len(), before - 1);
    assert_eq!(world.try_command(A, forget(sent[2])), Err(Refusal::NoMessage));
}

#[test]
fn a_suspended_connection_takes_no_more() {
    let mut world = world(10);
    let pair = world.connect(ConnectionOptions::default());
    world.settle();
    let connection = pair.connections[B];
    // What the relay has already still comes.
    world.parties[B].app.manners.delay = (5 * SECOND, 6 * SECOND);
    for text in ["one", "two"] {
        world.send(pair, A, text);
    }
    world.run_for(SECOND);
    world.command(B, Command::Suspend { connection });
    world.run_for(SECOND);
    world.send(pair, A, "three");
    world.run_for(MINUTE);
    assert_eq!(world.texts(pair, B), ["one", "two"]);
    let refused = world.parties[A].app.of(pair.connections[A]).any(|kind| match kind {
        EventKind::NotSent { problem: DeliveryProblem::Failed(failure), .. } => failure.reason == Reason::NotAuthorized,
        _ => false,
    });
    assert!(refused, "{}", world.describe());
    // The other direction stays.
    world.tell(pair, B, "still here");
    // It is subscribed to after a restart only when that is asked for, and the relay allows it.
    world.crash(B);
    world.run_for(MINUTE);
    world.command(B, Command::Subscribe { connection });
    world.run_for(MINUTE);
    let failed =
        |world: &World| world.parties[B].app.of(connection).any(|kind| matches!(kind, EventKind::Failed { .. }));
    assert!(!failed(&world), "{}", world.describe());
    // A queue that is gone says so.
    world.at(world.now, Fault::LosesEverything(B));
    world.run_for(SECOND);
    world.crash(B);
    world.run_for(MINUTE);
    world.command(B, Command::Subscribe { connection });
    world.run_until(failed);
    delete(&mut world, B, connection, false);
    until_deleted(&mut world, B, connection);
}

/// A deletion, with a failure of the storage.
fn tell(cut: Option<Cut>) -> (u64, u64) {
    let mut world = two_parties(12, |_, setup: &mut Setup| {
        setup.manners = Manners { expects_failures: true, ..Manners::default() };
    });
    let pair = world.connect(ConnectionOptions::default());
    world.tell(pair, A, "before");
    world.tell(pair, B, "before");
    world.settle();
    let before = world.parties[A].storage.commits();
    world.parties[A].storage.cut(cut);
    world.send(pair, A, "last words");
    delete(&mut world, A, pair.connections[A], true);
    until_deleted(&mut world, A, pair.connections[A]);
    world.run_until_quiet();
    assert_eq!(world.texts(pair, B), ["before", "last words"]);
    assert_eq!((traces(&world, A, pair.connections[A]), queues(&world, A)), (vec![], 0));
    (before, world.parties[A].storage.commits())
}

#[test]
fn agents_that_are_cut_off_go_on_deleting() {
    let (first, last) = tell(None);
    assert!(last > first + 4);
    for number in first + 1..=last {
        for cut in [Cut::Before(number), Cut::After(number)] {
            let told = std::panic::catch_unwind(|| tell(Some(cut)));
            assert!(told.is_ok(), "{cut:?} of {first} to {last}");
        }
    }
}
