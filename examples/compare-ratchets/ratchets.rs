//! What a message costs in the double ratchet of `smp-crypto`, beside the one of `vodozemac` (Olm, Matrix's).
//! `cargo bench` in this folder.
//!
//! Both get texts of the same length. They do not do the same: ours agrees over X448 where Olm does over X25519, encrypts
//! headers, which Olm sends in clear, and with `-pq` has an encapsulation key and a ciphertext of 2,197 bytes in each header.
//! Ours gives the message as it is sent, in a buffer; `vodozemac` gives a value that is still to be encoded, on the heap.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand::rngs::ThreadRng;
use smp_crypto::ratchet::{EncapsulationRequest, Initiator, Joiner, Ratchet, Sending, SkippedStore};
use smp_proto::version::VersionRange;
use vodozemac::olm::{Account, OlmMessage, Session, SessionConfig};

/// Two parties, of which the first sends.
trait Parties {
    /// Encrypts a text with the first party's keys and keeps what is sent.
    fn encrypt(&mut self, text: &[u8]);
    /// Decrypts what was sent with the other's.
    fn decrypt(&mut self);
    /// Lets the other party send.
    fn turn(&mut self);
}

struct Ours {
    parties: [Ratchet; 2],
    late: SkippedStore<64>,
    random: ThreadRng,
    sending: Sending,
    buffer: Vec<u8>,
    length: usize,
}

impl Ours {
    fn new(encapsulates: bool) -> Self {
        let mut random = rand::rng();
        let alice = Initiator::generate(&mut random, VersionRange::RATCHET, encapsulates);
        let joiner = Joiner::answer(&mut random, VersionRange::RATCHET, &alice.parameters(), encapsulates).unwrap();
        let bob = joiner.ratchet(&mut random).unwrap();
        let alice = alice.accept(&joiner.parameters(), encapsulates).unwrap();
        let request = if encapsulates { EncapsulationRequest::On } else { EncapsulationRequest::Off };
        let (late, buffer) = (SkippedStore::new(), vec![0; 20_000]);
        Self { parties: [bob, alice], late, random, sending: request.into(), buffer, length: 0 }
    }
}

impl Parties for Ours {
    fn encrypt(&mut self, text: &[u8]) {
        let sent = self.parties[0].encrypt(self.sending, text, text.len() + 2, &mut self.buffer).unwrap();
        self.length = sent.len();
    }

    fn decrypt(&mut self) {
        let message = &mut self.buffer[..self.length];
        black_box(self.parties[1].decrypt(&mut self.late, &mut self.random, message).unwrap());
    }

    fn turn(&mut self) {
        self.parties.swap(0, 1);
    }
}

struct Vodozemac {
    parties: [Session; 2],
    sent: OlmMessage,
}

impl Vodozemac {
    fn new() -> Self {
        let (alice, mut bob) = (Account::new(), Account::new());
        bob.generate_one_time_keys(1);
        let key = *bob.one_time_keys().values().next().unwrap();
        let mut alices = alice.create_outbound_session(SessionConfig::version_1(), bob.curve25519_key(), key).unwrap();
        let sent = alices.encrypt("hello").unwrap();
        let OlmMessage::PreKey(first) = &sent else { unreachable!() };
        let bobs = bob.create_inbound_session(SessionConfig::version_1(), alice.curve25519_key(), first).unwrap();
        let mut parties = Self { parties: [bobs.session, alices], sent };
        // From the answer on messages have no keys of the first agreement any more.
        parties.encrypt(b"hello yourself");
        parties.decrypt();
        parties.turn();
        parties
    }
}

impl Parties for Vodozemac {
    fn encrypt(&mut self, text: &[u8]) {
        self.sent = self.parties[0].encrypt(text).unwrap();
    }

    fn decrypt(&mut self) {
        black_box(self.parties[1].decrypt(&self.sent).unwrap());
    }

    fn turn(&mut self) {
        self.parties.swap(0, 1);
    }
}

/// Runs three steps so many times and adds up what the second takes.
fn timed<P>(parties: &mut P, count: u64, steps: [&dyn Fn(&mut P); 3]) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..count {
        steps[0](parties);
        let start = Instant::now();
        steps[1](parties);
        total += start.elapsed();
        steps[2](parties);
    }
    total
}

fn measure<P: Parties>(criterion: &mut Criterion, name: &str, parties: &mut P, length: usize) {
    let text = vec![7; length];
    let mut group = criterion.benchmark_group(format!("text of {length} bytes"));
    group.throughput(Throughput::Bytes(length as u64));
    let (encrypt, decrypt) = (|parties: &mut P| parties.encrypt(&text), |parties: &mut P| parties.decrypt());
    let nothing = |_: &mut P| ();
    group.bench_function(format!("encrypt, {name}"), |b| {
        b.iter_custom(|count| timed(parties, count, [&nothing, &encrypt, &decrypt]));
    });
    group.bench_function(format!("decrypt, {name}"), |b| {
        b.iter_custom(|count| timed(parties, count, [&encrypt, &decrypt, &nothing]));
    });
    let both = |parties: &mut P| {
        parties.encrypt(&text);
        parties.decrypt();
    };
    group.bench_function(format!("encrypt and decrypt with a step, {name}"), |b| {
        b.iter_custom(|count| timed(parties, count, [&nothing, &both, &P::turn]));
    });
    group.finish();
}

fn ratchets(criterion: &mut Criterion) {
    // The longest texts of the network's messages are those of the second and the third.
    for length in [100, 13_616, 15_838] {
        measure(criterion, "smp-crypto", &mut Ours::new(false), length);
        if length != 15_838 {
            measure(criterion, "smp-crypto-pq", &mut Ours::new(true), length);
        }
        measure(criterion, "vodozemac", &mut Vodozemac::new(), length);
    }
}

criterion_group!(benches, ratchets);
criterion_main!(benches);
