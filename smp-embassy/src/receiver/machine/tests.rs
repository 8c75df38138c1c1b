//! A receiver against a relay that keeps one queue, in virtual time, with loss, repetitions and restarts.

use std::collections::VecDeque;
use std::vec::Vec;

use rand_core::Rng;

use super::*;
use crate::test::random;

const MIDDLE: u16 = 0x8000;

fn at(seconds: u64) -> Instant {
    Instant::from_secs(seconds)
}

fn machine(has_queue: bool) -> Machine {
    Machine::new(ReceiverTiming::DEFAULT, has_queue, None, Unkept::default())
}

/// A machine that has subscribed.
fn subscribed() -> Machine {
    let mut machine = machine(true);
    assert_eq!(machine.step(at(0)), Step::Connect);
    machine.connected(at(0));
    assert_eq!(machine.step(at(0)), Step::Request(Request::Subscribe));
    machine.sent(at(0));
    machine.done();
    machine
}

#[test]
fn a_queue_is_created_and_kept_before_anything_else_happens() {
    let mut machine = machine(false);
    assert_eq!(machine.step(at(0)), Step::Connect);
    machine.connected(at(1));
    assert_eq!(machine.step(at(1)), Step::Request(Request::Create));
    machine.sent(at(1));
    assert_eq!(machine.step(at(2)), Step::Wait(at(16)));
    machine.done();
    assert_eq!(machine.step(at(2)), Step::SaveQueue);
    assert_eq!(machine.step(at(2)), Step::SaveQueue, "until it is kept");
    machine.saved_queue();
    assert_eq!(machine.step(at(2)), Step::Wait(at(301)), "it is subscribed already");
}

#[test]
fn a_message_is_kept_as_taken_and_then_acknowledged() {
    let mut machine = subscribed();
    assert!(!machine.is_repeated(&[1; 24]));
    machine.taken([1; 24], None, true);
    assert_eq!(machine.step(at(1)), Step::SaveQueue);
    machine.saved_queue();
    assert_eq!(machine.step(at(1)), Step::SaveLast([1; 24]));
    machine.saved_last();
    assert_eq!(machine.step(at(1)), Step::Request(Request::Acknowledge([1; 24])));
    machine.sent(at(1));
    // The answer is lost with the connection.
    machine.lost(at(2), MIDDLE);
    assert_eq!(machine.step(at(2)), Step::Wait(at(3)));
    assert_eq!(machine.step(at(3)), Step::Connect);
    machine.connected(at(3));
    assert_eq!(machine.step(at(3)), Step::Request(Request::Subscribe));
    machine.sent(at(3));
    machine.done();
    assert!(machine.is_repeated(&[1; 24]));
    machine.taken([1; 24], None, false);
    assert_eq!(machine.step(at(3)), Step::Request(Request::Acknowledge([1; 24])), "nothing new to keep");
    machine.done();
    assert!(!machine.is_repeated(&[2; 24]));
}

#[test]
fn the_senders_key_is_set_before_the_message_that_brings_it_is_acknowledged() {
    let key = AuthorizationKey::X25519(smp_proto::key::X25519PublicKey([7; 32]));
    for refused in [false, true] {
        let mut machine = subscribed();
        machine.taken([1; 24], Some(key), false);
        machine.saved_last();
        assert_eq!(machine.step(at(1)), Step::Request(Request::Secure(key)));
        if refused {
            machine.refused(at(1), Refusal::NotAuthorized, MIDDLE)
        } else {
            machine.done()
        }
        assert_eq!(machine.step(at(1)), Step::Request(Request::Acknowledge([1; 24])));
    }
    let mut machine = subscribed();
    machine.taken([1; 24], Some(key), false);
    machine.saved_last();
    assert_eq!(machine.step(at(1)), Step::Request(Request::Secure(key)));
    machine.refused(at(1), Refusal::Failed, MIDDLE);
    assert_eq!(machine.step(at(1)), Step::Wait(at(2)));
    assert_eq!(machine.step(at(2)), Step::Request(Request::Secure(key)), "again");
}

#[test]
fn a_silent_relay_is_asked_for_a_sign_of_life_and_then_left() {
    let mut machine = subscribed();
    machine.heard(at(100));
    assert_eq!(machine.step(at(399)), Step::Wait(at(400)));
    assert_eq!(machine.step(at(400)), Step::Request(Request::Ping));
    machine.sent(at(400));
    machine.heard(at(401));
    machine.done();
    assert_eq!(machine.step(at(402)), Step::Wait(at(701)));
    assert_eq!(machine.step(at(701)), Step::Request(Request::Ping));
    machine.sent(at(701));
    assert_eq!(machine.step(at(716)), Step::Disconnect);
    machine.lost(at(716), MIDDLE);
    assert_eq!(machine.step(at(717)), Step::Connect);
}

