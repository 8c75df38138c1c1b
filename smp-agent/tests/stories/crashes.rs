//! An agent's process may end at any commit, before it or after it: whoever was talking goes on talking, and nothing is
//! lost or told twice.

use crate::support::party::USER;
use crate::support::stories::{A, B, Pair, connection, plain, two_parties};
use crate::support::{Cut, World};
use smp_agent::command::{Command, ConnectionOptions, LinkRequest};
use smp_agent::event::EventKind;
use smp_agent::policy::routing::ProxyMode;
use smp_agent::storage::Storage;
use smp_agent::time::HOUR;

/// A story, told in a world where one agent's storage fails once; the number of commits its agents made.
fn tell(story: fn(&mut World), make: fn(u64) -> World, cut: Option<(usize, Cut)>) -> [u64; 2] {
    let mut world = make(11);
    if let Some((party, cut)) = cut {
        world.parties[party].storage.cut(Some(cut));
    }
    story(&mut world);
    world.run_for(HOUR);
    world.check();
    [A, B].map(|party| world.parties[party].storage.commits())
}

/// Tells a story with a failure at each commit and at some reads of each agent.
fn cut_everywhere(make: fn(u64) -> World, story: fn(&mut World)) {
    let commits = tell(story, make, None);
    for party in [A, B] {
        assert!(commits[party] > 5, "{commits:?}");
        // Setting up the party takes the first two.
        for number in 3..=commits[party] {
            for cut in [Cut::Before(number), Cut::After(number)] {
                let told = std::panic::catch_unwind(|| tell(story, make, Some((party, cut))));
                assert!(told.is_ok(), "agent {party} {cut:?} of {commits:?}");
            }
        }
    }
}

/// Messages both ways, which come once and in order.
fn talk(world: &mut World, pair: Pair) {
    for number in 1..=2 {
        for side in [A, B] {
            world.send(pair, side, &format!("{number}"));
        }
    }
    world.run_until(|world| [A, B].iter().all(|side| world.texts(pair, *side).len() == 2));
    world.run_until(|world| [A, B].iter().all(|side| world.parties[*side].app.sent(pair.connections[*side]) == 2));
    for side in [A, B] {
        assert_eq!(world.texts(pair, side), ["1", "2"]);
    }
}

/// Relays of before version 9, where the recipients secure queues and HELLO is exchanged.
fn old(seed: u64) -> World {
    two_parties(seed, |_, setup| setup.smp_version = 8)
}

/// Everything to the other's relay goes through a proxy.
fn proxied(seed: u64) -> World {
    two_parties(seed, |_, setup| {
        setup.configuration.routing.mode = ProxyMode::Always;
        setup.proxies = vec![2];
    })
}

fn with_receipts(seed: u64) -> World {
    two_parties(seed, |_, setup| setup.manners.receipts = true)
}

/// A queue takes two messages.
fn narrow(seed: u64) -> World {
    let mut world = plain(seed);
    world.relays.iter_mut().for_each(|place| place.relay.quota = 2);
    world
}

fn invite_and_talk(world: &mut World) {
    let pair = world.connect(ConnectionOptions::default());
    talk(world, pair);
}

/// A conversation that begins at an address.
fn ask_and_talk(world: &mut World) {
    let (_, links) = world.address(A, None);
    let pair = ask(world, &links.full);
    talk(world, pair);
}

/// B asks at an address of A's, until both are connected.
fn ask(world: &mut World, link: &str) -> Pair {
    let asking = world.join(B, link, ConnectionOptions::default());
    world.run_until(|world| world.parties[B].app.is_connected(asking));
    let accepted = *world.parties[A].app.accepted.last().expect("it was accepted");
    let pair = Pair { parties: [A, B], connections: [accepted, asking] };
    world.run_until(|world| world.are_connected(pair));
    pair
}

#[test]
fn an_invitation_is_joined() {
    cut_everywhere(plain, invite_and_talk);
}

#[test]
fn an_invitation_is_joined_over_old_relays() {
    cut_everywhere(old, invite_and_talk);
}

#[test]
fn an_invitation_is_joined_through_a_proxy() {
    cut_everywhere(proxied, invite_and_talk);
}

#[test]
fn a_request_is_accepted() {
    cut_everywhere(plain, ask_and_talk);
}

#[test]
fn a_request_is_accepted_over_old_relays() {
    cut_everywhere(old, ask_and_talk);
}

fn link() -> Option<LinkRequest> {
    Some(LinkRequest { user_data: b"about me".to_vec(), entity_id: None })
}

