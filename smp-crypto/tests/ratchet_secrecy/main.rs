//! What the double ratchet promises, shown against an attacker that derives everything it can.
//!
//! Each claim is exact: the messages that the attacker reads are compared with those it must be able to read, so that an
//! attack that does not work fails the test as a leak does. Each claim has its control, in which the attacker succeeds.
//!
//! A turn is a chain: three messages of one party, then three of the other; who joined begins. Every message is heard before
//! the next is said.
#![cfg(feature = "ratchet")]
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that fails should say where"
)]

mod attacker;
mod conversation;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use attacker::Attacker;
use conversation::{Conversation, Hybrid, MESSAGES, Party, TURNS, hear, meet, say};

const ALL: [Hybrid; 3] = [Hybrid::Never, Hybrid::FromTheFirstAnswer, Hybrid::FromTheInvitation];

/// The messages of some turns.
fn turns(turns: RangeInclusive<isize>) -> BTreeSet<usize> {
    let last = *turns.end();
    (0..TURNS * MESSAGES).filter(|message| turns.contains(&((message / MESSAGES) as isize)) && last >= 0).collect()
}

/// The turn of the last message before this moment; −1 before the first.
fn turn_at(moment: usize) -> isize {
    moment.checked_sub(1).map_or(-1, |message| (message / MESSAGES) as isize)
}

/// Whether a party has spoken last. Who joined speaks in even turns, and has the state for turn 0 from the beginning.
fn speaks(party: usize, moment: usize) -> bool {
    match turn_at(moment) {
        -1 => true,
        turn => turn as usize % 2 == party,
    }
}

/// The turn a party's state is in.
fn turn_of(party: usize, moment: usize) -> isize {
    if moment == 0 && party == 0 { 0 } else { turn_at(moment) }
}

/// The turns whose messages can be read from a copied state: the one that goes on; where the party has listened, its own
/// answer, whose keys it has already made; and the one of the other party that answers to keys it has. The key pair it makes
/// when it hears that ends it.
fn readable(party: usize, moment: usize) -> RangeInclusive<isize> {
    let turn = turn_of(party, moment);
    turn..=turn + if speaks(party, moment) { 1 } else { 2 }
}

fn from(moment: usize, messages: BTreeSet<usize>) -> BTreeSet<usize> {
    messages.into_iter().filter(|message| *message >= moment).collect()
}

#[test]
fn a_copied_state_reads_nothing_that_was_said_before() {
    for hybrid in ALL {
        let conversation = Conversation::new(hybrid);
        for (moment, states) in conversation.moments.iter().enumerate() {
            for (party, state) in states.iter().enumerate() {
                let loot = Attacker::new(&conversation).with_state(state).attack();
                let before = loot.read.iter().filter(|message| **message < moment).count();
                assert_eq!(before, 0, "{hybrid:?}, party {party}, moment {moment}");
                // Headers of the two chains that go on can be opened, as their keys are in use: they hold counts and
                // public keys. No header of an older chain can.
                let first = turn_of(party, moment) - isize::from(speaks(party, moment));
                let opened: BTreeSet<_> = loot.opened.into_iter().filter(|message| *message < moment).collect();
                let current = turns(first..=turn_at(moment)).into_iter().filter(|message| *message < moment);
                assert_eq!(opened, current.collect(), "{hybrid:?}, party {party}, moment {moment}");
            }
        }
    }
}

#[test]
fn after_one_round_trip_a_copied_state_reads_nothing_any_more() {
    for hybrid in ALL {
        let conversation = Conversation::new(hybrid);
        for (moment, states) in conversation.moments.iter().enumerate() {
            for (party, state) in states.iter().enumerate() {
                let loot = Attacker::new(&conversation).with_state(state).attack();
                let expected = from(moment, turns(readable(party, moment)));
                assert_eq!(loot.read, expected, "{hybrid:?}, party {party}, moment {moment}");
                // Never more than what goes on, one answer and the answer to that.
                assert!(loot.read.len() <= 3 * MESSAGES);
            }
        }
    }
}

#[test]
fn after_one_round_trip_even_both_copied_states_read_nothing_any_more() {
    for hybrid in ALL {
        let conversation = Conversation::new(hybrid);
        for (moment, [joiner, initiator]) in conversation.moments.iter().enumerate().skip(1) {
            let loot = Attacker::new(&conversation).with_state(joiner).with_state(initiator).attack();
            let turn = turn_at(moment);
            assert_eq!(loot.read, from(moment, turns(turn..=turn + 2)), "{hybrid:?}, moment {moment}");
        }
    }
}

