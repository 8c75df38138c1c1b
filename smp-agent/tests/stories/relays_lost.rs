//! Relays are lost for good, queues are added and moved, and peers know nothing of it: connections with several queues.

use crate::support::app::Manners;
use crate::support::seeds::each_seed;
use crate::support::stories::{A, B, Pair};
use crate::support::{Cut, Fault, Faults, Setup, World};
use smp_agent::RedundancyPolicy;
use smp_agent::command::{Command, ConnectionOptions};
use smp_agent::error::Refusal;
use smp_agent::event::{EventKind, SwitchPhase};
use smp_agent::time::{DAY, HOUR, MINUTE, SECOND};

/// A world in which each of two parties has so many relays to itself: A the first ones, B those after them.
fn world(seed: u64, relays: usize, change: impl Fn(usize, &mut Setup)) -> World {
    let mut world = World::new(seed);
    for _ in 0..2 * relays {
        world.add_relay();
    }
    for (party, name) in [(A, "A"), (B, "B")] {
        let mut setup = Setup { relays: (party * relays..(party + 1) * relays).collect(), ..Setup::default() };
        change(party, &mut setup);
        world.add_party(name, setup);
    }
    world
}

fn queues(count: u8) -> ConnectionOptions {
    ConnectionOptions { receive_queues: count, ..ConnectionOptions::default() }
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

/// How many queues there are at each relay.
fn kept(world: &World) -> Vec<usize> {
    world.relays.iter().map(|place| place.relay.queues().count()).collect()
}

/// Which relays have queues.
fn used(world: &World) -> Vec<usize> {
    kept(world).into_iter().enumerate().filter(|(_, count)| *count > 0).map(|(number, _)| number).collect()
}

fn loses(world: &mut World, relay: usize) {
    world.at(world.now, Fault::LosesEverything(relay));
    world.at(world.now, Fault::Disconnects(relay));
    world.run_for(1);
}

/// A conversation during which one relay of each party is lost for good; nothing that was said is.
fn converse(seed: u64, relays: usize, count: u8, bad: bool) {
    let mut world = world(seed, relays, |_, setup| {
        setup.manners.delay = (0, 3 * SECOND);
        setup.manners.receipts = seed.is_multiple_of(2);
    });
    let pair = world.connect(queues(count));
    world.run_for(MINUTE);
    if bad {
        world.faults = Faults::BAD;
    }
    for party in [A, B] {
        let relay = party * relays + world.below(relays as u64) as usize;
        let at = world.now.after(world.below(20 * SECOND));
        if world.below(2) == 0 {
            world.at(at, Fault::Down(relay));
        } else {
            world.at(at, Fault::LosesEverything(relay));
            world.at(at, Fault::Disconnects(relay));
        }
    }
    let mut sent = [Vec::new(), Vec::new()];
    for number in 0..30 {
        let side = world.below(2) as usize;
        let text = format!("{number}");
        world.send(pair, side, &text);
        sent[side].push(text);
        let pause = world.below(SECOND);
        world.run_for(pause);
    }
    world.faults = Faults::default();
    let all = |world: &World| [A, B].iter().all(|side| world.texts(pair, 1 - side).len() == sent[*side].len());
    world.run_until_within(10 * MINUTE, all);
    world.run_for(3 * DAY);
    for side in [A, B] {
        assert_eq!(world.texts(pair, 1 - side), sent[side], "seed {seed}");
        assert_eq!(world.parties[side].app.sent(pair.connections[side]), sent[side].len(), "seed {seed}");
    }
    world.send(pair, A, "on it goes");
    world.send(pair, B, "on it goes");
    // A proxy that is lost, too, takes its time.
    let came = |world: &World, side| world.texts(pair, side).last().is_some_and(|text| text == "on it goes");
    world.run_until_within(HOUR, |world| came(world, A) && came(world, B));
}

#[test]
fn one_relay_of_two_is_lost_for_good() {
    (0..12).for_each(|seed| converse(seed, 2, 2, false));
}

#[test]
fn one_relay_of_three_is_lost_for_good() {
    (0..8).for_each(|seed| converse(seed, 3, 3, false));
}

#[test]
fn one_relay_of_two_is_lost_for_good_in_a_bad_network() {
    (0..8).for_each(|seed| converse(seed, 2, 2, true));
}

#[test]
fn another_relay_takes_the_place_of_one_that_is_lost() {
    let mut world = world(1, 3, |_, _| {});
    let pair = world.connect(queues(2));
    world.tell(pair, A, "before");
    world.tell(pair, B, "before");
    world.run_until_quiet();
    let before = used(&world);
    assert_eq!(before.len(), 4);
    let lost = before[0];
    loses(&mut world, lost);
    world.tell(pair, B, "meanwhile");
    world.run_for(HOUR);
    assert_eq!(known(&world, pair), [2; 4]);
    assert_eq!(used(&world).into_iter().filter(|relay| *relay < 3).count(), 2);
    // The other one of the first two goes, too: the new one has everything.
    loses(&mut world, before[1]);
    world.tell(pair, B, "after");
    assert_eq!(world.texts(pair, A), ["before", "meanwhile", "after"]);
}

#[test]
fn a_queue_is_added_and_holds_back_what_comes_early() {
    let mut world = world(2, 3, |party, setup| {
        if party == A {
            setup.manners = Manners { acknowledge_messages: false, ..Manners::default() };
        }
    });
    let pair = world.connect(queues(2));
    world.run_until_quiet();
    for number in 0..3 {
        world.send(pair, B, &format!("{number}"));
    }
    world.run_until_quiet();
    let connection = pair.connections[A];
    world.command(A, Command::AddReceiveQueue { connection });
    assert_eq!(world.try_command(A, Command::AddReceiveQueue { connection }), Err(Refusal::Prohibited));
    world.run_for(MINUTE);
    for number in 3..8 {
        world.send(pair, B, &format!("{number}"));
    }
    world.run_for(HOUR);
    loop {
        let app = &world.parties[A].app;
        let messages = app.messages(connection);
        let Some((event, _)) = messages.into_iter().find(|(event, _)| !app.has_acknowledged(*event)) else { break };
        world.command(A, Command::Acknowledge { event, receipt: None });
        world.run_for(HOUR);
    }
    assert_eq!(world.texts(pair, A), (0..8).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(known(&world, pair), [3, 2, 2, 3]);
    for side in [A, B] {
        let of = world.parties[side].app.of(pair.connections[side]);
        assert_eq!(of.filter(|kind| matches!(kind, EventKind::Redundancy { .. })).count(), 2, "{side}");
    }
    assert_eq!(world.try_command(A, Command::AddReceiveQueue { connection }), Err(Refusal::NoServer));
    // Now any two of the three may go.
    loses(&mut world, 0);
    loses(&mut world, 1);
    world.tell(pair, B, "still here");
}

#[test]
fn all_queues_move_one_after_the_other() {
    let mut world = world(3, 4, |_, _| {});
    let pair = world.connect(queues(2));
    world.run_until_quiet();
    let before: Vec<_> = used(&world).into_iter().filter(|relay| *relay < 4).collect();
    world.command(A, Command::Switch { connection: pair.connections[A] });
    for number in 0..40 {
        world.send(pair, B, &format!("{number}"));
        world.run_for(SECOND);
    }
    world.run_until_quiet();
    let after: Vec<_> = used(&world).into_iter().filter(|relay| *relay < 4).collect();
    assert!(after.len() == 2 && after.iter().all(|relay| !before.contains(relay)), "{before:?} {after:?}");
    let of = world.parties[A].app.of(pair.connections[A]);
    let completed = |kind: &&EventKind| matches!(kind, EventKind::Switch { phase: SwitchPhase::Completed, .. });
    assert_eq!(of.filter(completed).count(), 2);
    assert_eq!(world.texts(pair, A), (0..40).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(known(&world, pair), [2; 4]);
}

#[test]
fn a_queue_moves_away_from_a_relay_that_is_gone() {
    let mut world = world(4, 3, |_, _| {});
    let pair = world.connect(queues(2));
    world.run_until_quiet();
    let gone = used(&world)[0];
    world.at(world.now, Fault::Down(gone));
    world.run_for(1);
    world.command(A, Command::Switch { connection: pair.connections[A] });
    for number in 0..10 {
        world.send(pair, B, &format!("{number}"));
        world.run_for(10 * SECOND);
    }
    world.run_for(HOUR);
    assert_eq!(world.texts(pair, A), (0..10).map(|number| number.to_string()).collect::<Vec<_>>());
    world.run_for(60 * DAY);
    assert_eq!(known(&world, pair), [2; 4]);
    world.tell(pair, B, "and on");
}

#[test]
fn peers_that_know_of_one_queue_only_use_the_first() {
    for old in [A, B] {
        let mut world = world(5, 3, |party, setup| setup.configuration.redundancy_known = party != old);
        let pair = world.connect(queues(if old == A { 1 } else { 2 }));
        let pair = if old == A {
            // The side that knows is the one that joins.
            let (inviting, links) = world.invite(A, queues(1), None);
            let joining = world.join(B, &links.full, queues(3));
            let pair = Pair { parties: [A, B], connections: [inviting, joining] };
            world.run_until(|world| world.are_connected(pair));
            pair
        } else {
            pair
        };
        for number in 0..5 {
            for side in [A, B] {
                world.tell(pair, side, &format!("{number}"));
            }
        }
        world.run_until_quiet();
        let knows = 1 - old;
        let own = |known: [usize; 4]| known[2 * knows];
        assert!(own(known(&world, pair)) > 1, "{:?}", known(&world, pair));
        let command = Command::AddReceiveQueue { connection: pair.connections[knows] };
        assert_eq!(world.try_command(knows, command), Err(Refusal::Prohibited));
        world.run_for(8 * DAY);
        assert_eq!(own(known(&world, pair)), 1, "unused queues go after a week");
        world.tell(pair, A, "after");
        world.tell(pair, B, "after");
        // And what is left moves as any other.
        world.command(knows, Command::Switch { connection: pair.connections[knows] });
        world.run_until_quiet();
        world.tell(pair, A, "moved");
        world.tell(pair, B, "moved");
        assert_eq!(own(known(&world, pair)), 1);
    }
}

#[test]
fn the_first_relay_that_answers_is_enough_where_that_is_the_policy() {
    let mut world = world(6, 2, |_, setup| {
        setup.configuration.redundancy = RedundancyPolicy::First;
        setup.manners.expects_failures = true;
    });
    let pair = world.connect(queues(2));
    world.run_until_quiet();
    let sends = |world: &World| world.parties[A].transcript.sent().filter(|sent| sent.message.is_some()).count();
    let before = sends(&world);
    for number in 0..10 {
        world.tell(pair, A, &format!("{number}"));
    }
    assert_eq!(sends(&world) - before, 10, "one SEND for each message");
    for down in [2, 3] {
        world.at(world.now, Fault::Down(down));
        world.run_for(1);
        for number in 0..5 {
            world.send(pair, A, &format!("{down} down {number}"));
            world.run_for(MINUTE);
        }
        world.at(world.now, Fault::Up(down));
        world.run_for(10 * MINUTE);
    }
    world.run_until_quiet();
    let texts = world.texts(pair, B);
    assert_eq!(texts.len(), 20, "{texts:?}");
    for down in [2, 3] {
        for number in 0..5 {
            assert!(texts.contains(&format!("{down} down {number}")));
        }
    }
    let messages = world.parties[B].app.messages(pair.connections[B]);
    assert!(messages.iter().all(|(_, message)| message.integrity.is_ok()), "{texts:?}");
}

/// A story, told in a world where one agent's storage fails once; the number of commits its agents made.
fn tell(cut: Option<(usize, Cut)>) -> [u64; 2] {
    let mut world = world(11, 3, |_, _| {});
    let pair = world.connect(queues(2));
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
    world.command(A, Command::AddReceiveQueue { connection: pair.connections[A] });
    for number in 0..3 {
        for side in [A, B] {
            world.send(pair, side, &format!("{number}"));
        }
        world.run_for(500);
    }
    world.run_for(HOUR);
    world.check();
    for side in [A, B] {
        assert_eq!(world.texts(pair, side), ["0", "1", "2"]);
    }
    assert_eq!(known(&world, pair), [3, 2, 2, 3], "{}", world.describe());
    [A, B].map(|party| world.parties[party].storage.commits() - before[party])
}

#[test]
fn adding_a_queue_survives_a_crash_at_every_commit() {
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

#[test]
#[ignore = "hours; FIRST and COUNT choose some of them"]
fn many_conversations_survive_the_loss_of_relays() {
    each_seed(|seed| {
        let relays = 2 + (seed % 2) as usize;
        converse(seed, relays, relays as u8, seed % 3 == 0);
    });
}
