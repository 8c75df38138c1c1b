//! What agents keep, for how long, and what it costs; and what becomes of messages that cannot be delivered.

use crate::support::stories::{A, B, Pair, by_hand, plain, two_parties};
use crate::support::{Fault, World};
use smp_agent::command::{Command, ConnectionOptions, LinkRequest};
use smp_agent::error::Refusal;
use smp_agent::event::{DeliveryProblem, EventKind};
use smp_agent::policy::integrity::Integrity;
use smp_agent::storage::Storage;
use smp_agent::time::{DAY, HOUR, MINUTE, SECOND};

const SENT: u8 = 9;
const INVITATIONS: u8 = 11;
const RECEIVED: u8 = 12;
const KEYS: u8 = 13;

/// How many records of a table there are, and their bytes.
fn table(world: &World, party: usize, table: u8) -> (usize, usize) {
    let records = world.parties[party].storage.copy().scan(&[table], None, usize::MAX).unwrap();
    (records.len(), records.iter().map(|(key, value)| key.len() + value.len()).sum())
}

fn world_with_gaps(seed: u64) -> World {
    two_parties(seed, |_, setup| setup.manners.expects_failures = true)
}

/// Lets A send so many messages, and says how many bytes each of them leaves at A and at B.
fn bytes_for_each(count: usize, receipts: bool) -> [f64; 2] {
    let mut world = two_parties(31, |_, setup| setup.manners.receipts = receipts);
    let pair = world.connect(ConnectionOptions::default());
    world.tell(pair, A, "first");
    world.tell(pair, B, "second");
    world.settle();
    let sizes = |world: &World| [A, B].map(|party| world.parties[party].storage.copy().size());
    let before = sizes(&world);
    for number in 0..count {
        world.tell(pair, A, &format!("{number}"));
        // Events are no matter here, and the list of them is long.
        world.parties[A].app.events.clear();
        world.parties[B].app.events.clear();
    }
    world.settle();
    let after = sizes(&world);
    [A, B].map(|party| (after[party] as f64 - before[party] as f64) / count as f64)
}

#[test]
fn messages_leave_little_behind() {
    // Who sent keeps a record of each until the receipt comes, and who received nine bytes of a hash.
    let [sent, received] = bytes_for_each(600, false);
    assert!(sent < 65.0 && received < 20.0, "{sent} {received}");
    // Receipts are messages: both sides keep nine bytes.
    let [sent, received] = bytes_for_each(600, true);
    assert!(sent < 20.0 && received < 20.0, "{sent} {received}");
}

#[test]
#[ignore = "minutes"]
fn ten_thousand_messages() {
    for receipts in [false, true] {
        println!("receipts {receipts}: {:?} bytes for each message", bytes_for_each(10_000, receipts));
    }
}

#[test]
fn what_is_old_is_forgotten() {
    let mut world = world_with_gaps(1);
    let pair = world.connect(ConnectionOptions::default());
    world.command(A, Command::Resynchronize { connection: pair.connections[A], force: true });
    world.run_for(30 * SECOND);
    for number in 0..300 {
        world.tell(pair, A, &format!("{number}"));
    }
    world.settle();
    let rows =
        |world: &World| [(A, SENT), (B, KEYS), (B, RECEIVED)].map(|(party, number)| table(world, party, number).0);
    assert!(rows(&world)[0] == 300 && rows(&world)[1] == 1 && rows(&world)[2] > 100, "{:?}", rows(&world));
    world.run_for(20 * DAY);
    assert!(rows(&world)[0] == 300 && rows(&world)[1] == 1 && rows(&world)[2] > 100, "{:?}", rows(&world));
    // What comes now is kept, whatever goes around it.
    world.tell(pair, A, "late");
    world.run_for(2 * DAY + HOUR);
    assert_eq!(rows(&world), [1, 0, 1]);
    world.run_for(20 * DAY);
    assert_eq!(rows(&world), [0, 0, 0]);
    world.tell(pair, A, "after");
}

