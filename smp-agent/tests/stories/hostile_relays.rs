//! Relays and proxies that lie, and what else no honest network does.

use crate::support::party::USER;
use crate::support::stories::{A, B, by_hand, connection, plain, two_parties};
use crate::support::{Fault, Manners, Push, Setup, World};
use smp_agent::command::{Command, ConnectionOptions, LinkRequest};
use smp_agent::error::{ConnectionError, Refusal};
use smp_agent::event::{DeliveryProblem, EventKind};
use smp_agent::id::ConnectionId;
use smp_agent::policy::routing::{ProxyMode, Routing};
use smp_agent::policy::server::{ConfiguredServer, ServerList};
use smp_agent::request::{Blocked, BlockingReason, Reason};
use smp_agent::time::{DAY, HOUR, MINUTE, SECOND, Time};

fn count(world: &World, party: usize, id: ConnectionId, is: impl Fn(&EventKind) -> bool) -> usize {
    world.parties[party].app.of(id).filter(|kind| is(kind)).count()
}

/// A world in which each of two parties has two relays to itself, A the first ones.
fn two_relays_each(seed: u64, manners: &Manners) -> World {
    let mut world = World::new(seed);
    for _ in 0..4 {
        world.add_relay();
    }
    for (party, name) in [(A, "A"), (B, "B")] {
        let relays = vec![2 * party, 2 * party + 1];
        world.add_party(name, Setup { relays, manners: manners.clone(), ..Setup::default() });
    }
    world
}

#[test]
fn a_relay_that_goes_ahead_takes_nothing_from_what_the_other_one_delivers() {
    for seed in 0..4 {
        let mut world = two_relays_each(seed, &Manners { acknowledge_messages: false, ..Manners::default() });
        let options = ConnectionOptions { receive_queues: 2, ..ConnectionOptions::default() };
        let pair = world.connect(options);
        world.run_for(MINUTE);
        world.send(pair, B, "1");
        world.run_for(10 * SECOND);
        assert_eq!(world.texts(pair, A), ["1"]);
        // One relay waits for the application; the other one, whose copy was not needed, delivers what it likes.
        let idle = |world: &World, relay: usize| {
            world.relays[relay].relay.queues().all(|(_, queue)| queue.messages.is_empty())
        };
        let hostile = if idle(&world, 0) { 0 } else { 1 };
        assert!(idle(&world, hostile) && !idle(&world, 1 - hostile));
        world.relays[hostile].relay.swallows = 1;
        for text in ["2", "3", "4", "5"] {
            world.send(pair, B, text);
            world.run_for(10 * SECOND);
        }
        for _ in 0..2 {
            world.relays[hostile].relay.go_ahead();
            world.push_all();
            world.run_for(SECOND);
        }
        assert_eq!(world.texts(pair, A), ["1"]);
        world.parties[A].app.manners.acknowledge_messages = true;
        let (event, _) = world.parties[A].app.messages(pair.connections[A])[0];
        world.command(A, Command::Acknowledge { event, receipt: None });
        world.run_for(MINUTE);
        assert_eq!(world.texts(pair, A), ["1", "2", "3", "4", "5"], "seed {seed}");
        world.tell(pair, B, "6");
    }
}

#[test]
fn a_relay_does_not_fill_the_storage_with_what_nobody_acknowledged() {
    let manners = Manners { expects_failures: true, acknowledge_messages: false, ..Manners::default() };
    let mut world = two_parties(11, |_, setup| setup.manners = manners.clone());
    let pair = world.connect(ConnectionOptions::default());
    world.settle();
    world.send(pair, B, "1");
    world.run_for(10 * SECOND);
    let before = world.parties[A].storage.copy().len();
    for number in 0..200_u8 {
        world.relays[A].relay.say(|queue| Push::Message {
            queue: queue.to_vec(),
            message_id: vec![number; 24],
            body: vec![number; 16_104],
        });
    }
    world.push_all();
    world.run_for(MINUTE);
    assert_eq!(world.parties[A].storage.copy().len(), before);
    world.send(pair, B, "2");
    world.parties[A].app.manners.acknowledge_messages = true;
    let (event, _) = world.parties[A].app.messages(pair.connections[A])[0];
    world.command(A, Command::Acknowledge { event, receipt: None });
    world.run_for(MINUTE);
    assert_eq!(world.texts(pair, A), ["1", "2"]);
}

