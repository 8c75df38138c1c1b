//! Ratchets that are out of step are replaced, whoever starts and whatever happens in between.

use crate::support::app::Manners;
use crate::support::party::Setup;
use crate::support::stories::{A, B, Pair, plain, two_parties};
use crate::support::{Cut, Fault, World};
use smp_agent::command::{Command, ConnectionOptions};
use smp_agent::error::Refusal;
use smp_agent::event::{EventKind, RatchetSync};
use smp_agent::time::{HOUR, MINUTE, SECOND};

fn state(world: &World, pair: Pair, side: usize) -> RatchetSync {
    let agent = world.parties[pair.parties[side]].agent.as_ref();
    agent.map_or(RatchetSync::Started, |agent| agent.connection(pair.connections[side]).expect("a connection").ratchet)
}

fn start(world: &mut World, pair: Pair, side: usize) {
    let force = !matches!(state(world, pair, side), RatchetSync::Allowed | RatchetSync::Required);
    world.command(pair.parties[side], Command::Resynchronize { connection: pair.connections[side], force });
}

fn are_in_step(world: &World, pair: Pair) -> bool {
    [A, B].iter().all(|side| state(world, pair, *side) == RatchetSync::Ok)
}

/// Both tell each other something, twice, as ratchets turn when the direction does.
fn talk(world: &mut World, pair: Pair, about: &str) {
    for number in 0..2 {
        for side in [A, B] {
            world.tell(pair, side, &format!("{about} {number}"));
        }
    }
}

/// Messages may be missing between others, and nothing else is wrong.
fn gaps(setup: &mut Setup) {
    setup.manners = Manners { expects_failures: true, ..Manners::default() };
}

fn world_with_gaps(seed: u64) -> World {
    two_parties(seed, |_, setup| gaps(setup))
}

#[test]
fn one_side_starts() {
    for seed in 0..12 {
        let mut world = world_with_gaps(seed);
        let pair = world.connect(ConnectionOptions::default());
        talk(&mut world, pair, "before");
        start(&mut world, pair, seed as usize % 2);
        world.run_until_within(2 * SECOND, |world| are_in_step(world, pair));
        talk(&mut world, pair, "after");
    }
}

#[test]
fn both_start_at_once() {
    let mut slow = 0;
    for seed in 0..40 {
        let mut world = world_with_gaps(seed);
        let pair = world.connect(ConnectionOptions::default());
        talk(&mut world, pair, "before");
        let begun = world.now;
        start(&mut world, pair, A);
        start(&mut world, pair, B);
        world.run_until_within(7 * SECOND, |world| are_in_step(world, pair));
        slow += u32::from(world.now.since(begun) > 4 * SECOND);
        talk(&mut world, pair, "after");
    }
    // Half of all pairs of keys are in different orders.
    assert!((10..=30).contains(&slow), "{slow} of 40");
}

#[test]
fn both_start_while_one_is_away() {
    for seed in 0..16 {
        let mut world = world_with_gaps(seed);
        let pair = world.connect(ConnectionOptions::default());
        talk(&mut world, pair, "before");
        world.settle();
        let away = seed as usize % 2;
        start(&mut world, pair, away);
        world.settle();
        // What the other one says waits at the relay that is down.
        let up = world.now.after(3 * MINUTE);
        world.at(world.now, Fault::Down(away));
        world.at(up, Fault::Up(away));
        world.run_for(1);
        if state(&world, pair, 1 - away) == RatchetSync::Agreed {
            start(&mut world, pair, away);
        }
        world.run_until_within(HOUR, |world| are_in_step(world, pair));
        talk(&mut world, pair, "after");
    }
}

#[test]
fn both_take_the_role_of_the_sender_at_once() {
    for seed in 0..24 {
        // Who probably receives waits three times as long.
        let mut world = two_parties(seed, |party, setup| {
            gaps(setup);
            setup.configuration.role_doubt = if party == A { 15 * SECOND } else { 5 * SECOND };
        });
        world.faults.latency = (400, 600);
        let pair = world.connect(ConnectionOptions::default());
        talk(&mut world, pair, "before");
        start(&mut world, pair, A);
        start(&mut world, pair, B);
        world.run_until_within(MINUTE, |world| are_in_step(world, pair));
        // At once, before both know of what the other one took.
        for side in [A, B] {
            world.send(pair, side, "at once");
        }
        world.run_until(|world| [A, B].iter().all(|side| world.texts(pair, *side).contains(&"at once".into())));
        talk(&mut world, pair, "after");
        assert!(are_in_step(&world, pair), "{}", world.describe());
    }
}

#[test]
fn starts_that_cross_end_in_step() {
    // The second start comes at each moment of the first.
    for seed in 0..24 {
        let mut world = world_with_gaps(seed);
        let pair = world.connect(ConnectionOptions::default());
        talk(&mut world, pair, "before");
        // The second one is not waited for: one side is agreed when it comes.
        start(&mut world, pair, A);
        world.run_for(seed * 33);
        start(&mut world, pair, A);
        for _ in 0..6 {
            world.run_for(30 * SECOND);
            if let Some(side) = [B, A].into_iter().find(|side| state(&world, pair, *side) == RatchetSync::Required) {
                start(&mut world, pair, side);
            }
        }
        assert!(are_in_step(&world, pair), "{}", world.describe());
        talk(&mut world, pair, "after");
    }
}

