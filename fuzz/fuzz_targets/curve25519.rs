//! The arithmetic for microcontrollers against dalek's: agreements, and verdicts on signatures of every kind.
//!
//! The first byte chooses. 0: a secret key and a point. 1: a public key, a signature and a message as they come. 2: a
//! signature made to fit, but for parts of small order in the key and in R, then changed in one byte.
#![no_main]

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::{EdwardsPoint, Scalar};
use ed25519_dalek::{Signature, Verifier, VerifyingKey};
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha512};
use smp_curve25519::{Error, verify, x25519, x25519_public_key};

/// Both verdicts, which have to be the same.
fn judge(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) {
    let theirs = match VerifyingKey::from_bytes(key) {
        Ok(key) if !key.is_weak() => {
            key.verify(message, &Signature::from_bytes(signature)).map_err(|_| Error::Signature)
        }
        _ => Err(Error::Key),
    };
    assert_eq!(verify(key, &[message], signature), theirs);
    let (one, other) = message.split_at(message.len() / 2);
    assert_eq!(verify(key, &[one, other], signature), theirs);
}

fn agree(data: &[u8]) -> Option<()> {
    let (secret, rest) = data.split_first_chunk::<32>()?;
    let point = rest.first_chunk::<32>()?;
    assert_eq!(x25519(secret, point), x25519_dalek::x25519(*secret, *point));
    let public = x25519_dalek::PublicKey::from(&x25519_dalek::StaticSecret::from(*secret));
    assert_eq!(&x25519_public_key(secret), public.as_bytes());
    Some(())
}

fn as_it_comes(data: &[u8]) -> Option<()> {
    let (key, rest) = data.split_first_chunk()?;
    let (signature, message) = rest.split_first_chunk()?;
    judge(key, message, signature);
    Some(())
}

fn made_to_fit(data: &[u8]) -> Option<()> {
    let (secret, rest) = data.split_first_chunk()?;
    let (nonce, rest) = rest.split_first_chunk()?;
    let ([torsion, position, bits], message) = rest.split_first_chunk()?;
    let [secret, nonce] = [secret, nonce].map(|bytes| Scalar::from_bytes_mod_order(*bytes));
    let point = |scalar: &Scalar, torsion: u8| {
        (EdwardsPoint::mul_base(scalar) + EIGHT_TORSION[usize::from(torsion % 8)]).compress().to_bytes()
    };
    let (mut key, r) = (point(&secret, *torsion), point(&nonce, torsion / 8));
    let hash = Sha512::new().chain_update(r).chain_update(key).chain_update(message).finalize();
    let s = nonce + Scalar::from_bytes_mod_order_wide(&hash.into()) * secret;
    let mut signature = [0; 64];
    signature.iter_mut().zip(r.iter().chain(s.as_bytes())).for_each(|(signature, byte)| *signature = *byte);
    let place = usize::from(position % 96);
    if let Some(byte) = key.iter_mut().chain(&mut signature).nth(place) {
        *byte ^= bits;
    }
    judge(&key, message, &signature);
    Some(())
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else { return };
    let _ = match choice % 3 {
        0 => agree(data),
        1 => as_it_comes(data),
        _ => made_to_fit(data),
    };
});