#[test]
fn a_subscription_ends_once_however_often_a_relay_says_so() {
    let mut world = two_parties(12, |_, setup| setup.manners.expects_failures = true);
    let pair = world.connect(ConnectionOptions::default());
    world.settle();
    for _ in 0..50 {
        world.relays[A].relay.say(|queue| Push::Ended(queue.to_vec()));
        world.relays[B].relay.say(|queue| Push::Deleted(queue.to_vec()));
    }
    world.push_all();
    world.run_for(MINUTE);
    let ended = count(&world, A, pair.connections[A], |kind| matches!(kind, EventKind::SubscriptionEnded { .. }));
    let deleted = count(&world, B, pair.connections[B], |kind| matches!(kind, EventKind::QueueDeleted { .. }));
    assert_eq!((ended, deleted), (1, 1));
    for (party, connection) in pair.parties.into_iter().zip(pair.connections) {
        world.command(party, Command::Subscribe { connection });
    }
    world.tell(pair, A, "here again");
    world.tell(pair, B, "here again");
}

#[test]
fn a_queue_is_blocked_once_however_often_a_relay_says_so() {
    let mut world = two_parties(22, |_, setup| setup.manners.expects_failures = true);
    let pair = world.connect(ConnectionOptions::default());
    world.settle();
    for reason in [BlockingReason::Spam, BlockingReason::Content].repeat(20) {
        world.relays[A].relay.say(|queue| Push::Blocked(queue.to_vec(), Blocked { reason, notice: None }));
    }
    world.push_all();
    world.run_for(MINUTE);
    assert_eq!(count(&world, A, pair.connections[A], |kind| matches!(kind, EventKind::QueueBlocked { .. })), 1);
}

#[test]
fn a_proxy_decides_nothing_about_messages() {
    let reasons = [
        Reason::NotAuthorized,
        Reason::Quota,
        Reason::TooLarge,
        Reason::Refused,
        Reason::Blocked(Blocked { reason: BlockingReason::Spam, notice: None }),
        Reason::Identity,
        Reason::NoMessage,
        Reason::Unexpected,
    ];
    for (seed, reason) in reasons.into_iter().enumerate() {
        let mut world = World::new(seed as u64);
        for _ in 0..4 {
            world.add_relay();
        }
        for (party, name) in [(A, "A"), (B, "B")] {
            world.add_party(name, Setup { relays: vec![party], proxies: vec![2, 3], ..Setup::default() });
        }
        // One of them always says the same.
        world.relays[2].refuses_as_proxy = Some(reason);
        let pair = world.connect(ConnectionOptions::default());
        for number in 0..6 {
            world.tell(pair, number % 2, &format!("{number}"));
        }
        for relay in [2, 3] {
            world.relays[relay].refuses_as_proxy = Some(reason);
        }
        world.send(pair, A, "later");
        world.run_for(HOUR);
        world.relays[3].refuses_as_proxy = None;
        world.run_until_within(HOUR, |world| world.texts(pair, B).last().is_some_and(|last| last == "later"));
    }
}

#[test]
fn who_stands_in_the_way_for_a_while_costs_no_message() {
    let mut world = plain(13);
    let pair = world.connect(ConnectionOptions::default());
    world.settle();
    // As the page of a hotel does that wants a password before it lets anybody through.
    for relay in [A, B] {
        world.relays[relay].barred = Some(Reason::Identity);
        world.at(world.now, Fault::Disconnects(relay));
    }
    world.send(pair, A, "are you there?");
    world.send(pair, B, "hello?");
    world.run_for(3 * HOUR);
    assert_eq!((world.texts(pair, A).len(), world.texts(pair, B).len()), (0, 0));
    for relay in [A, B] {
        world.relays[relay].barred = None;
    }
    world.run_until_within(10 * MINUTE, |world| [A, B].iter().all(|side| world.texts(pair, *side).len() == 1));
}

