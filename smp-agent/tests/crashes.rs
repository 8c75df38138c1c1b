//! An agent's process may end at any commit, before it or after it: whoever was talking goes on talking, and nothing is
//! lost or told twice.

mod support;

use smp_agent::command::ConnectionOptions;
use smp_agent::time::HOUR;
use support::stories::{A, B, Pair, plain};
use support::{Cut, World};

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

#[test]
fn an_invitation_is_joined() {
    cut_everywhere(plain, |world| {
        let pair = world.connect(ConnectionOptions::default());
        talk(world, pair);
    });
}
