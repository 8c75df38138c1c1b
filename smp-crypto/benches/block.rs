//! What a block costs: copying it, encrypting it, and what comes with it; then keys. `cargo bench -p smp-crypto`.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use poly1305::{
    Poly1305,
    universal_hash::{KeyInit, UniversalHash},
};
use rand_core::SeedableRng;
use salsa20::{
    XSalsa20,
    cipher::{KeyIvInit, StreamCipher},
};
use smp_crypto::{
    authorization::{Agreements, Decoy, authorize, verify, verify_again},
    block_chain::{BLOCK_LENGTH, BlockChain, ENCRYPTED_CONTENT_LIMIT},
    key::*,
    secret_box::{BoxKey, Nonce},
};
use smp_proto::id::CorrelationId;

fn blocks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("block of 16 KiB");
    group.throughput(Throughput::Bytes(BLOCK_LENGTH as u64));
    let mut block = [7; BLOCK_LENGTH];
    let source = [8; BLOCK_LENGTH];
    group.bench_function("copy", |b| b.iter(|| black_box(&mut block).copy_from_slice(black_box(&source))));

    let mut stream = XSalsa20::new(&[1; 32].into(), &[2; 24].into());
    group.bench_function("XSalsa20", |b| b.iter(|| stream.apply_keystream(black_box(&mut block))));
    group.bench_function("Poly1305", |b| {
        b.iter(|| {
            let mut tag = Poly1305::new(&[1; 32].into());
            tag.update(poly1305::Block::slice_as_chunks(black_box(&block)).0);
            tag.finalize()
        });
    });

    let key = BoxKey::new(&[3; 32]);
    let nonce = Nonce([4; 24]);
    group.bench_function("seal", |b| b.iter(|| key.seal_in_place(&nonce, black_box(&mut block))));
    let mut chain = BlockChain::from_bytes([5; 32]);
    group.bench_function("seal in a chain", |b| b.iter(|| chain.seal(black_box(&mut block), ENCRYPTED_CONTENT_LIMIT)));
    let mut chain = BlockChain::from_bytes([5; 32]);
    group.bench_function("refuse in a chain", |b| b.iter(|| chain.open(black_box(&mut block))));
    group.finish();
}

fn keys(criterion: &mut Criterion) {
    let random = &mut rand_chacha::ChaCha20Rng::seed_from_u64(1);
    let server = X25519SecretKey::generate(random);
    let decoy = Decoy::generate(random);
    let id = CorrelationId::from_array(&[9; 24]);
    let command = [6; 200];
    let mut group = criterion.benchmark_group("command of 200 bytes");
    for (name, key) in [
        ("Ed25519", AuthorizationSecretKey::generate_ed25519(random)),
        ("X25519", AuthorizationSecretKey::generate_x25519(random)),
        #[cfg(feature = "ed448")]
        ("Ed448", AuthorizationSecretKey::Ed448(Ed448SecretKey::generate(random))),
    ] {
        let server_key = server.public_key();
        group.bench_function(format!("authorize, {name}"), |b| {
            b.iter(|| authorize(&key, Some(&server_key), id, black_box(&command)).unwrap());
        });
        let made = authorize(&key, Some(&server_key), id, &command).unwrap();
        let keys = [key.public_key()];
        let mut agreements = Agreements::default();
        group.bench_function(format!("verify again, {name}"), |b| {
            let made = made.as_authorization();
            b.iter(|| verify_again(&made, id, &[black_box(&command)], &keys, &server, &decoy, &mut agreements));
        });
        for (what, keys) in [("verify", &keys[..]), ("verify, unknown entity", &[])] {
            group.bench_function(format!("{what}, {name}"), |b| {
                b.iter(|| verify(&made.as_authorization(), id, &[black_box(&command)], keys, Some(&server), &decoy));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, blocks, keys);
criterion_main!(benches);
