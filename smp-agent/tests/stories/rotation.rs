//! Receive queues move to other relays while people talk.

use crate::support::app::Manners;
use crate::support::seeds::each_seed;
use crate::support::stories::{A, B, Pair};
use crate::support::{Cut, Fault, Faults, World};
use smp_agent::command::{Command, ConnectionOptions, Reply};
use smp_agent::error::Refusal;
use smp_agent::event::{EventKind, SwitchPhase};
use smp_agent::time::{DAY, HOUR, MINUTE, SECOND};

/// A world in which each of two parties has two relays to itself.
fn world(seed: u64, change: impl Fn(usize, &mut crate::support::Setup)) -> World {
    let mut world = World::new(seed);
    for _ in 0..4 {
        world.add_relay();
    }
    for (number, name) in [(A, "A"), (B, "B")] {
        let mut setup = crate::support::Setup { relays: vec![number, number + 2], ..crate::support::Setup::default() };
        change(number, &mut setup);
        world.add_party(name, setup);
    }
    world
}

fn plain(seed: u64) -> World {
    world(seed, |_, _| {})
}

fn switch(world: &mut World, pair: Pair, side: usize) {
    world.command(pair.parties[side], Command::Switch { connection: pair.connections[side] });
}

/// How far the moves of one side have come, of its own queues or the peer's.
fn phases(world: &World, pair: Pair, side: usize, own: bool) -> Vec<SwitchPhase> {
    let of = world.parties[pair.parties[side]].app.of(pair.connections[side]);
    of.filter_map(|kind| match kind {
        EventKind::Switch { receiving, phase, .. } if *receiving == own => Some(*phase),
        _ => None,
    })
    .collect()
}

fn completed(world: &World, pair: Pair, side: usize) -> usize {
    let count =
        |side, own| phases(world, pair, side, own).iter().filter(|phase| **phase == SwitchPhase::Completed).count();
    count(side, true).min(count(1 - side, false))
}

/// How many queues there are at each relay.
fn queues(world: &World) -> Vec<usize> {
    world.relays.iter().map(|place| place.relay.queues().count()).collect()
}

/// How many queues each side receives from and sends to.
fn known(world: &World, pair: Pair) -> [usize; 4] {
    let [(one, two), (three, four)] = [A, B].map(|side| {
        let agent = world.parties[pair.parties[side]].agent.as_ref().expect("it runs");
        let summary = agent.connection(pair.connections[side]).expect("a connection");
        (summary.receiving.len(), summary.sending.len())
    });
    [one, two, three, four]
}

const WHOLE: [SwitchPhase; 4] =
    [SwitchPhase::Started, SwitchPhase::Confirmed, SwitchPhase::Secured, SwitchPhase::Completed];

#[test]
fn a_queue_moves_and_the_old_one_is_deleted() {
    let mut world = plain(1);
    let pair = world.connect(ConnectionOptions::default());
    world.tell(pair, A, "before");
    world.tell(pair, B, "before");
    let before: Vec<_> = queues(&world);
    switch(&mut world, pair, A);
    world.run_until_quiet();
    assert_eq!(phases(&world, pair, A, true), WHOLE);
    assert_eq!(phases(&world, pair, B, false), WHOLE);
    let after = queues(&world);
    assert_eq!((before[0] + after[0], before[2] + after[2]), (1, 1), "{before:?} {after:?}");
    world.tell(pair, A, "after");
    world.tell(pair, B, "after");
    // And back again, then the other side.
    switch(&mut world, pair, A);
    world.run_until_quiet();
    assert_eq!(queues(&world), before);
    switch(&mut world, pair, B);
    world.run_until_quiet();
    world.tell(pair, A, "at last");
    world.tell(pair, B, "at last");
    assert_eq!(queues(&world).iter().sum::<usize>(), 2);
}

#[test]
fn both_sides_move_at_once_while_they_talk() {
    for seed in 0..20 {
        let mut world = plain(seed);
        let pair = world.connect(ConnectionOptions::default());
        let mut sent = [Vec::new(), Vec::new()];
        for number in 0..30 {
            let side = world.below(2) as usize;
            let text = format!("{number}");
            world.send(pair, side, &text);
            sent[side].push(text);
            if number == 5 || number == 7 {
                switch(&mut world, pair, usize::from(number == 7));
            }
            let pause = world.below(300);
            world.run_for(pause);
        }
        world.run_until_quiet();
        for side in [A, B] {
            assert_eq!(world.texts(pair, 1 - side), sent[side]);
            assert_eq!(completed(&world, pair, side), 1);
        }
        assert_eq!(queues(&world).iter().sum::<usize>(), 2);
    }
}

