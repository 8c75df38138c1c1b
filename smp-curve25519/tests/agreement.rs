//! Two parties agree on a secret: the RFC's vectors, points that are traps, and dalek as the other party.
#![allow(clippy::unwrap_used, reason = "tests")]

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use smp_curve25519::{x25519, x25519_public_key};

fn bytes(hex: &str) -> [u8; 32] {
    hex::decode(hex).unwrap().try_into().unwrap()
}

#[test]
fn rfc_7748_one_by_one() {
    let cases = [
        (
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ),
        (
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ),
        // Bob's side of section 6.1.
        (
            "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
            "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
            "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
        ),
    ];
    for (secret, point, shared) in cases {
        assert_eq!(x25519(&bytes(secret), &bytes(point)), bytes(shared));
    }
    let bob = bytes("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    let public = bytes("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    assert_eq!(x25519_public_key(&bob), public);
}

/// Each result is the next secret key, and that key the next point (section 5.2).
fn iterate(times: u32) -> [u8; 32] {
    let mut key = [0; 32];
    key[0] = 9;
    let mut point = key;
    for _ in 0..times {
        (key, point) = (x25519(&key, &point), key);
    }
    key
}

#[test]
fn rfc_7748_a_thousand_times() {
    assert_eq!(iterate(1), bytes("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"));
    assert_eq!(iterate(1_000), bytes("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"));
}

#[test]
#[ignore = "a minute"]
fn rfc_7748_a_million_times() {
    assert_eq!(iterate(1_000_000), bytes("7c3911e0ab2586fd864497297e575e6f3bc601c0883c30df5f4dd2d24f665424"));
}

/// A number of 256 bits, as bytes, and a few more.
fn plus(mut number: [u8; 32], more: i32) -> [u8; 32] {
    let mut carry = more;
    for byte in &mut number {
        carry += i32::from(*byte);
        *byte = carry.to_le_bytes()[0];
        carry >>= 8;
    }
    number
}

/// p = 2^255 - 19.
fn prime() -> [u8; 32] {
    let mut prime = [255; 32];
    (prime[0], prime[31]) = (237, 127);
    prime
}

/// All encodings of the points of small order, on the curve and on its twist.
fn small_order() -> Vec<[u8; 32]> {
    let eighth = "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800";
    let other_eighth = "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157";
    let less_than_prime = [[0; 32], plus([0; 32], 1), plus(prime(), -1), bytes(eighth), bytes(other_eighth)];
    let not_less = [prime(), plus(prime(), 1)];
    let all = less_than_prime.into_iter().chain(not_less);
    all.flat_map(|mut point| {
        let ignored = point;
        point[31] |= 128;
        [ignored, point]
    })
    .collect()
}

#[test]
fn points_of_small_order_give_zero() {
    let mut random = ChaCha20Rng::seed_from_u64(1);
    for point in small_order() {
        for _ in 0..50 {
            let secret = random_bytes(&mut random);
            assert_eq!(x25519(&secret, &point), [0; 32], "{}", hex::encode(point));
            assert_eq!(x25519_dalek::x25519(secret, point), [0; 32], "{}", hex::encode(point));
        }
    }
}

#[test]
fn coordinates_count_modulo_the_prime_and_without_the_highest_bit() {
    let mut random = ChaCha20Rng::seed_from_u64(2);
    for small in 0..19 {
        let secret = random_bytes(&mut random);
        let shared = x25519(&secret, &plus([0; 32], small));
        for mut same in [plus([0; 32], small), plus(prime(), small)] {
            assert_eq!(x25519(&secret, &same), shared, "{small}");
            same[31] |= 128;
            assert_eq!(x25519(&secret, &same), shared, "{small}");
        }
    }
}

#[test]
fn keys_are_clamped() {
    let mut random = ChaCha20Rng::seed_from_u64(3);
    let (secret, point) = (random_bytes(&mut random), random_bytes(&mut random));
    let shared = x25519(&secret, &point);
    for (byte, bits) in [(0, 0..3), (31, 6..8)] {
        for bit in bits {
            let mut same = secret;
            same[byte] ^= 1 << bit;
            assert_eq!(x25519(&same, &point), shared);
        }
    }
    let mut other = secret;
    other[0] ^= 8;
    assert_ne!(x25519(&other, &point), shared);
}

fn random_bytes(random: &mut ChaCha20Rng) -> [u8; 32] {
    let mut bytes = [0; 32];
    random.fill_bytes(&mut bytes);
    // Often long runs of equal bits, and numbers close to 0, p or 2^256.
    match random.next_u32() % 8 {
        0 => bytes.iter_mut().for_each(|byte| *byte = [0, 255][usize::from(*byte & 1)]),
        1 => bytes[1..].fill(0),
        2 => bytes[1..].fill(255),
        3 => bytes = plus(prime(), i32::from(bytes[0]) - 128),
        4 => bytes
            .as_chunks_mut::<4>()
            .0
            .iter_mut()
            .for_each(|limb| *limb = [[0; 4], [255; 4]][usize::from(limb[0] & 1)]),
        _ => {}
    }
    bytes
}

/// Half of the random points are on the twist.
fn compare(count: u32, seed: u64) {
    let mut random = ChaCha20Rng::seed_from_u64(seed);
    for _ in 0..count {
        let (secret, point) = (random_bytes(&mut random), random_bytes(&mut random));
        let what = || format!("{} {}", hex::encode(secret), hex::encode(point));
        assert_eq!(x25519(&secret, &point), x25519_dalek::x25519(secret, point), "{}", what());
        let public = x25519_dalek::PublicKey::from(&x25519_dalek::StaticSecret::from(secret)).to_bytes();
        assert_eq!(x25519_public_key(&secret), public, "{}", what());
    }
}

#[test]
fn dalek_agrees() {
    compare(10_000, 4);
}

#[test]
#[ignore = "minutes"]
fn dalek_agrees_a_million_times() {
    compare(1_000_000, 5);
}