#[test]
fn a_clock_that_is_set_back_stops_nothing() {
    let mut world = plain(14);
    let pair = world.connect(ConnectionOptions::default());
    world.settle();
    // The relay that A sends to.
    world.at(world.now, Fault::Down(B));
    world.send(pair, A, "one");
    world.run_for(MINUTE);
    // Connections of the world remember when they were used last.
    (0..3).for_each(|relay| world.at(world.now, Fault::Disconnects(relay)));
    world.settle();
    world.now = Time(world.now.0 - 2 * HOUR);
    for party in [A, B] {
        // Adapters look at the clock now and then.
        world.input(party, |agent, now| agent.advance(now));
    }
    world.at(world.now, Fault::Up(B));
    world.run_until_within(10 * MINUTE, |world| world.texts(pair, B) == ["one"]);
    world.tell(pair, B, "two");
    // What a run with another clock has left does not wait until it is that late again.
    world.at(world.now, Fault::Down(B));
    world.send(pair, A, "three");
    world.run_for(MINUTE);
    (0..3).for_each(|relay| world.at(world.now, Fault::Disconnects(relay)));
    world.settle();
    world.now = Time(world.now.0 - 30 * DAY);
    world.crash(A);
    world.input(B, |agent, now| agent.advance(now));
    world.run_for(MINUTE);
    world.at(world.now, Fault::Up(B));
    world.run_until_within(10 * MINUTE, |world| world.texts(pair, B) == ["one", "three"]);
}

#[test]
fn a_message_that_no_proxy_is_left_for_expires() {
    let mut world = two_parties(15, |_, setup| {
        setup.proxies = vec![2];
        setup.configuration.routing = Routing { mode: ProxyMode::Always, ..Routing::default() };
        setup.manners.expects_failures = true;
    });
    let pair = world.connect(ConnectionOptions::default());
    world.settle();
    // The only relay left is the one that A sends to, which is no proxy for itself.
    let only = ConfiguredServer::new(world.relays[B].relay.server.clone(), None);
    world.command(A, Command::SetServers { user: USER, servers: ServerList::from(vec![only]) });
    let message = world.send(pair, A, "nobody takes it");
    world.run_for(DAY);
    let expired = |kind: &EventKind| matches!(kind, EventKind::NotSent { messages, problem: DeliveryProblem::Expired, .. } if *messages == [message]);
    assert_eq!(count(&world, A, pair.connections[A], expired), 0);
    world.run_for(2 * DAY);
    assert_eq!(count(&world, A, pair.connections[A], expired), 1);
}

#[test]
fn an_invitation_that_was_used_costs_no_queue() {
    let mut world = World::new(16);
    for _ in 0..3 {
        world.add_relay();
    }
    for (party, name) in ["A", "B", "C"].into_iter().enumerate() {
        let manners = Manners { expects_failures: true, ..Manners::default() };
        world.add_party(name, Setup { relays: vec![party], manners, ..Setup::default() });
    }
    let (_, links) = world.invite(A, ConnectionOptions::default(), None);
    world.join(B, &links.full, ConnectionOptions::default());
    world.run_until_quiet();
    let late = world.join(2, &links.full, ConnectionOptions::default());
    world.run_until_quiet();
    let gone = |kind: &EventKind| matches!(kind, EventKind::Failed { error: ConnectionError::NotAvailable, .. });
    assert_eq!(count(&world, 2, late, gone), 1);
    assert_eq!(world.relays[2].relay.queues().count(), 0);
    world.command(2, Command::Delete { connection: late, deliver_first: false });
    world.run_until_quiet();
    assert_eq!(count(&world, 2, late, |kind| matches!(kind, EventKind::Deleted { .. })), 1);
}