#[test]
fn a_relay_that_knows_nothing_of_its_message_is_asked_again() {
    let mut machine = subscribed();
    machine.taken([1; 24], None, false);
    machine.saved_last();
    assert_eq!(machine.step(at(1)), Step::Request(Request::Acknowledge([1; 24])));
    machine.refused(at(1), Refusal::NoMessage, MIDDLE);
    assert_eq!(machine.step(at(1)), Step::Wait(at(2)), "not at once: it might go on for ever");
    assert_eq!(machine.step(at(2)), Step::Request(Request::Subscribe));
}

#[test]
fn a_message_that_overtakes_the_answer_to_an_acknowledgement_is_acknowledged_too() {
    let key = |byte| AuthorizationKey::X25519(smp_proto::key::X25519PublicKey([byte; 32]));
    for secure in [None, Some(key(7))] {
        let mut machine = subscribed();
        machine.taken([1; 24], secure, false);
        machine.saved_last();
        if secure.is_some() {
            assert_eq!(machine.step(at(1)), Step::Request(Request::Secure(key(7))));
            machine.sent(at(1));
            machine.done();
        }
        assert_eq!(machine.step(at(1)), Step::Request(Request::Acknowledge([1; 24])));
        machine.sent(at(1));
        // The relay has deleted the first one and delivers what comes just then, before its answer is on the way.
        machine.taken([2; 24], None, false);
        assert_eq!(machine.step(at(1)), Step::SaveLast([2; 24]));
        machine.saved_last();
        machine.done();
        assert_eq!(machine.step(at(1)), Step::Request(Request::Acknowledge([2; 24])), "else no other one ever comes");
        machine.sent(at(1));
        machine.done();
        assert_eq!(machine.step(at(1)), Step::Wait(at(300)));
    }
    // A key that the overtaking message brings is set as well.
    let mut machine = subscribed();
    machine.taken([1; 24], Some(key(7)), false);
    machine.saved_last();
    assert_eq!(machine.step(at(1)), Step::Request(Request::Secure(key(7))));
    machine.sent(at(1));
    machine.taken([2; 24], Some(key(8)), false);
    machine.saved_last();
    machine.done();
    assert_eq!(machine.step(at(1)), Step::Request(Request::Secure(key(8))));
}

#[test]
fn some_ends_are_final() {
    for stopped in [Stopped::TakenOver, Stopped::Deleted, Stopped::Refused(Refusal::Blocked)] {
        let mut machine = subscribed();
        machine.taken([1; 24], None, false);
        machine.stop(stopped);
        assert_eq!(machine.step(at(1)), Step::SaveLast([1; 24]), "what was taken stays taken");
        machine.saved_last();
        assert_eq!(machine.step(at(1)), Step::Disconnect);
        machine.closed();
        assert_eq!(machine.step(at(1)), Step::Stop(stopped));
    }
    for (request_is_new, refusal) in [(true, Refusal::NotAuthorized), (false, Refusal::NotAuthorized)] {
        let mut machine = machine(!request_is_new);
        machine.connected(at(0));
        assert!(matches!(machine.step(at(0)), Step::Request(_)));
        machine.refused(at(0), refusal, MIDDLE);
        assert_eq!(machine.step(at(0)), Step::Disconnect);
        machine.closed();
        assert_eq!(machine.step(at(0)), Step::Stop(Stopped::Refused(refusal)));
    }
}

#[test]
fn attempts_become_rare() {
    let mut machine = machine(true);
    let mut now = at(0);
    for pause in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
        assert_eq!(machine.step(now), Step::Connect);
        machine.lost(now, MIDDLE);
        let until = now + Duration::from_secs(pause);
        assert_eq!(machine.step(now), Step::Wait(until));
        now = until;
    }
}

#[test]
fn connections_that_bring_nothing_become_rare() {
    let mut machine = machine(true);
    let mut now = at(0);
    let mut attempt = |machine: &mut Machine, lasts, brings: bool| {
        assert_eq!(machine.step(now), Step::Connect);
        machine.connected(now);
        assert_eq!(machine.step(now), Step::Request(Request::Subscribe));
        machine.sent(now);
        machine.done();
        if brings {
            machine.taken([1; 24], None, false);
            machine.saved_last();
            assert_eq!(machine.step(now), Step::Request(Request::Acknowledge([1; 24])));
            machine.sent(now);
            machine.done();
        }
        now += Duration::from_secs(lasts);
        machine.lost(now, MIDDLE);
        let Step::Wait(until) = machine.step(now) else { panic!("no pause") };
        let pause = until - now;
        now = until;
        pause.as_secs()
    };
    // A relay that ends each connection, or an application that cannot take the message.
    for pause in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
        assert_eq!(attempt(&mut machine, 1, false), pause);
    }
    assert_eq!(attempt(&mut machine, 60, false), 1, "that was a good one");
    assert_eq!(attempt(&mut machine, 1, false), 2);
    assert_eq!(attempt(&mut machine, 1, true), 1, "and so was that");
}

