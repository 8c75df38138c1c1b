//! Where nothing may be sent directly and there is no proxy.

use crate::support::party::USER;
use crate::support::stories::{A, B, two_parties};
use crate::support::{Fault, Setup, World};
use smp_agent::command::{Command, ConnectionOptions};
use smp_agent::error::Refusal;
use smp_agent::policy::routing::{Fallback, ProxyMode, Routing};
use smp_agent::policy::session::SessionMode;
use smp_agent::time::{HOUR, MINUTE};

#[test]
fn who_has_no_way_to_the_relay_of_a_link_is_told_so_at_once() {
    for (mode, fallback, refused) in [
        (ProxyMode::Always, Fallback::No, true),
        (ProxyMode::Always, Fallback::Yes, false),
        (ProxyMode::Unknown, Fallback::No, false),
    ] {
        let mut world = two_parties(7, |party, setup| {
            // The only relay of both is no proxy for itself.
            setup.relays = vec![0];
            setup.configuration.routing = if party == B { Routing { mode, fallback } } else { Routing::default() };
        });
        let (_, links) = world.invite(A, ConnectionOptions::default(), None);
        let options = ConnectionOptions::default();
        let join = Command::Join { user: USER, link: links.full, info: b"B".to_vec(), options };
        let result = world.try_command(B, join);
        assert_eq!(result.err(), refused.then_some(Refusal::NoServer), "{mode:?} {fallback:?}");
    }
}

/// The proxies of B, which each of its connections chooses anew.
const PROXIES: [usize; 5] = [2, 3, 4, 5, 6];

fn world_of_proxies(seed: u64) -> World {
    let mut world = World::new(seed);
    for _ in 0..7 {
        world.add_relay();
    }
    for (number, name) in [(A, "A"), (B, "B")] {
        let mut setup = Setup { relays: vec![number], ..Setup::default() };
        setup.configuration.session_mode = SessionMode::Entity;
        setup.configuration.routing = Routing { mode: ProxyMode::Never, fallback: Fallback::No };
        if number == B {
            setup.configuration.routing.mode = ProxyMode::Always;
            setup.proxies = PROXIES.to_vec();
        }
        world.add_party(name, setup);
    }
    world
}

fn down(world: &mut World, relays: &[usize], down: bool) {
    for relay in relays {
        world.at(world.now, if down { Fault::Down(*relay) } else { Fault::Up(*relay) });
    }
    world.run_for(1);
}

fn refused(world: &World) -> Vec<usize> {
    PROXIES.iter().map(|proxy| world.relays[*proxy].refused).collect()
}

#[test]
fn a_proxy_that_failed_is_not_chosen_again_where_another_one_works() {
    for seed in 0..8 {
        let mut world = world_of_proxies(seed);
        down(&mut world, &PROXIES[..4], true);
        let begun = world.now;
        let pairs: Vec<_> = (0..8).map(|_| world.connect(ConnectionOptions::default())).collect();
        assert!(world.now.since(begun) < 10 * MINUTE);
        let found = refused(&world);
        assert!(found.iter().all(|times| *times <= 1), "{found:?}");
        assert_eq!(found[4], 0);
        // What works is used as long as it does; then the others count again.
        down(&mut world, &PROXIES[..4], false);
        down(&mut world, &PROXIES[4..], true);
        for pair in pairs {
            let begun = world.now;
            world.tell(pair, B, "through another one");
            assert!(world.now.since(begun) < 5 * MINUTE, "seed {seed}");
        }
        let last = world.relays[PROXIES[4]].refused;
        assert!(last <= 1, "{last}");
    }
}

#[test]
fn all_proxies_are_tried_again_when_all_have_failed() {
    let mut world = world_of_proxies(1);
    let pair = world.connect(ConnectionOptions::default());
    down(&mut world, &PROXIES, true);
    world.send(pair, B, "hello");
    world.run_for(HOUR);
    assert!(refused(&world).iter().all(|times| *times > 0));
    down(&mut world, &PROXIES[1..2], false);
    world.run_until_within(HOUR, |world| world.texts(pair, A) == ["hello"]);
    // The network of B's own was away: nothing is held against any of them.
    down(&mut world, &PROXIES, false);
    world.command(B, Command::NetworkChanged { online: false });
    world.command(B, Command::NetworkChanged { online: true });
    world.tell(pair, B, "again");
}
