//! Links are known before there is a network, and lead somewhere once there is one.

use crate::support::party::USER;
use crate::support::stories::{A, B, Pair, connection, two_parties};
use crate::support::{Cut, Fault, Faults, World};
use smp_agent::command::{Command, ConnectionOptions, LinkRequest, PostQuantum};
use smp_agent::error::{ConnectionError, Refusal};
use smp_agent::event::{EventKind, Links};
use smp_agent::id::ConnectionId;
use smp_agent::policy::server::ServerList;
use smp_agent::request::{Failure, Reason};
use smp_agent::summary::ConnectionState;
use smp_agent::time::{HOUR, MINUTE, SECOND};

/// What is prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Invitation,
    Address,
}

const KINDS: [Kind; 2] = [Kind::Invitation, Kind::Address];

fn world(seed: u64) -> World {
    two_parties(seed, |_, setup| setup.manners.expects_failures = true)
}

fn command(kind: Kind) -> Command {
    let link = LinkRequest { user_data: b"about me".to_vec(), entity_id: None };
    match kind {
        Kind::Invitation => Command::PrepareInvitation { user: USER, options: ConnectionOptions::default(), link },
        Kind::Address => Command::PrepareAddress { user: USER, link },
    }
}

/// A link, which is there at once.
fn prepare(world: &mut World, kind: Kind) -> (ConnectionId, Links) {
    let id = connection(world.command(A, command(kind)));
    // At once, unless the process ended with the command.
    world.run_until_within(10 * SECOND, |world| prepared(world, id).is_some());
    (id, prepared(world, id).unwrap())
}

fn prepared(world: &World, id: ConnectionId) -> Option<Links> {
    world.parties[A].app.of(id).find_map(|kind| match kind {
        EventKind::LinkPrepared { links, .. } => Some(links.clone()),
        _ => None,
    })
}

fn ready(world: &World, id: ConnectionId) -> Option<Links> {
    world.parties[A].app.of(id).find_map(|kind| match kind {
        EventKind::LinkReady { links, .. } => Some(links.clone()),
        _ => None,
    })
}

fn failed(world: &World, party: usize, id: ConnectionId) -> Option<ConnectionError> {
    world.parties[party].app.of(id).find_map(|kind| match kind {
        EventKind::Failed { error, .. } => Some(*error),
        _ => None,
    })
}

/// B uses a link, and both talk.
fn use_link(world: &mut World, kind: Kind, id: ConnectionId, link: &str) {
    let joining = world.join(B, link, ConnectionOptions::default());
    world.run_until(|world| world.parties[B].app.is_connected(joining));
    let own = match kind {
        Kind::Invitation => id,
        Kind::Address => *world.parties[A].app.accepted.last().expect("it was accepted"),
    };
    let pair = Pair { parties: [A, B], connections: [own, joining] };
    world.run_until(|world| world.are_connected(pair));
    world.tell(pair, A, "hello");
    world.tell(pair, B, "hello yourself");
}

fn state(world: &World, id: ConnectionId) -> ConnectionState {
    world.parties[A].agent.as_ref().unwrap().connection(id).unwrap().state
}

fn queues(world: &World) -> usize {
    world.relays[A].relay.queues().count()
}

#[test]
fn links_are_known_while_the_relay_is_down_and_lead_to_the_queue_later() {
    for kind in KINDS {
        for short in [false, true] {
            let mut world = world(1);
            world.at(world.now, Fault::Down(A));
            world.settle();
            let before = world.now;
            let (id, links) = prepare(&mut world, kind);
            assert_eq!(world.now, before, "at once");
            assert_eq!(links.short.is_some(), kind == Kind::Address, "a relay names the data of invitations");
            world.run_for(3 * HOUR);
            for _ in 0..2 {
                world.crash(A);
                world.run_for(HOUR);
            }
            assert_eq!(ready(&world, id), None);
            assert_eq!(world.relays[A].relay.queues().count(), 0);
            world.at(world.now, Fault::Up(A));
            world.run_until_within(5 * MINUTE, |world| ready(world, id).is_some());
            let later = ready(&world, id).unwrap();
            assert_eq!(later.full, links.full);
            assert!(later.short.is_some() && (kind == Kind::Invitation || later.short == links.short));
            let link = if short { later.short.unwrap() } else { links.full };
            use_link(&mut world, kind, id, &link);
            assert_eq!(failed(&world, A, id), None);
        }
    }
}

