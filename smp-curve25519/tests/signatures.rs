//! A signature is accepted or not: the RFC's vectors, keys and signatures that are traps, and dalek as the other judge.
#![allow(clippy::unwrap_used, reason = "tests")]

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::ed25519::signature::MultipartVerifier;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha512};
use smp_curve25519::{Error, verify};

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    hex::decode(hex).unwrap().try_into().unwrap()
}

/// The judgement of dalek, with weak keys refused.
fn dalek(key: &[u8; 32], message: &[&[u8]], signature: &[u8; 64]) -> Result<(), Error> {
    let key = VerifyingKey::from_bytes(key).map_err(|_| Error::Key)?;
    if key.is_weak() {
        return Err(Error::Key);
    }
    key.multipart_verify(message, &Signature::from_bytes(signature)).map_err(|_| Error::Signature)
}

/// Both judgements, which have to be the same.
fn judge(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Result<(), Error> {
    let ours = verify(key, &[message], signature);
    assert_eq!(
        ours,
        dalek(key, &[message], signature),
        "key {}, message {}, signature {}",
        hex::encode(key),
        hex::encode(message),
        hex::encode(signature)
    );
    ours
}

#[test]
fn rfc_8032() {
    let abc = hex::encode(Sha512::digest(b"abc"));
    let cases = [
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595b\
             be24655141438e7a100b",
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb430\
             2aeeb00d291612bb0c00",
        ),
        (
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716e\
             d28dc027beceea1ec40a",
        ),
        (
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            &abc,
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138a\
             c17ad9bef1177331a704",
        ),
    ];
    for (key, message, signature) in cases {
        let (key, message, signature) = (bytes(key), hex::decode(message).unwrap(), bytes(signature));
        assert_eq!(judge(&key, &message, &signature), Ok(()));
        for bit in 0..512 {
            let mut wrong = signature;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(judge(&key, &message, &wrong), Err(Error::Signature), "bit {bit}");
        }
        for bit in 0..256 {
            let mut wrong = key;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(judge(&wrong, &message, &signature).is_err(), "bit {bit}");
        }
        assert_eq!(judge(&key, &[&message[..], &[0]].concat(), &signature), Err(Error::Signature));
    }
}

#[test]
fn parts_count_as_one_message() {
    let signer = SigningKey::from_bytes(&[7; 32]);
    let key = signer.verifying_key().to_bytes();
    let message: Vec<u8> = (0..=255).collect();
    let signature = signer.sign(&message).to_bytes();
    for split in 0..=message.len() {
        let (one, other) = message.split_at(split);
        for parts in [&[one, other][..], &[&[], one, &[], other]] {
            assert_eq!(verify(&key, parts, &signature), Ok(()));
            assert_eq!(dalek(&key, parts, &signature), Ok(()));
        }
    }
    assert_eq!(verify(&key, &[&message[1..], &message[..1]], &signature), Err(Error::Signature));
    let nothing = signer.sign(&[]).to_bytes();
    assert_eq!(verify(&key, &[], &nothing), Ok(()));
    assert_eq!(verify(&key, &[&[], &[]], &nothing), Ok(()));
}

fn hash(r: &[u8; 32], key: &[u8; 32], message: &[u8]) -> Scalar {
    let hash = Sha512::new().chain_update(r).chain_update(key).chain_update(message).finalize();
    Scalar::from_bytes_mod_order_wide(&hash.into())
}

fn join(r: &[u8; 32], s: &[u8; 32]) -> [u8; 64] {
    [*r, *s].concat().try_into().unwrap()
}

fn random_scalar(random: &mut ChaCha20Rng) -> Scalar {
    let mut bytes = [0; 64];
    random.fill_bytes(&mut bytes);
    Scalar::from_bytes_mod_order_wide(&bytes)
}

/// A number of 256 bits and a few more.
fn plus(mut number: [u8; 32], more: i32) -> [u8; 32] {
    let mut carry = more;
    for byte in &mut number {
        carry += i32::from(*byte);
        *byte = carry.to_le_bytes()[0];
        carry >>= 8;
    }
    number
}

/// Every encoding of a point with y of 0 to 18 and p - 19 to p + 18, with either sign: the encodings that are not canonical are
/// among these.
fn odd_encodings() -> Vec<[u8; 32]> {
    let mut prime = [255; 32];
    (prime[0], prime[31]) = (237, 127);
    let numbers = (0..19).map(|y| plus([0; 32], y)).chain((-19..19).map(|y| plus(prime, y)));
    numbers
        .flat_map(|mut positive| {
            let mut negative = positive;
            positive[31] &= 127;
            negative[31] |= 128;
            [positive, negative]
        })
        .collect()
}

#[test]
fn keys_of_small_order_verify_nothing() {
    let torsion = EIGHT_TORSION.map(|point| point.compress().to_bytes());
    for key in torsion.into_iter().chain(odd_encodings()) {
        for r in torsion.into_iter().chain(odd_encodings()) {
            // With s = 0 about every eighth of these would verify.
            let verdict = judge(&key, b"message", &join(&r, &[0; 32]));
            assert!(verdict.is_err());
            if torsion.contains(&key) {
                assert_eq!(verdict, Err(Error::Key));
            }
        }
    }
}

