//! A random schedule: what two parties, their programs and the network between them do.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use smp_crypto::ratchet::{EncapsulationRequest, Error, Ratchet, SkippedStore};

use crate::counters::Counters;
use crate::keys::Keys;
use crate::party::{Message, Party};
use crate::starts::Start;
use crate::store::{Kind, Step, Store};
use crate::tamper;

const REQUESTS: [EncapsulationRequest; 3] =
    [EncapsulationRequest::Unset, EncapsulationRequest::On, EncapsulationRequest::Off];

pub struct Schedule {
    random: ChaCha8Rng,
    parties: [Party; 2],
    /// What each party sent and the other may still receive.
    network: [Vec<Message>; 2],
    /// What each party sent and the other received.
    received: [Vec<Message>; 2],
    /// What each user asks of encapsulation, most of the time.
    habits: [EncapsulationRequest; 2],
    length: u32,
    /// Whether gaps have sizes around the limit.
    wide: bool,
}

impl Schedule {
    pub fn new(number: u64, starts: &[Start]) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(number);
        let start = &starts[random.next_u32() as usize % starts.len()];
        let wide = random.next_u32().is_multiple_of(64);
        let parties = [0, 1].map(|side| {
            let store = match random.next_u32() % 8 {
                0..3 => Kind::Small(Box::new(SkippedStore::new())),
                3 => Kind::Large(Box::new(SkippedStore::new())),
                _ => Kind::Unlimited(Vec::new()),
            };
            let (store, mut oracle) = (Store::new(store), start.oracles[side].clone());
            oracle.limits = store.limits();
            let ratchet = Ratchet::from_bytes(&start.ratchets[side]).unwrap();
            Party { ratchet, store, oracle, keys: Keys::new(random.next_u64()) }
        });
        parties.iter().for_each(Party::check);
        let habits = [0, 1].map(|_| REQUESTS[random.next_u32() as usize % 3]);
        let length = 5 + random.next_u32() % 20;
        let nothing = || [Vec::new(), Vec::new()];
        Self { random, parties, network: nothing(), received: nothing(), habits, length, wide }
    }

    fn below(&mut self, end: usize) -> usize {
        self.random.next_u32() as usize % end
    }

    fn one_in(&mut self, count: u32) -> bool {
        self.random.next_u32().is_multiple_of(count)
    }

    pub fn play(mut self, counters: &mut Counters) {
        counters.schedules += 1;
        for _ in 0..self.length {
            self.act(counters);
        }
        if self.one_in(2) {
            self.deliver_the_rest(counters);
        }
        counters.lost += self.network.iter().map(Vec::len).sum::<usize>() as u64;
        self.network.iter_mut().for_each(Vec::clear);
        let talks = self.talk(None, counters);
        assert!(talks || self.wide, "a lost message blocks later ones");
        counters.talked_on_after_losses += u64::from(talks);
        if talks && self.one_in(16) {
            self.want_encapsulation(counters);
        }
    }

    fn act(&mut self, counters: &mut Counters) {
        let side = self.below(2);
        if self.wide && self.one_in(4) {
            return self.miss(side, counters);
        }
        match self.below(100) {
            0..30 => self.send(side, counters),
            30..62 => self.deliver(side, counters),
            62..67 => {
                if let Some(index) = self.pick(side) {
                    self.network[side].swap_remove(index);
                    counters.lost += 1;
                }
            }
            67..73 => self.replay(side, counters),
            73..83 => self.damage(side, counters),
            83..87 => {
                let saved = self.parties[side].save();
                self.parties[side].load(saved);
                counters.restarts += 1;
            }
            87..90 => self.crash(side, counters),
            90..93 => self.fail(side, counters),
            93..96 => self.miss(side, counters),
            96..98 => self.habits[side] = REQUESTS[self.below(3)],
            98 => self.parties[side].oracle.program = 3,
            _ => self.reflect(side, counters),
        }
    }

    fn request(&mut self, side: usize) -> EncapsulationRequest {
        if self.one_in(6) { REQUESTS[self.below(3)] } else { self.habits[side] }
    }

    fn send(&mut self, side: usize, counters: &mut Counters) {
        let request = self.request(side);
        self.send_with(side, request, counters);
    }

    fn send_with(&mut self, side: usize, request: EncapsulationRequest, counters: &mut Counters) {
        let mut text = vec![0; self.below(80)];
        self.random.fill_bytes(&mut text);
        let padded_length = text.len() + 2 + self.below(30);
        let two_steps = self.one_in(4);
        let message = self.parties[side].send(request, &text, padded_length, two_steps, counters);
        self.network[side].extend(message);
    }

    /// The index of a message of this party's on its way, often the oldest.
    fn pick(&mut self, side: usize) -> Option<usize> {
        let count = self.network[side].len();
        if count == 0 {
            return None;
        }
        Some(if self.one_in(2) { 0 } else { self.below(count) })
    }

    fn deliver(&mut self, side: usize, counters: &mut Counters) {
        if let Some(index) = self.pick(side) {
            self.deliver_message(side, index, counters);
        }
    }

    /// Delivers a message and tells whether it was taken. One that is refused, as too many are missing before it, stays: it
    /// can still come. One whose key was forgotten is lost.
    fn deliver_message(&mut self, side: usize, index: usize, counters: &mut Counters) -> bool {
        let mut message = self.network[side].remove(index);
        let other_form = if self.one_in(4) { tamper::other_form(&message) } else { None };
        counters.other_forms_of_the_length += u64::from(other_form.is_some());
        let bytes = other_form.unwrap_or_else(|| message.bytes.clone());
        let taken = self.parties[1 - side].receive(&mut message, &bytes, counters);
        if taken {
            self.received[side].push(message);
        } else if self.wide {
            self.network[side].insert(index, message);
        } else {
            assert!(self.parties[1 - side].store.limits().is_some(), "an authentic message is refused");
        }
        taken
    }

    fn deliver_the_rest(&mut self, counters: &mut Counters) {
        for _ in 0..2 {
            for side in [0, 1] {
                let mut count = self.network[side].len();
                while count > 0 {
                    // In order where every message may be needed to come to the next.
                    let index = if self.wide { self.network[side].len() - count } else { self.below(count) };
                    self.deliver_message(side, index, counters);
                    count -= 1;
                }
            }
        }
    }

    fn replay(&mut self, side: usize, counters: &mut Counters) {
        let count = self.received[side].len();
        if count > 0 {
            let index = self.below(count);
            let mut message = self.received[side][index].clone();
            let other_form = if self.one_in(2) { tamper::other_form(&message) } else { None };
            let bytes = other_form.unwrap_or_else(|| message.bytes.clone());
            assert!(!self.parties[1 - side].receive(&mut message, &bytes, counters));
            counters.replayed += 1;
        }
    }

    fn damage(&mut self, side: usize, counters: &mut Counters) {
        let mut all: Vec<&Message> = self.network[side].iter().collect();
        // What was received, and what the other party sent, can be damaged as well.
        all.extend(self.received[side].iter().rev().take(2));
        all.extend(self.network[1 - side].first());
        if all.is_empty() {
            return;
        }
        let index = self.random.next_u32() as usize % all.len();
        let other = all[self.random.next_u32() as usize % all.len()];
        let bytes = tamper::damaged(all[index], Some(other), &mut self.random);
        self.parties[1 - side].refuse(&bytes, None, counters);
        counters.damaged += 1;
    }

    /// A program that ends after it decrypted and before it saved: the network delivers the message again.
    fn crash(&mut self, side: usize, counters: &mut Counters) {
        let Some(index) = self.pick(side) else { return };
        let saved = self.parties[1 - side].save();
        let mut message = self.network[side][index].clone();
        let bytes = message.bytes.clone();
        if self.parties[1 - side].receive(&mut message, &bytes, counters) {
            self.parties[1 - side].load(saved);
            counters.crashes_before_saving += 1;
            assert!(self.deliver_message(side, index, counters));
        }
    }

    fn fail(&mut self, side: usize, counters: &mut Counters) {
        let Some(index) = self.pick(side) else { return };
        let step = [Step::Find, Step::Read, Step::Remove, Step::Store][self.below(4)];
        let bytes = self.network[side][index].bytes.clone();
        self.parties[1 - side].fail(&bytes, step, counters);
    }

    /// Messages that are lost in a row. In a wide gap some survive, so that the ones behind it can be reached.
    fn miss(&mut self, side: usize, counters: &mut Counters) {
        let sizes = if self.wide { [300, 511, 512, 513, 600, 1025] } else { [1, 1, 2, 3, 4, 7] };
        let (count, request) = (sizes[self.below(6)], self.request(side));
        let survivor = self.below(600);
        for number in 0..count {
            if number == survivor {
                self.send_with(side, request, counters);
            } else {
                self.parties[side].lose(request, counters);
            }
        }
        self.send_with(side, request, counters);
    }

    /// A party's own message, sent back to it.
    fn reflect(&mut self, side: usize, counters: &mut Counters) {
        let Some(message) = self.network[side].first() else { return };
        self.parties[side].refuse(&message.bytes.clone(), Some(Error::Header), counters);
        counters.reflected += 1;
    }

    /// One message each way, and whether both arrived.
    fn talk(&mut self, request: Option<EncapsulationRequest>, counters: &mut Counters) -> bool {
        (0..2).all(|side| {
            let request = request.unwrap_or_else(|| self.request(side));
            self.send_with(side, request, counters);
            self.deliver_message(side, 0, counters)
        })
    }

    /// Both users want encapsulation and have programs that speak it: after four round trips it is there, after six when the
    /// versions have to go up first.
    fn want_encapsulation(&mut self, counters: &mut Counters) {
        let old = self.parties.iter().any(|party| party.oracle.version < 3 || party.oracle.max_version < 3);
        self.parties.iter_mut().for_each(|party| party.oracle.program = 3);
        for _ in 0..if old { 6 } else { 4 } {
            assert!(self.talk(Some(EncapsulationRequest::On), counters));
        }
        for party in &self.parties {
            assert_eq!(party.ratchet.version().0, 3);
            assert!(party.ratchet.sends_encapsulated() && party.ratchet.receives_encapsulated());
        }
        counters.reached_encapsulation_when_wanted += 1;
    }
}
