//! Ratchets are replaced together with released peers, which compare the hashes of keys in two different orders and make
//! no keys that both agree on.

use crate::support::puppet::{Puppet, Resync, Said};
use smp_agent::command::Command;
use smp_agent::event::RatchetSync;
use smp_agent::time::{HOUR, MINUTE, SECOND};
use smp_proto::agent::Message;

/// Who starts.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Start {
    Agent,
    Peer,
    Both,
}

fn connected(seed: u64, signed: bool) -> Puppet {
    let mut puppet = Puppet::connected(seed, 1);
    puppet.resync = Some(Resync::new(signed));
    puppet.say(Message::Application(b"before"));
    puppet.send("before");
    puppet
}

fn start(puppet: &mut Puppet, start: Start) {
    let connection = puppet.connection;
    if start != Start::Agent {
        puppet.start_resync();
    }
    if start != Start::Peer {
        puppet.command(Command::Resynchronize { connection, force: true });
    }
    puppet.settle();
}

fn is_in_step(puppet: &mut Puppet) -> bool {
    let resync = puppet.resync.as_ref().unwrap();
    let peer = !resync.agreed && !resync.required;
    puppet.summary().ratchet == RatchetSync::Ok && peer
}

fn talk(puppet: &mut Puppet) {
    let came = puppet.texts().len();
    for number in 0..2 {
        puppet.say(Message::Application(b"after"));
        puppet.send("after");
        assert_eq!(puppet.texts().len(), came + number + 1);
        assert!(matches!(puppet.said.last(), Some((_, Said::Message(_)))));
    }
}

#[test]
fn both_orders_come_in_step() {
    let starts = [Start::Agent, Start::Peer, Start::Both];
    for (signed, first) in [false, true].into_iter().flat_map(|signed| starts.map(|first| (signed, first))) {
        let mut waited = 0;
        for seed in 0..12 {
            let mut puppet = connected(seed, signed);
            start(&mut puppet, first);
            if !is_in_step(&mut puppet) {
                waited += 1;
                puppet.wait(16 * SECOND);
            }
            assert!(is_in_step(&mut puppet), "{seed} {signed} {first:?}");
            talk(&mut puppet);
            puppet.wait(HOUR);
            talk(&mut puppet);
        }
        // Roles are in doubt for half of all keys that are not made for each other, and half of the peers wait then.
        assert_eq!(waited > 0, first != Start::Peer, "{waited} {signed} {first:?}");
    }
}

#[test]
fn both_orders_come_in_step_when_the_agent_starts_anew_in_between() {
    for (seed, signed) in (0..16).map(|seed| (seed, seed % 2 == 0)) {
        let mut puppet = connected(seed, signed);
        start(&mut puppet, Start::Both);
        puppet.restart();
        puppet.wait(16 * SECOND);
        assert!(is_in_step(&mut puppet), "{seed} {signed}");
        talk(&mut puppet);
    }
}

#[test]
fn both_orders_come_in_step_when_the_peer_was_away() {
    for (seed, signed) in (0..16).map(|seed| (seed, seed % 2 == 0)) {
        let mut puppet = connected(seed, signed);
        // What the agent sends waits, and the peer's keys are here.
        puppet.theirs[0].full = true;
        puppet.start_resync();
        start(&mut puppet, Start::Agent);
        puppet.wait(10 * MINUTE);
        puppet.theirs[0].full = false;
        puppet.wait(HOUR);
        assert!(is_in_step(&mut puppet), "{seed} {signed}");
        talk(&mut puppet);
    }
}

#[test]
fn a_peer_that_has_started_and_answers_all_the_same_comes_in_step() {
    for (seed, signed) in (0..16).map(|seed| (seed, seed % 2 == 0)) {
        let mut puppet = connected(seed, signed);
        puppet.resync.as_mut().unwrap().answers_twice = true;
        start(&mut puppet, Start::Both);
        let mut starts = 0;
        loop {
            puppet.wait(MINUTE);
            if is_in_step(&mut puppet) {
                break;
            }
            // Whoever is told to start does.
            let connection = puppet.connection;
            if puppet.resync.as_ref().unwrap().required {
                puppet.start_resync();
                puppet.settle();
            } else {
                let force = puppet.summary().ratchet != RatchetSync::Required;
                puppet.command(Command::Resynchronize { connection, force });
            }
            starts += 1;
            assert!(starts < 6, "{seed} {signed}");
        }
        talk(&mut puppet);
    }
}
