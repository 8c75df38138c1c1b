//! The operator of a relay blocks a queue: both sides learn why, and nothing is tried for ever.

use crate::support::stories::{A, B, Pair, by_hand, two_parties};
use crate::support::{Cut, Fault, World};
use smp_agent::command::{Command, ConnectionOptions};
use smp_agent::error::ConnectionError;
use smp_agent::event::{DeliveryProblem, EventKind};
use smp_agent::id::{ConnectionId, MessageId};
use smp_agent::policy::routing::ProxyMode;
use smp_agent::request::{Blocked, BlockingReason, Failure, Notice, Reason};
use smp_agent::time::{DAY, HOUR, MINUTE};

const SPAM: Blocked = Blocked { reason: BlockingReason::Spam, notice: None };
const CONTENT: Blocked = Blocked { reason: BlockingReason::Content, notice: Some(Notice { ttl: Some(3_600) }) };

fn world(seed: u64) -> World {
    two_parties(seed, |_, setup| setup.manners.expects_failures = true)
}

/// The queues of a relay, as their senders know them.
fn queues(world: &World, relay: usize) -> Vec<Vec<u8>> {
    world.relays[relay].relay.queues().map(|(_, queue)| queue.sender_id.clone()).collect()
}

fn block(world: &mut World, relay: usize, blocked: Option<Blocked>) {
    for queue in queues(world, relay) {
        world.block(relay, &queue, blocked);
    }
}

/// The same, and nobody is told.
fn block_silently(world: &mut World, relay: usize, blocked: Blocked) {
    for queue in queues(world, relay) {
        world.relays[relay].relay.block(&queue, Some(blocked));
    }
    world.relays[relay].relay.pushes.clear();
}

/// What a side was told: whether of its own queue, and why.
fn told(world: &World, party: usize, connection: ConnectionId) -> Vec<(bool, Blocked)> {
    let kinds = world.parties[party].app.of(connection);
    let told = kinds.filter_map(|kind| match kind {
        EventKind::QueueBlocked { receiving, blocked, .. } => Some((*receiving, *blocked)),
        _ => None,
    });
    told.collect()
}

fn not_sent(world: &World, party: usize, connection: ConnectionId) -> Vec<(Vec<MessageId>, DeliveryProblem)> {
    let kinds = world.parties[party].app.of(connection);
    let lost = kinds.filter_map(|kind| match kind {
        EventKind::NotSent { messages, problem, .. } => Some((messages.clone(), *problem)),
        _ => None,
    });
    lost.collect()
}

fn commands(world: &World, party: usize, command: &str) -> usize {
    world.parties[party].transcript.sent().filter(|sent| sent.command == command).count()
}

const fn problem(blocked: Blocked) -> DeliveryProblem {
    DeliveryProblem::Failed(Failure::of_relay(Reason::Blocked(blocked)))
}

#[test]
fn both_sides_learn_of_it_once_and_nothing_is_tried_for_ever() {
    for proxied in [false, true] {
        let mut world = two_parties(1, |_, setup| {
            setup.manners.expects_failures = true;
            if proxied {
                setup.configuration.routing.mode = ProxyMode::Always;
                setup.proxies = vec![2];
            }
        });
        let pair = world.connect(ConnectionOptions::default());
        world.tell(pair, B, "before");
        world.run_until_quiet();
        block(&mut world, A, Some(SPAM));
        world.run_until(|world| !told(world, A, pair.connections[A]).is_empty());
        assert_eq!(told(&world, B, pair.connections[B]), [], "until it sends");
        let first = world.send(pair, B, "one");
        world.run_until(|world| !not_sent(world, B, pair.connections[B]).is_empty());
        let second = world.send(pair, B, "two");
        world.run_until(|world| not_sent(world, B, pair.connections[B]).len() == 2);
        let expected = [(vec![first], problem(SPAM)), (vec![second], problem(SPAM))];
        assert_eq!(not_sent(&world, B, pair.connections[B]), expected);
        let sends = commands(&world, B, "SEND");
        for party in [A, B] {
            world.crash(party);
            world.run_for(DAY);
        }
        world.at(world.now, Fault::Disconnects(A));
        world.run_for(DAY);
        assert_eq!(commands(&world, B, "SEND"), sends);
        assert!(commands(&world, A, "SUB") <= 6, "one for each start and each connection");
        assert_eq!(told(&world, A, pair.connections[A]), [(true, SPAM)]);
        assert_eq!(told(&world, B, pair.connections[B]), [(false, SPAM)]);
        // The other direction goes on.
        world.tell(pair, A, "still here");
    }
}

#[test]
fn all_that_waits_fails_at_once() {
    let mut world = world(2);
    let pair = world.connect(ConnectionOptions::default());
    world.run_until_quiet();
    world.at(world.now, Fault::Down(A));
    world.settle();
    let messages: Vec<MessageId> = (0..5).map(|number| world.send(pair, B, &format!("{number}"))).collect();
    world.run_for(MINUTE);
    block(&mut world, A, Some(CONTENT));
    world.at(world.now, Fault::Up(A));
    world.run_until(|world| !not_sent(world, B, pair.connections[B]).is_empty());
    assert_eq!(not_sent(&world, B, pair.connections[B]), [(messages, problem(CONTENT))]);
    assert_eq!(told(&world, B, pair.connections[B]), [(false, CONTENT)]);
    world.run_until_quiet();
    // The recipient learns of it by subscribing again.
    assert_eq!(told(&world, A, pair.connections[A]), [(true, CONTENT)]);
    let summary = world.parties[B].agent.as_ref().unwrap().connection(pair.connections[B]).unwrap();
    assert_eq!(summary.waiting, 0);
}

