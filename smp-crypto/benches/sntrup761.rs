//! What the operations of sntrup761 cost. `cargo bench -p smp-crypto --bench sntrup761`.

#![allow(missing_docs, reason = "a benchmark")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use rand_core::SeedableRng;
use smp_crypto::sntrup761::*;

fn operations(criterion: &mut Criterion) {
    let random = &mut rand_chacha::ChaCha20Rng::seed_from_u64(1);
    let (mut public, mut secret, mut ciphertext) =
        ([0; PUBLIC_KEY_LENGTH], SecretKey::zeroed(), [0; CIPHERTEXT_LENGTH]);
    let mut group = criterion.benchmark_group("sntrup761");
    group.bench_function("key pair", |b| {
        b.iter(|| generate_key_pair(random, black_box(&mut public), &mut secret));
    });
    group.bench_function("encapsulation", |b| {
        b.iter(|| encapsulate(random, black_box(&public), &mut ciphertext));
    });
    group.bench_function("decapsulation", |b| b.iter(|| decapsulate(&secret, black_box(&ciphertext))));
    group.finish();
}

criterion_group!(benches, operations);
criterion_main!(benches);
