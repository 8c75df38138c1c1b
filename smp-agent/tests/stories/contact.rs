//! Somebody has an address, and others ask there.

use crate::support::party::{Setup, USER};
use crate::support::stories::{A, B, Pair, by_hand, connection, plain, two_parties};
use crate::support::{Manners, World};
use smp_agent::command::{Command, ConnectionOptions, LinkRequest};
use smp_agent::event::EventKind;
use smp_agent::id::ConnectionId;
use smp_agent::time::SECOND;

/// B asks at an address of A's; both sides once A has accepted.
fn ask(world: &mut World, link: &str) -> Pair {
    let asking = world.join(B, link, ConnectionOptions::default());
    world.run_until(|world| world.parties[B].app.is_connected(asking));
    let accepted = *world.parties[A].app.accepted.last().expect("it was accepted");
    let pair = Pair { parties: [A, B], connections: [accepted, asking] };
    world.run_until(|world| world.are_connected(pair));
    pair
}

fn requests(world: &World, address: ConnectionId) -> usize {
    world.parties[A].app.of(address).filter(|kind| matches!(kind, EventKind::Request { .. })).count()
}

#[test]
fn a_request_is_accepted_and_both_talk() {
    let mut world = plain(1);
    let (_, links) = world.address(A, None);
    let pair = ask(&mut world, &links.full);
    world.tell(pair, A, "welcome");
    world.tell(pair, B, "thanks");
    world.run_until_quiet();
    assert_eq!(world.texts(pair, A), ["thanks"]);
    assert_eq!(world.texts(pair, B), ["welcome"]);
}

#[test]
fn an_address_takes_many_requests() {
    let mut world = plain(2);
    let (address, links) = world.address(A, None);
    let pairs = [(); 3].map(|()| ask(&mut world, &links.full));
    assert_eq!(requests(&world, address), 3);
    for (number, pair) in pairs.into_iter().enumerate() {
        world.tell(pair, B, &format!("I am {number}"));
        assert_eq!(world.texts(pair, A), [format!("I am {number}")]);
    }
    world.run_until_quiet();
}

#[test]
fn a_rejected_request_is_forgotten() {
    let mut world = two_parties(3, |_, setup| setup.manners = by_hand());
    let (address, links) = world.address(A, None);
    world.join(B, &links.full, ConnectionOptions::default());
    world.run_until(|world| requests(world, address) == 1);
    let invitation = world.parties[A].app.kinds().find_map(|kind| match kind {
        EventKind::Request { invitation, .. } => Some(*invitation),
        _ => None,
    });
    let invitation = invitation.unwrap();
    world.command(A, Command::Reject { invitation });
    world.run_until_quiet();
    let accept = Command::Accept { invitation, info: Vec::new(), options: ConnectionOptions::default() };
    assert!(world.try_command(A, accept).is_err());
}

#[test]
fn the_data_behind_an_address_is_read_and_replaced() {
    let mut world = plain(4);
    let link = LinkRequest { user_data: b"this is me".to_vec(), entity_id: Some(b"entity".to_vec()) };
    let (address, links) = world.address(A, Some(link));
    let short = links.short.expect("a short link");
    let read = |world: &mut World| {
        let reading = world.command(B, Command::ReadLink { user: crate::support::party::USER, link: short.clone() });
        let reading = crate::support::stories::connection(reading);
        world.run_until(|world| world.parties[B].app.of(reading).count() > 0);
        let kind = world.parties[B].app.of(reading).next().cloned();
        match kind {
            Some(EventKind::LinkRead { user_data, invitation: false, .. }) => Some(user_data.0),
            _ => None,
        }
    };
    assert_eq!(read(&mut world).as_deref(), Some(&b"this is me"[..]));
    world.command(A, Command::SetLink { connection: address, user_data: b"I have changed".to_vec() });
    world.run_until_quiet();
    assert_eq!(read(&mut world).as_deref(), Some(&b"I have changed"[..]));
    let pair = ask(&mut world, &short);
    world.tell(pair, B, "found you");
    world.run_until_quiet();
}

#[test]
fn the_longest_information_fits_beside_four_queues_at_relays_with_long_names() {
    let mut world = World::new(9);
    for relay in 0..4 {
        let host = |number: u32| format!("{relay}-{number}-{}.example.com", "long".repeat(5));
        let hosts: Vec<String> = (0..8).map(host).collect();
        world.add_relay_with_hosts(&format!("example.com,{}", hosts.join(",")));
    }
    world.add_party("A", Setup { relays: vec![0], ..Setup::default() });
    world.add_party("B", Setup::default());
    let (_, links) = world.address(A, None);

    let options = ConnectionOptions { receive_queues: 4, ..ConnectionOptions::default() };
    let join = |length| Command::Join { user: USER, link: links.full.clone(), info: vec![b'i'; length], options };
    let longest = (1..16_000).rev().step_by(50).find_map(|length| world.try_command(B, join(length)).ok());
    let asking = connection(longest.expect("some length is taken"));
    world.run_until(|world| world.parties[B].app.is_connected(asking));
}

#[test]
fn requests_come_as_fast_as_the_application_takes_them() {
    let mut world = World::new(10);
    world.add_relay();
    let slow = Manners { delay: (60_000, 60_000), accept: false, ..Manners::default() };
    world.add_party("A", Setup { manners: slow, ..Setup::default() });
    for name in ["B", "C", "D"] {
        world.add_party(name, Setup::default());
    }
    let (address, links) = world.address(A, None);
    for asking in 1..4 {
        world.join(asking, &links.full, ConnectionOptions::default());
    }
    for expected in 1..=3 {
        world.run_for(30 * SECOND);
        assert_eq!(requests(&world, address), expected);
        world.run_for(31 * SECOND);
    }
}
