//! What every envelope costs, next to copying the same bytes and to the bare cipher over them: `cargo bench -p smp-crypto
//! --bench envelopes`, and the same with `--features simd`, which programs have on.
//!
//! Opening happens in place, so each opening has a fresh copy, made outside the time that is measured.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;

use criterion::{
    BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use rand_core::SeedableRng;
use smp_crypto::{
    block_chain::{BLOCK_LENGTH, BlockChain, ENCRYPTED_CONTENT_LIMIT},
    delivery,
    key::{Ed25519SecretKey, X25519SecretKey},
    notification,
    queue_envelope::{self, EnvelopeHeader, SealedEnvelope},
    routing::{self, CommandLayer, ProxyLayer},
    secret_box::{BoxKey, Nonce, TAG_LENGTH},
    short_link,
};
use smp_proto::{
    id::{CorrelationId, MessageId},
    smp::message::{ClientMessage, Delivery, NotificationMetadata},
    smp::proxy::{ForwardedTransmission, ProxyForward},
    version::{ClientVersion, SmpVersion},
    wire::Time,
};

type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// A group of figures about as many bytes, with what they are to be compared with.
fn group<'c>(criterion: &'c mut Criterion, name: &str, length: usize) -> Group<'c> {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(length as u64));
    let (mut bytes, source) = (vec![7; length], vec![8; length]);
    group.bench_function("copy", |b| b.iter(|| black_box(&mut bytes[..]).copy_from_slice(black_box(&source))));
    let (key, nonce) = (BoxKey::new(&[1; 32]), Nonce([2; 24]));
    let message = length.saturating_sub(TAG_LENGTH);
    group.bench_function("bare cipher", |b| b.iter(|| key.seal_in_place(&nonce, black_box(&mut bytes[..message]))));
    group
}

/// Opens a copy of the same bytes again and again.
fn open(group: &mut Group<'_>, name: &str, sealed: &[u8], mut open: impl FnMut(&mut [u8])) {
    group.bench_function(name, |b| {
        b.iter_batched_ref(|| sealed.to_vec(), |sealed| open(black_box(sealed)), BatchSize::SmallInput);
    });
}

fn blocks(criterion: &mut Criterion) {
    let mut block = [7; BLOCK_LENGTH];
    let mut group = group(criterion, "transport block", BLOCK_LENGTH);
    let mut chain = BlockChain::from_bytes([5; 32]);
    group.bench_function("seal", |b| b.iter(|| chain.seal(black_box(&mut block), ENCRYPTED_CONTENT_LIMIT)));
    for (name, length) in [("open, full", ENCRYPTED_CONTENT_LIMIT), ("open, an acknowledgement", 200)] {
        BlockChain::from_bytes([5; 32]).seal(&mut block, length).unwrap();
        open(&mut group, name, &block.clone(), |block| {
            let opened = BlockChain::from_bytes([5; 32]).open(block.as_mut_array().unwrap());
            assert_eq!(opened.unwrap().len(), length);
        });
    }
    group.finish();
}

fn messages(criterion: &mut Criterion) {
    let (key, nonce) = (BoxKey::new(&[3; 32]), Nonce([4; 24]));

    let mut one = group(criterion, "delivery to a recipient", delivery::SEALED_LENGTH);
    let message = Delivery::Message { time: Time(1_700_000_000), notification: true, body: &[5; 16_000] };
    let id = MessageId::from_array(&[6; 24]);
    let mut sealed = [0; delivery::SEALED_LENGTH];
    one.bench_function("seal", |b| b.iter(|| delivery::seal(&key, id, &message, black_box(&mut sealed))));
    open(&mut one, "open", &sealed.clone(), |sealed| assert!(delivery::open(&key, id, sealed).is_ok()));
    one.finish();

    let mut one = group(criterion, "envelope of a sender", queue_envelope::MESSAGE_LENGTH);
    let header = EnvelopeHeader { version: ClientVersion::MAX, key: None, nonce };
    let message = ClientMessage { sender_key: None, body: &[5; 15_900] };
    let mut sealed = [0; queue_envelope::MESSAGE_LENGTH];
    one.bench_function("seal", |b| {
        b.iter(|| queue_envelope::seal(&key, &header, &message, black_box(&mut sealed)).map(<[u8]>::len));
    });
    open(&mut one, "open", &sealed.clone(), |sealed| {
        assert!(SealedEnvelope::new(sealed).unwrap().open(&key).is_ok());
    });
    one.finish();

    let mut one = group(criterion, "notification", notification::SEALED_LENGTH);
    let metadata = NotificationMetadata { message_id: id, time: Time(1_700_000_000) };
    one.bench_function("seal", |b| b.iter(|| notification::seal(&key, &nonce, black_box(&metadata))));
    let sealed = notification::seal(&key, &nonce, &metadata).unwrap();
    open(&mut one, "open", &sealed, |sealed| assert!(notification::open(&key, &nonce, sealed).is_ok()));
    one.finish();
}

