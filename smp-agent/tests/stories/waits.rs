//! What waits for a peer or a relay for longer than anything does goes on when they are back.

use crate::support::app::Manners;
use crate::support::party::USER;
use crate::support::stories::{A, B, Pair, two_parties};
use crate::support::{Fault, Faults, Setup, World};
use smp_agent::command::{Command, ConnectionOptions};
use smp_agent::event::{EventKind, SwitchPhase};
use smp_agent::policy::server::{ConfiguredServer, ServerList};
use smp_agent::request::Reason;
use smp_agent::time::{DAY, HOUR, MINUTE};

/// A world in which each of two parties has so many relays to itself: A the first ones, B those after them.
fn world(seed: u64, relays: usize) -> World {
    let mut world = World::new(seed);
    for _ in 0..2 * relays {
        world.add_relay();
    }
    let manners = Manners { expects_failures: true, ..Manners::default() };
    for (party, name) in [(A, "A"), (B, "B")] {
        let relays = (party * relays..(party + 1) * relays).collect();
        world.add_party(name, Setup { relays, manners: manners.clone(), ..Setup::default() });
    }
    world
}

fn queues(count: u8) -> ConnectionOptions {
    ConnectionOptions { receive_queues: count, ..ConnectionOptions::default() }
}

/// The relays at which a party receives, of so many that it has.
fn used(world: &World, party: usize, relays: usize) -> Vec<usize> {
    let count = |relay: &usize| world.relays[*relay].relay.queues().count();
    (party * relays..(party + 1) * relays).filter(|relay| count(relay) > 0).collect()
}

fn at_once(world: &mut World, faults: &[Fault]) {
    for fault in faults {
        world.at(world.now, *fault);
    }
    world.run_for(1);
}

fn phases(world: &World, pair: Pair, side: usize, own: bool) -> Vec<SwitchPhase> {
    let of = world.parties[side].app.of(pair.connections[side]);
    of.filter_map(|kind| match kind {
        EventKind::Switch { receiving, phase, .. } if *receiving == own => Some(*phase),
        _ => None,
    })
    .collect()
}

/// How many queues each side receives from and sends to.
fn known(world: &World, pair: Pair) -> [usize; 4] {
    let [(one, two), (three, four)] = [A, B].map(|side| {
        let agent = world.parties[side].agent.as_ref().expect("it runs");
        let summary = agent.connection(pair.connections[side]).expect("a connection");
        (summary.receiving.len(), summary.sending.len())
    });
    [one, two, three, four]
}

fn both_tell(world: &mut World, pair: Pair, text: &str) {
    world.tell(pair, A, text);
    world.tell(pair, B, text);
}

#[test]
fn the_only_queue_that_is_left_is_kept_until_the_peer_is_back() {
    for late in [0, 8 * DAY] {
        let mut world = world(1, 2);
        let pair = world.connect(queues(1));
        both_tell(&mut world, pair, "before");
        let (old, of_peer) = (used(&world, A, 2)[0], used(&world, B, 2)[0]);
        world.command(A, Command::Switch { connection: pair.connections[A] });
        world.run_until(|world| phases(world, pair, A, true).contains(&SwitchPhase::Secured));
        at_once(&mut world, &[Fault::Down(of_peer)]);
        world.run_for(late);
        at_once(&mut world, &[Fault::LosesEverything(old), Fault::Disconnects(old)]);
        world.run_for(8 * DAY);
        at_once(&mut world, &[Fault::Up(of_peer)]);
        world.run_for(DAY);
        both_tell(&mut world, pair, "after");
        assert_eq!(known(&world, pair), [1; 4]);
    }
}

#[test]
fn the_loss_of_the_only_queue_that_is_left_is_told() {
    let mut world = world(2, 2);
    let pair = world.connect(queues(1));
    let (old, of_peer) = (used(&world, A, 2)[0], used(&world, B, 2)[0]);
    world.command(A, Command::Switch { connection: pair.connections[A] });
    world.run_until(|world| phases(world, pair, A, true).contains(&SwitchPhase::Secured));
    at_once(&mut world, &[Fault::Down(of_peer), Fault::LosesEverything(old), Fault::Disconnects(old)]);
    world.run_for(HOUR);
    let told = |world: &World| {
        let of = world.parties[A].app.of(pair.connections[A]);
        of.filter(|kind| matches!(kind, EventKind::Failed { .. } | EventKind::QueueDeleted { .. })).count()
    };
    assert_eq!(told(&world), 0);
    let new = used(&world, A, 2)[0];
    at_once(&mut world, &[Fault::LosesEverything(new), Fault::Disconnects(new)]);
    world.run_for(HOUR);
    assert_eq!(told(&world), 1);
}

