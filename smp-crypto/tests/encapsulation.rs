//! Key pairs, ciphertexts and secrets of sntrup761 are what the reference implementation makes of the same randomness.
#![cfg(feature = "ratchet")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::collections::HashMap;

use common::{array, bytes, for_each_case, number, text};
use rand_core::{TryCryptoRng, TryRng};
use serde_json::Value;
use smp_crypto::hash::{sha3_256, sha256};
use smp_crypto::sntrup761::*;

/// The randomness of the vectors: hashes of a seed and a counter. It counts what is taken.
struct Hashes {
    seed: Vec<u8>,
    counter: u32,
    left: Vec<u8>,
    used: usize,
}

impl Hashes {
    fn new(seed: Vec<u8>) -> Self {
        Self { seed, counter: 0, left: Vec::new(), used: 0 }
    }
}

impl TryRng for Hashes {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        while self.left.len() < bytes.len() {
            self.left.extend(sha256(&[&self.seed, &self.counter.to_be_bytes()]));
            self.counter += 1;
        }
        bytes.copy_from_slice(&self.left[..bytes.len()]);
        self.left.drain(..bytes.len());
        self.used += bytes.len();
        Ok(())
    }
}

impl TryCryptoRng for Hashes {}

#[test]
fn seeded_vectors() {
    let mut keys: HashMap<usize, SecretKey> = HashMap::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for_each_case("sntrup761-seeded.json", |case| {
        let op = text(case, "op");
        *seen.entry(op.into()).or_default() += 1;
        match op {
            "keypair" => {
                let mut random = Hashes::new(bytes(case, "seed"));
                let (mut public, mut secret) = ([0; PUBLIC_KEY_LENGTH], SecretKey::zeroed());
                generate_key_pair(&mut random, &mut public, &mut secret);
                assert_eq!(hex::encode(public), text(case, "public"));
                assert_eq!(hex::encode(secret.as_bytes()), text(case, "secret"));
                assert_eq!(secret.public_key(), &public);
                assert_eq!(random.used, number(case, "random_used"));
                keys.insert(number(case, "key"), secret);
            }
            "encapsulate" => {
                let mut random = Hashes::new(bytes(case, "seed"));
                let public = match case.get("public") {
                    Some(_) => array(case, "public"),
                    None => *keys[&number(case, "key")].public_key(),
                };
                let mut ciphertext = [0; CIPHERTEXT_LENGTH];
                let shared = encapsulate(&mut random, &public, &mut ciphertext);
                assert_eq!(hex::encode(ciphertext), text(case, "ciphertext"));
                assert_eq!(hex::encode(shared.as_bytes()), text(case, "shared"));
                assert_eq!(random.used, number(case, "random_used"));
                if case.get("key").is_some() && case.get("public").is_none() {
                    assert_eq!(decapsulate(&keys[&number(case, "key")], &ciphertext), shared);
                }
            }
            "decapsulate" => {
                let shared = decapsulate(&keys[&number(case, "key")], &array(case, "ciphertext"));
                assert_eq!(hex::encode(shared.as_bytes()), text(case, "shared"));
            }
            other => panic!("no runner for {other}"),
        }
    });
    assert!(["keypair", "encapsulate", "decapsulate"].iter().all(|op| seen[*op] >= 6));
}

/// A ciphertext of a case: the good one, changed as told.
fn corrupted(good: &[u8], rule: &Value) -> [u8; CIPHERTEXT_LENGTH] {
    let mut bytes: [u8; CIPHERTEXT_LENGTH] = good.try_into().unwrap();
    if rule.get("repeat").is_some() {
        assert_eq!(number(rule, "count"), CIPHERTEXT_LENGTH);
        bytes.fill(u8::from_str_radix(text(rule, "repeat"), 16).unwrap());
    } else {
        assert_eq!(text(rule, "rule"), "that byte of ciphertext plus one modulo 256");
        let byte = &mut bytes[number(rule, "changed_byte")];
        *byte = byte.wrapping_add(1);
    }
    bytes
}

#[test]
fn vectors() {
    for_each_case("sntrup761.json", |case| {
        assert_eq!(text(case, "op"), "kem");
        let secret = SecretKey::from_bytes(array(case, "secret_key"));
        assert_eq!(secret.public_key()[..], bytes(case, "public_key"));
        let ciphertext = bytes(case, "ciphertext");
        let shared = decapsulate(&secret, &array(case, "ciphertext"));
        assert_eq!(hex::encode(shared.as_bytes()), text(case, "shared"));
        for case in case["corrupted"].as_array().unwrap() {
            let other = decapsulate(&secret, &corrupted(&ciphertext, &case["ciphertext"]));
            assert_eq!(hex::encode(other.as_bytes()), text(case, "shared"));
            assert_ne!(other, shared);
        }
        hybrid(&case["hybrid"], &shared);
    });
}