/// Both layers of private routing.
fn routing(criterion: &mut Criterion) {
    let random = &mut rand_chacha::ChaCha20Rng::seed_from_u64(1);
    let [relay, proxy, client] = [(); 3].map(|()| X25519SecretKey::generate(random));
    let (n, p) = (CorrelationId::from_array(&[1; 24]), CorrelationId::from_array(&[2; 24]));
    let layer = CommandLayer::new(&client.diffie_hellman(&relay.public_key()).unwrap(), n);
    let session = ProxyLayer::new(&proxy.diffie_hellman(&relay.public_key()).unwrap());

    let mut one = group(criterion, "forwarded command, the client's layer", routing::SEALED_LENGTH);
    let mut command = [5; routing::SEALED_LENGTH];
    one.bench_function("seal", |b| b.iter(|| layer.seal_command(black_box(&mut command), 16_100)));
    open(&mut one, "open", &command.clone(), |sealed| assert!(layer.open_command(sealed).is_ok()));
    one.finish();

    let mut one = group(criterion, "forwarded command, the proxy's layer", routing::FORWARDED_LENGTH);
    let forward = ProxyForward { version: SmpVersion::MAX, key: client.public_key(), encrypted: &command };
    let forward = ForwardedTransmission { correlation_id: n, forward };
    let mut parameter = [0; routing::FORWARDED_LENGTH];
    one.bench_function("seal", |b| {
        b.iter(|| session.seal_forward(p, &forward, black_box(&mut parameter)).map(<[u8]>::len));
    });
    open(&mut one, "open", &parameter.clone(), |sealed| assert!(session.open_forward(p, sealed).is_ok()));
    one.finish();
}

/// The longer part of a link's data; signing and the hash are a part of it.
fn links(criterion: &mut Criterion) {
    let random = &mut rand_chacha::ChaCha20Rng::seed_from_u64(1);
    let (key, nonce, root) = (BoxKey::new(&[3; 32]), Nonce([4; 24]), Ed25519SecretKey::generate(random));
    let mut one = group(criterion, "data of a link", short_link::USER_LENGTH);
    let mut data = vec![5; short_link::USER_LENGTH];
    one.bench_function("sign and seal", |b| {
        b.iter(|| short_link::seal(&key, &nonce, &root, black_box(&mut data), 13_000));
    });
    open(&mut one, "open", &data.clone(), |sealed| assert!(short_link::open(&key, sealed).is_ok()));
    one.finish();
}

#[cfg(feature = "ratchet")]
fn ratchet(criterion: &mut Criterion) {
    use aes_gcm::{
        AesGcm,
        aead::{AeadInOut, KeyInit, consts::U16},
        aes::Aes256,
    };
    use smp_crypto::ratchet::{EncapsulationRequest, Initiator, Joiner, Ratchet, Sending, SkippedStore};
    use smp_proto::version::VersionRange;

    for (name, encapsulation, padded) in
        [("message of the ratchet", false, 15_840), ("message of the ratchet, encapsulated", true, 13_618)]
    {
        let random = &mut rand_chacha::ChaCha20Rng::seed_from_u64(1);
        let alice = Initiator::generate(random, VersionRange::RATCHET, encapsulation);
        let joiner = Joiner::answer(random, VersionRange::RATCHET, &alice.parameters(), encapsulation).unwrap();
        let (mut bob, alice) =
            (joiner.ratchet(random).unwrap(), alice.accept(&joiner.parameters(), encapsulation).unwrap());
        let request = if encapsulation { EncapsulationRequest::On } else { EncapsulationRequest::Off };
        let sending: Sending = request.into();

        let mut one = criterion.benchmark_group(name);
        one.throughput(Throughput::Bytes(padded as u64));
        let (mut bytes, source) = (vec![7; padded], vec![8; padded]);
        one.bench_function("copy", |b| b.iter(|| black_box(&mut bytes[..]).copy_from_slice(black_box(&source))));
        let cipher = AesGcm::<Aes256, U16>::new(&[1; 32].into());
        one.bench_function("bare cipher", |b| {
            b.iter(|| cipher.encrypt_inout_detached(&[2; 16].into(), &[], black_box(&mut bytes[..]).into()).unwrap());
        });
        let mut out = vec![0; 20_000];
        let message = vec![9; padded - 100];
        // The first message of a chain, which takes two agreements and new keys, and the next one of the same.
        let first = bob.encrypt(sending, &message, padded, &mut out).unwrap().to_vec();
        let next = bob.encrypt(sending, &message, padded, &mut out).unwrap().to_vec();
        let stored = |ratchet: &Ratchet| ratchet.to_bytes(&mut [0; 8_000]).unwrap().to_vec();
        let fresh = stored(&alice);
        let mut moved = Ratchet::from_bytes(&fresh).unwrap();
        assert!(moved.decrypt(&mut SkippedStore::<1>::new(), random, &mut first.clone()).is_ok());
        let moved = stored(&moved);
        for (what, state, message) in
            [("decrypt, a new chain", &fresh, &first), ("decrypt, the same chain", &moved, &next)]
        {
            one.bench_function(what, |b| {
                b.iter_batched_ref(
                    || (Ratchet::from_bytes(state).unwrap(), message.clone()),
                    |(ratchet, message)| {
                        assert!(ratchet.decrypt(&mut SkippedStore::<1>::new(), random, black_box(message)).is_ok());
                    },
                    BatchSize::SmallInput,
                );
            });
        }
        one.bench_function("encrypt", |b| {
            b.iter(|| bob.encrypt(sending, &message, padded, black_box(&mut out)).unwrap().len());
        });
        one.finish();
    }
}

#[cfg(not(feature = "ratchet"))]
fn ratchet(_: &mut Criterion) {}

criterion_group!(benches, blocks, messages, routing, links, ratchet);
criterion_main!(benches);
