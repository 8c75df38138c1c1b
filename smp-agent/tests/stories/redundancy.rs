//! Connections that receive at several relays: losing one of them loses nothing.

use crate::support::party::Setup;
use crate::support::stories::{A, B, Pair};
use crate::support::{Fault, Faults, World};
use smp_agent::command::{Command, ConnectionOptions};
use smp_agent::event::RatchetSync;
use smp_agent::time::{HOUR, MINUTE};

/// A and B with two relays each, which the other does not use.
fn four_relays(seed: u64) -> World {
    let mut world = World::new(seed);
    for _ in 0..4 {
        world.add_relay();
    }
    for (name, relays) in [("A", vec![0, 1]), ("B", vec![2, 3])] {
        world.add_party(name, Setup { relays, ..Setup::default() });
    }
    world
}

fn redundant() -> ConnectionOptions {
    ConnectionOptions { receive_queues: 2, ..ConnectionOptions::default() }
}

/// Messages both ways, and whether they have all come.
fn talk(world: &mut World, pair: Pair, texts: &[&str]) {
    for text in texts {
        for side in [A, B] {
            world.send(pair, side, text);
        }
    }
    world.run_until_within(6 * HOUR, |world| {
        [A, B].iter().all(|side| {
            world.texts(pair, *side).ends_with(&texts.iter().map(|text| (*text).into()).collect::<Vec<String>>())
        })
    });
}

#[test]
fn messages_come_once_from_several_relays() {
    let mut world = four_relays(1);
    let pair = world.connect(redundant());
    talk(&mut world, pair, &["one", "two", "three"]);
    world.run_until_quiet();
    for side in [A, B] {
        assert_eq!(world.texts(pair, side), ["one", "two", "three"]);
    }
    let used = world.relays.iter().filter(|place| place.relay.queues().count() > 0).count();
    assert_eq!(used, 4);
}

#[test]
fn one_relay_may_stay_away() {
    for down in 0..4 {
        let mut world = four_relays(2);
        let pair = world.connect(redundant());
        talk(&mut world, pair, &["one"]);
        world.at(world.now, Fault::Down(down));
        world.run_for(MINUTE);
        talk(&mut world, pair, &["two", "three"]);
        world.at(world.now, Fault::Up(down));
        world.run_for(10 * MINUTE);
        talk(&mut world, pair, &["four"]);
        world.run_until_quiet();
        for side in [A, B] {
            assert_eq!(world.texts(pair, side), ["one", "two", "three", "four"]);
        }
    }
}

#[test]
fn one_relay_may_lose_everything() {
    for lost in 0..4 {
        let mut world = four_relays(3);
        for party in &mut world.parties {
            party.app.manners.expects_failures = true;
        }
        let pair = world.connect(redundant());
        talk(&mut world, pair, &["one"]);
        world.at(world.now, Fault::Disconnects(lost));
        world.at(world.now, Fault::LosesEverything(lost));
        world.run_for(MINUTE);
        talk(&mut world, pair, &["two", "three"]);
        world.run_until_quiet();
        for side in [A, B] {
            assert_eq!(world.texts(pair, side), ["one", "two", "three"]);
        }
    }
}

#[test]
fn bad_networks_with_several_relays() {
    for seed in 0..20 {
        let mut world = four_relays(seed);
        world.faults = Faults::BAD;
        world.plan_random_faults(12, 40 * MINUTE);
        let pair = world.connect(redundant());
        for number in 0..10 {
            let side = world.below(2) as usize;
            world.send(pair, side, &format!("{number}"));
            let pause = world.below(4 * MINUTE);
            world.run_for(pause);
        }
        world.faults = Faults::default();
        world.run_until_within(12 * HOUR, |world| world.texts(pair, A).len() + world.texts(pair, B).len() == 10);
        world.run_until_quiet();
        for side in [A, B] {
            assert!(world.texts(pair, side).is_sorted(), "seed {seed}");
        }
    }
}

#[test]
fn a_new_ratchet_waits_for_no_relay_that_is_away() {
    for down in 0..4 {
        let mut world = four_relays(7);
        for party in &mut world.parties {
            party.app.manners.expects_failures = true;
        }
        let pair = world.connect(redundant());
        talk(&mut world, pair, &["one"]);
        world.at(world.now, Fault::Down(down));
        world.run_for(MINUTE);
        world.command(A, Command::Resynchronize { connection: pair.connections[A], force: true });
        world.run_until_within(MINUTE, |world| {
            [A, B].iter().all(|side| {
                let agent = world.parties[*side].agent.as_ref().expect("it runs");
                agent.connection(pair.connections[*side]).expect("a connection").ratchet == RatchetSync::Ok
            })
        });
        let begun = world.now;
        talk(&mut world, pair, &["two"]);
        assert!(world.now.since(begun) < MINUTE, "{down}");
    }
}