#[test]
fn requests_that_nobody_answers_are_forgotten() {
    let mut world = two_parties(2, |party, setup| {
        if party == A {
            setup.manners = by_hand();
            setup.configuration.request_expiry = 10 * DAY;
        }
        setup.manners.expects_failures = true;
    });
    let (_, links) = world.address(A, None::<LinkRequest>);
    world.join(B, &links.full, ConnectionOptions::default());
    world.run_until(|world| table(world, A, INVITATIONS).0 == 1);
    let request = world.parties[A].app.kinds().find_map(|kind| match kind {
        EventKind::Request { invitation, .. } => Some(*invitation),
        _ => None,
    });
    world.run_for(9 * DAY);
    assert_eq!(table(&world, A, INVITATIONS).0, 1);
    world.run_for(DAY + HOUR);
    assert_eq!(table(&world, A, INVITATIONS).0, 0);
    let refused = world.try_command(A, Command::Reject { invitation: request.unwrap() });
    assert_eq!(refused, Err(Refusal::NoInvitation));
}

#[test]
fn no_more_requests_are_kept_than_the_last_ones() {
    let mut world = two_parties(3, |party, setup| {
        if party == A {
            setup.manners = by_hand();
            setup.configuration.requests_kept = 3;
        }
        setup.manners.expects_failures = true;
    });
    let (address, links) = world.address(A, None::<LinkRequest>);
    let mut requests = Vec::new();
    for number in 1..=8 {
        world.join(B, &links.full, ConnectionOptions::default());
        let came = |world: &World| -> Vec<_> {
            let kinds = world.parties[A].app.kinds();
            kinds
                .filter_map(
                    |kind| if let EventKind::Request { invitation, .. } = kind { Some(*invitation) } else { None },
                )
                .collect()
        };
        world.run_until(|world| came(world).len() == number);
        requests = came(&world);
        assert_eq!(table(&world, A, INVITATIONS).0, number.min(3));
    }
    assert_eq!(world.try_command(A, Command::Reject { invitation: requests[4] }), Err(Refusal::NoInvitation));
    for waiting in [5, 6, 7] {
        let accept =
            Command::Accept { invitation: requests[waiting], info: Vec::new(), options: ConnectionOptions::default() };
        world.command(A, accept);
    }
    assert_eq!(table(&world, A, INVITATIONS).0, 0);
    // With the address goes what was remembered of them.
    let remembered = |world: &World| [17, 18].map(|number| table(world, A, number).0);
    assert_eq!(remembered(&world), [1, 3]);
    world.command(A, Command::Delete { connection: address, deliver_first: false });
    world.run_until_quiet();
    assert_eq!(remembered(&world), [0, 0]);
}

/// Messages that were given up, and why.
fn given_up(world: &World, pair: Pair, side: usize) -> Vec<(usize, DeliveryProblem)> {
    let told = world.parties[side].app.of(pair.connections[side]).filter_map(|kind| match kind {
        EventKind::NotSent { messages, problem, .. } => Some((messages.len(), *problem)),
        _ => None,
    });
    told.collect()
}

/// How the last message fits to the one before.
fn last_integrity(world: &World, pair: Pair, side: usize) -> Integrity {
    world.parties[side].app.messages(pair.connections[side]).last().unwrap().1.integrity
}

#[test]
fn messages_expire_when_the_relay_stays_away() {
    let mut world = world_with_gaps(3);
    let pair = world.connect(ConnectionOptions::default());
    world.tell(pair, A, "before");
    world.settle();
    world.at(world.now, Fault::Down(B));
    world.run_for(SECOND);
    world.send(pair, A, "lost");
    world.send(pair, A, "lost as well");
    world.run_for(DAY);
    world.send(pair, A, "kept");
    world.crash(A);
    world.run_for(DAY - MINUTE);
    assert_eq!(given_up(&world, pair, A), []);
    world.run_for(5 * MINUTE);
    assert_eq!(given_up(&world, pair, A), [(2, DeliveryProblem::Expired)], "{}", world.describe());
    world.at(world.now, Fault::Up(B));
    world.run_until(|world| world.texts(pair, B).len() == 2);
    assert_eq!(world.texts(pair, B), ["before", "kept"]);
    let gap = last_integrity(&world, pair, B);
    assert!(matches!(gap, Integrity::Skipped { .. }), "{gap:?}");
    world.tell(pair, A, "after");
    assert_eq!(last_integrity(&world, pair, B), Integrity::Ok);
}