#[test]
fn what_nobody_can_read_is_acknowledged_and_costs_no_write() {
    let mut machine = subscribed();
    machine.taken([1; 24], None, false);
    machine.saved_last();
    assert_eq!(machine.step(at(1)), Step::Request(Request::Acknowledge([1; 24])));
    machine.done();
    for id in 2..100 {
        machine.passed_over([id; 24]);
        assert!(machine.is_repeated(&[id; 24]), "told once");
        assert_eq!(machine.step(at(1)), Step::Request(Request::Acknowledge([id; 24])));
        machine.done();
    }
    // One that was taken before in the same block is kept.
    machine.taken([100; 24], None, false);
    machine.passed_over([101; 24]);
    assert_eq!(machine.step(at(1)), Step::SaveLast([101; 24]));
}

/// A relay with one queue, as the receiver sees it.
#[derive(Default)]
struct Relay {
    queue: VecDeque<MessageId>,
    delivered: Option<MessageId>,
    subscribed: bool,
}

enum Answer {
    Done(Option<MessageId>),
    Refused(Refusal),
}

impl Relay {
    fn deliver(&mut self) -> Option<MessageId> {
        self.delivered = self.queue.front().copied().filter(|_| self.subscribed);
        self.delivered
    }

    fn execute(&mut self, request: Request) -> Answer {
        match request {
            Request::Subscribe => {
                self.subscribed = true;
                Answer::Done(self.deliver())
            }
            Request::Acknowledge(id) if self.delivered == Some(id) => {
                assert_eq!(self.queue.pop_front(), Some(id));
                Answer::Done(self.deliver())
            }
            Request::Acknowledge(_) => Answer::Refused(Refusal::NoMessage),
            _ => Answer::Done(None),
        }
    }

    fn disconnect(&mut self) {
        self.subscribed = false;
        self.delivered = None;
    }
}

/// What survives a reset of the device.
#[derive(Clone, Copy, Default)]
struct Flash {
    last: Option<MessageId>,
}

#[test]
fn whatever_is_lost_every_message_is_taken_in_order_and_none_twice_without_a_reset() {
    for seed in 0..300 {
        let random = &mut random(seed);
        let resets = seed % 2 == 1;
        let mut relay = Relay::default();
        for number in 1..=20u8 {
            relay.queue.push_back([number; 24]);
        }
        let mut flash = Flash::default();
        let mut machine = machine(true);
        let mut now = at(0);
        let mut taken: Vec<u8> = Vec::new();
        let mut steps = 0;
        while !relay.queue.is_empty() {
            steps += 1;
            assert!(steps < 20_000, "seed {seed}: it goes on for ever");
            let bad_luck = random.next_u32() % 10;
            if resets && random.next_u32().is_multiple_of(50) {
                machine = Machine::new(ReceiverTiming::DEFAULT, true, flash.last, Unkept::default());
                relay.disconnect();
            }
            match machine.step(now) {
                Step::SaveQueue => machine.saved_queue(),
                Step::SaveLast(last) => {
                    flash.last = Some(last);
                    machine.saved_last();
                }
                Step::Connect if bad_luck == 0 => machine.lost(now, MIDDLE),
                Step::Connect => machine.connected(now),
                Step::Disconnect => {
                    relay.disconnect();
                    machine.lost(now, MIDDLE);
                }
                Step::Wait(until) => now = until,
                Step::Stop(stopped) => panic!("seed {seed}: {stopped}"),
                Step::Request(request) => {
                    machine.sent(now);
                    if bad_luck == 0 {
                        // The command is lost, and the connection with it.
                        relay.disconnect();
                        machine.lost(now, MIDDLE);
                        continue;
                    }
                    let answer = relay.execute(request);
                    if bad_luck == 1 {
                        // The answer is lost.
                        relay.disconnect();
                        if random.next_u32().is_multiple_of(2) {
                            machine.lost(now, MIDDLE);
                        }
                        continue;
                    }
                    match answer {
                        Answer::Refused(refusal) => machine.refused(now, refusal, MIDDLE),
                        Answer::Done(message) => {
                            machine.done();
                            if let Some(id) = message {
                                if !machine.is_repeated(&id) {
                                    taken.push(id[0]);
                                }
                                machine.taken(id, None, false);
                            }
                        }
                    }
                }
            }
        }
        if resets {
            // Only what was taken in the moment of a reset may come twice.
            taken.dedup();
        }
        assert_eq!(taken, (1..=20).collect::<Vec<u8>>(), "seed {seed}");
    }
}
