//! A sender against a relay that keeps one queue, in virtual time, with loss, repetitions and restarts.

use std::collections::VecDeque;
use std::vec::Vec;

use rand_core::Rng;

use super::*;
use crate::test::random;

const MIDDLE: u16 = 0x8000;
const V9: SmpVersion = SmpVersion(9);
const V8: SmpVersion = SmpVersion(8);
const FIRST: Request = Request::Send { confirmation: true, secures: true, authorized: true };
const LATER: Request = Request::Send { confirmation: false, secures: true, authorized: true };

fn at(seconds: u64) -> Instant {
    Instant::from_secs(seconds)
}

fn machine(proxied: bool, stage: SendStage) -> Machine {
    let new = stage == SendStage::New;
    Machine::new(SenderTiming::DEFAULT, proxied, true, stage, !new, new)
}

#[test]
fn the_queue_is_kept_then_secured_then_alarms_are_sent() {
    let mut machine = machine(false, SendStage::New);
    assert_eq!(machine.step(at(0), false), Step::Save, "no key goes out that a reset would forget");
    machine.saved();
    assert_eq!(machine.step(at(0), false), Step::Connect, "before there is an alarm");
    machine.connected(at(0), V9);
    assert_eq!(machine.step(at(0), false), Step::Request(Request::Secure));
    machine.sent(at(0));
    assert_eq!(machine.step(at(1), false), Step::Await(at(15)));
    machine.reply(at(1), Reply::Done, MIDDLE);
    assert_eq!(machine.step(at(1), false), Step::Save);
    assert_eq!(machine.stage(), (SendStage::Secured, true));
    machine.saved();
    assert_eq!(machine.step(at(1), false), Step::Sleep { until: Some(at(61)), for_alarms: true });
    assert_eq!(machine.step(at(2), true), Step::Request(FIRST));
    machine.sent(at(2));
    machine.reply(at(3), Reply::Done, MIDDLE);
    assert_eq!(machine.step(at(3), true), Step::Save);
    machine.saved();
    assert_eq!(machine.step(at(3), true), Step::Remove);
    machine.removed();
    assert_eq!(machine.step(at(3), true), Step::Request(LATER));
    machine.sent(at(3));
    machine.reply(at(4), Reply::Done, MIDDLE);
    assert_eq!(machine.step(at(4), true), Step::Remove);
    machine.removed();
    assert_eq!(machine.step(at(63), false), Step::Sleep { until: Some(at(64)), for_alarms: true });
    assert_eq!(machine.step(at(64), false), Step::Disconnect);
    machine.closed();
    assert_eq!(machine.step(at(64), false), Step::Sleep { until: None, for_alarms: true });
    assert_eq!(machine.step(at(65), true), Step::Connect);
}

#[test]
fn an_alarm_that_turns_out_damaged_is_not_sent() {
    let mut machine = machine(false, SendStage::Confirmed);
    machine.connected(at(0), V9);
    assert_eq!(machine.step(at(1), true), Step::Request(LATER));
    machine.withdraw();
    assert_eq!(machine.step(at(1), false), Step::Sleep { until: Some(at(60)), for_alarms: true });
    assert_eq!(machine.step(at(2), true), Step::Request(LATER));
    machine.sent(at(2));
    machine.withdraw();
    assert!(machine.is_waiting(), "what was sent is waited for");
}

#[test]
fn an_idle_connection_may_end_without_being_a_failure() {
    let mut machine = machine(false, SendStage::Confirmed);
    machine.connected(at(0), V9);
    assert_eq!(machine.step(at(0), false), Step::Sleep { until: Some(at(60)), for_alarms: true });
    machine.lost(at(10), MIDDLE);
    assert_eq!(machine.step(at(10), true), Step::Connect);
}

#[test]
fn what_is_not_answered_is_sent_again_on_another_connection() {
    let mut machine = machine(false, SendStage::Confirmed);
    let mut now = at(0);
    for pause in [1, 2, 4] {
        assert_eq!(machine.step(now, true), Step::Connect);
        machine.connected(now, V9);
        assert_eq!(machine.step(now, true), Step::Request(LATER));
        machine.sent(now);
        now += SenderTiming::DEFAULT.response;
        assert_eq!(machine.step(now, true), Step::Disconnect);
        machine.lost(now, MIDDLE);
        let until = now + Duration::from_secs(pause);
        assert_eq!(machine.step(now, true), Step::Sleep { until: Some(until), for_alarms: false });
        now = until;
    }
    machine.connected(now, V9);
    assert_eq!(machine.step(now, true), Step::Request(LATER));
    machine.sent(now);
    machine.reply(now, Reply::Done, MIDDLE);
    machine.lost(now, MIDDLE);
    assert_eq!(machine.step(now, true), Step::Remove, "it was accepted, whatever happens then");
}