/// The control of the next claim: with X448 alone nothing heals.
#[test]
fn without_encapsulation_who_breaks_x448_reads_everything_from_a_recording() {
    let conversation = Conversation::new(Hybrid::Never);
    let loot = Attacker::new(&conversation).with_every_curve_secret().attack();
    assert_eq!(loot.read, turns(0..=TURNS as isize));
    assert_eq!(loot.opened, loot.read);
}

#[test]
fn with_encapsulation_in_the_agreement_who_breaks_x448_reads_nothing_of_a_recording() {
    let conversation = Conversation::new(Hybrid::FromTheInvitation);
    let loot = Attacker::new(&conversation).with_every_curve_secret().attack();
    assert!(loot.read.is_empty() && loot.opened.is_empty(), "{loot:?}");
    // The control: it is the encapsulation that stops it.
    let loot = Attacker::new(&conversation).with_every_curve_secret().with_every_encapsulation_secret().attack();
    assert_eq!(loot.read, turns(0..=TURNS as isize));
}

#[test]
fn with_encapsulation_from_the_first_answer_who_breaks_x448_reads_the_first_turn_only() {
    let conversation = Conversation::new(Hybrid::FromTheFirstAnswer);
    let loot = Attacker::new(&conversation).with_every_curve_secret().attack();
    assert_eq!(loot.read, turns(0..=0));
}

#[test]
fn with_encapsulation_a_copied_state_is_useless_after_one_round_trip_also_with_every_x448_secret() {
    let conversation = Conversation::new(Hybrid::FromTheInvitation);
    for (moment, states) in conversation.moments.iter().enumerate() {
        for (party, state) in states.iter().enumerate() {
            let loot = Attacker::new(&conversation).with_state(state).with_every_curve_secret().attack();
            let expected = from(moment, turns(readable(party, moment)));
            assert_eq!(loot.read, expected, "party {party}, moment {moment}");
        }
    }
    // The control: without encapsulation the same attacker reads on to the end.
    let conversation = Conversation::new(Hybrid::Never);
    for (moment, states) in conversation.moments.iter().enumerate() {
        for state in states {
            let loot = Attacker::new(&conversation).with_state(state).with_every_curve_secret().attack();
            assert_eq!(from(moment, loot.read), from(moment, turns(0..=TURNS as isize)));
        }
    }
}

#[test]
fn who_breaks_the_encapsulation_alone_reads_nothing() {
    for hybrid in ALL {
        let conversation = Conversation::new(hybrid);
        let loot = Attacker::new(&conversation).with_every_encapsulation_secret().attack();
        assert!(loot.read.is_empty() && loot.opened.is_empty());
    }
}

/// Why an invitation has to be dropped once it was answered.
#[test]
fn a_kept_invitation_gives_the_first_turn_away_and_no_more() {
    for hybrid in ALL {
        let conversation = Conversation::new(hybrid);
        let loot = Attacker::new(&conversation).with_invitation().attack();
        assert_eq!(loot.read, turns(0..=0));
    }
}

#[test]
fn the_key_of_a_late_message_is_gone_once_it_was_heard() {
    for hybrid in ALL {
        let (mut parties, mut keys, invitation, agreement) = meet(hybrid);
        let texts: Vec<_> = (0..12).map(|number| format!("message {number}").into_bytes()).collect();
        let mut traffic = Vec::new();
        let mut moments = Vec::new();
        // Turns of two; the second message comes after the sixth only.
        for (number, text) in texts.iter().enumerate() {
            let speaker = number / 2 % 2;
            let message = say(&mut parties[speaker], text, hybrid);
            if number != 0 {
                hear(&mut parties[1 - speaker], &mut keys, &message, text);
            }
            traffic.push((message, text.clone()));
            moments.push(parties.each_ref().map(Party::copy));
            if number == 6 {
                let (message, text) = &traffic[0];
                hear(&mut parties[1], &mut keys, message, text);
                moments.push(parties.each_ref().map(Party::copy));
            }
        }
        let conversation = Conversation::recorded(traffic, moments, invitation, keys, agreement);
        for (moment, [_, listener]) in conversation.moments.iter().enumerate() {
            let loot = Attacker::new(&conversation).with_state(listener).attack();
            // Until it was heard its key has to be there; afterwards nothing of it is left.
            assert_eq!(loot.read.contains(&0), moment <= 6, "{hybrid:?}, moment {moment}");
        }
    }
}
