//! A invites, B joins.

use crate::support::Fault;
use crate::support::stories::{A, B, Pair, plain, two_parties};
use smp_agent::command::ConnectionOptions;
use smp_agent::event::EventKind;
use smp_agent::time::DAY;

#[test]
fn two_who_share_an_invitation_talk() {
    let mut world = plain(1);
    let pair = world.connect(ConnectionOptions::default());
    world.tell(pair, A, "hello");
    world.tell(pair, B, "hello yourself");
    world.run_until_quiet();
    assert_eq!(world.texts(pair, B), ["hello"]);
    assert_eq!(world.texts(pair, A), ["hello yourself"]);
}

#[test]
fn who_was_let_in_is_connected_whatever_the_relay_says_of_the_answer() {
    // B's answer has come to A, and nobody told B; then A's relay is away for longer than B tries.
    let mut world = two_parties(2, |_, setup| {
        setup.manners.allow = false;
        setup.proxies = vec![2];
    });
    let (inviting, links) = world.invite(A, ConnectionOptions::default(), None);
    let joining = world.join(B, &links.full, ConnectionOptions::default());
    let pair = Pair { parties: [A, B], connections: [inviting, joining] };
    world.run_until(|world| world.parties[B].transcript.commands().iter().any(|line| line.starts_with("SEND")));
    world.faults.lost_answers = 1_000;
    world.run_until(|world| {
        world.parties[A].app.of(inviting).any(|kind| matches!(kind, EventKind::Confirmation { .. }))
    });
    world.faults.lost_answers = 0;
    world.at(world.now, Fault::Down(0));
    world.run_for(1);
    let info = b"A".to_vec();
    world.command(A, smp_agent::Command::Allow { connection: inviting, info });
    world.run_until(|world| world.are_connected(pair));
    world.run_for(3 * DAY);
    world.at(world.now, Fault::Up(0));
    world.run_for(1);
    world.tell(pair, A, "hello");
    world.tell(pair, B, "hello yourself");
    let events: Vec<_> = world.parties[B].app.of(joining).collect();
    let place = |wanted: fn(&EventKind) -> bool| events.iter().position(|kind| wanted(kind)).expect("it was told");
    assert!(
        place(|kind| matches!(kind, EventKind::Joined { .. })) < place(|kind| matches!(kind, EventKind::Info { .. }))
    );
}

#[test]
fn who_let_somebody_in_is_connected_when_that_one_speaks() {
    // A's confirmation has come to B, and nobody told A; then B's relay is away for longer than A tries.
    let mut world = two_parties(3, |_, setup| setup.proxies = vec![2]);
    let (inviting, links) = world.invite(A, ConnectionOptions::default(), None);
    let joining = world.join(B, &links.full, ConnectionOptions::default());
    let pair = Pair { parties: [A, B], connections: [inviting, joining] };
    world.run_until(|world| world.parties[A].transcript.commands().iter().any(|line| line.starts_with("SEND")));
    world.faults.lost_answers = 1_000;
    world.run_until(|world| world.parties[B].app.is_connected(joining));
    world.faults.lost_answers = 0;
    world.at(world.now, Fault::Down(1));
    world.run_for(1);
    assert!(!world.are_connected(pair));
    world.tell(pair, B, "are you there");
    world.run_for(3 * DAY);
    assert!(world.are_connected(pair));
    world.at(world.now, Fault::Up(1));
    world.run_for(1);
    world.tell(pair, A, "I am");
}