#[test]
fn a_full_queue_is_tried_less_and_less_often() {
    let mut machine = machine(false, SendStage::Confirmed);
    let mut now = at(0);
    for pause in [30, 60, 120, 240, 480, 960, 1800, 1800] {
        assert_eq!(machine.step(now, true), Step::Connect);
        machine.connected(now, V9);
        assert_eq!(machine.step(now, true), Step::Request(LATER));
        machine.sent(now);
        machine.reply(now, Reply::Refused(Refusal::QueueFull), MIDDLE);
        let until = now + Duration::from_secs(pause);
        let linger = now + SenderTiming::DEFAULT.linger;
        assert_eq!(machine.step(now, true), Step::Sleep { until: Some(until.min(linger)), for_alarms: false });
        if until > linger {
            assert_eq!(machine.step(linger, true), Step::Disconnect);
        }
        machine.closed();
        assert_eq!(machine.step(now, true), Step::Sleep { until: Some(until), for_alarms: false });
        now = until;
    }
    machine.connected(now, V9);
    machine.step(now, true);
    machine.reply(now, Reply::Done, MIDDLE);
    machine.removed();
    assert_eq!(machine.full, 0);
}

#[test]
fn refusals_that_last_stop_the_sender_and_others_do_not() {
    for refusal in [
        Refusal::NotAuthorized,
        Refusal::Blocked,
        Refusal::TooLarge,
        Refusal::Proxy(ProxyFailure::Password),
        Refusal::Proxy(ProxyFailure::NoUsableHost),
    ] {
        for stage in [SendStage::New, SendStage::Confirmed] {
            let mut machine = machine(false, stage);
            machine.saved();
            machine.connected(at(0), V9);
            assert!(matches!(machine.step(at(0), true), Step::Request(_)));
            machine.reply(at(0), Reply::Refused(refusal), MIDDLE);
            assert_eq!(machine.step(at(0), true), Step::Disconnect);
            machine.closed();
            assert_eq!(machine.step(at(0), true), Step::Stop(refusal));
        }
    }
    for refusal in [Refusal::Failed, Refusal::Protocol, Refusal::NoMessage] {
        let mut machine = machine(false, SendStage::Confirmed);
        machine.connected(at(0), V9);
        machine.step(at(0), true);
        machine.reply(at(0), Reply::Refused(refusal), MIDDLE);
        assert_eq!(machine.step(at(0), true), Step::Sleep { until: Some(at(1)), for_alarms: false });
        assert_eq!(machine.step(at(1), true), Step::Request(LATER));
    }
}

#[test]
fn through_a_proxy_a_session_comes_first_and_is_renewed_when_it_ends() {
    let mut machine = machine(true, SendStage::Confirmed);
    machine.connected(at(0), V8);
    assert_eq!(machine.step(at(0), true), Step::Request(Request::Proxy));
    machine.sent(at(0));
    assert_eq!(machine.step(at(0), true), Step::Await(at(45)));
    machine.reply(at(1), Reply::Session(V9), MIDDLE);
    assert_eq!(machine.step(at(1), true), Step::Request(LATER));
    machine.sent(at(1));
    assert_eq!(machine.step(at(1), true), Step::Await(at(31)), "twice as long: there are two hops");
    let lost = Reply::Refused(Refusal::Proxy(ProxyFailure::NoSession));
    machine.reply(at(2), lost, MIDDLE);
    assert_eq!(machine.step(at(2), true), Step::Request(Request::Proxy), "at once");
    machine.sent(at(2));
    machine.reply(at(3), Reply::Session(V9), MIDDLE);
    assert_eq!(machine.step(at(3), true), Step::Request(LATER));
    machine.sent(at(3));
    machine.reply(at(3), lost, MIDDLE);
    assert_eq!(machine.step(at(3), true), Step::Sleep { until: Some(at(5)), for_alarms: false }, "not for ever");
    assert_eq!(machine.step(at(5), true), Step::Request(Request::Proxy));
    machine.sent(at(5));
    machine.reply(at(5), Reply::Refused(Refusal::Proxy(ProxyFailure::Network)), MIDDLE);
    assert_eq!(machine.step(at(5), true), Step::Sleep { until: Some(at(9)), for_alarms: false });
    machine.lost(at(9), MIDDLE);
    machine.connected(at(10), V8);
    assert_eq!(machine.step(at(10), true), Step::Request(Request::Proxy), "sessions do not outlive connections");
}