#[test]
fn a_queue_that_is_opened_again_goes_on() {
    let mut world = world(3);
    let pair = world.connect(ConnectionOptions::default());
    for round in 1..=2 {
        block(&mut world, A, Some(SPAM));
        world.send(pair, B, "lost");
        world.run_until(|world| not_sent(world, B, pair.connections[B]).len() == round);
        world.run_for(HOUR);
        block(&mut world, A, None);
        world.crash(A);
        world.tell(pair, B, &format!("again {round}"));
        world.run_until_quiet();
        for party in [A, B] {
            assert_eq!(told(&world, party, pair.connections[party]).len(), round, "{party}");
        }
    }
    assert_eq!(world.texts(pair, A), ["again 1", "again 2"]);
}

#[test]
fn a_recipient_learns_of_it_by_any_answer() {
    let mut world = two_parties(4, |_, setup| {
        setup.manners = crate::support::Manners { allow: true, expects_failures: true, ..by_hand() };
    });
    let pair = world.connect(ConnectionOptions::default());
    world.tell(pair, B, "hello");
    world.run_until_quiet();
    block_silently(&mut world, A, CONTENT);
    let event = world.parties[A].app.messages(pair.connections[A])[0].0;
    world.command(A, Command::Acknowledge { event, receipt: None });
    world.run_until(|world| !told(world, A, pair.connections[A]).is_empty());
    assert_eq!(told(&world, A, pair.connections[A]), [(true, CONTENT)]);
    world.run_for(DAY);
    assert_eq!(commands(&world, A, "ACK"), 2, "the confirmation, the message, and no more");
}

#[test]
fn a_blocked_invitation_cannot_be_joined() {
    let mut world = world(5);
    let (inviting, links) = world.invite(A, ConnectionOptions::default(), None);
    block(&mut world, A, Some(SPAM));
    world.run_until(|world| !told(world, A, inviting).is_empty());
    let joining = world.join(B, &links.full, ConnectionOptions::default());
    world.run_until_quiet();
    assert_eq!(told(&world, B, joining), [(false, SPAM)]);
    let failed = world.parties[B].app.of(joining).find_map(|kind| match kind {
        EventKind::Failed { error, .. } => Some(*error),
        _ => None,
    });
    assert_eq!(failed, Some(ConnectionError::Relay(Failure::of_relay(Reason::Blocked(SPAM)))));
}

#[test]
fn a_blocked_address_takes_no_requests() {
    let mut world = world(6);
    let (address, links) = world.address(A, None);
    block(&mut world, A, Some(SPAM));
    let asking = world.join(B, &links.full, ConnectionOptions::default());
    world.run_until_quiet();
    assert_eq!(told(&world, A, address), [(true, SPAM)]);
    assert_eq!(told(&world, B, asking), [(false, SPAM)]);
    let ends = |kind: &EventKind| matches!(kind, EventKind::Failed { .. });
    assert_eq!(world.parties[B].app.of(asking).filter(|kind| ends(kind)).count(), 1);
}

#[test]
fn other_queues_of_a_connection_go_on() {
    let mut world = two_parties(7, |_, setup| {
        setup.manners.expects_failures = true;
        setup.relays = vec![0, 1, 2];
    });
    let pair = world.connect(ConnectionOptions { receive_queues: 2, ..ConnectionOptions::default() });
    world.tell(pair, A, "a");
    world.tell(pair, B, "b");
    world.run_until_quiet();
    let first = world.parties[A].agent.as_ref().unwrap().connection(pair.connections[A]).unwrap().receiving[0].clone();
    let relay = world.relay_at(&first).unwrap();
    block(&mut world, relay, Some(CONTENT));
    for number in 0..3 {
        world.tell(pair, B, &format!("{number}"));
        world.tell(pair, A, &format!("{number}"));
    }
    world.run_until_quiet();
    assert!(told(&world, A, pair.connections[A]).contains(&(true, CONTENT)));
    assert!(told(&world, B, pair.connections[B]).contains(&(false, CONTENT)));
    for party in [A, B] {
        assert_eq!(not_sent(&world, party, pair.connections[party]), []);
    }
}

/// A queue is blocked while messages go both ways; the agent of one party fails once.
fn tell(cut: Option<(usize, Cut)>) -> [u64; 2] {
    let mut world = world(8);
    if let Some((party, cut)) = cut {
        world.parties[party].storage.cut(Some(cut));
    }
    let pair: Pair = world.connect(ConnectionOptions::default());
    for side in [A, B] {
        world.tell(pair, side, "before");
    }
    // What is sent again after a crash would be refused.
    world.run_until(|world| [A, B].iter().all(|side| world.parties[*side].app.sent(pair.connections[*side]) == 1));
    block(&mut world, A, Some(SPAM));
    world.send(pair, B, "one");
    world.send(pair, B, "two");
    world.tell(pair, A, "after");
    world.run_for(HOUR);
    let lost: usize = not_sent(&world, B, pair.connections[B]).iter().map(|(messages, _)| messages.len()).sum();
    assert_eq!(lost, 2, "{cut:?}");
    for (party, receiving) in [(A, true), (B, false)] {
        assert_eq!(told(&world, party, pair.connections[party]), [(receiving, SPAM)], "{cut:?}");
    }
    [A, B].map(|party| world.parties[party].storage.commits())
}

#[test]
fn a_crash_at_any_commit_loses_and_repeats_nothing_of_it() {
    let commits = tell(None);
    for party in [A, B] {
        for number in 3..=commits[party] {
            for cut in [Cut::Before(number), Cut::After(number)] {
                tell(Some((party, cut)));
            }
        }
    }
}