/// Keys and R with a part of small order. Which of these signatures fit depends on the hash modulo 8: nothing is multiplied
/// by the cofactor.
#[test]
fn points_of_mixed_order_are_judged_without_cofactor() {
    let mut random = ChaCha20Rng::seed_from_u64(1);
    let mut verdicts = [0; 2];
    for round in 0..12u8 {
        let secret = random_scalar(&mut random);
        // R of small order alone too.
        let nonce = if round % 3 == 0 { Scalar::ZERO } else { random_scalar(&mut random) };
        for key_torsion in EIGHT_TORSION {
            let key = (EdwardsPoint::mul_base(&secret) + key_torsion).compress().to_bytes();
            for r_torsion in EIGHT_TORSION {
                let r = (EdwardsPoint::mul_base(&nonce) + r_torsion).compress().to_bytes();
                let s = nonce + hash(&r, &key, &[round]) * secret;
                let verdict = judge(&key, &[round], &join(&r, &s.to_bytes()));
                verdicts[usize::from(verdict.is_ok())] += 1;
            }
        }
    }
    assert!(verdicts[0] > 600 && verdicts[1] > 50, "{verdicts:?}");
}

/// The neutral element as R, by each of its encodings. Only the canonical one is what comes out.
#[test]
fn encodings_of_r_must_be_canonical() {
    let mut random = ChaCha20Rng::seed_from_u64(2);
    let secret = random_scalar(&mut random);
    let key = EdwardsPoint::mul_base(&secret).compress().to_bytes();
    let mut accepted = Vec::new();
    for r in odd_encodings() {
        let s = hash(&r, &key, b"message") * secret;
        if judge(&key, b"message", &join(&r, &s.to_bytes())).is_ok() {
            accepted.push(r);
        }
    }
    assert_eq!(accepted, [plus([0; 32], 1)]);
}

/// Keys with y of p and above, or x = 0 with a sign, are read as the point they come near to.
#[test]
fn encodings_of_keys_are_judged_like_dalek_does() {
    let mut random = ChaCha20Rng::seed_from_u64(3);
    for key in odd_encodings() {
        for _ in 0..20 {
            let mut signature = [0; 64];
            random.fill_bytes(&mut signature);
            signature[63] &= 15;
            let _ = judge(&key, b"message", &signature);
        }
    }
}

#[test]
fn s_must_be_less_than_the_order() {
    let order: [u8; 32] = bytes("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let signer = SigningKey::from_bytes(&[7; 32]);
    let key = signer.verifying_key().to_bytes();
    for message in 0..50u8 {
        let signature = signer.sign(&[message]).to_bytes();
        assert_eq!(judge(&key, &[message], &signature), Ok(()));
        let mut wrong = signature;
        // Up to 2^256 there is room for up to 15 times the order more.
        loop {
            let mut carry = 0;
            for (byte, more) in wrong[32..].iter_mut().zip(order) {
                carry += u16::from(*byte) + u16::from(more);
                *byte = carry.to_le_bytes()[0];
                carry >>= 8;
            }
            if carry > 0 {
                break;
            }
            assert_eq!(judge(&key, &[message], &wrong), Err(Error::Signature));
        }
        let (r, _) = signature.split_first_chunk().unwrap();
        for s in [order, plus(order, -1), plus(order, 1), [255; 32], [0; 32]] {
            assert_eq!(judge(&key, &[message], &join(r, &s)), Err(Error::Signature));
        }
    }
    // s = 0, and L - 1, can be right: r = -k a, and one less.
    let secret = Scalar::from(3u8);
    let key = EdwardsPoint::mul_base(&secret).compress().to_bytes();
    assert!(judge(&key, b"", &join(&EdwardsPoint::mul_base(&Scalar::ONE).compress().to_bytes(), &[0; 32])).is_err());
}

/// Right signatures, and what is nearly one.
fn compare(count: u32, seed: u64) {
    let mut random = ChaCha20Rng::seed_from_u64(seed);
    let mut verdicts = [0; 3];
    for round in 0..count {
        let mut seed = [0; 32];
        random.fill_bytes(&mut seed);
        let mut message = vec![0; usize::try_from(random.next_u32() % 300).unwrap()];
        random.fill_bytes(&mut message);
        let signer = SigningKey::from_bytes(&seed);
        let mut key = signer.verifying_key().to_bytes();
        let mut signature = signer.sign(&message).to_bytes();
        let choice = random.next_u32() as usize;
        match round % 8 {
            0 => key[choice / 8 % 32] ^= 1 << (choice % 8),
            1 => signature[choice / 8 % 64] ^= 1 << (choice % 8),
            2 => message.push(0),
            3 => random.fill_bytes(&mut key),
            4 => {
                random.fill_bytes(&mut signature);
                signature[63] &= 15;
            }
            5 => key
                .as_chunks_mut::<4>()
                .0
                .iter_mut()
                .for_each(|limb| *limb = [[0; 4], [255; 4]][usize::from(limb[0] & 1)]),
            _ => {}
        }
        let verdict = match judge(&key, &message, &signature) {
            Ok(()) => 0,
            Err(Error::Key) => 1,
            Err(_) => 2,
        };
        verdicts[verdict] += 1;
    }
    assert!(verdicts.into_iter().all(|times| times > count / 10), "{verdicts:?}");
}

#[test]
fn dalek_judges_the_same() {
    compare(10_000, 4);
}

#[test]
#[ignore = "minutes"]
fn dalek_judges_the_same_a_million_times() {
    compare(1_000_000, 5);
}