#[test]
fn a_new_start_helps_when_something_went_wrong() {
    // A peer that sends a second key while the first is agreed, as released ones may when both start.
    for seed in 0..12 {
        let mut world = world_with_gaps(seed);
        let pair = world.connect(ConnectionOptions::default());
        talk(&mut world, pair, "before");
        start(&mut world, pair, B);
        world.run_until(|world| state(world, pair, A) == RatchetSync::Agreed);
        start(&mut world, pair, B);
        world.run_for(MINUTE);
        let mut starts = 0;
        while !are_in_step(&world, pair) {
            let side = if state(&world, pair, A) == RatchetSync::Required { A } else { B };
            start(&mut world, pair, side);
            world.run_for(MINUTE);
            starts += 1;
            assert!(starts < 4, "{}", world.describe());
        }
        talk(&mut world, pair, "after");
    }
}

#[test]
fn commands_are_refused_at_the_wrong_time() {
    let mut world = world_with_gaps(3);
    let (waiting, _) = world.invite(A, ConnectionOptions::default(), None);
    let again = |connection, force| Command::Resynchronize { connection, force };
    assert_eq!(world.try_command(A, again(waiting, true)), Err(Refusal::Prohibited));
    let pair = world.connect(ConnectionOptions::default());
    let connection = pair.connections[A];
    assert_eq!(world.try_command(A, again(connection, false)), Err(Refusal::Prohibited));
    start(&mut world, pair, A);
    assert_eq!(world.try_command(A, again(connection, false)), Err(Refusal::Prohibited));
    let send = Command::Send { connection, body: b"no".to_vec(), notify: true };
    assert_eq!(world.try_command(A, send), Err(Refusal::Ratchet(RatchetSync::Started)));
    world.run_until(|world| are_in_step(world, pair));
    talk(&mut world, pair, "after");
}

/// An old copy of its storage comes back to one side; it starts when it is told to.
fn restore(world: &mut World, pair: Pair, side: usize) {
    world.settle();
    let old = world.parties[side].storage.copy();
    talk(world, pair, "forgotten");
    world.settle();
    world.parties[side].storage.replace(old);
    world.crash(side);
    world.run_for(MINUTE);
    // The application's own database came back with it.
    world.parties[side].app = crate::support::App::new(world.parties[side].app.manners.clone());
    world.send(pair, 1 - side, "cannot be read");
    world.run_until(|world| state(world, pair, side) == RatchetSync::Required);
    start(world, pair, side);
    world.run_until(|world| are_in_step(world, pair));
    talk(world, pair, "after");
}

#[test]
fn an_old_storage_is_restored() {
    for seed in 0..12 {
        let mut world = world_with_gaps(seed);
        let pair = world.connect(ConnectionOptions::default());
        talk(&mut world, pair, "before");
        restore(&mut world, pair, seed as usize % 2);
    }
}

#[test]
fn messages_that_wait_are_read_before_the_keys() {
    let mut world = plain(5);
    let pair = world.connect(ConnectionOptions::default());
    talk(&mut world, pair, "before");
    world.settle();
    world.at(world.now, Fault::Down(B));
    world.run_for(SECOND);
    world.send(pair, A, "waits");
    start(&mut world, pair, A);
    world.at(world.now.after(MINUTE), Fault::Up(B));
    world.run_until(|world| are_in_step(world, pair) && world.texts(pair, B).contains(&"waits".into()));
    let missing = |kind: &EventKind| matches!(kind, EventKind::Failed { .. });
    assert!(![A, B].iter().any(|party| world.parties[*party].app.kinds().any(missing)));
}

/// A start, with a failure of one side's storage.
fn tell(both: bool, cut: Option<(usize, Cut)>) -> [(u64, u64); 2] {
    let mut world = world_with_gaps(21);
    let pair = world.connect(ConnectionOptions::default());
    talk(&mut world, pair, "before");
    world.settle();
    let before = [A, B].map(|party| world.parties[party].storage.commits());
    if let Some((party, cut)) = cut {
        world.parties[party].storage.cut(Some(cut));
    }
    start(&mut world, pair, A);
    if both {
        start(&mut world, pair, B);
    }
    world.run_until_within(HOUR, |world| are_in_step(world, pair));
    talk(&mut world, pair, "after");
    world.run_for(HOUR);
    [A, B].map(|party| (before[party], world.parties[party].storage.commits()))
}

#[test]
fn agents_that_are_cut_off_come_in_step() {
    for both in [false, true] {
        let commits = tell(both, None);
        for party in [A, B] {
            let (first, last) = commits[party];
            assert!(last > first + 4);
            for number in first + 1..=last {
                for cut in [Cut::Before(number), Cut::After(number)] {
                    let told = std::panic::catch_unwind(|| tell(both, Some((party, cut))));
                    assert!(told.is_ok(), "agent {party} {cut:?} of {commits:?}, both: {both}");
                }
            }
        }
    }
}
