//! Certified session keys.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smp_crypto::key::{Ed448PublicKey, Ed25519PublicKey};
use smp_crypto::signed_key::{ED448_LENGTH, SignedKey};

fuzz_target!(|data: &[u8]| {
    let Ok(key) = SignedKey::from_der(data) else { return };
    let _ = format!("{key:?}");
    assert_eq!(key.to_der(&mut [0; ED448_LENGTH]), Ok(data));
    // Nobody knows secret keys for these points, so nothing may verify.
    assert!(key.verify_ed25519(&Ed25519PublicKey([2; 32])).is_err());
    assert!(key.verify_ed448(&Ed448PublicKey([2; 57])).is_err());
});