#[test]
fn a_prepared_link_without_trouble() {
    for kind in KINDS {
        let mut world = two_parties(2, |_, _| {});
        let (id, links) = prepare(&mut world, kind);
        let set = Command::SetLink { connection: id, user_data: b"else".to_vec() };
        assert_eq!(world.try_command(A, set.clone()), Err(Refusal::Prohibited), "before the queue is there");
        world.run_until(|world| ready(world, id).is_some());
        let news = world.parties[A].transcript.sent().filter(|sent| sent.command == "NEW").count();
        assert_eq!(news, 1);
        world.command(A, set);
        world.run_until_quiet();
        assert_eq!(ready(&world, id).unwrap().full, links.full);
        use_link(&mut world, kind, id, &links.full);
    }
}

#[test]
fn the_key_for_encapsulation_is_in_a_prepared_link_that_shall_have_it() {
    for (post_quantum, in_link) in [(PostQuantum::Off, false), (PostQuantum::On, false), (PostQuantum::InLink, true)] {
        let mut world = world(3);
        let options = ConnectionOptions { post_quantum, receive_queues: 3 };
        let link = LinkRequest::default();
        let id = connection(world.command(A, Command::PrepareInvitation { user: USER, options, link }));
        let links = prepared(&world, id).unwrap();
        assert_eq!(links.full.contains("kem_key"), in_link);
        world.run_until(|world| ready(world, id).is_some());
        assert_eq!(queues(&world), 1);
        use_link(&mut world, Kind::Invitation, id, &links.full);
    }
}

#[test]
fn who_comes_before_the_queue_finds_nothing() {
    for kind in KINDS {
        let mut world = world(4);
        // A's relay is there for B, and not for A.
        world.command(A, Command::NetworkChanged { online: false });
        let (id, links) = prepare(&mut world, kind);
        let early = world.join(B, &links.full, ConnectionOptions::default());
        world.run_until(|world| failed(world, B, early).is_some());
        assert_eq!(failed(&world, B, early), Some(ConnectionError::NotAvailable));
        world.command(A, Command::NetworkChanged { online: true });
        world.run_until(|world| ready(world, id).is_some());
        use_link(&mut world, kind, id, &links.full);
    }
}

#[test]
fn a_relay_without_links_makes_a_prepared_one_void() {
    for kind in KINDS {
        for version in [8, 14] {
            let mut world = world(5);
            world.relays[A].relay.version = version;
            let (id, _) = prepare(&mut world, kind);
            world.run_until_quiet();
            let failure = Failure::of_relay(Reason::Version);
            assert_eq!(failed(&world, A, id), Some(ConnectionError::PreparedLink(failure)));
            assert_eq!((ready(&world, id), state(&world, id)), (None, ConnectionState::Failed));
            assert_eq!(queues(&world), 0, "what it made instead is deleted");
            world.command(A, Command::Delete { connection: id, deliver_first: false });
            world.run_until_quiet();
            assert!(world.parties[A].agent.as_ref().unwrap().connection(id).is_none());
        }
    }
}