fn acknowledge_all(world: &mut World, pair: Pair) {
    let app = &world.parties[B].app;
    let messages = app.messages(pair.connections[B]);
    let waiting: Vec<_> = messages.iter().map(|(event, _)| *event).filter(|id| !app.has_acknowledged(*id)).collect();
    for event in waiting {
        world.command(B, Command::Acknowledge { event, receipt: None });
    }
}

#[test]
fn messages_expire_when_the_queue_stays_full() {
    let mut world = two_parties(4, |party, setup| {
        setup.manners.expects_failures = true;
        setup.manners.acknowledge_messages = party == A;
    });
    let pair = world.connect(ConnectionOptions::default());
    world.settle();
    for number in 0..131 {
        world.send(pair, A, &format!("{number}"));
    }
    world.run_for(6 * DAY);
    assert_eq!(given_up(&world, pair, A), []);
    world.run_for(DAY + 7 * HOUR);
    let lost: usize = given_up(&world, pair, A).iter().map(|(count, _)| count).sum();
    assert!(lost > 0 && given_up(&world, pair, A).iter().all(|(_, why)| *why == DeliveryProblem::Expired));
    world.send(pair, A, "after");
    // Each message comes when the one before was acknowledged.
    let expected = 131 - lost + 1;
    while world.texts(pair, B).len() < expected {
        acknowledge_all(&mut world, pair);
        let seen = world.texts(pair, B).len();
        world.run_until(|world| world.texts(pair, B).len() > seen);
    }
    assert_eq!(world.texts(pair, B).last().unwrap(), "after");
    assert!(matches!(last_integrity(&world, pair, B), Integrity::Skipped { .. }));
    let continued = world.parties[A].app.kinds().any(|kind| matches!(kind, EventKind::Continued { .. }));
    assert!(continued, "{}", world.describe());
}

#[test]
fn a_receipt_shows_that_a_message_was_delivered() {
    let mut world = two_parties(5, |_, setup| setup.manners.receipts = true);
    let pair = world.connect(ConnectionOptions::default());
    world.settle();
    // Whatever is asked is done, and nobody hears of it.
    world.faults.lost_answers = 1_000;
    let message = world.send(pair, A, "heard");
    world.run_until(|world| world.parties[A].app.receipts(pair.connections[A]) == 1);
    world.faults.lost_answers = 0;
    world.run_until_quiet();
    let told = world.parties[A].app.of(pair.connections[A]).filter_map(|kind| match kind {
        EventKind::Sent { message, .. } => Some(("sent", *message)),
        EventKind::Receipt { message, intact: true, .. } => Some(("received", *message)),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [("sent", message), ("received", message)]);
    assert_eq!(world.texts(pair, B), ["heard"]);
    assert_eq!(table(&world, A, SENT).0, 0);
    world.tell(pair, A, "after");
}

#[test]
fn agents_know_what_they_have_received() {
    // The relay repeats the last message until it knows that it was taken.
    let mut world = plain(6);
    let pair = world.connect(ConnectionOptions::default());
    for number in 0..5 {
        world.faults.lost_answers = 300;
        world.send(pair, A, &format!("{number}"));
        world.run_for(20 * SECOND);
        world.at(world.now, Fault::Disconnects(B));
        world.crash(if number % 2 == 0 { A } else { B });
        world.run_for(MINUTE);
    }
    world.faults.lost_answers = 0;
    world.run_until(|world| world.texts(pair, B).len() == 5);
    world.run_until_quiet();
    assert_eq!(world.texts(pair, B), ["0", "1", "2", "3", "4"]);
}