#[test]
fn no_two_relays_see_the_same_key() {
    let mut world = World::new(17);
    for _ in 0..4 {
        world.add_relay();
    }
    world.add_party("A", Setup::default());
    for relay in 0..3 {
        world.relays[relay].relay.password = Some(b"secret".to_vec());
    }
    for _ in 0..4 {
        world.invite(A, ConnectionOptions::default(), None);
    }
    let mut keys: Vec<_> =
        world.relays.iter().flat_map(|place| &place.relay.asked_for).map(|key| key.public().0).collect();
    let all = keys.len();
    assert!(all > 4);
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), all);
}

#[test]
fn thousands_of_messages_expire_in_events_that_any_storage_takes() {
    let mut world = two_parties(18, |_, setup| {
        setup.manners = Manners { expects_failures: true, ..by_hand() };
        setup.manners.allow = true;
    });
    let pair = world.connect(ConnectionOptions::default());
    world.settle();
    world.at(world.now, Fault::Down(B));
    world.run_for(1);
    for _ in 0..1_100 {
        world.send(pair, A, "");
    }
    world.run_for(3 * DAY);
    let numbers = world.parties[A].app.of(pair.connections[A]).filter_map(|kind| match kind {
        EventKind::NotSent { messages, .. } => Some(messages.len()),
        _ => None,
    });
    assert_eq!(numbers.collect::<Vec<_>>(), [1_000, 100]);
}

#[test]
fn what_is_not_delivered_any_more_holds_up_no_deletion() {
    let mut world = two_parties(19, |_, setup| setup.manners = Manners { expects_failures: true, ..by_hand() });
    let (connection, links) = world.invite(A, ConnectionOptions::default(), None);
    world.join(B, &links.full, ConnectionOptions::default());
    world.run_until_quiet();
    // The queue that A is to answer to is gone.
    world.at(world.now, Fault::LosesEverything(B));
    world.run_for(1);
    world.command(A, Command::Allow { connection, info: Vec::new() });
    world.run_until_quiet();
    assert_eq!(count(&world, A, connection, |kind| matches!(kind, EventKind::Failed { .. })), 1);
    world.command(A, Command::Delete { connection, deliver_first: true });
    world.run_for(MINUTE);
    assert_eq!(count(&world, A, connection, |kind| matches!(kind, EventKind::Deleted { .. })), 1);
}

#[test]
fn a_link_that_nothing_leads_to_is_not_read_for_ever() {
    let mut world = two_parties(20, |party, setup| {
        setup.manners.expects_failures = true;
        if party == B {
            setup.proxies = vec![2];
            setup.configuration.routing = Routing { mode: ProxyMode::Always, ..Routing::default() };
        }
    });
    let (_, links) = world.address(A, Some(LinkRequest::default()));
    let read = Command::ReadLink { user: USER, link: links.short.expect("a short link") };
    world.relays[2].refuses_as_proxy = Some(Reason::Unavailable);
    let reading = connection(world.command(B, read.clone()));
    world.run_for(MINUTE);
    let failed = |kind: &EventKind| matches!(kind, EventKind::Failed { error: ConnectionError::NoServer, .. });
    assert_eq!(count(&world, B, reading, failed), 0);
    // The relay of the link is no proxy for itself.
    let only = ConfiguredServer::new(world.relays[A].relay.server.clone(), None);
    world.command(B, Command::SetServers { user: USER, servers: ServerList::from(vec![only]) });
    world.run_for(HOUR);
    assert_eq!(count(&world, B, reading, failed), 1);
    assert_eq!(world.try_command(B, read), Err(Refusal::NoServer));
}

#[test]
fn a_queue_of_a_suspended_connection_takes_nothing_whenever_it_is_made() {
    let mut world = plain(21);
    let (_, links) = world.invite(A, ConnectionOptions::default(), Some(LinkRequest::default()));
    world.at(world.now, Fault::Down(A));
    world.run_for(1);
    let joining = world.join(B, &links.short.expect("a short link"), ConnectionOptions::default());
    world.run_for(MINUTE);
    world.command(B, Command::Suspend { connection: joining });
    world.at(world.now, Fault::Up(A));
    world.run_until_within(HOUR, |world| world.relays[B].relay.queues().any(|(_, queue)| queue.suspended));
}