#[test]
fn an_answer_that_is_lost_is_told() {
    for kind in KINDS {
        for repeats in [false, true] {
            let mut world = world(6);
            world.relays[A].relay.repeats = repeats;
            world.faults = Faults { lost_answers: 1_000, ..Faults::default() };
            let (id, links) = prepare(&mut world, kind);
            world.run_for(2_000);
            assert_eq!(queues(&world), 1);
            world.faults = Faults::default();
            world.run_until(|world| ready(world, id).is_some() || failed(world, A, id).is_some());
            if repeats {
                use_link(&mut world, kind, id, &links.full);
            } else {
                let failure = Failure::of_relay(Reason::NotAuthorized);
                assert_eq!(failed(&world, A, id), Some(ConnectionError::PreparedLink(failure)));
                assert_eq!(state(&world, id), ConnectionState::Failed);
            }
        }
    }
}

#[test]
fn a_relay_that_refuses_makes_the_link_void() {
    let mut world = world(7);
    world.relays[A].relay.password = Some(b"secret".to_vec());
    let (id, _) = prepare(&mut world, Kind::Address);
    world.run_until(|world| failed(world, A, id).is_some());
    world.run_until_quiet();
    assert_eq!(state(&world, id), ConnectionState::Failed);
}

#[test]
fn a_prepared_link_is_deleted_before_its_queue_is_there_and_while_it_is_made() {
    for kind in KINDS {
        for moment in [None, Some(0), Some(60), Some(150), Some(300), Some(600)] {
            let mut world = world(8);
            if moment.is_none() {
                world.at(world.now, Fault::Down(A));
                world.settle();
            }
            let (id, _) = prepare(&mut world, kind);
            world.run_for(moment.unwrap_or(MINUTE));
            world.command(A, Command::Delete { connection: id, deliver_first: false });
            world.at(world.now.after(MINUTE), Fault::Up(A));
            world.run_until_quiet();
            assert_eq!(queues(&world), 0);
            assert!(world.parties[A].agent.as_ref().unwrap().connection(id).is_none());
            assert_eq!(world.parties[A].storage.copy().len(), 2, "after {moment:?}");
        }
    }
}

#[test]
fn what_cannot_be_prepared_is_refused() {
    let mut world = world(9);
    for kind in KINDS {
        let mut large = command(kind);
        if let Command::PrepareInvitation { link, .. } | Command::PrepareAddress { link, .. } = &mut large {
            link.user_data = vec![0; 13_707];
        }
        assert_eq!(world.try_command(A, large), Err(Refusal::TooLarge));
    }
    world.command(A, Command::SetServers { user: USER, servers: ServerList::default() });
    for kind in KINDS {
        assert_eq!(world.try_command(A, command(kind)), Err(Refusal::NoServer));
    }
    assert_eq!(world.parties[A].agent.as_ref().unwrap().connections().count(), 0);
    assert!(world.parties[A].app.events.is_empty());
}

/// A link is prepared and used. A crash between what a relay does and what its agent knows of it may cost the link where
/// the relay does not repeat itself: then that is told, and another one serves.
fn tell(kind: Kind, repeats: bool, cut: Option<Cut>) -> u64 {
    let mut world = world(10);
    world.relays[A].relay.repeats = repeats;
    world.parties[A].storage.cut(cut);
    let (mut id, mut links) = prepare(&mut world, kind);
    world.run_until(|world| ready(world, id).is_some() || failed(world, A, id).is_some());
    if failed(&world, A, id).is_some() {
        assert!(!repeats, "{kind:?} {cut:?}");
        (id, links) = prepare(&mut world, kind);
        world.run_until(|world| ready(world, id).is_some());
    }
    use_link(&mut world, kind, id, &links.full);
    world.run_for(HOUR);
    world.check();
    world.parties[A].storage.commits()
}

#[test]
fn a_prepared_link_survives_a_crash_at_every_commit() {
    for kind in KINDS {
        for repeats in [false, true] {
            let commits = tell(kind, repeats, None);
            for number in 3..=commits {
                for cut in [Cut::Before(number), Cut::After(number)] {
                    tell(kind, repeats, Some(cut));
                }
            }
        }
    }
}