#[test]
fn a_move_goes_on_after_proxies_have_refused_everything() {
    for early in [true, false] {
        let mut world = world(14, 2);
        let pair = world.connect(queues(1));
        both_tell(&mut world, pair, "before");
        let refuse = |world: &mut World, reason| {
            world.relays.iter_mut().for_each(|place| place.refuses_as_proxy = reason);
        };
        if early {
            refuse(&mut world, Some(Reason::NotAuthorized));
        }
        world.command(A, Command::Switch { connection: pair.connections[A] });
        if !early {
            world.run_until(|world| phases(world, pair, B, false).contains(&SwitchPhase::Started));
            refuse(&mut world, Some(Reason::NotAuthorized));
        }
        world.run_for(3 * DAY);
        refuse(&mut world, None);
        world.run_for(DAY);
        both_tell(&mut world, pair, "after");
        world.run_for(HOUR);
        for (side, own) in [(A, true), (B, false)] {
            assert_eq!(phases(&world, pair, side, own).last(), Some(&SwitchPhase::Completed), "{early} {side}");
        }
    }
}

#[test]
fn an_unused_queue_is_not_deleted_while_it_moves() {
    let mut world = world(5, 4);
    let (inviting, links) = world.invite(A, queues(2), None);
    // The second relay has lost its queue, and nobody has noticed.
    let second = {
        let agent = world.parties[A].agent.as_ref().unwrap();
        let server = agent.connection(inviting).unwrap().receiving[1].clone();
        world.relay_at(&server).unwrap()
    };
    at_once(&mut world, &[Fault::LosesEverything(second)]);
    let joining = world.join(B, &links.full, queues(2));
    let pair = Pair { parties: [A, B], connections: [inviting, joining] };
    world.run_until(|world| world.are_connected(pair));
    both_tell(&mut world, pair, "before");
    world.run_for(5 * DAY);
    world.command(A, Command::Switch { connection: pair.connections[A] });
    let started = |world: &World| phases(world, pair, A, true).iter().filter(|p| **p == SwitchPhase::Started).count();
    world.run_until(|world| started(world) == 2);
    let of_peer = used(&world, B, 4);
    at_once(&mut world, &[Fault::Down(of_peer[0]), Fault::Down(of_peer[1])]);
    world.run_for(5 * DAY);
    at_once(&mut world, &[Fault::Up(of_peer[0]), Fault::Up(of_peer[1])]);
    world.run_for(2 * DAY);
    both_tell(&mut world, pair, "after");
    world.run_for(2 * DAY);
    assert_eq!(phases(&world, pair, A, true).last(), Some(&SwitchPhase::Completed), "{}", world.describe());
    world.command(A, Command::Switch { connection: pair.connections[A] });
}

#[test]
fn what_is_to_be_delivered_first_does_not_wait_for_a_key() {
    let mut world = two_parties(6, |party, setup| {
        setup.manners.expects_failures = true;
        setup.manners.allow = party != A;
    });
    world.relays[B].relay.version = 8;
    let (inviting, links) = world.invite(A, queues(1), None);
    let joining = world.join(B, &links.full, queues(1));
    let pair = Pair { parties: [A, B], connections: [inviting, joining] };
    let confirmed = |kind: &EventKind| matches!(kind, EventKind::Confirmation { .. });
    world.run_until(|world| world.parties[A].app.of(inviting).any(confirmed));
    world.run_for(MINUTE);
    at_once(&mut world, &[Fault::NoProxy(B, true)]);
    world.send(pair, B, "one");
    world.command(A, Command::Allow { connection: inviting, info: Vec::new() });
    let told = |kind: &EventKind| matches!(kind, EventKind::Info { .. });
    world.run_until(|world| world.parties[B].app.of(joining).any(told));
    world.command(B, Command::Delete { connection: joining, deliver_first: true });
    world.run_for(MINUTE);
    at_once(&mut world, &[Fault::NoProxy(B, false)]);
    world.run_for(HOUR);
    assert_eq!(world.texts(pair, A), ["one"]);
}

#[test]
fn queues_are_added_when_there_are_relays_again() {
    for emptied in [true, false] {
        let mut world = world(7, 3);
        let pair = world.connect(queues(2));
        both_tell(&mut world, pair, "before");
        let lost = used(&world, A, 3)[1];
        let own = (0..3).map(|relay| ConfiguredServer::new(world.relays[relay].relay.server.clone(), None));
        let servers = ServerList::from(own.collect::<Vec<_>>());
        if emptied {
            world.command(A, Command::SetServers { user: USER, servers: ServerList::default() });
        }
        let refuse = |world: &mut World, password: Option<&[u8]>| {
            world.relays.iter_mut().for_each(|place| place.relay.password = password.map(<[u8]>::to_vec));
        };
        refuse(&mut world, Some(b"for others"));
        at_once(&mut world, &[Fault::LosesEverything(lost), Fault::Disconnects(lost)]);
        world.run_for(8 * DAY);
        assert_eq!(known(&world, pair)[0], 1);
        refuse(&mut world, None);
        world.command(A, Command::SetServers { user: USER, servers });
        world.run_for(2 * DAY);
        assert_eq!(known(&world, pair), [2; 4], "{emptied}");
    }
}

