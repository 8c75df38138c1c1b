//! Relays go down, connections break, answers are lost and agents crash, by chance: every message comes once, in order.

use crate::support::Faults;
use crate::support::seeds::each_seed;
use crate::support::stories::{A, B, two_parties};
use smp_agent::command::ConnectionOptions;
use smp_agent::policy::routing::ProxyMode;
use smp_agent::time::{HOUR, MINUTE};

/// A conversation in a bad world.
fn converse(seed: u64) {
    let proxied = seed.is_multiple_of(3);
    let mut world = two_parties(seed, |_, setup| {
        setup.manners.receipts = seed.is_multiple_of(2);
        if proxied {
            setup.proxies = vec![2];
            setup.configuration.routing.mode = ProxyMode::Always;
        } else {
            setup.configuration.routing.mode = ProxyMode::Never;
        }
    });
    world.faults = Faults::BAD;
    world.plan_random_faults(12, 40 * MINUTE);
    let pair = world.connect(ConnectionOptions::default());
    let mut sent = [Vec::new(), Vec::new()];
    for number in 0..12 {
        let side = world.below(2) as usize;
        let text = format!("{number}");
        world.send(pair, side, &text);
        sent[side].push(text);
        let pause = world.below(4 * MINUTE);
        world.run_for(pause);
    }
    world.faults = Faults::default();
    world.run_until_within(12 * HOUR, |world| [A, B].iter().all(|side| world.texts(pair, 1 - side) == sent[*side]));
    world.run_until_quiet();
    for side in [A, B] {
        assert_eq!(world.texts(pair, 1 - side), sent[side], "seed {seed}");
        let app = &world.parties[side].app;
        assert_eq!(app.sent(pair.connections[side]), sent[side].len(), "{}", world.describe());
    }
}

#[test]
fn conversations_survive_bad_networks() {
    for seed in 0..60 {
        converse(seed);
    }
}

#[test]
#[ignore = "hours; FIRST and COUNT choose some of them"]
fn many_conversations_survive_bad_networks() {
    each_seed(converse);
}