#[test]
fn an_invitation_with_a_short_link_is_joined() {
    cut_everywhere(plain, |world| {
        let (inviting, links) = world.invite(A, ConnectionOptions::default(), link());
        let joining = world.join(B, &links.short.expect("a short link"), ConnectionOptions::default());
        let pair = Pair { parties: [A, B], connections: [inviting, joining] };
        world.run_until(|world| world.are_connected(pair));
        talk(world, pair);
    });
}

#[test]
fn an_address_with_a_short_link_is_changed_and_asked() {
    cut_everywhere(plain, |world| {
        let (address, links) = world.address(A, link());
        world.command(A, Command::SetLink { connection: address, user_data: b"changed".to_vec() });
        let short = links.short.expect("a short link");
        let pair = ask(world, &short);
        talk(world, pair);
        world.command(A, Command::DeleteLink { connection: address });
        let deleted = |kind: &EventKind| matches!(kind, EventKind::LinkDeleted { .. });
        world.run_until(|world| world.parties[A].app.of(address).any(deleted));
    });
}

#[test]
fn receipts_are_sent() {
    cut_everywhere(with_receipts, |world| {
        let pair = world.connect(ConnectionOptions::default());
        talk(world, pair);
        let received = |world: &World, side: usize| world.parties[side].app.receipts(pair.connections[side]);
        world.run_until(|world| [A, B].iter().all(|side| received(world, *side) == 2));
    });
}

#[test]
fn a_full_queue_is_emptied() {
    cut_everywhere(narrow, |world| {
        let pair = world.connect(ConnectionOptions::default());
        for number in 1..=6 {
            world.send(pair, A, &format!("{number}"));
        }
        world.run_until(|world| world.texts(pair, B).len() == 6);
        assert_eq!(world.texts(pair, B), ["1", "2", "3", "4", "5", "6"]);
    });
}

#[test]
fn reads_fail() {
    let reads = |world: &World| [A, B].map(|party| world.parties[party].storage.reads());
    let mut world = plain(11);
    let before = reads(&world);
    invite_and_talk(&mut world);
    let after = reads(&world);
    for party in [A, B] {
        for number in before[party] + 1..=after[party] {
            let told = std::panic::catch_unwind(|| tell(invite_and_talk, plain, Some((party, Cut::Read(number)))));
            assert!(told.is_ok(), "agent {party}, read {number} of {after:?}");
        }
    }
}

/// B reads a short link; what it says.
fn read(world: &mut World, link: &str) -> String {
    let reading = connection(world.command(B, Command::ReadLink { user: USER, link: link.into() }));
    let data = |world: &World| {
        world.parties[B].app.of(reading).find_map(|kind| match kind {
            EventKind::LinkRead { user_data, .. } => Some(String::from_utf8(user_data.0.clone()).unwrap()),
            _ => None,
        })
    };
    world.run_until(|world| data(world).is_some());
    data(world).unwrap()
}

#[test]
fn a_short_link_is_read_and_joined() {
    cut_everywhere(plain, |world| {
        let options = ConnectionOptions::default();
        let (inviting, links) = world.invite(A, options, link());
        let short = links.short.unwrap();
        assert_eq!(read(world, &short), "about me");
        let joining = world.join(B, &short, options);
        let pair = Pair { parties: [A, B], connections: [inviting, joining] };
        world.run_until(|world| world.are_connected(pair));
        talk(world, pair);
        let left = world.parties[B].storage.copy().scan(&[14], None, 10).unwrap();
        assert!(left.is_empty(), "the key of the link is not needed any more");
    });
}

#[test]
fn an_address_has_a_link_and_other_data_and_another_link() {
    cut_everywhere(plain, |world| {
        let (address, links) = world.address(A, link());
        assert_eq!(read(world, links.short.as_ref().unwrap()), "about me");
        world.command(A, Command::SetLink { connection: address, user_data: b"second".to_vec() });
        world.run_until_quiet();
        assert_eq!(read(world, links.short.as_ref().unwrap()), "second");
        world.command(A, Command::DeleteLink { connection: address });
        let deleted = |kind: &EventKind| matches!(kind, EventKind::LinkDeleted { .. });
        world.run_until(|world| world.parties[A].app.of(address).any(deleted));
        world.command(A, Command::SetLink { connection: address, user_data: b"third".to_vec() });
        world.run_until_quiet();
        let short = world.links(A, address).short.unwrap();
        let asking = world.join(B, &short, ConnectionOptions::default());
        world.run_until(|world| world.parties[B].app.is_connected(asking));
    });
}