#[test]
fn a_move_ends_when_the_new_relay_is_back() {
    for count in [1, 2] {
        let mut world = world(3, 3);
        let pair = world.connect(queues(count));
        both_tell(&mut world, pair, "before");
        let before = used(&world, A, 3);
        world.command(A, Command::Switch { connection: pair.connections[A] });
        world.run_until(|world| phases(world, pair, B, false).contains(&SwitchPhase::Secured));
        let new = used(&world, A, 3).into_iter().find(|relay| !before.contains(relay)).expect("a new one");
        at_once(&mut world, &[Fault::Down(new)]);
        world.run_for(3 * DAY);
        at_once(&mut world, &[Fault::Up(new)]);
        world.run_for(3 * DAY);
        for (side, own) in [(A, true), (B, false)] {
            assert_eq!(phases(&world, pair, side, own).last(), Some(&SwitchPhase::Completed), "{count} {side}");
        }
        both_tell(&mut world, pair, "after");
        let count = usize::from(count);
        assert_eq!(known(&world, pair), [count; 4]);
    }
}

#[test]
fn who_was_let_in_after_days_is_connected_though_something_else_fails() {
    let mut world = two_parties(8, |_, setup| setup.manners.expects_failures = true);
    world.parties[A].app.manners.allow = false;
    let (inviting, links) = world.invite(A, queues(1), None);
    let joining = world.join(B, &links.full, queues(1));
    let pair = Pair { parties: [A, B], connections: [inviting, joining] };
    let confirmed = |kind: &EventKind| matches!(kind, EventKind::Confirmation { .. });
    world.run_until(|world| world.parties[A].app.of(inviting).any(confirmed));
    world.run_for(MINUTE);
    at_once(&mut world, &[Fault::Down(B)]);
    world.command(A, Command::Allow { connection: inviting, info: Vec::new() });
    world.run_for(3 * DAY);
    at_once(&mut world, &[Fault::Up(B)]);
    world.run_until(|world| world.relays[B].relay.queues().any(|(_, queue)| queue.sender_key.is_some()));
    at_once(&mut world, &[Fault::Down(B)]);
    world.run_for(MINUTE);
    at_once(&mut world, &[Fault::Up(B)]);
    world.run_for(HOUR);
    assert!(world.are_connected(pair), "{}", world.describe());
}

#[test]
fn who_secures_its_own_queue_after_days_is_connected_though_something_else_fails() {
    let mut world = two_parties(10, |_, setup| setup.manners.expects_failures = true);
    world.relays[B].relay.version = 8;
    let (inviting, links) = world.invite(A, queues(1), None);
    let joining = world.join(B, &links.full, queues(1));
    let pair = Pair { parties: [A, B], connections: [inviting, joining] };
    let told = |kind: &EventKind| matches!(kind, EventKind::Info { .. });
    world.run_until(|world| world.parties[B].app.of(joining).any(told));
    world.faults.unavailable = 1_000;
    world.run_for(3 * DAY);
    world.faults = Faults::default();
    at_once(&mut world, &[Fault::Down(A)]);
    world.run_for(HOUR);
    at_once(&mut world, &[Fault::Up(A)]);
    world.run_for(HOUR);
    assert!(world.are_connected(pair), "{}", world.describe());
}

#[test]
fn keys_for_a_new_ratchet_arrive_when_the_relay_is_back() {
    for (wait, down) in (0..4).flat_map(|step| [(step * 200, A), (step * 200, B)]) {
        let mut world = two_parties(9, |_, setup| setup.manners.expects_failures = true);
        let pair = world.connect(queues(1));
        both_tell(&mut world, pair, "before");
        world.command(A, Command::Resynchronize { connection: pair.connections[A], force: true });
        world.run_for(wait);
        at_once(&mut world, &[Fault::Down(down)]);
        world.run_for(3 * DAY);
        at_once(&mut world, &[Fault::Up(down)]);
        world.run_for(DAY);
        both_tell(&mut world, pair, "after");
    }
}

/// Found by fuzzing.
#[test]
fn a_queue_that_took_long_to_be_made_has_its_time_to_be_used() {
    let mut world = world(12, 2);
    let (inviting, links) = world.invite(A, queues(1), None);
    let joining = world.join(B, &links.full, queues(2));
    let pair = Pair { parties: [A, B], connections: [inviting, joining] };
    world.run_until(|world| world.are_connected(pair));
    world.run_until_quiet();
    at_once(&mut world, &[Fault::Down(0), Fault::Down(1)]);
    world.command(A, Command::AddReceiveQueue { connection: inviting });
    world.run_for(8 * DAY);
    at_once(&mut world, &[Fault::Down(2), Fault::Down(3), Fault::Up(0), Fault::Up(1)]);
    let made = |world: &World| -> Vec<Vec<u8>> {
        let of_relays = world.relays[..2].iter().flat_map(|place| place.relay.queues());
        of_relays.map(|(id, _)| id.to_vec()).collect()
    };
    world.run_until(|world| made(world).len() == 2);
    let first = made(&world);
    world.run_for(6 * DAY);
    assert_eq!(made(&world), first);
    at_once(&mut world, &[Fault::Up(2), Fault::Up(3)]);
    world.run_for(DAY);
    assert_eq!((made(&world), known(&world, pair)), (first, [2; 4]));
}