#[test]
fn an_old_proxy_does_not_forward() {
    let mut machine = machine(true, SendStage::Confirmed);
    machine.connected(at(0), SmpVersion(7));
    assert_eq!(machine.step(at(0), true), Step::Disconnect);
    machine.closed();
    assert_eq!(machine.step(at(0), true), Step::Stop(Refusal::Proxy(ProxyFailure::TooOld)));
}

#[test]
fn below_version_9_the_recipient_is_asked_to_secure() {
    let mut machine = machine(false, SendStage::New);
    machine.saved();
    machine.connected(at(0), V8);
    assert!(matches!(machine.step(at(0), false), Step::Sleep { for_alarms: true, .. }));
    let send = |confirmation, authorized| Step::Request(Request::Send { confirmation, secures: false, authorized });
    assert_eq!(machine.step(at(0), true), send(true, false));
    machine.reply(at(0), Reply::Done, MIDDLE);
    machine.saved();
    machine.removed();
    assert_eq!(machine.step(at(0), true), send(false, false));
    // The recipient has set the key.
    machine.reply(at(0), Reply::Refused(Refusal::NotAuthorized), MIDDLE);
    assert_eq!(machine.step(at(0), true), send(false, true));
    machine.reply(at(0), Reply::Done, MIDDLE);
    machine.removed();
    assert_eq!(machine.step(at(0), true), send(false, true), "it has learned that");
    for _ in 0..3 {
        assert!(matches!(machine.step(at(0), true), Step::Request(_)));
        machine.reply(at(0), Reply::Refused(Refusal::NotAuthorized), MIDDLE);
    }
    assert_eq!(machine.step(at(0), true), Step::Disconnect, "the queue is gone");
}

#[test]
fn whenever_the_recipient_sets_the_key_one_attempt_is_accepted() {
    for stage in [SendStage::New, SendStage::Confirmed] {
        for set_before in 0..=3 {
            let new = stage == SendStage::New;
            let mut machine = Machine::new(SenderTiming::DEFAULT, false, false, stage, false, new);
            machine.saved();
            machine.connected(at(0), V9);
            let mut accepted = false;
            for attempt in 0..3 {
                let Step::Request(Request::Send { authorized, .. }) = machine.step(at(0), true) else { break };
                accepted = authorized == (attempt >= set_before);
                let refused = Reply::Refused(Refusal::NotAuthorized);
                machine.reply(at(0), if accepted { Reply::Done } else { refused }, MIDDLE);
                if accepted {
                    break;
                }
            }
            assert!(accepted, "{stage:?}, set before attempt {set_before}");
        }
    }
}

#[test]
fn answers_that_make_no_sense_are_failures() {
    let mut machine = machine(false, SendStage::Confirmed);
    machine.connected(at(0), V9);
    machine.step(at(0), true);
    machine.reply(at(0), Reply::Session(V9), MIDDLE);
    assert_eq!(machine.step(at(0), true), Step::Sleep { until: Some(at(1)), for_alarms: false });
    machine.reply(at(0), Reply::Done, MIDDLE);
    assert_ne!(machine.step(at(1), true), Step::Remove, "nobody asked");
}

/// A relay with one queue, as the sender sees it, behind a proxy or not.
#[derive(Default)]
struct Relay {
    secured: bool,
    introduced: bool,
    accepted: Vec<u8>,
    /// How many more messages it takes before it says that the queue is full.
    room: usize,
    /// Whether the proxy has a session.
    session: bool,
}

