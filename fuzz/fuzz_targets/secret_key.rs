//! Stored secret keys, which operators may edit or move between programs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smp_crypto::key::AuthorizationSecretKey;

fuzz_target!(|data: &[u8]| {
    let Ok(key) = AuthorizationSecretKey::from_pkcs8(data) else { return };
    assert_eq!(key.to_pkcs8().as_bytes(), data);
    let shown = format!("{key:?}");
    assert!(shown.ends_with("(Secret(..))"), "{shown}");
    let _ = key.public_key();
});