/// Acknowledges the next message that was not.
fn acknowledge(world: &mut World, pair: Pair, side: usize) -> bool {
    let app = &world.parties[pair.parties[side]].app;
    let messages = app.messages(pair.connections[side]);
    let Some(event) = messages.into_iter().map(|(event, _)| event).find(|event| !app.has_acknowledged(*event)) else {
        return false;
    };
    world.command(pair.parties[side], Command::Acknowledge { event, receipt: None });
    true
}

#[test]
fn nothing_is_lost_or_overtaken_when_the_application_is_slow() {
    let mut world = world(3, |party, setup| {
        if party == B {
            setup.manners = Manners { acknowledge_messages: false, ..Manners::default() };
        }
    });
    let pair = world.connect(ConnectionOptions::default());
    // The move's own messages come behind these in the old queue.
    for number in 0..3 {
        world.send(pair, A, &format!("{number}"));
    }
    world.run_for(MINUTE);
    switch(&mut world, pair, B);
    world.run_for(MINUTE);
    for number in 3..6 {
        world.send(pair, A, &format!("{number}"));
    }
    world.run_for(HOUR);
    assert_eq!(world.texts(pair, B), ["0"]);
    // QKEY comes behind the first three.
    while phases(&world, pair, A, false).len() < 4 {
        assert!(acknowledge(&mut world, pair, B), "{}", world.describe());
        world.run_for(MINUTE);
    }
    for number in 6..10 {
        world.send(pair, A, &format!("{number}"));
    }
    world.run_for(DAY);
    assert_eq!(completed(&world, pair, B), 0, "the old queue has messages that the application has not seen");
    while world.texts(pair, B).len() < 10 {
        assert!(acknowledge(&mut world, pair, B), "{}", world.describe());
        world.run_for(HOUR);
    }
    acknowledge(&mut world, pair, B);
    world.run_until_quiet();
    assert_eq!(world.texts(pair, B), (0..10).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(completed(&world, pair, B), 1);
    assert_eq!(queues(&world).iter().sum::<usize>(), 2);
}

#[test]
fn what_waits_for_an_old_relay_that_never_comes_back_goes_to_the_new_one() {
    let mut world = plain(4);
    let pair = world.connect(ConnectionOptions::default());
    let old = queues(&world).iter().skip(1).step_by(2).position(|count| *count == 1).unwrap() * 2 + 1;
    switch(&mut world, pair, B);
    world.run_until(|world| phases(world, pair, A, false).contains(&SwitchPhase::Confirmed));
    world.at(world.now, Fault::Down(old));
    world.run_for(1);
    for number in 0..5 {
        world.send(pair, A, &format!("{number}"));
    }
    world.run_until(|world| world.texts(pair, B).len() == 5);
    assert_eq!(world.texts(pair, B), ["0", "1", "2", "3", "4"]);
    world.run_for(30 * DAY);
    assert_eq!(completed(&world, pair, B), 1);
    world.tell(pair, A, "on it goes");
}

#[test]
fn a_move_is_refused_where_it_cannot_be() {
    let mut world = plain(5);
    let connection = match world.command(
        A,
        Command::Invite { user: crate::support::party::USER, options: ConnectionOptions::default(), link: None },
    ) {
        Reply::Connection(connection) => connection,
        _ => unreachable!(),
    };
    assert_eq!(world.try_command(A, Command::Switch { connection }), Err(Refusal::Prohibited));
    let pair = world.connect(ConnectionOptions::default());
    let connection = pair.connections[A];
    assert_eq!(world.try_command(A, Command::AbortSwitch { connection }), Err(Refusal::Prohibited));
    switch(&mut world, pair, A);
    assert_eq!(world.try_command(A, Command::Switch { connection }), Err(Refusal::Prohibited));
    world.run_until(|world| phases(world, pair, A, true).contains(&SwitchPhase::Secured));
    assert_eq!(world.try_command(A, Command::AbortSwitch { connection }), Err(Refusal::Prohibited));
    world.run_until_quiet();
    assert_eq!(world.try_command(A, Command::AbortSwitch { connection }), Err(Refusal::Prohibited));
    assert_eq!(world.try_command(A, Command::AddReceiveQueue { connection }), Err(Refusal::Prohibited));
}

#[test]
fn a_move_is_given_up_and_leaves_nothing_behind() {
    for wait in [0, 20, 150, 400, 700] {
        let mut world = plain(6);
        let pair = world.connect(ConnectionOptions::default());
        let connection = pair.connections[A];
        switch(&mut world, pair, A);
        world.run_for(wait);
        if world.try_command(A, Command::AbortSwitch { connection }).is_err() {
            assert!(wait >= 400, "{wait}");
            continue;
        }
        world.parties[A].app.manners.expects_failures = true;
        world.run_until_quiet();
        assert_eq!(queues(&world).iter().sum::<usize>(), 2, "{wait}");
        assert_eq!(phases(&world, pair, A, true).last(), Some(&SwitchPhase::Aborted));
        world.tell(pair, B, "as before");
        // Another attempt takes the place of the first.
        switch(&mut world, pair, A);
        world.run_until_quiet();
        assert_eq!(completed(&world, pair, A), 1);
        world.tell(pair, B, "after");
        world.run_until_quiet();
        assert_eq!(queues(&world).iter().sum::<usize>(), 2, "{wait}");
    }
}

/// A story, told in a world where one agent's storage fails once; the number of commits its agents made.
fn tell(cut: Option<(usize, Cut)>) -> [u64; 2] {
    let mut world = plain(11);
    let pair = world.connect(ConnectionOptions::default());
    world.run_for(MINUTE);
    let before = [A, B].map(|party| world.parties[party].storage.commits());
    if let Some((party, cut)) = cut {
        let cut = match cut {
            Cut::Before(number) => Cut::Before(before[party] + number),
            Cut::After(number) => Cut::After(before[party] + number),
            Cut::Read(number) => Cut::Read(number),
        };
        world.parties[party].storage.cut(Some(cut));
    }
    switch(&mut world, pair, A);
    for number in 0..4 {
        for side in [A, B] {
            world.send(pair, side, &format!("{number}"));
        }
        world.run_for(400);
    }
    world.run_for(HOUR);
    world.check();
    for side in [A, B] {
        assert_eq!(world.texts(pair, side), ["0", "1", "2", "3"]);
    }
    assert_eq!(completed(&world, pair, A), 1, "{}", world.describe());
    // NEW that was executed without an answer leaves a queue at its relay that nobody knows of.
    assert_eq!(known(&world, pair), [1; 4], "{}", world.describe());
    [A, B].map(|party| world.parties[party].storage.commits() - before[party])
}

#[test]
fn a_move_survives_a_crash_at_every_commit() {
    let commits = tell(None);
    for party in [A, B] {
        for number in 1..=commits[party] {
            for cut in [Cut::Before(number), Cut::After(number)] {
                let told = std::panic::catch_unwind(|| tell(Some((party, cut))));
                assert!(told.is_ok(), "agent {party} {cut:?} of {commits:?}");
            }
        }
    }
}

/// One side replaces the ratchet, at any moment of a move.
#[test]
fn a_move_goes_on_under_a_new_ratchet() {
    for (starts, wait) in [A, B].into_iter().flat_map(|side| (0..20).map(move |step| (side, step * 80))) {
        let mut world = world(12, |_, setup| setup.manners.expects_failures = true);
        let pair = world.connect(ConnectionOptions::default());
        world.tell(pair, A, "before");
        world.tell(pair, B, "before");
        switch(&mut world, pair, A);
        world.run_for(wait);
        world.command(starts, Command::Resynchronize { connection: pair.connections[starts], force: true });
        world.run_for(HOUR);
        assert_eq!(completed(&world, pair, A), 1, "{starts} {wait} {}", world.describe());
        world.tell(pair, A, "after");
        world.tell(pair, B, "after");
        assert_eq!(known(&world, pair), [1; 4], "{starts} {wait}");
    }
}

/// The side that is to send to the new queue has an old copy of its storage from then on.
#[test]
fn a_move_ends_when_the_peer_has_forgotten_it() {
    for wait in (0..14).map(|step| step * 100) {
        let mut world = world(13, |_, setup| {
            setup.manners = Manners { expects_failures: true, resynchronize: true, ..Manners::default() }
        });
        let pair = world.connect(ConnectionOptions::default());
        world.tell(pair, A, "before");
        world.tell(pair, B, "before");
        world.settle();
        let old = world.parties[B].storage.copy();
        switch(&mut world, pair, A);
        world.run_for(wait);
        if phases(&world, pair, B, false).contains(&SwitchPhase::Secured) {
            // From now on A may hear from nobody but who knows the new queue.
            break;
        }
        world.restore(B, old);
        world.run_for(MINUTE);
        world.send(pair, A, "perhaps lost");
        world.run_for(DAY);
        world.tell(pair, A, "after");
        world.tell(pair, B, "after");
        // Done, or given up, or still to be given up: it can be tried again.
        let connection = pair.connections[A];
        let _ = world.try_command(A, Command::AbortSwitch { connection });
        world.run_for(HOUR);
        let before = phases(&world, pair, A, true).len();
        switch(&mut world, pair, A);
        world.run_for(HOUR);
        assert_eq!(phases(&world, pair, A, true)[before..], WHOLE, "{wait} {}", world.describe());
        world.tell(pair, B, "at last");
    }
}

/// What a move is about waits for the old relay of one side for longer than anything does.
#[test]
fn a_move_goes_on_when_the_peer_can_be_reached_again() {
    for (wait, side) in (0..6).flat_map(|step| [(step * 250, A), (step * 250, B)]) {
        let mut world = world(14, |_, setup| setup.manners.expects_failures = true);
        let pair = world.connect(ConnectionOptions::default());
        world.tell(pair, A, "before");
        world.tell(pair, B, "before");
        let relay = queues(&world).iter().skip(side).step_by(2).position(|count| *count == 1).unwrap() * 2 + side;
        switch(&mut world, pair, A);
        world.run_for(wait);
        world.at(world.now, Fault::Down(relay));
        world.run_for(3 * DAY);
        world.at(world.now, Fault::Up(relay));
        world.run_for(DAY);
        world.tell(pair, A, "after");
        world.tell(pair, B, "after");
        world.run_for(HOUR);
        assert_eq!(completed(&world, pair, A), 1, "{wait} {side} {}", world.describe());
    }
}

/// A conversation in a bad world, with moves.
fn converse(seed: u64) {
    let mut world = plain(seed);
    world.faults = Faults::BAD;
    world.plan_random_faults(8, 40 * MINUTE);
    let pair = world.connect(ConnectionOptions::default());
    let mut sent = [Vec::new(), Vec::new()];
    let mut moves = [0, 0];
    for number in 0..20 {
        let side = world.below(2) as usize;
        let text = format!("{number}");
        world.send(pair, side, &text);
        sent[side].push(text);
        let connection = pair.connections[side];
        if world.below(5) == 0 && world.try_command(side, Command::Switch { connection }).is_ok() {
            moves[side] += 1;
        }
        let pause = world.below(2 * MINUTE);
        world.run_for(pause);
    }
    world.faults = Faults::default();
    world.run_until_within(2 * DAY, |world| {
        [A, B]
            .iter()
            .all(|side| world.texts(pair, 1 - side) == sent[*side] && completed(world, pair, *side) == moves[*side])
    });
    world.run_until_quiet();
    for side in [A, B] {
        assert_eq!(world.texts(pair, 1 - side), sent[side], "seed {seed}");
    }
    world.run_for(10 * SECOND);
    assert_eq!(known(&world, pair), [1; 4], "seed {seed} {}", world.describe());
}

#[test]
fn moves_survive_bad_networks() {
    for seed in 0..40 {
        converse(seed);
    }
}

/// The seed of a world in which QTEST came after a message that was sent later.
#[test]
fn what_was_missed_and_comes_late_is_no_step_back() {
    converse(10_508);
}

#[test]
#[ignore = "hours; FIRST and COUNT choose some of them"]
fn many_moves_survive_bad_networks() {
    each_seed(converse);
}