impl Relay {
    fn execute(&mut self, request: Request, alarm: Option<u8>) -> Reply {
        match request {
            Request::Proxy => {
                self.session = true;
                Reply::Session(V9)
            }
            Request::Secure => {
                self.secured = true;
                Reply::Done
            }
            Request::Send { confirmation, authorized, .. } => {
                if authorized != self.secured {
                    return Reply::Refused(Refusal::NotAuthorized);
                }
                let Some(room) = self.room.checked_sub(1) else {
                    self.room = 7;
                    return Reply::Refused(Refusal::QueueFull);
                };
                self.room = room;
                assert!(confirmation || self.introduced, "the recipient could not read it");
                self.introduced |= confirmation;
                self.accepted.push(alarm.unwrap());
                Reply::Done
            }
        }
    }
}

#[test]
fn whatever_is_lost_every_alarm_arrives_in_order() {
    for seed in 0..400 {
        let random = &mut random(seed);
        let (proxied, resets) = (seed % 2 == 1, seed % 4 >= 2);
        let mut relay = Relay { room: 7, ..Relay::default() };
        // What survives a reset: the queue and the alarms.
        let mut kept = (SendStage::New, false);
        let mut alarms: VecDeque<u8> = (1..=20).collect();
        let mut machine = machine(proxied, SendStage::New);
        let mut now = at(0);
        let mut steps = 0;
        while !alarms.is_empty() {
            steps += 1;
            assert!(steps < 20_000, "seed {seed}: it goes on for ever");
            let bad_luck = random.next_u32() % 10;
            if resets && random.next_u32().is_multiple_of(40) {
                let (stage, secures) = kept;
                machine = Machine::new(SenderTiming::DEFAULT, proxied, true, stage, secures, stage == SendStage::New);
            }
            match machine.step(now, !alarms.is_empty()) {
                Step::Save => {
                    kept = machine.stage();
                    machine.saved();
                }
                Step::Remove => {
                    alarms.pop_front();
                    machine.removed();
                }
                Step::Connect if bad_luck == 0 => machine.lost(now, MIDDLE),
                Step::Connect => machine.connected(now, V9),
                Step::Disconnect if machine.is_waiting() => machine.lost(now, MIDDLE),
                Step::Disconnect => machine.closed(),
                Step::Await(until) | Step::Sleep { until: Some(until), .. } => now = until,
                Step::Sleep { until: None, .. } => panic!("seed {seed}: it sleeps with alarms"),
                Step::Stop(refusal) => panic!("seed {seed}: {refusal}"),
                Step::Request(request) => {
                    machine.sent(now);
                    if proxied && random.next_u32().is_multiple_of(20) {
                        relay.session = false;
                    }
                    if bad_luck == 0 {
                        machine.lost(now, MIDDLE);
                        continue;
                    }
                    let reply = if proxied && !relay.session && request != Request::Proxy {
                        Reply::Refused(Refusal::Proxy(ProxyFailure::NoSession))
                    } else {
                        relay.execute(request, alarms.front().copied())
                    };
                    match bad_luck {
                        // The answer is lost, alone or with the connection.
                        1 => {}
                        2 => machine.lost(now, MIDDLE),
                        3 => machine.reply(now, Reply::Refused(Refusal::Failed), MIDDLE),
                        _ => machine.reply(now, reply, MIDDLE),
                    }
                    // An answer that comes twice.
                    if bad_luck == 4 {
                        machine.reply(now, reply, MIDDLE);
                    }
                }
            }
        }
        // After an unknown outcome an alarm is sent again: it may come twice, one after the other.
        relay.accepted.dedup();
        assert_eq!(relay.accepted, (1..=20).collect::<Vec<u8>>(), "seed {seed}");
    }
}

#[test]
fn without_loss_nothing_comes_twice() {
    for proxied in [false, true] {
        let mut relay = Relay { room: 100, ..Relay::default() };
        let mut alarms: VecDeque<u8> = (1..=20).collect();
        let mut machine = machine(proxied, SendStage::New);
        while !alarms.is_empty() {
            match machine.step(at(0), true) {
                Step::Save => machine.saved(),
                Step::Remove => {
                    alarms.pop_front();
                    machine.removed();
                }
                Step::Connect => machine.connected(at(0), V9),
                Step::Request(request) => {
                    machine.sent(at(0));
                    let reply = relay.execute(request, alarms.front().copied());
                    machine.reply(at(0), reply, MIDDLE);
                }
                step => panic!("{step:?}"),
            }
        }
        assert_eq!(relay.accepted, (1..=20).collect::<Vec<u8>>());
    }
}
