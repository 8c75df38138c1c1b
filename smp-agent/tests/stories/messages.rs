//! Messages between two who are connected.

use crate::support::app::Manners;
use crate::support::stories::{A, B, by_hand, plain, two_parties};
use crate::support::{Fault, World};
use smp_agent::command::{Command, ConnectionOptions, PostQuantum};
use smp_agent::event::EventKind;
use smp_agent::time::{DAY, HOUR, MINUTE};

#[test]
fn many_messages_come_in_order_and_receipts_go_back() {
    let mut world = two_parties(1, |_, setup| setup.manners.receipts = true);
    let pair = world.connect(ConnectionOptions::default());
    let texts: Vec<String> = (0..30).map(|number| format!("{number}")).collect();
    for text in &texts {
        world.send(pair, A, text);
        world.send(pair, B, text);
        world.run_for(100);
    }
    world.run_until_quiet();
    for side in [A, B] {
        assert_eq!(world.texts(pair, side), texts);
        let app = &world.parties[side].app;
        assert_eq!((app.sent(pair.connections[side]), app.receipts(pair.connections[side])), (30, 30));
    }
}

#[test]
fn the_longest_message_arrives_and_a_longer_one_is_refused() {
    for (post_quantum, longest) in [(PostQuantum::Off, 15_795), (PostQuantum::On, 13_573)] {
        let mut world = plain(2);
        let pair = world.connect(ConnectionOptions { post_quantum, ..ConnectionOptions::default() });
        world.tell(pair, A, &"x".repeat(longest));
        let body = vec![b'x'; longest + 1];
        let command = Command::Send { connection: pair.connections[A], body, notify: true };
        assert!(world.try_command(A, command).is_err());
        world.tell(pair, A, "and on");
        world.run_until_quiet();
    }
}

#[test]
fn post_quantum_keys_protect_a_conversation() {
    for (options, protected) in [(PostQuantum::Off, false), (PostQuantum::On, true), (PostQuantum::InLink, true)] {
        let mut world = plain(3);
        let pair = world.connect(ConnectionOptions { post_quantum: options, ..ConnectionOptions::default() });
        for _ in 0..2 {
            world.tell(pair, A, "secret");
            world.tell(pair, B, "secret");
        }
        for side in [A, B] {
            let messages = world.parties[pair.parties[side]].app.messages(pair.connections[side]);
            assert!(messages.iter().all(|(_, message)| message.post_quantum == protected), "{options:?}");
        }
    }
}

/// What the relay keeps for B, in messages and marks.
fn waiting(world: &World) -> usize {
    world.relays[B].relay.queues().map(|(_, queue)| queue.messages.len()).sum()
}

#[test]
fn a_full_queue_is_emptied_and_the_rest_follows() {
    let mut world = two_parties(4, |party, setup| {
        if party == B {
            setup.manners = Manners { acknowledge_messages: false, ..Manners::default() };
        }
    });
    for place in &mut world.relays {
        place.relay.quota = 5;
    }
    let pair = world.connect(ConnectionOptions::default());
    let texts: Vec<String> = (0..12).map(|number| format!("{number}")).collect();
    for text in &texts {
        world.send(pair, A, text);
    }
    world.run_for(10 * MINUTE);
    assert_eq!(waiting(&world), 6, "five messages and the mark");
    let is_waiting = |kind: &EventKind| matches!(kind, EventKind::Waiting { .. });
    assert!(world.parties[A].app.of(pair.connections[A]).any(is_waiting));
    for number in 0..texts.len() {
        world.run_until_within(5 * MINUTE, |world| world.texts(pair, B).len() > number);
        let messages = world.parties[B].app.messages(pair.connections[B]);
        let event = messages[number].0;
        world.command(B, Command::Acknowledge { event, receipt: None });
    }
    world.run_until_quiet();
    assert_eq!(world.texts(pair, B), texts);
    assert!(world.parties[A].app.of(pair.connections[A]).any(|kind| matches!(kind, EventKind::Continued { .. })));
}

#[test]
fn messages_wait_for_a_relay_that_is_down_and_expire_after_two_days() {
    let mut world = two_parties(5, |_, setup| setup.manners.expects_failures = true);
    let pair = world.connect(ConnectionOptions::default());
    world.tell(pair, A, "before");
    world.at(world.now, Fault::Down(B));
    world.run_for(1000);
    world.send(pair, A, "in the dark");
    world.run_for(DAY);
    world.at(world.now, Fault::Up(B));
    world.run_until_within(HOUR, |world| world.texts(pair, B).len() == 2);
    world.at(world.now, Fault::Down(B));
    world.run_for(1000);
    let lost = [world.send(pair, A, "too early"), world.send(pair, A, "too early, too")];
    world.run_for(2 * DAY + HOUR);
    let failed: Vec<_> = world.parties[A]
        .app
        .of(pair.connections[A])
        .filter_map(|kind| match kind {
            EventKind::NotSent { messages, .. } => Some(messages.clone()),
            _ => None,
        })
        .flatten()
        .collect();
    assert_eq!(failed, lost);
    world.at(world.now, Fault::Up(B));
    world.run_for(1000);
    world.tell(pair, A, "after");
    world.tell(pair, B, "after");
    world.run_until_quiet();
}

#[test]
fn nothing_is_told_before_it_is_allowed() {
    let mut world = two_parties(6, |_, setup| setup.manners = by_hand());
    let (inviting, links) = world.invite(A, ConnectionOptions::default(), None);
    let joining = world.join(B, &links.full, ConnectionOptions::default());
    world.run_until_quiet();
    assert!(world.parties[A].app.of(inviting).any(|kind| matches!(kind, EventKind::Confirmation { .. })));
    assert!(!world.parties[A].app.is_connected(inviting) && !world.parties[B].app.is_connected(joining));
    assert!(world.parties[B].app.of(joining).all(|kind| !matches!(kind, EventKind::Info { .. })));
    world.command(A, Command::Allow { connection: inviting, info: b"it is me".to_vec() });
    world.run_until_quiet();
    assert!(world.parties[B].app.is_connected(joining));
    assert!(
        world.parties[B]
            .app
            .of(joining)
            .any(|kind| matches!(kind, EventKind::Info { info, .. } if info.0 == b"it is me"))
    );
}