fn hybrid(case: &Value, shared: &SharedSecret) {
    use smp_crypto::key::X25519SecretKey;
    let ours = X25519SecretKey::from_pkcs8(&bytes(case, "private_a")).unwrap();
    let theirs = X25519SecretKey::from_pkcs8(&bytes(case, "private_b")).unwrap();
    let agreed = ours.diffie_hellman(&theirs.public_key()).unwrap();
    assert_eq!(hex::encode(sha3_256(&[agreed.as_bytes(), shared.as_bytes()])), text(case, "secret"));
}

#[test]
fn every_secret_arrives() {
    let mut random = Hashes::new(b"secrets".to_vec());
    let (mut public, mut secret, mut ciphertext) =
        ([0; PUBLIC_KEY_LENGTH], SecretKey::zeroed(), [0; CIPHERTEXT_LENGTH]);
    let mut seen = std::collections::HashSet::new();
    for _ in 0..40 {
        generate_key_pair(&mut random, &mut public, &mut secret);
        let stored = SecretKey::from_bytes(*secret.as_bytes());
        for _ in 0..10 {
            let sent = encapsulate(&mut random, &public, &mut ciphertext);
            assert_eq!(decapsulate(&stored, &ciphertext), sent);
            assert!(seen.insert(*sent.as_bytes()) && seen.insert(ciphertext[..32].try_into().unwrap()));
        }
    }
}

/// What the draft says that comes out of a ciphertext that is not right: a hash of it and of a secret of the key.
fn rejection(secret: &SecretKey, ciphertext: &[u8]) -> SharedSecret {
    let hash = |prefix: u8, parts: [&[u8]; 2]| -> [u8; 32] {
        *smp_crypto::hash::sha512(&[&[prefix], parts[0], parts[1]]).first_chunk().unwrap()
    };
    let rho = &secret.as_bytes()[1763 - 32 - 191..1763 - 32];
    SharedSecret::from_bytes(hash(0, [&hash(3, [rho, &[]]), ciphertext]))
}

#[test]
fn altered_ciphertexts_give_another_secret() {
    let mut random = Hashes::new(b"altered".to_vec());
    let (mut public, mut secret, mut ciphertext) =
        ([0; PUBLIC_KEY_LENGTH], SecretKey::zeroed(), [0; CIPHERTEXT_LENGTH]);
    generate_key_pair(&mut random, &mut public, &mut secret);
    let sent = encapsulate(&mut random, &public, &mut ciphertext);
    for place in 0..CIPHERTEXT_LENGTH {
        for change in [1, 0x80, 1 << (place % 8), 0xff] {
            let mut altered = ciphertext;
            altered[place] ^= change;
            assert_eq!(decapsulate(&secret, &altered), rejection(&secret, &altered));
        }
    }
    assert_eq!(decapsulate(&secret, &ciphertext), sent);
    assert_ne!(rejection(&secret, &ciphertext), sent);

    // Another key's, and a key whose parts do not belong together.
    let mut other = SecretKey::zeroed();
    generate_key_pair(&mut random, &mut public, &mut other);
    assert_eq!(decapsulate(&other, &ciphertext), rejection(&other, &ciphertext));
    for part in [0..191, 191..382, 382..1540, 1731..1763] {
        let mut mixed = *secret.as_bytes();
        mixed[part.clone()].copy_from_slice(&other.as_bytes()[part]);
        let mixed = SecretKey::from_bytes(mixed);
        assert_eq!(decapsulate(&mixed, &ciphertext), rejection(&mixed, &ciphertext));
    }
}

/// Any bytes are a public key, and a secret key, to the functions here.
#[test]
fn arbitrary_keys_do_no_harm() {
    let mut random = Hashes::new(b"arbitrary".to_vec());
    for round in 0..20 {
        let (mut public, mut secret, mut ciphertext) =
            ([0xff; PUBLIC_KEY_LENGTH], [0xff; SECRET_KEY_LENGTH], [0xff; CIPHERTEXT_LENGTH]);
        if round > 0 {
            random.try_fill_bytes(&mut public).unwrap();
            random.try_fill_bytes(&mut secret).unwrap();
            random.try_fill_bytes(&mut ciphertext).unwrap();
        }
        let secret = SecretKey::from_bytes(secret);
        assert_eq!(decapsulate(&secret, &ciphertext), rejection(&secret, &ciphertext));
        let sent = encapsulate(&mut random, &public, &mut ciphertext);
        assert_ne!(decapsulate(&secret, &ciphertext), sent);
    }
}

#[test]
fn secrets_do_not_print() {
    let secret = SecretKey::from_bytes([7; SECRET_KEY_LENGTH]);
    assert_eq!(format!("{secret:?} {:?}", SharedSecret::from_bytes([7; 32])), "Secret(..) Secret(..)");
}
